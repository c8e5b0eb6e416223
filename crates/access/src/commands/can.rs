//! `can`: who has a permission, where, and through which role.

use clap::Args;
use clerk_snapshot::resource::Dataset;

use super::{holder, needs};
use crate::catalogue::Permissions;
use crate::error::Error;
use crate::memberships::membership::Order;
use crate::memberships::selection::Selection;
use crate::session::{Outcome, Session};
use crate::unmatched::Unmatched;

/// Arguments of `can`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clerk-access can org:sys_profile:delete --in acme")]
pub struct Arguments {
    /// A permission: its key (org:sys_profile:delete), its id, or its name if one permission has it
    #[arg(value_name = "PERMISSION")]
    pub permission: String,

    /// Only in this organization: its id, its slug, or its name if one organization has it
    #[arg(long = "in", value_name = "ORG")]
    pub organization: Option<String>,
}

/// Lists everybody who has the permission, by organization and then person.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let snapshot = session.snapshot().await?;
    let mut envelope = session.envelope(&snapshot, needs::MEMBERS);
    let memberships = needs::memberships(session, &snapshot).await?;
    let text = &arguments.permission;
    let permissions = Permissions::read(&session.archive, &snapshot, &session.progress).await?;
    let permission = permissions.choose(text, &memberships.roles)?;
    if !permission.is_known {
        let unmatched = Unmatched::new("permission", text);
        let nearest = permissions.nearest(text, &memberships.roles);
        let listed_in = [Dataset::OrganizationPermissions, Dataset::OrganizationRoles];
        envelope.unmatched.push(unmatched.suggesting(nearest, &listed_in, snapshot.manifest()));
    }
    let asked = arguments.organization.as_deref();
    let organization = needs::organization(asked, &memberships, &mut envelope.unmatched)?;
    let selection =
        Selection { organization, permission: Some(permission.key), ..Selection::default() };
    let rows = (&holder::LIST, holder::write);
    needs::list(&memberships, selection, Order::Person, envelope, rows, session).await
}
