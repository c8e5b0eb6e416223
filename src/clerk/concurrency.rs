//! How many requests are in flight: as many as the server answers well, and never more than set.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A limit that grows by one with each good answer until the first sign of overload, then slowly,
/// and is halved by a 429, a time-out or a 5xx.
#[derive(Debug)]
pub struct Concurrency {
    most: f64,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    in_flight: usize,
    /// Set by the first overload: from then on growth is slow.
    seen_overload: bool,
    last_cut: Option<Instant>,
}

/// How many may be in flight before the first answer has come.
const START: f64 = 8.0;
/// Overloads closer together than this are one: the requests in flight all meet it.
const ONE_OVERLOAD: Duration = Duration::from_millis(500);

impl Concurrency {
    /// At most `most` requests in flight (`MAX_CONCURRENCY`).
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let most = most.max(1) as f64;
        Arc::new(Self {
            most,
            state: Mutex::new(State {
                limit: START.min(most),
                in_flight: 0,
                seen_overload: false,
                last_cut: None,
            }),
            freed: Notify::new(),
        })
    }

    /// Waits for a place in flight; dropping it gives the place back.
    pub async fn place(self: &Arc<Self>) -> Place {
        loop {
            let freed = self.freed.notified();
            {
                let mut state = self.lock();
                if (state.in_flight as f64) < state.limit.floor().max(1.0) {
                    state.in_flight += 1;
                    return Place { of: Arc::clone(self) };
                }
            }
            freed.await;
        }
    }

    /// A request was answered well.
    pub fn answered_well(&self) {
        let mut state = self.lock();
        let growth = if state.seen_overload { 1.0 / state.limit } else { 1.0 };
        // Only a limit that is being used says anything by holding.
        if state.in_flight as f64 >= state.limit / 2.0 {
            state.limit = (state.limit + growth).min(self.most);
        }
        drop(state);
        self.freed.notify_one();
    }

    /// A request met a 429, a time-out or a 5xx.
    pub fn overloaded(&self, now: Instant) {
        let mut state = self.lock();
        state.seen_overload = true;
        if state.last_cut.is_none_or(|last| now - last >= ONE_OVERLOAD) {
            state.limit = (state.limit / 2.0).max(1.0);
            state.last_cut = Some(now);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's place among those in flight.
#[derive(Debug)]
pub struct Place {
    of: Arc<Concurrency>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.lock().in_flight -= 1;
        self.of.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fill(concurrency: &Arc<Concurrency>) -> Vec<Place> {
        let mut places = Vec::new();
        while let Ok(place) =
            tokio::time::timeout(Duration::from_millis(1), concurrency.place()).await
        {
            places.push(place);
        }
        places
    }

    /// The limit set by the user holds, however well everything is answered.
    #[tokio::test(start_paused = true)]
    async fn grows_to_the_most_and_no_further() {
        let concurrency = Concurrency::new(32);
        for _ in 0..100 {
            let places = fill(&concurrency).await;
            places.iter().for_each(|_| concurrency.answered_well());
        }
        assert_eq!(fill(&concurrency).await.len(), 32);
    }

    /// Overload halves the limit once for all the requests that met it, down to one, not to none.
    #[tokio::test(start_paused = true)]
    async fn an_overload_halves_once() {
        let concurrency = Concurrency::new(8);
        concurrency.overloaded(Instant::now());
        concurrency.overloaded(Instant::now());
        assert_eq!(fill(&concurrency).await.len(), 4);
        for _ in 0..9 {
            tokio::time::advance(Duration::from_secs(1)).await;
            concurrency.overloaded(Instant::now());
        }
        assert_eq!(fill(&concurrency).await.len(), 1);
    }

    /// A place given back wakes a waiter.
    #[tokio::test(start_paused = true)]
    async fn places_are_given_back() {
        let concurrency = Concurrency::new(1);
        let first = concurrency.place().await;
        let waiting = tokio::spawn({
            let concurrency = Arc::clone(&concurrency);
            async move { concurrency.place().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        drop(waiting.await.unwrap());
    }
}
