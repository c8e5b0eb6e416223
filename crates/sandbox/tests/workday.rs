//! The day at work that the demo shows changes what its story says, in the same way every time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise is a failed test")]

use std::collections::BTreeSet;

use clerk_sandbox::{Population, Sandbox};
use serde_json::Value;

const LISTS: [&str; 3] = ["users", "organizations", "organization_memberships"];

fn sandbox() -> Sandbox {
    Sandbox::new(Population::default().users(300).organizations(20).memberships(600))
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

// Promise: one day changes every kind of access once.
#[test]
fn a_workday_changes_every_kind_of_access() {
    let sandbox = sandbox();
    let before = LISTS.map(|list| sandbox.rows(list));
    sandbox.pass_a_workday();
    let after = LISTS.map(|list| sandbox.rows(list));

    let [users, organizations, memberships] =
        [0, 1, 2].map(|index| (ids(&before[index]), ids(&after[index])));
    assert_eq!(users.1.difference(&users.0).count(), 1, "one user joins");
    assert_eq!(users.0.difference(&users.1).count(), 1, "one user is deleted");
    assert_eq!(organizations.1.difference(&organizations.0).count(), 0);
    assert_eq!(organizations.0.difference(&organizations.1).count(), 1);
    assert_eq!(memberships.1.difference(&memberships.0).count(), 1);
    // One member left; others went with the deleted user and the deleted organization.
    assert!(memberships.0.difference(&memberships.1).count() >= 3);

    let changed = |index: usize, is: &dyn Fn(&Value, &Value) -> bool| {
        let find =
            |row: &Value| after[index].iter().find(|other| other["id"] == row["id"]).cloned();
        before[index]
            .iter()
            .filter_map(|row| Some((row, find(row)?)))
            .filter(|(old, new)| is(old, new))
            .count()
    };
    assert_eq!(changed(0, &|old, new| old["banned"] == false && new["banned"] == true), 1);
    let promoted = changed(2, &|old, new| {
        old["role"] == "org:member"
            && new["role"] == "org:admin"
            && new["permissions"].as_array().unwrap().len()
                > old["permissions"].as_array().unwrap().len()
    });
    assert_eq!(promoted, 1);
}

// Promise: the same seed gives the same day.
#[test]
fn a_workday_is_the_same_every_time() {
    let (one, other) = (sandbox(), sandbox());
    one.pass_a_workday();
    other.pass_a_workday();
    assert_eq!(LISTS.map(|list| one.rows(list)), LISTS.map(|list| other.rows(list)));
}

// Promise: an instance without rows has nothing that could change, which is no error.
#[test]
fn a_workday_in_an_empty_instance_changes_nothing_that_is_not_there() {
    let sandbox = Sandbox::empty();
    sandbox.pass_a_workday();
    assert!(LISTS.iter().all(|list| sandbox.count(list) == 0));
}
