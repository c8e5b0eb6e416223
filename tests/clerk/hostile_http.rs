//! Promise: whatever a server sends over HTTP, the program reads a bounded amount in bounded time,
//! and the key goes nowhere else.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clerk_sandbox::Sandbox;
use clerk_sync::clerk::bytes_in_flight::BytesInFlight;
use clerk_sync::clerk::transport::{
    Answer, HttpTransport, MAX_BODY_BYTES, Transport as _, TransportError,
};
use clerk_sync::clerk::urgency::Urgency;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::support::world::World;

/// A server that reads the head of a request and sends whatever the test wants.
struct Server {
    url: String,
    /// The heads of the requests.
    heads: Arc<Mutex<Vec<String>>>,
    /// Bytes that the socket has accepted.
    sent: Arc<AtomicU64>,
}

/// What a server sends: `once`, and then `for_ever` as long as the socket accepts it.
#[derive(Clone, Default)]
struct Sends {
    once: Vec<u8>,
    for_ever: Vec<u8>,
    /// The pause before each repetition.
    every: Duration,
}

impl Sends {
    fn once(bytes: impl Into<Vec<u8>>) -> Self {
        Self { once: bytes.into(), ..Self::default() }
    }
}

impl Server {
    async fn that(sends: Sends) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (heads, sent) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicU64::new(0)));
        let server = Self { url, heads: Arc::clone(&heads), sent: Arc::clone(&sent) };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (sends, heads, sent) = (sends.clone(), Arc::clone(&heads), Arc::clone(&sent));
                tokio::spawn(answer(connection, sends, heads, sent));
            }
        });
        server
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One request over the network, sent as the program sends it.
    async fn asked(&self) -> Result<Answer, TransportError> {
        self.asked_through(&HttpTransport::new(&self.url())).await
    }

    async fn asked_through(&self, transport: &HttpTransport) -> Result<Answer, TransportError> {
        let bytes = Arc::new(BytesInFlight::default());
        let mut room = bytes.room("/users", Urgency::default());
        transport.get(&self.url(), HeaderMap::new(), &mut room).await
    }

    fn url(&self) -> Url {
        self.url.parse().expect("a URL")
    }
}

async fn answer(
    mut connection: TcpStream,
    sends: Sends,
    heads: Arc<Mutex<Vec<String>>>,
    sent: Arc<AtomicU64>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    if connection.write_all(&sends.once).await.is_err() {
        return;
    }
    while !sends.for_ever.is_empty() && connection.write_all(&sends.for_ever).await.is_ok() {
        sent.fetch_add(sends.for_ever.len() as u64, Ordering::SeqCst);
        if !sends.every.is_zero() {
            tokio::time::sleep(sends.every).await;
        }
    }
}

fn head(fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}\r\n\r\n").into_bytes()
}

/// A redirect would take the key along, so it is an error, and its target receives nothing.
#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_is_not_passed_on() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Server::that(Sends::once(head("content-length: 2"))).await;
        let location = format!("{}/v1/instance", elsewhere.url);
        let redirect =
            format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let clerk = Server::that(Sends::once(redirect)).await;
        let mut world = World::new(Sandbox::empty()).with("CLERK_API_URL", &clerk.url);
        world.transport = Arc::new(HttpTransport::new(&clerk.url.parse().expect("a URL")));
        let error = world.sync().await.expect_err("no instance");
        assert_eq!(error.name(), "ClerkProtocol", "{status}");
        assert!(error.message().contains("redirects are not followed"), "{error}");
        assert!(
            clerk.heads()[0].contains("authorization: Bearer sk_"),
            "the key was sent to the first server"
        );
        assert_eq!(elsewhere.heads(), [""; 0], "{status}");
        assert!(!world.has_checkpoint() && world.published().is_none());
    }
}

/// Limit: [`MAX_BODY_BYTES`]. The announced length does not matter, and bytes past the limit are
/// not read.
#[tokio::test]
async fn a_body_without_end_is_read_only_up_to_the_limit() {
    let piece = vec![b' '; 1 << 20];
    let chunk = [b"100000\r\n".as_slice(), &piece, b"\r\n"].concat();
    for (fields, for_ever) in [
        ("content-length: 1000000000000", piece.clone()),
        ("connection: close", piece.clone()),
        ("transfer-encoding: chunked", chunk),
    ] {
        let sends = Sends { once: head(fields), for_ever, every: Duration::ZERO };
        let server = Server::that(sends).await;
        let answer = server.asked().await;
        assert!(matches!(answer, Err(TransportError::TooLarge)), "{fields}: {answer:?}");
        let sent = server.sent.load(Ordering::SeqCst);
        let most = MAX_BODY_BYTES as u64 + socket_buffers();
        assert!(sent <= most, "{fields}: {sent} bytes were read");
    }
}

/// Bytes that the buffers of both sockets and of both programs may hold. Linux states the limits of the former.
fn socket_buffers() -> u64 {
    const OF_THE_PROGRAMS: u64 = 2 * 1024 * 1024;
    let most = |name: &str| {
        let limits = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
        limits.split_whitespace().next_back()?.parse::<u64>().ok()
    };
    let allowed = most("tcp_rmem").zip(most("tcp_wmem"));
    allowed.map_or(32 * 1024 * 1024, |(read, written)| read + written + OF_THE_PROGRAMS)
}

/// Limit: [`MAX_BODY_BYTES`] after decompression.
#[tokio::test]
async fn a_decompression_bomb_is_refused() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..=MAX_BODY_BYTES >> 20 {
        gzip.write_all(&zeros).expect("memory");
    }
    let bomb = gzip.finish().expect("memory");
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    let mut lies_about_its_size = bomb.clone();
    let size = bomb.len() - 4;
    lies_about_its_size[size..].copy_from_slice(&7_u32.to_le_bytes());
    for bomb in [bomb, lies_about_its_size] {
        let fields = format!("content-encoding: gzip\r\ncontent-length: {}", bomb.len());
        let server = Server::that(Sends::once([head(&fields), bomb].concat())).await;
        let answer = server.asked().await;
        assert!(matches!(answer, Err(TransportError::TooLarge)), "{answer:?}");
    }
}

/// Buffers of bodies are reused.
#[tokio::test]
async fn a_body_holds_nothing_of_the_one_before() {
    let mut transport = None;
    for text in [r#"["a long one"]"#.repeat(100_000), "[1]".to_owned(), "[22]".to_owned()] {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(text.as_bytes()).expect("memory");
        let bodies = [("gzip", gzip.finish().expect("memory")), ("identity", text.clone().into())];
        for (encoding, body) in bodies {
            let fields = format!("content-encoding: {encoding}\r\ncontent-length: {}", body.len());
            let server = Server::that(Sends::once([head(&fields), body].concat())).await;
            let transport = transport.get_or_insert_with(|| HttpTransport::new(&server.url()));
            let answer = server.asked_through(transport).await.expect("a whole answer");
            assert!(answer.body == text, "{encoding}, {} bytes", text.len());
        }
    }
}

/// A body shorter than announced is cut short; bytes past the announced length are not part of it.
#[tokio::test]
async fn a_false_content_length_never_shortens_a_page() {
    let more = [head("content-length: 1000"), b"[{\"id\":\"user_1\"}".to_vec()].concat();
    let server = Server::that(Sends::once(more)).await;
    assert!(matches!(server.asked().await, Err(TransportError::CutShort)));
    let less = [head("content-length: 16"), b"[{\"id\":\"user_1\"},{\"id\":\"user_2\"}]".to_vec()];
    let server = Server::that(Sends::once(less.concat())).await;
    let body = server.asked().await.expect("a whole answer").body;
    assert!(serde_json::from_slice::<Value>(&body).is_err(), "{body:?}");
}

/// Limit: some hundred kilobytes of headers.
#[tokio::test]
async fn endless_headers_are_an_error() {
    let sends = Sends {
        once: b"HTTP/1.1 200 OK\r\n".to_vec(),
        for_ever: b"x-more: and more, and more, and more\r\n".repeat(100),
        every: Duration::ZERO,
    };
    let server = Server::that(sends).await;
    let answer = server.asked().await;
    assert!(matches!(answer, Err(TransportError::Broken)), "{answer:?}");
    assert!(server.sent.load(Ordering::SeqCst) < 32 * 1024 * 1024);
}

/// Limit: 60 s for a body. The time runs from the first byte, however slowly more arrive.
#[tokio::test]
async fn a_body_that_arrives_too_slowly_times_out() {
    let sends = Sends {
        once: head("content-length: 1000000"),
        for_ever: b" ".to_vec(),
        every: Duration::from_millis(50),
    };
    let server = Server::that(sends).await;
    let sent = Arc::clone(&server.sent);
    let asked = tokio::spawn(async move { server.asked().await });
    while sent.load(Ordering::SeqCst) < 5 {
        tokio::task::yield_now().await;
    }
    // From now on time advances whenever nothing else can run.
    tokio::time::pause();
    let answer = asked.await.expect("no panic");
    assert!(matches!(answer, Err(TransportError::BodyTimeOut(_))), "{answer:?}");
}
