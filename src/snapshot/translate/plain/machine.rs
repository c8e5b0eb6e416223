use serde::{Deserialize, Serialize};

use super::{About, Plain};
use crate::clerk::wire::{Text, Time, identifier};
use crate::resource::Dataset;
use crate::snapshot::record::{ObjectType, Status};

/// A row of Clerk: GET /machines (Clerk OpenAPI 2026-05-12, schema Machine): a program that calls
/// others with tokens of its own. Its secret key is never asked for.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Machine<'a> {
    #[serde(borrow, deserialize_with = "identifier", skip_serializing)]
    id: Text<'a>,
    #[serde(borrow, skip_serializing)]
    name: Option<Text<'a>>,
    /// Seconds that its tokens are good for.
    default_token_ttl: Option<i64>,
    /// The machines it may call.
    #[serde(borrow)]
    scoped_machines: Option<Vec<ScopedMachine<'a>>>,
    #[serde(skip_serializing)]
    created_at: Option<Time>,
    #[serde(skip_serializing)]
    updated_at: Option<Time>,
}

/// Schema Machine.
#[derive(Debug, Deserialize, Serialize)]
struct ScopedMachine<'a> {
    /// The machine.
    #[serde(borrow, deserialize_with = "identifier")]
    id: Text<'a>,
    /// Its name.
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

impl Plain for Machine<'_> {
    const TYPE: ObjectType = ObjectType::Machine;
    const DATASET: Dataset = Dataset::Machines;

    fn about(&self) -> About<'_> {
        About {
            id: &self.id,
            names: [self.name.as_deref(), None],
            status: Status::Enabled,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}
