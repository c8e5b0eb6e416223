//! docs/threat-model.md, test by test: what a server that is not Clerk, somebody who may write to the
//! store, or whoever chooses a name, could make the program do. What other files test is not repeated
//! here; the last tests hold the document to the tests it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clerk_sandbox::{Effect, FaultRule, Sandbox};
use clerk_sync::clerk::bytes_in_flight::BytesInFlight;
use clerk_sync::clerk::transport::{
    Answer, HttpTransport, MAX_BODY_BYTES, Transport as _, TransportError,
};
use clerk_sync::clerk::urgency::Urgency;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::support::pieces::{complete, ends};
use crate::support::plain::{FIRST, add, plain};
use crate::support::process::Program;
use crate::support::world::World;

const LISTS: [(&str, &str); 5] = [
    ("users", "/v1/users"),
    ("organizations", "/v1/organizations"),
    ("organization_roles", "/v1/organization_roles"),
    ("organization_permissions", "/v1/organization_permissions"),
    ("organization_memberships", "/v1/organization_memberships"),
];

/// Requests that a small instance takes, attempts included, are fewer than this.
const FEW: u64 = 60;

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("COMPRESSION", "none")
}

/// A world that reads one list.
fn alone(sandbox: &Sandbox, list: &str) -> World {
    world(sandbox).with("RESOURCES", list)
}

async fn error_name(world: &World, what: &str) -> &'static str {
    match ends(world, json!({})).await {
        Err(error) => error.name(),
        Ok(answer) => panic!("{what}: {answer:#}"),
    }
}

// --- A server on a real socket -----------------------------------------------------------------

/// A server that reads a request's head and answers whatever a test wants.
struct Server {
    url: String,
    /// The heads of the requests.
    heads: Arc<Mutex<Vec<String>>>,
    /// Bytes that the socket has taken.
    sent: Arc<AtomicU64>,
}

/// What a server sends: first once, and then, as long as the socket takes it, again and again.
#[derive(Clone, Default)]
struct Sends {
    once: Vec<u8>,
    for_ever: Vec<u8>,
    /// Between two of these.
    every: Duration,
}

impl Sends {
    fn once(bytes: impl Into<Vec<u8>>) -> Self {
        Self { once: bytes.into(), ..Self::default() }
    }
}

impl Server {
    async fn that(sends: Sends) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (heads, sent) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicU64::new(0)));
        let server = Self { url, heads: Arc::clone(&heads), sent: Arc::clone(&sent) };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (sends, heads, sent) = (sends.clone(), Arc::clone(&heads), Arc::clone(&sent));
                tokio::spawn(answer(connection, sends, heads, sent));
            }
        });
        server
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One request over the network, as the program makes them.
    async fn asked(&self) -> Result<Answer, TransportError> {
        self.asked_through(&HttpTransport::new(&self.url())).await
    }

    async fn asked_through(&self, transport: &HttpTransport) -> Result<Answer, TransportError> {
        let bytes = Arc::new(BytesInFlight::default());
        let mut room = bytes.room("/users", Urgency::default());
        transport.get(&self.url(), HeaderMap::new(), &mut room).await
    }

    fn url(&self) -> Url {
        self.url.parse().expect("a URL")
    }
}

async fn answer(
    mut connection: TcpStream,
    sends: Sends,
    heads: Arc<Mutex<Vec<String>>>,
    sent: Arc<AtomicU64>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    if connection.write_all(&sends.once).await.is_err() {
        return;
    }
    while !sends.for_ever.is_empty() && connection.write_all(&sends.for_ever).await.is_ok() {
        sent.fetch_add(sends.for_ever.len() as u64, Ordering::SeqCst);
        if !sends.every.is_zero() {
            tokio::time::sleep(sends.every).await;
        }
    }
}

fn head(fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}\r\n\r\n").into_bytes()
}

/// The key would travel with it: a redirect is an error, and the host it names hears nothing.
#[tokio::test]
async fn a_redirect_is_not_followed_and_takes_the_key_nowhere() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Server::that(Sends::once(head("content-length: 2"))).await;
        let location = format!("{}/v1/instance", elsewhere.url);
        let redirect =
            format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let clerk = Server::that(Sends::once(redirect)).await;
        let mut world = World::new(Sandbox::empty()).with("CLERK_API_URL", &clerk.url);
        world.transport = Arc::new(HttpTransport::new(&clerk.url.parse().expect("a URL")));
        let error = world.sync().await.expect_err("no instance");
        assert_eq!(error.name(), "ClerkProtocol", "{status}");
        assert!(error.message().contains("redirects are not followed"), "{error}");
        assert!(clerk.heads()[0].contains("authorization: Bearer sk_"), "the key was at stake");
        assert_eq!(elsewhere.heads(), [""; 0], "{status}");
        assert!(!world.has_checkpoint() && world.published().is_none());
    }
}

/// Bound: [`MAX_BODY_BYTES`]. What the server announces does not count, and what it sends beyond is
/// not read.
#[tokio::test]
async fn a_body_without_end_is_read_to_its_bound_and_no_further() {
    let piece = vec![b' '; 1 << 20];
    let chunk = [b"100000\r\n".as_slice(), &piece, b"\r\n"].concat();
    for (fields, for_ever) in [
        ("content-length: 1000000000000", piece.clone()),
        ("connection: close", piece.clone()),
        ("transfer-encoding: chunked", chunk),
    ] {
        let sends = Sends { once: head(fields), for_ever, every: Duration::ZERO };
        let server = Server::that(sends).await;
        let answer = server.asked().await;
        assert!(matches!(answer, Err(TransportError::TooLarge)), "{fields}: {answer:?}");
        let sent = server.sent.load(Ordering::SeqCst);
        // What the sockets hold besides.
        let most = MAX_BODY_BYTES as u64 + 32 * 1024 * 1024;
        assert!(sent <= most, "{fields}: {sent} bytes were read");
    }
}

/// Bound: [`MAX_BODY_BYTES`] after decompression.
#[tokio::test]
async fn a_decompression_bomb_is_refused() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..=MAX_BODY_BYTES >> 20 {
        gzip.write_all(&zeros).expect("memory");
    }
    let bomb = gzip.finish().expect("memory");
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    let mut lies_about_its_size = bomb.clone();
    let size = bomb.len() - 4;
    lies_about_its_size[size..].copy_from_slice(&7_u32.to_le_bytes());
    for bomb in [bomb, lies_about_its_size] {
        let fields = format!("content-encoding: gzip\r\ncontent-length: {}", bomb.len());
        let server = Server::that(Sends::once([head(&fields), bomb].concat())).await;
        let answer = server.asked().await;
        assert!(matches!(answer, Err(TransportError::TooLarge)), "{answer:?}");
    }
}

/// Bodies are read into buffers that are used again.
#[tokio::test]
async fn a_body_holds_nothing_of_the_one_before() {
    let mut transport = None;
    for text in [r#"["a long one"]"#.repeat(100_000), "[1]".to_owned(), "[22]".to_owned()] {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(text.as_bytes()).expect("memory");
        let bodies = [("gzip", gzip.finish().expect("memory")), ("identity", text.clone().into())];
        for (encoding, body) in bodies {
            let fields = format!("content-encoding: {encoding}\r\ncontent-length: {}", body.len());
            let server = Server::that(Sends::once([head(&fields), body].concat())).await;
            let transport = transport.get_or_insert_with(|| HttpTransport::new(&server.url()));
            let answer = server.asked_through(transport).await.expect("a whole answer");
            assert!(answer.body == text, "{encoding}, {} bytes", text.len());
        }
    }
}

/// Announced and not sent: cut short. Sent and not announced: not part of the body.
#[tokio::test]
async fn a_length_that_lies_makes_no_shorter_page() {
    let more = [head("content-length: 1000"), b"[{\"id\":\"user_1\"}".to_vec()].concat();
    let server = Server::that(Sends::once(more)).await;
    assert!(matches!(server.asked().await, Err(TransportError::CutShort)));
    let less = [head("content-length: 16"), b"[{\"id\":\"user_1\"},{\"id\":\"user_2\"}]".to_vec()];
    let server = Server::that(Sends::once(less.concat())).await;
    let body = server.asked().await.expect("a whole answer").body;
    assert!(serde_json::from_slice::<Value>(&body).is_err(), "{body:?}");
}

/// Bound: what one answer's head may take (some hundred kilobytes).
#[tokio::test]
async fn a_head_without_end_is_an_error() {
    let sends = Sends {
        once: b"HTTP/1.1 200 OK\r\n".to_vec(),
        for_ever: b"x-more: and more, and more, and more\r\n".repeat(100),
        every: Duration::ZERO,
    };
    let server = Server::that(sends).await;
    let answer = server.asked().await;
    assert!(matches!(answer, Err(TransportError::Broken)), "{answer:?}");
    assert!(server.sent.load(Ordering::SeqCst) < 32 * 1024 * 1024);
}

/// Bound: 60 s for a body. Time runs from the first byte, whatever drips behind it.
#[tokio::test]
async fn a_body_that_drips_for_ever_ends_in_time() {
    let sends = Sends {
        once: head("content-length: 1000000"),
        for_ever: b" ".to_vec(),
        every: Duration::from_millis(50),
    };
    let server = Server::that(sends).await;
    let sent = Arc::clone(&server.sent);
    let asked = tokio::spawn(async move { server.asked().await });
    while sent.load(Ordering::SeqCst) < 5 {
        tokio::task::yield_now().await;
    }
    // From now on time passes whenever there is nothing else to do.
    tokio::time::pause();
    let answer = asked.await.expect("no panic");
    assert!(matches!(answer, Err(TransportError::BodyTimeOut(_))), "{answer:?}");
}

// --- What a server says ------------------------------------------------------------------------

/// Bound: 128 levels for what is read (serde_json's own), and no recursion over what is passed by.
#[tokio::test(start_paused = true)]
async fn json_that_nests_without_end_is_an_error_and_no_crash() {
    let bomb = |open: &str| open.repeat(20_000);
    for path in ["/v1/instance", "/v1/users/count", "/v1/users", "/v1/organization_memberships"] {
        for body in [
            bomb("["),
            bomb(r#"{"a":"#),
            format!(r#"[{{"id":"user_1","email_addresses":{}"#, bomb("[")),
            format!(r#"{{"total_count":1,"data":{}"#, bomb("[")),
            format!(r#"{{"total_count":1,"data":[{{"x":{}"#, bomb(r#"{"a":"#)),
        ] {
            let what = format!("{path}: {}", &body[..20]);
            let sandbox = plain(3, 1, 2);
            sandbox.fault(FaultRule::on(path).effect(Effect::Body(body)));
            assert_eq!(error_name(&world(&sandbox), &what).await, "ClerkProtocol", "{what}");
        }
    }
}

/// A user chooses what stands in the own `unsafe_metadata`. That must neither stop the snapshot nor
/// change it: the bag is copied as it is, and nobody walks through it.
#[tokio::test(start_paused = true)]
async fn metadata_that_nests_deep_is_copied_as_it_is() {
    let deep = format!("{}{}", "[".repeat(3_000), "]".repeat(3_000));
    let row = |deep: &str| {
        format!(
            r#"[{{"id":"user_1","unsafe_metadata":{deep},"created_at":{FIRST},"updated_at":{FIRST}}}]"#
        )
    };
    for raw in ["false", "true"] {
        let sandbox = plain(1, 0, 0);
        sandbox.fault(FaultRule::on("/v1/users").effect(Effect::Body(row(&deep))));
        let world = alone(&sandbox, "users").with("METADATA", "unsafe").with("INCLUDE_RAW", raw);
        let answer = ends(&world, json!({})).await.expect("sync");
        assert_eq!(answer["status"], "complete", "{answer:#}");
        let objects = world.memory.objects();
        let part = objects.iter().find(|(key, _)| key.contains("/users/part-")).expect("a part").1;
        assert!(String::from_utf8_lossy(part).contains(&deep));
    }
}

/// Bound: 10⁸ rows, stated or listed.
#[tokio::test(start_paused = true)]
async fn a_count_that_nobody_can_believe_is_an_error_that_names_it() {
    for count in ["18446744073709551615", "9223372036854775807", "100000001", "1e30", "-1"] {
        for (list, path) in LISTS {
            let sandbox = plain(3, 2, 2);
            let counts = if list == "users" { "/v1/users/count" } else { path };
            let body = format!(r#"{{"object":"total_count","data":[],"total_count":{count}}}"#);
            sandbox.fault(FaultRule::on(counts).effect(Effect::Body(body)));
            let world = alone(&sandbox, list);
            let error = ends(&world, json!({})).await.expect_err("nobody believes it");
            assert_eq!(error.name(), "ClerkProtocol", "{list}: {count}");
            assert!(error.message().contains("total_count"), "{error}");
            assert!(sandbox.total_requests() < FEW);
        }
    }
}

/// The most that is believed is not counted beyond.
#[tokio::test(start_paused = true)]
async fn the_largest_count_of_all_overflows_nothing() {
    for (list, path) in LISTS {
        let sandbox = plain(1200, 3, 1200);
        let counts = if list == "users" { "/v1/users/count" } else { path };
        sandbox.fault(FaultRule::on(counts).effect(Effect::Total(100_000_000)));
        let world = world(&sandbox);
        match ends(&world, json!({"time_budget_seconds": 1})).await {
            Ok(answer) => assert!(answer["status"] == "complete" || answer["status"] == "partial"),
            Err(error) => assert_eq!(error.name(), "ClerkProtocol", "{list}: {error:?}"),
        }
    }
}

/// A total that grows with every look at it.
#[tokio::test(start_paused = true)]
async fn a_total_that_recedes_is_not_followed_for_ever() {
    for (list, path) in LISTS {
        let sandbox = plain(1200, 3, 1200);
        let counts = if list == "users" { "/v1/users/count" } else { path };
        let looks = Arc::new(AtomicU64::new(0));
        sandbox.on_request(move |sandbox, _| {
            let further = looks.fetch_add(500, Ordering::SeqCst) + 500;
            sandbox.clear_faults();
            sandbox.fault(FaultRule::on(counts).effect(Effect::ShiftTotal(further as i64)));
        });
        let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "8");
        match ends(&world, json!({})).await {
            Ok(answer) => assert_eq!(answer["verified"], false, "{list}: {answer:#}"),
            Err(error) => assert_eq!(error.name(), "ClerkProtocol", "{list}"),
        }
        let requests = sandbox.total_requests();
        assert!(requests < 2 * FEW, "{list}: {requests} requests");
    }
}

/// Pages that come round again, and lists that answer the same whatever is asked.
#[tokio::test(start_paused = true)]
async fn pages_in_a_circle_are_noticed() {
    for (list, path) in [LISTS[0], LISTS[1], LISTS[4]] {
        for ignored in [&["offset"][..], &["offset", "starting_after"]] {
            let sandbox = plain(1200, 1200, 1200);
            for parameter in ignored {
                let ignore = Effect::IgnoreParameter((*parameter).to_owned());
                sandbox.fault(FaultRule::on(path).effect(ignore));
            }
            let what = format!("{list} ignores {ignored:?}");
            let world = alone(&sandbox, list);
            let ended = ends(&world, json!({})).await;
            if ignored.len() == 1 && list == "users" {
                assert_eq!(ended.expect("the cursor is all it needs")["verified"], true, "{what}");
            } else {
                assert_eq!(ended.expect_err(&what).name(), "ClerkProtocol", "{what}");
            }
            let requests = sandbox.total_requests();
            assert!(requests < 2 * FEW, "{what}: {requests} requests");
        }
    }
}

/// Bound: 10⁸ rows. A list that brings new rows for ever is given up.
#[tokio::test(start_paused = true)]
async fn a_list_without_end_is_given_up() {
    for list in ["users", "organizations"] {
        let sandbox = plain(1200, 1200, 0);
        let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "1");
        while !checkpoint(&world)["lists"][list]["windows"][0]["stretches"][0].is_object() {
            let paused = ends(&world, json!({"time_budget_seconds": 0})).await.expect("sync");
            assert_eq!(paused["status"], "partial", "{paused:#}");
        }
        // As if it had gone on like that until now.
        change_checkpoint(&world, |checkpoint| {
            let window = &mut checkpoint["lists"][list]["windows"][0];
            window["stretches"][0]["rows"] = json!(99_999_900);
        });
        let error = ends(&world, json!({})).await.expect_err("there is no end to it");
        assert_eq!(error.name(), "ClerkProtocol");
        assert!(error.message().contains("more than 100000000 rows"), "{error}");
    }
}

/// Bound: 256 bytes for what stands in requests and in the checkpoint.
#[tokio::test(start_paused = true)]
async fn ids_without_end_are_errors_that_name_the_field() {
    let long = "x".repeat(257);
    for (path, field) in [
        ("/v1/users", "/id"),
        ("/v1/organizations", "/id"),
        ("/v1/organization_roles", "/id"),
        ("/v1/organization_permissions", "/id"),
        ("/v1/organization_memberships", "/role"),
        ("/v1/organization_memberships", "/organization/id"),
    ] {
        let sandbox = plain(3, 2, 2);
        sandbox.add_permission("org:billing:read", "Read bills", FIRST);
        let (pointer, value) = (field.to_owned(), Some(json!(long)));
        sandbox.fault(FaultRule::on(path).effect(Effect::EditRow { row: 0, pointer, value }));
        let error = ends(&world(&sandbox), json!({})).await.expect_err("too long");
        assert_eq!(error.name(), "ClerkProtocol", "{path}");
        let field = field[1..].replace('/', ".");
        assert!(error.message().contains(&format!("`{field}` of row ")), "{path}: {error}");
        assert!(error.message().contains("expected at most 256 bytes"), "{path}: {error}");
        assert!(!error.message().contains("xxxx"), "{error}");
    }
}

/// What breaks lines, moves the cursor of a terminal, or turns text around.
const HOSTILE: &str =
    "a\n2026-01-01T00:00:00Z ERROR b\r\u{1b}[2J\u{7f}\u{85}\u{9b}31m\u{2028}\u{202e}\u{0}../../c";

/// An instance whose every text is chosen by somebody hostile.
fn hostile_instance() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.set_instance(&format!("ins_{HOSTILE}"), &format!("production{HOSTILE}"));
    sandbox.add_role(&format!("org:{HOSTILE}"), HOSTILE, &[], FIRST);
    sandbox.add_permission(&format!("org:x:{HOSTILE}"), HOSTILE, FIRST);
    for list in ["users", "organizations"] {
        add(&sandbox, list, &format!("{list}_{HOSTILE}"), FIRST);
        add(&sandbox, list, "../../../etc/passwd", FIRST + 1);
        add(&sandbox, list, "checkpoint.json", FIRST + 2);
        add(&sandbox, list, "\"},{\"id\":\"forged", FIRST + 3);
    }
    for (organization, user) in sandbox.ids("organizations").iter().zip(sandbox.ids("users")) {
        let role = format!("org:{HOSTILE}");
        sandbox.add_membership(organization, &user, &role, FIRST).expect("both are there");
    }
    sandbox
}

/// No text of the server's becomes part of a name.
#[tokio::test(start_paused = true)]
async fn names_of_objects_are_made_of_nothing_that_the_server_says() {
    let sandbox = hostile_instance();
    let world = world(&sandbox);
    let snapshot = complete(&world, "hostile").await;
    assert_eq!(snapshot.manifest["verified"], true);
    assert_eq!(snapshot.datasets["users"].len(), 4, "one line a row");
    for key in world.store.keys_put() {
        let is_plain =
            key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
        assert!(is_plain && !key.contains("..") && !key.contains("etc"), "{key:?}");
    }
}

/// Everything that the real program writes stays on its line, in text and in JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_says_forges_no_line_and_no_colour() {
    let sandbox = hostile_instance();
    let clerk = sandbox.serve().await.expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}", folder.path().join("out").display());
    let program = Program::new(&url, &clerk).with("LOG_LEVEL", "trace");
    let checked = program.clone().event(&json!({"action": "check"})).run().await;
    let code = format!("feature_{HOSTILE}");
    sandbox.fault(FaultRule::on("/v1/organizations").status(403, code));
    let synced = program.run().await;
    assert_eq!(synced.answer(0)["status"], "complete");
    sandbox.fault(FaultRule::on("/v1/instance").effect(Effect::Body(HOSTILE.to_owned())));
    let failed = program.run().await;
    failed.error(1, "ClerkProtocol");
    for (what, finished) in [("check", &checked), ("sync", &synced), ("error", &failed)] {
        for text in [&finished.stdout, &finished.stderr] {
            let found = text.chars().find(|&it| it != '\n' && disturbs(it));
            assert_eq!(found, None, "{what}: {text}");
            let forged = text.lines().any(|line| line.starts_with("2026-01-01"));
            assert!(!forged, "{what}: {text}");
        }
    }
}

fn disturbs(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

// --- Whoever may write to the store ------------------------------------------------------------

fn checkpoint(world: &World) -> Value {
    let objects = world.memory.objects();
    objects
        .get("checkpoint.json")
        .map_or(Value::Null, |it| serde_json::from_slice(it).expect("JSON"))
}

fn change_checkpoint(world: &World, change: impl FnOnce(&mut Value)) {
    change_object(world, "checkpoint.json", change);
}

fn change_object(world: &World, key: &str, change: impl FnOnce(&mut Value)) {
    let mut document: Value = serde_json::from_slice(&world.memory.objects()[key]).expect("JSON");
    change(&mut document);
    world.memory.plant(key, document.to_string());
}

/// An earlier snapshot is published, and a run is paused in the middle.
async fn paused() -> World {
    let sandbox = plain(1200, 3, 20);
    sandbox.add_permission("org:billing:read", "Read bills", FIRST);
    let world = world(&sandbox);
    complete(&world, "the first").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let answer = ends(&world, json!({"time_budget_seconds": 0})).await.expect("sync");
    assert_eq!(answer["status"], "partial", "{answer:#}");
    world
}

type Change = (&'static str, fn(&mut Value));

const EDITED: &[Change] = &[
    ("a snapshot outside", |it| it["snapshot_id"] = json!("../../elsewhere")),
    ("a snapshot below another", |it| it["snapshot_id"] = json!("20260101T000000Z-000000/users")),
    ("a snapshot without a name", |it| it["snapshot_id"] = json!("")),
    ("a snapshot with a long name", |it| it["snapshot_id"] = json!("2".repeat(10_000))),
    ("all snapshots given up", |it| it["abandoned"] = json!([""])),
    ("another folder given up", |it| it["abandoned"] = json!(["../precious"])),
    ("a part of a snapshot given up", |it| {
        it["abandoned"] = json!(["20260101T000000Z-000000/users"])
    }),
    ("its own snapshot given up", |it| it["abandoned"] = json!([it["snapshot_id"].clone()])),
    ("complete from the start", |it| {
        it["completed"] = json!({
            "at": it["started_at"], "run": it["run"], "compression": "none",
            "generator": {"name": "x", "version": "x", "clerk_api_version": "x"},
        });
    }),
    ("no windows", |it| first_list(it)["windows"] = json!([])),
    ("a stretch of nothing", |it| first_stretch(it)["rows"] = json!(0)),
    ("more rows than can be counted", |it| first_stretch(it)["rows"] = json!(u64::MAX)),
    ("a number behind the last", |it| first_stretch(it)["sequence"] = json!(u32::MAX)),
    ("numbers from behind the last", |it| {
        first_list(it)["windows"][0]["numbered_from"] = json!(u32::MAX);
    }),
    ("a place beyond everything", |it| {
        first_list(it)["windows"][0]["place"]["offset"] = json!(u64::MAX - 1);
    }),
    ("a window from the beginning of time", |it| {
        first_list(it)["windows"][0]["bounds"]["from"] = json!(i64::MIN);
    }),
    ("requests beyond counting", |it| it["run"]["requests"] = json!(u64::MAX)),
    ("a revision beyond counting", |it| it["revision"] = json!(u64::MAX)),
    ("a part outside", |it| first_part(it)["key"] = json!("../../../precious.json")),
    ("a part of the file system", |it| first_part(it)["key"] = json!("/etc/passwd")),
    ("a part of another kind", |it| first_part(it)["key"] = json!("manifest.json")),
    ("a part in a folder of its own", |it| first_part(it)["key"] = json!("users/part-/../x")),
];

fn first_list(checkpoint: &mut Value) -> &mut Value {
    let lists = checkpoint["lists"].as_object_mut().expect("lists");
    let (_, list) = lists
        .iter_mut()
        .find(|(_, list)| list["windows"][0]["stretches"] != json!([]))
        .expect("a part is stored");
    list
}

fn first_stretch(checkpoint: &mut Value) -> &mut Value {
    &mut first_list(checkpoint)["windows"][0]["stretches"][0]
}

fn first_part(checkpoint: &mut Value) -> &mut Value {
    let parts = first_stretch(checkpoint)["parts"].as_object_mut().expect("parts");
    parts.values_mut().next().expect("a part")
}

/// A checkpoint that this program cannot have written is not believed, whatever it says; nothing is
/// read, written or removed on its word, and `restart` sets it aside.
#[tokio::test(start_paused = true)]
async fn an_edited_checkpoint_is_not_believed() {
    for (what, change) in EDITED {
        let world = paused().await;
        world.memory.plant("precious.json", "precious");
        change_checkpoint(&world, change);
        let before = world.memory.objects();
        world.sandbox.clear_requests();
        assert_eq!(error_name(&world, what).await, "StateUnreadable", "{what}");
        assert_eq!(world.memory.objects(), before, "{what}");
        assert_eq!(world.sandbox.total_requests(), 0, "{what}");
        let answer = ends(&world, json!({"restart": true})).await.expect("sync");
        assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
        assert_eq!(world.memory.objects()["precious.json"], "precious", "{what}");
    }
}

/// Clean-up removes what the program itself has written below the folder of a run given up, and
/// nothing else; and never the snapshot that was published last, whoever says that it was given up.
#[tokio::test(start_paused = true)]
async fn clean_up_removes_nothing_of_others_and_nothing_published() {
    let world = paused().await;
    let published = world.memory.objects()["latest.json"].clone();
    let published: Value = serde_json::from_slice(&published).expect("JSON");
    let published = published["snapshot_id"].as_str().expect("an id").to_owned();
    let own = checkpoint(&world);
    let own = own["snapshot_id"].as_str().expect("an id").to_owned();
    let abandoned = "20260101T000000Z-00000a";
    change_checkpoint(&world, |checkpoint| {
        checkpoint["abandoned"] = json!([published, abandoned]);
    });
    let others = [
        "precious.json".to_owned(),
        "snapshots/precious.json".to_owned(),
        format!("snapshots/{abandoned}-and-more/users/part-00.ndjson"),
        format!("snapshots/{abandoned}/notes.txt"),
        format!("snapshots/{abandoned}/users/notes.txt"),
        format!("snapshots/{own}/notes.txt"),
        format!("snapshots/{own}/somebody/part-00.ndjson"),
    ];
    let ours = format!("snapshots/{abandoned}/users/part-00-00-000000-00000000.ndjson");
    for key in others.iter().chain([&ours]) {
        world.memory.plant(key, "precious");
    }
    let before = world.memory.objects();
    complete(&world, "edited").await;
    let after = world.memory.objects();
    assert!(!after.contains_key(&ours), "a run that was given up is removed");
    for key in &others {
        assert_eq!(after.get(key), before.get(key), "{key}");
    }
    let folder = format!("snapshots/{published}/");
    let kept = |objects: &BTreeMap<String, Bytes>| -> BTreeSet<String> {
        objects.keys().filter(|key| key.starts_with(&folder)).cloned().collect()
    };
    assert_eq!(kept(&after), kept(&before), "the snapshot that was published before");
}

/// `latest.json` is only read for what it says of the last snapshot; it leads nowhere else, holds up
/// no snapshot, and what it says of one that was not published does not count.
#[tokio::test(start_paused = true)]
async fn an_edited_pointer_leads_nowhere_and_stops_nothing() {
    for manifest in [
        "../../../etc/passwd",
        "/etc/passwd",
        "checkpoint.json",
        "snapshots/20260101T000000Z-000000/manifest.json",
    ] {
        let world = paused().await;
        change_object(&world, "latest.json", |latest| latest["manifest"] = json!(manifest));
        let before = world.memory.objects();
        assert_eq!(error_name(&world, manifest).await, "StateUnreadable", "{manifest}");
        assert_eq!(world.memory.objects(), before, "{manifest}");
        let answer = ends(&world, json!({"accept_shrink": true})).await.expect("sync");
        assert_eq!(answer["status"], "complete", "{manifest}: {answer:#}");
    }
    for started_at in ["9999-12-31T23:59:59.999Z", "0000-01-01T00:00:00.000Z"] {
        let world = world(&plain(3, 1, 2)).with("SNAPSHOT_INTERVAL_MINUTES", "60");
        complete(&world, "the first").await;
        change_object(&world, "latest.json", |latest| latest["started_at"] = json!(started_at));
        tokio::time::advance(Duration::from_secs(60)).await;
        complete(&world, started_at).await;
    }
    // What it names cannot be a snapshot: the next one names none as the one before it.
    for snapshot_id in ["../../precious", "", "20260101T000000Z-000000/users"] {
        let world = paused().await;
        change_object(&world, "latest.json", |latest| latest["snapshot_id"] = json!(snapshot_id));
        let snapshot = complete(&world, snapshot_id).await;
        assert_eq!(snapshot.manifest["previous"], Value::Null, "{snapshot_id}");
    }
    // It names the run in progress as if it were published.
    let world = paused().await;
    let own = checkpoint(&world);
    change_object(&world, "latest.json", |latest| {
        latest["snapshot_id"] = own["snapshot_id"].clone();
        latest["manifest_sha256"] = json!("0".repeat(64));
    });
    let snapshot = complete(&world, "named before its time").await;
    assert_eq!(snapshot.latest["snapshot_id"], own["snapshot_id"]);
    assert_eq!(snapshot.manifest["previous"], Value::Null, "no snapshot takes its own place");
}

/// A part whose bytes are not those that were written is noticed, and so is one that decompresses
/// to more than it should (`snapshot/part.rs`).
#[tokio::test(start_paused = true)]
async fn an_edited_part_is_noticed_also_when_it_is_read_back() {
    let sandbox = plain(600, 3, 20);
    let world = World::new(sandbox.clone());
    let requests = Arc::new(AtomicU64::new(0));
    let interrupt = world.interrupt.clone();
    sandbox.on_request(move |_, request| {
        if request.path == "/v1/organization_memberships"
            && requests.fetch_add(1, Ordering::SeqCst) == 0
        {
            interrupt.send_replace(true);
        }
    });
    ends(&world, json!({})).await.expect("interrupted");
    world.interrupt.send_replace(false);
    let objects = world.memory.objects();
    let part = objects.keys().find(|key| key.contains("/users/part-")).expect("a part");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![b' '; 1 << 24]).expect("memory");
    world.memory.plant(part, gzip.finish().expect("memory"));
    assert_eq!(error_name(&world, "altered").await, "StoreUnavailable");
}

// --- What it is made of, and the document ------------------------------------------------------

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every dependency comes from the one registry, at a version and with a checksum that are written
/// down; the builds that count refuse any other.
#[test]
fn dependencies_are_pinned_and_come_from_one_registry() {
    let lock = read("Cargo.lock");
    let (mut foreign, mut own) = (0, Vec::new());
    for package in lock.split("[[package]]").skip(1) {
        let said = |what: &str| package.lines().find_map(|line| line.strip_prefix(what));
        match said("source = ") {
            None => own.extend(said("name = ")),
            Some(source) => {
                foreign += 1;
                assert_eq!(source, r#""registry+https://github.com/rust-lang/crates.io-index""#);
                assert!(package.contains("\nchecksum = \""), "{package}");
            }
        }
    }
    assert!(foreign > 100, "{foreign} from the registry");
    let expected = ["clerk-sandbox", "clerk-snapshot", "clerk-store", "clerk-sync"];
    assert_eq!(own, expected.map(|name| format!("{name:?}")));
    for (file, word) in [
        ("deny.toml", r#"unknown-registry = "deny""#),
        ("deny.toml", r#"unknown-git = "deny""#),
        (
            "scripts/check",
            "cargo-deny --all-features check --hide-inclusion-graph licenses sources",
        ),
        ("Makefile", "cargo test --workspace --locked"),
        ("Cargo.toml", r#"unsafe_code = "forbid""#),
    ] {
        assert!(read(file).contains(word), "{file}: {word}");
    }
}

/// What the deployed function may do, and nothing besides.
#[test]
fn the_functions_role_may_do_what_it_needs_and_no_more() {
    let template = read("template.yaml");
    let (_, role) = template.split_once("\n  FunctionRole:").expect("the function's role");
    let (role, _) = role.split_once("\n  ScheduleRole:").expect("the scheduler's");
    let services = [
        "logs:",
        "secretsmanager:",
        "s3:",
        "kms:",
        "sts:",
        "lambda:",
        "iam:",
        "ec2:",
        "sqs:",
        "xray:",
        "states:",
        "sns:",
        "glue:",
        "athena:",
        "cloudwatch:",
    ];
    let actions: BTreeSet<&str> = role
        .lines()
        .map(|line| line.trim().trim_start_matches("- ").trim_start_matches("Action: "))
        .filter(|line| services.iter().any(|service| line.starts_with(service)))
        .filter(|line| !line.contains(": ") && !line.contains("prefix"))
        .collect();
    let needed = [
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
        // Lambda reports with the function's role what failed for good, and traces.
        "sqs:SendMessage",
        "sts:AssumeRole",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    ];
    assert_eq!(actions, BTreeSet::from(needed));
}

/// Each line of the threat model names tests that exist.
#[test]
fn the_threat_model_names_tests_that_exist() {
    let document = read("docs/threat-model.md");
    let mut named = 0;
    for cell in document.split('`') {
        let Some((file, test)) = cell.split_once("::").filter(|(file, _)| file.ends_with(".rs"))
        else {
            continue;
        };
        named += 1;
        let source = read(file);
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
    assert!(named > 40, "{named} tests are named");
    // Whatever is said to be a threat has a test.
    let tables = document.split("\n\n").filter(|block| block.contains("| shown by |"));
    for threat in tables.flat_map(|table| table.lines().skip(2)) {
        assert!(threat.contains(".rs::"), "no test is named: {threat}");
    }
}
