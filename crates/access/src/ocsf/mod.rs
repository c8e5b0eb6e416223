//! Change records as events of the Open Cybersecurity Schema Framework (OCSF), for a SIEM (docs/ocsf.md).
//!
//! - [`class`] names the classes and activities that events have; [`mapping`] chooses them for a change.
//! - [`record`] reads what an event repeats of the changed record; [`objects`] are the objects that events are about.
//! - [`event`] is the event, as it is written.

pub mod class;
pub mod event;
pub mod mapping;
pub mod objects;
pub mod record;

pub use event::Event;

/// The version of OCSF that events have.
pub const VERSION: &str = "1.8.0";
