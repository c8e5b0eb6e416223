//! Bounds the rounds of a walk that bring nothing new. Every loop of a walk counts its rounds here.

use serde::{Deserialize, Serialize};

/// How many rounds in a row have brought a walk no further. The count is stored with the walk's
/// [`Place`](crate::paging::position::Place): the invocation that continues a walk continues the count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StalledRounds(u32);

/// Most rounds in a row that bring nothing new. A list of 100 million rows needs fourteen steps back to
/// find known rows wherever they are; past this bound the walk has lost its place, or the server states
/// rows that it does not list.
pub const MOST_FRUITLESS_ROUNDS: u32 = 24;

/// More rounds than [`MOST_FRUITLESS_ROUNDS`] have brought nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRounds;

impl StalledRounds {
    /// Counts a round; one that brought the walk further begins the count again.
    ///
    /// # Errors
    /// [`TooManyRounds`]: this walk must not go on like this.
    pub fn note(&mut self, got_on: bool) -> Result<(), TooManyRounds> {
        if got_on {
            *self = Self::default();
            return Ok(());
        }
        self.0 = self.0.saturating_add(1);
        if self.0 > MOST_FRUITLESS_ROUNDS { Err(TooManyRounds) } else { Ok(()) }
    }

    /// Whether the last round brought the walk further.
    #[must_use]
    pub const fn are_none(&self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_count_until_one_brings_something() {
        let mut rounds = StalledRounds::default();
        for _ in 0..3 {
            for _ in 0..MOST_FRUITLESS_ROUNDS {
                assert_eq!(rounds.note(false), Ok(()));
            }
            assert_eq!(rounds.note(false), Err(TooManyRounds));
            assert_eq!(rounds.note(false), Err(TooManyRounds));
            assert_eq!(rounds.note(true), Ok(()));
            assert!(rounds.are_none());
        }
    }

    /// A checkpoint may say anything.
    #[test]
    fn the_largest_count_overflows_nothing() {
        let mut rounds: StalledRounds = serde_json::from_str("4294967295").unwrap();
        assert_eq!(rounds.note(false), Err(TooManyRounds));
    }
}
