use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Text, Time, identifier, optional_identifier};

/// A row of Clerk: GET /oauth_applications (Clerk OpenAPI 2026-05-12, schema OAuthApplication): an
/// application that users sign in to with this one. Its secret is not read.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OauthApplication<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// By which it names itself; no secret.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    client_id: Option<Text<'a>>,
    /// Its own page.
    #[serde(borrow)]
    client_uri: Option<Text<'a>>,
    /// Whether it has no secret.
    public: Option<bool>,
    /// Whether it registered itself.
    dynamically_registered: Option<bool>,
    /// Whether users are asked.
    consent_screen_enabled: Option<bool>,
    /// Whether it has to use PKCE.
    pkce_required: Option<bool>,
    /// What it may ask for, with spaces between.
    #[serde(borrow)]
    scopes: Option<Text<'a>>,
    /// Where it may redirect to.
    #[serde(borrow)]
    redirect_uris: Option<Vec<Option<Text<'a>>>>,
    /// Clerk's.
    #[serde(borrow)]
    authorize_url: Option<Text<'a>>,
    /// Clerk's.
    #[serde(borrow)]
    token_fetch_url: Option<Text<'a>>,
    /// Clerk's.
    #[serde(borrow)]
    user_info_url: Option<Text<'a>>,
    /// Clerk's.
    #[serde(borrow)]
    discovery_url: Option<Text<'a>>,
    /// Clerk's.
    #[serde(borrow)]
    token_introspection_url: Option<Text<'a>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

impl Plain for OauthApplication<'_> {
    const TYPE: ObjectType = ObjectType::OauthApplication;
    const DATASET: Dataset = Dataset::OauthApplications;

    fn about(&self) -> About<'_> {
        About {
            names: [self.name.as_deref(), None],
            ..About::of(&self.id, self.created_at, self.updated_at)
        }
    }
}
