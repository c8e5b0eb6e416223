//! Worlds without compression for the tests of docs/threat-model.md, and edits of stored files.

use clerk_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::pieces::ends;
use crate::support::world::World;

pub(crate) fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("COMPRESSION", "none")
}

pub(crate) async fn error_name(world: &World, what: &str) -> &'static str {
    match ends(world, json!({})).await {
        Err(error) => error.name(),
        Ok(answer) => panic!("{what}: {answer:#}"),
    }
}

pub(crate) fn checkpoint(world: &World) -> Value {
    let objects = world.memory.objects();
    objects
        .get("checkpoint.json")
        .map_or(Value::Null, |it| serde_json::from_slice(it).expect("JSON"))
}

pub(crate) fn change_checkpoint(world: &World, change: impl FnOnce(&mut Value)) {
    change_object(world, "checkpoint.json", change);
}

pub(crate) fn change_object(world: &World, key: &str, change: impl FnOnce(&mut Value)) {
    let mut document: Value = serde_json::from_slice(&world.memory.objects()[key]).expect("JSON");
    change(&mut document);
    world.memory.plant(key, document.to_string());
}
