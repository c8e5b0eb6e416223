//! Lambda's runtime interface on loopback, for the real program (AWS documentation, "Using the
//! Lambda runtime API for custom runtimes").

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::process::{Finished, Program, finished, signalled};

/// A function that has not answered by then is broken. No test waits this long.
const PATIENCE: Duration = Duration::from_secs(300);

/// One execution environment of a function.
pub(crate) struct Lambda {
    process: u32,
    ended: Ended,
    serving: JoinHandle<()>,
    events: mpsc::Sender<Delivery>,
    posts: mpsc::Receiver<Post>,
}

/// How a process ended, once it has.
pub(crate) type Ended = watch::Receiver<Option<Arc<Finished>>>;

/// An event on its way to the function.
#[derive(Debug)]
struct Delivery {
    request_id: String,
    deadline_ms: u128,
    /// JSON.
    event: String,
}

/// A request that the function posted: its path below the API's version, and its body.
#[derive(Debug)]
struct Post {
    path: String,
    body: Value,
}

/// A request's first line, its headers in lower case, and its body.
struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

impl Lambda {
    /// Starts the program as a function, with the settings that Lambda gives.
    pub(crate) async fn start(program: &Program) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (events, delivered) = mpsc::channel(1);
        let (posted, posts) = mpsc::channel(16);
        let serving = tokio::spawn(serve(listener, Arc::new(Mutex::new(delivered)), posted));
        let child = program
            .clone()
            .with("AWS_LAMBDA_RUNTIME_API", &address)
            .with("AWS_LAMBDA_FUNCTION_NAME", "clerk-sync")
            .with("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .with("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .with("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/clerk-sync")
            .with("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .start();
        let process = child.id();
        let (end, ended) = watch::channel(None);
        tokio::spawn(async move { end.send_replace(Some(Arc::new(finished(child).await))) });
        Self { process, ended, serving, events, posts }
    }

    /// The process's id.
    pub(crate) const fn process(&self) -> u32 {
        self.process
    }

    /// Receives how the process ended, and everything it wrote.
    pub(crate) fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Invokes the function with its deadline this far away, and returns its response, or the error
    /// it reported.
    pub(crate) async fn invoke(
        &mut self,
        request_id: &str,
        event: Value,
        deadline_in: Duration,
    ) -> Result<Value, Value> {
        self.invoke_until(request_id, event, SystemTime::now() + deadline_in).await
    }

    /// Like [`Lambda::invoke`], with the deadline as the function will see it.
    pub(crate) async fn invoke_until(
        &mut self,
        request_id: &str,
        event: Value,
        deadline: SystemTime,
    ) -> Result<Value, Value> {
        self.deliver(request_id, event, deadline).await;
        self.answered(request_id).await
    }

    /// Like [`Lambda::invoke`], with an event that [`Value`] cannot hold.
    pub(crate) async fn invoke_with_json(
        &mut self,
        request_id: &str,
        event: &str,
        deadline_in: Duration,
    ) -> Result<Value, Value> {
        self.deliver_json(request_id, event.to_owned(), SystemTime::now() + deadline_in).await;
        self.answered(request_id).await
    }

    async fn answered(&mut self, request_id: &str) -> Result<Value, Value> {
        let outcome = tokio::time::timeout(PATIENCE, self.outcome(request_id)).await;
        outcome.expect("an answer in time").expect("the process lives on")
    }

    /// Returns once the process has ended.
    pub(crate) async fn has_ended(&mut self) {
        self.ended.wait_for(Option::is_some).await.expect("it is waited for");
    }

    /// Hands an event to the function.
    pub(crate) async fn deliver(&self, request_id: &str, event: Value, deadline: SystemTime) {
        self.deliver_json(request_id, event.to_string(), deadline).await;
    }

    async fn deliver_json(&self, request_id: &str, event: String, deadline: SystemTime) {
        let deadline_ms = deadline.duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let delivery = Delivery { request_id: request_id.to_owned(), deadline_ms, event };
        self.events.send(delivery).await.expect("the interface is served");
    }

    /// The response to a delivered event, or the error that was reported; `None` if the process
    /// ended without either. May be dropped and called again.
    pub(crate) async fn outcome(&mut self, request_id: &str) -> Option<Result<Value, Value>> {
        let Self { posts, ended, .. } = self;
        let post = tokio::select! {
            biased;
            post = posts.recv() => post.expect("the interface is served"),
            _ = ended.wait_for(Option::is_some) => posts.try_recv().ok()?,
        };
        match post.path.strip_prefix(&format!("/invocation/{request_id}/")) {
            Some("response") => Some(Ok(post.body)),
            Some("error") => Some(Err(post.body)),
            _ => panic!("posted to {}: {:#}", post.path, post.body),
        }
    }

    /// Ends the environment, if it has not ended by itself, and returns what its process wrote.
    pub(crate) async fn end(mut self) -> Arc<Finished> {
        self.kill();
        let finished = self.ended.wait_for(Option::is_some).await.expect("it is waited for");
        finished.clone().expect("it has ended")
    }

    fn kill(&self) {
        if self.ended.borrow().is_none() {
            // It may have ended by itself a moment ago.
            let _ended = !signalled("KILL", self.process);
        }
    }

    /// Ends the environment, and returns the lines of its log.
    pub(crate) async fn stop(self) -> Vec<Value> {
        let finished = self.end().await;
        assert_eq!(finished.stderr, "", "everything is logged to standard output");
        let lines = finished.stdout.lines();
        lines.map(|line| serde_json::from_str(line).expect("a log line is JSON")).collect()
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.serving.abort();
        self.kill();
    }
}

async fn serve(
    listener: TcpListener,
    delivered: Arc<Mutex<mpsc::Receiver<Delivery>>>,
    posted: mpsc::Sender<Post>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, Arc::clone(&delivered), posted.clone()));
    }
}

async fn converse(
    stream: TcpStream,
    delivered: Arc<Mutex<mpsc::Receiver<Delivery>>>,
    posted: mpsc::Sender<Post>,
) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Some(request) = read_request(&mut read).await {
        let path = request.path.strip_prefix("/2018-06-01/runtime").expect("the API's version");
        let answer = match (request.method.as_str(), path) {
            ("GET", "/invocation/next") => {
                let Some(delivery) = delivered.lock().await.recv().await else { return };
                next(&delivery)
            }
            ("POST", path) => {
                let body = serde_json::from_slice(&request.body).expect("a JSON body");
                let post = Post { path: path.to_owned(), body };
                if posted.send(post).await.is_err() {
                    return;
                }
                answer("202 Accepted", "", r#"{"status":"OK"}"#)
            }
            (method, path) => panic!("{method} {path} is not part of the interface"),
        };
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn next(delivery: &Delivery) -> String {
    let headers = format!(
        "Lambda-Runtime-Aws-Request-Id: {}\r\n\
         Lambda-Runtime-Deadline-Ms: {}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: \
         arn:aws:lambda:us-east-1:123456789012:function:clerk-sync\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n",
        delivery.request_id, delivery.deadline_ms
    );
    answer("200 OK", &headers, &delivery.event)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         {headers}\r\n{body}",
        body.len()
    )
}

/// `None` if the other side has closed the connection.
async fn read_request(read: &mut BufReader<OwnedReadHalf>) -> Option<Request> {
    let line = read_line(read).await?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    loop {
        let line = read_line(read).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length =
        headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    read.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, body })
}

async fn read_line(read: &mut BufReader<OwnedReadHalf>) -> Option<String> {
    let mut line = String::new();
    let bytes = read.read_line(&mut line).await.ok()?;
    (bytes > 0).then(|| line.trim_end().to_owned())
}
