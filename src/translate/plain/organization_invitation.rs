use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain, Translation};
use crate::clerk::wire::{Text, Time, identifier, optional_identifier};
use crate::redaction::{Personal, Redaction};
use crate::translate::verbatim::Bag;

/// A row of Clerk: GET /organization_invitations (Clerk OpenAPI 2026-05-12, schema
/// OrganizationInvitationWithPublicOrganizationData): an invitation to an organization. A pending
/// one is no grant: the access does not exist yet. Its `url`, which holds a ticket, is not read.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct OrganizationInvitation<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// Who is invited.
    #[serde(borrow)]
    email_address: Option<Text<'a>>,
    /// `pending`, `accepted`, `revoked` or `expired`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// Where to.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    organization_id: Option<Text<'a>>,
    /// The key of the role that comes with it.
    #[serde(borrow, rename(deserialize = "role"))]
    role_key: Option<Text<'a>>,
    /// The id of that role; null when no role has that key, or the roles cannot be read.
    #[serde(skip_deserializing)]
    role_id: Option<Text<'a>>,
    /// The name of that role, as the invitation says it.
    #[serde(borrow)]
    role_name: Option<Text<'a>>,
    /// The user who sent it.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    inviter_id: Option<Text<'a>>,
    /// Until when it can be accepted.
    expires_at: Option<Time>,
    /// Clerk's public_metadata.
    #[serde(borrow, default, skip_serializing_if = "Bag::is_not_asked_for")]
    public_metadata: Bag<'a>,
    /// Clerk's private_metadata.
    #[serde(borrow, default, skip_serializing_if = "Bag::is_not_asked_for")]
    private_metadata: Bag<'a>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

impl Plain for OrganizationInvitation<'_> {
    const TYPE: ObjectType = ObjectType::OrganizationInvitation;
    const DATASET: Dataset = Dataset::OrganizationInvitations;

    fn about(&self) -> About<'_> {
        About::of(&self.id, self.created_at, self.updated_at)
    }

    fn redact(&mut self, redaction: &Redaction) {
        redaction.replace(Personal::Email, &mut self.email_address);
    }

    fn profile<'s>(&'s self, translation: &'s Translation) -> impl Serialize + 's {
        let mut profile: OrganizationInvitation<'s> = self.clone();
        let role = self.role_key.as_deref().and_then(|key| translation.roles.by_key(key));
        profile.role_id = role.map(|role| role.id.as_str().into());
        profile.public_metadata.ask(translation.metadata.public);
        profile.private_metadata.ask(translation.metadata.private);
        profile
    }
}
