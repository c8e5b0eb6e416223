//! Promise: grants of machines say which machines each may call, and every machine they name is in
//! the snapshot.

use clerk_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::further_lists::{populated, text, world};
use crate::support::machines::{of_machines, scopes};
use crate::support::pieces::complete;
use crate::support::plain::before_request;

/// A machine refers to another that was created after it.
fn with_a_call_ahead(sandbox: &Sandbox) {
    let machines = sandbox.rows("machines");
    let (first, last) = (&machines[0], &machines[machines.len() - 1]);
    let mut called = last.clone();
    called.as_object_mut().expect("a row").shift_remove("scoped_machines");
    let change = |row: &mut Value| row["scoped_machines"] = json!([called]);
    sandbox.update("machines", text(&first["id"]), change).expect("it is there");
}

#[tokio::test(start_paused = true)]
async fn machines_have_grants_for_the_machines_they_may_call() {
    let sandbox = populated();
    with_a_call_ahead(&sandbox);
    let (entitlements, grants) = scopes(&sandbox);
    assert!(grants.len() > 10);
    for resources in
        [vec!["machines"], vec!["machines", "organizations", "organization_memberships"]]
    {
        let snapshot = complete(&world(&sandbox, &resources), "machines").await;
        assert_eq!(of_machines(&snapshot, "entitlements"), entitlements);
        assert_eq!(of_machines(&snapshot, "grants"), grants);
        let counted = &snapshot.manifest["datasets"]["grants"]["source_count"]["after"];
        let list = if resources.len() == 1 { "machines" } else { "organization_memberships" };
        assert_eq!(*counted, sandbox.count(list), "{resources:?}");
    }
}

/// Every machine that a grant names is in the snapshot, whatever changes meanwhile.
#[tokio::test(start_paused = true)]
async fn every_machine_that_a_grant_names_is_in_the_snapshot() {
    let sandbox = populated();
    with_a_call_ahead(&sandbox);
    // After all machines have been read, and before they are read again for their scopes.
    before_request(&sandbox, "/v1/machines", 2, |sandbox| {
        let machines = sandbox.rows("machines");
        let mut called = machines[3].clone();
        called.as_object_mut().expect("a row").shift_remove("scoped_machines");
        let new = json!({
            "object": "machine", "id": "mch_new", "name": "new", "instance_id": "ins_1",
            "created_at": sandbox.latest() + 1, "updated_at": sandbox.latest() + 1,
            "default_token_ttl": 60, "scoped_machines": [called],
        });
        sandbox.insert("machines", new.clone()).expect("it is new");
        let change = |row: &mut Value| row["scoped_machines"] = json!([new]);
        sandbox.update("machines", text(&machines[5]["id"]), change).expect("it is there");
        sandbox.delete("machines", text(&machines[7]["id"]));
    });
    let snapshot = complete(&world(&sandbox, &["machines"]), "machines").await;
    let there = snapshot.ids("machines");
    assert!(there.contains(&"mch_new".to_owned()));
    for grant in &snapshot.datasets["grants"] {
        for side in ["principal", "resource"] {
            assert!(there.contains(&text(&grant[side]["id"]).to_owned()), "{side} of {grant}");
        }
    }
    let mut grants = of_machines(&snapshot, "grants");
    let (_, mut expected) = scopes(&sandbox);
    grants.sort_unstable();
    expected.sort_unstable();
    assert_eq!(grants, expected);
}
