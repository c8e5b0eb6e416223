//! A store that fails where a test tells it to, and records every call.

#![allow(dead_code, reason = "each test binary uses its own share of this")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Operation, Store, StoreError,
    StoreErrorKind, Stored, Version,
};

/// A [`Store`] around another one. Faults are deterministic: they strike by the number of the call,
/// never by chance or time.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<(Fault, u64)>,
    calls: Vec<Call>,
}

/// A fault, and the calls it strikes: all keys without [`Fault::on_key`], and only the first call
/// without [`Fault::at`] or [`Fault::from`].
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    operation: Operation,
    key_part: String,
    first: u64,
    last: u64,
    effect: Effect,
}

/// What the caller sees, and whether the operation takes place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// The operation is not carried out; [`StoreErrorKind::Unavailable`].
    FailBefore,
    /// The operation is carried out; then an error that no retry helps, [`StoreErrorKind::Refused`].
    FailAfter,
    /// The operation is carried out; [`StoreErrorKind::Unavailable`], as after a time-out.
    LoseAnswer,
    /// The operation is not carried out; [`StoreErrorKind::PreconditionFailed`], as if somebody else
    /// had been faster.
    RefusePrecondition,
    /// The operation is carried out; [`StoreErrorKind::PreconditionFailed`], as when an SDK repeats a
    /// conditional write whose first answer was lost.
    RefuseAfter,
    /// The operation is not carried out; the store refuses with this status and code, in the form
    /// of S3. A 403 becomes [`StoreErrorKind::AccessDenied`], a 503 [`StoreErrorKind::Unavailable`].
    Refuse(u16, &'static str),
    /// Like [`Effect::Refuse`], but only for calls with a condition.
    RefuseConditional(u16, &'static str),
    /// The operation is carried out without its condition, as by a store without conditional
    /// writes.
    IgnoreCondition,
    /// The operation is not carried out, and never answered.
    Hang,
    /// A write takes a second, and takes place even if the caller stops waiting.
    Linger,
}

/// One call, in the order in which they came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// The operation.
    pub(crate) operation: Operation,
    /// The key, or the prefix of a listing.
    pub(crate) key: String,
    /// The content of a write.
    pub(crate) bytes: Option<Bytes>,
    /// The condition of a write.
    pub(crate) condition: Option<Condition>,
    /// The fault that struck.
    pub(crate) effect: Option<Effect>,
}

impl Fault {
    /// Strikes the first call of `operation`.
    pub(crate) fn new(operation: Operation, effect: Effect) -> Self {
        Self { operation, key_part: String::new(), first: 1, last: 1, effect }
    }

    /// Counts only calls with this text in their key.
    pub(crate) fn on_key(self, key_part: &str) -> Self {
        Self { key_part: key_part.to_owned(), ..self }
    }

    /// Strikes only the n-th counted call; the first is 1.
    pub(crate) fn at(self, call: u64) -> Self {
        Self { first: call, last: call, ..self }
    }

    /// Strikes the counted calls of these numbers, both included.
    pub(crate) fn calls(self, first: u64, last: u64) -> Self {
        Self { first, last, ..self }
    }

    /// Whether it strikes calls of this operation.
    pub(crate) fn is_of(&self, operation: Operation) -> bool {
        self.operation == operation
    }

    /// Whether it strikes every call from some call on.
    pub(crate) const fn is_lasting(&self) -> bool {
        self.last == u64::MAX
    }

    /// Its effect.
    pub(crate) const fn effect(&self) -> Effect {
        self.effect
    }

    /// Strikes the n-th counted call and every later one.
    pub(crate) fn from(self, call: u64) -> Self {
        Self { first: call, last: u64::MAX, ..self }
    }
}

impl Effect {
    const fn needs_condition(self) -> bool {
        matches!(self, Self::RefuseConditional(..) | Self::IgnoreCondition)
    }
}

impl FaultyStore {
    /// A store without faults so far.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, state: Mutex::default() })
    }

    /// Adds a fault that counts calls from now on. If several strike at once, the one added first
    /// does.
    pub(crate) fn fault(&self, fault: Fault) {
        self.state().faults.push((fault, 0));
    }

    /// Removes all faults.
    pub(crate) fn heal(&self) {
        self.state().faults.clear();
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The keys written so far, including refused writes, in order.
    pub(crate) fn keys_put(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        calls.filter(|call| call.operation == Operation::Put).map(|call| call.key).collect()
    }

    /// The number of calls that a fault struck.
    pub(crate) fn struck(&self) -> u64 {
        self.state().calls.iter().filter(|call| call.effect.is_some()).count() as u64
    }

    /// The number of calls of one operation.
    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.state().calls.iter().filter(|call| call.operation == operation).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call and finds the fault that strikes it.
    fn begin(
        &self,
        operation: Operation,
        key: &str,
        bytes: Option<&Bytes>,
        condition: Option<&Condition>,
    ) -> Option<Effect> {
        let mut state = self.state();
        let mut effect = None;
        for (fault, counted) in &mut state.faults {
            if fault.operation != operation || !key.contains(&fault.key_part) {
                continue;
            }
            *counted += 1;
            let has_condition = condition.is_some_and(|condition| *condition != Condition::Any);
            let strikes = has_condition || !fault.effect.needs_condition();
            if effect.is_none() && strikes && (fault.first..=fault.last).contains(counted) {
                effect = Some(fault.effect);
            }
        }
        state.calls.push(Call {
            operation,
            key: key.to_owned(),
            bytes: bytes.cloned(),
            condition: condition.cloned(),
            effect,
        });
        effect
    }

    /// Carries an operation out, or not, and answers as the fault says.
    async fn strike<T: Send>(
        &self,
        effect: Option<Effect>,
        operation: Operation,
        key: &str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let url = self.inner.url_of(key);
        let unavailable = |url| {
            StoreError::new(
                operation,
                url,
                StoreErrorKind::Unavailable { source: "a planted fault".into() },
            )
        };
        match effect {
            None | Some(Effect::Linger | Effect::IgnoreCondition) => work.await,
            Some(Effect::Refuse(403, _) | Effect::RefuseConditional(403, _)) => {
                let source = "a planted fault".into();
                Err(StoreError::new(
                    operation,
                    url,
                    StoreErrorKind::AccessDenied { source, expected_owner: None },
                ))
            }
            Some(Effect::Refuse(503, _) | Effect::RefuseConditional(503, _)) => {
                Err(unavailable(url))
            }
            Some(Effect::Refuse(status, code) | Effect::RefuseConditional(status, code)) => {
                let code = code.to_owned();
                Err(StoreError::new(operation, url, StoreErrorKind::Refused { status, code }))
            }
            Some(Effect::FailBefore) => Err(unavailable(url)),
            Some(Effect::RefusePrecondition) => {
                Err(StoreError::new(operation, url, StoreErrorKind::PreconditionFailed))
            }
            Some(Effect::Hang) => std::future::pending().await,
            Some(Effect::FailAfter) => {
                work.await?;
                let code = "PlantedFault".to_owned();
                Err(StoreError::new(operation, url, StoreErrorKind::Refused { status: 400, code }))
            }
            Some(Effect::LoseAnswer) => {
                work.await?;
                Err(unavailable(url))
            }
            Some(Effect::RefuseAfter) => {
                work.await?;
                Err(StoreError::new(operation, url, StoreErrorKind::PreconditionFailed))
            }
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn url_of(&self, key: &str) -> String {
        self.inner.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let effect = self.begin(Operation::Get, key, None, None);
        self.strike(effect, Operation::Get, key, self.inner.get(key)).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        let effect = self.begin(Operation::Put, key, Some(&bytes), Some(&condition));
        let ignored = effect == Some(Effect::IgnoreCondition);
        let condition = if ignored { Condition::Any } else { condition };
        if effect == Some(Effect::Linger) {
            let (inner, key) = (Arc::clone(&self.inner), key.to_owned());
            let arrives = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                inner.put(&key, bytes, content_type, condition).await
            });
            return arrives.await.expect("no panic");
        }
        let work = self.inner.put(key, bytes, content_type, condition);
        self.strike(effect, Operation::Put, key, work).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        let condition_seen = match &condition {
            DeleteCondition::Any => Condition::Any,
            DeleteCondition::Matches(version) => Condition::Matches(version.clone()),
        };
        let effect = self.begin(Operation::Delete, key, None, Some(&condition_seen));
        let ignored = effect == Some(Effect::IgnoreCondition);
        let condition = if ignored { DeleteCondition::Any } else { condition };
        self.strike(effect, Operation::Delete, key, self.inner.delete(key, condition)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let effect = self.begin(Operation::List, prefix, None, None);
        self.strike(effect, Operation::List, prefix, self.inner.list(prefix)).await
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let effect = self.begin(Operation::Verify, key, None, None);
        self.strike(effect, Operation::Verify, key, self.inner.verify(key)).await
    }

    async fn remove_leftovers(&self) -> Result<u64, StoreError> {
        let effect = self.begin(Operation::RemoveLeftovers, "", None, None);
        self.strike(effect, Operation::RemoveLeftovers, "", self.inner.remove_leftovers()).await
    }
}
