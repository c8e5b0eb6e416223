//! Builds and stores snapshots.

use std::collections::BTreeMap;

use serde_json::Value;

use super::memory::MemorySource;
use crate::compression::Compression;
use crate::digest::{ContentDigest, Sha256Hex};
use crate::layout;
use crate::manifest::{
    DatasetEntry, DatasetStatus, Generator, Instance, Latest, MANIFEST_FORMAT, Manifest, Previous,
    Referential, RunStats, Settings, SourceCount,
};
use crate::part::{Part, PartBuilder, extension};
use crate::part_name::{PartPosition, part_key};
use crate::resource::{Dataset, Resource};
use crate::timestamp::Timestamp;

/// A snapshot to be stored. Without further calls: production instance `ins_1`, the default settings, gzip, four lines
/// a part, no datasets.
#[derive(Debug, Clone)]
pub struct SnapshotBuilder {
    /// Everything of the manifest that is not made from the lines. Change it freely.
    pub manifest: Manifest,
    /// The lines of each dataset, in order and without `\n`.
    pub lines: BTreeMap<Dataset, Vec<String>>,
    /// Most lines in a part.
    pub lines_per_part: usize,
}

/// A stored snapshot.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its manifest, with parts and digests.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's bytes.
    pub manifest_sha256: Sha256Hex,
}

impl SnapshotBuilder {
    /// A snapshot whose run started on `day` of November 2026 at noon and took a minute. Its resources are those that
    /// access is made of.
    ///
    /// # Panics
    /// If `day` is not between 1 and 30.
    #[must_use]
    pub fn on_day(day: u32) -> Self {
        assert!((1..=30).contains(&day), "a day of November");
        // 2026-11-01T12:00:00Z
        let started_at = 1_793_534_400_000 + i64::from(day - 1) * crate::timestamp::MILLIS_OF_DAY;
        let at = |millis| Timestamp::from_unix_millis(millis).expect("a time in 2026");
        Self::new(at(started_at), at(started_at + 60_000))
    }

    fn new(started_at: Timestamp, completed_at: Timestamp) -> Self {
        let manifest = Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            snapshot_id: format!("{}-3f9a1c", started_at.snapshot_id_stamp()),
            instance: Instance { id: "ins_1".to_owned(), environment: "production".to_owned() },
            started_at,
            completed_at,
            verified: true,
            generator: Generator {
                name: "clerk-sync".to_owned(),
                version: "0.1.0".to_owned(),
                clerk_api_version: "2026-05-12".to_owned(),
            },
            previous: None,
            config_fingerprint: "sha256:0".to_owned(),
            settings: Some(Settings {
                clerk_api_url: "https://api.clerk.com".to_owned(),
                metadata: Vec::new(),
                include_raw: false,
                redact: Vec::new(),
                sessions_lookback_days: None,
                dau_lookback_days: None,
            }),
            redaction_key_id: None,
            resources: vec![
                Resource::Users,
                Resource::Organizations,
                Resource::OrganizationRoles,
                Resource::OrganizationPermissions,
                Resource::OrganizationMemberships,
            ],
            compression: Compression::Gzip,
            datasets: BTreeMap::new(),
            referential: Referential::default(),
            run: RunStats::default(),
        };
        Self { manifest, lines: BTreeMap::new(), lines_per_part: 4 }
    }

    /// Adds a verified dataset with these lines, or adds the lines to it.
    #[must_use]
    pub fn with(mut self, dataset: Dataset, lines: impl IntoIterator<Item = Value>) -> Self {
        self.add(dataset, lines);
        self
    }

    /// Like [`with`](Self::with).
    pub fn add(&mut self, dataset: Dataset, lines: impl IntoIterator<Item = Value>) {
        self.manifest.datasets.entry(dataset).or_insert_with(verified);
        let lines = lines.into_iter().map(|line| line.to_string());
        self.lines.entry(dataset).or_default().extend(lines);
    }

    /// Gives a dataset, which need not have lines, another status and a reason.
    #[must_use]
    pub fn with_status(
        mut self,
        dataset: Dataset,
        status: DatasetStatus,
        reason: Option<&str>,
    ) -> Self {
        let entry = self.manifest.datasets.entry(dataset).or_insert_with(verified);
        (entry.status, entry.reason) = (status, reason.map(str::to_owned));
        self.manifest.verified = !matches!(status, DatasetStatus::Drifted | DatasetStatus::Failed);
        self
    }

    /// Names the snapshot before.
    #[must_use]
    pub fn after(mut self, previous: &Stored) -> Self {
        self.manifest.previous = Some(Previous {
            snapshot_id: previous.manifest.snapshot_id.clone(),
            manifest_sha256: previous.manifest_sha256,
        });
        self
    }

    /// Stores parts and manifest.
    pub fn store(&self, source: &MemorySource) -> Stored {
        self.store_with(&mut |key, bytes| source.put(key, bytes))
    }

    /// Stores parts and manifest, and makes `latest.json` name them.
    pub fn publish(&self, source: &MemorySource) -> Stored {
        let stored = self.store(source);
        source.put(layout::LATEST_KEY, stored.latest_json());
        stored
    }

    /// Like [`store`](Self::store), wherever `put` stores a key and its bytes.
    ///
    /// # Panics
    /// If there is not enough memory for the compressor.
    pub fn store_with(&self, put: &mut dyn FnMut(String, Vec<u8>)) -> Stored {
        let mut manifest = self.manifest.clone();
        for (&dataset, lines) in &self.lines {
            let entry = manifest.datasets.entry(dataset).or_insert_with(verified);
            let mut digest = ContentDigest::default();
            for (sequence, lines) in lines.chunks(self.lines_per_part.max(1)).enumerate() {
                let part = self.part(dataset, sequence, lines, &mut digest, put);
                entry.records += part.records;
                entry.parts.push(part);
            }
            entry.content_digest = Some(digest);
        }
        let bytes = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
        let manifest_sha256 = Sha256Hex::of(&bytes);
        put(layout::manifest_key(&manifest.snapshot_id), bytes);
        Stored { manifest, manifest_sha256 }
    }

    fn part(
        &self,
        dataset: Dataset,
        sequence: usize,
        lines: &[String],
        digest: &mut ContentDigest,
        put: &mut dyn FnMut(String, Vec<u8>),
    ) -> Part {
        let fetched = (self.manifest.started_at, self.manifest.completed_at);
        let compression = self.manifest.compression;
        let mut builder = PartBuilder::new(compression).expect("memory for a compressor");
        for line in lines {
            builder.add_lines(format!("{line}\n").as_bytes(), fetched).expect("memory");
        }
        let part = builder.finish().expect("memory").expect("at least one line");
        digest.add(part.digest);
        let sequence = u32::try_from(sequence).expect("few parts");
        let position = PartPosition { section: 0, window: 0, sequence };
        let sha256 = part.sha256.to_string();
        let key = part_key(dataset, position, &sha256, extension(compression)).expect("few parts");
        put(
            format!("{}{key}", layout::snapshot_folder(&self.manifest.snapshot_id)),
            part.bytes.to_vec(),
        );
        Part {
            key,
            records: part.records,
            bytes: part.bytes.len() as u64,
            sha256: part.sha256,
            fetched_from: fetched.0,
            fetched_to: fetched.1,
        }
    }
}

impl Stored {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.snapshot_id
    }

    /// The content of a `latest.json` that names it.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn latest_json(&self) -> Vec<u8> {
        let latest = Latest {
            snapshot_id: self.manifest.snapshot_id.clone(),
            manifest: layout::manifest_key(&self.manifest.snapshot_id),
            manifest_sha256: self.manifest_sha256,
            started_at: self.manifest.started_at,
            completed_at: self.manifest.completed_at,
            verified: self.manifest.verified,
        };
        serde_json::to_vec(&latest).expect("it is JSON")
    }

    /// The key below `SNAPSHOT_URL` of a part of a dataset.
    #[must_use]
    pub fn part_key(&self, dataset: Dataset, index: usize) -> String {
        let part = &self.manifest.datasets[&dataset].parts[index];
        format!("{}{}", layout::snapshot_folder(self.id()), part.key)
    }
}

fn verified() -> DatasetEntry {
    DatasetEntry {
        status: DatasetStatus::Verified,
        reason: None,
        records: 0,
        source_count: SourceCount::default(),
        duplicates_dropped: 0,
        rows_repaired: 0,
        unreadable_fields: BTreeMap::new(),
        content_digest: Some(ContentDigest::default()),
        parts: Vec::new(),
        walk: None,
    }
}
