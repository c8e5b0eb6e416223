use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Text, Time, identifier, optional_identifier};
use crate::redaction::Redaction;

/// A row of GET /allowlist_identifiers (Clerk OpenAPI 2026-05-12, schema AllowlistIdentifier): an identifier that may
/// sign up.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct AllowlistIdentifier<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// An e-mail address, domain, phone number or wallet.
    #[serde(borrow)]
    identifier: Option<Text<'a>>,
    /// Which kind of identifier, an open set.
    #[serde(borrow)]
    identifier_type: Option<Text<'a>>,
    /// Id of the invitation sent to it.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    invitation_id: Option<Text<'a>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

impl Plain for AllowlistIdentifier<'_> {
    const TYPE: ObjectType = ObjectType::AllowlistIdentifier;
    const DATASET: Dataset = Dataset::AllowlistIdentifiers;

    fn about(&self) -> About<'_> {
        About::of(&self.id, self.created_at, self.updated_at)
    }

    fn redact(&mut self, redaction: &Redaction) {
        redaction.replace_contact(&mut self.identifier);
    }
}
