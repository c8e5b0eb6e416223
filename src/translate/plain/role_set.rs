use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};
use crate::translate::verbatim::Json;

/// A row of GET /role_sets (Clerk OpenAPI 2026-05-12, schema RoleSet): the roles that an organization can use.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct RoleSet<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// The key that organizations refer to.
    #[serde(borrow)]
    key: Option<Text<'a>>,
    /// Its purpose.
    #[serde(borrow)]
    description: Option<Text<'a>>,
    /// `initial` or `custom`, an open set.
    #[serde(borrow, rename = "type")]
    set_type: Option<Text<'a>>,
    /// Its roles.
    #[serde(borrow)]
    roles: Option<Vec<Object<RoleOfSet<'a>>>>,
    /// Role of new members.
    #[serde(borrow)]
    default_role: Option<Object<RoleReference<'a>>>,
    /// Role of the user who creates an organization.
    #[serde(borrow)]
    creator_role: Option<Object<RoleReference<'a>>>,
    /// The migration of members' roles in progress.
    #[serde(borrow)]
    role_set_migration: Option<Object<Migration<'a>>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

/// Schema RoleSetItem.
#[derive(Debug, Deserialize, Serialize)]
struct RoleOfSet<'a> {
    /// Id of the role.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Its key.
    #[serde(borrow)]
    key: Option<Text<'a>>,
    /// Its name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
    /// Number of members with this role, in organizations with this set.
    members_count: Option<i64>,
    /// Whether any member there has this role.
    has_members: Option<bool>,
}

/// Schema RoleSetItem, for a role that is one of the set's.
#[derive(Debug, Deserialize, Serialize)]
struct RoleReference<'a> {
    /// Id of the role.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    id: Option<Text<'a>>,
    /// Its key.
    #[serde(borrow)]
    key: Option<Text<'a>>,
}

/// Schema RoleSetMigration.
#[derive(Debug, Deserialize, Serialize)]
struct Migration<'a> {
    /// `enqueued` or `in_progress`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// What triggered it, such as `role_removal`, an open set.
    #[serde(borrow)]
    trigger_type: Option<Text<'a>>,
    /// Id of the organization that it is limited to.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    organization_id: Option<Text<'a>>,
    /// Id of the old role set.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    source_role_set_id: Option<Text<'a>>,
    /// Id of the new role set.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    dest_role_set_id: Option<Text<'a>>,
    /// Maps old role keys to new ones, copied verbatim.
    #[serde(borrow)]
    mappings: Option<Json<'a>>,
    /// Members migrated so far.
    migrated_members: Option<i64>,
    /// When it began.
    started_at: Option<Time>,
}

impl Plain for RoleSet<'_> {
    const TYPE: ObjectType = ObjectType::RoleSet;
    const DATASET: Dataset = Dataset::RoleSets;

    fn about(&self) -> About<'_> {
        About {
            names: [self.name.as_deref(), self.key.as_deref()],
            ..About::of(&self.id, self.created_at, self.updated_at)
        }
    }
}
