//! The hashes that stand in place of personal data (`REDACT`).

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::digest::Sha256Hex;

/// A kind of personal data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Personal {
    /// E-mail addresses.
    Email,
    /// Phone numbers.
    Phone,
    /// What people are called: first, last and user names.
    Name,
    /// Network addresses.
    Ip,
}

impl Personal {
    /// Every kind, in the order the documentation names them.
    pub const ALL: [Self; 4] = [Self::Email, Self::Phone, Self::Name, Self::Ip];

    /// The word in `REDACT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Name => "name",
            Self::Ip => "ip",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// The key of the hashes. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct RedactionKey(Hmac<Sha256>);

/// A shorter key could be guessed, and with it every address that was hashed.
pub const SHORTEST_KEY: usize = 32;

/// A text that is too short to be a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is shorter than {SHORTEST_KEY} characters")]
pub struct TooShort;

impl RedactionKey {
    /// The key that a text is, white space around it left out.
    ///
    /// # Errors
    /// [`TooShort`].
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
    pub fn parse(text: &str) -> Result<Self, TooShort> {
        let text = text.trim();
        if text.chars().count() < SHORTEST_KEY {
            return Err(TooShort);
        }
        Ok(Self(Hmac::new_from_slice(text.as_bytes()).expect("a key of any length")))
    }

    /// `hmac-sha256:` and the HMAC-SHA-256 of the text in hexadecimal digits. Of an e-mail address
    /// it is that of the lower-cased one: mail does not tell them apart.
    #[must_use]
    pub fn hash(&self, kind: Personal, text: &str) -> String {
        match kind {
            Personal::Email => self.hmac(text.to_lowercase().as_bytes()),
            Personal::Phone | Personal::Name | Personal::Ip => self.hmac(text.as_bytes()),
        }
    }

    /// Tells one key from another without telling anything of it: hashes under two keys do not join.
    #[must_use]
    pub fn id(&self) -> String {
        self.hmac(b"clerk-sync/redaction-key/1")
    }

    fn hmac(&self, bytes: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(bytes);
        format!("{PREFIX}{}", Sha256Hex(mac.finalize().into_bytes().into()))
    }
}

/// How every hash begins.
const PREFIX: &str = "hmac-sha256:";

/// Digits of a key's id that manifests show: enough to tell apart all keys that an instance ever has.
const SHOWN_DIGITS: usize = 16;

/// The beginning of a key's id ([`RedactionKey::id`]), as manifests show it.
///
/// Nobody can compute the key or a hash from it. But a guess of the key can be tested against it, as against any hash
/// of a known value. So keys must be random, not only long.
#[must_use]
pub fn shown_key_id(key_id: &str) -> Option<String> {
    Some(key_id.strip_prefix(PREFIX)?.get(..SHOWN_DIGITS)?.to_owned())
}

impl fmt::Debug for RedactionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RedactionKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> RedactionKey {
        RedactionKey::parse("0123456789abcdef0123456789abcdef\n").unwrap()
    }

    // Computed with `openssl dgst -sha256 -hmac`, so that others can join with these hashes.
    #[test]
    fn a_hash_is_what_others_compute() {
        let expected =
            "hmac-sha256:e3e30b4d50224a4ba14084607085d072402144212a122eb4501daddd6bbe0ee3";
        assert_eq!(key().hash(Personal::Email, "Ada@Example.com"), expected);
        assert_ne!(key().hash(Personal::Name, "Ada"), key().hash(Personal::Name, "ada"));
    }

    #[test]
    fn a_key_is_long_and_hidden_and_known_by_its_id() {
        assert_eq!(RedactionKey::parse("0123456789abcdef0123456789abcde").unwrap_err(), TooShort);
        assert_eq!(format!("{:?}", key()), "RedactionKey(hidden)");
        assert_eq!(key().id(), key().id());
        let other = RedactionKey::parse("0123456789abcdef0123456789abcdeg").unwrap();
        assert_ne!(key().id(), other.id());
    }
}
