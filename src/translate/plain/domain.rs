use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, identifier};

/// A row of GET /domains (Clerk OpenAPI 2026-05-12, schema Domain): a domain that serves the application. Clerk gives
/// no times for it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Domain<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Whether its users sign in at another domain.
    is_satellite: Option<bool>,
    /// The Clerk URL used by its front end.
    #[serde(borrow)]
    frontend_api_url: Option<Text<'a>>,
    /// Where its users manage their accounts; `null` for satellites.
    #[serde(borrow)]
    accounts_portal_url: Option<Text<'a>>,
    /// The proxy through which Clerk is reached.
    #[serde(borrow)]
    proxy_url: Option<Text<'a>>,
    /// Its origin during development.
    #[serde(borrow)]
    development_origin: Option<Text<'a>>,
    /// The DNS records it needs.
    #[serde(borrow)]
    cname_targets: Option<Vec<Object<CnameTarget<'a>>>>,
}

/// Schema CNameTarget.
#[derive(Debug, Deserialize, Serialize)]
struct CnameTarget<'a> {
    /// Name of the record.
    #[serde(borrow)]
    host: Option<Text<'a>>,
    /// Target of the record.
    #[serde(borrow)]
    value: Option<Text<'a>>,
    /// Whether the record is required.
    required: Option<bool>,
}

impl Plain for Domain<'_> {
    const TYPE: ObjectType = ObjectType::Domain;
    const DATASET: Dataset = Dataset::Domains;

    fn about(&self) -> About<'_> {
        About { names: [self.name.as_deref(), None], ..About::of(&self.id, None, None) }
    }
}
