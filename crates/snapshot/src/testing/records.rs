//! A complete line of each kind that access is made of, as JSON whose keys are in the order of docs/data.md.

use serde_json::{Value, json};

/// When everything here was created.
pub const CREATED_AT: &str = "2026-01-02T03:04:05.678Z";

/// A user with one verified address and nothing else.
#[must_use]
pub fn user(id: &str) -> Value {
    let address = format!("{id}@example.com");
    json!({
        "kind": "resource", "type": "user", "id": id, "display_name": format!("Person {id}"),
        "status": "enabled", "created_at": CREATED_AT, "updated_at": CREATED_AT,
        "profile": {
            "username": null, "first_name": "Person", "last_name": id, "external_id": null,
            "primary_email": address, "primary_email_verified": true,
            "emails": [{"address": address, "primary": true, "verified": true}],
            "phones": [], "banned": false, "locked": false, "deprovisioned": false,
            "last_sign_in_at": null, "last_active_at": null, "password_enabled": true,
            "two_factor_enabled": false, "totp_enabled": false, "backup_code_enabled": false,
            "passkeys": 0, "mfa_enabled_at": null, "mfa_disabled_at": null,
            "external_accounts": [], "enterprise_accounts": [], "web3_wallets": [],
            "create_organization_enabled": true, "delete_self_enabled": true,
            "legal_accepted_at": null, "locale": null,
        },
    })
}

/// An organization.
#[must_use]
pub fn organization(id: &str, name: &str) -> Value {
    json!({
        "kind": "resource", "type": "organization", "id": id, "display_name": name,
        "status": "enabled", "created_at": CREATED_AT, "updated_at": CREATED_AT,
        "profile": {
            "slug": id, "members_count": 1, "pending_invitations_count": 0,
            "max_allowed_memberships": 5, "admin_delete_enabled": true, "created_by": null,
            "role_set_key": null, "last_active_at": null,
        },
    })
}

/// A role with permissions, each an id and a key.
#[must_use]
pub fn role(id: &str, key: &str, permissions: &[(&str, &str)]) -> Value {
    let permissions: Vec<_> =
        permissions.iter().map(|(id, key)| json!({"id": id, "key": key})).collect();
    json!({
        "kind": "resource", "type": "organization_role", "id": id, "display_name": key,
        "status": "enabled", "created_at": CREATED_AT, "updated_at": CREATED_AT,
        "profile": {
            "key": key, "description": null, "is_creator_eligible": true,
            "permissions": permissions,
        },
    })
}

/// A permission.
#[must_use]
pub fn permission(id: &str, key: &str) -> Value {
    json!({
        "kind": "resource", "type": "organization_permission", "id": id, "display_name": key,
        "status": "enabled", "created_at": CREATED_AT, "updated_at": CREATED_AT,
        "profile": {"key": key, "description": null, "type": "user"},
    })
}

/// A machine that may call no other.
#[must_use]
pub fn machine(id: &str) -> Value {
    json!({
        "kind": "resource", "type": "machine", "id": id, "display_name": id, "status": "enabled",
        "created_at": CREATED_AT, "updated_at": CREATED_AT,
        "profile": {"default_token_ttl": 3600, "scoped_machines": []},
    })
}

/// A resource of any other type, with this profile.
#[must_use]
pub fn resource(object_type: &str, id: &str, profile: Value) -> Value {
    json!({
        "kind": "resource", "type": object_type, "id": id, "display_name": id, "status": "enabled",
        "created_at": CREATED_AT, "updated_at": CREATED_AT, "profile": profile,
    })
}

/// What is held by every member of an organization.
#[must_use]
pub fn member_entitlement(organization: &str) -> Value {
    entitlement(("organization", organization), "member", "assignment", "user", Value::Null)
}

/// What is held by the members of an organization that have a role, given by id and key.
#[must_use]
pub fn role_entitlement(organization: &str, (id, key): (&str, &str)) -> Value {
    let role = json!({"id": id, "key": key});
    entitlement(("organization", organization), id, "assignment", "user", role)
}

/// What is held by the roles that have a permission.
#[must_use]
pub fn permission_entitlement(permission: &str) -> Value {
    let resource = ("organization_permission", permission);
    entitlement(resource, "assigned", "permission", "organization_role", Value::Null)
}

/// What is held by the machines that may call a machine.
#[must_use]
pub fn call_entitlement(machine: &str) -> Value {
    entitlement(("machine", machine), "call", "permission", "machine", Value::Null)
}

fn entitlement(
    (resource_type, resource): (&str, &str),
    slug: &str,
    purpose: &str,
    holder: &str,
    role: Value,
) -> Value {
    json!({
        "kind": "entitlement", "id": format!("{resource_type}:{resource}:{slug}"),
        "resource": {"type": resource_type, "id": resource}, "slug": slug, "purpose": purpose,
        "display_name": format!("{resource} {slug}"), "grantable_to": [holder], "role": role,
    })
}

/// The grant that every membership gives.
#[must_use]
pub fn member_grant(organization: &str, user: &str, membership: &str) -> Value {
    let source = json!({"type": "organization_membership", "id": membership});
    let resource = ("organization", organization);
    grant(resource, "member", ("user", user), (Value::Null, Value::Null), source)
}

/// The grant that a membership gives whose role is known, by id and key.
#[must_use]
pub fn role_grant(
    organization: &str,
    user: &str,
    membership: &str,
    (id, key): (&str, &str),
    permissions: &[&str],
) -> Value {
    let source = json!({"type": "organization_membership", "id": membership});
    let role = json!({"id": id, "key": key});
    let resource = ("organization", organization);
    grant(resource, id, ("user", user), (role, json!(permissions)), source)
}

/// The grant of a permission to a role.
#[must_use]
pub fn permission_grant(permission: &str, role: &str) -> Value {
    let resource = ("organization_permission", permission);
    let none = (Value::Null, Value::Null);
    grant(resource, "assigned", ("organization_role", role), none, Value::Null)
}

/// The grant to call a machine, to another machine.
#[must_use]
pub fn call_grant(called: &str, caller: &str) -> Value {
    let none = (Value::Null, Value::Null);
    grant(("machine", called), "call", ("machine", caller), none, Value::Null)
}

fn grant(
    (resource_type, resource): (&str, &str),
    slug: &str,
    (principal_type, principal): (&str, &str),
    (role, permissions): (Value, Value),
    source: Value,
) -> Value {
    let entitlement = format!("{resource_type}:{resource}:{slug}");
    json!({
        "kind": "grant", "id": format!("{entitlement}:{principal_type}:{principal}"),
        "entitlement_id": entitlement, "resource": {"type": resource_type, "id": resource},
        "slug": slug, "principal": {"type": principal_type, "id": principal}, "role": role,
        "permissions": permissions, "source": source, "created_at": CREATED_AT,
        "updated_at": CREATED_AT,
    })
}

/// How many users were last active on a day.
#[must_use]
pub fn daily_active_users(date: &str, value: u64) -> Value {
    json!({"kind": "metric", "name": "daily_active_users", "date": date, "value": value})
}
