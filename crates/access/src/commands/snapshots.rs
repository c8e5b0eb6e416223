//! `snapshots`: which snapshots there are, and which of them are published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Args;
use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::reader::{Link, ReadError, Snapshot};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;
use serde::Serialize;

use crate::archive::{ChooseError, order};
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
    #[serde(skip)]
    facts: SnapshotFacts,
    /// The names of datasets that only a newer version can read.
    #[serde(skip)]
    unknown: Vec<String>,
}

/// A snapshot that is not published and cannot be listed, because its manifest is damaged.
#[derive(Debug, Serialize)]
struct Damaged {
    snapshot_id: String,
    problem: String,
}

/// All snapshots.
#[derive(Debug)]
struct Found {
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
    let mut found = all(session).await?;
    if let Some(until) = &arguments.until {
        found = found.without_newer(until, session)?;
    }
    let Found { entries, removing, damaged } = found;
    let removal = removing.iter().map(|id| format!("{id} is being removed; use another snapshot."));
    let damage = damaged.iter().map(|it| format!("{} is damaged: {}.", it.snapshot_id, it.problem));
    let unknown = entries.iter().filter_map(Entry::not_known);
    let latest = entries.iter().find(|entry| entry.published);
    let envelope = Envelope {
        snapshot: latest.map(|entry| entry.facts.clone()),
        notes: removal.chain(damage).chain(unknown).collect(),
        ..Envelope::without_snapshot(&session.command)
    };
    session.output.begin(&envelope, &LIST)?;
    for entry in &entries {
        session.output.row(entry)?;
    }
    session.output.end(&Summary { removing: &removing, damaged: &damaged })?;
    Ok(Outcome { is_damaged: !damaged.is_empty(), ..envelope.into() })
}

async fn all(session: &Session<'_>) -> Result<Found, Error> {
    let mut ids: BTreeSet<String> = session.archive.ids("").await?;
    let removing = session.archive.being_removed().await?;
    let (mut published, mut others, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    let mut chain = session.archive.published();
    while let Some(Link::Snapshot(snapshot)) = chain.next().await.map_err(ChooseError::from)? {
        ids.remove(snapshot.id());
        published.push(Entry::of(&snapshot, true));
    }
    for id in ids {
        let source = Arc::clone(session.archive.source());
        match Snapshot::open(source, &id, None).await {
            Ok(snapshot) => others.push(Entry::of(&snapshot, false)),
            // It was removed since it was listed.
            Err(ReadError::NotFound { .. }) => {}
            Err(ReadError::Damaged { problem, .. }) => {
                damaged.push(Damaged { snapshot_id: id, problem: problem.to_string() });
            }
            Err(error) => return Err(ChooseError::from(error).into()),
        }
    }
    if published.is_empty() && others.is_empty() && damaged.is_empty() {
        return Err(ChooseError::Empty { url: session.archive.url().to_owned() }.into());
    }
    let made = |it: &Entry| (it.started_at, it.completed_at, it.snapshot_id.clone());
    let entries = order::newest_first(published, others, made);
    let removing = removing.into_iter().collect();
    Ok(Found { entries, removing, damaged }.without_unlisted_removals())
}

impl Found {
    /// Leaves out the snapshots that are newer than the one of the id `until`.
    ///
    /// # Errors
    /// [`ChooseError::NotFound`] if it is not there any more.
    fn without_newer(mut self, until: &str, session: &Session<'_>) -> Result<Self, Error> {
        let place = self.entries.iter().position(|entry| entry.snapshot_id == until);
        let place = place.ok_or_else(|| ChooseError::NotFound {
            wanted: format!("with the id {until}"),
            url: session.archive.url().to_owned(),
        })?;
        self.entries.drain(..place);
        let newest = self.entries.first().map(|entry| entry.started_at);
        self.damaged.retain(|it| order::started_at(&it.snapshot_id) <= newest);
        Ok(self.without_unlisted_removals())
    }

    /// Only what is listed is said to be removed.
    fn without_unlisted_removals(mut self) -> Self {
        let entries = &self.entries;
        self.removing.retain(|id| entries.iter().any(|entry| entry.snapshot_id == *id));
        self
    }
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
            facts: SnapshotFacts::of(snapshot),
            unknown: snapshot.unknown_datasets().to_vec(),
        }
    }

    /// A sentence about the datasets that only a newer version can read; `None` if there are none.
    fn not_known(&self) -> Option<String> {
        (!self.unknown.is_empty()).then(|| {
            format!(
                "{} also has {}, which this version of clerk-access does not know and does not count.",
                self.snapshot_id,
                self.unknown.join(", ")
            )
        })
    }
}

impl Row for Entry {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let says =
            |(dataset, status): (&Dataset, &DatasetStatus)| format!("{dataset} {}", status.name());
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
