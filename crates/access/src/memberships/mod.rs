//! The memberships that a question selects, in order, in bounded memory.
//!
//! A million holders do not fit into the memory that the program allows itself. So it works in batches of
//! organizations: a batch takes as many as fit, in the order of their names, and each further batch reads the grants and
//! the users once more.
//!
//! - [`selection`] is what is asked for; [`part`] collects what one part has of it.
//! - [`batch`] joins the parts and drops organizations that do not fit; [`people`] adds who the users are.
//! - [`membership`] is what comes out.

pub mod batch;
pub mod membership;
pub mod part;
pub mod people;
pub mod selection;

use std::collections::BTreeSet;
use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;

use self::batch::{Batch, MAX_BYTES};
use self::membership::{Membership, Order};
use self::part::PartRows;
use self::people::People;
use self::selection::Selection;
use crate::archive::{Archive, Lines, ScanError};
use crate::catalogue::Roles;
use crate::error::Error;
use crate::lines::grant::Grant;
use crate::organizations::Organizations;
use crate::progress::Progress;

/// What memberships are read from.
#[derive(Debug)]
pub struct Memberships {
    /// The snapshots.
    pub archive: Archive,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Shows how far the work is.
    pub progress: Progress,
    /// The organizations of the snapshot.
    pub organizations: Arc<Organizations>,
    /// Its roles.
    pub roles: Arc<Roles>,
}

impl Memberships {
    /// Calls `emit` with each selected membership, in order.
    ///
    /// All parts that the answer needs were read and checked before the first call.
    ///
    /// # Errors
    /// [`Error::Scan`], or what `emit` returns.
    pub async fn each(
        &self,
        selection: &Arc<Selection>,
        order: Order,
        emit: &mut dyn FnMut(&Membership<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.each_in_batches(selection, order, MAX_BYTES, emit).await
    }

    async fn each_in_batches(
        &self,
        selection: &Arc<Selection>,
        order: Order,
        most_bytes: usize,
        emit: &mut dyn FnMut(&Membership<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if selection.users.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(());
        }
        let mut lowest = 0;
        loop {
            let (batch, next) = self.batch(selection, lowest, most_bytes).await?;
            let (batch, people) = self.people(batch).await?;
            batch.each(&people, &self.organizations, &self.roles, order, emit)?;
            match next {
                Some(next) => lowest = next,
                None => return Ok(()),
            }
        }
    }

    /// The batch of organizations that begins with the group `lowest`, and the group that the next one begins with.
    async fn batch(
        &self,
        selection: &Arc<Selection>,
        lowest: u32,
        most_bytes: usize,
    ) -> Result<(Batch, Option<u32>), ScanError> {
        let shared =
            (Arc::clone(selection), Arc::clone(&self.organizations), Arc::clone(&self.roles));
        let read = move |lines: &mut Lines| {
            let (selection, organizations, roles) = &shared;
            let mut rows = PartRows::default();
            while let Some(line) = lines.next_line()? {
                match Grant::of_line(line) {
                    Ok(Some(grant)) if selection.holds(&grant, roles) => {
                        rows.push(&grant, organizations, lowest)
                    }
                    Ok(_) => {}
                    Err(_) => return Err(lines.not_a_record()),
                }
            }
            Ok(rows)
        };
        let mut batch = Batch::new(most_bytes);
        let take = |part: PartRows| {
            batch.add(&part);
            Ok(())
        };
        self.archive.scan(&self.snapshot, Dataset::Grants, &self.progress, read, take).await?;
        let next = batch.next_group();
        Ok((batch, next))
    }

    /// Adds who the users of a batch are.
    async fn people(&self, batch: Batch) -> Result<(Batch, People), ScanError> {
        let batch = Arc::new(batch);
        let shared = Arc::clone(&batch);
        let mut people = People::new(batch.users());
        if batch.is_empty() {
            return Ok((Arc::unwrap_or_clone(batch), people));
        }
        let read = move |lines: &mut Lines| people::read(lines, shared.users());
        let take = |part: people::PartPeople| {
            people.add(&part);
            Ok(())
        };
        self.archive.scan(&self.snapshot, Dataset::Users, &self.progress, read, take).await?;
        Ok((Arc::unwrap_or_clone(batch), people))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use clerk_snapshot::testing::{MemorySource, SnapshotBuilder, records};

    use super::*;

    /// Forty organizations of up to ten members, one of them with a hundred, some of the same name, some not there.
    fn snapshot() -> SnapshotBuilder {
        let organizations = (0..40).filter(|number| number % 9 != 0).map(|number| {
            records::organization(&format!("org_{number:02}"), &format!("Name {}", number * 7 % 20))
        });
        let mut grants = Vec::new();
        for organization in 0..40 {
            let members = if organization == 20 { 100 } else { organization % 11 };
            for member in 0..members {
                let (organization, user) =
                    (format!("org_{organization:02}"), format!("user_{:03}", member * 31 % 120));
                let membership = format!("orgmem_{organization}_{member}");
                grants.push(records::member_grant(&organization, &user, &membership));
                if member % 3 != 0 {
                    let role = ("role_1", "org:admin");
                    grants.push(records::role_grant(
                        &organization,
                        &user,
                        &membership,
                        role,
                        &["org:a:read"],
                    ));
                }
            }
        }
        SnapshotBuilder::on_day(1)
            .with(
                Dataset::Users,
                (0..110).map(|number| records::user(&format!("user_{number:03}"))),
            )
            .with(Dataset::Organizations, organizations)
            .with(Dataset::Grants, grants)
    }

    async fn listed(
        archive: &Archive,
        snapshot: &Snapshot,
        order: Order,
        most_bytes: usize,
    ) -> Vec<String> {
        let progress = Progress::default();
        let organizations =
            Organizations::read(archive, snapshot, &progress, |_| true).await.unwrap();
        let roles = Roles::read(archive, snapshot, &progress).await.unwrap();
        let memberships = Memberships {
            archive: archive.clone(),
            snapshot: snapshot.clone(),
            progress,
            organizations: Arc::new(organizations),
            roles: Arc::new(roles),
        };
        let mut rows = Vec::new();
        let mut emit = |membership: &Membership<'_>| {
            rows.push(format!("{membership:?}"));
            Ok(())
        };
        let selection = Arc::new(Selection::default());
        memberships.each_in_batches(&selection, order, most_bytes, &mut emit).await.unwrap();
        rows
    }

    // Promise: the answer does not depend on how much of it fits into memory at once.
    #[tokio::test]
    async fn the_answer_is_the_same_in_any_number_of_batches() {
        let source = Arc::new(MemorySource::default());
        let stored = snapshot().publish(&source);
        let archive = Archive::of(Arc::clone(&source) as _, 3);
        let snapshot = Snapshot::open(source.clone(), stored.id(), None).await.unwrap();
        let parts = snapshot.parts(Dataset::Grants).len();
        for order in [Order::Person, Order::Membership] {
            source.take_reads();
            let whole = listed(&archive, &snapshot, order, usize::MAX).await;
            let reads = source.take_reads().iter().filter(|key| key.contains("/grants/")).count();
            assert_eq!(reads, parts, "everything fits, so the grants are read once");
            assert_eq!(
                whole.len(),
                100 + (0..40)
                    .filter(|number| *number != 20)
                    .map(|number| number % 11)
                    .sum::<usize>()
            );
            for most_bytes in [1, 3_000, 10_000, 40_000] {
                assert_eq!(
                    listed(&archive, &snapshot, order, most_bytes).await,
                    whole,
                    "{most_bytes}"
                );
            }
            assert!(source.take_reads().len() > 10 * parts, "there were several batches");
        }
    }
}
