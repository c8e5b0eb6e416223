//! Finds the snapshots to verify, also where the chain of manifests is broken.

use std::sync::Arc;

use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::manifest::Latest;
use clerk_snapshot::reader::{ReadError, Snapshot, read_latest};
use clerk_snapshot::timestamp::Timestamp;

use crate::archive::order::{self, Made};
use crate::archive::{Archive, ChooseError, Which};

/// A snapshot to verify.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its id.
    pub id: String,
    /// What names it; `None` if nothing does.
    pub named: Option<Named>,
    /// The names of its datasets that this version does not know, if its manifest was read to find it.
    pub unknown: Vec<String>,
    /// When it was made; by its id alone, if its manifest cannot be read.
    made: Made,
}

impl Target {
    /// Whether `latest.json` named it and still does. Such a snapshot is never removed.
    ///
    /// # Errors
    /// Those of [`read_latest`].
    pub async fn is_latest(&self, archive: &Archive) -> Result<bool, ReadError> {
        let latest = self.named.as_ref().and_then(|named| named.latest.as_ref());
        Ok(latest.is_some() && read_latest(&**archive.source()).await?.as_ref() == latest)
    }
}

/// What names a snapshot.
#[derive(Debug, Clone)]
pub struct Named {
    /// The SHA-256 that its manifest must have.
    pub manifest_sha256: Sha256Hex,
    /// The file, for messages.
    pub by: String,
    /// `latest.json`, if it is that.
    pub latest: Option<Latest>,
}

/// The published snapshots as far as they can be followed.
#[derive(Debug, Default)]
struct Published {
    targets: Vec<Target>,
    /// When each was completed; `None` if its manifest cannot be read.
    completed_at: Vec<Option<Timestamp>>,
}

/// The snapshots that are asked for, newest first. With `all`, they are all that have a manifest.
///
/// # Errors
/// [`ChooseError`] if there is none, or if `latest.json` is damaged.
pub async fn find(
    archive: &Archive,
    which: &Which,
    all: bool,
    now: Timestamp,
) -> Result<Vec<Target>, ChooseError> {
    let published = Published::follow(archive).await?;
    if all {
        return everything(archive, published).await;
    }
    let not_found =
        |wanted: String| ChooseError::NotFound { wanted, url: archive.url().to_owned() };
    let newest_by = |is_wanted: &dyn Fn(Timestamp) -> bool| {
        let mut times = published.completed_at.iter();
        times.position(|time| time.is_some_and(is_wanted))
    };
    let (place, none) = match which {
        Which::Latest => (Some(0), archive.empty()),
        Which::Previous => (Some(1), archive.only_one()),
        Which::Before(end) => {
            let wanted = format!("published and completed before {end}");
            (newest_by(&|time| time < *end), not_found(wanted))
        }
        Which::Age(age) => {
            let last = now - *age;
            let wanted = format!("published and completed by {last}");
            (newest_by(&|time| time <= last), not_found(wanted))
        }
        Which::Id(beginning) => {
            let id = archive.complete_id(beginning).await?;
            let named = published.targets.iter().find(|target| target.id == id).cloned();
            return Ok(vec![named.unwrap_or_else(|| Target::of(id, None))]);
        }
    };
    match place.and_then(|place| published.targets.get(place)) {
        Some(target) => Ok(vec![target.clone()]),
        None if published.targets.is_empty() => Err(archive.empty()),
        None => Err(none),
    }
}

/// All that are published or have a manifest, newest first.
async fn everything(archive: &Archive, published: Published) -> Result<Vec<Target>, ChooseError> {
    let published = published.targets;
    let mut ids = archive.ids("").await?;
    for target in &published {
        ids.remove(&target.id);
    }
    let mut others = Vec::new();
    for id in ids {
        let mut target = Target::of(id, None);
        match Snapshot::open(Arc::clone(archive.source()), &target.id, None).await {
            Ok(snapshot) => target.note(&snapshot),
            // It was removed since it was listed.
            Err(ReadError::NotFound { .. }) => continue,
            Err(ReadError::Damaged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        others.push(target);
    }
    if published.is_empty() && others.is_empty() {
        return Err(archive.empty());
    }
    Ok(order::newest_first(published, others, |target| target.made.clone()))
}

impl Target {
    fn of(id: String, named: Option<Named>) -> Self {
        Self { made: order::made_by_id(&id), unknown: Vec::new(), id, named }
    }

    /// What `latest.json` names; `None` if nothing was published yet.
    async fn latest(archive: &Archive) -> Result<Option<Self>, ReadError> {
        let latest = read_latest(&**archive.source()).await?;
        Ok(latest.map(|latest| {
            let named = Named {
                manifest_sha256: latest.manifest_sha256,
                by: "latest.json".to_owned(),
                latest: Some(latest.clone()),
            };
            Self::of(latest.snapshot_id, Some(named))
        }))
    }

    fn note(&mut self, snapshot: &Snapshot) {
        self.made = order::made(snapshot.manifest());
        self.unknown = snapshot.unknown_datasets().to_vec();
    }
}

impl Published {
    async fn follow(archive: &Archive) -> Result<Self, ChooseError> {
        let mut published = Self::default();
        let mut next = Target::latest(archive).await?;
        while let Some(mut target) = next.take() {
            if published.targets.iter().any(|passed| passed.id == target.id) {
                break;
            }
            let is_first = published.targets.is_empty();
            match Snapshot::open(Arc::clone(archive.source()), &target.id, None).await {
                // A removed snapshot ends the chain.
                Err(ReadError::NotFound { .. } | ReadError::Removed { .. }) if !is_first => break,
                // A newer one was published, and this one was removed before it was opened.
                Err(ReadError::NotFound { .. } | ReadError::Removed { .. })
                    if !target.is_latest(archive).await? =>
                {
                    next = Target::latest(archive).await?;
                    continue;
                }
                Err(error @ ReadError::Unavailable { .. }) => return Err(error.into()),
                Err(_) => published.completed_at.push(None),
                Ok(snapshot) => {
                    next = before(&snapshot);
                    target.note(&snapshot);
                    published.completed_at.push(Some(snapshot.manifest().completed_at));
                }
            }
            published.targets.push(target);
        }
        Ok(published)
    }
}

/// The snapshot that a manifest names as the one before.
fn before(snapshot: &Snapshot) -> Option<Target> {
    let previous = snapshot.manifest().previous.as_ref()?;
    let named = Named {
        manifest_sha256: previous.manifest_sha256,
        by: format!("the manifest of {}", snapshot.id()),
        latest: None,
    };
    Some(Target::of(previous.snapshot_id.clone(), Some(named)))
}

#[cfg(test)]
mod tests {
    use clerk_snapshot::layout::{manifest_key, removal_key};
    use clerk_snapshot::resource::Dataset;
    use clerk_snapshot::testing::{MemorySource, SnapshotBuilder, records};

    use super::*;
    use crate::verify::manifest;

    fn snapshot(day: u32) -> SnapshotBuilder {
        SnapshotBuilder::on_day(day).with(Dataset::Users, [records::user("ada")])
    }

    async fn found(archive: &Archive, all: bool) -> Vec<String> {
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        let targets = find(archive, &Which::Latest, all, now).await.unwrap();
        targets.into_iter().map(|target| target.id).collect()
    }

    // Promise: the newest snapshot is found although the one before was the newest a moment ago, and was removed since.
    #[tokio::test]
    async fn the_newest_is_found_although_the_one_before_was_just_removed() {
        for removing in [false, true] {
            for all in [false, true] {
                let (memory, later) = (Arc::new(MemorySource::default()), MemorySource::default());
                let older = snapshot(1).publish(&memory);
                let newer = snapshot(2).after(&older).publish(&later);
                if removing {
                    later.put(removal_key(older.id()), "{}");
                }
                memory.replace_before_read(manifest_key(older.id()), &later);
                let archive = Archive::of(memory, 1);
                assert_eq!(found(&archive, all).await, [newer.id()], "all: {all}");
            }
        }
    }

    // Promise: what was the newest snapshot and was removed since is no damage. What `latest.json` still names is.
    #[tokio::test]
    async fn the_newest_may_be_removed_once_another_is() {
        let (memory, later) = (Arc::new(MemorySource::default()), MemorySource::default());
        let older = snapshot(1).publish(&memory);
        let newer = snapshot(2).after(&older).publish(&later);
        let archive = Archive::of(Arc::clone(&memory) as _, 1);
        let target = Target::latest(&archive).await.unwrap().unwrap();
        assert_eq!(target.id, older.id());
        memory.replace_before_read(manifest_key(older.id()), &later);
        let removed = manifest::check(&archive, &target).await;
        assert!(matches!(removed, Err(ReadError::Removed { .. })), "{removed:?}");

        let target = Target::latest(&archive).await.unwrap().unwrap();
        memory.remove(&manifest_key(newer.id()));
        let (check, snapshot) = manifest::check(&archive, &target).await.unwrap();
        assert!(!check.ok && snapshot.is_none(), "{check:?}");
    }
}
