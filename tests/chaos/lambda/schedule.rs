//! Schedules for the real program, drawn from a seed. The schedule is always the same; how far a
//! process gets at which time is not.

use std::fmt;
use std::time::Duration;

use clerk_sandbox::{ChurnPlan, Effect, FaultRule};
use fastrand::Rng;
use serde_json::json;

use super::super::further::{self, Further};
use super::super::hazards::{Hazard, Hazards, Loss, some_refusal};
use super::super::odd;
use super::super::schedule::{Damage, Event as Change, Lie, changes, has_evidence};
use crate::support::aws_proxy::{AwsCall, AwsEffect, AwsFault, Stop};
use crate::support::fuse::Side;
use crate::support::oracle::PATHS;

/// A schedule.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    /// The seed.
    pub(super) seed: u64,
    /// The instance that is copied, and the settings of the function.
    pub(super) function: Function,
    /// The acts in order.
    pub(super) acts: Vec<Act>,
}

/// A Clerk instance and the function that copies it.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) users: usize,
    pub(super) organizations: usize,
    pub(super) memberships: usize,
    pub(super) permissions: usize,
    pub(super) compression: &'static str,
    pub(super) log_level: &'static str,
    /// `LEASE_SECONDS`. With the shortest lease time really passes; with a longer one, the times in
    /// the checkpoint are moved back.
    pub(super) lease: u64,
    /// The lists opted in besides the five.
    pub(super) further: Option<Further>,
    /// `SHRINK_GUARD_PERCENT`.
    pub(super) guard: u32,
    /// `CHANGES`.
    pub(super) changes: &'static str,
    /// `ATHENA_LATEST`.
    pub(super) athena_latest: bool,
}

/// Numbers of rows of a further list.
const SIZES: [usize; 6] = [0, 1, 3, 12, 40, 101];
/// The shortest lease that is accepted.
pub(super) const SHORTEST_LEASE: u64 = 2;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// From now on Clerk answers with this fault.
    Wire(FaultRule, Lie),
    /// From now on AWS fails like this.
    Aws(AwsFault),
    /// From now on AWS fails like this until all other faults are gone.
    AwsForGood(AwsFault),
    /// From now on the bucket ignores the conditions of calls.
    NoConditions(AwsEffect),
    /// From now on it obeys them.
    Conditions,
    /// The secret gets a key of the other instance, or of the first one again. The value says
    /// whether the old key is revoked.
    TurnKey(bool),
    /// Rows are deleted.
    Lose(Loss),
    /// An event with `accept_shrink`.
    Accept,
    /// The key is replaced, in Clerk and in the secret.
    RotateKey,
    /// From now on rows are added and deleted between pages.
    Churn(ChurnPlan),
    /// An event as the next invocation sends its n-th request to Clerk.
    AtRequest(u64, Event),
    /// The next invocation is stopped at its n-th call of AWS.
    AtAwsCall(u64, Side, Stop),
    /// The checkpoint is damaged.
    Checkpoint(Damage),
    /// An event for the function.
    Invoke {
        /// Its `time_budget_seconds`.
        budget: Option<f64>,
        /// When Lambda kills the environment, in milliseconds; a long time if there is none.
        deadline: Option<u64>,
        /// How it is delivered.
        delivery: Delivery,
    },
    /// Everything frozen continues.
    Thaw,
    /// This many seconds pass.
    Wait(u64),
    /// Lambda ends the idle environments.
    Cold,
    /// All faults are removed, and nothing changes any more.
    Heal,
}

/// How Lambda delivers an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Once,
    /// To two environments at once.
    Twice,
    /// Up to twice again after an error (AWS documentation, "Asynchronous invocation").
    Retried,
}

/// An event as a request arrives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Stop(Stop),
    RotateKey,
    TurnKey(bool),
    Rows(Change),
}

impl Schedule {
    /// The schedule of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut draw = Draw {
            random: Rng::with_seed(seed),
            calm: seed.is_multiple_of(2),
            further: Further::of(seed, &SIZES),
            lease: 0,
            acts: Vec::new(),
        };
        let mut function = draw.function();
        draw.lease = function.lease;
        for _ in 0..draw.random.u32(1..=4) {
            draw.round();
        }
        function.guard = draw.add_hazards(seed);
        function.changes = changes(seed);
        function.athena_latest = has_evidence(seed);
        Self { seed, function, acts: draw.acts }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "  {:?}", self.function)?;
        for act in &self.acts {
            writeln!(formatter, "  {act:?}")?;
        }
        Ok(())
    }
}

struct Draw {
    random: Rng,
    /// Rows do not change; instead Clerk may lie about them.
    calm: bool,
    further: Option<Further>,
    lease: u64,
    acts: Vec<Act>,
}

impl Draw {
    fn one_in(&mut self, times: u32) -> bool {
        self.random.u32(0..times) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.usize(0..choices.len())]
    }

    fn function(&mut self) -> Function {
        let users = self.of(&[0, 1, 3, 40, 40, 120, 499, 505, 1_200]);
        let organizations = self.of(&[0, 1, 6, 12, 60]);
        let further = self.further.clone();
        let owners = |drawn| further.as_ref().map_or(drawn, |further| further.owners(drawn));
        let (users, organizations) = (owners(users), owners(organizations));
        Function {
            users,
            organizations,
            memberships: self.of(&[0, 1, 40, 200, 505]).min(users * organizations),
            permissions: self.of(&[0, 8, 12]),
            compression: self.of(&["none", "gzip", "zstd"]),
            log_level: self.of(&["info", "info", "debug", "trace"]),
            lease: self.of(&[SHORTEST_LEASE, 60]),
            further,
            guard: 0,
            changes: "off",
            athena_latest: false,
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

    fn add_hazard(&mut self, hazard: Hazard, random: &mut Rng) {
        const INVOKE: Act = Act::Invoke { budget: None, deadline: None, delivery: Delivery::Once };
        let further = self.further.clone();
        let further = further.as_ref();
        let at = random.usize(0..=self.acts.len());
        match hazard {
            Hazard::Deletes => {
                let last = [1, 3, 6, 9, u64::MAX, u64::MAX][random.usize(0..6)];
                let fault = some_undeletable(random, last);
                if last == u64::MAX {
                    self.acts.insert(at, Act::AwsForGood(fault));
                } else {
                    self.acts.splice(at..at, [Act::Aws(fault), INVOKE, INVOKE]);
                }
            }
            Hazard::Refusals => {
                for _ in 0..random.u32(1..=2) {
                    let (rule, lie) = some_refusal(further, random, false);
                    self.acts.insert(at, Act::Wire(rule, lie));
                }
            }
            Hazard::Losses => {
                let mut acts = vec![INVOKE, Act::Lose(Loss::some(further, random))];
                if random.bool() {
                    let (rule, lie) = some_refusal(further, random, true);
                    acts.push(Act::Wire(rule, lie));
                }
                acts.push(INVOKE);
                if random.bool() {
                    acts.push(Act::Accept);
                }
                self.acts.splice(0..0, acts);
            }
            Hazard::OtherInstance => {
                let old_ends = random.u32(0..4) > 0;
                if random.u32(0..3) == 0 {
                    self.acts.insert(at, Act::TurnKey(old_ends));
                } else {
                    let request = random.u64(1..=further::requests(further, 8));
                    let turn = Act::AtRequest(request, Event::TurnKey(old_ends));
                    self.acts.splice(at..at, [turn, INVOKE]);
                }
            }
            Hazard::OddValues => {
                for _ in 0..random.u32(1..=3) {
                    let last = if random.bool() { u64::MAX } else { random.u64(1..=2) };
                    let (rule, lie) = loop {
                        let drawn = odd::some_value(further, random, (1, last));
                        if self.calm || drawn.1 != Lie::Rows {
                            break drawn;
                        }
                    };
                    self.acts.insert(at, Act::Wire(rule, lie));
                }
            }
            Hazard::NoConditions => {
                let effect = [
                    AwsEffect::DropCondition,
                    AwsEffect::DropCondition,
                    AwsEffect::RefuseConditional(501, "NotImplemented"),
                ][random.usize(0..3)];
                self.acts.splice(0..0, [Act::NoConditions(effect), INVOKE, Act::Conditions]);
            }
        }
    }

    /// Some faults, an event among them, and what follows.
    fn round(&mut self) {
        for _ in 0..self.random.u32(1..=4) {
            let act = self.trouble();
            self.acts.push(act);
        }
        let invoke = Act::Invoke {
            budget: self.one_in(3).then(|| [0.0, 0.01, 0.1][self.random.usize(0..3)]),
            deadline: self.one_in(4).then(|| [400, 700, 1_200][self.random.usize(0..3)]),
            delivery: self.of(&[
                Delivery::Once,
                Delivery::Once,
                Delivery::Once,
                Delivery::Twice,
                Delivery::Retried,
            ]),
        };
        self.acts.push(invoke);
        match self.random.u32(0..14) {
            0 | 1 => self.acts.push(Act::Heal),
            2..=6 => {
                let seconds = self.of(&[1, 61, 130, 6_000]);
                self.acts.push(Act::Wait(seconds));
            }
            7 => self.acts.push(Act::Thaw),
            8 => self.acts.push(Act::Cold),
            9 | 10 => {
                let damage = self.of(&Damage::ALL);
                self.acts.push(Act::Checkpoint(damage));
            }
            _ => {}
        }
    }

    fn trouble(&mut self) -> Act {
        match self.random.u32(0..20) {
            0..=5 => self.wire(),
            6..=10 => self.aws(),
            11..=13 => {
                let side = if self.random.bool() { Side::Before } else { Side::After };
                Act::AtAwsCall(self.random.u64(1..=30), side, self.stop())
            }
            14..=16 => Act::AtRequest(self.random.u64(1..=10), Event::Stop(self.stop())),
            17 if self.random.bool() => Act::RotateKey,
            17 => Act::AtRequest(self.random.u64(1..=8), Event::RotateKey),
            _ if self.calm => self.wire(),
            18 => Act::Churn(ChurnPlan {
                lists: further::lists_that_change(self.further.as_ref()),
                seed: self.random.u64(..),
                every_pages: self.random.u64(1..=2),
                inserts: self.random.usize(0..=2),
                deletes: self.random.usize(0..=2),
                // A deletion and a backdated row cancel out in a count, which no program could
                // notice.
                backdate_one_in: 0,
                last_page: self.last_page(),
            }),
            _ => {
                let further = self.further.as_ref();
                let change = further::some_change(further, &mut self.random);
                let requests = further::requests(further, 10);
                Act::AtRequest(self.random.u64(1..=requests), Event::Rows(change))
            }
        }
    }

    fn stop(&mut self) -> Stop {
        // A frozen invocation must see time pass.
        if self.lease == SHORTEST_LEASE && self.random.bool() {
            return Stop::Freeze;
        }
        self.of(&[Stop::Kill, Stop::Kill, Stop::Terminate])
    }

    /// A rule for some requests of one list or of all: rarely forever, because a request is then
    /// repeated for seconds.
    fn rule(&mut self) -> FaultRule {
        let path = match self.random.u32(0..8) {
            0 => "*".to_owned(),
            1 => "/v1/users/count".to_owned(),
            2 => "/v1/instance".to_owned(),
            _ => further::some_path(self.further.as_ref(), &mut self.random),
        };
        let first = self.random.u64(1..=3);
        let last = if self.one_in(12) { u64::MAX } else { first + self.random.u64(0..=1) };
        FaultRule::on(path).calls(first, last)
    }

    fn last_page(&mut self) -> u64 {
        let drawn = self.of(&[2, 6, u64::MAX]);
        further::last_page(self.further.as_ref(), drawn)
    }

    fn wire(&mut self) -> Act {
        let rule = self.rule();
        let row = self.random.usize(0..6);
        let (rule, lie) = match self.random.u32(0..20) {
            0 | 1 => (rule.reset(), Lie::None),
            2 | 3 => (rule.cut_body(self.random.usize(0..3_000)), Lie::None),
            4 => (rule.effect(Effect::FlipBit(self.random.usize(..))), Lie::None),
            5 => (rule.effect(Effect::MalformedJson), Lie::None),
            6 => (rule.effect(Effect::Html(self.of(&[200, 403, 404, 502, 504]))), Lie::None),
            7 => (rule.status(self.of(&[500, 502, 503, 504]), "internal_error"), Lie::None),
            8 => (rule.status(self.of(&[404, 400, 409]), "resource_not_found"), Lie::None),
            9 => (rule.too_many_requests(0), Lie::None),
            10 => {
                let first = self.random.u64(1..=3);
                (FaultRule::on(self.of(&PATHS)).call(first).too_many_requests(1), Lie::None)
            }
            // Longer than any invocation, so that the run is paused. Only if time is simulated, not
            // waited for.
            11 if self.lease != SHORTEST_LEASE => (rule.too_many_requests(5_000), Lie::None),
            11 => (rule.status(503, "unavailable"), Lie::None),
            12 => (rule.status(401, "clerk_key_invalid"), Lie::Key),
            13 => {
                let (status, code) = self.of(&[
                    (402, "unsupported_subscription_plan_features"),
                    (403, "organization_not_enabled_in_instance"),
                    (410, "operation_deprecated"),
                    (422, "feature_not_enabled"),
                ]);
                (rule.status(status, code), Lie::None)
            }
            14 | 15 => {
                let delay = Duration::from_millis(self.of(&[50, 300, 1_500]));
                (rule.delay(delay), Lie::None)
            }
            16 => (rule.ignore_cursor(), Lie::None),
            17 => (rule.truncate_page(self.random.usize(1..400)), Lie::None),
            18 => (rule.effect(Effect::HideRow(row)), Lie::Rows),
            _ => {
                let (pointer, value) = self.of(&[
                    ("/public_user_data/user_id", "user_gone"),
                    ("/name", "\u{202e}\n{\"kind\":\"grant\"}\u{0}"),
                    ("/id", "../../escaped"),
                    ("/created_at", "yesterday"),
                ]);
                let pointer = pointer.to_owned();
                let effect = Effect::EditRow { row, pointer, value: Some(json!(value)) };
                (rule.effect(effect), Lie::Rows)
            }
        };
        if lie == Lie::Rows && !self.calm {
            return Act::Wire(FaultRule::on("*").call(self.random.u64(1..=9)).reset(), Lie::None);
        }
        Act::Wire(rule, lie)
    }

    fn aws(&mut self) -> Act {
        let (call, key_part) = self.of(&[
            (AwsCall::Get, "checkpoint.json"),
            (AwsCall::Get, "latest.json"),
            (AwsCall::Put, "checkpoint.json"),
            (AwsCall::Put, "checkpoint.json"),
            (AwsCall::Put, "part-"),
            (AwsCall::Put, "manifest.json"),
            (AwsCall::Put, "latest.json"),
            (AwsCall::Head, ""),
            (AwsCall::List, ""),
            (AwsCall::Delete, ""),
            (AwsCall::Delete, "checkpoint.json"),
            (AwsCall::Secret, ""),
        ]);
        let effect = self.of(&[
            AwsEffect::Reset,
            AwsEffect::Refuse(500, "InternalError"),
            AwsEffect::Refuse(503, "SlowDown"),
            AwsEffect::Refuse(403, "AccessDenied"),
            AwsEffect::Refuse(409, "ConditionalRequestConflict"),
            AwsEffect::LoseAnswer,
            AwsEffect::LoseAnswer,
            AwsEffect::HappenLate(Duration::from_millis(300)),
            AwsEffect::Delay(Duration::from_millis(400)),
            AwsEffect::CutAnswer,
            AwsEffect::HangUp,
            AwsEffect::Hang,
        ]);
        let first = self.random.u64(1..=4);
        // A call is attempted only three times.
        let last = if self.one_in(6) { u64::MAX } else { first + self.of(&[0, 0, 1, 2]) };
        Act::Aws(AwsFault { call, key_part, first, last, effect })
    }
}

/// Objects that cannot be deleted, all of them or some.
fn some_undeletable(random: &mut Rng, last: u64) -> AwsFault {
    let key_part = ["checkpoint.json", "checkpoint.json", "part-", ""][random.usize(0..4)];
    let effect = [
        AwsEffect::Refuse(403, "AccessDenied"),
        AwsEffect::Refuse(501, "NotImplemented"),
        AwsEffect::RefuseConditional(501, "NotImplemented"),
        AwsEffect::Refuse(503, "SlowDown"),
    ][random.usize(0..4)];
    AwsFault { call: AwsCall::Delete, key_part, first: 1, last, effect }
}
