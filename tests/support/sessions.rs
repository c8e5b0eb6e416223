//! Users with sessions, of a Clerk that lists sessions only for one user at a time.

use std::time::Duration;

use clerk_sandbox::{Rules, Sandbox};
use serde_json::json;

use crate::support::further_lists::{populated, world};
use crate::support::plain::FIRST;
use crate::support::world::World;

/// Users with one or two sessions each, of whom every third was active in the last 30 days of the
/// world's clock; and the sessions of the active ones, in the order in which they are listed user
/// by user.
pub(crate) fn with_sessions(users: usize) -> (Sandbox, Vec<String>) {
    const NOW: i64 = 1_763_640_000_000;
    const DAY: i64 = 86_400_000;
    let sandbox = Sandbox::empty();
    let sample = populated().rows("sessions")[0].clone();
    let mut of_the_active = Vec::new();
    for number in 0..users {
        let user = format!("user_{number:06}");
        let active = number % 3 == 0;
        let last_active = NOW - DAY * if active { 29 } else { 32 };
        let created_at = FIRST + 1000 * number as i64;
        let row = json!({
            "object": "user", "id": user, "created_at": created_at, "updated_at": created_at,
            "last_active_at": last_active - last_active.rem_euclid(DAY),
        });
        sandbox.insert("users", row).expect("the id is new");
        for session in (0..=number % 2).rev() {
            let mut row = sample.clone();
            row["id"] = format!("sess_{number:06}_{session}").into();
            row["user_id"] = user.clone().into();
            row["created_at"] = (created_at + session as i64).into();
            row["status"] = "a_status_of_the_future".into();
            sandbox.insert("sessions", row).expect("the id is new");
            if active {
                of_the_active.push(format!("sess_{number:06}_{session}"));
            }
        }
    }
    (sandbox, of_the_active)
}

pub(crate) fn refusing_sessions_of_all(sandbox: &Sandbox) {
    sandbox.set_rules(Rules { sessions_need_user: true, ..Rules::default() });
}

/// Active users without a list of all sessions, at a limit of a hundred requests in ten seconds, of
/// which this program may use a share.
pub(crate) fn asking_user_by_user(active: usize, share: &str) -> (World, Vec<String>) {
    let (sandbox, of_the_active) = with_sessions(3 * active);
    refusing_sessions_of_all(&sandbox);
    sandbox.limit(100, Duration::from_secs(10));
    sandbox.set_latency(Duration::from_millis(50), Duration::from_millis(20));
    let world = world(&sandbox, &["sessions"])
        .with("CLERK_REQUESTS_PER_10S", "100")
        .with("CLERK_RATE_SHARE", share);
    (world, of_the_active)
}
