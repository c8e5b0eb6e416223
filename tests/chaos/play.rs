//! Carries a schedule out against the handler, under paused time, and has every invocation judged.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use clerk_sandbox::{DEFAULT_KEY, Sandbox};
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::{Operation, Store};
use clerk_sync::clock::Clock;
use clerk_sync::error::Error;
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{Label, SecretError, SecretSource};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, LocalSet};

use super::changes::change_rows;
use super::further::{Further, make_active};
use super::hazards::{OTHER_KEY, other_instance};
use super::judge::{Armed, Judge, latest_id};
use super::schedule::{Act, Damage, Event, Instance, Lie, Schedule, Stop};
use super::wire::{Watch, WatchedTransport};
use crate::support::captured::Captured;
use crate::support::chain::assert_chain;
use crate::support::faulty_store::{Effect, Fault, FaultyStore};
use crate::support::feed::assert_feeds;
use crate::support::fuse::{Fuse, Side};
use crate::support::gate::{Gate, GatedStore};
use crate::support::lists_of_files::assert_listed;
use crate::support::plain::{FIRST, add_memberships, fill};
use crate::support::signer::LocalSigner;
use crate::support::world::{START, World};

/// An invocation without a deadline that takes more simulated time than this counts as endless.
const FOR_EVER: Duration = Duration::from_secs(20_000);
/// When Lambda kills an invocation at the latest (AWS documentation, "Lambda quotas").
const LONGEST: Duration = Duration::from_secs(900);
/// Once all faults are gone, a run is complete within this many invocations.
const MAX_INVOCATIONS: usize = 8;
/// Longer than a lease, and than any wait a schedule asks for.
const A_WHILE: Duration = Duration::from_secs(6_000);
/// The default of `LEASE_SECONDS`.
const LEASE: Duration = Duration::from_secs(60);

/// The result of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Played {
    /// How each invocation ended: a status, an error's name, or what stopped it.
    pub(super) ends: Vec<String>,
    /// The number of requests.
    pub(super) requests: u64,
    /// Whether the snapshot of the schedule's last run is verified.
    pub(super) verified: bool,
}

/// Carries a schedule out.
///
/// # Errors
/// The promise that was broken.
pub(super) fn play(schedule: &Schedule) -> Result<Played, String> {
    fastrand::seed(schedule.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
        LocalSet::new().block_on(&runtime, async {
            let log = Captured::start();
            let mut stage = Stage::of(&schedule.instance);
            for (_, act) in &schedule.acts {
                stage.act(act).await;
            }
            let played = stage.end().await;
            stage.judge.assert_hidden(&log.text(), "the log");
            played
        })
    }));
    played.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

/// The instance of a schedule.
fn instance(instance: &Instance) -> Sandbox {
    let sandbox = Sandbox::empty();
    let moment = |number: usize| FIRST + 1000 * (number / instance.tie) as i64;
    let mut held = Vec::new();
    for number in 0..instance.permissions {
        let key = format!("org:thing_{number}:read");
        sandbox.add_permission(&key, &key, moment(number));
        held.push(key);
    }
    let held: Vec<&str> = held.iter().take(9).map(String::as_str).collect();
    sandbox.add_role("org:admin", "Admin", &held, FIRST);
    sandbox.add_role("org:member", "Member", &[], FIRST + 1);
    fill(&sandbox, "users", instance.users, moment);
    fill(&sandbox, "organizations", instance.organizations, moment);
    add_memberships(&sandbox, instance.memberships, moment);
    if let Some(further) = &instance.further {
        make_active(&sandbox, START as i64);
        further.fill(&sandbox, moment);
    }
    sandbox.set_rules(instance.rules);
    sandbox.set_latency(instance.latency, Duration::ZERO);
    sandbox
}

struct Stage {
    world: World,
    /// `CHANGES`.
    changes: &'static str,
    /// What signs manifests; there are lists for Athena, too.
    signer: Option<Arc<LocalSigner>>,
    further: Option<Further>,
    /// The store with its lasting faults.
    store: Arc<FaultyStore>,
    secret: Arc<TroubledSecret>,
    judge: Judge,
    /// For the next sync.
    events: Vec<(u64, Event)>,
    stops: Vec<(u64, Side, Stop)>,
    /// What may be wrong by now.
    armed: Armed,
    frozen: Vec<Frozen>,
    played: Played,
    /// The instance to which the secret may change.
    other: Sandbox,
    keys: Arc<AtomicU64>,
    /// Faults of the store that last until all others are gone.
    for_good: Vec<Fault>,
    /// When an invocation was last seen working, unless the clock has jumped since.
    at_work: Option<Timestamp>,
}

struct Frozen {
    gate: Arc<Gate>,
    watch: Arc<Watch>,
    work: JoinHandle<Result<Value, Error>>,
    /// The snapshot published at that time.
    latest: Option<Value>,
    /// Whether its event accepts losses.
    accepts: bool,
}

/// How an invocation ended.
enum End {
    Answered(Value),
    Failed(Error),
    PowerCut,
    Frozen,
    Killed,
}

impl Stage {
    fn of(described: &Instance) -> Self {
        let sandbox = instance(described);
        let other = other_instance(&sandbox);
        let secret = Arc::new(TroubledSecret::default());
        let mut world = World::new(sandbox.clone())
            .with("COMPRESSION", described.compression)
            .with("SHRINK_GUARD_PERCENT", &described.guard.to_string())
            .with("CHANGES", described.changes)
            .with("ATHENA_LATEST", if described.has_evidence { "true" } else { "" });
        if let Some(keep) = described.keep {
            world = world.with("KEEP_SNAPSHOTS", &keep.to_string());
        }
        let signer = described.has_evidence.then(|| Arc::new(LocalSigner::new(7)));
        world.signer = signer.clone();
        for (name, value) in described.further.iter().flat_map(Further::settings) {
            world = world.with(name, &value);
        }
        world.secret = Arc::clone(&secret) as Arc<dyn SecretSource>;
        let store = Arc::clone(&world.store);
        let mut judge = Judge::of(&[&sandbox, &other], described.further.clone(), described.guard);
        judge.keep = described.keep;
        Self {
            judge,
            further: described.further.clone(),
            changes: described.changes,
            signer,
            world,
            store,
            secret,
            events: Vec::new(),
            stops: Vec::new(),
            armed: Armed::default(),
            frozen: Vec::new(),
            played: Played::default(),
            other,
            keys: Arc::default(),
            for_good: Vec::new(),
            at_work: None,
        }
    }

    async fn act(&mut self, act: &Act) {
        let sandbox = &self.world.sandbox;
        match act {
            Act::Wire(rule, lie) => {
                sandbox.fault(rule.clone());
                self.armed.wire = true;
                self.armed.key |= *lie == Lie::Key;
                self.judge.lied |= *lie == Lie::Rows;
            }
            Act::Store(fault) => {
                self.store.fault(fault.clone());
                self.armed.store = true;
                self.armed.hangs |= fault.effect() == Effect::Hang;
                // What cannot be listed cannot be deleted. A single failure is tried again.
                self.judge.undeletable |= fault.is_of(Operation::Delete)
                    || (fault.is_of(Operation::List) && fault.is_lasting());
            }
            Act::StoreForGood(fault) => {
                self.store.fault(fault.clone());
                self.for_good.push(fault.clone());
                self.armed.store = true;
                self.judge.undeletable = true;
            }
            Act::NoConditions(effect) => {
                for operation in [Operation::Put, Operation::Delete] {
                    self.store.fault(Fault::new(operation, *effect).from(1));
                }
                self.judge.unproven = true;
            }
            Act::Conditions => {
                self.store.heal();
                self.judge.unproven = false;
            }
            Act::SecretFails(times) => {
                self.secret.fails.fetch_add(u64::from(*times), Ordering::SeqCst);
                self.armed.secret = true;
            }
            Act::RotateKey => self.keyring().rotate(),
            Act::TurnKey(old_ends) => {
                self.armed.key = true;
                self.keyring().turn(*old_ends);
            }
            Act::Lose(loss) => loss.befall(sandbox),
            Act::ClockJumps(seconds) => {
                self.at_work = None;
                let now = self.world.clock.now().unix_millis() + 1000 * seconds;
                let since = Duration::from_millis(u64::try_from(now).expect("after 1970"));
                self.world.clock = Clock::simulated(SystemTime::UNIX_EPOCH + since);
            }
            Act::Churn(plan) => sandbox.churn(plan.clone()),
            Act::AtRequest(number, event) => self.events.push((*number, *event)),
            Act::AtStoreCall(number, side, stop) => self.stops.push((*number, *side, *stop)),
            Act::Checkpoint(damage) => self.damage(*damage),
            Act::Sync { budget, deadline, twice } => {
                let event = match budget {
                    Some(seconds) => json!({"time_budget_seconds": seconds}),
                    None => json!({}),
                };
                self.sync(event, deadline.map(Duration::from_secs), *twice).await;
            }
            Act::Accept => self.sync(json!({"accept_shrink": true}), None, false).await,
            Act::Thaw => self.thaw().await,
            Act::Wait(seconds) => tokio::time::advance(Duration::from_secs(*seconds)).await,
            Act::Heal => self.heal(),
        }
    }

    /// One invocation, or two concurrent ones.
    async fn sync(&mut self, mut event: Value, deadline: Option<Duration>, twice: bool) {
        self.further.iter().for_each(|further| further.opt_in(&mut event));
        self.judge.before(&event, &self.world.memory.objects());
        self.judge.raced = twice;
        let struck = (self.world.sandbox.faults_struck(), self.store.struck());
        let disturbed = !self.events.is_empty() || !self.stops.is_empty() || twice;
        let second = twice.then(|| {
            let (mut world, watch) = (self.guarded(None), Watch::default());
            let event = event.clone();
            let transport = WatchedTransport::of(&world.sandbox, None, &watch);
            world.transport = Arc::new(transport);
            (
                tokio::task::spawn_local(async move { world.handle_until(event, deadline).await }),
                watch,
            )
        });
        let watch = Watch::default();
        let end = self.invoke(event, deadline, &watch).await;
        self.note(&end, &watch, disturbed || self.is_struck_since(struck));
        if let Some((work, watch)) = second {
            let end = ended_within(self.work_limit(deadline), work).await;
            self.note(&end, &watch, true);
        }
    }

    fn is_struck_since(&self, before: (u64, u64)) -> bool {
        (self.world.sandbox.faults_struck(), self.store.struck()) != before
    }

    /// How long an invocation may run.
    fn work_limit(&self, deadline: Option<Duration>) -> Duration {
        // With a store that never answers, Lambda ends what the program does not.
        let without = if self.armed.hangs { LONGEST } else { FOR_EVER };
        deadline.unwrap_or(without)
    }

    /// The world as one invocation sees it, its store behind a gate.
    fn guarded(&self, gate: Option<&Arc<Gate>>) -> World {
        let mut world = self.world.clone();
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        world.store = FaultyStore::new(match gate {
            Some(gate) => GatedStore::behind(store, Arc::clone(gate)),
            None => store,
        });
        world
    }

    async fn invoke(
        &mut self,
        event: Value,
        deadline: Option<Duration>,
        watch: &Arc<Watch>,
    ) -> End {
        let gate = Gate::of(
            std::mem::take(&mut self.stops)
                .into_iter()
                .map(|(call, side, stop)| (call, side, stop == Stop::Freeze)),
        );
        let fuse = self.put_in_events();
        let mut world = self.guarded(Some(&gate));
        let transport = WatchedTransport::of(&world.sandbox, Some(&gate), watch);
        world.transport = Arc::new(transport);
        let mut work =
            tokio::task::spawn_local(async move { world.handle_until(event, deadline).await });
        let work_limit = self.work_limit(deadline);
        let end = tokio::select! {
            biased;
            () = fuse.blown() => End::PowerCut,
            freezes = gate.reached() => if freezes { End::Frozen } else { End::PowerCut },
            done = &mut work => End::from(done.expect("no panic")),
            () = tokio::time::sleep(work_limit) => End::Killed,
        };
        self.world.sandbox.on_request(|_, _| ());
        self.world.interrupt.send_replace(false);
        match end {
            End::Frozen => {
                let watch = Arc::clone(watch);
                let latest = latest_id(&self.world.memory.objects());
                let accepts = self.judge.accepts;
                self.frozen.push(Frozen { gate, watch, work, latest, accepts });
            }
            End::PowerCut | End::Killed => {
                work.abort();
                // It is gone before anything else begins.
                let _cancelled = work.await;
            }
            End::Answered(_) | End::Failed(_) => {}
        }
        end
    }

    /// Sets the events at requests of the next invocation; the fuse blows where its power fails.
    fn put_in_events(&mut self) -> Arc<Fuse> {
        let fuse = Fuse::blowing_at(1);
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return fuse;
        }
        let (blowing, keyring) = (Arc::clone(&fuse), self.keyring());
        let interrupt = self.world.interrupt.clone();
        let seen = AtomicU64::new(0);
        // An invocation reads the secret once more, and not forever.
        let rotations = events.iter().filter(|(_, event)| matches!(event, Event::RotateKey));
        let turns = events.iter().any(|(_, event)| matches!(event, Event::TurnKey(_)));
        self.armed.key |= rotations.count() > 1 || turns;
        self.world.sandbox.on_request(move |sandbox, request| {
            let number = seen.fetch_add(1, Ordering::SeqCst) + 1;
            for (_, event) in events.iter().filter(|(at, _)| *at == number) {
                match event {
                    Event::PowerCut => {
                        blowing.step();
                    }
                    Event::Interrupt => {
                        interrupt.send_replace(true);
                    }
                    Event::RotateKey => keyring.rotate(),
                    Event::TurnKey(old_ends) => keyring.turn(*old_ends),
                    change => change_rows(sandbox, *change, request.parameter("starting_after")),
                }
            }
        });
        fuse
    }

    fn keyring(&self) -> Keyring {
        Keyring {
            sandbox: self.world.sandbox.clone(),
            other: self.other.clone(),
            secret: Arc::clone(&self.secret),
            keys: Arc::clone(&self.keys),
        }
    }

    /// Nobody waits longer than one lease for an invocation that has stopped working. A
    /// `held_until` in the past requires no wait: a store that refuses every write looks as if
    /// another invocation had been faster.
    fn assert_busy_by_right(&self, answer: &Value) {
        let held_until: Timestamp =
            answer["held_until"].as_str().and_then(|it| it.parse().ok()).expect("a time");
        let has_passed = held_until <= self.world.clock.now();
        // One that was frozen has the clock that it began with, and clocks may have jumped since.
        if self.judge.raced || self.judge.thawed || !self.frozen.is_empty() || has_passed {
            return;
        }
        if let Some(at_work) = self.at_work {
            let held = held_until.saturating_duration_since(at_work);
            assert!(held <= LEASE, "nobody is at work, and it stays busy for {held:?}: {answer:#}");
        }
    }

    fn note(&mut self, end: &End, watch: &Watch, disturbed: bool) {
        let name = match end {
            End::Answered(answer) => answer["status"].as_str().expect("a status").to_owned(),
            End::Failed(error) => error.name().to_owned(),
            End::PowerCut => "power cut".to_owned(),
            End::Frozen => "frozen".to_owned(),
            End::Killed => "killed".to_owned(),
        };
        self.played.ends.push(name);
        match end {
            End::Answered(answer) => {
                if answer["status"] == "busy" {
                    self.assert_busy_by_right(answer);
                }
                self.judge.answer(answer, &self.world.memory.objects(), disturbed);
            }
            End::Failed(error) => self.judge.failure(error, self.armed),
            End::Killed => assert!(self.armed.hangs, "an invocation runs past its time"),
            End::PowerCut | End::Frozen => {}
        }
        let is_busy = matches!(end, End::Answered(answer) if answer["status"] == "busy");
        if !is_busy {
            self.at_work = Some(self.world.clock.now());
        }
        self.judge.wire(watch);
        self.judge.store(&self.world.memory.objects());
    }

    async fn thaw(&mut self) {
        let accepts_now = self.judge.accepts;
        for Frozen { gate, watch, work, latest, accepts } in std::mem::take(&mut self.frozen) {
            gate.open();
            let end = ended_within(FOR_EVER, work).await;
            self.armed.rival = true;
            self.judge.thawed = true;
            self.judge.latest_when_frozen = latest;
            self.judge.accepts = accepts;
            self.note(&end, &watch, true);
            self.judge.latest_when_frozen = None;
            self.judge.thawed = false;
        }
        self.judge.accepts = accepts_now;
    }

    fn heal(&mut self) {
        self.world.sandbox.clear_faults();
        self.world.sandbox.stop_churn();
        self.store.heal();
        self.for_good.iter().for_each(|fault| self.store.fault(fault.clone()));
        self.judge.unproven = false;
        self.judge.undeletable = !self.for_good.is_empty();
        self.secret.fails.store(0, Ordering::SeqCst);
        self.events.clear();
        self.stops.clear();
    }

    fn damage(&mut self, damage: Damage) {
        let Some(bytes) = self.world.memory.objects().remove("checkpoint.json") else { return };
        self.judge.damaged = true;
        self.armed.unreadable = true;
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let format = |number: &str| text.replacen("checkpoint/4", number, 1);
        let text = match damage {
            Damage::OlderFormat => format("checkpoint/1"),
            Damage::NewerFormat => format("checkpoint/99"),
            Damage::CutShort => text[..text.len() / 2].to_owned(),
            Damage::Gone => {
                self.world.memory.take_away("checkpoint.json");
                return;
            }
        };
        self.world.memory.plant("checkpoint.json", text);
    }

    /// Once all faults are gone the run completes, whatever was frozen does no harm, and a run of
    /// its own finds exactly the rows of the instance.
    async fn end(&mut self) -> Played {
        self.heal();
        tokio::time::advance(A_WHILE).await;
        self.finish(json!({})).await;
        let verified = self.judge.published().is_some_and(|it| it.manifest["verified"] == true);
        self.thaw().await;
        tokio::time::advance(A_WHILE).await;
        if !self.for_good.is_empty() {
            // Each of them makes a new snapshot, although the store does not delete the old ones.
            for _ in 0..2 {
                self.finish(json!({})).await;
            }
            self.for_good.clear();
            self.heal();
            self.finish(json!({})).await;
        }
        self.finish(json!({"restart": true})).await;
        self.judge.assert_exact();
        if self.changes != "off" {
            self.write_owed_feed().await;
        }
        let objects = self.world.memory.objects();
        if let Some(signer) = &self.signer {
            signer.assert_signed_latest(&objects, "in the end");
            let newest = latest_id(&objects).expect("published");
            assert_eq!(assert_listed(&objects).as_deref(), newest.as_str());
        }
        self.judge.assert_no_leftovers(&objects);
        assert_chain(&self.world, "the chain");
        let requests = self.world.sandbox.total_requests();
        Played { requests, verified, ..std::mem::take(&mut self.played) }
    }

    /// The newest snapshot has its feed, and the action makes those of the others.
    async fn write_owed_feed(&self) {
        let newest = latest_id(&self.world.memory.objects()).expect("published");
        let answer =
            self.world.handle(json!({"action": "changes"})).await.expect("no faults are left");
        assert_eq!(answer["owed"], 0, "{answer:#}");
        let made = answer["made"].as_array().expect("ids");
        assert!(!made.contains(&newest), "the newest was still owed: {answer:#}");
        assert_feeds(&self.world.memory.objects());
    }

    async fn finish(&mut self, first: Value) {
        let mut event = first;
        for _ in 0..MAX_INVOCATIONS {
            self.sync(event, None, false).await;
            event = match self.played.ends.last().map(String::as_str) {
                Some("complete") => return,
                Some("held") => json!({"accept_shrink": true}),
                Some("StateUnreadable") => json!({"restart": true}),
                _ => json!({}),
            };
            tokio::time::advance(self.longest_pause()).await;
        }
        panic!("not complete although all faults are gone: {:?}", self.played.ends);
    }

    /// Until the end of a pause that Clerk has asked for, if there is one.
    fn longest_pause(&self) -> Duration {
        let checkpoint = self.world.memory.objects().remove("checkpoint.json");
        let retry_at = checkpoint
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .and_then(|checkpoint| checkpoint["retry_at"].as_str()?.parse::<Timestamp>().ok());
        let left = retry_at.map(|at| at.saturating_duration_since(self.world.clock.now()));
        // The program never waits longer than a day, whatever a server asks for.
        left.unwrap_or_default().min(Duration::from_secs(86_400)).max(A_WHILE)
    }
}

/// Waits this long for an invocation, and then kills it: an invocation that a store never answers
/// would renew its lease forever.
async fn ended_within(work_limit: Duration, mut work: JoinHandle<Result<Value, Error>>) -> End {
    match tokio::time::timeout(work_limit, &mut work).await {
        Ok(done) => End::from(done.expect("no panic")),
        Err(_) => {
            work.abort();
            let _cancelled = work.await;
            End::Killed
        }
    }
}

impl From<Result<Value, Error>> for End {
    fn from(done: Result<Value, Error>) -> Self {
        match done {
            Ok(answer) => Self::Answered(answer),
            Err(error) => Self::Failed(error),
        }
    }
}

/// Replaces the key in the secret.
struct Keyring {
    sandbox: Sandbox,
    other: Sandbox,
    secret: Arc<TroubledSecret>,
    keys: Arc<AtomicU64>,
}

impl Keyring {
    /// Replaces it with another key of the first instance.
    fn rotate(&self) {
        let key = format!("{DEFAULT_KEY}{}", self.next());
        self.sandbox.rotate_key(key.clone());
        *self.key() = key;
    }

    /// Replaces it with a key of the other instance; the old key is revoked or not.
    fn turn(&self, old_ends: bool) {
        let is_other = self.key().starts_with(OTHER_KEY);
        if is_other {
            return self.rotate();
        }
        let key = format!("{OTHER_KEY}{}", self.next());
        self.other.rotate_key(key.clone());
        self.sandbox.belongs_to(key.clone(), &self.other);
        if old_ends {
            self.sandbox.rotate_key("of nobody");
        }
        *self.key() = key;
    }

    fn next(&self) -> u64 {
        self.keys.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn key(&self) -> MutexGuard<'_, String> {
        self.secret.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A secret that fails to be read this many times.
#[derive(Debug)]
struct TroubledSecret {
    key: Mutex<String>,
    fails: AtomicU64,
}

impl Default for TroubledSecret {
    fn default() -> Self {
        Self { key: Mutex::new(DEFAULT_KEY.to_owned()), fails: AtomicU64::new(0) }
    }
}

#[async_trait]
impl SecretSource for TroubledSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        let took = |left: u64| left.checked_sub(1);
        if self.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, took).is_ok() {
            let source = "a planted fault".into();
            let secret_id = Label::new("clerk/secret-key").expect("no key");
            return Err(SecretError::Unavailable { secret_id, source });
        }
        let key = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(SecretKey::parse(&key).expect("a key"))
    }

    fn can_rotate(&self) -> bool {
        true
    }
}
