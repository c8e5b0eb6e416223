//! Translates a permission into a resource and the entitlement that roles hold on it.

use clerk_snapshot::record::{
    DisplayName, EntitlementId, EntitlementRecord, ObjectReference, ObjectType, Purpose,
    ResourceRecord, Status,
};
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::Dataset;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Row, Translation, non_blank, raw_of, timestamp};
use crate::clerk::wire::{OrganizationPermission, Time};
use crate::redaction::Redaction;

impl Row for OrganizationPermission<'_> {
    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> Option<i64> {
        self.created_at.map(Time::milliseconds)
    }

    /// Contains no personal data.
    fn redact(&mut self, _redaction: &Redaction) {}

    fn translate(&self, raw: Option<&RawValue>, translation: &Translation, records: &mut Records) {
        let id = assigned(&self.id);
        let this = id.resource;
        let display_name = DisplayName::One(display_name(self));
        let record = ResourceRecord {
            object_type: this.object_type,
            id: this.id,
            display_name,
            status: Status::Enabled,
            created_at: timestamp(self.created_at),
            updated_at: timestamp(self.updated_at),
            profile: OrganizationPermissionProfile {
                key: &self.key,
                description: self.description.as_deref(),
                permission_type: self.permission_type.as_deref(),
            },
            raw: raw_of(this.object_type, raw, translation, records),
        };
        records.push(Dataset::OrganizationPermissions, &record);

        let entitlement = EntitlementRecord {
            id,
            resource: this,
            slug: id.slug,
            purpose: Purpose::Permission,
            display_name,
            grantable_to: [ObjectType::OrganizationRole],
            role: None,
        };
        records.push(Dataset::Entitlements, &entitlement);
    }
}

/// The entitlement that a role holds on each of its permissions.
pub(super) const fn assigned(permission_id: &str) -> EntitlementId<'_> {
    let object_type = ObjectType::OrganizationPermission;
    let resource = ObjectReference { object_type, id: permission_id };
    EntitlementId { resource, slug: "assigned" }
}

/// Name, else key, else id.
fn display_name<'a>(permission: &'a OrganizationPermission<'_>) -> &'a str {
    non_blank(permission.name.as_deref())
        .or(non_blank(Some(&permission.key)))
        .unwrap_or(&permission.id)
}

#[derive(Serialize)]
struct OrganizationPermissionProfile<'a> {
    key: &'a str,
    description: Option<&'a str>,
    #[serde(rename = "type")]
    permission_type: Option<&'a str>,
}
