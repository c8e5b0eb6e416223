//! What the reader promises, over whole snapshots.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::Value;

use super::*;
use crate::digest::{ContentDigest, Sha256Hex};
use crate::layout;
use crate::manifest::Previous;
use crate::resource::Dataset;
use crate::source::Source;
use crate::testing::{MemorySource, SnapshotBuilder, Stored, records};

fn users(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(|number| records::user(&format!("user_{number}")))
}

fn store() -> (Arc<MemorySource>, Arc<dyn Source>) {
    let memory = Arc::new(MemorySource::default());
    let source: Arc<dyn Source> = memory.clone();
    (memory, source)
}

async fn open(source: &Arc<dyn Source>, stored: &Stored) -> Result<Snapshot, ReadError> {
    Snapshot::open(Arc::clone(source), stored.id(), Some(&stored.manifest_sha256)).await
}

fn problem<T: std::fmt::Debug>(result: Result<T, ReadError>) -> (String, Damage) {
    match result {
        Err(ReadError::Damaged { url, problem }) => (url, problem),
        other => panic!("{other:?}"),
    }
}

// Promise: reading a snapshot's parts in their order gives the lines that were written.
#[tokio::test]
async fn a_snapshot_is_read_as_it_was_written() {
    let (memory, source) = store();
    let stored = SnapshotBuilder::on_day(1).with(Dataset::Users, users(10)).store(&memory);
    let snapshot = open(&source, &stored).await.unwrap();
    assert_eq!(snapshot.id(), stored.id());
    assert_eq!(snapshot.manifest_sha256(), &stored.manifest_sha256);
    assert_eq!(snapshot.parts(Dataset::Users).len(), 3);
    assert!(snapshot.parts(Dataset::Grants).is_empty());
    let mut parts = snapshot.read_parts(snapshot.parts(Dataset::Users), 2);
    let (mut ids, mut digest) = (Vec::new(), ContentDigest::default());
    while let Some(part) = parts.next().await {
        let mut lines = part.unwrap().lines().unwrap();
        while let Some(line) = lines.next_line().unwrap() {
            digest.add_line(line);
            let record: Value = serde_json::from_slice(line).unwrap();
            ids.push(record["id"].as_str().unwrap().to_owned());
        }
    }
    let expected: Vec<_> = (0..10).map(|number| format!("user_{number}")).collect();
    assert_eq!(ids, expected);
    assert_eq!(Some(digest), stored.manifest.datasets[&Dataset::Users].content_digest);
}

// Promise: no line of a part is handed out whose bytes are not those that were written.
#[tokio::test]
async fn a_part_that_was_changed_cut_or_removed_is_damaged() {
    let (memory, source) = store();
    let stored = SnapshotBuilder::on_day(1).with(Dataset::Users, users(5)).store(&memory);
    let snapshot = open(&source, &stored).await.unwrap();
    let part = &snapshot.parts(Dataset::Users)[1];
    let key = stored.part_key(Dataset::Users, 1);
    let whole = memory.object(&key).unwrap();

    let mut changed = whole.to_vec();
    changed[20] ^= 1;
    memory.put(&key, changed);
    let (url, found) = problem(snapshot.read_part(part).await);
    assert_eq!(url, source.url_of(&key));
    assert!(matches!(found, Damage::Checksum { expected, .. } if expected == part.sha256));

    memory.put(&key, whole.slice(1..));
    let found = problem(snapshot.read_part(part).await).1;
    assert_eq!(found, Damage::Size { expected: part.bytes, found: part.bytes - 1 });

    memory.remove(&key);
    assert_eq!(problem(snapshot.read_part(part).await).1, Damage::Missing);

    memory.put(&key, whole);
    memory.make_unavailable(&key);
    assert!(matches!(snapshot.read_part(part).await, Err(ReadError::Unavailable { .. })));
}

// Promise: a part that is missing because its snapshot is being removed, or was removed meanwhile, is no damage; one
// that is there is read all the same, and held against its checksum.
#[tokio::test]
async fn a_part_that_is_removed_with_its_snapshot_is_no_damage() {
    let (memory, source) = store();
    let stored = SnapshotBuilder::on_day(1).with(Dataset::Users, users(5)).store(&memory);
    let other = SnapshotBuilder::on_day(2).with(Dataset::Users, users(5)).store(&memory);
    let snapshot = open(&source, &stored).await.unwrap();
    let part = &snapshot.parts(Dataset::Users)[1];
    let key = stored.part_key(Dataset::Users, 1);
    let whole = memory.remove(&key).unwrap();
    let is_removed = async || match snapshot.read_part(part).await {
        Err(ReadError::Removed { url }) => url == source.url_of(&key),
        _ => false,
    };
    memory.put(layout::removal_key(other.id()), "{}");
    assert_eq!(problem(snapshot.read_part(part).await).1, Damage::Missing, "another one goes");

    let removal = layout::removal_key(stored.id());
    memory.put(&removal, "{}");
    assert!(is_removed().await);
    assert_eq!(being_removed(&*source).await.unwrap().len(), 2);
    memory.make_unavailable(&removal);
    assert!(matches!(snapshot.read_part(part).await, Err(ReadError::Unavailable { .. })));

    let (memory, source) = store();
    let stored = SnapshotBuilder::on_day(1).with(Dataset::Users, users(5)).store(&memory);
    let snapshot = open(&source, &stored).await.unwrap();
    memory.remove(&key);
    memory.remove(&layout::manifest_key(stored.id()));
    let read = snapshot.read_part(part).await;
    assert!(matches!(read, Err(ReadError::Removed { .. })), "it went as a whole: {read:?}");

    memory.put(&removal, "{}");
    memory.put(&key, whole.slice(1..));
    assert!(matches!(problem(snapshot.read_part(part).await).1, Damage::Size { .. }));
    memory.put(&key, whole);
    assert!(snapshot.read_part(part).await.is_ok());
}

// Promise: a manifest is taken only if it is the one that was written, in this format, and leads nowhere else.
#[tokio::test]
async fn a_manifest_that_is_not_what_it_should_be_is_refused() {
    let (memory, source) = store();
    let builder = SnapshotBuilder::on_day(1).with(Dataset::Users, users(1));
    let stored = builder.store(&memory);
    let key = layout::manifest_key(stored.id());
    let whole = memory.object(&key).unwrap();
    let text = String::from_utf8(whole.to_vec()).unwrap();

    memory.put(&key, whole.slice(..whole.len() - 1));
    let found = problem(open(&source, &stored).await).1;
    assert!(
        matches!(found, Damage::Checksum { expected, .. } if expected == stored.manifest_sha256)
    );

    for (from, to, expected) in [
        ("manifest/1", "manifest/2", Damage::Format),
        ("20261101T120000Z-3f9a1c\"", "20261101T120000Z-3f9a1d\"", Damage::OtherSnapshot),
        ("\"users/part", "\"users/../part", Damage::PartKey),
        ("\"users/part", "\"grants/part", Damage::PartKey),
        ("\"users/part", "\"../users/part", Damage::PartKey),
    ] {
        memory.put(&key, text.replace(from, to));
        let opened = Snapshot::open(Arc::clone(&source), stored.id(), None).await;
        assert_eq!(problem(opened).1, expected, "{to}");
    }
    memory.put(&key, text.replace("\"records\": 1", "\"records\": \"ada@example.com\""));
    let error = Snapshot::open(Arc::clone(&source), stored.id(), None).await.unwrap_err();
    assert!(error.to_string().contains("wrong type") && !error.to_string().contains("ada"));
    memory.put(&key, &b"{"[..]);
    let cut = Snapshot::open(Arc::clone(&source), stored.id(), None).await;
    assert_eq!(problem(cut).1, Damage::JsonCutShort);

    for unknown in ["20261101T120000Z-000000", "../other", ""] {
        let opened = Snapshot::open(Arc::clone(&source), unknown, None).await;
        assert!(matches!(opened, Err(ReadError::NotFound { .. })), "{unknown}");
    }
}

// Promise: `latest.json` leads to a manifest in the folder of its snapshot, or nowhere.
#[tokio::test]
async fn latest_is_absent_sound_or_damaged() {
    let (memory, source) = store();
    assert!(read_latest(&*source).await.unwrap().is_none());
    assert!(open_latest(&source).await.unwrap().is_none());
    let stored = SnapshotBuilder::on_day(1).publish(&memory);
    assert_eq!(read_latest(&*source).await.unwrap().unwrap().snapshot_id, stored.id());
    assert_eq!(open_latest(&source).await.unwrap().unwrap().id(), stored.id());
    let text = String::from_utf8(stored.latest_json()).unwrap();
    for (from, to, expected) in [
        ("snapshots/", "other/", Damage::ManifestKey),
        ("20261101T", "../61101T", Damage::SnapshotId),
        ("}", "", Damage::JsonCutShort),
    ] {
        memory.put(layout::LATEST_KEY, text.replace(from, to));
        assert_eq!(problem(read_latest(&*source).await).1, expected);
    }
    memory.make_unavailable(layout::LATEST_KEY);
    assert!(matches!(read_latest(&*source).await, Err(ReadError::Unavailable { .. })));
}

/// The ids of the chain's snapshots, and how it ended.
async fn follow(mut chain: Chain) -> (Vec<String>, Result<Option<String>, ReadError>) {
    let mut ids = Vec::new();
    let end = loop {
        match chain.next().await {
            Ok(Some(Link::Snapshot(snapshot))) => ids.push(snapshot.id().to_owned()),
            Ok(Some(Link::Removed { snapshot_id, .. })) => break Ok(Some(snapshot_id)),
            Ok(None) => break Ok(None),
            Err(error) => break Err(error),
        }
    };
    assert!(matches!(chain.next().await, Ok(None)), "it stays at its end");
    (ids, end)
}

fn publish_chain(memory: &MemorySource, length: u32) -> Vec<Stored> {
    let mut chain: Vec<Stored> = Vec::new();
    for day in 1..=length {
        let mut builder = SnapshotBuilder::on_day(day);
        if let Some(previous) = chain.last() {
            builder = builder.after(previous);
        }
        chain.push(builder.publish(memory));
    }
    chain
}

// Promise: the published snapshots are those that `previous` leads to, each held against the checksum that names it.
#[tokio::test]
async fn the_chain_is_followed_to_its_end() {
    let (memory, source) = store();
    assert!(follow(Chain::from_latest(Arc::clone(&source))).await.0.is_empty());
    let stored = publish_chain(&memory, 4);
    // An unpublished snapshot is not in it.
    SnapshotBuilder::on_day(20).store(&memory);
    let newest_first: Vec<_> = stored.iter().rev().map(|it| it.id().to_owned()).collect();
    let (ids, end) = follow(Chain::from_latest(Arc::clone(&source))).await;
    assert!(ids == newest_first && matches!(end, Ok(None)));
    let newest = open_latest(&source).await.unwrap().unwrap();
    assert_eq!(follow(Chain::before(&newest)).await.0, newest_first[1..]);

    let key = layout::manifest_key(stored[1].id());
    let whole = memory.remove(&key).unwrap();
    let (ids, end) = follow(Chain::from_latest(Arc::clone(&source))).await;
    assert!(ids == newest_first[..2]);
    assert_eq!(end.unwrap().as_deref(), Some(stored[1].id()));

    memory.put(&key, [&whole[..], b" "].concat());
    let (ids, end) = follow(Chain::from_latest(Arc::clone(&source))).await;
    assert!(ids == newest_first[..2]);
    assert!(matches!(problem(end).1, Damage::Checksum { .. }));

    memory.remove(&layout::manifest_key(stored[3].id()));
    let end = follow(Chain::from_latest(source)).await.1;
    assert!(matches!(end, Err(ReadError::NotFound { .. })), "latest.json names it");
}

// Promise: no manifest, however it was forged, makes a reader follow the chain for ever or out of its folder.
#[tokio::test]
async fn a_chain_that_leads_back_or_out_ends() {
    for (snapshot_id, expected) in [
        ("20261101T120000Z-3f9a1c", Damage::Loop),
        ("20261102T120000Z-3f9a1c", Damage::Loop),
        ("../20261102T120000Z", Damage::SnapshotId),
    ] {
        let (memory, source) = store();
        let mut first = SnapshotBuilder::on_day(1);
        let manifest_sha256 = Sha256Hex([0; 32]);
        first.manifest.previous =
            Some(Previous { snapshot_id: snapshot_id.to_owned(), manifest_sha256 });
        let first = first.store(&memory);
        SnapshotBuilder::on_day(2).after(&first).publish(&memory);
        let (ids, end) = follow(Chain::from_latest(Arc::clone(&source))).await;
        assert_eq!(ids.len(), 2);
        let (url, found) = problem(end);
        assert_eq!(url, source.url_of(&layout::manifest_key(first.id())), "who leads back");
        assert_eq!(found, expected);
    }
}

// Promise: a snapshot that is removed between the read of latest.json and that of its manifest is not missed, because a
// newer one has taken its place.
#[tokio::test]
async fn the_newest_is_opened_although_the_one_before_was_just_removed() {
    let ((memory, source), (later, _)) = (store(), store());
    let older = SnapshotBuilder::on_day(1).with(Dataset::Users, users(1)).publish(&memory);
    let newer = SnapshotBuilder::on_day(2).with(Dataset::Users, users(2)).publish(&later);
    memory.replace_before_read(layout::manifest_key(older.id()), &later);
    let opened = open_latest(&source).await.unwrap().expect("a snapshot");
    assert_eq!(opened.id(), newer.id());
    memory.remove(&layout::manifest_key(newer.id()));
    let missing = open_latest(&source).await;
    assert!(matches!(missing, Err(ReadError::NotFound { .. })), "{missing:?}");
}
