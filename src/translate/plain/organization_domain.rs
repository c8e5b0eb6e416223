use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain, Translation};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier, present};
use crate::redaction::{Personal, Redaction};

/// A row of Clerk: GET /organization_domains (Clerk OpenAPI 2026-05-12, schema OrganizationDomain):
/// a domain whose users may join an organization.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct OrganizationDomain<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Whose it is.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    organization_id: Option<Text<'a>>,
    /// How users of the domain join, an open set.
    #[serde(borrow)]
    enrollment_mode: Option<Text<'a>>,
    /// The address by which the organization proved that it belongs there.
    #[serde(borrow)]
    affiliation_email_address: Option<Text<'a>>,
    /// Whether the organization belongs to the domain; the outer `None` where Clerk does not say.
    #[serde(borrow, default, deserialize_with = "present")]
    affiliation_verification: Option<Option<Object<Verification<'a>>>>,
    /// What answers from before 2026-05 have in its place.
    #[serde(borrow, skip_serializing)]
    verification: Option<Object<Verification<'a>>>,
    /// Whether the domain is its own.
    #[serde(borrow)]
    ownership_verification: Option<Object<Verification<'a>>>,
    /// How many invitations wait.
    total_pending_invitations: Option<i64>,
    /// How many suggestions wait.
    total_pending_suggestions: Option<i64>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

/// Schema OrganizationDomainVerification.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Verification<'a> {
    /// `verified`, `unverified`, `failed` or `expired`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// How it was proved.
    #[serde(borrow)]
    strategy: Option<Text<'a>>,
    /// How often it was tried.
    attempts: Option<i64>,
    /// Until when it can be proved.
    expire_at: Option<Time>,
    /// When it was proved.
    verified_at: Option<Time>,
}

impl Plain for OrganizationDomain<'_> {
    const TYPE: ObjectType = ObjectType::OrganizationDomain;
    const DATASET: Dataset = Dataset::OrganizationDomains;

    fn about(&self) -> About<'_> {
        About {
            names: [self.name.as_deref(), None],
            ..About::of(&self.id, self.created_at, self.updated_at)
        }
    }

    fn redact(&mut self, redaction: &Redaction) {
        redaction.replace(Personal::Email, &mut self.affiliation_email_address);
    }

    fn profile<'s>(&'s self, _translation: &'s Translation) -> impl Serialize + 's {
        let mut profile: OrganizationDomain<'s> = self.clone();
        let earlier = profile.verification.take();
        profile.affiliation_verification.get_or_insert(earlier);
        profile
    }
}
