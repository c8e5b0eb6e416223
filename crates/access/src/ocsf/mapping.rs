//! Chooses class, activity and severity of a change's event. docs/ocsf.md has this as a table, which a test holds to
//! it.

use clerk_snapshot::compare::change::{Change, Op};
use clerk_snapshot::compare::class::Class as ChangeClass;
use clerk_snapshot::compare::summary::PRIVILEGED;
use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;

use super::class::{
    ACCOUNT_CHANGE, ACCOUNT_DISABLE, ACCOUNT_ENABLE, ACCOUNT_LOCK, ACCOUNT_UNLOCK, Activity, Class,
    ENTITY_DISABLE, ENTITY_ENABLE, ENTITY_MANAGEMENT, GROUP_MANAGEMENT, OF_ACCOUNTS, OF_ENTITIES,
    OF_GROUPS, OF_MEMBERS, OF_PRIVILEGES, SECOND_FACTOR_OFF, SECOND_FACTOR_ON, USER_ACCESS,
};

/// What a change is about, which decides the class of its event and the objects that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A user or a machine.
    Account,
    /// An organization or a role.
    Group,
    /// A membership of an organization.
    Member,
    /// A permission of a role.
    PrivilegeOfGroup,
    /// A role in an organization, or the right to call a machine.
    PrivilegeOfAccount,
    /// Anything else.
    Entity,
}

impl About {
    /// What a change is about.
    #[must_use]
    pub fn of(change: &Change<'_>) -> Self {
        let held_on = change.target.as_ref().and_then(|it| ObjectType::from_name(&it.object_type));
        match (change.dataset, held_on) {
            (Dataset::Users | Dataset::Machines, _) => Self::Account,
            (Dataset::Organizations | Dataset::OrganizationRoles, _) => Self::Group,
            (Dataset::Grants, Some(ObjectType::Organization)) if change.role.is_none() => {
                Self::Member
            }
            (Dataset::Grants, Some(ObjectType::Organization | ObjectType::Machine)) => {
                Self::PrivilegeOfAccount
            }
            (Dataset::Grants, Some(ObjectType::OrganizationPermission)) => Self::PrivilegeOfGroup,
            _ => Self::Entity,
        }
    }

    /// The class of its event.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Account => ACCOUNT_CHANGE,
            Self::Group | Self::Member | Self::PrivilegeOfGroup => GROUP_MANAGEMENT,
            Self::PrivilegeOfAccount => USER_ACCESS,
            Self::Entity => ENTITY_MANAGEMENT,
        }
    }

    /// The activity of its event.
    #[must_use]
    pub fn activity(self, change: &Change<'_>) -> Activity {
        match self {
            Self::Account => account_activity(change),
            Self::Group => OF_GROUPS.of(change.op),
            Self::Member => OF_MEMBERS.of(change.op),
            Self::PrivilegeOfGroup | Self::PrivilegeOfAccount => OF_PRIVILEGES.of(change.op),
            Self::Entity => match new_status(change) {
                Some("disabled") => ENTITY_DISABLE,
                Some("enabled") => ENTITY_ENABLE,
                _ => OF_ENTITIES.of(change.op),
            },
        }
    }
}

fn account_activity(change: &Change<'_>) -> Activity {
    let is_lock_alone = || {
        let differs = |path: &str| change.fields.iter().any(|field| field.path == path);
        differs("profile.locked") && !differs("profile.banned") && !differs("profile.deprovisioned")
    };
    match (&*change.event, new_status(change)) {
        ("second_factor_on", _) => SECOND_FACTOR_ON,
        ("second_factor_off", _) => SECOND_FACTOR_OFF,
        (_, Some("disabled")) if is_lock_alone() => ACCOUNT_LOCK,
        (_, Some("disabled")) => ACCOUNT_DISABLE,
        (_, Some("enabled")) if is_lock_alone() => ACCOUNT_UNLOCK,
        (_, Some("enabled")) => ACCOUNT_ENABLE,
        _ => OF_ACCOUNTS.of(change.op),
    }
}

/// The status of a record that has another one than before.
fn new_status<'a>(change: &'a Change<'_>) -> Option<&'a str> {
    let field = change.fields.iter().find(|field| field.path == "status")?;
    serde_json::from_str(field.after.get()).ok()
}

/// How urgent it is that somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Names, addresses and activity.
    Informational,
    /// Access and security.
    Low,
    /// A grant with a privileged permission was added or changed, or a second factor was taken away.
    Medium,
}

impl Severity {
    /// That of a change which gives or takes `privileges`.
    #[must_use]
    pub fn of(change: &Change<'_>, privileges: &[String]) -> Self {
        let is_privileged = || privileges.iter().any(|it| PRIVILEGED.contains(&it.as_str()));
        match change.class {
            _ if change.event == "second_factor_off" => Self::Medium,
            ChangeClass::Access if change.op != Op::Removed && is_privileged() => Self::Medium,
            ChangeClass::Access | ChangeClass::Security => Self::Low,
            ChangeClass::Identity | ChangeClass::Activity => Self::Informational,
        }
    }

    /// `severity_id`.
    #[must_use]
    pub const fn id(self) -> u32 {
        match self {
            Self::Informational => 1,
            Self::Low => 2,
            Self::Medium => 3,
        }
    }

    /// `severity`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
        }
    }
}
