//! How many requests are in flight: as many as the server answers well, and never more than set.
//!
//! A server that works on `k` requests at once takes `n / k` times as long when there are `n`
//! (Little's law): more than `k` in flight bring nothing but a queue. So the limit grows only while
//! latency stays near the least one seen. When latency has grown, the limit is cut by as much for a
//! trial: if latency comes down with it there was a queue, and the limit stays; otherwise the server
//! has become slower by itself (deep offsets do), and the limit comes back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::urgency::Urgency;

/// A limit that grows by one with each good answer until the first sign of overload, then by one
/// with each round of them, and is halved by a 429, a time-out or a 5xx.
#[derive(Debug)]
pub struct Concurrency {
    most: f64,
    state: Mutex<State>,
    freed: Notify,
    freed_for_urgent: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    /// Whether all others wait for an answer, for each place that is taken, the oldest first.
    places: Vec<Urgency>,
    /// Whether one of them is past the limit, since all others wait for its answer.
    is_past_the_limit: bool,
    in_flight: usize,
    /// Requests that wait for a place.
    waiting: usize,
    /// Set by the first overload: from then on growth is slow.
    seen_overload: bool,
    /// What was sent before says nothing about the limit of now.
    last_cut: Option<Instant>,
    /// By list.
    latencies: HashMap<String, Latency>,
    trial: Option<Trial>,
}

/// How long a list's answers take, in seconds.
#[derive(Debug, Default)]
struct Latency {
    usual: f64,
    /// `None` until enough answers have come.
    least: Option<f64>,
    answers: u32,
}

/// A look at whether latency comes down with the limit. Each half of it counts the answers to what
/// was sent since it began, in multiples of the least latency.
#[derive(Debug)]
struct Trial {
    /// The limit, and how slow the answers are under it; `None` in the first half.
    before: Option<(f64, f64)>,
    since: Instant,
    slowness: f64,
    answers: u32,
}

/// How many may be in flight before the first answer has come: few, because the latency seen then
/// is what later ones are held against.
const START: f64 = 4.0;
/// How many times as long as at the least answers may take before a queue is suspected.
const SLOW: f64 = 1.5;
/// A latency is the mean of about so many answers: single ones vary.
const ENOUGH_ANSWERS: u32 = 16;
/// After so many answers of a list there is a first least latency: the fewer are in flight by then
/// the better.
const FIRST_ANSWERS: u32 = 4;
/// Most by which one trial divides the limit: if there is no queue that much is lost for a round.
const DEEPEST_TRIAL: f64 = 2.0;
/// Shortest latency, in seconds, that others are held against: below it they vary for reasons of the
/// machine's.
const SHORTEST: f64 = 0.001;
/// A limit of which less than this part is in flight says nothing by holding.
const IN_USE: f64 = 0.5;

/// Most requests in flight where nobody has set another number: those that keep the pace while answers take
/// a little over a second, and no fewer than 32, nor more than 128.
#[must_use]
pub fn usual_concurrency(requests_per_10s: f64) -> usize {
    ((requests_per_10s * 0.128).ceil() as usize).clamp(32, 128)
}

impl Concurrency {
    /// At most `most` requests in flight (`MAX_CONCURRENCY`).
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let most = most.max(1) as f64;
        Arc::new(Self {
            most,
            state: Mutex::new(State {
                limit: START.min(most),
                places: Vec::new(),
                is_past_the_limit: false,
                in_flight: 0,
                waiting: 0,
                seen_overload: false,
                last_cut: None,
                latencies: HashMap::new(),
                trial: None,
            }),
            freed: Notify::new(),
            freed_for_urgent: Notify::new(),
        })
    }

    /// Waits for a place in flight; dropping it gives the place back.
    ///
    /// An urgent request takes one past the limit, one such request at a time. Where even the most are taken it
    /// makes the oldest of them urgent as well: all of them might wait for what waits for this one.
    pub async fn place(self: &Arc<Self>, urgency: &Urgency) -> Place {
        let _waiter = Waiter::new(self);
        loop {
            let is_urgent = urgency.is_set();
            let freed = if is_urgent { &self.freed_for_urgent } else { &self.freed };
            let freed = freed.notified();
            if let Some(place) = self.try_place(urgency) {
                return place;
            }
            tokio::select! {
                () = freed => {}
                () = urgency.until_set(), if !is_urgent => {}
            }
        }
    }

    fn try_place(self: &Arc<Self>, urgency: &Urgency) -> Option<Place> {
        let mut state = self.lock();
        let taken = state.places.len() as f64;
        let is_past_the_limit = taken >= state.limit.floor().max(1.0);
        if is_past_the_limit {
            if !urgency.is_set() {
                return None;
            }
            if state.is_past_the_limit || taken >= self.most {
                if let Some(oldest) = state.first_if_none_is_urgent() {
                    oldest.set();
                }
                return None;
            }
            state.is_past_the_limit = true;
        }
        state.places.push(urgency.clone());
        Some(Place {
            of: Arc::clone(self),
            urgency: urgency.clone(),
            is_past_the_limit,
            sent: None,
        })
    }

    /// How the places in flight are used at present.
    pub fn usage(&self) -> Usage {
        let state = self.lock();
        let limit = state.limit.floor().max(1.0) as usize;
        let State { in_flight, waiting, .. } = *state;
        Usage { limit, places: state.places.len(), in_flight, waiting }
    }

    /// A request met a 429, a time-out or a 5xx. Those that were sent before the last cut met the
    /// same overload as the one that made it.
    pub fn overloaded(&self, sent: Instant, now: Instant) {
        let mut state = self.lock();
        state.seen_overload = true;
        if state.last_cut.is_none_or(|cut| sent >= cut) {
            state.limit = (state.limit / 2.0).max(1.0);
            state.last_cut = Some(now);
            state.trial = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the places in flight are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// How many there are at present.
    pub limit: usize,
    /// How many are taken, by requests in flight and by those whose turn has not come.
    pub places: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests that wait for a place.
    pub waiting: usize,
}

impl Usage {
    /// Requests that hold a place or wait for one.
    #[must_use]
    pub const fn asked_for(&self) -> usize {
        self.places + self.waiting
    }
}

/// Counts a request as waiting for a place until it is dropped.
struct Waiter<'a>(&'a Concurrency);

impl<'a> Waiter<'a> {
    fn new(concurrency: &'a Concurrency) -> Self {
        concurrency.lock().waiting += 1;
        Self(concurrency)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// One request's place among those in flight.
#[derive(Debug)]
pub struct Place {
    of: Arc<Concurrency>,
    urgency: Urgency,
    is_past_the_limit: bool,
    sent: Option<Sent>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    /// Whether the limit was in use then.
    limit_in_use: bool,
}

impl Place {
    /// The request is sent now: a place that waits for its turn is not in flight.
    pub fn send(&mut self, now: Instant) {
        let mut state = self.of.lock();
        state.in_flight += 1;
        let limit_in_use = state.in_flight as f64 >= IN_USE * state.limit.floor();
        self.sent = Some(Sent { at: now, limit_in_use });
    }

    /// The request for a page of `list` was answered well.
    pub fn answered_well(self, list: &str, now: Instant) {
        let Some(sent) = self.sent else { return };
        let raised = self.of.lock().answered_well(sent, list, now, self.of.most);
        if raised {
            self.of.freed.notify_waiters();
            self.of.freed_for_urgent.notify_waiters();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        if let Some(this) = state.places.iter().position(|urgency| urgency.is(&self.urgency)) {
            state.places.remove(this);
        }
        state.is_past_the_limit &= !self.is_past_the_limit;
        state.in_flight -= usize::from(self.sent.is_some());
        drop(state);
        self.of.freed.notify_one();
        self.of.freed_for_urgent.notify_one();
    }
}

impl State {
    /// The urgency of the oldest request, unless one of them is urgent.
    fn first_if_none_is_urgent(&self) -> Option<&Urgency> {
        let is_one_urgent = self.places.iter().any(Urgency::is_set);
        self.places.first().filter(|_| !is_one_urgent)
    }

    /// Whether the limit was raised.
    fn answered_well(&mut self, sent: Sent, list: &str, now: Instant, most: f64) -> bool {
        let seconds = (now - sent.at).as_secs_f64();
        if !self.latencies.contains_key(list) {
            self.latencies.insert(list.to_owned(), Latency::default());
        }
        let Some(latency) = self.latencies.get_mut(list) else { return false };
        latency.note(seconds);
        let slowness = latency.slowness();
        let times_the_least = latency.least.map(|least| seconds / least);
        if self.last_cut.is_some_and(|cut| sent.at < cut) {
            return false;
        }
        if let Some(trial) = &mut self.trial {
            // A round: where few are in flight more would take too long.
            let enough = (self.limit as u32).clamp(FIRST_ANSWERS, ENOUGH_ANSWERS);
            return match times_the_least {
                Some(slowness) if sent.at >= trial.since => {
                    trial.slowness += slowness;
                    trial.answers += 1;
                    trial.answers >= enough && self.go_on_with_trial(now)
                }
                _ => false,
            };
        }
        if !sent.limit_in_use {
            return false;
        }
        if slowness > SLOW {
            self.trial = Some(Trial::new(None, now));
            return false;
        }
        let before = self.limit;
        let growth = if self.seen_overload { 1.0 / self.limit } else { 1.0 };
        self.limit = (self.limit + growth).min(most);
        self.limit.floor() > before.floor()
    }

    /// Whether the limit was raised.
    fn go_on_with_trial(&mut self, now: Instant) -> bool {
        let Some(trial) = self.trial.take() else { return false };
        let slowness = trial.slowness / f64::from(trial.answers);
        match trial.before {
            None if slowness > SLOW => {
                self.trial = Some(Trial::new(Some((self.limit, slowness)), now));
                let used = self.limit.min(self.in_flight as f64);
                self.limit = (used / slowness.min(DEEPEST_TRIAL)).ceil();
                self.last_cut = Some(now);
                false
            }
            Some((limit, before)) if slowness >= f64::midpoint(1.0, before) => {
                self.limit = limit;
                self.latencies.values_mut().for_each(Latency::accept);
                true
            }
            // There was a queue; or all is well after all.
            before => {
                self.seen_overload |= before.is_some();
                self.latencies.values_mut().for_each(Latency::forget_usual);
                false
            }
        }
    }
}

impl Trial {
    fn new(before: Option<(f64, f64)>, since: Instant) -> Self {
        Self { before, since, slowness: 0.0, answers: 0 }
    }
}

impl Latency {
    fn note(&mut self, seconds: f64) {
        self.answers = self.answers.saturating_add(1);
        self.usual += (seconds - self.usual) / f64::from(self.answers.min(ENOUGH_ANSWERS));
        if self.answers >= FIRST_ANSWERS {
            let least = self.least.map_or(self.usual, |least| least.min(self.usual));
            self.least = Some(least.max(SHORTEST));
        }
    }

    /// How many times as long as at the least answers take.
    fn slowness(&self) -> f64 {
        match self.least {
            Some(least) if self.answers >= ENOUGH_ANSWERS => self.usual / least,
            _ => 1.0,
        }
    }

    /// The limit is another one: what answers take is learnt anew.
    fn forget_usual(&mut self) {
        self.answers = 0;
    }

    /// What answers take now is what later ones are held against.
    fn accept(&mut self) {
        if self.answers >= ENOUGH_ANSWERS {
            self.least = Some(self.usual.max(SHORTEST));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn fill(concurrency: &Arc<Concurrency>) -> Vec<Place> {
        let mut places = Vec::new();
        while let Ok(mut place) =
            tokio::time::timeout(Duration::from_millis(1), concurrency.place(&Urgency::default()))
                .await
        {
            place.send(Instant::now());
            places.push(place);
        }
        places
    }

    /// One round: as many as the limit allows are sent, and answered well after `latency`.
    async fn round(concurrency: &Arc<Concurrency>, latency: Duration) -> usize {
        let places = fill(concurrency).await;
        let sent = places.len();
        tokio::time::advance(latency).await;
        places.into_iter().for_each(|place| place.answered_well("/users", Instant::now()));
        sent
    }

    /// The limit set by the user holds, however well everything is answered.
    #[tokio::test(start_paused = true)]
    async fn grows_to_the_most_and_no_further() {
        let concurrency = Concurrency::new(32);
        let mut rounds = Vec::new();
        for _ in 0..6 {
            rounds.push(round(&concurrency, Duration::from_secs(1)).await);
        }
        assert_eq!(rounds, [4, 7, 11, 17, 26, 32]);
        assert_eq!(fill(&Concurrency::new(2)).await.len(), 2);
    }

    /// Overload halves the limit once for all the requests that met it, down to one, not to none.
    #[tokio::test(start_paused = true)]
    async fn an_overload_halves_once() {
        let concurrency = Concurrency::new(32);
        let sent = Instant::now();
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(1)).await;
            concurrency.overloaded(sent, Instant::now());
        }
        assert_eq!(fill(&concurrency).await.len(), START as usize / 2);
        for _ in 0..9 {
            tokio::time::advance(Duration::from_secs(1)).await;
            concurrency.overloaded(Instant::now(), Instant::now());
        }
        assert_eq!(fill(&concurrency).await.len(), 1);
        let mut rounds = Vec::new();
        for _ in 0..4 {
            rounds.push(round(&concurrency, Duration::from_secs(1)).await);
        }
        assert_eq!(rounds, [1, 2, 2, 3], "by about one a round from then on");
    }

    /// A place that waits for its turn holds no request, so it says nothing about the limit.
    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_not_used_does_not_grow() {
        let concurrency = Concurrency::new(32);
        for _ in 0..50 {
            let mut place = concurrency.place(&Urgency::default()).await;
            place.send(Instant::now());
            place.answered_well("/users", Instant::now());
        }
        assert_eq!(fill(&concurrency).await.len(), START as usize);
    }

    /// A place given back wakes a waiter.
    #[tokio::test(start_paused = true)]
    async fn places_are_given_back() {
        let concurrency = Concurrency::new(1);
        let first = concurrency.place(&Urgency::default()).await;
        let waiting = tokio::spawn({
            let concurrency = Arc::clone(&concurrency);
            async move { concurrency.place(&Urgency::default()).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        drop(waiting.await.unwrap());
    }

    /// What all others wait for is asked for though they hold all places, one such request at a time; but no more are
    /// in flight than set, and then one of them waits for nothing.
    #[tokio::test(start_paused = true)]
    async fn an_urgent_request_goes_past_the_limit_and_not_past_the_most() {
        let concurrency = Concurrency::new(START as usize + 1);
        let moment = Duration::from_millis(1);
        let others: Vec<Urgency> = (0..START as usize).map(|_| Urgency::default()).collect();
        let mut places = Vec::new();
        for urgency in &others {
            places.push(concurrency.place(urgency).await);
        }
        let late = Urgency::default();
        let mut waiting = std::pin::pin!(concurrency.place(&late));
        assert!(tokio::time::timeout(moment, &mut waiting).await.is_err());
        late.set();
        let first = tokio::time::timeout(moment, &mut waiting).await.expect("past the limit");
        let next = Urgency::at_once();
        let mut waiting = std::pin::pin!(concurrency.place(&next));
        assert!(tokio::time::timeout(moment, &mut waiting).await.is_err(), "the most");
        drop(places.pop());
        assert!(tokio::time::timeout(moment, &mut waiting).await.is_err(), "one at a time");
        assert!(!others.iter().any(Urgency::is_set), "the first is urgent, and ends");
        drop(first);
        let _second = tokio::time::timeout(moment, &mut waiting).await.expect("its turn");
        let few = Concurrency::new(1);
        let first = Urgency::default();
        let _place = few.place(&first).await;
        let urgent = Urgency::at_once();
        assert!(tokio::time::timeout(moment, few.place(&urgent)).await.is_err());
        assert!(first.is_set(), "it may hold what it waits for itself");
    }
}
