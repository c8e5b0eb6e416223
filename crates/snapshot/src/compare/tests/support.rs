//! Compares snapshots that tests have built.

use std::sync::Arc;

use serde_json::Value;

use crate::compare::{Classes, CompareError, Comparison, Limits, Summary};
use crate::reader::Snapshot;
use crate::source::Source;
use crate::testing::{MemorySource, SnapshotBuilder, Stored};

/// What a comparison gave.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) summary: Summary,
    pub(super) lines: Vec<u8>,
}

impl Compared {
    pub(super) fn records(&self) -> Vec<Value> {
        let lines = self.lines.split_inclusive(|&byte| byte == b'\n');
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// The records, as `dataset op event class certainty id`, in their order.
    pub(super) fn shown(&self) -> Vec<String> {
        let show = |record: &Value| {
            let text = |name: &str| record[name].as_str().unwrap().to_owned();
            ["event", "class", "certainty", "id"].map(text).join(" ")
        };
        self.records().iter().map(show).collect()
    }

    /// The summary of a dataset, as JSON.
    pub(super) fn dataset(&self, name: &str) -> Value {
        serde_json::to_value(&self.summary).unwrap()["datasets"][name].clone()
    }
}

/// Stores two snapshots in one source.
pub(super) fn stored(
    from: &SnapshotBuilder,
    to: &SnapshotBuilder,
) -> (Arc<MemorySource>, [Stored; 2]) {
    let memory = Arc::new(MemorySource::default());
    let stored = [from.publish(&memory), to.publish(&memory)];
    (memory, stored)
}

pub(super) async fn open(memory: &Arc<MemorySource>, stored: &Stored) -> Snapshot {
    let source: Arc<dyn Source> = memory.clone();
    Snapshot::open(source, stored.id(), None).await.unwrap()
}

/// Compares everything.
pub(super) async fn compared(from: &SnapshotBuilder, to: &SnapshotBuilder) -> Compared {
    compared_as(from, to, |comparison| comparison.classes(Classes::ALL)).await.unwrap()
}

/// Compares as `ask` asks.
pub(super) async fn compared_as(
    from: &SnapshotBuilder,
    to: &SnapshotBuilder,
    ask: impl Fn(Comparison<'_>) -> Comparison<'_>,
) -> Result<Compared, CompareError> {
    let (memory, [from, to]) = stored(from, to);
    let (from, to) = (open(&memory, &from).await, open(&memory, &to).await);
    let mut lines = Vec::new();
    let summary = ask(Comparison::new(&from, &to)?).run(&mut lines).await?;
    Ok(Compared { summary, lines })
}

/// Limits so small that everything is spilled, evicted and read again.
pub(super) fn tiny() -> Limits {
    Limits { entries: 3, held_bytes: 1000, read_ahead_bytes: 1, temporary_folder: None }
}
