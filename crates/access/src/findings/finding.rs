//! A finding as answers show it.

use clerk_snapshot::resource::Dataset;
use serde::Serialize;

use super::evidence::{Evidence, MAX_GRANTS};
use super::grants::Counts;
use super::people::{Activity, RULES};
use super::things::Said;
use crate::output::{Cell, Column, List, Row};
use crate::ranked::Picked;
use crate::rules::{Rule, Severity};

/// What is listed.
pub const LIST: List = List {
    name: "findings",
    columns: &[
        Column::shown("severity", "Severity"),
        Column::shown("rule", "Rule"),
        Column::hidden("subject_type"),
        Column::shown("subject_name", "Who or what"),
        Column::shown("subject_id", "Id"),
        Column::shown("detail", "Detail"),
        Column::hidden("evidence"),
    ],
};

/// Something that a reviewer should look at.
#[derive(Debug, Serialize)]
pub struct Finding<'a> {
    /// The rule.
    pub rule: Rule,
    /// How urgent it is.
    pub severity: Severity,
    /// Who or what it is about.
    pub subject: Subject<'a>,
    /// A sentence.
    pub detail: String,
    /// The records that it rests on.
    pub evidence: Vec<Record>,
}

/// Who or what a finding is about.
#[derive(Debug, Serialize)]
pub struct Subject<'a> {
    /// The type, as records have it.
    #[serde(rename = "type")]
    pub object_type: &'static str,
    /// The id; of a role key that no role has, the key.
    pub id: &'a str,
    /// The name to display.
    pub name: &'a str,
}

/// A record.
#[derive(Debug, Serialize)]
pub struct Record {
    /// Its dataset.
    pub dataset: Dataset,
    /// Its id.
    pub id: String,
}

/// What is known of a subject when it is picked.
#[derive(Debug, Clone, Copy)]
pub enum Known {
    /// A person, by number, and their activity.
    Person(u32, Option<Activity>),
    /// An organization, by number.
    Organization(u32, Counts),
    /// A key that no role has, and how many memberships have it.
    RoleKey(u64),
    /// A thing of a dataset.
    Thing(Dataset, &'static str, Said),
}

impl<'a> Finding<'a> {
    /// The finding of a picked subject; `None` if nothing proves it, because two ids share a hash.
    #[must_use]
    pub fn new(
        rule: Rule,
        severity: Severity,
        picked: &Picked<'a, Known>,
        evidence: &Evidence,
    ) -> Option<Self> {
        let record = |dataset| Record { dataset, id: picked.id.to_owned() };
        let grants =
            |ids: Vec<String>| ids.into_iter().map(|id| Record { dataset: Dataset::Grants, id });
        let (object_type, detail, records): (_, _, Vec<Record>) = match picked.value {
            Known::Person(number, activity) => {
                let holds = RULES.iter().find(|it| it.0 == rule).map_or(0, |it| it.2);
                let ids: Vec<_> = evidence.of_person(number, picked.id, holds).collect();
                if ids.is_empty() {
                    return None;
                }
                let detail = of_person(rule, ids.len(), activity);
                ("user", detail, [record(Dataset::Users)].into_iter().chain(grants(ids)).collect())
            }
            Known::Organization(number, counts) => {
                let ids: Vec<_> = evidence.of_organization(number).collect();
                let records = [record(Dataset::Organizations)].into_iter().chain(grants(ids));
                ("organization", of_organization(counts), records.collect())
            }
            Known::RoleKey(memberships) => {
                let detail = format!(
                    "{} the role key, and no role has it. What they allow is not known.",
                    have(memberships)
                );
                ("organization_role", detail, grants(evidence.without_role().collect()).collect())
            }
            Known::Thing(dataset, object_type, said) => {
                (object_type, of_thing(rule, said), vec![record(dataset)])
            }
        };
        let subject = Subject { object_type, id: picked.id, name: picked.name };
        Some(Self { rule, severity, subject, detail, evidence: records })
    }
}

fn of_person(rule: Rule, grants: usize, activity: Option<Activity>) -> String {
    let organizations = counted(grants as u64, "organization");
    let active = || match activity {
        Some(Activity::At(time)) => format!("was last active on {}", day(time)),
        Some(Activity::NeverSince(time)) => {
            format!("was never active since the account was created on {}", day(time))
        }
        None => "was not active".to_owned(),
    };
    match rule {
        Rule::PrivilegedWithoutSecondFactor => {
            format!("Is privileged in {organizations} and has no second factor.")
        }
        Rule::PrivilegedAndDormant => {
            format!("Is privileged in {organizations} and {}.", active())
        }
        Rule::DormantWithAccess => format!("Is a member of {organizations} and {}.", active()),
        Rule::DisabledWithAccess => {
            format!("Is banned, locked or deprovisioned and still a member of {organizations}.")
        }
        Rule::OutsideDomainWithAccess => format!(
            "Is a member of {organizations} that the primary address is not of a verified domain of."
        ),
        _ => format!("Is a member of {organizations}; the primary address is not verified."),
    }
}

fn of_organization(Counts { members, administrators }: Counts) -> String {
    let of = counted(members.into(), "member");
    match administrators {
        0 if members == 0 => "Has no member.".to_owned(),
        0 => format!("Has {of}, none of them privileged."),
        _ => {
            let shown = if administrators as usize > MAX_GRANTS {
                format!(" The first {MAX_GRANTS} are named.")
            } else {
                String::new()
            };
            format!("Of {of}, {administrators} are privileged.{shown}")
        }
    }
}

fn of_thing(rule: Rule, said: Said) -> String {
    match (rule, said) {
        (Rule::RoleNobodyHolds, _) => "No membership has the role.".to_owned(),
        (Rule::PermissionNobodyHas, _) => "No membership carries the permission.".to_owned(),
        (Rule::InvitationPendingLong, Said::Since(time)) => {
            format!("Has been pending since {}.", day(time))
        }
        (Rule::ApiKeyNeverExpires, _) => "Works and never expires.".to_owned(),
        (_, Said::Since(time)) => format!("Works and was last used on {}.", day(time)),
        (_, Said::Never(time)) => {
            format!("Works and was never used since it was created on {}.", day(time))
        }
        (_, Said::Seconds(seconds)) => {
            format!("Its tokens are valid for {}.", counted(seconds, "second"))
        }
        (Rule::RedirectUrlInsecure, _) => "Is http to a host that is not loopback.".to_owned(),
        _ => "Is not active, so nobody can sign in with it.".to_owned(),
    }
}

fn have(memberships: u64) -> String {
    match memberships {
        1 => "1 membership has".to_owned(),
        count => format!("{count} memberships have"),
    }
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The day of a time: `2026-09-30`.
fn day(time: clerk_snapshot::timestamp::Timestamp) -> String {
    time.to_string().chars().take_while(|character| *character != 'T').collect()
}

impl Row for Finding<'_> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let evidence = self.evidence.iter().map(|it| format!("{}/{}", it.dataset, it.id));
        vec![vec![
            self.severity.name().into(),
            self.rule.name().into(),
            self.subject.object_type.into(),
            self.subject.name.into(),
            self.subject.id.into(),
            self.detail.as_str().into(),
            Cell::joined(evidence),
        ]]
    }
}
