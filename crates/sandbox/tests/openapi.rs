//! The sandbox's answers validate against Clerk's OpenAPI document, if that is available.
//!
//! The document is not part of the project. Its path is given in `CLERK_OPENAPI`, or it is next to the workspace.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise is a failed test")]

use std::io::Write as _;
use std::path::PathBuf;

use clerk_sandbox::{Population, Sandbox};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

const HEADERS: [(&str, &str); 2] =
    [("authorization", "Bearer sk_test_sandbox"), ("clerk-api-version", "2026-05-12")];

#[tokio::test]
async fn every_answer_matches_clerks_document() {
    let Some(document) = Document::load() else {
        let skipped = "SKIPPED: Clerk's OpenAPI document is not at hand (CLERK_OPENAPI may name it): \
                       no answer was validated\n";
        // Bypass the test harness's capture, so that nobody believes that this was checked.
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    let population = Population::default()
        .users(1500)
        .organizations(60)
        .memberships(900)
        .permissions(30)
        .other_rows(12);
    let sandbox = Sandbox::new(
        population.backup_codes(true).legacy_memberships(4).unknown_role_memberships(2),
    );
    let first = |list: &str| sandbox.ids(list)[0].clone();
    let (user, organization, role) =
        (first("users"), first("organizations"), first("organization_roles"));
    let invitation = &sandbox.rows("organization_invitations")[0];
    let text = |field: &str| invitation[field].as_str().unwrap().to_owned();
    let (inviting, invitation) = (text("organization_id"), text("id"));
    let key_subject = sandbox.rows("api_keys")[0]["subject"].as_str().unwrap().to_owned();
    let token_subject = sandbox.rows("m2m_tokens")[0]["subject"].as_str().unwrap().to_owned();

    let mut checks: Vec<(String, &str)> = [
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
    ]
    .map(|list| (format!("/v1/{list}?limit=500&order_by=created_at"), list))
    .into();
    checks.extend([
        ("/v1/billing/plans?limit=500&paginated=true".into(), "billing/plans"),
        (
            "/v1/billing/subscription_items?limit=500&include_free=true&paginated=true".into(),
            "billing/subscription_items",
        ),
        ("/v1/users?limit=500&offset=500".into(), "users"),
        ("/v1/users?limit=500&offset=1000".into(), "users"),
        ("/v1/organizations?limit=500&include_members_count=true".into(), "organizations"),
        ("/v1/organization_memberships?limit=500&offset=500".into(), "organization_memberships"),
        ("/v1/instance".into(), "instance"),
        ("/v1/users/count".into(), "users/count"),
        (format!("/v1/users/{user}"), "users/{user_id}"),
        (format!("/v1/organizations/{organization}"), "organizations/{organization_id}"),
        (format!("/v1/organization_roles/{role}"), "organization_roles/{organization_role_id}"),
        (
            format!("/v1/organizations/{organization}/memberships"),
            "organizations/{organization_id}/memberships",
        ),
        (
            format!("/v1/organizations/{organization}/invitations"),
            "organizations/{organization_id}/invitations",
        ),
        (
            format!("/v1/organizations/{inviting}/invitations/{invitation}"),
            "organizations/{organization_id}/invitations/{invitation_id}",
        ),
        (
            format!("/v1/organizations/{organization}/domains"),
            "organizations/{organization_id}/domains",
        ),
        (
            format!("/v1/users/{user}/organization_memberships"),
            "users/{user_id}/organization_memberships",
        ),
        (format!("/v1/api_keys?limit=100&subject={key_subject}"), "api_keys"),
        (format!("/v1/m2m_tokens?limit=100&subject={token_subject}"), "m2m_tokens"),
    ]);
    for (list, by_id) in [
        ("organization_permissions", "organization_permissions/{permission_id}"),
        ("role_sets", "role_sets/{role_set_key_or_id}"),
        ("sessions", "sessions/{session_id}"),
        ("jwt_templates", "jwt_templates/{template_id}"),
        ("redirect_urls", "redirect_urls/{id}"),
        ("oauth_applications", "oauth_applications/{oauth_application_id}"),
        ("enterprise_connections", "enterprise_connections/{enterprise_connection_id}"),
        ("machines", "machines/{machine_id}"),
        ("api_keys", "api_keys/{apiKeyID}"),
    ] {
        checks.push((format!("/v1/{list}/{}", first(list)), by_id));
    }
    for (target, path) in checks {
        let answer = sandbox.get(&target, &HEADERS).await.unwrap();
        assert_eq!(answer.status, 200, "{target}");
        document.assert_valid(
            document.response_schema(&format!("/{path}")),
            &answer.json(),
            &target,
        );
    }

    // For these, the document describes only the bare array, which is what `data` contains.
    for list in
        ["invitations", "sessions", "allowlist_identifiers", "jwt_templates", "redirect_urls"]
    {
        let target = format!("/v1/{list}?limit=500&paginated=true");
        let answer = sandbox.get(&target, &HEADERS).await.unwrap().json();
        let listed = answer["data"].as_array().unwrap().len();
        assert!(listed > 5 && answer["total_count"] == listed, "{target}: {listed}");
        let schema = document.response_schema(&format!("/{list}"));
        document.assert_valid(schema, &answer["data"], &target);
    }

    for (target, status) in [
        ("/v1/users/user_gone", 404),
        ("/v1/users?limit=0", 422),
        ("/v1/users?starting_after=user_gone", 422),
        ("/v1/organizations?order_by=colour", 422),
    ] {
        let answer = sandbox.get(target, &HEADERS).await.unwrap();
        assert_eq!(answer.status, status, "{target}");
        document.assert_valid(document.error_schema(), &answer.json(), target);
    }
    let refused = sandbox.get("/v1/users", &[]).await.unwrap();
    document.assert_valid(document.error_schema(), &refused.json(), "without a key");
}

/// Clerk's document, with its schemas converted from OpenAPI 3.0 to JSON Schema.
struct Document {
    root: Value,
}

impl Document {
    fn load() -> Option<Self> {
        let beside = "../../../shared/clerk-openapi/bapi-2026-05-12.yml";
        let path = match std::env::var_os("CLERK_OPENAPI") {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(beside),
        };
        let text = std::fs::read_to_string(path).ok()?;
        let root: Value = serde_saphyr::from_str(&text).expect("the document is YAML");
        Some(Self { root: as_json_schema(root) })
    }

    /// Schema of the 200 answer of `GET path`.
    fn response_schema(&self, path: &str) -> &Value {
        let mut found = &self.root["paths"][path]["get"]["responses"]["200"];
        if let Some(reference) = found["$ref"].as_str() {
            found = self.root.pointer(reference.trim_start_matches('#')).unwrap();
        }
        let schema = &found["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "the document has no answer for {path}");
        schema
    }

    fn error_schema(&self) -> &Value {
        &self.root["components"]["schemas"]["ClerkErrors"]
    }

    fn assert_valid(&self, found: &Value, answer: &Value, what: &str) {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [found],
            "components": self.root["components"],
        });
        let validator = Validator::new(&schema).unwrap();
        let problems: Vec<String> = validator
            .iter_errors(answer)
            .take(3)
            .map(|problem| {
                format!("{}: {}", problem.instance_path(), shortened(&problem.to_string()))
            })
            .collect();
        assert!(problems.is_empty(), "{what}:\n{}", problems.join("\n"));
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(400).collect()
}

/// Converts a schema: `nullable` becomes a choice with null, and a `$ref` stands alone, as in OpenAPI 3.0.
fn as_json_schema(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref") {
                return json!({ "$ref": reference });
            }
            let nullable = fields.get("nullable") == Some(&Value::Bool(true));
            let converted: Map<String, Value> = fields
                .into_iter()
                .filter(|(name, value)| !(name == "nullable" && value.is_boolean()))
                .map(|(name, value)| (name, as_json_schema(value)))
                .collect();
            let converted = Value::Object(converted);
            if nullable { json!({ "anyOf": [converted, { "type": "null" }] }) } else { converted }
        }
        Value::Array(values) => values.into_iter().map(as_json_schema).collect(),
        other => other,
    }
}
