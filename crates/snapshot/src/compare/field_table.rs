//! The one table of what each field of a record is about, and which settings decide what it says.
//!
//! A test compares it with docs/data.md and the JSON Schemas.

use super::class::Class::{self, Access, Activity, Identity, Security};
use super::class::Classes;
use crate::redaction::Personal::{self, Email, Ip, Name, Phone};
use crate::resource::Dataset;
use Shaper::{Bag, Raw, Redact};

/// A field of a dataset's records.
#[derive(Debug, Clone, Copy)]
pub struct FieldRow {
    /// Names with dots between them; `[]` behind a name stands for the elements of an array.
    pub path: &'static str,
    /// What a change of it is about.
    pub class: Class,
    /// The setting that decides what it says.
    pub shaper: Option<Shaper>,
}

/// A setting that decides what a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shaper {
    /// `REDACT`, if it has one of these kinds, and the key of the hashes.
    Redact(&'static [Personal]),
    /// `METADATA`, if it has this bag.
    Bag(&'static str),
    /// `INCLUDE_RAW`.
    Raw,
}

/// The fields of a dataset's records, in their order.
#[must_use]
pub fn fields_of(dataset: Dataset) -> &'static [FieldRow] {
    TABLE.iter().find(|(of, _)| *of == dataset).map_or(&[], |(_, rows)| rows)
}

/// The rows of the field `path` and of everything inside of it.
pub(super) fn rows_below<'a>(
    dataset: Dataset,
    path: &'a str,
) -> impl Iterator<Item = &'static FieldRow> + 'a {
    fields_of(dataset).iter().filter(move |row| {
        let rest = row.path.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// The class of a whole record that is added to or removed from a dataset, and of a field that the table has not got.
#[must_use]
pub const fn class_of_records(dataset: Dataset) -> Class {
    match dataset {
        Dataset::Users | Dataset::Organizations | Dataset::Machines => Access,
        other => class_of_unknown_field(other),
    }
}

/// The class of a field that the table has not got, because a newer version wrote it.
pub(super) const fn class_of_unknown_field(dataset: Dataset) -> Class {
    match dataset {
        Dataset::Grants
        | Dataset::Entitlements
        | Dataset::OrganizationRoles
        | Dataset::OrganizationPermissions
        | Dataset::RoleSets => Access,
        Dataset::ApiKeys
        | Dataset::EnterpriseConnections
        | Dataset::OauthApplications
        | Dataset::JwtTemplates
        | Dataset::RedirectUrls
        | Dataset::AllowlistIdentifiers
        | Dataset::BlocklistIdentifiers
        | Dataset::Domains
        | Dataset::OrganizationDomains
        | Dataset::OrganizationInvitations
        | Dataset::Invitations => Security,
        Dataset::Sessions | Dataset::DailyActiveUsers => Activity,
        Dataset::Users
        | Dataset::Organizations
        | Dataset::Machines
        | Dataset::WaitlistEntries
        | Dataset::BillingPlans
        | Dataset::BillingSubscriptionItems => Identity,
    }
}

/// All classes that a record of the dataset can have.
#[must_use]
pub fn classes_of(dataset: Dataset) -> Classes {
    let others = [class_of_records(dataset), class_of_unknown_field(dataset)];
    // All but entitlements have `updated_at`, which alone is activity.
    let alone = (dataset != Dataset::Entitlements).then_some(Activity);
    fields_of(dataset).iter().map(|row| row.class).chain(others).chain(alone).collect()
}

const fn row(path: &'static str, class: Class) -> FieldRow {
    FieldRow { path, class, shaper: None }
}

const fn set(path: &'static str, class: Class, shaper: Shaper) -> FieldRow {
    FieldRow { path, class, shaper: Some(shaper) }
}

static TABLE: &[(Dataset, &[FieldRow])] = &[
    (
        Dataset::Users,
        &[
            row("kind", Identity),
            row("type", Identity),
            row("id", Identity),
            set("display_name", Identity, Redact(&[Name, Email])),
            row("status", Access),
            row("created_at", Identity),
            row("updated_at", Activity),
            set("profile.username", Identity, Redact(&[Name])),
            set("profile.first_name", Identity, Redact(&[Name])),
            set("profile.last_name", Identity, Redact(&[Name])),
            row("profile.external_id", Identity),
            set("profile.primary_email", Identity, Redact(&[Email])),
            row("profile.primary_email_verified", Security),
            set("profile.emails[].address", Identity, Redact(&[Email])),
            row("profile.emails[].primary", Security),
            row("profile.emails[].verified", Security),
            set("profile.phones[].number", Identity, Redact(&[Phone])),
            row("profile.phones[].primary", Security),
            row("profile.phones[].verified", Security),
            row("profile.phones[].second_factor", Security),
            row("profile.banned", Access),
            row("profile.locked", Access),
            row("profile.deprovisioned", Access),
            row("profile.last_sign_in_at", Activity),
            row("profile.last_active_at", Activity),
            row("profile.password_enabled", Security),
            row("profile.two_factor_enabled", Security),
            row("profile.totp_enabled", Security),
            row("profile.backup_code_enabled", Security),
            row("profile.passkeys", Security),
            row("profile.mfa_enabled_at", Security),
            row("profile.mfa_disabled_at", Security),
            row("profile.external_accounts[].provider", Security),
            set("profile.external_accounts[].email", Security, Redact(&[Email])),
            row("profile.external_accounts[].verified", Security),
            row("profile.enterprise_accounts[].provider", Security),
            set("profile.enterprise_accounts[].email", Security, Redact(&[Email])),
            row("profile.enterprise_accounts[].active", Security),
            row("profile.web3_wallets[]", Security),
            row("profile.create_organization_enabled", Identity),
            row("profile.delete_self_enabled", Identity),
            row("profile.legal_accepted_at", Identity),
            row("profile.locale", Identity),
            set("profile.public_metadata", Identity, Bag("public")),
            set("profile.private_metadata", Identity, Bag("private")),
            set("profile.unsafe_metadata", Identity, Bag("unsafe")),
            set("raw", Identity, Raw),
        ],
    ),
    (
        Dataset::Organizations,
        &[
            row("kind", Identity),
            row("type", Identity),
            row("id", Identity),
            row("display_name", Identity),
            row("status", Identity),
            row("created_at", Identity),
            row("updated_at", Activity),
            row("profile.slug", Identity),
            row("profile.members_count", Activity),
            row("profile.pending_invitations_count", Activity),
            row("profile.max_allowed_memberships", Identity),
            row("profile.admin_delete_enabled", Identity),
            row("profile.created_by", Identity),
            row("profile.role_set_key", Identity),
            row("profile.last_active_at", Activity),
            set("profile.public_metadata", Identity, Bag("public")),
            set("profile.private_metadata", Identity, Bag("private")),
            set("raw", Identity, Raw),
        ],
    ),
    (
        Dataset::OrganizationRoles,
        &[
            row("kind", Access),
            row("type", Access),
            row("id", Access),
            row("display_name", Access),
            row("status", Access),
            row("created_at", Access),
            row("updated_at", Activity),
            row("profile.key", Access),
            row("profile.description", Access),
            row("profile.is_creator_eligible", Access),
            row("profile.permissions[].id", Access),
            row("profile.permissions[].key", Access),
            set("raw", Access, Raw),
        ],
    ),
    (
        Dataset::OrganizationPermissions,
        &[
            row("kind", Access),
            row("type", Access),
            row("id", Access),
            row("display_name", Access),
            row("status", Access),
            row("created_at", Access),
            row("updated_at", Activity),
            row("profile.key", Access),
            row("profile.description", Access),
            row("profile.type", Access),
            set("raw", Access, Raw),
        ],
    ),
    (
        Dataset::Entitlements,
        &[
            row("kind", Access),
            row("id", Access),
            row("resource.type", Access),
            row("resource.id", Access),
            row("slug", Access),
            row("purpose", Access),
            row("display_name", Access),
            row("grantable_to", Access),
            row("role.id", Access),
            row("role.key", Access),
        ],
    ),
    (
        Dataset::Grants,
        &[
            row("kind", Access),
            row("id", Access),
            row("entitlement_id", Access),
            row("resource.type", Access),
            row("resource.id", Access),
            row("slug", Access),
            row("principal.type", Access),
            row("principal.id", Access),
            row("role.id", Access),
            row("role.key", Access),
            row("permissions[]", Access),
            row("source.type", Access),
            row("source.id", Access),
            row("created_at", Access),
            row("updated_at", Activity),
        ],
    ),
    (
        Dataset::RoleSets,
        &[
            row("kind", Access),
            row("type", Access),
            row("id", Access),
            row("display_name", Access),
            row("status", Access),
            row("created_at", Access),
            row("updated_at", Activity),
            row("profile.key", Access),
            row("profile.description", Access),
            row("profile.type", Access),
            row("profile.roles[].id", Access),
            row("profile.roles[].key", Access),
            row("profile.roles[].name", Access),
            row("profile.roles[].members_count", Activity),
            row("profile.roles[].has_members", Access),
            row("profile.default_role.id", Access),
            row("profile.default_role.key", Access),
            row("profile.creator_role.id", Access),
            row("profile.creator_role.key", Access),
            row("profile.role_set_migration.status", Access),
            row("profile.role_set_migration.trigger_type", Access),
            row("profile.role_set_migration.organization_id", Access),
            row("profile.role_set_migration.source_role_set_id", Access),
            row("profile.role_set_migration.dest_role_set_id", Access),
            row("profile.role_set_migration.mappings", Access),
            row("profile.role_set_migration.migrated_members", Access),
            row("profile.role_set_migration.started_at", Access),
            set("raw", Access, Raw),
        ],
    ),
    (
        Dataset::Domains,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("profile.is_satellite", Security),
            row("profile.frontend_api_url", Security),
            row("profile.accounts_portal_url", Security),
            row("profile.proxy_url", Security),
            row("profile.development_origin", Security),
            row("profile.cname_targets[].host", Security),
            row("profile.cname_targets[].value", Security),
            row("profile.cname_targets[].required", Security),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::RedirectUrls,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            row("profile.url", Security),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::OrganizationInvitations,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            set("profile.email_address", Security, Redact(&[Email])),
            row("profile.status", Security),
            row("profile.organization_id", Security),
            row("profile.role_key", Security),
            row("profile.role_id", Security),
            row("profile.role_name", Security),
            row("profile.inviter_id", Security),
            row("profile.expires_at", Security),
            set("profile.public_metadata", Security, Bag("public")),
            set("profile.private_metadata", Security, Bag("private")),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::Invitations,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            set("profile.email_address", Security, Redact(&[Email])),
            row("profile.status", Security),
            row("profile.expires_at", Security),
            set("profile.public_metadata", Security, Bag("public")),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::OrganizationDomains,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            row("profile.organization_id", Security),
            row("profile.enrollment_mode", Security),
            set("profile.affiliation_email_address", Security, Redact(&[Email])),
            row("profile.affiliation_verification.status", Security),
            row("profile.affiliation_verification.strategy", Security),
            row("profile.affiliation_verification.attempts", Security),
            row("profile.affiliation_verification.expire_at", Security),
            row("profile.affiliation_verification.verified_at", Security),
            row("profile.ownership_verification.status", Security),
            row("profile.ownership_verification.strategy", Security),
            row("profile.ownership_verification.attempts", Security),
            row("profile.ownership_verification.expire_at", Security),
            row("profile.ownership_verification.verified_at", Security),
            row("profile.total_pending_invitations", Security),
            row("profile.total_pending_suggestions", Security),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::AllowlistIdentifiers,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            set("profile.identifier", Security, Redact(&[Email, Phone])),
            row("profile.identifier_type", Security),
            row("profile.invitation_id", Security),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::BlocklistIdentifiers,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            set("profile.identifier", Security, Redact(&[Email, Phone])),
            row("profile.identifier_type", Security),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::JwtTemplates,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            row("profile.claims", Security),
            row("profile.lifetime", Security),
            row("profile.allowed_clock_skew", Security),
            row("profile.custom_signing_key", Security),
            row("profile.signing_algorithm", Security),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::OauthApplications,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            row("profile.client_id", Security),
            row("profile.client_uri", Security),
            row("profile.public", Security),
            row("profile.dynamically_registered", Security),
            row("profile.consent_screen_enabled", Security),
            row("profile.pkce_required", Security),
            row("profile.scopes", Security),
            row("profile.redirect_uris[]", Security),
            row("profile.authorize_url", Security),
            row("profile.token_fetch_url", Security),
            row("profile.user_info_url", Security),
            row("profile.discovery_url", Security),
            row("profile.token_introspection_url", Security),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::EnterpriseConnections,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            row("profile.provider", Security),
            row("profile.active", Security),
            row("profile.authenticatable", Security),
            row("profile.domains[]", Security),
            row("profile.organization_id", Security),
            row("profile.sync_user_attributes", Security),
            row("profile.disable_jit_provisioning", Security),
            row("profile.disable_additional_identifications", Security),
            row("profile.allow_organization_account_linking", Security),
            row("profile.custom_attributes[].name", Security),
            row("profile.custom_attributes[].key", Security),
            row("profile.custom_attributes[].sso_path", Security),
            row("profile.custom_attributes[].scim_path", Security),
            row("profile.custom_attributes[].directory_path", Security),
            row("profile.custom_attributes[].multi_valued", Security),
            row("profile.saml_connection.id", Security),
            row("profile.saml_connection.name", Security),
            row("profile.saml_connection.active", Security),
            row("profile.saml_connection.idp_entity_id", Security),
            row("profile.saml_connection.idp_sso_url", Security),
            row("profile.saml_connection.idp_metadata_url", Security),
            row("profile.saml_connection.acs_url", Security),
            row("profile.saml_connection.sp_entity_id", Security),
            row("profile.saml_connection.sp_metadata_url", Security),
            row("profile.saml_connection.allow_idp_initiated", Security),
            row("profile.saml_connection.allow_subdomains", Security),
            row("profile.saml_connection.force_authn", Security),
            row("profile.saml_connection.login_hint.mode", Security),
            row("profile.saml_connection.login_hint.source", Security),
            row("profile.oauth_config.id", Security),
            row("profile.oauth_config.name", Security),
            row("profile.oauth_config.provider_key", Security),
            row("profile.oauth_config.client_id", Security),
            row("profile.oauth_config.discovery_url", Security),
            row("profile.oauth_config.auth_url", Security),
            row("profile.oauth_config.token_url", Security),
            row("profile.oauth_config.user_info_url", Security),
            row("profile.oauth_config.requires_pkce", Security),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::Machines,
        &[
            row("kind", Identity),
            row("type", Identity),
            row("id", Identity),
            row("display_name", Identity),
            row("status", Identity),
            row("created_at", Identity),
            row("updated_at", Activity),
            row("profile.default_token_ttl", Identity),
            row("profile.scoped_machines[].id", Identity),
            row("profile.scoped_machines[].name", Identity),
            set("raw", Identity, Raw),
        ],
    ),
    (
        Dataset::WaitlistEntries,
        &[
            row("kind", Identity),
            row("type", Identity),
            row("id", Identity),
            row("display_name", Identity),
            row("status", Identity),
            row("created_at", Identity),
            row("updated_at", Activity),
            set("profile.email_address", Identity, Redact(&[Email])),
            row("profile.status", Identity),
            row("profile.is_locked", Identity),
            row("profile.invitation.id", Identity),
            row("profile.invitation.status", Identity),
            row("profile.invitation.expires_at", Identity),
            row("profile.invitation.created_at", Identity),
            set("raw", Identity, Raw),
        ],
    ),
    (
        Dataset::BillingPlans,
        &[
            row("kind", Identity),
            row("type", Identity),
            row("id", Identity),
            row("display_name", Identity),
            row("status", Identity),
            row("profile.slug", Identity),
            row("profile.description", Identity),
            row("profile.product_id", Identity),
            row("profile.for_payer_type", Identity),
            row("profile.is_default", Identity),
            row("profile.is_recurring", Identity),
            row("profile.publicly_visible", Identity),
            row("profile.has_base_fee", Identity),
            row("profile.fee.amount", Identity),
            row("profile.fee.currency", Identity),
            row("profile.annual_monthly_fee.amount", Identity),
            row("profile.annual_monthly_fee.currency", Identity),
            row("profile.annual_fee.amount", Identity),
            row("profile.annual_fee.currency", Identity),
            row("profile.unit_prices[].name", Identity),
            row("profile.unit_prices[].block_size", Identity),
            row("profile.unit_prices[].tiers[].starts_at_block", Identity),
            row("profile.unit_prices[].tiers[].ends_after_block", Identity),
            row("profile.unit_prices[].tiers[].fee_per_block.amount", Identity),
            row("profile.unit_prices[].tiers[].fee_per_block.currency", Identity),
            row("profile.free_trial_enabled", Identity),
            row("profile.free_trial_days", Identity),
            row("profile.features[].id", Identity),
            row("profile.features[].slug", Identity),
            row("profile.features[].name", Identity),
            set("raw", Identity, Raw),
        ],
    ),
    (
        Dataset::BillingSubscriptionItems,
        &[
            row("kind", Identity),
            row("type", Identity),
            row("id", Identity),
            row("display_name", Identity),
            row("status", Identity),
            row("created_at", Identity),
            row("updated_at", Activity),
            row("profile.status", Identity),
            row("profile.plan_id", Identity),
            row("profile.price_id", Identity),
            row("profile.plan.id", Identity),
            row("profile.plan.slug", Identity),
            row("profile.plan.name", Identity),
            row("profile.plan_period", Identity),
            row("profile.payer_id", Identity),
            row("profile.payer.user_id", Identity),
            row("profile.payer.organization_id", Identity),
            row("profile.is_free_trial", Identity),
            row("profile.period_start", Identity),
            row("profile.period_end", Identity),
            row("profile.canceled_at", Identity),
            row("profile.past_due_at", Identity),
            row("profile.ended_at", Identity),
            row("profile.seats.quantity", Identity),
            row("profile.lifetime_paid.amount", Identity),
            row("profile.lifetime_paid.currency", Identity),
            row("profile.next_payment.amount.amount", Identity),
            row("profile.next_payment.amount.currency", Identity),
            row("profile.next_payment.date", Identity),
            set("raw", Identity, Raw),
        ],
    ),
    (
        Dataset::Sessions,
        &[
            row("kind", Activity),
            row("type", Activity),
            row("id", Activity),
            row("display_name", Activity),
            row("status", Activity),
            row("created_at", Activity),
            row("updated_at", Activity),
            row("profile.user_id", Activity),
            row("profile.client_id", Activity),
            row("profile.status", Activity),
            row("profile.actor", Activity),
            row("profile.last_active_organization_id", Activity),
            row("profile.last_active_at", Activity),
            row("profile.latest_activity.device_type", Activity),
            row("profile.latest_activity.is_mobile", Activity),
            row("profile.latest_activity.browser_name", Activity),
            row("profile.latest_activity.browser_version", Activity),
            set("profile.latest_activity.ip_address", Activity, Redact(&[Ip])),
            row("profile.latest_activity.city", Activity),
            row("profile.latest_activity.country", Activity),
            row("profile.expire_at", Activity),
            row("profile.abandon_at", Activity),
            row("profile.tasks[].key", Activity),
            set("raw", Activity, Raw),
        ],
    ),
    (
        Dataset::ApiKeys,
        &[
            row("kind", Security),
            row("type", Security),
            row("id", Security),
            row("display_name", Security),
            row("status", Security),
            row("created_at", Security),
            row("updated_at", Activity),
            row("profile.type", Security),
            row("profile.subject", Security),
            row("profile.description", Security),
            row("profile.claims", Security),
            row("profile.scopes[]", Security),
            row("profile.revoked", Security),
            row("profile.revocation_reason", Security),
            row("profile.expired", Security),
            row("profile.expiration", Security),
            row("profile.created_by", Security),
            row("profile.last_used_at", Activity),
            set("raw", Security, Raw),
        ],
    ),
    (
        Dataset::DailyActiveUsers,
        &[
            row("kind", Activity),
            row("name", Activity),
            row("date", Activity),
            row("value", Activity),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;

    /// The tables of docs/data.md: dataset, and of each field its path and the columns "written" and "replaced by".
    fn documented() -> BTreeMap<String, Vec<(String, String, String)>> {
        let mut tables: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let mut dataset = None;
        for line in include_str!("../../../../docs/data.md").lines() {
            if line.starts_with('#') {
                dataset = line
                    .strip_prefix("### Fields of `")
                    .map(|rest| rest.trim_end_matches('`').to_owned());
            }
            let Some(dataset) = &dataset else { continue };
            if line.starts_with("| `") {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                let path = cells[1].trim_matches('`').to_owned();
                let row = (path, cells[4].to_owned(), cells[5].to_owned());
                tables.entry(dataset.clone()).or_default().push(row);
            }
        }
        tables
    }

    fn shaper_as_documented(row: &FieldRow) -> (String, String) {
        match row.shaper {
            None => ("yes".to_owned(), "–".to_owned()),
            Some(Raw) => ("`INCLUDE_RAW`".to_owned(), "excluded".to_owned()),
            Some(Bag(bag)) => (format!("`METADATA` {bag}"), "–".to_owned()),
            Some(Redact(kinds)) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
                ("yes".to_owned(), kinds.join(", "))
            }
        }
    }

    // Promise: the table has every field that is documented, in the documented order, with the settings that decide
    // what it says.
    #[test]
    fn the_table_is_that_of_the_documentation() {
        let mut documented = documented();
        for &dataset in Dataset::ALL {
            let rows = documented.remove(dataset.name()).unwrap_or_default();
            let rows: Vec<_> = rows
                .iter()
                .map(|(path, written, by)| (path.as_str(), written.clone(), by.clone()))
                .collect();
            let table: Vec<_> = fields_of(dataset)
                .iter()
                .map(|row| {
                    let (written, by) = shaper_as_documented(row);
                    (row.path, written, by)
                })
                .collect();
            assert_eq!(table, rows, "{dataset}");
            assert!(!table.is_empty());
        }
        assert!(documented.is_empty());
    }

    /// The paths of all leaves of a schema that are not always null.
    fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        let kinds = ["oneOf", "anyOf"].iter().filter_map(|name| schema[*name].as_array()).flatten();
        let kinds: Vec<_> = kinds.collect();
        if !kinds.is_empty() {
            kinds.iter().for_each(|kind| leaves(kind, path, found));
        } else if let Some(properties) = schema["properties"].as_object() {
            for (name, schema) in properties {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(schema, &below, found);
            }
        } else if schema["items"].is_object() {
            leaves(&schema["items"], &format!("{path}[]"), found);
        } else if schema["type"] != "null" {
            found.insert(path.to_owned());
        }
    }

    // Promise: the table has every field that the JSON Schemas allow, and no other.
    #[test]
    fn the_table_is_that_of_the_schemas() {
        for &dataset in Dataset::ALL {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas");
            let schema = std::fs::read(format!("{folder}/{dataset}.schema.json")).unwrap();
            let mut found = BTreeSet::new();
            leaves(&serde_json::from_slice(&schema).unwrap(), "", &mut found);
            // An object or array that may be absent as a whole is given by its leaves.
            let table: BTreeSet<_> =
                fields_of(dataset).iter().map(|row| row.path.to_owned()).collect();
            let is_whole = |path: &String| {
                table.iter().any(|row| {
                    row.starts_with(&format!("{path}.")) || row.starts_with(&format!("{path}["))
                })
            };
            found.retain(|path| !is_whole(path));
            assert_eq!(found, table, "{dataset}");
        }
    }

    // Promise: fields have the classes of docs/changes.md.
    #[test]
    fn classes_are_those_that_are_documented() {
        let class = |dataset, path| rows_below(dataset, path).map(|row| row.class).min().unwrap();
        for path in ["status", "profile.banned", "profile.locked", "profile.deprovisioned"] {
            assert_eq!(class(Dataset::Users, path), Access, "{path}");
        }
        for path in [
            "profile.passkeys",
            "profile.password_enabled",
            "profile.two_factor_enabled",
            "profile.totp_enabled",
            "profile.primary_email_verified",
            "profile.web3_wallets",
            "profile.external_accounts",
        ] {
            assert_eq!(class(Dataset::Users, path), Security, "{path}");
        }
        for dataset in Dataset::ALL {
            for row in fields_of(*dataset) {
                let name = row.path.rsplit('.').next().unwrap();
                let activity = [
                    "last_active_at",
                    "last_sign_in_at",
                    "last_used_at",
                    "members_count",
                    "pending_invitations_count",
                    "updated_at",
                ];
                let whole = matches!(dataset, Dataset::Sessions | Dataset::DailyActiveUsers);
                assert_eq!(
                    row.class == Activity,
                    whole || activity.contains(&name),
                    "{dataset} {name}"
                );
            }
        }
        for (dataset, expected) in [
            (Dataset::Users, Access),
            (Dataset::Organizations, Access),
            (Dataset::Machines, Access),
            (Dataset::Grants, Access),
            (Dataset::RoleSets, Access),
            (Dataset::ApiKeys, Security),
            (Dataset::Invitations, Security),
            (Dataset::Domains, Security),
            (Dataset::WaitlistEntries, Identity),
            (Dataset::BillingPlans, Identity),
            (Dataset::Sessions, Activity),
        ] {
            assert_eq!(class_of_records(dataset), expected, "{dataset}");
        }
        assert!(!classes_of(Dataset::Sessions).intersects(Classes::DEFAULT));
        assert!(classes_of(Dataset::BillingPlans).has(Activity), "its updated_at alone");
    }
}
