//! Sends GET requests to Clerk: waits for a slot and a turn, retries, and picks up a rotated key.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::Bytes;
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::no_answer::is_web_page;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde::de::IgnoredAny;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, warn};
use url::Url;

use crate::clock::Clock;
use crate::secret_key::SecretKey;
use crate::secret_source::SecretSource;
use crate::work_limit::WorkLimit;

use super::answer_codes::{Meaning, meaning_of};
use super::bytes_in_flight::{BytesInFlight, Room};
use super::concurrency::{self, Concurrency, Slot};
use super::error::{ClerkError, Fault, Refusal, Unreadable};
use super::latency::{Latencies, Latency};
use super::pace::Pace;
use super::retry::{RetryPolicy, retry_after};
use super::transport::{Answer, Transport, TransportError};
use super::urgency::Urgency;
use super::wire;

/// The only client of an invocation, so that all requests share one pace and one concurrency limit.
#[derive(Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
    api_url: Url,
    api_version: HeaderValue,
    key: Key,
    /// Clerk's id of the instance being read, once known.
    instance_id: OnceLock<String>,
    pace: Pace,
    /// Held by the request that is next in turn, so that only one request at a time watches the clock.
    turnstile: Mutex<()>,
    concurrency: Arc<Concurrency>,
    bytes: Arc<BytesInFlight>,
    retry: RetryPolicy,
    work_limit: Arc<WorkLimit>,
    clock: Clock,
    counters: Counters,
    latencies: Latencies,
    /// Latency of the latest answer, in microseconds.
    latest_latency: AtomicU64,
    /// Time this machine takes to parse a page, in microseconds: a moving average.
    reading: AtomicU64,
    /// How many pages this machine can parse in parallel.
    processors: f64,
    max_concurrency: usize,
}

/// Settings of a [`Client`].
#[derive(Debug)]
pub struct ClientSettings {
    /// Base of every URL, ending in `/v1`.
    pub api_url: Url,
    /// Value of the `Clerk-API-Version` header.
    pub api_version: HeaderValue,
    /// Most requests in any ten seconds: the instance's limit times the configured share.
    pub requests_per_10s: f64,
    /// Most requests in flight.
    pub max_concurrency: usize,
    /// How often a request is retried, and after how long.
    pub retry: RetryPolicy,
}

/// The key in use, and where to read it again.
struct Key {
    source: Arc<dyn SecretSource>,
    current: Mutex<CurrentKey>,
}

struct CurrentKey {
    key: SecretKey,
    /// How many keys were in use before this one. A 401 for an earlier key says nothing about this one.
    generation: u32,
    /// Whether this invocation has already read the secret again.
    read_again: bool,
    /// Why the key found by that second reading cannot be used.
    no_other: Option<Arc<ClerkError>>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(hidden)")
    }
}

/// The Clerk instance that a key belongs to (Clerk OpenAPI, schema `Instance`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysInstance {
    /// `ins_…`.
    pub id: String,
    /// `production`, `development`, …
    pub environment: String,
}

/// Running totals of this invocation's requests.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    rate_limited: AtomicU64,
    waited_micros: AtomicU64,
}

/// A snapshot of [`Counters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests that repeated an earlier one.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Total time that requests waited for their turn.
    pub waited: Duration,
}

/// How a client's slots and memory are used right now.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Slots for requests in flight.
    pub slots: concurrency::Usage,
    /// Bytes of bodies, of pages waiting to be stored, and of parts being stored.
    pub bytes_held: usize,
    /// Whether a body waits for room to start.
    pub waits_for_room: bool,
}

/// Shortest latency assumed in estimates: an even faster answer must not shrink them.
const SHORTEST_LATENCY: Duration = Duration::from_millis(20);

/// Tells which instance a key belongs to (Clerk OpenAPI, GET /instance).
const INSTANCE_PATH: &str = "/instance";

fn decode_instance(body: Bytes) -> Result<KeysInstance, Unreadable> {
    let instance: wire::Instance<'_> = wire::decode_object(&body)?;
    Ok(KeysInstance {
        id: instance.id.as_str().to_owned(),
        environment: instance.environment_type.as_str().to_owned(),
    })
}

const API_VERSION: HeaderName = HeaderName::from_static("clerk-api-version");

impl Client {
    /// A client that authenticates with `key`, and reads it again from `source` after a 401.
    pub fn new(
        settings: ClientSettings,
        transport: Arc<dyn Transport>,
        key: SecretKey,
        source: Arc<dyn SecretSource>,
        work_limit: Arc<WorkLimit>,
        clock: Clock,
    ) -> Self {
        Self {
            transport,
            api_url: settings.api_url,
            api_version: settings.api_version,
            key: Key {
                source,
                current: Mutex::new(CurrentKey {
                    key,
                    generation: 0,
                    read_again: false,
                    no_other: None,
                }),
            },
            instance_id: OnceLock::new(),
            pace: Pace::new(settings.requests_per_10s),
            turnstile: Mutex::default(),
            concurrency: Concurrency::new(settings.max_concurrency),
            bytes: Arc::default(),
            retry: settings.retry,
            work_limit,
            clock,
            counters: Counters::default(),
            latencies: Latencies::default(),
            latest_latency: AtomicU64::new(0),
            reading: AtomicU64::new(0),
            processors: available_parallelism().map_or(1.0, |processors| processors.get() as f64),
            max_concurrency: settings.max_concurrency,
        }
    }

    /// Asks which instance the key belongs to (Clerk OpenAPI, GET /instance). After the first answer, the client
    /// accepts a rotated key only if it belongs to the same instance.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    pub async fn instance(&self) -> Result<KeysInstance, ClerkError> {
        let instance = self.get(INSTANCE_PATH, &[], decode_instance).await?;
        self.instance_id.get_or_init(|| instance.id.clone());
        Ok(instance)
    }

    /// How many times the key has changed. If the number has grown, the secret was rotated.
    pub async fn key_changes(&self) -> u32 {
        self.key.current.lock().await.generation
    }

    /// Counts bytes that are in memory already towards the limit for bodies, until the room is dropped. The holder must
    /// not wait for an answer.
    #[must_use]
    pub fn count_bytes(&self, bytes: usize) -> Room {
        self.bytes.room_already_taken(bytes)
    }

    /// How the client's slots and memory are used right now.
    pub fn usage(&self) -> Usage {
        let (bytes_held, waits_for_room) = self.bytes.usage();
        Usage { slots: self.concurrency.usage(), bytes_held, waits_for_room }
    }

    /// Most requests in flight at once.
    pub const fn max_concurrency(&self) -> usize {
        self.max_concurrency
    }

    /// Requests that the rate allows in `time`, plus a quarter because latencies vary.
    pub fn requests_in(&self, time: Duration) -> usize {
        (self.pace.requests_in(time) * 1.25).ceil() as usize
    }

    /// Requests in flight needed to reach the allowed rate if each is answered after `latency` and its page stays in
    /// memory for `kept` until it is stored. If this machine cannot parse pages that fast, the number that keeps it
    /// busy.
    pub fn requests_to_fill(&self, latency: Latency, kept: Duration) -> usize {
        let reading = Duration::from_micros(self.reading.load(Ordering::Relaxed));
        let paced = self.requests_in(latency.recent + kept);
        if reading.is_zero() {
            return paced;
        }
        // Leave out latency caused by the requests' own queue: it grows with the number of requests, so even more would
        // seem to be needed.
        let unhindered = (latency.best * 3 / 2).min(latency.recent) + kept;
        let read = self.processors * unhindered.as_secs_f64() / reading.as_secs_f64();
        paced.min((read * 1.25).ceil() as usize)
    }

    /// Adds the time taken to parse one page to the moving average.
    fn record_parse_time(&self, took: Duration) {
        let before = self.reading.load(Ordering::Relaxed);
        let took = took.as_micros() as u64;
        let mean = if before == 0 { took } else { (before * 3 + took) / 4 };
        self.reading.store(mean, Ordering::Relaxed);
    }

    /// Latency of the latest answer of any list.
    pub fn latest_latency(&self) -> Latency {
        let latest = Duration::from_micros(self.latest_latency.load(Ordering::Relaxed));
        Latency { best: latest, recent: latest }.at_least(SHORTEST_LATENCY)
    }

    /// Estimated latency for `path`: that of its own recent answers, or else of the latest answer of any list.
    pub fn expected_latency(&self, path: &str) -> Latency {
        match self.latency_of(path) {
            Some(latency) => latency.at_least(SHORTEST_LATENCY),
            None => self.latest_latency(),
        }
    }

    /// Latency of the list at `path`; `None` before its first answer.
    pub fn latency_of(&self, path: &str) -> Option<Latency> {
        self.latencies.of(&list_of(path, &[]))
    }

    /// Least time that this many `requests` take if each is answered after `latency`.
    pub fn time_for(&self, requests: u64, latency: Duration) -> Duration {
        let in_turn = latency.as_secs_f64() / self.max_concurrency.max(1) as f64;
        let paced = 1.0 / self.pace.requests_in(Duration::from_secs(1));
        Duration::try_from_secs_f64(requests as f64 * in_turn.max(paced)).unwrap_or(Duration::MAX)
    }

    /// The totals so far.
    pub fn counted(&self) -> Counted {
        Counted {
            requests: self.counters.requests.load(Ordering::Relaxed),
            retries: self.counters.retries.load(Ordering::Relaxed),
            rate_limited: self.counters.rate_limited.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.counters.waited_micros.load(Ordering::Relaxed)),
        }
    }

    /// Requests `path` (such as `/users`) with `query` and decodes the body.
    ///
    /// A body that cannot be decoded is requested again like after any other fault, but at most `MAX_UNREADABLE` times
    /// in total if it is valid JSON.
    ///
    /// # Errors
    /// [`ClerkError`]; each variant says who handles it.
    pub async fn get<T>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        decode: impl Fn(Bytes) -> Result<T, Unreadable>,
    ) -> Result<T, ClerkError> {
        let urgency = Urgency::at_once();
        self.ask(path, query, decode, &urgency, None).await.map(|(decoded, _room)| decoded)
    }

    /// Requests a page as [`get`](Self::get) does, for a page that may wait before it is stored.
    ///
    /// Unless it is urgent, its body waits for room. The caller keeps the returned room, which then covers the page's
    /// lines (`size` bytes), until the page is stored.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    pub async fn get_page<T>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        decode: impl Fn(Bytes) -> Result<T, Unreadable>,
        size: impl Fn(&T) -> usize,
        urgency: &Urgency,
    ) -> Result<(T, Room), ClerkError> {
        let decode = |body: Bytes| {
            let began = Instant::now();
            let page = decode(body);
            self.record_parse_time(began.elapsed());
            page
        };
        let (page, mut room) = self.ask(path, query, decode, urgency, None).await?;
        room.hold(size(&page));
        Ok((page, room))
    }

    /// Sends the request with the key in use, or with `candidate` while all other requests wait for a key.
    async fn ask<T>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        decode: impl Fn(Bytes) -> Result<T, Unreadable>,
        urgency: &Urgency,
        candidate: Option<&SecretKey>,
    ) -> Result<(T, Room), ClerkError> {
        let url = self.url(path, query);
        let list = list_of(path, query);
        let mut attempts = Attempts::default();
        loop {
            // Held until the body has been decoded and dropped.
            let mut room = self.bytes.room(&list, urgency.clone());
            let request = Request { path, list: &list, url: &url, again: attempts.total() > 0 };
            let asked = self.send(request, &mut room, urgency, candidate).await?;
            // An error's body is small, and its request may wait for another key: release the room, which the request
            // that tests that key needs.
            if !asked.is_good() {
                room.hold(0);
            }
            let (fault, wait) = match self.handle_answer(path, asked).await? {
                Verdict::Good(body) => match decode(body.clone()) {
                    Ok(decoded) => return Ok((decoded, room)),
                    Err(unreadable) => {
                        attempts.unreadable += u32::from(is_json(&body));
                        (Fault::Unreadable(unreadable), None)
                    }
                },
                Verdict::NewKey => {
                    attempts.faults += 1;
                    continue;
                }
                Verdict::Faulty(fault, wait) => (fault, wait),
            };
            drop(room);
            attempts.count(&fault);
            self.wait_after(path, fault, wait, attempts).await?;
        }
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.api_url.clone();
        url.set_path(&format!("{}{path}", self.api_url.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Sends one request when its turn comes and waits for the answer as long as the invocation can.
    ///
    /// - The slot is taken before the turn, so that no turn is wasted, and held until the answer is complete.
    /// - A request with a `candidate` key uses the slot of the request that got the 401: requests waiting for the key
    ///   may hold all others.
    async fn send(
        &self,
        Request { path, list, url, again }: Request<'_>,
        room: &mut Room,
        urgency: &Urgency,
        candidate: Option<&SecretKey>,
    ) -> Result<Asked, ClerkError> {
        let mut slot = match candidate {
            None => Some(self.concurrency.slot(urgency).await),
            Some(_) => None,
        };
        let (headers, generation) = match candidate {
            None => {
                let (headers, generation) = self.headers_in_turn(path).await?;
                (headers, Some(generation))
            }
            Some(key) => {
                self.wait_for_turn(path).await?;
                (self.headers(key), None)
            }
        };
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        if again {
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
        }
        let sent = Instant::now();
        if let Some(slot) = &mut slot {
            slot.send(sent);
        }
        let answer = tokio::select! {
            biased;
            answer = self.transport.get(url, headers, room) => answer,
            why = self.work_limit.drained() => {
                return Err(ClerkError::OutOfTime { endpoint: path.to_owned(), why });
            }
        };
        let answered_at = Instant::now();
        let took = (answered_at - sent).saturating_sub(room.waited());
        self.latencies.record(list, took);
        if let Ok(answer) = &answer {
            self.latest_latency.store(took.as_micros() as u64, Ordering::Relaxed);
            debug!(
                clerk.path = path,
                clerk.status = answer.status,
                elapsed_ms = took.as_millis() as u64,
                bytes = answer.body.len(),
                "Clerk answered"
            );
        }
        if answer.as_ref().is_ok_and(|answer| (200..=299).contains(&answer.status)) {
            room.complete();
            if let Some(slot) = slot.take() {
                slot.answered_well(list, sent + took);
            }
        }
        Ok(Asked { answer: answer.map_err(Fault::from), sent, generation, _slot: slot })
    }

    /// Waits for a turn and returns the headers and the key's generation. While the secret is being read again nothing
    /// is sent. A turn that came up meanwhile is forfeited, because a pause may have started since.
    async fn headers_in_turn(&self, path: &str) -> Result<(HeaderMap, u32), ClerkError> {
        loop {
            self.wait_for_turn(path).await?;
            if let Ok(current) = self.key.current.try_lock() {
                return Ok((self.headers(&current.key), current.generation));
            }
            drop(self.key.current.lock().await);
        }
    }

    async fn wait_for_turn(&self, path: &str) -> Result<(), ClerkError> {
        let _turnstile = self.turnstile.lock().await;
        loop {
            let now = Instant::now();
            let Err(not_yet) = self.pace.take(now) else { return Ok(()) };
            if not_yet.paused && !self.work_limit.allows_pause(not_yet.until - now) {
                return Err(ClerkError::Paused {
                    retry_at: self.clock.now() + (not_yet.until - now),
                });
            }
            let slept = self.sleep_until(path, not_yet.until).await;
            // Only one request waits inside the turnstile, so no interval is counted twice.
            let waited = now.elapsed().as_micros() as u64;
            self.counters.waited_micros.fetch_add(waited, Ordering::Relaxed);
            slept?;
        }
    }

    async fn sleep_until(&self, path: &str, until: Instant) -> Result<(), ClerkError> {
        self.work_limit
            .sleep_until(until)
            .await
            .map_err(|why| ClerkError::OutOfTime { endpoint: path.to_owned(), why })
    }

    fn headers(&self, key: &SecretKey) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(AUTHORIZATION, key.authorization());
        headers.insert(API_VERSION, self.api_version.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers
    }

    /// Decides what an answer means, status by status, and adjusts the pace and the concurrency to it; after a 401 it
    /// reads the key again. No status means "empty".
    async fn handle_answer(
        &self,
        path: &str,
        Asked { answer, sent, generation, _slot }: Asked,
    ) -> Result<Verdict, ClerkError> {
        let now = Instant::now();
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) => {
                if matches!(&fault, Fault::Transport(error) if error.is_time_out()) {
                    self.concurrency.overloaded(sent, now);
                }
                return Ok(Verdict::Faulty(fault, None));
            }
        };
        let wait = self.retry_after_wait(&answer);
        let endpoint = || path.to_owned();
        match answer.status {
            status @ 200..=299 if is_web_page(&answer.body) => {
                Ok(Verdict::Faulty(Fault::WebPage(status), None))
            }
            200..=299 => Ok(Verdict::Good(answer.body)),
            401 => self.unauthorized(path, &answer, generation).await,
            429 => {
                self.counters.rate_limited.fetch_add(1, Ordering::Relaxed);
                self.concurrency.overloaded(sent, now);
                self.pace.refused(sent, now, wait);
                Ok(Verdict::Faulty(Fault::RateLimited, wait))
            }
            500..=599 => {
                self.concurrency.overloaded(sent, now);
                if let Some(wait) = wait {
                    self.pace.pause(now, wait);
                }
                Ok(Verdict::Faulty(Fault::Status(answer.status), wait))
            }
            status @ 400..=499 => {
                let (endpoint, refusal) = (endpoint(), Refusal::from_body(&answer.body));
                match meaning_of(status, refusal.code.as_deref()) {
                    Meaning::NoSuchFeature => {
                        Err(ClerkError::Refused { endpoint, status, refusal })
                    }
                    Meaning::KeyMayNot => Err(ClerkError::Forbidden { endpoint, status, refusal }),
                    Meaning::NotAccepted => Err(ClerkError::Rejected { endpoint, status, refusal }),
                    Meaning::TryAgain => {
                        if let Some(wait) = wait {
                            self.pace.pause(now, wait);
                        }
                        let fault = match refusal.code {
                            Some(_) => Fault::Status(status),
                            None => Fault::NotClerks(status),
                        };
                        Ok(Verdict::Faulty(fault, wait))
                    }
                }
            }
            // A redirect (they are not followed), or a status outside of HTTP.
            status => Err(ClerkError::NotClerk { endpoint: endpoint(), status }),
        }
    }

    fn retry_after_wait(&self, answer: &Answer) -> Option<Duration> {
        let value = answer.headers.get(RETRY_AFTER)?.to_str().ok()?;
        retry_after(value, self.clock.now().to_date_time())
    }

    /// Reads the secret once more, in case it was rotated. Requests that got a 401 at the same time share one reading.
    /// `generation` is that of the refused key; it is `None` for a candidate, which has no alternative.
    async fn unauthorized(
        &self,
        path: &str,
        answer: &Answer,
        generation: Option<u32>,
    ) -> Result<Verdict, ClerkError> {
        let refused = || ClerkError::Unauthorized {
            endpoint: path.to_owned(),
            refusal: Refusal::from_body(&answer.body),
            is_from_secret: self.key.source.can_rotate(),
        };
        let Some(generation) = generation else { return Err(refused()) };
        let mut current = self.key.current.lock().await;
        if current.generation != generation {
            return Ok(Verdict::NewKey);
        }
        if let Some(why) = &current.no_other {
            return Err(ClerkError::NoOtherKey(Arc::clone(why)));
        }
        if current.read_again || !self.key.source.can_rotate() {
            return Err(refused());
        }
        current.read_again = true;
        match self.another_key(path, &current.key).await {
            Ok(Some(key)) => {
                warn!(
                    clerk.path = path,
                    "Clerk answered 401; using the new key that the secret holds"
                );
                current.key = key;
                current.generation += 1;
                Ok(Verdict::NewKey)
            }
            Ok(None) => Err(refused()),
            Err(error) => {
                let why = current.no_other.insert(Arc::new(error));
                Err(ClerkError::NoOtherKey(Arc::clone(why)))
            }
        }
    }

    /// The key that the secret holds now, if it differs from the refused one. If the instance being read is known,
    /// Clerk must first confirm that the new key belongs to it.
    async fn another_key(
        &self,
        path: &str,
        refused: &SecretKey,
    ) -> Result<Option<SecretKey>, ClerkError> {
        let key = self.key.source.read().await.map_err(|source| ClerkError::SecretUnavailable {
            endpoint: path.to_owned(),
            source,
        })?;
        if key.same_as(refused) {
            return Ok(None);
        }
        let Some(expected) = self.instance_id.get() else { return Ok(Some(key)) };
        let found = self.instance_of(&key).await?.id;
        if found != *expected {
            return Err(ClerkError::OtherInstance { expected: expected.clone(), found });
        }
        Ok(Some(key))
    }

    /// Asks Clerk which instance a `candidate` key belongs to. Boxed, because the compiler sees recursion: `ask` can
    /// lead back here.
    fn instance_of<'a>(
        &'a self,
        candidate: &'a SecretKey,
    ) -> BoxFuture<'a, Result<KeysInstance, ClerkError>> {
        async move {
            let urgency = Urgency::at_once();
            let asked = self.ask(INSTANCE_PATH, &[], decode_instance, &urgency, Some(candidate));
            asked.await.map(|(instance, _room)| instance)
        }
        .boxed()
    }

    /// Waits before the next attempt, or returns why there is none.
    async fn wait_after(
        &self,
        path: &str,
        fault: Fault,
        named: Option<Duration>,
        attempts: Attempts,
    ) -> Result<(), ClerkError> {
        let endpoint = path.to_owned();
        if attempts.spent(&self.retry) || fault.is_permanent() {
            return Err(match fault {
                Fault::Unreadable(unreadable) => {
                    ClerkError::Protocol { endpoint, detail: unreadable.0 }
                }
                Fault::WebPage(status) => ClerkError::NotClerk { endpoint, status },
                last @ Fault::Transport(TransportError::CutShort | TransportError::TooLarge) => {
                    ClerkError::Protocol { endpoint, detail: last.to_string() }
                }
                last => ClerkError::Unavailable { endpoint, attempts: attempts.total(), last },
            });
        }
        let wait = named.unwrap_or_else(|| self.retry.wait(attempts.total(), fastrand::f64()));
        warn!(
            clerk.path = path,
            attempt = attempts.total(),
            wait_ms = wait.as_millis() as u64,
            cause = %Causes(&fault),
            "retrying the request to Clerk"
        );
        if named.is_some() {
            // The pause applies to every request, so this one waits for it at its next turn.
            return Ok(());
        }
        self.sleep_until(path, Instant::now() + wait).await
    }

    /// When Clerk may be asked again, if a pause that Clerk asked for is not over yet.
    pub fn retry_at(&self) -> Option<Timestamp> {
        self.pace.pause_left(Instant::now()).map(|left| self.clock.now() + left)
    }

    /// Resumes a pause from an earlier invocation: nothing is sent until it is over.
    pub fn pause_for(&self, wait: Duration) {
        self.pace.pause(Instant::now(), wait);
    }
}

/// A request to send.
struct Request<'a> {
    path: &'a str,
    /// The list it belongs to: answers of one list have similar latencies.
    list: &'a str,
    url: &'a Url,
    /// Whether it repeats an earlier request.
    again: bool,
}

/// A request that was sent, with its answer or fault.
struct Asked {
    answer: Result<Answer, Fault>,
    sent: Instant,
    /// Generation of the key it was sent with; `None` for a candidate.
    generation: Option<u32>,
    /// Kept while another key is being looked for: the request that tests that key uses this slot.
    _slot: Option<Slot>,
}

impl Asked {
    /// Whether the status is 2xx, so that the body may be the one requested.
    fn is_good(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| (200..=299).contains(&answer.status))
    }
}

enum Verdict {
    Good(Bytes),
    NewKey,
    Faulty(Fault, Option<Duration>),
}

#[derive(Debug, Default, Clone, Copy)]
struct Attempts {
    faults: u32,
    rate_limited: u32,
    /// How many of the faults were valid JSON that could not be decoded.
    unreadable: u32,
}

/// Attempts at an answer that is valid JSON but cannot be decoded. A passing server fault may be gone the second time;
/// bad data stays.
const MAX_UNREADABLE: u32 = 2;

/// Whether a body is complete JSON, if of the wrong shape.
fn is_json(body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).ok();
    text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

impl Attempts {
    const fn total(self) -> u32 {
        self.faults + self.rate_limited
    }

    const fn count(&mut self, fault: &Fault) {
        match fault {
            Fault::RateLimited => self.rate_limited += 1,
            _ => self.faults += 1,
        }
    }

    fn spent(self, policy: &RetryPolicy) -> bool {
        self.faults >= policy.attempts
            || self.rate_limited >= policy.rate_limited_attempts
            || self.unreadable >= MAX_UNREADABLE
    }
}

/// Replaces the id in a path with `*`, so that requests for the same list share one latency and there are not as many
/// entries as rows. Requests for a single row are kept apart, because they are answered faster than pages.
fn list_of<'a>(path: &'a str, query: &[(&str, &str)]) -> Cow<'a, str> {
    if query.contains(&("limit", "1")) {
        return Cow::Owned(format!("{path}?limit=1"));
    }
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next(), segments.next()) {
        (Some(parent), Some(_id), Some(list)) => Cow::Owned(format!("/{parent}/*/{list}")),
        _ => Cow::Borrowed(path),
    }
}

/// Formats an error and all its causes on one line.
struct Causes<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
