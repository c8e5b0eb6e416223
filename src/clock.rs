//! The time of day, from the system or simulated.

use std::time::SystemTime;

use clerk_snapshot::timestamp::Timestamp;
use tokio::time::Instant;

/// The time of day. Waits and budgets use the monotonic time of tokio instead.
///
/// All times that are written come from a `Clock`, so that tests can set them.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Simulated { start: SystemTime, began: Instant },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that starts at `start` and follows the time of tokio: it stands still while that is
    /// paused, and jumps when that is advanced.
    #[must_use]
    pub fn simulated(start: SystemTime) -> Self {
        Self(Source::Simulated { start, began: Instant::now() })
    }

    /// The time of day, which may jump when the machine's clock is set.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.0 {
            Source::System => SystemTime::now().into(),
            Source::Simulated { start, began } => Timestamp::from(start) + began.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    // 2026-11-20T12:00:00.000Z
    const NOON: i64 = 1_795_176_000_000;

    // Tests pause the time of tokio, and the clock must follow it.
    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_moves_with_tokio() {
        let clock = Clock::simulated(UNIX_EPOCH + Duration::from_millis(1_795_176_000_000));
        assert_eq!(clock.now().unix_millis(), NOON);
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.now().to_string(), "2026-11-20T12:00:01.500Z");
        assert_eq!(clock.clone().now(), clock.now());
    }

    #[test]
    fn the_system_clock_is_the_machines() {
        let before = Timestamp::from(SystemTime::now());
        let now = Clock::system().now();
        // The machine's clock may be set back between the two readings, so the test allows a
        // minute.
        assert!(now + Duration::from_secs(60) >= before);
    }
}
