//! Users (Clerk OpenAPI 2026-05-12, schema `User`), about 3 KB of JSON each.

use std::sync::Arc;

use super::draw::{FIRST_NAMES, LAST_NAMES, hexadecimal, identifier, one_in, pick};
use super::json::{Array, Object};
use super::{Facts, Place, Recipe, Row, Style};

/// A synthetic user, which its seed and `created_at` determine completely.
pub(crate) fn user_row(seed: u64, place: Place, style: &Arc<Style>) -> Row {
    let user = User::draw(seed, place.0, style);
    let stats = Facts {
        banned: user.banned,
        last_active_at: user.last_active_at,
        last_sign_in_at: user.last_sign_in_at,
    };
    Row::synthetic(user.id.into(), place, stats, Recipe::User { seed, style: Arc::clone(style) })
}

/// The part of a user that other rows repeat or that lists filter by.
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) first_name: Option<&'static str>,
    pub(crate) last_name: Option<&'static str>,
    pub(crate) username: Option<String>,
    pub(crate) email_address: Option<String>,
    pub(crate) has_image: bool,
    pub(crate) banned: bool,
    pub(crate) deprovisioned: bool,
    last_active_at: Option<i64>,
    last_sign_in_at: Option<i64>,
    /// Source of all further choices.
    random: fastrand::Rng,
}

impl User {
    pub(crate) fn draw(seed: u64, created_at: i64, style: &Style) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let id = identifier(&mut random, "user_");
        let first_name = (!one_in(&mut random, 12)).then(|| pick(&mut random, FIRST_NAMES));
        let last_name = (!one_in(&mut random, 10)).then(|| pick(&mut random, LAST_NAMES));
        let handle = id[5..15].to_lowercase();
        let username = (!one_in(&mut random, 3)).then(|| format!("user_{handle}"));
        let email_address = (!one_in(&mut random, 25)).then(|| {
            let domain = pick(
                &mut random,
                &["example.com", "example.org", "mail.example.net", "bücher.example"],
            );
            format!("{handle}@{domain}")
        });
        let has_image = one_in(&mut random, 2);
        let banned = one_in(&mut random, 40);
        let deprovisioned = one_in(&mut random, 60);
        // Active users returned at some time after they were created; one in eight never signed in.
        let lifetime = (style.now - created_at).max(0);
        let last_sign_in_at = (!one_in(&mut random, 8))
            .then(|| created_at + (lifetime as f64 * random.f64().sqrt()) as i64);
        let last_active_at = last_sign_in_at.map(|at| at + (style.now - at).max(0) / 8);
        Self {
            id,
            first_name,
            last_name,
            username,
            email_address,
            has_image,
            banned,
            deprovisioned,
            last_active_at,
            last_sign_in_at,
            random,
        }
    }
}

/// An image URL as long as Clerk's own, which contain a path in base 64.
pub(crate) fn image_url(id: &str) -> String {
    format!("https://img.example.com/{id}{id}{id}{id}?width=160")
}

/// Appends the user for `seed` and `created_at`.
pub(crate) fn render(out: &mut String, seed: u64, created_at: i64, style: &Style) {
    let mut user = User::draw(seed, created_at, style);
    let mut random = user.random.clone();
    let random = &mut random;
    let updated_at = user.last_sign_in_at.unwrap_or(created_at);

    let mut emails: Vec<(String, String)> = Vec::new();
    if let Some(first) = user.email_address.take() {
        emails.push((identifier(random, "idn_"), first.clone()));
        for number in 0..if one_in(random, 6) { 1 + random.usize(0..2) } else { 0 } {
            emails.push((identifier(random, "idn_"), format!("alias{number}+{first}")));
        }
    }
    let phones: Vec<(String, String)> =
        (0..if one_in(random, 4) { 1 + random.usize(0..2) } else { 0 })
            .map(|_| (identifier(random, "idn_"), format!("+1555{:07}", random.u32(0..10_000_000))))
            .collect();
    let wallets: Vec<(String, String)> = (0..usize::from(one_in(random, 20)))
        .map(|_| (identifier(random, "idn_"), format!("0x{}", hexadecimal(random, 40))))
        .collect();
    // Some users have addresses, none of which is the primary one.
    let primary_email =
        (!one_in(random, 40)).then(|| emails.first().map(|(id, _)| id.as_str())).flatten();
    let external = if emails.is_empty() { 0 } else { [0, 1, 0, 2][random.usize(0..4)] };
    let enterprise = !emails.is_empty() && one_in(random, 10);
    let locked = one_in(random, 50);
    let password = one_in(random, 2);
    let totp = one_in(random, 5);
    let backup_code = totp && one_in(random, 2);
    let two_factor = totp || (!phones.is_empty() && one_in(random, 2));

    Object::write(out, |object| {
        object.text("id", &user.id);
        object.text("object", "user");
        object.text_or_null("username", user.username.as_deref());
        object.text_or_null("first_name", user.first_name);
        object.text_or_null("last_name", user.last_name);
        let locale =
            (!one_in(random, 3)).then(|| pick(random, &["en-US", "de-DE", "ar", "he-IL", "ja-JP"]));
        object.text_or_null("locale", locale);
        object.text("image_url", &image_url(&user.id));
        object.text("profile_image_url", &image_url(&user.id));
        object.flag("has_image", user.has_image);
        object.text_or_null("primary_email_address_id", primary_email);
        object.text_or_null("primary_phone_number_id", phones.first().map(|(id, _)| id.as_str()));
        object.text_or_null("primary_web3_wallet_id", wallets.first().map(|(id, _)| id.as_str()));
        object.flag("password_enabled", password);
        object.number_or_null("password_last_updated_at", password.then_some(created_at));
        object.flag("two_factor_enabled", two_factor);
        object.flag("totp_enabled", totp);
        object.flag("backup_code_enabled", backup_code);
        object.array("email_addresses", |array| {
            for (id, address) in &emails {
                email_address(array, random, style, id, address, created_at);
            }
        });
        object.array("phone_numbers", |array| {
            for (id, number) in &phones {
                phone_number(array, random, style, id, number, created_at);
            }
        });
        object.array("web3_wallets", |array| {
            for (id, address) in &wallets {
                web3_wallet(array, random, id, address, created_at);
            }
        });
        object.array("passkeys", |array| {
            for _ in 0..if one_in(random, 10) { 1 + random.usize(0..2) } else { 0 } {
                passkey(array, random, updated_at);
            }
        });
        object.array("external_accounts", |array| {
            for (number, (_, address)) in emails.iter().cycle().take(external).enumerate() {
                external_account(array, random, style, number, address, &user, created_at);
            }
        });
        let (account, connection) = (identifier(random, "samlacc_"), identifier(random, "samlc_"));
        let enterprise_address =
            enterprise.then(|| emails.first()).flatten().map(|(_, address)| address.as_str());
        object.array("saml_accounts", |array| {
            if let Some(address) = enterprise_address {
                enterprise_account(
                    array,
                    Protocol::Saml,
                    &account,
                    &connection,
                    address,
                    created_at,
                );
            }
        });
        object.array("enterprise_accounts", |array| {
            if let Some(address) = enterprise_address {
                enterprise_account(
                    array,
                    Protocol::Enterprise,
                    &account,
                    &connection,
                    address,
                    created_at,
                );
            }
        });
        metadata(object, random, style);
        let external_id = one_in(random, 3).then(|| format!("crm:{}", random.u32(..)));
        object.text_or_null("external_id", external_id.as_deref());
        object.number_or_null("last_sign_in_at", user.last_sign_in_at);
        object.flag("banned", user.banned);
        object.flag("locked", locked);
        object.flag("deprovisioned", user.deprovisioned);
        object.number_or_null("lockout_expires_in_seconds", locked.then_some(1_800));
        object
            .number_or_null("verification_attempts_remaining", Some(if locked { 0 } else { 100 }));
        object.number("created_at", created_at);
        object.number("updated_at", updated_at);
        object.flag("delete_self_enabled", !one_in(random, 4));
        object.flag("create_organization_enabled", !one_in(random, 4));
        object.number_or_null("create_organizations_limit", one_in(random, 5).then_some(3));
        object.number_or_null("last_active_at", user.last_active_at);
        object.number_or_null("mfa_enabled_at", two_factor.then_some(created_at));
        object.number_or_null(
            "mfa_disabled_at",
            (!two_factor && one_in(random, 10)).then_some(updated_at),
        );
        object.number_or_null("legal_accepted_at", (!one_in(random, 3)).then_some(created_at));
        object.flag("bypass_client_trust", false);
    });
}

fn email_address(
    array: &mut Array<'_>,
    random: &mut fastrand::Rng,
    style: &Style,
    id: &str,
    address: &str,
    created_at: i64,
) {
    let kind = random.u32(0..12);
    array.object(|object| {
        object.text("id", id);
        object.text("object", "email_address");
        object.text("email_address", address);
        object.flag("reserved", false);
        match kind {
            0 => object.null("verification"),
            1 => verification(
                object,
                "verification_otp",
                "unverified",
                "email_code",
                Some(created_at + 600_000),
            ),
            2 => verification(
                object,
                "verification_email_link",
                "expired",
                "email_link",
                Some(created_at),
            ),
            3 => verification(
                object,
                "verification_from_oauth",
                "verified",
                "from_oauth_google",
                None,
            ),
            4 => verification(object, "verification_ticket", "verified", "ticket", None),
            5 => verification(object, "verification_admin", "verified", "admin", None),
            6 if style.unknown_values => {
                verification(object, "verification_quantum", "entangled", "from_the_future", None);
            }
            _ => verification(
                object,
                "verification_otp",
                "verified",
                "email_code",
                Some(created_at + 600_000),
            ),
        }
        object.array("linked_to", |array| {
            if kind == 3 {
                array.object(|object| {
                    object.text("type", "oauth_google");
                    object.text("id", &identifier(random, "idn_"));
                });
            }
        });
        object.flag("matches_sso_connection", false);
        object.number("created_at", created_at);
        object.number("updated_at", created_at);
    });
}

fn phone_number(
    array: &mut Array<'_>,
    random: &mut fastrand::Rng,
    style: &Style,
    id: &str,
    number: &str,
    created_at: i64,
) {
    array.object(|object| {
        object.text("id", id);
        object.text("object", "phone_number");
        object.text("phone_number", number);
        let second_factor = one_in(random, 2);
        object.flag("reserved_for_second_factor", second_factor);
        object.flag("default_second_factor", second_factor && one_in(random, 2));
        object.flag("reserved", false);
        match random.u32(0..5) {
            0 => object.null("verification"),
            1 => verification(
                object,
                "verification_otp",
                "unverified",
                "phone_code",
                Some(created_at + 600_000),
            ),
            _ => verification(
                object,
                "verification_otp",
                "verified",
                "phone_code",
                Some(created_at + 600_000),
            ),
        }
        object.array("linked_to", |_| {});
        if style.backup_codes {
            object.array("backup_codes", |array| {
                for _ in 0..3 {
                    array.text(&hexadecimal(random, 8));
                }
            });
        } else if one_in(random, 2) {
            object.null("backup_codes");
        }
        object.number("created_at", created_at);
        object.number("updated_at", created_at);
    });
}

fn web3_wallet(
    array: &mut Array<'_>,
    random: &mut fastrand::Rng,
    id: &str,
    address: &str,
    created_at: i64,
) {
    array.object(|object| {
        object.text("id", id);
        object.text("object", "web3_wallet");
        object.text("web3_wallet", address);
        if one_in(random, 3) {
            object.null("verification");
        } else {
            verification(
                object,
                "verification_web3",
                "verified",
                "web3_metamask_signature",
                Some(created_at),
            );
        }
        object.number("created_at", created_at);
        object.number("updated_at", created_at);
    });
}

fn passkey(array: &mut Array<'_>, random: &mut fastrand::Rng, last_used_at: i64) {
    array.object(|object| {
        object.text("id", &identifier(random, "idn_"));
        object.text("object", "passkey");
        object.text("name", pick(random, &["Laptop", "Phone 📱", "Security key"]));
        object.number("last_used_at", last_used_at);
        verification(object, "verification_passkey", "verified", "passkey", None);
    });
}

fn external_account(
    array: &mut Array<'_>,
    random: &mut fastrand::Rng,
    style: &Style,
    number: usize,
    address: &str,
    user: &User,
    created_at: i64,
) {
    let provider = if style.unknown_values && one_in(random, 4) {
        "oauth_teleport"
    } else {
        ["oauth_google", "oauth_github", "oauth_microsoft"][number % 3]
    };
    array.object(|object| {
        object.text("object", if number == 0 { "google_account" } else { "external_account" });
        object.text("id", &identifier(random, "eac_"));
        object.text("provider", provider);
        object.text("identification_id", &identifier(random, "idn_"));
        object.text("provider_user_id", &random.u64(..).to_string());
        object.text("approved_scopes", "email openid profile");
        object.text("email_address", address);
        object.raw("email_address_verified", ["true", "true", "false", "null"][random.usize(0..4)]);
        object.text("first_name", user.first_name.unwrap_or_default());
        object.text("last_name", user.last_name.unwrap_or_default());
        object.text("avatar_url", "");
        object.text("image_url", "");
        object.null("username");
        object.null("phone_number");
        object.raw("public_metadata", "{}");
        object.null("label");
        object.number("created_at", created_at);
        object.number("updated_at", created_at);
        match random.u32(0..6) {
            0 => object.null("verification"),
            1 => verification(
                object,
                "verification_oauth",
                "unverified",
                provider,
                Some(created_at + 600_000),
            ),
            _ => verification(
                object,
                "verification_oauth",
                "verified",
                provider,
                Some(created_at + 600_000),
            ),
        }
    });
}

/// An enterprise account appears twice in a user, under its old and its new name.
enum Protocol {
    Saml,
    Enterprise,
}

fn enterprise_account(
    array: &mut Array<'_>,
    protocol: Protocol,
    id: &str,
    connection: &str,
    address: &str,
    created_at: i64,
) {
    array.object(|object| {
        object.text("id", id);
        match protocol {
            Protocol::Saml => object.text("object", "saml_account"),
            Protocol::Enterprise => {
                object.text("object", "enterprise_account");
                object.text("protocol", "saml");
                object.text("enterprise_connection_id", connection);
            }
        }
        object.text("provider", "saml_okta");
        object.flag("active", true);
        object.text("email_address", address);
        object.null("first_name");
        object.null("last_name");
        object.text("provider_user_id", address);
        object.raw("public_metadata", "{}");
        verification(object, "verification_saml", "verified", "saml", Some(created_at));
        object.number("last_authenticated_at", created_at);
    });
}

fn verification(
    object: &mut Object<'_>,
    kind: &str,
    status: &str,
    strategy: &str,
    expire_at: Option<i64>,
) {
    object.object("verification", |object| {
        object.text("object", kind);
        object.text("status", status);
        object.text("strategy", strategy);
        object.number_or_null("attempts", expire_at.map(|_| 1));
        object.number_or_null("expire_at", expire_at);
    });
}

/// The three metadata bags; `private_metadata` is sometimes null and sometimes absent.
fn metadata(object: &mut Object<'_>, random: &mut fastrand::Rng, style: &Style) {
    object.object("public_metadata", |object| {
        object.text(
            "department",
            pick(random, &["engineering", "sales", "finance", "\u{1f389} events"]),
        );
        object.number("level", i64::from(random.u32(1..8)));
        object.object("preferences", |object| {
            object.flag("newsletter", one_in(random, 2));
            object.text("theme", "dark");
        });
        if style.metadata_bytes > 0 {
            object.text("filling", &"x".repeat(style.metadata_bytes));
        }
    });
    match random.u32(0..5) {
        0 => {}
        1 => object.null("private_metadata"),
        _ => object.object("private_metadata", |object| {
            object.text("customer_number", &hexadecimal(random, 16));
            object.text("note", "kept from everyone but the back end");
        }),
    }
    object.object("unsafe_metadata", |object| {
        if one_in(random, 2) {
            object.text("onboarding", "done");
            object.text("referrer", &hexadecimal(random, 24));
        }
    });
}
