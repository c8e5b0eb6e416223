//! Logs every second how many requests are in flight and what limits their number, to explain why a
//! run is not faster (`LOG_LEVEL=debug`).

use std::convert::Infallible;
use std::fmt;
use std::future;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{Level, debug, enabled};

use crate::sync::run::RunContext;

/// Time from one line to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Logs a line a second for as long as it is polled, if the level is enabled.
pub(crate) async fn log(run: &RunContext) -> Infallible {
    if !enabled!(Level::DEBUG) {
        return future::pending().await;
    }
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let sample = Sample::of(run);
        debug!(
            requests = run.client.counted().requests,
            in_flight = sample.in_flight,
            needed = sample.needed,
            limit = sample.limit,
            read_ahead = sample.read_ahead,
            bytes_held = sample.bytes_held,
            stores = sample.stores,
            held_back_by = %sample.held_back_by(),
            "request pacing"
        );
    }
}

/// What decides how many requests are in flight, at one time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    in_flight: usize,
    /// Requests that wait for the rate limiter.
    in_turn: usize,
    /// Requests in flight that would fill the rate limit at the latest latency.
    needed: usize,
    /// Most requests in flight for now, and ever.
    limit: usize,
    max_concurrency: usize,
    /// Most pages of one list that may be read ahead.
    read_ahead: usize,
    /// Bytes of response bodies, of pages that wait to be stored, and of parts that are being stored.
    bytes_held: usize,
    /// Whether a response body waits for memory.
    waits_for_room: bool,
    /// Parts and checkpoints that are being stored.
    stores: usize,
}

impl Sample {
    fn of(run: &RunContext) -> Self {
        let usage = run.client.usage();
        let latency = run.client.latest_latency();
        let needed = run.client.requests_to_fill(latency, run.read_ahead.storing_unhindered());
        Self {
            in_flight: usage.slots.in_flight,
            in_turn: usage.slots.taken - usage.slots.in_flight,
            needed,
            limit: usage.slots.limit,
            max_concurrency: run.client.max_concurrency(),
            read_ahead: run.read_ahead.limit(needed),
            bytes_held: usage.bytes_held,
            waits_for_room: usage.waits_for_room,
            stores: run.read_ahead.stores(),
        }
    }

    const fn held_back_by(&self) -> HeldBackBy {
        if self.in_turn > 0 {
            HeldBackBy::Rate
        } else if self.in_flight >= self.max_concurrency {
            HeldBackBy::MaxConcurrency
        } else if self.in_flight >= self.limit {
            HeldBackBy::Concurrency
        } else if self.waits_for_room {
            HeldBackBy::Bytes
        } else if self.read_ahead < self.needed && self.in_flight >= self.read_ahead {
            HeldBackBy::ReadAhead
        } else if self.stores > 0 && self.in_flight < self.needed / 2 {
            HeldBackBy::Store
        } else {
            HeldBackBy::Order
        }
    }
}

/// What limits the number of requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldBackBy {
    /// The rate limit, as it should.
    Rate,
    /// `MAX_CONCURRENCY`.
    MaxConcurrency,
    /// The number of requests that Clerk has been seen to answer without queueing.
    Concurrency,
    /// The memory for response bodies and for pages that wait to be stored.
    Bytes,
    /// The number of pages that may be read ahead of what is stored.
    ReadAhead,
    /// Stores in progress.
    Store,
    /// What has to be known before more can be requested: a cursor, a count, the end of another
    /// list.
    Order,
}

impl fmt::Display for HeldBackBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rate => "rate",
            Self::MaxConcurrency => "max_concurrency",
            Self::Concurrency => "concurrency",
            Self::Bytes => "bytes",
            Self::ReadAhead => "read_ahead",
            Self::Store => "store",
            Self::Order => "order",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Sample = Sample {
        in_flight: 30,
        in_turn: 1,
        needed: 30,
        limit: 64,
        max_concurrency: 128,
        read_ahead: 32,
        bytes_held: 0,
        waits_for_room: false,
        stores: 1,
    };

    #[test]
    fn names_what_limits_the_requests() {
        use HeldBackBy::{Bytes, Concurrency, MaxConcurrency, Order, Rate, ReadAhead, Store};
        let waiting = Sample { in_turn: 0, ..FULL };
        let samples = [
            (FULL, Rate),
            (Sample { in_flight: 128, ..waiting }, MaxConcurrency),
            (Sample { in_flight: 64, ..waiting }, Concurrency),
            (Sample { waits_for_room: true, ..waiting }, Bytes),
            (Sample { read_ahead: 10, in_flight: 10, ..waiting }, ReadAhead),
            (Sample { in_flight: 5, ..waiting }, Store),
            (Sample { in_flight: 5, stores: 0, ..waiting }, Order),
        ];
        for (sample, reason) in samples {
            assert_eq!(sample.held_back_by(), reason, "{sample:?}");
        }
    }
}
