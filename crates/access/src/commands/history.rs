//! `history`: when what happened to a user, organization, role or membership.

use std::collections::BTreeSet;

use clap::Args;
use clerk_snapshot::compare::{Change, Classes, Comparison};
use clerk_snapshot::reader::{Link, Snapshot};
use clerk_snapshot::resource::Dataset;

use super::who::{KeyFile, assert_findable, person};
use super::{change_row, changes, needs, subject};
use crate::archive::{ChooseError, order};
use crate::envelope::SnapshotFacts;
use crate::error::Error;
use crate::incomplete::{Incomplete, NOT_COMPARED, PREVIOUS_GONE};
use crate::session::{Outcome, Session};
use crate::unmatched::Unmatched;

/// Arguments of `history`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clerk-access history ada@example.com\n  \
    clerk-access history org:admin\n  clerk-access history orgmem_2b2QcAmhY53tOfeQZ7FyFrNFt1c")]
pub struct Arguments {
    /// A person as for who, an organization as for --in, a role as for --role, or the id of any of them or of a
    /// membership
    #[arg(value_name = "ID")]
    pub id: String,

    /// Where the key of hashes is.
    #[command(flatten)]
    pub key: KeyFile,

    /// Only the published snapshots from one to another: their ids.
    #[arg(skip)]
    pub span: Option<Span>,
}

/// Some of the published snapshots, by the ids of the first and the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The oldest.
    pub oldest: String,
    /// The newest.
    pub newest: String,
}

/// The datasets in which something happens to such things.
const DATASETS: [Dataset; 6] = [
    Dataset::Users,
    Dataset::Organizations,
    Dataset::OrganizationRoles,
    Dataset::OrganizationPermissions,
    Dataset::Entitlements,
    Dataset::Grants,
];

/// Lists the changes of every class, oldest first. What was there in the oldest snapshot has no change.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let Found { snapshots, hole } = oldest_first(arguments.span.as_ref(), session).await?;
    let (Some(oldest), Some(newest)) = (snapshots.first(), snapshots.last()) else {
        return Err(ChooseError::Empty { url: session.archive.url().to_owned() }.into());
    };
    let pairs = || snapshots.iter().zip(&snapshots[1..]);
    let mut envelope = session.envelope(newest, needs::MEMBERS);
    for (from, to) in pairs() {
        let incomplete = changes::incomplete(from, to, changes::Asked::Among(&DATASETS));
        envelope.add_incomplete(incomplete);
    }
    if let Some(removed) = hole {
        envelope.add_incomplete(before_hole(oldest));
        envelope.notes.push(format!(
            "{removed}, the snapshot before {oldest}, was removed, and older ones are there: what happened before \
             {oldest} is not told. Compare them with clerk-access diff FROM TO.",
            oldest = oldest.id()
        ));
    }
    envelope.from = Some(SnapshotFacts::of(oldest)).filter(|_| snapshots.len() > 1);
    let mut ids = ids(arguments, &snapshots, session).await?;
    if ids.is_empty() {
        assert_findable(&arguments.id, &arguments.key, newest.manifest())?;
        envelope.unmatched.push(Unmatched::new("id", &arguments.id));
    }
    // Also where the text names somebody, it may be the id of what is gone.
    ids.insert(arguments.id.clone());
    session.output.begin(&envelope, &change_row::HISTORY)?;
    let is_wanted = |change: &Change<'_>| is_about(&ids, change);
    let instance_id = &newest.manifest().instance.id;
    let mut writer = changes::Writer::new(&mut session.output, &is_wanted, instance_id);
    for (from, to) in pairs() {
        let comparison = Comparison::new(from, to)?.classes(Classes::ALL).only(DATASETS);
        writer.run(&comparison).await?;
    }
    let has_findings = writer.written() > 0;
    session.output.end(&())?;
    Ok(Outcome { has_findings, ..envelope.into() })
}

/// The published snapshots that there are to compare.
struct Found {
    /// Oldest first.
    snapshots: Vec<Snapshot>,
    /// The id of the snapshot before the oldest, if it was removed and older ones were not.
    hole: Option<String>,
}

/// The published snapshots of one instance, or those of a span. Those before another instance's key was set have a
/// history of their own, and those that are being removed have none any more.
async fn oldest_first(span: Option<&Span>, session: &Session<'_>) -> Result<Found, Error> {
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let mut hole = None;
    let mut passed = BTreeSet::new();
    let removing = session.archive.being_removed().await?;
    let mut chain = session.archive.published();
    let instance = |snapshot: &Snapshot| snapshot.manifest().instance.id.clone();
    let is_before_span = |snapshot: &Snapshot| span.is_some_and(|it| it.newest != snapshot.id());
    let is_at_end = |snapshot: &Snapshot| span.is_some_and(|it| it.oldest == snapshot.id());
    while let Some(link) = chain.next().await.map_err(ChooseError::from)? {
        let snapshot = match link {
            Link::Snapshot(snapshot) => snapshot,
            Link::Removed { snapshot_id, .. } => {
                hole = Some(snapshot_id);
                break;
            }
        };
        // Also the link behind the span is looked at, so that every page of an answer says the same of what is behind.
        if snapshots.last().is_some_and(is_at_end) {
            break;
        }
        passed.insert(snapshot.id().to_owned());
        if snapshots.is_empty() && is_before_span(&snapshot) {
            continue;
        }
        let is_other = |newer: &Snapshot| instance(newer) != instance(&snapshot);
        let is_going = removing.contains(snapshot.id());
        if snapshots.last().is_some_and(|newer| is_going || is_other(newer)) {
            break;
        }
        snapshots.push(snapshot);
    }
    if let Some(span) = span.filter(|_| !snapshots.last().is_some_and(is_at_end)) {
        return Err(ChooseError::NotFound {
            wanted: format!("with the id {} among the published ones", span.oldest),
            url: session.archive.url().to_owned(),
        }
        .into());
    }
    snapshots.reverse();
    if let Some(removed) = &hole {
        // Where the oldest are removed, as KEEP_SNAPSHOTS does, the history is that of all snapshots that there are.
        let removed = order::started_at(removed);
        let stored = session.archive.ids("").await?;
        let mut others = stored.difference(&passed);
        if !others.any(|id| order::started_at(id) <= removed) {
            hole = None;
        }
    }
    Ok(Found { snapshots, hole })
}

/// What cannot be told of the time before the oldest snapshot that the chain leads to.
fn before_hole(oldest: &Snapshot) -> impl Iterator<Item = Incomplete> {
    let datasets = DATASETS.iter().filter(|it| oldest.manifest().datasets.contains_key(it));
    datasets.map(|&dataset| Incomplete::new(dataset, NOT_COMPARED, Some(PREVIOUS_GONE.to_owned())))
}

/// The ids of what is asked for, by the newest snapshot in which it is called so; none if it is in none of them.
async fn ids(
    arguments: &Arguments,
    snapshots: &[Snapshot],
    session: &mut Session<'_>,
) -> Result<BTreeSet<String>, Error> {
    let Some(newest) = snapshots.last() else { return Ok(BTreeSet::new()) };
    let person = person(&arguments.id, &arguments.key, newest, session)?;
    for snapshot in snapshots.iter().rev() {
        let ids = subject::ids(&person, snapshot, session).await?;
        if !ids.is_empty() {
            return Ok(ids);
        }
    }
    Ok(BTreeSet::new())
}

/// Whether one of them is the subject, where it is held, the role, or the membership that a grant comes from.
fn is_about(ids: &BTreeSet<String>, change: &Change<'_>) -> bool {
    ids.contains(&*change.subject.id)
        || change.target.as_ref().is_some_and(|target| ids.contains(&*target.id))
        || change.role.as_ref().is_some_and(|role| ids.contains(&*role.id))
        || change.pair.as_deref().is_some_and(|pair| ids.contains(pair))
}
