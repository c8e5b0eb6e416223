use clerk_snapshot::record::{
    DisplayName, EntitlementId, EntitlementRecord, GrantRecord, ObjectReference, ObjectType,
    Purpose,
};
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{References, Row, Translation, distinct, non_blank, timestamp};
use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};
use crate::redaction::Redaction;

/// A row of GET /machines (Clerk OpenAPI 2026-05-12, schema Machine): a program that calls others with its own tokens.
/// Its secret key is never requested.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Machine<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Lifetime of its tokens in seconds.
    default_token_ttl: Option<i64>,
    /// The machines it may call.
    #[serde(borrow)]
    scoped_machines: Option<Vec<Object<ScopedMachine<'a>>>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

/// Schema Machine.
#[derive(Debug, Deserialize, Serialize)]
struct ScopedMachine<'a> {
    /// Id of the machine.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Its name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

impl Plain for Machine<'_> {
    const TYPE: ObjectType = ObjectType::Machine;
    const DATASET: Dataset = Dataset::Machines;

    fn about(&self) -> About<'_> {
        About {
            names: [self.name.as_deref(), None],
            ..About::of(&self.id, self.created_at, self.updated_at)
        }
    }

    /// The entitlement held by the machines that may call this one.
    fn add_further(&self, records: &mut Records) {
        let id = call(&self.id);
        let entitlement = EntitlementRecord {
            id,
            resource: id.resource,
            slug: id.slug,
            purpose: Purpose::Permission,
            display_name: DisplayName::One(non_blank(self.name.as_deref()).unwrap_or(&self.id)),
            grantable_to: [ObjectType::Machine],
            role: None,
        };
        records.push(Dataset::Entitlements, &entitlement);
    }
}

/// The same row as grants for the machines that it may call. They are read after all machines are known, because a
/// machine may call one that is listed later.
#[derive(Debug, Deserialize)]
pub(crate) struct Scopes<'a> {
    #[serde(borrow, deserialize_with = "identifier")]
    id: Text<'a>,
    #[serde(borrow)]
    scoped_machines: Option<Vec<Object<Called<'a>>>>,
    created_at: Option<Time>,
    updated_at: Option<Time>,
}

/// Schema Machine.
#[derive(Debug, Deserialize)]
struct Called<'a> {
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
}

impl Scopes<'_> {
    fn called(&self) -> Vec<&str> {
        distinct(self.scoped_machines.iter().flatten().filter_map(|machine| machine.id.as_deref()))
    }
}

impl Row for Scopes<'_> {
    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> Option<i64> {
        self.created_at.map(Time::milliseconds)
    }

    fn references(&self) -> References<'_> {
        References { machine: Some(&self.id), machines: self.called(), ..References::default() }
    }

    /// Contains no personal data.
    fn redact(&mut self, _redaction: &Redaction) {}

    fn translate(
        &self,
        _raw: Option<&RawValue>,
        _translation: &Translation,
        records: &mut Records,
    ) {
        let caller = ObjectReference { object_type: ObjectType::Machine, id: &self.id };
        for called in self.called() {
            let grant = GrantRecord {
                created_at: timestamp(self.created_at),
                updated_at: timestamp(self.updated_at),
                ..GrantRecord::new(call(called), caller)
            };
            records.push(Dataset::Grants, &grant);
        }
    }
}

/// The entitlement that a machine holds on each machine that it may call.
const fn call(machine_id: &str) -> EntitlementId<'_> {
    let resource = ObjectReference { object_type: ObjectType::Machine, id: machine_id };
    EntitlementId { resource, slug: "call" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_listed_twice_may_be_called_once() {
        let row =
            r#"{"id":"mch_1","scoped_machines":[{"id":"mch_2"},{"id":"mch_2"},{},{"id":"mch_3"}]}"#;
        let scopes: Scopes<'_> = serde_json::from_str(row).unwrap();
        assert_eq!(scopes.called(), ["mch_2", "mch_3"]);
        assert_eq!(scopes.references().machines, ["mch_2", "mch_3"]);
    }
}
