//! Promise: a folder keeps writers apart, never shows half a file, and is not readable by other
//! users.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use clerk_store::aws::LazyAwsConfig;
use clerk_store::{
    Condition, DeleteCondition, FolderProblem, FolderStore, S3Options, SnapshotUrl, Store,
    StoreError, StoreErrorKind, open,
};

use crate::support::store_calls::{
    CHECKPOINT, LOCK_FILE, PART, assert_no_temporary_files, increment, put, text_of,
};

/// The lease holds between processes, not only between tasks of one process.
#[tokio::test]
async fn no_increment_of_several_processes_is_lost() {
    const PROCESSES: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    put(&store, CHECKPOINT, "0", Condition::Absent).await.unwrap();
    let workers: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "store::folder::increment_in_a_process_of_its_own",
                    "--ignored",
                    "--quiet",
                ])
                .env(INCREMENT_FOLDER, folder.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    let expected = (PROCESSES * INCREMENTS_PER_PROCESS).to_string();
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), expected);
}

const INCREMENT_FOLDER: &str = "CLERK_SYNC_TEST_INCREMENT_FOLDER";
const INCREMENTS_PER_PROCESS: usize = 25;

#[tokio::test]
#[ignore = "a part of no_increment_of_several_processes_is_lost, which starts it"]
async fn increment_in_a_process_of_its_own() {
    if let Some(folder) = std::env::var_os(INCREMENT_FOLDER) {
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder));
        increment(&store, INCREMENTS_PER_PROCESS).await;
    }
}

/// A reader never sees half a file, however often it is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_being_replaced_is_always_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let content = |letter: u8| Bytes::from(vec![letter; 400_000]);
    put(&store, PART, content(b'a'), Condition::Any).await.unwrap();
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for letter in b'a'..=b'p' {
                put(&store, PART, content(letter), Condition::Any).await.unwrap();
            }
        }
    });
    while !writer.is_finished() {
        let bytes = store.get(PART).await.unwrap().unwrap().bytes;
        assert_eq!(bytes.len(), 400_000);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
    }
    writer.await.unwrap();
}

/// Clean-up of a dead run next to a live one: a folder is removed only while it is empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removing_the_last_file_of_a_folder_does_not_disturb_a_writer_there() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let tasks = (0..4).map(|task| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            // Any of these nested folders may be removed before the next one is created.
            let key = format!("snapshots/a/b/c/d/e/f/users/part-{task}.ndjson");
            for _ in 0..20 {
                put(&store, &key, "rows", Condition::Any).await.unwrap();
                assert_eq!(text_of(&store, &key).await.unwrap(), "rows");
                store.delete(&key, DeleteCondition::Any).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(
        !folder.path().join("snapshots").exists(),
        "empty folders are removed with their files"
    );
}

/// NFS and SMB enforce a lock on a directory handle only on one machine, so writers wait for
/// whoever locks the hidden file, and for nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_locked_by_a_hidden_file_that_stays_and_is_never_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    put(&store, CHECKPOINT, "1", Condition::Absent).await.unwrap();
    let lock = fs::File::options().write(true).open(folder.path().join(LOCK_FILE)).unwrap();
    assert!(lock.metadata().unwrap().is_file());
    lock.lock().unwrap();
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move { put(&store, CHECKPOINT, "2", Condition::Any).await }
    });
    // Its bytes are written under a hidden name; it waits for the lock.
    let temporary = || {
        let mut entries = fs::read_dir(folder.path()).unwrap();
        entries.any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with(".tmp"))
    };
    while !temporary() {
        assert!(!writer.is_finished(), "it did not wait for the lock");
        tokio::task::yield_now().await;
    }
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), "1");
    lock.unlock().unwrap();
    writer.await.unwrap().unwrap();
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), "2");
    // A lock on the folder itself does not matter.
    let handle = fs::File::open(folder.path()).unwrap();
    handle.lock().unwrap();
    store.delete(CHECKPOINT, DeleteCondition::Any).await.unwrap();
    assert_eq!(store.list("").await.unwrap(), []);
    store.remove_leftovers().await.unwrap();
    assert!(folder.path().join(LOCK_FILE).exists(), "the lock file stays");
    assert_no_temporary_files(folder.path());
}

/// Snapshots are personal data. The writer is a process of its own, because the umask is per
/// process.
#[tokio::test]
async fn files_and_folders_are_private_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    for umask in ["000", "022", "077"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("made");
        let write = format!("umask {umask}; exec \"$0\" \"$@\"");
        let status = Command::new("sh")
            .args(["-c", &write])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::folder::write_in_a_process_of_its_own",
                "--ignored",
                "--quiet",
            ])
            .env(WRITE_FOLDER, &root)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "umask {umask}");
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        let users = Path::new(PART).parent().unwrap().to_str().unwrap();
        for made in ["snapshots", users] {
            assert_eq!(mode(made), 0o700, "umask {umask}: {made}");
        }
        for file in [PART, CHECKPOINT] {
            assert_eq!(mode(file), 0o600, "umask {umask}: {file}");
        }
        assert_eq!(mode("") & 0o077, 0, "umask {umask}: the folder itself");
        assert_eq!(mode(LOCK_FILE) & 0o177, 0, "umask {umask}: the lock");
    }
}

const WRITE_FOLDER: &str = "CLERK_SYNC_TEST_WRITE_FOLDER";

#[tokio::test]
#[ignore = "a part of files_and_folders_are_private_whatever_the_umask, which starts it"]
async fn write_in_a_process_of_its_own() {
    if let Some(folder) = std::env::var_os(WRITE_FOLDER) {
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder));
        put(&store, PART, "rows", Condition::Any).await.unwrap();
        put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap();
    }
}

/// A killed process leaves a temporary file, which is never listed, and is removed once its writer
/// must be dead.
#[tokio::test]
async fn leftovers_are_hidden_and_removed_when_old() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    assert_eq!(store.remove_leftovers().await.unwrap(), 0);
    put(&store, PART, "rows", Condition::Any).await.unwrap();
    let users = folder.path().join(PART).parent().unwrap().to_owned();
    let files = [".clerk-sync-1-00.tmp", ".clerk-sync-2-00.tmp", ".somebody-elses", "old.tmp"];
    for file in files {
        fs::write(users.join(file), "half a par").unwrap();
    }
    let two_hours_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    for file in &files[1..] {
        let file = fs::File::options().write(true).open(users.join(file)).unwrap();
        file.set_modified(two_hours_ago).unwrap();
    }

    let listed: Vec<_> = store.list("").await.unwrap().into_iter().map(|file| file.key).collect();
    assert_eq!(listed, [PART.replace("part-00000.ndjson.gz", "old.tmp").as_str(), PART]);
    assert_eq!(store.remove_leftovers().await.unwrap(), 1);
    assert!(!users.join(files[1]).exists());
    for kept in [files[0], files[2], files[3]] {
        assert!(users.join(kept).exists(), "{kept}");
    }
}

#[tokio::test]
async fn symbolic_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious.json"), "precious").unwrap();
    symlink(outside.path(), folder.path().join("linked")).unwrap();
    symlink(outside.path().join("precious.json"), folder.path().join("latest.json")).unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    for key in ["linked/precious.json", "linked/new.json", "latest.json"] {
        for result in [
            store.get(key).await.map(drop),
            put(&store, key, "x", Condition::Any).await.map(drop),
            store.delete(key, DeleteCondition::Any).await,
            store.verify(key).await.map(drop),
        ] {
            assert_folder_problem(result, FolderProblem::SymbolicLink);
        }
    }
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(fs::read(outside.path().join("precious.json")).unwrap(), b"precious");
    assert!(!outside.path().join("new.json").exists());
}

/// Unlike permissions, these cases also stop root.
#[tokio::test]
async fn a_folder_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    for root in [file.clone(), file.join("below")] {
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(root));
        let written = put(&store, CHECKPOINT, "{}", Condition::Absent).await;
        assert_folder_problem(written, FolderProblem::NotAFolder);
        assert_folder_problem(store.get(CHECKPOINT).await, FolderProblem::NotAFolder);
        assert_folder_problem(store.list("").await, FolderProblem::NotAFolder);
    }

    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let below_a_file = put(&store, "file/part", "rows", Condition::Any).await;
    assert_folder_problem(below_a_file, FolderProblem::NotAFolder);
    fs::create_dir(folder.path().join("latest.json")).unwrap();
    let over_a_folder = put(&store, "latest.json", "{}", Condition::Any).await;
    assert_folder_problem(over_a_folder, FolderProblem::NotAFile);
    assert_no_temporary_files(folder.path());
}

#[tokio::test]
async fn a_folder_address_is_a_file_url() {
    let url: SnapshotUrl = "file:///srv/my%20snapshots".parse().unwrap();
    let store = open(&url, &LazyAwsConfig::new(), &S3Options::default()).await;
    assert_eq!(store.url_of("latest.json"), "file:///srv/my%20snapshots/latest.json");
}

fn assert_folder_problem<T: std::fmt::Debug>(
    result: Result<T, StoreError>,
    expected: FolderProblem,
) {
    match result {
        Err(StoreError { kind: StoreErrorKind::Folder { problem, .. }, .. }) => {
            assert_eq!(problem, expected)
        }
        other => panic!("{other:?}"),
    }
}
