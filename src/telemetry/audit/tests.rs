use std::fs;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_796_000_000 + second).expect("an instant")
}

fn entry(who: &str) -> Entry {
    let caf = "921".parse().ok();
    Entry { what: "sign-in", outcome: "ok", who: Some(who.to_owned()), caf, ..Entry::default() }
}

fn write(writer: &mut Writer, from: i64, count: i64) {
    writer
        .write((from..from + count).map(|n| (at(n), entry(&format!("n{n}@esat.example")))))
        .expect("written");
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    (folder, path)
}

fn check(text: &str) -> Result<Verified, Broken> {
    verify(text.as_bytes(), None)
}

#[test]
fn a_chain_holds_and_tells_the_first_line_that_does_not() {
    let (_folder, path) = folder();
    write(&mut Writer::open(path.clone(), 1 << 20).expect("opened"), 0, 5);
    let text = fs::read_to_string(&path).expect("a text");
    let whole = check(&text).expect("whole");
    assert_eq!((whole.lines, whole.first, whole.last, whole.from_the_beginning), (5, 1, 5, true));
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    let told = |text: &str| check(text).expect_err("broken").to_string();
    assert!(told(&text.replace("n2@", "x2@")).starts_with("line 3: it was altered"));
    assert_eq!(told(&joined(&[lines[0], lines[1], lines[3]])), "line 3: lines 3 to 3 are missing before it");
    assert!(told(&joined(&[lines[0], lines[2], lines[1]])).starts_with("line 2: lines 2 to 2 are missing"));
    assert!(told(&joined(&[lines[0], lines[1], lines[1]])).starts_with("line 3: it is out of its place"));
    assert!(told(&text[..text.len() - 10]).starts_with("line 5: it is not a line"));
    assert!(told("bonjour\n").starts_with("line 1"));
    assert_eq!(told(""), "it holds no line");
    // A line that was made up, its hash right, does not follow.
    let mut forged = Vec::new();
    let link = chain::Link { seq: 2, hash: "f".repeat(64) };
    link.append(at(9), &entry("pirate@esat.example"), &mut forged).expect("made up");
    let forged = String::from_utf8(forged).expect("a text");
    assert!(told(&joined(&[lines[0], lines[1], forged.trim_end()])).starts_with("line 3: it is out of"));
}

#[test]
fn it_goes_on_through_restarts_rotation_and_moves() {
    let (folder, path) = folder();
    for start in 0..3 {
        write(&mut Writer::open(path.clone(), 1 << 20).expect("opened"), start * 2, 2);
    }
    assert_eq!(check(&fs::read_to_string(&path).expect("a text")).expect("whole").lines, 6);
    let mut writer = Writer::open(path.clone(), 100).expect("opened");
    write(&mut writer, 6, 1);
    fs::rename(&path, folder.path().join("moved-by-logrotate")).expect("moved");
    write(&mut writer, 7, 1);
    write(&mut writer, 8, 1);
    drop(writer);
    let mut before = None;
    for name in ["audit.jsonl.000000000006", "moved-by-logrotate", "audit.jsonl.000000000008", "audit.jsonl"]
    {
        let text = fs::read_to_string(folder.path().join(name)).expect(name);
        before = Some(verify(text.as_bytes(), before.as_ref()).expect(name));
    }
    assert_eq!(before.expect("verified").last, 9);
    // Where the present file is gone, the chain goes on from the last one that was rotated.
    fs::remove_file(&path).expect("removed");
    write(&mut Writer::open(path.clone(), 100).expect("opened"), 9, 1);
    assert_eq!(check(&fs::read_to_string(&path).expect("a text")).expect("whole").first, 9);
}

#[test]
fn a_line_that_was_cut_short_is_set_aside() {
    let (folder, path) = folder();
    write(&mut Writer::open(path.clone(), 1 << 20).expect("opened"), 0, 2);
    let text = fs::read_to_string(&path).expect("a text");
    for cut in 1..60 {
        fs::write(&path, &text[..text.len() - cut]).expect("written");
        write(&mut Writer::open(path.clone(), 1 << 20).expect("opened"), 5, 1);
        let whole = check(&fs::read_to_string(&path).expect("a text")).expect("whole");
        assert_eq!((whole.lines, whole.last), (2, 2), "cut by {cut}");
    }
    assert!(folder.path().join("audit.jsonl.torn").exists());
}

#[test]
fn what_was_altered_is_not_continued_and_two_do_not_write_one_file() {
    let (_folder, path) = folder();
    let mut writer = Writer::open(path.clone(), 1 << 20).expect("opened");
    write(&mut writer, 0, 2);
    assert!(matches!(Writer::open(path.clone(), 1 << 20), Err(OpenError::Taken(_))));
    drop(writer);
    let text = fs::read_to_string(&path).expect("a text");
    fs::write(&path, text.replace("n1@", "x1@")).expect("written");
    assert!(matches!(Writer::open(path, 1 << 20), Err(OpenError::Broken(_))));
    assert!(matches!(Writer::open("/nowhere/audit".into(), 1), Err(OpenError::File { .. })));
}

#[tokio::test]
async fn a_full_disk_refuses_or_goes_on_as_configured() {
    let full = || PathBuf::from("/dev/full");
    let strict = Audit::to_file(full(), 1 << 20, OnFailure::Refuse).expect("opened");
    strict.check(at(0)).await.expect("not known to fail yet");
    strict.record(at(0), entry("a@esat.example")).await.expect_err("full");
    strict.check(at(1)).await.expect_err("known to fail");
    assert!(strict.is_refusing());
    let easy = Audit::to_file(full(), 1 << 20, OnFailure::Continue).expect("opened");
    easy.record(at(0), entry("a@esat.example")).await.expect("goes on");
    easy.check(at(1)).await.expect("goes on");
    assert!(!easy.is_refusing());
}

#[tokio::test]
async fn a_hundred_at_once_are_a_hundred_lines() {
    let (_folder, path) = folder();
    let audit = Audit::to_file(path.clone(), 1 << 20, OnFailure::Refuse).expect("opened");
    let writes = (0..100).map(|n| audit.record(at(n), entry("a@esat.example")));
    futures_util::future::join_all(writes).await.into_iter().collect::<Result<Vec<_>, _>>().expect("written");
    assert_eq!(check(&fs::read_to_string(&path).expect("a text")).expect("whole").lines, 100);
}
