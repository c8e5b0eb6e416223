//! Defines `manifest.json` and `latest.json`, where readers of snapshots start.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
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
///
/// A newer version may have written datasets and resources that this one does not know (docs/versions.md): they are left
/// out, and [`unknown_datasets`] names the former.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: String,
    /// Id of this snapshot.
    pub snapshot_id: String,
    /// The Clerk instance that was read.
    pub instance: Instance,
    /// When the run started.
    pub started_at: Timestamp,
    /// When its last dataset was complete.
    pub completed_at: Timestamp,
    /// Whether no dataset drifted or failed.
    pub verified: bool,
    /// The program that wrote it.
    pub generator: Generator,
    /// The snapshot that `latest.json` named when this one replaced it. `None` for the first, if `latest.json` could not
    /// be read, and in manifests of versions without this field.
    #[serde(default)]
    pub previous: Option<Previous>,
    /// Fingerprint of all settings that affect the output.
    pub config_fingerprint: String,
    /// The settings that affect the data, in clear; `None` in manifests of versions without this field.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// Identifies the key used for hashing without revealing anything about it; `None` if nothing is hashed.
    #[serde(default)]
    pub redaction_key_id: Option<String>,
    /// The resources that were opted in.
    #[serde(deserialize_with = "known_resources")]
    pub resources: Vec<Resource>,
    /// How parts are compressed.
    pub compression: Compression,
    /// The datasets of these resources.
    #[serde(deserialize_with = "known_datasets")]
    pub datasets: BTreeMap<Dataset, DatasetEntry>,
    /// References of grants that could not be resolved.
    pub referential: Referential,
    /// Totals of the run.
    pub run: RunStats,
}

/// The Clerk instance that was read (Clerk OpenAPI, schema `Instance`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// `ins_…`.
    pub id: String,
    /// Clerk's `environment_type`: `production`, `development`, …; an open set.
    pub environment: String,
}

/// The snapshot that `latest.json` named before this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its id.
    pub snapshot_id: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Sha256Hex,
}

/// The settings that affect the content of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `CLERK_API_URL` without a trailing `/v1`.
    pub clerk_api_url: String,
    /// `METADATA`: the metadata bags that are copied.
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
    /// The API version that it requested.
    pub clerk_api_version: String,
}

/// One dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatasetEntry {
    /// Whether it is complete and agrees with Clerk.
    pub status: DatasetStatus,
    /// Why it is skipped or failed: Clerk's code if a required list was refused, or the endpoint that could not be read
    /// and why.
    pub reason: Option<String>,
    /// Lines in all parts. If skipped, only those of the lists that could be read.
    pub records: u64,
    /// Clerk's own count of the list that the dataset is made from.
    pub source_count: SourceCount,
    /// Rows that Clerk listed again and that were written only once.
    pub duplicates_dropped: u64,
    /// Rows read again because Clerk's counts disagreed with the rows read.
    pub rows_repaired: u64,
    /// Number of rows per field that is `null` in records because Clerk's value could not be read.
    #[serde(default)]
    pub unreadable_fields: BTreeMap<String, u64>,
    /// Digest of the set of lines; `None` if failed, or if skipped without any lines.
    pub content_digest: Option<ContentDigest>,
    /// Its parts in the order of their names.
    pub parts: Vec<Part>,
    /// How its list was paged.
    #[serde(default)]
    pub walk: Option<Walked>,
}

/// How a list was paged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Walked {
    /// By cursor: each page starts after the last row of the one before.
    Cursor,
    /// By cursor, in parallel windows of creation times.
    Windows,
    /// By offset, with pages that overlap by one row.
    Offset,
    /// Owner by owner, such as the memberships of each organization.
    ByOwner,
}

impl DatasetStatus {
    /// Whether part of the data was not read, so that missing rows mean nothing. Of an unknown status, nobody can tell.
    #[must_use]
    pub const fn is_left_out(self) -> bool {
        matches!(self, Self::Skipped | Self::Failed | Self::Unknown)
    }

    /// Its name in the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Drifted => "drifted",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// How reliable a dataset is (docs/data.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetStatus {
    /// Its rows agree with Clerk's own counts.
    Verified,
    /// Clerk's data changed faster than repair could follow.
    Drifted,
    /// Clerk refused a required list, or a list of another resource that contributes to it could not be read. Missing
    /// rows say nothing about the instance.
    Skipped,
    /// A list of its own could not be read. It has no records, which says nothing about the instance.
    Failed,
    /// A status of a newer version, which this one does not know.
    #[serde(other)]
    Unknown,
}

/// Clerk's own count of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// Before the list was read.
    pub before: Option<u64>,
    /// After the list was read.
    pub after: Option<u64>,
}

/// References of grants to rows that are not in the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referential {
    /// Rows left out because the user or machine that holds them no longer exists, or Clerk names none.
    pub dangling_principals: u64,
    /// Rows and grants left out because what they are held on no longer exists: an organization, a permission or a
    /// machine.
    pub dangling_resources: u64,
    /// Role keys that no role has, with the number of memberships that have each.
    pub unresolved_role_keys: BTreeMap<String, u64>,
}

/// Totals of the whole run, over all its invocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStats {
    /// Invocations that worked on the run.
    pub invocations: u64,
    /// Requests sent to Clerk.
    pub requests: u64,
    /// Requests among them that were retries.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Total working time of the invocations, in seconds.
    pub elapsed_seconds: f64,
}

/// `latest.json` (docs/data.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// Id of the newest published snapshot.
    pub snapshot_id: String,
    /// Key of its manifest, below `SNAPSHOT_URL`.
    pub manifest: String,
    /// SHA-256 of the manifest.
    pub manifest_sha256: Sha256Hex,
    /// When its run started.
    pub started_at: Timestamp,
    /// When its last dataset was complete.
    pub completed_at: Timestamp,
    /// Whether no dataset drifted or failed.
    pub verified: bool,
}

/// The names of the datasets in a manifest that this version does not know, in ascending order.
///
/// # Errors
/// If it is no JSON object with `datasets`.
pub fn unknown_datasets(manifest: &[u8]) -> serde_json::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Named {
        datasets: BTreeMap<String, IgnoredAny>,
    }
    let Named { datasets } = serde_json::from_slice(manifest)?;
    Ok(datasets.into_keys().filter(|name| Dataset::from_name(name).is_none()).collect())
}

fn known_resources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Resource>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.iter().filter_map(|name| Resource::from_name(name)).collect())
}

fn known_datasets<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Dataset, DatasetEntry>, D::Error> {
    struct Known;

    impl<'de> Visitor<'de> for Known {
        type Value = BTreeMap<Dataset, DatasetEntry>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("datasets by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut known = BTreeMap::new();
            while let Some(name) = entries.next_key::<String>()? {
                match Dataset::from_name(&name) {
                    Some(dataset) => drop(known.insert(dataset, entries.next_value()?)),
                    None => drop(entries.next_value::<IgnoredAny>()?),
                }
            }
            Ok(known)
        }
    }

    deserializer.deserialize_map(Known)
}
