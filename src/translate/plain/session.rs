use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;
use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Object, Text, Time, identifier, optional_identifier};
use crate::redaction::{Personal, Redaction};
use crate::translate::verbatim::Json;

/// A row of Clerk: GET /sessions (Clerk OpenAPI 2026-05-12, schema Session): that a user is, or
/// was, signed in somewhere.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Session<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    /// Whose it is.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    user_id: Option<Text<'a>>,
    /// The browser or device.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    client_id: Option<Text<'a>>,
    /// Such as `active`, `ended` or `revoked`, an open set.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// Who acts as the user, where somebody does, as it stands.
    #[serde(borrow)]
    actor: Option<Json<'a>>,
    /// The organization that was chosen last.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    last_active_organization_id: Option<Text<'a>>,
    /// When it was last used.
    last_active_at: Option<Time>,
    /// From where.
    #[serde(borrow)]
    latest_activity: Option<Object<Activity<'a>>>,
    /// When it ends.
    expire_at: Option<Time>,
    /// When it is given up, if it is not used.
    abandon_at: Option<Time>,
    /// What is left to be done before it is active.
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
    /// Device.
    #[serde(borrow)]
    device_type: Option<Text<'a>>,
    /// Whether it is a mobile one.
    is_mobile: Option<bool>,
    /// Browser.
    #[serde(borrow)]
    browser_name: Option<Text<'a>>,
    /// Its version.
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
