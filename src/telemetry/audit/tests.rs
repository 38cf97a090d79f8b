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
    let named = |n| (at(n), entry(&format!("n{n}@esat.example")));
    let entries: Vec<_> = (from..from + count).map(named).collect();
    writer.write(entries.iter().map(|(at, entry)| (*at, entry))).expect("written");
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    (folder, path)
}

fn check(text: &str) -> Result<Verified, Broken> {
    verify(text.as_bytes(), None).map(|verified| verified.expect("a line"))
}

fn log(path: PathBuf, on_failure: OnFailure) -> Audit {
    Audit::to_file(path, 1 << 20, on_failure, &Clock::frozen_at(at(0))).expect("opened")
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
    assert_eq!(told(&joined(&[lines[0], lines[1], lines[3]])), "line 3: line 3 is missing before it");
    assert!(told(&joined(&[lines[0], lines[2], lines[1]])).starts_with("line 2: line 2 is missing"));
    assert!(told(&joined(&[lines[0], lines[1], lines[1]])).starts_with("line 3: it is out of its place"));
    assert!(told(&text[..text.len() - 10]).starts_with("line 5: it is not a line"));
    assert!(told("bonjour\n").starts_with("line 1"));
    assert!(verify(&b""[..], None).expect("whole").is_none(), "nothing is written yet");
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
        before = verify(text.as_bytes(), before.as_ref()).expect(name);
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
    let strict = log("/dev/full".into(), OnFailure::Refuse);
    strict.check(at(0)).await.expect_err("full from the first decision on");
    strict.record(at(0), vec![entry("a@esat.example")]).await.expect_err("full");
    assert!(strict.figures().is_some_and(|figures| figures.refuses && figures.lost == 0));
    strict.settle(at(0), vec![entry("a@esat.example")]).await;
    strict.note(at(0), entry("a@esat.example"));
    strict.flush(at(0)).await.expect_err("full");
    assert_eq!(strict.figures().map(|figures| figures.lost), Some(0), "kept for later");
    let easy = log("/dev/full".into(), OnFailure::Continue);
    easy.check(at(1)).await.expect("goes on");
    easy.record(at(0), vec![entry("a@esat.example")]).await.expect("goes on");
    easy.settle(at(0), vec![entry("a@esat.example")]).await;
    easy.flush(at(1)).await.expect_err("full");
    let figures = easy.figures().expect("figures");
    assert_eq!((figures.is_failing, figures.refuses, figures.lost, figures.untold), (true, false, 2, 2));
}

#[tokio::test]
async fn a_hundred_at_once_are_a_hundred_lines() {
    let (_folder, path) = folder();
    let audit = log(path.clone(), OnFailure::Refuse);
    let writes = (0..100).map(|n| audit.record(at(n), vec![entry("a@esat.example")]));
    futures_util::future::join_all(writes).await.into_iter().collect::<Result<Vec<_>, _>>().expect("written");
    let whole = check(&fs::read_to_string(&path).expect("a text")).expect("whole");
    assert_eq!(whole.lines, 101, "and that the chain begins");
}

#[test]
fn what_another_program_cut_is_gone_on_with_and_never_filled_with_zeros() {
    let (folder, path) = folder();
    let mut writer = Writer::open(path.clone(), 1 << 20).expect("opened");
    writer.ready().expect("room");
    write(&mut writer, 0, 2);
    let copy = folder.path().join("audit.jsonl.1");
    fs::copy(&path, &copy).expect("copied");
    fs::OpenOptions::new().write(true).open(&path).expect("opened").set_len(0).expect("cut");
    writer.ready().expect("room");
    write(&mut writer, 2, 2);
    let text = fs::read(&path).expect("a text");
    assert!(!text.contains(&0));
    let first = check(&fs::read_to_string(&copy).expect("a text")).expect("whole");
    let second = verify(&text[..], Some(&first)).expect("whole").expect("lines");
    assert_eq!((second.first, second.last), (3, 4));
    // A file that is put in its place is not mixed with what is written now.
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "bonjour\n").expect("written");
    write(&mut writer, 4, 1);
    let third = verify(&fs::read(&path).expect("a text")[..], Some(&second)).expect("whole");
    assert_eq!(third.map(|third| third.lines), Some(1));
    assert_eq!(
        fs::read_to_string(folder.path().join("audit.jsonl.000000000004")).expect("kept"),
        "bonjour\n"
    );
}

#[test]
fn the_chain_is_found_wherever_rotation_put_it() {
    for name in ["audit.jsonl.1", "audit.jsonl-20261215", "audit-20261215.jsonl", "audit.jsonl.1.gz"] {
        let (folder, path) = folder();
        write(&mut Writer::open(path.clone(), 1 << 20).expect("opened"), 0, 3);
        fs::write(folder.path().join("audit.yaml"), "another: file\n").expect("written");
        let moved = folder.path().join(name);
        if moved.extension().is_some_and(|extension| extension == "gz") {
            let file = fs::File::create(&moved).expect("made");
            let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            std::io::Write::write_all(&mut gz, &fs::read(&path).expect("a text")).expect("written");
            gz.finish().expect("written");
            fs::remove_file(&path).expect("removed");
        } else {
            fs::rename(&path, &moved).expect("moved");
        }
        let mut writer = Writer::open(path.clone(), 1 << 20).expect("opened");
        assert_eq!(writer.begun(), None, "{name}");
        write(&mut writer, 3, 1);
        assert_eq!(check(&fs::read_to_string(&path).expect("a text")).expect("whole").first, 4, "{name}");
    }
    let (_folder, path) = folder();
    assert_eq!(Writer::open(path.clone(), 1).expect("opened").begun(), Some(file::Begun::First));
    assert_eq!(Writer::open(path, 1).expect("opened").begun(), Some(file::Begun::Anew));
}
