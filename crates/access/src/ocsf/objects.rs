//! The objects that events are about. Field order is the order in which keys are written.

use clerk_snapshot::compare::change::{Change, Reference};
use serde::Serialize;

use super::mapping::About;
use super::record::Record;

/// What an event is about: the attributes of its class beside those that all classes have.
#[derive(Debug, Default, Serialize)]
pub struct Objects<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<Entity<'a>>,
    /// The permissions that are given or taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Resource<'a>>,
}

#[derive(Debug, Serialize)]
struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    uid: &'a str,
    #[serde(rename = "type")]
    object_type: &'a str,
    type_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_addr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_mfa: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Group<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    uid: &'a str,
    #[serde(rename = "type")]
    object_type: &'a str,
}

#[derive(Debug, Serialize)]
struct Entity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    uid: &'a str,
    #[serde(rename = "type")]
    object_type: &'a str,
    type_id: u32,
}

#[derive(Debug, Serialize)]
struct Resource<'a> {
    uid: &'a str,
    #[serde(rename = "type")]
    object_type: &'a str,
    role: &'static str,
    role_id: u32,
}

/// `type_id` of a user: a person.
const PERSON: u32 = 1;
/// `type_id` of a user: a program.
const SERVICE: u32 = 4;
/// `type_id` of an entity: another type than those that OCSF knows, which `type` names.
const OTHER: u32 = 99;

impl<'a> Objects<'a> {
    /// The objects of a change and its record.
    #[must_use]
    pub fn of(change: &'a Change<'_>, record: &'a Record<'_>, about: About) -> Self {
        let (subject, target) = (&change.subject, change.target.as_ref());
        let none = Self::default();
        match about {
            About::Account => Self { user: Some(User::of(subject, Some(record))), ..none },
            About::Group => Self { group: Some(Group::of(subject, Some(record))), ..none },
            About::Member => Self {
                user: Some(User::of(subject, None)),
                group: target.map(|target| Group::of(target, None)),
                ..none
            },
            About::PrivilegeOfGroup => Self {
                group: Some(Group::of(subject, None)),
                privileges: target.iter().map(|target| target.id.clone().into_owned()).collect(),
                ..none
            },
            About::PrivilegeOfAccount => Self {
                user: Some(User::of(subject, None)),
                privileges: privileges(change, record),
                resources: target.into_iter().map(Resource::of).collect(),
                ..none
            },
            About::Entity => Self { entity: Some(Entity::of(subject, record)), ..none },
        }
    }
}

/// The permissions that a role grant carries, of one that differs those that it carries now; else the role's key, else
/// what every grant to call a machine gives.
fn privileges(change: &Change<'_>, record: &Record<'_>) -> Vec<String> {
    let carried: Vec<String> = match change.fields.iter().find(|it| it.path == "permissions") {
        Some(field) => {
            let now: Option<Vec<Option<String>>> =
                serde_json::from_str(field.after.get()).unwrap_or_default();
            now.into_iter().flatten().flatten().collect()
        }
        None => record.permissions().map(str::to_owned).collect(),
    };
    match &change.role {
        _ if !carried.is_empty() => carried,
        Some(role) => vec![role.key.clone().into_owned()],
        None => vec!["call".to_owned()],
    }
}

impl<'a> User<'a> {
    fn of(reference: &'a Reference<'_>, record: Option<&'a Record<'_>>) -> Self {
        Self {
            name: record.and_then(Record::username),
            uid: &reference.id,
            object_type: &reference.object_type,
            type_id: if reference.object_type == "user" { PERSON } else { SERVICE },
            display_name: record.and_then(|record| record.display_name.as_deref()),
            email_addr: record.and_then(Record::email),
            has_mfa: record.and_then(Record::has_second_factor),
        }
    }
}

impl<'a> Group<'a> {
    fn of(reference: &'a Reference<'_>, record: Option<&'a Record<'_>>) -> Self {
        Self {
            name: record.and_then(|record| record.display_name.as_deref()),
            uid: &reference.id,
            object_type: &reference.object_type,
        }
    }
}

impl<'a> Entity<'a> {
    fn of(reference: &'a Reference<'_>, record: &'a Record<'_>) -> Self {
        Self {
            name: record.display_name.as_deref(),
            uid: &reference.id,
            object_type: &reference.object_type,
            type_id: OTHER,
        }
    }
}

impl<'a> Resource<'a> {
    fn of(reference: &'a Reference<'_>) -> Self {
        Self { uid: &reference.id, object_type: &reference.object_type, role: "Target", role_id: 1 }
    }
}
