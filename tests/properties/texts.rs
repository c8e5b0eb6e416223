//! Parsed texts: no text makes a parser panic, and what is printed is parsed back unchanged.

use std::path::PathBuf;
use std::time::Duration;

use clerk_snapshot::timestamp::Timestamp;
use clerk_store::SnapshotUrl;
use clerk_sync::clerk::retry::{MAX_RETRY_AFTER, retry_after};
use clerk_sync::config::{Config, Environment, Place, SETTINGS};
use clerk_sync::event::Event;
use proptest::collection::vec;
use proptest::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use super::cases;

/// The years 0000 to 9999.
fn moments() -> impl Strategy<Value = Timestamp> {
    let millis = -62_167_219_200_000..=253_402_300_799_999_i64;
    millis.prop_map(|millis| Timestamp::from_unix_millis(millis).unwrap())
}

fn folders() -> impl Strategy<Value = PathBuf> {
    let part = "[^/\\p{Cc}]{1,12}".prop_filter("a name", |part| part != "." && part != "..");
    vec(part, 1..5).prop_map(|parts| parts.iter().fold(PathBuf::from("/"), |all, it| all.join(it)))
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_timestamp_is_read_as_it_is_written(moment in moments()) {
        let text = moment.to_string();
        prop_assert_eq!(text.len(), 24);
        prop_assert_eq!(text.parse::<Timestamp>().unwrap(), moment);
        prop_assert_eq!(OffsetDateTime::parse(&text, &Rfc3339).unwrap(), moment.to_date_time());
        let stamp = format!("{}Z", text[..19].replace(['-', ':'], ""));
        prop_assert_eq!(moment.snapshot_id_stamp(), stamp);
    }

    /// The names of snapshots sort by time.
    #[test]
    fn a_later_snapshot_has_a_later_name(one in moments(), other in moments()) {
        let by_name = one.snapshot_id_stamp().cmp(&other.snapshot_id_stamp());
        let seconds = |moment: Timestamp| moment.unix_millis().div_euclid(1000);
        prop_assert_eq!(by_name, seconds(one).cmp(&seconds(other)));
    }

    #[test]
    fn timestamps_and_durations_never_overflow(moment in moments(), span in any::<u64>(), nanos in 0..1_000_000_000_u32) {
        let span = Duration::new(span, nanos);
        prop_assert!(moment + span >= moment && moment - span <= moment);
        prop_assert!((moment + span).saturating_duration_since(moment) <= span);
    }

    #[test]
    fn what_looks_like_a_timestamp_is_one_or_is_refused(text in "[0-9]{1,5}-[0-9]{1,2}-[0-9]{1,2}[Tt ][0-9]{2}:[0-9]{2}:[0-6][0-9](\\.[0-9]{1,12})?([Zz]|[+-][0-9]{2}:[0-9]{2})") {
        if let Ok(moment) = text.parse::<Timestamp>() {
            prop_assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
        }
    }

    #[test]
    fn a_retry_after_is_bounded_and_exact(seconds in any::<u64>(), at in 0..4_000_000_000_i64, wait in 0..200_000_i64) {
        let now = OffsetDateTime::from_unix_timestamp(at).unwrap();
        let bounded = Duration::from_secs(seconds).min(MAX_RETRY_AFTER);
        prop_assert_eq!(retry_after(&seconds.to_string(), now), Some(bounded));
        let date = (now + Duration::from_secs(wait as u64)).format(&Rfc2822).unwrap();
        let bounded = Duration::from_secs(wait as u64).min(MAX_RETRY_AFTER);
        for date in [date.replace("+0000", "GMT"), date] {
            prop_assert_eq!(retry_after(&date, now), Some(bounded), "{}", date);
        }
    }

    #[test]
    fn a_folder_is_read_as_it_is_written(folder in folders()) {
        let url = SnapshotUrl::Folder(folder);
        prop_assert_eq!(url.to_string().parse::<SnapshotUrl>(), Ok(url));
    }

    #[test]
    fn a_bucket_is_read_as_it_is_written(
        bucket in "[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        prefix in vec("[^/\\\\?#\\p{Cc}]{1,12}", 0..4),
    ) {
        prop_assume!(prefix.iter().all(|part| part != "." && part != ".."));
        let url = SnapshotUrl::S3 { bucket, prefix: prefix.join("/") };
        prop_assert_eq!(url.to_string().parse::<SnapshotUrl>(), Ok(url));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>(), index in any::<usize>()) {
        let now = OffsetDateTime::UNIX_EPOCH;
        prop_assert!(retry_after(&text, now).is_none_or(|wait| wait <= MAX_RETRY_AFTER));
        let _ = text.parse::<Timestamp>();
        for url in [text.clone(), format!("s3://{text}"), format!("file:///{text}")] {
            if let Ok(url) = url.parse::<SnapshotUrl>() {
                prop_assert_eq!(url.to_string().parse::<SnapshotUrl>(), Ok(url));
            }
        }
        let _ = Event::from_json(text.as_bytes());
        let name = SETTINGS[index % SETTINGS.len()].name;
        let environment = Environment::from_pairs([(name, text.as_str())]);
        prop_assert!(Config::from_environment(&environment, Place::Lambda).is_err());
    }
}
