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
use crate::ranked::MOST_BYTES;
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
        self.each_in_batches(MOST_BYTES, emit).await
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
