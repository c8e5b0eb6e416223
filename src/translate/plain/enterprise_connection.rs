use clerk_snapshot::record::{ObjectType, Status};
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};

/// A row of Clerk: GET /enterprise_connections (Clerk OpenAPI 2026-05-12, schema
/// EnterpriseConnection): an identity provider that users sign in with. Certificates and secrets
/// are not read.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct EnterpriseConnection<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Such as `saml_okta`, an open set.
    #[serde(borrow)]
    provider: Option<Text<'a>>,
    /// Whether it can be used.
    active: Option<bool>,
    /// Whether users can sign in and sign up with it. Of this one and of `disable_jit_provisioning`
    /// the document says only that they are there; Clerk's own clients read booleans.
    authenticatable: Option<bool>,
    /// Whose users it signs in.
    #[serde(borrow)]
    domains: Option<Vec<Option<Text<'a>>>>,
    /// The organization it belongs to.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    organization_id: Option<Text<'a>>,
    /// Whether users' attributes are updated at each sign-in.
    sync_user_attributes: Option<bool>,
    /// Whether whoever signs in without an account is given none.
    disable_jit_provisioning: Option<bool>,
    /// Whether its users can add no further identifications.
    disable_additional_identifications: Option<bool>,
    /// Whether accounts are linked by membership.
    allow_organization_account_linking: Option<bool>,
    /// What is taken over from the provider.
    #[serde(borrow)]
    custom_attributes: Option<Vec<Object<CustomAttribute<'a>>>>,
    /// Where it speaks SAML.
    #[serde(borrow)]
    saml_connection: Option<Object<SamlConnection<'a>>>,
    /// Where it speaks OpenID Connect.
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
    /// Where it is kept.
    #[serde(borrow)]
    key: Option<Text<'a>>,
    /// Where a sign-in has it.
    #[serde(borrow)]
    sso_path: Option<Text<'a>>,
    /// Where SCIM has it.
    #[serde(borrow)]
    scim_path: Option<Text<'a>>,
    /// Where a directory has it: Clerk's new name of `scim_path`.
    #[serde(borrow)]
    directory_path: Option<Text<'a>>,
    /// Whether it has several values.
    multi_valued: Option<bool>,
}

/// Schema EnterpriseConnection, saml_connection.
#[derive(Debug, Deserialize, Serialize)]
struct SamlConnection<'a> {
    /// Clerk's id of it.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// Whether it can be used.
    active: Option<bool>,
    /// The provider's.
    #[serde(borrow)]
    idp_entity_id: Option<Text<'a>>,
    /// The provider's.
    #[serde(borrow)]
    idp_sso_url: Option<Text<'a>>,
    /// The provider's.
    #[serde(borrow)]
    idp_metadata_url: Option<Text<'a>>,
    /// Clerk's.
    #[serde(borrow)]
    acs_url: Option<Text<'a>>,
    /// Clerk's.
    #[serde(borrow)]
    sp_entity_id: Option<Text<'a>>,
    /// Clerk's.
    #[serde(borrow)]
    sp_metadata_url: Option<Text<'a>>,
    /// Whether a sign-in may begin there.
    allow_idp_initiated: Option<bool>,
    /// Whether subdomains count.
    allow_subdomains: Option<bool>,
    /// Whether users have to sign in anew.
    force_authn: Option<bool>,
    /// What the provider is told of who signs in.
    #[serde(borrow)]
    login_hint: Option<Object<LoginHint<'a>>>,
}

/// Schema EnterpriseConnection, login_hint.
#[derive(Debug, Deserialize, Serialize)]
struct LoginHint<'a> {
    /// `email_address`, `custom_attribute` or `off`, an open set.
    #[serde(borrow)]
    mode: Option<Text<'a>>,
    /// The key of users' `public_metadata` that is told, where mode is `custom_attribute`.
    #[serde(borrow)]
    source: Option<Text<'a>>,
}

/// Schema EnterpriseConnection, oauth_config.
#[derive(Debug, Deserialize, Serialize)]
struct OauthConfig<'a> {
    /// Clerk's id of it.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// Such as `oidc_custom`, an open set.
    #[serde(borrow)]
    provider_key: Option<Text<'a>>,
    /// By which Clerk names itself; no secret.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    client_id: Option<Text<'a>>,
    /// The provider's.
    #[serde(borrow)]
    discovery_url: Option<Text<'a>>,
    /// The provider's.
    #[serde(borrow)]
    auth_url: Option<Text<'a>>,
    /// The provider's.
    #[serde(borrow)]
    token_url: Option<Text<'a>>,
    /// The provider's.
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
