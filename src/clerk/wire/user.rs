//! A user.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::decode::{Object, present};
use super::text::{Text, identifier, optional_identifier, optional_text};
use super::time::Time;

/// A row of GET /users (Clerk OpenAPI 2026-05-12, schema User).
#[derive(Debug, Deserialize)]
pub struct User<'a> {
    /// `user_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// The customer's own id for the user.
    #[serde(borrow, default, deserialize_with = "optional_text")]
    pub external_id: Option<Text<'a>>,
    /// Which of `email_addresses` is the primary one.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    pub primary_email_address_id: Option<Text<'a>>,
    /// Which of `phone_numbers` is the primary one.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    pub primary_phone_number_id: Option<Text<'a>>,
    /// The name used to sign in, if the instance has usernames.
    #[serde(borrow)]
    pub username: Option<Text<'a>>,
    /// Given name.
    #[serde(borrow)]
    pub first_name: Option<Text<'a>>,
    /// Family name.
    #[serde(borrow)]
    pub last_name: Option<Text<'a>>,
    /// BCP 47 tag; not in Clerk's required list.
    #[serde(borrow)]
    pub locale: Option<Text<'a>>,
    /// Readable by the application's front end.
    #[serde(borrow)]
    pub public_metadata: Option<&'a RawValue>,
    /// For the backend only; may be absent.
    #[serde(borrow)]
    pub private_metadata: Option<&'a RawValue>,
    /// Writable by the application's front end.
    #[serde(borrow)]
    pub unsafe_metadata: Option<&'a RawValue>,
    /// Every e-mail address.
    #[serde(borrow)]
    pub email_addresses: Option<Vec<Object<EmailAddress<'a>>>>,
    /// Every phone number.
    #[serde(borrow)]
    pub phone_numbers: Option<Vec<Object<PhoneNumber<'a>>>>,
    /// Every web3 wallet.
    #[serde(borrow)]
    pub web3_wallets: Option<Vec<Object<Web3Wallet<'a>>>>,
    /// Number of passkeys.
    pub passkeys: Option<Passkeys>,
    /// Whether a password is set.
    pub password_enabled: Option<bool>,
    /// Whether any second factor is on.
    pub two_factor_enabled: Option<bool>,
    /// Whether an authenticator app is a second factor.
    pub totp_enabled: Option<bool>,
    /// Whether backup codes exist.
    pub backup_code_enabled: Option<bool>,
    /// When a second factor was last turned on; kept when it is turned off.
    pub mfa_enabled_at: Option<Time>,
    /// When the second factors were last turned off; kept when one is turned on.
    pub mfa_disabled_at: Option<Time>,
    /// Accounts at social and other OAuth providers.
    #[serde(borrow)]
    pub external_accounts: Option<Vec<Object<ExternalAccount<'a>>>>,
    /// Accounts at enterprise connections (SAML, OIDC); the outer `None` if the field is absent.
    #[serde(borrow, default, deserialize_with = "present")]
    pub enterprise_accounts: Option<Option<Vec<Object<EnterpriseAccount<'a>>>>>,
    /// What answers of 2024 have instead of `enterprise_accounts`.
    #[serde(borrow)]
    pub saml_accounts: Option<Vec<Object<EnterpriseAccount<'a>>>>,
    /// When the user last signed in.
    pub last_sign_in_at: Option<Time>,
    /// Time of the latest activity.
    pub last_active_at: Option<Time>,
    /// Banned by an administrator.
    pub banned: Option<bool>,
    /// Locked out, by hand or after too many attempts.
    pub locked: Option<bool>,
    /// Deactivated by a directory; not in Clerk's required list.
    pub deprovisioned: Option<bool>,
    /// Whether the user may delete their own account.
    pub delete_self_enabled: Option<bool>,
    /// Whether the user may create organizations.
    pub create_organization_enabled: Option<bool>,
    /// When the legal terms were accepted.
    pub legal_accepted_at: Option<Time>,
    /// When the user was created; the API lets the creator backdate it.
    pub created_at: Option<Time>,
    /// When the user last changed.
    pub updated_at: Option<Time>,
}

/// Clerk OpenAPI 2026-05-12, schema EmailAddress.
#[derive(Debug, Deserialize)]
pub struct EmailAddress<'a> {
    /// `idn_…`; not in Clerk's required list.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    pub id: Option<Text<'a>>,
    /// The address.
    #[serde(borrow)]
    pub email_address: Option<Text<'a>>,
    /// How it was verified, if verification was tried.
    #[serde(borrow)]
    pub verification: Option<Object<Verification<'a>>>,
}

/// Clerk OpenAPI 2026-05-12, schema PhoneNumber. Its `backup_codes` are not read.
#[derive(Debug, Deserialize)]
pub struct PhoneNumber<'a> {
    /// `idn_…`; not in Clerk's required list.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    pub id: Option<Text<'a>>,
    /// The number in E.164 form.
    #[serde(borrow)]
    pub phone_number: Option<Text<'a>>,
    /// Whether it is used as a second factor.
    pub reserved_for_second_factor: Option<bool>,
    /// How it was verified, if verification was tried.
    #[serde(borrow)]
    pub verification: Option<Object<Verification<'a>>>,
}

/// Clerk OpenAPI 2026-05-12, schema Web3Wallet.
#[derive(Debug, Deserialize)]
pub struct Web3Wallet<'a> {
    /// The wallet's address.
    #[serde(borrow)]
    pub web3_wallet: Option<Text<'a>>,
}

/// Clerk OpenAPI 2026-05-12, schema ExternalAccountWithVerification.
#[derive(Debug, Deserialize)]
pub struct ExternalAccount<'a> {
    /// Such as `oauth_google`; the outer `None` if the field is absent, as in answers of 2024.
    #[serde(borrow, default, deserialize_with = "present")]
    pub provider: Option<Option<Text<'a>>>,
    /// The address known to the provider.
    #[serde(borrow)]
    pub email_address: Option<Text<'a>>,
    /// How it was verified, if verification was tried.
    #[serde(borrow)]
    pub verification: Option<Object<AccountVerification<'a>>>,
}

/// Clerk OpenAPI 2026-05-12, schema EnterpriseAccount.
#[derive(Debug, Deserialize)]
pub struct EnterpriseAccount<'a> {
    /// Such as `saml_okta`.
    #[serde(borrow)]
    pub provider: Option<Text<'a>>,
    /// The address known to the identity provider.
    #[serde(borrow)]
    pub email_address: Option<Text<'a>>,
    /// Whether it can be used to sign in.
    pub active: Option<bool>,
}

/// The only part that Clerk's many `verification_…` schemas share and that is needed here.
#[derive(Debug, Deserialize)]
pub struct Verification<'a> {
    /// `verified`, or one of an open set: `unverified`, `failed`, `expired`, `transferable`, …
    #[serde(borrow)]
    pub status: Option<Text<'a>>,
}

/// The verification of an external account, which also names the strategy.
#[derive(Debug, Deserialize)]
pub struct AccountVerification<'a> {
    /// As in [`Verification`].
    #[serde(borrow)]
    pub status: Option<Text<'a>>,
    /// Such as `oauth_google`.
    #[serde(borrow)]
    pub strategy: Option<Text<'a>>,
}

/// The number of a user's passkeys; the passkeys themselves are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passkeys {
    /// How many.
    pub count: u64,
}

impl<'de> Deserialize<'de> for Passkeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Counting)
    }
}

struct Counting;

impl<'de> Visitor<'de> for Counting {
    type Value = Passkeys;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut passkeys: A) -> Result<Passkeys, A::Error> {
        let mut count = 0;
        while passkeys.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Passkeys { count })
    }
}
