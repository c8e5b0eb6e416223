//! From Clerk's rows to a snapshot's lines: one file a type of row.

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

    /// What the row refers to by id.
    fn references(&self) -> References<'_> {
        References::default()
    }

    /// Whether the row is a grant that nobody holds any more.
    fn belongs_to_nobody(&self) -> bool {
        false
    }

    /// When whom the row is was last active, in milliseconds since 1970.
    fn last_active_at(&self) -> Option<i64> {
        None
    }

    /// The role that the row is, for the catalogue.
    fn role(&self) -> Option<Role> {
        None
    }

    /// Replaces the personal data in it that is to be replaced. A row that is given to
    /// [`translate`](Self::translate) with `raw` has none replaced in there.
    fn redact(&mut self, redaction: &Redaction);

    /// Adds the row's lines to `records`. `raw` is the whole row as Clerk gave it; it is looked at
    /// only with [`Translation::include_raw`].
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

/// What a row refers to, and a snapshot should therefore hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct References<'a> {
    /// Id of the user; of a membership, the member.
    pub user: Option<&'a str>,
    /// Id of the organization.
    pub organization: Option<&'a str>,
    /// Ids of permissions, one for each grant that the row becomes; of a role, what it permits.
    pub permissions: Vec<&'a str>,
    /// Id of the machine that it is.
    pub machine: Option<&'a str>,
    /// Ids of machines, one for each grant that the row becomes; of a machine, what it may call.
    pub machines: Vec<&'a str>,
}

/// What a translation depends on besides the row.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    /// Which metadata bags are copied (`METADATA`).
    pub metadata: MetadataBags,
    /// Whether Clerk's own object is added (`INCLUDE_RAW`).
    pub include_raw: bool,
    /// What is replaced in rows before they are translated (`REDACT`); never together with
    /// `include_raw`.
    pub redaction: Option<Redaction>,
    /// The instance's roles: entitlements are made of them, memberships name their keys.
    pub roles: RoleCatalogue,
}

/// The value of `raw` in the record of an object of this type: `null` if what must never be written out
/// cannot be taken out of Clerk's object.
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

/// What a record says of a time of Clerk's.
fn moment(time: Option<Time>) -> Option<Timestamp> {
    time.and_then(Time::timestamp)
}

/// `name` as Clerk gave it; one of nothing but white space is none.
fn said(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.trim().is_empty())
}
