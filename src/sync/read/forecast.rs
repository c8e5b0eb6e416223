//! Estimates, before a list is read by owner, whether this can be done in time.
//!
//! Reading by owner takes at least one request per owner, and a run older than
//! `SNAPSHOT_MAX_AGE_HOURS` is abandoned and started again, which could go on for ever. Such a list
//! is left out of the snapshot, unless it is essential.

use std::time::Duration;

use tracing::{info, warn};

use crate::clerk::wire;
use crate::lists::endpoint::PAGE_ROWS;
use crate::lists::endpoint::{ByOwner, Endpoint, Paging};
use crate::lists::list_error::ListError;
use crate::lists::table::endpoint;
use crate::paging::position::PagingMode;
use crate::paging::reader::row_at;
use crate::sync::error::Stop;
use crate::sync::read::left_out;
use crate::sync::read::list_pager::owners;
use crate::sync::run::RunContext;

/// Compares the time that the rest of a list takes by owner with the time until the run is
/// abandoned. If it does not fit, logs a warning, and leaves the list out unless it is essential.
/// Does nothing for a list that is not read by owner or whose owners cannot be counted.
///
/// # Errors
/// [`Stop::Pause`] if the owners cannot be counted now; or as
/// [`RunContext::commit_list`].
pub(crate) async fn leave_out_if_too_slow(
    run: &RunContext,
    list: &'static Endpoint,
) -> Result<(), Stop> {
    let is_by_owner = run.list(list.name(), |list| list.mode == PagingMode::ByOwner);
    let Some(by_owner) = list.by_owner.filter(|_| is_by_owner) else { return Ok(()) };
    let Some(owners) = owners_to_read(run, list, by_owner).await? else { return Ok(()) };
    let passed = owners_passed(run, list);
    let started_at = run.leased.with_checkpoint(|checkpoint| checkpoint.started_at);
    let forecast = Forecast {
        owners: owners.saturating_sub(passed),
        age: run.clock.now().saturating_duration_since(started_at),
        max_age: run.max_age,
        per_request: run.client.time_for(1, Duration::ZERO),
    };
    info!(
        clerk.path = list.path,
        owners = forecast.owners,
        requests = forecast.requests(),
        seconds_at_least = forecast.least_time().as_secs(),
        "reading a list by owner"
    );
    if forecast.fits() {
        return Ok(());
    }
    // A run is abandoned only when an invocation begins, so one that this invocation finishes is
    // safe.
    let decision = if run.work_limit.allows(forecast.likely_time()) {
        Decision::Finish
    } else if left_out::is_essential(list.name()) {
        Decision::ReadAnyway
    } else {
        Decision::LeaveOut
    };
    let owners = by_owner.owners.name();
    let warning = forecast.warning(list.path, owners, list.resource.name(), decision);
    warn!(clerk.path = list.path, "{warning}");
    run.warnings.add(list.name(), warning.clone());
    match decision {
        Decision::Finish | Decision::ReadAnyway => Ok(()),
        Decision::LeaveOut => left_out::fail(run, list.name(), warning).await,
    }
}

/// What to do with a list that does not fit into the time left.
#[derive(Debug, Clone, Copy)]
enum Decision {
    /// Read it: this invocation has the time to finish it.
    Finish,
    /// Read it although the run will be abandoned: no snapshot is published without this list.
    ReadAnyway,
    /// Publish without it.
    LeaveOut,
}

/// The number of owners, if Clerk states it. Requested once a run.
async fn owners_to_read(
    run: &RunContext,
    list: &'static Endpoint,
    by_owner: ByOwner,
) -> Result<Option<u64>, Stop> {
    let listed = run.list(by_owner.owners, |owners| owners.source_count.after);
    let known = run.list(list.name(), |list| list.owners);
    if let Some(owners) = known.or(listed.filter(|_| !by_owner.active_only)) {
        return Ok(Some(owners));
    }
    let counted = count_owners(run, by_owner).await;
    match counted {
        Err(stop @ Stop::Pause(_)) => Err(stop),
        // If the owners cannot be listed at all, the walk will report it.
        Err(_) => Ok(None),
        Ok(owners) => {
            run.commit_list(list.name(), |list| list.owners = owners).await?;
            Ok(owners)
        }
    }
}

/// How many owners a list that is read by owner has moved past.
pub(crate) fn owners_passed(run: &RunContext, list: &'static Endpoint) -> u64 {
    run.list(list.name(), |list| list.windows.iter().map(|window| window.position.offset).sum())
}

/// How many owners there are now; `None` if Clerk does not say.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn count_owners(run: &RunContext, by_owner: ByOwner) -> Result<Option<u64>, Stop> {
    let reader = owners(run, by_owner);
    let list = endpoint(by_owner.owners);
    match list.paging {
        Paging::Cursor { count_path } => {
            let filters: Vec<(&str, &str)> =
                reader.filters.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let count = run.client.get(count_path, &filters, |body| {
                Ok(wire::decode_object::<wire::TotalCount>(&body)?.total_count)
            });
            Ok(Some(count.await.map_err(ListError::of(list))?))
        }
        Paging::Offset(_) | Paging::SinglePage => Ok(row_at(&reader, 0).await?.1),
    }
}

/// What is left to read by owner, and the time left for it.
struct Forecast {
    /// Owners whose rows are still to be requested.
    owners: u64,
    /// The age of the run.
    age: Duration,
    /// `SNAPSHOT_MAX_AGE_HOURS`.
    max_age: Duration,
    /// Time per request at the rate limit.
    per_request: Duration,
}

const HOUR: Duration = Duration::from_secs(60 * 60);
/// The factor by which the recommended time exceeds the least time: other lists are read meanwhile,
/// and Clerk may ask to slow down.
const MARGIN: f64 = 1.2;

impl Forecast {
    /// One request per owner, and those that list the owners.
    const fn requests(&self) -> u64 {
        self.owners.saturating_add(self.owners.div_ceil(PAGE_ROWS))
    }

    /// The time they take if nothing else is requested and no response is late.
    fn least_time(&self) -> Duration {
        let seconds = self.per_request.as_secs_f64() * self.requests() as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// The time they take if some responses are late.
    fn likely_time(&self) -> Duration {
        let seconds = self.least_time().as_secs_f64() * MARGIN;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn time_left(&self) -> Duration {
        self.max_age.saturating_sub(self.age)
    }

    fn fits(&self) -> bool {
        self.least_time() <= self.time_left()
    }

    fn warning(&self, path: &str, owners: &str, resource: &str, decision: Decision) -> String {
        let hours = |time: Duration| time.div_duration_f64(HOUR);
        let consequence = match decision {
            Decision::Finish => "the run will be abandoned if this invocation is interrupted",
            Decision::ReadAnyway => "the run will be abandoned and started again",
            Decision::LeaveOut => "the run would be abandoned, so this list is left out",
        };
        format!(
            "{path} takes one request for each of {} {owners}: at least {:.1} hours at {:.1} requests a \
             second. SNAPSHOT_MAX_AGE_HOURS ends in {:.1} hours; {consequence}. Set SNAPSHOT_MAX_AGE_HOURS \
             to at least {:.0}, raise CLERK_RATE_SHARE, or leave {resource} out of RESOURCES.",
            self.owners,
            hours(self.least_time()),
            1.0 / self.per_request.as_secs_f64(),
            hours(self.time_left()),
            (hours(self.age.saturating_add(self.least_time())) * MARGIN).ceil(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(owners: u64, age_hours: u32, max_age_hours: u32) -> Forecast {
        Forecast {
            owners,
            age: HOUR * age_hours,
            max_age: HOUR * max_age_hours,
            per_request: Duration::from_millis(20),
        }
    }

    /// Fifty requests a second are 4,320,000 a day, of which a five-hundredth lists the owners.
    #[test]
    fn a_day_is_enough_for_4_311_000_owners() {
        assert_eq!(forecast(1000, 0, 24).requests(), 1002);
        assert!(forecast(4_311_000, 0, 24).fits());
        assert!(!forecast(4_312_000, 0, 24).fits());
        assert!(!forecast(4_311_000, 1, 24).fits());
        assert!(forecast(4_000_000, 1, 24).fits());
        assert!(forecast(0, 30, 24).fits());
    }

    #[test]
    fn the_warning_gives_the_numbers_and_the_remedies() {
        let forecast = forecast(10_000_000, 2, 24);
        let warning = forecast.warning("/api_keys", "users", "api_keys", Decision::LeaveOut);
        for part in [
            "so this list is left out",
            "10000000 users",
            "at least 55.7 hours",
            "50.0 requests a second",
            "in 22.0 hours",
            "SNAPSHOT_MAX_AGE_HOURS to at least 70",
            "CLERK_RATE_SHARE",
            "leave api_keys out",
        ] {
            assert!(warning.contains(part), "{part}: {warning}");
        }
    }
}
