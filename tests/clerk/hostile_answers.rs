//! Promise: whatever a server answers, its counts, ids, texts and pages cannot crash the program,
//! fill its memory, keep it running forever or forge its output.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clerk_sandbox::{Effect, FaultRule, Sandbox};
use serde_json::json;

use crate::support::hostile::{change_checkpoint, checkpoint, error_name, world};
use crate::support::pieces::{complete, ends};
use crate::support::plain::{FIRST, add, plain};
use crate::support::process::Program;
use crate::support::world::World;

const LISTS: [(&str, &str); 5] = [
    ("users", "/v1/users"),
    ("organizations", "/v1/organizations"),
    ("organization_roles", "/v1/organization_roles"),
    ("organization_permissions", "/v1/organization_permissions"),
    ("organization_memberships", "/v1/organization_memberships"),
];

/// A small instance takes fewer requests than this, retries included.
const FEW: u64 = 60;

/// A world that reads one list.
fn alone(sandbox: &Sandbox, list: &str) -> World {
    world(sandbox).with("RESOURCES", list)
}

/// Limit: 128 levels in fields that are read (serde_json's own), and no recursion over fields that
/// are skipped.
#[tokio::test(start_paused = true)]
async fn endlessly_nested_json_is_an_error_and_no_crash() {
    let bomb = |open: &str| open.repeat(20_000);
    for path in ["/v1/instance", "/v1/users/count", "/v1/users", "/v1/organization_memberships"] {
        for body in [
            bomb("["),
            bomb(r#"{"a":"#),
            format!(r#"[{{"id":"user_1","email_addresses":{}"#, bomb("[")),
            format!(r#"{{"total_count":1,"data":{}"#, bomb("[")),
            format!(r#"{{"total_count":1,"data":[{{"x":{}"#, bomb(r#"{"a":"#)),
        ] {
            let what = format!("{path}: {}", &body[..20]);
            let sandbox = plain(3, 1, 2);
            sandbox.fault(FaultRule::on(path).effect(Effect::Body(body)));
            assert_eq!(error_name(&world(&sandbox), &what).await, "ClerkProtocol", "{what}");
        }
    }
}

/// A user chooses their own `unsafe_metadata`. It must neither stop nor change the snapshot: it is
/// copied unparsed.
#[tokio::test(start_paused = true)]
async fn deeply_nested_metadata_is_copied_unchanged() {
    let deep = format!("{}{}", "[".repeat(3_000), "]".repeat(3_000));
    let row = |deep: &str| {
        format!(
            r#"[{{"id":"user_1","unsafe_metadata":{deep},"created_at":{FIRST},"updated_at":{FIRST}}}]"#
        )
    };
    for raw in ["false", "true"] {
        let sandbox = plain(1, 0, 0);
        sandbox.fault(FaultRule::on("/v1/users").effect(Effect::Body(row(&deep))));
        let world = alone(&sandbox, "users").with("METADATA", "unsafe").with("INCLUDE_RAW", raw);
        let answer = ends(&world, json!({})).await.expect("sync");
        assert_eq!(answer["status"], "complete", "{answer:#}");
        let objects = world.memory.objects();
        let part = objects.iter().find(|(key, _)| key.contains("/users/part-")).expect("a part").1;
        assert!(String::from_utf8_lossy(part).contains(&deep));
    }
}

/// Limit: 10⁸ rows, whether counted or listed.
#[tokio::test(start_paused = true)]
async fn a_count_that_is_absurd_is_an_error_that_names_it() {
    for count in ["18446744073709551615", "9223372036854775807", "100000001", "1e30", "-1"] {
        for (list, path) in LISTS {
            let sandbox = plain(3, 2, 2);
            let counts = if list == "users" { "/v1/users/count" } else { path };
            let body = format!(r#"{{"object":"total_count","data":[],"total_count":{count}}}"#);
            sandbox.fault(FaultRule::on(counts).effect(Effect::Body(body)));
            let world = alone(&sandbox, list);
            let error = ends(&world, json!({})).await.expect_err("the count is absurd");
            assert_eq!(error.name(), "ClerkProtocol", "{list}: {count}");
            assert!(error.message().contains("total_count"), "{error}");
            assert!(sandbox.total_requests() < FEW);
        }
    }
}

/// Nothing counts past the largest number that is accepted.
#[tokio::test(start_paused = true)]
async fn the_largest_accepted_count_overflows_nothing() {
    for (list, path) in LISTS {
        let sandbox = plain(1200, 3, 1200);
        let counts = if list == "users" { "/v1/users/count" } else { path };
        sandbox.fault(FaultRule::on(counts).effect(Effect::Total(100_000_000)));
        let world = world(&sandbox);
        match ends(&world, json!({"time_budget_seconds": 1})).await {
            Ok(answer) => assert!(answer["status"] == "complete" || answer["status"] == "partial"),
            Err(error) => assert_eq!(error.name(), "ClerkProtocol", "{list}: {error:?}"),
        }
    }
}

/// A total that grows with every request.
#[tokio::test(start_paused = true)]
async fn a_total_that_keeps_growing_is_not_followed_forever() {
    for (list, path) in LISTS {
        let sandbox = plain(1200, 3, 1200);
        let counts = if list == "users" { "/v1/users/count" } else { path };
        let looks = Arc::new(AtomicU64::new(0));
        sandbox.on_request(move |sandbox, _| {
            let further = looks.fetch_add(500, Ordering::SeqCst) + 500;
            sandbox.clear_faults();
            sandbox.fault(FaultRule::on(counts).effect(Effect::ShiftTotal(further as i64)));
        });
        let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "8");
        match ends(&world, json!({})).await {
            Ok(answer) => assert_eq!(answer["verified"], false, "{list}: {answer:#}"),
            Err(error) => assert_eq!(error.name(), "ClerkProtocol", "{list}"),
        }
        let requests = sandbox.total_requests();
        assert!(requests < 2 * FEW, "{list}: {requests} requests");
    }
}

/// Pages that repeat, and lists that ignore the position.
#[tokio::test(start_paused = true)]
async fn repeating_pages_are_noticed() {
    for (list, path) in [LISTS[0], LISTS[1], LISTS[4]] {
        for ignored in [&["offset"][..], &["offset", "starting_after"]] {
            let sandbox = plain(1200, 1200, 1200);
            for parameter in ignored {
                let ignore = Effect::IgnoreParameter((*parameter).to_owned());
                sandbox.fault(FaultRule::on(path).effect(ignore));
            }
            let what = format!("{list} ignores {ignored:?}");
            let world = alone(&sandbox, list);
            let ended = ends(&world, json!({})).await;
            if ignored.len() == 1 && list == "users" {
                assert_eq!(ended.expect("users need only the cursor")["verified"], true, "{what}");
            } else {
                assert_eq!(ended.expect_err(&what).name(), "ClerkProtocol", "{what}");
            }
            let requests = sandbox.total_requests();
            assert!(requests < 2 * FEW, "{what}: {requests} requests");
        }
    }
}

/// Limit: 10⁸ rows. A list that keeps returning new rows is abandoned.
#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_an_error() {
    for list in ["users", "organizations"] {
        let sandbox = plain(1200, 1200, 0);
        let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "1");
        while !checkpoint(&world)["lists"][list]["windows"][0]["stretches"][0].is_object() {
            let paused = ends(&world, json!({"time_budget_seconds": 0})).await.expect("sync");
            assert_eq!(paused["status"], "partial", "{paused:#}");
        }
        // As if the list had gone on like that until now.
        change_checkpoint(&world, |checkpoint| {
            let window = &mut checkpoint["lists"][list]["windows"][0];
            window["stretches"][0]["rows"] = json!(99_999_900);
        });
        let error = ends(&world, json!({})).await.expect_err("the list is endless");
        assert_eq!(error.name(), "ClerkProtocol");
        assert!(error.message().contains("more than 100000000 rows"), "{error}");
    }
}

/// Limit: 256 bytes for texts that become part of requests and of the checkpoint.
#[tokio::test(start_paused = true)]
async fn overlong_ids_are_errors_that_name_the_field() {
    let long = "x".repeat(257);
    for (path, field) in [
        ("/v1/users", "/id"),
        ("/v1/organizations", "/id"),
        ("/v1/organization_roles", "/id"),
        ("/v1/organization_permissions", "/id"),
        ("/v1/organization_memberships", "/role"),
        ("/v1/organization_memberships", "/organization/id"),
    ] {
        let sandbox = plain(3, 2, 2);
        sandbox.add_permission("org:billing:read", "Read bills", FIRST);
        let (pointer, value) = (field.to_owned(), Some(json!(long)));
        sandbox.fault(FaultRule::on(path).effect(Effect::EditRow { row: 0, pointer, value }));
        let error = ends(&world(&sandbox), json!({})).await.expect_err("too long");
        assert_eq!(error.name(), "ClerkProtocol", "{path}");
        let field = field[1..].replace('/', ".");
        assert!(error.message().contains(&format!("`{field}` of row ")), "{path}: {error}");
        assert!(error.message().contains("expected at most 256 bytes"), "{path}: {error}");
        assert!(!error.message().contains("xxxx"), "{error}");
    }
}

/// A text that breaks lines, moves a terminal's cursor, or reverses the direction of text.
const HOSTILE: &str =
    "a\n2026-01-01T00:00:00Z ERROR b\r\u{1b}[2J\u{7f}\u{85}\u{9b}31m\u{2028}\u{202e}\u{0}../../c";

/// An instance in which every text is hostile.
fn hostile_instance() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.set_instance(&format!("ins_{HOSTILE}"), &format!("production{HOSTILE}"));
    sandbox.add_role(&format!("org:{HOSTILE}"), HOSTILE, &[], FIRST);
    sandbox.add_permission(&format!("org:x:{HOSTILE}"), HOSTILE, FIRST);
    for list in ["users", "organizations"] {
        add(&sandbox, list, &format!("{list}_{HOSTILE}"), FIRST);
        add(&sandbox, list, "../../../etc/passwd", FIRST + 1);
        add(&sandbox, list, "checkpoint.json", FIRST + 2);
        add(&sandbox, list, "\"},{\"id\":\"forged", FIRST + 3);
    }
    for (organization, user) in sandbox.ids("organizations").iter().zip(sandbox.ids("users")) {
        let role = format!("org:{HOSTILE}");
        sandbox.add_membership(organization, &user, &role, FIRST).expect("both are there");
    }
    sandbox
}

/// No text of the server becomes part of a name.
#[tokio::test(start_paused = true)]
async fn object_names_contain_no_text_of_the_server() {
    let sandbox = hostile_instance();
    let world = world(&sandbox);
    let snapshot = complete(&world, "hostile").await;
    assert_eq!(snapshot.manifest["verified"], true);
    assert_eq!(snapshot.datasets["users"].len(), 4, "one line a row");
    for key in world.store.keys_put() {
        let is_plain =
            key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
        assert!(is_plain && !key.contains("..") && !key.contains("etc"), "{key:?}");
    }
}

/// Everything that the real program prints stays on its line, as text and as JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_the_server_forge_no_log_line_and_no_colour() {
    let sandbox = hostile_instance();
    let clerk = sandbox.serve().await.expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}", folder.path().join("out").display());
    let program = Program::new(&url, &clerk).with("LOG_LEVEL", "trace");
    let checked = program.clone().event(&json!({"action": "check"})).run().await;
    let code = format!("feature_{HOSTILE}");
    sandbox.fault(FaultRule::on("/v1/organizations").status(403, code));
    let synced = program.run().await;
    assert_eq!(synced.answer(0)["status"], "complete");
    sandbox.fault(FaultRule::on("/v1/instance").effect(Effect::Body(HOSTILE.to_owned())));
    let failed = program.run().await;
    failed.error(1, "ClerkProtocol");
    for (what, finished) in [("check", &checked), ("sync", &synced), ("error", &failed)] {
        for text in [&finished.stdout, &finished.stderr] {
            let found = text.chars().find(|&it| it != '\n' && disturbs(it));
            assert_eq!(found, None, "{what}: {text}");
            let forged = text.lines().any(|line| line.starts_with("2026-01-01"));
            assert!(!forged, "{what}: {text}");
        }
    }
}

fn disturbs(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
