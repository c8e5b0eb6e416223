//! The rules of `findings`: which there are, and the numbers that a rules file can set.
//!
//! - This file names the rules, in the order in which findings of one severity are listed.
//! - [`settings`] holds what can be set; [`mod@file`] reads it from YAML; `defaults.yaml` is the file that
//!   `findings --print-rules` prints.

pub mod file;
pub mod settings;

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

pub use file::{DEFAULTS, Language, RulesError};
pub use settings::{RuleSettings, Settings};

/// How urgent a finding is. `High` comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody should look today.
    High,
    /// Somebody should look in this review.
    Medium,
    /// Something to tidy up.
    Low,
}

impl Severity {
    /// All, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Rule {
    /// A person holds a privileged permission, and has no second factor.
    PrivilegedWithoutSecondFactor,
    /// A person holds a privileged permission, and was not active for long.
    PrivilegedAndDormant,
    /// A member of an organization was not active for very long.
    DormantWithAccess,
    /// A member of an organization is banned, locked or deprovisioned.
    DisabledWithAccess,
    /// A member's address is in none of the organization's verified domains.
    OutsideDomainWithAccess,
    /// No member of an organization holds a privileged permission.
    OrganizationWithoutAdministrator,
    /// Many of an organization's members hold a privileged permission.
    TooManyAdministrators,
    /// A member's primary address is not verified.
    UnverifiedAddressWithAccess,
    /// No membership has a role.
    RoleNobodyHolds,
    /// No membership carries a permission.
    PermissionNobodyHas,
    /// Memberships have a role key that no role has.
    UnresolvedRoleKey,
    /// An invitation was not accepted for long.
    InvitationPendingLong,
    /// An API key works for ever.
    ApiKeyNeverExpires,
    /// An API key was not used for long.
    ApiKeyUnused,
    /// Tokens of a JWT template are valid for long.
    SessionTemplateLongLived,
    /// A redirect URL is not encrypted.
    RedirectUrlInsecure,
    /// An enterprise connection cannot be used.
    ConnectionInactive,
}

impl Rule {
    /// All, in the order in which findings of one severity are listed.
    pub const ALL: [Self; 17] = [
        Self::PrivilegedWithoutSecondFactor,
        Self::PrivilegedAndDormant,
        Self::DormantWithAccess,
        Self::DisabledWithAccess,
        Self::OutsideDomainWithAccess,
        Self::OrganizationWithoutAdministrator,
        Self::TooManyAdministrators,
        Self::UnverifiedAddressWithAccess,
        Self::RoleNobodyHolds,
        Self::PermissionNobodyHas,
        Self::UnresolvedRoleKey,
        Self::InvitationPendingLong,
        Self::ApiKeyNeverExpires,
        Self::ApiKeyUnused,
        Self::SessionTemplateLongLived,
        Self::RedirectUrlInsecure,
        Self::ConnectionInactive,
    ];

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrivilegedWithoutSecondFactor => "privileged-without-second-factor",
            Self::PrivilegedAndDormant => "privileged-and-dormant",
            Self::DormantWithAccess => "dormant-with-access",
            Self::DisabledWithAccess => "disabled-with-access",
            Self::OutsideDomainWithAccess => "outside-domain-with-access",
            Self::OrganizationWithoutAdministrator => "organization-without-administrator",
            Self::TooManyAdministrators => "too-many-administrators",
            Self::UnverifiedAddressWithAccess => "unverified-address-with-access",
            Self::RoleNobodyHolds => "role-nobody-holds",
            Self::PermissionNobodyHas => "permission-nobody-has",
            Self::UnresolvedRoleKey => "unresolved-role-key",
            Self::InvitationPendingLong => "invitation-pending-long",
            Self::ApiKeyNeverExpires => "api-key-never-expires",
            Self::ApiKeyUnused => "api-key-unused",
            Self::SessionTemplateLongLived => "session-template-long-lived",
            Self::RedirectUrlInsecure => "redirect-url-insecure",
            Self::ConnectionInactive => "connection-inactive",
        }
    }

    /// The rule of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Names of all rules, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: a rule is called the same on the command line, in the rules file and in the answer.
    #[test]
    fn a_rule_has_one_name() {
        for (place, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, place);
            assert_eq!(Rule::from_name(rule.name()), Some(rule));
            let value = rule.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(value.as_deref(), Some(rule.name()));
        }
        assert_eq!(Rule::from_name("dormant"), None);
    }
}
