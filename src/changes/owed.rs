//! Finds the snapshots whose feed is missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use clerk_snapshot::layout::{
    CHANGES_FOLDER, CHANGES_LATEST_KEY, feed_of_summary, feed_summary_key,
};
use clerk_snapshot::manifest::Latest;
use clerk_snapshot::reader::{Chain, Link, ReadError, Snapshot};

use super::error::FeedError;
use super::feeds::{Feed, Feeds, named};

impl Feeds {
    /// Makes the feed of the newest published snapshot if it is owed. `None` if it is there already, or the snapshot is
    /// the first.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn make_owed(&self, newest: &Latest) -> Result<Option<Feed>, FeedError> {
        if self.newest_named().await?.as_ref() == Some(&newest.snapshot_id) {
            return Ok(None);
        }
        self.make_of(newest).await
    }

    /// The snapshot that the feed which `changes/latest.json` names leads to.
    async fn newest_named(&self) -> Result<Option<String>, FeedError> {
        let standing = self.store.get(CHANGES_LATEST_KEY).await?;
        Ok(standing.and_then(|object| named(&object.bytes)).map(|named| named.to))
    }

    /// Makes the feed of the newest published snapshot, unless it is there. `None`: it is the first snapshot.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn make_of(&self, newest: &Latest) -> Result<Option<Feed>, FeedError> {
        let expected = Some(&newest.manifest_sha256);
        let source = Arc::clone(&self.source);
        self.make(&Snapshot::open(source, &newest.snapshot_id, expected).await?).await
    }

    /// Makes the feed that leads to a published snapshot of this id, unless it is there. `None`: the snapshot is the
    /// first, or it was removed since it was found.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn make_of_id(&self, snapshot_id: &str) -> Result<Option<Feed>, FeedError> {
        match Snapshot::open(Arc::clone(&self.source), snapshot_id, None).await {
            Ok(snapshot) => self.make(&snapshot).await,
            Err(ReadError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is a feed that leads to a snapshot.
    ///
    /// # Errors
    /// [`FeedError`].
    pub async fn has_feed(&self, snapshot_id: &str) -> Result<bool, FeedError> {
        Ok(self.store.verify(&feed_summary_key(snapshot_id)).await?.is_some())
    }

    /// Ids of the published snapshots whose feed is owed, newest first: all that have none, back to the first snapshot
    /// or to one that is gone. The newest one's feed is also owed if `changes/latest.json` does not name it.
    ///
    /// # Errors
    /// [`FeedError`].
    pub(super) async fn owed(&self) -> Result<Vec<String>, FeedError> {
        let listed = self.store.list(CHANGES_FOLDER).await?;
        let made: BTreeSet<&str> =
            listed.iter().filter_map(|it| feed_of_summary(&it.key)).collect();
        let named = self.newest_named().await?;
        let mut owed = Vec::new();
        let mut is_newest = true;
        let mut chain = Chain::from_latest(Arc::clone(&self.source));
        loop {
            match chain.next().await {
                Ok(Some(Link::Snapshot(snapshot))) => {
                    let has_feed = snapshot.manifest().previous.is_some();
                    let is_named = !is_newest || named.as_deref() == Some(snapshot.id());
                    if has_feed && !(made.contains(snapshot.id()) && is_named) {
                        owed.push(snapshot.id().to_owned());
                    }
                    is_newest = false;
                }
                Err(error @ ReadError::Unavailable { .. }) => return Err(error.into()),
                // The chain ends where a snapshot is gone or damaged.
                Ok(Some(Link::Removed { .. }) | None)
                | Err(
                    ReadError::NotFound { .. }
                    | ReadError::Removed { .. }
                    | ReadError::Damaged { .. },
                ) => return Ok(owed),
            }
        }
    }
}
