//! `access`: every membership with its permissions, flat, a row each.

use std::collections::BTreeSet;

use clap::Args;
use clerk_snapshot::resource::Dataset;
use serde::Serialize;

use super::needs;
use super::who::{KeyFile, assert_findable, person};
use crate::error::Error;
use crate::memberships::membership::{Membership, Order};
use crate::memberships::selection::Selection;
use crate::output::{Cell, Column, List, Output, Row};
use crate::session::{Outcome, Session};
use crate::unmatched::Unmatched;

/// Arguments of `access`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clerk-access access --in acme --out acme.xlsx")]
pub struct Arguments {
    /// Only in this organization: its id, its slug, or its name if one organization has it
    #[arg(long = "in", value_name = "ORG")]
    pub organization: Option<String>,

    /// Only of this person: an id, any of their e-mail addresses, a user name or an external id
    #[arg(long, value_name = "PERSON")]
    pub user: Option<String>,

    /// Where the key of hashes is.
    #[command(flatten)]
    pub key: KeyFile,
}

/// What is listed.
pub const LIST: List = List {
    name: "rows",
    columns: &[
        Column::hidden("user_id"),
        Column::shown("display_name", "Person"),
        Column::shown("primary_email", "E-mail"),
        Column::shown("status", "Status"),
        Column::hidden("organization_id"),
        Column::shown("organization_name", "Organization"),
        Column::hidden("organization_slug"),
        Column::hidden("membership_id"),
        Column::hidden("role_id"),
        Column::shown("role_key", "Role"),
        Column::hidden("role_name"),
        Column::shown("permissions", "Permissions"),
        Column::shown("since", "Since"),
    ],
};

/// A membership, flat. Its JSON has the columns of its CSV.
#[derive(Debug, Serialize)]
struct Access<'a> {
    user_id: &'a str,
    display_name: Option<&'a str>,
    primary_email: Option<&'a str>,
    status: Option<&'a str>,
    organization_id: &'a str,
    organization_name: Option<&'a str>,
    organization_slug: Option<&'a str>,
    membership_id: Option<&'a str>,
    role_id: Option<String>,
    role_key: Option<String>,
    role_name: Option<String>,
    permissions: Option<String>,
    since: Option<String>,
}

/// Lists the memberships by the organization's name and then their id.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let snapshot = session.snapshot().await?;
    let mut envelope = session.envelope(&snapshot, needs::MEMBERS);
    let users = match &arguments.user {
        None => None,
        Some(text) => {
            let found = person(text, &arguments.key, &snapshot, session)?;
            let found = found.find(&session.archive, &snapshot, &session.progress).await?;
            let mut ids: BTreeSet<String> = found.into_iter().map(|user| user.id).collect();
            if ids.is_empty() {
                assert_findable(text, &arguments.key, snapshot.manifest())?;
                // Where the users are not whole, the text may still be the id of one in the memberships.
                ids.extend(envelope.lacks(Dataset::Users).then(|| text.clone()));
                envelope.unmatched.push(Unmatched::new("user", text));
            }
            Some(ids)
        }
    };
    let memberships = needs::memberships(session, &snapshot).await?;
    let asked = arguments.organization.as_deref();
    let organization = needs::organization(asked, &memberships, &mut envelope.unmatched)?;
    let selection = Selection { organization, users, ..Selection::default() };
    let rows = (&LIST, write);
    needs::list(&memberships, selection, Order::Membership, envelope, rows, session).await
}

fn write(membership: &Membership<'_>, output: &mut Output<'_>) -> Result<(), Error> {
    let roles = || membership.roles.iter().map(|held| &held.role);
    let permissions: BTreeSet<&str> = membership
        .roles
        .iter()
        .flat_map(|held| held.permissions.iter().map(String::as_str))
        .collect();
    Ok(output.row(&Access {
        user_id: membership.user.id,
        display_name: membership.user.display_name,
        primary_email: membership.user.primary_email,
        status: membership.user.status,
        organization_id: membership.organization.id,
        organization_name: membership.organization.name,
        organization_slug: membership.organization.slug,
        membership_id: membership.id,
        role_id: joined(roles().map(|role| role.id.as_str())),
        role_key: joined(roles().map(|role| role.key.as_str())),
        role_name: joined(roles().filter_map(|role| role.name.as_deref())),
        permissions: joined(permissions.into_iter()),
        since: membership.since.map(|since| since.to_string()),
    })?)
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> Option<String> {
    match Cell::joined(texts) {
        Cell::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

impl Row for Access<'_> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![vec![
            self.user_id.into(),
            self.display_name.into(),
            self.primary_email.into(),
            self.status.into(),
            self.organization_id.into(),
            self.organization_name.into(),
            self.organization_slug.into(),
            self.membership_id.into(),
            self.role_id.as_deref().into(),
            self.role_key.as_deref().into(),
            self.role_name.as_deref().into(),
            self.permissions.as_deref().into(),
            self.since.as_deref().into(),
        ]]
    }
}
