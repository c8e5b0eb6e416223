//! Reads what a comparison needs to know of a line.

use std::borrow::Cow;

use serde::Deserialize;

use super::change::{Reference, RoleName};
use crate::record::ObjectType;
use crate::resource::{Dataset, Resource};
use crate::timestamp::Timestamp;

/// What a line says about itself.
#[derive(Debug, Deserialize)]
pub(super) struct Record<'a> {
    /// `resource`, `entitlement`, `grant` or `metric`.
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "type", borrow, default)]
    object_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    /// Name of a metric.
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    /// Day of a metric.
    #[serde(borrow, default)]
    date: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) resource: Option<Reference<'a>>,
    #[serde(borrow, default)]
    pub(super) principal: Option<Reference<'a>>,
    #[serde(borrow, default)]
    pub(super) role: Option<RoleName<'a>>,
    #[serde(borrow, default)]
    pub(super) permissions: Option<Vec<Option<Cow<'a, str>>>>,
    #[serde(borrow, default)]
    pub(super) source: Option<Reference<'a>>,
    #[serde(default)]
    pub(super) created_at: Option<Timestamp>,
}

/// A line that is not a record of its dataset.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotARecord;

impl<'a> Record<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, NotARecord> {
        let record: Self = serde_json::from_slice(line).map_err(|_| NotARecord)?;
        let is_complete = record.own_id().is_some()
            && match &*record.kind {
                "resource" => record.object_type.is_some(),
                "entitlement" => record.resource.is_some(),
                "grant" => record.resource.is_some() && record.principal.is_some(),
                "metric" => record.name.is_some(),
                _ => false,
            };
        if is_complete { Ok(record) } else { Err(NotARecord) }
    }

    fn own_id(&self) -> Option<&Cow<'a, str>> {
        if self.kind == "metric" { self.date.as_ref() } else { self.id.as_ref() }
    }

    /// Its id; of a metric the date.
    pub(super) fn id(&self) -> &str {
        self.own_id().map_or("", |id| id)
    }

    /// Its type: that of a resource, the name of a metric, or its kind.
    pub(super) fn type_name(&self) -> &str {
        match &*self.kind {
            "resource" => self.object_type.as_deref().unwrap_or_default(),
            "metric" => self.name.as_deref().unwrap_or_default(),
            kind => kind,
        }
    }

    /// The resource of `RESOURCES` that a grant or an entitlement was written for.
    pub(super) fn section(&self, dataset: Dataset) -> Option<Resource> {
        let held_on = ObjectType::from_name(&self.resource.as_ref()?.object_type)?;
        match (dataset, held_on) {
            (Dataset::Grants, ObjectType::Organization) => Some(Resource::OrganizationMemberships),
            (Dataset::Grants, ObjectType::OrganizationPermission) => {
                Some(Resource::OrganizationRoles)
            }
            (Dataset::Entitlements, ObjectType::Organization) => Some(Resource::Organizations),
            (Dataset::Entitlements, ObjectType::OrganizationPermission) => {
                Some(Resource::OrganizationPermissions)
            }
            (Dataset::Grants | Dataset::Entitlements, ObjectType::Machine) => {
                Some(Resource::Machines)
            }
            _ => None,
        }
    }
}

/// Finds the id in a line without reading the rest of it.
#[derive(Debug)]
pub(super) struct IdFinder(String);

impl IdFinder {
    pub(super) fn new(dataset: Dataset) -> Self {
        Self(match dataset {
            Dataset::Grants => r#"{"kind":"grant","id":""#.to_owned(),
            Dataset::Entitlements => r#"{"kind":"entitlement","id":""#.to_owned(),
            other => format!(r#"{{"kind":"resource","type":"{}","id":""#, singular(other)),
        })
    }

    /// The id, as [`Record::id`] gives it.
    pub(super) fn find<'a>(&self, line: &'a [u8]) -> Result<Cow<'a, [u8]>, NotARecord> {
        if let Some(rest) = line.strip_prefix(self.0.as_bytes())
            && let Some(end) = memchr::memchr2(b'"', b'\\', rest)
            && rest[end] == b'"'
        {
            return Ok(Cow::Borrowed(&rest[..end]));
        }
        // Written by another version, or with characters that JSON escapes.
        Ok(Cow::Owned(Record::parse(line)?.id().as_bytes().to_vec()))
    }
}

/// The type of a dataset's resources: their names differ by an `s` or by `ies` for `y`.
fn singular(dataset: Dataset) -> String {
    let name = dataset.name();
    match name.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => name.strip_suffix('s').unwrap_or(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::records;

    // Promise: the quick way to an id gives what reading the whole line gives.
    #[test]
    fn both_ways_to_an_id_agree() {
        for &dataset in Dataset::ALL {
            let singular = singular(dataset);
            if !matches!(
                dataset,
                Dataset::Grants | Dataset::Entitlements | Dataset::DailyActiveUsers
            ) {
                assert!(ObjectType::from_name(&singular).is_some(), "{singular}");
            }
        }
        let lines = [
            (Dataset::Users, records::user("user_1")),
            (Dataset::Users, records::user("a\"b\\ü\n")),
            (Dataset::Grants, records::member_grant("org_1", "user_1", "orgmem_1")),
            (Dataset::Entitlements, records::member_entitlement("org_1")),
            (
                Dataset::WaitlistEntries,
                records::resource("waitlist_entry", "w", serde_json::json!({})),
            ),
            (Dataset::DailyActiveUsers, records::daily_active_users("2026-11-20", 5)),
        ];
        for (dataset, line) in lines {
            let line = format!("{line}\n");
            let record = Record::parse(line.as_bytes()).unwrap();
            let found = IdFinder::new(dataset).find(line.as_bytes()).unwrap();
            assert_eq!(&*found, record.id().as_bytes());
            let takes_the_quick_way = matches!(found, Cow::Borrowed(_));
            assert_eq!(
                takes_the_quick_way,
                !line.contains('\\') && dataset != Dataset::DailyActiveUsers
            );
        }
        for wrong in
            ["", "[]", "{}", r#"{"kind":"resource","id":"a"}"#, r#"{"kind":"grant","id":"a"}"#]
        {
            assert!(IdFinder::new(Dataset::Users).find(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
