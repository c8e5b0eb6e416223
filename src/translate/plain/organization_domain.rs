use clerk_snapshot::record::ObjectType;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain, Translation};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier, present};
use crate::redaction::Redaction;

/// A row of GET /organization_domains (Clerk OpenAPI 2026-05-12, schema OrganizationDomain): a domain whose users may
/// join an organization.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct OrganizationDomain<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Id of the organization.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    organization_id: Option<Text<'a>>,
    /// How users of the domain join, an open set.
    #[serde(borrow)]
    enrollment_mode: Option<Text<'a>>,
    /// The address used to prove that the organization belongs to the domain.
    #[serde(borrow)]
    affiliation_email_address: Option<Text<'a>>,
    /// Whether that was proved; the outer `None` if the field is absent.
    #[serde(borrow, default, deserialize_with = "present")]
    affiliation_verification: Option<Option<Object<Verification<'a>>>>,
    /// What answers from before 2026-05 have instead.
    #[serde(borrow, skip_serializing)]
    verification: Option<Object<Verification<'a>>>,
    /// Whether the organization owns the domain.
    #[serde(borrow)]
    ownership_verification: Option<Object<Verification<'a>>>,
    /// Number of pending invitations.
    total_pending_invitations: Option<i64>,
    /// Number of pending suggestions.
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
    /// How it was verified.
    #[serde(borrow)]
    strategy: Option<Text<'a>>,
    /// Number of attempts.
    attempts: Option<i64>,
    /// When the verification expires.
    expire_at: Option<Time>,
    /// When it was verified.
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
