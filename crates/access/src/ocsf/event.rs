//! An event, as it is written.

use clerk_snapshot::compare::change::{Certainty, Change, Field, Op, Reference, RoleName};
use clerk_snapshot::compare::class::Class as ChangeClass;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::resource::Dataset;
use serde::Serialize;
use serde_json::value::RawValue;

use super::VERSION;
use super::class::{CATEGORY_NAME, CATEGORY_UID};
use super::mapping::{About, Severity};
use super::objects::Objects;
use super::record::Record;
use crate::output::{Cell, Row};

/// An event. Field order is the order in which keys are written. The same change always gives the same event.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    activity_id: u32,
    activity_name: &'static str,
    category_uid: u32,
    category_name: &'static str,
    class_uid: u32,
    class_name: &'static str,
    type_uid: u32,
    type_name: String,
    /// When the window ends within which it happened: nobody knows more exactly. Milliseconds since 1970.
    time: i64,
    start_time: i64,
    end_time: i64,
    severity_id: u32,
    severity: &'static str,
    status_id: u32,
    status: &'static str,
    message: String,
    metadata: Metadata<'a>,
    #[serde(flatten)]
    objects: Objects<'a>,
    unmapped: Unmapped<'a>,
}

#[derive(Debug, Serialize)]
struct Metadata<'a> {
    version: &'static str,
    uid: String,
    event_code: &'a str,
    log_name: &'static str,
    tenant_uid: &'a str,
    product: Product,
}

#[derive(Debug, Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

/// What has no place in OCSF, by its name in the change record. Nothing of the record is lost.
#[derive(Debug, Serialize)]
struct Unmapped<'a> {
    op: Op,
    class: ChangeClass,
    certainty: Certainty,
    dataset: Dataset,
    id: &'a str,
    subject: &'a Reference<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a Reference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a RoleName<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pair: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a Reference<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [Field<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a RawValue>,
    from: &'a str,
    to: &'a str,
}

/// `status_id`: a snapshot shows what has happened, never what was refused.
const SUCCESS: u32 = 1;

/// `metadata.product.name` and its vendor.
const PRODUCT: &str = "clerk-sync";

impl<'a> Event<'a> {
    /// The event of a change in the instance `instance_id`. `record` is that of the change.
    #[must_use]
    pub fn of(change: &'a Change<'a>, record: &'a Record<'a>, instance_id: &'a str) -> Self {
        let about = About::of(change);
        let (class, activity) = (about.class(), about.activity(change));
        let objects = Objects::of(change, record, about);
        let severity = Severity::of(change, &objects.privileges);
        let (start, end) = (change.window.after.unix_millis(), change.window.before.unix_millis());
        Self {
            activity_id: activity.id,
            activity_name: activity.name,
            category_uid: CATEGORY_UID,
            category_name: CATEGORY_NAME,
            class_uid: class.uid,
            class_name: class.name,
            type_uid: class.uid * 100 + activity.id,
            type_name: format!("{}: {}", class.name, activity.name),
            time: end,
            start_time: start,
            end_time: end,
            severity_id: severity.id(),
            severity: severity.name(),
            status_id: SUCCESS,
            status: "Success",
            message: message(change),
            metadata: Metadata {
                version: VERSION,
                uid: uid(change),
                event_code: &change.event,
                log_name: "changes",
                tenant_uid: instance_id,
                product: Product {
                    name: PRODUCT,
                    vendor_name: PRODUCT,
                    version: env!("CARGO_PKG_VERSION"),
                },
            },
            objects,
            unmapped: Unmapped {
                op: change.op,
                class: change.class,
                certainty: change.certainty,
                dataset: change.dataset,
                id: &change.id,
                subject: &change.subject,
                target: change.target.as_ref(),
                role: change.role.as_ref(),
                pair: change.pair.as_deref(),
                cause: change.cause.as_ref(),
                fields: &change.fields,
                before: change.before,
                after: change.after,
                from: &change.from,
                to: &change.to,
            },
        }
    }
}

/// The same for the same record of the same comparison, whoever makes it, and another for every other.
fn uid(change: &Change<'_>) -> String {
    let parts = [&*change.from, &*change.to, change.dataset.name(), &*change.id];
    // A separator that no id of a snapshot and no dataset has, so that no two lists of parts are the same text.
    Sha256Hex::of(parts.join("\n").as_bytes()).to_string()
}

/// What happened to whom, by ids: names are in the objects.
fn message(change: &Change<'_>) -> String {
    let named = |reference: &Reference<'_>| format!("{} {}", reference.object_type, reference.id);
    let mut message = format!("{}: {}", change.event, named(&change.subject));
    if let Some(reference) = &change.target {
        message.push_str(&format!(", {}", named(reference)));
    }
    if let Some(role) = &change.role {
        message.push_str(&format!(", role {}", role.key));
    }
    if change.certainty == Certainty::Unconfirmed {
        message.push_str(" (unconfirmed)");
    }
    message
}

impl Row for Event<'_> {
    /// Events are written as JSON alone.
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        Vec::new()
    }
}
