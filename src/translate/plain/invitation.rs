use clerk_snapshot::record::ObjectType;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain, Translation};
use crate::clerk::wire::{Text, Time, identifier};
use crate::redaction::Redaction;
use crate::translate::verbatim::Bag;

/// A row of GET /invitations (Clerk OpenAPI 2026-05-12, schema Invitation): an invitation to sign up. Its `url` is not
/// read, because it contains a ticket.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Invitation<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// The invited address.
    #[serde(borrow)]
    email_address: Option<Text<'a>>,
    /// `pending`, `accepted`, `revoked` or `expired`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// When it expires.
    expires_at: Option<Time>,
    /// Clerk's `public_metadata`.
    #[serde(borrow, default, skip_serializing_if = "Bag::is_not_asked_for")]
    public_metadata: Bag<'a>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

impl Plain for Invitation<'_> {
    const TYPE: ObjectType = ObjectType::Invitation;
    const DATASET: Dataset = Dataset::Invitations;

    fn about(&self) -> About<'_> {
        About::of(&self.id, self.created_at, self.updated_at)
    }

    fn redact(&mut self, redaction: &Redaction) {
        redaction.replace(Personal::Email, &mut self.email_address);
    }

    fn profile<'s>(&'s self, translation: &'s Translation) -> impl Serialize + 's {
        let mut profile = self.clone();
        profile.public_metadata.ask(translation.metadata.public);
        profile
    }
}
