//! Rows that become one resource each, and whose profile is the row itself: one file a list.
//!
//! Each is a struct that is read from Clerk's JSON and written as the profile: its fields stand in
//! the order of the profile's keys, those that stand elsewhere in a record are not written, and what
//! must never be written out is not read. `docs/adding-a-list.md` shows how another is added.

mod allowlist_identifier;
mod api_key;
mod billing_plan;
mod billing_subscription_item;
mod blocklist_identifier;
mod domain;
mod enterprise_connection;
mod invitation;
mod jwt_template;
mod machine;
mod oauth_application;
mod organization_domain;
mod organization_invitation;
mod redirect_url;
mod role_set;
mod session;
mod waitlist_entry;

use clerk_snapshot::record::{DisplayName, ObjectReference, ObjectType, ResourceRecord, Status};
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::Dataset;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{References, Row, Translation, moment, raw_of, said};
use crate::clerk::wire::Time;
use crate::redaction::Redaction;

pub(crate) use allowlist_identifier::AllowlistIdentifier;
pub(crate) use api_key::ApiKey;
pub(crate) use billing_plan::BillingPlan;
pub(crate) use billing_subscription_item::BillingSubscriptionItem;
pub(crate) use blocklist_identifier::BlocklistIdentifier;
pub(crate) use domain::Domain;
pub(crate) use enterprise_connection::EnterpriseConnection;
pub(crate) use invitation::Invitation;
pub(crate) use jwt_template::JwtTemplate;
pub(crate) use machine::{Machine, Scopes};
pub(crate) use oauth_application::OauthApplication;
pub(crate) use organization_domain::OrganizationDomain;
pub(crate) use organization_invitation::OrganizationInvitation;
pub(crate) use redirect_url::RedirectUrl;
pub(crate) use role_set::RoleSet;
pub(crate) use session::Session;
pub(crate) use waitlist_entry::WaitlistEntry;

/// A row that is its own profile.
pub(crate) trait Plain: Serialize {
    /// What it is.
    const TYPE: ObjectType;
    /// Where it is written.
    const DATASET: Dataset;

    /// What stands in its record before the profile.
    fn about(&self) -> About<'_>;

    /// Replaces the personal data in it that is to be replaced: nothing, where it holds none.
    fn redact(&mut self, _redaction: &Redaction) {}

    /// Its profile, where that depends on settings or other rows.
    fn profile<'s>(&'s self, _translation: &'s Translation) -> impl Serialize + 's {
        self
    }

    /// What its further lines refer to.
    fn references(&self) -> References<'_> {
        References::default()
    }

    /// Adds its lines of other datasets, where it has any.
    fn add_further(&self, _records: &mut Records) {}
}

/// What every resource record says.
pub(crate) struct About<'a> {
    /// Clerk's id.
    pub(crate) id: &'a str,
    /// What to call it, in order of preference; its id if there is nothing.
    pub(crate) names: [Option<&'a str>; 2],
    /// Whether it can be used.
    pub(crate) status: Status,
    /// When it was created.
    pub(crate) created_at: Option<Time>,
    /// When it last changed.
    pub(crate) updated_at: Option<Time>,
}

impl<'a> About<'a> {
    /// Of what has no name but its id, and what nothing says cannot be used.
    const fn of(id: &'a str, created_at: Option<Time>, updated_at: Option<Time>) -> Self {
        Self { id, names: [None, None], status: Status::Enabled, created_at, updated_at }
    }
}

impl<T: Plain> Row for T {
    fn id(&self) -> &str {
        self.about().id
    }

    fn created_at(&self) -> Option<i64> {
        self.about().created_at.map(Time::milliseconds)
    }

    fn references(&self) -> References<'_> {
        Plain::references(self)
    }

    fn redact(&mut self, redaction: &Redaction) {
        Plain::redact(self, redaction);
    }

    fn translate(&self, raw: Option<&RawValue>, translation: &Translation, records: &mut Records) {
        let About { id, names, status, created_at, updated_at } = self.about();
        let this = ObjectReference { object_type: T::TYPE, id };
        let record = ResourceRecord {
            object_type: T::TYPE,
            id,
            display_name: DisplayName::One(names.into_iter().find_map(said).unwrap_or(id)),
            status,
            created_at: moment(created_at),
            updated_at: moment(updated_at),
            profile: self.profile(translation),
            raw: raw_of(this.object_type, raw, translation, records),
        };
        records.push(T::DATASET, &record);
        self.add_further(records);
    }
}
