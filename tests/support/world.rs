//! The handler and everything around it: a sandbox Clerk, a store that can fail, a secret, and a
//! clock that can be paused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox};
use clerk_store::Store;
use clerk_sync::clerk::transport::Transport;
use clerk_sync::clock::Clock;
use clerk_sync::config::{Config, Environment, Place};
use clerk_sync::dependencies::Dependencies;
use clerk_sync::error::Error;
use clerk_sync::event::Event;
use clerk_sync::handler::handle;
use clerk_sync::invocation::Invocation;
use clerk_sync::invocation_metrics::{InvocationMetrics, Measured};
use clerk_sync::progress::Progress;
use clerk_sync::response::Response;
use clerk_sync::secret_source::SecretSource;
use clerk_sync::signing::Signer;
use clerk_sync::time_budget::TimeBudget;
use clerk_sync::work_limit::WorkLimit;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::faulty_store::FaultyStore;
use super::memory_store::MemoryStore;
use super::sandbox_transport::SandboxTransport;
use super::scripted_secret::ScriptedSecret;
use super::signer::LocalSigner;
use super::snapshot::Snapshot;

/// Everything a test acts on. Clones share it.
#[derive(Clone)]
pub(crate) struct World {
    /// Clerk.
    pub(crate) sandbox: Sandbox,
    /// The objects in the store.
    pub(crate) memory: Arc<MemoryStore>,
    /// The store as the handler sees it.
    pub(crate) store: Arc<FaultyStore>,
    /// The source of the key.
    pub(crate) secret: Arc<dyn SecretSource>,
    /// What signs manifests.
    pub(crate) signer: Option<Arc<LocalSigner>>,
    /// The transport between the handler and Clerk.
    pub(crate) transport: Arc<dyn Transport>,
    /// The time of day.
    pub(crate) clock: Clock,
    /// What a person at a terminal would see.
    pub(crate) progress: Progress,
    settings: Vec<(String, String)>,
    /// Ends invocations early, like Ctrl-C.
    pub(crate) interrupt: watch::Sender<bool>,
    measured: Arc<Mutex<Measured>>,
}

/// The time at which a world's clock begins, in milliseconds since 1970.
pub(crate) const START: u64 = 1_763_640_000_000;

/// The five resources that access depends on.
pub(crate) const ALL: &str = "users,organizations,organization_roles,organization_permissions,\
                              organization_memberships";

impl World {
    /// A world around a sandbox, with these resources opted in, and no relevant rate limit. Call it
    /// under paused time: its clock runs with tokio's.
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        let memory = Arc::new(MemoryStore::default());
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(START);
        let world = Self {
            transport: Arc::new(SandboxTransport(sandbox.clone())),
            sandbox,
            store: FaultyStore::new(Arc::clone(&memory) as Arc<dyn Store>),
            memory,
            secret: Arc::new(ScriptedSecret::new([DEFAULT_KEY])),
            signer: None,
            clock: Clock::simulated(start),
            progress: Progress::default(),
            settings: Vec::new(),
            interrupt: watch::channel(false).0,
            measured: Arc::default(),
        };
        world
            .with("SNAPSHOT_URL", "file:///not-used")
            .with("RESOURCES", ALL)
            .with("CLERK_SECRET_ID", "clerk/secret-key")
            .with("CLERK_API_URL", "http://127.0.0.1:1")
            .with("CLERK_REQUESTS_PER_10S", "1000000")
            .with("CLERK_RATE_SHARE", "1")
    }

    /// A world around a synthetic instance.
    pub(crate) fn of(users: usize, organizations: usize, memberships: usize) -> Self {
        let population = Population::default()
            .users(users)
            .organizations(organizations)
            .memberships(memberships);
        Self::new(Sandbox::new(population))
    }

    /// Changes a setting; an empty value unsets it.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(other, _)| other != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Uses another source of the key.
    pub(crate) fn with_secret(self, secret: impl SecretSource + 'static) -> Self {
        Self { secret: Arc::new(secret), ..self }
    }

    /// Signs manifests with this key.
    pub(crate) fn with_signer(self, signer: &Arc<LocalSigner>) -> Self {
        Self { signer: Some(Arc::clone(signer)), ..self }
    }

    /// A plain `sync`.
    pub(crate) async fn sync(&self) -> Result<Value, Error> {
        self.handle(json!({})).await
    }

    /// A `sync` that must be complete; returns the published snapshot.
    pub(crate) async fn complete(&self) -> Snapshot {
        let answer = self.sync().await.expect("sync");
        assert_eq!(answer["status"], "complete", "{answer:#}");
        self.published().expect("complete means published")
    }

    /// Handles an event with the time budget of the settings.
    pub(crate) async fn handle(&self, event: Value) -> Result<Value, Error> {
        self.handle_until(event, None).await
    }

    /// Handles an event as Lambda would, with its deadline this far away.
    pub(crate) async fn handle_until(
        &self,
        event: Value,
        deadline_in: Option<Duration>,
    ) -> Result<Value, Error> {
        let response = self.respond(event, deadline_in).await?;
        let json = response.to_json().expect("an answer is JSON");
        Ok(serde_json::from_str(json.get()).expect("an answer is JSON"))
    }

    /// The handler's response itself.
    pub(crate) async fn respond(
        &self,
        event: Value,
        deadline_in: Option<Duration>,
    ) -> Result<Response, Error> {
        let pairs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let environment = Environment::from_pairs(pairs);
        let config = Config::from_environment(&environment, Place::Program)?;
        let event = Event::from_value(&event)?;
        let dependencies = Dependencies {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            secret: Arc::clone(&self.secret),
            signer: self.signer.clone().map(|signer| signer as Arc<dyn Signer>),
            transport: Arc::clone(&self.transport),
            clock: self.clock.clone(),
        };
        let reserve = config.deadline_reserve;
        let configured = event.time_budget().or(config.time_budget);
        let budget = TimeBudget::new(Instant::now(), deadline_in, reserve, configured);
        let interrupt = self.interrupt.subscribe();
        let invocation = Invocation {
            request_id: format!("request-{:08x}", fastrand::u32(..)),
            work_limit: Arc::new(WorkLimit::new(budget, deadline_in, reserve, interrupt)),
            progress: self.progress.clone(),
            metrics: InvocationMetrics::default(),
        };
        let handled = handle(&event, &config, &dependencies, &invocation).await;
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) =
            invocation.metrics.measured();
        handled
    }

    /// The metrics of the last invocation.
    pub(crate) fn measured(&self) -> Measured {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The published snapshot, read and checked as a consumer would.
    pub(crate) fn published(&self) -> Option<Snapshot> {
        Snapshot::of(&self.memory.objects())
    }

    /// The snapshots that have a file, oldest first.
    pub(crate) fn snapshots(&self) -> Vec<String> {
        let objects = self.memory.objects();
        let ids = objects.keys().filter_map(|key| key.strip_prefix("snapshots/")?.split_once('/'));
        let mut ids: Vec<String> = ids.map(|(id, _)| id.to_owned()).collect();
        ids.dedup();
        ids
    }

    /// Changes `checkpoint.json` as if another program had written it.
    pub(crate) fn edit_checkpoint(&self, edit: impl FnOnce(&mut Value)) {
        let stored = &self.memory.objects()["checkpoint.json"];
        let mut checkpoint = serde_json::from_slice(stored).expect("a checkpoint is JSON");
        edit(&mut checkpoint);
        self.memory.plant("checkpoint.json", checkpoint.to_string());
    }

    /// Whether a run is in progress.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.memory.objects().contains_key("checkpoint.json")
    }
}
