//! Names the resources that can be opted in and the datasets that are written.

/// Declares an enum whose variants have names, used in settings, JSON and paths.
macro_rules! named {
    (
        $(#[$meta:meta])*
        $kind:ident, $what:literal:
        $($(#[$doc:meta])* $variant:ident = $name:literal,)*
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum $kind {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl $kind {
            #[doc = concat!("Every ", $what, ", in the order of their discriminants.")]
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            #[doc = concat!("The ", $what, " of that exact name.")]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.name() == name)
            }
        }

        impl ::std::fmt::Display for $kind {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                formatter.write_str(self.name())
            }
        }
    };
}

pub(crate) use named;

named! {
    /// A resource that a configuration or an event can opt in to. Its name is used in `RESOURCES`, in events and in the
    /// manifest.
    Resource, "resource":
    /// Clerk: GET /users.
    Users = "users",
    /// Clerk: GET /organizations.
    Organizations = "organizations",
    /// Clerk: GET /organization_roles.
    OrganizationRoles = "organization_roles",
    /// Clerk: GET /organization_permissions.
    OrganizationPermissions = "organization_permissions",
    /// Clerk: GET /organization_memberships, or the same per organization.
    OrganizationMemberships = "organization_memberships",
    /// Clerk: GET /role_sets.
    RoleSets = "role_sets",
    /// Clerk: GET /domains.
    Domains = "domains",
    /// Clerk: GET /redirect_urls.
    RedirectUrls = "redirect_urls",
    /// Clerk: GET /organization_invitations.
    OrganizationInvitations = "organization_invitations",
    /// Clerk: GET /invitations.
    Invitations = "invitations",
    /// Clerk: GET /organization_domains.
    OrganizationDomains = "organization_domains",
    /// Clerk: GET /allowlist_identifiers.
    AllowlistIdentifiers = "allowlist_identifiers",
    /// Clerk: GET /blocklist_identifiers.
    BlocklistIdentifiers = "blocklist_identifiers",
    /// Clerk: GET /jwt_templates.
    JwtTemplates = "jwt_templates",
    /// Clerk: GET /oauth_applications.
    OauthApplications = "oauth_applications",
    /// Clerk: GET /enterprise_connections.
    EnterpriseConnections = "enterprise_connections",
    /// Clerk: GET /machines.
    Machines = "machines",
    /// Clerk: GET /waitlist_entries.
    WaitlistEntries = "waitlist_entries",
    /// Clerk: GET /billing/plans.
    BillingPlans = "billing_plans",
    /// Clerk: GET /billing/subscription_items.
    BillingSubscriptionItems = "billing_subscription_items",
    /// Clerk: GET /sessions, as a whole or for each recently active user.
    Sessions = "sessions",
    /// Clerk: GET /api_keys for each user, organization and machine.
    ApiKeys = "api_keys",
    /// Counted from Clerk: GET /users.
    DailyActiveUsers = "daily_active_users",
}

named! {
    /// A dataset: one folder of NDJSON parts in a snapshot. Its name is that of the folder and the key in the manifest.
    Dataset, "dataset":
    /// One line per user.
    Users = "users",
    /// One line per organization.
    Organizations = "organizations",
    /// One line per role.
    OrganizationRoles = "organization_roles",
    /// One line per permission.
    OrganizationPermissions = "organization_permissions",
    /// Entitlements: those of permissions first, then those of organizations.
    Entitlements = "entitlements",
    /// Grants: permissions of roles first, then memberships.
    Grants = "grants",
    /// One line per role set.
    RoleSets = "role_sets",
    /// One line per domain.
    Domains = "domains",
    /// One line per redirect URL.
    RedirectUrls = "redirect_urls",
    /// One line per invitation to an organization.
    OrganizationInvitations = "organization_invitations",
    /// One line per invitation.
    Invitations = "invitations",
    /// One line per domain of an organization.
    OrganizationDomains = "organization_domains",
    /// One line per identifier.
    AllowlistIdentifiers = "allowlist_identifiers",
    /// One line per identifier.
    BlocklistIdentifiers = "blocklist_identifiers",
    /// One line per template.
    JwtTemplates = "jwt_templates",
    /// One line per application.
    OauthApplications = "oauth_applications",
    /// One line per connection.
    EnterpriseConnections = "enterprise_connections",
    /// One line per machine.
    Machines = "machines",
    /// One line per entry.
    WaitlistEntries = "waitlist_entries",
    /// One line per plan.
    BillingPlans = "billing_plans",
    /// One line per subscription item.
    BillingSubscriptionItems = "billing_subscription_items",
    /// One line per session.
    Sessions = "sessions",
    /// One line per API key.
    ApiKeys = "api_keys",
    /// One line per day.
    DailyActiveUsers = "daily_active_users",
}

impl Dataset {
    /// Whether an id may be on several lines of the dataset; then the last one counts.
    ///
    /// Clerk lists revoked invitations separately, so one that is revoked between the two requests is in both lists.
    #[must_use]
    pub const fn may_repeat_ids(self) -> bool {
        matches!(self, Self::Invitations)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_resource_name_survives_a_round_trip() {
        for &resource in Resource::ALL {
            assert_eq!(Resource::from_name(resource.name()), Some(resource));
            let json = serde_json::to_string(&resource).unwrap();
            assert_eq!(json, format!("\"{resource}\""));
            assert_eq!(serde_json::from_str::<Resource>(&json).unwrap(), resource);
        }
        assert_eq!(Resource::from_name("Users"), None);
        assert_eq!(Resource::from_name("grants"), None);
    }

    #[test]
    fn a_dataset_name_survives_a_round_trip() {
        for (index, &dataset) in Dataset::ALL.iter().enumerate() {
            assert_eq!(dataset as usize, index);
            assert_eq!(Dataset::from_name(dataset.name()), Some(dataset));
            let json = serde_json::to_string(&dataset).unwrap();
            assert_eq!(json, format!("\"{dataset}\""));
            assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), dataset);
        }
        assert_eq!(Dataset::from_name("organization_memberships"), None);
    }
}
