//! Promise 2: no network fault looks like the end of a list or an empty dataset. A fault is
//! survived with the right snapshot, or answered with a documented error; then nothing is
//! published, the rows already read are kept, and attempts are few.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use clerk_sandbox::{Effect, FaultRule, Sandbox};
use clerk_sync::error::Error;
use serde_json::{Value, json};

use crate::support::oracle::PATHS;
use crate::support::pieces::{complete, ends};
use crate::support::plain::{FIRST, plain};
use crate::support::source::Source;
use crate::support::world::World;

/// One request takes fewer attempts than this.
const FEW: u64 = 10;

/// Every path that a run requests.
fn every_path() -> impl Iterator<Item = &'static str> {
    ["/v1/instance", "/v1/users/count"].into_iter().chain(PATHS)
}

/// Two pages of users and of memberships.
fn instance() -> Sandbox {
    let sandbox = plain(520, 3, 540);
    sandbox.add_permission("org:billing:read", "Read bills", FIRST);
    sandbox.add_permission("org:billing:write", "Pay bills", FIRST + 1);
    sandbox
}

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("CLERK_REQUESTS_PER_10S", "1000").with("COMPRESSION", "none")
}

/// The result of a run without faults.
struct Undisturbed {
    digests: BTreeMap<String, Value>,
    requests: u64,
}

impl Undisturbed {
    async fn run_of(sandbox: &Sandbox) -> Self {
        sandbox.clear_requests();
        let snapshot = complete(&world(sandbox), "undisturbed").await;
        assert_eq!(snapshot.manifest["verified"], true);
        Self { digests: snapshot.digests(), requests: sandbox.total_requests() }
    }
}

/// A fault of a request, and its description.
type Trouble = (&'static str, fn(FaultRule) -> FaultRule);

/// No answer, or one that reports trouble: [`Error::ClerkUnavailable`].
const OUTAGES: &[Trouble] = &[
    ("the connection is reset", FaultRule::reset),
    ("500", |rule| rule.status(500, "internal_clerk_error")),
    ("502 in HTML", |rule| rule.effect(Effect::Html(502))),
    ("503", |rule| rule.status(503, "service_unavailable")),
    ("504", |rule| rule.status(504, "gateway_timeout")),
];

/// An answer that looks like a valid one, or begins like one: [`Error::ClerkProtocol`].
const NONSENSE: &[Trouble] = &[
    ("the body is cut after a byte", |rule| rule.cut_body(1)),
    ("the body is cut in the middle", |rule| rule.cut_body(20)),
    ("200 in HTML", |rule| rule.effect(Effect::Html(200))),
    ("half of the JSON", |rule| rule.effect(Effect::MalformedJson)),
    ("nothing", |rule| rule.effect(Effect::Body(String::new()))),
    ("null", |rule| rule.effect(Effect::Body("null".to_owned()))),
    ("a number", |rule| rule.effect(Effect::Body("5".to_owned()))),
    ("an empty object", |rule| rule.effect(Effect::Body("{}".to_owned()))),
    ("an error's body", |rule| rule.effect(Effect::Body(r#"{"errors":[]}"#.to_owned()))),
];

#[tokio::test(start_paused = true)]
async fn one_fault_at_any_request_is_survived() {
    let sandbox = instance();
    let undisturbed = Undisturbed::run_of(&sandbox).await;
    for (name, trouble) in OUTAGES.iter().chain(NONSENSE) {
        for request in 1..=undisturbed.requests {
            assert_survived(&sandbox, &undisturbed, name, trouble(FaultRule::on("*")), request, 1)
                .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_faults_in_a_row_are_survived() {
    let sandbox = instance();
    let undisturbed = Undisturbed::run_of(&sandbox).await;
    for (name, trouble) in OUTAGES {
        for request in (1..=undisturbed.requests).step_by(2) {
            assert_survived(&sandbox, &undisturbed, name, trouble(FaultRule::on("*")), request, 3)
                .await;
        }
    }
}

async fn assert_survived(
    sandbox: &Sandbox,
    undisturbed: &Undisturbed,
    name: &str,
    rule: FaultRule,
    request: u64,
    faults: u64,
) {
    fastrand::seed(7);
    let what = format!("{name}, {faults} times from request {request} on");
    sandbox.clear_requests();
    sandbox.clear_faults();
    let struck_before = sandbox.faults_struck();
    sandbox.fault(rule.calls(request, request + faults - 1));
    let world = world(sandbox);
    let answer = ends(&world, json!({})).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
    let snapshot = world.published().expect("published");
    assert_eq!(snapshot.digests(), undisturbed.digests, "{what}");
    assert_eq!(snapshot.manifest["verified"], true, "{what}");
    assert_eq!(sandbox.faults_struck() - struck_before, faults, "{what}");
    assert_eq!(answer["retries"], faults, "{what}");
    let requests = sandbox.total_requests();
    assert!(requests <= undisturbed.requests + 2 * faults, "{what}: {requests} requests");
}

// Faults without end

/// The instance, and a store that holds an earlier snapshot of it.
struct Scene {
    sandbox: Sandbox,
    undisturbed: Undisturbed,
    before: BTreeMap<String, Bytes>,
}

impl Scene {
    async fn new() -> Self {
        let sandbox = instance();
        let undisturbed = Undisturbed::run_of(&sandbox).await;
        let world = world(&sandbox);
        complete(&world, "the snapshot before").await;
        tokio::time::advance(Duration::from_secs(60)).await;
        Self { sandbox, undisturbed, before: world.memory.objects() }
    }

    /// A world without faults or requests so far.
    fn world(&self) -> World {
        self.sandbox.clear_faults();
        self.sandbox.clear_requests();
        let world = world(&self.sandbox);
        for (key, bytes) in &self.before {
            world.memory.plant(key, bytes.clone());
        }
        world
    }
}

fn latest(world: &World) -> Bytes {
    world.memory.objects()["latest.json"].clone()
}

/// A sync that must fail, and its error; nothing is published, and no request is repeated often.
async fn fails(world: &World, what: &str) -> Error {
    fastrand::seed(7);
    let before = latest(world);
    let error = match ends(world, json!({})).await {
        Err(error) => error,
        Ok(answer) => panic!("{what}: {answer:#}"),
    };
    assert_eq!(latest(world), before, "{what}: something was published");
    error
}

/// Without the fault the run continues, and ends as if nothing had happened.
async fn assert_goes_on(world: &World, undisturbed: &Undisturbed, what: &str) {
    world.sandbox.clear_faults();
    world.sandbox.clear_requests();
    let snapshot = complete(world, what).await;
    assert_eq!(snapshot.digests(), undisturbed.digests, "{what}");
    assert_eq!(snapshot.manifest["verified"], true, "{what}");
}

async fn assert_fails_and_goes_on(troubles: &[Trouble], expected: &str) {
    let scene = Scene::new().await;
    let Scene { sandbox, undisturbed, .. } = &scene;
    for (name, trouble) in troubles {
        for path in every_path() {
            let what = format!("{path}: {name}");
            let world = scene.world();
            sandbox.fault(trouble(FaultRule::on(path)));
            let error = fails(&world, &what).await;
            assert_eq!(error.name(), expected, "{what}: {error:?}");
            let named = path.trim_start_matches("/v1");
            assert!(error.message().contains(named), "{what}: {}", error.message());
            let attempts = sandbox.request_count(path);
            assert!((2..FEW).contains(&attempts), "{what}: {attempts} attempts");
            assert_goes_on(&world, undisturbed, &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_lasts_is_clerk_unavailable_and_the_run_continues_later() {
    assert_fails_and_goes_on(OUTAGES, "ClerkUnavailable").await;
}

#[tokio::test(start_paused = true)]
async fn nonsense_that_lasts_is_clerk_protocol_and_the_run_continues_later() {
    assert_fails_and_goes_on(NONSENSE, "ClerkProtocol").await;
}

/// A failure undoes only the work on its own list: what other lists have stored is not requested
/// again.
#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_failure_is_not_read_again() {
    let scene = Scene::new().await;
    let Scene { sandbox, undisturbed, .. } = &scene;

    let world = scene.world();
    sandbox.fault(FaultRule::on("/v1/organization_memberships").status(503, "unavailable"));
    fails(&world, "memberships fail").await;
    assert!(world.has_checkpoint());
    assert_goes_on(&world, undisturbed, "memberships fail").await;
    assert_eq!(sandbox.request_count("/v1/users"), 0);
    assert_eq!(sandbox.request_count("/v1/organizations"), 0);

    let world = scene.world();
    sandbox.fault(FaultRule::on("/v1/users").calls(2, u64::MAX).reset());
    fails(&world, "the second page of users fails").await;
    assert!(world.has_checkpoint());
    assert_goes_on(&world, undisturbed, "the second page of users fails").await;
    let users = sandbox.requests().into_iter().find(|request| request.path == "/v1/users");
    let cursor = users.unwrap().parameter("starting_after").map(str::to_owned);
    assert_eq!(cursor.as_deref(), Some("users_000499"));
}

/// If the first page of a list fails, a run that read nothing leaves no trace.
#[tokio::test(start_paused = true)]
async fn a_failure_before_anything_is_read_publishes_nothing() {
    let sandbox = instance();
    let world = world(&sandbox);
    sandbox.fault(FaultRule::on("*").status(500, "internal_clerk_error"));
    let error = ends(&world, json!({})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkUnavailable");
    assert!(world.published().is_none());
}

// Rows with wrong fields

/// A field that every row requires, and a wrong value for it, or none for a missing field. All
/// other fields are covered by `translate::odd_values`.
fn spoiled_fields() -> Vec<(&'static str, &'static str, Option<Value>)> {
    let (users, organizations) = ("/v1/users", "/v1/organizations");
    let (roles, permissions) = ("/v1/organization_roles", "/v1/organization_permissions");
    let memberships = "/v1/organization_memberships";
    vec![
        (users, "/id", None),
        (users, "/id", Some(json!(5))),
        (users, "/id", Some(json!(""))),
        (users, "/id", Some(Value::Null)),
        (users, "/created_at", Some(json!("yesterday"))),
        (users, "/created_at", None),
        (users, "/created_at", Some(Value::Null)),
        (organizations, "/id", None),
        (organizations, "/created_at", Some(json!(true))),
        (roles, "/id", None),
        (roles, "/key", None),
        (roles, "/permissions", Some(json!({}))),
        (permissions, "/id", None),
        (permissions, "/key", Some(json!(7))),
        (memberships, "/id", None),
        (memberships, "/role", None),
        (memberships, "/organization", None),
        (memberships, "/organization/id", Some(json!(1))),
    ]
}

fn spoiled(path: &str, pointer: &str, value: Option<Value>) -> FaultRule {
    FaultRule::on(path).effect(Effect::EditRow { row: 1, pointer: pointer.to_owned(), value })
}

#[tokio::test(start_paused = true)]
async fn a_row_without_a_field_it_needs_is_an_error_that_names_the_field() {
    let scene = Scene::new().await;
    let sandbox = &scene.sandbox;
    for (path, pointer, value) in spoiled_fields() {
        let what = format!("{path}: {pointer} is {value:?}");
        let world = scene.world();
        sandbox.fault(spoiled(path, pointer, value.clone()));
        let error = fails(&world, &what).await;
        assert_eq!(error.name(), "ClerkProtocol", "{what}: {error:?}");
        let message = error.message();
        assert!(message.contains(path.trim_start_matches("/v1")), "{what}: {message}");
        let field = pointer.rsplit('/').next().unwrap();
        assert!(message.contains(field), "{what}: {message}");
        assert!(message.contains("row 1 of the "), "{what}: {message}");
        assert_asked_twice_at_most(sandbox, path, &what);
        if let Some(Value::String(text)) = value.filter(|value| value != "") {
            assert!(!message.contains(&text), "{what}: {message}");
        }
    }
}

/// A complete answer that cannot be read will be the same next time, so it is requested only once
/// more.
fn assert_asked_twice_at_most(sandbox: &Sandbox, path: &str, what: &str) {
    let mut asked = BTreeMap::<_, u32>::new();
    for request in sandbox.requests().into_iter().filter(|request| request.path == path) {
        *asked.entry(request.query).or_default() += 1;
    }
    assert!(asked.values().any(|&attempts| attempts == 2), "{what}: {asked:?}");
    assert!(asked.values().all(|&attempts| attempts <= 2), "{what}: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_answer_is_requested_once_more() {
    let scene = Scene::new().await;
    let sandbox = &scene.sandbox;
    for body in ["null", "5", "{}", r#"{"errors":[]}"#, r#"{"data":{},"total_count":"1"}"#] {
        for path in every_path() {
            let what = format!("{path}: {body}");
            let world = scene.world();
            sandbox.fault(FaultRule::on(path).effect(Effect::Body(body.to_owned())));
            let error = fails(&world, &what).await;
            assert_eq!(error.name(), "ClerkProtocol", "{what}: {error:?}");
            assert_asked_twice_at_most(sandbox, path, &what);
        }
    }
    // An answer that may have been damaged on the way is requested as often as any other.
    for lost in [Effect::MalformedJson, Effect::Html(200), Effect::Body(String::new())] {
        let world = scene.world();
        sandbox.fault(FaultRule::on("/v1/organizations").effect(lost.clone()));
        fails(&world, "lost").await;
        assert!(sandbox.request_count("/v1/organizations") > 3, "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_spoiled_once_is_read_again() {
    let sandbox = instance();
    let undisturbed = Undisturbed::run_of(&sandbox).await;
    for (path, pointer, value) in spoiled_fields() {
        sandbox.clear_faults();
        sandbox.fault(spoiled(path, pointer, value).call(1));
        let snapshot = complete(&world(&sandbox), pointer).await;
        assert_eq!(snapshot.digests(), undisturbed.digests, "{path}: {pointer}");
    }
}

/// Pages that are empty, or have no count, although the list has rows.
#[tokio::test(start_paused = true)]
async fn a_page_without_rows_never_makes_an_empty_dataset() {
    for path in PATHS {
        for body in [
            "[]",
            r#"{"data":[]}"#,
            r#"{"data":null,"total_count":3}"#,
            r#"{"data":[],"total_count":3}"#,
            r#"{"total_count":0}"#,
        ] {
            fastrand::seed(7);
            let what = format!("{path}: {body}");
            let sandbox = instance();
            sandbox.fault(FaultRule::on(path).effect(Effect::Body(body.to_owned())));
            let world = world(&sandbox);
            let error = match ends(&world, json!({})).await {
                Err(error) => error,
                Ok(answer) => panic!("{what}: {answer:#}"),
            };
            assert_eq!(error.name(), "ClerkProtocol", "{what}: {error:?}");
            assert!(world.published().is_none(), "{what}");
        }
    }
}

/// A single such page is read again.
#[tokio::test(start_paused = true)]
async fn a_page_that_is_empty_once_is_read_again() {
    let sandbox = instance();
    let undisturbed = Undisturbed::run_of(&sandbox).await;
    for path in PATHS {
        for call in 1..=2 {
            fastrand::seed(7);
            let what = format!("{path}: call {call} brings an empty page");
            sandbox.clear_faults();
            sandbox.fault(FaultRule::on(path).call(call).truncate_page(0));
            let source = Source::of(&sandbox);
            let snapshot = complete(&world(&sandbox), &what).await;
            source.assert_kept_by(&snapshot, &what);
            assert_eq!(snapshot.digests(), undisturbed.digests, "{what}");
        }
    }
}

// Statuses that say that the request was wrong

/// 400, 404 or a redirect: the API has changed, and no list is empty because of that.
#[tokio::test(start_paused = true)]
async fn other_statuses_are_errors_and_never_a_skip() {
    let scene = Scene::new().await;
    let sandbox = &scene.sandbox;
    for (status, code) in [
        (301, "moved"),
        (302, "found"),
        (304, "not_modified"),
        (400, "request_invalid"),
        (404, "resource_not_found"),
        (405, "method_not_allowed"),
        (409, "conflict"),
        (418, "teapot"),
    ] {
        for path in every_path() {
            let what = format!("{path}: {status}");
            let world = scene.world();
            sandbox.fault(FaultRule::on(path).status(status, code));
            let error = fails(&world, &what).await;
            assert_eq!(error.name(), "ClerkProtocol", "{what}: {error:?}");
            let message = error.message();
            assert!(message.contains(path.trim_start_matches("/v1")), "{what}: {message}");
            assert!(message.contains(&status.to_string()), "{what}: {message}");
            assert!(sandbox.request_count(path) < FEW, "{what}");
        }
    }
}

/// The same in the middle of a list.
#[tokio::test(start_paused = true)]
async fn a_404_on_a_later_page_is_an_error_too() {
    let scene = Scene::new().await;
    let sandbox = &scene.sandbox;
    for path in ["/v1/users", "/v1/organization_memberships"] {
        let world = scene.world();
        let second = FaultRule::on(path).calls(2, u64::MAX);
        sandbox.fault(second.status(404, "resource_not_found"));
        let error = fails(&world, path).await;
        assert_eq!(error.name(), "ClerkProtocol", "{path}: {error:?}");
        assert!(world.has_checkpoint(), "{path}: the first page is kept");
    }
}
