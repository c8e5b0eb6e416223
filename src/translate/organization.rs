//! Translates an organization into a resource, and one entitlement for membership and for each role.

use clerk_snapshot::record::{
    DisplayName, EntitlementId, EntitlementRecord, ObjectReference, ObjectType, Purpose,
    ResourceRecord, RoleReference, Status,
};
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::verbatim::Verbatim;
use super::{Row, Translation, non_blank, raw_of, timestamp};
use crate::clerk::wire::{Organization, Time};
use crate::redaction::Redaction;

/// Slug of the entitlement that every member of an organization holds.
pub(super) const MEMBER: &str = "member";

impl Row for Organization<'_> {
    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> Option<i64> {
        self.created_at.map(Time::milliseconds)
    }

    /// Contains no personal data.
    fn redact(&mut self, _redaction: &Redaction) {}

    fn translate(&self, raw: Option<&RawValue>, translation: &Translation, records: &mut Records) {
        let this = ObjectReference { object_type: ObjectType::Organization, id: &self.id };
        let name = display_name(self);
        let record = ResourceRecord {
            object_type: this.object_type,
            id: this.id,
            display_name: DisplayName::One(name),
            status: Status::Enabled,
            created_at: timestamp(self.created_at),
            updated_at: timestamp(self.updated_at),
            profile: OrganizationProfile::new(self, translation),
            raw: raw_of(this.object_type, raw, translation, records),
        };
        records.push(Dataset::Organizations, &record);

        let member = entitlement(this, MEMBER, DisplayName::Two(name, MEMBER), None);
        records.push(Dataset::Entitlements, &member);
        for role in translation.roles.iter() {
            let display_name = DisplayName::Two(name, role.display_name());
            let holds_role = entitlement(this, &role.id, display_name, Some(role.reference()));
            records.push(Dataset::Entitlements, &holds_role);
        }
    }
}

/// Name, else slug, else id.
fn display_name<'a>(organization: &'a Organization<'_>) -> &'a str {
    let name = non_blank(organization.name.as_deref());
    name.or_else(|| non_blank(organization.slug.as_deref())).unwrap_or(&organization.id)
}

fn entitlement<'a>(
    resource: ObjectReference<'a>,
    slug: &'a str,
    display_name: DisplayName<'a>,
    role: Option<RoleReference<'a>>,
) -> EntitlementRecord<'a> {
    EntitlementRecord {
        id: EntitlementId { resource, slug },
        resource,
        slug,
        purpose: Purpose::Assignment,
        display_name,
        grantable_to: [ObjectType::User],
        role,
    }
}

#[derive(Serialize)]
struct OrganizationProfile<'a> {
    slug: Option<&'a str>,
    members_count: Option<i64>,
    pending_invitations_count: Option<i64>,
    max_allowed_memberships: Option<i64>,
    admin_delete_enabled: Option<bool>,
    created_by: Option<&'a str>,
    role_set_key: Option<&'a str>,
    last_active_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_metadata: Option<Verbatim<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_metadata: Option<Verbatim<'a>>,
}

impl<'a> OrganizationProfile<'a> {
    fn new(organization: &'a Organization<'_>, translation: &Translation) -> Self {
        let metadata = translation.metadata;
        Self {
            slug: organization.slug.as_deref(),
            members_count: organization.members_count,
            pending_invitations_count: organization.pending_invitations_count,
            max_allowed_memberships: organization.max_allowed_memberships,
            admin_delete_enabled: organization.admin_delete_enabled,
            created_by: organization.created_by.as_deref(),
            role_set_key: organization.role_set_key.as_deref(),
            last_active_at: timestamp(organization.last_active_at),
            public_metadata: Verbatim::if_asked(metadata.public, organization.public_metadata),
            private_metadata: Verbatim::if_asked(metadata.private, organization.private_metadata),
        }
    }
}
