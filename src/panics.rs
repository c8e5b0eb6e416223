//! Panics: defects of this program, answered as such, and told without what it was working on.

use std::panic::{AssertUnwindSafe, PanicHookInfo};

use futures_util::FutureExt as _;
use tracing::error;

use crate::error::{Error, Failure};

/// Does `work`; a panic in it is an [`Error::Internal`].
///
/// # Errors
/// Those of `work`.
pub async fn catch_panic<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        Err(Error::Internal(Failure::new("the program panicked; its log says where")))
    })
}

/// From now on a panic is logged with its place in the source, and without its message: that may tell
/// anything that was in memory, such as rows of people.
pub fn say_where_alone() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place =
            panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        error!("the program panicked at {place}");
    }));
}
