//! Sends requests to the sandbox inside the process, so that paused time works.

use async_trait::async_trait;
use clerk_sandbox::Sandbox;
use clerk_sync::clerk::bytes_in_flight::Room;
use clerk_sync::clerk::transport::{Answer, Transport, TransportError};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// A [`Transport`] without a network.
#[derive(Debug, Clone)]
pub(crate) struct SandboxTransport(pub(crate) Sandbox);

#[async_trait]
impl Transport for SandboxTransport {
    async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        room: &mut Room,
    ) -> Result<Answer, TransportError> {
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect();
        // Like a real network, a request takes a moment and lets others run first.
        tokio::task::yield_now().await;
        let answer = match self.0.get(&path, &headers).await {
            Ok(answer) if answer.cut_after.is_none() => answer,
            Ok(_) => return Err(TransportError::CutShort),
            Err(_) => return Err(TransportError::Broken),
        };
        room.take(answer.body.len()).await;
        let headers = answer
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
            })
            .collect();
        Ok(Answer { status: answer.status, headers, body: answer.body })
    }
}
