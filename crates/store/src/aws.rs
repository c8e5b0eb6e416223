//! Loads the AWS settings shared by S3, Secrets Manager and KMS, and classifies failed calls.

mod credentials;
mod environment;
mod failure;

use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use tokio::sync::OnceCell;

pub use self::credentials::CredentialsProblem;
pub use self::failure::AwsObstacle;
pub use self::failure::{AwsFailure, Refusal, is_html, is_page};
use crate::no_answer::NoAnswer;

/// Longest wait for a TCP and TLS connection before the attempt is retried. AWS endpoints answer within tens of
/// milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait for the answer to one attempt before it is retried. Uploads get more, depending on their size.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest time for one operation with all its attempts, after which it has failed.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts per operation, the first included; the SDK backs off between them.
const MAX_ATTEMPTS: u32 = 3;

/// Loads the AWS settings from the SDK's usual sources: environment, profile files, and the machine's metadata service.
///
/// If `AWS_ACCESS_KEY_ID` is set, the metadata service is not asked for a region: a laptop has none, and the request
/// would only time out.
pub async fn load_aws_config() -> SdkConfig {
    let loader = aws_config_loader();
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
        return loader.load().await;
    }
    let region = RegionProviderChain::first_try(
        aws_config::environment::region::EnvironmentVariableRegionProvider::new(),
    )
    .or_else(aws_config::profile::ProfileFileRegionProvider::new());
    loader.region(region).load().await
}

/// A loader with this program's timeouts and retries; tests add an endpoint and credentials.
pub fn aws_config_loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts())
        .retry_config(retries())
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS)
}

/// Stops the SDK from retrying a request that cannot succeed until a person acts, for example because the server's
/// certificate is not accepted.
#[derive(Debug)]
pub struct NeverRepeatInVain;

impl ClassifyRetry for NeverRepeatInVain {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let failed = context.output_or_error().and_then(Result::err);
        match failed.and_then(|error| error.as_connector_error()) {
            Some(error) if NoAnswer::of(error).is_permanent() => RetryAction::RetryForbidden,
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "never repeat in vain"
    }
}

/// AWS settings that are loaded on first use, so that a run that writes to a folder with a key from the environment
/// never loads them.
#[derive(Debug)]
pub struct LazyAwsConfig {
    origin: Origin,
    loaded: OnceCell<SdkConfig>,
}

/// Where the settings come from.
#[derive(Debug)]
enum Origin {
    /// The SDK's usual sources. Without the feature `cli`, the environment alone.
    UsualSources,
    /// Environment variables alone.
    Environment,
}

impl LazyAwsConfig {
    /// Settings to be loaded by [`load_aws_config`].
    #[expect(clippy::new_without_default, reason = "where settings come from is no detail")]
    pub const fn new() -> Self {
        Self { origin: Origin::UsualSources, loaded: OnceCell::const_new() }
    }

    /// Settings in environment variables, where Lambda puts all of them.
    pub const fn of_environment() -> Self {
        Self { origin: Origin::Environment, loaded: OnceCell::const_new() }
    }

    /// Returns the settings, loading them at the first call.
    ///
    /// # Errors
    /// [`CredentialsProblem::NoSuchProfile`]. Without this check, the SDK would look for credentials elsewhere and find
    /// none, or those of another account.
    pub async fn load(&self) -> Result<&SdkConfig, AwsObstacle> {
        let load = async {
            match self.origin {
                Origin::UsualSources => of_usual_sources().await,
                Origin::Environment => Ok(environment::config()),
            }
        };
        self.loaded.get_or_try_init(|| load).await
    }
}

#[cfg(feature = "cli")]
async fn of_usual_sources() -> Result<SdkConfig, AwsObstacle> {
    match missing_profile().await {
        Some(name) => Err(AwsObstacle::Credentials(CredentialsProblem::no_such_profile(&name))),
        None => Ok(load_aws_config().await),
    }
}

#[cfg(not(feature = "cli"))]
async fn of_usual_sources() -> Result<SdkConfig, AwsObstacle> {
    Ok(environment::config())
}

/// The value of `AWS_PROFILE`, if credentials should come from that profile but it does not exist.
#[cfg(feature = "cli")]
async fn missing_profile() -> Option<String> {
    use aws_types::os_shim_internal::{Env, Fs};

    let name = std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty())?;
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_some() {
        return None;
    }
    let (files, environment) = (Default::default(), Env::real());
    // A file that cannot be read is reported when credentials are needed.
    let profiles = aws_config::profile::load(&Fs::real(), &environment, &files, None).await.ok()?;
    profiles.get_profile(&name).is_none().then_some(name)
}

/// Settings that are already loaded.
impl From<SdkConfig> for LazyAwsConfig {
    fn from(config: SdkConfig) -> Self {
        Self { origin: Origin::UsualSources, loaded: OnceCell::new_with(Some(config)) }
    }
}
