//! What the rules need to know while users and grants are read.

use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;

use super::domains::{DomainLine, Domains};
use super::needs::Needs;
use super::privilege::Privileges;
use crate::archive::{Archive, Lines, ScanError};
use crate::catalogue::Roles;
use crate::organizations::Organizations;
use crate::progress::Progress;
use crate::rules::{Rule, Settings};

/// What the rules need to know while users and grants are read.
#[derive(Debug)]
pub struct Facts {
    /// The rules.
    pub settings: Settings,
    /// The privileged permissions.
    pub privileges: Privileges,
    /// The roles.
    pub roles: Roles,
    /// The organizations, if a rule is about them.
    pub organizations: Organizations,
    /// The verified domains, if a rule is about them.
    pub domains: Domains,
    /// Whether memberships have role keys that no role has, and a rule is about them.
    pub has_unresolved_roles: bool,
}

impl Facts {
    /// Reads what the rules that can speak need.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn read(
        settings: Settings,
        needs: &Needs,
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
    ) -> Result<Arc<Self>, ScanError> {
        let organizations = if needs.speaks(Rule::OrganizationWithoutAdministrator)
            || needs.speaks(Rule::TooManyAdministrators)
        {
            Organizations::read(archive, snapshot, progress, |_| true).await?
        } else {
            Organizations::default()
        };
        let domains = if needs.speaks(Rule::OutsideDomainWithAccess) {
            domains(archive, snapshot, progress).await?
        } else {
            Domains::default()
        };
        let unresolved = &snapshot.manifest().referential.unresolved_role_keys;
        Ok(Arc::new(Self {
            privileges: Privileges::of(&settings),
            roles: Roles::read(archive, snapshot, progress).await?,
            organizations,
            domains,
            has_unresolved_roles: needs.speaks(Rule::UnresolvedRoleKey) && !unresolved.is_empty(),
            settings,
        }))
    }
}

async fn domains(
    archive: &Archive,
    snapshot: &Snapshot,
    progress: &Progress,
) -> Result<Domains, ScanError> {
    let read = |lines: &mut Lines| {
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            let domain = DomainLine::of_line(line).ok_or_else(|| lines.not_a_record())?;
            if domain.is_verified() {
                all.push(domain);
            }
        }
        Ok(all)
    };
    let mut domains = Domains::default();
    let take = |part: Vec<DomainLine>| {
        part.into_iter().for_each(|domain| domains.add(domain));
        Ok(())
    };
    archive.scan(snapshot, Dataset::OrganizationDomains, progress, read, take).await?;
    Ok(domains)
}
