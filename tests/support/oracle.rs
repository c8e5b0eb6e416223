//! The expected datasets, computed from Clerk's rows as plain JSON: a second implementation of
//! docs/data.md that shares no code with the program.

use std::collections::BTreeMap;

use clerk_sandbox::Sandbox;
use serde_json::{Map, Value, json};

/// The settings of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oracle<'a> {
    /// `RESOURCES`.
    pub(crate) resources: &'a [&'a str],
    /// `METADATA`: `public`, `private`, `unsafe`.
    pub(crate) metadata: &'a [&'a str],
    /// `INCLUDE_RAW`.
    pub(crate) raw: bool,
}

/// The five resources that access depends on.
pub(crate) const RESOURCES: [&str; 5] = [
    "users",
    "organizations",
    "organization_roles",
    "organization_permissions",
    "organization_memberships",
];

/// Their paths, in the same order.
pub(crate) const PATHS: [&str; 5] = [
    "/v1/users",
    "/v1/organizations",
    "/v1/organization_roles",
    "/v1/organization_permissions",
    "/v1/organization_memberships",
];

impl Oracle<'_> {
    /// Everything opted in, without metadata and raw.
    pub(crate) fn plain() -> Self {
        Self { resources: &RESOURCES, metadata: &[], raw: false }
    }

    /// The records of every dataset, in order.
    pub(crate) fn datasets(&self, source: &Sandbox) -> BTreeMap<String, Vec<Value>> {
        let roles = source.roles();
        let mut datasets = BTreeMap::<&str, Vec<Value>>::new();
        let mut add = |resource: &str, dataset, records: &mut dyn Iterator<Item = Value>| {
            if self.resources.contains(&resource) {
                datasets.entry(dataset).or_default().extend(records);
            }
        };
        let users = source.users();
        let organizations: Vec<Value> = source.organizations().iter().map(as_served).collect();
        let permissions = source.permissions();
        add("users", "users", &mut users.iter().map(|it| self.user(it)));
        add(
            "organizations",
            "organizations",
            &mut organizations.iter().map(|it| self.organization(it)),
        );
        add("organization_roles", "organization_roles", &mut roles.iter().map(|it| self.role(it)));
        add(
            "organization_permissions",
            "organization_permissions",
            &mut permissions.iter().map(|it| self.permission(it)),
        );
        add("organization_permissions", "entitlements", &mut permissions.iter().map(of_permission));
        add(
            "organizations",
            "entitlements",
            &mut organizations.iter().flat_map(|it| of_organization(it, &roles)),
        );
        add("organization_roles", "grants", &mut roles.iter().flat_map(of_role));
        add(
            "organization_memberships",
            "grants",
            &mut source.memberships().iter().flat_map(|it| of_membership(it, &roles)),
        );
        datasets.into_iter().map(|(name, records)| (name.to_owned(), records)).collect()
    }

    fn user(&self, row: &Value) -> Value {
        let primary = list(&row["email_addresses"]).find(|email| {
            email["id"].is_string() && email["id"] == row["primary_email_address_id"]
        });
        let names: Vec<&str> =
            [&row["first_name"], &row["last_name"]].into_iter().filter_map(|it| said(it)).collect();
        let display_name = if names.is_empty() {
            said(&row["username"])
                .or(primary.and_then(|email| said(&email["email_address"])))
                .or(said(&row["id"]))
                .unwrap_or_default()
                .to_owned()
        } else {
            names.join(" ")
        };
        let disabled = ["banned", "locked", "deprovisioned"].iter().any(|why| row[why] == true);
        let profile = json!({
            "username": row["username"],
            "first_name": row["first_name"],
            "last_name": row["last_name"],
            "external_id": row["external_id"],
            "primary_email": primary.map(|email| &email["email_address"]),
            "primary_email_verified": primary.map(verified),
            "emails": each(&row["email_addresses"], |email| json!({
                "address": email["email_address"],
                "primary": email["id"] == row["primary_email_address_id"],
                "verified": verified(email),
            })),
            "phones": each(&row["phone_numbers"], |phone| json!({
                "number": phone["phone_number"],
                "primary": phone["id"] == row["primary_phone_number_id"],
                "verified": verified(phone),
                "second_factor": phone["reserved_for_second_factor"],
            })),
            "banned": row["banned"],
            "locked": row["locked"],
            "deprovisioned": row["deprovisioned"],
            "last_sign_in_at": moment(&row["last_sign_in_at"]),
            "last_active_at": moment(&row["last_active_at"]),
            "password_enabled": row["password_enabled"],
            "two_factor_enabled": row["two_factor_enabled"],
            "totp_enabled": row["totp_enabled"],
            "backup_code_enabled": row["backup_code_enabled"],
            "passkeys": row["passkeys"].as_array().map(Vec::len),
            "mfa_enabled_at": moment(&row["mfa_enabled_at"]),
            "mfa_disabled_at": moment(&row["mfa_disabled_at"]),
            "external_accounts": each(&row["external_accounts"], |account| json!({
                "provider": account["provider"],
                "email": account["email_address"],
                "verified": verified(account),
            })),
            "enterprise_accounts": each(&row["enterprise_accounts"], |account| json!({
                "provider": account["provider"],
                "email": account["email_address"],
                "active": account["active"],
            })),
            "web3_wallets": each(&row["web3_wallets"], |wallet| wallet["web3_wallet"].clone()),
            "create_organization_enabled": row["create_organization_enabled"],
            "delete_self_enabled": row["delete_self_enabled"],
            "legal_accepted_at": moment(&row["legal_accepted_at"]),
            "locale": row["locale"],
        });
        let status = if disabled { "disabled" } else { "enabled" };
        self.resource(
            "user",
            row,
            &display_name,
            status,
            self.with_metadata(profile, row, &["public", "private", "unsafe"]),
        )
    }

    fn organization(&self, row: &Value) -> Value {
        let profile = json!({
            "slug": row["slug"],
            "members_count": row["members_count"],
            "pending_invitations_count": row["pending_invitations_count"],
            "max_allowed_memberships": row["max_allowed_memberships"],
            "admin_delete_enabled": row["admin_delete_enabled"],
            "created_by": row["created_by"],
            "role_set_key": row["role_set_key"],
            "last_active_at": moment(&row["last_active_at"]),
        });
        // Clerk's organizations have no unsafe metadata.
        let profile = self.with_metadata(profile, row, &["public", "private"]);
        self.resource("organization", row, name(row), "enabled", profile)
    }

    fn role(&self, row: &Value) -> Value {
        let permissions = each(&row["permissions"], |it| json!({"id": it["id"], "key": it["key"]}));
        let profile = json!({
            "key": row["key"],
            "description": row["description"],
            "is_creator_eligible": row["is_creator_eligible"],
            "permissions": permissions,
        });
        self.resource("organization_role", row, name(row), "enabled", profile)
    }

    fn permission(&self, row: &Value) -> Value {
        let profile =
            json!({"key": row["key"], "description": row["description"], "type": row["type"]});
        self.resource("organization_permission", row, name(row), "enabled", profile)
    }

    fn resource(
        &self,
        kind: &str,
        row: &Value,
        display_name: &str,
        status: &str,
        profile: Value,
    ) -> Value {
        let mut record = json!({
            "kind": "resource",
            "type": kind,
            "id": row["id"],
            "display_name": display_name,
            "status": status,
            "created_at": moment(&row["created_at"]),
            "updated_at": moment(&row["updated_at"]),
            "profile": profile,
        });
        if self.raw {
            record["raw"] = self.without_secrets(row);
        }
        record
    }

    fn with_metadata(&self, mut profile: Value, row: &Value, bags: &[&str]) -> Value {
        for bag in bags {
            if self.metadata.contains(bag) {
                let field = format!("{bag}_metadata");
                profile[&field] = row[&field].clone();
            }
        }
        profile
    }

    /// Clerk's object without everything that must never be written.
    fn without_secrets(&self, value: &Value) -> Value {
        let withheld = |field: &str| match field {
            "backup_codes" | "external_verification_redirect_url" => true,
            "private_metadata" => !self.metadata.contains(&"private"),
            "unsafe_metadata" => !self.metadata.contains(&"unsafe"),
            _ => false,
        };
        match value {
            Value::Object(fields) => {
                let kept = fields.iter().filter(|(field, _)| !withheld(field));
                let kept = kept.map(|(field, it)| (field.clone(), self.without_secrets(it)));
                Value::Object(kept.collect::<Map<_, _>>())
            }
            Value::Array(items) => items.iter().map(|it| self.without_secrets(it)).collect(),
            other => other.clone(),
        }
    }
}

/// An organization as its list serves it: the counts come first.
fn as_served(organization: &Value) -> Value {
    let counts = ["members_count", "pending_invitations_count"];
    let mut served: Map<String, Value> =
        counts.iter().map(|&count| (count.to_owned(), organization[count].clone())).collect();
    let fields = organization.as_object().into_iter().flatten();
    served.extend(fields.map(|(field, value)| (field.clone(), value.clone())));
    Value::Object(served)
}

fn of_permission(permission: &Value) -> Value {
    let id = &permission["id"];
    json!({
        "kind": "entitlement",
        "id": format!("organization_permission:{}:assigned", text(id)),
        "resource": {"type": "organization_permission", "id": id},
        "slug": "assigned",
        "purpose": "permission",
        "display_name": name(permission),
        "grantable_to": ["organization_role"],
        "role": null,
    })
}

fn of_organization(organization: &Value, roles: &[Value]) -> Vec<Value> {
    let id = &organization["id"];
    let entitlement = |slug: &str, called: &str, role: Value| {
        json!({
            "kind": "entitlement",
            "id": format!("organization:{}:{slug}", text(id)),
            "resource": {"type": "organization", "id": id},
            "slug": slug,
            "purpose": "assignment",
            "display_name": format!("{} {called}", name(organization)),
            "grantable_to": ["user"],
            "role": role,
        })
    };
    let mut entitlements = vec![entitlement("member", "member", Value::Null)];
    entitlements.extend(roles.iter().map(|role| {
        entitlement(text(&role["id"]), name(role), json!({"id": role["id"], "key": role["key"]}))
    }));
    entitlements
}

fn of_role(role: &Value) -> Vec<Value> {
    let grant = |permission: &Value| {
        let entitlement = format!("organization_permission:{}:assigned", text(&permission["id"]));
        json!({
            "kind": "grant",
            "id": format!("{entitlement}:organization_role:{}", text(&role["id"])),
            "entitlement_id": entitlement,
            "resource": {"type": "organization_permission", "id": permission["id"]},
            "slug": "assigned",
            "principal": {"type": "organization_role", "id": role["id"]},
            "role": null,
            "permissions": null,
            "source": null,
            "created_at": moment(&role["created_at"]),
            "updated_at": moment(&role["updated_at"]),
        })
    };
    list(&role["permissions"]).map(grant).collect()
}

fn of_membership(membership: &Value, roles: &[Value]) -> Vec<Value> {
    let organization = &membership["organization"]["id"];
    let user = &membership["public_user_data"]["user_id"];
    let grant = |slug: &str, role: Value, permissions: Value| {
        let entitlement = format!("organization:{}:{slug}", text(organization));
        json!({
            "kind": "grant",
            "id": format!("{entitlement}:user:{}", text(user)),
            "entitlement_id": entitlement,
            "resource": {"type": "organization", "id": organization},
            "slug": slug,
            "principal": {"type": "user", "id": user},
            "role": role,
            "permissions": permissions,
            "source": {"type": "organization_membership", "id": membership["id"]},
            "created_at": moment(&membership["created_at"]),
            "updated_at": moment(&membership["updated_at"]),
        })
    };
    let mut grants = vec![grant("member", Value::Null, Value::Null)];
    if let Some(role) = roles.iter().find(|role| role["key"] == membership["role"]) {
        let reference = json!({"id": role["id"], "key": role["key"]});
        grants.push(grant(text(&role["id"]), reference, membership["permissions"].clone()));
    }
    grants
}

/// How many memberships have each role key that no role has.
pub(crate) fn unresolved_role_keys(source: &Sandbox) -> BTreeMap<String, u64> {
    let roles = source.roles();
    let mut unresolved = BTreeMap::new();
    for membership in source.memberships() {
        if !roles.iter().any(|role| role["key"] == membership["role"]) {
            *unresolved.entry(text(&membership["role"]).to_owned()).or_default() += 1;
        }
    }
    unresolved
}

/// True for `verified`, false for any other status, null without a verification.
fn verified(identification: &Value) -> Value {
    match identification.get("verification") {
        None | Some(Value::Null) => Value::Null,
        Some(verification) => json!(verification["status"] == "verified"),
    }
}

/// The name, or else the key or slug, or else the id.
fn name(row: &Value) -> &str {
    let names = ["name", "key", "slug", "id"];
    names.iter().find_map(|field| row.get(field).and_then(said)).unwrap_or_default()
}

/// A blank name is not a name, and blanks around a name are not part of it.
fn said(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

/// Null if Clerk gave no list, which is not the same as an empty list.
pub(crate) fn each(value: &Value, record: impl Fn(&Value) -> Value) -> Value {
    value.as_array().map_or(Value::Null, |items| items.iter().map(record).collect())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// Clerk's milliseconds as RFC 3339, by calendar arithmetic of its own (from days since 1970 to
/// year, month and day, like Howard Hinnant's `civil_from_days`).
pub(crate) fn moment(value: &Value) -> Value {
    // 0 and below mean that there is no time.
    let Some(millis) = value.as_i64().filter(|millis| *millis > 0) else { return Value::Null };
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, thousandths) = (rest / 1_000 % 60, rest % 1_000);
    json!(format!(
        "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{thousandths:03}Z"
    ))
}
