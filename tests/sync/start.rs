//! Promise: independent steps of the start run concurrently, and nothing is requested, read or
//! loaded that the run does not need.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox, Serving};
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Operation, Store, StoreError, Stored,
    Version,
};
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{SecretError, SecretSource, SecretsManager};
use serde_json::json;
use tokio::sync::Barrier;
use tokio::time::Instant;

use crate::support::faulty_store::{Effect, Fault, FaultyStore};
use crate::support::further_lists::{self, populated};
use crate::support::process::Program;
use crate::support::world::World;

/// Longer than anything takes here, on a clock that jumps ahead when nothing else can happen.
const NEVER: Duration = Duration::from_secs(600);

/// A secret that can be read only after somebody else has reached the barrier.
#[derive(Debug)]
struct MeetingSecret(Arc<Barrier>);

#[async_trait]
impl SecretSource for MeetingSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        self.0.wait().await;
        Ok(SecretKey::parse(DEFAULT_KEY).expect("a key"))
    }

    fn can_rotate(&self) -> bool {
        false
    }
}

/// A store that waits at the barrier before it creates the first object with this prefix.
#[derive(Debug)]
struct MeetingStore {
    inner: Arc<dyn Store>,
    barrier: Arc<Barrier>,
    /// The prefix of the name.
    name: &'static str,
    has_met: AtomicBool,
}

#[async_trait]
impl Store for MeetingStore {
    fn url_of(&self, key: &str) -> String {
        self.inner.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        let creates = key.starts_with(self.name) && condition == Condition::Absent;
        if creates && !self.has_met.swap(true, Ordering::SeqCst) {
            self.barrier.wait().await;
        }
        self.inner.put(key, bytes, content_type, condition).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        self.inner.delete(key, condition).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(prefix).await
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.inner.verify(key).await
    }
}

/// A world in which reading the key and creating the first object with this prefix wait for each
/// other.
fn meeting(name: &'static str) -> World {
    let barrier = Arc::new(Barrier::new(2));
    let mut world = World::of(3, 1, 2).with_secret(MeetingSecret(Arc::clone(&barrier)));
    let inner = Arc::clone(&world.memory) as Arc<dyn Store>;
    let has_met = AtomicBool::new(false);
    world.store = FaultyStore::new(Arc::new(MeetingStore { inner, barrier, name, has_met }));
    world
}

#[tokio::test(start_paused = true)]
async fn a_sync_reads_the_key_while_it_takes_the_lease() {
    let world = meeting("checkpoint.json");
    let synced = tokio::time::timeout(NEVER, world.sync()).await;
    let answer = synced.expect("the key and the lease wait for each other").expect("sync");
    assert_eq!(answer["status"], "complete", "{answer:#}");
}

#[tokio::test(start_paused = true)]
async fn a_check_asks_clerk_while_it_tries_the_store() {
    let world = meeting("clerk-sync-check-");
    let checked = tokio::time::timeout(NEVER, world.handle(json!({"action": "check"}))).await;
    let checks = checked.expect("the key and the probe wait for each other").expect("check");
    let checks = checks.as_array().expect("checks");
    assert_eq!(checks.first().expect("a check")["check"], "secret");
    assert_eq!(checks.last().expect("a check")["check"], "store");
}

/// Lists that do not refer to each other, each with one path.
const INDEPENDENT: [&str; 12] = [
    "role_sets",
    "domains",
    "redirect_urls",
    "organization_domains",
    "allowlist_identifiers",
    "blocklist_identifiers",
    "jwt_templates",
    "oauth_applications",
    "enterprise_connections",
    "waitlist_entries",
    "billing_plans",
    "billing_subscription_items",
];

/// Each list that is being read holds pages in memory, so there are four at most (docs/architecture.md).
#[tokio::test(start_paused = true)]
async fn independent_lists_are_read_at_the_same_time_but_no_more_than_four() {
    let latency = Duration::from_secs(1);
    let sandbox = populated();
    sandbox.set_latency(latency, Duration::ZERO);
    further_lists::world(&sandbox, &INDEPENDENT).complete().await;
    let requests = sandbox.requests();
    let lists_read_at = |moment: Instant| {
        let in_flight = requests.iter().filter(|it| it.at <= moment && moment < it.at + latency);
        in_flight.map(|it| it.path.as_str()).collect::<BTreeSet<_>>().len()
    };
    let most = requests.iter().map(|it| lists_read_at(it.at)).max().expect("a request");
    assert!((3..=4).contains(&most), "{most} lists at a time");
}

/// A secret that does not exist, or that never finishes being read.
#[derive(Debug)]
enum NoSecret {
    Missing,
    Hanging,
}

#[async_trait]
impl SecretSource for NoSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        match self {
            // The real source fails the same way if there is nowhere to read from.
            Self::Missing => {
                let nowhere = SdkConfig::builder().build();
                SecretsManager::new(&nowhere, "clerk/secret-key", None)?.read().await
            }
            Self::Hanging => std::future::pending().await,
        }
    }

    fn can_rotate(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_answer_does_not_depend_on_the_key() {
    for secret in [NoSecret::Missing, NoSecret::Hanging] {
        let what = format!("{secret:?}");
        let world = World::of(3, 1, 2).with_secret(secret);
        let refused = Effect::RefusePrecondition;
        world.store.fault(Fault::new(Operation::Put, refused).on_key("checkpoint.json").from(1));
        let synced = tokio::time::timeout(NEVER, world.sync()).await;
        let answer = synced.unwrap_or_else(|_| panic!("{what}: it waits for the key"));
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(answer["status"], "busy", "{what}: {answer:#}");
        assert_eq!(world.sandbox.total_requests(), 0, "{what}");
        assert!(!world.has_checkpoint(), "{what}");
    }
}

/// The program without any certificates, and its folder.
fn without_certificates(serving: &Serving) -> (Program, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}", folder.path().join("out").display());
    let program = Program::new(&url, serving)
        .with("SSL_CERT_FILE", "/no/such/file")
        .with("SSL_CERT_DIR", "/no/such/folder");
    (program, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_loaded_only_for_https_and_only_when_clerk_is_needed() {
    let sandbox = Sandbox::new(Population::default().users(3).organizations(1).memberships(2));
    let serving = sandbox.serve().await.expect("a free port");
    let (program, folder) = without_certificates(&serving);
    let answer = program.run().await.answer(0);
    assert_eq!(answer["status"], "complete", "{answer:#}");
    // An address that needs certificates makes their absence an error, once they are needed.
    let secure = program.with("CLERK_API_URL", "https://127.0.0.1:1");
    let skipping = secure.clone().with("SNAPSHOT_INTERVAL_MINUTES", "60");
    assert_eq!(skipping.run().await.answer(0)["status"], "skipped");
    let message = secure.run().await.error(1, "ClerkUnavailable");
    assert!(message.contains("has no CA certificates"), "{message}");
    assert!(!folder.path().join("out/checkpoint.json").exists(), "a mistake leaves no trace");
}
