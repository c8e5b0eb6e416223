//! A store that fails where a test tells it to, and remembers every call.

#![allow(dead_code, reason = "each test binary uses its own share of this")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Operation, Store, StoreError, Stored,
    Version,
};

/// A [`Store`] around another one. Deterministic: a fault strikes by the number of the call, never
/// by chance or time.
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

/// What goes wrong, and where. Without [`Fault::on_key`] every key counts; without [`Fault::at`] or
/// [`Fault::from`] it strikes at the first call only.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    operation: Operation,
    key_part: String,
    first: u64,
    last: u64,
    effect: Effect,
}

/// What a caller sees, and whether the operation took place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Nothing happens; [`StoreError::Unavailable`].
    FailBefore,
    /// It happens; then an error that no retry helps, [`StoreError::Refused`].
    FailAfter,
    /// It happens; [`StoreError::Unavailable`], as after a time-out.
    LoseAnswer,
    /// Nothing happens; [`StoreError::PreconditionFailed`], as if somebody else had been faster.
    RefusePrecondition,
    /// It happens; [`StoreError::PreconditionFailed`], as when an SDK repeats a conditional write
    /// whose first answer was lost.
    RefuseAfter,
    /// Nothing happens; the store refuses with this status and code, as S3 words it. Of 403 that is
    /// [`StoreError::AccessDenied`], of 503 [`StoreError::Unavailable`].
    Refuse(u16, &'static str),
    /// As [`Effect::Refuse`], where the call has a condition; other calls are spared.
    RefuseConditional(u16, &'static str),
    /// It happens, whatever its condition says: the store does not know of conditions.
    IgnoreCondition,
    /// Nothing happens, and no answer ever comes.
    Hang,
    /// A write takes a second, and takes place even if the caller waits no longer: it is on its way.
    Linger,
}

/// One call, in the order they came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// What was asked.
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
    /// Strikes at the first call of `operation`.
    pub(crate) fn new(operation: Operation, effect: Effect) -> Self {
        Self { operation, key_part: String::new(), first: 1, last: 1, effect }
    }

    /// Counts only calls whose key contains this.
    pub(crate) fn on_key(self, key_part: &str) -> Self {
        Self { key_part: key_part.to_owned(), ..self }
    }

    /// Strikes at the n-th counted call only; the first is 1.
    pub(crate) fn at(self, call: u64) -> Self {
        Self { first: call, last: call, ..self }
    }

    /// Strikes at the counted calls of these numbers, both included.
    pub(crate) fn calls(self, first: u64, last: u64) -> Self {
        Self { first, last, ..self }
    }

    /// Whether it strikes at calls of this kind.
    pub(crate) fn is_of(&self, operation: Operation) -> bool {
        self.operation == operation
    }

    /// What it does.
    pub(crate) const fn effect(&self) -> Effect {
        self.effect
    }

    /// Strikes at the n-th counted call and every later one.
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
    /// Passes everything on until it is told of faults.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, state: Mutex::default() })
    }

    /// Adds a fault, whose count of calls begins now. Of several that strike at once the one added
    /// first does.
    pub(crate) fn fault(&self, fault: Fault) {
        self.state().faults.push((fault, 0));
    }

    /// Takes all faults away.
    pub(crate) fn heal(&self) {
        self.state().faults.clear();
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The keys written so far, refused writes included, in their order.
    pub(crate) fn keys_put(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        calls.filter(|call| call.operation == Operation::Put).map(|call| call.key).collect()
    }

    /// Calls that a fault struck.
    pub(crate) fn struck(&self) -> u64 {
        self.state().calls.iter().filter(|call| call.effect.is_some()).count() as u64
    }

    /// Calls of one operation so far.
    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.state().calls.iter().filter(|call| call.operation == operation).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call and finds the fault that strikes at it.
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

    /// Carries an operation out, or not, and answers as the fault demands.
    async fn strike<T: Send>(
        &self,
        effect: Option<Effect>,
        operation: Operation,
        key: &str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let url = self.inner.url_of(key);
        let unavailable =
            |url| StoreError::Unavailable { operation, url, source: "a planted fault".into() };
        match effect {
            None | Some(Effect::Linger | Effect::IgnoreCondition) => work.await,
            Some(Effect::Refuse(403, _) | Effect::RefuseConditional(403, _)) => {
                let source = "a planted fault".into();
                Err(StoreError::AccessDenied { operation, url, source })
            }
            Some(Effect::Refuse(503, _) | Effect::RefuseConditional(503, _)) => {
                Err(unavailable(url))
            }
            Some(Effect::Refuse(status, code) | Effect::RefuseConditional(status, code)) => {
                let code = code.to_owned();
                Err(StoreError::Refused { operation, url, status, code })
            }
            Some(Effect::FailBefore) => Err(unavailable(url)),
            Some(Effect::RefusePrecondition) => {
                Err(StoreError::PreconditionFailed { operation, url })
            }
            Some(Effect::Hang) => std::future::pending().await,
            Some(Effect::FailAfter) => {
                work.await?;
                let code = "PlantedFault".to_owned();
                Err(StoreError::Refused { operation, url, status: 400, code })
            }
            Some(Effect::LoseAnswer) => {
                work.await?;
                Err(unavailable(url))
            }
            Some(Effect::RefuseAfter) => {
                work.await?;
                Err(StoreError::PreconditionFailed { operation, url })
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
