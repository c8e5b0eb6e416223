//! Instances of minimal rows, cheap enough for many runs of several pages each, and changes at a
//! chosen request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clerk_sandbox::{LoggedRequest, Sandbox};
use serde_json::json;

/// The creation time of the first row, in milliseconds since 1970.
pub(crate) const FIRST: i64 = 1_700_000_000_000;

/// One second between rows, unless a test says otherwise.
pub(crate) const fn every_second(number: usize) -> i64 {
    FIRST + 1000 * number as i64
}

/// An instance with this many users, organizations and memberships, each a second apart.
pub(crate) fn plain(users: usize, organizations: usize, memberships: usize) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.add_role("org:admin", "Admin", &[], FIRST);
    sandbox.add_role("org:member", "Member", &[], FIRST + 1);
    fill(&sandbox, "users", users, every_second);
    fill(&sandbox, "organizations", organizations, every_second);
    add_memberships(&sandbox, memberships, every_second);
    sandbox
}

/// Adds rows to `users` or `organizations`.
pub(crate) fn fill(
    sandbox: &Sandbox,
    list: &'static str,
    how_many: usize,
    created_at: impl Fn(usize) -> i64,
) {
    for number in 0..how_many {
        add(sandbox, list, &format!("{list}_{number:06}"), created_at(number));
    }
}

/// Adds one minimal user or organization.
pub(crate) fn add(sandbox: &Sandbox, list: &str, id: &str, created_at: i64) {
    let row = json!({
        "object": list.trim_end_matches('s'), "id": id, "name": id,
        "created_at": created_at, "updated_at": created_at,
    });
    sandbox.insert(list, row).expect("the id is new");
}

/// Adds memberships, each of a different pair of a user and an organization.
pub(crate) fn add_memberships(
    sandbox: &Sandbox,
    how_many: usize,
    created_at: impl Fn(usize) -> i64,
) {
    let (users, organizations) = (sandbox.ids("users"), sandbox.ids("organizations"));
    assert!(how_many <= users.len() * organizations.len(), "there are not so many pairs");
    for number in 0..how_many {
        let user = &users[number % users.len()];
        let organization = &organizations[(number + number / users.len()) % organizations.len()];
        let role = ["org:admin", "org:member"][number % 2];
        sandbox
            .add_membership(organization, user, role, created_at(number))
            .expect("both are there");
    }
}

/// Calls a function just before the n-th request of `path` (such as `/v1/users`) is answered.
pub(crate) fn before_request(
    sandbox: &Sandbox,
    path: &'static str,
    number: u64,
    change: impl Fn(&Sandbox) + Send + Sync + 'static,
) {
    let seen = Arc::new(AtomicU64::new(0));
    sandbox.on_request(move |sandbox, request: &LoggedRequest| {
        if request.path == path && seen.fetch_add(1, Ordering::SeqCst) + 1 == number {
            change(sandbox);
        }
    });
}
