//! The handle of a sandbox, and the path from a request to its answer.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::answer::{self, Answer, ConnectionReset};
use crate::churn::{Churn, ChurnPlan};
use crate::data::{Change, Data, RowRefused};
use crate::faults::{Effect, FaultRule, Faults, Strike};
use crate::limits::Limits;
use crate::lists::{
    ALL, Filter, List, Nested, ORGANIZATION_MEMBERSHIPS, ORGANIZATION_PERMISSIONS,
    ORGANIZATION_ROLES, ORGANIZATIONS, USERS,
};
use crate::population::Population;
use crate::query::{Query, Rules, Search};
use crate::refusal::Refusal;
use crate::requests::{LoggedRequest, Outcome, Requests, RowEdit, Violation, ViolationKind};
use crate::rows::Row;
use crate::workday;

/// The key that a new sandbox accepts. It is valid nowhere else.
pub const DEFAULT_KEY: &str = "sk_test_sandbox";

/// Most bytes of compressed pages kept for later requests; beyond that, all are dropped. Enough for a million users and
/// two million memberships.
const MAX_COMPRESSED_BYTES: usize = 2 * 1024 * 1024 * 1024;

/// Settings that can be changed while a reader is running, at `/sandbox/<setting>/<number>`.
const SETTINGS: [&str; 3] = ["customer-traffic", "latency-ms", "limit-per-10s"];

/// API versions that have no list of roles (Clerk OpenAPI documents 2021-02-05 and 2025-03-12).
const VERSIONS_WITHOUT_ROLES: [&str; 2] = ["2021-02-05", "2025-03-12"];

/// A Clerk-like instance. Clones are handles to the same instance.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

type Hook = Arc<dyn Fn(&Sandbox, &LoggedRequest) + Send + Sync>;

struct Shared {
    data: RwLock<Data>,
    settings: RwLock<Settings>,
    requests: Mutex<Requests>,
    limits: Mutex<Limits>,
    faults: Mutex<Faults>,
    churn: Mutex<Option<Churn>>,
    compressed: Mutex<Compressed>,
}

struct Settings {
    keys: Vec<String>,
    /// Other instances on the same server, each with its key.
    others: Vec<(String, Sandbox)>,
    rules: Rules,
    latency: Duration,
    jitter: Duration,
    longest_travel: Duration,
    /// One permit per request that is processed at the same time.
    workers: Option<Arc<Semaphore>>,
    jitter_random: fastrand::Rng,
    hook: Option<Hook>,
}

#[derive(Default)]
struct Compressed {
    pages: HashMap<String, (u64, Bytes)>,
    bytes: usize,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

/// Content.
impl Sandbox {
    /// A sandbox with synthetic rows.
    pub fn new(population: Population) -> Self {
        Self {
            shared: Arc::new(Shared {
                data: RwLock::new(population.build()),
                settings: RwLock::new(Settings {
                    keys: vec![DEFAULT_KEY.to_owned()],
                    others: Vec::new(),
                    rules: Rules::default(),
                    latency: Duration::ZERO,
                    jitter: Duration::ZERO,
                    longest_travel: Duration::ZERO,
                    workers: None,
                    jitter_random: fastrand::Rng::with_seed(population.seed),
                    hook: None,
                }),
                requests: Mutex::default(),
                limits: Mutex::default(),
                faults: Mutex::default(),
                churn: Mutex::default(),
                compressed: Mutex::default(),
            }),
        }
    }

    /// A sandbox without rows, to be filled by the caller.
    pub fn empty() -> Self {
        Self::new(Population::none())
    }

    /// Renders every row now, on all cores, instead of when it is first read, so that benchmarks measure the reader.
    pub fn render_all(&self) {
        let data = self.data();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for list in ALL {
            let rows = data.table(list.name).rows();
            std::thread::scope(|scope| {
                for part in rows.chunks(rows.len().div_ceil(threads).max(1)) {
                    scope.spawn(move || {
                        for row in part {
                            row.text();
                        }
                    });
                }
            });
        }
    }

    /// All rows of a list (`users`), ascending, each as Clerk would return it; organizations with their counts.
    ///
    /// # Panics
    /// If there is no such list, which must not look like an empty one. The same holds for all methods that take a
    /// list.
    pub fn rows(&self, list: &str) -> Vec<Value> {
        let data = self.data();
        data.table(list).rows().iter().map(|row| data.full_value(list, row)).collect()
    }

    /// All users, ascending.
    pub fn users(&self) -> Vec<Value> {
        self.rows(USERS)
    }

    /// All organizations, ascending, with their counts.
    pub fn organizations(&self) -> Vec<Value> {
        self.rows(ORGANIZATIONS)
    }

    /// All memberships of all organizations, ascending.
    pub fn memberships(&self) -> Vec<Value> {
        self.rows(ORGANIZATION_MEMBERSHIPS)
    }

    /// All organization roles, ascending.
    pub fn roles(&self) -> Vec<Value> {
        self.rows(ORGANIZATION_ROLES)
    }

    /// All organization permissions, ascending.
    pub fn permissions(&self) -> Vec<Value> {
        self.rows(ORGANIZATION_PERMISSIONS)
    }

    /// One row.
    pub fn row(&self, list: &str, id: &str) -> Option<Value> {
        let data = self.data();
        data.table(list).get(id).map(|row| data.full_value(list, row))
    }

    /// The ids of a list, ascending by `created_at`.
    pub fn ids(&self, list: &str) -> Vec<String> {
        self.data().table(list).rows().iter().map(|row| row.id.to_string()).collect()
    }

    /// Number of rows in a list.
    pub fn count(&self, list: &str) -> usize {
        self.data().table(list).rows().len()
    }

    /// The latest `created_at` of any row, in milliseconds since 1970.
    pub fn latest(&self) -> i64 {
        self.data().latest()
    }

    /// Adds a synthetic user created at this time (milliseconds since 1970) and returns its id.
    pub fn add_user(&self, created_at: i64) -> String {
        self.change().add_user(created_at)
    }

    /// Adds a synthetic organization created at this time (milliseconds since 1970) and returns its id.
    pub fn add_organization(&self, created_at: i64) -> String {
        self.change().add_organization(created_at)
    }

    /// Adds a membership and returns its id. The role key need not belong to any role.
    ///
    /// # Errors
    /// [`RowRefused::Unknown`] if there is no such organization or user.
    pub fn add_membership(
        &self,
        organization_id: &str,
        user_id: &str,
        role_key: &str,
        created_at: i64,
    ) -> Result<String, RowRefused> {
        self.change().add_membership(organization_id, user_id, role_key, created_at)
    }

    /// Adds a role with the permissions of these keys and returns its id.
    pub fn add_role(
        &self,
        key: &str,
        name: &str,
        permission_keys: &[&str],
        created_at: i64,
    ) -> String {
        let mut data = self.change();
        let granted: Vec<Value> = data
            .table(ORGANIZATION_PERMISSIONS)
            .rows()
            .iter()
            .map(|row| row.value())
            .filter(|permission| {
                permission["key"].as_str().is_some_and(|key| permission_keys.contains(&key))
            })
            .collect();
        let seed = data.next_seed(ORGANIZATION_ROLES);
        let role = crate::rows::role(seed, key, name, &granted, created_at);
        data.put_value(ORGANIZATION_ROLES, &role, created_at);
        role["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Adds a custom permission and returns its id.
    pub fn add_permission(&self, key: &str, name: &str, created_at: i64) -> String {
        let mut data = self.change();
        let seed = data.next_seed(ORGANIZATION_PERMISSIONS);
        let permission = crate::rows::permission_named(seed, key, name, "user", created_at);
        data.put_value(ORGANIZATION_PERMISSIONS, &permission, created_at);
        permission["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Adds a synthetic row to one of the smaller lists, created at this time (milliseconds since 1970), and returns
    /// its id; `None` for lists that have their own method.
    pub fn add_sample(&self, list: &str, created_at: i64) -> Option<String> {
        self.change().add_sample(crate::data::find_list(list).0, created_at)
    }

    /// Adds a row given as JSON, at its `created_at`, which may be in the past.
    ///
    /// # Errors
    /// If it has no `id`, or the id is taken.
    pub fn insert(&self, list: &str, row: Value) -> Result<(), RowRefused> {
        self.change().insert(list, row)
    }

    /// Changes a row. A changed `created_at` moves it; its `id` stays.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn update(
        &self,
        list: &str,
        id: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<(), RowRefused> {
        self.change().update(list, id, change)
    }

    /// Deletes a row and everything that belongs to it. False if there is no such row.
    pub fn delete(&self, list: &str, id: &str) -> bool {
        self.change().delete(list, id)
    }

    /// Every change since the sandbox was created, in order.
    pub fn history(&self) -> Vec<Change> {
        self.data().history().to_vec()
    }

    /// Sets the answer of `/instance`: `production` or `development`, and the instance's id.
    pub fn set_instance(&self, id: &str, environment: &str) {
        let mut data = self.change();
        data.instance_id = id.to_owned();
        data.environment = environment.to_owned();
    }

    /// The id in the answer of `/instance`.
    pub fn instance_id(&self) -> String {
        self.data().instance_id.clone()
    }
}

/// Behaviour.
impl Sandbox {
    /// Accepts one more key.
    pub fn accept_key(&self, key: impl Into<String>) {
        self.settings_mut().keys.push(key.into());
    }

    /// Accepts only this key from now on.
    pub fn rotate_key(&self, key: impl Into<String>) {
        self.settings_mut().keys = vec![key.into()];
    }

    /// Passes requests with this key to another instance, because all instances share one API. They are logged there.
    pub fn belongs_to(&self, key: impl Into<String>, other: &Self) {
        let key = key.into();
        let mut settings = self.settings_mut();
        settings.others.retain(|(known, _)| *known != key);
        settings.others.push((key, other.clone()));
    }

    /// Sets the choices that Clerk's documentation leaves open.
    pub fn set_rules(&self, rules: Rules) {
        self.settings_mut().rules = rules;
    }

    /// Delays every answer by `latency` and up to `jitter` more, drawn from the population's seed.
    pub fn set_latency(&self, latency: Duration, jitter: Duration) {
        let mut settings = self.settings_mut();
        settings.latency = latency;
        settings.jitter = jitter;
    }

    /// Delays the arrival of each request by a random time of up to `longest`, so that one can overtake another.
    pub fn set_travel(&self, longest: Duration) {
        self.settings_mut().longest_travel = longest;
    }

    /// Processes at most this many requests at once and queues the rest, so that latency grows with the number in
    /// flight. 0 removes the bound.
    pub fn set_workers(&self, workers: usize) {
        self.settings_mut().workers = (workers > 0).then(|| Arc::new(Semaphore::new(workers)));
    }

    /// From now on, the customer's own application sends this many requests in ten seconds, at random times. They count
    /// towards the same limit and may be refused by it, but do not appear anywhere else.
    pub fn set_customer_traffic(&self, requests_per_10s: usize) {
        lock(&self.shared.limits).set_customer(Instant::now(), requests_per_10s);
    }

    /// Serves at most this many requests in any time span of `per`; the others get 429 with `Retry-After`.
    pub fn limit(&self, requests: usize, per: Duration) {
        lock(&self.shared.limits).set(requests, per, true);
    }

    /// Like [`limit`](Self::limit), but the 429 has no `Retry-After`.
    pub fn limit_without_retry_after(&self, requests: usize, per: Duration) {
        lock(&self.shared.limits).set(requests, per, false);
    }

    /// Removes the limit.
    pub fn unlimited(&self) {
        lock(&self.shared.limits).lift();
    }

    /// Injects a fault.
    pub fn fault(&self, rule: FaultRule) {
        lock(&self.shared.faults).add(rule);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Number of requests hit by a fault.
    pub fn faults_struck(&self) -> u64 {
        lock(&self.shared.faults).struck()
    }

    /// Changes the instance as one day at work would: somebody joins an organization, becomes its administrator, leaves,
    /// is banned or deleted, and an organization is deleted.
    pub fn pass_a_workday(&self) {
        workday::pass(&mut self.change());
    }

    /// Changes rows between pages from now on.
    pub fn churn(&self, plan: ChurnPlan) {
        *lock(&self.shared.churn) = Some(Churn::new(plan));
    }

    /// Stops changing rows.
    pub fn stop_churn(&self) {
        *lock(&self.shared.churn) = None;
    }

    /// Calls `hook` with every request before it is answered. The hook may use the sandbox in any way.
    pub fn on_request(&self, hook: impl Fn(&Self, &LoggedRequest) + Send + Sync + 'static) {
        self.settings_mut().hook = Some(Arc::new(hook));
    }
}

/// Observations.
impl Sandbox {
    /// Every request since the last [`clear_requests`](Self::clear_requests), in order of arrival.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        lock(&self.shared.requests).log().to_vec()
    }

    /// The requests after the one with this number, in order of arrival.
    pub fn requests_since(&self, sequence: u64) -> Vec<LoggedRequest> {
        let requests = lock(&self.shared.requests);
        let log = requests.log();
        log[log.partition_point(|request| request.sequence <= sequence)..].to_vec()
    }

    /// Number of the request that arrived last; 0 before the first.
    pub fn last_request(&self) -> u64 {
        lock(&self.shared.requests).arrived()
    }

    /// Number of requests for a path (`/v1/users`).
    pub fn request_count(&self, path: &str) -> u64 {
        lock(&self.shared.requests).by_path().get(path).copied().unwrap_or(0)
    }

    /// Number of all requests.
    pub fn total_requests(&self) -> u64 {
        lock(&self.shared.requests).by_path().values().sum()
    }

    /// Requests per path.
    pub fn requests_by_path(&self) -> BTreeMap<String, u64> {
        lock(&self.shared.requests).by_path().clone()
    }

    /// Forgets all requests and violations; numbering continues.
    pub fn clear_requests(&self) {
        lock(&self.shared.requests).clear();
    }

    /// What a well-behaved reader would not have requested.
    pub fn violations(&self) -> Vec<Violation> {
        lock(&self.shared.requests).violations().to_vec()
    }

    /// Number of requests sent by the customer's own application.
    pub fn customer_requests(&self) -> u64 {
        lock(&self.shared.limits).customer(Instant::now()).0
    }

    /// Number of the customer's requests that the limit refused.
    pub fn customer_refused(&self) -> u64 {
        lock(&self.shared.limits).customer(Instant::now()).1
    }

    /// Number of requests that the limit refused, not counting 429s of faults and refusals of the customer.
    pub fn rate_limited_count(&self) -> u64 {
        lock(&self.shared.limits).refused()
    }

    /// Most requests that arrived in any ten seconds, served or refused.
    pub fn busiest_window(&self) -> usize {
        lock(&self.shared.limits).busiest()
    }
}

/// Answering.
impl Sandbox {
    /// Answers `GET path_and_query` (`/v1/users?limit=2`) as the server would.
    ///
    /// # Errors
    /// [`ConnectionReset`] if a fault resets the connection.
    pub async fn get(
        &self,
        path_and_query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ConnectionReset> {
        self.answer("GET", path_and_query, headers).await
    }

    /// Answers a request with any method; all but GET are violations.
    ///
    /// # Errors
    /// [`ConnectionReset`] if a fault resets the connection.
    pub async fn answer(
        &self,
        method: &str,
        path_and_query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ConnectionReset> {
        let (path, query_text) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        if let Some(control) = path.strip_prefix("/sandbox/") {
            return Ok(self.control(control));
        }
        if let Some(other) = self.instance_of(headers) {
            return Box::pin(other.answer(method, path_and_query, headers)).await;
        }
        let travel = self.travel();
        if !travel.is_zero() {
            tokio::time::sleep(travel).await;
        }
        let query = Query::parse(query_text);
        let request = self.log_request(method, path, &query, headers);
        self.data().requests_seen.fetch_max(request.sequence, Ordering::Relaxed);
        let hook = self.settings().hook.clone();
        if let Some(hook) = hook {
            hook(self, &request);
        }
        let strike = lock(&self.shared.faults).strike(path, &query);
        let offset = query.first("offset").and_then(|offset| offset.parse().ok()).unwrap_or(0);
        // Computed on arrival and delivered later, so it misses what happens in between.
        let made = self.make(&request, &query, query_text, &strike);
        let wait = self.latency() + strike.delay(offset);
        let workers = self.settings().workers.clone();
        let working = match &workers {
            // The semaphore is never closed, so a permit is always granted eventually.
            Some(workers) => workers.acquire().await.ok(),
            None => None,
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        drop(working);
        let (mut answer, mut outcome) = made?;
        strike.flipped_bits().for_each(|bit| flip(&mut answer, bit));
        answer.cut_after = strike.cut_after().filter(|bytes| *bytes < answer.body.len());
        outcome.spoiled = strike.spoils();
        lock(&self.shared.requests).answered(request.sequence, answer.status, outcome);
        Ok(answer)
    }

    /// The other instance to which the key of a request belongs.
    fn instance_of(&self, headers: &[(&str, &str)]) -> Option<Self> {
        let key = key_of(headers)?;
        let settings = self.settings();
        let other = settings.others.iter().find(|(known, _)| known == key);
        other.map(|(_, other)| other.clone())
    }

    /// Logs a request and its violations.
    fn log_request(
        &self,
        method: &str,
        path: &str,
        query: &Query,
        headers: &[(&str, &str)],
    ) -> LoggedRequest {
        let header = |name: &str| {
            headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
        };
        let key = key_of(headers);
        let api_version = header("clerk-api-version").map(str::to_owned);
        let version_in_query = query.first("__clerk_api_version").is_some();
        let mut violations = Vec::new();
        if method != "GET" {
            violations.push(ViolationKind::NotGet { method: method.to_owned() });
        }
        if header("origin").is_some() {
            violations.push(ViolationKind::OriginHeader);
        }
        match (&api_version, version_in_query) {
            (Some(_), true) => violations.push(ViolationKind::VersionTwice),
            (None, false) => violations.push(ViolationKind::VersionMissing),
            _ => {}
        }
        if holds_secret(path) {
            violations.push(ViolationKind::SecretRead);
        }
        let request = LoggedRequest {
            at: Instant::now(),
            sequence: 0,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.pairs().to_vec(),
            key_accepted: key
                .is_some_and(|key| self.settings().keys.iter().any(|accepted| accepted == key)),
            api_version,
            accept_encoding: header("accept-encoding").map(str::to_owned),
            status: None,
            code: None,
            rows: 0,
            spoiled: false,
            edits: Vec::new(),
        };
        lock(&self.shared.requests).log_request(request, violations)
    }

    /// Computes the answer, and its entry for the log.
    fn make(
        &self,
        request: &LoggedRequest,
        query: &Query,
        query_text: &str,
        strike: &Strike,
    ) -> Result<(Answer, Outcome), ConnectionReset> {
        if let Err(refused) = lock(&self.shared.limits).admit(request.at) {
            let refusal = Refusal::new(429, "too_many_requests", "Too many requests");
            let (mut answer, outcome) = refusal.outcome(request.sequence);
            if let Some(seconds) = refused.retry_after_seconds {
                answer.headers.push(("retry-after".to_owned(), seconds.to_string()));
            }
            return Ok((answer, outcome));
        }
        for effect in &strike.effects {
            match effect {
                Effect::Reset => return Err(ConnectionReset),
                Effect::Refuse { status, code, retry_after } => {
                    let refusal = Refusal::new(*status, code.as_str(), code.as_str());
                    let (mut answer, outcome) = refusal.outcome(request.sequence);
                    answer.headers.extend(
                        retry_after.iter().map(|text| ("retry-after".to_owned(), text.clone())),
                    );
                    return Ok((answer, outcome));
                }
                Effect::Html(status) => {
                    let body = format!("<html><body><h1>{status}</h1></body></html>");
                    return Ok((Answer::new(*status, "text/html", body), Outcome::default()));
                }
                Effect::Body(body) => {
                    return Ok((Answer::of_json(body.clone()), Outcome::default()));
                }
                _ => {}
            }
        }
        if request.method != "GET" {
            let refusal = Refusal::new(405, "method_not_allowed", "The sandbox is read-only");
            return Ok(refusal.outcome(request.sequence));
        }
        if !request.key_accepted {
            let message = "The provided Clerk Secret Key is invalid";
            return Ok(Refusal::new(401, "clerk_key_invalid", message).outcome(request.sequence));
        }
        let ignored = strike.ignored();
        let query = if ignored.is_empty() { query.clone() } else { query.without(&ignored) };
        let made = self.route(request, &query, strike);
        let Made { body, rows, revision, is_page } = match made {
            Ok(made) => made,
            Err(refusal) => return Ok(refusal.outcome(request.sequence)),
        };
        if is_page {
            let mut churn = lock(&self.shared.churn);
            if let Some(churn) = churn.as_mut() {
                churn.page_read(&mut self.change());
            }
        }
        let (body, edits) = disturbed(body, &strike.effects);
        let mut answer = Answer::of_json(body);
        if request.accept_encoding.as_deref().is_some_and(accepts_gzip) {
            let target = strike.spares_body().then(|| format!("{}?{query_text}", request.path));
            answer.body = self.compressed(&answer.body, target, revision);
            answer.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
            answer.headers.push(("vary".to_owned(), "Accept-Encoding".to_owned()));
        }
        Ok((answer, Outcome { rows, edits, ..Outcome::default() }))
    }

    /// Answers a request by its path.
    fn route(
        &self,
        request: &LoggedRequest,
        query: &Query,
        strike: &Strike,
    ) -> Result<Made, Refusal> {
        let data = self.data();
        let rules = self.settings().rules;
        // The lists of billing have two path segments, all others one.
        let path = request.path.strip_prefix("/v1/").ok_or_else(Refusal::not_found)?;
        if path.starts_with("billing_") {
            return Err(Refusal::not_found());
        }
        let path = path.replacen("billing/", "billing_", 1);
        let segments: Vec<&str> = path.split('/').collect();
        let without_roles = request
            .api_version
            .as_deref()
            .is_some_and(|version| VERSIONS_WITHOUT_ROLES.contains(&version));
        if without_roles && segments[0] == ORGANIZATION_ROLES {
            return Err(Refusal::not_found());
        }
        let search = |list: &'static List, filters, base| Search {
            data: &data,
            list,
            filters,
            base,
            query,
            rules,
            truncate: strike.truncate(),
        };
        let whole =
            |body: String| Ok(Made { body, rows: 0, revision: data.revision(), is_page: false });
        match segments[..] {
            ["instance"] => whole(instance(&data)),
            ["users", "count"] => {
                let (index, list) = crate::data::find_list(USERS);
                let count = search(list, list.filters, data.table_at(index).rows()).count()?;
                whole(
                    json!({ "object": "total_count", "total_count": strike.total(count) })
                        .to_string(),
                )
            }
            [name] => {
                let (index, list) = List::named(name).ok_or_else(Refusal::not_found)?;
                if let Some(parameter) =
                    list.needs.filter(|parameter| query.first(parameter).is_none())
                {
                    let message = format!("{parameter} is required");
                    return Err(Refusal::new(400, "form_param_missing", message));
                }
                let asks_for_nobody =
                    query.first("user_id").is_none() && query.first("client_id").is_none();
                if list.name == "sessions" && rules.sessions_need_user && asks_for_nobody {
                    return Err(Refusal::parameter("user_id", "or client_id is required"));
                }
                page(&search(list, list.filters, data.table_at(index).rows()), strike)
            }
            [name, id] => {
                let (index, list) = List::named(name)
                    .filter(|(_, list)| list.by_id)
                    .ok_or_else(Refusal::not_found)?;
                let table = data.table_at(index);
                let row = table.get(id).or_else(|| {
                    let slug = |row: &&Arc<Row>| row.value()["slug"] == *id;
                    (list.name == ORGANIZATIONS).then(|| table.rows().iter().find(slug)).flatten()
                });
                let mut body = String::new();
                answer::push_row(
                    &mut body,
                    &data,
                    list,
                    query,
                    row.ok_or_else(Refusal::not_found)?,
                );
                whole(body)
            }
            [parent, id, segment] => {
                let nested = Nested::below(parent, segment).ok_or_else(Refusal::not_found)?;
                data.table(parent).get(id).ok_or_else(Refusal::not_found)?;
                let (index, list) = crate::data::find_list(nested.list);
                let table = data.table_at(index);
                let base = if parent == ORGANIZATIONS {
                    table.of_organization(id)
                } else {
                    table.of_owner(id)
                };
                let filters: &[Filter] = nested.filters;
                let unordered = query.without(&["order_by".to_owned()]);
                let query = if nested.ordered { query } else { &unordered };
                page(&Search { query, ..search(list, filters, base) }, strike)
            }
            [parent, id, segment, row] => {
                let nested = Nested::below(parent, segment).ok_or_else(Refusal::not_found)?;
                let without = nested.alone_without.ok_or_else(Refusal::not_found)?;
                let of_parent = |row: &&Arc<Row>| row.organization_id.as_deref() == Some(id);
                let row = data.table(nested.list).get(row).filter(of_parent);
                let mut row = row.ok_or_else(Refusal::not_found)?.value();
                if let Some(fields) = row.as_object_mut() {
                    fields.retain(|name, _| !without.contains(&name.as_str()));
                }
                whole(row.to_string())
            }
            _ => Err(Refusal::not_found()),
        }
    }

    /// The sandbox's own pages, which need no key and are not logged.
    fn control(&self, path: &str) -> Answer {
        match path.split('/').collect::<Vec<_>>()[..] {
            ["health"] => Answer::of_json(json!({ "ok": true }).to_string()),
            [setting, number] if SETTINGS.contains(&setting) => {
                let Ok(number) = number.parse() else { return Refusal::not_found().answer(0) };
                match setting {
                    "customer-traffic" => self.set_customer_traffic(number),
                    "latency-ms" => {
                        self.set_latency(Duration::from_millis(number as u64), Duration::ZERO);
                    }
                    _ if number == 0 => self.unlimited(),
                    _ => self.limit(number, Duration::from_secs(10)),
                }
                Answer::of_json(json!({ setting: number }).to_string())
            }
            ["workday"] => {
                self.pass_a_workday();
                Answer::of_json(json!({ "ok": true }).to_string())
            }
            ["stats"] => Answer::of_json(self.stats().to_string()),
            ["rows", list] if List::named(list).is_some() => {
                let lines: String = self.rows(list).iter().map(|row| format!("{row}\n")).collect();
                Answer::new(200, "application/x-ndjson", lines)
            }
            _ => Refusal::not_found().answer(0),
        }
    }

    fn stats(&self) -> Value {
        let violations: Vec<Value> = self
            .violations()
            .iter()
            .map(|violation| {
                let kind = format!("{:?}", violation.kind);
                json!({ "sequence": violation.sequence, "path": violation.path, "kind": kind })
            })
            .collect();
        let rows: serde_json::Map<String, Value> =
            ALL.iter().map(|list| (list.name.to_owned(), self.count(list.name).into())).collect();
        json!({
            "requests": self.total_requests(),
            "requests_by_path": self.requests_by_path(),
            "rate_limited": self.rate_limited_count(),
            "faults_struck": self.faults_struck(),
            "busiest_window": self.busiest_window(),
            "customer_requests": self.customer_requests(),
            "customer_refused": self.customer_refused(),
            "violations": violations,
            "rows": rows,
        })
    }

    /// Compresses a body, or reuses the compressed page if it is unchanged.
    fn compressed(&self, body: &Bytes, target: Option<String>, revision: u64) -> Bytes {
        if let Some(target) = &target
            && let Some((kept_at, bytes)) = lock(&self.shared.compressed).pages.get(target)
            && *kept_at == revision
        {
            return bytes.clone();
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        // Writing to memory cannot fail. If it did, the empty body would be invalid gzip and noticed.
        let bytes: Bytes =
            encoder.write_all(body).and_then(|()| encoder.finish()).unwrap_or_default().into();
        if let Some(target) = target {
            let mut compressed = lock(&self.shared.compressed);
            if compressed.bytes + bytes.len() > MAX_COMPRESSED_BYTES {
                *compressed = Compressed::default();
            }
            compressed.bytes += bytes.len();
            if let Some((_, replaced)) = compressed.pages.insert(target, (revision, bytes.clone()))
            {
                compressed.bytes -= replaced.len();
            }
        }
        bytes
    }

    fn travel(&self) -> Duration {
        let longest = self.settings().longest_travel;
        if longest.is_zero() {
            return longest;
        }
        longest.mul_f64(self.settings_mut().jitter_random.f64())
    }

    fn latency(&self) -> Duration {
        let mut settings = self.settings_mut();
        let share = settings.jitter_random.f64();
        settings.latency + settings.jitter.mul_f64(share)
    }

    fn data(&self) -> RwLockReadGuard<'_, Data> {
        self.shared.data.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Data> {
        self.shared.data.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> RwLockReadGuard<'_, Settings> {
        self.shared.settings.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings_mut(&self) -> RwLockWriteGuard<'_, Settings> {
        self.shared.settings.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body, before faults are applied.
struct Made {
    body: String,
    rows: usize,
    /// Revision of the data that it was made from.
    revision: u64,
    is_page: bool,
}

fn page(search: &Search<'_>, strike: &Strike) -> Result<Made, Refusal> {
    let selection = search.page()?;
    let body = answer::page(search.data, search.list, search.query, &selection, |total| {
        strike.total(total)
    });
    Ok(Made { body, rows: selection.rows.len(), revision: search.data.revision(), is_page: true })
}

fn instance(data: &Data) -> String {
    json!({
        "object": "instance", "id": data.instance_id, "environment_type": data.environment,
        "allowed_origins": null, "workspace_id": null,
    })
    .to_string()
}

/// Whether a path returns a secret, which a copy of access rights never needs.
fn holds_secret(path: &str) -> bool {
    path.contains("/oauth_access_tokens/")
        || path.ends_with("/secret_key")
        || path.ends_with("/secret")
}

/// Flips one bit of a body.
fn flip(answer: &mut Answer, bit: usize) {
    let mut body = answer.body.to_vec();
    if !body.is_empty() {
        let bit = bit % (8 * body.len());
        body[bit / 8] ^= 1 << (bit % 8);
        answer.body = body.into();
    }
}

/// Applies the effects that change a correct body. Also returns the edited fields of rows.
fn disturbed(body: String, effects: &[Effect]) -> (String, Vec<RowEdit>) {
    let (mut body, mut edits) = (body, Vec::new());
    for effect in effects {
        match effect {
            Effect::MalformedJson => {
                let half =
                    (0..=body.len() / 2).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
                body.truncate(half);
            }
            Effect::EditRow { row, pointer, value } => {
                body = with_rows(&body, |rows| {
                    if let Some(row) = rows.get_mut(*row) {
                        let id = row["id"].as_str().unwrap_or_default().to_owned();
                        if edit(row, pointer, value.as_ref()) {
                            let (pointer, value) = (pointer.clone(), value.clone());
                            edits.push(RowEdit { id, pointer, value });
                        }
                    }
                });
            }
            Effect::RepeatRow(row) => {
                body = with_rows(&body, |rows| {
                    if let Some(again) = rows.get(*row).cloned() {
                        rows.insert(*row, again);
                    }
                });
            }
            Effect::HideRow(row) => {
                body = with_rows(&body, |rows| {
                    if *row < rows.len() {
                        rows.remove(*row);
                    }
                });
            }
            Effect::SwapRows(row) => {
                body = with_rows(&body, |rows| {
                    if row + 1 < rows.len() {
                        rows.swap(*row, row + 1);
                    }
                });
            }
            _ => {}
        }
    }
    (body, edits)
}

/// A page with changed rows.
fn with_rows(body: &str, change: impl FnOnce(&mut Vec<Value>)) -> String {
    let mut whole: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let rows = if whole.is_array() { Some(&mut whole) } else { whole.get_mut("data") };
    if let Some(Value::Array(rows)) = rows {
        change(rows);
    }
    whole.to_string()
}

/// Edits a field. Returns whether the row has changed.
fn edit(row: &mut Value, pointer: &str, value: Option<&Value>) -> bool {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let Some(Value::Object(fields)) = row.pointer_mut(parent) else { return false };
    let before = match value {
        Some(value) => fields.insert(name.to_owned(), value.clone()),
        None => fields.shift_remove(name),
    };
    before.as_ref() != value
}

/// The key that a request was sent with.
fn key_of<'a>(headers: &[(&str, &'a str)]) -> Option<&'a str> {
    let mut headers = headers.iter();
    let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    value.strip_prefix("Bearer ")
}

fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight.trim(), "q=0" | "q=0.0")
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
