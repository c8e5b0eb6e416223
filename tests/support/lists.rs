//! What the datasets beside users, organizations, roles and permissions must hold, worked out from
//! Clerk's rows as plain JSON.

use clerk_sandbox::Sandbox;
use serde_json::{Value, json};

use super::oracle::{each, moment};

/// A resource of one dataset of the same name, and of the sandbox's list of the same name.
pub(crate) struct PlainList {
    pub(crate) resource: &'static str,
    /// Its type in records.
    pub(crate) kind: &'static str,
    /// Below `/v1`.
    pub(crate) path: &'static str,
    /// Whether Clerk can list it oldest first; otherwise the sandbox lists it newest first.
    pub(crate) ascending: bool,
    /// What Clerk's row becomes.
    profile: fn(&Value, &Sandbox) -> Value,
}

pub(crate) const PLAIN_LISTS: &[PlainList] = &[
    PlainList {
        resource: "role_sets",
        kind: "role_set",
        path: "role_sets",
        ascending: true,
        profile: |row, _| {
            let role = |role: &Value| match role {
                Value::Null => Value::Null,
                role => json!({"id": role["id"], "key": role["key"]}),
            };
            json!({
                "key": row["key"], "description": row["description"], "type": row["type"],
                "roles": each(&row["roles"], role), "default_role": role(&row["default_role"]),
                "creator_role": role(&row["creator_role"]),
                "role_set_migration": row["role_set_migration"],
            })
        },
    },
    PlainList {
        resource: "domains",
        kind: "domain",
        path: "domains",
        ascending: false,
        profile: |row, _| {
            let fields = [
                "is_satellite",
                "frontend_api_url",
                "accounts_portal_url",
                "proxy_url",
                "development_origin",
                "cname_targets",
            ];
            taken(row, &fields)
        },
    },
    PlainList {
        resource: "redirect_urls",
        kind: "redirect_url",
        path: "redirect_urls",
        ascending: false,
        profile: |row, _| taken(row, &["url"]),
    },
];

impl PlainList {
    /// The records of all rows of the sandbox, in order.
    pub(crate) fn records(&self, source: &Sandbox) -> Vec<Value> {
        let mut rows = source.rows(self.resource);
        if !self.ascending {
            rows.reverse();
        }
        rows.iter().map(|row| self.record(row, source)).collect()
    }

    fn record(&self, row: &Value, source: &Sandbox) -> Value {
        let said = |field: &str| row[field].as_str().filter(|text| !text.trim().is_empty());
        let name = ["name", "key", "slug", "id"].iter().find_map(|field| said(field));
        let disabled = row["active"] == false || row["revoked"] == true || row["expired"] == true;
        // An invitation that was revoked says so in its profile.
        let disabled = disabled && ["enterprise_connection", "api_key"].contains(&self.kind);
        json!({
            "kind": "resource",
            "type": self.kind,
            "id": row["id"],
            "display_name": name,
            "status": if disabled { "disabled" } else { "enabled" },
            "created_at": moment(&row["created_at"]),
            "updated_at": moment(&row["updated_at"]),
            "profile": (self.profile)(row, source),
        })
    }
}

/// These fields as they stand.
fn taken(row: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|&field| (field.to_owned(), row[field].clone())).collect()
}
