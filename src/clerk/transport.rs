//! One GET over HTTP: the only way this program speaks to Clerk.
//!
//! The trait has no method, argument or type that could express anything but GET, so read-only is
//! a property of the program's shape and not of its good behaviour.

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
    /// Sends one GET request to `url` with `headers` and reads the body to its end, holding only as
    /// much of it as there is `room` for.
    ///
    /// # Errors
    /// [`TransportError`] when no complete answer arrived. An answer with an error status is not an
    /// error here.
    async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        room: &mut Room,
    ) -> Result<Answer, TransportError>;

    /// Makes ready what the first request would otherwise wait for. Sends nothing.
    ///
    /// # Errors
    /// [`TransportError::Setup`].
    fn prepare(&self) -> Result<(), TransportError> {
        Ok(())
    }
}

/// A complete answer: the body was read to the length or the end the server announced.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// Response headers.
    pub headers: HeaderMap,
    /// The body after content decoding (gzip).
    pub body: Bytes,
}

/// Why no complete answer arrived. Those that [`TransportError::is_permanent`] tells of stay so until
/// a person acts; each other is worth another attempt, by [`Client`](super::client::Client).
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The TLS stack cannot be set up: there is no CA certificate, or a proxy's address is none.
    #[error("the HTTP client could not be set up: {0}")]
    Setup(NoAnswer),
    /// No connection within the time allowed, or it was refused by one side or the other.
    #[error("no connection could be made: {0}")]
    Connect(NoAnswer),
    /// The connection was made, but no answer began in time.
    #[error("no answer began within {} s", .0.as_secs())]
    FirstByteTimeOut(Duration),
    /// The answer began and did not end in time.
    #[error("the answer did not end within {} s", .0.as_secs())]
    BodyTimeOut(Duration),
    /// The connection broke before an answer began.
    #[error("the connection broke before an answer began")]
    Broken,
    /// The answer began, and its body was cut short or could not be decompressed.
    #[error("the body was cut short or could not be decompressed")]
    CutShort,
    /// The body is larger than [`MAX_BODY_BYTES`], counted after decompression.
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
}

impl TransportError {
    /// Whether the failure says that the other side may be overloaded.
    #[must_use]
    pub const fn is_time_out(&self) -> bool {
        matches!(self, Self::FirstByteTimeOut(_) | Self::BodyTimeOut(_))
    }

    /// Whether it stays so until a person acts.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Setup(_) => true,
            Self::Connect(why) => why.is_permanent(),
            _ => false,
        }
    }

    /// What stood between this machine and Clerk, if the fault is of that kind.
    #[must_use]
    pub const fn no_answer(&self) -> Option<NoAnswer> {
        match self {
            Self::Setup(why) | Self::Connect(why) => Some(*why),
            _ => None,
        }
    }
}

/// Largest body accepted, in bytes after decompression. A page of 500 users with full metadata
/// bags is about 14 MB; four times that is a server gone wrong (or a decompression bomb).
pub const MAX_BODY_BYTES: usize = 56 * 1024 * 1024;

// What is written must be readable again: at worst one row fills the body, and its record holds it twice.
const _: () = assert!(LONGEST_LINE >= 2 * MAX_BODY_BYTES as u64);

/// Longest wait for a connection, TLS included.
const CONNECT_TIME_OUT: Duration = Duration::from_secs(5);
/// Longest wait from sending the request to the first byte of the answer.
const FIRST_BYTE_TIME_OUT: Duration = Duration::from_secs(30);
/// Longest time one body may take from its first byte.
const BODY_TIME_OUT: Duration = Duration::from_secs(60);
/// How long an unused connection is kept. Lambda freezes the process between invocations and the
/// socket is dead by the next one, so a short time costs nothing and avoids resets.
const IDLE_TIME_OUT: Duration = Duration::from_secs(15);

/// [`Transport`] over the network.
#[derive(Debug)]
pub struct HttpTransport {
    https: bool,
    client: OnceLock<reqwest::Client>,
    /// For bodies as they arrive.
    compressed: Buffers,
    /// For bodies that were decompressed.
    decompressed: Buffers,
}

impl HttpTransport {
    /// A transport for requests to `api_url`'s host. Redirects are never followed, because the key
    /// would travel with them; a proxy from the environment is not used for a loopback host.
    ///
    /// Nothing is set up yet: a sync that has nothing to do never loads a certificate.
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
            // The verifier of certificates cannot be made without any.
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
            // Certificates are of no use without TLS, and reading the system's is most of the time
            // that a start takes.
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

/// The body as it is sent.
async fn read_body(
    mut response: reqwest::Response,
    mut body: Buffer,
    room: &mut Room,
) -> Result<Buffer, TransportError> {
    // A hint only: a server that announces too much does not get it.
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
        // The server is not to blame for that.
        deadline += waiting.elapsed();
        body.extend_from_slice(&chunk);
    }
}

/// What a gzip file says of its size in its last four bytes (RFC 1952, ISIZE), as far as that can be
/// true: deflate makes a file at most 1032 times smaller.
fn size_when_decompressed(body: &[u8]) -> usize {
    let said = body.last_chunk().map_or(0, |&size| u32::from_le_bytes(size) as usize);
    said.min(MAX_BODY_BYTES).min(body.len().saturating_mul(1032))
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

/// The error's own text is not kept: it may repeat the query, which can hold ids and e-mail addresses,
/// or what the server sent.
fn broken(error: reqwest::Error) -> TransportError {
    if error.is_connect() {
        TransportError::Connect(NoAnswer::of(&error))
    } else {
        TransportError::Broken
    }
}
