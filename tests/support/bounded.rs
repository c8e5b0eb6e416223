//! Runs with a limit on requests: an endless loop fails its test instead of hanging it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clerk_sandbox::{LoggedRequest, Sandbox};
use clerk_sync::error::Error;
use serde_json::{Value, json};

use super::pieces::ends;
use super::world::World;

/// A world whose invocations are interrupted after more than `most` requests.
pub(crate) struct Bounded {
    pub(crate) world: World,
    asked: Arc<AtomicU64>,
    most: u64,
}

impl Bounded {
    /// Calls a function before each request is answered; `number` counts the requests of that path,
    /// from 1.
    pub(crate) fn new(
        world: World,
        most: u64,
        change: impl Fn(&Sandbox, &LoggedRequest, u64) + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        let (counted, interrupt) = (Arc::clone(&asked), world.interrupt.clone());
        world.sandbox.on_request(move |sandbox, request| {
            if counted.fetch_add(1, Ordering::SeqCst) >= most {
                interrupt.send_replace(true);
            }
            let number = sandbox.request_count(&request.path);
            change(sandbox, request, number);
        });
        Self { world, asked, most }
    }

    /// Syncs with this time budget, or without one, until the run is complete or fails. Returns the
    /// number of invocations and the result of the last one.
    pub(crate) async fn ending(
        &self,
        seconds: Option<f64>,
        most_invocations: usize,
        what: &str,
    ) -> (usize, Result<Value, Error>) {
        let event = seconds.map_or(json!({}), |it| json!({ "time_budget_seconds": it }));
        for number in 1..=most_invocations {
            let answer = ends(&self.world, event.clone()).await;
            let asked = self.requests();
            assert!(asked <= self.most, "{what}: more than {} requests", self.most);
            match answer {
                Ok(answer) if answer["status"] == "partial" => {}
                ended => return (number, ended),
            }
        }
        panic!("{what}: not ended after {most_invocations} invocations");
    }

    /// The number of requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}
