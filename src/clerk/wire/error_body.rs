//! The body of an error answer.

use serde::Deserialize;

use super::text::Text;

/// The body of a 4xx, and of most 5xx (Clerk OpenAPI 2026-05-12, schema ClerkErrors). Clerk's messages are not read:
/// they may quote the request, and the code is enough for every decision.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorBody<'a> {
    /// What was wrong. The first error counts.
    #[serde(borrow, default)]
    pub errors: Vec<ErrorItem<'a>>,
    /// An id that Clerk's support asks for.
    #[serde(borrow)]
    pub clerk_trace_id: Option<Text<'a>>,
}

impl ErrorBody<'_> {
    /// The first code present.
    pub fn code(&self) -> Option<&str> {
        self.errors.iter().find_map(|error| error.code.as_deref())
    }
}

/// One error (Clerk OpenAPI 2026-05-12, schema ClerkError).
#[derive(Debug, Deserialize)]
pub struct ErrorItem<'a> {
    /// Such as `clerk_key_invalid` or `feature_not_enabled`: an open set.
    #[serde(borrow)]
    pub code: Option<Text<'a>>,
    /// The parameter concerned.
    #[serde(borrow)]
    pub meta: Option<ErrorMeta<'a>>,
}

/// The part of an error's `meta` that names a parameter.
#[derive(Debug, Deserialize)]
pub struct ErrorMeta<'a> {
    /// Such as `starting_after`.
    #[serde(borrow)]
    pub param_name: Option<Text<'a>>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::decode;
    use super::*;

    #[test]
    fn the_first_error_gives_the_code() {
        let json = br#"{"errors":[{"message":"m","long_message":"l","code":"feature_not_enabled",
            "meta":{"param_name":"starting_after"}}],"meta":{},"clerk_trace_id":"t1"}"#;
        let body: ErrorBody<'_> = decode(json).unwrap();
        assert_eq!(body.code(), Some("feature_not_enabled"));
        assert_eq!(body.clerk_trace_id.as_deref(), Some("t1"));
        let meta = body.errors[0].meta.as_ref().unwrap();
        assert_eq!(meta.param_name.as_deref(), Some("starting_after"));
    }

    #[test]
    fn a_body_without_errors_has_no_code() {
        assert_eq!(decode::<ErrorBody<'_>>(b"{}").unwrap().code(), None);
    }
}
