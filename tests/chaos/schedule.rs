//! Schedules: an instance and everything that happens while it is copied, drawn from a seed.

use std::fmt;
use std::time::Duration;

use clerk_sandbox::{ChurnPlan, DeletedCursor, Effect, FaultRule, Rules};
use clerk_store::Operation;
use fastrand::Rng;
use serde_json::json;

use super::further::{self, Further};
use super::hazards::{Hazard, Hazards, Loss, some_refusal};
use super::odd;
use crate::support::faulty_store::{Effect as StoreEffect, Fault};
use crate::support::fuse::Side;

/// A schedule. Any of its acts can be left out, and the rest is still a schedule.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    /// The seed.
    pub(super) seed: u64,
    /// The instance that is copied.
    pub(super) instance: Instance,
    /// The acts in order, each with its number in the whole schedule.
    pub(super) acts: Vec<(usize, Act)>,
}

/// A Clerk instance and its server.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) users: usize,
    pub(super) organizations: usize,
    pub(super) memberships: usize,
    pub(super) permissions: usize,
    /// The number of rows of a list that share each `created_at`.
    pub(super) tie: usize,
    pub(super) rules: Rules,
    pub(super) latency: Duration,
    pub(super) compression: &'static str,
    /// The lists opted in besides the five.
    pub(super) further: Option<Further>,
    /// `SHRINK_GUARD_PERCENT`.
    pub(super) guard: u32,
    /// `CHANGES`.
    pub(super) changes: &'static str,
    /// `ATHENA_LATEST` is on, and manifests are signed.
    pub(super) has_evidence: bool,
    /// `KEEP_SNAPSHOTS`.
    pub(super) keep: Option<usize>,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// From now on Clerk answers with this fault.
    Wire(FaultRule, Lie),
    /// From now on the store fails like this.
    Store(Fault),
    /// From now on the store fails like this until all other faults are gone.
    StoreForGood(Fault),
    /// From now on the store ignores the conditions of calls.
    NoConditions(StoreEffect),
    /// From now on it obeys them.
    Conditions,
    /// The next readings of the secret fail.
    SecretFails(u32),
    /// The key is replaced, in Clerk and in the secret.
    RotateKey,
    /// The secret gets a key of the other instance, or of the first one again. The value says
    /// whether the old key is revoked.
    TurnKey(bool),
    /// Rows are deleted.
    Lose(Loss),
    /// The clock jumps by this many seconds.
    ClockJumps(i64),
    /// From now on rows are added and deleted between pages.
    Churn(ChurnPlan),
    /// An event as the next sync sends its n-th request.
    AtRequest(u64, Event),
    /// The next sync is stopped at its n-th store call.
    AtStoreCall(u64, Side, Stop),
    /// The checkpoint is damaged.
    Checkpoint(Damage),
    /// A sync.
    Sync {
        /// Its `time_budget_seconds`.
        budget: Option<f64>,
        /// When Lambda kills it, in seconds.
        deadline: Option<u64>,
        /// Whether the event is delivered a second time while it runs.
        twice: bool,
    },
    /// A sync with `accept_shrink`.
    Accept,
    /// Everything frozen continues.
    Thaw,
    /// This many seconds pass.
    Wait(u64),
    /// All faults are removed, and nothing changes any more.
    Heal,
}

/// What a fault on the network may make a correct program believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    /// Nothing wrong.
    None,
    /// That rows are missing, or that there are more or fewer.
    Rows,
    /// That a field of a row has an impossible value.
    Value,
    /// That the key is not accepted.
    Key,
}

/// An event as a request arrives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    PowerCut,
    Interrupt,
    RotateKey,
    /// The secret gets a key of another instance, and the old key is revoked or not.
    TurnKey(bool),
    /// The user at the current position of the list is deleted.
    DeleteCursorRow,
    /// Rows are created at exactly the same time as others.
    Tie,
    Backdate,
    ChangeRole,
    Rename,
    DeleteOrganization,
    /// An invitation moves from one of Clerk's two lists to the other.
    RevokeInvitation,
    /// A machine is created, and another may call it.
    CallNewMachine,
    DeleteMachine,
}

/// How an invocation is stopped at a store call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    PowerCut,
    /// The invocation is frozen until it is thawed.
    Freeze,
}

/// Damage to `checkpoint.json`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Damage {
    /// Written by an older version.
    OlderFormat,
    /// Written by a newer version.
    NewerFormat,
    /// Cut off in the middle.
    CutShort,
    Gone,
}

impl Damage {
    pub(super) const ALL: [Self; 4] =
        [Self::OlderFormat, Self::NewerFormat, Self::CutShort, Self::Gone];
}

impl Schedule {
    /// The schedule of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut draw = Draw {
            random: Rng::with_seed(seed),
            calm: seed.is_multiple_of(2),
            further: Further::of(seed, &SIZES),
            acts: Vec::new(),
        };
        let mut instance = draw.instance();
        for _ in 0..draw.random.u32(1..=5) {
            draw.round();
        }
        instance.guard = draw.add_hazards(seed);
        instance.changes = changes(seed);
        instance.has_evidence = has_evidence(seed);
        instance.keep = keep(seed);
        if instance.changes != "off" {
            draw.add_feed_faults(seed);
        }
        let acts = draw.acts.into_iter().enumerate().collect();
        Self { seed, instance, acts }
    }

    /// Keeps only the acts with these numbers.
    pub(super) fn only(mut self, numbers: &[usize]) -> Self {
        self.acts.retain(|(number, _)| numbers.contains(number));
        self
    }

    /// The numbers of its acts.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.acts.iter().map(|(number, _)| *number).collect()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "  {:?}", self.instance)?;
        for (number, act) in &self.acts {
            writeln!(formatter, "  {number}: {act:?}")?;
        }
        Ok(())
    }
}

struct Draw {
    random: Rng,
    /// Rows do not change; instead Clerk may lie about them. Both at once could cancel out, which
    /// no program could notice.
    calm: bool,
    further: Option<Further>,
    acts: Vec<Act>,
}

const COMPRESSIONS: [&str; 3] = ["none", "gzip", "zstd"];
/// Numbers of rows of a further list: mostly few, or about a page.
const SIZES: [usize; 12] = [0, 1, 3, 3, 12, 12, 40, 99, 101, 499, 501, 1_010];

impl Draw {
    fn one_in(&mut self, times: u32) -> bool {
        self.random.u32(0..times) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.usize(0..choices.len())]
    }

    fn instance(&mut self) -> Instance {
        // Pages have 500 rows: just below or above a multiple, or a few rows.
        let users = match self.random.u32(0..25) {
            // Enough for windows.
            0 => 8_600,
            _ => self.of(&[0, 1, 3, 40, 499, 500, 501, 505, 999, 1_200]),
        };
        let organizations = self.of(&[0, 1, 12, 12, 60, 505]);
        let further = self.further.clone();
        let owners = |drawn| further.as_ref().map_or(drawn, |further| further.owners(drawn));
        let (users, organizations) = (owners(users), owners(organizations));
        let most = (users * organizations).min(1_300);
        let memberships = self.of(&[0, 1, 40, 499, 505, 1_010, 1_300]).min(most);
        Instance {
            users,
            organizations,
            memberships,
            permissions: self.of(&[0, 2, 9, 505]),
            tie: self.of(&[1, 1, 7, 40, 600]),
            rules: Rules {
                before_includes: self.random.bool(),
                after_includes: self.random.bool(),
                deleted_cursor: self.of(&[
                    DeletedCursor::Refused,
                    DeletedCursor::Continues,
                    DeletedCursor::EmptyPage,
                    DeletedCursor::FirstPage,
                ]),
                sessions_need_user: further.as_ref().is_some_and(|it| it.sessions_need_user),
                ..Rules::default()
            },
            latency: Duration::from_millis(self.of(&[0, 5, 30, 200, 600, 2_000])),
            compression: self.of(&COMPRESSIONS),
            further,
            guard: 0,
            changes: "off",
            has_evidence: false,
            keep: None,
        }
    }

    /// Adds what is drawn separately, so that the rest of the schedule stays the same; returns the
    /// guard's percentage.
    fn add_hazards(&mut self, seed: u64) -> u32 {
        let (hazards, mut random) = Hazards::of(seed);
        for kind in &hazards.kinds {
            self.add_hazard(*kind, &mut random);
        }
        hazards.guard
    }

    /// Adds faults of the store's files of changes, and cuts between their calls, drawn separately as well.
    fn add_feed_faults(&mut self, seed: u64) {
        const SYNC: Act = Act::Sync { budget: None, deadline: None, twice: false };
        let mut random = Rng::with_seed(seed ^ 0xfeed);
        // A store that ignores conditions does so from the beginning.
        let conditions = self.acts.iter().rposition(|act| matches!(act, Act::Conditions));
        let first = conditions.map_or(0, |at| at + 1);
        for _ in 0..random.u32(1..=2) {
            let (operation, key) = [
                (Operation::Get, "changes/latest.json"),
                (Operation::Get, "summary.json"),
                (Operation::Get, "part-"),
                (Operation::Get, "manifest.json"),
                (Operation::Put, "changes/"),
                (Operation::Put, "summary.json"),
                (Operation::Put, "changes/latest.json"),
                (Operation::List, "changes/"),
            ][random.usize(0..8)];
            let effect = [
                StoreEffect::FailBefore,
                StoreEffect::FailAfter,
                StoreEffect::LoseAnswer,
                StoreEffect::RefusePrecondition,
                StoreEffect::RefuseAfter,
                StoreEffect::Hang,
            ][random.usize(0..6)];
            let fault = Fault::new(operation, effect).on_key(key).at(random.u64(1..=3));
            let side = if random.bool() { Side::Before } else { Side::After };
            let stop = if random.bool() { Stop::PowerCut } else { Stop::Freeze };
            let cut = Act::AtStoreCall(random.u64(15..=60), side, stop);
            let at = random.usize(first..=self.acts.len());
            let acts = if random.bool() { [Act::Store(fault), SYNC] } else { [cut, SYNC] };
            self.acts.splice(at..at, acts);
        }
    }

    fn add_hazard(&mut self, hazard: Hazard, random: &mut Rng) {
        const SYNC: Act = Act::Sync { budget: None, deadline: None, twice: false };
        let further = self.further.clone();
        let further = further.as_ref();
        // Anywhere in the schedule.
        let any = |acts: &[Act], random: &mut Rng| random.usize(0..=acts.len());
        match hazard {
            Hazard::Deletes => {
                let fault = some_undeletable(random);
                if random.bool() {
                    let at = any(&self.acts, random);
                    self.acts.insert(at, Act::StoreForGood(fault.from(1)));
                } else {
                    let last = [1, 2, 3, 9][random.usize(0..4)];
                    let at = any(&self.acts, random);
                    let acts = [Act::Store(fault.calls(1, last)), SYNC, SYNC];
                    self.acts.splice(at..at, acts);
                }
            }
            Hazard::Refusals => {
                for _ in 0..random.u32(1..=3) {
                    let (rule, lie) = some_refusal(further, random, false);
                    let at = any(&self.acts, random);
                    self.acts.insert(at, Act::Wire(rule, lie));
                }
            }
            Hazard::Losses => {
                let mut acts = vec![SYNC, Act::Lose(Loss::some(further, random))];
                if random.bool() {
                    let (rule, lie) = some_refusal(further, random, true);
                    acts.push(Act::Wire(rule, lie));
                }
                acts.push(SYNC);
                if random.bool() {
                    acts.push(Act::Accept);
                }
                self.acts.splice(0..0, acts);
            }
            Hazard::OtherInstance => {
                for _ in 0..random.u32(1..=2) {
                    let at = any(&self.acts, random);
                    let old_ends = random.u32(0..4) > 0;
                    if random.u32(0..3) == 0 {
                        self.acts.insert(at, Act::TurnKey(old_ends));
                    } else {
                        let request = random.u64(1..=further::requests(further, 12));
                        let turn = Act::AtRequest(request, Event::TurnKey(old_ends));
                        self.acts.splice(at..at, [turn, SYNC]);
                    }
                }
            }
            Hazard::OddValues => {
                for _ in 0..random.u32(1..=3) {
                    let first = [1, 1, 2][random.usize(0..3)];
                    let last = if random.bool() { u64::MAX } else { first + random.u64(0..=2) };
                    let (rule, lie) = loop {
                        let drawn = odd::some_value(further, random, (first, last));
                        if self.calm || drawn.1 != Lie::Rows {
                            break drawn;
                        }
                    };
                    let at = any(&self.acts, random);
                    self.acts.insert(at, Act::Wire(rule, lie));
                }
            }
            Hazard::NoConditions => {
                let effect = [
                    StoreEffect::IgnoreCondition,
                    StoreEffect::IgnoreCondition,
                    StoreEffect::RefuseConditional(501, "NotImplemented"),
                ][random.usize(0..3)];
                let mut acts = vec![Act::NoConditions(effect), SYNC];
                if random.bool() {
                    acts.push(SYNC);
                }
                acts.push(Act::Conditions);
                self.acts.splice(0..0, acts);
            }
        }
    }

    /// Some faults, a sync among them, and what follows.
    fn round(&mut self) {
        for _ in 0..self.random.u32(0..=3) {
            let act = self.trouble();
            self.acts.push(act);
        }
        let sync = Act::Sync {
            budget: self.one_in(3).then(|| [0.0, 0.01, 0.3, 2.0][self.random.usize(0..4)]),
            deadline: self.one_in(3).then(|| [25, 60, 300][self.random.usize(0..3)]),
            twice: self.one_in(6),
        };
        self.acts.push(sync);
        match self.random.u32(0..8) {
            0 | 1 => self.acts.push(Act::Heal),
            2..=4 => {
                let seconds = self.of(&[1, 20, 59, 61, 130, 4_000]);
                self.acts.push(Act::Wait(seconds));
            }
            5 => self.acts.push(Act::Thaw),
            6 if self.one_in(2) => {
                let damage = self.of(&Damage::ALL);
                self.acts.push(Act::Checkpoint(damage));
            }
            _ => {}
        }
    }

    fn trouble(&mut self) -> Act {
        match self.random.u32(0..20) {
            0..=6 => self.wire(),
            7..=9 => self.store(),
            10 | 11 => {
                let stop = if self.one_in(3) { Stop::Freeze } else { Stop::PowerCut };
                let side = if self.random.bool() { Side::Before } else { Side::After };
                Act::AtStoreCall(self.random.u64(1..=24), side, stop)
            }
            12 | 13 => Act::AtRequest(self.random.u64(1..=16), Event::PowerCut),
            14 => Act::AtRequest(self.random.u64(1..=16), Event::Interrupt),
            15 => Act::SecretFails(self.random.u32(1..=2)),
            16 if self.random.bool() => Act::RotateKey,
            16 => Act::AtRequest(self.random.u64(1..=12), Event::RotateKey),
            17 => Act::ClockJumps(self.of(&[-7_200, -61, -1, 1, 61, 7_200])),
            _ if self.calm => self.wire(),
            18 => self.churn(),
            _ => {
                let further = self.further.as_ref();
                let change = further::some_change(further, &mut self.random);
                let requests = further::requests(further, 16);
                Act::AtRequest(self.random.u64(1..=requests), change)
            }
        }
    }

    fn churn(&mut self) -> Act {
        Act::Churn(ChurnPlan {
            lists: further::lists_that_change(self.further.as_ref()),
            seed: self.random.u64(..),
            every_pages: self.random.u64(1..=2),
            inserts: self.random.usize(0..=2),
            deletes: self.random.usize(0..=2),
            // A deletion and a backdated row cancel out in a count, which no program could notice.
            backdate_one_in: 0,
            last_page: self.last_page(),
        })
    }

    fn last_page(&mut self) -> u64 {
        let drawn = self.of(&[2, 6, u64::MAX]);
        further::last_page(self.further.as_ref(), drawn)
    }

    /// A rule for the requests of one list or of all, from the n-th on, for a few of them or
    /// forever.
    fn rule(&mut self) -> FaultRule {
        let path = match self.random.u32(0..8) {
            0 => "*".to_owned(),
            1 => "/v1/users/count".to_owned(),
            2 => "/v1/instance".to_owned(),
            _ => further::some_path(self.further.as_ref(), &mut self.random),
        };
        let first = self.random.u64(1..=4);
        let last = if self.one_in(4) { u64::MAX } else { first + self.random.u64(0..=2) };
        FaultRule::on(path).calls(first, last)
    }

    fn wire(&mut self) -> Act {
        let rule = self.rule();
        let row = self.random.usize(0..6);
        let seconds = self.of(&[0, 1, 7, 90, 5_000]);
        let (rule, lie) = match self.random.u32(0..26) {
            0 => (rule.reset(), Lie::None),
            1 => (rule.cut_body(self.random.usize(0..3_000)), Lie::None),
            2 => (rule.effect(Effect::FlipBit(self.random.usize(..))), Lie::None),
            3 => (rule.effect(Effect::MalformedJson), Lie::None),
            4 => (rule.effect(Effect::Html(self.of(&[200, 403, 404, 502, 504]))), Lie::None),
            5 => {
                let bodies = ["", "null", "[]", "{}", "[null]", "{\"data\":[]}", "\"", "[[[[[["];
                // An empty array looks like an empty list if there is no count.
                (rule.effect(Effect::Body(self.of(&bodies).to_owned())), Lie::Rows)
            }
            6 => (rule.status(self.of(&[500, 502, 503, 504]), "internal_error"), Lie::None),
            7 => (rule.status(self.of(&[404, 400, 409]), "resource_not_found"), Lie::None),
            8 => (rule.too_many_requests(seconds), Lie::None),
            9 => {
                let retry_after = self.of(&["soon", "-1", "99999999999999999999", ""]);
                let effect = Effect::Refuse {
                    status: self.of(&[429, 503]),
                    code: "too_many_requests".to_owned(),
                    retry_after: Some(retry_after.to_owned()),
                };
                (rule.effect(effect), Lie::None)
            }
            10 => (rule.status(429, "too_many_requests"), Lie::None),
            11 => (rule.status(401, "clerk_key_invalid"), Lie::Key),
            12 => {
                let (status, code) = self.of(&[
                    (402, "unsupported_subscription_plan_features"),
                    (403, "organization_not_enabled_in_instance"),
                    (410, "operation_deprecated"),
                    (422, "feature_not_enabled"),
                ]);
                (rule.status(status, code), Lie::None)
            }
            13 => (rule.delay(Duration::from_secs(self.of(&[1, 8, 29, 31, 100]))), Lie::None),
            14 => {
                let delay = Duration::from_secs(self.of(&[1, 10, 40]));
                (rule.effect(Effect::DelayPerThousandRows(delay)), Lie::None)
            }
            15 => (rule.ignore_cursor(), Lie::None),
            16 => (FaultRule::on("/v1/users").refuse_cursor(), Lie::None),
            17 if self.further.is_some() && self.random.bool() => {
                // Rows or shapes reveal that these were ignored.
                let parameter = self.of(&["status", "user_id", "subject", "paginated"]);
                (rule.effect(Effect::IgnoreParameter(parameter.to_owned())), Lie::None)
            }
            17 => {
                let parameter = self.of(&["created_at_before", "created_at_after", "offset"]);
                (rule.effect(Effect::IgnoreParameter(parameter.to_owned())), Lie::Rows)
            }
            18 => (rule.truncate_page(self.random.usize(1..400)), Lie::None),
            19 => (rule.past_offset(400).status(500, "internal_error"), Lie::None),
            20 => (rule.effect(Effect::ShiftTotal(self.of(&[-700, -90, 90, 700]))), Lie::Rows),
            21 => (rule.effect(Effect::RepeatRow(row)), Lie::Rows),
            22 => (rule.effect(Effect::SwapRows(row)), Lie::Rows),
            23 => (rule.effect(Effect::HideRow(row)), Lie::Rows),
            24 => {
                let (pointer, value) = self.of(&[
                    ("/public_user_data/user_id", "user_gone"),
                    ("/organization/id", "org_gone"),
                    ("/role", "org:unheard_of"),
                    ("/name", "\u{202e}\n{\"kind\":\"grant\"}\u{0}"),
                    ("/id", "../../escaped"),
                    ("/created_at", "yesterday"),
                ]);
                let more = [("/scoped_machines/0/id", "mch_gone"), ("/subject", "user_gone")];
                let in_others = self.further.is_some() && self.one_in(3);
                let (pointer, value) = if in_others { self.of(&more) } else { (pointer, value) };
                let pointer = pointer.to_owned();
                let effect = Effect::EditRow { row, pointer, value: Some(json!(value)) };
                (rule.effect(effect), Lie::Rows)
            }
            _ => {
                let field = self.of(&["/id", "/created_at", "/permissions", "/name"]);
                (rule.drop_field(row, field), Lie::Rows)
            }
        };
        if lie == Lie::Rows && !self.calm {
            return Act::Wire(FaultRule::on("*").call(self.random.u64(1..=9)).reset(), Lie::None);
        }
        Act::Wire(rule, lie)
    }

    fn store(&mut self) -> Act {
        let (operation, key) = self.of(&[
            (Operation::Get, "checkpoint.json"),
            (Operation::Get, "latest.json"),
            (Operation::Put, "checkpoint.json"),
            (Operation::Put, "part-"),
            (Operation::Put, "manifest.json"),
            (Operation::Put, "latest.json"),
            (Operation::Verify, ""),
            (Operation::List, ""),
            (Operation::Delete, ""),
            (Operation::Delete, "checkpoint.json"),
            (Operation::RemoveLeftovers, ""),
        ]);
        let effect = self.of(&[
            StoreEffect::FailBefore,
            StoreEffect::FailBefore,
            StoreEffect::FailAfter,
            StoreEffect::LoseAnswer,
            StoreEffect::LoseAnswer,
            StoreEffect::RefusePrecondition,
            StoreEffect::RefuseAfter,
            StoreEffect::Hang,
        ]);
        let call = self.random.u64(1..=6);
        let fault = Fault::new(operation, effect).on_key(key);
        Act::Store(if self.one_in(4) { fault.from(call) } else { fault.at(call) })
    }
}

/// `CHANGES`: in a third of the schedules it is on.
pub(super) fn changes(seed: u64) -> &'static str {
    match seed % 9 {
        1 | 4 => "access",
        7 => "all",
        _ => "off",
    }
}

/// `ATHENA_LATEST` and a key that signs: in a third of the schedules, half of them with `CHANGES`.
pub(super) fn has_evidence(seed: u64) -> bool {
    matches!(seed % 9, 1 | 2 | 7)
}

/// `KEEP_SNAPSHOTS`: with it, snapshots are gone that feeds would still compare with.
fn keep(seed: u64) -> Option<usize> {
    match seed % 9 {
        2 | 4 => Some(1),
        7 => Some(2),
        _ => None,
    }
}

/// Objects that cannot be deleted, all of them or some.
fn some_undeletable(random: &mut Rng) -> Fault {
    let key = ["checkpoint.json", "checkpoint.json", "part-", ""][random.usize(0..4)];
    let effect = [
        StoreEffect::Refuse(403, "AccessDenied"),
        StoreEffect::Refuse(501, "NotImplemented"),
        StoreEffect::RefuseConditional(501, "NotImplemented"),
        StoreEffect::Refuse(503, "SlowDown"),
    ][random.usize(0..4)];
    Fault::new(Operation::Delete, effect).on_key(key)
}
