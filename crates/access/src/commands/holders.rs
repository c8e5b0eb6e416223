//! `holders`: who holds a role, or anything, in an organization or everywhere.

use clap::Args;
use clerk_snapshot::resource::Dataset;

use super::{holder, needs};
use crate::error::Error;
use crate::memberships::membership::Order;
use crate::memberships::selection::Selection;
use crate::session::{Outcome, Session};
use crate::unmatched::Unmatched;

/// Arguments of `holders`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clerk-access --snapshot 2026-09-30 holders --role org:admin --in acme"
)]
pub struct Arguments {
    /// Only with this role: its key (org:admin), its id, or its name if one role has it
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,

    /// Only in this organization: its id, its slug, or its name if one organization has it
    #[arg(long = "in", value_name = "ORG")]
    pub organization: Option<String>,
}

/// Lists the members with their roles, by organization and then person. Without `--role`, a membership whose role does
/// not resolve is listed without one.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let snapshot = session.snapshot().await?;
    let mut envelope = session.envelope(&snapshot, needs::MEMBERS);
    let memberships = needs::memberships(session, &snapshot).await?;
    let roles = arguments.role.as_deref().map(|role| memberships.roles.choose(role)).transpose()?;
    if let (Some(roles), Some(role)) = (&roles, &arguments.role)
        && roles.is_unknown()
    {
        let nearest = memberships.roles.nearest(role);
        let unmatched = Unmatched::new("role", role);
        let listed_in = [Dataset::OrganizationRoles];
        envelope.unmatched.push(unmatched.suggesting(nearest, &listed_in, snapshot.manifest()));
    }
    let asked = arguments.organization.as_deref();
    let organization = needs::organization(asked, &memberships, &mut envelope.unmatched)?;
    let selection = Selection { organization, roles, ..Selection::default() };
    let rows = (&holder::LIST, holder::write);
    needs::list(&memberships, selection, Order::Person, envelope, rows, session).await
}
