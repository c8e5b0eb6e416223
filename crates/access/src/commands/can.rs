//! `can`: who has a permission, where, and through which role.

use clap::Args;

use super::{holder, needs};
use crate::catalogue;
use crate::envelope::Unmatched;
use crate::error::Error;
use crate::memberships::membership::Order;
use crate::memberships::selection::Selection;
use crate::session::{Outcome, Session};

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
    let roles = &memberships.roles;
    let permission =
        catalogue::choose_permission(text, roles, &session.archive, &snapshot, &session.progress)
            .await?;
    let (permission, is_known) = permission?;
    if !is_known {
        envelope.unmatched.push(Unmatched { argument: "permission", value: text.clone() });
    }
    let asked = arguments.organization.as_deref();
    let organization =
        needs::organization(asked, &memberships.organizations, &mut envelope.unmatched)?;
    let selection =
        Selection { organization, permission: Some(permission), ..Selection::default() };
    let rows = (&holder::LIST, holder::write);
    needs::list(&memberships, selection, Order::Person, envelope, rows, session).await
}
