//! The rate is never exceeded in any window of ten seconds, and nothing is sent during a pause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clerk_sandbox::{DEFAULT_KEY, Effect, FaultRule, Population, Sandbox};
use clerk_sync::clerk::client::{Client, ClientSettings};
use clerk_sync::clerk::concurrency::{Concurrency, Slot};
use clerk_sync::clerk::pace::{Pace, WINDOW};
use clerk_sync::clerk::retry::RetryPolicy;
use clerk_sync::clerk::urgency::Urgency;
use clerk_sync::clock::Clock;
use clerk_sync::secret_key::SecretKey;
use clerk_sync::time_budget::TimeBudget;
use clerk_sync::work_limit::WorkLimit;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use reqwest::header::HeaderValue;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{cases, paused};
use crate::support::sandbox_transport::SandboxTransport;
use crate::support::scripted_secret::ScriptedSecret;

/// The most requests within any window of ten seconds.
fn busiest_window(sent: &[Instant]) -> usize {
    let within = |from: usize| sent[from..].partition_point(|&at| at < sent[from] + WINDOW);
    (0..sent.len()).map(within).max().unwrap_or(0)
}

/// An event of the rate limiter.
#[derive(Debug, Clone)]
enum Step {
    /// This many milliseconds without requests.
    Idle(u64),
    /// This many requests, each this many milliseconds later than possible.
    Send(usize, u64),
    /// A request sent this many milliseconds ago is answered 429, with a `Retry-After` in
    /// milliseconds.
    Refuse(u64, Option<u64>),
    /// Another server asks for a pause, in milliseconds.
    Pause(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0..15_000_u64).prop_map(Step::Idle),
        4 => (1..400_usize, prop_oneof![Just(0), 0..60_u64])
            .prop_map(|(requests, late)| Step::Send(requests, late)),
        1 => (0..12_000_u64, option::of(0..8000_u64))
            .prop_map(|(ago, wait)| Step::Refuse(ago, wait)),
        1 => (0..5000_u64).prop_map(Step::Pause),
    ];
    vec(step, 1..12)
}

/// The behaviour of one client: latency in milliseconds, and which calls are refused for how long.
#[derive(Debug, Clone)]
struct Traffic {
    allowance: u32,
    latency: u64,
    refused: BTreeMap<u64, Option<u64>>,
    asking: usize,
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let refused = btree_map(1..200_u64, option::of(0..6_u64), 0..5);
    (2..300_u32, 0..3000_u64, refused, 1..40_usize).prop_map(
        |(allowance, latency, refused, asking)| Traffic { allowance, latency, refused, asking },
    )
}

fn client(sandbox: &Sandbox, allowance: u32) -> Client {
    let (_, interrupt) = watch::channel(false);
    let work_limit = WorkLimit::new(TimeBudget::unlimited(), None, Duration::ZERO, interrupt);
    Client::new(
        ClientSettings {
            api_url: "http://127.0.0.1:1/v1".parse().unwrap(),
            api_version: HeaderValue::from_static("2026-05-12"),
            requests_per_10s: allowance.into(),
            max_concurrency: 32,
            retry: RetryPolicy::default(),
        },
        Arc::new(SandboxTransport(sandbox.clone())),
        SecretKey::parse(DEFAULT_KEY).unwrap(),
        Arc::new(ScriptedSecret::new([DEFAULT_KEY])),
        Arc::new(work_limit),
        Clock::simulated(SystemTime::UNIX_EPOCH),
    )
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn no_window_holds_more_than_the_allowance(
        allowance in prop_oneof![0.1..5.0, 5.0..50.0, 50.0..2000.0_f64],
        steps in steps(),
    ) {
        paused(async {
            let pace = Pace::new(allowance);
            let mut now = Instant::now();
            let mut paused_until = now;
            let mut sent = Vec::new();
            for step in steps {
                match step {
                    Step::Idle(millis) => now += Duration::from_millis(millis),
                    Step::Send(requests, late) => {
                        for _ in 0..requests {
                            while let Err(not_yet) = pace.take(now) {
                                assert!(not_yet.until > now, "asked again too early");
                                now = not_yet.until + Duration::from_millis(late);
                            }
                            assert!(now >= paused_until, "sent during a pause");
                            sent.push(now);
                        }
                    }
                    Step::Refuse(ago, wait) => {
                        let wait = wait.map(Duration::from_millis);
                        pace.refused(now - Duration::from_millis(ago), now, wait);
                        paused_until = paused_until.max(now + wait.unwrap_or_default());
                    }
                    Step::Pause(wait) => {
                        pace.pause(now, Duration::from_millis(wait));
                        paused_until = paused_until.max(now + Duration::from_millis(wait));
                    }
                }
            }
            let most = (allowance as usize).max(1);
            assert!(busiest_window(&sent) <= most, "{} of {allowance}", busiest_window(&sent));
        });
    }

    /// The number of requests in flight never exceeds the limit, and one more is always allowed if
    /// there are none.
    #[test]
    fn no_more_are_in_flight_than_set(
        most in 1..64_usize,
        steps in vec((0..4_u8, 0..5000_u64, 0..64_usize), 1..200),
    ) {
        paused(async {
            let concurrency = Concurrency::new(most);
            let mut in_flight: Vec<(Slot, Instant)> = Vec::new();
            for (what, millis, which) in steps {
                match what {
                    0 | 1 => {
                        let urgency = Urgency::default();
                        if which % 3 == 0 {
                            urgency.set();
                        }
                        let slot = concurrency.slot(&urgency);
                        let slot = tokio::time::timeout(Duration::from_millis(1), slot);
                        match slot.await {
                            Ok(mut slot) => {
                                slot.send(Instant::now());
                                in_flight.push((slot, Instant::now()));
                            }
                            Err(_) => assert!(!in_flight.is_empty(), "there was room"),
                        }
                    }
                    _ if in_flight.is_empty() => {}
                    _ => {
                        tokio::time::advance(Duration::from_millis(millis)).await;
                        let (slot, sent) = in_flight.swap_remove(which % in_flight.len());
                        if what == 2 {
                            slot.answered_well("/users", Instant::now());
                        } else {
                            concurrency.overloaded(sent, Instant::now());
                        }
                    }
                }
                assert!(in_flight.len() <= most);
            }
        });
    }
}

proptest! {
    #![proptest_config(cases(40))]

    /// A whole client that always has another request, for 40 seconds.
    #[test]
    fn a_client_keeps_to_the_rate_and_to_every_pause(traffic in traffic()) {
        paused(async {
            let latency = Duration::from_millis(traffic.latency);
            let sandbox = Sandbox::new(Population::none());
            sandbox.set_latency(latency, Duration::ZERO);
            for (&call, wait) in &traffic.refused {
                sandbox.fault(FaultRule::on("/v1/instance").call(call).effect(Effect::Refuse {
                    status: 429,
                    code: "too_many_requests".to_owned(),
                    retry_after: wait.map(|wait| wait.to_string()),
                }));
            }
            let client = Arc::new(client(&sandbox, traffic.allowance));
            let mut tasks = JoinSet::new();
            for _ in 0..traffic.asking {
                let client = Arc::clone(&client);
                tasks.spawn(async move {
                    loop {
                        client.get("/instance", &[], |_| Ok(())).await.expect("answered in the end");
                    }
                });
            }
            tokio::time::sleep(Duration::from_secs(40)).await;
            let sent: Vec<Instant> = sandbox.requests().iter().map(|request| request.at).collect();
            assert!(busiest_window(&sent) <= traffic.allowance as usize);
            for (call, wait) in &traffic.refused {
                let (Some(refused), Some(wait)) = (sent.get(*call as usize - 1), wait) else {
                    continue;
                };
                let answered_at = *refused + latency;
                let pause = answered_at..answered_at + Duration::from_secs(*wait);
                let inside = sent.iter().filter(|&&at| at > pause.start && at < pause.end).count();
                assert_eq!(inside, 0, "sent during a pause of {wait} s");
            }
        });
    }
}
