//! Sends GET requests over HTTP: the only way in which this program talks to Clerk.
//!
//! The trait has no method, argument or type that could express anything but GET, so the program cannot write to Clerk.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clerk_snapshot::buffers::{Buffer, Buffers};
use clerk_snapshot::part::LONGEST_LINE;
use clerk_store::no_answer::{NoAnswer, trusts_anybody};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use tokio::time::Instant;
use url::Url;

use super::bytes_in_flight::Room;
use super::gunzip::gunzip;

/// Sends one GET and returns the whole answer.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a GET request to `url` with `headers` and reads the body to its end, holding only as much of it as there
    /// is `room` for.
    ///
    /// # Errors
    /// [`TransportError`] if no complete answer arrived. An answer with an error status is `Ok`.
    async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        room: &mut Room,
    ) -> Result<Answer, TransportError>;

    /// Sets up what the first request would otherwise have to wait for. Sends nothing.
    ///
    /// # Errors
    /// [`TransportError::Setup`].
    fn prepare(&self) -> Result<(), TransportError> {
        Ok(())
    }
}

/// A complete answer: the body was read to the announced length or end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// Response headers.
    pub headers: HeaderMap,
    /// The body after content decoding (gzip).
    pub body: Bytes,
}

/// Why no complete answer arrived. [`Client`](super::client::Client) retries every kind, except those that
/// [`TransportError::is_permanent`].
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The TLS stack cannot be set up: there is no CA certificate, or a proxy's address is invalid.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(NoAnswer),
    /// No connection within the time allowed, or one side refused it.
    #[error("no connection could be made: {0}")]
    Connect(NoAnswer),
    /// The connection was made, but no answer began in time.
    #[error("no answer began within {} s", .0.as_secs())]
    FirstByteTimeOut(Duration),
    /// The answer began but did not end in time.
    #[error("the answer did not end within {} s", .0.as_secs())]
    BodyTimeOut(Duration),
    /// The connection broke before an answer began.
    #[error("the connection broke before an answer began")]
    Broken,
    /// The answer began, but its body was truncated or could not be decompressed.
    #[error("the body was cut short or could not be decompressed")]
    CutShort,
    /// The body is larger than [`MAX_BODY_BYTES`], counted after decompression.
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
}

impl TransportError {
    /// Whether the failure suggests that the server is overloaded.
    #[must_use]
    pub const fn is_time_out(&self) -> bool {
        matches!(self, Self::FirstByteTimeOut(_) | Self::BodyTimeOut(_))
    }

    /// Whether the failure persists until a person acts.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Setup(_) => true,
            Self::Connect(why) => why.is_permanent(),
            _ => false,
        }
    }

    /// What prevents connections between this machine and Clerk, if that is the kind of failure.
    #[must_use]
    pub const fn no_answer(&self) -> Option<NoAnswer> {
        match self {
            Self::Setup(why) | Self::Connect(why) => Some(*why),
            _ => None,
        }
    }
}

/// Largest body accepted, in bytes after decompression. A page of 500 users with full metadata is about 14 MB; four
/// times that means a faulty server or a decompression bomb.
pub const MAX_BODY_BYTES: usize = 56 * 1024 * 1024;

// Everything that is written must be readable again: at worst one row fills the body, and its record contains it twice.
const _: () = assert!(LONGEST_LINE >= 2 * MAX_BODY_BYTES as u64);

/// Longest wait for a connection, TLS included.
const CONNECT_TIME_OUT: Duration = Duration::from_secs(5);
/// Longest wait from sending the request until the first byte of the answer.
const FIRST_BYTE_TIME_OUT: Duration = Duration::from_secs(30);
/// Longest time for one body, from its first byte.
const BODY_TIME_OUT: Duration = Duration::from_secs(60);
/// How long an unused connection is kept. Lambda freezes the process between invocations and the socket is dead by the
/// next one, so a short time costs nothing and avoids connection resets.
const IDLE_TIME_OUT: Duration = Duration::from_secs(15);

/// [`Transport`] over the network.
#[derive(Debug)]
pub struct HttpTransport {
    https: bool,
    client: OnceLock<reqwest::Client>,
    /// For bodies as they arrive.
    compressed: Buffers,
    /// For decompressed bodies.
    decompressed: Buffers,
}

impl HttpTransport {
    /// A transport for requests to the host of `api_url`.
    ///
    /// - Redirects are never followed, because the key would be sent along.
    /// - A proxy from the environment is not used for a loopback host.
    /// - Nothing is set up yet, so a sync that has nothing to do never loads a certificate.
    #[must_use]
    pub fn new(api_url: &Url) -> Self {
        Self {
            https: api_url.scheme() == "https",
            client: OnceLock::new(),
            compressed: Buffers::default(),
            decompressed: Buffers::default(),
        }
    }

    fn client(&self) -> Result<&reqwest::Client, TransportError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.build().map_err(|_| {
            // The certificate verifier cannot be built without any root certificate.
            TransportError::Setup(if trusts_anybody() {
                NoAnswer::ProxyFailed
            } else {
                NoAnswer::NoTrustedCertificates
            })
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    fn build(&self) -> Result<reqwest::Client, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_OUT)
            .pool_idle_timeout(IDLE_TIME_OUT)
            .referer(false)
            .tcp_nodelay(true)
            .user_agent(concat!("clerk-sync/", env!("CARGO_PKG_VERSION")));
        if self.https {
            builder.https_only(true).build()
        } else {
            // Without TLS certificates are useless, and loading the system's takes most of the start-up time.
            builder.no_proxy().tls_certs_only([]).build()
        }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        room: &mut Room,
    ) -> Result<Answer, TransportError> {
        let gzip = HeaderValue::from_static("gzip");
        let request = self.client()?.get(url.clone()).headers(headers);
        let sending = request.header(ACCEPT_ENCODING, gzip).send();
        let mut response = tokio::time::timeout(FIRST_BYTE_TIME_OUT, sending)
            .await
            .map_err(|_| TransportError::FirstByteTimeOut(FIRST_BYTE_TIME_OUT))?
            .map_err(broken)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Bytes::from_owner(read_body(response, self.compressed.take(), room).await?);
        if is_gzip(&headers) {
            room.take(size_when_decompressed(&body)).await;
            body = decompress(&body, &self.decompressed)?;
        }
        Ok(Answer { status, headers, body })
    }

    fn prepare(&self) -> Result<(), TransportError> {
        self.client().map(|_| ())
    }
}

/// Reads the body as sent, before decompression.
async fn read_body(
    mut response: reqwest::Response,
    mut body: Buffer,
    room: &mut Room,
) -> Result<Buffer, TransportError> {
    // Only a hint: a server that announces too much does not get it.
    let announced = response.content_length().map_or(0, |bytes| bytes.min(1024 * 1024));
    body.clear();
    body.reserve(announced as usize);
    let cut_short = |_: reqwest::Error| TransportError::CutShort;
    let mut deadline = Instant::now() + BODY_TIME_OUT;
    loop {
        let chunk = tokio::time::timeout_at(deadline, response.chunk())
            .await
            .map_err(|_| TransportError::BodyTimeOut(BODY_TIME_OUT))?
            .map_err(cut_short)?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(TransportError::TooLarge);
        }
        let waiting = Instant::now();
        room.take(chunk.len()).await;
        // Waiting for room is not the server's fault.
        deadline += waiting.elapsed();
        body.extend_from_slice(&chunk);
    }
}

/// The decompressed size that a gzip file states in its last four bytes (RFC 1952, ISIZE), as far as it is plausible:
/// deflate compresses by a factor of at most 1032.
fn size_when_decompressed(body: &[u8]) -> usize {
    let stated = body.last_chunk().map_or(0, |&size| u32::from_le_bytes(size) as usize);
    stated.min(MAX_BODY_BYTES).min(body.len().saturating_mul(1032))
}

fn is_gzip(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|value| {
        ["gzip", "x-gzip"].iter().any(|name| value.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
    })
}

fn decompress(body: &[u8], buffers: &Buffers) -> Result<Bytes, TransportError> {
    gunzip(body, MAX_BODY_BYTES, buffers)
        .map_err(|_| TransportError::CutShort)?
        .ok_or(TransportError::TooLarge)
}

/// Drops the error's own text: it may repeat what the server sent, or the query, which can contain ids and e-mail
/// addresses.
fn broken(error: reqwest::Error) -> TransportError {
    if error.is_connect() {
        TransportError::Connect(NoAnswer::of(&error))
    } else {
        TransportError::Broken
    }
}
