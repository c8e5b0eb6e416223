//! Picks the subjects of findings, in order, as many as fit into a batch.

use std::sync::Arc;

use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;

use super::evidence::Wanted;
use super::facts::Facts;
use super::finding::Known;
use super::grants::Grants;
use super::needs::Needs;
use super::people::{self, Activity, People, UserLine};
use super::things::{self, Said, ThingLine};
use crate::archive::{Archive, Lines, ScanError};
use crate::progress::Progress;
use crate::ranked::{Place, Ranked};
use crate::rules::Rule;
use crate::texts::Texts;

/// Bytes that the evidence of a person takes, roughly: a few grants, and the id once more.
const PERSON_BYTES: u32 = 128;

/// Bytes that the evidence of an organization takes at most: the ids of twenty users.
const ORGANIZATION_BYTES: u32 = 1_024;

/// What findings are picked from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick<'a> {
    pub(super) needs: &'a Needs,
    pub(super) facts: &'a Arc<Facts>,
    pub(super) people: &'a Arc<People>,
    pub(super) grants: &'a Arc<Grants>,
    /// The rules that are on, in the order of their findings.
    pub(super) ranks: &'a [Rule],
    pub(super) place: (&'a Archive, &'a Snapshot, &'a Progress),
}

/// People of one part about whom a rule fires.
#[derive(Debug, Default)]
struct PartPeople {
    people: Vec<(u32, u32, u32, Option<Activity>)>,
    texts: Texts,
}

/// Things of one part, each with the rank of the rule that fires.
#[derive(Debug, Default)]
struct PartThings {
    things: Vec<(u32, u32, u32, Said)>,
    texts: Texts,
}

impl Pick<'_> {
    /// The batch that begins at `lowest`, and where the next one begins.
    pub(super) async fn batch(
        &self,
        most_bytes: usize,
        lowest: Option<Place>,
    ) -> Result<(Ranked<Known>, Option<Place>), ScanError> {
        let lowest_rank = lowest.as_ref().map_or(0, Place::rank);
        let mut batch = Ranked::new(most_bytes, lowest);
        self.push_role_keys(&mut batch);
        self.push_organizations(&mut batch);
        for (dataset, rules, object_type) in things::RULES {
            let ranks: Vec<_> = rules.iter().filter_map(|&rule| self.rank(rule)).collect();
            if ranks.iter().any(|(rank, _)| *rank >= lowest_rank) && self.is_there(dataset) {
                self.push_things(dataset, object_type, ranks, &mut batch).await?;
            }
        }
        let mut ranks = people::RULES.iter().filter_map(|it| self.rank(it.0));
        if ranks.any(|(rank, _)| rank >= lowest_rank) {
            self.push_people(&mut batch).await?;
        }
        let next = batch.finish();
        Ok((batch, next))
    }

    /// Whose grants the evidence of a batch is among, but for role keys.
    pub(super) fn wanted(&self, batch: &Ranked<Known>) -> Wanted {
        let mut wanted = Wanted::default();
        for picked in batch.iter() {
            match picked.value {
                Known::Person(number, _) => {
                    wanted.people.entry(number).or_insert_with(|| picked.id.to_owned());
                }
                Known::Organization(number, counts) if counts.administrators > 0 => {
                    wanted.organizations.insert(number, ());
                }
                _ => {}
            }
        }
        wanted
    }

    /// The rank of a rule that can speak.
    fn rank(&self, rule: Rule) -> Option<(u32, Rule)> {
        let rank = self.ranks.iter().position(|&it| it == rule)?;
        self.needs.speaks(rule).then_some((u32::try_from(rank).ok()?, rule))
    }

    /// Whether a dataset is there: of invitations, one kind may be missing.
    fn is_there(&self, dataset: Dataset) -> bool {
        let entry = self.manifest().datasets.get(&dataset);
        entry.is_some_and(|entry| !entry.status.is_left_out())
    }

    fn manifest(&self) -> &Manifest {
        self.place.1.manifest()
    }

    fn push_role_keys(&self, batch: &mut Ranked<Known>) {
        let Some((rank, _)) = self.rank(Rule::UnresolvedRoleKey) else { return };
        for (key, memberships) in &self.manifest().referential.unresolved_role_keys {
            batch.push(rank, (key, key, ""), Known::RoleKey(*memberships), 0);
        }
    }

    fn push_organizations(&self, batch: &mut Ranked<Known>) {
        let without = self.rank(Rule::OrganizationWithoutAdministrator);
        let many = self.rank(Rule::TooManyAdministrators);
        let most = self.facts.settings.rule(Rule::TooManyAdministrators).numbers;
        for number in 0..u32::try_from(self.facts.organizations.len()).unwrap_or(u32::MAX) {
            let counts = self.grants.counts(number);
            let (members, administrators) =
                (u64::from(counts.members), u64::from(counts.administrators));
            let is_many = administrators > most.more_than
                && administrators * 100 > most.more_than_percent * members;
            let organization = self.facts.organizations.show_number(number);
            let text = (organization.name.unwrap_or_default(), organization.id, "");
            let known = Known::Organization(number, counts);
            if let Some((rank, _)) = without.filter(|_| administrators == 0) {
                batch.push(rank, text, known, 0);
            }
            if let Some((rank, _)) = many.filter(|_| is_many) {
                batch.push(rank, text, known, ORGANIZATION_BYTES);
            }
        }
    }

    async fn push_things(
        &self,
        dataset: Dataset,
        object_type: &'static str,
        ranks: Vec<(u32, Rule)>,
        batch: &mut Ranked<Known>,
    ) -> Result<(), ScanError> {
        let (archive, snapshot, progress) = self.place;
        let (facts, grants) = (Arc::clone(self.facts), Arc::clone(self.grants));
        let completed_at = self.manifest().completed_at;
        let read = move |lines: &mut Lines| {
            let mut part = PartThings::default();
            while let Some(line) = lines.next_line()? {
                let Some(thing) = ThingLine::of_line(line) else {
                    return Err(lines.not_a_record());
                };
                for &(rank, rule) in &ranks {
                    if let Some(said) = thing.fires(rule, &facts.settings, completed_at, &grants) {
                        let name = part.texts.push(&thing.display_name);
                        let id = part.texts.push(&thing.id);
                        part.things.push((rank, name, id, said));
                    }
                }
            }
            Ok(part)
        };
        let take = |part: PartThings| {
            for (rank, name, id, said) in part.things {
                let text = (part.texts.get(name), part.texts.get(id), "");
                batch.push(rank, text, Known::Thing(dataset, object_type, said), 0);
            }
            Ok(())
        };
        archive.scan(snapshot, dataset, progress, read, take).await
    }

    async fn push_people(&self, batch: &mut Ranked<Known>) -> Result<(), ScanError> {
        let rules: Vec<_> = people::RULES
            .iter()
            .filter_map(|&(rule, says, holds)| Some((self.rank(rule)?.0, says, holds)))
            .collect();
        let (archive, snapshot, progress) = self.place;
        let (shared, fires) = (Arc::clone(self.people), rules.clone());
        let read = move |lines: &mut Lines| {
            let mut part = PartPeople::default();
            while let Some(line) = lines.next_line()? {
                part.read(line, &shared, &fires).ok_or_else(|| lines.not_a_record())?;
            }
            Ok(part)
        };
        let take = |part: PartPeople| {
            for (number, name, id, activity) in part.people {
                let text = (part.texts.get(name), part.texts.get(id), "");
                let Some(person) = self.people.get(number) else { continue };
                for &(rank, says, holds) in &rules {
                    if person.fires(says, holds) {
                        batch.push(rank, text, Known::Person(number, activity), PERSON_BYTES);
                    }
                }
            }
            Ok(())
        };
        archive.scan(snapshot, Dataset::Users, progress, read, take).await
    }
}

impl PartPeople {
    /// Adds the user of a line, if a rule fires. `None` if the line is not a user.
    fn read(&mut self, line: &[u8], people: &People, rules: &[(u32, u8, u8)]) -> Option<()> {
        let id = crate::lines::user::id_of_line(line)?;
        let Some(number) = people.find(&id) else { return Some(()) };
        let person = people.get(number)?;
        if !rules.iter().any(|&(_, says, holds)| person.fires(says, holds)) {
            return Some(());
        }
        let summary = crate::lines::user::UserSummary::of_line(line)?;
        let activity = UserLine::of_line(line)?.activity();
        let (name, id) = (self.texts.push(&summary.display_name), self.texts.push(&summary.id));
        self.people.push((number, name, id, activity));
        Some(())
    }
}
