//! A point in time in Clerk's JSON.

use std::fmt;

use clerk_snapshot::timestamp::Timestamp;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Milliseconds since 1970 in Clerk's JSON, RFC 3339 in records.
///
/// Clerk writes 0 or Go's zero time (-62135596800000) for "none". Such a time is kept as a number, because lists are
/// ordered by these numbers, and written as `null`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time {
    /// Between the years 0 and 9999.
    milliseconds: i64,
}

/// The year 0. Earlier values all mean "none", so they are raised to it.
const EARLIEST: i64 = -62_167_219_200_000;

impl Time {
    /// Clerk's number without its fraction.
    #[must_use]
    pub const fn milliseconds(self) -> i64 {
        self.milliseconds
    }

    /// The point in time; `None` if Clerk states none.
    #[must_use]
    pub fn timestamp(self) -> Option<Timestamp> {
        (self.milliseconds > 0).then(|| Timestamp::from_unix_millis(self.milliseconds)).flatten()
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.timestamp().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(Milliseconds)
    }
}

struct Milliseconds;

impl Visitor<'_> for Milliseconds {
    type Value = Time;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a time in milliseconds up to the year 9999")
    }

    fn visit_i64<E: Error>(self, milliseconds: i64) -> Result<Time, E> {
        let time = Time { milliseconds: milliseconds.max(EARLIEST) };
        match Timestamp::from_unix_millis(time.milliseconds) {
            Some(_) => Ok(time),
            None => Err(E::invalid_value(Unexpected::Other("time"), &self)),
        }
    }

    fn visit_u64<E: Error>(self, milliseconds: u64) -> Result<Time, E> {
        self.visit_i64(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }

    /// Drops the fraction of a millisecond. (A number out of range of `i64` becomes the nearest one.)
    fn visit_f64<E: Error>(self, milliseconds: f64) -> Result<Time, E> {
        self.visit_i64(milliseconds.floor() as i64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::decode;
    use super::*;

    fn written(json: &str) -> String {
        let time: Time = decode(json.as_bytes()).unwrap();
        serde_json::to_string(&time).unwrap()
    }

    #[test]
    fn whole_and_fractional_milliseconds_become_a_date() {
        for json in ["1795176000123", "1795176000123.0", "1795176000123.999", "1.795176000123e12"] {
            assert_eq!(written(json), r#""2026-11-20T12:00:00.123Z""#, "{json}");
        }
        assert_eq!(written("253402300799999"), r#""9999-12-31T23:59:59.999Z""#);
        assert_eq!(written("1"), r#""1970-01-01T00:00:00.001Z""#);
    }

    #[test]
    fn zero_and_below_mean_none() {
        for json in
            ["0", "-0", "0.0", "0.5", "-1", "-62135596800000", "-9223372036854775808", "-1e300"]
        {
            assert_eq!(written(json), "null", "{json}");
        }
        let time: Time = decode(b"-62135596800000").unwrap();
        assert_eq!(time.milliseconds(), -62_135_596_800_000, "lists are ordered by these numbers");
    }

    #[test]
    fn an_invalid_time_is_an_error_that_does_not_repeat_it() {
        for json in [
            "253402300800000",
            "9223372036854775807",
            "18446744073709551615",
            "1e300",
            "\"2026-11-20\"",
            "true",
            "{}",
            "[]",
        ] {
            let error = decode::<Time>(json.as_bytes()).unwrap_err();
            assert_eq!(
                error.problem, "expected a time in milliseconds up to the year 9999",
                "{json}"
            );
        }
    }
}
