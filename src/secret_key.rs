//! A Clerk secret key that is never shown, and wiped from memory.

use std::fmt;

use reqwest::header::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

/// A Clerk secret key: `sk_live_…` or `sk_test_…`. `Debug` shows nothing of it, and it is wiped
/// from memory when it is dropped.
#[derive(Clone)]
pub struct SecretKey {
    text: SecretString,
    environment: KeyEnvironment,
}

impl SecretKey {
    /// Parses a key, without the white space around it. The caller wipes the original text.
    pub fn parse(text: &str) -> Result<Self, SecretKeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretKeyError::Empty);
        }
        if text.starts_with("pk_") {
            return Err(SecretKeyError::Publishable);
        }
        if text.starts_with(['"', '\'', '`', '\u{201c}', '\u{2018}']) {
            return Err(SecretKeyError::InQuotes);
        }
        if is_assignment(text) {
            return Err(SecretKeyError::Assignment);
        }
        // Visible ASCII only: the key becomes part of a header, and must not add another one.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretKeyError::Character);
        }
        let (environment, rest) = if let Some(rest) = text.strip_prefix("sk_live_") {
            (KeyEnvironment::Live, rest)
        } else if let Some(rest) = text.strip_prefix("sk_test_") {
            (KeyEnvironment::Test, rest)
        } else {
            return Err(SecretKeyError::Prefix);
        };
        if rest.is_empty() {
            return Err(SecretKeyError::Incomplete);
        }
        Ok(Self { text: SecretString::from(text), environment })
    }

    /// The kind of Clerk instance that the key belongs to.
    pub const fn environment(&self) -> KeyEnvironment {
        self.environment
    }

    /// The value of the `Authorization` header, marked as sensitive so that `Debug` of a request
    /// hides it. The copy in the HTTP client is not wiped.
    #[expect(clippy::expect_used, reason = "`parse` lets visible ASCII pass and nothing else")]
    pub fn authorization(&self) -> HeaderValue {
        let bearer = Zeroizing::new(format!("Bearer {}", self.text.expose_secret()));
        let mut value = HeaderValue::from_str(&bearer).expect("visible ASCII is a header value");
        value.set_sensitive(true);
        value
    }

    /// Whether both are the same key, to tell a rotation from a refusal.
    pub fn same_as(&self, other: &Self) -> bool {
        self.text.expose_secret() == other.text.expose_secret()
    }
}

/// Whether the text is a line such as `CLERK_SECRET_KEY=…` of an `.env` file.
fn is_assignment(text: &str) -> bool {
    let name = text.split_once('=').map(|(name, _)| name.trim_end());
    name.is_some_and(|name| {
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        name.strip_prefix("export ").unwrap_or(name).bytes().all(is_of_a_name)
            && name.contains("KEY")
    })
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey(hidden)")
    }
}

/// The kind of Clerk instance a key belongs to; they differ in their rate limits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyEnvironment {
    /// `sk_live_…`: production.
    Live,
    /// `sk_test_…`: development.
    Test,
}

/// Why a text is not a secret key. Nothing of the text is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// Nothing but white space.
    #[error("is empty; a Clerk secret key (sk_live_… or sk_test_…) is needed")]
    Empty,
    /// `pk_…`
    #[error(
        "is a publishable key (pk_…), which opens nothing here; a secret key (sk_live_… or sk_test_…) \
         is needed, which Clerk's dashboard shows under API keys"
    )]
    Publishable,
    /// `"sk_…"`
    #[error("is in quotation marks; give the Clerk secret key without them")]
    InQuotes,
    /// `CLERK_SECRET_KEY=sk_…`
    #[error(
        "is a whole line such as NAME=key; give the Clerk secret key alone, from sk_ to its end"
    )]
    Assignment,
    /// White space, a control character or a character beyond ASCII inside.
    #[error(
        "has white space, a control character or a non-ASCII character inside; copy the Clerk \
         secret key again, alone"
    )]
    Character,
    /// Anything else.
    #[error(
        "is not a Clerk secret key: those start with sk_live_ or sk_test_, and Clerk's dashboard \
         shows them under API keys"
    )]
    Prefix,
    /// `sk_live_` and no more.
    #[error("is only the beginning of a Clerk secret key; copy it again in full")]
    Incomplete,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANTED: &str = "sk_test_planted0not0a0key";

    #[test]
    fn live_and_test_keys_are_distinguished_and_trimmed() {
        for (text, environment) in
            [(" sk_live_x\n", KeyEnvironment::Live), ("sk_test_x", KeyEnvironment::Test)]
        {
            let key = SecretKey::parse(text).unwrap();
            assert_eq!(key.environment(), environment);
            assert_eq!(key.authorization().to_str().unwrap(), format!("Bearer {}", text.trim()));
        }
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        for (text, error) in [
            ("", SecretKeyError::Empty),
            (" \n", SecretKeyError::Empty),
            ("pk_live_x", SecretKeyError::Publishable),
            ("pk_test_x y", SecretKeyError::Publishable),
            ("sk_live_a b", SecretKeyError::Character),
            ("sk_live_a\r\nOrigin: b", SecretKeyError::Character),
            ("sk_live_é", SecretKeyError::Character),
            ("sk_live_\u{7f}", SecretKeyError::Character),
            ("sk_prod_x", SecretKeyError::Prefix),
            ("\"sk_live_x\"", SecretKeyError::InQuotes),
            ("'sk_live_x'", SecretKeyError::InQuotes),
            ("\u{201c}sk_live_x\u{201d}", SecretKeyError::InQuotes),
            ("CLERK_SECRET_KEY=sk_live_x", SecretKeyError::Assignment),
            ("export CLERK_SECRET_KEY = \"sk_live_x\"", SecretKeyError::Assignment),
            ("c3RyYW5nZQ==", SecretKeyError::Prefix),
            ("{\"a\":1}", SecretKeyError::Prefix),
            ("SK_LIVE_x", SecretKeyError::Prefix),
            ("sk_live_", SecretKeyError::Incomplete),
        ] {
            assert_eq!(SecretKey::parse(text).err(), Some(error), "{text:?}");
        }
    }

    #[test]
    fn debug_of_key_and_header_hide_the_key() {
        let key = SecretKey::parse(PLANTED).unwrap();
        for shown in [format!("{key:?}"), format!("{key:#?}"), format!("{:?}", key.authorization())]
        {
            assert!(!shown.contains("planted"), "{shown}");
        }
    }

    #[test]
    fn errors_hide_what_was_parsed() {
        for text in [
            "pk_test_planted".to_owned(),
            format!("{PLANTED} {PLANTED}"),
            format!("x{PLANTED}"),
            format!("{PLANTED}\u{e9}"),
        ] {
            let error = SecretKey::parse(&text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("planted"));
        }
    }

    #[test]
    fn a_rotated_key_differs() {
        let key = SecretKey::parse(PLANTED).unwrap();
        assert!(key.same_as(&key.clone()));
        assert!(!key.same_as(&SecretKey::parse("sk_test_other").unwrap()));
    }
}
