//! `who`.

use clerk_snapshot::redaction::{Personal, RedactionKey, shown_key_id};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, records};
use serde_json::Value;

use crate::support::Place;
use crate::world::{World, caseless};

// Promise: `who` answers what the records say, for everything that identifies a person.
#[tokio::test]
async fn every_person_is_found_by_everything_that_identifies_them() {
    let world = World::new();
    let place = Place::new();
    place.publish(&world.snapshot(20));
    for user in &world.users {
        let profile = &user["profile"];
        let emails = profile["emails"].as_array().unwrap().iter().map(|email| &email["address"]);
        let others = [&user["id"], &profile["external_id"], &profile["username"]];
        for text in emails.chain(others).filter_map(Value::as_str) {
            let expected = world.people(|user| is_named(user, text));
            assert!(!expected.is_empty());
            let answer = place.ask(&["who", text]).await.answered();
            assert_eq!(answer["people"], Value::Array(expected), "{text}");
        }
    }
}

// Promise: the case of an address does not matter, that of a user name does.
#[tokio::test]
async fn addresses_are_found_in_any_case() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    for (text, is_found) in [
        ("USER_007@EXAMPLE.COM", true),
        ("second.7@bücher.EXAMPLE", true),
        ("SECOND.7@Bücher.example", true),
        ("user_1", false),
        ("User_1", true),
        ("HR:10", false),
        ("hr:10", true),
    ] {
        let answer = place.ask(&["who", text]).await.answered();
        assert_eq!(answer["people"].as_array().unwrap().len(), usize::from(is_found), "{text}");
        assert_eq!(answer["unmatched"].is_null(), is_found, "{text}");
    }
}

// Promise: an external id that many users share finds them all, each with their own memberships.
#[tokio::test]
async fn everybody_with_an_external_id_is_found() {
    let mut world = World::new();
    for user in world.users.iter_mut().take(20) {
        user["profile"]["external_id"] = "shared".into();
    }
    let place = Place::new();
    place.publish(&world.snapshot(20));
    let expected = world.people(|user| user["profile"]["external_id"] == "shared");
    assert_eq!(expected.len(), 20);
    assert_eq!(place.ask(&["who", "shared"]).await.answered()["people"], Value::Array(expected));
}

// Promise: `who` reads users and grants, and of the rest only what it shows.
#[tokio::test]
async fn nobody_is_an_answer() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    let answer = place.ask(&["who", "nobody@example.com"]).await;
    assert!(answer.stderr.contains("nobody@example.com"), "{answer:?}");
    let answer = answer.answered();
    assert_eq!((&answer["people"], &answer["complete"]), (&serde_json::json!([]), &true.into()));
}

// Promise: in a snapshot with hashes a person is found with the key, from a file or standard input, and only with it.
#[tokio::test]
async fn hashes_are_found_with_their_key() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let key = RedactionKey::parse(KEY).unwrap();
    let mut user = records::user("user_1");
    user["profile"]["username"] = key.hash(Personal::Name, "ada").into();
    user["profile"]["emails"][0]["address"] = key.hash(Personal::Email, "ada@example.com").into();
    let mut snapshot = SnapshotBuilder::on_day(20)
        .with(Dataset::Users, [user])
        .with(Dataset::Organizations, [])
        .with(Dataset::OrganizationRoles, [])
        .with(Dataset::Grants, []);
    snapshot.manifest.redaction_key_id = shown_key_id(&key.id());
    let settings = snapshot.manifest.settings.as_mut().unwrap();
    settings.redact = vec!["email".to_owned(), "name".to_owned()];
    let mut place = Place::new();
    place.publish(&snapshot);
    place.write("key.txt", format!("{KEY}\n").as_bytes());
    place.write("other.txt", b"another key of more than thirty-two characters");
    place.write("short.txt", b"short");
    place.input = KEY.as_bytes().to_vec();
    let file = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let found = async |arguments: &[&str]| {
        place.ask(arguments).await.answered()["people"].as_array().unwrap().len()
    };
    for text in ["ADA@example.com", "ada"] {
        let refused = place.ask(&["who", text]).await;
        assert_eq!(
            refused.error_type(2),
            "InvalidEvent",
            "nobody is not an answer without the key"
        );
        assert!(refused.stderr.contains("--redaction-key-file"), "{refused:?}");
        let refused = place.ask(&["access", "--user", text]).await;
        assert_eq!(refused.error_type(2), "InvalidEvent", "{refused:?}");
        assert_eq!(found(&["who", text, "--redaction-key-file", &file("key.txt")]).await, 1);
        assert_eq!(found(&["who", text, "--redaction-key-file", "-"]).await, 1);
    }
    assert_eq!(found(&["who", "user_7"]).await, 0, "an id is no name");
    for name in ["other.txt", "short.txt", "none.txt"] {
        let answer = place.ask(&["who", "ada", "--redaction-key-file", &file(name)]).await;
        assert_eq!(answer.error_type(2), "InvalidEvent", "{name}");
        assert!(!answer.stdout.contains("another key"), "{answer:?}");
    }
}

// Promise: in a snapshot whose personal data was replaced by nothing, nobody is found by an address, and that is said.
#[tokio::test]
async fn addresses_that_were_left_out_find_nobody_and_say_so() {
    let mut snapshot = World::new().snapshot(20);
    snapshot.manifest.settings.as_mut().unwrap().redact = vec!["email".to_owned()];
    let place = Place::new();
    place.publish(&snapshot);
    let refused = place.ask(&["who", "nobody@example.com"]).await;
    assert_eq!(refused.error_type(2), "InvalidEvent");
    assert!(
        refused.stderr.contains("REDACT=email") && refused.stderr.contains("external id"),
        "{refused:?}"
    );
    assert_eq!(place.ask(&["who", "nobody"]).await.status, 0, "names are there");
}

// Promise: where the users are not in the snapshot, memberships are found by the user's id.
#[tokio::test]
async fn memberships_are_found_without_the_users() {
    let world = World::new();
    let mut snapshot = world.snapshot(20);
    snapshot.lines.remove(&Dataset::Users);
    snapshot.manifest.datasets.remove(&Dataset::Users);
    let place = Place::new();
    place.publish(&snapshot);
    let answer = place.ask(&["who", "user_007"]).await;
    assert_eq!(answer.status, 5);
    let answer = answer.json();
    let expected = world.people(|user| user["id"] == "user_007");
    assert_eq!(answer["people"][0]["memberships"], expected[0]["memberships"]);
    assert_eq!(answer["people"][0]["user"]["id"], "user_007");
    assert_eq!(answer["incomplete"][0]["dataset"], "users");
}

fn is_named(user: &Value, text: &str) -> bool {
    let profile = &user["profile"];
    let emails = profile["emails"].as_array().unwrap().iter().map(|email| &email["address"]);
    let mut addresses = emails.chain([&profile["primary_email"]]).filter_map(Value::as_str);
    [&user["id"], &profile["external_id"], &profile["username"]].iter().any(|value| *value == text)
        || addresses.any(|address| caseless(address) == caseless(text))
}
