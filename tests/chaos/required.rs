//! The rows and lists that a run has to request: only some rows of lists that are not read as a
//! whole, and lists that it needs besides those opted in.

use std::collections::BTreeSet;

use clerk_sandbox::Sandbox;
use clerk_snapshot::timestamp::Timestamp;
use serde_json::Value;

use super::further::Further;
use crate::support::snapshot::Snapshot;

/// The lists whose rows own API keys.
pub(super) const OWNERS: [&str; 3] = ["users", "organizations", "machines"];

/// What the run of one snapshot had to request.
pub(super) struct Required<'a> {
    sandbox: &'a Sandbox,
    /// The users whose sessions are read, if sessions are read user by user.
    active: Option<BTreeSet<String>>,
}

impl<'a> Required<'a> {
    pub(super) fn of(sandbox: &'a Sandbox, snapshot: &Snapshot, further: Option<&Further>) -> Self {
        let by_user = snapshot.manifest["datasets"]["sessions"]["walk"] == "by_owner";
        let started_at: Timestamp = text(&snapshot.manifest["started_at"]).parse().expect("a time");
        let active = further.filter(|_| by_user).map(|further| {
            let since = day_of(started_at.unix_millis()) - further.lookback_days;
            let is_active = |user: &Value| {
                user["last_active_at"].as_i64().is_some_and(|at| day_of(at) >= since)
            };
            let users = sandbox.users().into_iter().filter(is_active);
            users.map(|user| text(&user["id"]).to_owned()).collect()
        });
        Self { sandbox, active }
    }

    /// Whether a row that exists is found by these requests.
    pub(super) fn has(&self, list: &str, id: &str) -> bool {
        let row = |list: &str, id: &str| self.sandbox.row(list, id);
        match (list, &self.active) {
            ("api_keys", _) => {
                let key = row(list, id).expect("it is there");
                OWNERS.iter().any(|owners| row(owners, text(&key["subject"])).is_some())
            }
            ("sessions", Some(active)) => {
                let session = row(list, id).expect("it is there");
                active.contains(text(&session["user_id"]))
            }
            _ => true,
        }
    }
}

/// Days since 1970, in UTC.
pub(super) const fn day_of(milliseconds: i64) -> i64 {
    milliseconds.div_euclid(86_400_000)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
