//! Promise: every value that `REDACT` names is replaced in every line by a keyed hash, or by null
//! without a key, and no other value is; the tables of `docs/data.md` list the fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox};
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_store::Operation;
use clerk_sync::secret_source::SecretSource;
use serde_json::{Value, json};

use crate::support::captured::Captured;
use crate::support::faulty_store::{Effect, Fault};
use crate::support::plain::FIRST;
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The hash of `ada@example.com` under [`KEY`], as `openssl dgst -sha256 -hmac` computes it.
const HASH_OF_ADA: &str =
    "hmac-sha256:e3e30b4d50224a4ba14084607085d072402144212a122eb4501daddd6bbe0ee3";

/// The beginning of the HMAC-SHA-256 of `clerk-sync/redaction-key/1` under [`KEY`], computed in the same way.
const ID_OF_KEY: &str = "9a3c3ca919f63fab";

/// Rows in every list, and users of every kind: one with an address as its only name, and one with
/// every field set.
fn instance() -> Sandbox {
    let sandbox = Sandbox::new(
        Population::default()
            .users(60)
            .organizations(4)
            .memberships(40)
            .permissions(5)
            .other_rows(12),
    );
    let address = |id: &str, text: &str| json!({"id": id, "email_address": text, "verification": {"status": "verified"}});
    sandbox
        .insert(
            "users",
            json!({
                "object": "user", "id": "user_nameless", "created_at": FIRST,
                "primary_email_address_id": "idn_1",
                "email_addresses": [address("idn_1", "nameless@example.com")],
            }),
        )
        .unwrap();
    let ada = json!({
        "object": "user", "id": "user_ada", "created_at": FIRST + 1,
        "first_name": "Planted-First", "last_name": "Planted-Last", "username": "planted-user",
        "external_id": "external-1", "primary_email_address_id": "idn_2",
        "email_addresses": [address("idn_2", "Ada@Example.com"), address("idn_3", " ")],
        "phone_numbers": [{"id": "idn_4", "phone_number": "+15550100999"}],
        "external_accounts": [{"provider": "oauth_google", "email_address": "ada@example.com"}],
        "enterprise_accounts": [{"provider": "saml_okta", "email_address": "ADA@example.com"}],
    });
    sandbox.insert("users", ada).unwrap();
    let mut domain = sandbox.rows("organization_domains")[0].clone();
    domain["id"] = "orgdmn_affiliated".into();
    domain["affiliation_email_address"] = "ada@example.com".into();
    sandbox.insert("organization_domains", domain).unwrap();
    sandbox
}

fn world(sandbox: &Sandbox, redact: &str, key: Option<&str>) -> World {
    let secret = ScriptedSecret::new([DEFAULT_KEY]);
    World::new(sandbox.clone())
        .with("REDACT", redact)
        .with_secret(key.into_iter().fold(secret, ScriptedSecret::with_redaction_key))
}

fn row<'a>(snapshot: &'a Snapshot, id: &str) -> &'a Value {
    snapshot.datasets["users"].iter().find(|row| row["id"] == id).expect("it is there")
}

#[tokio::test(start_paused = true)]
async fn each_value_is_replaced_by_a_hash() {
    let snapshot = world(&instance(), "email,phone,name", Some(KEY)).complete().await;
    let ada = row(&snapshot, "user_ada");
    let profile = &ada["profile"];
    assert_eq!(profile["primary_email"], HASH_OF_ADA);
    assert_eq!(profile["emails"][0]["address"], HASH_OF_ADA);
    assert_eq!(profile["emails"][0]["primary"], true);
    assert_eq!(profile["emails"][1]["address"], " ", "a blank address is kept");
    assert_eq!(profile["external_accounts"][0]["email"], HASH_OF_ADA);
    assert_eq!(profile["enterprise_accounts"][0]["email"], HASH_OF_ADA);
    assert_eq!(profile["external_id"], "external-1");
    let (first, last) = (&profile["first_name"], &profile["last_name"]);
    let display_name = format!("{} {}", first.as_str().unwrap(), last.as_str().unwrap());
    assert_eq!(ada["display_name"], display_name);
    for value in [first, last, &profile["username"], &profile["phones"][0]["number"]] {
        let digits = value.as_str().unwrap().strip_prefix("hmac-sha256:").unwrap();
        assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    let nameless = row(&snapshot, "user_nameless");
    assert_eq!(nameless["display_name"], nameless["profile"]["primary_email"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_values_become_null() {
    let snapshot = world(&instance(), "email, phone, name, ip", None).complete().await;
    for user in &snapshot.datasets["users"] {
        let profile = &user["profile"];
        for field in ["first_name", "last_name", "username", "primary_email"] {
            assert_eq!(profile[field], Value::Null, "{field}");
        }
        assert_eq!(user["display_name"], user["id"]);
    }
    let ada = row(&snapshot, "user_ada");
    assert_eq!(
        ada["profile"]["emails"][0],
        json!({
            "address": null, "primary": true, "verified": true
        })
    );
}

/// The manifest tells keys apart, and shows nothing of them or of the values.
#[tokio::test(start_paused = true)]
async fn the_manifest_tells_the_keys_of_hashes_apart() {
    let sandbox = instance();
    let other_key = "0123456789abcdef0123456789abcdeF";
    let id = async |redact, key| {
        let world = world(&sandbox, redact, key);
        let manifest = world.complete().await.manifest;
        for (key_of_file, bytes) in world.memory.objects() {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(KEY) && !text.contains(other_key), "{key_of_file}");
        }
        manifest["redaction_key_id"].clone()
    };
    assert_eq!(id("email", Some(KEY)).await, ID_OF_KEY);
    assert_eq!(id("phone,ip", Some(KEY)).await, ID_OF_KEY, "whatever is hashed");
    let other = id("email", Some(other_key)).await;
    assert_ne!(other, ID_OF_KEY);
    assert_eq!(other.as_str().unwrap().len(), ID_OF_KEY.len());
    assert_eq!(id("email", None).await, Value::Null, "nothing is hashed without a key");
    assert_eq!(id("", Some(KEY)).await, Value::Null, "nothing is replaced");
}

/// Also that of a run that goes on, and of one that is published by another invocation than read it.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_names_the_key_that_it_began_with() {
    for fault in ["/part-", "/manifest.json", "latest.json"] {
        let world = world(&instance(), "email", Some(KEY));
        world.store.fault(Fault::new(Operation::Put, Effect::LoseAnswer).on_key(fault));
        let _answer_or_error = world.sync().await;
        world.store.heal();
        let manifest = world.complete().await.manifest;
        assert_eq!(manifest["redaction_key_id"], ID_OF_KEY, "{fault}");
    }
    // Another key in the middle: the run is given up, and its successor names that one.
    let world = world(&instance(), "email", Some(KEY));
    let answer = world.handle(json!({"time_budget_seconds": 0})).await.unwrap();
    assert_eq!(answer["status"], "partial", "{answer:#}");
    let other = ScriptedSecret::new([DEFAULT_KEY]).with_redaction_key(&KEY.to_uppercase());
    let manifest = world.with_secret(other).complete().await.manifest;
    assert_ne!(manifest["redaction_key_id"], ID_OF_KEY);
    assert_ne!(manifest["redaction_key_id"], Value::Null);
}

/// The redaction key is in the same secret: reading it once returns both.
#[tokio::test(start_paused = true)]
async fn the_secret_is_read_once() {
    let secret = Arc::new(ScriptedSecret::new([DEFAULT_KEY]).with_redaction_key(KEY));
    let mut world = World::new(instance()).with("REDACT", "email");
    world.secret = Arc::clone(&secret) as Arc<dyn SecretSource>;
    world.complete().await;
    assert_eq!(secret.times_read(), 1);
    world.handle(json!({"action": "lookup", "resource": "users", "id": "user_ada"})).await.unwrap();
    assert_eq!(secret.times_read(), 2);
}

#[tokio::test(start_paused = true)]
async fn check_says_whether_there_is_a_redaction_key() {
    for (redact, key, ending) in [
        ("", None, "was read from Secrets Manager"),
        ("email", Some(KEY), "and the redaction_key beside it"),
        ("email", None, "what REDACT names becomes null"),
    ] {
        let answer = world(&instance(), redact, key).handle(json!({"action": "check"})).await;
        let secret = answer.unwrap()[0].clone();
        assert_eq!((&secret["check"], &secret["ok"]), (&json!("secret"), &json!(true)));
        let detail = secret["detail"].as_str().unwrap();
        assert!(detail.ends_with(ending), "{detail}");
    }
}

/// A value has the same hash in two snapshots and in a lookup.
#[tokio::test(start_paused = true)]
async fn a_value_has_the_same_hash_in_snapshots_and_lookups() {
    let world = world(&instance(), "email,phone,name", Some(KEY));
    let first = world.complete().await;
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let second = world.complete().await;
    assert_eq!(first.digests(), second.digests());
    let event = json!({
        "action": "lookup", "resource": "users", "email_address": "Ada@Example.com"
    });
    let answer = world.handle(event).await.unwrap();
    assert_eq!(answer["records"][0].to_string(), row(&first, "user_ada").to_string());
}

#[tokio::test(start_paused = true)]
async fn replaced_values_are_neither_stored_nor_logged() {
    let planted = ["planted", "5550100999", "ada@example", "nameless@"];
    for key in [Some(KEY), None] {
        let log = Captured::start();
        let world = world(&instance(), "email,phone,name", key).with("COMPRESSION", "none");
        world.handle(json!({"time_budget_seconds": 0})).await.unwrap();
        world.complete().await;
        let mut text = log.text();
        for (name, bytes) in world.memory.objects() {
            text.push_str(&format!("{name} {}", String::from_utf8_lossy(&bytes)));
        }
        let text = text.to_lowercase();
        for planted in planted {
            assert!(!text.contains(planted), "{planted}");
        }
        assert!(!text.contains(KEY));
    }
}

/// One list would be hashed partly under one key and partly under another.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_continued_under_another_redaction_key() {
    let sandbox = instance();
    let begun = world(&sandbox, "email", Some(KEY));
    let answer = begun.handle(json!({"time_budget_seconds": 0})).await.unwrap();
    assert_eq!(answer["status"], "partial", "{answer:#}");

    let same = begun.clone().sync().await.unwrap();
    assert_eq!(same["invocations"], 2, "{same:#}");

    for other in [Some("another-key-another-key-another-key"), None] {
        let begun = world(&sandbox, "email", Some(KEY));
        let partial = begun.handle(json!({"time_budget_seconds": 0})).await.unwrap();
        let secret = ScriptedSecret::new([DEFAULT_KEY]);
        let secret = other.into_iter().fold(secret, ScriptedSecret::with_redaction_key);
        let answer = begun.with_secret(secret).sync().await.unwrap();
        assert_eq!(answer["status"], "complete", "{answer:#}");
        assert_ne!(answer["snapshot_id"], partial["snapshot_id"]);
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("abandoned: the secret holds another redaction_key"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn redact_cannot_be_combined_with_raw() {
    let world = world(&instance(), "ip", Some(KEY)).with("INCLUDE_RAW", "true");
    let error = world.sync().await.unwrap_err();
    assert_eq!(error.name(), "InvalidConfig");
    assert!(error.message().contains("REDACT is set together with INCLUDE_RAW"));
    assert_eq!(world.sandbox.total_requests(), 0);
    let world = world.with("REDACT", "none");
    world.complete().await;
    let error = world.with("REDACT", "email,adress").sync().await.unwrap_err();
    assert!(error.message().contains("REDACT names unknown \"adress\" (accepted: none, or "));
}

// ---- docs/data.md

/// The rows of a dataset's table in `docs/data.md`: for each field, the kinds that replace it.
fn documented(dataset: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = file("docs/data.md");
    let heading = format!("### Fields of `{dataset}`\n");
    let (_, below) = text.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
    let rows = below.lines().skip_while(|line| !line.starts_with("| `"));
    let rows = rows.take_while(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let kinds = cells[5].split(", ").filter_map(|it| it.strip_prefix('`')?.strip_suffix('`'));
        let field = cells[1].trim_matches('`').to_owned();
        assert!(["yes", "no", "id", "as you use it"].contains(&cells[3]), "{line}");
        (field, kinds.map(str::to_owned).collect())
    })
    .collect()
}

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The leaf fields that a JSON Schema allows.
fn allowed(schema: &Value, path: &str, fields: &mut BTreeSet<String>) {
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        choices.iter().for_each(|choice| allowed(choice, path, fields));
    } else if let Some(properties) = schema["properties"].as_object() {
        for (name, schema) in properties {
            let separator = if path.is_empty() { "" } else { "." };
            allowed(schema, &format!("{path}{separator}{name}"), fields);
        }
    } else if schema["items"].is_object() || schema["prefixItems"].is_array() {
        allowed(&schema["items"], &format!("{path}[]"), fields);
    } else if schema["type"] != "null" {
        fields.insert(path.to_owned());
    }
}

/// The fields in which two records differ.
fn differences(left: &Value, right: &Value, path: &str, fields: &mut BTreeSet<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            assert!(left.keys().eq(right.keys()), "{path}");
            for (name, value) in left {
                let separator = if path.is_empty() { "" } else { "." };
                differences(value, &right[name], &format!("{path}{separator}{name}"), fields);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            assert_eq!(left.len(), right.len(), "{path}");
            for (left, right) in left.iter().zip(right) {
                differences(left, right, &format!("{path}[]"), fields);
            }
        }
        _ if left == right => {}
        _ => {
            fields.insert(path.to_owned());
        }
    }
}

#[test]
fn every_field_of_every_dataset_is_in_the_tables() {
    for dataset in Dataset::ALL {
        let schema = file(&format!("schemas/{dataset}.schema.json"));
        let mut fields = BTreeSet::new();
        allowed(&serde_json::from_str(&schema).unwrap(), "", &mut fields);
        assert!(fields.len() > 3, "{dataset}: {fields:?}");
        let documented: BTreeSet<String> = documented(dataset.name()).into_keys().collect();
        assert_eq!(documented, fields, "{dataset}");
    }
}

#[tokio::test(start_paused = true)]
async fn exactly_the_fields_in_the_tables_are_replaced() {
    let sandbox = instance();
    let resources: Vec<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    let world = |redact| world(&sandbox, redact, Some(KEY)).with("RESOURCES", &resources.join(","));
    let plain = world("none").complete().await;
    assert_eq!(plain.datasets.len(), Dataset::ALL.len());
    for kind in Personal::ALL {
        let redacted = world(kind.name()).complete().await;
        for (dataset, rows) in &plain.datasets {
            let mut changed = BTreeSet::new();
            assert_eq!(rows.len(), redacted.datasets[dataset].len());
            for (row, redacted) in rows.iter().zip(&redacted.datasets[dataset]) {
                differences(row, redacted, "", &mut changed);
            }
            let expected = documented(dataset).into_iter();
            let expected = expected.filter(|(_, kinds)| kinds.contains(kind.name()));
            let expected: BTreeSet<String> = expected.map(|(field, _)| field).collect();
            assert_eq!(changed, expected, "{dataset} {kind:?}");
        }
    }
}
