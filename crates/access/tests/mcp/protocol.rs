//! The server as a whole: what it speaks, what it reads, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clerk_snapshot::layout::manifest_key;
use clerk_snapshot::resource::Dataset;
use serde_json::{Value, json};

use super::answers::{place, questions};
use super::client::{Called, Client, hello};
use crate::support::Place;
use crate::world::World;

/// The files below a folder, with their content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

// Promise: when standard input closes, the server ends with exit status 0, whether anything was said or not; standard
// output carried the protocol alone, and nothing was written.
#[tokio::test]
async fn it_ends_with_its_input() {
    let (place, stored) = place();
    let before = files(place.folder.path());
    let url = place.folder.path().to_str().unwrap().to_owned();
    let ended = Client::start(&["--url", &url, "mcp"]).end();
    assert_eq!((ended.status, &*ended.stdout, &*ended.stderr), (Some(0), "", ""));
    let mut client = Client::of(&place);
    for (tool, arguments, _) in questions(&stored) {
        client.answer(tool, arguments);
    }
    let ended = client.end();
    assert_eq!((ended.status, &*ended.stdout, &*ended.stderr), (Some(0), "", ""));
    assert!(files(place.folder.path()) == before);
}

// Promise: questions that are asked at once are all answered, each with its own answer, also if standard input closes
// right behind them.
#[tokio::test]
async fn questions_at_once_are_all_answered() {
    let (place, stored) = place();
    let mut client = Client::of(&place);
    let asked = questions(&stored);
    let alone: Vec<_> =
        asked.iter().map(|(tool, arguments, _)| client.call(tool, arguments.clone())).collect();
    let mut expected = BTreeMap::new();
    for ((tool, arguments, _), called) in asked.iter().zip(alone) {
        let id = client.request("tools/call", json!({"name": tool, "arguments": arguments}));
        expected.insert(id, called);
    }
    let ended = client.end();
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
    for line in ended.stdout.lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        let called = expected.remove(&answer["id"].as_u64().unwrap()).unwrap();
        assert_eq!(Called::of(&answer), called);
    }
    assert!(expected.is_empty(), "not answered: {expected:?}");
}

// Promise: a damaged snapshot, and none at all, are answers that say so, and the server goes on.
#[tokio::test]
async fn damage_is_an_answer_and_not_the_end() {
    let (place, stored) = place();
    let mut client = Client::of(&place);
    let part = stored[2].part_key(Dataset::Grants, 0);
    let whole = std::fs::read(place.path(&part)).unwrap();
    place.write(&part, b"damaged");
    for (tool, arguments) in
        [("holders", json!({})), ("diff", json!({})), ("history", json!({"id": "org_01"}))]
    {
        let (name, message) = client.error(tool, arguments);
        assert!(name == "SnapshotDamaged" && message.contains(&part), "{name}: {message}");
    }
    let checks = client.answer("verify", json!({}));
    assert_eq!(checks["checks"][2]["ok"], false, "what is found is what was asked for");
    place.write(&part, &whole);
    client.answer("holders", json!({}));
    let mut nothing = Client::of(&Place::new());
    assert_eq!(nothing.error("holders", json!({})).0, "SnapshotNotFound");
    assert_eq!(nothing.error("snapshots", json!({})).0, "SnapshotNotFound");
}

// Promise: the newest manifest and all JSON Schemas can be read as they are, with their types; another address names no
// file.
#[tokio::test]
async fn resources_are_the_newest_manifest_and_the_schemas() {
    let (place, stored) = place();
    let mut client = Client::of(&place);
    let listed = client.ask("resources/list", json!({}));
    let resources = listed["result"]["resources"].as_array().unwrap();
    let mut read = BTreeMap::new();
    for resource in resources {
        let answer = client.ask("resources/read", json!({"uri": resource["uri"]}));
        let contents = answer["result"]["contents"].as_array().unwrap();
        assert_eq!(contents.len(), 1);
        assert_eq!(contents[0]["uri"], resource["uri"]);
        assert_eq!(contents[0]["mimeType"], resource["mimeType"]);
        let of = (resource["name"].as_str().unwrap(), resource["mimeType"].as_str().unwrap());
        read.insert(of, contents[0]["text"].as_str().unwrap().to_owned());
    }
    let manifest = std::fs::read_to_string(place.path(&manifest_key(stored[2].id()))).unwrap();
    assert_eq!(read.remove(&("manifest.json", "application/json")).unwrap(), manifest);
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let names: BTreeSet<String> = files(&schemas)
        .keys()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(read.keys().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>(), names);
    for ((name, mime_type), text) in &read {
        assert_eq!(*mime_type, "application/schema+json");
        assert_eq!(text, &std::fs::read_to_string(schemas.join(name)).unwrap());
    }
    for uri in ["file:///etc/passwd", "clerk-access://schemas/../latest.json", ""] {
        let answer = client.ask("resources/read", json!({"uri": uri}));
        assert!(
            answer["error"]["message"].as_str().unwrap().contains("there is no resource"),
            "{answer}"
        );
    }
    place.write(&manifest_key(stored[2].id()), b"{}");
    let damaged =
        client.ask("resources/read", json!({"uri": "clerk-access://latest/manifest.json"}));
    assert_eq!(damaged["error"]["data"]["errorType"], "SnapshotDamaged", "{damaged}");
}

// Promise: a message that is wrong is answered or passed over, and the next one is served.
#[tokio::test]
async fn a_wrong_message_is_not_the_end() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    let mut client = Client::of(&place);
    let unknown = client.ask("tools/call", json!({"name": "delete", "arguments": {}}));
    assert_eq!(unknown["error"]["code"], -32602);
    assert!(unknown["error"]["message"].as_str().unwrap().contains("there is no tool \"delete\""));
    let list = client.ask("tools/call", json!({"name": "who", "arguments": []}));
    assert!(
        list["error"]["message"].as_str().unwrap().contains("`arguments`, an object"),
        "{list}"
    );
    let method = client.ask("tools/write", json!({}));
    assert_eq!(method["error"]["code"], -32601, "{method}");
    client.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}}));
    for (said, code, id) in [
        (&b"\"nonsense\"\n"[..], -32600, Value::Null),
        (b"nonsense\n", -32700, Value::Null),
        (b"\xff\n", -32700, Value::Null),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":7}\n", -32600, json!("x")),
        (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}\n", -32600, Value::Null),
    ] {
        client.say_bytes(said);
        let invalid = client.hear();
        assert_eq!(invalid["error"]["code"], code, "{invalid}");
        assert_eq!(invalid.get("id"), Some(&id), "{invalid}");
    }
    client.say_bytes(b"\n\r\n");
    assert!(client.ask("ping", json!({}))["result"].is_object());
    client.answer("stats", json!({}));
}

// Promise: a client that writes its last request without a line break and closes its end is answered.
#[tokio::test]
async fn the_last_line_need_not_end() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    let mut client = Client::of(&place);
    client.say_bytes(
        b"nonsense\n{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"stats\"}}",
    );
    let ended = client.end();
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
    let said: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((said.len(), &said[0]["error"]["code"]), (2, &json!(-32700)), "{said:?}");
    assert!(said[1]["id"] == 7 && !Called::of(&said[1]).is_error, "{said:?}");
}

// Promise: what keeps the server from starting is said on standard error alone: standard output carries the protocol.
#[tokio::test]
async fn what_keeps_it_from_starting_is_told_a_person() {
    let place = Place::new();
    let url = place.folder.path().to_str().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("answer.json");
    let file = file.to_str().unwrap();
    for (arguments, status, words) in [
        (&["--url", "http://example.com", "mcp"][..], 2, "--url"),
        (&["--url", url, "--out", file, "mcp"], 2, "leave out --out and -o"),
        (&["--url", url, "-o", "csv", "mcp"], 2, "leave out --out and -o"),
        (
            &["--url", url, "mcp", "--redaction-key-file", "-"],
            2,
            "standard input carries the protocol",
        ),
    ] {
        let ended = Client::start(arguments).end();
        assert_eq!((ended.status, &*ended.stdout), (Some(status), ""), "{arguments:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
    let mut other = Client::start(&["--url", url, "mcp"]);
    other.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let ended = other.end();
    assert_eq!((ended.status, &*ended.stdout), (Some(2), ""));
    assert!(ended.stderr.contains("let an MCP client start this program"), "{ended:?}");
    let help = place.run(&["mcp", "--help"]).await;
    assert!(help.stdout.contains("Example") && help.stdout.contains("mcpServers"), "{help:?}");
}

// Promise: a client of the newest protocol, which needs no handshake, is served as well.
#[tokio::test]
async fn a_client_without_a_handshake_is_served() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    let mut client = Client::start(&["--url", place.folder.path().to_str().unwrap(), "mcp"]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": hello()["clientInfo"],
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let answer = client.ask("tools/call", json!({"name": "stats", "arguments": {}, "_meta": meta}));
    assert!(!Called::of(&answer).is_error, "{answer}");
}
