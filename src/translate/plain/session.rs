use clerk_snapshot::record::ObjectType;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};
use crate::redaction::Redaction;
use crate::translate::verbatim::Json;

/// A row of GET /sessions (Clerk OpenAPI 2026-05-12, schema Session): a sign-in of a user on one device, current or
/// past.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Session<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// Id of the user.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    user_id: Option<Text<'a>>,
    /// Clerk's id of the browser or device.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    client_id: Option<Text<'a>>,
    /// Such as `active`, `ended` or `revoked`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// Who impersonates the user, if anyone, copied verbatim.
    #[serde(borrow)]
    actor: Option<Json<'a>>,
    /// Id of the organization chosen last.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    last_active_organization_id: Option<Text<'a>>,
    /// When it was last used.
    last_active_at: Option<Time>,
    /// Device and place of the latest activity.
    #[serde(borrow)]
    latest_activity: Option<Object<Activity<'a>>>,
    /// When it expires.
    expire_at: Option<Time>,
    /// When it ends if it is not used.
    abandon_at: Option<Time>,
    /// What the user still has to do before it becomes active.
    #[serde(borrow)]
    tasks: Option<Vec<Object<Task<'a>>>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

/// Schema SessionActivityResponse.
#[derive(Debug, Deserialize, Serialize)]
struct Activity<'a> {
    /// Type of the device.
    #[serde(borrow)]
    device_type: Option<Text<'a>>,
    /// Whether the device is a mobile one.
    is_mobile: Option<bool>,
    /// Name of the browser.
    #[serde(borrow)]
    browser_name: Option<Text<'a>>,
    /// Version of the browser.
    #[serde(borrow)]
    browser_version: Option<Text<'a>>,
    /// IP address.
    #[serde(borrow)]
    ip_address: Option<Text<'a>>,
    /// City.
    #[serde(borrow)]
    city: Option<Text<'a>>,
    /// Country.
    #[serde(borrow)]
    country: Option<Text<'a>>,
}

/// Schema SessionTask.
#[derive(Debug, Deserialize, Serialize)]
struct Task<'a> {
    /// Such as `choose-organization`.
    #[serde(borrow)]
    key: Option<Text<'a>>,
}

impl Plain for Session<'_> {
    const TYPE: ObjectType = ObjectType::Session;
    const DATASET: Dataset = Dataset::Sessions;

    fn about(&self) -> About<'_> {
        About::of(&self.id, self.created_at, self.updated_at)
    }

    fn redact(&mut self, redaction: &Redaction) {
        if let Some(activity) = &mut self.latest_activity {
            redaction.replace(Personal::Ip, &mut activity.ip_address);
        }
    }
}
