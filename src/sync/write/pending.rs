//! Pages on their way into the store: part first, then the checkpoint with the place behind them.

use tracing::info;

use crate::lists::endpoint::Endpoint;
use crate::paging::pager::Batch;
use crate::paging::position::{PagingMode, Position};
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::list_progress::{Segment, Stage};
use crate::sync::checkpoint::summary;
use crate::sync::error::Stop;
use crate::sync::run::Run;
use crate::sync::write::compaction::remove_parts;
use crate::sync::write::row_ids;
use crate::sync::write::segment::{Dangling, Number, SegmentBuilder};
use crate::translate::Role;

/// The pages of one window that will be stored together. Until they are many enough, some of them are stored as
/// drafts: small segments in whose place the whole one comes. A kill costs no more than what no draft has.
pub(crate) struct PendingPages<'a> {
    run: &'a Run,
    endpoint: &'static Endpoint,
    /// The window's number.
    window: u32,
    counted: Option<u64>,
    /// All pages.
    whole: SegmentBuilder<'a>,
    /// The drafts that are stored, as the checkpoint names them.
    drafts: Vec<Segment>,
    /// The pages that will be the next draft. `None` where none is wanted.
    draft: Option<SegmentBuilder<'a>>,
    /// Pages that are not stored, and what they came to.
    waiting: usize,
    newest: Option<Newest>,
    doubled: u64,
    /// Rows of the owners' parts that have been read to their end, as Clerk counts them.
    owned: u64,
}

/// What the newest page said of the walk.
struct Newest {
    position: Position,
    mode: PagingMode,
    total: Option<u64>,
    last: bool,
}

impl<'a> PendingPages<'a> {
    /// Nothing yet. `counted` is Clerk's count of the list before its walk, where its pages do not
    /// tell it.
    pub(crate) fn new(
        run: &'a Run,
        endpoint: &'static Endpoint,
        window: u32,
        counted: Option<u64>,
    ) -> Self {
        Self {
            run,
            endpoint,
            window,
            counted,
            whole: SegmentBuilder::new(run, endpoint),
            drafts: Vec::new(),
            draft: None,
            waiting: 0,
            newest: None,
            doubled: 0,
            owned: 0,
        }
    }

    /// Whether no page waits to be stored.
    pub(crate) const fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Pages that wait to be stored.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Pages gathered, those of drafts included.
    pub(crate) const fn pages(&self) -> usize {
        self.whole.pages()
    }

    /// Whether it is time to store all of them, however few pages they are.
    pub(crate) fn is_full(&self) -> bool {
        self.whole.is_full()
    }

    /// Adds a page. Of the memberships in it, `dangling` are left out. If it is the first page, `in_drafts` says whether
    /// drafts are wanted.
    ///
    /// # Errors
    /// If a compressor fails.
    pub(crate) fn add(
        &mut self,
        batch: Batch,
        dangling: Dangling,
        in_drafts: bool,
    ) -> Result<(), Stop> {
        let run = self.run;
        run.read_ahead.note_page(batch.page.records.size());
        if in_drafts && self.whole.pages() == 0 {
            self.draft = Some(SegmentBuilder::new(run, self.endpoint));
        }
        for builder in [Some(&mut self.whole), self.draft.as_mut()].into_iter().flatten() {
            builder.note_dangling(dangling);
            builder.add(&batch.page)?;
        }
        self.waiting += 1;
        self.doubled += batch.doubled;
        let by_owner = batch.mode == PagingMode::ByOwner;
        self.owned += batch.total.filter(|_| by_owner).unwrap_or_default();
        self.newest = Some(Newest {
            position: batch.position,
            mode: batch.mode,
            total: batch.total.filter(|_| !by_owner),
            last: batch.last,
        });
        Ok(())
    }

    /// Stores what waits as a draft, if drafts are wanted; gives the number of pages.
    ///
    /// # Errors
    /// [`Stop`].
    pub(crate) async fn store_draft(&mut self) -> Result<usize, Stop> {
        let Some(draft) = self.draft.take().filter(|_| !self.is_empty()) else { return Ok(0) };
        self.draft = Some(SegmentBuilder::new(self.run, self.endpoint));
        let stored = draft.store(self.next_number()).await?;
        let (segment, ids) = (stored.segment.clone(), stored.ids);
        self.commit(stored.segment, stored.roles, &[]).await?;
        row_ids::note_ids(self.run, self.endpoint, &ids);
        self.drafts.extend(segment);
        Ok(self.stored())
    }

    /// Stores all that was gathered, in the place of its drafts, and begins anew; gives the number of pages that
    /// waited.
    ///
    /// # Errors
    /// [`Stop`].
    pub(crate) async fn store(&mut self) -> Result<usize, Stop> {
        if self.is_empty() {
            return Ok(0);
        }
        let (run, endpoint) = (self.run, self.endpoint);
        let whole = std::mem::replace(&mut self.whole, SegmentBuilder::new(run, endpoint));
        let drafts = std::mem::take(&mut self.drafts);
        let stored = whole.store(self.next_number()).await?;
        let added = stored.segment.clone();
        if !self.commit(stored.segment, stored.roles, &drafts).await? {
            // A draft has become another segment meanwhile: they stay, and what waits becomes one more.
            let pages = self.store_draft().await?;
            (self.draft, self.drafts) = (None, Vec::new());
            return Ok(pages);
        }
        self.draft = None;
        if let Some(segment) = &added {
            run.unchecked_users.note(segment, stored.unchecked_users);
            row_ids::note_stored(run, endpoint, segment, stored.ids).await?;
            remove_parts(run, &drafts, segment).await;
        }
        Ok(self.stored())
    }

    fn next_number(&self) -> Number {
        self.run.list(self.endpoint.name(), |list| Number {
            window: self.window,
            sequence: list.window(self.window).next_sequence(),
        })
    }

    /// Nothing waits any more; gives the number of pages that did.
    fn stored(&mut self) -> usize {
        (self.newest, self.doubled, self.owned) = (None, 0, 0);
        std::mem::take(&mut self.waiting)
    }

    /// Names a segment, in the place of `drafts`, and where the walk stands behind it. `false` if these drafts are
    /// not what the window ends with.
    async fn commit(
        &self,
        segment: Option<Segment>,
        roles: Vec<Role>,
        drafts: &[Segment],
    ) -> Result<bool, Stop> {
        let Some(newest) = &self.newest else { return Ok(true) };
        let (run, endpoint) = (self.run, self.endpoint);
        let by_owner = newest.mode == PagingMode::ByOwner;
        let latency = run.client.latency_of(endpoint.path);
        let is_new = segment.is_some();
        let mut is_named = false;
        run.commit(|checkpoint| {
            let list = progress_of(checkpoint, endpoint.name());
            let window = list.window_mut(self.window);
            is_named = window.segments.ends_with(drafts);
            if !is_named {
                return;
            }
            window.segments.truncate(window.segments.len() - drafts.len());
            window.segments.extend(segment);
            window.position = newest.position.clone();
            window.expected = newest.total.or(window.expected).or(self.counted);
            window.ended = newest.last;
            list.divisible &= !newest.last;
            list.duplicates_dropped += self.doubled;
            latency.iter().for_each(|latency| list.note_latency(latency.best));
            list.source_count.before = list.source_count.before.or(self.counted).or(newest.total);
            if list.mode == PagingMode::Cursor {
                // What one window has found out about the server holds for all.
                list.mode = newest.mode;
            }
            if is_new {
                list.stage = Stage::Walking;
            }
            if list.stage == Stage::Walking {
                list.source_count.after = newest.total.or(list.source_count.after);
            }
            if by_owner && !endpoint.is_counted_as_a_whole() {
                *list.source_count.after.get_or_insert(0) += self.owned;
            }
            let all_ended = list.windows.iter().all(|window| window.ended);
            if all_ended && list.stage == Stage::Walking {
                list.stage = Stage::Comparing;
            }
            roles.into_iter().for_each(|role| checkpoint.roles.push(role));
        })
        .await?;
        if !is_named {
            return Ok(false);
        }
        // Where nothing was new the next invocation would stand where this one does, but for owners
        // that own nothing.
        if is_new || by_owner {
            run.work_limit.note_progress();
        }
        run.progress.show(|| run.leased.read(summary::row_counts), run.stats().requests);
        let (rows, ended) =
            run.list(endpoint.name(), |list| (list.rows(), list.stage == Stage::Comparing));
        if ended {
            info!(clerk.path = endpoint.path, rows, "list read to its end");
        }
        Ok(true)
    }
}
