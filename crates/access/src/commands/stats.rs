//! `stats`: how many of what, and growth since the snapshot before.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use clerk_snapshot::manifest::DatasetEntry;
use clerk_snapshot::reader::{ReadError, Snapshot};
use clerk_snapshot::resource::Dataset;
use serde::Serialize;

use super::needs;
use crate::archive::{ChooseError, ScanError};
use crate::catalogue::Roles;
use crate::envelope::SnapshotFacts;
use crate::error::Error;
use crate::names;
use crate::organizations::Organizations;
use crate::output::{Cell, Column, List, Output, Row};
use crate::session::{Outcome, Session};
use crate::statistics::{Counts, Memberships};

/// Arguments of `stats`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clerk-access stats\n  \
    clerk-access --snapshot 2026-09-30 stats --out third-quarter.csv")]
pub struct Arguments {}

/// What is listed.
pub const LIST: List = List {
    name: "stats",
    columns: &[
        Column::shown("measure", "How many"),
        Column::shown("by", "By"),
        Column::shown("id", "Id"),
        Column::shown("name", "Name"),
        Column::shown("count", "Count"),
        Column::shown("previous", "Before"),
        Column::shown("growth", "Growth"),
    ],
};

/// A count.
#[derive(Debug, Serialize)]
struct Count<'a> {
    /// What is counted: `records`, `users` or `memberships`.
    measure: &'static str,
    /// By what: `dataset`, `status`, `role` or `organization`; `None` for all.
    by: Option<&'static str>,
    /// The dataset, the status, or the id; `None` for memberships without a role.
    id: Option<&'a str>,
    /// The name, if the snapshot has it.
    name: Option<&'a str>,
    count: u64,
    /// The count in the snapshot before; `None` if that is not known.
    previous: Option<u64>,
    growth: Option<i64>,
}

/// Two snapshots' counts of the same.
type Pair<'a> = (&'a Memberships, Option<&'a Memberships>);

/// Lists the counts: records by dataset, users by status, memberships, these by role and by organization.
///
/// # Errors
/// [`Error`].
pub async fn run(_arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let snapshot = session.snapshot().await?;
    let mut envelope = session.envelope(&snapshot, needs::MEMBERS);
    let (archive, progress) = (session.archive.clone(), session.progress);
    let counts = Counts::read(&archive, &snapshot, &progress, None).await?;
    let (before, counts_before) = match previous(&snapshot).await? {
        None => (None, Counts::default()),
        Some(before) => {
            let known = Some((&snapshot, &counts));
            match Counts::read(&archive, &before, &progress, known).await {
                // It is being removed.
                Err(ScanError::Read(ReadError::Removed { .. })) => (None, Counts::default()),
                counts_before => (Some(before), counts_before?),
            }
        }
    };
    envelope.from = before.as_ref().map(SnapshotFacts::of);
    // Its records are not counted.
    envelope.add_unknown(snapshot.unknown_datasets());
    let roles = Roles::read(&archive, &snapshot, &progress).await?;
    let organizations = Organizations::read(&archive, &snapshot, &progress, |_| true).await?;
    let output = &mut session.output;
    output.begin(&envelope, &LIST)?;
    write_datasets(&snapshot, before.as_ref(), output)?;
    if let Some(statuses) = &counts.statuses {
        for (status, count) in statuses {
            let before = counts_before.statuses.as_ref();
            let previous = before.map(|it| it.get(status).copied().unwrap_or_default());
            let id = Some(status.as_str());
            output.row(&Count::new("users", Some("status"), (id, None), *count, previous))?;
        }
    }
    if let Some(memberships) = &counts.memberships {
        let pair = (memberships, counts_before.memberships.as_ref());
        write_roles(pair, &roles, output)?;
        write_organizations(pair, &organizations, output)?;
    }
    session.output.end(&())?;
    Ok(envelope.into())
}

/// The published snapshot before; `None` if there is none, if it was removed, or if it is of another instance.
async fn previous(snapshot: &Snapshot) -> Result<Option<Snapshot>, Error> {
    let Some(previous) = &snapshot.manifest().previous else { return Ok(None) };
    let source = Arc::clone(snapshot.source());
    let sha256 = Some(&previous.manifest_sha256);
    match Snapshot::open(source, &previous.snapshot_id, sha256).await {
        Ok(before) => {
            let is_same = before.manifest().instance.id == snapshot.manifest().instance.id;
            Ok(Some(before).filter(|_| is_same))
        }
        Err(ReadError::NotFound { .. } | ReadError::Removed { .. }) => Ok(None),
        Err(error) => Err(ChooseError::from(error).into()),
    }
}

fn write_datasets(
    snapshot: &Snapshot,
    before: Option<&Snapshot>,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    // What a skipped or failed dataset has says nothing about how many there are.
    let records = |entry: &DatasetEntry| (!entry.status.is_left_out()).then_some(entry.records);
    let records_before = |dataset: &Dataset| records(before?.manifest().datasets.get(dataset)?);
    for (dataset, entry) in &snapshot.manifest().datasets {
        let Some(count) = records(entry) else { continue };
        let text = (Some(dataset.name()), None);
        let previous = records_before(dataset);
        output.row(&Count::new("records", Some("dataset"), text, count, previous))?;
    }
    Ok(())
}

fn write_roles(
    (now, before): Pair<'_>,
    roles: &Roles,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    const MEASURE: &str = "memberships";
    let total_before = before.map(|it| it.total);
    output.row(&Count::new(MEASURE, None, (None, None), now.total, total_before))?;
    let ids: BTreeSet<&str> = roles
        .ids()
        .chain(now.roles.keys().map(String::as_str))
        .chain(before.into_iter().flat_map(|it| it.roles.keys().map(String::as_str)))
        .collect();
    let mut named: Vec<(Option<&str>, &str)> =
        ids.into_iter().map(|id| (roles.name(id), id)).collect();
    sort(&mut named);
    for (name, id) in named {
        let of = |it: &Memberships| it.roles.get(id).copied().unwrap_or_default();
        let text = (Some(id), name);
        output.row(&Count::new(MEASURE, Some("role"), text, of(now), before.map(of)))?;
    }
    let (count, previous) = (now.without_role(), before.map(Memberships::without_role));
    output.row(&Count::new(MEASURE, Some("role"), (None, None), count, previous))?;
    Ok(())
}

fn write_organizations(
    (now, before): Pair<'_>,
    organizations: &Organizations,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    let numbers = 0..u32::try_from(organizations.len()).unwrap_or(u32::MAX);
    let known = numbers.map(|number| {
        let organization = organizations.show_number(number);
        (organization.name, organization.id)
    });
    let mut named: Vec<(Option<&str>, &str)> = known.collect();
    let others = now.organizations().chain(before.into_iter().flat_map(|it| it.organizations()));
    let unknown: BTreeSet<&str> =
        others.map(|it| it.0).filter(|id| organizations.find(id).is_none()).collect();
    named.extend(unknown.into_iter().map(|id| (None, id)));
    sort(&mut named);
    for (name, id) in named {
        let of = |it: &Memberships| it.of_organization(id);
        let (text, previous) = ((Some(id), name), before.map(of));
        output.row(&Count::new("memberships", Some("organization"), text, of(now), previous))?;
    }
    Ok(())
}

/// By name and then id; those without a name come first.
fn sort(named: &mut [(Option<&str>, &str)]) {
    named.sort_by(|one, other| {
        let by_name = names::compare(one.0.unwrap_or_default(), other.0.unwrap_or_default());
        by_name.then_with(|| one.1.cmp(other.1))
    });
}

impl<'a> Count<'a> {
    fn new(
        measure: &'static str,
        by: Option<&'static str>,
        (id, name): (Option<&'a str>, Option<&'a str>),
        count: u64,
        previous: Option<u64>,
    ) -> Self {
        let growth = |previous: u64| {
            let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            signed(count) - signed(previous)
        };
        Self { measure, by, id, name, count, previous, growth: previous.map(growth) }
    }
}

impl Row for Count<'_> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![vec![
            self.measure.into(),
            self.by.into(),
            self.id.into(),
            self.name.into(),
            self.count.into(),
            self.previous.into(),
            self.growth.into(),
        ]]
    }
}
