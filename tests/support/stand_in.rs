//! Servers that stand in for Clerk, S3 or Secrets Manager, or for a proxy in between.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server on a loopback port that answers each request by a function of its head, and ends when
/// dropped.
pub(crate) struct StandIn {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

/// Returns the exact answer for the head of a request.
type Answers = dyn Fn(&str) -> String + Send + Sync;

impl StandIn {
    /// A server that speaks plain HTTP.
    pub(crate) async fn new(answers: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let answers: Arc<Answers> = Arc::new(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn({
            let requests = Arc::clone(&requests);
            async move {
                loop {
                    let (connection, _) = listener.accept().await.expect("a connection");
                    let (answers, requests) = (Arc::clone(&answers), Arc::clone(&requests));
                    tokio::spawn(async move {
                        answer_one(connection, &*answers, &requests).await;
                    });
                }
            }
        });
        Self { address, requests, server }
    }

    /// `http://…`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Reads a request with its body, answers it and closes the connection.
async fn answer_one(mut connection: TcpStream, answers: &Answers, requests: &Mutex<Vec<String>>) {
    let mut received = Vec::new();
    let head = loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().to_owned())
            });
            if body.len() >= length.map_or(0, |length| length.parse().expect("a length")) {
                break head.to_owned();
            }
        }
        match connection.read_buf(&mut received).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    };
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    // A client may have disconnected.
    let _ = connection.write_all(answers(&head).as_bytes()).await;
    let _ = connection.shutdown().await;
}

/// An answer with this status line, these additional headers and this body.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}
