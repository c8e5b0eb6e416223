//! Compares what the program does with what the sandbox remembers. The judge knows
//! docs/reference.md and the history of the instance, and nothing about how the program works.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error as _;

use bytes::Bytes;
use clerk_sandbox::{Change, DEFAULT_KEY, LoggedRequest, RowEdit, Sandbox};
use clerk_sync::error::Error;
use serde_json::{Value, json};

use super::derived;
use super::further::Further;
use super::hazards::OTHER_KEY;
use super::meaning::{CORE, Meaning, asks_for, lists_of, may_mean, meaning, owners_of};
use super::odd;
use super::required::{OWNERS, Required};
use super::throughout::Throughout;
use super::wire::Watch;
use crate::support::feed::Feed;
use crate::support::oracle::RESOURCES;
use crate::support::scene::row_requests;
use crate::support::snapshot::Snapshot;
use crate::support::source::{assert_closed, membership_ids};

/// What may have gone wrong so far, so that an error may report it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Armed {
    pub(super) wire: bool,
    pub(super) key: bool,
    pub(super) store: bool,
    pub(super) secret: bool,
    /// A store call may never be answered.
    pub(super) hangs: bool,
    /// The checkpoint may be damaged.
    pub(super) unreadable: bool,
    /// Another invocation may have taken over the run.
    pub(super) rival: bool,
}

impl Armed {
    /// Whether it may cause an error of this name.
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

/// The objects of a store, by key.
pub(super) type Objects = BTreeMap<String, Bytes>;

/// A run, as its files name it.
struct SeenRun {
    id: String,
    /// The state of each instance before the invocation in which the run began.
    begun: Vec<Moment>,
}

/// An instance whose key the secret may hold.
struct Instance {
    sandbox: Sandbox,
    /// The rows of every list when the schedule began.
    first: BTreeMap<&'static str, Vec<String>>,
}

/// A point in the history of an instance.
#[derive(Debug, Clone, Copy)]
struct Moment {
    changes: usize,
    requests: u64,
}

impl Instance {
    fn now(&self) -> Moment {
        Moment { changes: self.sandbox.history().len(), requests: self.sandbox.last_request() }
    }
}

/// The judge of a schedule.
pub(super) struct Judge {
    /// The instance of the schedule, and the other one, if the secret may change to it.
    instances: Vec<Instance>,
    /// The lists opted in besides the five.
    further: Option<Further>,
    /// `SHRINK_GUARD_PERCENT`.
    guard: u32,
    /// Every copied list.
    lists: Vec<&'static str>,
    /// The runs, in the order in which they were first seen.
    runs: Vec<SeenRun>,
    /// The state of things before the invocation that is judged.
    before: Vec<Moment>,
    /// Whether it may publish despite the guard.
    pub(super) accepts: bool,
    /// Snapshots that an invocation has called complete.
    called_complete: BTreeSet<String>,
    /// The run that the last invocation held back.
    held: Option<String>,
    /// `KEEP_SNAPSHOTS`: how many of the newest published snapshots must stay. `None`: all.
    pub(super) keep: Option<usize>,
    /// Objects cannot be deleted at present.
    pub(super) undeletable: bool,
    /// The folders of snapshots published in that time, in order.
    cluttered: Vec<String>,
    /// Every manifest that was ever seen.
    manifests: BTreeMap<String, Bytes>,
    latest: Option<Bytes>,
    /// The snapshot that it names.
    snapshot: Option<Snapshot>,
    /// `changes/latest.json`, as last seen.
    newest_feed: Option<Bytes>,
    /// Everything that was ever published.
    published: BTreeMap<String, Bytes>,
    checkpoint_before: Option<Bytes>,
    /// Two invocations are running.
    pub(super) raced: bool,
    /// Whether the invocation that is judged was frozen: others may have ended its run since.
    pub(super) thawed: bool,
    /// The snapshot that was published when it was frozen, possibly its own.
    pub(super) latest_when_frozen: Option<Value>,
    /// Clerk has sent false rows.
    pub(super) lied: bool,
    /// The store ignores conditions, and always has.
    pub(super) unproven: bool,
    /// A checkpoint was damaged, so nobody can know what it named.
    pub(super) damaged: bool,
}

impl Judge {
    pub(super) fn of(instances: &[&Sandbox], further: Option<Further>, guard: u32) -> Self {
        let also = further.iter().flat_map(Further::lists);
        let lists: Vec<&str> = RESOURCES.into_iter().chain(also).collect();
        let instance = |&sandbox: &&Sandbox| Instance {
            sandbox: sandbox.clone(),
            first: lists.iter().map(|&list| (list, sandbox.ids(list))).collect(),
        };
        let instances: Vec<Instance> = instances.iter().map(instance).collect();
        Self {
            before: instances.iter().map(Instance::now).collect(),
            instances,
            lists,
            further,
            guard,
            runs: Vec::new(),
            accepts: false,
            called_complete: BTreeSet::new(),
            held: None,
            keep: None,
            undeletable: false,
            cluttered: Vec::new(),
            manifests: BTreeMap::new(),
            latest: None,
            newest_feed: None,
            snapshot: None,
            published: BTreeMap::new(),
            checkpoint_before: None,
            raced: false,
            thawed: false,
            latest_when_frozen: None,
            lied: false,
            unproven: false,
            damaged: false,
        }
    }

    /// An invocation is about to begin, and the store holds these objects.
    pub(super) fn before(&mut self, event: &Value, objects: &Objects) {
        self.before = self.instances.iter().map(Instance::now).collect();
        self.accepts = event["accept_shrink"] == true;
        self.checkpoint_before = objects.get("checkpoint.json").cloned();
    }

    /// The published snapshot, as last seen.
    pub(super) const fn published(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Whether no other invocation used Clerk and the store meanwhile.
    const fn alone(&self) -> bool {
        !self.raced && !self.thawed
    }

    /// Whether others have published a snapshot since the invocation that is judged was frozen. The clock may have been
    /// set back meanwhile.
    fn has_been_overtaken(&self, objects: &Objects) -> bool {
        latest_id(objects) != self.latest_when_frozen
    }

    /// The requests to Clerk of the invocation that is judged.
    fn log(&self) -> Vec<LoggedRequest> {
        self.log_since(&self.before)
    }

    fn log_since(&self, moments: &[Moment]) -> Vec<LoggedRequest> {
        let since = |(instance, moment): (&Instance, &Moment)| {
            instance.sandbox.requests_since(moment.requests)
        };
        self.instances.iter().zip(moments).flat_map(since).collect()
    }

    /// An invocation has answered. Unless it was `disturbed`, it must have made progress.
    pub(super) fn answer(&mut self, answer: &Value, objects: &Objects, disturbed: bool) {
        let status = answer["status"].as_str().expect("a status");
        assert!(
            ["complete", "partial", "busy"].contains(&status)
                || (status == "held" && self.guard > 0),
            "there is no reason for this answer: {answer:#}"
        );
        assert!(!self.unproven, "the store ignores conditions, and was used: {answer:#}");
        assert_hidden(&answer.to_string(), "an answer");
        let checkpoint = objects.get("checkpoint.json").cloned();
        if status == "partial" {
            assert!(answer["reason"].is_string(), "{answer:#}");
            assert!(
                checkpoint.is_some() || (self.thawed && self.has_been_overtaken(objects)),
                "paused without a checkpoint: {answer:#}"
            );
            let waits = answer["reason"] == "rate_limited";
            assert!(
                disturbed || waits || checkpoint != self.checkpoint_before,
                "nothing went wrong, and there was no progress: {answer:#}"
            );
        }
        let refused = || self.log().into_iter().find(|it| meaning(it) == Meaning::KeyRefused);
        if ["complete", "held"].contains(&status) && self.alone() {
            let refused = refused().filter(|request| request.status == Some(403));
            assert_eq!(refused, None, "the key was refused, and the answer is {answer:#}");
        }
        if status == "complete" {
            let latest = latest_id(objects).expect("complete means published");
            let own = &answer["snapshot_id"];
            // Of two concurrent invocations, the other may have published its own since.
            // The same is true of an invocation that froze after it had published.
            let had_published = self.latest_when_frozen.as_ref() == Some(own);
            let is_past = had_published || (self.raced && is_past(answer, objects));
            assert!(*own == latest || is_past, "{own} is complete, and {latest} is latest");
            self.note_overtaken(own.as_str().expect("an id"), objects);
            self.assert_new(answer);
            assert_sums_up(answer, objects);
        }
        let held = answer["snapshot_id"].as_str().filter(|_| status == "held");
        if let Some(id) = held {
            self.assert_rightly_held(id, answer, objects);
        }
        self.held = held.map(str::to_owned);
    }

    /// An invocation that was not alone called a snapshot complete.
    pub(super) fn called_complete(&mut self, id: &str, objects: &Objects) {
        self.called_complete.insert(id.to_owned());
        self.note_overtaken(id, objects);
    }

    /// A published snapshot stays, even if another invocation has published its own before the
    /// judge looked.
    fn note_overtaken(&mut self, id: &str, objects: &Objects) {
        if latest_id(objects).is_some_and(|latest| latest != id) {
            let folder = format!("snapshots/{id}/");
            let its = objects.iter().filter(|(key, _)| key.starts_with(&folder));
            self.published.extend(its.map(|(key, bytes)| (key.clone(), bytes.clone())));
        }
    }

    /// The instance of the published snapshot.
    pub(super) fn source(&self) -> &Sandbox {
        let snapshot = self.published().expect("published");
        &self.instances[self.instance_of(snapshot)].sandbox
    }

    /// A snapshot is called complete by the invocation that published it, or once by another one if
    /// the first could not answer.
    fn assert_new(&mut self, answer: &Value) {
        let id = answer["snapshot_id"].as_str().expect("an id").to_owned();
        let is_new = self.called_complete.insert(id);
        assert!(is_new || !self.alone(), "an old snapshot is called complete: {answer:#}");
        if self.alone() && self.held.as_deref() == answer["snapshot_id"].as_str() {
            assert_eq!(self.log(), [], "what was held is published, and Clerk was read again");
        }
    }

    /// A snapshot is held back if too much of the published one is missing.
    fn assert_rightly_held(&self, id: &str, answer: &Value, objects: &Objects) {
        let manifest = &objects[&format!("snapshots/{id}/manifest.json")];
        let manifest: Value = serde_json::from_slice(manifest).expect("JSON");
        let published = self.published().expect("it lost something");
        assert!(!self.accepts, "held, though losses are accepted: {answer:#}");
        if self.thawed && self.has_been_overtaken(objects) {
            // It compared with the snapshot that was published then.
            return;
        }
        let losses = self.losses(&published.manifest, &manifest);
        assert_eq!(answer["shrunk"], json!(losses), "{answer:#}");
        assert!(!losses.is_empty(), "held, and nothing was lost: {answer:#}");
    }

    /// The losses that the guard holds back, as an answer reports them (docs/reference.md).
    fn losses(&self, before: &Value, after: &Value) -> BTreeMap<String, Value> {
        let mut losses = BTreeMap::new();
        if self.guard == 0 {
            return losses;
        }
        let is_left_out =
            |entry: &Value| entry["status"] == "skipped" || entry["status"] == "failed";
        for (name, entry) in after["datasets"].as_object().expect("datasets") {
            let then = &before["datasets"][name];
            let Some(had) = then["records"].as_u64() else { continue };
            let has = entry["records"].as_u64().expect("a number");
            let lost_much =
                had >= 20 && had.saturating_sub(has) * 100 > had * u64::from(self.guard);
            // A dataset that was already unreadable then has lost nothing new.
            let is_gone = had > 0 && is_left_out(entry) && !is_left_out(then);
            if lost_much || is_gone {
                let mut loss = json!({"before": had, "after": has});
                if is_left_out(entry) {
                    loss["status"] = entry["status"].clone();
                }
                losses.insert(name.clone(), loss);
            }
        }
        losses
    }

    /// An invocation has failed.
    pub(super) fn failure(&self, error: &Error, armed: Armed) {
        self.error(error.name(), &error.message(), armed);
        self.assert_hidden(&format!("{error} {error:?}"), "an error");
        let mut cause = error.source();
        while let Some(error) = cause {
            self.assert_hidden(&format!("{error} {error:?}"), "a cause");
            cause = error.source();
        }
    }

    /// An invocation has failed with an error of this name.
    pub(super) fn error(&self, name: &str, message: &str, armed: Armed) {
        self.assert_hidden(message, "an error");
        if self.unproven {
            assert_eq!(name, "StoreUnavailable", "{message}");
            assert_eq!(self.log(), [], "requests were sent before the store was tested: {message}");
            return;
        }
        assert!(armed.explains(name), "nothing explains {name}: {message}");
        if !self.alone() {
            return;
        }
        let log = self.log();
        let answered =
            |what: &[Meaning]| log.iter().any(|it| what.iter().any(|&what| may_mean(it, what)));
        match name {
            "ClerkUnauthorized" => {
                assert!(answered(&[Meaning::KeyRefused]), "no key was refused: {message}");
            }
            "ClerkProtocol" if !self.lied => {
                // The run cannot continue without the instance's id.
                let nameless = |it: &LoggedRequest| {
                    it.path == "/v1/instance" && may_mean(it, Meaning::Refused)
                };
                let unreadable = answered(&[Meaning::Unreadable]) || log.iter().any(nameless);
                assert!(unreadable, "all could be read: {message}");
                if !log.iter().any(nameless) {
                    assert_named(&log, message);
                }
            }
            "ClerkUnavailable" => {
                let tried = [Meaning::TryAgain, Meaning::Unreadable];
                assert!(answered(&tried), "everything was answered: {message}");
            }
            _ => {}
        }
    }

    /// The requests to Clerk were allowed, and not too many.
    pub(super) fn wire(&self, watch: &Watch) {
        assert_eq!(watch.within_pauses(), [""; 0], "requests during a pause that Clerk asked for");
        let read = watch.instances_read();
        assert!(read.len() < 2, "two instances were read at once: {read:?}");
        self.asked(watch.requests());
    }

    /// The number of requests of one invocation was allowed, and not too high.
    pub(super) fn asked(&self, asked: u64) {
        for instance in &self.instances {
            let violations = instance.sandbox.violations();
            assert_eq!(violations, [], "requests that nobody should send");
        }
        if self.alone() {
            self.assert_one_instance_read();
        }
        let count = |list| -> usize {
            self.instances.iter().map(|instance| instance.sandbox.count(list)).sum()
        };
        let rows: usize = self.lists.iter().copied().map(count).sum();
        let pages = self.lists.len() + rows / 499;
        // One request for the rows of each owner.
        let owners = match self.owners() {
            [] => 0,
            owners => owners.iter().copied().map(count).sum::<usize>(),
        };
        let most = (20 * pages + 4 * owners + 400) as u64;
        assert!(asked <= most, "{asked} requests for {pages} pages and {owners} owners");
    }

    /// A key of another instance than the one that an invocation reads is used for nothing but the
    /// request of its instance.
    fn assert_one_instance_read(&self) {
        let read = |(instance, moment): (&Instance, &Moment)| {
            let log = instance.sandbox.requests_since(moment.requests);
            log.into_iter().find(|it| it.key_accepted && it.path != "/v1/instance")
        };
        let read: Vec<_> = self.instances.iter().zip(&self.before).filter_map(read).collect();
        assert!(read.len() < 2, "two instances were read at once: {read:?}");
    }

    /// The lists whose rows may own rows of other lists, which take a request for each owner.
    fn owners(&self) -> &'static [&'static str] {
        if self.lists.contains(&"api_keys") {
            &OWNERS
        } else if self.lists.contains(&"sessions") {
            &["users"]
        } else {
            &[]
        }
    }

    /// The objects in the store are allowed, and a reader sees a right snapshot.
    pub(super) fn store(&mut self, objects: &Objects) {
        self.note_runs(objects);
        for (key, bytes) in objects {
            assert_hidden(key, "a name");
            assert!(!key.contains(".."), "{key} leads out of the folder");
            if !key.ends_with(".gz") && !key.ends_with(".zst") {
                assert_hidden(&String::from_utf8_lossy(bytes), key);
            }
        }
        assert!(
            !self.unproven || !objects.contains_key("latest.json"),
            "the store ignores conditions, and something is published"
        );
        let newest_feed = objects.get("changes/latest.json").cloned();
        if newest_feed != self.newest_feed {
            Feed::latest(objects);
            self.newest_feed = newest_feed;
        }
        for (key, bytes) in objects.iter().filter(|(key, _)| key.ends_with("/manifest.json")) {
            let seen = self.manifests.entry(key.clone()).or_insert_with(|| bytes.clone());
            assert!(seen == bytes, "{key} was written again with other content");
        }
        let may_go = self.may_go(objects);
        for (key, bytes) in &self.published {
            let found = objects.get(key);
            let is_gone = found.is_none() && may_go.iter().any(|folder| key.starts_with(folder));
            assert!(is_gone || found == Some(bytes), "{key} was published and has changed");
            assert!(
                !is_gone || is_gone_by_right(key, objects),
                "{key} looks lost: nothing says that it was removed"
            );
        }
        let latest = objects.get("latest.json").cloned();
        if latest == self.latest {
            return;
        }
        let snapshot = Snapshot::of(objects).expect("latest.json is never taken away");
        self.assert_moved_forward(&snapshot);
        self.assert_let_pass(&snapshot);
        self.assert_right(&snapshot);
        for key in row_requests(&snapshot) {
            self.published.insert(key.clone(), objects[&key].clone());
        }
        if self.undeletable {
            let id = snapshot.latest["snapshot_id"].as_str().expect("an id");
            // Leftovers of earlier runs are never removed later.
            let before = self.runs.iter().filter(|run| run.id != id);
            self.cluttered.extend(before.map(|run| format!("snapshots/{}/", run.id)));
            self.cluttered.push(format!("snapshots/{id}/"));
        }
        (self.latest, self.snapshot) = (latest, Some(snapshot));
    }

    /// The folders of published snapshots that need not be kept.
    fn may_go(&self, objects: &Objects) -> BTreeSet<String> {
        let Some(keep) = self.keep else { return BTreeSet::new() };
        let of = |id: &str| format!("snapshots/{id}/");
        let mut folders: BTreeSet<String> = self
            .manifests
            .keys()
            .map(|key| key.trim_end_matches("manifest.json").to_owned())
            .collect();
        let mut next = latest_id(objects).and_then(|id| Some(id.as_str()?.to_owned()));
        for _ in 0..keep {
            let Some(id) = next else { break };
            folders.remove(&of(&id));
            let manifest = self.manifests.get(&format!("{}manifest.json", of(&id)));
            let manifest =
                manifest.map(|bytes| -> Value { serde_json::from_slice(bytes).expect("JSON") });
            next = manifest.and_then(|it| Some(it["previous"]["snapshot_id"].as_str()?.to_owned()));
        }
        folders
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
                self.runs.push(SeenRun { id, begun: self.before.clone() });
            }
        }
    }

    /// `latest.json` names a run that began later than the previous snapshot's.
    fn assert_moved_forward(&self, snapshot: &Snapshot) {
        let order = |snapshot: &Snapshot| {
            let id = snapshot.latest["snapshot_id"].as_str().expect("an id");
            self.runs.iter().position(|run| run.id == id).expect("every run has been seen")
        };
        if let Some(before) = &self.snapshot {
            assert!(order(before) < order(snapshot), "latest.json moved back");
        }
    }

    /// The guard had no reason to hold it, or somebody accepted the losses.
    fn assert_let_pass(&self, snapshot: &Snapshot) {
        let Some(before) = self.snapshot.as_ref().filter(|_| self.alone() && !self.accepts) else {
            return;
        };
        let losses = self.losses(&before.manifest, &snapshot.manifest);
        assert!(losses.is_empty(), "published, though it lost {losses:?}");
    }

    /// The instance that a snapshot says it is of.
    fn instance_of(&self, snapshot: &Snapshot) -> usize {
        let id = snapshot.manifest["instance"]["id"].as_str().expect("an instance");
        let found = self.instances.iter().position(|it| it.sandbox.instance_id() == id);
        found.expect("an instance that there is")
    }

    /// A snapshot holds every row that was there throughout and none that never existed, and says
    /// where that is not so.
    fn assert_right(&self, snapshot: &Snapshot) {
        let run = self.runs.iter().find(|run| snapshot.latest["snapshot_id"] == *run.id);
        let run = run.expect("every run has been seen");
        let log = self.log_since(&run.begun);
        self.assert_statuses(snapshot, &log);
        let number = self.instance_of(snapshot);
        let Instance { sandbox, first } = &self.instances[number];
        let begun = run.begun[number].changes;
        let history = sandbox.history();
        let required = Required::of(sandbox, snapshot, self.further.as_ref());
        let edits = |what: &dyn Fn(&str, &RowEdit) -> bool| {
            log.iter().any(|it| it.edits.iter().any(|edit| what(&it.path, edit)))
        };
        for &list in &self.lists {
            let changes = |range: &[Change]| -> Vec<Change> {
                range.iter().filter(|change| change.list == list).cloned().collect()
            };
            let source = Throughout::of(
                &first[list],
                &changes(&history[..begun]),
                &changes(&history[begun..]),
            );
            let of_nobody = list == "organization_memberships"
                && edits(&|path, it| odd::makes_nobody(path, it));
            self.assert_list_right(list, snapshot, &source, &required, of_nobody);
            if list == "machines" && !self.lied && !edits(&|_, it| odd::takes_rights(it)) {
                derived::assert_calls_right(snapshot, sandbox, &source);
            }
            if snapshot.manifest["run"]["invocations"] == 1 && !self.lied {
                // Not those that look for a row, or for the owners of other rows: they store none.
                let stores = |it: &&LoggedRequest| {
                    let has = |name: &str, value: Option<&str>| {
                        let mut query = it.query.iter();
                        query.any(|(own, its)| own == name && value.is_none_or(|it| it == its))
                    };
                    !has("limit", Some("1")) && !has("last_active_at_after", None)
                };
                let asked = log.iter().filter(|it| it.path == super::further::path_of(list));
                let asked = asked.filter(stores);
                let edits: Vec<RowEdit> = asked.flat_map(|it| it.edits.clone()).collect();
                odd::assert_counted(list, snapshot, &edits);
            }
        }
        odd::assert_typed(snapshot);
        assert_closed(snapshot, "references");
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
        required: &Required<'_>,
        of_nobody: bool,
    ) {
        let name = if list == "organization_memberships" { "grants" } else { list };
        let dataset = &snapshot.manifest["datasets"][name];
        if ["skipped", "failed"].iter().any(|status| dataset["status"] == *status) {
            return;
        }
        let ids = if name == "grants" { membership_ids(snapshot) } else { snapshot.ids(name) };
        let mut times: HashMap<&str, usize> = HashMap::new();
        ids.iter().for_each(|id| *times.entry(id).or_default() += 1);
        // Two rows that Clerk showed under one false id are two rows.
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
            "{list} holds rows that never existed: {invented:?}"
        );
        let verified = dataset["status"] == "verified";
        let lost: Vec<_> = source
            .always
            .iter()
            .filter(|id| !times.contains_key(id.as_str()) && required.has(list, id))
            .collect();
        let referential = &snapshot.manifest["referential"];
        let left_out: u64 = ["dangling_principals", "dangling_resources"]
            .iter()
            .filter(|_| name == "grants")
            .filter_map(|kind| referential[kind].as_u64())
            .sum();
        let may_lose = match (self.lied, verified) {
            (true, false) => lost.len() as u64,
            // Rows that Clerk showed under false ids are in their place.
            (true, true) => left_out + invented.len() as u64,
            (false, _) if of_nobody => left_out,
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
        // Grants also come from roles.
        let drifted = |name: &str| snapshot.manifest["datasets"][name]["status"] == "drifted";
        let agrees = agrees && (name != "grants" || !drifted("organization_roles"));
        // Their counts are sums, in which differences can cancel out.
        let is_one_list = !["invitations", "api_keys"].contains(&list);
        assert!(
            verified == agrees || (agrees && !is_one_list),
            "{list}: {held} rows of {counted:?}, {left_out} left out"
        );
        // If it was counted part by part, the sum need never have been true.
        let at_once = is_one_list && (list != "sessions" || dataset["walk"] == "offset");
        if verified && !self.lied && at_once {
            let counted = counted.expect("it agrees");
            assert!(source.sizes.contains(&counted), "{list} never had {counted} rows");
        }
    }

    /// The status of a dataset follows from the answers to its own lists.
    fn assert_statuses(&self, snapshot: &Snapshot, log: &[LoggedRequest]) {
        let mut whole = true;
        for (name, entry) in snapshot.manifest["datasets"].as_object().expect("datasets") {
            let answered = |what: Meaning, code: &Value, lists: &[String]| {
                log.iter().any(|it| {
                    may_mean(it, what)
                        && (code.is_null() || it.code.as_deref() == code.as_str())
                        && lists.iter().any(|list| asks_for(it, list))
                })
            };
            let (own, owners) = (lists_of(name), owners_of(name));
            let reason = &entry["reason"];
            match entry["status"].as_str().expect("a status") {
                "skipped" => {
                    assert!(reason.is_string(), "{name} is skipped without a reason");
                    // Lines of another list that could not be read are missing from it.
                    let gap = ["grants", "entitlements"].contains(&name.as_str())
                        && reason.as_str().is_some_and(|reason| reason.contains("/machines"))
                        && answered(Meaning::Unreadable, &Value::Null, &own);
                    let refused = gap
                        || answered(Meaning::Refused, reason, &own)
                        || answered(Meaning::Refused, reason, &owners);
                    assert!(refused, "{name} is skipped, and Clerk did not answer {reason}");
                }
                "failed" => {
                    whole = false;
                    assert!(!CORE.contains(&name.as_str()), "{name} failed, and is published");
                    assert_eq!(entry["records"], 0, "{name} failed, and has records");
                    let any = Value::Null;
                    let failed = answered(Meaning::Unreadable, &any, &own)
                        || answered(Meaning::Unreadable, &any, &owners);
                    assert!(failed, "{name} failed, and could be read: {reason}");
                    let names = |list: &String| {
                        let path = list.trim_start_matches("/v1");
                        reason.as_str().is_some_and(|reason| reason.contains(path))
                    };
                    let named = own.iter().chain(&owners).any(names);
                    assert!(named, "{name} failed, and no endpoint is named: {reason}");
                }
                "drifted" => whole = false,
                status => assert_eq!(status, "verified", "{name}"),
            }
        }
        assert_eq!(snapshot.manifest["verified"], whole, "verified");
        assert_eq!(snapshot.latest["verified"], whole, "verified");
    }

    /// The published snapshot equals the instance as it is now.
    pub(super) fn assert_exact(&self) {
        let snapshot = self.published().expect("published");
        assert_eq!(snapshot.manifest["verified"], true, "an instance that does not change");
        let sandbox = &self.instances[self.instance_of(snapshot)].sandbox;
        let required = Required::of(sandbox, snapshot, self.further.as_ref());
        for &list in &self.lists {
            let held = match list {
                "organization_memberships" => membership_ids(snapshot),
                _ => snapshot.ids(list),
            };
            let mut there: BTreeSet<String> = sandbox.ids(list).into_iter().collect();
            there.retain(|id| required.has(list, id));
            assert_eq!(held.len(), there.len(), "{list}");
            assert!(held.iter().all(|id| there.contains(id)), "{list}");
        }
        if let Some(further) = &self.further {
            further.assert_equals_source(snapshot, sandbox);
        }
    }

    /// The store holds nothing but what was published, and the replaced snapshots that were
    /// published one after the other while nothing could be deleted, except the last of them.
    pub(super) fn assert_no_leftovers(&self, objects: &Objects) {
        if self.damaged {
            return;
        }
        let left: Vec<_> = objects
            .keys()
            .filter(|key| *key != "latest.json" && !self.published.contains_key(*key))
            // A feed is held against what its own summary names, a list for Athena against what is in its snapshot,
            // and a signature against the manifest beside it.
            .filter(|key| !key.starts_with("changes/") && !key.starts_with("athena/"))
            .filter(|key| {
                !key.strip_suffix(".sig").is_some_and(|it| self.published.contains_key(it))
            })
            .filter(|key| {
                let forgotten = self.cluttered.len().saturating_sub(1);
                let mut forgotten = self.cluttered[..forgotten].iter();
                !forgotten.any(|folder| key.starts_with(folder))
            })
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// The key is not in a text.
    pub(super) fn assert_hidden(&self, text: &str, place: &str) {
        assert_hidden(text, place);
    }
}

/// What the answer says of the changes is what their summary says.
fn assert_sums_up(answer: &Value, objects: &Objects) {
    let changes = &answer["changes"];
    if changes.is_null() {
        return;
    }
    let id = answer["snapshot_id"].as_str().expect("an id");
    let summary = Feed::to(objects, id).expect("it is written").summary;
    for name in ["complete", "events", "privileged_granted"] {
        assert_eq!(changes[name], summary[name], "{answer:#}");
    }
    assert_eq!(changes["from"], summary["from"]["snapshot_id"], "{answer:#}");
}

/// The time in a snapshot's id.
fn begun(snapshot_id: &Value) -> Option<&str> {
    snapshot_id.as_str()?.split('-').next()
}

/// Whether a file that is gone went with its whole snapshot, or something says that the snapshot is being removed.
fn is_gone_by_right(key: &str, objects: &Objects) -> bool {
    let id = key.split('/').nth(1).expect("a snapshot's file");
    !objects.contains_key(&format!("snapshots/{id}/manifest.json"))
        || objects.contains_key(&format!("removing/{id}.json"))
}

pub(super) fn latest_id(objects: &Objects) -> Option<Value> {
    Some(read(objects, "latest.json")?["snapshot_id"].clone())
}

fn read(objects: &Objects, key: &str) -> Option<Value> {
    Some(serde_json::from_slice(objects.get(key)?).expect("JSON"))
}

/// Whether a snapshot has been published after the one of an answer: it began no earlier, or it names that one as the
/// one before. The second tells if the clock was set back between the two.
fn is_past(answer: &Value, objects: &Objects) -> bool {
    let (own, latest) = (&answer["snapshot_id"], read(objects, "latest.json"));
    let Some(latest) = latest else { return false };
    let manifest = read(objects, latest["manifest"].as_str().expect("a key"));
    let follows = manifest.is_some_and(|manifest| manifest["previous"]["snapshot_id"] == *own);
    follows || begun(own) <= begun(&latest["snapshot_id"])
}

fn assert_hidden(text: &str, place: &str) {
    assert!(!text.contains(DEFAULT_KEY), "the key is in {place}");
    assert!(!text.contains(OTHER_KEY), "the other instance's key is in {place}");
}

/// If a required field cannot be read, and nothing else is wrong, the error names the list, the
/// field and the row.
fn assert_named(log: &[LoggedRequest], message: &str) {
    let unreadable = || log.iter().filter(|it| may_mean(it, Meaning::Unreadable));
    if unreadable().any(|it| it.spoiled || it.status != Some(200)) {
        return;
    }
    let names = |(path, edit): (&str, &RowEdit)| {
        let field = edit.pointer.rsplit('/').next().unwrap_or_default();
        // A row without an id of its own is named by its place.
        let row = edit.pointer == "/id" || message.contains(&edit.id);
        row && message.contains(path.trim_start_matches("/v1")) && message.contains(field)
    };
    let mut edits =
        unreadable().flat_map(|it| it.edits.iter().map(|edit| (it.path.as_str(), edit)));
    assert!(edits.any(names), "it does not say which field of which row: {message}");
}
