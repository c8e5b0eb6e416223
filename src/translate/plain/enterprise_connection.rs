use clerk_snapshot::record::{ObjectType, Status};
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};

/// A row of GET /enterprise_connections (Clerk OpenAPI 2026-05-12, schema EnterpriseConnection): an identity provider
/// that users sign in with. Certificates and secrets are not read.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct EnterpriseConnection<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Such as `saml_okta`, an open set.
    #[serde(borrow)]
    provider: Option<Text<'a>>,
    /// Whether it is enabled.
    active: Option<bool>,
    /// Whether users can sign in and sign up with it. Clerk's OpenAPI document gives no type for this field and
    /// `disable_jit_provisioning`; Clerk's own clients read booleans.
    authenticatable: Option<bool>,
    /// Domains whose users it signs in.
    #[serde(borrow)]
    domains: Option<Vec<Option<Text<'a>>>>,
    /// Id of the organization it belongs to.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    organization_id: Option<Text<'a>>,
    /// Whether users' attributes are updated at each sign-in.
    sync_user_attributes: Option<bool>,
    /// Whether signing in creates no account for a user without one.
    disable_jit_provisioning: Option<bool>,
    /// Whether its users cannot add further identifications.
    disable_additional_identifications: Option<bool>,
    /// Whether accounts can be linked by organization membership.
    allow_organization_account_linking: Option<bool>,
    /// Attributes copied from the provider.
    #[serde(borrow)]
    custom_attributes: Option<Vec<Object<CustomAttribute<'a>>>>,
    /// The SAML connection, if it uses SAML.
    #[serde(borrow)]
    saml_connection: Option<Object<SamlConnection<'a>>>,
    /// The configuration, if it uses OpenID Connect.
    #[serde(borrow)]
    oauth_config: Option<Object<OauthConfig<'a>>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

/// Schema EnterpriseConnection, custom_attributes.
#[derive(Debug, Deserialize, Serialize)]
struct CustomAttribute<'a> {
    /// Name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// Key under which it is stored.
    #[serde(borrow)]
    key: Option<Text<'a>>,
    /// Its path in a sign-in.
    #[serde(borrow)]
    sso_path: Option<Text<'a>>,
    /// Its path in SCIM.
    #[serde(borrow)]
    scim_path: Option<Text<'a>>,
    /// Its path in a directory: Clerk's new name for `scim_path`.
    #[serde(borrow)]
    directory_path: Option<Text<'a>>,
    /// Whether it can have several values.
    multi_valued: Option<bool>,
}

/// Schema EnterpriseConnection, saml_connection.
#[derive(Debug, Deserialize, Serialize)]
struct SamlConnection<'a> {
    /// Clerk's id of the connection.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// Whether it is enabled.
    active: Option<bool>,
    /// The provider's entity id.
    #[serde(borrow)]
    idp_entity_id: Option<Text<'a>>,
    /// The provider's single sign-on URL.
    #[serde(borrow)]
    idp_sso_url: Option<Text<'a>>,
    /// The provider's metadata URL.
    #[serde(borrow)]
    idp_metadata_url: Option<Text<'a>>,
    /// Clerk's assertion consumer service URL.
    #[serde(borrow)]
    acs_url: Option<Text<'a>>,
    /// Clerk's entity id.
    #[serde(borrow)]
    sp_entity_id: Option<Text<'a>>,
    /// Clerk's metadata URL.
    #[serde(borrow)]
    sp_metadata_url: Option<Text<'a>>,
    /// Whether a sign-in may start at the provider.
    allow_idp_initiated: Option<bool>,
    /// Whether subdomains are included.
    allow_subdomains: Option<bool>,
    /// Whether users must authenticate again at the provider.
    force_authn: Option<bool>,
    /// What the provider is told about the user who signs in.
    #[serde(borrow)]
    login_hint: Option<Object<LoginHint<'a>>>,
}

/// Schema EnterpriseConnection, login_hint.
#[derive(Debug, Deserialize, Serialize)]
struct LoginHint<'a> {
    /// `email_address`, `custom_attribute` or `off`, an open set.
    #[serde(borrow)]
    mode: Option<Text<'a>>,
    /// The key in the user's `public_metadata` to send if `mode` is `custom_attribute`.
    #[serde(borrow)]
    source: Option<Text<'a>>,
}

/// Schema EnterpriseConnection, oauth_config.
#[derive(Debug, Deserialize, Serialize)]
struct OauthConfig<'a> {
    /// Clerk's id of the configuration.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// Such as `oidc_custom`, an open set.
    #[serde(borrow)]
    provider_key: Option<Text<'a>>,
    /// Clerk's client id at the provider; not a secret.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    client_id: Option<Text<'a>>,
    /// The provider's discovery URL.
    #[serde(borrow)]
    discovery_url: Option<Text<'a>>,
    /// The provider's authorization URL.
    #[serde(borrow)]
    auth_url: Option<Text<'a>>,
    /// The provider's token URL.
    #[serde(borrow)]
    token_url: Option<Text<'a>>,
    /// The provider's user info URL.
    #[serde(borrow)]
    user_info_url: Option<Text<'a>>,
    /// Whether PKCE is used.
    requires_pkce: Option<bool>,
}

impl Plain for EnterpriseConnection<'_> {
    const TYPE: ObjectType = ObjectType::EnterpriseConnection;
    const DATASET: Dataset = Dataset::EnterpriseConnections;

    fn about(&self) -> About<'_> {
        About {
            names: [self.name.as_deref(), None],
            status: Status::unless_any(&[self.active.map(|it| !it)]),
            ..About::of(&self.id, self.created_at, self.updated_at)
        }
    }
}
