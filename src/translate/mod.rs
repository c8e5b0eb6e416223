//! Translates Clerk's rows into a snapshot's lines, with one file per type of row.
//!
//! - [`Row`] is what every type of row implements; `plain` implements it for rows that are their own profile.
//! - `verbatim` copies JSON unchanged, and `withheld` removes secrets from Clerk's own object.

mod metadata_bags;
mod organization;
mod organization_membership;
mod organization_permission;
mod organization_role;
pub(crate) mod plain;
mod role_catalogue;
mod user;
mod verbatim;
mod withheld;

use std::collections::HashSet;

use serde_json::value::RawValue;

pub use metadata_bags::MetadataBags;
pub use role_catalogue::{Role, RoleCatalogue};

use self::withheld::without_withheld;
use crate::clerk::wire::Time;
use crate::redaction::Redaction;
use clerk_snapshot::record::ObjectType;
use clerk_snapshot::records::Records;
use clerk_snapshot::timestamp::Timestamp;

/// A row of one of Clerk's lists.
pub trait Row {
    /// Clerk's id of the row.
    fn id(&self) -> &str;

    /// When the row was created, in milliseconds since 1970.
    fn created_at(&self) -> Option<i64>;

    /// The ids that the row refers to.
    fn references(&self) -> References<'_> {
        References::default()
    }

    /// Whether the row is a grant without a holder.
    fn belongs_to_nobody(&self) -> bool {
        false
    }

    /// When the user was last active, in milliseconds since 1970; `None` if the row is not a user.
    fn last_active_at(&self) -> Option<i64> {
        None
    }

    /// The role, if the row is one, for the catalogue.
    fn role(&self) -> Option<Role> {
        None
    }

    /// Replaces personal data according to `REDACT`. It does not change the `raw` passed to
    /// [`translate`](Self::translate).
    fn redact(&mut self, redaction: &Redaction);

    /// Appends the row's lines to `records`. `raw` is the whole row as Clerk sent it, used only with
    /// [`Translation::include_raw`].
    fn translate(&self, raw: Option<&RawValue>, translation: &Translation, records: &mut Records);
}

impl Row for Box<dyn Row + '_> {
    fn id(&self) -> &str {
        (**self).id()
    }

    fn created_at(&self) -> Option<i64> {
        (**self).created_at()
    }

    fn references(&self) -> References<'_> {
        (**self).references()
    }

    fn belongs_to_nobody(&self) -> bool {
        (**self).belongs_to_nobody()
    }

    fn last_active_at(&self) -> Option<i64> {
        (**self).last_active_at()
    }

    fn role(&self) -> Option<Role> {
        (**self).role()
    }

    fn redact(&mut self, redaction: &Redaction) {
        (**self).redact(redaction);
    }

    fn translate(&self, raw: Option<&RawValue>, translation: &Translation, records: &mut Records) {
        (**self).translate(raw, translation, records);
    }
}

/// The ids that a row refers to, which the snapshot should therefore contain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct References<'a> {
    /// Id of the user. For a membership, the member.
    pub user: Option<&'a str>,
    /// Id of the organization.
    pub organization: Option<&'a str>,
    /// Ids of permissions, one per grant that the row becomes. For a role, its permissions.
    pub permissions: Vec<&'a str>,
    /// Id of the machine that the row describes.
    pub machine: Option<&'a str>,
    /// Ids of machines, one per grant that the row becomes. For a machine, those that it may call.
    pub machines: Vec<&'a str>,
}

/// What a translation needs in addition to the row.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    /// Which metadata bags are copied (`METADATA`).
    pub metadata: MetadataBags,
    /// Whether Clerk's own object is added (`INCLUDE_RAW`).
    pub include_raw: bool,
    /// What to replace in a row before it is translated (`REDACT`); never combined with `include_raw`.
    pub redaction: Option<Redaction>,
    /// The instance's roles. Entitlements are made from them, and memberships refer to their keys.
    pub roles: RoleCatalogue,
}

/// The value of `raw` in the record of an object of this type; `null` if the secrets cannot be removed from Clerk's
/// object.
fn raw_of(
    object_type: ObjectType,
    raw: Option<&RawValue>,
    translation: &Translation,
    records: &mut Records,
) -> Option<Option<Box<RawValue>>> {
    translation.include_raw.then(|| {
        let filtered = without_withheld(raw?, object_type, translation.metadata).ok();
        records.raw_is_unreadable |= filtered.is_none();
        filtered
    })
}

/// Converts a time of Clerk's; `None` if there is none.
fn timestamp(time: Option<Time>) -> Option<Timestamp> {
    time.and_then(Time::timestamp)
}

/// The ids without those that are repeated: each becomes one grant, whose id must be unique.
fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(*id)).collect()
}

/// The name as Clerk sent it, unless it is blank.
fn non_blank(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.trim().is_empty())
}
