//! Reads what an event repeats of the record that came or went.

use std::borrow::Cow;

use clerk_snapshot::compare::change::Change;
use serde::Deserialize;

/// What an event repeats of a record; nothing of one that differs, because a change has its differences alone.
#[derive(Debug, Default, Deserialize)]
pub struct Record<'a> {
    /// Its name.
    #[serde(borrow, default)]
    pub display_name: Option<Cow<'a, str>>,
    /// The permissions of a role grant.
    #[serde(borrow, default)]
    permissions: Option<Vec<Option<Cow<'a, str>>>>,
    #[serde(borrow, default)]
    profile: Profile<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Profile<'a> {
    #[serde(borrow, default)]
    username: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    primary_email: Option<Cow<'a, str>>,
    #[serde(default)]
    two_factor_enabled: Option<bool>,
}

impl<'a> Record<'a> {
    /// The record of a change. What another version of the program wrote in another form counts as not stated.
    #[must_use]
    pub fn of(change: &Change<'a>) -> Self {
        let line = change.after.or(change.before);
        line.and_then(|line| serde_json::from_str(line.get()).ok()).unwrap_or_default()
    }

    /// The user name.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.profile.username.as_deref()
    }

    /// The primary address, if it has the form that OCSF asks for: a hash in its place has not, nor has an address with
    /// letters other than ASCII's.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.profile.primary_email.as_deref().filter(|address| is_ocsf_email(address))
    }

    /// Whether there is a second factor.
    #[must_use]
    pub const fn has_second_factor(&self) -> Option<bool> {
        self.profile.two_factor_enabled
    }

    /// The keys of the permissions that it carries.
    pub fn permissions(&self) -> impl Iterator<Item = &str> {
        self.permissions.iter().flatten().flatten().map(AsRef::as_ref)
    }
}

/// The regular expression of OCSF's `email_t`: a local part of these characters, `@`, and a domain with a dot.
fn is_ocsf_email(text: &str) -> bool {
    let is_local =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+,-./=?^_`{|}~".contains(&byte);
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let Some((local, (label, rest))) =
        text.split_once('@').and_then(|(local, domain)| Some((local, domain.split_once('.')?)))
    else {
        return false;
    };
    ![local, label, rest].contains(&"")
        && local.bytes().all(is_local)
        && label.bytes().all(is_domain)
        && rest.bytes().all(|byte| is_domain(byte) || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: an address is only repeated where OCSF accepts it.
    #[test]
    fn an_address_has_the_form_that_ocsf_asks_for() {
        for address in ["ada@example.com", "a.b+c_d'e@x-1.co.uk", "A@b.c."] {
            assert!(is_ocsf_email(address), "{address}");
        }
        for text in [
            "",
            "ada",
            "ada@example",
            "@example.com",
            "ada@.com",
            "ada@b.",
            "a@b@c.d",
            "ä@b.c",
            "a b@c.d",
        ] {
            assert!(!is_ocsf_email(text), "{text}");
        }
    }
}
