//! What the tools take, and what they refuse.

use clerk_access::mcp::given::Given;
use clerk_access::mcp::tools::{TOOLS, Tool};
use serde_json::{Map, Value, json};

use super::client::Client;
use crate::support::Place;
use crate::world::World;

// Promise: the tools are those of the contract, read-only, with a schema of exactly their arguments.
#[tokio::test]
async fn the_tools_and_their_arguments_are_those_of_the_docs() {
    let listed = Client::of(&Place::new()).ask("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let shown: Vec<(String, Vec<String>, Value)> = tools
        .iter()
        .map(|tool| {
            let schema = &tool["inputSchema"];
            let names = schema["properties"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(schema["additionalProperties"], false, "{tool}");
            assert_eq!(tool["annotations"]["readOnlyHint"], true, "{tool}");
            assert!(tool["description"].as_str().unwrap().contains("Lists `"), "{tool}");
            let limit = &schema["properties"]["limit"];
            assert_eq!(
                (&limit["minimum"], &limit["maximum"], &limit["default"]),
                (&json!(1), &json!(1000), &json!(100))
            );
            jsonschema::meta::validate(schema).unwrap();
            (tool["name"].as_str().unwrap().to_owned(), names, schema["required"].clone())
        })
        .collect();
    let expected = [
        ("who", vec!["person", "snapshot"], json!(["person"])),
        ("can", vec!["permission", "in", "snapshot"], json!(["permission"])),
        ("holders", vec!["role", "in", "snapshot"], json!([])),
        ("access", vec!["in", "user", "snapshot"], json!([])),
        ("diff", vec!["from", "to", "class", "only"], json!([])),
        ("history", vec!["id"], json!(["id"])),
        ("findings", vec!["rule", "snapshot"], json!([])),
        ("stats", vec!["snapshot"], json!([])),
        ("verify", vec!["snapshot", "all"], json!([])),
        ("snapshots", vec![], json!([])),
    ];
    let expected = expected.map(|(name, own, required)| {
        let names = own.into_iter().chain(["limit", "cursor"]).map(str::to_owned).collect();
        (name.to_owned(), names, required)
    });
    assert_eq!(shown, expected);
}

// Promise: what the schema of a tool refuses is refused, and what it accepts is accepted.
#[test]
fn a_tool_refuses_what_its_schema_refuses() {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(1000),
        json!(1001),
        json!(-1),
        json!(1.5),
        json!(100.0),
        json!(1e300),
        json!(""),
        json!("latest"),
        json!("é".repeat(1000)),
        json!("é".repeat(1001)),
        json!([]),
        json!(["access"]),
        json!(["users"]),
        json!(["users", "x"]),
        json!(["api-key-unused"]),
        json!([1]),
        json!({}),
    ];
    let (mut accepted, mut refused) = (0, 0);
    for tool in &TOOLS {
        let tool = Tool::find(tool.name).unwrap();
        let validator = jsonschema::validator_for(&Value::Object(tool.schema())).unwrap();
        let names: Vec<&str> =
            tool.arguments().iter().map(|it| it.name).chain(["out", "Limit"]).collect();
        let needed: Map<String, Value> = tool
            .arguments()
            .iter()
            .filter(|it| it.is_required)
            .map(|it| (it.name.to_owned(), json!("x")))
            .collect();
        let mut check = |arguments: Map<String, Value>| {
            let by_schema = validator.is_valid(&Value::Object(arguments.clone()));
            let given = Given::check(tool.name, &tool.arguments(), arguments.clone());
            assert_eq!(given.is_ok(), by_schema, "{} {arguments:?}: {given:?}", tool.name);
            if by_schema { accepted += 1 } else { refused += 1 }
        };
        check(Map::new());
        check(needed.clone());
        for name in names {
            for value in &values {
                let mut arguments = needed.clone();
                arguments.insert(name.to_owned(), value.clone());
                check(arguments);
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

// Promise: an argument that is unknown, missing, of another type or out of bounds is an error that names it and says what
// is accepted; and the server goes on.
#[tokio::test]
async fn a_wrong_argument_is_named() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    let mut client = Client::of(&place);
    let key = format!("sk_{}_0123456789", "live");
    for (tool, arguments, words) in [
        ("who", json!({}), "who needs the argument `person`: a text"),
        ("who", json!({"person": 7}), "the argument `person` of who must be a text"),
        (
            "who",
            json!({"person": "ada", "redaction_key_file": "/etc/passwd"}),
            "no argument \"redaction_key_file\"",
        ),
        (
            "holders",
            json!({"out": "x"}),
            "holders has no argument \"out\"; it takes role, in, snapshot, limit, cursor",
        ),
        (
            "holders",
            json!({"limit": 0}),
            "`limit` of holders must be a whole number from 1 to 1000",
        ),
        ("holders", json!({"limit": 1001}), "`limit`"),
        ("holders", json!({"limit": "10"}), "`limit`"),
        (
            "holders",
            json!({"snapshot": "yesterday"}),
            "the argument `snapshot` of holders: a snapshot is latest",
        ),
        (
            "diff",
            json!({"class": ["all"]}),
            "`class` of diff must be a list of one or more of access, security",
        ),
        ("diff", json!({"class": "access"}), "`class`"),
        ("diff", json!({"only": []}), "`only`"),
        ("diff", json!({"from": "x"}), "the argument `from` of diff"),
        ("findings", json!({"rule": ["no-such-rule"]}), "`rule`"),
        ("verify", json!({"all": "yes"}), "the argument `all` of verify must be true or false"),
        ("verify", json!({"all": true, "snapshot": "latest"}), "either `snapshot` or `all`"),
        ("snapshots", json!({"url": "s3://elsewhere"}), "no argument \"url\""),
        ("who", json!({"person": key}), "looks like a key"),
        (
            "who",
            json!({"person": "x".repeat(3_000_000)}),
            "`person` of who must be a text of at most",
        ),
    ] {
        let (name, message) = client.error(tool, arguments.clone());
        assert_eq!(name, "InvalidEvent", "{message}");
        assert!(
            message.contains(words) && !message.contains("0123456789") && message.len() < 500,
            "{message}"
        );
    }
    assert_eq!(
        client.answer("holders", json!({"limit": 1.0}))["holders"].as_array().unwrap().len(),
        1
    );
}
