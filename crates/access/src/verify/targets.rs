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
    /// Whether `latest.json` names it. Such a snapshot is never removed.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        self.named.as_ref().is_some_and(|named| named.latest.is_some())
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

    fn note(&mut self, snapshot: &Snapshot) {
        self.made = order::made(snapshot.manifest());
        self.unknown = snapshot.unknown_datasets().to_vec();
    }
}

impl Published {
    async fn follow(archive: &Archive) -> Result<Self, ChooseError> {
        let mut published = Self::default();
        let latest = read_latest(&**archive.source()).await?;
        let mut next = latest.map(|latest| {
            let named = Named {
                manifest_sha256: latest.manifest_sha256,
                by: "latest.json".to_owned(),
                latest: Some(latest.clone()),
            };
            Target::of(latest.snapshot_id, Some(named))
        });
        while let Some(mut target) = next.take() {
            if published.targets.iter().any(|passed| passed.id == target.id) {
                break;
            }
            let is_first = published.targets.is_empty();
            match Snapshot::open(Arc::clone(archive.source()), &target.id, None).await {
                // A removed snapshot ends the chain; that latest.json names one that is not there is damage.
                Err(ReadError::NotFound { .. } | ReadError::Removed { .. }) if !is_first => break,
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
