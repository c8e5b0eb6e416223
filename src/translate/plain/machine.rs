use clerk_snapshot::record::{
    DisplayName, EntitlementId, EntitlementRecord, GrantRecord, ObjectReference, ObjectType,
    Purpose,
};
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{References, Row, Translation, moment, said};
use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};
use crate::redaction::Redaction;

/// A row of Clerk: GET /machines (Clerk OpenAPI 2026-05-12, schema Machine): a program that calls
/// others with tokens of its own. Its secret key is never asked for.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Machine<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Seconds that its tokens are good for.
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
    /// The machine.
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

    /// What other machines hold that may call it.
    fn add_further(&self, records: &mut Records) {
        let id = call(&self.id);
        let entitlement = EntitlementRecord {
            id,
            resource: id.resource,
            slug: id.slug,
            purpose: Purpose::Permission,
            display_name: DisplayName::One(said(self.name.as_deref()).unwrap_or(&self.id)),
            grantable_to: [ObjectType::Machine],
            role: None,
        };
        records.push(Dataset::Entitlements, &entitlement);
    }
}

/// The same row, as the grants of the machines it may call. They are read when all machines are
/// known: one may call another that comes behind it.
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
    fn called(&self) -> impl Iterator<Item = &str> {
        self.scoped_machines.iter().flatten().filter_map(|machine| machine.id.as_deref())
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
        References {
            machine: Some(&self.id),
            machines: self.called().collect(),
            ..References::default()
        }
    }

    /// Nothing in it is about a person.
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
                created_at: moment(self.created_at),
                updated_at: moment(self.updated_at),
                ..GrantRecord::new(call(called), caller)
            };
            records.push(Dataset::Grants, &grant);
        }
    }
}

/// The entitlement that a machine holds on each one that it may call.
const fn call(machine_id: &str) -> EntitlementId<'_> {
    let resource = ObjectReference { object_type: ObjectType::Machine, id: machine_id };
    EntitlementId { resource, slug: "call" }
}
