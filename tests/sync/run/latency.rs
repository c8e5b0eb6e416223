//! Promise: Clerk's rate is the only limit, however long its answers take. Time is paused, and
//! requests are counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use clerk_sandbox::{FaultRule, LoggedRequest, Sandbox};
use tokio::time::Instant;

use crate::support::pieces::complete;
use crate::support::plain::{FIRST, before_request, every_second, fill, plain};
use crate::support::scene::{PAST_THE_LEASE, cut_at_request};
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

/// The limit of a production instance (Clerk documentation, "Rate limits").
const LIMIT: usize = 1000;
const WINDOW: Duration = Duration::from_secs(10);

/// One run, as the sandbox saw it.
struct Seen {
    requests: Vec<LoggedRequest>,
    began: Instant,
    took: Duration,
    latency: Duration,
}

/// A world that reads from such a Clerk.
fn world(sandbox: &Sandbox, latency: Duration, share: f64) -> World {
    sandbox.set_latency(latency, Duration::ZERO);
    sandbox.limit(LIMIT, WINDOW);
    sandbox.clear_requests();
    World::new(sandbox.clone())
        .with("COMPRESSION", "none")
        .with("CLERK_REQUESTS_PER_10S", &LIMIT.to_string())
        .with("CLERK_RATE_SHARE", &share.to_string())
}

impl Seen {
    async fn of(sandbox: &Sandbox, latency: Duration, share: f64) -> Self {
        // The seed decides when failed requests are retried.
        fastrand::seed(7);
        let world = world(sandbox, latency, share);
        let began = Instant::now();
        let snapshot = complete(&world, &format!("{latency:?}, share {share}")).await;
        assert_eq!(snapshot.manifest["verified"], true);
        Self { requests: sandbox.requests(), began, took: began.elapsed(), latency }
    }

    /// Requests for pages of users in windows.
    fn windows(&self) -> impl Iterator<Item = &LoggedRequest> {
        self.requests.iter().filter(|request| {
            request.path == "/v1/users"
                && request.query.iter().any(|(name, _)| name.starts_with("created_at_"))
        })
    }

    /// The number of requests in flight at a time.
    fn in_flight(&self, moment: Instant) -> usize {
        let is_on_its_way =
            |request: &&LoggedRequest| request.at <= moment && moment < request.at + self.latency;
        self.requests.iter().filter(is_on_its_way).count()
    }

    /// Requests of each second, by path, to find out why a test fails.
    fn by_second(&self) -> String {
        let mut text = String::new();
        for second in 0..=self.took.as_secs() {
            let from = self.began + Duration::from_secs(second);
            let in_flight = self.in_flight(from);
            let mut paths = BTreeMap::<&str, usize>::new();
            let of_second = |request: &&LoggedRequest| {
                (from..from + Duration::from_secs(1)).contains(&request.at)
            };
            for request in self.requests.iter().filter(of_second) {
                *paths.entry(request.path.as_str()).or_default() += 1;
            }
            writeln!(text, "{second:3} s: {in_flight} in flight, requested {paths:?}")
                .expect("a string");
        }
        text
    }
}

/// A whole run takes as long as the fewest requests take at 95 % of the rate, plus at most twelve
/// answers one after the other (twenty are promised), and needs few more requests than the fewest.
#[tokio::test(start_paused = true)]
async fn a_whole_run_takes_no_longer_than_its_rate_requires() {
    let (users, organizations, memberships) = (60_000, 2_400, 120_000);
    let sandbox = plain(users, organizations, memberships);
    let fewest: usize =
        [users, organizations, memberships, 1, 1].iter().map(|rows| rows.div_ceil(500)).sum();
    for (milliseconds, share) in [(150, 0.5), (600, 1.0)] {
        let latency = Duration::from_millis(milliseconds);
        let seen = Seen::of(&sandbox, latency, share).await;
        let rate = LIMIT as f64 / WINDOW.as_secs_f64() * share;
        let allowed = fewest as f64 / rate / 0.95 + 12.0 * latency.as_secs_f64();
        let took = seen.took.as_secs_f64();
        assert!(
            took <= allowed,
            "{latency:?}, share {share}: {took:.1} s of {allowed:.1} s\n{}",
            seen.by_second()
        );
        let requests = seen.requests.len();
        let most = fewest + fewest / 50 + 80;
        assert!(requests <= most, "{latency:?}, share {share}: {requests} requests of {most}");
        let refused = seen.requests.iter().filter(|request| request.status == Some(429)).count();
        assert_eq!(refused, 0, "{latency:?}, share {share}");
        let times = |path| {
            let of_it = seen.requests.iter().filter(|request| request.path == path);
            of_it.map(|request| request.at).collect::<Vec<_>>()
        };
        let first_memberships = times("/v1/organization_memberships").into_iter().min();
        let last_users = times("/v1/users").into_iter().max();
        assert!(first_memberships < last_users, "memberships do not wait for the last users");
    }
}

/// Clerk takes twenty seconds for a page of users, and does not list all memberships, so that they are read by owner while
/// users are still read. They use what the users leave of the rate.
#[tokio::test(start_paused = true)]
async fn a_list_by_owner_uses_what_the_last_users_leave() {
    let sandbox = plain(20_000, 3_000, 4_000);
    sandbox.fault(FaultRule::on("/v1/users").delay(Duration::from_secs(20)));
    let memberships = FaultRule::on("/v1/organization_memberships").past_offset(400);
    sandbox.fault(memberships.status(504, "gateway_timeout"));
    let seen = Seen::of(&sandbox, Duration::from_millis(300), 1.0).await;
    // The refusals reduced the number of requests in flight, and it has grown again. Thirty would
    // use the whole rate. A page of users is in flight throughout.
    let seconds = 25..40;
    let mut by_owner: Vec<usize> = seconds
        .clone()
        .map(|second| seen.in_flight(seen.began + Duration::from_secs(second)))
        .collect();
    by_owner.sort_unstable();
    let median = by_owner[by_owner.len() / 2];
    assert!(median > 20, "{median} requests are in flight\n{}", seen.by_second());
    let users = seen.requests.iter().filter(|request| request.path == "/v1/users");
    let last_users = users.map(|request| request.at).max().expect("requests for users");
    assert!(last_users > seen.began + Duration::from_secs(seconds.end - 20), "{last_users:?}");
}

/// The same while memberships are read as one list, in pages of twenty.
#[tokio::test(start_paused = true)]
async fn a_list_by_offset_uses_what_the_last_users_leave() {
    const PATH: &str = "/v1/organization_memberships";
    let sandbox = plain(600, 20, 9_500);
    sandbox.fault(FaultRule::on("/v1/users").delay(Duration::from_secs(20)));
    sandbox.fault(FaultRule::on(PATH).truncate_page(20));
    let seen = Seen::of(&sandbox, Duration::from_millis(300), 1.0).await;
    let first = seen.requests.iter().find(|request| request.path == PATH).expect("memberships");
    // The number of requests in flight has grown by then, and two thirds of the pages are left.
    // Thirty use the whole rate.
    let tenths = (20..40).map(|tenth| first.at + Duration::from_millis(100 * tenth));
    let mut in_flight: Vec<usize> = tenths.map(|moment| seen.in_flight(moment)).collect();
    in_flight.sort_unstable();
    let median = in_flight[in_flight.len() / 2];
    assert!(median > 24, "{median} requests are in flight\n{}", seen.by_second());
}

/// Users signed up ever more slowly, and a fifth of them were imported within two seconds. All
/// windows have the same length nevertheless. From the first page of the first window to the end of
/// the last one, the time with too few requests in flight for the rate adds up to a few answers.
#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_until_the_last_window_ends() {
    let sandbox = Sandbox::empty();
    let import = 36_000..54_000;
    let slower = |number: usize| FIRST + (number * number) as i64;
    fill(&sandbox, "users", 90_000, |number| match import.contains(&number) {
        true => slower(import.start) + (number - import.start) as i64 / 10,
        false => slower(number),
    });
    let latency = Duration::from_millis(150);
    let seen = Seen::of(&sandbox, latency, 1.0).await;
    let pages: Vec<Instant> = seen.windows().map(|request| request.at).collect();
    let (from, until) = (pages[0], pages[pages.len() - 1] + latency);
    let needed = LIMIT as f64 / WINDOW.as_secs_f64() * latency.as_secs_f64();
    let mut lost = 0.0;
    let mut moment = from;
    while moment < until {
        let share = seen.in_flight(moment) as f64 / needed;
        lost += (1.0 - share.min(1.0)) / 10.0;
        moment += latency / 10;
    }
    assert!(lost <= 3.0, "the time of {lost:.1} answers is lost\n{}", seen.by_second());
}

/// A run of 90,000 users. Clerk answers after 30 ms until they are divided into windows, and after
/// `latency` from then on.
async fn seen_while_clerk_becomes_slower(latency: Duration) -> Seen {
    let sandbox = Sandbox::empty();
    fill(&sandbox, "users", 90_000, every_second);
    let world = world(&sandbox, Duration::from_millis(30), 1.0);
    let began = Instant::now();
    before_request(&sandbox, "/v1/users", 12, move |sandbox| {
        sandbox.set_latency(latency, Duration::ZERO);
    });
    complete(&world, "slower").await;
    Seen { requests: sandbox.requests(), began, took: began.elapsed(), latency }
}

/// A slower Clerk needs more windows to use the rate, so the sync divides them again.
#[tokio::test(start_paused = true)]
async fn windows_are_divided_again_when_clerk_becomes_slower() {
    let seen = seen_while_clerk_becomes_slower(Duration::from_millis(300)).await;
    let allowed = 180.0 / 100.0 / 0.95 + 14.0 * seen.latency.as_secs_f64();
    let took = seen.took.as_secs_f64();
    assert!(took <= allowed, "{took:.1} s of {allowed:.1} s\n{}", seen.by_second());
}

/// With a much slower Clerk the sync would need ninety windows of two pages to use the rate. They
/// would cost more requests than a full sync may take, so it makes fewer.
#[tokio::test(start_paused = true)]
async fn windows_are_divided_only_while_requests_are_left_for_it() {
    let seen = seen_while_clerk_becomes_slower(Duration::from_secs(1)).await;
    let (requests, most) = (seen.requests.len(), 182 + 182 / 50 + 80);
    assert!(requests > 182 + 40, "{requests} requests: few windows\n{}", seen.by_second());
    assert!(requests <= most, "{requests} requests of {most}\n{}", seen.by_second());
}

/// Whenever a run is killed, it repeats at most the requests of one answer time at the full rate,
/// and two pages, although dozens of pages are stored together in the end.
#[tokio::test(start_paused = true)]
async fn a_kill_costs_no_more_than_the_requests_of_one_answer_time() {
    const PATH: &str = "/v1/organization_memberships";
    // The requests of each invocation besides its first page, before it knows how few rows the
    // pages of this Clerk have.
    const IN_VAIN: f64 = 3.0;
    let sandbox = plain(600, 20, 12_000);
    sandbox.fault(FaultRule::on(PATH).truncate_page(50));
    let latency = Duration::from_millis(300);
    let uninterrupted = world(&sandbox, latency, 1.0);
    let whole = complete(&uninterrupted, "uninterrupted").await;
    let pages = sandbox.request_count(PATH);
    let parts = |snapshot: &Snapshot| {
        snapshot.manifest["datasets"]["grants"]["parts"].as_array().expect("parts").len() as u64
    };
    assert!(pages > 200 && parts(&whole) < pages / 2, "{pages} pages in {} parts", parts(&whole));
    let one_answer = LIMIT as f64 / WINDOW.as_secs_f64() * latency.as_secs_f64();
    for request in [40, 80, 120, 160, 200, 240] {
        let world = world(&sandbox, latency, 1.0);
        assert!(cut_at_request(&world, request).await.is_none(), "killed at {request}");
        tokio::time::advance(PAST_THE_LEASE).await;
        let snapshot = complete(&world, &format!("killed at {request}")).await;
        assert_eq!(snapshot.digests(), whole.digests(), "killed at {request}");
        let more = sandbox.request_count(PATH) - pages;
        assert!(
            more as f64 <= one_answer + 2.0 + IN_VAIN,
            "killed at {request}: {more} pages more"
        );
        assert!(parts(&snapshot) < pages / 2, "killed at {request}: {} parts", parts(&snapshot));
    }
}
