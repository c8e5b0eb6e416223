//! Collects the pages of one window and stores them: first the part, then the checkpoint with the
//! position after them.
//!
//! - As many pages as are worth it become one segment. If this takes long, some of them are stored
//!   earlier as drafts: small segments that the whole segment replaces. If the process is killed,
//!   only pages that are in no draft are read again.

use tracing::info;

use crate::lists::endpoint::Endpoint;
use crate::paging::pager::Batch;
use crate::paging::position::{PagingMode, Position};
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, Stage};
use crate::sync::checkpoint::summary;
use crate::sync::error::SyncError;
use crate::sync::run::RunContext;
use crate::sync::write::compaction::remove_parts;
use crate::sync::write::row_ids;
use crate::sync::write::segment::{Dangling, SegmentBuilder, SegmentId};
use crate::translate::Role;

/// The pages of one window that will be stored as one segment.
pub(crate) struct PendingPages<'a> {
    run: &'a RunContext,
    endpoint: &'static Endpoint,
    /// The window's number.
    window: u32,
    /// Clerk's count of the list before its walk, if its pages do not state it.
    count_before: Option<u64>,
    /// The segment that all pages will become.
    segment: SegmentBuilder<'a>,
    /// The drafts that are stored, as the checkpoint names them.
    drafts: Vec<Segment>,
    /// The pages for the next draft; `None` if no drafts are wanted.
    draft: Option<SegmentBuilder<'a>>,
    /// Pages that are in no segment and no draft.
    unsaved: usize,
    newest: Option<Newest>,
    /// Rows of these pages that the window has already.
    duplicates: u64,
    /// Clerk's counts of the owners whose rows have been read to the end, added up.
    owned: u64,
}

/// What the newest page says about the walk.
struct Newest {
    position: Position,
    mode: PagingMode,
    total: Option<u64>,
    last: bool,
}

impl<'a> PendingPages<'a> {
    /// No pages yet. `count_before` is Clerk's count of the list before its walk, if its pages do not
    /// state it.
    pub(crate) fn new(
        run: &'a RunContext,
        endpoint: &'static Endpoint,
        window: u32,
        count_before: Option<u64>,
    ) -> Self {
        Self {
            run,
            endpoint,
            window,
            count_before,
            segment: SegmentBuilder::new(run, endpoint),
            drafts: Vec::new(),
            draft: None,
            unsaved: 0,
            newest: None,
            duplicates: 0,
            owned: 0,
        }
    }

    /// Whether every page is stored, if only in a draft.
    pub(crate) const fn all_stored(&self) -> bool {
        self.newest.is_none()
    }

    /// Pages that are in no segment and no draft.
    pub(crate) const fn unsaved(&self) -> usize {
        self.unsaved
    }

    /// All pages of the segment, including those in drafts.
    pub(crate) const fn pages(&self) -> usize {
        self.segment.pages()
    }

    /// Whether the segment is large enough to be stored, whatever the number of pages.
    pub(crate) fn is_full(&self) -> bool {
        self.segment.is_full()
    }

    /// Adds a page. `dangling` counts its rows that are left out. `in_drafts` says, with the first
    /// page, whether drafts are wanted.
    ///
    /// # Errors
    /// If a compressor fails.
    pub(crate) fn add(
        &mut self,
        batch: Batch,
        dangling: Dangling,
        in_drafts: bool,
    ) -> Result<(), SyncError> {
        let run = self.run;
        run.read_ahead.note_page(batch.page.records.size());
        if in_drafts && self.segment.pages() == 0 {
            self.draft = Some(SegmentBuilder::new(run, self.endpoint));
        }
        for builder in [Some(&mut self.segment), self.draft.as_mut()].into_iter().flatten() {
            builder.add_dangling(dangling);
            builder.add(&batch.page)?;
        }
        self.unsaved += 1;
        self.duplicates += batch.duplicates;
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

    /// Stores the pages that are in no draft yet as a draft, if drafts are wanted. Returns their
    /// number.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(crate) async fn store_draft(&mut self) -> Result<usize, SyncError> {
        let Some(draft) = self.draft.take().filter(|_| !self.all_stored()) else { return Ok(0) };
        self.draft = Some(SegmentBuilder::new(self.run, self.endpoint));
        let stored = draft.store(self.next_id()).await?;
        let (segment, ids) = (stored.segment.clone(), stored.ids);
        // Replaces no drafts, so it is always named.
        self.commit(stored.segment, stored.roles, &[]).await?;
        row_ids::index_ids(self.run, self.endpoint, &ids);
        self.drafts.extend(segment);
        Ok(self.forget_stored())
    }

    /// Stores all pages as one segment in place of its drafts, and starts the next one. Returns the
    /// number of pages that were in no draft.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(crate) async fn store(&mut self) -> Result<usize, SyncError> {
        if self.all_stored() {
            return Ok(0);
        }
        let (run, endpoint) = (self.run, self.endpoint);
        let segment = std::mem::replace(&mut self.segment, SegmentBuilder::new(run, endpoint));
        let drafts = std::mem::take(&mut self.drafts);
        let stored = segment.store(self.next_id()).await?;
        let added = stored.segment.clone();
        if !self.commit(stored.segment, stored.roles, &drafts).await? {
            // If a draft was changed since it was stored, the segment would undo that. The drafts then stay as
            // segments, and the unsaved pages become one more.
            let pages = self.store_draft().await?;
            (self.draft, self.drafts) = (None, Vec::new());
            return Ok(pages);
        }
        self.draft = None;
        if let Some(segment) = &added {
            run.unchecked_users.note(segment, stored.unchecked_users);
            row_ids::add_segment(run, endpoint, segment, stored.ids).await?;
            remove_parts(run, &drafts, segment).await;
        }
        Ok(self.forget_stored())
    }

    fn next_id(&self) -> SegmentId {
        self.run.list(self.endpoint.name(), |list| SegmentId {
            window: self.window,
            sequence: list.window(self.window).next_sequence(),
        })
    }

    /// Commits a checkpoint that names a segment in place of `drafts`, with the position after it.
    /// `false`, without a change, if the window does not end with these drafts any more.
    async fn commit(
        &self,
        segment: Option<Segment>,
        roles: Vec<Role>,
        drafts: &[Segment],
    ) -> Result<bool, SyncError> {
        let Some(newest) = &self.newest else { return Ok(true) };
        let (run, name) = (self.run, self.endpoint.name());
        let latency = run.client.latency_of(self.endpoint.path);
        let is_new = segment.is_some();
        let mut is_named = false;
        run.commit(|checkpoint| {
            let list = progress_of(checkpoint, name);
            let window = list.window_mut(self.window);
            is_named = window.segments.ends_with(drafts);
            if !is_named {
                return;
            }
            window.segments.truncate(window.segments.len() - drafts.len());
            window.segments.extend(segment);
            latency.iter().for_each(|latency| list.note_latency(latency.best));
            self.update(list, newest, is_new);
            roles.into_iter().for_each(|role| checkpoint.roles.push(role));
        })
        .await?;
        if !is_named {
            return Ok(false);
        }
        // Without a new row the next invocation would start from the same position as this one. By
        // owner the position has moved past owners without rows.
        if is_new || newest.mode == PagingMode::ByOwner {
            run.work_limit.note_progress();
        }
        run.progress.show(|| run.leased.with_checkpoint(summary::row_counts), run.stats().requests);
        let (rows, ended) = run.list(name, |list| (list.rows(), list.stage == Stage::Comparing));
        if ended {
            info!(clerk.path = self.endpoint.path, rows, "list read to its end");
        }
        Ok(true)
    }

    /// Updates a list's position, counts and stage after the pending pages. `is_new` says whether they
    /// had a new row.
    fn update(&self, list: &mut ListProgress, newest: &Newest, is_new: bool) {
        let window = list.window_mut(self.window);
        window.position = newest.position.clone();
        window.expected = newest.total.or(window.expected).or(self.count_before);
        window.ended = newest.last;
        list.divisible &= !newest.last;
        list.duplicates_dropped += self.duplicates;
        list.source_count.before = list.source_count.before.or(self.count_before).or(newest.total);
        if list.mode == PagingMode::Cursor {
            // What one window's pager has found out about the server applies to all windows.
            list.mode = newest.mode;
        }
        if is_new {
            list.stage = Stage::Walking;
        }
        if list.stage == Stage::Walking {
            list.source_count.after = newest.total.or(list.source_count.after);
        }
        if newest.mode == PagingMode::ByOwner && !self.endpoint.is_counted_as_a_whole() {
            *list.source_count.after.get_or_insert(0) += self.owned;
        }
        let all_ended = list.windows.iter().all(|window| window.ended);
        if all_ended && list.stage == Stage::Walking {
            list.stage = Stage::Comparing;
        }
    }

    /// Forgets the pages that have just been stored; returns how many were pending.
    fn forget_stored(&mut self) -> usize {
        (self.newest, self.duplicates, self.owned) = (None, 0, 0);
        std::mem::take(&mut self.unsaved)
    }
}
