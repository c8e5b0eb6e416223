//! How Clerk is asked, second by second, and what holds it back: for whoever wants to know why a run is not
//! faster (`LOG_LEVEL=debug`).

use std::convert::Infallible;
use std::fmt;
use std::future;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{Level, debug, enabled};

use crate::sync::run::Run;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes a line a second for as long as it is polled, if anybody reads them.
pub(crate) async fn log(run: &Run) -> Infallible {
    if !enabled!(Level::DEBUG) {
        return future::pending().await;
    }
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let moment = Ties::of(run);
        debug!(
            requests = run.client.counted().requests,
            in_flight = moment.in_flight,
            needed = moment.needed,
            limit = moment.limit,
            read_ahead = moment.read_ahead,
            bytes_held = moment.bytes_held,
            stores = moment.stores,
            held_back_by = %moment.held_back_by(),
            "how Clerk is asked"
        );
    }
}

/// What decides how many requests are in flight, at one moment.
#[derive(Debug, Clone, Copy)]
struct Ties {
    in_flight: usize,
    /// Requests that wait for their turn.
    in_turn: usize,
    /// Requests that fill the rate allowed, answers taking as long as the latest one did.
    needed: usize,
    /// Most requests in flight for now, and ever.
    limit: usize,
    max_concurrency: usize,
    /// Most pages of one list under way.
    read_ahead: usize,
    /// Bytes of bodies and of pages that wait for their turn, and whether a body waits for room.
    bytes_held: usize,
    waits_for_room: bool,
    /// Parts and checkpoints that are being stored.
    stores: usize,
}

impl Ties {
    fn of(run: &Run) -> Self {
        let usage = run.client.usage();
        let latency = run.client.latest_latency();
        let needed = run.client.requests_to_fill(latency, run.read_ahead.storing_unhindered());
        Self {
            in_flight: usage.places.in_flight,
            in_turn: usage.places.places - usage.places.in_flight,
            needed,
            limit: usage.places.limit,
            max_concurrency: run.client.max_concurrency(),
            read_ahead: run.read_ahead.allowed(needed),
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

/// Why no more requests are in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldBackBy {
    /// The rate allowed, as it should be.
    Rate,
    /// `MAX_CONCURRENCY`.
    MaxConcurrency,
    /// How many requests Clerk has been seen to answer without a queue, so far.
    Concurrency,
    /// The room for bodies, and for pages that wait to be stored.
    Bytes,
    /// How many pages a kill may cost.
    ReadAhead,
    /// Pages that are being stored.
    Store,
    /// What has to be known before more can be asked for: a cursor, a count, the end of another list.
    Order,
}

impl fmt::Display for HeldBackBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rate => "rate",
            Self::MaxConcurrency => "max_concurrency",
            Self::Concurrency => "concurrency",
            Self::Bytes => "bytes",
            Self::ReadAhead => "at_stake",
            Self::Store => "store",
            Self::Order => "order",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Ties = Ties {
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

    /// The reason that is named is the one without which more would be asked.
    #[test]
    fn says_what_holds_asking_back() {
        use HeldBackBy::{Bytes, Concurrency, MaxConcurrency, Order, Rate, ReadAhead, Store};
        let waiting = Ties { in_turn: 0, ..FULL };
        let moments = [
            (FULL, Rate),
            (Ties { in_flight: 128, ..waiting }, MaxConcurrency),
            (Ties { in_flight: 64, ..waiting }, Concurrency),
            (Ties { waits_for_room: true, ..waiting }, Bytes),
            (Ties { read_ahead: 10, in_flight: 10, ..waiting }, ReadAhead),
            (Ties { in_flight: 5, ..waiting }, Store),
            (Ties { in_flight: 5, stores: 0, ..waiting }, Order),
        ];
        for (moment, reason) in moments {
            assert_eq!(moment.held_back_by(), reason, "{moment:?}");
        }
    }
}
