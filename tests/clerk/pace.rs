//! Promise: the rate limiter uses what Clerk allows, yields to the customer's own requests, and
//! recovers. One client always has another request; Clerk's latency, limit and customer are set by
//! the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_sandbox::{DEFAULT_KEY, Effect, FaultRule, LoggedRequest, Population, Sandbox};
use clerk_sync::clerk::bytes_in_flight::Room;
use clerk_sync::clerk::client::{Client, ClientSettings};
use clerk_sync::clerk::retry::RetryPolicy;
use clerk_sync::clerk::transport::{Answer, Transport, TransportError};
use clerk_sync::clerk::urgency::Urgency;
use clerk_sync::clock::Clock;
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{SecretError, SecretSource};
use clerk_sync::time_budget::TimeBudget;
use clerk_sync::work_limit::WorkLimit;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use crate::support::sandbox_transport::SandboxTransport;
use crate::support::scripted_secret::ScriptedSecret;

/// The period of Clerk's limits.
const WINDOW: Duration = Duration::from_secs(10);
/// The default of `MAX_CONCURRENCY`.
const MAX_IN_FLIGHT: usize = 32;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A Clerk, and a client that sends requests until this is dropped.
struct Asking {
    sandbox: Sandbox,
    client: Arc<Client>,
    _tasks: JoinSet<()>,
}

impl Asking {
    /// Sends requests over a transport of its own, without a relevant limit.
    fn over(sandbox: Sandbox, transport: impl Transport + 'static) -> Self {
        let secret = ScriptedSecret::new([DEFAULT_KEY]);
        Self::with(sandbox, client(transport, 1e6, secret))
    }

    /// Sends as many requests as an allowance per ten seconds permits.
    fn begin(sandbox: Sandbox, allowance: f64) -> Self {
        let transport = SandboxTransport(sandbox.clone());
        let client = client(transport, allowance, ScriptedSecret::new([DEFAULT_KEY]));
        Self::with(sandbox, client)
    }

    fn with(sandbox: Sandbox, client: Client) -> Self {
        let client = Arc::new(client);
        let mut tasks = JoinSet::new();
        for _ in 0..2 * MAX_IN_FLIGHT {
            let client = Arc::clone(&client);
            tasks.spawn(async move {
                loop {
                    let urgency = Urgency::default();
                    let asked =
                        client.get_page("/instance", &[], |_| Ok(()), |()| 0, &urgency).await;
                    asked.expect("every request is answered in the end");
                }
            });
        }
        Self { sandbox, client, _tasks: tasks }
    }

    /// Lets time pass.
    async fn for_seconds(&self, for_seconds: u64) -> Segment {
        let from = Instant::now();
        let (sent, refused) = self.customer();
        tokio::time::sleep(seconds(for_seconds)).await;
        let until = Instant::now();
        let (sent_by_now, refused_by_now) = self.customer();
        let requests = self.sandbox.requests();
        Segment {
            requests: requests.into_iter().filter(|r| (from..until).contains(&r.at)).collect(),
            seconds: for_seconds,
            customer_requests: sent_by_now - sent,
            customer_refused: refused_by_now - refused,
        }
    }

    /// The number of requests in flight.
    fn in_flight(&self) -> u32 {
        let requests = self.sandbox.requests();
        requests.iter().map(|request| u32::from(request.status.is_none())).sum()
    }

    fn customer(&self) -> (u64, u64) {
        (self.sandbox.customer_requests(), self.sandbox.customer_refused())
    }
}

/// What happened in some seconds.
struct Segment {
    requests: Vec<LoggedRequest>,
    seconds: u64,
    customer_requests: u64,
    customer_refused: u64,
}

impl Segment {
    /// Requests in ten seconds.
    fn rate(&self) -> f64 {
        self.requests.len() as f64 * WINDOW.as_secs_f64() / self.seconds as f64
    }

    fn refused(&self) -> usize {
        self.requests.iter().filter(|request| request.status == Some(429)).count()
    }

    /// The share of the answers that were 429.
    fn refused_share(&self) -> f64 {
        self.refused() as f64 / self.requests.len().max(1) as f64
    }
}

fn client(
    transport: impl Transport + 'static,
    allowance: f64,
    secret: impl SecretSource + 'static,
) -> Client {
    let (_, interrupt) = watch::channel(false);
    let reserve = Duration::ZERO;
    Client::new(
        ClientSettings {
            api_url: "http://127.0.0.1:1/v1".parse().unwrap(),
            api_version: HeaderValue::from_static("2026-05-12"),
            requests_per_10s: allowance,
            max_concurrency: MAX_IN_FLIGHT,
            retry: RetryPolicy::default(),
        },
        Arc::new(transport),
        SecretKey::parse(DEFAULT_KEY).unwrap(),
        Arc::new(secret),
        Arc::new(WorkLimit::new(TimeBudget::unlimited(), None, reserve, interrupt)),
        Clock::simulated(SystemTime::UNIX_EPOCH),
    )
}

/// A small Clerk whose answers take `latency`, a tenth more or less.
fn sandbox(seed: u64, latency: Duration) -> Sandbox {
    let sandbox = Sandbox::new(Population { seed, ..Population::none() });
    sandbox.set_latency(latency.mul_f64(0.9), latency.mul_f64(0.2));
    sandbox
}

/// Latencies of a Clerk nearby, of one far away, and of one that is in trouble.
const LATENCIES: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(300), Duration::from_secs(2)];

/// At any latency, at least 95 % of what is allowed is used, no window of ten seconds holds more,
/// and hardly anything is answered 429, although requests take up to 100 ms to arrive and overtake
/// each other. If 32 requests in flight cannot use the rate (160 in ten seconds at 2 s), 95 % of
/// what they can is used.
#[tokio::test(start_paused = true)]
async fn the_rate_allowed_is_used_at_any_latency() {
    for (limit, share) in [(100, 1.0), (100, 0.5), (1000, 1.0), (1000, 0.5)] {
        for (seed, latency) in (0..).zip(LATENCIES) {
            for travel in [Duration::ZERO, Duration::from_millis(100)] {
                let what = format!("{limit} × {share}, {latency:?}, {travel:?} on the way");
                let sandbox = sandbox(seed, latency);
                sandbox.limit(limit, WINDOW);
                sandbox.set_travel(travel);
                let allowed = limit as f64 * share;
                let asking = Asking::begin(sandbox, allowed);
                let first = asking.for_seconds(20).await;
                let then = asking.for_seconds(40).await;
                let round_trip = latency + travel / 2;
                let can = MAX_IN_FLIGHT as f64 * WINDOW.div_duration_f64(round_trip);
                let most = allowed.min(can);
                assert!(first.rate() >= 0.7 * most, "{what}: {} at first", first.rate());
                assert!(then.rate() >= 0.95 * most, "{what}: {} of {most}", then.rate());
                assert!(then.refused_share() <= 0.01, "{what}: {} refused", then.refused_share());
                assert!(asking.sandbox.busiest_window() as f64 <= allowed, "{what}");
            }
        }
    }
}

/// The customer uses half of the limit for a minute. Few requests are refused, of ours and of the
/// customer's; the rest of the limit is used; and the rate recovers when the customer stops.
#[tokio::test(start_paused = true)]
async fn the_pace_yields_to_the_customer_at_once_and_recovers() {
    // Chance matters more with a small limit: the customer's requests come at random times.
    for (limit, most_refused, most_refused_of_customer) in [(1000, 0.02, 0.03), (100, 0.05, 0.1)] {
        for (seed, latency) in (0..6).zip(LATENCIES[..2].iter().cycle()) {
            let what = format!("{limit}, {latency:?}, seed {seed}");
            let sandbox = sandbox(seed, *latency);
            sandbox.limit(limit, WINDOW);
            let asking = Asking::begin(sandbox, limit as f64);
            let before = asking.for_seconds(30).await;
            asking.sandbox.set_customer_traffic(limit / 2);
            let during = asking.for_seconds(60).await;
            asking.sandbox.set_customer_traffic(0);
            let refused = during.refused_share();
            assert!(refused <= most_refused, "{what}: {refused} refused");
            let refused = during.customer_refused as f64 / during.customer_requests as f64;
            assert!(refused <= most_refused_of_customer, "{what}: {refused} of the customer's");
            let used = during.rate() / (limit as f64 / 2.0);
            assert!((0.75..=1.1).contains(&used), "{what}: {used} of what was left");
            asking.for_seconds(25).await;
            let after = asking.for_seconds(5).await;
            assert!(after.rate() >= 0.9 * before.rate(), "{what}: {} after", after.rate());
            assert!(asking.sandbox.busiest_window() <= limit, "{what}");
        }
    }
}

/// However much the customer uses, nothing is sent while Clerk asks to wait, and the rate never
/// falls so low that the run would not notice when the customer stops.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_during_a_pause_however_much_the_customer_uses() {
    let latency = Duration::from_millis(100);
    for (seed, percent) in (0..).zip([25, 60, 90, 100]) {
        let sandbox = sandbox(seed, latency);
        sandbox.set_latency(latency, Duration::ZERO);
        sandbox.limit(200, WINDOW);
        sandbox.set_customer_traffic(2 * percent);
        let asking = Asking::begin(sandbox, 200.0);
        let during = asking.for_seconds(60).await;
        assert!(during.refused() > 0, "{percent} %: nothing to see");
        for refusal in during.requests.iter().filter(|request| request.status == Some(429)) {
            // The sandbox asks for at least a second.
            let answered_at = refusal.at + latency;
            let inside = |request: &&LoggedRequest| {
                request.at > answered_at && request.at < answered_at + seconds(1)
            };
            assert!(!during.requests.iter().any(|request| inside(&request)), "{percent} %");
        }
        asking.sandbox.set_customer_traffic(0);
        asking.for_seconds(60).await;
        assert!(asking.for_seconds(10).await.rate() >= 180.0, "{percent} %");
    }
}

/// A server that handles few requests at once is kept busy, and no queue builds up in front of it.
#[tokio::test(start_paused = true)]
async fn no_more_requests_are_in_flight_than_raise_throughput() {
    for (seed, (millis, workers)) in (0..).zip([(200, 4), (200, 8), (1000, 8), (200, 16)]) {
        let what = format!("{workers} workers, {millis} ms");
        let sandbox = sandbox(seed, Duration::from_millis(millis));
        sandbox.set_workers(workers);
        let asking = Asking::begin(sandbox, 1e6);
        asking.for_seconds(20).await;
        let (mut served, mut waiting) = (0.0, 0);
        for _ in 0..60 {
            served += asking.for_seconds(1).await.rate();
            waiting += asking.in_flight();
        }
        let used = served / 60.0 / (workers as f64 * 10_000.0 / millis as f64);
        assert!(used >= 0.9, "{what}: only {used:.3} of its capacity");
        let mean = f64::from(waiting) / 60.0;
        assert!(mean <= 2.0 * workers as f64, "{what}: {mean} in flight");
    }
}

/// A server that becomes slower, suddenly or gradually as with deep offsets, gets more requests in
/// flight, not fewer, and fewer again when it recovers.
#[tokio::test(start_paused = true)]
async fn a_server_that_becomes_slower_gets_more_requests_in_flight() {
    let allowed = 100.0;
    let sandbox = sandbox(1, Duration::from_millis(100));
    let asking = Asking::begin(sandbox.clone(), allowed);
    asking.for_seconds(10).await;
    assert!(asking.in_flight() <= 3, "100 ms at ten a second");
    sandbox.set_latency(seconds(2), Duration::from_millis(200));
    asking.for_seconds(30).await;
    assert!(asking.for_seconds(20).await.rate() >= 0.95 * allowed);
    for millis in (100..2500).step_by(100) {
        sandbox.set_latency(Duration::from_millis(millis), Duration::from_millis(50));
        let rate = asking.for_seconds(5).await.rate();
        assert!(rate >= 0.75 * allowed, "{millis} ms: {rate}");
    }
}

/// A secret that takes a while to read.
#[derive(Debug)]
struct SlowSecret;

#[async_trait]
impl SecretSource for SlowSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        tokio::time::sleep(seconds(5)).await;
        Ok(SecretKey::parse("sk_test_rotated").unwrap())
    }

    fn can_rotate(&self) -> bool {
        true
    }
}

/// A request that was due while the key was read again is not sent during a pause that began
/// meanwhile.
#[tokio::test(start_paused = true)]
async fn a_request_delayed_by_a_new_key_is_not_sent_during_a_pause() {
    let sandbox = sandbox(1, Duration::ZERO);
    sandbox.accept_key("sk_test_rotated");
    sandbox.set_latency(seconds(1), Duration::ZERO);
    sandbox.fault(FaultRule::on("/v1/instance").call(1).status(401, "clerk_key_invalid"));
    sandbox.fault(FaultRule::on("/v1/instance").call(2).delay(seconds(1)).too_many_requests(20));
    let client = Arc::new(client(SandboxTransport(sandbox.clone()), 1000.0, SlowSecret));
    let mut tasks = JoinSet::new();
    for after in [0, 0, 2, 2] {
        let client = Arc::clone(&client);
        tasks.spawn(async move {
            tokio::time::sleep(seconds(after)).await;
            client.get("/instance", &[], |_| Ok(())).await
        });
    }
    tasks.join_all().await.into_iter().for_each(|asked| asked.unwrap());
    let requests = sandbox.requests();
    let answered_at = requests[1].at + seconds(2);
    assert_eq!(requests.len(), 6);
    assert!(
        requests[2..].iter().all(|request| request.at >= answered_at + seconds(20)),
        "{requests:#?}"
    );
}

/// A network on which a megabyte takes a while, and which counts the bytes of bodies that are held.
#[derive(Debug)]
struct Line {
    sandbox: Sandbox,
    a_megabyte_takes: Duration,
    held: Arc<Held>,
}

#[derive(Debug, Default)]
struct Held {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A body, or the part of it that has arrived.
struct HeldBody {
    bytes: Vec<u8>,
    held: Arc<Held>,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        self.held.now.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[async_trait]
impl Transport for Line {
    async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        room: &mut Room,
    ) -> Result<Answer, TransportError> {
        let key = headers["authorization"].to_str().unwrap();
        let answer = self.sandbox.get(url.path(), &[("authorization", key)]).await.unwrap();
        let mut body = HeldBody { bytes: Vec::new(), held: Arc::clone(&self.held) };
        for chunk in answer.body.chunks(MEGABYTE / 4) {
            tokio::time::sleep(self.a_megabyte_takes / 4).await;
            room.take(chunk.len()).await;
            body.bytes.extend_from_slice(chunk);
            let now = self.held.now.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
            self.held.most.fetch_max(now, Ordering::Relaxed);
        }
        let body = Bytes::from_owner(body);
        Ok(Answer { status: answer.status, headers: HeaderMap::new(), body })
    }
}

const MEGABYTE: usize = 1_000_000;
/// docs/reference.md: "Bodies in flight take at most 17 MiB together".
const ROOM: usize = 17 * 1024 * 1024;

/// Promise 8: with 32 requests in flight, no more bytes of bodies are held than the limit allows.
/// If bodies are larger than those before, one more of them may be held.
#[tokio::test(start_paused = true)]
async fn bodies_in_flight_take_no_more_than_their_limit() {
    let latency = seconds(1);
    let sandbox = sandbox(1, latency);
    let held = Arc::new(Held::default());
    let a_megabyte_takes = Duration::from_millis(10);
    let line = Line { sandbox: sandbox.clone(), a_megabyte_takes, held: Arc::clone(&held) };
    let pages_of = |bytes: usize| {
        sandbox.clear_faults();
        sandbox.fault(FaultRule::on("*").effect(Effect::Body("x".repeat(bytes))));
    };
    let most = || held.most.swap(0, Ordering::Relaxed);

    pages_of(2 * MEGABYTE);
    let asking = Asking::over(sandbox.clone(), line);
    asking.for_seconds(10).await;
    let rate = asking.for_seconds(10).await.rate();
    assert!(most() <= ROOM + 2 * MEGABYTE, "the first bodies");
    assert!(rate >= 0.9 * 32.0 * 10.0, "{rate}: latency is waited for side by side");

    pages_of(14 * MEGABYTE);
    asking.for_seconds(2).await;
    let surprised = most();
    assert!(surprised <= ROOM + 14 * MEGABYTE, "{surprised}");
    asking.for_seconds(10).await;
    most();
    let rate = asking.for_seconds(20).await.rate();
    let held = most();
    assert!(held <= ROOM, "{held}");
    // The network can carry seven a second, one after the other.
    assert!(rate >= 50.0, "{rate}");
}

/// Bodies of 14 MB that arrive slowly wait many seconds for memory. Clerk is no slower for that, and neither may the
/// requests be that follow from its latency.
#[tokio::test(start_paused = true)]
async fn the_wait_for_memory_is_no_latency_of_the_server() {
    let sandbox = sandbox(1, seconds(1));
    sandbox.fault(FaultRule::on("*").effect(Effect::Body("x".repeat(14 * MEGABYTE))));
    let a_megabyte_takes = Duration::from_millis(100);
    let line = Line { sandbox: sandbox.clone(), a_megabyte_takes, held: Arc::default() };
    let asking = Asking::over(sandbox, line);
    asking.for_seconds(60).await;
    let latency = asking.client.latest_latency().recent;
    assert!((seconds(1)..=seconds(3)).contains(&latency), "{latency:?}");
}

/// Pages keep their memory until the page before them is stored. That page is requested again,
/// while pages behind it hold every place in flight and wait for memory: it still arrives.
#[tokio::test(start_paused = true)]
async fn a_page_that_all_others_wait_for_is_never_blocked() {
    let sandbox = sandbox(1, Duration::from_millis(100));
    sandbox.fault(FaultRule::on("*").effect(Effect::Body("x".repeat(2 * MEGABYTE))));
    let a_megabyte_takes = Duration::from_millis(10);
    let line = Line { sandbox, a_megabyte_takes, held: Arc::default() };
    let client = Arc::new(client(line, 1e6, ScriptedSecret::new([DEFAULT_KEY])));
    let page = |urgency: Urgency| {
        let client = Arc::clone(&client);
        async move {
            let asked = client.get_page("/instance", &[], |_| Ok(()), |()| 2 * MEGABYTE, &urgency);
            asked.await.expect("an answer").1
        }
    };
    let mut behind = JoinSet::new();
    for _ in 0..4 * MAX_IN_FLIGHT {
        behind.spawn(page(Urgency::default()));
    }
    let mut kept = Vec::new();
    while let Ok(room) = tokio::time::timeout(seconds(1), behind.join_next()).await {
        kept.push(room.expect("more pages than fit into memory"));
    }
    assert!(kept.len() >= ROOM / (2 * MEGABYTE), "{} pages", kept.len());
    let urgent = page(Urgency::at_once());
    tokio::time::timeout(seconds(10), urgent).await.expect("it waits for pages that wait for it");
}
