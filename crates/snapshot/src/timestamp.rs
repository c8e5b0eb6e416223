//! A point in time in whole milliseconds, and its text form.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

/// A point in time between the years 0000 and 9999, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// `Display` and serde write it as RFC 3339 in UTC with three decimals, `2026-11-20T12:00:00.000Z`. Parsing accepts any
/// RFC 3339 time and drops digits after the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 0000-01-01T00:00:00.000Z, in milliseconds since 1970: RFC 3339 has no earlier year.
const EARLIEST_MILLIS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, in milliseconds since 1970: RFC 3339 has no later year.
const LATEST_MILLIS: i64 = 253_402_300_799_999;

/// Milliseconds per day of UTC, without leap seconds.
pub const MILLIS_OF_DAY: i64 = 86_400_000;
/// Julian day number of 1970-01-01.
const JULIAN_DAY_OF_1970: i32 = 2_440_588;

impl Timestamp {
    /// The time `millis` milliseconds after 1970 (negative: before), as Clerk states times. `None` outside of the years
    /// 0000 to 9999, which RFC 3339 cannot represent.
    #[must_use]
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        (EARLIEST_MILLIS..=LATEST_MILLIS).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// The first part of a snapshot id: `20261120T120000Z`, in whole seconds.
    #[must_use]
    pub fn snapshot_id_stamp(self) -> String {
        let time = self.to_date_time();
        format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
        )
    }

    /// Time elapsed since `earlier`; zero if `earlier` is not before this time.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// The same time as a date and a time of day in UTC.
    #[must_use]
    pub fn to_date_time(self) -> OffsetDateTime {
        // The fallback is never used: every `Timestamp` is within the years that the type can represent.
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn clamped(millis: i64) -> Self {
        Self(millis.clamp(EARLIEST_MILLIS, LATEST_MILLIS))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// The time `duration` later, or the latest one.
    fn add(self, duration: Duration) -> Self {
        Self::clamped(self.0.saturating_add(whole_millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// The time `duration` earlier, or the earliest one.
    fn sub(self, duration: Duration) -> Self {
        Self::clamped(self.0.saturating_sub(whole_millis(duration)))
    }
}

/// Milliseconds of `duration`, or `i64::MAX`.
fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<SystemTime> for Timestamp {
    /// A time outside of the years 0000 to 9999 becomes the nearest one inside.
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(0) + since,
            Err(before) => Self(0) - before.duration(),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text().as_str())
    }
}

/// The text of a timestamp, on the stack, because several are written for every row.
struct Text([u8; 24]);

impl Text {
    fn as_str(&self) -> &str {
        // The fallback is never used: the text is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Timestamp {
    fn text(self) -> Text {
        let day = self.0.div_euclid(MILLIS_OF_DAY);
        let millis = self.0.rem_euclid(MILLIS_OF_DAY);
        // The fallback is never used: every `Timestamp` is within the years that the type can represent.
        let (year, month, day) = i32::try_from(day)
            .ok()
            .and_then(|day| Date::from_julian_day(JULIAN_DAY_OF_1970 + day).ok())
            .unwrap_or(Date::MIN)
            .to_calendar_date();
        let mut text = *b"0000-00-00T00:00:00.000Z";
        write_digits(&mut text[0..4], i64::from(year));
        write_digits(&mut text[5..7], i64::from(u8::from(month)));
        write_digits(&mut text[8..10], i64::from(day));
        write_digits(&mut text[11..13], millis / 3_600_000);
        write_digits(&mut text[14..16], millis / 60_000 % 60);
        write_digits(&mut text[17..19], millis / 1_000 % 60);
        write_digits(&mut text[20..23], millis % 1_000);
        Text(text)
    }
}

/// Writes `number` in decimal with leading zeros into all of `place`.
fn write_digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that is not an RFC 3339 time, such as `2026-11-20T12:00:00.000Z`.
#[derive(Debug, thiserror::Error)]
#[error("is not an RFC 3339 time such as 2026-11-20T12:00:00.000Z")]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?;
        let millis = time.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(millis).ok().and_then(Self::from_unix_millis).ok_or(InvalidTimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Days since 1970, in UTC.
pub type Day = i64;

/// The day of a time given in milliseconds since 1970.
#[must_use]
pub const fn day_of(milliseconds: i64) -> Day {
    milliseconds.div_euclid(MILLIS_OF_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-11-20T12:00:00.000Z
    const NOON: i64 = 1_795_176_000_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis).unwrap()
    }

    // docs/data.md: times are RFC 3339 UTC with milliseconds.
    #[test]
    fn is_written_as_documented() {
        assert_eq!(at(NOON).to_string(), "2026-11-20T12:00:00.000Z");
        assert_eq!(at(NOON + 7).to_string(), "2026-11-20T12:00:00.007Z");
        assert_eq!(at(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(at(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(serde_json::to_string(&at(NOON)).unwrap(), r#""2026-11-20T12:00:00.000Z""#);
    }

    // docs/data.md: a snapshot_id begins with `YYYYMMDDTHHMMSSZ`.
    #[test]
    fn a_snapshot_id_begins_with_whole_seconds() {
        assert_eq!(at(NOON + 999).snapshot_id_stamp(), "20261120T120000Z");
    }

    #[test]
    fn the_earliest_and_latest_times_survive_a_round_trip() {
        for (millis, text) in [
            (EARLIEST_MILLIS, "0000-01-01T00:00:00.000Z"),
            (LATEST_MILLIS, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(at(millis).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), at(millis));
        }
        assert!(Timestamp::from_unix_millis(EARLIEST_MILLIS - 1).is_none());
        assert!(Timestamp::from_unix_millis(LATEST_MILLIS + 1).is_none());
        assert!(Timestamp::from_unix_millis(i64::MAX).is_none());
    }

    #[test]
    fn is_read_back_as_written_and_from_any_offset() {
        for millis in [NOON, NOON + 123, 0, -1, 86_399_999] {
            assert_eq!(at(millis).to_string().parse::<Timestamp>().unwrap(), at(millis));
        }
        let read = |text: &str| text.parse::<Timestamp>();
        assert_eq!(read("2026-11-20T14:00:00+02:00").unwrap(), at(NOON));
        assert_eq!(read("2026-11-20T12:00:00.0019Z").unwrap(), at(NOON + 1));
        assert_eq!(read("1969-12-31T23:59:59.9999Z").unwrap(), at(-1));
        for wrong in ["", "yesterday", "2026-11-20", "2026-13-20T12:00:00Z"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        // Valid as RFC 3339, but before the year 0000 in UTC.
        assert!(read("0000-01-01T00:00:00+01:00").is_err());
        assert!(serde_json::from_str::<Timestamp>("12").is_err());
    }

    #[test]
    fn arithmetic_saturates() {
        let second = Duration::from_secs(1);
        assert_eq!(at(NOON) + second, at(NOON + 1000));
        assert_eq!(at(NOON) - second, at(NOON - 1000));
        assert_eq!((at(NOON) + Duration::MAX).unix_millis(), LATEST_MILLIS);
        assert_eq!((at(NOON) - Duration::MAX).unix_millis(), EARLIEST_MILLIS);
        assert_eq!(at(NOON + 5).saturating_duration_since(at(NOON)).as_millis(), 5);
        assert_eq!(at(NOON).saturating_duration_since(at(NOON + 5)), Duration::ZERO);
        assert!(at(NOON) < at(NOON + 1));
    }
}
