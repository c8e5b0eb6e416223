//! Bounds the rounds of a pager that bring nothing new. Every loop of a pager counts its rounds here.

use serde::{Deserialize, Serialize};

/// How many rounds in a row have not advanced a pager. The count is stored with its
/// [`Position`](crate::paging::position::Position), so the invocation that continues the pager continues the count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StalledRounds(u32);

/// Most rounds in a row without progress. Even in a list of 100 million rows, fourteen steps back reach the start. Past
/// this bound the pager has lost its position, or the server states rows that it does not list.
pub const MAX_STALLED_ROUNDS: u32 = 24;

/// More than [`MAX_STALLED_ROUNDS`] rounds have brought nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRounds;

impl StalledRounds {
    /// Counts a round; progress resets the count.
    ///
    /// # Errors
    /// [`TooManyRounds`]: the pager must not continue like this.
    pub fn count_round(&mut self, has_advanced: bool) -> Result<(), TooManyRounds> {
        if has_advanced {
            *self = Self::default();
            return Ok(());
        }
        self.0 = self.0.saturating_add(1);
        if self.0 > MAX_STALLED_ROUNDS { Err(TooManyRounds) } else { Ok(()) }
    }

    /// Whether the last round advanced the pager.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_count_until_one_makes_progress() {
        let mut rounds = StalledRounds::default();
        for _ in 0..3 {
            for _ in 0..MAX_STALLED_ROUNDS {
                assert_eq!(rounds.count_round(false), Ok(()));
            }
            assert_eq!(rounds.count_round(false), Err(TooManyRounds));
            assert_eq!(rounds.count_round(false), Err(TooManyRounds));
            assert_eq!(rounds.count_round(true), Ok(()));
            assert!(rounds.is_none());
        }
    }

    /// A stored count may have any value.
    #[test]
    fn the_largest_count_does_not_overflow() {
        let mut rounds: StalledRounds = serde_json::from_str("4294967295").unwrap();
        assert_eq!(rounds.count_round(false), Err(TooManyRounds));
    }
}
