//! Checks the manifest of a snapshot, and what it says of the snapshot before.

use std::sync::Arc;

use clerk_snapshot::layout;
use clerk_snapshot::manifest::{DatasetStatus, Latest, Manifest};
use clerk_snapshot::reader::{ReadError, Snapshot};

use super::check::{Check, Problems};
use super::targets::Target;
use crate::archive::Archive;

/// Opens a snapshot and checks its manifest. If it cannot be opened, the check says why.
///
/// # Errors
/// [`ReadError::Unavailable`]; [`ReadError::Removed`] if the snapshot was removed since it was found;
/// [`ReadError::Damaged`] if it is missing, and `latest.json` cannot be understood.
pub async fn check(
    archive: &Archive,
    target: &Target,
) -> Result<(Check, Option<Snapshot>), ReadError> {
    let source = archive.source();
    let opened = Snapshot::open(Arc::clone(source), &target.id, None).await;
    let mut problems = Problems::default();
    let snapshot = match opened {
        Ok(snapshot) => Some(snapshot),
        Err(error @ (ReadError::Unavailable { .. } | ReadError::Removed { .. })) => {
            return Err(error);
        }
        Err(ReadError::NotFound { url }) if !target.is_latest(archive).await? => {
            return Err(ReadError::Removed { url });
        }
        Err(ReadError::NotFound { url }) => {
            problems.add(|| format!("{url} is not there"));
            None
        }
        Err(ReadError::Damaged { url, problem }) => {
            problems.add(|| format!("{url}: {problem}"));
            None
        }
    };
    let mut detail = "It is as it was written, but no other file names it.".to_owned();
    if let Some(snapshot) = &snapshot {
        if let Some(named) = &target.named {
            detail = format!("It is the one that {} names.", named.by);
            if named.manifest_sha256 != *snapshot.manifest_sha256() {
                problems.add(|| {
                    format!(
                        "its SHA-256 is {}, and {} says {}",
                        snapshot.manifest_sha256(),
                        named.by,
                        named.manifest_sha256
                    )
                });
            }
            if let Some(latest) = &named.latest {
                check_latest(latest, snapshot.manifest(), &mut problems);
            }
        }
        check_facts(snapshot, &mut problems);
    }
    Ok((problems.into_check(&target.id, "manifest", detail), snapshot))
}

/// Checks the snapshot that a manifest names as the one before.
///
/// # Errors
/// [`ReadError::Unavailable`].
pub async fn check_previous(archive: &Archive, snapshot: &Snapshot) -> Result<Check, ReadError> {
    let mut problems = Problems::default();
    let detail = match &snapshot.manifest().previous {
        None => "It names no snapshot before it.".to_owned(),
        Some(previous) => {
            let (id, expected) = (&previous.snapshot_id, &previous.manifest_sha256);
            let source = Arc::clone(archive.source());
            match Snapshot::open(source, id, Some(expected)).await {
                Ok(_) => format!("It names {id}, whose manifest is the one that was meant."),
                Err(error @ ReadError::Unavailable { .. }) => return Err(error),
                Err(ReadError::NotFound { .. } | ReadError::Removed { .. })
                    if layout::is_snapshot_id(id) =>
                {
                    format!("It names {id}, which was removed.")
                }
                Err(ReadError::NotFound { .. } | ReadError::Removed { .. }) => {
                    problems.add(|| "it names an invalid snapshot id as the one before".to_owned());
                    String::new()
                }
                Err(ReadError::Damaged { url, problem }) => {
                    problems.add(|| format!("it names {id}, and {url}: {problem}"));
                    String::new()
                }
            }
        }
    };
    Ok(problems.into_check(snapshot.id(), "chain", detail))
}

/// What `latest.json` says beside the checksum.
fn check_latest(latest: &Latest, manifest: &Manifest, problems: &mut Problems) {
    let same = [
        ("started_at", latest.started_at == manifest.started_at),
        ("completed_at", latest.completed_at == manifest.completed_at),
        ("verified", latest.verified == manifest.verified),
    ];
    for (field, _) in same.into_iter().filter(|(_, is_same)| !is_same) {
        problems.add(|| format!("latest.json has another {field}"));
    }
}

/// What a manifest says twice.
fn check_facts(snapshot: &Snapshot, problems: &mut Problems) {
    let manifest = snapshot.manifest();
    for (dataset, entry) in &manifest.datasets {
        let records = entry.parts.iter().map(|part| part.records).fold(0, u64::saturating_add);
        if records != entry.records {
            problems.add(|| {
                format!(
                    "it says that {dataset} has {} records, and its parts {records}",
                    entry.records
                )
            });
        }
    }
    let has = |is: fn(DatasetStatus) -> bool| manifest.datasets.values().any(|it| is(it.status));
    // What a newer version wrote may count, too.
    if has(|it| it == DatasetStatus::Unknown) || !snapshot.unknown_datasets().is_empty() {
        return;
    }
    let verified = !has(|it| matches!(it, DatasetStatus::Drifted | DatasetStatus::Failed));
    if verified != manifest.verified {
        problems.add(|| "its `verified` does not follow from the datasets".to_owned());
    }
}
