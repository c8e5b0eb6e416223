//! Adapts the number of requests in flight to what the server handles well, up to `MAX_CONCURRENCY`.
//!
//! - A server that processes `k` requests at once takes `n / k` times as long when `n` are in flight (Little's law), so
//!   more than `k` only build a queue.
//! - The limit therefore grows only while latency stays close to the lowest seen.
//! - When latency has grown, a trial lowers the limit by the same factor. If latency falls too, there was a queue and
//!   the lower limit stays. Otherwise the server itself has become slower (deep offsets do that) and the old limit
//!   returns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::urgency::Urgency;

/// The concurrency limit. Until the first sign of overload it grows by one per good answer, afterwards by one per round
/// of good answers. A 429, a timeout or a 5xx halves it.
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
    /// The urgency of each request that holds a slot, the oldest first.
    slots: Vec<Urgency>,
    /// Whether an urgent request holds a slot beyond the limit.
    is_past_the_limit: bool,
    in_flight: usize,
    /// Requests that wait for a slot.
    waiting: usize,
    /// Set by the first overload; from then on the limit grows slowly.
    seen_overload: bool,
    /// When the limit was last lowered. Requests sent before say nothing about the present limit.
    last_cut: Option<Instant>,
    /// By list.
    latencies: HashMap<String, Latency>,
    trial: Option<Trial>,
}

/// Latency of one list's answers, in seconds.
#[derive(Debug, Default)]
struct Latency {
    usual: f64,
    /// `None` until enough answers have arrived.
    least: Option<f64>,
    answers: u32,
}

/// A test of whether latency falls with the limit. It has two halves, before and after the limit is lowered; each
/// counts only answers to requests sent since it began, as multiples of the lowest latency.
#[derive(Debug)]
struct Trial {
    /// The limit and the slowness measured in the first half; `None` during the first half.
    before: Option<(f64, f64)>,
    since: Instant,
    slowness: f64,
    answers: u32,
    /// Most requests in flight since it began.
    in_flight: usize,
}

/// Initial limit. It is low because the latency seen first is the baseline for all later answers.
const START: f64 = 4.0;
/// A queue is suspected when answers take this many times the lowest latency.
const SLOW: f64 = 1.5;
/// Number of answers over which a latency is averaged, because single answers vary.
const ENOUGH_ANSWERS: u32 = 16;
/// Answers of a list after which its lowest latency is first recorded. The fewer requests are in flight by then, the
/// better.
const FIRST_ANSWERS: u32 = 4;
/// Largest factor by which a trial lowers the limit. If there is no queue, that much throughput is lost for one round.
const DEEPEST_TRIAL: f64 = 2.0;
/// Shortest baseline latency, in seconds. Below it, latency varies with this machine rather than the server.
const SHORTEST: f64 = 0.001;
/// Part of the limit that must be in flight for a good answer to raise it: a limit that is not used proves nothing.
const IN_USE: f64 = 0.5;

/// Default of `MAX_CONCURRENCY`: enough requests in flight to reach the rate while answers take a little over a second,
/// between 32 and 128.
#[must_use]
pub fn usual_concurrency(requests_per_10s: f64) -> usize {
    ((requests_per_10s * 0.128).ceil() as usize).clamp(32, 128)
}

impl Concurrency {
    /// A limit that never exceeds `most` requests in flight (`MAX_CONCURRENCY`).
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let most = most.max(1) as f64;
        Arc::new(Self {
            most,
            state: Mutex::new(State {
                limit: START.min(most),
                slots: Vec::new(),
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

    /// Waits for a slot. Dropping it releases the slot.
    ///
    /// - An urgent request may exceed the limit, one such request at a time.
    /// - It never exceeds `MAX_CONCURRENCY`. If all those slots are taken, it makes their oldest holder urgent as well,
    ///   because they may all be waiting for something that waits for this request.
    pub async fn slot(self: &Arc<Self>, urgency: &Urgency) -> Slot {
        let _waiter = Waiter::new(self);
        loop {
            let is_urgent = urgency.is_set();
            let freed = if is_urgent { &self.freed_for_urgent } else { &self.freed };
            let freed = freed.notified();
            if let Some(slot) = self.try_slot(urgency) {
                return slot;
            }
            tokio::select! {
                () = freed => {}
                () = urgency.until_set(), if !is_urgent => {}
            }
        }
    }

    fn try_slot(self: &Arc<Self>, urgency: &Urgency) -> Option<Slot> {
        let mut state = self.lock();
        let taken = state.slots.len() as f64;
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
        state.slots.push(urgency.clone());
        Some(Slot { of: Arc::clone(self), urgency: urgency.clone(), is_past_the_limit, sent: None })
    }

    /// How the slots are used right now.
    pub fn usage(&self) -> Usage {
        let state = self.lock();
        let limit = state.limit.floor().max(1.0) as usize;
        let State { in_flight, waiting, .. } = *state;
        Usage { limit, taken: state.slots.len(), in_flight, waiting }
    }

    /// Records a 429, a timeout or a 5xx for a request sent at `sent`. Requests sent before the limit was last lowered
    /// met the same overload, so they do not lower it again.
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

/// How the slots for requests in flight are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Slots available right now.
    pub limit: usize,
    /// Slots taken by requests in flight, or waiting for their turn.
    pub taken: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests that wait for a slot.
    pub waiting: usize,
}

impl Usage {
    /// Requests that hold a slot or wait for one.
    #[must_use]
    pub const fn asked_for(&self) -> usize {
        self.taken + self.waiting
    }
}

/// Counts a request as waiting for a slot until it is dropped.
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

/// A slot for one request in flight.
#[derive(Debug)]
pub struct Slot {
    of: Arc<Concurrency>,
    urgency: Urgency,
    is_past_the_limit: bool,
    sent: Option<Sent>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    /// Whether enough of the limit was in use at that moment.
    limit_in_use: bool,
}

impl Slot {
    /// Marks the request as sent. While it waits for its turn, its slot does not count as in flight.
    pub fn send(&mut self, now: Instant) {
        let mut state = self.of.lock();
        state.in_flight += 1;
        let in_flight = state.in_flight;
        if let Some(trial) = &mut state.trial {
            trial.in_flight = trial.in_flight.max(in_flight);
        }
        let limit_in_use = in_flight as f64 >= IN_USE * state.limit.floor();
        self.sent = Some(Sent { at: now, limit_in_use });
    }

    /// Records a good answer to the request, which was for a page of `list`.
    pub fn answered_well(self, list: &str, now: Instant) {
        let Some(sent) = self.sent else { return };
        let raised = self.of.lock().answered_well(sent, list, now, self.of.most);
        if raised {
            self.of.freed.notify_waiters();
            self.of.freed_for_urgent.notify_waiters();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        if let Some(this) = state.slots.iter().position(|urgency| urgency.is(&self.urgency)) {
            state.slots.remove(this);
        }
        state.is_past_the_limit &= !self.is_past_the_limit;
        state.in_flight -= usize::from(self.sent.is_some());
        drop(state);
        self.of.freed.notify_one();
        self.of.freed_for_urgent.notify_one();
    }
}

impl State {
    /// The urgency of the oldest request, unless any request is already urgent.
    fn first_if_none_is_urgent(&self) -> Option<&Urgency> {
        let is_one_urgent = self.slots.iter().any(Urgency::is_set);
        self.slots.first().filter(|_| !is_one_urgent)
    }

    /// Records a good answer. Returns whether the limit was raised.
    fn answered_well(&mut self, sent: Sent, list: &str, now: Instant, most: f64) -> bool {
        let seconds = (now - sent.at).as_secs_f64();
        if !self.latencies.contains_key(list) {
            self.latencies.insert(list.to_owned(), Latency::default());
        }
        let Some(latency) = self.latencies.get_mut(list) else { return false };
        latency.record(seconds);
        let slowness = latency.slowness();
        let times_the_least = latency.least.map(|least| seconds / least);
        if self.last_cut.is_some_and(|cut| sent.at < cut) {
            return false;
        }
        if let Some(trial) = &mut self.trial {
            // One round is enough: with few requests in flight, more answers would take too long.
            let enough = (self.limit as u32).clamp(FIRST_ANSWERS, ENOUGH_ANSWERS);
            return match times_the_least {
                Some(slowness) if sent.at >= trial.since => {
                    trial.slowness += slowness;
                    trial.answers += 1;
                    trial.answers >= enough && self.finish_half_of_trial(now)
                }
                _ => false,
            };
        }
        if !sent.limit_in_use {
            return false;
        }
        if slowness > SLOW {
            self.trial = Some(Trial::new(None, now, self.in_flight));
            return false;
        }
        let before = self.limit;
        let growth = if self.seen_overload { 1.0 / self.limit } else { 1.0 };
        self.limit = (self.limit + growth).min(most);
        self.limit.floor() > before.floor()
    }

    /// Ends one half of the trial. Returns whether the limit was raised.
    fn finish_half_of_trial(&mut self, now: Instant) -> bool {
        let Some(trial) = self.trial.take() else { return false };
        let slowness = trial.slowness / f64::from(trial.answers);
        match trial.before {
            None if slowness > SLOW => {
                self.trial = Some(Trial::new(Some((self.limit, slowness)), now, self.in_flight));
                let used = self.limit.min(trial.in_flight as f64);
                self.limit = (used / slowness.min(DEEPEST_TRIAL)).ceil();
                self.last_cut = Some(now);
                false
            }
            Some((limit, before)) if slowness >= f64::midpoint(1.0, before) => {
                self.limit = limit;
                self.latencies.values_mut().for_each(Latency::accept);
                true
            }
            // Second half: there was a queue. First half: latency is back to normal.
            before => {
                self.seen_overload |= before.is_some();
                self.latencies.values_mut().for_each(Latency::forget_usual);
                false
            }
        }
    }
}

impl Trial {
    fn new(before: Option<(f64, f64)>, since: Instant, in_flight: usize) -> Self {
        Self { before, since, slowness: 0.0, answers: 0, in_flight }
    }
}

impl Latency {
    fn record(&mut self, seconds: f64) {
        self.answers = self.answers.saturating_add(1);
        self.usual += (seconds - self.usual) / f64::from(self.answers.min(ENOUGH_ANSWERS));
        if self.answers >= FIRST_ANSWERS {
            let least = self.least.map_or(self.usual, |least| least.min(self.usual));
            self.least = Some(least.max(SHORTEST));
        }
    }

    /// Present latency as a multiple of the lowest.
    fn slowness(&self) -> f64 {
        match self.least {
            Some(least) if self.answers >= ENOUGH_ANSWERS => self.usual / least,
            _ => 1.0,
        }
    }

    /// Starts measuring again, because the limit has changed.
    fn forget_usual(&mut self) {
        self.answers = 0;
    }

    /// Makes the present latency the baseline for later answers.
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

    async fn fill(concurrency: &Arc<Concurrency>) -> Vec<Slot> {
        let mut slots = Vec::new();
        while let Ok(mut slot) =
            tokio::time::timeout(Duration::from_millis(1), concurrency.slot(&Urgency::default()))
                .await
        {
            slot.send(Instant::now());
            slots.push(slot);
        }
        slots
    }

    /// One round: fills the limit, then answers every request after `latency`. Returns how many were sent.
    async fn round(concurrency: &Arc<Concurrency>, latency: Duration) -> usize {
        let slots = fill(concurrency).await;
        let sent = slots.len();
        tokio::time::advance(latency).await;
        slots.into_iter().for_each(|slot| slot.answered_well("/users", Instant::now()));
        sent
    }

    /// Rounds that take this many seconds; returns how many requests each sent.
    async fn rounds(concurrency: &Arc<Concurrency>, seconds: &[u64]) -> Vec<usize> {
        let mut sent = Vec::new();
        for &seconds in seconds {
            sent.push(round(concurrency, Duration::from_secs(seconds)).await);
        }
        sent
    }

    /// The limit never exceeds the user's setting, however good the answers are.
    #[tokio::test(start_paused = true)]
    async fn grows_to_the_maximum_and_no_further() {
        let sent = rounds(&Concurrency::new(32), &[1; 6]).await;
        assert_eq!(sent, [4, 7, 11, 17, 26, 32]);
        assert_eq!(fill(&Concurrency::new(2)).await.len(), 2);
    }

    /// A trial lowers the limit by the factor by which answers have become slower, even if it ends when most of the
    /// requests in flight have just been answered.
    #[tokio::test(start_paused = true)]
    async fn a_trial_halves_the_limit_at_most() {
        let concurrency = Concurrency::new(32);
        let sent = rounds(&concurrency, &[1, 1, 1, 1, 1, 1, 3, 3, 1]).await;
        assert_eq!(sent[5..], [32, 32, 32, 16]);
    }

    /// The limit grows on after a few slow answers: latency is an average, and a trial that finds it back to normal
    /// changes nothing.
    #[tokio::test(start_paused = true)]
    async fn a_few_slow_answers_do_not_lower_the_limit() {
        assert_eq!(rounds(&Concurrency::new(32), &[1, 5, 1]).await, [4, 7, 11]);
        let sent = rounds(&Concurrency::new(32), &[1, 1, 1, 3, 1, 1]).await;
        assert_eq!(sent, [4, 7, 11, 17, 17, 18]);
    }

    /// The first answers may be slow, for example because connections are opened. Faster ones become the baseline.
    #[tokio::test(start_paused = true)]
    async fn a_queue_is_noticed_although_the_first_answers_were_slow() {
        let concurrency = Concurrency::new(128);
        let sent = rounds(&concurrency, &[4, 1, 1, 1, 1, 2, 2, 2]).await;
        assert!(sent[7] < sent[5], "{sent:?}");
    }

    /// Requests that were sent before an overload say nothing about the limit that it left.
    #[tokio::test(start_paused = true)]
    async fn answers_to_requests_sent_before_an_overload_do_not_raise_the_limit() {
        let concurrency = Concurrency::new(32);
        let sent = Instant::now();
        let mut slots = fill(&concurrency).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        concurrency.overloaded(sent, Instant::now());
        drop(slots.pop());
        slots.into_iter().for_each(|slot| slot.answered_well("/users", Instant::now()));
        assert_eq!(fill(&concurrency).await.len(), START as usize / 2);
    }

    /// Requests that wait are told when the limit grows.
    #[tokio::test(start_paused = true)]
    async fn waiting_requests_use_a_limit_that_grows() {
        let concurrency = Concurrency::new(32);
        for _ in 0..12 {
            let concurrency = Arc::clone(&concurrency);
            tokio::spawn(async move {
                let mut slot = concurrency.slot(&Urgency::default()).await;
                slot.send(Instant::now());
                tokio::time::sleep(Duration::from_secs(1)).await;
                slot.answered_well("/users", Instant::now());
            });
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(concurrency.usage().in_flight, 7);
    }

    /// An overload halves the limit once for all requests that met it, and never below one.
    #[tokio::test(start_paused = true)]
    async fn an_overload_halves_the_limit_once() {
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
        let sent = rounds(&concurrency, &[1; 4]).await;
        assert_eq!(sent, [1, 2, 2, 3], "from then on by about one per round");
    }

    /// A slot whose request waits for its turn does not count as in use.
    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_not_used_does_not_grow() {
        let concurrency = Concurrency::new(32);
        for _ in 0..50 {
            let mut slot = concurrency.slot(&Urgency::default()).await;
            slot.send(Instant::now());
            slot.answered_well("/users", Instant::now());
        }
        assert_eq!(fill(&concurrency).await.len(), START as usize);
    }

    #[test]
    fn the_usual_concurrency_follows_the_rate() {
        let usual: Vec<usize> =
            [1.0, 250.0, 500.0, 501.0, 1000.0, 1e6].map(usual_concurrency).into();
        assert_eq!(usual, [32, 32, 64, 65, 128, 128]);
    }

    /// A request that is given up no longer counts as asked for.
    #[tokio::test(start_paused = true)]
    async fn requests_that_wait_count_as_asked_for_until_they_are_given_up() {
        let concurrency = Concurrency::new(1);
        let first = concurrency.slot(&Urgency::default()).await;
        let (urgency, moment) = (Urgency::default(), Duration::from_millis(1));
        {
            let mut waiting = std::pin::pin!(concurrency.slot(&urgency));
            assert!(tokio::time::timeout(moment, &mut waiting).await.is_err());
            assert_eq!(concurrency.usage().asked_for(), 2);
        }
        assert_eq!(concurrency.usage().asked_for(), 1);
        drop(first);
        assert_eq!(concurrency.usage().asked_for(), 0);
    }

    /// The end of an ordinary request does not take the urgent one's place beyond the limit.
    #[tokio::test(start_paused = true)]
    async fn an_urgent_request_exceeds_the_limit_after_ordinary_ones_have_ended() {
        let concurrency = Concurrency::new(32);
        let mut slots = fill(&concurrency).await;
        drop(slots.pop());
        slots.extend(fill(&concurrency).await);
        let urgent = Urgency::at_once();
        let beyond = tokio::time::timeout(Duration::from_millis(1), concurrency.slot(&urgent));
        assert!(beyond.await.is_ok(), "no urgent request is in flight");
    }

    /// Releasing a slot wakes a waiter.
    #[tokio::test(start_paused = true)]
    async fn released_slots_are_reused() {
        let concurrency = Concurrency::new(1);
        let first = concurrency.slot(&Urgency::default()).await;
        let waiting = tokio::spawn({
            let concurrency = Arc::clone(&concurrency);
            async move { concurrency.slot(&Urgency::default()).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        drop(waiting.await.unwrap());
    }

    /// An urgent request is sent although all slots are taken, one at a time but never beyond `MAX_CONCURRENCY`. At
    /// that bound, the oldest request becomes urgent.
    #[tokio::test(start_paused = true)]
    async fn an_urgent_request_exceeds_the_limit_but_not_the_maximum() {
        let concurrency = Concurrency::new(START as usize + 1);
        let moment = Duration::from_millis(1);
        let others: Vec<Urgency> = (0..START as usize).map(|_| Urgency::default()).collect();
        let mut slots = Vec::new();
        for urgency in &others {
            slots.push(concurrency.slot(urgency).await);
        }
        let late = Urgency::default();
        let mut waiting = std::pin::pin!(concurrency.slot(&late));
        assert!(tokio::time::timeout(moment, &mut waiting).await.is_err());
        late.set();
        let first = tokio::time::timeout(moment, &mut waiting).await.expect("beyond the limit");
        let next = Urgency::at_once();
        let mut waiting = std::pin::pin!(concurrency.slot(&next));
        assert!(tokio::time::timeout(moment, &mut waiting).await.is_err(), "at the maximum");
        drop(slots.pop());
        assert!(tokio::time::timeout(moment, &mut waiting).await.is_err(), "one at a time");
        assert!(!others.iter().any(Urgency::is_set), "the first urgent request will end by itself");
        drop(first);
        let _second = tokio::time::timeout(moment, &mut waiting).await.expect("its turn");
        let few = Concurrency::new(1);
        let first = Urgency::default();
        let _slot = few.slot(&first).await;
        let urgent = Urgency::at_once();
        assert!(tokio::time::timeout(moment, few.slot(&urgent)).await.is_err());
        assert!(first.is_set(), "the oldest request may be what the urgent one waits for");
    }
}
