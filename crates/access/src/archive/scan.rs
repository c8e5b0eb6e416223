//! Reads a dataset's parts side by side, each held against its SHA-256.

use std::sync::Arc;
use std::thread;

use clerk_snapshot::part::Part;
use clerk_snapshot::reader::{PartLines, ReadError, Snapshot, VerifiedPart};
use clerk_snapshot::resource::Dataset;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, spawn_blocking};

use super::Archive;
use crate::progress::Progress;

/// Most bytes of parts that are in memory at once, so that sixteen large parts do not fill it. A part that is larger
/// is read alone.
const MAX_BYTES: u64 = 24 * 1024 * 1024;

/// The unit in which [`MAX_BYTES`] are counted, in bytes: a semaphore counts in 32 bits.
const UNIT: u64 = 1024;

/// How many parts are worked on at once: as many as there are processors.
#[must_use]
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Why a dataset could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A part could not be read, or is not the one that was written.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A line of an intact part is not what such a line is.
    #[error(
        "line {line} of {url} is not a record of {dataset}; use another snapshot, and report the file"
    )]
    Line {
        /// The part.
        url: String,
        /// The line, counted from 1.
        line: u64,
        /// The dataset.
        dataset: Dataset,
    },
    /// The work on a part did not end.
    #[error("the work on a part was interrupted")]
    Interrupted(#[source] JoinError),
}

/// The lines of a part.
#[derive(Debug)]
pub struct Lines {
    lines: PartLines,
    dataset: Dataset,
    url: String,
    line: u64,
}

impl Lines {
    /// The lines of a part of a dataset.
    ///
    /// # Errors
    /// [`ScanError::Read`] if they cannot be decompressed.
    pub fn of(part: &VerifiedPart, dataset: Dataset) -> Result<Self, ScanError> {
        Ok(Self { lines: part.lines()?, dataset, url: part.url().to_owned(), line: 0 })
    }

    /// The next line with its `\n`, or `None` after the last.
    ///
    /// # Errors
    /// [`ScanError::Read`] if the part is not what was written.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, ScanError> {
        self.line += 1;
        Ok(self.lines.next_line()?)
    }

    /// Where the line is that was read last, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        format!("line {} of {}", self.line, self.url)
    }

    /// The error for the line that was read last: it is no record of the dataset.
    #[must_use]
    pub fn not_a_record(&self) -> ScanError {
        ScanError::Line { url: self.url.clone(), line: self.line, dataset: self.dataset }
    }
}

impl Archive {
    /// Reads all parts of a dataset side by side. `read` is called for each, on a thread of its own; `take` is called
    /// with what it returns, in the order of the parts.
    ///
    /// # Errors
    /// [`ScanError`], or what `read` or `take` returns.
    pub async fn scan<T, R>(
        &self,
        snapshot: &Snapshot,
        dataset: Dataset,
        progress: &Progress,
        read: R,
        mut take: impl FnMut(T) -> Result<(), ScanError>,
    ) -> Result<(), ScanError>
    where
        T: Send + 'static,
        R: Fn(&mut Lines) -> Result<T, ScanError> + Send + Sync + 'static,
    {
        self.scan_each(snapshot, dataset, progress, read, |_, part| take(part?)).await
    }

    /// Like [`scan`](Self::scan), but a part that cannot be read does not end it: `take` is called with each part and
    /// what became of it.
    ///
    /// # Errors
    /// What `take` returns.
    pub async fn scan_each<T, R>(
        &self,
        snapshot: &Snapshot,
        dataset: Dataset,
        progress: &Progress,
        read: R,
        mut take: impl FnMut(&Part, Result<T, ScanError>) -> Result<(), ScanError>,
    ) -> Result<(), ScanError>
    where
        T: Send + 'static,
        R: Fn(&mut Lines) -> Result<T, ScanError> + Send + Sync + 'static,
    {
        let parts = snapshot.parts(dataset);
        let progress = progress.stage(dataset.name(), parts.iter().map(|part| part.bytes).sum());
        let shared = Arc::new((read, Limits::new()));
        let work = parts.iter().map(|part| {
            let shared = Arc::clone(&shared);
            let progress = &progress;
            async move {
                let result = scan_part(snapshot, dataset, part, shared).await;
                progress.advance(part.bytes);
                result
            }
        });
        let work = futures_util::stream::iter(work).buffered(self.parts_at_once());
        let mut work = work.zip(futures_util::stream::iter(parts));
        while let Some((result, part)) = work.next().await {
            match result {
                Ok((taken, _room)) => take(part, Ok(taken))?,
                Err(error) => take(part, Err(error))?,
            }
        }
        Ok(())
    }
}

/// What bounds the work on parts.
struct Limits {
    /// Room in memory, in units of [`UNIT`] bytes.
    memory: Arc<Semaphore>,
    processors: Semaphore,
}

impl Limits {
    fn new() -> Self {
        Self {
            memory: Arc::new(Semaphore::new((MAX_BYTES / UNIT) as usize)),
            processors: Semaphore::new(processors()),
        }
    }
}

/// Reads one part. The room that it takes in memory comes with the result, which takes room until it is taken.
async fn scan_part<T, R>(
    snapshot: &Snapshot,
    dataset: Dataset,
    part: &Part,
    shared: Arc<(R, Limits)>,
) -> Result<(T, Option<OwnedSemaphorePermit>), ScanError>
where
    T: Send + 'static,
    R: Fn(&mut Lines) -> Result<T, ScanError> + Send + Sync + 'static,
{
    let limits = &shared.1;
    let room = part.bytes.min(MAX_BYTES).div_ceil(UNIT);
    // Neither semaphore is ever closed, and without a permit the work would merely be less bounded.
    let memory = Arc::clone(&limits.memory);
    let room = memory.acquire_many_owned(u32::try_from(room).unwrap_or(1)).await.ok();
    let verified = snapshot.read_part(part).await?;
    let processor = limits.processors.acquire().await.ok();
    let shared_by_thread = Arc::clone(&shared);
    let work = spawn_blocking(move || {
        let mut lines = Lines::of(&verified, dataset)?;
        shared_by_thread.0(&mut lines)
    });
    let result = work.await.map_err(stopped).and_then(|result| result);
    drop(processor);
    Ok((result?, room))
}

/// The error of work that did not end. A panic goes on.
pub(super) fn stopped(error: JoinError) -> ScanError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => ScanError::Interrupted(cancelled),
    }
}
