//! A moment as Clerk writes it.

use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Milliseconds since 1970 in Clerk's JSON, RFC 3339 in records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Time(pub Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let milliseconds = i64::deserialize(deserializer)?;
        Timestamp::from_unix_millis(milliseconds).map(Self).ok_or_else(|| {
            Error::invalid_value(Unexpected::Other("time"), &"a time in the years 0000 to 9999")
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::decode;
    use super::*;

    #[test]
    fn milliseconds_become_a_date() {
        let time: Time = decode(b"1795176000123").unwrap();
        assert_eq!(serde_json::to_string(&time).unwrap(), r#""2026-11-20T12:00:00.123Z""#);
    }

    #[test]
    fn what_is_no_time_is_an_error_that_does_not_repeat_it() {
        for (json, problem) in [
            ("9223372036854775807", "expected a time in the years 0000 to 9999"),
            ("1.5", "expected a 64-bit integer"),
            ("\"2026-11-20\"", "expected a 64-bit integer"),
        ] {
            let error = decode::<Time>(json.as_bytes()).unwrap_err();
            assert_eq!(error.problem, problem, "{json}");
        }
    }
}
