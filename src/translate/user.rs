//! Translates a user into one resource.

use clerk_snapshot::record::{DisplayName, ObjectReference, ObjectType, ResourceRecord, Status};
use clerk_snapshot::records::Records;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::verbatim::Verbatim;
use super::{Row, Translation, non_blank, raw_of, timestamp};
use crate::clerk::wire::{
    EmailAddress, EnterpriseAccount, ExternalAccount, Object, Text, Time, User,
};
use crate::redaction::Redaction;

impl Row for User<'_> {
    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> Option<i64> {
        self.created_at.map(Time::milliseconds)
    }

    fn last_active_at(&self) -> Option<i64> {
        timestamp(self.last_active_at).map(Timestamp::unix_millis)
    }

    /// Must run before `translate`, so that the display name is made from redacted values.
    fn redact(&mut self, redaction: &Redaction) {
        for name in [&mut self.first_name, &mut self.last_name, &mut self.username] {
            redaction.replace(Personal::Name, name);
        }
        for email in self.email_addresses.iter_mut().flatten() {
            redaction.replace(Personal::Email, &mut email.email_address);
        }
        for phone in self.phone_numbers.iter_mut().flatten() {
            redaction.replace(Personal::Phone, &mut phone.phone_number);
        }
        for account in self.external_accounts.iter_mut().flatten() {
            redaction.replace(Personal::Email, &mut account.email_address);
        }
        let enterprise = self.enterprise_accounts.iter_mut().flatten();
        for account in enterprise.chain(&mut self.saml_accounts).flatten() {
            redaction.replace(Personal::Email, &mut account.email_address);
        }
    }

    fn translate(&self, raw: Option<&RawValue>, translation: &Translation, records: &mut Records) {
        let this = ObjectReference { object_type: ObjectType::User, id: &self.id };
        let primary = primary_email(self);
        let record = ResourceRecord {
            object_type: this.object_type,
            id: this.id,
            display_name: display_name(self, primary),
            status: Status::unless_any(&[self.banned, self.locked, self.deprovisioned]),
            created_at: timestamp(self.created_at),
            updated_at: timestamp(self.updated_at),
            profile: UserProfile::new(self, primary, translation),
            raw: raw_of(this.object_type, raw, translation, records),
        };
        records.push(Dataset::Users, &record);
    }
}

/// The e-mail address with the id `primary_email_address_id`, if the user has it.
fn primary_email<'a>(user: &'a User<'_>) -> Option<&'a EmailAddress<'a>> {
    let primary = user.primary_email_address_id.as_ref()?;
    let mut emails = user.email_addresses.iter().flatten();
    emails.find(|email| email.id.as_ref() == Some(primary)).map(|email| &**email)
}

/// First and last name, or whichever is there, else username, else primary e-mail, else id.
fn display_name<'a>(user: &'a User<'_>, primary: Option<&'a EmailAddress<'a>>) -> DisplayName<'a> {
    match (non_blank(user.first_name.as_deref()), non_blank(user.last_name.as_deref())) {
        (Some(first), Some(last)) => DisplayName::Two(first, last),
        (Some(name), None) | (None, Some(name)) => DisplayName::One(name),
        (None, None) => {
            let username = non_blank(user.username.as_deref());
            let email = || non_blank(primary.and_then(|it| it.email_address.as_deref()));
            DisplayName::One(username.or_else(email).unwrap_or(&user.id))
        }
    }
}

#[derive(Serialize)]
struct UserProfile<'a> {
    username: Option<&'a str>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    external_id: Option<&'a str>,
    primary_email: Option<&'a str>,
    primary_email_verified: Option<bool>,
    emails: Option<Vec<Email<'a>>>,
    phones: Option<Vec<Phone<'a>>>,
    banned: Option<bool>,
    locked: Option<bool>,
    deprovisioned: Option<bool>,
    last_sign_in_at: Option<Timestamp>,
    last_active_at: Option<Timestamp>,
    password_enabled: Option<bool>,
    two_factor_enabled: Option<bool>,
    totp_enabled: Option<bool>,
    backup_code_enabled: Option<bool>,
    passkeys: Option<u64>,
    mfa_enabled_at: Option<Timestamp>,
    mfa_disabled_at: Option<Timestamp>,
    external_accounts: Option<Vec<ExternalAccountProfile<'a>>>,
    enterprise_accounts: Option<Vec<EnterpriseAccountProfile<'a>>>,
    web3_wallets: Option<Vec<Option<&'a str>>>,
    create_organization_enabled: Option<bool>,
    delete_self_enabled: Option<bool>,
    legal_accepted_at: Option<Timestamp>,
    locale: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_metadata: Option<Verbatim<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_metadata: Option<Verbatim<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsafe_metadata: Option<Verbatim<'a>>,
}

#[derive(Serialize)]
struct Email<'a> {
    address: Option<&'a str>,
    primary: Option<bool>,
    verified: Option<bool>,
}

#[derive(Serialize)]
struct Phone<'a> {
    number: Option<&'a str>,
    primary: Option<bool>,
    verified: Option<bool>,
    second_factor: Option<bool>,
}

#[derive(Serialize)]
struct ExternalAccountProfile<'a> {
    provider: Option<&'a str>,
    email: Option<&'a str>,
    verified: Option<bool>,
}

#[derive(Serialize)]
struct EnterpriseAccountProfile<'a> {
    provider: Option<&'a str>,
    email: Option<&'a str>,
    active: Option<bool>,
}

impl<'a> UserProfile<'a> {
    fn new(
        user: &'a User<'_>,
        primary: Option<&'a EmailAddress<'a>>,
        translation: &Translation,
    ) -> Self {
        let metadata = translation.metadata;
        Self {
            username: user.username.as_deref(),
            first_name: user.first_name.as_deref(),
            last_name: user.last_name.as_deref(),
            external_id: user.external_id.as_deref(),
            primary_email: primary.and_then(|email| email.email_address.as_deref()),
            primary_email_verified: primary.and_then(|email| verified(status_of(email))),
            emails: each(&user.email_addresses, |email| Email {
                address: email.email_address.as_deref(),
                primary: is_primary(&email.id, &user.primary_email_address_id),
                verified: verified(status_of(email)),
            }),
            phones: each(&user.phone_numbers, |phone| Phone {
                number: phone.phone_number.as_deref(),
                primary: is_primary(&phone.id, &user.primary_phone_number_id),
                verified: verified(phone.verification.as_ref().and_then(|it| it.status.as_deref())),
                second_factor: phone.reserved_for_second_factor,
            }),
            banned: user.banned,
            locked: user.locked,
            deprovisioned: user.deprovisioned,
            last_sign_in_at: timestamp(user.last_sign_in_at),
            last_active_at: timestamp(user.last_active_at),
            password_enabled: user.password_enabled,
            two_factor_enabled: user.two_factor_enabled,
            totp_enabled: user.totp_enabled,
            backup_code_enabled: user.backup_code_enabled,
            passkeys: user.passkeys.map(|passkeys| passkeys.count),
            mfa_enabled_at: timestamp(user.mfa_enabled_at),
            mfa_disabled_at: timestamp(user.mfa_disabled_at),
            external_accounts: each(&user.external_accounts, |account| ExternalAccountProfile {
                provider: provider(account),
                email: account.email_address.as_deref(),
                verified: verified(
                    account.verification.as_ref().and_then(|it| it.status.as_deref()),
                ),
            }),
            enterprise_accounts: each(enterprise_accounts(user), |account| {
                EnterpriseAccountProfile {
                    provider: account.provider.as_deref(),
                    email: account.email_address.as_deref(),
                    active: account.active,
                }
            }),
            web3_wallets: each(&user.web3_wallets, |wallet| wallet.web3_wallet.as_deref()),
            create_organization_enabled: user.create_organization_enabled,
            delete_self_enabled: user.delete_self_enabled,
            legal_accepted_at: timestamp(user.legal_accepted_at),
            locale: user.locale.as_deref(),
            public_metadata: Verbatim::if_asked(metadata.public, user.public_metadata),
            private_metadata: Verbatim::if_asked(metadata.private, user.private_metadata),
            unsafe_metadata: Verbatim::if_asked(metadata.unsafe_, user.unsafe_metadata),
        }
    }
}

/// Maps the items of a list; `None` if Clerk gave no list.
fn each<'a, T, P>(items: &'a Option<Vec<T>>, profile: impl FnMut(&'a T) -> P) -> Option<Vec<P>> {
    items.as_ref().map(|items| items.iter().map(profile).collect())
}

/// The enterprise accounts, which answers of 2024 have under another name.
fn enterprise_accounts<'a, 'r>(
    user: &'a User<'r>,
) -> &'a Option<Vec<Object<EnterpriseAccount<'r>>>> {
    match &user.enterprise_accounts {
        Some(accounts) => accounts,
        None => &user.saml_accounts,
    }
}

/// The provider of an external account. Answers of 2024 state it only in the verification.
fn provider<'a>(account: &'a ExternalAccount<'_>) -> Option<&'a str> {
    match &account.provider {
        Some(provider) => provider.as_deref(),
        None => account
            .verification
            .as_ref()
            .and_then(|verification| verification.strategy.as_deref())
            .filter(|strategy| strategy.starts_with("oauth_")),
    }
}

fn status_of<'a>(email: &'a EmailAddress<'_>) -> Option<&'a str> {
    email.verification.as_ref()?.status.as_deref()
}

/// True for the status `verified`, false for any other, `None` without a verification or status.
fn verified(status: Option<&str>) -> Option<bool> {
    status.map(|status| status == "verified")
}

/// Whether `id` is the primary one: false if the user has no primary one (Clerk sends `null`), `None` if the id is
/// absent (it is not in Clerk's required list).
fn is_primary(id: &Option<Text<'_>>, primary: &Option<Text<'_>>) -> Option<bool> {
    match (id, primary) {
        (_, None) => Some(false),
        (Some(id), Some(primary)) => Some(id == primary),
        (None, Some(_)) => None,
    }
}
