//! `compare`: a list of people against the users.

use clerk_snapshot::redaction::{Personal, RedactionKey, shown_key_id};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, records};
use serde_json::{Value, json};

use crate::support::Place;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn user(id: &str, name: &str, status: &str) -> Value {
    let mut user = records::user(id);
    user["display_name"] = name.into();
    user["status"] = status.into();
    user["profile"]["external_id"] = format!("hr-{id}").into();
    user["profile"]["username"] = format!("name_{id}").into();
    user
}

fn users() -> Vec<Value> {
    let mut ada = user("user_ada", "Ada", "enabled");
    ada["profile"]["emails"] = json!([
        {"address": "ADA@Home.example", "primary": false, "verified": true},
        {"address": "user_ada@example.com", "primary": true, "verified": true},
    ]);
    vec![
        user("user_zoe", "zoe", "enabled"),
        ada,
        user("user_bob", "Bob", "disabled"),
        user("user_eve", "Émile", "enabled"),
        user("user_off", "Off", "disabled"),
    ]
}

fn place(list: &str) -> Place {
    let place = Place::new();
    place.publish(&SnapshotBuilder::on_day(20).with(Dataset::Users, users()));
    place.write("hr.csv", list.as_bytes());
    place
}

const COMPARE: [&str; 5] = ["compare", "--people", "hr.csv", "--column", "Mail"];

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

// Promise: any address in any case matches; who is on one side alone is listed in order.
#[tokio::test]
async fn people_are_matched_by_any_address_in_any_case() {
    let list = "\u{feff}Name;Mail\r\n\"A;B\";ada@HOME.example\r\n;\r\nB;User_Bob@example.com\r\n\
                X;Nobody@example.com\r\nX;nobody@EXAMPLE.com\r\nA;user_ada@example.com\r\n";
    let place = place(list);
    let answer = place.ask(&COMPARE).await.answered();
    let compared = &answer["compared"];
    assert_eq!(ids(&compared["not_on_list"]), ["user_zoe", "user_eve"]);
    assert_eq!(ids(&compared["disabled"]), ["user_bob"]);
    assert_eq!(compared["disabled"][0]["value"], "User_Bob@example.com");
    assert_eq!(compared["unknown"].as_array().unwrap().len(), 1);
    assert_eq!(compared["unknown"][0]["value"], "Nobody@example.com");
    assert_eq!(compared["unknown"][0]["line"], 5);
    assert_eq!(compared["matched"], 1);
    assert_eq!(compared["not_on_list"][0]["primary_email"], "user_zoe@example.com");
    let keys: Vec<_> = compared.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["not_on_list", "unknown", "disabled", "matched"]);
    let found = place.ask(&[&COMPARE[..], &["--exit-code"]].concat()).await;
    assert_eq!(found.status, 4);
    let csv = place.ask(&[&COMPARE[..], &["-o", "csv"]].concat()).await.stdout;
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], "result,value,line,user_id,display_name,primary_email,status");
    assert_eq!(lines[1], "not_on_list,,,user_zoe,zoe,user_zoe@example.com,enabled");
    assert_eq!(lines[3], "unknown,Nobody@example.com,5,,,,");
    assert_eq!(lines.len(), 5);
    let ndjson = place.ask(&[&COMPARE[..], &["-o", "ndjson"]].concat()).await.stdout;
    let last: Value = serde_json::from_str(ndjson.lines().last().unwrap()).unwrap();
    assert_eq!((&last["compared"]["matched"], ndjson.lines().count()), (&json!(1), 5));
}

// Promise: where all people are on both sides there is nothing to report; an empty list is one.
#[tokio::test]
async fn nothing_to_report_is_exit_status_0() {
    let everybody = "Mail\nuser_zoe@example.com\nuser_ada@example.com\nuser_eve@example.com\n";
    let answer = place(everybody).ask(&[&COMPARE[..], &["--exit-code"]].concat()).await.answered();
    assert_eq!(
        answer["compared"],
        json!({"not_on_list": [], "unknown": [], "disabled": [], "matched": 3})
    );
    let answer = place("Mail\n").ask(&COMPARE).await.answered();
    assert_eq!(ids(&answer["compared"]["not_on_list"]).len(), 3);
    assert_eq!(answer["compared"]["matched"], 0);
}

#[tokio::test]
async fn other_columns_hold_other_ids() {
    for (by, ada, nobody) in [
        ("external_id", "hr-user_ada", "HR-user_zoe"),
        ("username", "name_user_ada", "user_zoe@example.com"),
    ] {
        let place = place(&format!("Mail\n{ada}\n{nobody}\n"));
        let answer = place.ask(&[&COMPARE[..], &["--by", by]].concat()).await.answered();
        assert_eq!(answer["compared"]["matched"], 1, "{by}");
        assert_eq!(answer["compared"]["unknown"][0]["value"], nobody);
    }
}

// Promise: a missing column names those that there are; a missing file and a wrong encoding are said, too.
#[tokio::test]
async fn a_wrong_list_is_exit_status_2() {
    let place = place("Name;E-mail\nx;ada@example.com\n");
    let missing = place.ask(&COMPARE).await;
    assert_eq!(missing.error_type(2), "InvalidEvent");
    assert!(missing.stderr.contains("\"Name\", \"E-mail\""), "{missing:?}");
    assert!(!missing.stderr.contains("ada@"), "{missing:?}");
    let nowhere = place.ask(&["compare", "--people", "no.csv", "--column", "Mail"]).await;
    assert_eq!(nowhere.error_type(2), "InvalidEvent");
    let by = place.ask(&[&COMPARE[..], &["--by", "phone"]].concat()).await;
    assert_eq!(by.error_type(2), "InvalidEvent");
}

#[tokio::test]
async fn a_list_comes_from_standard_input_too() {
    let mut place = place("");
    place.input = b"Mail\nuser_ada@example.com\n".to_vec();
    let answer = place.ask(&["compare", "--people", "-", "--column", "Mail"]).await.answered();
    assert_eq!(answer["compared"]["matched"], 1);
}

// Promise: hashes are compared with the key's, and without it nobody is called unknown.
#[tokio::test]
async fn hashes_need_their_key() {
    let key = RedactionKey::parse(KEY).unwrap();
    let mut hashed = user("user_ada", "user_ada", "enabled");
    let hash = key.hash(Personal::Email, "user_ada@example.com");
    hashed["profile"]["primary_email"] = hash.as_str().into();
    hashed["profile"]["emails"][0]["address"] = hash.as_str().into();
    let mut snapshot = SnapshotBuilder::on_day(20).with(Dataset::Users, [hashed]);
    snapshot.manifest.settings.as_mut().unwrap().redact = vec!["email".to_owned()];
    snapshot.manifest.redaction_key_id = shown_key_id(&key.id());
    let place = Place::new();
    place.publish(&snapshot);
    place.write("hr.csv", b"Mail\nUser_Ada@example.com\nbob@example.com\n");
    place.write("key.txt", KEY.as_bytes());
    let without = place.ask(&COMPARE).await;
    assert_eq!(without.error_type(2), "InvalidEvent");
    assert!(without.stderr.contains("--redaction-key-file"), "{without:?}");
    let file = place.path("key.txt");
    let with_key = ["--redaction-key-file", file.to_str().unwrap()];
    let answer = place.ask(&[&COMPARE[..], &with_key].concat()).await.answered();
    assert_eq!(answer["compared"]["matched"], 1, "{answer}");
    assert_eq!(answer["compared"]["unknown"][0]["value"], "bob@example.com");
    snapshot.manifest.redaction_key_id = None;
    place.publish(&snapshot);
    let null = place.ask(&COMPARE).await;
    assert_eq!(null.error_type(2), "InvalidEvent");
    assert!(null.stderr.contains("external_id"), "{null:?}");
}
