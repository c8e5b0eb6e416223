//! Everything outside the process: the store, the secret, the key that signs, the connection to Clerk and the clock.

use std::sync::Arc;

use async_trait::async_trait;
use clerk_snapshot::redaction::RedactionKey;
use clerk_store::Store;
use clerk_store::aws::LazyAwsConfig;
use futures_util::future::join;
use reqwest::header::HeaderValue;

use crate::clerk::client::{Client, ClientSettings};
use crate::clerk::concurrency::usual_concurrency;
use crate::clerk::retry::RetryPolicy;
use crate::clerk::transport::{HttpTransport, Transport};
use crate::clock::Clock;
use crate::config::{Config, InvalidConfig, KeySetting, Problem};
use crate::error::unreachable;
use crate::error::{Error, Failure};
use crate::redaction::Redaction;
use crate::secret_key::{KeyEnvironment, SecretKey};
use crate::secret_source::{Label, SecretError, SecretSource, SecretsManager};
use crate::signing::{KmsSigner, Signer, SigningProblem};
use crate::work_limit::WorkLimit;

/// Everything outside the process. Tests replace it.
#[derive(Debug, Clone)]
pub struct Dependencies {
    /// Where everything is written.
    pub store: Arc<dyn Store>,
    /// Where the secret key is read.
    pub secret: Arc<dyn SecretSource>,
    /// Signs manifests; `None` if `SIGNING_KEY_ID` is not set.
    pub signer: Option<Arc<dyn Signer>>,
    /// Carries requests to Clerk.
    pub transport: Arc<dyn Transport>,
    /// The time of day.
    pub clock: Clock,
}

impl Dependencies {
    /// Opens what the configuration names. Nothing is read yet.
    pub async fn open(config: &Config, aws: LazyAwsConfig) -> Self {
        let aws = Arc::new(aws);
        let signer = |key_id: String| -> Arc<dyn Signer> {
            Arc::new(KmsSigner::new(key_id, Arc::clone(&aws)))
        };
        Self {
            store: clerk_store::open(&config.snapshot_url, &aws, &config.s3).await,
            signer: config.signing_key_id.clone().map(signer),
            secret: Arc::new(ConfiguredSecret { setting: config.key.clone(), aws }),
            transport: Arc::new(HttpTransport::new(&config.clerk.api_url)),
            clock: Clock::system(),
        }
    }

    /// Finds out whether manifests can be signed, as far as that can be known without a request: before anything is read
    /// for a snapshot that could not be published.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if `SIGNING_KEY_ID` is set and nothing names an AWS region; [`Error::StoreUnavailable`]
    /// if AWS's settings cannot be used for another reason.
    pub async fn prepare_to_sign(&self) -> Result<(), Error> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let Err(error) = signer.prepare().await else { return Ok(()) };
        Err(match error.problem {
            SigningProblem::NoRegion => InvalidConfig::of(Problem {
                variable: "AWS_REGION",
                what: "is not set, no profile names a region, and SIGNING_KEY_ID needs one"
                    .to_owned(),
                accepted: "the region of the KMS key".to_owned(),
                sentence: None,
            })
            .into(),
            _ => Error::StoreUnavailable(
                Failure::new("manifests could not be signed")
                    .caused_by(error)
                    .advising("Nothing was read or written."),
            ),
        })
    }

    /// Reads the secret, and builds the client of an invocation and the redaction if `REDACT` is
    /// set. Certificates are loaded at the same time.
    ///
    /// # Errors
    /// [`Error::SecretUnavailable`], or [`Error::ClerkUnavailable`] if there are no trusted
    /// certificates.
    pub async fn client(
        &self,
        config: &Config,
        work_limit: Arc<WorkLimit>,
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
        prepared.map_err(unreachable)?;
        let limit = config.clerk.requests_per_10s.unwrap_or_else(|| usual_limit(&key));
        let api_version = HeaderValue::from_str(&config.clerk.api_version).map_err(|_| {
            Error::Internal(Failure::new("CLERK_API_VERSION cannot be sent in a header"))
        })?;
        let requests_per_10s = f64::from(limit) * config.clerk.rate_share;
        let most = config.clerk.max_concurrency;
        let settings = ClientSettings {
            api_url: config.clerk.api_url.clone(),
            api_version,
            requests_per_10s,
            max_concurrency: most.unwrap_or_else(|| usual_concurrency(requests_per_10s)),
            retry: RetryPolicy::default(),
        };
        let client = Client::new(
            settings,
            Arc::clone(&self.transport),
            key,
            Arc::clone(&self.secret),
            work_limit,
            self.clock.clone(),
        );
        Ok((client, redaction))
    }
}

/// Requests per 10 seconds that Clerk allows an instance (Clerk documentation, "Rate limits").
fn usual_limit(key: &SecretKey) -> u32 {
    match key.environment() {
        KeyEnvironment::Live => 1000,
        KeyEnvironment::Test => 100,
    }
}

/// The documented error for a secret that cannot be read.
pub fn secret_unavailable(error: SecretError) -> Error {
    let (advice, outlook) = (error.advice(), error.outlook());
    Error::SecretUnavailable(
        Failure::new("the key that CLERK_SECRET_ID names could not be read")
            .caused_by(error)
            .advising(advice)
            .with_outlook(outlook),
    )
}

/// The source of the key as configured. AWS is set up when the key is first read.
#[derive(Debug)]
struct ConfiguredSecret {
    setting: KeySetting,
    aws: Arc<LazyAwsConfig>,
}

impl ConfiguredSecret {
    async fn secrets_manager(
        &self,
        secret_id: &str,
        field: Option<&str>,
    ) -> Result<SecretsManager, SecretError> {
        match self.aws.load().await {
            Ok(config) => SecretsManager::new(config, secret_id, field),
            Err(obstacle) => {
                let secret_id = Label::new(secret_id).ok_or(SecretError::KeyAsName)?;
                Err(SecretError::Obstacle { secret_id, obstacle })
            }
        }
    }
}

#[async_trait]
impl SecretSource for ConfiguredSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        match &self.setting {
            KeySetting::Environment(key) => Ok(key.clone()),
            KeySetting::SecretsManager { secret_id, field } => {
                self.secrets_manager(secret_id, field.as_deref()).await?.read().await
            }
        }
    }

    async fn read_both(&self) -> Result<(SecretKey, Option<RedactionKey>), SecretError> {
        match &self.setting {
            KeySetting::Environment(key) => Ok((key.clone(), None)),
            KeySetting::SecretsManager { secret_id, field } => {
                self.secrets_manager(secret_id, field.as_deref()).await?.read_both().await
            }
        }
    }

    fn can_rotate(&self) -> bool {
        matches!(self.setting, KeySetting::SecretsManager { .. })
    }
}
