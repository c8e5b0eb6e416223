//! The expected records of all lists besides users, organizations, roles, permissions and
//! memberships, computed from Clerk's rows as plain JSON.

use clerk_sandbox::Sandbox;
use serde_json::{Value, json};

use super::oracle::{each, moment};

/// A resource with one dataset and one list of the sandbox, both of the same name.
pub(crate) struct PlainList {
    pub(crate) resource: &'static str,
    /// Its type in records.
    pub(crate) kind: &'static str,
    /// Its path below `/v1`.
    pub(crate) path: &'static str,
    /// Whether Clerk can list it oldest first; otherwise the sandbox lists it newest first.
    pub(crate) ascending: bool,
    /// The profile of a row.
    profile: fn(&Value, &Sandbox) -> Value,
}

pub(crate) const PLAIN_LISTS: &[PlainList] = &[
    PlainList {
        resource: "role_sets",
        kind: "role_set",
        path: "role_sets",
        ascending: true,
        profile: |row, _| {
            let role = ["id", "key", "name", "members_count", "has_members"];
            let migration = match &row["role_set_migration"] {
                Value::Null => Value::Null,
                it => json!({
                    "status": it["status"], "trigger_type": it["trigger_type"],
                    "organization_id": it["organization_id"],
                    "source_role_set_id": it["source_role_set_id"],
                    "dest_role_set_id": it["dest_role_set_id"], "mappings": it["mappings"],
                    "migrated_members": it["migrated_members"],
                    "started_at": moment(&it["started_at"]),
                }),
            };
            json!({
                "key": row["key"], "description": row["description"], "type": row["type"],
                "roles": each(&row["roles"], |it| taken(it, &role)),
                "default_role": taken_or_null(&row["default_role"], &["id", "key"]),
                "creator_role": taken_or_null(&row["creator_role"], &["id", "key"]),
                "role_set_migration": migration,
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
    PlainList {
        resource: "organization_invitations",
        kind: "organization_invitation",
        path: "organization_invitations",
        ascending: true,
        profile: |row, source| {
            let roles = source.roles();
            let role = roles.iter().find(|role| role["key"] == row["role"]);
            json!({
                "email_address": row["email_address"], "status": row["status"],
                "organization_id": row["organization_id"], "role_key": row["role"],
                "role_id": role.map(|role| role["id"].clone()), "role_name": row["role_name"],
                "inviter_id": row["inviter_id"], "expires_at": moment(&row["expires_at"]),
            })
        },
    },
    PlainList {
        resource: "invitations",
        kind: "invitation",
        path: "invitations",
        ascending: true,
        profile: |row, _| {
            json!({
                "email_address": row["email_address"], "status": row["status"],
                "expires_at": moment(&row["expires_at"]),
            })
        },
    },
    PlainList {
        resource: "organization_domains",
        kind: "organization_domain",
        path: "organization_domains",
        ascending: true,
        profile: |row, _| {
            let verification = |it: &Value| match it {
                Value::Null => Value::Null,
                it => json!({
                    "status": it["status"], "strategy": it["strategy"], "attempts": it["attempts"],
                    "expire_at": moment(&it["expire_at"]), "verified_at": moment(&it["verified_at"]),
                }),
            };
            json!({
                "organization_id": row["organization_id"],
                "enrollment_mode": row["enrollment_mode"],
                "affiliation_email_address": row["affiliation_email_address"],
                "affiliation_verification": verification(&row["affiliation_verification"]),
                "ownership_verification": verification(&row["ownership_verification"]),
                "total_pending_invitations": row["total_pending_invitations"],
                "total_pending_suggestions": row["total_pending_suggestions"],
            })
        },
    },
    PlainList {
        resource: "allowlist_identifiers",
        kind: "allowlist_identifier",
        path: "allowlist_identifiers",
        ascending: false,
        profile: |row, _| taken(row, &["identifier", "identifier_type", "invitation_id"]),
    },
    PlainList {
        resource: "blocklist_identifiers",
        kind: "blocklist_identifier",
        path: "blocklist_identifiers",
        ascending: false,
        profile: |row, _| taken(row, &["identifier", "identifier_type"]),
    },
    PlainList {
        resource: "jwt_templates",
        kind: "jwt_template",
        path: "jwt_templates",
        ascending: false,
        profile: |row, _| {
            let fields = [
                "claims",
                "lifetime",
                "allowed_clock_skew",
                "custom_signing_key",
                "signing_algorithm",
            ];
            taken(row, &fields)
        },
    },
    PlainList {
        resource: "oauth_applications",
        kind: "oauth_application",
        path: "oauth_applications",
        ascending: true,
        profile: |row, _| {
            let fields = [
                "client_id",
                "client_uri",
                "public",
                "dynamically_registered",
                "consent_screen_enabled",
                "pkce_required",
                "scopes",
                "redirect_uris",
                "authorize_url",
                "token_fetch_url",
                "user_info_url",
                "discovery_url",
                "token_introspection_url",
            ];
            taken(row, &fields)
        },
    },
    PlainList {
        resource: "enterprise_connections",
        kind: "enterprise_connection",
        path: "enterprise_connections",
        ascending: false,
        profile: |row, _| {
            let attribute =
                ["name", "key", "sso_path", "scim_path", "directory_path", "multi_valued"];
            let saml = [
                "id",
                "name",
                "active",
                "idp_entity_id",
                "idp_sso_url",
                "idp_metadata_url",
                "acs_url",
                "sp_entity_id",
                "sp_metadata_url",
                "allow_idp_initiated",
                "allow_subdomains",
                "force_authn",
            ];
            let oauth = [
                "id",
                "name",
                "provider_key",
                "client_id",
                "discovery_url",
                "auth_url",
                "token_url",
                "user_info_url",
                "requires_pkce",
            ];
            let mut saml_connection = taken_or_null(&row["saml_connection"], &saml);
            if saml_connection.is_object() {
                let hint = &row["saml_connection"]["login_hint"];
                saml_connection["login_hint"] = taken_or_null(hint, &["mode", "source"]);
            }
            json!({
                "provider": row["provider"], "active": row["active"],
                "authenticatable": row["authenticatable"], "domains": row["domains"],
                "organization_id": row["organization_id"],
                "sync_user_attributes": row["sync_user_attributes"],
                "disable_jit_provisioning": row["disable_jit_provisioning"],
                "disable_additional_identifications": row["disable_additional_identifications"],
                "allow_organization_account_linking": row["allow_organization_account_linking"],
                "custom_attributes": each(&row["custom_attributes"], |it| taken(it, &attribute)),
                "saml_connection": saml_connection,
                "oauth_config": taken_or_null(&row["oauth_config"], &oauth),
            })
        },
    },
    PlainList {
        resource: "machines",
        kind: "machine",
        path: "machines",
        ascending: true,
        profile: |row, _| {
            json!({
                "default_token_ttl": row["default_token_ttl"],
                "scoped_machines": each(&row["scoped_machines"], |it| taken(it, &["id", "name"])),
            })
        },
    },
    PlainList {
        resource: "waitlist_entries",
        kind: "waitlist_entry",
        path: "waitlist_entries",
        ascending: true,
        profile: |row, _| {
            let invitation = match &row["invitation"] {
                Value::Null => Value::Null,
                it => json!({
                    "id": it["id"], "status": it["status"],
                    "expires_at": moment(&it["expires_at"]),
                    "created_at": moment(&it["created_at"]),
                }),
            };
            json!({
                "email_address": row["email_address"], "status": row["status"],
                "is_locked": row["is_locked"], "invitation": invitation,
            })
        },
    },
    PlainList {
        resource: "billing_plans",
        kind: "billing_plan",
        path: "billing/plans",
        ascending: false,
        profile: |row, _| {
            let of = |fee: &Value| taken_or_null(fee, &["amount", "currency"]);
            let money = |fee: &str| of(&row[fee]);
            let tier = |it: &Value| {
                json!({
                    "starts_at_block": it["starts_at_block"],
                    "ends_after_block": it["ends_after_block"],
                    "fee_per_block": of(&it["fee_per_block"]),
                })
            };
            let unit_price = |it: &Value| {
                json!({
                    "name": it["name"], "block_size": it["block_size"],
                    "tiers": each(&it["tiers"], tier),
                })
            };
            json!({
                "slug": row["slug"], "description": row["description"],
                "product_id": row["product_id"], "for_payer_type": row["for_payer_type"],
                "is_default": row["is_default"], "is_recurring": row["is_recurring"],
                "publicly_visible": row["publicly_visible"], "has_base_fee": row["has_base_fee"],
                "fee": money("fee"), "annual_monthly_fee": money("annual_monthly_fee"),
                "annual_fee": money("annual_fee"),
                "unit_prices": each(&row["unit_prices"], unit_price),
                "free_trial_enabled": row["free_trial_enabled"],
                "free_trial_days": row["free_trial_days"],
                "features": each(&row["features"], |it| taken(it, &["id", "slug", "name"])),
            })
        },
    },
    PlainList {
        resource: "billing_subscription_items",
        kind: "billing_subscription_item",
        path: "billing/subscription_items",
        ascending: false,
        profile: |row, _| {
            let money = |it: &Value| taken_or_null(it, &["amount", "currency"]);
            let at = |field: &str| moment(&row[field]);
            let payment = &row["next_payment"];
            json!({
                "status": row["status"], "plan_id": row["plan_id"], "price_id": row["price_id"],
                "plan": taken_or_null(&row["plan"], &["id", "slug", "name"]),
                "plan_period": row["plan_period"], "payer_id": row["payer_id"],
                "payer": taken_or_null(&row["payer"], &["user_id", "organization_id"]),
                "is_free_trial": row["is_free_trial"], "period_start": at("period_start"),
                "period_end": at("period_end"), "canceled_at": at("canceled_at"),
                "past_due_at": at("past_due_at"), "ended_at": at("ended_at"),
                "seats": taken_or_null(&row["seats"], &["quantity"]),
                "lifetime_paid": money(&row["lifetime_paid"]),
                "next_payment": json!({
                    "amount": money(&payment["amount"]), "date": moment(&payment["date"]),
                }),
            })
        },
    },
    PlainList {
        resource: "sessions",
        kind: "session",
        path: "sessions",
        ascending: false,
        profile: |row, _| {
            let activity = [
                "device_type",
                "is_mobile",
                "browser_name",
                "browser_version",
                "ip_address",
                "city",
                "country",
            ];
            json!({
                "user_id": row["user_id"], "client_id": row["client_id"], "status": row["status"],
                "actor": row["actor"],
                "last_active_organization_id": row["last_active_organization_id"],
                "last_active_at": moment(&row["last_active_at"]),
                "latest_activity": taken_or_null(&row["latest_activity"], &activity),
                "expire_at": moment(&row["expire_at"]),
                "abandon_at": moment(&row["abandon_at"]),
                "tasks": each(&row["tasks"], |task| taken(task, &["key"])),
            })
        },
    },
];

/// The keys of users, organizations and machines. Clerk lists them only owner by owner, so not
/// everything that is true of the other lists is true of this one.
pub(crate) const API_KEYS: &PlainList = &PlainList {
    resource: "api_keys",
    kind: "api_key",
    path: "api_keys",
    ascending: false,
    profile: |row, _| {
        json!({
            "type": row["type"], "subject": row["subject"], "description": row["description"],
            "claims": row["claims"], "scopes": row["scopes"], "revoked": row["revoked"],
            "revocation_reason": row["revocation_reason"], "expired": row["expired"],
            "expiration": moment(&row["expiration"]), "created_by": row["created_by"],
            "last_used_at": moment(&row["last_used_at"]),
        })
    },
};

/// All of these, whether or not Clerk lists them as a whole.
pub(crate) fn every_list() -> impl Iterator<Item = &'static PlainList> {
    PLAIN_LISTS.iter().chain([API_KEYS])
}

impl PlainList {
    /// The records of all rows of the sandbox, in order.
    pub(crate) fn records(&self, source: &Sandbox) -> Vec<Value> {
        let mut rows = source.rows(self.resource);
        if !self.ascending {
            rows.reverse();
        }
        if self.resource == "invitations" {
            // Clerk lists these separately.
            rows.sort_by_key(|row| row["status"] == "revoked");
        }
        if self.resource == "api_keys" {
            rows = owner_by_owner(&rows, source);
        }
        rows.iter().map(|row| self.record(row, source)).collect()
    }

    fn record(&self, row: &Value, source: &Sandbox) -> Value {
        let said = |field: &str| row[field].as_str().filter(|text| !text.trim().is_empty());
        let name = ["name", "key", "slug", "id"].iter().find_map(|field| said(field));
        let disabled = row["active"] == false || row["revoked"] == true || row["expired"] == true;
        // The profile of a revoked invitation says so.
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

/// Keys of users, then of organizations, then of machines, in the order of their owners. Keys whose
/// owner is gone are not requested.
fn owner_by_owner(keys: &[Value], source: &Sandbox) -> Vec<Value> {
    let owners = ["users", "organizations", "machines"];
    let owners = owners.into_iter().flat_map(|list| source.ids(list));
    owners
        .flat_map(|owner| keys.iter().filter(move |key| key["subject"] == owner))
        .cloned()
        .collect()
}

/// These fields, unchanged.
fn taken(row: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|&field| (field.to_owned(), row[field].clone())).collect()
}

fn taken_or_null(value: &Value, fields: &[&str]) -> Value {
    if value.is_null() { Value::Null } else { taken(value, fields) }
}
