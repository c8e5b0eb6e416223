use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Text, Time, identifier};
use crate::translate::verbatim::Json;

/// A row of GET /jwt_templates (Clerk OpenAPI 2026-05-12, schema JWTTemplate): a template for the application's tokens.
/// Signing keys are not read.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct JwtTemplate<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// The claims of a token, copied verbatim.
    #[serde(borrow)]
    claims: Option<Json<'a>>,
    /// Lifetime of a token in seconds.
    lifetime: Option<i64>,
    /// Allowed clock skew in seconds.
    allowed_clock_skew: Option<i64>,
    /// Whether it is signed with its own key.
    custom_signing_key: Option<bool>,
    /// Such as `RS256`.
    #[serde(borrow)]
    signing_algorithm: Option<Text<'a>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

impl Plain for JwtTemplate<'_> {
    const TYPE: ObjectType = ObjectType::JwtTemplate;
    const DATASET: Dataset = Dataset::JwtTemplates;

    fn about(&self) -> About<'_> {
        About {
            names: [self.name.as_deref(), None],
            ..About::of(&self.id, self.created_at, self.updated_at)
        }
    }
}
