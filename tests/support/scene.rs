//! One Clerk instance that does not change, an uninterrupted snapshot of it, and worlds in which
//! the same run is interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clerk_sandbox::{Population, Sandbox};
use clerk_store::{Operation, Store};
use clerk_sync::error::Error;
use serde_json::Value;

use super::chain::assert_chain;
use super::faulty_store::FaultyStore;
use super::fuse::{Fuse, FusedStore, Side};
use super::oracle::PATHS;
use super::snapshot::Snapshot;
use super::world::World;

/// A little more than the default of `LEASE_SECONDS`.
pub(crate) const PAST_THE_LEASE: Duration = Duration::from_secs(61);

/// The instance, and the result of a run without faults.
pub(crate) struct Scene {
    /// Clerk.
    pub(crate) sandbox: Sandbox,
    /// What the store holds before the run: an earlier snapshot.
    before: BTreeMap<String, Bytes>,
    /// `content_digest` by dataset.
    digests: BTreeMap<String, Value>,
    /// Requests by path.
    by_path: BTreeMap<String, u64>,
    /// Requests to Clerk.
    pub(crate) requests: u64,
    /// Calls of the store.
    pub(crate) store_calls: u64,
}

/// A world whose store has a fuse.
pub(crate) struct Stage {
    /// The world.
    pub(crate) world: World,
    fused: Arc<FusedStore>,
    /// `latest.json` before the run.
    latest: Option<Bytes>,
}

impl Scene {
    /// An instance with two or three pages of some lists, including lists that are read by cursor
    /// and lists that are not.
    pub(crate) async fn of_pages() -> Self {
        let population = Population::default().users(505).organizations(12).memberships(505);
        Self::of(population.permissions(1010)).await
    }

    /// An instance with one page per list.
    pub(crate) async fn small() -> Self {
        Self::of(Population::default().users(40).organizations(6).memberships(50)).await
    }

    async fn of(population: Population) -> Self {
        let mut scene = Self {
            sandbox: Sandbox::new(population),
            before: BTreeMap::new(),
            digests: BTreeMap::new(),
            by_path: BTreeMap::new(),
            requests: 0,
            store_calls: 0,
        };
        let first = scene.stage();
        first.world.complete().await;
        scene.before = first.world.memory.objects();
        let second = scene.stage();
        tokio::time::advance(Duration::from_secs(1)).await;
        let snapshot = second.world.complete().await;
        scene.digests = snapshot.digests();
        scene.by_path = scene.sandbox.requests_by_path();
        scene.requests = scene.sandbox.total_requests();
        scene.store_calls = second.store_calls();
        scene
    }

    /// The instance with the earlier snapshot in the store, before any request.
    pub(crate) fn stage(&self) -> Stage {
        self.sandbox.clear_requests();
        self.sandbox.clear_faults();
        self.sandbox.on_request(|_, _| ());
        let world = World::new(self.sandbox.clone());
        for (key, bytes) in &self.before {
            world.memory.plant(key, bytes.clone());
        }
        Stage::of(world)
    }

    /// The bytes of `latest.json` before the run.
    pub(crate) fn latest_before(&self) -> &Bytes {
        &self.before["latest.json"]
    }

    /// Whether a run has been published and its checkpoint removed.
    pub(crate) fn is_over(&self, world: &World) -> bool {
        !world.has_checkpoint() && world.memory.objects()["latest.json"] != *self.latest_before()
    }

    /// The run ended as if nothing had happened: a newer snapshot with the same digests, no
    /// leftovers, and at most two more pages per interruption and list.
    pub(crate) fn assert_as_uninterrupted(&self, world: &World, interruptions: u64, what: &str) {
        let snapshot = world.published().expect("published");
        assert_ne!(&world.memory.objects()["latest.json"], self.latest_before(), "{what}");
        assert_eq!(snapshot.digests(), self.digests, "{what}");
        assert_eq!(snapshot.manifest["verified"], true, "{what}");
        assert!(!world.has_checkpoint(), "{what}: the checkpoint is still there");
        self.assert_no_leftovers(world, what);
        assert!(assert_chain(world, what) > 0, "{what}");
        let by_path = self.sandbox.requests_by_path();
        for list in PATHS {
            let asked = by_path.get(list).copied().unwrap_or_default();
            let needed = self.by_path[list];
            assert!(
                asked <= needed + 2 * interruptions,
                "{what}: {asked} pages of {list} instead of {needed}"
            );
        }
        assert_eq!(self.sandbox.violations(), [], "{what}");
    }

    /// The store holds `latest.json`, the files it names or has named, and what was there before.
    pub(crate) fn assert_no_leftovers(&self, world: &World, what: &str) {
        let objects = world.memory.objects();
        let expected: BTreeSet<String> = named_by_latest(&objects)
            .into_iter()
            .chain(self.before.keys().cloned())
            .chain(named_before(world, &objects))
            .collect();
        let found: BTreeSet<String> = objects.into_keys().collect();
        assert_eq!(found, expected, "{what}: files in the store");
    }
}

/// `latest.json` and every file of the snapshot it names.
pub(crate) fn named_by_latest(objects: &BTreeMap<String, Bytes>) -> BTreeSet<String> {
    let snapshot = Snapshot::of(objects).expect("published");
    row_requests(&snapshot).into_iter().chain(["latest.json".to_owned()]).collect()
}

/// Every file of the snapshots that `latest.json` has named in this world.
fn named_before(world: &World, objects: &BTreeMap<String, Bytes>) -> BTreeSet<String> {
    let calls = world.store.calls().into_iter();
    calls
        .filter(|call| call.operation == Operation::Put && call.key == "latest.json")
        .flat_map(|call| {
            let latest: Value =
                serde_json::from_slice(&call.bytes.expect("content")).expect("JSON");
            let key = latest["manifest"].as_str().expect("a key");
            let manifest = objects.get(key).map(|bytes| serde_json::from_slice(bytes));
            manifest.map(|json| named_by_manifest(key, &json.expect("JSON"))).unwrap_or_default()
        })
        .collect()
}

/// Every file of a snapshot.
pub(crate) fn row_requests(snapshot: &Snapshot) -> BTreeSet<String> {
    named_by_manifest(snapshot.latest["manifest"].as_str().expect("a key"), &snapshot.manifest)
}

/// The manifest with this key, and every file that it names.
fn named_by_manifest(key: &str, manifest: &Value) -> BTreeSet<String> {
    let folder = key.trim_end_matches("manifest.json");
    let datasets = manifest["datasets"].as_object().expect("datasets");
    let parts = datasets.values().flat_map(|dataset| dataset["parts"].as_array().expect("parts"));
    let keys = parts.map(|part| format!("{folder}{}", part["key"].as_str().expect("a key")));
    keys.chain([key.to_owned()]).collect()
}

/// An invocation that froze where the fuse blew, past its lease.
pub(crate) async fn frozen<'a>(
    world: &'a World,
    fuse: &'a Arc<Fuse>,
    what: &'a str,
) -> Pin<Box<impl Future<Output = Result<Value, Error>> + use<'a>>> {
    let mut invocation = Box::pin(world.sync());
    let ended = until_blown(fuse, &mut invocation).await;
    assert!(ended.is_none(), "{what}: it ended before it froze");
    tokio::time::advance(PAST_THE_LEASE).await;
    invocation
}

/// Objects that neither a manifest nor docs/reference.md names.
pub(crate) fn unnamed(world: &World) -> BTreeSet<String> {
    let objects = world.memory.objects();
    let manifests = objects.iter().filter(|(key, _)| key.ends_with("/manifest.json"));
    let named: BTreeSet<String> = manifests
        .flat_map(|(key, json)| {
            named_by_manifest(key, &serde_json::from_slice(json).expect("JSON"))
        })
        .collect();
    let is_named = |key: &String| named.contains(key) || key == "latest.json";
    objects.into_keys().filter(|key| !is_named(key)).collect()
}

impl Stage {
    /// A world whose store gets a fuse.
    pub(crate) fn of(mut world: World) -> Self {
        let fused = FusedStore::new(Arc::clone(&world.memory) as Arc<dyn Store>);
        world.store = FaultyStore::new(Arc::clone(&fused) as Arc<dyn Store>);
        let latest = world.memory.objects().remove("latest.json");
        Self { world, fused, latest }
    }

    /// The number of store calls so far.
    pub(crate) fn store_calls(&self) -> u64 {
        self.fused.calls()
    }

    /// A `sync` whose power fails at its n-th request. `None` if it did; otherwise the answer.
    pub(crate) async fn cut_at_request(&self, request: u64) -> Option<Result<Value, Error>> {
        cut_at_request(&self.world, request).await
    }

    /// A `sync` whose power fails at its n-th store call. `None` if it did; otherwise the answer.
    pub(crate) async fn cut_at_store_call(
        &self,
        call: u64,
        side: Side,
    ) -> Option<Result<Value, Error>> {
        let fuse = self.fuse_at_store_call(call, side);
        let answer = until_blown(&fuse, self.world.sync()).await;
        self.fused.put_in(None);
        answer
    }

    /// A fuse that blows at the n-th store call from now on.
    pub(crate) fn fuse_at_store_call(&self, call: u64, side: Side) -> Arc<Fuse> {
        let fuse = Fuse::blowing_at(call);
        self.fused.put_in(Some((Arc::clone(&fuse), side)));
        fuse
    }

    /// A `sync` that is interrupted, as by Ctrl-C, at its n-th request.
    pub(crate) async fn interrupt_at_request(&self, request: u64) -> Value {
        let fuse = Fuse::blowing_at(request);
        let interrupt = self.world.interrupt.clone();
        self.world.sandbox.on_request(move |_, _| {
            if fuse.step() {
                interrupt.send_replace(true);
            }
        });
        let answer = self.world.sync().await.expect("an interrupted sync answers");
        self.world.sandbox.on_request(|_, _| ());
        self.world.interrupt.send_replace(false);
        answer
    }

    /// Whether this world has published a snapshot of its own.
    pub(crate) fn has_published(&self) -> bool {
        self.world.memory.objects().remove("latest.json") != self.latest
    }

    /// After a power cut readers still find a whole snapshot, and the next invocation finishes the
    /// run once the lease has ended, or does a run of its own if the first one was published.
    pub(crate) async fn finish_after_cut(&self, what: &str) {
        assert!(self.world.published().is_some(), "{what}");
        tokio::time::advance(PAST_THE_LEASE).await;
        if self.has_published() {
            self.world.sandbox.clear_requests();
        }
        let answer = self.world.sync().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
    }
}

/// A `sync` whose power fails at its n-th request. `None` if it did; otherwise the answer.
pub(crate) async fn cut_at_request(world: &World, request: u64) -> Option<Result<Value, Error>> {
    let fuse = Fuse::blowing_at(request);
    let burning = Arc::clone(&fuse);
    world.sandbox.on_request(move |_, _| {
        burning.step();
    });
    let answer = until_blown(&fuse, world.sync()).await;
    world.sandbox.on_request(|_, _| ());
    answer
}

/// Runs `work` until the fuse blows, and drops it wherever it is then.
pub(crate) async fn until_blown<T>(fuse: &Fuse, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = fuse.blown() => None,
        done = work => Some(done),
    }
}
