//! The store's promises, kept alike by a folder and by S3, and the secret's.
//!
//! S3 and Secrets Manager are moto's, on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use bytes::Bytes;
use clerk_store::aws::LazyAwsConfig;
use clerk_store::{
    Condition, ContentType, DeleteCondition, FolderProblem, FolderStore, Listed, Operation,
    S3Store, SnapshotUrl, Store, StoreError, Version, open,
};
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{SecretError, SecretSource, SecretsManager};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::faulty_store::{Effect, Fault, FaultyStore};
use crate::support::moto::{self, Moto};

const CHECKPOINT: &str = "checkpoint.json";
const PART: &str = "snapshots/20261120T120000Z-3f9a1c/users/part-00000.ndjson.gz";

/// What a folder is locked by.
const LOCK_FILE: &str = ".clerk-sync.lock";

/// Writers that all want the same thing at once.
const CONTENDERS: usize = 16;

// --- The same suite over both stores ----------------------------------------------------------

/// Makes one test per store out of an `async fn(Arc<dyn Store>)`.
macro_rules! on_both_stores {
    ($($promise:ident),* $(,)?) => {
        mod folder {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                let store = super::FolderStore::new(folder.path().join("made/on/demand"));
                super::$promise(std::sync::Arc::new(store)).await;
                super::assert_no_temporary_files(folder.path());
            })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $promise() {
                let bucket = stringify!($promise).replace('_', "-");
                let config = super::Moto::shared().bucket(&bucket).await;
                let store = super::S3Store::new(&config, &bucket, "clerk/production").unwrap();
                super::$promise(std::sync::Arc::new(store)).await;
            })*
        }
    };
}

on_both_stores! {
    what_was_put_is_read_back,
    put_absent_never_replaces,
    put_matches_replaces_only_that_version,
    delete_matches_removes_only_that_version,
    delete_of_an_absent_object_is_fine,
    of_many_creators_one_wins,
    no_increment_is_lost,
    of_many_conditional_removers_one_wins,
    a_listing_is_complete_sorted_and_relative,
    verify_tells_size_and_checksum,
    keys_that_lead_out_are_refused_by_every_operation,
}

async fn what_was_put_is_read_back(store: Arc<dyn Store>) {
    assert_eq!(store.get(PART).await.unwrap(), None);
    let contents = [Bytes::new(), Bytes::from_static(b"{}"), Bytes::from(vec![7; 3 << 20])];
    for bytes in contents {
        let version = put(&store, PART, bytes.clone(), Condition::Any).await.unwrap();
        let object = store.get(PART).await.unwrap().unwrap();
        assert_eq!(object.bytes, bytes);
        assert_eq!(object.version, version);
    }
}

async fn put_absent_never_replaces(store: Arc<dyn Store>) {
    put(&store, CHECKPOINT, "first", Condition::Absent).await.unwrap();
    let error = put(&store, CHECKPOINT, "second", Condition::Absent).await.unwrap_err();
    assert_refused(&error, Operation::Put, &store.url_of(CHECKPOINT));
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), "first");
}

async fn put_matches_replaces_only_that_version(store: Arc<dyn Store>) {
    let nowhere = Condition::Matches(Version::new("\"0123456789abcdef0123456789abcdef\""));
    let error = put(&store, CHECKPOINT, "lost", nowhere).await.unwrap_err();
    assert_refused(&error, Operation::Put, &store.url_of(CHECKPOINT));
    assert_eq!(store.get(CHECKPOINT).await.unwrap(), None);

    let first = put(&store, CHECKPOINT, "first", Condition::Any).await.unwrap();
    let second =
        put(&store, CHECKPOINT, "second", Condition::Matches(first.clone())).await.unwrap();
    assert_ne!(first, second);
    let error = put(&store, CHECKPOINT, "late", Condition::Matches(first)).await.unwrap_err();
    assert_refused(&error, Operation::Put, &store.url_of(CHECKPOINT));
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), "second");
}

async fn delete_matches_removes_only_that_version(store: Arc<dyn Store>) {
    let first = put(&store, CHECKPOINT, "first", Condition::Any).await.unwrap();
    let second = put(&store, CHECKPOINT, "second", Condition::Any).await.unwrap();
    let stale = DeleteCondition::Matches(first);
    let error = store.delete(CHECKPOINT, stale.clone()).await.unwrap_err();
    assert_refused(&error, Operation::Delete, &store.url_of(CHECKPOINT));
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), "second");

    store.delete(CHECKPOINT, DeleteCondition::Matches(second)).await.unwrap();
    assert_eq!(store.get(CHECKPOINT).await.unwrap(), None);
    let error = store.delete(CHECKPOINT, stale).await.unwrap_err();
    assert_refused(&error, Operation::Delete, &store.url_of(CHECKPOINT));
}

async fn delete_of_an_absent_object_is_fine(store: Arc<dyn Store>) {
    store.delete(PART, DeleteCondition::Any).await.unwrap();
    put(&store, PART, "rows", Condition::Any).await.unwrap();
    store.delete(PART, DeleteCondition::Any).await.unwrap();
    store.delete(PART, DeleteCondition::Any).await.unwrap();
    assert_eq!(store.get(PART).await.unwrap(), None);
    assert_eq!(store.list("").await.unwrap(), []);
}

/// At most one invocation starts a run.
async fn of_many_creators_one_wins(store: Arc<dyn Store>) {
    let creators = (0..CONTENDERS).map(|creator| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            put(&store, CHECKPOINT, creator.to_string(), Condition::Absent).await.map(|_| creator)
        })
    });
    let mut winners = Vec::new();
    for creator in creators.collect::<Vec<_>>() {
        match creator.await.unwrap() {
            Ok(creator) => winners.push(creator.to_string()),
            Err(error) => assert!(error.is_precondition_failed(), "{error}"),
        }
    }
    assert_eq!(winners, [text_of(&store, CHECKPOINT).await.unwrap()]);
}

/// A checkpoint that was advanced is never silently set back.
async fn no_increment_is_lost(store: Arc<dyn Store>) {
    const EACH: usize = 5;
    put(&store, CHECKPOINT, "0", Condition::Absent).await.unwrap();
    let workers = (0..4).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { increment(&store, EACH).await })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), (4 * EACH).to_string());
}

async fn of_many_conditional_removers_one_wins(store: Arc<dyn Store>) {
    let version = put(&store, CHECKPOINT, "held", Condition::Absent).await.unwrap();
    let removers = (0..CONTENDERS).map(|_| {
        let (store, version) = (Arc::clone(&store), version.clone());
        tokio::spawn(
            async move { store.delete(CHECKPOINT, DeleteCondition::Matches(version)).await },
        )
    });
    let mut winners = 0;
    for remover in removers.collect::<Vec<_>>() {
        match remover.await.unwrap() {
            Ok(()) => winners += 1,
            Err(error) => assert!(error.is_precondition_failed(), "{error}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(store.get(CHECKPOINT).await.unwrap(), None);
}

async fn a_listing_is_complete_sorted_and_relative(store: Arc<dyn Store>) {
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(store.list("snapshots/").await.unwrap(), []);
    let keys = [
        "checkpoint.json",
        "latest.json",
        "snapshots/a/manifest.json",
        "snapshots/a/users/part-00000.ndjson",
        "snapshots/a/users/part-00001.ndjson",
        "snapshots/ab/manifest.json",
        "snapshots/b c/é.json",
    ];
    for key in keys.iter().rev() {
        put(&store, key, *key, Condition::Any).await.unwrap();
    }
    for (prefix, expected) in [
        ("", &keys[..]),
        ("snapshots/", &keys[2..]),
        ("snapshots/a", &keys[2..6]),
        ("snapshots/a/", &keys[2..5]),
        ("snapshots/a/users/part-00001", &keys[4..5]),
        ("snapshots/b ", &keys[6..]),
        ("snapshots/c/", &[]),
        ("latest.json/", &[]),
        ("late", &keys[1..2]),
    ] {
        let listed = |key: &&str| Listed { key: (*key).to_owned(), bytes: key.len() as u64 };
        let expected: Vec<_> = expected.iter().map(listed).collect();
        assert_eq!(store.list(prefix).await.unwrap(), expected, "{prefix:?}");
    }
}

async fn verify_tells_size_and_checksum(store: Arc<dyn Store>) {
    assert_eq!(store.verify(PART).await.unwrap(), None);
    let bytes = Bytes::from(vec![42; 300_000]);
    put(&store, PART, bytes.clone(), Condition::Any).await.unwrap();
    let stored = store.verify(PART).await.unwrap().unwrap();
    assert_eq!(stored.bytes, 300_000);
    assert_eq!(stored.sha256, Some(Sha256::digest(&bytes).into()));
}

async fn keys_that_lead_out_are_refused_by_every_operation(store: Arc<dyn Store>) {
    for key in ["", "/etc/hostname", "../up", "a/../../up", "a/./b", "a//b", "a\\b", ".hidden"] {
        let results = [
            (Operation::Get, store.get(key).await.map(drop)),
            (Operation::Put, put(&store, key, "x", Condition::Any).await.map(drop)),
            (Operation::Delete, store.delete(key, DeleteCondition::Any).await),
            (Operation::Verify, store.verify(key).await.map(drop)),
        ];
        for (expected, result) in results {
            match result {
                Err(StoreError::InvalidKey { operation, .. }) => assert_eq!(operation, expected),
                other => panic!("{key:?}: {other:?}"),
            }
        }
    }
    let error = store.list("../").await.unwrap_err();
    assert!(matches!(error, StoreError::InvalidKey { .. }), "{error}");
}

// --- The folder -------------------------------------------------------------------------------

/// The lease holds between processes, not only between tasks of one.
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
                    "store::both_stores::increment_in_a_process_of_its_own",
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

/// Clean-up of a dead run beside a live one: the folder goes away only while it is empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removing_the_last_file_of_a_folder_does_not_disturb_a_writer_there() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    let tasks = (0..4).map(|task| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            // Of many folders each may be gone when the next is made.
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
    assert!(!folder.path().join("snapshots").exists(), "emptied folders go with their files");
}

/// A lock on a directory handle is kept by NFS and SMB for one machine alone; so whoever holds the
/// hidden file, and nobody else, keeps writers waiting.
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
    // Its bytes are written, under a hidden name: it waits for the lock.
    let temporary = || {
        let mut entries = fs::read_dir(folder.path()).unwrap();
        entries.any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with(".tmp"))
    };
    while !temporary() {
        tokio::task::yield_now().await;
    }
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), "1");
    lock.unlock().unwrap();
    writer.await.unwrap().unwrap();
    assert_eq!(text_of(&store, CHECKPOINT).await.unwrap(), "2");
    // The handle of the folder itself is nobody's business.
    let handle = fs::File::open(folder.path()).unwrap();
    handle.lock().unwrap();
    store.delete(CHECKPOINT, DeleteCondition::Any).await.unwrap();
    assert_eq!(store.list("").await.unwrap(), []);
    store.remove_leftovers().await.unwrap();
    assert!(folder.path().join(LOCK_FILE).exists(), "it stays");
    assert_no_temporary_files(folder.path());
}

/// Snapshots are personal data. A process of its own, since a umask is one process's.
#[tokio::test]
async fn files_and_folders_are_their_owners_alone_whatever_the_umask() {
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
                "store::both_stores::write_in_a_process_of_its_own",
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
#[ignore = "a part of files_and_folders_are_their_owners_alone_whatever_the_umask, which starts it"]
async fn write_in_a_process_of_its_own() {
    if let Some(folder) = std::env::var_os(WRITE_FOLDER) {
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(folder));
        put(&store, PART, "rows", Condition::Any).await.unwrap();
        put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap();
    }
}

/// A killed process leaves a temporary file: never listed, removed once it is surely dead.
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

/// Unlike permissions, these cases stop root as well.
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
    let store = open(&url, &LazyAwsConfig::new()).await;
    assert_eq!(store.url_of("latest.json"), "file:///srv/my%20snapshots/latest.json");
}

// --- S3 ---------------------------------------------------------------------------------------

#[tokio::test]
async fn an_s3_store_keeps_to_its_prefix() {
    let config = Moto::shared().bucket("keeps-to-its-prefix").await;
    let aws = LazyAwsConfig::from(config.clone());
    let at = async |url: &str| open(&url.parse().unwrap(), &aws).await;
    let whole = at("s3://keeps-to-its-prefix").await;
    let part = at("s3://keeps-to-its-prefix/clerk/").await;
    assert_eq!(part.url_of("latest.json"), "s3://keeps-to-its-prefix/clerk/latest.json");
    put(&part, "latest.json", "{}", Condition::Any).await.unwrap();
    put(&whole, "clerk-other/latest.json", "{}", Condition::Any).await.unwrap();
    assert_eq!(keys(&whole).await, ["clerk-other/latest.json", "clerk/latest.json"]);
    assert_eq!(keys(&part).await, ["latest.json"]);
}

/// S3 gives at most a thousand keys an answer.
#[tokio::test]
async fn a_listing_of_several_pages_is_complete() {
    const OBJECTS: usize = 1_203;
    let config = Moto::shared().bucket("several-pages").await;
    let store: Arc<dyn Store> = Arc::new(S3Store::new(&config, "several-pages", "clerk").unwrap());
    let names: Vec<_> = (0..OBJECTS).map(|part| format!("snapshots/a/part-{part:05}")).collect();
    for some in names.chunks(32) {
        let puts = some.iter().map(|key| put(&store, key, "rows", Condition::Any));
        futures_util::future::try_join_all(puts).await.unwrap();
    }
    assert_eq!(keys(&store).await, names);
}

#[tokio::test]
async fn objects_carry_their_content_type_and_no_encoding() {
    let config = Moto::shared().bucket("content-types").await;
    let store: Arc<dyn Store> = Arc::new(S3Store::new(&config, "content-types", "").unwrap());
    store.put(PART, "rows".into(), ContentType::Ndjson, Condition::Any).await.unwrap();
    store.put(CHECKPOINT, "{}".into(), ContentType::Json, Condition::Any).await.unwrap();
    let client = aws_sdk_s3::Client::new(&config);
    for (key, expected) in [(PART, "application/x-ndjson"), (CHECKPOINT, "application/json")] {
        let head = client.head_object().bucket("content-types").key(key).send().await.unwrap();
        assert_eq!(head.content_type(), Some(expected));
        assert_eq!(head.content_encoding(), None);
    }
}

#[tokio::test]
async fn a_missing_bucket_is_said_by_name() {
    let config = Moto::shared().aws_config().await;
    let store: Arc<dyn Store> = Arc::new(S3Store::new(&config, "never-made", "clerk").unwrap());
    for result in [
        store.get(CHECKPOINT).await.map(drop),
        put(&store, CHECKPOINT, "{}", Condition::Any).await.map(drop),
        put(&store, CHECKPOINT, "{}", Condition::Absent).await.map(drop),
        store.delete(CHECKPOINT, DeleteCondition::Any).await,
        store.list("").await.map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::NoSuchBucket { .. }), "{error:?}");
        assert!(error.to_string().contains("bucket never-made does not exist"), "{error}");
    }
}

#[tokio::test]
async fn without_a_region_or_credentials_the_message_says_so() {
    let nothing = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    let error = S3Store::new(&nothing, "bucket", "").unwrap_err();
    assert!(error.to_string().contains("set AWS_REGION"), "{error}");

    let nobody = ProfileFileCredentialsProvider::builder()
        .profile_name("clerk-sync-tests-have-no-such-profile")
        .build();
    let config = clerk_store::aws::aws_config_loader()
        .endpoint_url(Moto::shared().url())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(CredentialsProviderChain::first_try("a missing profile", nobody))
        .load()
        .await;
    let store = S3Store::new(&config, "bucket", "").unwrap();
    let error = store.get(CHECKPOINT).await.unwrap_err();
    assert!(matches!(error, StoreError::Obstacle { .. }), "{error:?}");
    assert!(error.to_string().contains("no AWS credentials were found"), "{error}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable() {
    let config = unreachable_aws().await;
    let store: Arc<dyn Store> = Arc::new(S3Store::new(&config, "bucket", "").unwrap());
    let (got, written, listed, verified, deleted) = tokio::join!(
        store.get(CHECKPOINT),
        put(&store, CHECKPOINT, "{}", Condition::Absent),
        store.list(""),
        store.verify(CHECKPOINT),
        store.delete(CHECKPOINT, DeleteCondition::Any),
    );
    let listed = listed.map(drop);
    for result in [got.map(drop), written.map(drop), listed, verified.map(drop), deleted] {
        let error = result.unwrap_err();
        assert!(
            matches!(error, StoreError::Unavailable { .. }) && error.is_retryable(),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains("testing"), "credentials are not shown: {error:?}");
    }
}

/// What is sent, to the header.
#[tokio::test]
async fn a_write_carries_its_checksum_condition_and_size() {
    let (store, s3) = scripted_s3(&["200 OK\r\nETag: \"1\"", "200 OK\r\nETag: \"2\""]).await;
    let first = put(&store, CHECKPOINT, "hello", Condition::Absent).await.unwrap();
    put(&store, CHECKPOINT, "hello", Condition::Matches(first)).await.unwrap();
    let requests = s3.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert!(request.starts_with("PUT /bucket/clerk/checkpoint.json"), "{request}");
        for header in [
            "x-amz-checksum-sha256: LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "content-length: 5",
            "content-type: application/json",
        ] {
            assert!(request.contains(header), "{header}: {request}");
        }
        assert!(!request.contains("crc32") && !request.contains("content-encoding"), "{request}");
    }
    assert!(requests[0].contains("if-none-match: *"), "{}", requests[0]);
    assert!(requests[1].contains("if-match: \"1\""), "{}", requests[1]);
}

/// 409 only says that another write was under way (S3 user guide, conditional writes).
#[tokio::test]
async fn a_conflict_is_tried_again() {
    let conflict = "409 Conflict\r\nx-body: ConditionalRequestConflict";
    let (store, s3) = scripted_s3(&[conflict, conflict, "200 OK\r\nETag: \"1\""]).await;
    put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap();
    assert_eq!(s3.requests().len(), 3);

    let (store, s3) = scripted_s3(&[conflict; 9]).await;
    let error = put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert_eq!(s3.requests().len(), 5);
}

/// The first answer is lost, the SDK repeats the write, and meets its own work: the caller learns
/// that the object changed, and reads it again.
#[tokio::test]
async fn a_repeated_conditional_write_reports_the_refusal() {
    let refusal = "412 Precondition Failed\r\nx-body: PreconditionFailed";
    let (store, s3) = scripted_s3(&["", refusal]).await;
    let error = put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap_err();
    assert_refused(&error, Operation::Put, "s3://bucket/clerk/checkpoint.json");
    assert_eq!(s3.requests().len(), 2);
}

/// One server answers a condition on an object that is gone with 404, another with 412.
#[tokio::test]
async fn a_condition_on_a_missing_object_is_refused_either_way() {
    for answer in
        ["404 Not Found\r\nx-body: NoSuchKey", "412 Refused\r\nx-body: PreconditionFailed"]
    {
        let (store, _s3) = scripted_s3(&[answer, answer]).await;
        let version = Version::new("\"1\"");
        let written = put(&store, CHECKPOINT, "{}", Condition::Matches(version.clone())).await;
        assert!(written.unwrap_err().is_precondition_failed());
        let deleted = store.delete(CHECKPOINT, DeleteCondition::Matches(version)).await;
        assert!(deleted.unwrap_err().is_precondition_failed());
    }
}

#[tokio::test]
async fn a_damaged_object_is_noticed_when_written() {
    let other = "200 OK\r\nETag: \"1\"\r\n\
                 x-amz-checksum-sha256: AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let (store, _s3) = scripted_s3(&[other]).await;
    let error = put(&store, CHECKPOINT, "hello", Condition::Any).await.unwrap_err();
    assert!(
        matches!(error, StoreError::ChecksumMismatch { .. }) && error.is_retryable(),
        "{error}"
    );
}

/// Every refusal names the address and what to do, and none is taken for an absent object.
#[tokio::test]
async fn refusals_say_what_to_do() {
    for (answer, advice) in [
        ("403 Forbidden\r\nx-body: AccessDenied", "allow s3:GetObject"),
        ("403 Forbidden\r\nx-body: AccessDenied", "without s3:ListBucket"),
        ("403 Forbidden\r\nx-body: InvalidAccessKeyId", "did not accept the credentials"),
        ("400 Bad Request\r\nx-body: ExpiredToken", "did not accept the credentials"),
        (
            "301 Moved\r\nx-body: PermanentRedirect",
            "another AWS region than us-east-1; set AWS_REGION",
        ),
        ("400 Bad Request\r\nx-body: AuthorizationHeaderMalformed", "set AWS_REGION"),
        ("404 Not Found\r\nx-body: NoSuchBucket", "bucket bucket does not exist"),
        (
            "405 Method Not Allowed\r\nx-body: MethodNotAllowed",
            "status 405, code \"MethodNotAllowed\"",
        ),
    ] {
        let (store, s3) = scripted_s3(&[answer]).await;
        let error = store.get(CHECKPOINT).await.unwrap_err();
        assert!(error.to_string().contains("s3://bucket/clerk/checkpoint.json"), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
        assert!(!error.is_retryable(), "{error}");
        assert!(!format!("{error:?}").contains("StringToSign"), "no bodies: {error:?}");
        assert_eq!(s3.requests().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn an_overloaded_store_is_tried_three_times() {
    let busy = "503 Slow Down\r\nx-body: SlowDown";
    let (store, s3) = scripted_s3(&[busy; 9]).await;
    let error = store.verify(CHECKPOINT).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert_eq!(s3.requests().len(), 3);
}

/// A body that is cut short is an error, never a shorter object.
#[tokio::test]
async fn a_body_that_is_cut_short_is_unavailable() {
    let cut = "200 OK\r\nETag: \"1\"\r\nx-announce: 5000";
    let (store, _s3) = scripted_s3(&[cut]).await;
    let error = store.get(CHECKPOINT).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

/// Bound: 256 MiB. What is larger was not written by this program, and is not read into memory.
#[tokio::test]
async fn an_object_that_would_fill_the_memory_is_not_read() {
    let (s3, _s3) = scripted_s3(&["200 OK\r\nETag: \"1\"\r\nx-announce: 300000000"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join(CHECKPOINT)).unwrap();
    file.set_len(300_000_000).unwrap();
    let folder_store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    for store in [s3, folder_store] {
        let error = store.get(CHECKPOINT).await.unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
        assert!(!error.is_retryable() && error.to_string().contains(CHECKPOINT), "{error}");
    }
}

// --- The faulty store itself ------------------------------------------------------------------

#[tokio::test]
async fn a_planted_fault_strikes_at_its_call_and_does_what_it_says() {
    for (effect, applied, precondition) in [
        (Effect::FailBefore, false, false),
        (Effect::RefusePrecondition, false, true),
        (Effect::FailAfter, true, false),
        (Effect::LoseAnswer, true, false),
        (Effect::RefuseAfter, true, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let faulty = FaultyStore::new(Arc::new(FolderStore::new(folder.path())));
        faulty.fault(Fault::new(Operation::Put, effect).on_key("checkpoint").at(2));
        let store: Arc<dyn Store> = faulty.clone();
        put(&store, CHECKPOINT, "1", Condition::Absent).await.unwrap();
        put(&store, PART, "rows", Condition::Any).await.unwrap();
        let error = put(&store, CHECKPOINT, "2", Condition::Any).await.unwrap_err();
        assert_eq!(error.is_precondition_failed(), precondition, "{effect:?}");
        let content = text_of(&store, CHECKPOINT).await.unwrap();
        assert_eq!(content, if applied { "2" } else { "1" }, "{effect:?}");
        put(&store, CHECKPOINT, "3", Condition::Any).await.unwrap();

        assert_eq!(faulty.keys_put(), [CHECKPOINT, PART, CHECKPOINT, CHECKPOINT]);
        let struck: Vec<_> = faulty.calls().into_iter().filter_map(|call| call.effect).collect();
        assert_eq!(struck, [effect]);
    }
}

#[tokio::test]
async fn a_lasting_fault_ends_when_healed() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = FaultyStore::new(Arc::new(FolderStore::new(folder.path())));
    faulty.fault(Fault::new(Operation::Get, Effect::FailBefore).from(2));
    assert!(faulty.get(CHECKPOINT).await.is_ok());
    for _ in 0..3 {
        assert!(faulty.get(CHECKPOINT).await.is_err());
    }
    faulty.heal();
    assert!(faulty.get(CHECKPOINT).await.is_ok());
    assert_eq!(faulty.count(Operation::Get), 5);
}

// --- The secret, in Secrets Manager -----------------------------------------------------------

const PLANTED: &str = "sk_test_planted0not0a0key";

#[tokio::test]
async fn a_secret_is_read_in_every_form() {
    let config = Moto::shared().aws_config().await;
    for (name, field, value) in [
        ("bare", None, format!(" {PLANTED}\n")),
        ("default-field", None, format!(r#"{{"a":1,"secret_key":"{PLANTED}"}}"#)),
        ("named-field", Some("clerk"), format!(r#"{{"secret_key":"x","clerk":"{PLANTED}"}}"#)),
    ] {
        create_secret(&config, name, &value).await;
        let source = SecretsManager::new(&config, name, field).unwrap();
        assert!(
            source.read().await.unwrap().same_as(&SecretKey::parse(PLANTED).unwrap()),
            "{name}"
        );
        assert!(!format!("{source:?}").contains("planted"));
    }
    let client = aws_sdk_secretsmanager::Client::new(&config);
    for (name, bytes) in [("binary", PLANTED.as_bytes()), ("not-text", b"\xff\xfe")] {
        let blob = aws_sdk_secretsmanager::primitives::Blob::new(bytes);
        client.create_secret().name(name).secret_binary(blob).send().await.unwrap();
    }
    assert!(SecretsManager::new(&config, "binary", None).unwrap().read().await.is_ok());
    let error = SecretsManager::new(&config, "not-text", None).unwrap().read().await.unwrap_err();
    assert!(matches!(error, SecretError::NotText { .. }), "{error}");
}

/// After a 401 the key is read again, and the new one is found.
#[tokio::test]
async fn a_rotated_secret_is_read_anew() {
    let config = Moto::shared().aws_config().await;
    create_secret(&config, "rotated", PLANTED).await;
    let source = SecretsManager::new(&config, "rotated", None).unwrap();
    assert!(source.can_rotate());
    let before = source.read().await.unwrap();
    assert!(before.same_as(&source.read().await.unwrap()));
    let client = aws_sdk_secretsmanager::Client::new(&config);
    let put = client.put_secret_value().secret_id("rotated").secret_string("sk_test_next");
    put.send().await.unwrap();
    let after = source.read().await.unwrap();
    assert!(!before.same_as(&after));
    assert!(after.same_as(&SecretKey::parse("sk_test_next").unwrap()));
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_is_named_and_its_value_never_shown() {
    let config = Moto::shared().aws_config().await;
    create_secret(&config, "wrong-field", &format!(r#"{{"other":"{PLANTED}"}}"#)).await;
    create_secret(&config, "deleted", PLANTED).await;
    let client = aws_sdk_secretsmanager::Client::new(&config);
    client.delete_secret().secret_id("deleted").send().await.unwrap();
    let unreachable = unreachable_aws().await;
    for (config, name, message, retryable) in [
        (&config, "never-made", "secret never-made does not exist", false),
        (&config, "deleted", "marked for deletion", false),
        (&config, "wrong-field", "no such field (tried: CLERK_SECRET_KEY, secret_key", false),
        (&unreachable, "far", "could not be reached", true),
    ] {
        let error = SecretsManager::new(config, name, None).unwrap().read().await.unwrap_err();
        let shown = format!("{error} | {error:?}");
        assert!(error.to_string().contains(message), "{shown}");
        assert!(error.to_string().contains(name), "{shown}");
        assert!(!shown.contains("planted") && !shown.contains("testing"), "{shown}");
        assert_eq!(error.is_retryable(), retryable);
    }
}

// --- Helpers ----------------------------------------------------------------------------------

async fn put(
    store: &Arc<dyn Store>,
    key: &str,
    content: impl Into<Bytes>,
    condition: Condition,
) -> Result<Version, StoreError> {
    store.put(key, content.into(), ContentType::Json, condition).await
}

async fn text_of(store: &Arc<dyn Store>, key: &str) -> Option<String> {
    let object = store.get(key).await.unwrap()?;
    Some(String::from_utf8(object.bytes.to_vec()).unwrap())
}

async fn keys(store: &Arc<dyn Store>) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|listed| listed.key).collect()
}

/// Read, add one, write over what was read; again when somebody was faster.
async fn increment(store: &Arc<dyn Store>, times: usize) {
    let mut done = 0;
    while done < times {
        let object = store.get(CHECKPOINT).await.unwrap().unwrap();
        let count: usize = std::str::from_utf8(&object.bytes).unwrap().parse().unwrap();
        let next = (count + 1).to_string();
        match put(store, CHECKPOINT, next, Condition::Matches(object.version)).await {
            Ok(_) => done += 1,
            Err(error) => assert!(error.is_precondition_failed(), "{error}"),
        }
    }
}

fn assert_refused(error: &StoreError, expected: Operation, address: &str) {
    match error {
        StoreError::PreconditionFailed { operation, url } => {
            assert_eq!((*operation, url.as_str()), (expected, address));
            assert!(!error.is_retryable());
        }
        other => panic!("{other:?}"),
    }
}

fn assert_folder_problem<T: std::fmt::Debug>(
    result: Result<T, StoreError>,
    expected: FolderProblem,
) {
    match result {
        Err(StoreError::Folder { problem, .. }) => assert_eq!(problem, expected),
        other => panic!("{other:?}"),
    }
}

fn assert_no_temporary_files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with('.') || name == LOCK_FILE, "{}", entry.path().display());
        if entry.file_type().unwrap().is_dir() {
            assert_no_temporary_files(&entry.path());
        }
    }
}

/// An S3 that gives one answer a request, in order, and keeps what it was sent.
struct ScriptedS3 {
    requests: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl ScriptedS3 {
    /// Method, path and headers of each request.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for ScriptedS3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A store on such a server. An answer is a status line with headers, without the first `HTTP/1.1`;
/// `x-body` names the error code of the XML body, `x-announce` a length that is not sent in full.
/// An empty one closes the connection instead.
async fn scripted_s3(answers: &[&'static str]) -> (Arc<dyn Store>, ScriptedS3) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let answers = answers.to_vec();
    let server = tokio::spawn({
        let requests = Arc::clone(&requests);
        async move {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let request = read_request(&mut connection).await;
                requests.lock().unwrap().push(request);
                connection.write_all(rendered(answer).as_bytes()).await.unwrap();
                connection.shutdown().await.unwrap();
            }
        }
    });
    let config = moto::aws_config_for(&url).await;
    let store = Arc::new(S3Store::new(&config, "bucket", "clerk").unwrap());
    (store, ScriptedS3 { requests, server })
}

/// Reads the headers and the body, and gives the headers.
async fn read_request(connection: &mut tokio::net::TcpStream) -> String {
    let mut received = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((headers, body)) = text.split_once("\r\n\r\n") {
            let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return headers.to_owned();
            }
        }
        assert_ne!(connection.read_buf(&mut received).await.unwrap(), 0, "{text}");
    }
}

fn rendered(answer: &str) -> String {
    if answer.is_empty() {
        return String::new();
    }
    let value_of = |name| answer.lines().find_map(|line: &str| line.strip_prefix(name));
    let body = value_of("x-body: ").map_or_else(String::new, |code| {
        format!(
            "<Error><Code>{code}</Code><Message>m</Message><StringToSign>s</StringToSign></Error>"
        )
    });
    let length = value_of("x-announce: ").map_or(body.len(), |length| length.parse().unwrap());
    format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn create_secret(config: &SdkConfig, name: &str, value: &str) {
    let client = aws_sdk_secretsmanager::Client::new(config);
    client.create_secret().name(name).secret_string(value).send().await.unwrap();
}

/// A port that was just free and where nobody listens.
async fn unreachable_aws() -> SdkConfig {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    moto::aws_config_for(&format!("http://127.0.0.1:{port}")).await
}
