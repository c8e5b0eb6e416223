//! Serves the sandbox over HTTP/1.1; [`Sandbox::answer`] answers every request.

use std::convert::Infallible;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::{Answer, ConnectionReset};
use crate::sandbox::Sandbox;

/// A running server. Dropping it stops the server and closes all connections.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    accepting: JoinHandle<Infallible>,
}

impl Serving {
    /// Base URL of the server, such as `http://127.0.0.1:1234`; the API is below `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Sandbox {
    /// Serves on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn serve(&self) -> std::io::Result<Serving> {
        self.serve_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves on this address.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn serve_on(&self, address: SocketAddr) -> std::io::Result<Serving> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(self.clone(), listener));
        Ok(Serving { address, accepting })
    }
}

async fn accept(sandbox: Sandbox, listener: TcpListener) -> Infallible {
    // Dropping this task drops all connections.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(sandbox.clone(), stream));
            }
            // Too many open files, or the peer has already left: keep accepting others.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(sandbox: Sandbox, stream: TcpStream) {
    // Without it, the last packet of a page may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(sandbox.clone(), request));
    // An error here means that the peer left, or that a fault reset the connection.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    sandbox: Sandbox,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, ConnectionReset> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let answer = sandbox.answer(request.method().as_str(), target, &headers).await?;
    let mut response = Response::new(AnswerBody::of(&answer));
    // Faults are checked to have a status between 200 and 599 when they are parsed.
    *response.status_mut() =
        hyper::StatusCode::from_u16(answer.status).map_err(|_| ConnectionReset)?;
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) =
            (hyper::header::HeaderName::try_from(name), hyper::header::HeaderValue::try_from(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// A body that announces its full length but may be sent only in part.
struct AnswerBody {
    announced: u64,
    rest: Option<Bytes>,
    ending: Ending,
}

/// What happens after the bytes.
enum Ending {
    Proper,
    /// Reset once the socket has taken the bytes: an earlier reset would discard them.
    CutWhenSent(oneshot::Receiver<Infallible>),
    /// Reset, now that the head could be sent.
    Cut,
}

/// Bytes being written to the socket. Dropping it tells the channel's other end that they have been taken.
struct BytesInTransit {
    bytes: Bytes,
    _until_sent: oneshot::Sender<Infallible>,
}

impl AsRef<[u8]> for BytesInTransit {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AnswerBody {
    fn of(answer: &Answer) -> Self {
        let announced = answer.body.len() as u64;
        match answer.cut_after {
            None => Self { announced, rest: Some(answer.body.clone()), ending: Ending::Proper },
            Some(count) => {
                let (until_sent, sent) = oneshot::channel();
                let bytes =
                    BytesInTransit { bytes: answer.body.slice(..count), _until_sent: until_sent };
                let rest = (count > 0).then(|| Bytes::from_owner(bytes));
                Self { announced, rest, ending: Ending::CutWhenSent(sent) }
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = ConnectionReset;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionReset>>> {
        if let Some(bytes) = self.rest.take().filter(|bytes| !bytes.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut self.ending {
            Ending::Proper => Poll::Ready(None),
            Ending::CutWhenSent(sent) => {
                if Pin::new(sent).poll(context).is_ready() {
                    // Hyper flushes what it has whenever a body is not ready.
                    self.ending = Ending::Cut;
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Ending::Cut => Poll::Ready(Some(Err(ConnectionReset))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
