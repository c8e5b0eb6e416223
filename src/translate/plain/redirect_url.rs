use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Text, Time, identifier};

/// A row of GET /redirect_urls (Clerk OpenAPI 2026-05-12, schema RedirectURL): an allowed redirect target of a native
/// application.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct RedirectUrl<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// The URL.
    #[serde(borrow)]
    url: Option<Text<'a>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

impl Plain for RedirectUrl<'_> {
    const TYPE: ObjectType = ObjectType::RedirectUrl;
    const DATASET: Dataset = Dataset::RedirectUrls;

    fn about(&self) -> About<'_> {
        About::of(&self.id, self.created_at, self.updated_at)
    }
}
