//! `snapshots`: which snapshots there are, and which of them are published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Args;
use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::reader::{Link, ReadError, Snapshot};
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
pub struct Arguments {
    /// Not those that are newer than the one of this id.
    #[arg(skip)]
    pub until: Option<String>,
}

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

/// A snapshot that is not published and cannot be listed, because its manifest is damaged.
#[derive(Debug, Serialize)]
struct Damaged {
    snapshot_id: String,
    problem: String,
}

/// All snapshots.
#[derive(Debug, Default)]
struct Found {
    latest: Option<SnapshotFacts>,
    /// Newest first.
    entries: Vec<Entry>,
    /// The ids of those that are being removed, oldest first.
    removing: Vec<String>,
    damaged: Vec<Damaged>,
}

/// What the answer says after the list.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    removing: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    damaged: &'a [Damaged],
}

/// Lists the snapshots, newest first. Those that are not published have a manifest that no other names: they were held,
/// or were replaced when `latest.json` was moved. One of these whose manifest is damaged is named after the list, and
/// makes the exit status 6. One that is being removed is named, too.
///
/// # Errors
/// [`Error::Choose`], also if there is no snapshot at all; [`Error::Output`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let Found { latest, entries, removing, damaged } =
        all(arguments.until.as_deref(), session).await?;
    let removal = removing.iter().map(|id| format!("{id} is being removed; use another snapshot."));
    let damage = damaged.iter().map(|it| format!("{} is damaged: {}.", it.snapshot_id, it.problem));
    let envelope = Envelope {
        snapshot: latest,
        notes: removal.chain(damage).collect(),
        ..Envelope::without_snapshot(&session.command)
    };
    session.output.begin(&envelope, &LIST)?;
    for entry in &entries {
        session.output.row(entry)?;
    }
    session.output.end(&Summary { removing: &removing, damaged: &damaged })?;
    Ok(Outcome { is_damaged: !damaged.is_empty(), ..envelope.into() })
}

async fn all(until: Option<&str>, session: &Session<'_>) -> Result<Found, Error> {
    let is_too_new = |id: &str| until.is_some_and(|until| id > until);
    let mut others: BTreeSet<String> = session.archive.ids("").await?;
    others.retain(|id| !is_too_new(id));
    let removing = session.archive.being_removed().await?;
    let Found { mut latest, mut entries, mut damaged, .. } = Found::default();
    let mut chain = session.archive.published();
    while let Some(Link::Snapshot(snapshot)) = chain.next().await.map_err(ChooseError::from)? {
        if is_too_new(snapshot.id()) {
            continue;
        }
        latest.get_or_insert_with(|| SnapshotFacts::of(&snapshot));
        others.remove(snapshot.id());
        entries.push(Entry::of(&snapshot, true));
    }
    for id in others {
        let source = Arc::clone(session.archive.source());
        match Snapshot::open(source, &id, None).await {
            Ok(snapshot) => entries.push(Entry::of(&snapshot, false)),
            // It was removed since it was listed.
            Err(ReadError::NotFound { .. }) => {}
            Err(ReadError::Damaged { problem, .. }) => {
                damaged.push(Damaged { snapshot_id: id, problem: problem.to_string() });
            }
            Err(error) => return Err(ChooseError::from(error).into()),
        }
    }
    if entries.is_empty() && damaged.is_empty() {
        return Err(ChooseError::Empty { url: session.archive.url().to_owned() }.into());
    }
    // By start, which the id begins with; the ids of two runs of one second differ in their ends.
    entries.sort_by(|one, other| other.snapshot_id.cmp(&one.snapshot_id));
    let is_listed = |id: &String| entries.iter().any(|entry| entry.snapshot_id == *id);
    let removing = removing.into_iter().filter(is_listed).collect();
    Ok(Found { latest, entries, removing, damaged })
}

impl Entry {
    fn of(snapshot: &Snapshot, published: bool) -> Self {
        let manifest = snapshot.manifest();
        let datasets = &manifest.datasets;
        let parts = datasets.values().flat_map(|entry| &entry.parts);
        Self {
            snapshot_id: manifest.snapshot_id.clone(),
            started_at: manifest.started_at,
            completed_at: manifest.completed_at,
            verified: manifest.verified,
            published,
            records: datasets.values().map(|entry| entry.records).fold(0, u64::saturating_add),
            bytes: parts.map(|part| part.bytes).fold(0, u64::saturating_add),
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
