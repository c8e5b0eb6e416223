//! Finds the snapshot that is asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use clerk_snapshot::layout::{SNAPSHOTS_FOLDER, snapshot_of_manifest};
use clerk_snapshot::reader::{Chain, Link, ReadError, Snapshot, being_removed};
use clerk_snapshot::source::SourceError;
use clerk_snapshot::timestamp::Timestamp;

use super::{Archive, Which};

impl Archive {
    /// Opens the snapshot that is asked for. Ages are counted back from `now`.
    ///
    /// Every way but an id looks among the published snapshots. The manifest of a published snapshot is held against
    /// the checksum by which `latest.json` or the next newer manifest names it, however it was asked for.
    ///
    /// # Errors
    /// [`ChooseError`].
    pub async fn choose(&self, which: &Which, now: Timestamp) -> Result<Snapshot, ChooseError> {
        let not_found =
            |wanted: String| ChooseError::NotFound { wanted, url: self.url().to_owned() };
        match which {
            Which::Latest => self.first_published(|_| true, self.empty()).await,
            Which::Previous => {
                let mut passed = 0;
                let is_second = |_: &Snapshot| {
                    passed += 1;
                    passed == 2
                };
                self.first_published(is_second, self.only_one()).await
            }
            Which::Before(end) => {
                let none = not_found(format!("published and completed before {end}"));
                let is_before = |snapshot: &Snapshot| snapshot.manifest().completed_at < *end;
                self.first_published(is_before, none).await
            }
            Which::Age(age) => {
                let last = now - *age;
                let none = not_found(format!("published and completed by {last}"));
                let is_by = |snapshot: &Snapshot| snapshot.manifest().completed_at <= last;
                self.first_published(is_by, none).await
            }
            Which::Id(beginning) => {
                let id = self.complete_id(beginning).await?;
                match self.chain_snapshot(|snapshot| snapshot.id() == id).await? {
                    Some(published) => Ok(published),
                    None => match Snapshot::open(Arc::clone(self.source()), &id, None).await {
                        Err(ReadError::NotFound { .. }) => {
                            Err(not_found(format!("with the id {id}")))
                        }
                        opened => Ok(opened?),
                    },
                }
            }
        }
    }

    /// The published snapshots, newest first.
    #[must_use]
    pub fn published(&self) -> Chain {
        Chain::from_latest(Arc::clone(self.source()))
    }

    /// Ids of all snapshots that have a manifest, in ascending order.
    ///
    /// # Errors
    /// [`ChooseError::List`].
    pub async fn ids(&self, beginning: &str) -> Result<BTreeSet<String>, ChooseError> {
        let prefix = format!("{SNAPSHOTS_FOLDER}{beginning}");
        let keys = self.source().list(&prefix).await.map_err(ChooseError::List)?;
        Ok(keys.iter().filter_map(|key| snapshot_of_manifest(key)).map(str::to_owned).collect())
    }

    /// Ids of the snapshots that are being removed: some of their files may be gone.
    ///
    /// # Errors
    /// [`ChooseError::List`].
    pub async fn being_removed(&self) -> Result<BTreeSet<String>, ChooseError> {
        being_removed(&**self.source()).await.map_err(ChooseError::List)
    }

    /// The first published snapshot, newest first, that is wanted. If there is none, that is `none`, unless nothing at
    /// all is published: then the place may be the wrong one.
    async fn first_published(
        &self,
        mut is_wanted: impl FnMut(&Snapshot) -> bool,
        none: ChooseError,
    ) -> Result<Snapshot, ChooseError> {
        let mut is_empty = true;
        let found = self.chain_snapshot(|snapshot| {
            is_empty = false;
            is_wanted(snapshot)
        });
        match found.await? {
            Some(snapshot) => Ok(snapshot),
            None if is_empty => Err(self.empty()),
            None => Err(none),
        }
    }

    /// Nothing is published.
    #[must_use]
    pub fn empty(&self) -> ChooseError {
        ChooseError::Empty { url: self.url().to_owned() }
    }

    /// The snapshot before the latest one is asked for, and there is none.
    #[must_use]
    pub fn only_one(&self) -> ChooseError {
        ChooseError::OnlyOne { url: self.url().to_owned() }
    }

    /// The first published snapshot, newest first, that is wanted.
    async fn chain_snapshot(
        &self,
        mut is_wanted: impl FnMut(&Snapshot) -> bool,
    ) -> Result<Option<Snapshot>, ReadError> {
        let mut chain = self.published();
        while let Some(Link::Snapshot(snapshot)) = chain.next().await? {
            if is_wanted(&snapshot) {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    /// The id that begins like this.
    ///
    /// # Errors
    /// [`ChooseError`] if none does, or several do.
    pub async fn complete_id(&self, beginning: &str) -> Result<String, ChooseError> {
        let ids = self.ids(beginning).await?;
        let mut found = ids.iter();
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id.clone()),
            (None, _) => Err(ChooseError::NotFound {
                wanted: format!("with an id that begins with {beginning}"),
                url: self.url().to_owned(),
            }),
            (Some(first), Some(second)) => Err(ChooseError::Ambiguous {
                beginning: beginning.to_owned(),
                count: ids.len(),
                first: first.clone(),
                second: second.clone(),
            }),
        }
    }
}

/// Why there is no single snapshot that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// None is like that.
    #[error(
        "there is no snapshot {wanted} in {url}; `clerk-access snapshots` lists those that there are"
    )]
    NotFound {
        /// What was asked for, after "there is no snapshot".
        wanted: String,
        /// Where it was looked for.
        url: String,
    },
    /// Nothing was published yet.
    #[error("there is no published snapshot in {url}; check --url, or run clerk-sync first")]
    Empty {
        /// Where it was looked for.
        url: String,
    },
    /// The snapshot before the latest one is asked for, which `diff` does if it is not told otherwise.
    #[error(
        "only one snapshot is published in {url}, so there is none before it; run clerk-sync sync again later"
    )]
    OnlyOne {
        /// Where it was looked for.
        url: String,
    },
    /// Several ids begin like that.
    #[error(
        "{count} snapshots have ids that begin with {beginning}, such as {first} and {second}; give more of the id"
    )]
    Ambiguous {
        /// What was given.
        beginning: String,
        /// How many there are.
        count: usize,
        /// The oldest.
        first: String,
        /// The next.
        second: String,
    },
    /// A manifest or `latest.json` could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not list the snapshots.
    #[error("the snapshots cannot be listed")]
    List(#[source] SourceError),
}
