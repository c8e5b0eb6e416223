//! Events are understood as docs/reference.md says, and all others are refused with a clear
//! message.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::time::Duration;

use clerk_snapshot::resource::Resource;
use clerk_sync::event::{Event, SyncOptions};
use serde_json::{Value, json};

fn plain_sync() -> Event {
    Event::Sync(SyncOptions::default())
}

/// The event that both ways of reading return.
fn read(value: &Value) -> Event {
    let event = Event::from_value(value).unwrap();
    assert_eq!(Event::from_json(value.to_string().as_bytes()).unwrap(), event);
    event
}

/// The message with which both ways of reading refuse it.
fn refused(value: &Value) -> String {
    let message = Event::from_value(value).unwrap_err().to_string();
    let from_json = Event::from_json(value.to_string().as_bytes()).unwrap_err();
    assert_eq!(from_json.to_string(), message);
    message
}

#[test]
fn an_empty_object_is_a_plain_sync() {
    assert_eq!(read(&json!({})), plain_sync());
    assert_eq!(read(&json!({"action": "sync"})), plain_sync());
    assert_eq!(Event::from_json(b" {\n}\n").unwrap(), plain_sync());
}

/// JSON that many parsers refuse: half of a surrogate pair, a number out of range, two hundred levels.
fn odd_json() -> [String; 3] {
    [
        r#""\ud800""#.to_owned(),
        "1e400".to_owned(),
        format!("{}{}", "[".repeat(200), "]".repeat(200)),
    ]
}

#[test]
fn json_that_a_parser_may_refuse_is_judged_by_where_it_stands() {
    for odd in odd_json() {
        let of_a_scheduler = format!(r#"{{"source": "aws.events", "detail": {{"odd": {odd}}}}}"#);
        assert_eq!(Event::from_json(of_a_scheduler.as_bytes()).unwrap(), plain_sync(), "{odd}");
        for (name, says) in [("forse", "forse"), ("restart", "restart"), ("action", "action")] {
            let event = format!(r#"{{"{name}": {odd}}}"#);
            let message = Event::from_json(event.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(says), "{event}: {message}");
        }
    }
}

#[test]
fn an_event_of_a_scheduler_is_a_plain_sync_whatever_it_holds() {
    // Amazon EventBridge user guide: the event of a rule that runs on a schedule.
    let rule = json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-20T12:00:00Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:events:eu-west-1:123456789012:rule/nightly"],
        "detail": {}
    });
    assert_eq!(read(&rule), plain_sync());
    let mut schedule = rule;
    schedule["source"] = json!("aws.scheduler");
    schedule["detail"] = json!("{}");
    assert_eq!(read(&schedule), plain_sync());
    schedule["action"] = json!("no such action");
    assert_eq!(read(&schedule), plain_sync());
}

#[test]
fn other_sources_are_not_schedulers() {
    let message = refused(&json!({"source": "aws.s3", "detail-type": "Object Created"}));
    assert!(message.contains(r#"field "source" is unknown"#), "{message}");
    assert!(message.contains(r#"field "detail-type" is unknown"#), "{message}");
    refused(&json!({"source": ["aws.events"]}));
}

#[test]
fn a_sync_takes_its_options() {
    let event = read(&json!({
        "action": "sync",
        "resources": ["users", "organization_roles", "users"],
        "time_budget_seconds": 1.5,
        "force": true,
        "restart": true,
        "accept_shrink": true
    }));
    assert_eq!(
        event,
        Event::Sync(SyncOptions {
            resources: Some(BTreeSet::from([Resource::Users, Resource::OrganizationRoles])),
            time_budget: Some(Duration::from_millis(1500)),
            force: true,
            restart: true,
            accept_shrink: true,
        })
    );
    // `resources` has the syntax of RESOURCES, and seconds may be a whole number.
    let event = read(&json!({"resources": "users, organizations", "time_budget_seconds": 0}));
    assert_eq!(
        event,
        Event::Sync(SyncOptions {
            resources: Some(BTreeSet::from([Resource::Users, Resource::Organizations])),
            time_budget: Some(Duration::ZERO),
            ..SyncOptions::default()
        })
    );
    assert_eq!(read(&json!({"force": false})), plain_sync());
}

#[test]
fn queries_take_no_fields() {
    assert_eq!(read(&json!({"action": "check"})), Event::Check);
    assert_eq!(read(&json!({"action": "status"})), Event::Status);
    for action in ["check", "status"] {
        let message = refused(&json!({"action": action, "force": true}));
        assert!(message.contains(r#"field "force" is unknown"#), "{message}");
    }
}

#[test]
fn all_unknown_names_are_reported_at_once() {
    let message = refused(&json!({
        "action": "snyc",
        "resource": ["users"],
        "resources": ["users", "teams"],
        "time_budget_seconds": "60",
        "force": 1,
        "restart": null,
        "accept_shrink": "yes"
    }));
    for part in [
        r#"action "snyc" is unknown (accepted: sync, check, status, lookup, changes)"#,
        r#"field "resource" is unknown (accepted: action, resources, "#,
        r#"resources names unknown "teams" (accepted: "#,
        "time_budget_seconds is not usable (accepted: a number from 0",
        "force is not a boolean (accepted: true, false)",
        "restart is not a boolean",
        "accept_shrink is not a boolean",
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
}

#[test]
fn values_of_the_wrong_kind_are_refused_by_name() {
    for (value, named) in [
        (json!({"action": 1}), "action is not a string"),
        (json!({"action": null}), "action is not a string"),
        (json!({"action": "Sync"}), "action \"Sync\" is unknown"),
        (json!({"resources": []}), "resources names nothing"),
        (json!({"resources": " , "}), "resources names nothing"),
        (json!({"resources": [1]}), "resources holds something"),
        (json!({"resources": {}}), "resources is neither"),
        (json!({"resources": null}), "resources is neither"),
        (json!({"time_budget_seconds": -1}), "time_budget_seconds is"),
        (json!({"time_budget_seconds": 1e300}), "time_budget_seconds is"),
        (json!({"time_budget_seconds": 31_536_001}), "time_budget_seconds is"),
    ] {
        let message = refused(&value);
        assert!(message.starts_with(named), "{message}");
    }
}

#[test]
fn an_event_that_is_not_an_object_is_refused_without_being_shown() {
    for document in ["", "secret", "{\"secret\":", "{} secret", "\u{feff}{}"] {
        let message = Event::from_json(document.as_bytes()).unwrap_err().to_string();
        assert!(message.contains("is not JSON"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    for value in [json!([]), json!("secret"), json!(1), json!(null), json!(true)] {
        let message = refused(&value);
        assert!(message.contains("is not a JSON object"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(Event::from_json(b"\xff\xfe").is_err());
}

#[test]
fn a_field_given_twice_is_refused() {
    let twice = br#"{"force":false,"force":true,"force":true}"#;
    assert_eq!(
        Event::from_json(twice).unwrap_err().to_string(),
        r#"field "force" is given more than once"#
    );
}

// An event may hold anything, and its error ends up in logs.
#[test]
fn a_refusal_is_short_escaped_and_shows_no_key() {
    let many: serde_json::Map<String, Value> =
        (0..1000).map(|number| (format!("field_{number}"), Value::Null)).collect();
    let message = refused(&Value::Object(many));
    assert!(message.len() < 2000, "{}", message.len());
    assert!(message.ends_with("; and 990 more"), "{message}");

    let key = format!("sk_{}_example", "live");
    let message = refused(&json!({ "line\nbreak": 1, &key: 2, "action": &key }));
    assert!(message.contains(r"line\nbreak"), "{message}");
    assert!(!message.contains('\n') && !message.contains(&key), "{message}");
}

#[test]
fn values_have_a_greatest_length_and_size() {
    let lookup =
        |length| json!({"action": "lookup", "resource": "users", "username": "a".repeat(length)});
    read(&lookup(512));
    assert!(refused(&lookup(513)).contains("username is not usable"));
    let longest = 365 * 24 * 60 * 60;
    read(&json!({"time_budget_seconds": longest}));
    assert!(refused(&json!({"time_budget_seconds": longest + 1})).contains("time_budget_seconds"));
}

/// The message names the resources that can be looked up, and no other.
#[test]
fn a_lookup_without_a_resource_says_which_there_are() {
    let message = refused(&json!({"action": "lookup"}));
    let (_, accepted) = message.split_once("accepted: one of ").expect("the accepted names");
    let accepted: BTreeSet<&str> = accepted.trim_end_matches(')').split(", ").collect();
    assert!(accepted.contains("users") && accepted.contains("organization_memberships"));
    assert!(!accepted.contains("daily_active_users"), "{accepted:?}");
}
