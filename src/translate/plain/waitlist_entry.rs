use clerk_snapshot::record::ObjectType;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};
use crate::redaction::Redaction;

/// A row of GET /waitlist_entries (Clerk OpenAPI 2026-05-12, schema WaitlistEntry): a person waiting for an invitation.
/// The `url` of the invitation is not read, because it contains a ticket.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct WaitlistEntry<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// Address of the person.
    #[serde(borrow)]
    email_address: Option<Text<'a>>,
    /// `pending`, `invited`, `rejected` or `completed`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// Whether it is locked while being processed.
    is_locked: Option<bool>,
    /// The invitation sent in response.
    #[serde(borrow)]
    invitation: Option<Object<InvitationOfEntry<'a>>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

/// Schema Invitation.
#[derive(Debug, Deserialize, Serialize)]
struct InvitationOfEntry<'a> {
    /// Id of the invitation.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Same values as the status of an invitation.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// When it expires.
    expires_at: Option<Time>,
    /// When it was sent.
    created_at: Option<Time>,
}

impl Plain for WaitlistEntry<'_> {
    const TYPE: ObjectType = ObjectType::WaitlistEntry;
    const DATASET: Dataset = Dataset::WaitlistEntries;

    fn about(&self) -> About<'_> {
        About::of(&self.id, self.created_at, self.updated_at)
    }

    fn redact(&mut self, redaction: &Redaction) {
        redaction.replace(Personal::Email, &mut self.email_address);
    }
}
