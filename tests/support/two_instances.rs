//! Two Clerk instances behind one address: the key decides which one answers.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use clerk_sandbox::{DEFAULT_KEY, Sandbox};
use clerk_sync::clerk::bytes_in_flight::Room;
use clerk_sync::clerk::transport::{Answer, Transport, TransportError};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use url::Url;

use super::sandbox_transport::SandboxTransport;

/// The key in the secret after the change.
pub(crate) const CHANGED_KEY: &str = "sk_test_changed";

/// Sends requests with [`CHANGED_KEY`] to one sandbox and all others to the other one, and records
/// the requests with the changed key.
#[derive(Debug)]
pub(crate) struct TwoInstances {
    before: SandboxTransport,
    after: SandboxTransport,
    asked_with_changed_key: Mutex<Vec<String>>,
}

impl TwoInstances {
    /// `before` answers the usual key, `after` the changed one.
    pub(crate) fn new(before: &Sandbox, after: &Sandbox) -> Arc<Self> {
        before.rotate_key(DEFAULT_KEY);
        after.rotate_key(CHANGED_KEY);
        Arc::new(Self {
            before: SandboxTransport(before.clone()),
            after: SandboxTransport(after.clone()),
            asked_with_changed_key: Mutex::default(),
        })
    }

    /// The paths requested with the changed key, in order.
    pub(crate) fn asked_with_changed_key(&self) -> Vec<String> {
        self.asked_with_changed_key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Transport for TwoInstances {
    async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        room: &mut Room,
    ) -> Result<Answer, TransportError> {
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if sent.is_some_and(|sent| sent.ends_with(CHANGED_KEY)) {
            let asked = &self.asked_with_changed_key;
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(url.path().to_owned());
            self.after.get(url, headers, room).await
        } else {
            self.before.get(url, headers, room).await
        }
    }
}
