//! Promise 2: a list that Clerk refuses because the instance lacks the feature is skipped with
//! Clerk's code. It is neither an empty dataset nor a reason not to publish the rest.

use std::collections::BTreeMap;

use clerk_sandbox::{FaultRule, Sandbox};
use serde_json::{Value, json};

use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::{FIRST, plain};
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::snapshot::Snapshot;
use crate::support::source::assert_closed;
use crate::support::world::World;

/// What Clerk answers when a feature is off.
const REFUSALS: [(u16, &str); 6] = [
    (402, "unsupported_subscription_plan_features"),
    (400, "request_invalid_for_instance"),
    (403, "organization_not_enabled_in_instance"),
    (403, "feature_not_enabled"),
    (410, "operation_deprecated"),
    (422, "feature_not_enabled"),
];

const DATASETS: [&str; 6] = [
    "users",
    "organizations",
    "organization_roles",
    "organization_permissions",
    "entitlements",
    "grants",
];

/// Two pages of users and of memberships, and a role with permissions.
fn instance() -> Sandbox {
    let sandbox = plain(520, 4, 540);
    let key = "org:billing:read";
    sandbox.add_permission(key, "Read bills", FIRST);
    sandbox.add_role("org:billing", "Billing", &[key], FIRST + 2);
    sandbox
}

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("CLERK_REQUESTS_PER_10S", "1000").with("COMPRESSION", "none")
}

fn entry<'a>(snapshot: &'a Snapshot, dataset: &str) -> &'a Value {
    &snapshot.manifest["datasets"][dataset]
}

/// The rows of one kind: `grants` and `entitlements` have rows from two lists.
fn rows(snapshot: &Snapshot, dataset: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    snapshot.datasets[dataset].iter().filter(|row| wanted(row)).cloned().collect()
}

fn of_membership(row: &Value) -> bool {
    row["source"]["type"] == "organization_membership"
}

fn of_organization(row: &Value) -> bool {
    row["resource"]["type"] == "organization"
}

/// The dataset is skipped: no rows, no parts, no digest, and Clerk's code.
fn assert_skipped(snapshot: &Snapshot, dataset: &str, code: &str, what: &str) {
    let entry = entry(snapshot, dataset);
    assert_eq!(entry["status"], "skipped", "{what}: {dataset}");
    assert_eq!(entry["reason"], code, "{what}: {dataset}");
    assert_eq!(entry["parts"], json!([]), "{what}: {dataset}");
    assert_eq!(entry["records"], 0, "{what}: {dataset}");
    assert_eq!(entry["content_digest"], Value::Null, "{what}: {dataset} is not an empty set");
}

/// The datasets are the same as without any refusal.
fn assert_untouched(snapshot: &Snapshot, whole: &Snapshot, datasets: &[&str], what: &str) {
    for dataset in datasets {
        assert_eq!(entry(snapshot, dataset)["status"], "verified", "{what}: {dataset}");
        assert_eq!(entry(snapshot, dataset)["reason"], Value::Null, "{what}: {dataset}");
        assert_eq!(
            entry(snapshot, dataset)["content_digest"],
            entry(whole, dataset)["content_digest"],
            "{what}: {dataset}"
        );
    }
}

/// A dataset of two lists names the refusal of one of them.
fn assert_names_refusal(snapshot: &Snapshot, dataset: &str, code: &str, what: &str) {
    assert_eq!(entry(snapshot, dataset)["reason"], code, "{what}: {dataset} hides the refusal");
}

/// A sync with these paths refused: its snapshot and its answer.
async fn refused(paths: &[&str], (status, code): (u16, &str)) -> (Snapshot, Value) {
    let sandbox = instance();
    for path in paths {
        sandbox.fault(FaultRule::on(*path).status(status, code));
    }
    let world = world(&sandbox);
    let answer = ends(&world, json!({})).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(answer["status"], "complete", "{paths:?} {status}: {answer:#}");
    assert_eq!(answer["retries"], 0, "{paths:?} {status}: a refusal is not retried");
    let snapshot = world.published().expect("published");
    assert_closed(&snapshot, code);
    (snapshot, answer)
}

#[tokio::test(start_paused = true)]
async fn refused_users_are_skipped_and_their_grants_stay() {
    let whole = complete(&world(&instance()), "nothing refused").await;
    for refusal in REFUSALS {
        let what = format!("{refusal:?}");
        let (snapshot, answer) = refused(&["/v1/users*"], refusal).await;
        assert_skipped(&snapshot, "users", refusal.1, &what);
        assert_untouched(&snapshot, &whole, &DATASETS[1..], &what);
        assert!(answer["records"].get("users").is_none(), "{what}: skipped is not 0 records");
        assert_eq!(snapshot.manifest["referential"], whole.manifest["referential"], "{what}");
    }
}

/// The count or the list may be refused alone.
#[tokio::test(start_paused = true)]
async fn users_are_skipped_when_only_their_list_is_refused() {
    let (snapshot, _) = refused(&["/v1/users"], REFUSALS[2]).await;
    assert_skipped(&snapshot, "users", REFUSALS[2].1, "the list alone");
}

#[tokio::test(start_paused = true)]
async fn refused_organizations_are_skipped_and_the_rest_is_exact() {
    let whole = complete(&world(&instance()), "nothing refused").await;
    for refusal in REFUSALS {
        let what = format!("{refusal:?}");
        let (snapshot, answer) = refused(&["/v1/organizations"], refusal).await;
        assert_skipped(&snapshot, "organizations", refusal.1, &what);
        let rest = ["users", "organization_roles", "organization_permissions", "grants"];
        assert_untouched(&snapshot, &whole, &rest, &what);
        assert!(answer["records"].get("organizations").is_none(), "{what}");
        assert_names_refusal(&snapshot, "entitlements", refusal.1, &what);
        assert!(rows(&snapshot, "entitlements", of_organization).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn refused_roles_leave_the_member_grants_and_are_counted_as_unresolved() {
    let whole = complete(&world(&instance()), "nothing refused").await;
    for refusal in REFUSALS {
        let what = format!("{refusal:?}");
        let (snapshot, _) = refused(&["/v1/organization_roles"], refusal).await;
        assert_skipped(&snapshot, "organization_roles", refusal.1, &what);
        let rest = ["users", "organizations", "organization_permissions"];
        assert_untouched(&snapshot, &whole, &rest, &what);
        assert_names_refusal(&snapshot, "grants", refusal.1, &what);
        let members = |row: &Value| of_membership(row) && row["role"].is_null();
        assert_eq!(rows(&snapshot, "grants", |_| true), rows(&whole, "grants", members), "{what}");
        assert_eq!(
            snapshot.manifest["referential"]["unresolved_role_keys"],
            json!({ "org:admin": 270, "org:member": 270 }),
            "{what}"
        );
        let slugs = rows(&snapshot, "entitlements", of_organization);
        assert!(slugs.iter().all(|row| row["slug"] == "member"), "{what}");
        assert_eq!(slugs.len(), 4, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_permissions_are_skipped_and_the_rest_is_exact() {
    let whole = complete(&world(&instance()), "nothing refused").await;
    for refusal in REFUSALS {
        let what = format!("{refusal:?}");
        let (snapshot, _) = refused(&["/v1/organization_permissions"], refusal).await;
        assert_skipped(&snapshot, "organization_permissions", refusal.1, &what);
        let rest = ["users", "organizations", "organization_roles", "grants"];
        assert_untouched(&snapshot, &whole, &rest, &what);
        assert_names_refusal(&snapshot, "entitlements", refusal.1, &what);
        assert_eq!(
            rows(&snapshot, "entitlements", |_| true),
            rows(&whole, "entitlements", of_organization),
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn refused_memberships_are_named_and_the_rest_is_exact() {
    let whole = complete(&world(&instance()), "nothing refused").await;
    for refusal in REFUSALS {
        let what = format!("{refusal:?}");
        let (snapshot, _) = refused(&["/v1/organization_memberships"], refusal).await;
        assert_names_refusal(&snapshot, "grants", refusal.1, &what);
        assert_untouched(&snapshot, &whole, &DATASETS[..5], &what);
        let of_role = |row: &Value| !of_membership(row);
        let grants = rows(&snapshot, "grants", |_| true);
        assert!(
            entry(&snapshot, "grants")["status"] == "skipped"
                || grants == rows(&whole, "grants", of_role),
            "{what}: grants are what the roles give"
        );
    }
}

/// Memberships are the only source of grants here.
#[tokio::test(start_paused = true)]
async fn refused_memberships_alone_skip_the_grants() {
    for (status, code) in REFUSALS {
        let sandbox = instance();
        let rule = FaultRule::on("/v1/organization_memberships");
        sandbox.fault(rule.status(status, code));
        let world = world(&sandbox).with("RESOURCES", "users,organization_memberships");
        let snapshot = complete(&world, code).await;
        assert_skipped(&snapshot, "grants", code, code);
        assert_eq!(snapshot.ids("users"), sandbox.ids("users"));
    }
}

/// Organizations are off for the whole instance, so only users are left.
#[tokio::test(start_paused = true)]
async fn an_instance_without_organizations_is_copied_as_its_users() {
    let whole = complete(&world(&instance()), "nothing refused").await;
    for refusal in REFUSALS {
        let what = format!("{refusal:?}");
        let (snapshot, answer) = refused(&["/v1/organization*"], refusal).await;
        assert_untouched(&snapshot, &whole, &["users"], &what);
        for dataset in &DATASETS[1..] {
            assert_skipped(&snapshot, dataset, refusal.1, &what);
        }
        assert_eq!(answer["records"], json!({ "users": 520 }), "{what}");
        assert_eq!(snapshot.manifest["verified"], true, "{what}: nothing drifted");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_refused_is_a_snapshot_of_skipped_datasets() {
    let (snapshot, answer) =
        refused(&["/v1/users*", "/v1/organization*"], (403, "feature_not_enabled")).await;
    for dataset in DATASETS {
        assert_skipped(&snapshot, dataset, "feature_not_enabled", "everything");
    }
    assert_eq!(answer["records"], json!({}));
}

// In the middle of a list.

/// If a list is refused on its second page, the first page is not published as if it were the whole
/// list.
#[tokio::test(start_paused = true)]
async fn a_refusal_in_the_middle_of_a_walk_skips_the_dataset_whole() {
    for (path, dataset) in [("/v1/users", "users"), ("/v1/organization_memberships", "grants")] {
        for (status, code) in REFUSALS {
            let what = format!("{path}: {status} {code}");
            let sandbox = instance();
            // A 422 with such a code in answer to a cursor refuses the list, not only the cursor.
            sandbox.fault(FaultRule::on(path).calls(2, u64::MAX).status(status, code));
            let world = world(&sandbox);
            let snapshot = complete(&world, &what).await;
            assert_closed(&snapshot, &what);
            assert_eq!(entry(&snapshot, dataset)["reason"], code, "{what}");
            if dataset == "users" {
                assert_skipped(&snapshot, "users", code, &what);
            } else {
                assert!(rows(&snapshot, "grants", of_membership).is_empty(), "{what}");
            }
        }
    }
}

/// An earlier invocation read the first page.
#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_interruption_skips_the_dataset_whole() {
    let sandbox = instance();
    sandbox.fault(FaultRule::on("/v1/users").calls(2, u64::MAX).status(403, "feature_not_enabled"));
    let (invocations, snapshot) = complete_in_pieces(&world(&sandbox), 0.001, "pieces").await;
    assert!(invocations > 2, "nothing was interrupted");
    assert_skipped(&snapshot, "users", "feature_not_enabled", "pieces");
    assert_closed(&snapshot, "pieces");
}

/// The next snapshot is whole again once the feature is back.
#[tokio::test(start_paused = true)]
async fn a_skipped_dataset_returns_with_the_feature() {
    let sandbox = instance();
    sandbox.fault(
        FaultRule::on("/v1/organizations").status(402, "unsupported_subscription_plan_features"),
    );
    let world = world(&sandbox);
    let first = complete(&world, "refused").await;
    assert_skipped(&first, "organizations", "unsupported_subscription_plan_features", "refused");
    sandbox.clear_faults();
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let second = complete(&world, "not refused").await;
    assert_eq!(second.ids("organizations"), sandbox.ids("organizations"));
    assert_eq!(entry(&second, "organizations")["status"], "verified");
}

// Answers that are not refusals.

#[tokio::test(start_paused = true)]
async fn a_422_that_names_no_feature_is_an_error() {
    for path in [
        "/v1/users",
        "/v1/users/count",
        "/v1/organizations",
        "/v1/organization_roles",
        "/v1/organization_permissions",
        "/v1/organization_memberships",
    ] {
        for code in ["form_param_unknown", "form_param_format_invalid", "form_param_missing"] {
            let sandbox = instance();
            sandbox.fault(FaultRule::on(path).status(422, code));
            let world = world(&sandbox);
            let error = ends(&world, json!({})).await.unwrap_err();
            assert_eq!(error.name(), "ClerkProtocol", "{path}: {error:?}");
            assert!(error.message().contains(code), "{path}: {}", error.message());
            assert!(error.message().contains(path.trim_start_matches("/v1")), "{path}");
            assert!(world.published().is_none(), "{path}");
        }
    }
}

/// A 401 is about the key: it never skips a list, whichever list meets it.
#[tokio::test(start_paused = true)]
async fn a_401_is_never_a_skip() {
    for path in [
        "/v1/instance",
        "/v1/users",
        "/v1/users/count",
        "/v1/organizations",
        "/v1/organization_roles",
        "/v1/organization_permissions",
        "/v1/organization_memberships",
    ] {
        for code in ["clerk_key_invalid", "feature_not_enabled"] {
            let sandbox = instance();
            sandbox.fault(FaultRule::on(path).status(401, code));
            let world = world(&sandbox);
            let error = ends(&world, json!({})).await.unwrap_err();
            assert_eq!(error.name(), "ClerkUnauthorized", "{path}: {error:?}");
            assert!(world.published().is_none(), "{path}");
            assert!(
                sandbox.request_count(path) <= 2,
                "{path}: a 401 is not retried again and again"
            );
        }
    }
}

/// The key is rotated in the middle of a list: the secret is read once more, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn a_key_rotated_in_the_middle_is_read_again() {
    let sandbox = instance();
    let whole: BTreeMap<_, _> = complete(&world(&sandbox), "before").await.digests();
    let old = clerk_sandbox::DEFAULT_KEY;
    crate::support::plain::before_request(&sandbox, "/v1/users", 2, |sandbox| {
        sandbox.rotate_key("sk_test_rotated");
    });
    let world = world(&sandbox).with_secret(ScriptedSecret::new([old, "sk_test_rotated"]));
    let snapshot = complete(&world, "rotated").await;
    assert_eq!(snapshot.digests(), whole);
}
