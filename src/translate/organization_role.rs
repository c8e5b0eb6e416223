//! Translates a role into a resource, and one grant per permission.

use clerk_snapshot::record::{
    DisplayName, GrantRecord, ObjectReference, ObjectType, ResourceRecord, Status,
};
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::Dataset;
use serde::Serialize;
use serde_json::value::RawValue;

use super::organization_permission::assigned;
use super::{References, Role, Row, Translation, distinct, non_blank, raw_of, timestamp};
use crate::clerk::wire::{OrganizationRole, Time};
use crate::redaction::Redaction;

impl Row for OrganizationRole<'_> {
    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> Option<i64> {
        self.created_at.map(Time::milliseconds)
    }

    fn references(&self) -> References<'_> {
        References { permissions: permission_ids(self), ..References::default() }
    }

    fn role(&self) -> Option<Role> {
        Some(Role {
            id: self.id.to_string(),
            key: self.key.to_string(),
            name: self.name.as_deref().map(str::to_owned),
        })
    }

    /// Contains no personal data.
    fn redact(&mut self, _redaction: &Redaction) {}

    fn translate(&self, raw: Option<&RawValue>, translation: &Translation, records: &mut Records) {
        let this = ObjectReference { object_type: ObjectType::OrganizationRole, id: &self.id };
        let created_at = timestamp(self.created_at);
        let updated_at = timestamp(self.updated_at);
        let record = ResourceRecord {
            object_type: this.object_type,
            id: this.id,
            display_name: DisplayName::One(display_name(self)),
            status: Status::Enabled,
            created_at,
            updated_at,
            profile: OrganizationRoleProfile::new(self),
            raw: raw_of(this.object_type, raw, translation, records),
        };
        records.push(Dataset::OrganizationRoles, &record);

        for permission in permission_ids(self) {
            let grant = GrantRecord {
                created_at,
                updated_at,
                ..GrantRecord::new(assigned(permission), this)
            };
            records.push(Dataset::Grants, &grant);
        }
    }
}

/// The permissions that it grants.
fn permission_ids<'a>(role: &'a OrganizationRole<'_>) -> Vec<&'a str> {
    distinct(role.permissions.iter().flatten().map(|permission| &*permission.id))
}

/// Name, else key, else id.
fn display_name<'a>(role: &'a OrganizationRole<'_>) -> &'a str {
    non_blank(role.name.as_deref()).or(non_blank(Some(&role.key))).unwrap_or(&role.id)
}

#[derive(Serialize)]
struct OrganizationRoleProfile<'a> {
    key: &'a str,
    description: Option<&'a str>,
    is_creator_eligible: Option<bool>,
    permissions: Option<Vec<PermissionReference<'a>>>,
}

#[derive(Serialize)]
struct PermissionReference<'a> {
    id: &'a str,
    key: &'a str,
}

impl<'a> OrganizationRoleProfile<'a> {
    fn new(role: &'a OrganizationRole<'_>) -> Self {
        let permissions = role.permissions.as_ref().map(|permissions| {
            let references = permissions.iter();
            references.map(|it| PermissionReference { id: &it.id, key: &it.key }).collect()
        });
        Self {
            key: &role.key,
            description: role.description.as_deref(),
            is_creator_eligible: role.is_creator_eligible,
            permissions,
        }
    }
}
