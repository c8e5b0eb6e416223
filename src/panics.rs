//! Turns panics, which are defects of this program, into errors and log lines.
//!
//! Neither contains the message of the panic, which may contain personal data.

use std::panic::{AssertUnwindSafe, PanicHookInfo};

use futures_util::FutureExt as _;
use tracing::error;

use crate::error::{Error, Failure};

/// Runs `work`; a panic becomes an [`Error::Internal`].
///
/// # Errors
/// Those of `work`.
pub async fn catch_panic<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        Err(Error::Internal(Failure::new("the program panicked; its log says where")))
    })
}

/// Makes a panic log its place in the source, and not its message: the message may contain anything
/// in memory, such as rows of users.
pub fn log_panics_without_message() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place =
            panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        error!("the program panicked at {place}");
    }));
}
