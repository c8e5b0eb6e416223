//! Keeps all pages of an answer with the snapshots of the first, also if others are published meanwhile.

use serde_json::{Map, Value};

use crate::output::Page;

/// Which snapshots the pages of one answer have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pins {
    /// The one that the answer is about.
    Snapshot,
    /// The older and the newer one.
    Both,
    /// The newest that is listed.
    Newest,
}

impl Pins {
    /// The ids of these snapshots, from the first page of an answer. If there is no further page, they are not needed
    /// and may be missing.
    #[must_use]
    pub fn of(self, page: &Page) -> Vec<String> {
        let envelope = page.envelope();
        let ids = match self {
            Self::Snapshot => vec![id(envelope, "snapshot")],
            Self::Both => vec![id(envelope, "from"), id(envelope, "snapshot")],
            Self::Newest => {
                let first = page.rows().first().and_then(Value::as_object);
                vec![first.and_then(own_id)]
            }
        };
        ids.into_iter().flatten().collect()
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Snapshot | Self::Newest => 1,
            Self::Both => 2,
        }
    }
}

fn id(envelope: &Map<String, Value>, name: &str) -> Option<String> {
    envelope.get(name).and_then(Value::as_object).and_then(own_id)
}

fn own_id(object: &Map<String, Value>) -> Option<String> {
    Some(object.get("snapshot_id")?.as_str()?.to_owned())
}
