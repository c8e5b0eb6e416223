use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, identifier};

/// A row of Clerk: GET /domains (Clerk OpenAPI 2026-05-12, schema Domain): where the application is
/// served. Clerk does not say since when.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Domain<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Whether another domain signs its users in.
    is_satellite: Option<bool>,
    /// Where its front end asks Clerk.
    #[serde(borrow)]
    frontend_api_url: Option<Text<'a>>,
    /// Where its users manage their accounts; null for satellites.
    #[serde(borrow)]
    accounts_portal_url: Option<Text<'a>>,
    /// Where Clerk is reached instead.
    #[serde(borrow)]
    proxy_url: Option<Text<'a>>,
    /// Where it is developed.
    #[serde(borrow)]
    development_origin: Option<Text<'a>>,
    /// The DNS records it needs.
    #[serde(borrow)]
    cname_targets: Option<Vec<Object<CnameTarget<'a>>>>,
}

/// Schema CNameTarget.
#[derive(Debug, Deserialize, Serialize)]
struct CnameTarget<'a> {
    /// Name.
    #[serde(borrow)]
    host: Option<Text<'a>>,
    /// Target.
    #[serde(borrow)]
    value: Option<Text<'a>>,
    /// Whether it has to be there.
    required: Option<bool>,
}

impl Plain for Domain<'_> {
    const TYPE: ObjectType = ObjectType::Domain;
    const DATASET: Dataset = Dataset::Domains;

    fn about(&self) -> About<'_> {
        About { names: [self.name.as_deref(), None], ..About::of(&self.id, None, None) }
    }
}
