//! The network as one invocation sees it: compressed bodies, and a record of its requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clerk_sandbox::Sandbox;
use clerk_snapshot::buffers::Buffers;
use clerk_sync::clerk::bytes_in_flight::Room;
use clerk_sync::clerk::gunzip::gunzip;
use clerk_sync::clerk::transport::{Answer, MAX_BODY_BYTES, Transport, TransportError};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue, RETRY_AFTER,
};
use tokio::time::Instant;
use url::Url;

use super::hazards::OTHER_KEY;
use crate::support::gate::Gate;
use crate::support::sandbox_transport::SandboxTransport;

/// The requests of one invocation.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    paused_until: Option<Instant>,
    within_pauses: Vec<String>,
    /// Paths requested with the keys of each instance, except for the request of the instance
    /// itself.
    read: BTreeMap<bool, String>,
}

impl Watch {
    /// Nothing recorded yet.
    pub(super) fn default() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// The number of requests sent.
    pub(super) fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// Requests sent before the time until which the server had asked to wait.
    pub(super) fn within_pauses(&self) -> Vec<String> {
        self.lock().within_pauses.clone()
    }

    /// One path requested of each instance from which anything was read.
    pub(super) fn instances_read(&self) -> Vec<String> {
        self.lock().read.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport that asks for gzip, like the real one, and is watched.
#[derive(Debug)]
pub(super) struct WatchedTransport {
    inner: SandboxTransport,
    gate: Option<Arc<Gate>>,
    watch: Arc<Watch>,
}

impl WatchedTransport {
    /// The network between a sandbox and one invocation, whose requests stop while its gate is
    /// shut.
    pub(super) fn of(sandbox: &Sandbox, gate: Option<&Arc<Gate>>, watch: &Arc<Watch>) -> Self {
        Self {
            inner: SandboxTransport(sandbox.clone()),
            gate: gate.cloned(),
            watch: Arc::clone(watch),
        }
    }

    async fn pass(&self) {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
    }

    fn note_sent(&self, url: &Url, headers: &HeaderMap) {
        let mut seen = self.watch.lock();
        if !url.path().ends_with("/instance") {
            let key = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let is_other = key.is_some_and(|key| key.contains(OTHER_KEY));
            seen.read.entry(is_other).or_insert_with(|| url.path().to_owned());
        }
        seen.requests += 1;
        if seen.paused_until.is_some_and(|until| Instant::now() < until) {
            seen.within_pauses.push(url.path().to_owned());
        }
    }

    fn note_answer(&self, answer: &Answer) {
        let seconds = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        // A text that is not a valid number of seconds means no wait.
        if let Some(seconds) = seconds.and_then(|text| text.parse::<u32>().ok()) {
            let until = Instant::now() + Duration::from_secs(seconds.into());
            let mut seen = self.watch.lock();
            seen.paused_until = seen.paused_until.max(Some(until));
        }
    }
}

#[async_trait]
impl Transport for WatchedTransport {
    async fn get(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        room: &mut Room,
    ) -> Result<Answer, TransportError> {
        self.pass().await;
        self.note_sent(url, &headers);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let answer = self.inner.get(url, headers, room).await;
        self.pass().await;
        let mut answer = answer?;
        self.note_answer(&answer);
        if answer.headers.contains_key(CONTENT_ENCODING) {
            let body = gunzip(&answer.body, MAX_BODY_BYTES, &Buffers::default())
                .map_err(|_| TransportError::CutShort)?
                .ok_or(TransportError::TooLarge)?;
            room.take(body.len()).await;
            answer.body = body;
        }
        Ok(answer)
    }
}
