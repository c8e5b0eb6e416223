//! Counts users by the day of their latest activity.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use clerk_snapshot::timestamp::Day;
use serde::{Deserialize, Serialize, Serializer};

use crate::lists::page::ReadRow;

/// How many users were last active on each UTC day. Days without users are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<(Day, u64)>")]
pub struct DailyCounts(BTreeMap<Day, u64>);

impl From<Vec<(Day, u64)>> for DailyCounts {
    fn from(days: Vec<(Day, u64)>) -> Self {
        Self(days.into_iter().collect())
    }
}

impl Serialize for DailyCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl DailyCounts {
    /// Counts the rows whose day is one of `days`.
    pub fn add<'a>(
        &mut self,
        days: &RangeInclusive<Day>,
        rows: impl IntoIterator<Item = &'a ReadRow>,
    ) {
        for day in rows.into_iter().filter_map(|row| row.active_on).filter(|it| days.contains(it)) {
            *self.0.entry(day).or_default() += 1;
        }
    }

    /// The users of one day.
    #[must_use]
    pub fn on(&self, day: Day) -> u64 {
        self.0.get(&day).copied().unwrap_or_default()
    }

    /// The users of all days; `None` if the sum overflows.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.0.values().try_fold(0, |total: u64, count| total.checked_add(*count))
    }

    /// Whether nobody was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
