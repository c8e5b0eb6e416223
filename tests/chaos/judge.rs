//! Holds what the program does against what the sandbox remembers. It knows the contract and the
//! history of the instance, and nothing of how the program works.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error as _;

use bytes::Bytes;
use clerk_sandbox::{Change, DEFAULT_KEY, Sandbox};
use clerk_sync::error::Error;
use serde_json::Value;

use super::asked_for::{AskedFor, OWNERS, was_refused};
use super::derived;
use super::further::Further;
use super::throughout::Throughout;
use super::wire::Watch;
use crate::support::oracle::RESOURCES;
use crate::support::scene::named_by;
use crate::support::snapshot::Snapshot;
use crate::support::source::{assert_closed, membership_ids};

/// What may have gone wrong by now, so that an error may name it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Armed {
    pub(super) wire: bool,
    pub(super) key: bool,
    pub(super) store: bool,
    pub(super) secret: bool,
    /// A call of the store may never be answered.
    pub(super) hangs: bool,
    /// The checkpoint may be none.
    pub(super) unreadable: bool,
    /// Another invocation may have taken the run over.
    pub(super) rival: bool,
}

impl Armed {
    /// Whether an error of this name may come of it.
    pub(super) fn explains(self, name: &str) -> bool {
        match name {
            "ClerkUnavailable" | "ClerkProtocol" => self.wire,
            "ClerkUnauthorized" => self.key,
            "SecretUnavailable" => self.secret,
            "StoreUnavailable" => self.store,
            "LeaseLost" => self.store || self.rival,
            "StateUnreadable" => self.unreadable,
            _ => false,
        }
    }
}

/// What a store holds, by key.
pub(super) type Objects = BTreeMap<String, Bytes>;

/// A run, as its files name it.
struct SeenRun {
    id: String,
    /// Changes of the instance before the invocation that it began in.
    changes_before: usize,
}

/// Who watches a schedule.
pub(super) struct Judge {
    sandbox: Sandbox,
    /// What is opted in beside the five.
    further: Option<Further>,
    /// Every list that is copied.
    lists: Vec<&'static str>,
    /// The rows of every list when the story began.
    first: BTreeMap<&'static str, Vec<String>>,
    /// The runs, in the order in which they were first seen.
    runs: Vec<SeenRun>,
    changes_before: usize,
    latest: Option<Bytes>,
    /// The snapshot that it names.
    snapshot: Option<Snapshot>,
    /// Everything that was ever published.
    published: BTreeMap<String, Bytes>,
    checkpoint_before: Option<Bytes>,
    /// Two invocations are at work.
    pub(super) raced: bool,
    /// Whether the invocation that is judged was frozen: others may have ended its run since.
    pub(super) thawed: bool,
    /// Clerk has said wrong things about rows.
    pub(super) lied: bool,
    /// Clerk has refused a list.
    pub(super) refused: bool,
    /// Something was wrong with answers of Clerk's.
    pub(super) disturbed: bool,
    /// A checkpoint was damaged: nobody can know what it named.
    pub(super) damaged: bool,
}

impl Judge {
    pub(super) fn of(sandbox: &Sandbox, further: Option<Further>) -> Self {
        let also = further.iter().flat_map(Further::lists);
        let lists: Vec<&str> = RESOURCES.into_iter().chain(also).collect();
        Self {
            sandbox: sandbox.clone(),
            first: lists.iter().map(|&list| (list, sandbox.ids(list))).collect(),
            lists,
            further,
            runs: Vec::new(),
            changes_before: 0,
            latest: None,
            snapshot: None,
            published: BTreeMap::new(),
            checkpoint_before: None,
            raced: false,
            thawed: false,
            lied: false,
            refused: false,
            disturbed: false,
            damaged: false,
        }
    }

    /// An invocation is about to begin, and the store holds these objects.
    pub(super) fn before(&mut self, objects: &Objects) {
        self.changes_before = self.sandbox.history().len();
        self.checkpoint_before = objects.get("checkpoint.json").cloned();
    }

    /// What is published, as last seen.
    pub(super) const fn published(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// An invocation has answered. `disturbed` by something, or it must have got further.
    pub(super) fn answer(&mut self, answer: &Value, objects: &Objects, disturbed: bool) {
        let status = answer["status"].as_str().expect("a status");
        assert!(
            ["complete", "partial", "busy"].contains(&status),
            "nothing asks for this answer: {answer:#}"
        );
        assert_hidden(&answer.to_string(), "an answer");
        let checkpoint = objects.get("checkpoint.json").cloned();
        if status == "partial" {
            assert!(answer["reason"].is_string(), "{answer:#}");
            assert!(
                checkpoint.is_some() || (self.thawed && is_past(answer, objects)),
                "paused without a checkpoint: {answer:#}"
            );
            let waits = answer["reason"] == "rate_limited";
            assert!(
                disturbed || waits || checkpoint != self.checkpoint_before,
                "nothing was in the way, and it got no further: {answer:#}"
            );
        }
        if status == "complete" {
            let latest = latest_id(objects).expect("complete means published");
            let own = &answer["snapshot_id"];
            // Of two at once, the other may have begun and published its own since.
            let is_past = self.raced && is_past(answer, objects);
            assert!(*own == latest || is_past, "{own} is complete, and {latest} is latest");
            if *own != latest {
                let folder = format!("snapshots/{}/", own.as_str().expect("an id"));
                let its = objects.iter().filter(|(key, _)| key.starts_with(&folder));
                self.published.extend(its.map(|(key, bytes)| (key.clone(), bytes.clone())));
            }
        }
    }

    /// An invocation has failed.
    pub(super) fn failure(&self, error: &Error, armed: Armed) {
        assert!(armed.explains(error.name()), "nothing explains {error:?}");
        self.assert_hidden(&format!("{error} {error:?} {}", error.message()), "an error");
        let mut cause = error.source();
        while let Some(error) = cause {
            self.assert_hidden(&format!("{error} {error:?}"), "a cause");
            cause = error.source();
        }
    }

    /// What was asked of Clerk was allowed, and not too much.
    pub(super) fn wire(&self, watch: &Watch) {
        assert_eq!(watch.within_pauses(), [""; 0], "requests within a pause Clerk asked for");
        self.asked(watch.requests());
    }

    /// So many requests of one invocation were allowed, and not too many.
    pub(super) fn asked(&self, asked: u64) {
        assert_eq!(self.sandbox.violations(), [], "requests that nobody should send");
        let rows: usize = self.lists.iter().map(|list| self.sandbox.count(list)).sum();
        let pages = self.lists.len() + rows / 499;
        // One request for what each of them owns.
        let owners = match self.owners() {
            [] => 0,
            owners => owners.iter().map(|list| self.sandbox.count(list)).sum(),
        };
        let most = (20 * pages + 4 * owners + 400) as u64;
        assert!(asked <= most, "{asked} requests for {pages} pages and {owners} owners");
    }

    /// The lists whose rows may each be asked for what they own.
    fn owners(&self) -> &'static [&'static str] {
        if self.lists.contains(&"api_keys") {
            &OWNERS
        } else if self.lists.contains(&"sessions") {
            &["users"]
        } else {
            &[]
        }
    }

    /// What is in the store now may be there, and what a reader sees is right.
    pub(super) fn store(&mut self, objects: &Objects) {
        self.note_runs(objects);
        for (key, bytes) in objects {
            assert_hidden(key, "a name");
            assert!(!key.contains(".."), "{key} leads out of the folder");
            if !key.ends_with(".gz") && !key.ends_with(".zst") {
                assert_hidden(&String::from_utf8_lossy(bytes), key);
            }
        }
        for (key, bytes) in &self.published {
            assert!(objects.get(key) == Some(bytes), "{key} was published and has changed");
        }
        let latest = objects.get("latest.json").cloned();
        if latest == self.latest {
            return;
        }
        let snapshot = Snapshot::of(objects).expect("latest.json is never taken away");
        self.assert_moved_forward(&snapshot);
        self.assert_right(&snapshot);
        for key in named_by(&snapshot) {
            self.published.insert(key.clone(), objects[&key].clone());
        }
        (self.latest, self.snapshot) = (latest, Some(snapshot));
    }

    /// Remembers the state of the instance at the beginning of each run.
    fn note_runs(&mut self, objects: &Objects) {
        for key in ["checkpoint.json", "latest.json"] {
            let id = objects
                .get(key)
                .and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok())
                .and_then(|file| Some(file["snapshot_id"].as_str()?.to_owned()));
            if let Some(id) = id
                && !self.runs.iter().any(|run| run.id == id)
            {
                self.runs.push(SeenRun { id, changes_before: self.changes_before });
            }
        }
    }

    /// `latest.json` points to a run that began later than that of the snapshot before.
    fn assert_moved_forward(&self, snapshot: &Snapshot) {
        let order = |snapshot: &Snapshot| {
            let id = snapshot.latest["snapshot_id"].as_str().expect("an id");
            self.runs.iter().position(|run| run.id == id).expect("every run has been seen")
        };
        if let Some(before) = &self.snapshot {
            assert!(order(before) < order(snapshot), "latest.json moved back");
        }
    }

    /// A snapshot holds what was there throughout and nothing that never was, and says itself where
    /// that is not so.
    fn assert_right(&self, snapshot: &Snapshot) {
        let run = self.runs.iter().find(|run| snapshot.latest["snapshot_id"] == *run.id);
        let begun = run.expect("every run has been seen").changes_before;
        let history = self.sandbox.history();
        let asked_for = AskedFor::of(&self.sandbox, snapshot, self.further.as_ref());
        for &list in &self.lists {
            let changes = |range: &[Change]| -> Vec<Change> {
                range.iter().filter(|change| change.list == list).cloned().collect()
            };
            let source = Throughout::of(
                &self.first[list],
                &changes(&history[..begun]),
                &changes(&history[begun..]),
            );
            self.assert_list_right(list, snapshot, &source, &asked_for);
            if list == "machines" && !self.lied {
                derived::assert_calls_right(snapshot, &self.sandbox, &source);
            }
        }
        assert_closed(snapshot, "the closure");
        if let Some(further) = &self.further {
            further.assert_opted_in(snapshot);
            derived::assert_days_agree(snapshot, further.lookback_days);
        }
    }

    fn assert_list_right(
        &self,
        list: &str,
        snapshot: &Snapshot,
        source: &Throughout,
        asked_for: &AskedFor<'_>,
    ) {
        let name = if list == "organization_memberships" { "grants" } else { list };
        let dataset = &snapshot.manifest["datasets"][name];
        if dataset["status"] == "failed" {
            assert!(self.disturbed, "{name} has failed, and nothing was in the way");
            assert!(!RESOURCES.contains(&list), "there is no snapshot without {list}");
            assert_eq!(snapshot.manifest["verified"], false, "{name} has failed");
            return;
        }
        if dataset["status"] == "skipped" {
            let refused = self.refused && was_refused(&self.sandbox, name);
            let needs_failed =
                name == "grants" && snapshot.manifest["datasets"]["machines"]["status"] == "failed";
            assert!(
                refused || needs_failed,
                "{name} is skipped, and nothing it needs was refused or has failed"
            );
            return;
        }
        let ids = if name == "grants" { membership_ids(snapshot) } else { snapshot.ids(name) };
        let mut times: HashMap<&str, usize> = HashMap::new();
        ids.iter().for_each(|id| *times.entry(id).or_default() += 1);
        // Two rows that Clerk showed under one false name are two rows.
        let is_true = |id: &str| !self.lied || source.ever.contains(id);
        let may_be_twice = |id: &str| {
            list == "invitations"
                && source.changed.contains(id)
                && derived::is_as_it_was_and_as_it_is(snapshot, id)
        };
        let twice: Vec<_> = times
            .iter()
            .filter(|(id, times)| **times > 1 && is_true(id) && !may_be_twice(id))
            .collect();
        assert!(twice.is_empty(), "{list} holds rows more than once: {twice:?}");
        let mut invented = ids.clone();
        invented.retain(|id| !source.ever.contains(id));
        assert!(
            self.lied || invented.is_empty(),
            "{list} holds rows that never were: {invented:?}"
        );
        let verified = dataset["status"] == "verified";
        let lost: Vec<_> = source
            .always
            .iter()
            .filter(|id| !times.contains_key(id.as_str()) && asked_for.has(list, id))
            .collect();
        let referential = &snapshot.manifest["referential"];
        let left_out: u64 = ["dangling_principals", "dangling_resources"]
            .iter()
            .filter(|_| name == "grants")
            .filter_map(|kind| referential[kind].as_u64())
            .sum();
        let may_lose = match (self.lied, verified) {
            (true, false) => lost.len() as u64,
            // Rows that Clerk showed under other names are in their places.
            (true, true) => left_out + invented.len() as u64,
            (false, _) => 0,
        };
        assert!(
            lost.len() as u64 <= may_lose,
            "{list} ({}) lost {} rows that stayed put: {:?}",
            dataset["status"],
            lost.len(),
            &lost[..lost.len().min(4)]
        );
        let counted = dataset["source_count"]["after"].as_u64();
        let held = ids.len() as u64;
        let agrees = counted.is_some_and(|counted| (held..=held + left_out).contains(&counted));
        // Grants are those of roles as well.
        let drifted = |name: &str| snapshot.manifest["datasets"][name]["status"] == "drifted";
        let agrees = agrees && (name != "grants" || !drifted("organization_roles"));
        // Their counts are sums, in which differences can cancel out.
        let is_one_list = !["invitations", "api_keys"].contains(&list);
        assert!(
            verified == agrees || (agrees && !is_one_list),
            "{list}: {held} rows of {counted:?}, {left_out} left out"
        );
        // Counted part by part the sum need never have been true.
        let at_once = is_one_list && (list != "sessions" || dataset["walk"] == "offset");
        if verified && !self.lied && at_once {
            let counted = counted.expect("it agrees");
            assert!(source.sizes.contains(&counted), "{list} never had {counted} rows");
        }
    }

    /// The published snapshot is the instance as it is now.
    pub(super) fn assert_exact(&self) {
        let snapshot = self.published().expect("published");
        assert_eq!(snapshot.manifest["verified"], true, "an instance at rest");
        let asked_for = AskedFor::of(&self.sandbox, snapshot, self.further.as_ref());
        for &list in &self.lists {
            let held = match list {
                "organization_memberships" => membership_ids(snapshot),
                _ => snapshot.ids(list),
            };
            let mut there: BTreeSet<String> = self.sandbox.ids(list).into_iter().collect();
            there.retain(|id| asked_for.has(list, id));
            assert_eq!(held.len(), there.len(), "{list}");
            assert!(held.iter().all(|id| there.contains(id)), "{list}");
        }
        if let Some(further) = &self.further {
            further.assert_equals_source(snapshot, &self.sandbox);
        }
    }

    /// Nothing is left in the store but what was published.
    pub(super) fn assert_no_leftovers(&self, objects: &Objects) {
        if self.damaged {
            return;
        }
        let left: Vec<_> = objects
            .keys()
            .filter(|key| *key != "latest.json" && !self.published.contains_key(*key))
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// The key is not in a text.
    pub(super) fn assert_hidden(&self, text: &str, place: &str) {
        assert_hidden(text, place);
    }
}

/// The time in a snapshot's id.
fn begun(snapshot_id: &Value) -> Option<&str> {
    snapshot_id.as_str()?.split('-').next()
}

fn latest_id(objects: &Objects) -> Option<Value> {
    let latest: Value = serde_json::from_slice(objects.get("latest.json")?).expect("JSON");
    Some(latest["snapshot_id"].clone())
}

/// Whether a snapshot begun no earlier than the one an answer is about has been published.
fn is_past(answer: &Value, objects: &Objects) -> bool {
    latest_id(objects).is_some_and(|latest| begun(&answer["snapshot_id"]) <= begun(&latest))
}

fn assert_hidden(text: &str, place: &str) {
    assert!(!text.contains(DEFAULT_KEY), "the key is in {place}");
}
