//! `diff` and `history`.

use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::redaction::{Personal, RedactionKey, shown_key_id};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, Stored, records};
use serde_json::{Value, json};

use crate::support::Place;

const ADMIN: (&str, &str) = ("role_1", "org:admin");
const MEMBER: (&str, &str) = ("role_2", "org:member");

fn snapshot(day: u32, users: &[&str], grants: Vec<Value>) -> SnapshotBuilder {
    SnapshotBuilder::on_day(day)
        .with(Dataset::Users, users.iter().map(|user| records::user(user)))
        .with(Dataset::Organizations, [records::organization("org_1", "Acme")])
        .with(
            Dataset::OrganizationRoles,
            [ADMIN, MEMBER].map(|(id, key)| records::role(id, key, &[])),
        )
        .with(Dataset::Grants, grants)
}

fn member(user: &str, role: (&str, &str)) -> Vec<Value> {
    let membership = format!("orgmem_{user}");
    vec![
        records::member_grant("org_1", user, &membership),
        records::role_grant("org_1", user, &membership, role, &[]),
    ]
}

/// On the 1st, Ada joins as a member. By the 2nd she is an administrator, by the 3rd she is gone and Bob is there.
fn place() -> (Place, [Stored; 4]) {
    let place = Place::new();
    let first = place.publish(&snapshot(1, &["ada", "bob"], Vec::new()));
    let second = place.publish(&snapshot(2, &["ada", "bob"], member("ada", MEMBER)).after(&first));
    let third = place.publish(&snapshot(3, &["ada", "bob"], member("ada", ADMIN)).after(&second));
    let fourth = place.publish(&snapshot(4, &["bob"], member("bob", MEMBER)).after(&third));
    (place, [first, second, third, fourth])
}

fn events(answer: &Value) -> Vec<(String, String)> {
    let changes = answer["changes"].as_array().unwrap().iter();
    let event = |change: &Value| {
        (
            change["event"].as_str().unwrap().to_owned(),
            change["subject"]["id"].as_str().unwrap().to_owned(),
        )
    };
    changes.map(event).collect()
}

fn sorted(mut events: Vec<(String, String)>) -> Vec<(String, String)> {
    events.sort();
    events
}

fn named(events: &[(&str, &str)]) -> Vec<(String, String)> {
    sorted(
        events
            .iter()
            .map(|(event, subject)| ((*event).to_owned(), (*subject).to_owned()))
            .collect(),
    )
}

// Promise: without arguments the latest snapshot is compared with the one before it, and the counts agree.
#[tokio::test]
async fn the_latest_snapshot_is_compared_with_the_one_before() {
    let (place, stored) = place();
    let answer = place.ask(&["diff"]).await.answered();
    assert_eq!(answer["from"]["snapshot_id"], stored[2].id());
    assert_eq!(answer["snapshot"]["snapshot_id"], stored[3].id());
    let expected = named(&[
        ("user_removed", "ada"),
        ("member_removed", "ada"),
        ("role_revoked", "ada"),
        ("member_added", "bob"),
        ("role_granted", "bob"),
    ]);
    assert_eq!(sorted(events(&answer)), expected);
    assert_eq!(
        answer["datasets"]["grants"],
        json!({"result": "compared", "reason": null, "added": 2, "removed": 2, "changed": 0})
    );
    assert_eq!(answer["events"]["user_removed"], 1);
    let first = &answer["changes"][0];
    let keys: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys[..5], ["kind", "op", "event", "class", "certainty"]);
}

// Promise: both snapshots can be named in every way, and --only, --class and --summary choose what is said.
#[tokio::test]
async fn what_is_compared_can_be_chosen() {
    let (place, stored) = place();
    for arguments in [
        &["2026-11-02", "2026-11-03"][..],
        &[stored[1].id(), stored[2].id()],
        &["-o", "json", "20261102", "20261103"],
        &["-22d", "-21d"],
    ] {
        let answer = place.ask(&[&["diff"], arguments].concat()).await.answered();
        let expected = named(&[("role_granted", "ada"), ("role_revoked", "ada")]);
        assert_eq!(sorted(events(&answer)), expected, "{arguments:?}");
    }
    let users = place.ask(&["diff", "--only", "users"]).await.answered();
    assert_eq!(events(&users), named(&[("user_removed", "ada")]));
    let identity = place.ask(&["diff", "--class", "identity,activity"]).await.answered();
    assert_eq!(events(&identity), []);
    let summary = place.ask(&["diff", "--summary"]).await.answered();
    assert!(summary["changes"].is_null());
    assert_eq!(summary["datasets"]["users"]["removed"], 1);
    for wrong in [&["diff", "--class", "all"][..], &["diff", "--only", "people"]] {
        assert_eq!(place.ask(wrong).await.error_type(2), "InvalidEvent");
    }
}

// Promise: --exit-code tells whether anything changed, and an incomplete comparison comes before it.
#[tokio::test]
async fn exit_codes_tell_whether_anything_changed() {
    let (place, stored) = place();
    assert_eq!(place.ask(&["diff", "--exit-code"]).await.status, 4);
    assert_eq!(place.ask(&["diff", "--exit-code", "--summary"]).await.status, 4);
    assert_eq!(place.ask(&["diff", "latest", "latest", "--exit-code"]).await.status, 0);
    let fifth = snapshot(5, &[], Vec::new()).after(&stored[3]).with_status(
        Dataset::Grants,
        DatasetStatus::Failed,
        Some("why"),
    );
    place.publish(&fifth);
    let answer = place.ask(&["diff", "--exit-code"]).await;
    assert_eq!(answer.status, 5);
    let document = answer.json();
    assert_eq!(
        document["incomplete"],
        json!([{"dataset": "grants", "status": "not_compared", "reason": "why"}])
    );
    assert_eq!(place.ask(&["diff", "--exit-code", "--allow-incomplete"]).await.status, 4);
    assert_eq!(
        place.ask(&["diff", "--only", "users"]).await.status,
        0,
        "what was not asked for may be missing"
    );
}

// Promise: nothing is said about a dataset that is asked for by name and that neither snapshot has, so that the answer is
// not complete; what else was asked for is compared.
#[tokio::test]
async fn a_dataset_that_neither_snapshot_has_is_not_compared() {
    let (place, _) = place();
    for summary in [&[][..], &["--summary"]] {
        let answer = place.ask(&[&["diff", "--only", "machines,users"], summary].concat()).await;
        assert_eq!(answer.status, 5, "{answer:?}");
        let document = answer.json();
        assert_eq!(
            document["incomplete"],
            json!([{"dataset": "machines", "status": "not_compared", "reason": "not_in_resources"}])
        );
        assert_eq!(document["datasets"]["users"]["removed"], 1);
        assert_eq!(document["datasets"]["machines"], Value::Null);
    }
    assert_eq!(place.ask(&["diff", "--only", "machines", "--allow-incomplete"]).await.status, 0);
}

// Promise: snapshots of two instances are not compared.
#[tokio::test]
async fn two_instances_are_not_compared() {
    let (place, stored) = place();
    let mut other = snapshot(5, &[], Vec::new()).after(&stored[3]);
    other.manifest.instance.id = "ins_2".to_owned();
    place.publish(&other);
    assert_eq!(place.ask(&["diff"]).await.error_type(2), "InvalidEvent");
    // The history is that of the instance that is copied now.
    let history = place.ask(&["history", "ada"]).await;
    assert_eq!((history.status, events(&history.json())), (0, Vec::new()), "{history:?}");
}

// Promise: what is uncertain about one of the records that a row stands for is uncertain about the row.
#[tokio::test]
async fn a_change_of_role_is_as_uncertain_as_its_revocation() {
    let place = Place::new();
    let first = place.publish(&snapshot(1, &["ada"], member("ada", MEMBER)));
    let second = snapshot(2, &["ada"], member("ada", ADMIN)).after(&first);
    place.publish(&second.with_status(Dataset::Grants, DatasetStatus::Drifted, None));
    let table = place.ask(&["diff", "-o", "table", "--allow-incomplete"]).await.stdout;
    assert!(table.contains("role_changed (unconfirmed)"), "{table}");
}

// Promise: a person reads a revoked and a granted role of one membership as one change; programs read two records.
#[tokio::test]
async fn a_person_reads_one_change_of_role() {
    let (place, _) = place();
    let arguments = ["diff", "2026-11-02", "2026-11-03", "-o"];
    let table = place.ask(&[&arguments[..], &["table"]].concat()).await.stdout;
    assert!(table.contains("role_changed") && table.contains("org:member -> org:admin"), "{table}");
    assert!(!table.contains("role_revoked") && table.contains("1 row\n"), "{table}");
    let csv = place.ask(&[&arguments[..], &["csv"]].concat()).await.stdout;
    assert!(csv.contains("role_revoked") && csv.contains("role_granted"), "{csv}");
    assert_eq!(csv.lines().count(), 3);
}

// Promise: a person reads a deleted organization in one row that counts what went with it, and a new member with the
// role, each by name; programs read every record.
#[tokio::test]
async fn a_person_reads_what_belongs_together_in_one_row() {
    let place = Place::new();
    let gone = |grants: Vec<Value>| {
        snapshot(1, &["ada", "bob"], grants)
            .with(Dataset::Organizations, [records::organization("org_2", "Initech")])
    };
    let in_org_2 = |user: &str| {
        let mut grants = member(user, ADMIN);
        for grant in &mut grants {
            *grant = serde_json::from_str(
                &grant.to_string().replace("org_1", "org_2").replace("orgmem_", "orgmem_2_"),
            )
            .unwrap();
        }
        grants
    };
    let first = place.publish(&gone([in_org_2("ada"), in_org_2("bob")].concat()));
    place.publish(&snapshot(2, &["ada", "bob"], member("bob", MEMBER)).after(&first));

    let table = place.ask(&["diff", "-o", "table"]).await.stdout;
    let row = |event: &str| {
        let line = table.lines().find(|line| line.contains(event));
        line.unwrap_or_else(|| panic!("{event}: {table}")).to_owned()
    };
    assert!(table.contains("2 rows\n"), "{table}");
    assert!(row("organization_removed").contains("Initech (org_2)"), "{table}");
    assert!(row("organization_removed").contains("4 records went with it"), "{table}");
    let joined = row("member_added");
    assert!(joined.contains("Person bob (bob)") && joined.contains("Acme (org_1)"), "{table}");
    assert!(joined.contains("org:member"), "{table}");

    let csv = place.ask(&["diff", "-o", "csv"]).await.stdout;
    assert_eq!(csv.lines().count(), 1 + 1 + 4 + 2, "{csv}");
}

// Promise: the history of a thing has every change of it, oldest first, over all published snapshots.
#[tokio::test]
async fn the_history_of_a_thing_is_told_from_the_beginning() {
    let (place, stored) = place();
    let history = async |id: &str| place.ask(&["history", id]).await.answered();
    let ada = history("ada").await;
    let told = events(&ada);
    assert_eq!(
        sorted(told[..2].to_vec()),
        named(&[("member_added", "ada"), ("role_granted", "ada")])
    );
    assert_eq!(
        sorted(told[2..4].to_vec()),
        named(&[("role_granted", "ada"), ("role_revoked", "ada")])
    );
    let end = named(&[("member_removed", "ada"), ("role_revoked", "ada"), ("user_removed", "ada")]);
    assert_eq!(sorted(told[4..].to_vec()), end);
    assert_eq!(ada["changes"][0]["to"], stored[1].id());
    assert_eq!(ada["from"]["snapshot_id"], stored[0].id());
    assert_eq!(events(&history("orgmem_ada").await).len(), 6);
    assert_eq!(events(&history("org_1").await).len(), 8);
    assert_eq!(
        events(&history("role_1").await),
        named(&[("role_granted", "ada"), ("role_revoked", "ada")])
    );
    assert_eq!(events(&history("nobody").await), []);
}

// Promise: a history is asked for by whatever names somebody or something elsewhere, also by the name that is only in
// older snapshots, and an answer about nothing says that nothing is called so.
#[tokio::test]
async fn a_history_is_found_by_every_name() {
    let (place, _) = place();
    let history = async |text: &str| place.ask(&["history", text]).await.answered();
    for (text, id) in [
        ("ADA@example.com", "ada"),
        ("bob@example.com", "bob"),
        ("Acme", "org_1"),
        ("org:admin", "role_1"),
    ] {
        let named = history(text).await;
        assert_eq!(events(&named), events(&history(id).await), "{text}");
        assert!(!events(&named).is_empty(), "{text}");
        assert!(named["unmatched"].is_null(), "{text}");
    }
    for id in
        ["ada", "orgmem_ada", "orgmem_bob", "org_1", "role_2", "organization:org_1:member:user:ada"]
    {
        assert!(history(id).await["unmatched"].is_null(), "{id}");
    }
    let nobody = place.ask(&["history", "eve@example.com"]).await;
    assert_eq!(
        nobody.answered()["unmatched"],
        json!([{"argument": "id", "value": "eve@example.com"}])
    );
    assert!(
        nobody.stderr.contains("Nothing in these snapshots matches \"eve@example.com\""),
        "{nobody:?}"
    );
}

// Promise: where the snapshots have hashes, an address finds a history with their key, and without it is refused.
#[tokio::test]
async fn a_history_is_found_by_what_hashes_stand_for() {
    let key = RedactionKey::parse("0123456789abcdef0123456789abcdef").unwrap();
    let redacted = |day: u32, grants: Vec<Value>| {
        let mut ada = records::user("user_1");
        ada["profile"]["primary_email"] = key.hash(Personal::Email, "ada@example.com").into();
        ada["profile"]["emails"] = json!([]);
        let mut snapshot = snapshot(day, &[], grants).with(Dataset::Users, [ada]);
        let settings = snapshot.manifest.settings.as_mut().unwrap();
        settings.redact = vec!["email".to_owned(), "name".to_owned()];
        snapshot.manifest.redaction_key_id = shown_key_id(&key.id());
        snapshot
    };
    let mut place = Place::new();
    let first = place.publish(&redacted(1, Vec::new()));
    place.publish(&redacted(2, member("user_1", ADMIN)).after(&first));
    let refused = place.ask(&["history", "ada@example.com"]).await;
    assert_eq!(refused.error_type(2), "InvalidEvent");
    place.input = b"0123456789abcdef0123456789abcdef".to_vec();
    let question = ["history", "ada@example.com", "--redaction-key-file", "-"];
    assert_eq!(events(&place.ask(&question).await.answered()).len(), 2);
    let unknown = place.ask(&["history", "orgmem_9"]).await.answered();
    assert_eq!(unknown["unmatched"][0]["value"], "orgmem_9", "an id needs no key");
}

// Promise: if a snapshot between others is gone, the history of what is behind it is not told, and the answer says so. If
// nothing is behind it, because the oldest are removed after a while, the history is that of all that there are.
#[tokio::test]
async fn a_history_with_a_hole_is_not_complete() {
    let (place, stored) = place();
    let remove = |stored: &Stored| {
        std::fs::remove_dir_all(place.path(&format!("snapshots/{}", stored.id()))).unwrap();
    };
    remove(&stored[1]);
    let answer = place.ask(&["history", "ada"]).await;
    assert_eq!(answer.status, 5, "{answer:?}");
    assert!(
        answer.stderr.contains(&format!("{}, the snapshot before", stored[1].id())),
        "{answer:?}"
    );
    let document = answer.json();
    assert_eq!(document["from"]["snapshot_id"], stored[2].id());
    let missing = |dataset: &str| json!({"dataset": dataset, "status": "not_compared", "reason": "previous_gone"});
    let datasets = ["users", "organizations", "organization_roles", "grants"];
    assert_eq!(document["incomplete"], Value::from(datasets.map(missing).to_vec()));
    let end = named(&[("member_removed", "ada"), ("role_revoked", "ada"), ("user_removed", "ada")]);
    assert_eq!(sorted(events(&document)), end);
    remove(&stored[0]);
    let answer = place.ask(&["history", "ada"]).await.answered();
    assert_eq!(answer["from"]["snapshot_id"], stored[2].id());
    place.write(&format!("snapshots/{}/manifest.json", stored[2].id()), b"{}");
    assert_eq!(place.ask(&["history", "ada"]).await.error_type(6), "SnapshotDamaged");
}

// Promise: a damaged part ends a comparison with exit status 6, and what was written before stays valid JSON.
#[tokio::test]
async fn a_damaged_part_ends_the_comparison() {
    let (place, stored) = place();
    let key = stored[3].part_key(Dataset::Users, 0);
    place.write(&key, b"damaged");
    let answer = place.ask(&["diff"]).await;
    assert_eq!(answer.error_type(6), "SnapshotDamaged");
    assert_eq!(place.ask(&["history", "ada"]).await.error_type(6), "SnapshotDamaged");
}

// Promise: if something is found to be damaged when changes were written already, the document is closed with the error,
// NDJSON ends in it, and a file is not made.
#[tokio::test]
async fn an_error_after_changes_is_part_of_valid_json() {
    let place = Place::new();
    let key = |id: &str| records::resource("api_key", id, json!({}));
    let first =
        place.publish(&snapshot(1, &["ada"], Vec::new()).with(Dataset::ApiKeys, [key("ak_1")]));
    let second =
        snapshot(2, &["bob"], Vec::new()).with(Dataset::ApiKeys, [key("ak_2")]).after(&first);
    let second = place.publish(&second);
    place.write(&second.part_key(Dataset::ApiKeys, 0), b"damaged");
    let answer = place.ask(&["diff"]).await;
    assert_eq!(answer.error_type(6), "SnapshotDamaged");
    let expected = named(&[("user_added", "bob"), ("user_removed", "ada")]);
    assert_eq!(sorted(events(&answer.json())), expected);
    let ndjson = place.ask(&["diff", "-o", "ndjson"]).await;
    let last: Value = serde_json::from_str(ndjson.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["errorType"], "SnapshotDamaged");
    let file = place.path("changes.json");
    let written = place.ask(&["diff", "--out", file.to_str().unwrap()]).await;
    assert_eq!(written.error_type(6), "SnapshotDamaged");
    assert!(written.json()["changes"].is_null() && !file.exists());
}
