//! Replaces personal data before it is written (`REDACT`).

use std::collections::BTreeSet;

use clerk_snapshot::redaction::{Personal, RedactionKey};

use crate::clerk::wire::Text;

/// Which kinds of personal data are replaced, and the key of their hashes.
#[derive(Clone, Debug)]
pub struct Redaction {
    kinds: BTreeSet<Personal>,
    key: Option<RedactionKey>,
}

impl Redaction {
    /// Replaces these kinds by keyed hashes, or by nothing if there is no key.
    #[must_use]
    pub const fn new(kinds: BTreeSet<Personal>, key: Option<RedactionKey>) -> Self {
        Self { kinds, key }
    }

    /// Replaces a text if its kind is to be replaced. White space alone is no personal data, and
    /// stays.
    pub fn replace(&self, kind: Personal, text: &mut Option<Text<'_>>) {
        if self.kinds.contains(&kind) {
            self.put_in_place_of(kind, text);
        }
    }

    /// Replaces a text that may be an e-mail address or a phone number, if either is to be
    /// replaced. Lower case does not change a number, so the hash is the same as elsewhere in both
    /// cases.
    pub fn replace_contact(&self, text: &mut Option<Text<'_>>) {
        if self.kinds.contains(&Personal::Email) || self.kinds.contains(&Personal::Phone) {
            self.put_in_place_of(Personal::Email, text);
        }
    }

    fn put_in_place_of(&self, kind: Personal, text: &mut Option<Text<'_>>) {
        if let Some(said) = text.take_if(|said| !said.trim().is_empty()) {
            *text = self.key.as_ref().map(|key| Text::from(key.hash(kind, &said)));
        }
    }

    /// As [`RedactionKey::id`].
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        Some(self.key.as_ref()?.id())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn key() -> RedactionKey {
        RedactionKey::parse("0123456789abcdef0123456789abcdef\n").unwrap()
    }

    fn replaced(key: Option<RedactionKey>, kind: Personal, text: &str) -> Option<String> {
        let mut text = Some(Text::from(text));
        Redaction::new([kind].into(), key).replace(kind, &mut text);
        text.map(|text| text.to_string())
    }

    // Computed with `openssl dgst -sha256 -hmac`, so that others can join with these hashes.
    #[test]
    fn a_hash_is_what_others_compute() {
        let hash = replaced(Some(key()), Personal::Email, "Ada@Example.com");
        let expected =
            "hmac-sha256:e3e30b4d50224a4ba14084607085d072402144212a122eb4501daddd6bbe0ee3";
        assert_eq!(hash.as_deref(), Some(expected));
        let name = replaced(Some(key()), Personal::Name, "Ada");
        assert_ne!(name, replaced(Some(key()), Personal::Name, "ada"));
    }

    #[test]
    fn without_a_key_nothing_is_left() {
        assert_eq!(replaced(None, Personal::Phone, "+15550100"), None);
        assert_eq!(replaced(None, Personal::Name, " ").as_deref(), Some(" "));
    }

    #[test]
    fn other_kinds_stay() {
        let redaction = Redaction::new([Personal::Ip].into(), Some(key()));
        let mut text = Some(Text::from("Ada"));
        redaction.replace(Personal::Name, &mut text);
        assert_eq!(text, Some(Text::from("Ada")));
    }

    #[test]
    fn a_contact_has_the_hash_of_the_address_or_number_that_it_is() {
        for (kind, text) in [(Personal::Email, "Ada@Example.com"), (Personal::Phone, "+15550100")] {
            let expected = replaced(Some(key()), kind, text);
            for asked in [Personal::Email, Personal::Phone] {
                let mut contact = Some(Text::from(text));
                Redaction::new([asked].into(), Some(key())).replace_contact(&mut contact);
                assert_eq!(contact.as_deref(), expected.as_deref());
            }
        }
        let mut contact = Some(Text::from("Ada@Example.com"));
        Redaction::new([Personal::Name].into(), Some(key())).replace_contact(&mut contact);
        assert_eq!(contact.as_deref(), Some("Ada@Example.com"));
    }
}
