//! Records and summaries are what the JSON Schemas say.

use serde_json::{Value, json};

use super::support::compared;
use crate::resource::Dataset;
use crate::testing::{SnapshotBuilder, records};

fn validator(name: &str) -> (jsonschema::Validator, Value) {
    let path = format!("{}/../../schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    (jsonschema::validator_for(&schema).unwrap(), schema)
}

fn assert_valid(name: &str, value: &Value) {
    let (validator, schema) = validator(name);
    let problems: Vec<_> = validator.iter_errors(value).map(|it| it.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?} in {value}");
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(value), keys(&schema["properties"]), "the keys are in the schema's order");
}

// Promise: every kind of record, and the summary, is what its schema says.
#[tokio::test]
async fn records_and_summaries_are_valid() {
    let role = ("role_1", "org:admin");
    let mut renamed = records::organization("org_1", "New");
    renamed["profile"]["max_allowed_memberships"] = Value::Null;
    let grants = [
        records::member_grant("org_1", "user_1", "orgmem_1"),
        records::role_grant("org_1", "user_1", "orgmem_1", role, &["org:sys_profile:delete"]),
        records::permission_grant("perm_1", "role_1"),
    ];
    let from = SnapshotBuilder::on_day(1)
        .with(Dataset::Users, [records::user("user_1")])
        .with(Dataset::Organizations, [records::organization("org_1", "Old")])
        .with(Dataset::Entitlements, [records::role_entitlement("org_1", role)])
        .with(Dataset::Grants, grants.clone())
        .with(Dataset::Machines, [records::machine("mch_1")]);
    let to = SnapshotBuilder::on_day(2)
        .with(Dataset::Users, [])
        .with(Dataset::Organizations, [renamed])
        .with(Dataset::Entitlements, [])
        .with(Dataset::Grants, [])
        .with(Dataset::ApiKeys, [records::resource("api_key", "ak_1", json!({}))])
        .with(Dataset::DailyActiveUsers, [records::daily_active_users("2026-11-01", 1)]);
    for (from, to) in [(&from, &to), (&to, &from)] {
        let compared = compared(from, to).await;
        assert!(compared.records().len() > 5);
        compared.records().iter().for_each(|record| assert_valid("change", record));
        assert_valid("changes_summary", &serde_json::to_value(&compared.summary).unwrap());
    }
    let (validator, _) = validator("change");
    let mut record = compared(&from, &to).await.records().remove(0);
    record["class"] = json!("gossip");
    assert!(!validator.is_valid(&record));
}
