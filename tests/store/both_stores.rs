//! Promise: a folder and S3 behave the same: conditional writes, complete listings, checksums, and
//! no key that leads out of the prefix. Moto is the S3, on loopback.

use std::sync::Arc;

use bytes::Bytes;
use clerk_store::{
    Condition, DeleteCondition, FolderStore, Listed, Operation, S3Store, Store, StoreErrorKind,
    Version,
};
use sha2::{Digest as _, Sha256};

use crate::support::moto::Moto;
use crate::support::store_calls::{
    CHECKPOINT, PART, assert_no_temporary_files, assert_refused, increment, put, text_of,
};

/// Writers that all want the same thing at once.
const CONTENDERS: usize = 16;

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
    verify_returns_size_and_checksum,
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

/// A checkpoint that advanced is never silently set back.
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

async fn verify_returns_size_and_checksum(store: Arc<dyn Store>) {
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
                Err(error) if matches!(error.kind, StoreErrorKind::InvalidKey(_)) => {
                    assert_eq!(error.operation, expected)
                }
                other => panic!("{key:?}: {other:?}"),
            }
        }
    }
    let error = store.list("../").await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::InvalidKey(_)), "{error}");
}
