//! What a reviewer should look at first, in bounded memory.
//!
//! - [`needs`] says which rules can speak; [`facts`] reads what they need to know first, with [`domains`] and
//!   [`privilege`].
//! - [`people`] keeps what each user's record says, [`grants`] adds what the grants give; [`things`] has the rules about
//!   everything else.
//! - Findings are then picked in batches, in order, by `pick`. [`evidence`] reads the grants that those of a batch rest on, and
//!   [`finding`] puts each into words.

pub mod domains;
pub mod evidence;
pub mod facts;
pub mod finding;
pub mod grants;
pub mod needs;
pub mod people;
mod pick;
pub mod privilege;
pub mod things;

use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;

use self::evidence::{Evidence, Wanted};
use self::facts::Facts;
use self::finding::Finding;
use self::grants::Grants;
use self::needs::Needs;
use self::people::{People, Person, UserLine};
use self::pick::Pick;
use crate::archive::{Archive, Lines, ScanError};
use crate::error::Error;
use crate::progress::Progress;
use crate::ranked::MAX_BYTES;
use crate::rules::{Rule, Settings};

/// Looks for findings in one snapshot.
#[derive(Debug)]
pub struct Search {
    archive: Archive,
    snapshot: Snapshot,
    progress: Progress,
    needs: Arc<Needs>,
    facts: Arc<Facts>,
    people: Arc<People>,
    grants: Arc<Grants>,
    without_role: Vec<u64>,
    /// The rules that are on, in the order of their findings.
    ranks: Vec<Rule>,
}

impl Search {
    /// Reads everything that findings follow from.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn new(
        settings: Settings,
        needs: Needs,
        archive: Archive,
        snapshot: Snapshot,
        progress: Progress,
    ) -> Result<Self, ScanError> {
        let ranks = settings.ranked();
        let facts = Facts::read(settings, &needs, &archive, &snapshot, &progress).await?;
        let mut search = Self {
            archive,
            snapshot,
            progress,
            needs: Arc::new(needs),
            facts,
            people: Arc::default(),
            grants: Arc::default(),
            without_role: Vec::new(),
            ranks,
        };
        search.people = Arc::new(search.read_people().await?);
        search.read_grants().await?;
        Ok(search)
    }

    /// Calls `emit` with each finding, in order: by severity, then rule, then name and id of the subject.
    ///
    /// # Errors
    /// [`Error::Scan`], or what `emit` returns.
    pub async fn each(
        &self,
        emit: &mut dyn FnMut(&Finding<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.each_in_batches(MAX_BYTES, emit).await
    }

    async fn each_in_batches(
        &self,
        most_bytes: usize,
        emit: &mut dyn FnMut(&Finding<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut lowest = None;
        loop {
            let pick = Pick {
                needs: &self.needs,
                facts: &self.facts,
                people: &self.people,
                grants: &self.grants,
                ranks: &self.ranks,
                place: (&self.archive, &self.snapshot, &self.progress),
            };
            let (batch, next) = pick.batch(most_bytes, lowest).await?;
            let wanted = Wanted { without_role: self.without_role.clone(), ..pick.wanted(&batch) };
            let evidence = Evidence::read(wanted, &self.facts, &self.people, pick.place).await?;
            for picked in batch.iter() {
                let Some(&rule) = self.ranks.get(picked.rank as usize) else { continue };
                let severity = self.facts.settings.rule(rule).severity;
                if let Some(finding) = Finding::new(rule, severity, &picked, &evidence) {
                    emit(&finding)?;
                }
            }
            if next.is_none() {
                return Ok(());
            }
            lowest = next;
        }
    }

    fn speaks(&self, rules: impl IntoIterator<Item = Rule>) -> bool {
        rules.into_iter().any(|rule| self.needs.speaks(rule))
    }

    async fn read_people(&self) -> Result<People, ScanError> {
        if !self.speaks(people::RULES.map(|it| it.0)) {
            return Ok(People::default());
        }
        let users = self.snapshot.parts(Dataset::Users).iter().map(|part| part.records).sum();
        let mut people = People::with_room_for(users);
        let (facts, hasher) = (Arc::clone(&self.facts), people.hasher());
        let completed_at = self.snapshot.manifest().completed_at;
        let read = move |lines: &mut Lines| {
            let mut part: Vec<Person> = Vec::new();
            while let Some(line) = lines.next_line()? {
                let Some(user) = UserLine::of_line(line) else { return Err(lines.not_a_record()) };
                let Facts { settings, domains, .. } = &*facts;
                part.extend(People::person(&user, settings, completed_at, domains, &hasher));
            }
            Ok(part)
        };
        let take = |part| {
            people.add(part);
            Ok(())
        };
        self.archive.scan(&self.snapshot, Dataset::Users, &self.progress, read, take).await?;
        people.sort();
        Ok(people)
    }

    async fn read_grants(&mut self) -> Result<(), ScanError> {
        const OTHERS: [Rule; 5] = [
            Rule::OrganizationWithoutAdministrator,
            Rule::TooManyAdministrators,
            Rule::RoleNobodyHolds,
            Rule::PermissionNobodyHas,
            Rule::UnresolvedRoleKey,
        ];
        if self.people.is_empty() && !self.speaks(OTHERS) {
            return Ok(());
        }
        let mut grants = Grants::default();
        let (facts, people) = (Arc::clone(&self.facts), Arc::clone(&self.people));
        let read = move |lines: &mut Lines| grants::read(lines, &facts, &people);
        let take = |part: grants::PartGrants| {
            grants.add(part);
            Ok(())
        };
        self.archive.scan(&self.snapshot, Dataset::Grants, &self.progress, read, take).await?;
        self.without_role = grants.without_role();
        self.grants = Arc::new(grants);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use clerk_snapshot::testing::{MemorySource, SnapshotBuilder, records};
    use serde_json::{Value, json};

    use super::*;

    const PRIVILEGED: &str = "org:sys_profile:delete";

    /// Users of every kind, in organizations with any number of administrators.
    fn rows() -> (Vec<Value>, Vec<Value>, Vec<Value>) {
        let users = (0..300usize).map(|number| {
            let mut user = records::user(&format!("user_{number}"));
            user["display_name"] =
                format!("{}{}", ["zoe", "Ada", "ada"][number % 3], number % 7).into();
            user["status"] = if number % 5 == 0 { "disabled" } else { "enabled" }.into();
            let profile = &mut user["profile"];
            profile["two_factor_enabled"] =
                [json!(true), json!(false), json!(null)][number % 3].clone();
            profile["primary_email_verified"] = (number % 4 != 0).into();
            let active = ["2026-11-19", "2026-08-01", "2026-02-01"][number / 3 % 3];
            profile["last_active_at"] = format!("{active}T00:00:00.000Z").into();
            user
        });
        let organizations =
            (0..20usize).map(|number| records::organization(&format!("org_{number}"), "Acme"));
        let mut grants = Vec::new();
        for number in (0..300usize).filter(|number| number % 11 != 0) {
            for place in 0..number % 3 {
                let organization = format!("org_{}", (number * 7 + place * 3) % 19);
                let (user, id) = (format!("user_{number}"), format!("orgmem_{number}_{place}"));
                grants.push(records::member_grant(&organization, &user, &id));
                let permissions = if number % 2 == 0 { vec![PRIVILEGED] } else { Vec::new() };
                let role = ("role_1", "org:x");
                grants.push(records::role_grant(&organization, &user, &id, role, &permissions));
            }
        }
        (users.collect(), organizations.collect(), grants)
    }

    /// Rules and ids of subjects, worked out row by row.
    fn expected(
        users: &[Value],
        organizations: &[Value],
        grants: &[Value],
    ) -> BTreeSet<(Rule, String)> {
        let is_privileged = |grant: &&Value| grant["permissions"][0] == PRIVILEGED;
        let mut all = BTreeSet::new();
        for user in users {
            let id = user["id"].as_str().unwrap();
            let held: Vec<_> = grants.iter().filter(|it| it["principal"]["id"] == id).collect();
            let (has_access, privileged) = (!held.is_empty(), held.iter().any(&is_privileged));
            let profile = &user["profile"];
            // 90 and 180 days before 20 November 2026.
            let active = profile["last_active_at"].as_str().unwrap();
            for (rule, fires) in [
                (
                    Rule::PrivilegedWithoutSecondFactor,
                    privileged && profile["two_factor_enabled"] == false,
                ),
                (Rule::PrivilegedAndDormant, privileged && active < "2026-08-22"),
                (Rule::DormantWithAccess, has_access && active < "2026-05-24"),
                (Rule::DisabledWithAccess, has_access && user["status"] == "disabled"),
                (
                    Rule::UnverifiedAddressWithAccess,
                    has_access && profile["primary_email_verified"] == false,
                ),
            ] {
                all.extend(fires.then(|| (rule, id.to_owned())));
            }
        }
        for organization in organizations {
            let id = organization["id"].as_str().unwrap();
            let held: Vec<_> = grants.iter().filter(|it| it["resource"]["id"] == id).collect();
            let members = held.iter().filter(|it| it["role"].is_null()).count();
            let administrators = held.iter().filter(|it| is_privileged(it)).count();
            let none = (administrators == 0).then_some(Rule::OrganizationWithoutAdministrator);
            let many = (administrators > 5 && administrators * 100 > 20 * members)
                .then_some(Rule::TooManyAdministrators);
            all.extend([none, many].into_iter().flatten().map(|rule| (rule, id.to_owned())));
        }
        all
    }

    // Promise: findings are those of an oracle that looks at each row, the same and in the same order in any number of
    // batches.
    #[tokio::test]
    async fn findings_are_those_of_an_oracle_in_any_number_of_batches() {
        let (users, organizations, grants) = rows();
        let expected = expected(&users, &organizations, &grants);
        let source = MemorySource::default();
        let snapshot = SnapshotBuilder { lines_per_part: 37, ..SnapshotBuilder::on_day(20) };
        let stored = snapshot
            .with(Dataset::Users, users)
            .with(Dataset::Organizations, organizations)
            .with(Dataset::Grants, grants)
            .publish(&source);
        let source: Arc<dyn clerk_snapshot::source::Source> = Arc::new(source);
        let archive = Archive::of(Arc::clone(&source), 3);
        let snapshot = Snapshot::open(source, stored.id(), None).await.unwrap();
        let settings = Settings::defaults();
        let needs = Needs::of(&settings, snapshot.manifest());
        let progress = Progress::default();
        let search = Search::new(settings, needs, archive, snapshot, progress).await.unwrap();
        let mut answers = Vec::new();
        for most_bytes in [MAX_BYTES, 20_000, 3_000] {
            let mut findings = Vec::new();
            let mut emit = |finding: &Finding<'_>| {
                let text = serde_json::to_string(finding).unwrap();
                findings.push((finding.rule, finding.subject.id.to_owned(), text));
                Ok(())
            };
            search.each_in_batches(most_bytes, &mut emit).await.unwrap();
            answers.push(findings);
        }
        let found = answers[0].iter().map(|(rule, id, _)| (*rule, id.clone()));
        assert_eq!(found.collect::<BTreeSet<_>>(), expected);
        assert_eq!(answers[0].len(), expected.len());
        assert!(
            expected.len() > 200 && expected.iter().any(|it| it.0 == Rule::TooManyAdministrators)
        );
        assert_eq!(answers[1], answers[0]);
        assert_eq!(answers[2], answers[0]);
    }
}
