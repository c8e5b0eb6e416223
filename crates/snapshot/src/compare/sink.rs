//! Takes the records of a comparison.

use std::error::Error;

use async_trait::async_trait;

use super::change::Change;

/// Why a sink could not take a record.
pub type SinkError = Box<dyn Error + Send + Sync>;

/// Takes change records, one by one and in their order.
#[async_trait]
pub trait Sink: Send {
    /// Takes a record: what it says, and the line that it is written as, which ends in `\n`.
    ///
    /// # Errors
    /// If the record cannot be passed on. The comparison ends.
    async fn change(&mut self, change: &Change<'_>, line: &[u8]) -> Result<(), SinkError>;

    /// Whether the comparison should stop. Asked after every part and every record.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Keeps the lines in memory, for tests and for comparisons that are known to be small.
#[async_trait]
impl Sink for Vec<u8> {
    async fn change(&mut self, _: &Change<'_>, line: &[u8]) -> Result<(), SinkError> {
        self.extend_from_slice(line);
        Ok(())
    }
}
