//! `snapshots`: which snapshots there are, and which of them are published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Args;
use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::reader::{Link, Snapshot};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;
use serde::Serialize;

use crate::archive::ChooseError;
use crate::envelope::{Envelope, SnapshotFacts};
use crate::error::Error;
use crate::output::{Cell, Column, List, Row};
use crate::session::{Outcome, Session};

/// Arguments of `snapshots`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clerk-access --url s3://acme-audit/clerk snapshots")]
pub struct Arguments {}

/// What is listed.
pub const LIST: List = List {
    name: "snapshots",
    columns: &[
        Column::shown("snapshot_id", "Snapshot"),
        Column::hidden("started_at"),
        Column::shown("completed_at", "Completed"),
        Column::shown("verified", "Verified"),
        Column::shown("published", "Published"),
        Column::shown("records", "Records"),
        Column::shown("bytes", "Bytes"),
        Column::hidden("datasets"),
        Column::shown("not_verified", "Not verified"),
    ],
};

/// One snapshot.
#[derive(Debug, Clone, Serialize)]
struct Entry {
    snapshot_id: String,
    started_at: Timestamp,
    completed_at: Timestamp,
    verified: bool,
    published: bool,
    records: u64,
    bytes: u64,
    datasets: BTreeMap<Dataset, DatasetStatus>,
}

/// Lists the snapshots, newest first. Those that are not published have a manifest that no other names: they were held,
/// or were replaced when `latest.json` was moved.
///
/// # Errors
/// [`Error::Choose`], also if there is no snapshot at all; [`Error::Output`].
pub async fn run(_arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let (latest, entries) = all(session).await?;
    let envelope = Envelope {
        snapshot: latest,
        from: None,
        complete: true,
        incomplete: Vec::new(),
        command: session.command.clone(),
        unmatched: Vec::new(),
    };
    session.output.begin(&envelope, &LIST)?;
    for entry in &entries {
        session.output.row(entry)?;
    }
    session.output.end(&())?;
    Ok(envelope.into())
}

/// The facts of the latest snapshot, and all snapshots, newest first.
async fn all(session: &Session<'_>) -> Result<(Option<SnapshotFacts>, Vec<Entry>), Error> {
    let mut others: BTreeSet<String> = session.archive.ids("").await?;
    let mut latest = None;
    let mut entries = Vec::new();
    let mut chain = session.archive.published();
    while let Some(Link::Snapshot(snapshot)) = chain.next().await.map_err(ChooseError::from)? {
        latest.get_or_insert_with(|| SnapshotFacts::of(&snapshot));
        others.remove(snapshot.id());
        entries.push(Entry::of(&snapshot, true));
    }
    for id in others {
        let source = Arc::clone(session.archive.source());
        let snapshot = Snapshot::open(source, &id, None).await.map_err(ChooseError::from)?;
        entries.push(Entry::of(&snapshot, false));
    }
    if entries.is_empty() {
        return Err(ChooseError::Empty { url: session.archive.url().to_owned() }.into());
    }
    // By start, which the id begins with; the ids of two runs of one second differ in their ends.
    entries.sort_by(|one, other| other.snapshot_id.cmp(&one.snapshot_id));
    Ok((latest, entries))
}

impl Entry {
    fn of(snapshot: &Snapshot, published: bool) -> Self {
        let manifest = snapshot.manifest();
        let datasets = &manifest.datasets;
        Self {
            snapshot_id: manifest.snapshot_id.clone(),
            started_at: manifest.started_at,
            completed_at: manifest.completed_at,
            verified: manifest.verified,
            published,
            records: datasets.values().map(|entry| entry.records).sum(),
            bytes: datasets.values().flat_map(|entry| &entry.parts).map(|part| part.bytes).sum(),
            datasets: datasets.iter().map(|(dataset, entry)| (*dataset, entry.status)).collect(),
        }
    }
}

impl Row for Entry {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let says = |(dataset, status): (&Dataset, &DatasetStatus)| {
            format!("{dataset} {}", status_name(*status))
        };
        let not_verified =
            self.datasets.iter().filter(|(_, status)| **status != DatasetStatus::Verified);
        vec![vec![
            self.snapshot_id.as_str().into(),
            self.started_at.to_string().into(),
            self.completed_at.to_string().into(),
            self.verified.into(),
            self.published.into(),
            self.records.into(),
            self.bytes.into(),
            Cell::joined(self.datasets.iter().map(says)),
            Cell::joined(not_verified.map(says)),
        ]]
    }
}

const fn status_name(status: DatasetStatus) -> &'static str {
    match status {
        DatasetStatus::Verified => "verified",
        DatasetStatus::Drifted => "drifted",
        DatasetStatus::Skipped => "skipped",
        DatasetStatus::Failed => "failed",
    }
}
