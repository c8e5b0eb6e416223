//! Pages of answers, and cursors.

use serde_json::{Value, json};

use super::answers::{place, publish, questions};
use super::client::Client;

/// The list of an answer.
const LISTS: [&str; 8] =
    ["people", "holders", "rows", "changes", "findings", "stats", "checks", "snapshots"];

fn list(answer: &Value) -> (&'static str, Vec<Value>) {
    let fields = answer.as_object().unwrap();
    let name = LISTS.into_iter().find(|name| fields.contains_key(*name)).unwrap();
    (name, fields[name].as_array().unwrap().clone())
}

/// All pages of `limit` rows, from the one at `cursor` on.
fn pages(
    client: &mut Client,
    tool: &str,
    arguments: &Value,
    limit: u64,
    first: Option<Value>,
) -> Vec<Value> {
    let mut cursor = first;
    let mut pages = Vec::new();
    loop {
        let mut arguments = arguments.clone();
        arguments["limit"] = limit.into();
        if let Some(cursor) = cursor.take() {
            arguments["cursor"] = cursor;
        }
        let page = client.answer(tool, arguments);
        let next = page["next_cursor"].clone();
        pages.push(page);
        if next.is_null() {
            return pages;
        }
        cursor = Some(next);
    }
}

// Promise: the pages of an answer are its rows in order, each once; every page has the envelope and the counts of the
// whole, is full but for the last, and the last says that it is.
#[tokio::test]
async fn pages_add_up_to_the_answer() {
    let (place, stored) = place();
    let mut client = Client::of(&place);
    for (tool, arguments, command) in questions(&stored) {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let whole = place.ask(&words).await.json();
        let (name, expected) = list(&whole);
        let limit = (expected.len() as u64 / 3).clamp(1, 1000);
        let mut rows = Vec::new();
        let pages = pages(&mut client, tool, &arguments, limit, None);
        let count = pages.len();
        for (place, mut page) in pages.into_iter().enumerate() {
            let (_, own) = list(&page);
            assert!(own.len() as u64 == limit || place + 1 == count, "{command:?}: page {place}");
            rows.extend(own);
            for changed in [name, "command", "next_cursor"] {
                page[changed] = Value::Null;
            }
            let mut same = whole.clone();
            for changed in [name, "command", "next_cursor"] {
                same[changed] = Value::Null;
            }
            assert_eq!(page, same, "{command:?}: page {place}");
        }
        assert_eq!(rows, expected, "{command:?}");
        assert_eq!(count as u64, (expected.len() as u64).div_ceil(limit).max(1), "{command:?}");
    }
    let usual = client.answer("holders", json!({}));
    assert_eq!(list(&usual).1.len(), 100, "without a limit a page has 100 rows");
}

// Promise: a cursor continues the answer that it came with, about the same snapshots, also if others were published
// since. A new question is about the new ones.
#[tokio::test]
async fn a_cursor_stays_with_its_snapshots() {
    let (place, stored) = place();
    let mut client = Client::of(&place);
    let asked = questions(&stored);
    let mut begun = Vec::new();
    for (tool, arguments, command) in &asked {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let (_, expected) = list(&place.ask(&words).await.json());
        let mut with_limit = arguments.clone();
        with_limit["limit"] = 1.into();
        begun.push((expected, client.answer(tool, with_limit)));
    }
    publish(&place, 3, 25, stored.last());
    let mut continued = 0;
    for ((tool, arguments, command), (expected, first)) in asked.iter().zip(begun) {
        if first["next_cursor"].is_null() {
            continue;
        }
        let cursor = first["next_cursor"].clone();
        let rest = pages(&mut client, tool, arguments, 500, Some(cursor));
        let mut rows = list(&first).1;
        for page in &rest {
            assert_eq!(page["snapshot"], first["snapshot"], "{command:?}");
            assert_eq!(page["from"], first["from"], "{command:?}");
            rows.extend(list(page).1);
        }
        assert_eq!(rows, expected, "{command:?}");
        continued += 1;
    }
    assert!(continued >= 14, "{continued} answers had a second page");
    let anew = client.answer("snapshots", json!({}));
    assert_eq!(list(&anew).1.len(), 4);
}

// Promise: every page of an answer is as incomplete as the first, also of a history with a hole.
#[tokio::test]
async fn every_page_says_what_is_not_complete() {
    let (place, stored) = place();
    let fourth = publish(&place, 3, 25, stored.last());
    std::fs::remove_dir_all(place.path(&format!("snapshots/{}", stored[1].id()))).unwrap();
    let mut client = Client::of(&place);
    let pages = pages(&mut client, "history", &json!({"id": "org_02"}), 1, None);
    assert!(pages.len() > 1, "{pages:?}");
    for page in &pages {
        assert_eq!(page["incomplete"], pages[0]["incomplete"]);
        assert_eq!(page["incomplete"][0]["reason"], "previous_gone");
        assert_eq!(page["from"]["snapshot_id"], stored[2].id());
        assert_eq!(page["snapshot"]["snapshot_id"], fourth.id());
    }
}

// Promise: a cursor with another tool, question or snapshot, and a text that is none, are errors that say so.
#[tokio::test]
async fn a_cursor_belongs_to_one_question() {
    let (place, stored) = place();
    let mut client = Client::of(&place);
    let first = client.answer("holders", json!({"in": "slug-3", "limit": 1}));
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    for (tool, arguments) in [
        ("access", json!({"in": "slug-3"})),
        ("holders", json!({})),
        ("holders", json!({"in": "slug-2"})),
        ("holders", json!({"in": "slug-3", "role": "org:admin"})),
        ("holders", json!({"in": "slug-3", "snapshot": stored[0].id()})),
        ("holders", json!({"in": "slug-3", "snapshot": "previous"})),
        ("diff", json!({})),
    ] {
        let mut arguments = arguments;
        arguments["cursor"] = cursor.clone().into();
        let (name, message) = client.error(tool, arguments.clone());
        assert_eq!(name, "InvalidEvent");
        assert!(message.contains("another question or another snapshot"), "{arguments}: {message}");
    }
    let (_, message) = client.error("holders", json!({"in": "slug-3", "cursor": "next"}));
    assert!(message.contains("`cursor` is not one"), "{message}");
    // Another limit is the same question.
    let second = client.answer("holders", json!({"in": "slug-3", "limit": 2, "cursor": cursor}));
    assert_eq!(list(&second).1.len(), 2);
    std::fs::remove_dir_all(place.path(&format!("snapshots/{}", stored[2].id()))).unwrap();
    place.write("latest.json", &stored[1].latest_json());
    let (name, _) = client.error("holders", json!({"in": "slug-3", "cursor": cursor}));
    assert_eq!(name, "SnapshotNotFound", "the snapshot was removed meanwhile");
}

// Promise: if the snapshots that an answer began with are gone, its next page is an error and no answer without one.
#[tokio::test]
async fn a_page_of_what_is_gone_is_an_error() {
    let (place, stored) = place();
    let mut client = Client::of(&place);
    let questions =
        [("snapshots", json!({"limit": 1})), ("verify", json!({"all": true, "limit": 1}))];
    let begun = questions.map(|(tool, question)| {
        let cursor = client.answer(tool, question.clone())["next_cursor"].clone();
        assert!(cursor.is_string());
        (tool, question, cursor)
    });
    std::fs::remove_dir_all(place.path(&format!("snapshots/{}", stored[2].id()))).unwrap();
    place.write("latest.json", &stored[1].latest_json());
    for (tool, mut question, cursor) in begun {
        question["cursor"] = cursor;
        let (name, message) = client.error(tool, question);
        assert!(name == "SnapshotNotFound" && message.contains(stored[2].id()), "{message}");
    }
}
