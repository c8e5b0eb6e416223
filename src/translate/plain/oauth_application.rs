use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Text, Time, identifier, optional_identifier};

/// A row of GET /oauth_applications (Clerk OpenAPI 2026-05-12, schema OAuthApplication): an application whose users
/// sign in through this one. Its secret is not read.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OauthApplication<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Its client id; not a secret.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    client_id: Option<Text<'a>>,
    /// Its home page.
    #[serde(borrow)]
    client_uri: Option<Text<'a>>,
    /// Whether it is a public client, without a secret.
    public: Option<bool>,
    /// Whether it registered itself dynamically.
    dynamically_registered: Option<bool>,
    /// Whether users see a consent screen.
    consent_screen_enabled: Option<bool>,
    /// Whether PKCE is required.
    pkce_required: Option<bool>,
    /// Scopes it may request, separated by spaces.
    #[serde(borrow)]
    scopes: Option<Text<'a>>,
    /// Allowed redirect URIs.
    #[serde(borrow)]
    redirect_uris: Option<Vec<Option<Text<'a>>>>,
    /// Clerk's authorization URL.
    #[serde(borrow)]
    authorize_url: Option<Text<'a>>,
    /// Clerk's token URL.
    #[serde(borrow)]
    token_fetch_url: Option<Text<'a>>,
    /// Clerk's user info URL.
    #[serde(borrow)]
    user_info_url: Option<Text<'a>>,
    /// Clerk's discovery URL.
    #[serde(borrow)]
    discovery_url: Option<Text<'a>>,
    /// Clerk's token introspection URL.
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
