//! Translates a membership into grants: `member`, and the role if its key resolves.

use clerk_snapshot::record::{EntitlementId, GrantRecord, ObjectReference, ObjectType};
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::Dataset;
use serde_json::value::RawValue;

use super::organization::MEMBER;
use super::{References, Row, Translation, timestamp};
use crate::clerk::wire::{OrganizationMembership, Time};
use crate::redaction::Redaction;

impl Row for OrganizationMembership<'_> {
    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> Option<i64> {
        self.created_at.map(Time::milliseconds)
    }

    fn references(&self) -> References<'_> {
        References {
            user: user_id(self),
            organization: Some(&self.organization.id),
            ..References::default()
        }
    }

    /// Clerk omits the user of a membership if the user no longer exists.
    fn belongs_to_nobody(&self) -> bool {
        user_id(self).is_none()
    }

    /// Refers to people by id only.
    fn redact(&mut self, _redaction: &Redaction) {}

    /// Grants have no `raw`. A membership without a user becomes no grant.
    fn translate(&self, _raw: Option<&RawValue>, translation: &Translation, records: &mut Records) {
        let Some(user_id) = user_id(self) else { return };
        let this =
            ObjectReference { object_type: ObjectType::OrganizationMembership, id: &self.id };
        let resource =
            ObjectReference { object_type: ObjectType::Organization, id: &self.organization.id };
        let principal = ObjectReference { object_type: ObjectType::User, id: user_id };

        let member = GrantRecord {
            source: Some(this),
            created_at: timestamp(self.created_at),
            updated_at: timestamp(self.updated_at),
            ..GrantRecord::new(EntitlementId { resource, slug: MEMBER }, principal)
        };
        records.push(Dataset::Grants, &member);

        let Some(role) = translation.roles.by_key(&self.role) else {
            count_unresolved(&self.role, records);
            return;
        };
        let permissions = self.permissions.as_ref();
        let holds_role = GrantRecord {
            role: Some(role.reference()),
            permissions: permissions.map(|keys| keys.iter().map(Option::as_deref).collect()),
            source: member.source,
            created_at: member.created_at,
            updated_at: member.updated_at,
            ..GrantRecord::new(EntitlementId { resource, slug: &role.id }, principal)
        };
        records.push(Dataset::Grants, &holds_role);
    }
}

fn user_id<'a>(membership: &'a OrganizationMembership<'_>) -> Option<&'a str> {
    membership.public_user_data.as_ref()?.user_id.as_deref()
}

fn count_unresolved(key: &str, records: &mut Records) {
    match records.unresolved_role_keys.get_mut(key) {
        Some(memberships) => *memberships += 1,
        None => {
            records.unresolved_role_keys.insert(key.to_owned(), 1);
        }
    }
}
