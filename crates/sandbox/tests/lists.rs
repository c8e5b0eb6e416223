//! Every list has Clerk's defaults, limits, orders, cursor, filters and errors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise is a failed test")]

use clerk_sandbox::{
    Answer, DEFAULT_KEY, DeletedCursor, Population, Rules, Sandbox, ViolationKind,
};
use serde_json::Value;

const LISTS: [&str; 19] = [
    "users",
    "organizations",
    "organization_memberships",
    "organization_roles",
    "organization_permissions",
    "role_sets",
    "organization_invitations",
    "invitations",
    "organization_domains",
    "sessions",
    "allowlist_identifiers",
    "blocklist_identifiers",
    "domains",
    "jwt_templates",
    "redirect_urls",
    "oauth_applications",
    "enterprise_connections",
    "machines",
    "waitlist_entries",
];

fn headers() -> [(&'static str, &'static str); 2] {
    [("Authorization", "Bearer sk_test_sandbox"), ("Clerk-API-Version", "2026-05-12")]
}

async fn get(sandbox: &Sandbox, target: &str) -> Answer {
    sandbox.get(target, &headers()).await.unwrap()
}

async fn rows(sandbox: &Sandbox, target: &str) -> Vec<Value> {
    let answer = get(sandbox, target).await;
    assert_eq!(answer.status, 200, "{target}: {:?}", answer.body);
    let body = answer.json();
    let rows = body
        .as_array()
        .or_else(|| body["data"].as_array())
        .or_else(|| body["m2m_tokens"].as_array());
    rows.unwrap_or_else(|| panic!("{target}: {body}")).clone()
}

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

async fn refusal(sandbox: &Sandbox, target: &str) -> (u16, String) {
    let answer = get(sandbox, target).await;
    let body = answer.json();
    let error = &body["errors"][0];
    assert!(error["message"].is_string() && error["long_message"].is_string(), "{target}: {body}");
    assert!(body["clerk_trace_id"].is_string(), "{target}: {body}");
    (answer.status, error["code"].as_str().unwrap_or_default().to_owned())
}

fn sandbox() -> Sandbox {
    Sandbox::new(
        Population::default().users(1200).organizations(30).memberships(700).other_rows(12),
    )
}

#[test]
fn the_default_key_is_the_documented_one() {
    assert_eq!(DEFAULT_KEY, "sk_test_sandbox");
}

#[tokio::test]
async fn every_list_can_be_read_completely_by_offset_in_order() {
    let sandbox = sandbox();
    for list in LISTS {
        let paged = !["blocklist_identifiers", "domains"].contains(&list);
        // Not listed unless requested by status.
        let expected: Vec<Value> = sandbox
            .rows(list)
            .into_iter()
            .filter(|row| list != "invitations" || row["status"] != "revoked")
            .collect();
        let mut read = Vec::new();
        loop {
            let page = rows(
                &sandbox,
                &format!("/v1/{list}?limit=7&order_by=created_at&offset={}", read.len()),
            )
            .await;
            let last = page.len() < 7 || !paged;
            read.extend(page);
            if last {
                break;
            }
        }
        let mut expected = ids(&expected);
        // Lists without an order are newest first, whatever the request.
        let unordered = ["sessions", "enterprise_connections", "jwt_templates", "redirect_urls"];
        if unordered.contains(&list) || list.ends_with("list_identifiers") || list == "domains" {
            expected.reverse();
        }
        assert_eq!(ids(&read), expected, "{list}");
    }
}

#[tokio::test]
async fn a_page_has_10_rows_by_default_and_500_at_most() {
    let sandbox = sandbox();
    assert_eq!(rows(&sandbox, "/v1/users").await.len(), 10);
    assert_eq!(rows(&sandbox, "/v1/users?limit=500").await.len(), 500);
    assert_eq!(rows(&sandbox, "/v1/users?limit=501").await.len(), 10);
    assert_eq!(refusal(&sandbox, "/v1/users?limit=0").await.0, 422);
    assert_eq!(refusal(&sandbox, "/v1/users?limit=ten").await.0, 422);
    assert_eq!(refusal(&sandbox, "/v1/users?offset=-1").await.0, 422);
    sandbox.set_rules(Rules { refuse_large_limit: true, ..Rules::default() });
    assert_eq!(refusal(&sandbox, "/v1/users?limit=501").await.0, 422);
}

#[tokio::test]
async fn shapes_match_the_openapi_document() {
    let sandbox = sandbox();
    for list in LISTS {
        let plain = get(&sandbox, &format!("/v1/{list}?limit=2")).await.json();
        let paginated = get(&sandbox, &format!("/v1/{list}?limit=2&paginated=true")).await.json();
        let on_request =
            ["invitations", "sessions", "allowlist_identifiers", "jwt_templates", "redirect_urls"]
                .contains(&list);
        assert_eq!(plain.is_array(), list == "users" || on_request, "{list}");
        assert_eq!(paginated.is_array(), list == "users", "{list}");
        if list != "users" {
            let total = paginated["total_count"].as_u64().unwrap() as usize;
            let hidden = if list == "invitations" { 3 } else { 0 };
            assert_eq!(total, sandbox.count(list) - hidden, "{list}");
        }
    }
}

#[tokio::test]
async fn orders_ascend_and_descend_and_an_unescaped_plus_is_a_space() {
    let sandbox = sandbox();
    let ascending = ids(&sandbox.users());
    let mut descending = ascending.clone();
    descending.reverse();
    for (order, expected) in [
        ("created_at", &ascending),
        ("+created_at", &ascending),
        ("%2Bcreated_at", &ascending),
        ("-created_at", &descending),
    ] {
        let page = rows(&sandbox, &format!("/v1/users?limit=20&order_by={order}")).await;
        assert_eq!(ids(&page), expected[..20], "{order}");
    }
    assert_eq!(ids(&rows(&sandbox, "/v1/users").await), descending[..10]);
    assert_eq!(refusal(&sandbox, "/v1/users?order_by=colour").await.0, 422);

    let names: Vec<String> = rows(&sandbox, "/v1/organizations?limit=500&order_by=name")
        .await
        .iter()
        .map(|row| row["name"].as_str().unwrap().to_lowercase())
        .collect();
    assert!(names.is_sorted());
}

/// Ties of `created_at` larger than a page must not break the cursor.
#[tokio::test]
async fn the_cursor_reads_every_user_once_in_both_directions() {
    let sandbox = Sandbox::new(Population::default().users(300).largest_tie(50));
    for order in ["created_at", "-created_at"] {
        let mut read: Vec<String> = Vec::new();
        loop {
            let cursor = read.last().map(|id| format!("&starting_after={id}")).unwrap_or_default();
            let page =
                rows(&sandbox, &format!("/v1/users?limit=17&order_by={order}{cursor}")).await;
            let last = page.len() < 17;
            read.extend(ids(&page));
            if last {
                break;
            }
        }
        if order.starts_with('-') {
            read.reverse();
        }
        assert_eq!(read, ids(&sandbox.users()), "{order}");
    }
}

#[tokio::test]
async fn an_invalid_use_of_the_cursor_is_refused() {
    let sandbox = sandbox();
    let id = &ids(&sandbox.users())[3];
    for wrong in ["order_by=-last_active_at", "order_by=created_at&offset=10", "order_by=username"]
    {
        assert_eq!(
            refusal(&sandbox, &format!("/v1/users?starting_after={id}&{wrong}")).await.0,
            422,
            "{wrong}"
        );
    }
    assert_eq!(rows(&sandbox, &format!("/v1/users?starting_after={id}&offset=0")).await.len(), 3);
    assert_eq!(refusal(&sandbox, "/v1/users?starting_after=user_nobody").await.0, 422);
    // No other list has a cursor.
    assert_eq!(rows(&sandbox, "/v1/organizations?starting_after=org_nobody").await.len(), 10);
}

#[tokio::test]
async fn a_deleted_cursor_is_answered_according_to_the_rules() {
    let sandbox = sandbox();
    let before = ids(&sandbox.users());
    assert!(sandbox.delete("users", &before[9]));
    let target = format!("/v1/users?order_by=created_at&starting_after={}", before[9]);
    assert_eq!(refusal(&sandbox, &target).await.0, 422);
    let with = |deleted_cursor| Rules { deleted_cursor, ..Rules::default() };
    sandbox.set_rules(with(DeletedCursor::Continues));
    assert_eq!(ids(&rows(&sandbox, &target).await), before[10..20]);
    sandbox.set_rules(with(DeletedCursor::EmptyPage));
    assert!(rows(&sandbox, &target).await.is_empty());
    sandbox.set_rules(with(DeletedCursor::FirstPage));
    assert_eq!(ids(&rows(&sandbox, &target).await)[0], before[0]);
}

#[tokio::test]
async fn users_are_filtered_and_counted_by_time() {
    let sandbox = sandbox();
    let users = sandbox.users();
    let at = users[400]["created_at"].as_i64().unwrap();
    let earlier = users.iter().filter(|user| user["created_at"].as_i64() < Some(at)).count();
    let same = users.iter().filter(|user| user["created_at"].as_i64() == Some(at)).count();
    let count = async |query: String| {
        let body = get(&sandbox, &format!("/v1/users/count?{query}")).await.json();
        assert_eq!(body["object"], "total_count");
        body["total_count"].as_u64().unwrap() as usize
    };
    assert_eq!(count(String::new()).await, 1200);
    assert_eq!(count(format!("created_at_before={at}")).await, earlier);
    assert_eq!(count(format!("created_at_after={at}")).await, 1200 - earlier - same);
    sandbox.set_rules(Rules { before_includes: true, after_includes: true, ..Rules::default() });
    assert_eq!(count(format!("created_at_before={at}")).await, earlier + same);
    assert_eq!(count(format!("created_at_after={at}&created_at_before={at}")).await, same);

    let day = users.iter().filter_map(|user| user["last_active_at"].as_i64()).max().unwrap();
    let active = users.iter().filter(|user| user["last_active_at"].as_i64() >= Some(day)).count();
    assert_eq!(count(format!("last_active_at_after={day}")).await, active);
    let banned = users.iter().filter(|user| user["banned"] == true).count();
    assert_eq!(count("banned=true".into()).await, banned);
    assert_eq!(count("banned=false".into()).await, 1200 - banned);
    assert_eq!(refusal(&sandbox, "/v1/users/count?created_at_before=yesterday").await.0, 422);
}

#[tokio::test]
async fn users_are_found_by_their_identifiers() {
    let sandbox = sandbox();
    let users = sandbox.users();
    let (third, fifth) = (users[3]["id"].as_str().unwrap(), users[5]["id"].as_str().unwrap());
    let found =
        rows(&sandbox, &format!("/v1/users?user_id={third}&user_id=%2B{fifth}&user_id=user_gone"))
            .await;
    assert_eq!(ids(&found), [fifth, third]);
    let found =
        rows(&sandbox, &format!("/v1/users?order_by=created_at&limit=500&user_id=-{third}")).await;
    assert!(!ids(&found).contains(&third.to_owned()) && found.len() == 500);

    let many: String = (0..101).map(|number| format!("user_id=user_{number}&")).collect();
    assert_eq!(refusal(&sandbox, &format!("/v1/users?{many}")).await.0, 422);

    for (parameter, field) in [
        ("username", "/username"),
        ("external_id", "/external_id"),
        ("email_address", "/email_addresses/0/email_address"),
        ("phone_number", "/phone_numbers/0/phone_number"),
    ] {
        let user =
            users.iter().find(|user| user.pointer(field).is_some_and(Value::is_string)).unwrap();
        let text = user.pointer(field).unwrap().as_str().unwrap();
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair(parameter, text)
            .finish();
        let found = rows(&sandbox, &format!("/v1/users?{query}")).await;
        assert!(found.contains(user), "{parameter}");
    }

    let organization = sandbox.organizations()[0]["id"].as_str().unwrap().to_owned();
    let members =
        get(&sandbox, &format!("/v1/users/count?organization_id={organization}")).await.json();
    let expected = sandbox
        .memberships()
        .iter()
        .filter(|row| row["organization"]["id"] == *organization)
        .count();
    assert_eq!(members["total_count"], expected);
}

#[tokio::test]
async fn organizations_have_counts_only_on_request() {
    let sandbox = sandbox();
    let plain = rows(&sandbox, "/v1/organizations?limit=500&order_by=created_at").await;
    assert!(plain.iter().all(|row| row.get("members_count").is_none()));
    let counted = rows(
        &sandbox,
        "/v1/organizations?limit=500&order_by=created_at&include_members_count=true",
    )
    .await;
    let source = sandbox.organizations();
    assert_eq!(counted, source);
    let members: u64 = counted.iter().map(|row| row["members_count"].as_u64().unwrap()).sum();
    assert_eq!(members as usize, sandbox.count("organization_memberships"));
    assert!(counted.iter().any(|row| row["members_count"] == 0));

    let (id, slug) = (source[2]["id"].as_str().unwrap(), source[2]["slug"].as_str().unwrap());
    for target in [format!("/v1/organizations/{id}"), format!("/v1/organizations/{slug}")] {
        assert_eq!(
            get(&sandbox, &format!("{target}?include_members_count=true")).await.json(),
            source[2]
        );
    }
}

#[tokio::test]
async fn memberships_are_the_same_in_both_lists() {
    let sandbox = sandbox();
    let whole = rows(&sandbox, "/v1/organization_memberships?limit=500&order_by=created_at").await;
    let mut one_by_one = Vec::new();
    for organization in sandbox.organizations() {
        let id = organization["id"].as_str().unwrap();
        let target = format!("/v1/organizations/{id}/memberships?limit=500&order_by=created_at");
        let page = rows(&sandbox, &target).await;
        let total = get(&sandbox, &target).await.json()["total_count"].clone();
        assert_eq!(total, organization["members_count"]);
        one_by_one.extend(page);
    }
    assert_eq!(one_by_one.len(), sandbox.count("organization_memberships"));
    assert!(whole.iter().all(|row| one_by_one.contains(row)));
    assert_eq!(refusal(&sandbox, "/v1/organizations/org_gone/memberships").await.0, 404);
    // A user is a member of an organization only once.
    let mut pairs: Vec<String> = one_by_one
        .iter()
        .map(|row| format!("{} {}", row["organization"]["id"], row["public_user_data"]["user_id"]))
        .collect();
    pairs.sort();
    pairs.dedup();
    assert_eq!(pairs.len(), one_by_one.len());
}

#[tokio::test]
async fn one_row_is_found_by_id_or_404() {
    let sandbox = sandbox();
    let user = &sandbox.users()[7];
    assert_eq!(
        get(&sandbox, &format!("/v1/users/{}", user["id"].as_str().unwrap())).await.json(),
        *user
    );
    for missing in [
        "/v1/users/user_gone",
        "/v1/organizations/gone",
        "/v1/nowhere",
        "/elsewhere",
        "/v1/users/a/b",
    ] {
        assert_eq!(
            refusal(&sandbox, missing).await,
            (404, "resource_not_found".into()),
            "{missing}"
        );
    }
}

#[tokio::test]
async fn lists_by_subject_require_a_subject() {
    let sandbox = sandbox();
    for list in ["api_keys", "m2m_tokens"] {
        assert_eq!(refusal(&sandbox, &format!("/v1/{list}")).await.0, 400);
        for row in sandbox.rows(list) {
            let subject = row["subject"].as_str().unwrap();
            assert!(
                rows(
                    &sandbox,
                    &format!("/v1/{list}?limit=100&include_invalid=true&subject={subject}")
                )
                .await
                .contains(&row)
            );
        }
    }
    let user = sandbox.rows("sessions")[0]["user_id"].as_str().unwrap().to_owned();
    sandbox.set_rules(Rules { sessions_need_user: true, ..Rules::default() });
    assert_eq!(refusal(&sandbox, "/v1/sessions").await.0, 422);
    assert!(!rows(&sandbox, &format!("/v1/sessions?user_id={user}")).await.is_empty());
}

#[tokio::test]
async fn invitations_are_listed_by_status() {
    let sandbox = sandbox();
    let plain = rows(&sandbox, "/v1/invitations?limit=500").await;
    assert_eq!(plain.len(), 9);
    assert!(plain.iter().all(|row| row["status"] != "revoked"));
    assert_eq!(rows(&sandbox, "/v1/invitations?status=revoked").await.len(), 3);
}

#[tokio::test]
async fn only_an_accepted_key_works_and_rotation_ends_the_old_one() {
    let sandbox = sandbox();
    let status = async |key: &'static str| {
        let headers = [("authorization", key), ("clerk-api-version", "2026-05-12")];
        sandbox.get("/v1/users", &headers).await.unwrap()
    };
    assert_eq!(status("Bearer sk_test_sandbox").await.status, 200);
    let refused = status("Bearer sk_test_other").await;
    assert_eq!(
        (refused.status, refused.json()["errors"][0]["code"].as_str()),
        (401, Some("clerk_key_invalid"))
    );
    assert_eq!(sandbox.get("/v1/users", &[]).await.unwrap().status, 401);
    sandbox.accept_key("sk_test_other");
    assert_eq!(status("Bearer sk_test_other").await.status, 200);
    sandbox.rotate_key("sk_test_next");
    assert_eq!(status("Bearer sk_test_sandbox").await.status, 401);
    assert_eq!(status("Bearer sk_test_next").await.status, 200);
}

#[tokio::test]
async fn violations_are_recorded() {
    let sandbox = sandbox();
    get(&sandbox, "/v1/users").await;
    assert_eq!(sandbox.violations(), []);
    sandbox.answer("DELETE", "/v1/users/user_1", &headers()).await.unwrap();
    get(&sandbox, "/v1/users?__clerk_api_version=2026-05-12").await;
    get(&sandbox, "/v1/machines/mch_1/secret_key").await;
    let [key, version] = headers();
    sandbox.get("/v1/users", &[key]).await.unwrap();
    sandbox.get("/v1/users", &[key, version, ("Origin", "https://example.com")]).await.unwrap();
    let kinds: Vec<ViolationKind> =
        sandbox.violations().into_iter().map(|violation| violation.kind).collect();
    assert_eq!(
        kinds,
        [
            ViolationKind::NotGet { method: "DELETE".into() },
            ViolationKind::VersionTwice,
            ViolationKind::SecretRead,
            ViolationKind::VersionMissing,
            ViolationKind::OriginHeader,
        ]
    );
}

#[tokio::test]
async fn roles_are_missing_from_old_versions() {
    let sandbox = sandbox();
    let [key, _] = headers();
    let answer = sandbox
        .get("/v1/organization_roles", &[key, ("clerk-api-version", "2025-03-12")])
        .await
        .unwrap();
    assert_eq!(answer.status, 404);
}

#[test]
fn the_same_seed_gives_the_same_rows_and_another_seed_others() {
    let population = Population::default().users(50);
    let (first, second) = (Sandbox::new(population.clone()), Sandbox::new(population.clone()));
    for list in LISTS {
        assert_eq!(first.rows(list), second.rows(list), "{list}");
    }
    let other = Sandbox::new(population.seed(2));
    assert_ne!(first.users(), other.users());
}

#[test]
fn rows_contain_text_that_has_broken_exports() {
    let sandbox = Sandbox::new(
        Population::default()
            .users(1000)
            .memberships(500)
            .legacy_memberships(3)
            .unknown_role_memberships(2),
    );
    let users = sandbox.users();
    let some = |test: &dyn Fn(&Value) -> bool| users.iter().any(test);
    assert!(some(&|user| user["first_name"].is_null()));
    assert!(some(&|user| user["email_addresses"] == serde_json::json!([])));
    assert!(some(&|user| user["email_addresses"].as_array().is_some_and(|all| all.len() > 1)));
    assert!(some(&|user| user
        .pointer("/email_addresses/0/verification")
        .is_some_and(Value::is_null)));
    assert!(some(&|user| user.get("private_metadata").is_none()));
    assert!(some(&|user| user.get("private_metadata").is_some_and(Value::is_null)));
    assert!(some(&|user| user["banned"] == true) && some(&|user| user["locked"] == true));
    assert!(some(&|user| user["deprovisioned"] == true));
    for list in
        ["phone_numbers", "web3_wallets", "passkeys", "external_accounts", "enterprise_accounts"]
    {
        assert!(some(&|user| user[list].as_array().is_some_and(|rows| !rows.is_empty())), "{list}");
    }
    let times: Vec<i64> = users.iter().map(|user| user["created_at"].as_i64().unwrap()).collect();
    assert!(times.windows(2).any(|pair| pair[0] == pair[1]), "ties");
    assert!(times.is_sorted());
    assert_eq!(times.last(), Some(&sandbox.latest()));
    let bytes: usize = users.iter().map(|user| user.to_string().len()).sum();
    assert!(
        (2_500..4_000).contains(&(bytes / users.len())),
        "{} bytes a user",
        bytes / users.len()
    );

    let roles: Vec<String> =
        sandbox.memberships().iter().map(|row| row["role"].as_str().unwrap().to_owned()).collect();
    assert_eq!(roles.iter().filter(|role| *role == "admin" || *role == "basic_member").count(), 3);
    assert_eq!(roles.iter().filter(|role| *role == "org:retired_role").count(), 2);
    assert!(sandbox.organizations().iter().any(|row| row["role_set_key"].is_null()));
    assert!(sandbox.organizations().iter().any(|row| row.get("created_by").is_none()));
}

#[tokio::test]
async fn hidden_rows_are_listed_on_request() {
    let sandbox = sandbox();
    let total = async |target: &str| get(&sandbox, target).await.json()["total_count"].as_u64();
    let items = sandbox.count("billing_subscription_items") as u64;
    assert_eq!(total("/v1/billing/subscription_items?include_free=true").await, Some(items));
    assert!(total("/v1/billing/subscription_items").await < Some(items));
    let revoked = sandbox.rows("api_keys").into_iter().find(|row| row["revoked"] == true).unwrap();
    let its = format!("/v1/api_keys?subject={}", revoked["subject"].as_str().unwrap());
    assert!(total(&its).await < total(&format!("{its}&include_invalid=true")).await);
    assert_eq!(refusal(&sandbox, "/v1/billing_plans").await.0, 404);
}

#[tokio::test]
async fn a_deleted_machine_is_removed_from_the_scopes_of_others() {
    let sandbox = sandbox();
    let called = |sandbox: &Sandbox, id: &str| {
        let machines = sandbox.rows("machines");
        machines.iter().any(|machine| machine["scoped_machines"].to_string().contains(id))
    };
    let id = sandbox.ids("machines").into_iter().find(|id| called(&sandbox, id)).unwrap();
    assert!(sandbox.delete("machines", &id));
    assert!(!called(&sandbox, &id));
}
