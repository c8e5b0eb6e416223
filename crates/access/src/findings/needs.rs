//! Which datasets each rule needs, and which rules can therefore speak.

use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Dataset;

use crate::envelope::{Need, incomplete};
use crate::incomplete::{Incomplete, PARTIAL};
use crate::rules::{Rule, Settings};

/// How a rule uses a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is about records that are there. If the dataset drifted, those that are there still count.
    Presence,
    /// It is about records that are missing, or about shares: where some may be missing, it would accuse wrongly.
    Absence,
}

const USERS: (Need, Use) = (Need::Dataset(Dataset::Users), Use::Presence);
const MEMBERSHIPS: (Need, Use) = (Need::Memberships, Use::Presence);
const ALL_MEMBERSHIPS: (Need, Use) = (Need::Memberships, Use::Absence);

const fn presence(dataset: Dataset) -> (Need, Use) {
    (Need::Dataset(dataset), Use::Presence)
}

const fn needs(rule: Rule) -> &'static [(Need, Use)] {
    match rule {
        Rule::PrivilegedWithoutSecondFactor
        | Rule::PrivilegedAndDormant
        | Rule::DormantWithAccess
        | Rule::DisabledWithAccess
        | Rule::UnverifiedAddressWithAccess => &[USERS, MEMBERSHIPS],
        Rule::OutsideDomainWithAccess => {
            &[USERS, MEMBERSHIPS, (Need::Dataset(Dataset::OrganizationDomains), Use::Absence)]
        }
        Rule::OrganizationWithoutAdministrator | Rule::TooManyAdministrators => {
            const { &[presence(Dataset::Organizations), ALL_MEMBERSHIPS] }
        }
        Rule::RoleNobodyHolds => const { &[presence(Dataset::OrganizationRoles), ALL_MEMBERSHIPS] },
        Rule::PermissionNobodyHas => {
            const { &[presence(Dataset::OrganizationPermissions), ALL_MEMBERSHIPS] }
        }
        Rule::UnresolvedRoleKey => &[MEMBERSHIPS],
        Rule::InvitationPendingLong => {
            const { &[presence(Dataset::OrganizationInvitations), presence(Dataset::Invitations)] }
        }
        Rule::ApiKeyNeverExpires | Rule::ApiKeyUnused => const { &[presence(Dataset::ApiKeys)] },
        Rule::SessionTemplateLongLived => const { &[presence(Dataset::JwtTemplates)] },
        Rule::RedirectUrlInsecure => const { &[presence(Dataset::RedirectUrls)] },
        Rule::ConnectionInactive => const { &[presence(Dataset::EnterpriseConnections)] },
    }
}

/// Which rules can speak, and what the others lack.
#[derive(Debug)]
pub struct Needs {
    speaking: Vec<Rule>,
    missing: Vec<(Incomplete, Vec<Rule>)>,
}

impl Needs {
    /// Looks at what the snapshot has for the rules that are on.
    #[must_use]
    pub fn of(settings: &Settings, manifest: &Manifest) -> Self {
        let mut all = Self { speaking: Vec::new(), missing: Vec::new() };
        for rule in Rule::ALL.into_iter().filter(|&rule| settings.rule(rule).is_enabled) {
            all.add(rule, manifest);
        }
        all.missing.sort_by(|(one, _), (other, _)| one.dataset.cmp(&other.dataset));
        all
    }

    fn add(&mut self, rule: Rule, manifest: &Manifest) {
        let (mut usable, needs) = (0, needs(rule));
        for (need, used) in needs {
            let missing = incomplete(manifest, &[*need]).pop();
            usable += usize::from(
                missing
                    .as_ref()
                    .is_none_or(|missing| missing.status == "drifted" && *used == Use::Presence),
            );
            self.miss(missing, rule);
        }
        let hashes = addresses_are_hashes(manifest) && rule == Rule::OutsideDomainWithAccess;
        self.miss(hashes.then(hashed_addresses), rule);
        // Invitations of one kind say nothing of the other.
        let enough = if rule == Rule::InvitationPendingLong { 1 } else { needs.len() };
        if usable >= enough && !hashes {
            self.speaking.push(rule);
        }
    }

    fn miss(&mut self, missing: Option<Incomplete>, rule: Rule) {
        let Some(missing) = missing else { return };
        match self.missing.iter_mut().find(|(known, _)| *known == missing) {
            Some((_, rules)) => rules.push(rule),
            None => self.missing.push((missing, vec![rule])),
        }
    }

    /// Whether a rule is on and has what it needs.
    #[must_use]
    pub fn speaks(&self, rule: Rule) -> bool {
        self.speaking.contains(&rule)
    }

    /// What is missing, with the rules that need it.
    #[must_use]
    pub fn incomplete(&self) -> Vec<Incomplete> {
        let named = self.missing.iter().map(|(missing, rules)| {
            missing.clone().needed_by(rules.iter().map(|rule| rule.name()).collect())
        });
        named.collect()
    }
}

fn addresses_are_hashes(manifest: &Manifest) -> bool {
    let redact = manifest.settings.as_ref().map(|settings| &settings.redact);
    redact.is_some_and(|kinds| kinds.iter().any(|kind| kind == Personal::Email.name()))
}

fn hashed_addresses() -> Incomplete {
    Incomplete::new(Dataset::Users, PARTIAL, Some("redact: email".to_owned()))
}
