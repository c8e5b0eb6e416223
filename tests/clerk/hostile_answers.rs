//! Whatever a server answers, its counts, ids, texts and pages cannot crash the program, fill its memory,
//! keep it going forever or forge its output.

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

/// Requests that a small instance takes, attempts included, are fewer than this.
const FEW: u64 = 60;

/// A world that reads one list.
fn alone(sandbox: &Sandbox, list: &str) -> World {
    world(sandbox).with("RESOURCES", list)
}

/// Bound: 128 levels for what is read (serde_json's own), and no recursion over what is passed by.
#[tokio::test(start_paused = true)]
async fn json_that_nests_without_end_is_an_error_and_no_crash() {
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

/// A user chooses what stands in the own `unsafe_metadata`. That must neither stop the snapshot nor
/// change it: the bag is copied as it is, and nobody walks through it.
#[tokio::test(start_paused = true)]
async fn metadata_that_nests_deep_is_copied_as_it_is() {
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

/// Bound: 10⁸ rows, stated or listed.
#[tokio::test(start_paused = true)]
async fn a_count_that_nobody_can_believe_is_an_error_that_names_it() {
    for count in ["18446744073709551615", "9223372036854775807", "100000001", "1e30", "-1"] {
        for (list, path) in LISTS {
            let sandbox = plain(3, 2, 2);
            let counts = if list == "users" { "/v1/users/count" } else { path };
            let body = format!(r#"{{"object":"total_count","data":[],"total_count":{count}}}"#);
            sandbox.fault(FaultRule::on(counts).effect(Effect::Body(body)));
            let world = alone(&sandbox, list);
            let error = ends(&world, json!({})).await.expect_err("nobody believes it");
            assert_eq!(error.name(), "ClerkProtocol", "{list}: {count}");
            assert!(error.message().contains("total_count"), "{error}");
            assert!(sandbox.total_requests() < FEW);
        }
    }
}

/// The most that is believed is not counted beyond.
#[tokio::test(start_paused = true)]
async fn the_largest_count_of_all_overflows_nothing() {
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

/// A total that grows with every look at it.
#[tokio::test(start_paused = true)]
async fn a_total_that_recedes_is_not_followed_for_ever() {
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

/// Pages that come round again, and lists that answer the same whatever is asked.
#[tokio::test(start_paused = true)]
async fn pages_in_a_circle_are_noticed() {
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
                assert_eq!(ended.expect("the cursor is all it needs")["verified"], true, "{what}");
            } else {
                assert_eq!(ended.expect_err(&what).name(), "ClerkProtocol", "{what}");
            }
            let requests = sandbox.total_requests();
            assert!(requests < 2 * FEW, "{what}: {requests} requests");
        }
    }
}

/// Bound: 10⁸ rows. A list that brings new rows for ever is given up.
#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_given_up() {
    for list in ["users", "organizations"] {
        let sandbox = plain(1200, 1200, 0);
        let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "1");
        while !checkpoint(&world)["lists"][list]["windows"][0]["stretches"][0].is_object() {
            let paused = ends(&world, json!({"time_budget_seconds": 0})).await.expect("sync");
            assert_eq!(paused["status"], "partial", "{paused:#}");
        }
        // As if it had gone on like that until now.
        change_checkpoint(&world, |checkpoint| {
            let window = &mut checkpoint["lists"][list]["windows"][0];
            window["stretches"][0]["rows"] = json!(99_999_900);
        });
        let error = ends(&world, json!({})).await.expect_err("there is no end to it");
        assert_eq!(error.name(), "ClerkProtocol");
        assert!(error.message().contains("more than 100000000 rows"), "{error}");
    }
}

/// Bound: 256 bytes for what stands in requests and in the checkpoint.
#[tokio::test(start_paused = true)]
async fn ids_without_end_are_errors_that_name_the_field() {
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

/// What breaks lines, moves the cursor of a terminal, or turns text around.
const HOSTILE: &str =
    "a\n2026-01-01T00:00:00Z ERROR b\r\u{1b}[2J\u{7f}\u{85}\u{9b}31m\u{2028}\u{202e}\u{0}../../c";

/// An instance whose every text is chosen by somebody hostile.
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

/// No text of the server's becomes part of a name.
#[tokio::test(start_paused = true)]
async fn names_of_objects_are_made_of_nothing_that_the_server_says() {
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

/// Everything that the real program writes stays on its line, in text and in JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_says_forges_no_line_and_no_colour() {
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
