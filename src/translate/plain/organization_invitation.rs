use clerk_snapshot::record::ObjectType;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain, Translation};
use crate::clerk::wire::{Text, Time, identifier, optional_identifier};
use crate::redaction::Redaction;
use crate::translate::verbatim::Bag;

/// A row of GET /organization_invitations (Clerk OpenAPI 2026-05-12, schema
/// OrganizationInvitationWithPublicOrganizationData): an invitation to an organization. A pending invitation is not a
/// grant, because the access does not exist yet. Its `url` is not read, because it contains a ticket.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct OrganizationInvitation<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// The invited address.
    #[serde(borrow)]
    email_address: Option<Text<'a>>,
    /// `pending`, `accepted`, `revoked` or `expired`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// Id of the organization.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    organization_id: Option<Text<'a>>,
    /// Key of the role that the invited user will get.
    #[serde(borrow, rename(deserialize = "role"))]
    role_key: Option<Text<'a>>,
    /// Id of that role; `null` if no role has that key, or the roles cannot be read.
    #[serde(skip_deserializing)]
    role_id: Option<Text<'a>>,
    /// Name of that role, as stated in the invitation.
    #[serde(borrow)]
    role_name: Option<Text<'a>>,
    /// Id of the user who sent it.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    inviter_id: Option<Text<'a>>,
    /// When it expires.
    expires_at: Option<Time>,
    /// Clerk's `public_metadata`.
    #[serde(borrow, default, skip_serializing_if = "Bag::is_not_asked_for")]
    public_metadata: Bag<'a>,
    /// Clerk's `private_metadata`.
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
