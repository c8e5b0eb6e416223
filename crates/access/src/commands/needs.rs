//! What questions about members need.

use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;

use crate::catalogue::Roles;
use crate::envelope::{Envelope, Need};
use crate::error::Error;
use crate::memberships::Memberships;
use crate::memberships::membership::{Membership, Order};
use crate::memberships::selection::Selection;
use crate::organizations::Organizations;
use crate::output::{List, Output};
use crate::session::{Outcome, Session};
use crate::unmatched::Unmatched;

/// Who is a member of what in which role.
pub const MEMBERS: &[Need] = &[
    Need::Dataset(Dataset::Users),
    Need::Dataset(Dataset::Organizations),
    Need::Dataset(Dataset::OrganizationRoles),
    Need::Memberships,
];

/// Reads what memberships are shown with: organizations and roles.
///
/// # Errors
/// [`Error::Scan`].
pub async fn memberships(session: &Session<'_>, snapshot: &Snapshot) -> Result<Memberships, Error> {
    let (archive, progress) = (session.archive.clone(), session.progress);
    let organizations = Organizations::read(&archive, snapshot, &progress, |_| true).await?;
    let roles = Roles::read(&archive, snapshot, &progress).await?;
    Ok(Memberships {
        archive,
        snapshot: snapshot.clone(),
        progress,
        organizations: Arc::new(organizations),
        roles: Arc::new(roles),
    })
}

/// The id of the organization that `--in` names. A text that names none is taken for an id: the snapshot may lack the
/// organization and still have its members.
///
/// # Errors
/// [`Error::Argument`] if several organizations have that name.
pub fn organization(
    text: Option<&str>,
    memberships: &Memberships,
    unmatched: &mut Vec<Unmatched>,
) -> Result<Option<String>, Error> {
    let Some(text) = text else { return Ok(None) };
    let Memberships { organizations, snapshot, .. } = memberships;
    let id = organizations.choose(text)?;
    if id.is_none() {
        let (nearest, manifest) = (organizations.nearest(text), snapshot.manifest());
        let listed_in = [Dataset::Organizations];
        unmatched.push(Unmatched::new("in", text).suggesting(nearest, &listed_in, manifest));
    }
    Ok(Some(id.unwrap_or(text).to_owned()))
}

/// Writes the selected memberships, each as `write` does. The answer begins when everything that it needs was read and
/// checked, so that an error before that is all that is written.
///
/// # Errors
/// [`Error::Scan`] or [`Error::Output`].
pub async fn list(
    memberships: &Memberships,
    selection: Selection,
    order: Order,
    envelope: Envelope,
    (list, write): (&'static List, impl Fn(&Membership<'_>, &mut Output<'_>) -> Result<(), Error>),
    session: &mut Session<'_>,
) -> Result<Outcome, Error> {
    let output = &mut session.output;
    let mut has_begun = false;
    let mut emit = |membership: &Membership<'_>| {
        if !std::mem::replace(&mut has_begun, true) {
            output.begin(&envelope, list)?;
        }
        write(membership, output)
    };
    memberships.each(&Arc::new(selection), order, &mut emit).await?;
    if !has_begun {
        session.output.begin(&envelope, list)?;
    }
    session.output.end(&())?;
    Ok(envelope.into())
}
