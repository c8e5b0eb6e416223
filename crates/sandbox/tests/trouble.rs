//! Faults, limits, latency and churn work as documented, over the socket and within the process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise is a failed test")]

use std::time::Duration;

use clerk_sandbox::{ChangeKind, ChurnPlan, Effect, FaultRule, Population, RowRefused, Sandbox};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

const HEADERS: [(&str, &str); 2] =
    [("authorization", "Bearer sk_test_sandbox"), ("clerk-api-version", "2026-05-12")];

fn sandbox() -> Sandbox {
    Sandbox::new(Population::default())
}

async fn status(sandbox: &Sandbox, target: &str) -> u16 {
    sandbox.get(target, &HEADERS).await.unwrap().status
}

#[tokio::test]
async fn faults_replace_answers() {
    let sandbox = sandbox();
    sandbox.fault(FaultRule::on("/v1/users").call(1).status(503, "internal_error"));
    sandbox.fault(FaultRule::on("/v1/users").call(2).reset());
    sandbox.fault(FaultRule::on("/v1/users").call(3).effect(Effect::Html(200)));
    sandbox.fault(FaultRule::on("/v1/users").call(4).effect(Effect::MalformedJson));
    sandbox.fault(FaultRule::on("/v1/users").call(5).too_many_requests(7));
    sandbox.fault(FaultRule::on("/v1/users").call(6).cut_body(100));
    let get = || sandbox.get("/v1/users", &HEADERS);
    let first = get().await.unwrap();
    assert_eq!(
        (first.status, first.json()["errors"][0]["code"].as_str()),
        (503, Some("internal_error"))
    );
    assert!(get().await.is_err());
    let html = get().await.unwrap();
    assert_eq!(
        (html.status, html.header("content-type"), html.json()),
        (200, Some("text/html"), Value::Null)
    );
    assert_eq!(get().await.unwrap().json(), Value::Null);
    let limited = get().await.unwrap();
    assert_eq!((limited.status, limited.header("Retry-After")), (429, Some("7")));
    let cut = get().await.unwrap();
    assert_eq!(cut.cut_after, Some(100));
    assert!(cut.body.len() > 100);
    assert_eq!(get().await.unwrap().cut_after, None);
    assert_eq!(sandbox.faults_struck(), 6);
    let statuses: Vec<Option<u16>> =
        sandbox.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(503), None, Some(200), Some(200), Some(429), Some(200), Some(200)]);
}

#[tokio::test]
async fn faults_change_answers() {
    let sandbox = sandbox();
    let rows = async |target: &str| sandbox.get(target, &HEADERS).await.unwrap().json();
    let first = sandbox.users()[0]["id"].clone();
    sandbox.fault(FaultRule::on("/v1/users").truncate_page(4));
    sandbox.fault(FaultRule::on("/v1/users").with_parameter("starting_after").ignore_cursor());
    sandbox.fault(FaultRule::on("/v1/organizations").effect(Effect::ShiftTotal(5)));
    sandbox.fault(
        FaultRule::on("/v1/organization_memberships").drop_field(1, "/public_user_data/user_id"),
    );
    let page = rows("/v1/users?order_by=created_at&limit=50").await;
    assert_eq!(page.as_array().unwrap().len(), 4);
    let again = rows("/v1/users?order_by=created_at&starting_after=user_whoever").await;
    assert_eq!(again[0]["id"], first);
    assert_eq!(rows("/v1/organizations").await["total_count"], 15);
    let memberships = rows("/v1/organization_memberships").await;
    assert!(memberships["data"][0]["public_user_data"]["user_id"].is_string());
    assert!(memberships["data"][1]["public_user_data"].get("user_id").is_none());
    sandbox.clear_faults();
    sandbox.fault(FaultRule::on("/v1/users").refuse_cursor());
    assert_eq!(status(&sandbox, "/v1/users?starting_after=user_1").await, 422);
    assert_eq!(status(&sandbox, "/v1/users").await, 200);
}

#[tokio::test(start_paused = true)]
async fn latency_and_delays_pass_under_paused_time() {
    let sandbox = sandbox();
    sandbox.set_latency(Duration::from_millis(80), Duration::ZERO);
    let began = Instant::now();
    status(&sandbox, "/v1/users").await;
    assert_eq!(began.elapsed(), Duration::from_millis(80));
    sandbox.fault(
        FaultRule::on("/v1/users").effect(Effect::DelayPerThousandRows(Duration::from_secs(1))),
    );
    sandbox.fault(FaultRule::on("/v1/users").past_offset(5000).status(504, "gateway_timeout"));
    let began = Instant::now();
    assert_eq!(status(&sandbox, "/v1/users?offset=2000").await, 200);
    assert_eq!(began.elapsed(), Duration::from_millis(2080));
    assert_eq!(status(&sandbox, "/v1/users?offset=5000").await, 504);
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_enforced_and_sends_retry_after() {
    let sandbox = sandbox();
    sandbox.limit(5, Duration::from_secs(10));
    for _ in 0..5 {
        assert_eq!(status(&sandbox, "/v1/users").await, 200);
    }
    let refused = sandbox.get("/v1/users", &HEADERS).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10")));
    assert_eq!(refused.json()["errors"][0]["code"], "too_many_requests");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(status(&sandbox, "/v1/users").await, 200);
    assert_eq!((sandbox.rate_limited_count(), sandbox.busiest_window()), (1, 6));
    sandbox.limit_without_retry_after(1, Duration::from_secs(10));
    assert_eq!(sandbox.get("/v1/users", &HEADERS).await.unwrap().header("retry-after"), None);
}

#[tokio::test]
async fn churn_changes_rows_between_pages_the_same_way_each_time() {
    let run = async || {
        let sandbox = sandbox();
        sandbox.churn(ChurnPlan { every_pages: 2, inserts: 3, deletes: 2, ..ChurnPlan::default() });
        for offset in 0..8 {
            status(&sandbox, &format!("/v1/users?offset={}", offset * 10)).await;
        }
        sandbox
    };
    let sandbox = run().await;
    assert_eq!(sandbox.ids("users"), run().await.ids("users"));
    assert_eq!(sandbox.count("users"), 100 + 4 * 3 - 4 * 2);
    let history = sandbox.history();
    let inserted =
        |list| history.iter().filter(|c| c.list == list && c.kind == ChangeKind::Inserted).count();
    assert_eq!((inserted("users"), inserted("organizations")), (12, 12));
    // No membership outlives its user or its organization.
    let (users, organizations) = (sandbox.ids("users"), sandbox.ids("organizations"));
    for membership in sandbox.memberships() {
        assert!(
            users.contains(&membership["public_user_data"]["user_id"].as_str().unwrap().to_owned())
        );
        assert!(
            organizations.contains(&membership["organization"]["id"].as_str().unwrap().to_owned())
        );
    }
    assert!(history.iter().all(|change| change.requests_before > 0));
}

#[tokio::test]
async fn added_rows_are_ordered_by_their_time() {
    let sandbox = Sandbox::empty();
    assert_eq!(sandbox.get("/v1/users", &HEADERS).await.unwrap().json(), json!([]));
    let late = sandbox.add_user(2_000);
    sandbox
        .insert("users", json!({ "id": "user_early", "created_at": 1_000, "first_name": "Ada" }))
        .unwrap();
    assert_eq!(sandbox.ids("users"), ["user_early".to_owned(), late.clone()]);
    assert_eq!(
        sandbox.insert("users", json!({ "id": "user_early" })),
        Err(RowRefused::Taken { list: "users", id: "user_early".into() })
    );
    assert_eq!(sandbox.insert("users", json!({})), Err(RowRefused::NoId { list: "users" }));
    sandbox.update("users", "user_early", |user| user["created_at"] = 3_000.into()).unwrap();
    assert_eq!(sandbox.ids("users"), [late.clone(), "user_early".to_owned()]);

    let organization = sandbox.add_organization(5_000);
    sandbox.add_permission("org:reports:read", "Read reports", 100);
    sandbox.add_role("org:auditor", "Auditor", &["org:reports:read"], 200);
    sandbox.add_membership(&organization, "user_early", "org:auditor", 6_000).unwrap();
    let membership = &sandbox.memberships()[0];
    assert_eq!(membership["permissions"], json!(["org:reports:read"]));
    assert_eq!(membership["public_user_data"]["first_name"], "Ada");
    assert_eq!(sandbox.organizations()[0]["members_count"], 1);
    assert!(sandbox.add_membership("org_gone", &late, "org:auditor", 1).is_err());

    sandbox.delete("organization_permissions", sandbox.permissions()[0]["id"].as_str().unwrap());
    assert_eq!(sandbox.roles()[0]["permissions"], json!([]));
    assert!(sandbox.delete("users", "user_early"));
    assert_eq!(sandbox.count("organization_memberships"), 0);
    assert!(!sandbox.delete("users", "user_early"));
}

#[tokio::test]
async fn a_hook_sees_every_request_before_its_answer() {
    let sandbox = sandbox();
    sandbox.on_request(|sandbox, request| {
        if request.parameter("offset") == Some("10") {
            let last = sandbox.ids("users").pop().unwrap();
            sandbox.delete("users", &last);
        }
    });
    status(&sandbox, "/v1/users?offset=10").await;
    assert_eq!(sandbox.count("users"), 99);
    assert_eq!(sandbox.history()[0].requests_before, 1);
}

async fn exchange(url: &str, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an error here, but what arrived before it counts.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: sandbox\r\nauthorization: Bearer sk_test_sandbox\r\n\
         clerk-api-version: 2026-05-12\r\nconnection: close\r\n\r\n"
    )
}

fn parts(answer: &[u8]) -> (String, &[u8]) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), &answer[end + 4..])
}

#[tokio::test]
async fn the_socket_returns_the_same_bytes_as_the_process() {
    let sandbox = sandbox();
    let serving = sandbox.serve().await.unwrap();
    let answer = exchange(&serving.url(), &request("/v1/users?limit=50")).await;
    let (head, body) = parts(&answer);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let direct = sandbox.get("/v1/users?limit=50", &HEADERS).await.unwrap();
    assert!(head.contains(&format!("content-length: {}", direct.body.len())), "{head}");
    assert_eq!(body, &direct.body[..]);
    assert_eq!(sandbox.violations(), []);
}

#[tokio::test]
async fn gzip_is_sent_only_on_request_and_contains_the_same_page() {
    let sandbox = sandbox();
    let plain = sandbox.get("/v1/users?limit=50", &HEADERS).await.unwrap();
    assert_eq!(plain.header("content-encoding"), None);
    let headers = [HEADERS[0], HEADERS[1], ("accept-encoding", "br, gzip;q=0.8")];
    for _ in 0..2 {
        let packed = sandbox.get("/v1/users?limit=50", &headers).await.unwrap();
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(&packed.body[..]),
            &mut unpacked,
        )
        .unwrap();
        assert_eq!(unpacked, plain.body);
    }
    // A changed page is compressed again.
    sandbox.add_user(sandbox.latest() + 1);
    let packed = sandbox.get("/v1/users?limit=50", &headers).await.unwrap();
    let mut unpacked = String::new();
    std::io::Read::read_to_string(
        &mut flate2::read::GzDecoder::new(&packed.body[..]),
        &mut unpacked,
    )
    .unwrap();
    assert!(unpacked.contains(sandbox.ids("users").last().unwrap()));
}

#[tokio::test]
async fn cut_bodies_and_resets_are_real_on_the_socket() {
    let sandbox = sandbox();
    sandbox.fault(FaultRule::on("/v1/users").call(1).cut_body(1000));
    sandbox.fault(FaultRule::on("/v1/users").call(2).reset());
    let serving = sandbox.serve().await.unwrap();
    let answer = exchange(&serving.url(), &request("/v1/users?limit=50")).await;
    let (head, body) = parts(&answer);
    let whole = sandbox
        .rows("users")
        .iter()
        .rev()
        .take(50)
        .map(|row| row.to_string().len() + 1)
        .sum::<usize>()
        + 1;
    assert!(head.contains(&format!("content-length: {whole}")), "{head}");
    assert_eq!(body.len(), 1000);
    assert!(exchange(&serving.url(), &request("/v1/users")).await.is_empty());
    assert!(!exchange(&serving.url(), &request("/v1/users")).await.is_empty());
}

#[tokio::test]
async fn the_server_stops_when_dropped() {
    let serving = sandbox().serve().await.unwrap();
    let url = serving.url();
    assert!(!exchange(&url, &request("/v1/instance")).await.is_empty());
    drop(serving);
    // The listener is closed only once the runtime has dropped its task.
    while TcpStream::connect(url.trim_start_matches("http://")).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn control_pages_are_open_and_not_counted() {
    let sandbox = sandbox();
    status(&sandbox, "/v1/users").await;
    let stats = sandbox.get("/sandbox/stats", &[]).await.unwrap().json();
    assert_eq!(stats["requests"], 1);
    assert_eq!(stats["requests_by_path"], json!({ "/v1/users": 1 }));
    assert_eq!(stats["rows"]["users"], 100);
    let rows = sandbox.get("/sandbox/rows/organizations", &[]).await.unwrap();
    let lines: Vec<Value> = std::str::from_utf8(&rows.body)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, sandbox.organizations());
    assert_eq!(sandbox.get("/sandbox/health", &[]).await.unwrap().status, 200);
    assert_eq!(sandbox.get("/sandbox/rows/nothing", &[]).await.unwrap().status, 404);
    assert_eq!(sandbox.total_requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn customer_traffic_uses_part_of_the_limit_and_can_be_changed() {
    let sandbox = sandbox();
    sandbox.limit(20, Duration::from_secs(10));
    sandbox.get("/sandbox/customer-traffic/1000", &[]).await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(status(&sandbox, "/v1/users").await, 429);
    sandbox.get("/sandbox/customer-traffic/0", &[]).await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(status(&sandbox, "/v1/users").await, 200);
    assert_eq!(sandbox.get("/sandbox/customer-traffic/many", &[]).await.unwrap().status, 404);
    let stats = sandbox.get("/sandbox/stats", &[]).await.unwrap().json();
    assert_eq!(stats["customer_requests"], sandbox.customer_requests());
    assert!(sandbox.customer_refused() > 900, "{stats}");
    assert_eq!((sandbox.total_requests(), sandbox.rate_limited_count()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn latency_and_limit_can_be_changed() {
    let sandbox = sandbox();
    let started = Instant::now();
    sandbox.get("/sandbox/latency-ms/50", &[]).await.unwrap();
    sandbox.get("/sandbox/limit-per-10s/1", &[]).await.unwrap();
    assert_eq!(status(&sandbox, "/v1/users").await, 200);
    assert_eq!(status(&sandbox, "/v1/users").await, 429);
    assert_eq!(started.elapsed(), Duration::from_millis(100));
    sandbox.get("/sandbox/limit-per-10s/0", &[]).await.unwrap();
    assert_eq!(status(&sandbox, "/v1/users").await, 200);
    sandbox.get("/sandbox/limit-per-10s/1", &[]).await.unwrap();
    assert_eq!(status(&sandbox, "/v1/users").await, 200);
    assert_eq!(sandbox.get("/sandbox/latency-ms/long", &[]).await.unwrap().status, 404);
}

#[tokio::test(start_paused = true)]
async fn latency_grows_with_requests_in_flight_when_workers_are_few() {
    let sandbox = sandbox();
    sandbox.set_latency(Duration::from_secs(1), Duration::ZERO);
    sandbox.set_workers(2);
    let started = Instant::now();
    let ask = || status(&sandbox, "/v1/users");
    tokio::join!(ask(), ask(), ask(), ask());
    assert_eq!(started.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn requests_can_take_time_to_arrive() {
    let sandbox = sandbox();
    sandbox.set_travel(Duration::from_secs(1));
    let started = Instant::now();
    for _ in 0..20 {
        status(&sandbox, "/v1/users").await;
    }
    assert!((5..15).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert_eq!(sandbox.requests()[19].at, Instant::now());
}
