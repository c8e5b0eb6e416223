//! The JSON Schemas of the files of a snapshot, which are part of the program.

use clerk_snapshot::resource::Dataset;

/// The text of a file in `schemas/`.
macro_rules! schema {
    ($name:literal) => {
        include_str!(concat!("../../../schemas/", $name, ".schema.json"))
    };
}

/// The schema of `manifest.json`.
pub const MANIFEST: &str = schema!("manifest");

/// The schema of `latest.json`.
pub const LATEST: &str = schema!("latest");

/// The schema of a record of a comparison.
pub const CHANGE: &str = schema!("change");

/// The schema of the summary of a feed of changes.
pub const CHANGES_SUMMARY: &str = schema!("changes_summary");

/// The schema of `changes/latest.json`.
pub const CHANGES_LATEST: &str = schema!("changes_latest");

/// All schemas: the name of each, which its file begins with, and its text.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = [
        ("manifest", MANIFEST),
        ("latest", LATEST),
        ("change", CHANGE),
        ("changes_summary", CHANGES_SUMMARY),
        ("changes_latest", CHANGES_LATEST),
    ];
    files.into_iter().chain(Dataset::ALL.iter().map(|&dataset| (dataset.name(), of(dataset))))
}

/// The schema of a dataset's lines.
#[must_use]
pub const fn of(dataset: Dataset) -> &'static str {
    match dataset {
        Dataset::Users => schema!("users"),
        Dataset::Organizations => schema!("organizations"),
        Dataset::OrganizationRoles => schema!("organization_roles"),
        Dataset::OrganizationPermissions => schema!("organization_permissions"),
        Dataset::Entitlements => schema!("entitlements"),
        Dataset::Grants => schema!("grants"),
        Dataset::RoleSets => schema!("role_sets"),
        Dataset::Domains => schema!("domains"),
        Dataset::RedirectUrls => schema!("redirect_urls"),
        Dataset::OrganizationInvitations => schema!("organization_invitations"),
        Dataset::Invitations => schema!("invitations"),
        Dataset::OrganizationDomains => schema!("organization_domains"),
        Dataset::AllowlistIdentifiers => schema!("allowlist_identifiers"),
        Dataset::BlocklistIdentifiers => schema!("blocklist_identifiers"),
        Dataset::JwtTemplates => schema!("jwt_templates"),
        Dataset::OauthApplications => schema!("oauth_applications"),
        Dataset::EnterpriseConnections => schema!("enterprise_connections"),
        Dataset::Machines => schema!("machines"),
        Dataset::WaitlistEntries => schema!("waitlist_entries"),
        Dataset::BillingPlans => schema!("billing_plans"),
        Dataset::BillingSubscriptionItems => schema!("billing_subscription_items"),
        Dataset::Sessions => schema!("sessions"),
        Dataset::ApiKeys => schema!("api_keys"),
        Dataset::DailyActiveUsers => schema!("daily_active_users"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    // Promise: each dataset has the schema that is called after it.
    #[test]
    fn each_dataset_has_its_own_schema() {
        let id = |text: &str| -> String {
            let schema: serde_json::Value = serde_json::from_str(text).unwrap();
            schema["$id"].as_str().unwrap().to_owned()
        };
        for (name, text) in all() {
            assert_eq!(id(text), format!("urn:clerk-sync:schema:{name}:1"));
        }
        assert_eq!(all().count(), Dataset::ALL.len() + 5);
    }
}
