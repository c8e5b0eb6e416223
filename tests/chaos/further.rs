//! The lists that some of the schedules opt in besides the five that access depends on.

use std::collections::BTreeSet;

use clerk_sandbox::{ChurnPlan, Sandbox};
use fastrand::Rng;
use serde_json::{Value, json};

use super::derived::assert_days;
use super::required::Required;
use super::schedule::Event;
use crate::support::lists::{PLAIN_LISTS, every_list};
use crate::support::machines::{of_machines, scopes};
use crate::support::oracle::{PATHS, RESOURCES};
use crate::support::snapshot::Snapshot;

/// One schedule in this many opts in more lists.
const ONE_IN: u64 = 3;
/// No new pages appear after this many.
const LAST_PAGE: u64 = 60;
/// The most users and organizations if the rows of each of them take a request.
const MAX_OWNERS: usize = 60;

/// The lists opted in besides the five, and their sizes.
#[derive(Debug, Clone)]
pub(super) struct Further {
    /// The resources.
    pub(super) resources: Vec<&'static str>,
    /// The number of rows of each of their lists.
    rows: Vec<(&'static str, usize)>,
    /// Whether the events opt them in, or `RESOURCES`.
    pub(super) by_event: bool,
    /// Whether personal data is replaced.
    pub(super) redacted: bool,
    /// Whether Clerk lists sessions only user by user.
    pub(super) sessions_need_user: bool,
    /// `SESSIONS_LOOKBACK_DAYS` and `DAU_LOOKBACK_DAYS`.
    pub(super) lookback_days: i64,
}

impl Further {
    /// The lists that a seed opts in: all of them, some, or in most cases none, with these numbers
    /// of rows.
    pub(super) fn of(seed: u64, sizes: &[usize]) -> Option<Self> {
        // Drawn separately from everything else, so that the other schedules stay the same.
        let mut random = Rng::with_seed(!seed);
        if random.u64(0..ONE_IN) > 0 {
            return None;
        }
        let everything = random.bool();
        let lists = PLAIN_LISTS.iter().map(|list| list.resource);
        let all: Vec<&str> = lists.chain(["api_keys", "daily_active_users"]).collect();
        let resources: Vec<&str> =
            all.into_iter().filter(|_| everything || random.u32(0..4) == 0).collect();
        let has_owners = resources.contains(&"api_keys");
        // Machines own API keys, whether or not they are opted in.
        let others = (has_owners && !resources.contains(&"machines")).then_some("machines");
        let lists = others.into_iter().chain(resources.iter().copied());
        let mut size = |list| {
            let most = if has_owners && list == "machines" { MAX_OWNERS } else { usize::MAX };
            (list, sizes[random.usize(0..sizes.len())].min(most))
        };
        Some(Self {
            rows: lists.filter(|list| *list != "daily_active_users").map(&mut size).collect(),
            resources,
            by_event: random.bool(),
            redacted: random.u32(0..4) == 0,
            sessions_need_user: random.bool(),
            lookback_days: [1, 7, 30][random.usize(0..3)],
        })
    }

    /// The number of owners allowed if this many were drawn.
    pub(super) fn owners(&self, drawn: usize) -> usize {
        if self.asks_each_owner() { drawn.min(MAX_OWNERS) } else { drawn }
    }

    fn asks_each_owner(&self) -> bool {
        ["api_keys", "sessions"].iter().any(|it| self.resources.contains(it))
    }

    /// The lists that have rows of their own.
    pub(super) fn lists(&self) -> impl Iterator<Item = &'static str> {
        self.resources.iter().copied().filter(|resource| *resource != "daily_active_users")
    }

    /// The settings for these lists.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("SESSIONS_LOOKBACK_DAYS", self.lookback_days.to_string()),
            ("DAU_LOOKBACK_DAYS", self.lookback_days.to_string()),
        ];
        if !self.by_event {
            settings.push(("RESOURCES", self.opted_in().join(",")));
        }
        if self.redacted {
            settings.push(("REDACT", "email,phone,name,ip".to_owned()));
        }
        settings
    }

    /// Adds the resources to an event.
    pub(super) fn opt_in(&self, event: &mut Value) {
        if self.by_event {
            event["resources"] = json!(self.opted_in());
        }
    }

    fn opted_in(&self) -> Vec<&'static str> {
        RESOURCES.into_iter().chain(self.resources.iter().copied()).collect()
    }

    /// Fills its lists.
    pub(super) fn fill(&self, sandbox: &Sandbox, created_at: impl Fn(usize) -> i64) {
        for &(list, rows) in &self.rows {
            for number in 0..rows {
                sandbox.add_sample(list, created_at(number)).expect("made of samples");
            }
        }
    }

    /// A snapshot holds what was opted in, and shows no address if personal data is replaced.
    pub(super) fn assert_opted_in(&self, snapshot: &Snapshot) {
        let resources = snapshot.manifest["resources"].as_array().expect("resources");
        let named: BTreeSet<&str> = resources.iter().filter_map(Value::as_str).collect();
        assert_eq!(named, self.opted_in().into_iter().collect(), "opted in");
        if self.redacted {
            let shows = |row: &&Value| row.to_string().contains('@');
            let shown = snapshot.datasets.values().flatten().find(shows);
            assert_eq!(shown, None, "an address is not replaced");
        }
    }

    /// The datasets of its lists equal the instance, line by line.
    pub(super) fn assert_equals_source(&self, snapshot: &Snapshot, sandbox: &Sandbox) {
        let active = sandbox.users().into_iter().filter_map(|it| it["last_active_at"].as_i64());
        assert_days(snapshot, self.lookback_days, active);
        if self.resources.contains(&"machines") {
            let (entitlements, grants) = scopes(sandbox);
            assert_eq!(of_machines(snapshot, "entitlements"), entitlements);
            assert_eq!(of_machines(snapshot, "grants"), grants);
        }
        if self.redacted {
            return;
        }
        let required = Required::of(sandbox, snapshot, Some(self));
        for list in every_list().filter(|list| self.resources.contains(&list.resource)) {
            let name = list.resource;
            let mut there = list.records(sandbox);
            there.retain(|row| required.has(name, text(&row["id"])));
            let mut held: Vec<&Value> = snapshot.datasets[name].iter().collect();
            let mut there: Vec<&Value> = there.iter().collect();
            if snapshot.manifest["datasets"][name]["walk"] == "by_owner" {
                // In the order of their owners.
                held.sort_by_key(|row| text(&row["id"]));
                there.sort_by_key(|row| text(&row["id"]));
            }
            assert!(held == there, "{name} differs from its source");
        }
    }
}

/// The path of one of the copied lists.
pub(super) fn some_path(further: Option<&Further>, random: &mut Rng) -> String {
    let lists: Vec<&str> = further.into_iter().flat_map(Further::lists).collect();
    if lists.is_empty() || random.u32(0..3) == 0 {
        return PATHS[random.usize(0..PATHS.len())].to_owned();
    }
    path_of(lists[random.usize(0..lists.len())])
}

/// The path of a resource's list.
pub(super) fn path_of(list: &str) -> String {
    let plain = PLAIN_LISTS.iter().find(|it| it.resource == list);
    format!("/v1/{}", plain.map_or(list, |it| it.path))
}

/// The lists whose rows change.
pub(super) fn lists_that_change(further: Option<&Further>) -> Vec<&'static str> {
    let further = further.into_iter().flat_map(Further::lists);
    ChurnPlan::default().lists.into_iter().chain(further).collect()
}

/// The last page at which rows change. New owners at every page would never end: each of them takes
/// a request of its own.
pub(super) fn last_page(further: Option<&Further>, drawn: u64) -> u64 {
    if further.is_some_and(Further::asks_each_owner) { drawn.min(LAST_PAGE) } else { drawn }
}

/// A change of single rows.
pub(super) fn some_change(further: Option<&Further>, random: &mut Rng) -> Event {
    let mut changes = vec![
        Event::DeleteCursorRow,
        Event::Tie,
        Event::Backdate,
        Event::ChangeRole,
        Event::Rename,
        Event::DeleteOrganization,
    ];
    let has = |list| further.is_some_and(|further| further.resources.contains(&list));
    if has("invitations") {
        changes.extend([Event::RevokeInvitation; 3]);
    }
    if has("machines") {
        changes.extend([Event::CallNewMachine, Event::CallNewMachine, Event::DeleteMachine]);
    }
    changes[random.usize(0..changes.len())]
}

/// The number of requests of a sync among which something happens, given that number for the five
/// lists.
pub(super) fn requests(further: Option<&Further>, of_the_five: u64) -> u64 {
    of_the_five + further.map_or(0, |further| 2 * further.resources.len() as u64)
}

/// Sets the last day on which each user was active: up to 35 days before this time, some the day
/// after, some never.
pub(super) fn make_active(sandbox: &Sandbox, now: i64) {
    const DAY: i64 = 86_400_000;
    let today = now - now.rem_euclid(DAY);
    for (number, id) in sandbox.ids("users").iter().enumerate() {
        let days_ago = (number * number % 37) as i64 - 1;
        let active = (number % 10 != 3).then_some(today - days_ago * DAY);
        let change = |row: &mut Value| row["last_active_at"] = json!(active);
        sandbox.update("users", id, change).expect("it is there");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
