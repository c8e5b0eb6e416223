//! The body of an error answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::Text;

/// The body of a 4xx, and of most 5xx (Clerk OpenAPI 2026-05-12, schema ClerkErrors). Clerk's messages are not read:
/// they may quote the request, and the code is enough for every decision. A value of another type counts as absent, so
/// that no oddity beside the code hides it.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorBody<'a> {
    #[serde(borrow, default)]
    errors: Vec<ErrorItem<'a>>,
    #[serde(borrow)]
    clerk_trace_id: Option<&'a RawValue>,
}

/// One error (Clerk OpenAPI 2026-05-12, schema ClerkError).
#[derive(Debug, Deserialize)]
struct ErrorItem<'a> {
    /// Such as `clerk_key_invalid` or `feature_not_enabled`: an open set.
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

impl<'a> ErrorBody<'a> {
    /// The first code present.
    #[must_use]
    pub fn code(&self) -> Option<Text<'a>> {
        self.errors.iter().find_map(|error| text(error.code))
    }

    /// An id that Clerk's support asks for.
    #[must_use]
    pub fn trace_id(&self) -> Option<Text<'a>> {
        text(self.clerk_trace_id)
    }
}

fn text(value: Option<&RawValue>) -> Option<Text<'_>> {
    serde_json::from_str(value?.get()).ok()
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
        assert_eq!(body.code().as_deref(), Some("feature_not_enabled"));
        assert_eq!(body.trace_id().as_deref(), Some("t1"));
    }

    /// `meta` may hold anything (`additionalProperties: true`), and what is odd beside the code does not hide it.
    #[test]
    fn values_of_other_types_do_not_hide_the_code() {
        for beside in
            [r#""meta":"""#, r#""meta":{"param_name":["a"]}"#, r#""message":7,"meta":[[]]"#]
        {
            let json = format!(
                r#"{{"errors":[{{"code":7}},{{"code":"user_not_found",{beside}}}],"clerk_trace_id":{{}}}}"#
            );
            let body: ErrorBody<'_> = decode(json.as_bytes()).unwrap();
            assert_eq!(body.code().as_deref(), Some("user_not_found"), "{json}");
            assert_eq!(body.trace_id(), None);
        }
    }

    #[test]
    fn a_body_without_errors_has_no_code() {
        assert_eq!(decode::<ErrorBody<'_>>(b"{}").unwrap().code(), None);
    }
}
