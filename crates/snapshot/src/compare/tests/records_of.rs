//! What each record says.

use serde_json::{Value, json};

use super::support::{compared, compared_as};
use crate::compare::{Class, Classes, CompareError};
use crate::manifest::DatasetStatus;
use crate::resource::Dataset;
use crate::testing::{SnapshotBuilder, records};

const ADMIN: (&str, &str) = ("role_1", "org:admin");
const MANAGE: &[&str] = &["org:sys_memberships:manage"];

fn first() -> SnapshotBuilder {
    SnapshotBuilder::on_day(20)
}

fn second() -> SnapshotBuilder {
    SnapshotBuilder::on_day(21)
}

fn with_profile(mut record: Value, name: &str, value: Value) -> Value {
    record["profile"][name] = value;
    record
}

// Promise: a record has these keys in this order, and `before` and `after` are the line's own text.
#[tokio::test]
async fn a_record_is_written_as_documented() {
    let grant =
        |permissions| records::role_grant("org_1", "user_1", "orgmem_1", ADMIN, permissions);
    let from = first().with(Dataset::Grants, [grant(&["a"])]);
    let to = second().with(Dataset::Grants, [grant(&["a", "b"])]);
    let lines = String::from_utf8(compared(&from, &to).await.lines).unwrap();
    assert_eq!(
        lines,
        concat!(
            r#"{"kind":"change","op":"changed","event":"grant_changed","class":"access","#,
            r#""certainty":"confirmed","dataset":"grants","id":"organization:org_1:role_1:user:user_1","#,
            r#""subject":{"type":"user","id":"user_1"},"target":{"type":"organization","id":"org_1"},"#,
            r#""role":{"id":"role_1","key":"org:admin"},"pair":"orgmem_1","cause":null,"#,
            r#""fields":[{"path":"permissions","before":["a"],"after":["a","b"]}],"#,
            r#""before":null,"after":null,"#,
            r#""window":{"after":"2026-11-20T12:00:00.000Z","before":"2026-11-21T12:01:00.000Z"},"#,
            r#""from":"20261120T120000Z-3f9a1c","to":"20261121T120000Z-3f9a1c"}"#,
            "\n"
        )
    );
    let user = records::user("user_\u{fc}");
    let (none, one) =
        (first().with(Dataset::Users, []), second().with(Dataset::Users, [user.clone()]));
    let added = compared(&none, &one).await;
    let text = format!(r#""fields":[],"before":null,"after":{user},"window""#);
    assert!(String::from_utf8(added.lines.clone()).unwrap().contains(&text));
    assert_eq!(added.records()[0]["subject"], json!({"type": "user", "id": "user_\u{fc}"}));
    let removed = compared(&one, &none).await;
    let text = format!(r#""fields":[],"before":{user},"after":null,"window""#);
    assert!(String::from_utf8(removed.lines).unwrap().contains(&text));
}

// Promise: each thing that happens has its event and class.
#[tokio::test]
async fn events_and_classes_are_those_that_are_documented() {
    let member = records::member_grant("org_1", "user_1", "orgmem_1");
    let admin = records::role_grant("org_1", "user_1", "orgmem_1", ADMIN, MANAGE);
    let permission = records::permission_grant("perm_1", "role_1");
    let call = records::call_grant("mch_1", "mch_2");
    let key = records::resource("api_key", "ak_1", json!({"last_used_at": null}));
    let day = records::daily_active_users("2026-11-20", 4);
    for (dataset, record, added, removed, class) in [
        (Dataset::Grants, member, "member_added", "member_removed", "access"),
        (Dataset::Grants, admin, "role_granted", "role_revoked", "access"),
        (Dataset::Grants, permission, "role_permission_added", "role_permission_removed", "access"),
        (Dataset::Grants, call, "machine_scope_added", "machine_scope_removed", "access"),
        (Dataset::Users, records::user("u"), "user_added", "user_removed", "access"),
        (Dataset::ApiKeys, key, "api_key_added", "api_key_removed", "security"),
        (
            Dataset::Entitlements,
            records::member_entitlement("o"),
            "entitlement_added",
            "entitlement_removed",
            "access",
        ),
        (
            Dataset::DailyActiveUsers,
            day,
            "daily_active_users_added",
            "daily_active_users_removed",
            "activity",
        ),
        (
            Dataset::BillingPlans,
            records::resource("billing_plan", "p", json!({})),
            "billing_plan_added",
            "billing_plan_removed",
            "identity",
        ),
    ] {
        let (none, one) = (first().with(dataset, []), second().with(dataset, [record]));
        let shown = |it: &super::support::Compared| {
            let record = &it.records()[0];
            (
                record["event"].as_str().unwrap().to_owned(),
                record["class"].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(shown(&compared(&none, &one).await), (added.to_owned(), class.to_owned()));
        assert_eq!(shown(&compared(&one, &none).await), (removed.to_owned(), class.to_owned()));
    }
}

// Promise: a user's record that changed in several ways has the most important event.
#[tokio::test]
async fn a_user_who_changed_has_the_first_event_that_applies() {
    let user = || records::user("user_1");
    let mut disabled = with_profile(user(), "two_factor_enabled", json!(true));
    disabled["status"] = json!("disabled");
    for (from, to, expected) in [
        (user(), disabled.clone(), "user_disabled access"),
        (disabled, user(), "user_enabled access"),
        (
            user(),
            with_profile(user(), "two_factor_enabled", json!(true)),
            "second_factor_on security",
        ),
        (
            with_profile(user(), "two_factor_enabled", json!(true)),
            user(),
            "second_factor_off security",
        ),
        (with_profile(user(), "two_factor_enabled", json!(null)), user(), "user_changed security"),
        (user(), with_profile(user(), "first_name", json!("Ada")), "user_changed identity"),
        (
            user(),
            with_profile(user(), "last_active_at", json!("2026-11-20T00:00:00.000Z")),
            "user_changed activity",
        ),
    ] {
        let shown =
            compared(&first().with(Dataset::Users, [from]), &second().with(Dataset::Users, [to]))
                .await
                .shown();
        assert_eq!(shown, [format!("{expected} confirmed user_1")]);
    }
}

// Promise: the records of a membership have its id as `pair`, so that a change of role can be shown as one.
#[tokio::test]
async fn a_change_of_role_is_two_records_of_one_pair() {
    let grant = |role| records::role_grant("org_1", "user_1", "orgmem_1", role, &[]);
    let from = first().with(Dataset::Grants, [grant(ADMIN)]);
    let to = second().with(Dataset::Grants, [grant(("role_2", "org:member"))]);
    let mut records = compared(&from, &to).await.records();
    records.sort_by_key(|record| record["event"].as_str().unwrap().to_owned());
    let role = |index: usize| {
        (
            records[index]["event"].clone(),
            records[index]["role"]["id"].clone(),
            records[index]["pair"].clone(),
        )
    };
    assert_eq!(role(0), (json!("role_granted"), json!("role_2"), json!("orgmem_1")));
    assert_eq!(role(1), (json!("role_revoked"), json!("role_1"), json!("orgmem_1")));
}

/// Two snapshots between which everything of an organization goes, and another one comes.
fn organization_replaced() -> (SnapshotBuilder, SnapshotBuilder) {
    let of = |builder: SnapshotBuilder, organization: &str, kept: &str| {
        builder
            .with(Dataset::Users, [records::user("user_1")])
            .with(
                Dataset::Organizations,
                [records::organization(organization, "A"), records::organization(kept, "B")],
            )
            .with(
                Dataset::Entitlements,
                [records::member_entitlement(organization), records::member_entitlement(kept)],
            )
            .with(
                Dataset::Grants,
                [
                    records::member_grant(organization, "user_1", organization),
                    records::member_grant(kept, "user_1", "k"),
                ],
            )
    };
    let from = of(first(), "org_old", "org_kept");
    let to = of(second(), "org_new", "org_kept");
    (from, to)
}

fn causes(records: &[Value]) -> Vec<(String, Value)> {
    let mut causes: Vec<_> = records
        .iter()
        .map(|record| {
            (
                format!("{} {}", record["event"].as_str().unwrap(), record["id"].as_str().unwrap()),
                record["cause"].clone(),
            )
        })
        .collect();
    causes.sort_by(|one, other| one.0.cmp(&other.0));
    causes
}

// Promise: what went with a removed organization names it as the cause; who was given access is news.
#[tokio::test]
async fn what_goes_with_an_organization_names_it() {
    let (from, to) = organization_replaced();
    let organization = |id: &str| json!({"type": "organization", "id": id});
    let whole = compared(&from, &to).await.records();
    assert_eq!(
        causes(&whole),
        [
            ("entitlement_added organization:org_new:member".to_owned(), organization("org_new")),
            ("entitlement_removed organization:org_old:member".to_owned(), organization("org_old")),
            ("member_added organization:org_new:member:user:user_1".to_owned(), Value::Null),
            (
                "member_removed organization:org_old:member:user:user_1".to_owned(),
                organization("org_old")
            ),
            ("organization_added org_new".to_owned(), Value::Null),
            ("organization_removed org_old".to_owned(), Value::Null),
        ]
    );
    // The same records come if only some datasets are asked for.
    let grants = compared_as(&from, &to, |it| it.only([Dataset::Grants])).await.unwrap().records();
    let expected: Vec<_> = whole.iter().filter(|it| it["dataset"] == "grants").cloned().collect();
    assert_eq!(grants, expected);
}

// Promise: the cause is the first of organization, user, role, permission and machine that was removed.
#[tokio::test]
async fn the_first_cause_in_the_documented_order_counts() {
    let base = |builder: SnapshotBuilder| {
        builder
            .with(Dataset::Users, [])
            .with(Dataset::Organizations, [])
            .with(Dataset::OrganizationRoles, [])
            .with(Dataset::OrganizationPermissions, [])
            .with(Dataset::Machines, [])
            .with(Dataset::Entitlements, [])
            .with(Dataset::Grants, [])
    };
    let objects = [
        ("organization", Dataset::Organizations, records::organization("org_1", "A")),
        ("user", Dataset::Users, records::user("user_1")),
        (
            "organization_role",
            Dataset::OrganizationRoles,
            records::role("role_1", "org:admin", &[]),
        ),
        (
            "organization_permission",
            Dataset::OrganizationPermissions,
            records::permission("perm_1", "p"),
        ),
        ("machine", Dataset::Machines, records::machine("mch_1")),
    ];
    let grants = [
        (
            records::role_grant("org_1", "user_1", "m", ADMIN, &[]),
            vec!["organization", "user", "organization_role"],
        ),
        (records::member_grant("org_1", "user_1", "m"), vec!["organization", "user"]),
        (
            records::permission_grant("perm_1", "role_1"),
            vec!["organization_role", "organization_permission"],
        ),
        (records::call_grant("mch_1", "mch_2"), vec!["machine"]),
        (records::call_grant("mch_2", "mch_1"), vec!["machine"]),
    ];
    for (grant, types) in grants {
        for first_cause in 0..=types.len() {
            let mut from = base(first()).with(Dataset::Grants, [grant.clone()]);
            for (name, dataset, object) in &objects {
                if types[first_cause..].contains(name) {
                    from = from.with(*dataset, [object.clone()]);
                }
            }
            let found = compared(&from, &base(second())).await.records();
            let grant = found.iter().find(|it| it["dataset"] == "grants").unwrap();
            let expected = types.get(first_cause).map_or(Value::Null, |name| json!(name));
            assert_eq!(grant["cause"]["type"], expected, "{types:?}");
        }
    }
}

// Promise: what a snapshot may have missed is unconfirmed, and everything else confirmed.
#[tokio::test]
async fn what_drifted_is_unconfirmed() {
    let user = |id: &str, created_at: &str| {
        let mut user = records::user(id);
        user["created_at"] = json!(created_at);
        user
    };
    let old = || user("old", "2026-11-20T11:59:59.999Z");
    let new = || user("new", "2026-11-20T12:00:00.000Z");
    let stays = || user("stays", "2026-01-01T00:00:00.000Z");
    let renamed = || with_profile(stays(), "first_name", json!("Ada"));
    let gone = || user("gone", "2026-01-01T00:00:00.000Z");
    let drift = |builder: SnapshotBuilder, drifts: bool| match drifts {
        true => builder.with_status(Dataset::Users, DatasetStatus::Drifted, None),
        false => builder,
    };
    for (from_drifts, to_drifts, removed, added) in [
        (false, false, "confirmed", "confirmed"),
        (true, false, "unconfirmed", "unconfirmed"),
        (false, true, "unconfirmed", "confirmed"),
        (true, true, "unconfirmed", "unconfirmed"),
    ] {
        let from = drift(first().with(Dataset::Users, [stays(), gone()]), from_drifts);
        let to = drift(second().with(Dataset::Users, [renamed(), old(), new()]), to_drifts);
        let compared = compared(&from, &to).await;
        let mut shown = compared.shown();
        shown.sort();
        let expected = [
            "user_added access confirmed new".to_owned(),
            format!("user_added access {added} old"),
            "user_changed identity confirmed stays".to_owned(),
            format!("user_removed access {removed} gone"),
        ];
        shown.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(shown, expected);
        assert_eq!(compared.summary.complete, !from_drifts && !to_drifts);
    }
}

// Promise: only the classes and datasets that were asked for are handed out and counted; their records are the same.
#[tokio::test]
async fn only_what_was_asked_for_is_handed_out() {
    let from = first()
        .with(Dataset::Users, [records::user("a"), records::user("b")])
        .with(Dataset::Sessions, [records::resource("session", "s", json!({}))]);
    let to = second()
        .with(Dataset::Users, [with_profile(records::user("a"), "first_name", json!("Ada"))])
        .with(Dataset::Sessions, [records::resource("session", "t", json!({}))]);
    let whole = compared(&from, &to).await;
    assert_eq!(whole.records().len(), 4);
    assert_eq!(
        whole.dataset("users"),
        json!({"result": "compared", "reason": null, "added": 0, "removed": 1, "changed": 1})
    );
    for class in Class::ALL {
        let asked =
            compared_as(&from, &to, |it| it.classes([*class].into_iter().collect())).await.unwrap();
        let expected: Vec<_> =
            whole.records().into_iter().filter(|it| it["class"] == class.name()).collect();
        assert_eq!(asked.records(), expected);
        let counted: u64 =
            asked.summary.datasets.values().map(|it| it.added + it.removed + it.changed).sum();
        assert_eq!(
            (counted, asked.summary.events.values().sum::<u64>()),
            (expected.len() as u64, expected.len() as u64)
        );
        assert_eq!(asked.summary.classes, [*class]);
    }
    let users = compared_as(&from, &to, |it| it.classes(Classes::ALL).only([Dataset::Users]))
        .await
        .unwrap();
    assert!(
        users.records().iter().all(|it| it["dataset"] == "users") && users.records().len() == 2
    );
    assert_eq!(users.summary.datasets.len(), 2, "every dataset of either side");
    assert_eq!(users.dataset("sessions")["added"], 0);
}

// Promise: the summary counts privileged grants, and its highlights have ids alone, the most important first.
#[tokio::test]
async fn the_summary_names_what_matters_without_names() {
    let (mut from, mut to) = organization_replaced();
    let grant =
        |user: &str, permissions| records::role_grant("org_kept", user, user, ADMIN, permissions);
    to.add(Dataset::Grants, [grant("user_2", &[]), grant("user_1", MANAGE)]);
    from.add(Dataset::Grants, (0..30).map(|number| grant(&format!("gone_{number}"), MANAGE)));
    let summary = compared(&from, &to).await.summary;
    assert_eq!(summary.privileged_granted, 1);
    assert_eq!(summary.events["role_revoked"], 30);
    assert_eq!(summary.highlights.len(), 20);
    let highlights: Vec<Value> =
        summary.highlights.iter().map(|it| serde_json::from_str(it.get()).unwrap()).collect();
    let events: Vec<_> =
        highlights.iter().take(3).map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["role_granted", "organization_removed", "role_granted"]);
    assert_eq!(highlights[0]["subject"]["id"], "user_1");
    for highlight in &highlights {
        assert_eq!(
            (&highlight["fields"], &highlight["before"], &highlight["after"]),
            (&json!([]), &Value::Null, &Value::Null)
        );
        assert!(highlight["cause"].is_null());
        assert!(!highlight.to_string().contains("Person") && !highlight.to_string().contains('@'));
    }
    let written = serde_json::to_value(&summary).unwrap();
    let keys: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "format",
            "from",
            "to",
            "classes",
            "complete",
            "datasets",
            "events",
            "privileged_granted",
            "highlights",
            "parts"
        ]
    );
    assert_eq!(written["format"], "clerk-sync/changes/1");
    assert_eq!(written["from"]["snapshot_id"], "20261120T120000Z-3f9a1c");
}

// Promise: snapshots of two instances are never compared.
#[tokio::test]
async fn two_instances_are_not_compared() {
    let mut other = second();
    other.manifest.instance.id = "ins_2".to_owned();
    let error = compared_as(&first(), &other, |it| it).await.unwrap_err();
    assert!(matches!(error, CompareError::DifferentInstances { .. }));
}
