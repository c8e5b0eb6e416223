//! A proxy in front of moto that makes it an S3-compatible store that does less than S3.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How the store differs from S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// `If-Match` and `If-None-Match` are ignored.
    IgnoresConditions,
    /// `DELETE` with `If-Match` is answered with 501.
    NoConditionalDelete,
    /// Reads return a weak ETag, and a condition on a weak one never holds.
    WeakEtags,
    /// Reads return another ETag than the one that conditions compare.
    OtherEtags,
    /// Checksum headers are answered with 501, and none are returned.
    NoChecksums,
}

/// A server on its own port, which ends when dropped.
pub(crate) struct S3Proxy {
    url: String,
    checksum_headers: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl Drop for S3Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl S3Proxy {
    /// Starts one in front of the server at `url`.
    pub(crate) async fn before(url: &str, oddity: Oddity) -> Self {
        let target = url.strip_prefix("http://").expect("plain HTTP").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let checksum_headers = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&checksum_headers);
        let server = tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.expect("a connection");
                let (target, counter) = (target.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    // A client that disconnects needs no answer.
                    let _ = pass(connection, &target, oddity, &counter).await;
                });
            }
        });
        Self { url, checksum_headers, server }
    }

    /// `http://127.0.0.1:<port>`
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The number of requests with a checksum header.
    pub(crate) fn checksum_headers(&self) -> u64 {
        self.checksum_headers.load(Ordering::SeqCst)
    }
}

/// Passes one request on, and its answer back.
async fn pass(
    mut client: TcpStream,
    target: &str,
    oddity: Oddity,
    checksum_headers: &AtomicU64,
) -> std::io::Result<()> {
    let (head, body) = read_message(&mut client).await?;
    let method = head.split(' ').next().unwrap_or_default().to_owned();
    let has = |name: &str| header(&head, name).is_some();
    let sends_checksum = head.lines().skip(1).any(is_checksum);
    if sends_checksum {
        checksum_headers.fetch_add(1, Ordering::SeqCst);
    }
    let lacks = match oddity {
        Oddity::NoConditionalDelete => method == "DELETE" && has("if-match"),
        Oddity::NoChecksums => sends_checksum,
        _ => false,
    };
    if lacks {
        let xml = "<Error><Code>NotImplemented</Code><Message>m</Message></Error>";
        let answer = format!(
            "HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{xml}",
            xml.len()
        );
        client.write_all(answer.as_bytes()).await?;
        return client.shutdown().await;
    }
    let is_kept = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let is_condition = name == "if-match" || name == "if-none-match";
        name != "connection" && !(oddity == Oddity::IgnoresConditions && is_condition)
    };
    let kept: Vec<&str> = head.lines().filter(is_kept).collect();
    let mut server = TcpStream::connect(target).await?;
    let request = format!("{}\r\nconnection: close\r\n\r\n", kept.join("\r\n"));
    server.write_all(request.as_bytes()).await?;
    server.write_all(&body).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    let end = end_of_head(&answer).unwrap_or(answer.len());
    let is_read = method == "GET" || method == "HEAD";
    let lines = String::from_utf8_lossy(&answer[..end]).into_owned();
    let lines: Vec<String> = lines
        .lines()
        .filter(|line| !(oddity == Oddity::NoChecksums && is_checksum(line)))
        .map(|line| match line.split_once(": ") {
            Some((name, tag)) if is_read && name.eq_ignore_ascii_case("etag") => match oddity {
                Oddity::WeakEtags => format!("{name}: W/{tag}"),
                Oddity::OtherEtags => format!("{name}: {}-gzip\"", tag.trim_end_matches('"')),
                _ => line.to_owned(),
            },
            _ => line.to_owned(),
        })
        .collect();
    client.write_all(lines.join("\r\n").as_bytes()).await?;
    client.write_all(b"\r\n\r\n").await?;
    client.write_all(&answer[(end + 4).min(answer.len())..]).await?;
    client.shutdown().await
}

/// The head and body of a message that states its length.
async fn read_message(connection: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = end_of_head(&received) {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            let length =
                header(&head, "content-length").map_or(0, |it| it.parse().expect("a number"));
            if received.len() >= end + 4 + length {
                return Ok((head, received.split_off(end + 4)));
            }
        }
        if connection.read_buf(&mut received).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n")
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.split_once(": ").filter(|it| it.0.eq_ignore_ascii_case(name));
    head.lines().skip(1).find_map(of).map(|(_, value)| value)
}

fn is_checksum(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
    name.starts_with("x-amz-checksum-") || name == "x-amz-sdk-checksum-algorithm"
}
