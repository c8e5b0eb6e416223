//! The verified domains of organizations.

use std::collections::HashMap;

use serde::Deserialize;

use crate::names;
use crate::texts::Interner;

/// The number of a domain that no organization has verified.
pub const NO_DOMAIN: u32 = u32::MAX;

/// The verified domains of organizations.
#[derive(Debug, Default)]
pub struct Domains {
    domains: Interner,
    /// The numbers of each organization's domains, by its id.
    of_organizations: HashMap<String, Vec<u32>>,
}

/// What is wanted of a domain's record. Its name is the domain.
#[derive(Debug, Deserialize)]
pub struct DomainLine {
    display_name: String,
    profile: DomainProfile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DomainProfile {
    organization_id: Option<String>,
    affiliation_verification: Option<Verification>,
    ownership_verification: Option<Verification>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verification {
    status: Option<String>,
}

impl DomainLine {
    /// The domain of a line; `None` if it is not one.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Whether the organization has proved that it belongs to the domain, or owns it.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let is_verified = |verification: &Option<Verification>| {
            verification.as_ref().is_some_and(|it| it.status.as_deref() == Some("verified"))
        };
        is_verified(&self.profile.affiliation_verification)
            || is_verified(&self.profile.ownership_verification)
    }
}

impl Domains {
    /// Adds a domain, if it is verified and belongs to an organization.
    pub fn add(&mut self, line: DomainLine) {
        if !line.is_verified() {
            return;
        }
        if let Some(organization) = line.profile.organization_id {
            let number = self.domains.add(&names::folded(&line.display_name));
            self.of_organizations.entry(organization).or_default().push(number);
        }
    }

    /// Whether no organization has a verified domain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of_organizations.is_empty()
    }

    /// The number of a domain in any case, or [`NO_DOMAIN`].
    #[must_use]
    pub fn number(&self, domain: &str) -> u32 {
        self.domains.find(&names::folded(domain)).unwrap_or(NO_DOMAIN)
    }

    /// Whether the organization has verified domains, none of which is this one.
    #[must_use]
    pub fn is_outside(&self, organization: &str, domain: u32) -> bool {
        self.of_organizations.get(organization).is_some_and(|domains| !domains.contains(&domain))
    }
}
