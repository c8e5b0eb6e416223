//! What reads snapshots back: the chain of manifests, the lines of a part, and the comparison of two.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use clerk_snapshot::compare::{CompareError, Comparison, Limits};
use clerk_snapshot::compression::Compression;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::layout;
use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::reader::{Chain, Link, PartLines, Snapshot};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::source::Source;
use clerk_snapshot::testing::{MemorySource, SnapshotBuilder};
use futures_util::FutureExt as _;
use serde_json::Value;

use super::assert_discreet;

/// `latest.json` and manifests, with a NUL between them. The checksums by which manifests are named are put right, because
/// a fuzzer cannot find them.
pub fn chain(data: &[u8]) {
    let mut documents = data.split(|&byte| byte == 0);
    let latest = documents.next().unwrap_or_default();
    let memory = Arc::new(MemorySource::default());
    let mut count = 0;
    // From the oldest on, so that the checksum of the one before is known.
    for document in documents.collect::<Vec<_>>().into_iter().rev() {
        let bytes = match serde_json::from_slice::<Manifest>(document) {
            Ok(manifest) => with_checksum(manifest, &memory),
            Err(_) => document.to_vec(),
        };
        let value = serde_json::from_slice(document).unwrap_or(Value::Null);
        let id = value["snapshot_id"].as_str().unwrap_or("20261120T120000Z-3f9a1c");
        memory.put(layout::manifest_key(id), bytes);
        count += 1;
    }
    memory.put(layout::LATEST_KEY, latest_with_checksum(latest, &memory));
    let source: Arc<dyn Source> = memory;
    let mut chain = Chain::from_latest(source);
    // Each manifest at most once, and then an end.
    for _ in 0..=count + 1 {
        match chain.next().now_or_never().expect("memory answers at once") {
            Ok(Some(Link::Snapshot(snapshot))) => assert!(layout::is_snapshot_id(snapshot.id())),
            Ok(Some(Link::Removed { snapshot_id, .. })) => {
                assert!(layout::is_snapshot_id(&snapshot_id));
            }
            Ok(None) => return,
            Err(error) => assert_discreet(&error, data),
        }
    }
    panic!("the chain has no end");
}

fn checksum_of(snapshot_id: &str, memory: &MemorySource) -> Option<Sha256Hex> {
    memory.object(&layout::manifest_key(snapshot_id)).map(|bytes| Sha256Hex::of(&bytes))
}

fn with_checksum(mut manifest: Manifest, memory: &MemorySource) -> Vec<u8> {
    if let Some(previous) = &mut manifest.previous
        && let Some(checksum) = checksum_of(&previous.snapshot_id, memory)
    {
        previous.manifest_sha256 = checksum;
    }
    serde_json::to_vec(&manifest).expect("a manifest can be written")
}

fn latest_with_checksum(latest: &[u8], memory: &MemorySource) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(latest) else { return latest.to_vec() };
    let checksum = value["snapshot_id"].as_str().and_then(|id| checksum_of(id, memory));
    match checksum {
        Some(checksum) if value.is_object() => {
            value["manifest_sha256"] = checksum.to_string().into();
            value.to_string().into_bytes()
        }
        _ => latest.to_vec(),
    }
}

/// Most bytes that a part may decompress to here.
const MOST: u64 = 1 << 20;

/// The stored bytes of a part. The first byte says how they are compressed, the second how many lines there should be.
pub fn part_lines(data: &[u8]) {
    let [compression, expected, stored @ ..] = data else { return };
    let compression = Compression::ALL[usize::from(*compression) % Compression::ALL.len()];
    let independent = decompressed(compression, stored);
    // What decompresses to more than fits into memory takes its time, and is bounded by its lines.
    if independent.as_ref().is_some_and(|bytes| bytes.len() as u64 > MOST) {
        return;
    }
    let bytes = Bytes::copy_from_slice(stored);
    let lines = PartLines::new(compression, bytes, u64::from(*expected), "part".to_owned());
    let read = lines.and_then(|mut lines| {
        let mut read = Vec::new();
        while let Some(line) = lines.next_line()? {
            assert_eq!(memchr_count(line), 1, "a line is one line");
            assert_eq!(line.last(), Some(&b'\n'));
            read.push(line.to_vec());
        }
        Ok(read)
    });
    match read {
        Ok(lines) => {
            assert_eq!(lines.len(), usize::from(*expected));
            assert_eq!(Some(lines.concat()), independent);
        }
        Err(error) => {
            assert_discreet(&error, stored);
            let is_whole = |bytes: &Vec<u8>| {
                memchr_count(bytes) == usize::from(*expected)
                    && bytes.last().is_none_or(|&last| last == b'\n')
            };
            assert!(!independent.as_ref().is_some_and(is_whole), "a part that can be read");
        }
    }
}

fn memchr_count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

fn decompressed(compression: Compression, stored: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match compression {
        Compression::Gzip => {
            let decoder = flate2::read::MultiGzDecoder::new(stored);
            decoder.take(MOST + 1).read_to_end(&mut bytes).ok()?;
        }
        // The reader's own decompressor, without its lines.
        Compression::Zstd => {
            let decoder = zstd::Decoder::new(stored).ok()?;
            decoder.take(MOST + 1).read_to_end(&mut bytes).ok()?;
        }
        Compression::None => bytes.extend_from_slice(stored),
    }
    Some(bytes)
}

/// The lines of both sides, with a NUL between the sides. The first byte says of which dataset.
pub fn comparison(data: &[u8]) {
    let Some((&dataset, data)) = data.split_first() else { return };
    let dataset = Dataset::ALL[usize::from(dataset) % Dataset::ALL.len()];
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (from, to) = text.split_once('\0').unwrap_or((text, ""));
    let memory = Arc::new(MemorySource::default());
    let source: Arc<dyn Source> = memory.clone();
    let side = |day, lines: &str| {
        let mut builder = SnapshotBuilder::on_day(day).with(dataset, []);
        builder.lines.insert(dataset, lines.lines().map(str::to_owned).collect());
        let stored = builder.store(&memory);
        let opened = Snapshot::open(Arc::clone(&source), stored.id(), None).now_or_never();
        opened.expect("memory answers at once").expect("a snapshot")
    };
    let (from, to) = (side(1, from), side(2, to));
    let compared = |limits: Limits| {
        let mut lines = Vec::new();
        let classes = clerk_snapshot::compare::Classes::ALL;
        let comparison = Comparison::new(&from, &to).expect("one instance").classes(classes);
        let comparison = comparison.limits(limits);
        let ran = comparison.run(&mut lines).now_or_never().expect("memory answers at once");
        ran.map(|_| lines)
    };
    match compared(Limits::default()) {
        Err(CompareError::Read(error)) => assert_discreet(&error, data),
        Err(error) => panic!("{error}"),
        Ok(lines) => {
            for line in lines.split_inclusive(|&byte| byte == b'\n') {
                let record: Value = serde_json::from_slice(line).expect("a record is JSON");
                assert_eq!(record["dataset"], dataset.name());
            }
            let limits = Limits { entries: 1, held_bytes: 1, ..Limits::default() };
            assert_eq!(compared(limits).expect("the same comparison"), lines);
        }
    }
}
