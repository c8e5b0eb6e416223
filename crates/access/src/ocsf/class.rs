//! The classes and activities of OCSF 1.8.0 that changes have.

/// A class of events, all of them in the category Identity & Access Management.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// `class_uid`.
    pub uid: u32,
    /// `class_name`.
    pub name: &'static str,
}

/// What happened, among the activities of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// `activity_id`.
    pub id: u32,
    /// `activity_name`.
    pub name: &'static str,
}

/// `category_uid` of every event.
pub const CATEGORY_UID: u32 = 3;
/// `category_name` of every event.
pub const CATEGORY_NAME: &str = "Identity & Access Management";

/// Something happened to an account: a user or a machine.
pub const ACCOUNT_CHANGE: Class = Class { uid: 3001, name: "Account Change" };
/// Something happened to anything else.
pub const ENTITY_MANAGEMENT: Class = Class { uid: 3004, name: "Entity Management" };
/// An account got or lost privileges.
pub const USER_ACCESS: Class = Class { uid: 3005, name: "User Access Management" };
/// Something happened to a group, its members or its privileges: an organization or a role.
pub const GROUP_MANAGEMENT: Class = Class { uid: 3006, name: "Group Management" };

/// The activities of a class that changes have.
pub struct Activities {
    /// It came.
    pub added: Activity,
    /// It went.
    pub removed: Activity,
    /// It differs.
    pub changed: Activity,
}

/// OCSF has no activity for a change of an account or a group: the id is that of others, the name is ours.
const UPDATE: Activity = activity(99, "Update");

/// Those of accounts.
pub const OF_ACCOUNTS: Activities =
    Activities { added: activity(1, "Create"), removed: activity(6, "Delete"), changed: UPDATE };
/// Those of groups.
pub const OF_GROUPS: Activities =
    Activities { added: activity(6, "Create"), removed: activity(5, "Delete"), changed: UPDATE };
/// Those of members of groups.
pub const OF_MEMBERS: Activities = Activities {
    added: activity(3, "Add User"),
    removed: activity(4, "Remove User"),
    changed: UPDATE,
};
/// Those of privileges of groups and of accounts.
pub const OF_PRIVILEGES: Activities = Activities {
    added: activity(1, "Assign Privileges"),
    removed: activity(2, "Revoke Privileges"),
    changed: UPDATE,
};
/// Those of anything else.
pub const OF_ENTITIES: Activities = Activities {
    added: activity(1, "Create"),
    removed: activity(4, "Delete"),
    changed: activity(3, "Update"),
};

/// An entity works again.
pub const ENTITY_ENABLE: Activity = activity(8, "Enable");
/// An entity works no more.
pub const ENTITY_DISABLE: Activity = activity(9, "Disable");
/// An account can be used again.
pub const ACCOUNT_ENABLE: Activity = activity(2, "Enable");
/// An account cannot be used any more.
pub const ACCOUNT_DISABLE: Activity = activity(5, "Disable");
/// An account was locked, and nothing else.
pub const ACCOUNT_LOCK: Activity = activity(9, "Lock");
/// An account was unlocked, and nothing else.
pub const ACCOUNT_UNLOCK: Activity = activity(12, "Unlock");
/// An account got a second factor.
pub const SECOND_FACTOR_ON: Activity = activity(10, "MFA Factor Enable");
/// An account lost its second factor.
pub const SECOND_FACTOR_OFF: Activity = activity(11, "MFA Factor Disable");

const fn activity(id: u32, name: &'static str) -> Activity {
    Activity { id, name }
}

impl Activities {
    /// The activity of an op.
    #[must_use]
    pub const fn of(&self, op: clerk_snapshot::compare::change::Op) -> Activity {
        use clerk_snapshot::compare::change::Op;
        match op {
            Op::Added => self.added,
            Op::Removed => self.removed,
            Op::Changed => self.changed,
        }
    }
}
