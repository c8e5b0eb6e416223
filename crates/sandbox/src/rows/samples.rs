//! Generates rows for the smaller lists, each with its schema in Clerk OpenAPI 2026-05-12.

use serde_json::{Value, json};

use super::draw::{DAY_MS, hexadecimal, identifier, pick};

/// What a new row may refer to.
pub(crate) struct Surroundings<'a> {
    pub(crate) random: &'a mut fastrand::Rng,
    /// Number of rows in the list so far.
    pub(crate) number: usize,
    /// Milliseconds since 1970.
    pub(crate) created_at: i64,
    pub(crate) instance_id: &'a str,
    /// A user of the instance, or one that no longer exists.
    pub(crate) user_id: String,
    /// An organization of the instance, or one that no longer exists.
    pub(crate) organization: Value,
    /// A machine of the instance, or one that no longer exists.
    pub(crate) machine_id: String,
    /// Rows that the new row may include whole: machines or plans.
    pub(crate) related: Vec<Value>,
    /// All roles of the instance.
    pub(crate) roles: Vec<Value>,
}

/// Generates a row of a list.
pub(crate) type Sample = fn(&mut Surroundings<'_>) -> Value;

/// The functions below, one per list.
pub(crate) mod sample {
    use super::*;

    /// Schema `RoleSet`.
    pub(crate) fn role_set(around: &mut Surroundings<'_>) -> Value {
        let (created_at, number) = (around.created_at, around.number);
        let members_count = number.is_multiple_of(2).then_some(number);
        let items: Vec<Value> = around
            .roles
            .iter()
            .map(|role| {
                json!({
                    "object": "role_set_item", "id": role["id"], "name": role["name"],
                    "key": role["key"], "description": role["description"],
                    "members_count": members_count,
                    "has_members": members_count.map(|count| count > 0),
                    "created_at": created_at, "updated_at": created_at,
                })
            })
            .collect();
        let item = |key: &str| {
            items.iter().find(|item| item["key"] == key).cloned().unwrap_or(Value::Null)
        };
        let (default_role, creator_role) = (item("org:member"), item("org:admin"));
        let (name, key) = match number {
            0 => ("Default".to_owned(), "role_set:default".to_owned()),
            number => (format!("Role set {number}"), format!("role_set:custom_{number}")),
        };
        let id = identifier(around.random, "role_set_");
        let migration = role_set_migration(around, &id);
        json!({
            "object": "role_set", "id": id, "name": name, "key": key,
            "description": (number % 2 == 1).then(|| format!("Roles of branch {number}")),
            "roles": items, "default_role": default_role, "creator_role": creator_role,
            "type": if number == 0 { "initial" } else { "custom" },
            "role_set_migration": migration,
            "created_at": created_at, "updated_at": created_at,
        })
    }

    /// Schema `OrganizationInvitationWithPublicOrganizationData`. Its `url` contains a ticket.
    pub(crate) fn organization_invitation(around: &mut Surroundings<'_>) -> Value {
        let status = ["pending", "accepted", "revoked", "expired"][around.number % 4];
        let url = (status == "pending").then(|| ticket_url(around.random));
        json!({
            "object": "organization_invitation", "id": identifier(around.random, "orginv_"),
            "email_address": email(around.random), "role": "org:member", "role_name": "Member",
            "organization_id": around.organization["id"], "inviter_id": around.user_id,
            "public_inviter_data": {
                "user_id": around.user_id, "first_name": "Ada", "last_name": null,
                "image_url": super::super::user::image_url(&around.user_id), "has_image": false,
                "identifier": "ada@example.com",
            },
            "public_organization_data": public_organization(around),
            "status": status, "public_metadata": {}, "private_metadata": {}, "url": url,
            "expires_at": around.created_at + 30 * DAY_MS,
            "created_at": around.created_at, "updated_at": around.created_at,
        })
    }

    /// Schema `Invitation`. Its `url` contains a ticket.
    pub(crate) fn invitation(around: &mut Surroundings<'_>) -> Value {
        let status = ["pending", "accepted", "expired", "revoked"][around.number % 4];
        invitation_with(around, status)
    }

    /// Schema `OrganizationDomain`.
    pub(crate) fn organization_domain(around: &mut Surroundings<'_>) -> Value {
        let verification = json!({
            "status": "verified", "strategy": "txt", "attempts": 1,
            "expire_at": around.created_at + DAY_MS, "verified_at": around.created_at,
        });
        let verified = around.number.is_multiple_of(2);
        // Clerk returns `verified_at` for ownerships only; it is set here so that tests can see it copied.
        let affiliation = json!({
            "status": "verified", "strategy": "affiliation_email_code", "attempts": 2,
            "expire_at": around.created_at + 2 * DAY_MS, "verified_at": around.created_at + 1,
        });
        json!({
            "object": "organization_domain", "id": identifier(around.random, "orgdmn_"),
            "organization_id": around.organization["id"],
            "name": format!("{}.example.com", hexadecimal(around.random, 8)),
            "enrollment_mode": pick(around.random, &["manual_invitation", "automatic_suggestion"]),
            "affiliation_email_address": (!verified).then(|| email(around.random)),
            "affiliation_verification": if verified { Value::Null } else { affiliation },
            "ownership_verification": if verified { verification.clone() } else { Value::Null },
            "verification": if verified { verification } else { Value::Null },
            "total_pending_invitations": 0, "total_pending_suggestions": 0,
            "public_organization_data": public_organization(around),
            "created_at": around.created_at, "updated_at": around.created_at,
        })
    }

    /// Schema `Session`.
    pub(crate) fn session(around: &mut Surroundings<'_>) -> Value {
        let id = identifier(around.random, "sess_");
        let active_at = around.created_at + DAY_MS / 2;
        let organization_id = organization_id_or_null(around, around.number.is_multiple_of(2));
        let status = ["active", "ended", "expired", "revoked", "pending"][around.number % 5];
        let client_id = identifier(around.random, "client_");
        let actor = (around.number % 3 == 1).then(|| {
            json!({
                "iss": "https://dashboard.example.com", "sub": identifier(around.random, "user_"),
            })
        });
        json!({
            "object": "session", "id": id, "user_id": around.user_id,
            "client_id": client_id, "actor": actor,
            "status": status,
            "last_active_organization_id": organization_id,
            "last_active_at": active_at,
            "latest_activity": if around.number.is_multiple_of(3) { Value::Null } else { json!({
                "object": "session_activity", "id": identifier(around.random, "sess_activity_"),
                "device_type": "Macintosh", "is_mobile": false, "browser_name": "Firefox",
                "browser_version": "140.0",
                "ip_address": "192.0.2.7", "city": "Zürich", "country": "CH",
            }) },
            "expire_at": around.created_at + 7 * DAY_MS,
            "abandon_at": around.created_at + 30 * DAY_MS,
            "updated_at": active_at, "created_at": around.created_at,
            "tasks": (status == "pending").then(|| json!([{ "key": "choose-organization" }])),
        })
    }

    /// Schema `AllowlistIdentifier`.
    pub(crate) fn allowlist_identifier(around: &mut Surroundings<'_>) -> Value {
        let mut row = listed_identifier(around, "allowlist_identifier", "alid_");
        row["invitation_id"] = identifier(around.random, "inv_").into();
        row
    }

    /// Schema `BlocklistIdentifier`.
    pub(crate) fn blocklist_identifier(around: &mut Surroundings<'_>) -> Value {
        listed_identifier(around, "blocklist_identifier", "blid_")
    }

    /// Schema `Domain`, which has no times.
    pub(crate) fn domain(around: &mut Surroundings<'_>) -> Value {
        let name = if around.number == 0 {
            "example.com".to_owned()
        } else {
            format!("satellite-{}.example.com", around.number)
        };
        json!({
            "object": "domain", "id": identifier(around.random, "dmn_"), "name": name,
            "is_satellite": around.number > 0, "frontend_api_url": format!("https://clerk.{name}"),
            "accounts_portal_url": (around.number == 0).then(|| format!("https://accounts.{name}")),
            "proxy_url": (around.number % 2 == 1).then(|| format!("https://{name}/__clerk")),
            "development_origin": "",
            "cname_targets": [
                { "host": format!("clerk.{name}"), "value": "frontend-api.example.net", "required": true }
            ],
        })
    }

    /// Schema `JWTTemplate`.
    pub(crate) fn jwt_template(around: &mut Surroundings<'_>) -> Value {
        json!({
            "object": "jwt_template", "id": identifier(around.random, "jtmp_"),
            "name": format!("template-{}", around.number), "claims": { "role": "{{org.role}}" },
            "lifetime": 60,
            "allowed_clock_skew": 5, "custom_signing_key": false, "signing_algorithm": "RS256",
            "created_at": around.created_at, "updated_at": around.created_at,
        })
    }

    /// Schema `RedirectURL`.
    pub(crate) fn redirect_url(around: &mut Surroundings<'_>) -> Value {
        json!({
            "object": "redirect_url", "id": identifier(around.random, "ru_"),
            "url": format!("https://app.example.com/callback/{}", around.number),
            "created_at": around.created_at, "updated_at": around.created_at,
        })
    }

    /// Schema `OAuthApplication`.
    pub(crate) fn oauth_application(around: &mut Surroundings<'_>) -> Value {
        let client_id = hexadecimal(around.random, 16);
        let base = "https://clerk.example.com/oauth";
        json!({
            "object": "oauth_application", "id": identifier(around.random, "oa_"),
            "instance_id": around.instance_id,
            "name": format!("Application {}", around.number), "client_id": client_id,
            "client_uri": (around.number % 2 == 1).then_some("https://app.example.com"),
            "client_image_url": null, "dynamically_registered": false,
            "consent_screen_enabled": true,
            "pkce_required": true, "public": around.number.is_multiple_of(2),
            "scopes": "profile email",
            "redirect_uris": ["https://app.example.com/oauth"],
            "callback_url": "https://app.example.com/oauth",
            "authorize_url": format!("{base}/authorize"),
            "token_fetch_url": format!("{base}/token"),
            "user_info_url": format!("{base}/userinfo"),
            "discovery_url": "https://clerk.example.com/.well-known/openid-configuration",
            "token_introspection_url": format!("{base}/token_info"),
            "created_at": around.created_at, "updated_at": around.created_at,
        })
    }

    /// Schema `EnterpriseConnection`.
    pub(crate) fn enterprise_connection(around: &mut Surroundings<'_>) -> Value {
        let id = identifier(around.random, "entconn_");
        let organization_id = organization_id_or_null(around, !around.number.is_multiple_of(3));
        let saml = around.number.is_multiple_of(2);
        // For both kinds, some connections have all optional fields and some have few.
        let known = around.number % 4 < 2;
        let saml_connection = saml.then(|| saml_connection(around, known));
        let oauth_config = (!saml).then(|| oauth_config(around, known));
        json!({
            "object": "enterprise_connection", "id": id,
            "name": format!("Connection {}", around.number),
            "provider": if saml { "saml_okta" } else { "oidc_custom" }, "logo_public_url": null,
            "active": around.number != 1,
            "domains": [format!("connection-{}.example.com", around.number)],
            "organization_id": organization_id,
            "sync_user_attributes": true, "disable_additional_identifications": false,
            "allow_organization_account_linking": false,
            "custom_attributes": if known { custom_attributes() } else { json!([]) },
            "authenticatable": around.number % 3 != 2,
            "disable_jit_provisioning": around.number % 3 == 1,
            "saml_connection": saml_connection, "oauth_config": oauth_config,
            "created_at": around.created_at, "updated_at": around.created_at,
        })
    }

    /// Schema `Machine`.
    pub(crate) fn machine(around: &mut Surroundings<'_>) -> Value {
        json!({
            "object": "machine", "id": identifier(around.random, "mch_"),
            "name": format!("machine-{}", around.number),
            "instance_id": around.instance_id, "created_at": around.created_at,
            "updated_at": around.created_at,
            "default_token_ttl": 3600,
            "scoped_machines": around.related.iter().map(without_scopes).collect::<Vec<_>>(),
        })
    }

    /// Schema `CommercePlan`, which has no times.
    pub(crate) fn billing_plan(around: &mut Surroundings<'_>) -> Value {
        let number = around.number;
        let is_free = number == 0;
        let fee = |amount: usize| match is_free {
            true => Value::Null,
            false => money(amount * 100),
        };
        let mut row = json!({
            "object": "commerce_plan", "id": identifier(around.random, "cplan_"),
            "name": if is_free { "Free".to_owned() } else { format!("Plan {number}") },
            "fee": fee(10 * number), "annual_monthly_fee": fee(9 * number),
            "annual_fee": fee(108 * number),
            "description": (number % 2 == 1).then(|| format!("All of plan {}", number - 1)),
            "product_id": "cprod_sandbox", "is_default": is_free,
            "is_recurring": true, "publicly_visible": number % 3 != 2, "has_base_fee": !is_free,
            "for_payer_type": if number.is_multiple_of(2) { "user" } else { "org" },
            "slug": format!("plan-{number}"), "avatar_url": null,
            "features": [{
                "object": "feature", "id": identifier(around.random, "feat_"), "name": "Exports",
                "description": null, "slug": "exports", "avatar_url": null,
            }],
            "free_trial_enabled": number.is_multiple_of(4),
            "free_trial_days": number.is_multiple_of(4).then_some(14),
        });
        if number % 2 == 1 {
            // Omitted rather than null if nothing is counted.
            row["unit_prices"] = unit_prices(number);
        }
        row
    }

    /// Schema `CommerceSubscriptionItem`.
    pub(crate) fn billing_subscription_item(around: &mut Surroundings<'_>) -> Value {
        let of_user = around.number.is_multiple_of(2);
        let plan = around.related.first().cloned().unwrap_or(Value::Null);
        let payer_id = identifier(around.random, "cpayer_");
        let status = ["active", "upcoming", "past_due", "ended", "canceled"][around.number % 5];
        let (user_id, organization_id) = match of_user {
            true => (around.user_id.clone().into(), Value::Null),
            false => (Value::Null, around.organization["id"].clone()),
        };
        let mut row = json!({
            "object": "commerce_subscription_item", "id": identifier(around.random, "csubitem_"),
            "instance_id": around.instance_id, "status": status, "plan_id": plan["id"],
            "price_id": identifier(around.random, "cprice_"), "plan": plan, "plan_period": "month",
            "payment_method": {
                "object": "commerce_payment_method", "id": identifier(around.random, "cpm_"),
                "payer_id": payer_id, "payment_type": "card", "gateway": "stripe",
                "gateway_external_id": "pm_sandbox", "gateway_external_account_id": null,
                "last4": "4242", "status": "active", "card_type": "visa",
            },
            "lifetime_paid": money(1000 * around.number),
            "next_payment": { "amount": money(1000), "date": around.created_at + 30 * DAY_MS },
            "payer_id": payer_id,
            "payer": {
                "object": "commerce_payer", "id": payer_id, "instance_id": around.instance_id,
                "user_id": user_id, "organization_id": organization_id,
                "email": email(around.random),
            },
            "is_free_trial": false, "period_start": around.created_at,
            "period_end": around.created_at + 30 * DAY_MS,
            "canceled_at": (status == "canceled").then_some(around.created_at + 20 * DAY_MS),
            "past_due_at": (status == "past_due").then_some(around.created_at + 31 * DAY_MS),
            "ended_at": (status == "ended").then_some(around.created_at + 30 * DAY_MS),
            "created_at": around.created_at, "updated_at": around.created_at,
            "seats": { "quantity": around.number },
        });
        if row["plan"].is_null() {
            // Omitted rather than null if there is no plan.
            remove(&mut row, "plan");
        }
        row
    }

    /// Schema `WaitlistEntry`.
    pub(crate) fn waitlist_entry(around: &mut Surroundings<'_>) -> Value {
        let status = ["pending", "invited", "rejected", "completed"][around.number % 4];
        let (id, address) = (identifier(around.random, "wle_"), email(around.random));
        let mut invitation = match status {
            "invited" => invitation_with(around, "pending"),
            "completed" => invitation_with(around, "accepted"),
            _ => Value::Null,
        };
        if !invitation.is_null() {
            invitation["email_address"] = address.clone().into();
        }
        json!({
            "object": "waitlist_entry", "id": id, "email_address": address,
            "status": status, "is_locked": false,
            "created_at": around.created_at, "updated_at": around.created_at,
            "invitation": invitation,
        })
    }

    /// A row of `GET /api_keys`, without any secret.
    pub(crate) fn api_key(around: &mut Surroundings<'_>) -> Value {
        let subject = match around.number % 3 {
            0 => around.user_id.clone().into(),
            1 => around.organization["id"].clone(),
            _ => around.machine_id.clone().into(),
        };
        let revoked = around.number % 5 == 3;
        let expired = around.number % 5 == 4;
        let used = around.number % 2 == 1;
        json!({
            "object": "api_key", "id": format!("ak_{}", hexadecimal(around.random, 32)),
            "type": "api_key",
            "subject": subject, "name": format!("key {}", around.number),
            "description": used.then(|| format!("for import {}", around.number)),
            "claims": used.then(|| json!({ "region": "eu", "levels": [1, { "of": null }] })),
            "scopes": ["read"], "revoked": revoked,
            "revocation_reason": revoked.then_some("lost"), "expired": expired,
            "expiration": expired.then_some(around.created_at + DAY_MS),
            "created_by": used.then(|| around.user_id.clone()),
            "last_used_at": used.then_some(around.created_at + DAY_MS / 4),
            "created_at": around.created_at, "updated_at": around.created_at,
        })
    }

    /// A row of `GET /m2m_tokens`.
    pub(crate) fn m2m_token(around: &mut Surroundings<'_>) -> Value {
        json!({
            "object": "machine_to_machine_token",
            "id": format!("mt_{}", hexadecimal(around.random, 32)),
            "subject": around.machine_id, "claims": null, "scopes": [], "revoked": false,
            "revocation_reason": null, "expired": false, "expiration": null, "last_used_at": null,
            "created_at": around.created_at, "updated_at": around.created_at,
        })
    }
}

fn listed_identifier(around: &mut Surroundings<'_>, object: &str, prefix: &str) -> Value {
    let (kind, identifier_text) = match around.number % 3 {
        0 => ("email_address", email(around.random)),
        1 => ("phone_number", format!("+1555{:07}", around.random.u32(0..10_000_000))),
        _ => ("web3_wallet", format!("0x{}", hexadecimal(around.random, 40))),
    };
    json!({
        "object": object, "id": identifier(around.random, prefix), "identifier": identifier_text,
        "identifier_type": kind, "instance_id": around.instance_id,
        "created_at": around.created_at, "updated_at": around.created_at,
    })
}

/// Schema `Invitation`. Its `url` contains a ticket.
fn invitation_with(around: &mut Surroundings<'_>, status: &str) -> Value {
    let mut row = json!({
        "object": "invitation", "id": identifier(around.random, "inv_"),
        "email_address": email(around.random),
        "public_metadata": {}, "revoked": status == "revoked", "status": status,
        "expires_at": around.created_at + 30 * DAY_MS,
        "created_at": around.created_at, "updated_at": around.created_at,
    });
    if status == "pending" {
        row["url"] = ticket_url(around.random).into();
    }
    row
}

/// Schema `RoleSetMigration`, of the role set that members are moved from: none, enqueued, or in progress.
fn role_set_migration(around: &mut Surroundings<'_>, source_id: &str) -> Value {
    let begun = match around.number % 3 {
        0 => return Value::Null,
        rest => rest == 2,
    };
    json!({
        "object": "role_set_migration", "id": identifier(around.random, "role_set_migration_"),
        "organization_id": if begun { Value::Null } else { around.organization["id"].clone() },
        "instance_id": around.instance_id, "source_role_set_id": source_id,
        "dest_role_set_id": begun.then(|| identifier(around.random, "role_set_")),
        "trigger_type": if begun { "role_set_deletion" } else { "role_removal" },
        "status": if begun { "in_progress" } else { "enqueued" },
        "migrated_members": if begun { around.number } else { 0 },
        "mappings": begun.then(|| json!({ "org:member": "org:guest", "org:admin": "org:member" })),
        "started_at": begun.then_some(around.created_at + DAY_MS), "completed_at": null,
        "created_at": around.created_at, "updated_at": around.created_at,
    })
}

/// Schema `EnterpriseConnection`, `custom_attributes`. Optional fields are set in one of them.
fn custom_attributes() -> Value {
    let path = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department";
    json!([
        {
            "name": "Department", "key": "department", "sso_path": "user.department",
            "scim_path": path, "directory_path": path, "multi_valued": true,
        },
        { "name": "Employee number", "key": "employee_number" },
    ])
}

/// Schema `EnterpriseConnection`, `saml_connection`.
fn saml_connection(around: &mut Surroundings<'_>, known: bool) -> Value {
    let url = |path: &str| known.then(|| format!("https://{path}/metadata"));
    let mut connection = json!({
        "id": identifier(around.random, "samlc_"), "name": "SAML",
        "idp_entity_id": "https://idp.example.com",
        "idp_sso_url": "https://idp.example.com/sso", "idp_metadata_url": url("idp.example.com"),
        "acs_url": "https://clerk.example.com/v1/saml/acs",
        "sp_entity_id": "https://clerk.example.com/saml",
        "sp_metadata_url": url("clerk.example.com/saml"), "active": true,
        "allow_idp_initiated": false, "allow_subdomains": false, "force_authn": false,
    });
    if known {
        connection["login_hint"] =
            json!({ "mode": "custom_attribute", "source": "employee_number" });
    } else if around.number.is_multiple_of(3) {
        connection["login_hint"] = json!({ "mode": "off" });
    }
    connection
}

/// Schema `EnterpriseConnection`, `oauth_config`.
fn oauth_config(around: &mut Surroundings<'_>, known: bool) -> Value {
    let url = |path: &str| known.then(|| format!("https://idp.example.com/{path}"));
    json!({
        "id": identifier(around.random, "oconf_"), "name": "OIDC", "provider_key": "oidc_custom",
        "client_id": "client", "discovery_url": url(".well-known/openid-configuration"),
        "auth_url": url("authorize"), "token_url": url("token"),
        "user_info_url": url("userinfo"), "requires_pkce": true, "logo_public_url": null,
        "created_at": around.created_at, "updated_at": around.created_at,
    })
}

/// Schema `CommercePlanUnitPrice`, for seats: the first ten are cheaper.
fn unit_prices(number: usize) -> Value {
    json!([{
        "name": "seats", "block_size": 5,
        "tiers": [
            { "starts_at_block": 1, "ends_after_block": 2, "fee_per_block": money(100 * number) },
            { "starts_at_block": 3, "ends_after_block": null, "fee_per_block": money(200 * number) },
        ],
    }])
}

/// A machine as listed inside another one.
fn without_scopes(machine: &Value) -> Value {
    let mut machine = machine.clone();
    remove(&mut machine, "scoped_machines");
    machine
}

fn remove(row: &mut Value, field: &str) {
    if let Some(fields) = row.as_object_mut() {
        fields.shift_remove(field);
    }
}

/// Schema `CommerceMoneyResponse`, for an amount in cents.
fn money(amount: usize) -> Value {
    json!({
        "amount": amount, "amount_formatted": format!("{}.{:02}", amount / 100, amount % 100),
        "currency": "USD", "currency_symbol": "$",
    })
}

fn organization_id_or_null(around: &Surroundings<'_>, given: bool) -> Value {
    if given { around.organization["id"].clone() } else { Value::Null }
}

fn public_organization(around: &Surroundings<'_>) -> Value {
    let organization = &around.organization;
    json!({
        "id": organization["id"], "name": organization["name"], "slug": organization["slug"],
        "image_url": organization["image_url"], "has_image": organization["has_image"],
    })
}

fn ticket_url(random: &mut fastrand::Rng) -> String {
    format!(
        "https://accounts.example.com/v1/tickets/accept?ticket=sandbox_{}",
        hexadecimal(random, 24)
    )
}

fn email(random: &mut fastrand::Rng) -> String {
    format!("{}@example.com", hexadecimal(random, 10))
}
