//! Translates rows that become one resource each and whose profile is the row itself, with one file per list.
//!
//! Each such row is a struct that is both read from Clerk's JSON and written as the profile:
//!
//! - Its fields are in the order of the profile's keys.
//! - Fields that a record has outside of the profile are not serialized.
//! - Secrets are not deserialized.
//!
//! `docs/adding-a-list.md` shows how to add another.

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

use super::{References, Row, Translation, non_blank, raw_of, timestamp};
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

/// A row that serializes as its own profile.
pub(crate) trait Plain: Serialize {
    /// Type of the resource.
    const TYPE: ObjectType;
    /// Dataset that it is written to.
    const DATASET: Dataset;

    /// The parts of its record outside of the profile.
    fn about(&self) -> About<'_>;

    /// Replaces its personal data according to `REDACT`. By default there is none.
    fn redact(&mut self, _redaction: &Redaction) {}

    /// Its profile, if that depends on settings or other rows. By default the row itself.
    fn profile<'s>(&'s self, _translation: &'s Translation) -> impl Serialize + 's {
        self
    }

    /// The ids that its lines in other datasets refer to.
    fn references(&self) -> References<'_> {
        References::default()
    }

    /// Appends its lines in other datasets, if any.
    fn add_further(&self, _records: &mut Records) {}
}

/// The parts that every resource record has.
pub(crate) struct About<'a> {
    /// Clerk's id.
    pub(crate) id: &'a str,
    /// Names to display, in order of preference. Without any, the id is displayed.
    pub(crate) names: [Option<&'a str>; 2],
    /// Whether it is enabled.
    pub(crate) status: Status,
    /// When it was created.
    pub(crate) created_at: Option<Time>,
    /// When it last changed.
    pub(crate) updated_at: Option<Time>,
}

impl<'a> About<'a> {
    /// For a row without a name that is always enabled.
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
            display_name: DisplayName::One(names.into_iter().find_map(non_blank).unwrap_or(id)),
            status,
            created_at: timestamp(created_at),
            updated_at: timestamp(updated_at),
            profile: self.profile(translation),
            raw: raw_of(this.object_type, raw, translation, records),
        };
        records.push(T::DATASET, &record);
        self.add_further(records);
    }
}
