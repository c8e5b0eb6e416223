//! `manifest.json` and `latest.json`: what a reader of snapshots sees.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::compression::Compression;
use crate::resource::{Dataset, Resource};
use crate::timestamp::Timestamp;

use crate::digest::{ContentDigest, Sha256Hex};
use crate::part::Part;

/// The format tag of [`Manifest`].
pub const MANIFEST_FORMAT: &str = "clerk-sync/manifest/1";

/// `manifest.json` (docs/data.md). Field order is the file's order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: String,
    /// Which snapshot this is.
    pub snapshot_id: String,
    /// What was read.
    pub instance: Instance,
    /// When the run began.
    pub started_at: Timestamp,
    /// When its last dataset was complete.
    pub completed_at: Timestamp,
    /// Whether no dataset drifted or failed.
    pub verified: bool,
    /// What wrote it.
    pub generator: Generator,
    /// The snapshot that `latest.json` named when this one took its place. `None` for the first, where
    /// `latest.json` could not be read, and in manifests of versions that did not say.
    #[serde(default)]
    pub previous: Option<Previous>,
    /// Fingerprint of every setting that changes the output.
    pub config_fingerprint: String,
    /// The settings that shape the data, in clear; `None` in manifests of versions that did not say.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// Tells the keys of hashes apart, and says nothing about them; `None` if nothing is hashed.
    #[serde(default)]
    pub redaction_key_id: Option<String>,
    /// What was opted in.
    pub resources: Vec<Resource>,
    /// How parts are stored.
    pub compression: Compression,
    /// Each dataset of the resources opted in.
    pub datasets: BTreeMap<Dataset, DatasetEntry>,
    /// What grants refer to and is not there.
    pub referential: Referential,
    /// What the run took.
    pub run: RunStats,
}

/// The Clerk instance that was read (Clerk OpenAPI, schema `Instance`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `ins_…`.
    pub id: String,
    /// Clerk's `environment_type`: `production`, `development` or what Clerk comes up with next.
    pub environment: String,
}

/// The snapshot that `latest.json` named before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its id.
    pub snapshot_id: String,
    /// Of its manifest's bytes.
    pub manifest_sha256: Sha256Hex,
}

/// The settings that decide what records say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `CLERK_API_URL`, without the `/v1` at its end.
    pub clerk_api_url: String,
    /// `METADATA`: the bags that are copied.
    pub metadata: Vec<String>,
    /// `INCLUDE_RAW`.
    pub include_raw: bool,
    /// `REDACT`: the kinds of personal data that are replaced.
    pub redact: Vec<String>,
    /// `SESSIONS_LOOKBACK_DAYS`, which may be a fraction, if sessions are opted in.
    pub sessions_lookback_days: Option<Number>,
    /// `DAU_LOOKBACK_DAYS`, if daily active users are opted in.
    pub dau_lookback_days: Option<u16>,
}

/// The program that wrote a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator {
    /// Always `clerk-sync`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The API version it asked for.
    pub clerk_api_version: String,
}

/// One dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatasetEntry {
    /// How far it can be trusted.
    pub status: DatasetStatus,
    /// Why it is skipped or failed: Clerk's code when a list it needs was refused, or which endpoint
    /// could not be read and why.
    pub reason: Option<String>,
    /// Lines in all parts. When skipped, only those of the lists that could be read.
    pub records: u64,
    /// Clerk's own count of the list the dataset is made of.
    pub source_count: SourceCount,
    /// Rows that Clerk listed again and that were written once.
    pub duplicates_dropped: u64,
    /// Rows read again because Clerk's counts disagreed with what had been read.
    pub rows_repaired: u64,
    /// Fields of Clerk's rows that are `null` in records because their values could not be read, and of
    /// how many rows.
    #[serde(default)]
    pub unreadable_fields: BTreeMap<String, u64>,
    /// Of the set of lines; `None` when failed, or skipped without any.
    pub content_digest: Option<ContentDigest>,
    /// Its parts in the order of their names.
    pub parts: Vec<Part>,
    /// Which way its list was read.
    #[serde(default)]
    pub walk: Option<Walked>,
}

/// Which way a list was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Walked {
    /// Page after page, each beginning behind the last row of the one before.
    Cursor,
    /// Likewise, in windows of creation times side by side.
    Windows,
    /// By offset, pages overlapping by a row.
    Offset,
    /// The part of each owner by itself: the memberships of each organization.
    ByOwner,
}

impl DatasetStatus {
    /// Whether what it lacks is not known, rather than not there.
    #[must_use]
    pub const fn is_left_out(self) -> bool {
        matches!(self, Self::Skipped | Self::Failed)
    }
}

/// How far a dataset can be trusted (docs/data.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetStatus {
    /// Its rows agree with Clerk's own counts.
    Verified,
    /// Clerk changed faster than repair could follow.
    Drifted,
    /// Clerk refused a list it needs, or a list of another resource that adds to it could not be
    /// read: what is missing says nothing about the instance.
    Skipped,
    /// A list of its own could not be read: it has no records, which says nothing about the instance.
    Failed,
}

/// Clerk's own count of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// When the walk began.
    pub before: Option<u64>,
    /// When it ended.
    pub after: Option<u64>,
}

/// What grants refer to and is not in the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referential {
    /// Memberships left out because their user is gone.
    pub dangling_principals: u64,
    /// Memberships left out because their organization is gone.
    pub dangling_resources: u64,
    /// Role keys that no role has, and how many memberships carry each.
    pub unresolved_role_keys: BTreeMap<String, u64>,
}

/// What the whole run took, over all its invocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStats {
    /// Invocations that held the run.
    pub invocations: u64,
    /// Requests sent to Clerk.
    pub requests: u64,
    /// Of these, repeated ones.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Time the invocations worked, in seconds.
    pub elapsed_seconds: f64,
}

/// `latest.json` (docs/data.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The newest published snapshot.
    pub snapshot_id: String,
    /// Key of its manifest, below `SNAPSHOT_URL`.
    pub manifest: String,
    /// Of the manifest's bytes.
    pub manifest_sha256: Sha256Hex,
    /// When its run began.
    pub started_at: Timestamp,
    /// When its last dataset was complete.
    pub completed_at: Timestamp,
    /// Whether no dataset drifted or failed.
    pub verified: bool,
}
