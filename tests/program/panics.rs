//! Promise: a panic of the plain program is answered like any other error, `Internal` with status 1
//! and one JSON document. Neither the document nor the log holds the data it was working on.

use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use clerk_sync::clerk::bytes_in_flight::Room;
use clerk_sync::clerk::transport::{Answer, Transport, TransportError};
use clerk_sync::config::{LogLevel, Place};
use clerk_sync::{panics, program, telemetry};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use crate::support::world::World;

/// Personal data in the message of the panic.
const MARKER: &str = "ada@example.com";

/// A transport that panics.
#[derive(Debug)]
struct Defective;

#[async_trait]
impl Transport for Defective {
    async fn get(
        &self,
        _url: &Url,
        _headers: HeaderMap,
        _room: &mut Room,
    ) -> Result<Answer, TransportError> {
        panic!("a row of {MARKER} is odd");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_internal_with_status_1_and_one_document() {
    let mut world = World::of(3, 1, 2);
    world.transport = Arc::new(Defective);
    let ended = program::end(world.respond(json!({}), None)).await;
    assert_eq!(ended.status, 1);
    let document: Value = serde_json::from_str(&ended.document).expect("one JSON document");
    assert_eq!(document["errorType"], "Internal");
    let message = document["errorMessage"].as_str().expect("a message");
    assert!(message.contains("panicked") && message.contains("Report it"), "{message}");
    assert!(!ended.document.contains(MARKER), "{document:#}");
    assert_eq!(document.as_object().map(serde_json::Map::len), Some(2));
}

/// The log names the source line of the panic, and nothing else.
#[test]
fn the_log_of_a_panic_has_its_place_but_not_its_message() {
    let tests = std::env::current_exe().expect("this program");
    let output = Command::new(tests)
        .args([
            "--ignored",
            "--exact",
            "program::panics::panics_in_a_process_of_its_own",
            "--nocapture",
        ])
        .output()
        .expect("it runs");
    let logged = String::from_utf8_lossy(&output.stderr);
    assert!(logged.contains("the program panicked at tests/program/panics.rs:"), "{logged}");
    assert!(!logged.contains(MARKER), "{logged}");
}

#[test]
#[ignore = "run by the test above: the hook is that of the whole process"]
fn panics_in_a_process_of_its_own() {
    let _telemetry = telemetry::install(Place::Program, LogLevel::default()).expect("a log");
    panics::log_panics_without_message();
    panic!("a row of {MARKER} is odd");
}
