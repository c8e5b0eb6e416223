//! Daily active users: the number of users by the UTC day of their latest activity.
//!
//! Users are counted while they are read. The counts belong to the segments of the users, so that a
//! segment that is read again is counted again and none is counted twice. When the users are done,
//! the sums become records.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use clerk_snapshot::part::PartBuilder;
use clerk_snapshot::record::MetricRecord;
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::timestamp::Day;
use clerk_snapshot::timestamp::{MILLIS_OF_DAY, Timestamp};

use crate::lists::endpoint::Destination;
use crate::lists::page::RowKey;
use crate::sync::checkpoint::daily_counts::DailyCounts;
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, Window};
use crate::sync::error::SyncError;
use crate::sync::run::RunContext;
use crate::sync::write::segment::{SegmentId, store_part};

/// Writes a record for each day. The users must be done.
///
/// # Errors
/// [`SyncError`].
pub(crate) async fn write(run: &RunContext) -> Result<(), SyncError> {
    let Some(days) = run.days_counted() else { return Ok(()) };
    let (mut daily, left_out, values) = run.list(Resource::Users, |users| {
        let mut daily = ListProgress::new(users.mode);
        daily.stage = users.stage.clone();
        daily.source_count = users.source_count;
        let on = |day| users.segments().map(|segment| segment.active.on(day)).sum();
        let values: Vec<u64> = days.clone().map(on).collect();
        (daily, users.is_left_out(), values)
    });
    if !left_out {
        daily.windows = vec![Window {
            ended: true,
            segments: vec![store_records(run, &days, &values).await?],
            ..Window::default()
        }];
    }
    run.commit_list(Resource::DailyActiveUsers, |list| *list = daily).await
}

/// Stores the records as the only segment of the dataset.
async fn store_records(
    run: &RunContext,
    days: &RangeInclusive<Day>,
    values: &[u64],
) -> Result<Segment, SyncError> {
    let dataset = Dataset::DailyActiveUsers;
    let mut records = Records::new(&[dataset]);
    for (day, &value) in days.clone().zip(values) {
        let date = &date_of(day)?;
        records.push(dataset, &MetricRecord { name: dataset.name(), date, value });
    }
    let started_at = run.leased.with_checkpoint(|checkpoint| checkpoint.started_at);
    let mut part = PartBuilder::new(run.output.compression)?;
    part.add_lines(records.bytes(dataset), (started_at, run.clock.now()))?;
    let number = SegmentId { window: 0, sequence: 0 };
    let mut parts = BTreeMap::new();
    if let Some(finished) = part.finish()? {
        parts.extend([store_part(run, &Destination::of(dataset), number, finished).await?]);
    }
    let key = |day| Ok::<_, SyncError>(RowKey { id: date_of(day)?, created_at: None });
    Ok(Segment {
        sequence: number.sequence,
        rows: values.len() as u64,
        first: key(*days.start())?,
        last: key(*days.end())?,
        parts,
        dangling_principals: 0,
        dangling_resources: 0,
        unresolved_role_keys: BTreeMap::new(),
        unreadable_fields: BTreeMap::new(),
        users_unchecked: false,
        active: DailyCounts::default(),
    })
}

/// The date of a day, such as `2026-11-20`.
fn date_of(day: Day) -> Result<String, SyncError> {
    let midnight = day.checked_mul(MILLIS_OF_DAY).and_then(Timestamp::from_unix_millis);
    let outside = || SyncError::Internal("a day lies outside the years 0000 to 9999".to_owned());
    let mut date = midnight.ok_or_else(outside)?.to_string();
    date.truncate("2026-11-20".len());
    Ok(date)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use clerk_snapshot::timestamp::day_of;

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(day_of(0), 0);
        assert_eq!(day_of(-1), -1);
        assert_eq!(day_of(86_399_999), 0);
        assert_eq!(day_of(86_400_000), 1);
        assert_eq!(date_of(20_777).unwrap(), "2026-11-20");
        assert!(date_of(i64::MAX).is_err());
    }
}
