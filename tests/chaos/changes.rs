//! Changes of single rows, made as a request arrives.

use clerk_sandbox::Sandbox;
use serde_json::{Value, json};

use super::schedule::Event;
use crate::support::plain::FIRST;

/// Changes rows as an event says. `cursor` is the user at the current position of the list.
pub(super) fn change_rows(sandbox: &Sandbox, event: Event, cursor: Option<&str>) {
    let users = sandbox.ids("users");
    match event {
        Event::DeleteCursorRow => {
            if let Some(id) = cursor.map(str::to_owned).or_else(|| some(&users)) {
                sandbox.delete("users", &id);
            }
        }
        Event::Tie => {
            let row = some(&users).and_then(|id| sandbox.row("users", &id));
            let moment = row.map_or(FIRST, |row| row["created_at"].as_i64().expect("a time"));
            sandbox.add_user(moment);
            sandbox.add_user(sandbox.latest());
        }
        Event::Backdate => {
            sandbox.add_user(FIRST);
            sandbox.add_organization(FIRST + 500);
        }
        Event::ChangeRole => {
            if let Some(id) = some(&sandbox.ids("organization_memberships")) {
                let change = |row: &mut Value| row["role"] = json!("org:admin");
                sandbox.update("organization_memberships", &id, change).expect("it is there");
            }
        }
        Event::Rename => {
            if let Some(id) = some(&users) {
                let change = |row: &mut Value| row["first_name"] = json!("Renamed");
                sandbox.update("users", &id, change).expect("it is there");
            }
        }
        Event::DeleteOrganization => {
            if let Some(id) = some(&sandbox.ids("organizations")) {
                sandbox.delete("organizations", &id);
            }
        }
        Event::RevokeInvitation => {
            let pending = |row: &&Value| row["status"] == "pending";
            if let Some(row) = sandbox.rows("invitations").iter().find(pending) {
                let change = |row: &mut Value| {
                    row["status"] = json!("revoked");
                    row["revoked"] = json!(true);
                };
                sandbox.update("invitations", id_of(row), change).expect("it is there");
            }
        }
        Event::CallNewMachine => {
            let caller = some(&sandbox.ids("machines"));
            let called = sandbox.add_sample("machines", sandbox.latest() + 1);
            if let Some((caller, called)) = caller.zip(called) {
                let mut called = sandbox.row("machines", &called).expect("it is new");
                called.as_object_mut().expect("a row").shift_remove("scoped_machines");
                let change = |row: &mut Value| row["scoped_machines"] = json!([called]);
                sandbox.update("machines", &caller, change).expect("it is there");
            }
        }
        Event::DeleteMachine => {
            if let Some(id) = some(&sandbox.ids("machines")) {
                sandbox.delete("machines", &id);
            }
        }
        Event::PowerCut | Event::Interrupt | Event::RotateKey | Event::TurnKey(_) => {}
    }
}

fn some(ids: &[String]) -> Option<String> {
    ids.get(ids.len() / 2).cloned()
}

fn id_of(row: &Value) -> &str {
    row["id"].as_str().expect("an id")
}
