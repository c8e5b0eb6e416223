//! A proxy between one function and moto that can inject faults into the calls of AWS.
//!
//! Each environment of a function has its own entrance, so that its calls can be counted, and it
//! can be stopped at one of them. Faults apply to all entrances.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use clerk_snapshot::timestamp::Timestamp;
use clerk_sync::clock::Clock;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::JoinHandle;

use super::fuse::Side;
use super::moto::Moto;
use super::process::signalled;

/// The prefix of every key in the tests.
const ANY_KEY: &str = "sk_test_";

/// A call of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AwsCall {
    Get,
    Put,
    Delete,
    Head,
    List,
    /// Anything of Secrets Manager.
    Secret,
}

/// What the caller sees, and whether the call takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AwsEffect {
    /// The call is not carried out; the connection is closed.
    Reset,
    /// The call is not carried out, but refused with this status and code.
    Refuse(u16, &'static str),
    /// Like [`AwsEffect::Refuse`], but only for calls with a condition.
    RefuseConditional(u16, &'static str),
    /// The call is carried out without its condition.
    DropCondition,
    /// The call is carried out, and the connection is closed without an answer.
    LoseAnswer,
    /// The connection is closed, and the call is carried out this much later.
    HappenLate(Duration),
    /// The call is carried out, and the answer takes this long.
    Delay(Duration),
    /// The call is carried out, and the connection is closed in the middle of the answer.
    CutAnswer,
    /// The call is carried out and answered; then the connection is closed.
    HangUp,
    /// The call is not carried out, and never answered.
    Hang,
}

/// A fault, and the calls it strikes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AwsFault {
    pub(crate) call: AwsCall,
    /// Count only calls with this text in their path.
    pub(crate) key_part: &'static str,
    /// The first call that the fault strikes; the first is 1.
    pub(crate) first: u64,
    /// The last call that the fault strikes.
    pub(crate) last: u64,
    pub(crate) effect: AwsEffect,
}

/// How a process is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Kill,
    Terminate,
    /// The process is frozen until it is thawed.
    Freeze,
}

/// A process that can be stopped from wherever its requests arrive.
#[derive(Debug, Default)]
pub(crate) struct Target {
    process: OnceLock<u32>,
    frozen: watch::Sender<bool>,
    was_frozen: AtomicBool,
}

impl Target {
    /// Sets the id of the process.
    pub(crate) fn is(&self, process: u32) {
        self.process.set(process).expect("set once");
    }

    /// Stops the process before it sees an answer to its request.
    pub(crate) fn stop(&self, stop: Stop) {
        // It may have ended by itself a moment ago.
        let _ended = !match stop {
            Stop::Kill => self.signal("KILL"),
            Stop::Terminate => self.signal("TERM"),
            Stop::Freeze => {
                self.was_frozen.store(true, Ordering::SeqCst);
                let frozen = self.signal("STOP");
                self.frozen.send_replace(frozen);
                frozen
            }
        };
    }

    fn signal(&self, signal: &str) -> bool {
        signalled(signal, *self.process.wait())
    }

    /// Freezes the process, as Lambda does between two invocations.
    pub(crate) fn rest(&self) {
        let _ended = !self.signal("STOP");
    }

    /// Thaws the process.
    pub(crate) fn thaw(&self) {
        let _ended = !self.signal("CONT");
        self.frozen.send_replace(false);
    }

    /// Returns once the process has been frozen.
    pub(crate) async fn frozen(&self) {
        self.until(true).await;
    }

    fn was_frozen(&self) -> bool {
        self.was_frozen.load(Ordering::SeqCst)
    }

    async fn until(&self, frozen: bool) {
        let mut receiver = self.frozen.subscribe();
        receiver.wait_for(|&it| it == frozen).await.expect("the sender is at hand");
    }
}

/// The network of one function.
#[derive(Debug, Clone)]
pub(crate) struct AwsProxy(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    moto: String,
    state: Mutex<State>,
    /// Held while a checkpoint is written, so that writes are recorded in the order in which they
    /// happen.
    writes: AsyncMutex<Writes>,
    /// The number of calls that are being carried out.
    working: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<(AwsFault, u64)>,
    struck: u64,
    late: BTreeSet<String>,
    /// A call that showed the key, other than one to Secrets Manager.
    shown: Option<String>,
}

/// The writers of the checkpoint so far, by the tokens of their leases.
#[derive(Debug, Default)]
struct Writes {
    holder: Option<Lease>,
    /// The writers that have lost the lease since.
    former: BTreeSet<String>,
    /// Writes without the right to write.
    breaches: Vec<String>,
}

#[derive(Debug)]
struct Lease {
    token: String,
    until: Option<Timestamp>,
}

/// The entrance of one environment.
#[derive(Debug)]
pub(crate) struct Entrance {
    url: String,
    accepting: JoinHandle<()>,
    stops: Arc<Stops>,
}

#[derive(Debug)]
struct Stops {
    target: Arc<Target>,
    planned: Mutex<Planned>,
}

#[derive(Debug, Default)]
struct Planned {
    /// The number of calls so far.
    calls: u64,
    /// The calls at which the process is stopped, and whether before or after the call.
    stops: Vec<(u64, Side, Stop)>,
}

impl AwsProxy {
    /// A network without faults.
    pub(crate) fn to(moto: &Moto) -> Self {
        let moto = moto.url().trim_start_matches("http://").to_owned();
        let (state, writes, working) =
            (Mutex::default(), AsyncMutex::default(), watch::channel(0).0);
        Self(Arc::new(Shared { moto, state, writes, working }))
    }

    /// Opens an entrance for a process.
    pub(crate) async fn entrance(&self, target: &Arc<Target>) -> Entrance {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stops = Arc::new(Stops { target: Arc::clone(target), planned: Mutex::default() });
        let (shared, planned) = (Arc::clone(&self.0), Arc::clone(&stops));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&shared), Arc::clone(&planned)));
            }
        });
        Entrance { url, accepting, stops }
    }

    /// Adds a fault that counts calls from now on. If several strike at once, the one added first
    /// does.
    pub(crate) fn fault(&self, fault: AwsFault) {
        self.0.state().faults.push((fault, 0));
    }

    /// Removes all faults.
    pub(crate) fn heal(&self) {
        self.0.state().faults.clear();
    }

    /// The number of calls that a fault struck.
    pub(crate) fn struck(&self) -> u64 {
        self.0.state().struck
    }

    /// The paths of calls that were carried out late, or sent by a process that had been frozen:
    /// others may have cleaned up by then.
    pub(crate) fn late(&self) -> BTreeSet<String> {
        self.0.state().late.clone()
    }

    /// A call that showed the key but should not have.
    pub(crate) fn shown(&self) -> Option<String> {
        self.0.state().shown.clone()
    }

    /// Checkpoints written by an invocation that had lost the lease, or before another's lease had
    /// ended.
    pub(crate) async fn breaches(&self) -> Vec<String> {
        self.0.writes.lock().await.breaches.clone()
    }

    /// The test has changed the checkpoint: whoever held it may have lost it.
    pub(crate) async fn checkpoint_changed(&self) {
        self.0.writes.lock().await.end_lease();
    }

    /// Returns when no call is being carried out: everything that a dead process requested has
    /// happened.
    pub(crate) async fn at_rest(&self) {
        let mut working = self.0.working.subscribe();
        working.wait_for(|&calls| calls == 0).await.expect("the sender is at hand");
    }
}

impl Entrance {
    /// The URL that the process uses for AWS.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Counts calls from now on, and stops the process at these.
    pub(crate) fn stop_at(&self, stops: Vec<(u64, Side, Stop)>) {
        *lock(&self.stops.planned) = Planned { calls: 0, stops };
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Counts a call while it lives.
struct Working<'a>(&'a watch::Sender<u64>);

impl<'a> Working<'a> {
    fn on(shared: &'a Shared) -> Self {
        shared.working.send_modify(|calls| *calls += 1);
        Self(&shared.working)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

/// A complete request.
#[derive(Clone)]
struct Request {
    method: String,
    path: String,
    /// The header lines, without those that concern only one connection.
    headers: String,
    body: Vec<u8>,
}

/// The answer to the process, and whether the connection stays open.
struct Answer {
    bytes: Vec<u8>,
    stays_open: bool,
}

async fn converse(stream: TcpStream, shared: Arc<Shared>, stops: Arc<Stops>) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Some(request) = Request::read(&mut stream).await {
        let effect = shared.note(&request, &stops.target);
        let (before, after) = stops.count();
        if let Some(stop) = before {
            stops.target.stop(stop);
            if stop != Stop::Freeze {
                return;
            }
            // As if the process had been frozen just before it sent the request.
            shared.state().late.insert(request.path.clone());
            stops.target.until(false).await;
        }
        if effect == Some(AwsEffect::Hang) {
            // Until the other side gives up.
            let _ = stream.read_u8().await;
            return;
        }
        let answer = {
            let _working = Working::on(&shared);
            shared.carry_out(&request, effect).await
        };
        if let Some(stop) = after {
            stops.target.stop(stop);
        }
        let Some(answer) = answer else { return };
        let sent = stream.get_mut().write_all(&answer.bytes).await;
        if sent.is_err() || !answer.stays_open {
            return;
        }
    }
}

impl Stops {
    /// Counts a call, and returns the stops before and after it.
    fn count(&self) -> (Option<Stop>, Option<Stop>) {
        let mut planned = lock(&self.planned);
        planned.calls += 1;
        let at = |side| {
            let mut stops = planned.stops.iter();
            let due = stops.find(|(call, on, _)| *call == planned.calls && *on == side);
            due.map(|(_, _, stop)| *stop)
        };
        (at(Side::Before), at(Side::After))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Counts a request, and returns the fault that strikes it.
    fn note(&self, request: &Request, target: &Target) -> Option<AwsEffect> {
        let call = request.call();
        let mut state = self.state();
        if target.was_frozen() {
            state.late.insert(request.path.clone());
        }
        if call != AwsCall::Secret && request.shows(ANY_KEY) {
            state.shown = Some(format!("{} {}", request.method, request.path));
        }
        let mut effect = None;
        for (fault, counted) in &mut state.faults {
            if fault.call != call || !request.path.contains(fault.key_part) {
                continue;
            }
            *counted += 1;
            if effect.is_none() && (fault.first..=fault.last).contains(counted) {
                effect = Some(fault.effect);
            }
        }
        state.struck += u64::from(effect.is_some());
        effect
    }

    /// Carries a request out, or not; returns `None` if the connection is closed without an answer.
    async fn carry_out(
        self: &Arc<Self>,
        request: &Request,
        effect: Option<AwsEffect>,
    ) -> Option<Answer> {
        match effect {
            Some(AwsEffect::Reset | AwsEffect::Hang) => None,
            Some(AwsEffect::Refuse(status, code)) => Some(request.refusal(status, code)),
            Some(AwsEffect::RefuseConditional(status, code)) if request.has_condition() => {
                Some(request.refusal(status, code))
            }
            Some(AwsEffect::DropCondition) => {
                Some(self.pass_on(&request.without_condition()).await)
            }
            Some(AwsEffect::HappenLate(after)) => {
                self.state().late.insert(request.path.clone());
                let (shared, late) = (Arc::clone(self), request.clone());
                tokio::spawn(async move {
                    let _working = Working::on(&shared);
                    tokio::time::sleep(after).await;
                    let _nobody_listens = shared.pass_on(&late).await;
                });
                None
            }
            None | Some(_) => {
                let mut answer = self.pass_on(request).await;
                match effect {
                    Some(AwsEffect::LoseAnswer) => return None,
                    Some(AwsEffect::CutAnswer) => {
                        answer.bytes.truncate(answer.bytes.len() * 2 / 3);
                        answer.stays_open = false;
                    }
                    Some(AwsEffect::HangUp) => answer.stays_open = false,
                    Some(AwsEffect::Delay(time)) => tokio::time::sleep(time).await,
                    _ => {}
                }
                Some(answer)
            }
        }
    }
}

impl Shared {
    async fn pass_on(&self, request: &Request) -> Answer {
        let bytes = request.to_moto();
        let call = request.call();
        let is_write = matches!(call, AwsCall::Put | AwsCall::Delete);
        if !is_write || !request.path.contains("/checkpoint.json") {
            return Answer::of(ask(&self.moto, &bytes).await);
        }
        let mut writes = self.writes.lock().await;
        let answer = ask(&self.moto, &bytes).await;
        match call {
            AwsCall::Put if answer.starts_with(b"HTTP/1.1 200") => writes.note(&request.body),
            AwsCall::Delete if answer.starts_with(b"HTTP/1.1 204") => writes.end_lease(),
            _ => {}
        }
        Answer::of(answer)
    }
}

impl Writes {
    /// The lease may be taken from now on.
    const fn end_lease(&mut self) {
        if let Some(lease) = &mut self.holder {
            lease.until = None;
        }
    }

    /// A checkpoint was written.
    fn note(&mut self, checkpoint: &[u8]) {
        let checkpoint: Value = serde_json::from_slice(checkpoint).expect("a checkpoint is JSON");
        let text = |pointer| checkpoint.pointer(pointer).and_then(Value::as_str);
        let token = text("/lease/token").expect("a token").to_owned();
        let until = text("/lease/until").map(|until| until.parse().expect("a moment"));
        if self.former.contains(&token) {
            self.breaches.push(format!("{token} had lost the lease: {}", checkpoint["lease"]));
        }
        if let Some(before) = self.holder.take().filter(|before| before.token != token) {
            if before.until.is_some_and(|until| until > Clock::system().now()) {
                self.breaches.push(format!("{token} took the lease of {before:?}"));
            }
            self.former.insert(before.token);
        }
        self.holder = Some(Lease { token, until });
    }
}

/// Sends a request to moto and reads to the end of the connection.
async fn ask(moto: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(moto).await.expect("moto listens");
    stream.write_all(request).await.expect("moto reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("moto answers");
    answer
}

impl Answer {
    /// Moto's answer, without the end of its connection.
    fn of(bytes: Vec<u8>) -> Self {
        const CLOSE: &[u8] = b"\r\nConnection: close";
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let close = bytes[..head + 2].windows(CLOSE.len()).position(|it| it == CLOSE);
        let bytes = match close {
            Some(at) => [&bytes[..at], &bytes[at + CLOSE.len()..]].concat(),
            None => bytes,
        };
        Self { bytes, stays_open: true }
    }
}

impl Request {
    /// `None` if the other side has closed the connection, or left in the middle of a request.
    async fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let first = read_line(stream).await?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let (mut headers, mut length) = (String::new(), 0);
        loop {
            let line = read_line(stream).await?;
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "connection" => continue,
                "expect" => {
                    stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
                    continue;
                }
                "content-length" => length = value.trim().parse().expect("a length"),
                "transfer-encoding" => panic!("bodies have a known length: {line}"),
                _ => {}
            }
            headers.push_str(&line);
            headers.push_str("\r\n");
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self { method, path, headers, body })
    }

    fn call(&self) -> AwsCall {
        match self.method.as_str() {
            "GET" if self.path.contains("list-type=2") => AwsCall::List,
            "GET" => AwsCall::Get,
            "PUT" => AwsCall::Put,
            "DELETE" => AwsCall::Delete,
            "HEAD" => AwsCall::Head,
            "POST" => AwsCall::Secret,
            method => panic!("{method} {} is not what the program needs", self.path),
        }
    }

    fn shows(&self, key: &str) -> bool {
        let key = key.as_bytes();
        let has = |text: &[u8]| text.windows(key.len()).any(|it| it == key);
        has(self.path.as_bytes()) || has(self.headers.as_bytes()) || has(&self.body)
    }

    fn has_condition(&self) -> bool {
        self.headers.lines().any(is_condition)
    }

    fn without_condition(&self) -> Self {
        let kept = self.headers.lines().filter(|line| !is_condition(line));
        let headers = kept.map(|line| format!("{line}\r\n")).collect();
        Self { headers, ..self.clone() }
    }

    fn to_moto(&self) -> Vec<u8> {
        let head = format!("{} {} HTTP/1.1\r\n{}", self.method, self.path, self.headers);
        [head.as_bytes(), b"Connection: close\r\n\r\n", &self.body].concat()
    }

    /// An error in the form of S3 or Secrets Manager.
    fn refusal(&self, status: u16, code: &str) -> Answer {
        let body = match self.call() {
            AwsCall::Head => String::new(),
            AwsCall::Secret => format!(r#"{{"__type":"{code}","message":"a planted fault"}}"#),
            _ => format!("<Error><Code>{code}</Code><Message>a planted fault</Message></Error>"),
        };
        let text =
            format!("HTTP/1.1 {status} Planted\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Answer { bytes: text.into_bytes(), stays_open: true }
    }
}

fn is_condition(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    ["if-match", "if-none-match"].iter().any(|condition| name.eq_ignore_ascii_case(condition))
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let bytes = stream.read_line(&mut line).await.ok()?;
    (bytes > 0).then(|| line.trim_end().to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
