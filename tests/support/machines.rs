//! The expected entitlements and grants of machines, computed from Clerk's rows as plain JSON.

use clerk_sandbox::Sandbox;
use serde_json::{Value, json};

use super::oracle::moment;
use super::snapshot::Snapshot;

/// The machines that each machine may call, as lines of entitlements and of grants.
pub(crate) fn scopes(sandbox: &Sandbox) -> (Vec<String>, Vec<String>) {
    let machines = sandbox.rows("machines");
    let entitlements = machines.iter().map(|machine| {
        json!({
            "kind": "entitlement",
            "id": format!("machine:{}:call", text(&machine["id"])),
            "resource": { "type": "machine", "id": machine["id"] },
            "slug": "call",
            "purpose": "permission",
            "display_name": machine["name"],
            "grantable_to": ["machine"],
            "role": null,
        })
    });
    let grants = machines.iter().flat_map(|caller| {
        let called = caller["scoped_machines"].as_array().expect("machines").iter();
        called.map(move |called| {
            let entitlement = format!("machine:{}:call", text(&called["id"]));
            json!({
                "kind": "grant",
                "id": format!("{entitlement}:machine:{}", text(&caller["id"])),
                "entitlement_id": entitlement,
                "resource": { "type": "machine", "id": called["id"] },
                "slug": "call",
                "principal": { "type": "machine", "id": caller["id"] },
                "role": null,
                "permissions": null,
                "source": null,
                "created_at": moment(&caller["created_at"]),
                "updated_at": moment(&caller["updated_at"]),
            })
        })
    });
    (entitlements.map(|it| it.to_string()).collect(), grants.map(|it| it.to_string()).collect())
}

/// The lines of a dataset that are about machines.
pub(crate) fn of_machines(snapshot: &Snapshot, dataset: &str) -> Vec<String> {
    let rows = snapshot.datasets[dataset].iter();
    rows.filter(|row| row["resource"]["type"] == "machine").map(Value::to_string).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
