//! `checkpoint.json`: the run in progress, with all that the next invocation needs to continue it.
//!
//! It holds positions, part names and counts, but no rows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clerk_snapshot::compression::Compression;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::manifest::{Generator, Instance, Latest, Previous, RunStats, Settings};
use clerk_snapshot::resource::Resource;
use clerk_snapshot::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clerk::retry::MAX_RETRY_AFTER;
use crate::lists::endpoint::ListName;
use crate::lists::table::endpoint;
use crate::paging::position::PagingMode;
use crate::sync::checkpoint::list_progress::ListProgress;
use crate::translate::RoleCatalogue;

/// Key of the checkpoint, relative to `SNAPSHOT_URL`.
pub const CHECKPOINT_KEY: &str = "checkpoint.json";

/// The formats that can be read. The first one is written.
pub(crate) const FORMATS: [&str; 2] = ["clerk-sync/checkpoint/4", "clerk-sync/checkpoint/3"];

/// The file, tagged with its format. An unknown format is an error.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "format")]
pub(crate) enum Document {
    // Version 3 has no `users_unchecked`. A program that knows only version 3 must not continue a run of version 4.
    #[serde(rename = "clerk-sync/checkpoint/4", alias = "clerk-sync/checkpoint/3")]
    V4(Checkpoint),
}

/// A run in progress.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The id of the snapshot in the making.
    pub snapshot_id: String,
    /// When the run began.
    pub started_at: Timestamp,
    /// Fingerprint of every setting that changes the output. A run is only continued under the same
    /// settings.
    pub config_fingerprint: String,
    /// The opted-in resources.
    pub resources: BTreeSet<Resource>,
    /// Whether `resources` came with the event rather than from the configuration.
    pub resources_from_event: bool,
    /// The Clerk instance that is read, once Clerk has been asked.
    pub instance: Option<Instance>,
    /// The id of the key that personal data in its records is hashed with, if `REDACT` is set and
    /// there is a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redaction_key_id: Option<String>,
    /// Counts the changes, so that no two versions of the file are equal.
    pub revision: u64,
    /// The lease.
    pub lease: Lease,
    /// No request is sent to Clerk before this time, because Clerk asked for it.
    pub retry_at: Option<Timestamp>,
    /// Role ids and names, once the roles have been read.
    pub roles: RoleCatalogue,
    /// The progress of each list.
    pub lists: BTreeMap<ListName, ListProgress>,
    /// What the run has spent so far.
    #[serde(rename = "run")]
    pub stats: RunStats,
    /// Set when every list is done. From then on the bytes of the manifest no longer change.
    pub completed: Option<Completed>,
    /// Ids of the snapshots of abandoned runs whose files are still to be removed.
    pub abandoned: BTreeSet<String>,
    /// The published snapshot that this one will replace: the newest one when the run began, or one
    /// that was published since. It decides even if the clocks say otherwise. It may still change;
    /// [`Completed::succession`] no longer does.
    #[serde(default)]
    pub follows: Option<PublishedSnapshot>,
}

/// A published snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedSnapshot {
    /// Its id.
    pub snapshot_id: String,
    /// When it was started, by the clock of that time.
    pub started_at: Timestamp,
    /// Checksum of its manifest; `None` in checkpoints of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<Sha256Hex>,
}

impl PublishedSnapshot {
    /// The snapshot that `latest.json` names.
    #[must_use]
    pub fn of(latest: &Latest) -> Self {
        Self {
            snapshot_id: latest.snapshot_id.clone(),
            started_at: latest.started_at,
            manifest_sha256: Some(latest.manifest_sha256),
        }
    }

    /// Whether `latest.json` names this snapshot.
    #[must_use]
    pub fn is(&self, latest: &Latest) -> bool {
        self.snapshot_id == latest.snapshot_id && self.started_at == latest.started_at
    }
}

/// Whether the snapshot that `latest.json` names was started later than another one and is not the
/// one that the other's run follows. A snapshot that the run follows may be dated later, by a wrong
/// clock.
#[must_use]
pub fn overtakes(
    latest: &Latest,
    snapshot_id: &str,
    started_at: Timestamp,
    follows: Option<&PublishedSnapshot>,
) -> bool {
    latest.started_at > started_at
        && latest.snapshot_id != snapshot_id
        && !follows.is_some_and(|followed| followed.is(latest))
}

/// What the manifest says about a run that is complete. It is stored in the checkpoint, so that any
/// invocation that publishes the run, under any settings or version, writes the same bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Completed {
    /// When its last list was done.
    pub at: Timestamp,
    /// What the run had spent by then.
    pub run: RunStats,
    /// The program that read it.
    pub generator: Generator,
    /// The format of its parts.
    pub compression: Compression,
    /// The settings that shaped its records; `None` if an older version completed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Which snapshot it takes the place of, as its manifest says. `None` until that is fixed, once, just before the
    /// manifest is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succession: Option<Succession>,
}

/// Which snapshot another takes the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession {
    /// What its manifest says; `None` if it is the first, or nobody knows.
    pub previous: Option<Previous>,
}

/// The lease: which invocation may write, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder's request id, for people who read the file.
    pub holder: String,
    /// A random token of the invocation. The request id would not do: one request can be delivered
    /// twice.
    pub token: String,
    /// The lease is free to take from this time on; `None` if it was released.
    pub until: Option<Timestamp>,
}

/// The longest time that a lease can seem to be held: `LEASE_SECONDS` is at most 900, and clocks differ by up to
/// a minute.
const LONGEST_LEASE: Duration = Duration::from_secs(900 + 60);

impl Lease {
    /// Until when the lease is held, if it is held at `now`.
    ///
    /// A lease that ends later than any lease can was taken by a wrong clock, or this clock is
    /// wrong. It counts as free, so that the run does not stand still until the two agree; a holder
    /// that still works finds its next write refused.
    #[must_use]
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|&until| until > now && until <= now + LONGEST_LEASE)
    }
}

/// Approximate bytes of a segment in the file.
const BYTES_OF_A_SEGMENT: usize = 640;
/// Approximate bytes of everything else.
const BYTES_OF_THE_REST: usize = 12 * 1024;

impl Checkpoint {
    /// Whether no invocation has worked on the run yet.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.stats.invocations == 0
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// None that a checkpoint can cause: every key is a string.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(tag = "format")]
        enum Document<'a> {
            #[serde(rename = "clerk-sync/checkpoint/4")]
            V4(&'a Checkpoint),
        }
        // Allocated at once, in one of few sizes: it is written many times a second, and buffers
        // that grow fragment the heap.
        let segments: usize = self.lists.values().map(|list| list.segments().count()).sum();
        let mut bytes = Vec::with_capacity(
            (BYTES_OF_THE_REST + segments * BYTES_OF_A_SEGMENT).next_power_of_two(),
        );
        serde_json::to_writer(&mut bytes, &Document::V4(self))?;
        Ok(bytes)
    }
}

impl Checkpoint {
    /// Whether the run is over: it is complete, and `latest.json` names its snapshot.
    #[must_use]
    pub fn is_published(&self, latest: &Latest) -> bool {
        latest.snapshot_id == self.snapshot_id && self.completed.is_some()
    }

    /// Forgets all roles if `list` is that of the roles. Called when none of its rows is kept: they are
    /// read again, or the list is left out.
    pub fn forget_roles_of(&mut self, list: ListName) {
        if list == ListName::from(Resource::OrganizationRoles) {
            self.roles = RoleCatalogue::default();
        }
    }

    /// Until when Clerk asked for no requests, if that is later than `now`. A time further ahead
    /// than any accepted wait was written by a wrong clock, and is ignored.
    #[must_use]
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.retry_at.filter(|&until| until > now && until <= now + MAX_RETRY_AFTER)
    }
}

/// A list's progress, created if there is none yet.
pub fn progress_of(checkpoint: &mut Checkpoint, list: impl Into<ListName>) -> &mut ListProgress {
    let list = list.into();
    checkpoint
        .lists
        .entry(list)
        .or_insert_with(|| ListProgress::new(PagingMode::first(endpoint(list))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::checkpoint::list_progress::{Segment, Window};

    /// Some milliseconds after 2026-11-20T12:00:00.000Z.
    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_795_176_000_000 + millis).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            snapshot_id: "20261120T120000Z-3f9a1c".to_owned(),
            started_at: at(0),
            config_fingerprint: String::new(),
            resources: BTreeSet::new(),
            resources_from_event: false,
            instance: None,
            redaction_key_id: None,
            revision: 0,
            lease: Lease { holder: String::new(), token: String::new(), until: None },
            retry_at: None,
            roles: RoleCatalogue::default(),
            lists: BTreeMap::new(),
            stats: RunStats::default(),
            completed: None,
            abandoned: BTreeSet::new(),
            follows: None,
        }
    }

    /// Two runs can begin in the same millisecond. Then neither keeps the other from being published.
    #[test]
    fn only_a_snapshot_started_later_overtakes_a_run() {
        let published = |millis| Latest {
            snapshot_id: "20261120T120000Z-0000aa".to_owned(),
            manifest: String::new(),
            manifest_sha256: Sha256Hex::of(b""),
            started_at: at(millis),
            completed_at: at(millis),
            verified: true,
        };
        let Checkpoint { snapshot_id, started_at, .. } = checkpoint();
        let is_overtaken = |millis| overtakes(&published(millis), &snapshot_id, started_at, None);
        assert_eq!([-1, 0, 1].map(is_overtaken), [false, false, true]);
        let later = published(1);
        assert!(!overtakes(&later, &later.snapshot_id, started_at, None), "by itself");
        let follows = PublishedSnapshot::of(&later);
        assert!(!overtakes(&later, &snapshot_id, started_at, Some(&follows)), "followed");
    }

    /// docs/reference.md: a lease that reaches more than 16 minutes into the future is ignored.
    #[test]
    fn a_lease_is_held_until_it_ends_if_it_ends_within_sixteen_minutes() {
        const LONGEST: i64 = 16 * 60 * 1000;
        let is_held = |millis| {
            let lease = Lease { until: Some(at(millis)), ..checkpoint().lease };
            lease.held_until(at(0)) == Some(at(millis))
        };
        let held = [-1, 0, 1, LONGEST, LONGEST + 1].map(is_held);
        assert_eq!(held, [false, false, true, true, false]);
    }

    /// A pause is over at exactly the time that Clerk named.
    #[test]
    fn a_run_is_paused_until_the_time_that_was_named_if_that_is_within_a_day() {
        const LONGEST: i64 = 24 * 60 * 60 * 1000;
        let is_paused = |millis| {
            let paused = Checkpoint { retry_at: Some(at(millis)), ..checkpoint() };
            paused.paused_until(at(0)) == Some(at(millis))
        };
        let paused = [-1, 0, 1, LONGEST, LONGEST + 1].map(is_paused);
        assert_eq!(paused, [false, false, true, true, false]);
    }

    /// The file is written many times a second, by functions with little memory.
    #[test]
    fn writing_the_file_reserves_no_more_memory_than_its_segments_may_need() {
        let segment: Segment = serde_json::from_str(
            r#"{"sequence":0,"rows":2,"first":["user_1",0],"last":["user_2",1],"parts":{}}"#,
        )
        .unwrap();
        for segments in [0, 10] {
            let window = Window { segments: vec![segment.clone(); segments], ..Window::default() };
            let list =
                ListProgress { windows: vec![window], ..ListProgress::new(PagingMode::Cursor) };
            let lists = BTreeMap::from([(ListName::from(Resource::Users), list)]);
            let reserved = Checkpoint { lists, ..checkpoint() }.to_json().unwrap().capacity();
            assert!(reserved <= 64 * 1024, "{reserved} bytes for {segments} segments");
        }
    }
}
