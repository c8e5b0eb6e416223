//! Roles and permissions (Clerk OpenAPI 2026-05-12, schemas `Role` and `Permission`).

use serde_json::{Value, json};

use super::draw::identifier;

/// Clerk's own permissions, followed by any number of invented ones.
pub(crate) fn permission(seed: u64, number: usize, created_at: i64) -> Value {
    const SYSTEM: [(&str, &str); 8] = [
        ("org:sys_profile:manage", "Manage organization"),
        ("org:sys_profile:delete", "Delete organization"),
        ("org:sys_memberships:read", "Read members"),
        ("org:sys_memberships:manage", "Manage members"),
        ("org:sys_domains:read", "Read domains"),
        ("org:sys_domains:manage", "Manage domains"),
        ("org:sys_billing:read", "Read billing"),
        ("org:sys_billing:manage", "Manage billing"),
    ];
    const FEATURES: [&str; 4] = ["invoices", "reports", "teams", "audit_log"];
    const DEEDS: [&str; 3] = ["read", "manage", "delete"];
    let (key, name, kind) = match SYSTEM.get(number) {
        Some((key, name)) => ((*key).to_owned(), (*name).to_owned(), "system"),
        None => {
            let number = number - SYSTEM.len();
            let (feature, deed) = (FEATURES[number % 4], DEEDS[number / 4 % 3]);
            let round = number / 12;
            let feature =
                if round == 0 { feature.to_owned() } else { format!("{feature}_{round}") };
            (format!("org:{feature}:{deed}"), format!("{deed} {feature}"), "user")
        }
    };
    permission_named(seed, &key, &name, kind, created_at)
}

/// One permission.
pub(crate) fn permission_named(
    seed: u64,
    key: &str,
    name: &str,
    kind: &str,
    created_at: i64,
) -> Value {
    json!({
        "object": "permission",
        "id": identifier(&mut fastrand::Rng::with_seed(seed), "perm_"),
        "name": name,
        "key": key,
        "description": format!("Allows: {name}"),
        "type": kind,
        "created_at": created_at,
        "updated_at": created_at,
    })
}

/// One role with the permissions it grants.
pub(crate) fn role(
    seed: u64,
    key: &str,
    name: &str,
    permissions: &[Value],
    created_at: i64,
) -> Value {
    json!({
        "object": "role",
        "id": identifier(&mut fastrand::Rng::with_seed(seed), "role_"),
        "name": name,
        "key": key,
        "description": (!seed.is_multiple_of(3)).then(|| format!("{name} of an organization")),
        "is_creator_eligible": key == "org:admin",
        "permissions": permissions,
        "created_at": created_at,
        "updated_at": created_at,
    })
}
