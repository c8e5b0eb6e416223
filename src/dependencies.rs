//! What an invocation reaches outside for: the store, the secret, Clerk, the clock.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join;
use reqwest::header::HeaderValue;

use crate::aws::LazyAwsConfig;
use crate::clerk::client::{Client, ClientSettings};
use crate::clerk::retry::RetryPolicy;
use crate::clerk::transport::{HttpTransport, Transport};
use crate::clock::Clock;
use crate::config::{Config, KeySetting};
use crate::error::{Error, Failure};
use crate::patience::Patience;
use crate::redaction::{Redaction, RedactionKey};
use crate::secret_key::{KeyEnvironment, SecretKey};
use crate::secret_source::{SecretError, SecretSource, SecretsManager};
use crate::store::{self, Store};
use crate::sync::state::store_unavailable;

/// Everything outside the process. Tests put their own in.
#[derive(Debug, Clone)]
pub struct Dependencies {
    /// Where everything is written.
    pub store: Arc<dyn Store>,
    /// Where the key comes from.
    pub secret: Arc<dyn SecretSource>,
    /// Carries requests to Clerk.
    pub transport: Arc<dyn Transport>,
    /// Tells the time.
    pub clock: Clock,
}

impl Dependencies {
    /// The real ones, as the configuration names them. Nothing is read yet.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] when the store cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let aws = Arc::new(LazyAwsConfig::new());
        let store = store::open(&config.snapshot_url, &aws).await.map_err(store_unavailable)?;
        Ok(Self {
            store,
            secret: Arc::new(ConfiguredSecret { setting: config.key.clone(), aws }),
            transport: Arc::new(HttpTransport::new(&config.clerk.api_url)),
            clock: Clock::system(),
        })
    }

    /// Reads the secret and makes the invocation's client, and what replaces the data that `REDACT`
    /// names. Certificates are loaded while the secret is on its way.
    ///
    /// # Errors
    /// [`Error::SecretUnavailable`], or [`Error::Internal`] when the HTTP client cannot be set up.
    pub async fn client(
        &self,
        config: &Config,
        patience: Arc<Patience>,
    ) -> Result<(Client, Option<Redaction>), Error> {
        let keys = async {
            if config.redact.is_empty() {
                return Ok((self.secret.read().await?, None));
            }
            let (key, redaction_key) = self.secret.read_both().await?;
            Ok((key, Some(Redaction::new(config.redact.clone(), redaction_key))))
        };
        let prepared = async { self.transport.prepare() };
        let (keys, prepared) = join(keys, prepared).await;
        let (key, redaction) = keys.map_err(secret_unavailable)?;
        prepared.map_err(|error| {
            Error::Internal(Failure::new("Clerk cannot be asked").caused_by(error))
        })?;
        let limit = config.clerk.requests_per_10s.unwrap_or_else(|| usual_limit(&key));
        let api_version = HeaderValue::from_str(&config.clerk.api_version).map_err(|_| {
            Error::Internal(Failure::new("CLERK_API_VERSION cannot be sent in a header"))
        })?;
        let settings = ClientSettings {
            api_url: config.clerk.api_url.clone(),
            api_version,
            requests_per_10s: f64::from(limit) * config.clerk.rate_share,
            max_concurrency: config.clerk.max_concurrency,
            retry: RetryPolicy::default(),
        };
        let client = Client::new(
            settings,
            Arc::clone(&self.transport),
            key,
            Arc::clone(&self.secret),
            patience,
            self.clock.clone(),
        );
        Ok((client, redaction))
    }
}

/// Requests per ten seconds that Clerk allows an instance (Clerk documentation, "Rate limits").
fn usual_limit(key: &SecretKey) -> u32 {
    match key.environment() {
        KeyEnvironment::Live => 1000,
        KeyEnvironment::Test => 100,
    }
}

/// The secret's failure under its name in the contract.
pub fn secret_unavailable(error: SecretError) -> Error {
    Error::SecretUnavailable(Failure::new("the secret key could not be read").caused_by(error))
}

/// The key's source as configured; AWS is set up only when it is first asked.
#[derive(Debug)]
struct ConfiguredSecret {
    setting: KeySetting,
    aws: Arc<LazyAwsConfig>,
}

#[async_trait]
impl SecretSource for ConfiguredSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        match &self.setting {
            KeySetting::Environment(key) => Ok(key.clone()),
            KeySetting::SecretsManager { secret_id, field } => {
                let aws = self.aws.load().await;
                SecretsManager::new(aws, secret_id, field.as_deref())?.read().await
            }
        }
    }

    async fn read_both(&self) -> Result<(SecretKey, Option<RedactionKey>), SecretError> {
        match &self.setting {
            KeySetting::Environment(key) => Ok((key.clone(), None)),
            KeySetting::SecretsManager { secret_id, field } => {
                let aws = self.aws.load().await;
                SecretsManager::new(aws, secret_id, field.as_deref())?.read_both().await
            }
        }
    }

    fn can_rotate(&self) -> bool {
        matches!(self.setting, KeySetting::SecretsManager { .. })
    }
}
