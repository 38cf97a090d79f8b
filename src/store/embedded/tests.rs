//! The contract, and what is this store's own: the file.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redb::{ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};

use super::*;
use crate::account::AccountStore;
use crate::limits::{AttemptRule, Counters as _};
use crate::session::SessionStore;
use crate::store::Store;
use crate::store::contract::{account, at, contract, name, new_id, record};

fn open() -> Ready<(Arc<dyn Store>, ())> {
    ready((Embedded::in_memory().expect("a store"), ()))
}

contract!(open);

const RULE: AttemptRule = AttemptRule {
    max: 1,
    lockout: Duration::from_mins(15),
    grows: true,
    longest: Duration::from_hours(24),
    memory: Duration::from_hours(24),
};

#[tokio::test]
async fn what_was_acknowledged_is_there_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let inner = dir.path().join("made/on/the/way");
    let (id, owner) = (new_id(), name("a@esat.example"));
    {
        let store = Embedded::open(&inner).expect("a store");
        AccountStore::add(&*store, &[account("a@esat.example")]).await.expect("added");
        store.create(&id, &record(owner.as_str(), 0, 43_200), at(0)).await.expect("created");
        assert!(store.touch(&id, at(9)).await.expect("touched"));
        store.attempt("a", &RULE, at(0)).await.expect("counted");
    }
    let store = Embedded::open(&inner).expect("a store again");
    let found = AccountStore::find(&*store, &owner).await.expect("an answer");
    assert_eq!(found, Some(account("a@esat.example")));
    let (_, last) = SessionStore::find(&*store, &id).await.expect("an answer").expect("a session");
    assert_eq!(last, at(9));
    assert!(matches!(store.attempt("a", &RULE, at(1)).await, Ok(crate::limits::Attempt::Locked { .. })));
}

#[tokio::test]
async fn a_copy_of_the_file_at_any_time_opens_with_all_that_was_acknowledged() {
    // What a kill leaves: the file as it is, with the store still open.
    let (dir, copy) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let store = Embedded::open(dir.path()).expect("a store");
    for n in 0..20 {
        let one = account(&format!("a{n}@esat.example"));
        AccountStore::add(&*store, &[one]).await.expect("added");
        std::fs::copy(dir.path().join(FILE), copy.path().join(FILE)).expect("a copy");
        let left = Embedded::open(copy.path()).expect("the copy opens");
        assert_eq!(AccountStore::list(&*left).await.expect("a list").len(), n + 1);
    }
}

#[test]
fn the_file_has_one_owner_and_no_other_reader() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a folder");
    let inner = dir.path().join("store");
    let _owner = Embedded::open(&inner).expect("a store");
    assert!(matches!(Embedded::open(&inner), Err(OpenError::InUse(_))));
    let mode = |path: &Path| std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!((mode(&inner), mode(&inner.join(FILE))), (0o700, 0o600));
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join(FILE), b"what is this? ".repeat(1000)).expect("written");
    assert!(matches!(Embedded::open(dir.path()), Err(OpenError::Unreadable(..))));
    assert!(matches!(Embedded::open(&dir.path().join(FILE)), Err(OpenError::Io(..))));
}

#[tokio::test]
async fn corrupt_records_are_errors_and_harm_no_neighbour() {
    let store = Embedded::in_memory().expect("a store");
    let (id, owner) = (new_id(), name("a@esat.example"));
    AccountStore::add(&*store, &[account("a@esat.example")]).await.expect("added");
    store.create(&id, &record(owner.as_str(), 0, 43_200), at(0)).await.expect("created");
    let text = id.to_text();
    store
        .write(move |transaction| {
            let accounts = TableDefinition::<&str, &[u8]>::new("accounts");
            transaction.open_table(accounts)?.insert("a@esat.example", b"{\"nom\": \xff".as_slice())?;
            let sessions = TableDefinition::<&str, (i64, i64, i64, u64, &[u8])>::new("sessions");
            transaction.open_table(sessions)?.insert(text.as_str(), (i64::MAX, 0, 0, 0, b"[]".as_slice()))?;
            Ok(())
        })
        .await
        .expect("written");
    let corrupt = |error| matches!(error, StoreError::Corrupt(_));
    assert!(AccountStore::find(&*store, &owner).await.is_err_and(corrupt));
    assert!(AccountStore::list(&*store).await.is_err_and(corrupt));
    assert!(AccountStore::replace(&*store, &account("a@esat.example")).await.is_err_and(corrupt));
    assert!(SessionStore::find(&*store, &id).await.is_err_and(corrupt));
    assert!(store.of_account(&owner).await.expect("the others").is_empty());
    AccountStore::add(&*store, &[account("b@esat.example")]).await.expect("added");
    assert!(AccountStore::remove(&*store, &owner).await.expect("it can still be removed"));
    assert!(store.is_reachable());
}

#[tokio::test]
async fn a_sweep_leaves_nothing_of_what_has_ended() {
    let store = Embedded::in_memory().expect("a store");
    let owner = name("a@esat.example");
    for n in 0..50 {
        store.create(&new_id(), &record(owner.as_str(), n, 1000), at(n)).await.expect("created");
        store.attempt(&n.to_string(), &RULE, at(n)).await.expect("counted");
    }
    assert_eq!(store.sweep(at(1000)).await.expect("swept"), 0);
    assert_eq!(store.sweep(at(86_400 + 1000)).await.expect("swept"), 100);
    let snapshot = store.held.with(|database| Ok(database.begin_read()?)).expect("a snapshot");
    for handle in snapshot.list_tables().expect("tables") {
        let table = snapshot.open_untyped_table(handle).expect("a table");
        assert_eq!(table.len().expect("a length"), 0);
    }
}

#[tokio::test]
async fn a_key_is_not_added_beside_one_that_cannot_be_read() {
    use crate::entry::{SigningKeyStore as _, StoredKey};
    let store = Embedded::in_memory().expect("a store");
    let write = |transaction: &WriteTransaction| {
        let keys = TableDefinition::<u64, &[u8]>::new("signing-keys");
        transaction.open_table(keys)?.insert(0, b"{}".as_slice())?;
        Ok(())
    };
    store.write(write).await.expect("written");
    let key = StoredKey { id: "a".to_owned(), created_at: at(0), pkcs8: String::new() };
    assert!(matches!(store.add_key(&key, 1, 3).await, Err(StoreError::Corrupt(_))));
}

/// A disk that is full when it is told to be.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    fn check(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.file.write(offset, data)
    }
}

#[tokio::test]
async fn a_disk_that_was_full_is_written_to_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let is_full = Arc::new(AtomicBool::new(false));
    let (path, full) = (dir.path().to_owned(), Arc::clone(&is_full));
    let open = move || {
        let file = private_file(&path, &path.join(FILE)).expect("a file");
        let disk = Disk { file: FileBackend::new(file).expect("a lock"), is_full: Arc::clone(&full) };
        create(disk).map_err(|error| OpenError::Unreadable(path.clone(), error))
    };
    let store = Embedded::opened_by(dir.path().to_owned(), Box::new(open)).expect("a store");
    AccountStore::add(&*store, &[account("a@esat.example")]).await.expect("added");
    is_full.store(true, Ordering::Relaxed);
    AccountStore::add(&*store, &[account("b@esat.example")]).await.expect_err("no room");
    while store.is_reachable() {
        tokio::task::yield_now().await;
    }
    let before = AccountStore::list(&*store).await.expect("reads go on");
    is_full.store(false, Ordering::Relaxed);
    let until = tokio::time::Instant::now() + Duration::from_secs(5);
    let mut taken = false;
    while !taken || !store.is_reachable() {
        taken = taken || AccountStore::add(&*store, &[account("c@esat.example")]).await.is_ok();
        assert!(tokio::time::Instant::now() < until, "it takes changes again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = AccountStore::list(&*store).await.expect("a list");
    assert_eq!((before.len(), after.len()), (1, 2), "what was acknowledged, and nothing else");
}
