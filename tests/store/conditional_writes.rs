//! Promise: a store without conditional writes is refused before Clerk is read, and `check` says
//! what is missing. A store that only cannot delete is used, and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use bytes::Bytes;
use clerk_store::conformance::{prove, remove_probes};
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Operation, S3Store, Shortcoming,
    Store, StoreError, StoreErrorKind, Stored, Version,
};
use clerk_sync::error::Error;
use serde_json::{Value, json};

use crate::support::faulty_store::{Effect, Fault, FaultyStore};
use crate::support::memory_store::MemoryStore;
use crate::support::moto::{Moto, aws_config_for};
use crate::support::s3_proxy::{Oddity, S3Proxy};
use crate::support::world::World;

/// How a store differs from S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Odd {
    IgnoresIfNoneMatch,
    IgnoresIfMatch,
    IgnoresIfMatchOfRemovals,
    RefusesIfMatch,
    RefusesIfNoneMatch,
    ReadsOldContent,
    ForgetsInListings,
    RemovesNothing,
}

/// A store in memory that differs from S3 in one way.
#[derive(Debug)]
struct OddStore {
    inner: Arc<MemoryStore>,
    odd: Odd,
}

impl OddStore {
    fn refuse(&self, operation: Operation, key: &str) -> StoreError {
        StoreError::new(operation, self.url_of(key), StoreErrorKind::PreconditionFailed)
    }
}

#[async_trait]
impl Store for OddStore {
    fn url_of(&self, key: &str) -> String {
        self.inner.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let object = self.inner.get(key).await?;
        Ok(object.map(|object| match self.odd {
            Odd::ReadsOldContent => Object { bytes: Bytes::from_static(b"{}\n"), ..object },
            _ => object,
        }))
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        let condition = match (self.odd, condition) {
            (Odd::IgnoresIfNoneMatch, Condition::Absent)
            | (Odd::IgnoresIfMatch, Condition::Matches(_)) => Condition::Any,
            (Odd::RefusesIfMatch, Condition::Matches(_))
            | (Odd::RefusesIfNoneMatch, Condition::Absent) => {
                return Err(self.refuse(Operation::Put, key));
            }
            (_, condition) => condition,
        };
        self.inner.put(key, bytes, content_type, condition).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        match self.odd {
            Odd::IgnoresIfMatchOfRemovals => self.inner.delete(key, DeleteCondition::Any).await,
            Odd::RemovesNothing => Err(StoreError::new(
                Operation::Delete,
                self.url_of(key),
                StoreErrorKind::AccessDenied {
                    source: "a bucket policy".into(),
                    expected_owner: None,
                },
            )),
            _ => self.inner.delete(key, condition).await,
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        match self.odd {
            Odd::ForgetsInListings => Ok(Vec::new()),
            _ => self.inner.list(prefix).await,
        }
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.inner.verify(key).await
    }
}

/// A world with such a store.
fn world(odd: Odd) -> World {
    let mut world = World::of(40, 6, 50);
    let inner = Arc::clone(&world.memory);
    world.store = FaultyStore::new(Arc::new(OddStore { inner, odd }));
    world
}

/// Whether `check` accepts the store, and what it says.
async fn checked(world: &World) -> (bool, String) {
    let answer = world.handle(json!({"action": "check"})).await.expect("an answer");
    let checks = answer.as_array().expect("a list");
    let store = checks.iter().find(|it| it["check"] == "store").expect("the store's");
    (store["ok"] == true, store["detail"].as_str().expect("a text").to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_store_without_conditional_writes_is_refused_before_clerk_is_read() {
    for (odd, named) in [
        (Odd::IgnoresIfNoneMatch, "ignores If-None-Match"),
        (Odd::IgnoresIfMatch, "ignores If-Match"),
        (Odd::RefusesIfMatch, "ETag"),
        (Odd::RefusesIfNoneMatch, "If-None-Match"),
        (Odd::ReadsOldContent, "as it was just written"),
        (Odd::ForgetsInListings, "as it was just written"),
    ] {
        let world = world(odd);
        let ended = world.sync().await;
        let Err(error @ Error::StoreUnavailable(_)) = &ended else { panic!("{odd:?}: {ended:?}") };
        let message = error.message();
        assert!(message.contains(named), "{odd:?}: {message}");
        assert!(message.contains("What a store must be able to do"), "{odd:?}: {message}");
        assert_eq!(world.sandbox.total_requests(), 0, "{odd:?}: Clerk was asked");
        assert!(world.memory.objects().is_empty(), "{odd:?}: {:?}", world.memory.objects().keys());

        let (ok, detail) = checked(&world).await;
        assert!(!ok && detail.contains(named), "{odd:?}: {detail}");
        assert!(world.memory.objects().is_empty(), "{odd:?}: left by check");
    }
}

/// A refused deletion costs only space. A deletion that ignores the version is safe unless an
/// invocation freezes in it. `check` reports both.
#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_delete_conditionally_is_used_and_check_reports_it() {
    for (odd, named) in [
        (Odd::RemovesNothing, "s3:DeleteObject"),
        (Odd::IgnoresIfMatchOfRemovals, "ignores If-Match when it deletes"),
    ] {
        let world = world(odd);
        let first = world.complete().await.latest["snapshot_id"].clone();
        assert_ne!(world.complete().await.latest["snapshot_id"], first, "{odd:?}");
        let (ok, detail) = checked(&world).await;
        assert!(!ok && detail.contains(named), "{odd:?}: {detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_is_tested_once_and_its_probe_removed() {
    let world = World::of(40, 6, 50);
    let probes = |world: &World| {
        world.store.keys_put().iter().filter(|key| key.starts_with("clerk-sync-check-")).count()
    };
    world.complete().await;
    let proven = probes(&world);
    assert_eq!(proven, 4, "two creations, two replacements");
    assert!(!world.memory.objects().keys().any(|key| key.starts_with("clerk-sync-check-")));
    world.complete().await;
    assert_eq!(probes(&world), proven, "a store that holds a snapshot is not tested again");
    // A store that holds a run in progress is not tested again either.
    let world = World::of(600, 6, 50);
    world.handle(json!({"time_budget_seconds": 0})).await.expect("partial");
    let proven = probes(&world);
    world.complete().await;
    assert_eq!(probes(&world), proven);
    let (ok, detail) = checked(&world).await;
    assert!(ok && detail.contains("conditional writes and deletions work"), "{detail}");
    assert!(probes(&world) > proven, "check tests the store each time");
}

/// The test may be cut off or fail at any call, and its answers may be lost.
#[tokio::test(start_paused = true)]
async fn a_store_test_that_fails_anywhere_leaves_no_probe_and_the_next_sync_completes() {
    for operation in [Operation::Get, Operation::Put, Operation::Delete, Operation::List] {
        for effect in [Effect::FailBefore, Effect::LoseAnswer, Effect::RefuseAfter, Effect::Hang] {
            let reads = matches!(operation, Operation::Get | Operation::List);
            if reads && !matches!(effect, Effect::FailBefore | Effect::Hang) {
                continue;
            }
            for call in 1..=4 {
                let what = format!("{effect:?} at {operation:?} {call}");
                let world = World::of(40, 6, 50);
                let fault = Fault::new(operation, effect).on_key("clerk-sync-check-").at(call);
                world.store.fault(fault);
                let cut = tokio::time::timeout(Duration::from_secs(3_000), world.sync()).await;
                match cut {
                    Ok(Ok(answer)) => assert_eq!(answer["status"], "complete", "{what}"),
                    Ok(Err(Error::StoreUnavailable(_))) | Err(_) => {}
                    Ok(Err(error)) => panic!("{what}: {error:?}"),
                }
                world.store.heal();
                tokio::time::advance(Duration::from_secs(61)).await;
                world.complete().await;
                let left = world.memory.objects();
                let left: Vec<_> =
                    left.keys().filter(|key| key.contains("clerk-sync-check-")).collect();
                assert!(left.is_empty(), "{what}: {left:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_syncs_that_start_in_a_new_store_at_once_do_not_disturb_each_other() {
    let world = World::of(40, 6, 50);
    world.sandbox.set_latency(Duration::from_millis(20), Duration::ZERO);
    let (one, other) = tokio::join!(world.sync(), world.sync());
    let mut statuses = [one, other].map(|it| it.expect("sync")["status"].clone());
    statuses.sort_by_key(Value::to_string);
    assert_eq!(statuses, ["busy", "complete"]);
}

/// If somebody's clean-up removes the probe during the test, a good store is not refused.
#[tokio::test(start_paused = true)]
async fn a_probe_removed_by_somebody_else_does_not_condemn_the_store() {
    let memory = Arc::new(MemoryStore::default());
    for call in 1..=12 {
        let store = Meddled { inner: Arc::clone(&memory), calls: call.into() };
        let proven = prove(&store).await;
        assert!(proven.as_ref().is_ok_and(|it| it.removal.is_none()), "{call}: {proven:?}");
        remove_probes(&*memory).await.expect("memory");
    }
}

/// A store from which somebody removes all probes before the n-th call.
#[derive(Debug)]
struct Meddled {
    inner: Arc<MemoryStore>,
    calls: std::sync::atomic::AtomicI64,
}

impl Meddled {
    async fn meddle(&self) {
        if self.calls.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            remove_probes(&*self.inner).await.expect("memory");
        }
    }
}

#[async_trait]
impl Store for Meddled {
    fn url_of(&self, key: &str) -> String {
        self.inner.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.meddle().await;
        self.inner.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        self.meddle().await;
        self.inner.put(key, bytes, content_type, condition).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        self.meddle().await;
        self.inner.delete(key, condition).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.meddle().await;
        self.inner.list(prefix).await
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.meddle().await;
        self.inner.verify(key).await
    }
}

// --- S3-compatible stores ----------------------------------------------------------------------

/// A bucket behind a proxy that makes it differ from S3.
async fn bucket(name: &str, oddity: Oddity) -> (S3Proxy, SdkConfig) {
    Moto::shared().bucket(name).await;
    let proxy = S3Proxy::before(Moto::shared().url(), oddity).await;
    let config = aws_config_for(&proxy.url()).await;
    (proxy, config)
}

fn store_in(config: &SdkConfig, bucket: &str) -> Arc<S3Store> {
    Arc::new(S3Store::new(config, bucket, "clerk").expect("a region"))
}

/// A world that writes to this store, on the machine's own time.
fn world_of(store: Arc<S3Store>) -> World {
    let mut world = World::of(20, 2, 10);
    world.store = FaultyStore::new(store);
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_that_ignores_conditions_is_refused() {
    let (_proxy, config) = bucket("ignores-conditions", Oddity::IgnoresConditions).await;
    let store = store_in(&config, "ignores-conditions");
    let refused = prove(&*store).await;
    assert!(
        matches!(&refused, Err(error) if matches!(error.kind, StoreErrorKind::Unfit(Shortcoming::Overwrites))),
        "{refused:?}"
    );
    assert_eq!(store.list("").await.expect("a listing"), []);
    let world = world_of(store);
    assert!(matches!(world.sync().await, Err(Error::StoreUnavailable(_))));
    assert_eq!(world.sandbox.total_requests(), 0);
}

/// A proxy that compresses answers weakens their ETags; the second run still replaces the objects
/// of the first one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_whose_etags_are_weak_when_read_is_used_run_after_run() {
    let (_proxy, config) = bucket("weak-etags", Oddity::WeakEtags).await;
    let world = world_of(store_in(&config, "weak-etags"));
    let first = world.sync().await.expect("sync");
    let second = world.sync().await.expect("sync");
    assert_eq!((&first["status"], &second["status"]), (&json!("complete"), &json!("complete")));
    assert_ne!(first["snapshot_id"], second["snapshot_id"]);
    assert!(checked(&world).await.0);
}

/// A store whose ETags are unusable is refused in the first run, not in the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_whose_etags_differ_when_read_is_refused_at_once() {
    let (_proxy, config) = bucket("other-etags", Oddity::OtherEtags).await;
    let world = world_of(store_in(&config, "other-etags"));
    let ended = world.sync().await;
    let Err(error @ Error::StoreUnavailable(_)) = &ended else { panic!("{ended:?}") };
    assert!(error.message().contains("ETag"), "{}", error.message());
    assert_eq!(world.sandbox.total_requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_without_conditional_removals_publishes_run_after_run() {
    let (_proxy, config) = bucket("no-conditional-delete", Oddity::NoConditionalDelete).await;
    let world = world_of(store_in(&config, "no-conditional-delete"));
    let first = world.sync().await.expect("sync");
    let second = world.sync().await.expect("sync");
    assert_eq!((&first["status"], &second["status"]), (&json!("complete"), &json!("complete")));
    assert_ne!(first["snapshot_id"], second["snapshot_id"]);
    let (ok, detail) = checked(&world).await;
    assert!(!ok && detail.contains("501") && detail.contains("If-Match"), "{detail}");
    assert!(!detail.contains("overloaded"), "{detail}");
}

/// With the SDK's `when_required` no checksum header is sent, and none is expected in the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_without_checksums_is_used_with_when_required() {
    let (proxy, config) = bucket("no-checksums", Oddity::NoChecksums).await;
    let refused = prove(&*store_in(&config, "no-checksums")).await;
    let message = refused.expect_err("the headers are sent").to_string();
    assert!(message.contains("when_required"), "{message}");
    let when_required = config
        .into_builder()
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    let store = store_in(&when_required, "no-checksums");
    let world = world_of(Arc::clone(&store));
    let before = proxy.checksum_headers();
    for _ in 0..2 {
        assert_eq!(world.sync().await.expect("sync")["status"], "complete");
    }
    assert_eq!(proxy.checksum_headers(), before, "checksum headers were sent");
    let parts = store.list("snapshots/").await.expect("a listing");
    let part = parts.iter().find(|it| it.key.contains("/part-")).expect("a part");
    let stored = store.verify(&part.key).await.expect("it is there").expect("it is there");
    assert_eq!((stored.bytes, stored.sha256), (part.bytes, None));
}
