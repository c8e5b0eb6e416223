//! Pages on their way into the store: part first, then the checkpoint with the place behind them.

use tracing::info;

use super::checkpoint::Stage;
use super::closure;
use super::endpoint::Endpoint;
use super::ids;
use super::run::{Run, Stop, progress_of};
use super::stretch::{Number, StretchBuilder};
use super::walk::{Batch, Place, Way};

/// The pages of one window that will be stored together.
pub(super) struct Gathering<'a> {
    window: usize,
    counted: Option<u64>,
    stretch: StretchBuilder<'a>,
    newest: Option<Newest>,
    doubled: u64,
    /// Rows of the owners' parts that have been read to their end, as Clerk counts them.
    owned: u64,
}

/// What the newest page said of the walk.
struct Newest {
    place: Place,
    way: Way,
    total: Option<u64>,
    last: bool,
}

impl<'a> Gathering<'a> {
    /// Nothing yet. `counted` is Clerk's count of the list before its walk, where its pages do not
    /// tell it.
    pub(super) fn new(
        run: &'a Run,
        endpoint: &'static Endpoint,
        window: usize,
        counted: Option<u64>,
    ) -> Self {
        let stretch = StretchBuilder::new(run, endpoint);
        Self { window, counted, stretch, newest: None, doubled: 0, owned: 0 }
    }

    /// Whether no page waits to be stored.
    pub(super) const fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Pages that wait to be stored.
    pub(super) const fn pages(&self) -> usize {
        self.stretch.pages()
    }

    /// Whether it is time to store them, however few pages they are.
    pub(super) fn is_full(&self) -> bool {
        self.stretch.is_full()
    }

    /// Adds a page, and fetches what its rows refer to and the snapshot does not hold.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) async fn add(&mut self, run: &Run, mut batch: Batch) -> Result<(), Stop> {
        run.at_stake.note_page(batch.page.records.size());
        closure::close(run, &mut batch.page, &mut self.stretch).await?;
        self.stretch.add(&batch.page)?;
        self.doubled += batch.doubled;
        let by_owner = batch.way == Way::ByOwner;
        self.owned += batch.total.filter(|_| by_owner).unwrap_or_default();
        self.newest = Some(Newest {
            place: batch.place,
            way: batch.way,
            total: batch.total.filter(|_| !by_owner),
            last: batch.last,
        });
        Ok(())
    }

    /// Stores what was gathered and begins anew; gives the number of pages.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) async fn store(
        &mut self,
        run: &'a Run,
        endpoint: &'static Endpoint,
    ) -> Result<usize, Stop> {
        let Some(newest) = self.newest.take() else { return Ok(0) };
        let gathered = std::mem::replace(self, Self::new(run, endpoint, self.window, self.counted));
        let number = run.list(endpoint.name(), |list| Number {
            window: gathered.window,
            sequence: list.windows[gathered.window].next_sequence(),
        });
        let stored = gathered.stretch.store(number).await?;
        let pages = stored.pages;
        let added = stored.stretch.clone();
        let by_owner = newest.way == Way::ByOwner;
        let latency = run.client.latency_of(endpoint.path);
        run.commit(|checkpoint| {
            stored.roles.into_iter().for_each(|role| checkpoint.roles.push(role));
            let list = progress_of(checkpoint, endpoint.name());
            list.duplicates_dropped += gathered.doubled;
            latency.iter().for_each(|latency| list.note_latency(latency.best));
            list.source_count.before =
                list.source_count.before.or(gathered.counted).or(newest.total);
            if list.way == Way::Cursor {
                // What one window has found out about the server holds for all.
                list.way = newest.way;
            }
            if stored.stretch.is_some() {
                list.stage = Stage::Walking;
            }
            if list.stage == Stage::Walking {
                list.source_count.after = newest.total.or(list.source_count.after);
            }
            if by_owner && !endpoint.is_counted_as_a_whole() {
                *list.source_count.after.get_or_insert(0) += gathered.owned;
            }
            let window = &mut list.windows[gathered.window];
            window.stretches.extend(stored.stretch);
            window.place = newest.place;
            window.expected = newest.total.or(window.expected).or(gathered.counted);
            window.ended = newest.last;
            list.divisible &= !newest.last;
            let all_ended = list.windows.iter().all(|window| window.ended);
            if all_ended && list.stage == Stage::Walking {
                list.stage = Stage::Comparing;
            }
        })
        .await?;
        // Where nothing was new the next invocation would stand where this one does, but for owners
        // that own nothing.
        if added.is_some() || by_owner {
            run.patience.note_progress();
        }
        if let Some(stretch) = added {
            ids::note_stored(run, endpoint, &stretch, stored.ids).await?;
        }
        run.keeper.read(|checkpoint| run.progress.show(checkpoint, run.facts()));
        let (rows, ended) =
            run.list(endpoint.name(), |list| (list.rows(), list.stage == Stage::Comparing));
        if ended {
            info!(clerk.path = endpoint.path, rows, "list read to its end");
        }
        Ok(pages)
    }
}
