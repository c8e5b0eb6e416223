use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Text, Time, identifier};
use crate::redaction::Redaction;

/// A row of GET /blocklist_identifiers (Clerk OpenAPI 2026-05-12, schema BlocklistIdentifier): an identifier that may
/// not sign up.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BlocklistIdentifier<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// An e-mail address, domain, phone number or wallet.
    #[serde(borrow)]
    identifier: Option<Text<'a>>,
    /// Which kind of identifier, an open set.
    #[serde(borrow)]
    identifier_type: Option<Text<'a>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

impl Plain for BlocklistIdentifier<'_> {
    const TYPE: ObjectType = ObjectType::BlocklistIdentifier;
    const DATASET: Dataset = Dataset::BlocklistIdentifiers;

    fn about(&self) -> About<'_> {
        About::of(&self.id, self.created_at, self.updated_at)
    }

    fn redact(&mut self, redaction: &Redaction) {
        redaction.replace_contact(&mut self.identifier);
    }
}
