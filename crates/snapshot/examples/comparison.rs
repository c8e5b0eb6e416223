//! Draws two snapshots into a folder, and times their comparison.
//!
//! ```text
//! cargo run --release -p clerk-snapshot --features testing --example comparison -- draw FOLDER RECORDS PER_MILLE
//! cargo run --release -p clerk-snapshot --features testing --example comparison -- split FOLDER
//! cargo run --release -p clerk-snapshot --features testing --example comparison -- compare FOLDER [all]
//! ```
//!
//! `draw` writes two snapshots of RECORDS lines each: a fifth are users, the rest grants and organizations. PER_MILLE of
//! the second one's lines differ from the first one's. `split` decompresses both and splits them into lines, and
//! `compare` compares them. Both print their wall and processor time; on Linux also the most memory that they took.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a tool for people, which may end with an error"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use clerk_snapshot::compare::sink::SinkError;
use clerk_snapshot::compare::{Change, Classes, Comparison, Sink};
use clerk_snapshot::digest::ContentDigest;
use clerk_snapshot::layout;
use clerk_snapshot::manifest::{DatasetEntry, DatasetStatus, Manifest, SourceCount};
use clerk_snapshot::part::{Part, PartBuilder};
use clerk_snapshot::part_name::{PartPosition, part_key};
use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::source::{Source, SourceError};
use clerk_snapshot::testing::{SnapshotBuilder, records};
use serde_json::Value;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["draw", folder, count, per_mille] => {
            let number = |text: &str| text.parse().expect("a number");
            draw(Path::new(folder), number(count), number(per_mille));
        }
        ["split", folder] => timed(|| block_on(split(folder))),
        ["compare", folder] => timed(|| block_on(compare(folder, Classes::DEFAULT))),
        ["compare", folder, "all"] => timed(|| block_on(compare(folder, Classes::ALL))),
        _ => println!("see the first lines of examples/comparison.rs"),
    }
}

/// Lines in a part: what a run packs into four megabytes.
const LINES_PER_PART: usize = 40_000;

fn draw(folder: &Path, count: usize, per_mille: usize) {
    let write = |key: &str, bytes: &[u8]| {
        let path = folder.join(key);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    };
    let mut previous = None;
    for (day, is_second) in [(1, false), (2, true)] {
        let mut builder = SnapshotBuilder::on_day(day);
        if let Some(previous) = &previous {
            builder = builder.after(previous);
        }
        let users = count / 5;
        let organizations = count / 100;
        let grants = count - users - organizations;
        let lines = [
            (Dataset::Users, users),
            (Dataset::Organizations, organizations),
            (Dataset::Grants, grants),
        ];
        for (dataset, count) in lines {
            let entry =
                draw_dataset(&builder.manifest, dataset, count, is_second, per_mille, &write);
            builder.manifest.datasets.insert(dataset, entry);
        }
        let stored = builder.store_with(&mut |key, bytes| write(&key, &bytes));
        write(layout::LATEST_KEY, &stored.latest_json());
        println!("{}", stored.id());
        previous = Some(stored);
    }
}

fn draw_dataset(
    manifest: &Manifest,
    dataset: Dataset,
    count: usize,
    is_second: bool,
    per_mille: usize,
    write: &dyn Fn(&str, &[u8]),
) -> DatasetEntry {
    let fetched = (manifest.started_at, manifest.completed_at);
    let (mut digest, mut parts, mut records) = (ContentDigest::default(), Vec::new(), 0);
    for (sequence, begin) in (0..count).step_by(LINES_PER_PART).enumerate() {
        let mut builder = PartBuilder::new(manifest.compression).expect("memory");
        for number in begin..count.min(begin + LINES_PER_PART) {
            let differs = is_second && scattered(number) % 1000 < per_mille as u64;
            for line in lines(dataset, number, differs) {
                builder.add_lines(format!("{line}\n").as_bytes(), fetched).expect("memory");
            }
        }
        let Some(part) = builder.finish().expect("memory") else { continue };
        digest.add(part.digest);
        records += part.records;
        let position = PartPosition { section: 0, window: 0, sequence: sequence as u32 };
        let key =
            part_key(dataset, position, &part.sha256.to_string(), "ndjson.gz").expect("a key");
        write(&format!("{}{key}", layout::snapshot_folder(&manifest.snapshot_id)), &part.bytes);
        parts.push(Part {
            key,
            records: part.records,
            bytes: part.bytes.len() as u64,
            sha256: part.sha256,
            fetched_from: fetched.0,
            fetched_to: fetched.1,
        });
    }
    DatasetEntry {
        status: DatasetStatus::Verified,
        reason: None,
        records,
        source_count: SourceCount::default(),
        duplicates_dropped: 0,
        rows_repaired: 0,
        unreadable_fields: std::collections::BTreeMap::new(),
        content_digest: Some(digest),
        parts,
        walk: None,
    }
}

/// A line as it is, or changed, removed, or with another one added behind it.
fn lines(dataset: Dataset, number: usize, differs: bool) -> Vec<Value> {
    let line = |number: usize| {
        let id = format!("{:024x}", scattered(number));
        match dataset {
            Dataset::Users => records::user(&format!("user_{id}")),
            Dataset::Organizations => records::organization(&format!("org_{id}"), "Organization"),
            _ => {
                let organization = format!("org_{:024x}", scattered(number % 1000));
                let (user, membership) = (format!("user_{id}"), format!("orgmem_{id}"));
                let role = ("role_1", "org:admin");
                let permissions = ["org:sys_memberships:manage", "org:sys_memberships:read"];
                records::role_grant(&organization, &user, &membership, role, &permissions)
            }
        }
    };
    match (differs, number % 3) {
        (false, _) => vec![line(number)],
        (true, 0) => Vec::new(),
        (true, 1) => vec![line(number), line(usize::MAX - number)],
        (true, _) => {
            let mut changed = line(number);
            changed["updated_at"] = "2026-11-02T00:00:00.000Z".into();
            match dataset {
                Dataset::Users => changed["status"] = "disabled".into(),
                Dataset::Organizations => changed["display_name"] = "Renamed".into(),
                _ => changed["permissions"] = Value::Array(Vec::new()),
            }
            vec![changed]
        }
    }
}

/// The same number for the same number, and another one for any other (splitmix64).
fn scattered(number: usize) -> u64 {
    let mut mixed = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

async fn snapshots(folder: &str) -> (Snapshot, Snapshot) {
    let source: Arc<dyn Source> = Arc::new(Folder(folder.into()));
    let latest = clerk_snapshot::reader::open_latest(&source).await.expect("a sound snapshot");
    let to = latest.expect("a published snapshot");
    let previous = to.manifest().previous.clone().expect("a snapshot before");
    let from = Snapshot::open(source, &previous.snapshot_id, None).await.expect("a sound snapshot");
    (from, to)
}

async fn split(folder: &str) {
    let (from, to) = snapshots(folder).await;
    let (mut count, mut bytes) = (0, 0);
    for snapshot in [&from, &to] {
        for entry in snapshot.manifest().datasets.values() {
            for part in &entry.parts {
                let part = snapshot.read_part(part).await.expect("a sound part");
                let mut lines = part.lines().expect("a sound part");
                while let Some(line) = lines.next_line().expect("a sound line") {
                    count += 1;
                    bytes += line.len();
                }
            }
        }
    }
    println!("{count} lines of {} MB", bytes / 1_000_000);
}

async fn compare(folder: &str, classes: Classes) {
    let (from, to) = snapshots(folder).await;
    let mut records = Counted(0);
    let comparison = Comparison::new(&from, &to).expect("one instance").classes(classes);
    let summary = comparison.run(&mut records).await.expect("sound snapshots");
    println!("{} records, {:?}", records.0, summary.events);
}

struct Counted(u64);

#[async_trait]
impl Sink for Counted {
    async fn change(&mut self, _: &Change<'_>, _: &[u8]) -> Result<(), SinkError> {
        self.0 += 1;
        Ok(())
    }
}

/// A folder, read without a runtime.
#[derive(Debug)]
struct Folder(PathBuf);

#[async_trait]
impl Source for Folder {
    fn url_of(&self, key: &str) -> String {
        self.0.join(key).display().to_string()
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, SourceError> {
        Ok(Some(fs::read(self.0.join(key))?.into()))
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, SourceError> {
        Err("this example does not list".into())
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future);
}

fn timed(work: impl FnOnce()) {
    let began = Instant::now();
    work();
    println!("{:.2} s", began.elapsed().as_secs_f64());
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
    };
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        println!("most memory: {}", field(&status, "VmHWM:").unwrap_or_default());
    }
}
