use clerk_snapshot::record::{ObjectType, Status};
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Text, Time, identifier, optional_identifier};
use crate::translate::verbatim::Json;

/// A row of GET /api_keys (Clerk OpenAPI 2026-05-12, the rows of its answer): a key created by a user, an organization
/// or a machine. The key itself is never requested.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ApiKey<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// `api_key`, an open set.
    #[serde(borrow, rename = "type")]
    key_type: Option<Text<'a>>,
    /// Id of the user, organization or machine that owns it.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    subject: Option<Text<'a>>,
    /// Its purpose.
    #[serde(borrow)]
    description: Option<Text<'a>>,
    /// Its claims, copied verbatim.
    #[serde(borrow)]
    claims: Option<Json<'a>>,
    /// What it is allowed to do.
    #[serde(borrow)]
    scopes: Option<Vec<Option<Text<'a>>>>,
    /// Whether it was revoked.
    revoked: Option<bool>,
    /// Why it was revoked.
    #[serde(borrow)]
    revocation_reason: Option<Text<'a>>,
    /// Whether it has expired.
    expired: Option<bool>,
    /// When it expires; `null` means never.
    expiration: Option<Time>,
    /// Who created it.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    created_by: Option<Text<'a>>,
    /// When it was last used.
    last_used_at: Option<Time>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

impl Plain for ApiKey<'_> {
    const TYPE: ObjectType = ObjectType::ApiKey;
    const DATASET: Dataset = Dataset::ApiKeys;

    fn about(&self) -> About<'_> {
        About {
            names: [self.name.as_deref(), None],
            status: Status::unless_any(&[self.revoked, self.expired]),
            ..About::of(&self.id, self.created_at, self.updated_at)
        }
    }
}
