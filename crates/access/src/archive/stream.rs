//! Reads a dataset in the order of its lines, a few at a time: for what is too much to be collected.

use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::Archive;
use super::scan::{Lines, ScanError, stopped};
use crate::progress::Progress;

/// How many results are handed over at once: handing over each alone would take longer than making it.
const AT_ONCE: usize = 256;

/// How many of these wait for whoever takes them.
const WAITING: usize = 4;

/// Parts that are read ahead, so that the one after is there when a part is done.
const PARTS_AHEAD: usize = 2;

impl Archive {
    /// Reads a dataset line by line. `read` makes something of each line, on a thread of its own; `None` if the line is
    /// no record. `take` is called with what it returns, in the order of the lines.
    ///
    /// # Errors
    /// [`ScanError`], or what `take` returns.
    pub async fn stream<T, R, E>(
        &self,
        snapshot: &Snapshot,
        dataset: Dataset,
        progress: &Progress,
        read: R,
        mut take: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E>
    where
        T: Send + 'static,
        R: Fn(&[u8]) -> Option<T> + Send + Sync + 'static,
        E: From<ScanError>,
    {
        let parts = snapshot.parts(dataset);
        let progress = progress.stage(dataset.name(), parts.iter().map(|part| part.bytes).sum());
        let read = Arc::new(read);
        let mut verified = snapshot.read_parts(parts, PARTS_AHEAD);
        let mut sizes = parts.iter().map(|part| part.bytes);
        while let Some(part) = verified.next().await {
            let part = part.map_err(ScanError::from)?;
            let (sender, mut receiver) = mpsc::channel(WAITING);
            let read = Arc::clone(&read);
            let work = spawn_blocking(move || {
                let mut lines = Lines::of(&part, dataset)?;
                send(&mut lines, &*read, &sender)
            });
            while let Some(results) = receiver.recv().await {
                for result in results {
                    take(result)?;
                }
            }
            work.await.map_err(stopped)??;
            progress.advance(sizes.next().unwrap_or_default());
        }
        Ok(())
    }
}

/// Hands over what `read` makes of each line. Ends early if nobody takes it any more.
fn send<T>(
    lines: &mut Lines,
    read: impl Fn(&[u8]) -> Option<T>,
    sender: &mpsc::Sender<Vec<T>>,
) -> Result<(), ScanError> {
    let mut results = Vec::with_capacity(AT_ONCE);
    while let Some(line) = lines.next_line()? {
        let result = read(line);
        results.push(result.ok_or_else(|| lines.not_a_record())?);
        if results.len() == AT_ONCE {
            let full = std::mem::replace(&mut results, Vec::with_capacity(AT_ONCE));
            if sender.blocking_send(full).is_err() {
                return Ok(());
            }
        }
    }
    // If nobody takes the last ones, nobody misses them.
    let _ = sender.blocking_send(results);
    Ok(())
}
