//! Follows the published snapshots from the newest one back.

use std::collections::HashSet;
use std::sync::Arc;

use super::error::{Damage, ReadError};
use super::latest::open_latest;
use super::snapshot::Snapshot;
use crate::layout;
use crate::manifest::Previous;
use crate::source::Source;

/// The published snapshots, newest first, along `previous` of each manifest.
///
/// - Each manifest is held against the SHA-256 by which the newer one names it.
/// - It ends at the first snapshot, at one that was removed, and at an error.
/// - It never passes a snapshot twice.
#[derive(Debug)]
pub struct Chain {
    source: Arc<dyn Source>,
    next: Next,
    passed: HashSet<String>,
}

/// One step along the chain.
#[derive(Debug)]
pub enum Link {
    /// A published snapshot.
    Snapshot(Snapshot),
    /// The snapshot before was removed, so what was before it is unknown. The chain ends.
    Removed {
        /// Its id.
        snapshot_id: String,
        /// The address of its manifest.
        url: String,
    },
}

#[derive(Debug)]
enum Next {
    Latest,
    Named { previous: Previous, by: String },
    Nothing,
}

impl Chain {
    /// The chain that begins with the snapshot that `latest.json` names.
    #[must_use]
    pub fn from_latest(source: Arc<dyn Source>) -> Self {
        Self { source, next: Next::Latest, passed: HashSet::new() }
    }

    /// The chain that begins with the snapshot before `newest`.
    #[must_use]
    pub fn before(newest: &Snapshot) -> Self {
        let mut chain = Self::from_latest(Arc::clone(newest.source()));
        chain.pass(newest);
        chain
    }

    /// The next snapshot; `None` at the end, which is also the case if nothing was published.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if a manifest is not the one that the newer one names, or if `previous` leads back to a
    /// snapshot that was passed; [`ReadError::NotFound`] if the snapshot that `latest.json` names is missing;
    /// [`ReadError::Unavailable`]. After an error the chain is at its end.
    pub async fn next(&mut self) -> Result<Option<Link>, ReadError> {
        let snapshot = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => return Ok(None),
            Next::Latest => match open_latest(&self.source).await? {
                None => return Ok(None),
                Some(snapshot) => snapshot,
            },
            Next::Named { previous, by } => {
                let Previous { snapshot_id, manifest_sha256 } = previous;
                self.check(&snapshot_id, by)?;
                let source = Arc::clone(&self.source);
                match Snapshot::open(source, &snapshot_id, Some(&manifest_sha256)).await {
                    Ok(snapshot) => snapshot,
                    Err(ReadError::NotFound { url }) => {
                        return Ok(Some(Link::Removed { snapshot_id, url }));
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        self.pass(&snapshot);
        Ok(Some(Link::Snapshot(snapshot)))
    }

    /// `by`: the address of the manifest that names the snapshot.
    fn check(&self, snapshot_id: &str, by: String) -> Result<(), ReadError> {
        let problem = if !layout::is_snapshot_id(snapshot_id) {
            Damage::SnapshotId
        } else if self.passed.contains(snapshot_id) {
            Damage::Loop
        } else {
            return Ok(());
        };
        Err(ReadError::Damaged { url: by, problem })
    }

    fn pass(&mut self, snapshot: &Snapshot) {
        self.passed.insert(snapshot.id().to_owned());
        self.next = match &snapshot.manifest().previous {
            None => Next::Nothing,
            Some(previous) => Next::Named {
                previous: previous.clone(),
                by: self.source.url_of(&layout::manifest_key(snapshot.id())),
            },
        };
    }
}
