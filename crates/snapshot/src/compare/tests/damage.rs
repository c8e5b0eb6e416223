//! Damaged and missing parts, in every place.

use std::sync::Arc;

use serde_json::{Value, json};

use super::support::{open, stored};
use crate::compare::{Classes, CompareError, Comparison};
use crate::digest::Sha256Hex;
use crate::layout;
use crate::part::PartBuilder;
use crate::reader::{Damage, ReadError};
use crate::resource::Dataset;
use crate::testing::{MemorySource, SnapshotBuilder, Stored, records};

fn users(numbers: impl IntoIterator<Item = u32>, name: &str) -> Vec<Value> {
    let user = |number| {
        let mut user = records::user(&format!("user_{number}"));
        user["profile"]["first_name"] = json!(name);
        user
    };
    numbers.into_iter().map(user).collect()
}

/// Three parts a side that all differ.
fn snapshots() -> (Arc<MemorySource>, [Stored; 2]) {
    let from = SnapshotBuilder::on_day(1).with(Dataset::Users, users(0..12, "Ada"));
    let to = SnapshotBuilder::on_day(2).with(Dataset::Users, users(1..13, "Grace"));
    stored(&from, &to)
}

async fn error(memory: &Arc<MemorySource>, sides: &[Stored; 2]) -> CompareError {
    let (from, to) = (open(memory, &sides[0]).await, open(memory, &sides[1]).await);
    let mut lines = Vec::new();
    let comparison = Comparison::new(&from, &to).unwrap().classes(Classes::ALL);
    let error = comparison.run(&mut lines).await.unwrap_err();
    assert!(lines.is_empty(), "nothing is reported from a snapshot that cannot be read");
    error
}

fn assert_damaged(error: &CompareError, key: &str, expected: fn(&Damage) -> bool) {
    match error {
        CompareError::Read(ReadError::Damaged { url, problem }) => {
            assert_eq!(*url, format!("memory://{key}"));
            assert!(expected(problem), "{problem:?}");
        }
        other => panic!("{other:?}"),
    }
}

// Promise: a part that is missing, cut or changed is an error that names it, wherever it is, and never a removal.
#[tokio::test]
async fn a_part_that_is_not_what_was_written_is_an_error() {
    for side in 0..2 {
        for place in 0..3 {
            let (memory, sides) = snapshots();
            let key = sides[side].part_key(Dataset::Users, place);
            let whole = memory.remove(&key).unwrap();
            assert_damaged(&error(&memory, &sides).await, &key, |it| *it == Damage::Missing);
            memory.put(&key, whole.slice(..whole.len() - 1));
            assert_damaged(&error(&memory, &sides).await, &key, |it| {
                matches!(it, Damage::Size { .. })
            });
            let mut changed = whole.to_vec();
            changed[12] ^= 1;
            memory.put(&key, changed);
            assert_damaged(&error(&memory, &sides).await, &key, |it| {
                matches!(it, Damage::Checksum { .. })
            });
            memory.put(&key, whole);
            memory.make_unavailable(&key);
            let error = error(&memory, &sides).await;
            assert!(matches!(error, CompareError::Read(ReadError::Unavailable { .. })));
        }
    }
}

/// Replaces a part, and what the manifest says about it: only the number of lines stays.
fn forge(memory: &MemorySource, side: &Stored, place: usize, text: &[u8]) -> (String, Stored) {
    let mut manifest = side.manifest.clone();
    let part = &mut manifest.datasets.get_mut(&Dataset::Users).unwrap().parts[place];
    let mut builder = PartBuilder::new(manifest.compression).unwrap();
    builder.add_lines(text, (part.fetched_from, part.fetched_to)).unwrap();
    let finished = builder.finish().unwrap().unwrap();
    (part.bytes, part.sha256) = (finished.bytes.len() as u64, finished.sha256);
    let key = side.part_key(Dataset::Users, place);
    memory.put(&key, finished.bytes);
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let manifest_sha256 = Sha256Hex::of(&bytes);
    memory.put(layout::manifest_key(&manifest.snapshot_id), bytes);
    (key, Stored { manifest, manifest_sha256 })
}

// Promise: a forged part, whose checksum the manifest names, is an error as well if its lines are not records.
#[tokio::test]
async fn a_forged_part_is_an_error() {
    let start = r#"{"kind":"resource","type":"user","id":"user_1""#;
    let not_a_record = Damage::NotARecord { line: 1, dataset: Dataset::Users };
    let line = format!("{start}}}\n");
    for (text, expected) in [
        (line.repeat(3), Damage::Lines { expected: 4, found: 3 }),
        (line.repeat(3) + start, Damage::UnfinishedLine),
        ("{}\n".repeat(4), not_a_record.clone()),
        ("[]\n".repeat(4), not_a_record.clone()),
        (format!("{start}\n").repeat(4), not_a_record),
    ] {
        for side in 0..2 {
            let (memory, mut sides) = snapshots();
            let (key, forged) = forge(&memory, &sides[side], 1, text.as_bytes());
            sides[side] = forged;
            match error(&memory, &sides).await {
                CompareError::Read(ReadError::Damaged { url, problem }) => {
                    assert_eq!((url, &problem), (format!("memory://{key}"), &expected));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    // More lines than the manifest says. Only the first ones are looked at.
    let (memory, mut sides) = snapshots();
    let user = records::user("user_4");
    (_, sides[0]) = forge(&memory, &sides[0], 1, format!("{user}\n").repeat(5).as_bytes());
    let found = error(&memory, &sides).await;
    let expected = Damage::Lines { expected: 4, found: 5 };
    assert!(
        matches!(found, CompareError::Read(ReadError::Damaged { problem, .. }) if problem == expected)
    );
}
