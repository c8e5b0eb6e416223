//! Decides what may be said about a dataset: the table "when nothing may be said" of docs/changes.md.

use serde::{Deserialize, Serialize};

use super::field_table::{FieldRow, Shaper, rows_below};
use crate::manifest::{DatasetEntry, Manifest};
use crate::resource::{Dataset, Resource};

/// What was done with a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetResult {
    /// Everything that differs has a record.
    Compared,
    /// Only part of what differs has a record.
    Partial,
    /// TO alone has the dataset. It is counted.
    Baseline,
    /// One side says nothing, so neither does the comparison.
    NotCompared,
}

/// What may be said about a dataset, and why no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What is done with it.
    pub result: DatasetResult,
    /// Why no more may be said.
    pub reason: Option<String>,
    /// Which fields are left out.
    pub touched: Touched,
    /// The resources whose lines are left out.
    pub excluded: Vec<Resource>,
    /// Whether both sides are known to be equal.
    pub is_equal: bool,
}

/// The reason for a dataset that FROM has and TO has not.
pub const NOT_IN_RESOURCES: &str = "not_in_resources";

impl Verdict {
    /// The verdict on a dataset that at least one side has. The rows of the table are tried in its order.
    #[must_use]
    pub fn on(dataset: Dataset, from: &Manifest, to: &Manifest) -> Self {
        let (before, after) = (from.datasets.get(&dataset), to.datasets.get(&dataset));
        // Newer first: what is wrong now can still be repaired.
        if let Some(entry) =
            [after, before].into_iter().flatten().find(|it| it.status.is_left_out())
        {
            return Self::unsaid(DatasetResult::NotCompared, Some(code_of(entry)));
        }
        let (before, after) = match (before, after) {
            (None, _) => return Self::unsaid(DatasetResult::Baseline, None),
            (_, None) => {
                return Self::unsaid(DatasetResult::NotCompared, Some(NOT_IN_RESOURCES.to_owned()));
            }
            (Some(before), Some(after)) => (before, after),
        };
        if before.content_digest.is_some() && before.content_digest == after.content_digest {
            return Self { is_equal: true, ..Self::unsaid(DatasetResult::Compared, None) };
        }
        Self::by_settings(dataset, from, to)
    }

    fn by_settings(dataset: Dataset, from: &Manifest, to: &Manifest) -> Self {
        // Grants and entitlements say the same under any settings.
        let touched = match dataset {
            Dataset::Grants | Dataset::Entitlements => Touched::NOTHING,
            _ => Touched::between(from, to),
        };
        let excluded = excluded(dataset, from, to);
        let settings = touched.names_in(dataset);
        let reasons: Vec<_> =
            settings.into_iter().chain(excluded.iter().map(|resource| resource.name())).collect();
        let result =
            if reasons.is_empty() { DatasetResult::Compared } else { DatasetResult::Partial };
        let reason = (!reasons.is_empty()).then(|| reasons.join(", "));
        Self { result, reason, touched, excluded, is_equal: false }
    }

    const fn unsaid(result: DatasetResult, reason: Option<String>) -> Self {
        Self { result, reason, touched: Touched::NOTHING, excluded: Vec::new(), is_equal: false }
    }

    /// Whether the dataset's parts have to be read.
    #[must_use]
    pub fn has_records(&self) -> bool {
        matches!(self.result, DatasetResult::Compared | DatasetResult::Partial) && !self.is_equal
    }
}

/// Clerk's code, or why the list could not be read.
fn code_of(entry: &DatasetEntry) -> String {
    entry.reason.clone().unwrap_or_else(|| entry.status.name().to_owned())
}

/// The resources that write lines into the dataset and were opted in on one side alone.
fn excluded(dataset: Dataset, from: &Manifest, to: &Manifest) -> Vec<Resource> {
    let sources: &[Resource] = match dataset {
        Dataset::Grants => {
            &[Resource::OrganizationMemberships, Resource::OrganizationRoles, Resource::Machines]
        }
        Dataset::Entitlements => {
            &[Resource::Organizations, Resource::OrganizationPermissions, Resource::Machines]
        }
        _ => &[],
    };
    let is_one_sided =
        |resource: &&Resource| from.resources.contains(resource) != to.resources.contains(resource);
    sources.iter().filter(is_one_sided).copied().collect()
}

/// Which fields say something else for a reason that is no change: settings that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Kinds of personal data that are replaced on one side alone.
    kinds: Vec<&'static str>,
    /// Kinds whose hashes have another key.
    rehashed: Vec<&'static str>,
    /// Metadata bags that are copied on one side alone.
    bags: Vec<&'static str>,
    /// Whether `raw` is there on one side alone.
    raw: bool,
    /// Whether `raw` is there, and has metadata that it has not got on the other side.
    raw_bags: bool,
    /// Whether the API version differs, which may change any field of Clerk's objects.
    everything: bool,
}

impl Touched {
    /// No field.
    pub const NOTHING: Self = Self {
        kinds: Vec::new(),
        rehashed: Vec::new(),
        bags: Vec::new(),
        raw: false,
        raw_bags: false,
        everything: false,
    };

    fn between(from: &Manifest, to: &Manifest) -> Self {
        let (Some(before), Some(after)) = (&from.settings, &to.settings) else {
            let same = from.config_fingerprint == to.config_fingerprint;
            return if same { Self::NOTHING } else { Self::by_every_setting() };
        };
        let one_sided = |names: &[&'static str], before: &[String], after: &[String]| {
            let has = |list: &[String], name: &str| list.iter().any(|own| own == name);
            let differs = |name: &&&'static str| has(before, name) != has(after, name);
            names.iter().filter(differs).copied().collect::<Vec<_>>()
        };
        let key_differs = from.redaction_key_id != to.redaction_key_id;
        let is_replaced = |kind: &&&'static str| {
            before.redact.iter().chain(&after.redact).any(|own| own == **kind)
        };
        let bags = one_sided(&BAGS, &before.metadata, &after.metadata);
        Self {
            kinds: one_sided(&KINDS, &before.redact, &after.redact),
            rehashed: KINDS.iter().filter(is_replaced).filter(|_| key_differs).copied().collect(),
            raw: before.include_raw != after.include_raw,
            // `raw` has these bags only if `METADATA` names them.
            raw_bags: before.include_raw
                && after.include_raw
                && bags.iter().any(|bag| matches!(*bag, "private" | "unsafe")),
            bags,
            everything: from.generator.clerk_api_version != to.generator.clerk_api_version,
        }
    }

    /// If only fingerprints can be compared, and they differ, so may every setting.
    fn by_every_setting() -> Self {
        Self {
            kinds: KINDS.to_vec(),
            rehashed: KINDS.to_vec(),
            bags: BAGS.to_vec(),
            raw: true,
            raw_bags: true,
            everything: true,
        }
    }

    /// Whether the field `path`, or something inside of it, is touched.
    #[must_use]
    pub fn touches(&self, dataset: Dataset, path: &str) -> bool {
        let of = |shaper| self.names_of(shaper).next().is_some();
        self.everything || rows_below(dataset, path).filter_map(|row| row.shaper).any(of)
    }

    /// The names of the settings that touch fields of a dataset.
    fn names_in(&self, dataset: Dataset) -> Vec<&'static str> {
        let rows = super::field_table::fields_of(dataset).iter();
        let shapers = rows.filter_map(|FieldRow { shaper, .. }| *shaper);
        let touching: Vec<_> = shapers.flat_map(|shaper| self.names_of(shaper)).collect();
        let touches = |name: &&&'static str| match **name {
            API_VERSION => self.everything,
            name => touching.contains(&name),
        };
        SETTINGS.iter().filter(touches).copied().collect()
    }

    /// The settings that touch a field which `shaper` decides about.
    fn names_of(&self, shaper: Shaper) -> impl Iterator<Item = &'static str> {
        let has = |kinds: &[&'static str], name: &str| kinds.contains(&name);
        let (redact, key, metadata, raw) = match shaper {
            Shaper::Redact(kinds) => (
                kinds.iter().any(|kind| has(&self.kinds, kind.name())),
                kinds.iter().any(|kind| has(&self.rehashed, kind.name())),
                false,
                false,
            ),
            Shaper::Bag(bag) => (false, false, has(&self.bags, bag), false),
            Shaper::Raw => (false, false, self.raw_bags, self.raw),
        };
        let named = [
            ("redact", redact),
            ("redaction_key_id", key),
            ("metadata", metadata),
            ("include_raw", raw),
        ];
        named.into_iter().filter(|(_, touches)| *touches).map(|(name, _)| name)
    }
}

const KINDS: [&str; 4] = ["email", "phone", "name", "ip"];
const BAGS: [&str; 3] = ["public", "private", "unsafe"];
const API_VERSION: &str = "clerk_api_version";
/// The settings that shape fields, by their names in the manifest and in the order in which reasons name them.
const SETTINGS: [&str; 5] = ["redact", "redaction_key_id", "metadata", "include_raw", API_VERSION];
