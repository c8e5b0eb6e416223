//! Parses SNAP: which snapshot is asked for.

use std::str::FromStr;
use std::time::Duration;

use clerk_snapshot::timestamp::{MILLIS_OF_DAY, Timestamp};

/// Which snapshot is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Which {
    /// `latest`: the newest published one.
    #[default]
    Latest,
    /// `previous`: the one that `latest.json` named before.
    Previous,
    /// An id, or the beginning of one.
    Id(String),
    /// `2026-09-30`: the newest published one that was completed before this time, the end of that day in UTC.
    Before(Timestamp),
    /// `-7d`, `-12h`: the newest published one that was completed at least so long ago.
    Age(Duration),
}

/// A text that is no SNAP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a snapshot is latest, previous, an id or the beginning of one (20260930T0352), a date (2026-09-30), or an age \
     (-7d, -12h)"
)]
pub struct InvalidWhich;

/// Longest age in days, some 2,700 years: longer ones leave the years that times have.
const LONGEST_AGE_DAYS: u64 = 1_000_000;

impl FromStr for Which {
    type Err = InvalidWhich;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "latest" => return Ok(Self::Latest),
            "previous" => return Ok(Self::Previous),
            _ => {}
        }
        if let Some(age) = text.strip_prefix('-') {
            return parse_age(age).map(Self::Age).ok_or(InvalidWhich);
        }
        if is_date(text) {
            return end_of_day(text).map(Self::Before).ok_or(InvalidWhich);
        }
        if is_beginning_of_id(text) { Ok(Self::Id(text.to_owned())) } else { Err(InvalidWhich) }
    }
}

/// `7d` or `12h`.
fn parse_age(text: &str) -> Option<Duration> {
    let (number, hours) = match text.strip_suffix('d') {
        Some(days) => (days, 24),
        None => (text.strip_suffix('h')?, 1),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours = number.parse::<u64>().ok()?.checked_mul(hours)?;
    (hours <= LONGEST_AGE_DAYS * 24).then(|| Duration::from_secs(hours * 3600))
}

/// Whether it has the form `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// The first time after that day; `None` if there is no such day.
fn end_of_day(date: &str) -> Option<Timestamp> {
    let begin: Timestamp = format!("{date}T00:00:00Z").parse().ok()?;
    Timestamp::from_unix_millis(begin.unix_millis() + MILLIS_OF_DAY)
}

/// Whether a snapshot's id, `20261120T120000Z-3f9a1c`, may begin with the text.
fn is_beginning_of_id(text: &str) -> bool {
    const FORM: &[u8] = b"00000000T000000Z-ffffff";
    let fits = |(byte, form): (u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'f' => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
        form => byte == *form,
    };
    !text.is_empty() && text.len() <= FORM.len() && text.bytes().zip(FORM).all(fits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let day_after: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
        for (text, which) in [
            ("latest", Which::Latest),
            ("previous", Which::Previous),
            ("2026-09-30", Which::Before(day_after)),
            ("-7d", Which::Age(Duration::from_secs(7 * 86_400))),
            ("-12h", Which::Age(Duration::from_secs(12 * 3_600))),
            ("-0d", Which::Age(Duration::ZERO)),
            ("2", Which::Id("2".to_owned())),
            ("20260930", Which::Id("20260930".to_owned())),
            ("20260930T035200Z-3f9a1c", Which::Id("20260930T035200Z-3f9a1c".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(which), "{text}");
        }
    }

    // Promise: what names no snapshot is refused rather than read as another form.
    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "yesterday",
            "-7",
            "-d",
            "-+7d",
            "-7w",
            "-99999999999d",
            "7d",
            "2026-13-01",
            "2026-02-30",
            "2026-9-30",
            "20260930T035200Z-3F9A1C",
            "20260930T035200Z-3f9a1c0",
            "../latest",
            "LATEST",
        ] {
            assert_eq!(text.parse::<Which>(), Err(InvalidWhich), "{text}");
        }
    }
}
