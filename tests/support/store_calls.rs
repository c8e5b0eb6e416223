//! Short calls of a store, and assertions about its answers.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use clerk_store::{Condition, ContentType, Operation, Store, StoreError, Version};

pub(crate) const CHECKPOINT: &str = "checkpoint.json";
pub(crate) const PART: &str = "snapshots/20261120T120000Z-3f9a1c/users/part-00000.ndjson.gz";

/// The file that locks a folder.
pub(crate) const LOCK_FILE: &str = ".clerk-sync.lock";

pub(crate) async fn put(
    store: &Arc<dyn Store>,
    key: &str,
    content: impl Into<Bytes>,
    condition: Condition,
) -> Result<Version, StoreError> {
    store.put(key, content.into(), ContentType::Json, condition).await
}

pub(crate) async fn text_of(store: &Arc<dyn Store>, key: &str) -> Option<String> {
    let object = store.get(key).await.unwrap()?;
    Some(String::from_utf8(object.bytes.to_vec()).unwrap())
}

/// Reads, adds one and replaces the version that was read; tries again if somebody else was faster.
pub(crate) async fn increment(store: &Arc<dyn Store>, times: usize) {
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

pub(crate) fn assert_refused(error: &StoreError, expected: Operation, address: &str) {
    assert!(error.is_precondition_failed(), "{error:?}");
    assert_eq!((error.operation, error.url.as_str()), (expected, address));
    assert!(!error.is_retryable());
}

pub(crate) fn assert_no_temporary_files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with('.') || name == LOCK_FILE, "{}", entry.path().display());
        if entry.file_type().unwrap().is_dir() {
            assert_no_temporary_files(&entry.path());
        }
    }
}
