//! Sends events to the handler and checks its answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use clerk_sandbox::DEFAULT_KEY;
use serde_json::{Value, json};

use crate::support::scripted_secret::ScriptedSecret;
use crate::support::world::World;

/// The fields of every answer to `sync`, in the documented order.
pub(crate) const FIELDS: [&str; 11] = [
    "status",
    "snapshot_id",
    "manifest",
    "records",
    "verified",
    "requests",
    "retries",
    "rate_limited",
    "invocations",
    "elapsed_ms",
    "message",
];

/// The answer has exactly the documented fields and `further`, and a message of whole sentences.
pub(crate) fn assert_answer(answer: &Value, status: &str, further: &[&str]) {
    let fields: Vec<&str> = keys(answer);
    let expected: Vec<&str> = FIELDS.iter().chain(further).copied().collect();
    assert_eq!(answer["status"], status, "{answer:#}");
    assert_eq!(fields, expected, "{answer:#}");
    assert!(message(answer).ends_with('.'), "{answer:#}");
}

pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

pub(crate) fn message(answer: &Value) -> &str {
    answer["message"].as_str().expect("a message")
}

/// An instance with several pages of users, so that a run without time is cut in the middle of
/// them.
pub(crate) fn large() -> World {
    World::of(2100, 10, 60)
}

/// Cuts a run after its first progress, and returns the answer.
pub(crate) async fn cut(world: &World) -> Value {
    let answer = world.handle(json!({"time_budget_seconds": 0})).await.expect("an answer");
    assert_eq!(answer["status"], "partial", "{answer:#}");
    answer
}

pub(crate) async fn ask(world: &World, event: Value) -> Value {
    world.handle(event).await.expect("an answer")
}

pub(crate) fn objects(world: &World) -> BTreeMap<String, Bytes> {
    world.memory.objects()
}

/// A world whose secret counts how often it is read.
pub(crate) fn watched(mut world: World) -> (World, Arc<ScriptedSecret>) {
    let secret = Arc::new(ScriptedSecret::new([DEFAULT_KEY]));
    world.secret = Arc::clone(&secret) as _;
    (world, secret)
}

/// The files of an abandoned run are removed once another is published.
pub(crate) fn assert_nothing_left_of(world: &World, abandoned: &Value) {
    let id = abandoned["snapshot_id"].as_str().expect("an id");
    let left: Vec<String> = objects(world).into_keys().filter(|key| key.contains(id)).collect();
    assert_eq!(left, [""; 0]);
}
