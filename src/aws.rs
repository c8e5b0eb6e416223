//! AWS settings shared by the S3 store and the Secrets Manager source, and what a failed call
//! means.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::OnceCell;

/// Longest wait for a TCP and TLS connection; AWS endpoints answer within tens of milliseconds, so
/// past this the attempt is given up and retried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait for the answer to one attempt; past it the attempt is given up and retried. Uploads
/// get more, by their size.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest wait for one operation with all its attempts; past it the operation has failed.
pub(crate) const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts per operation, the first one included; the SDK backs off between them.
const MAX_ATTEMPTS: u32 = 3;

/// Loads the AWS settings from the SDK's usual places: environment, profile files, and the machine
/// itself.
///
/// With `AWS_ACCESS_KEY_ID` in the environment the machine's metadata service is not asked for a
/// region: a laptop has none, and would wait for it in vain.
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

/// A loader with this program's time-outs and retries; tests add an endpoint and credentials.
pub fn aws_config_loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
}

/// AWS settings that are loaded when something first needs them: a run that writes to a folder with
/// a key from the environment never pays for them.
#[derive(Debug, Default)]
pub struct LazyAwsConfig(OnceCell<SdkConfig>);

impl LazyAwsConfig {
    /// Settings that [`load_aws_config`] will find.
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings, loaded at the first call.
    pub async fn load(&self) -> &SdkConfig {
        self.0.get_or_init(load_aws_config).await
    }
}

/// Settings already at hand.
impl From<SdkConfig> for LazyAwsConfig {
    fn from(config: SdkConfig) -> Self {
        Self(OnceCell::new_with(Some(config)))
    }
}

/// What a failed call means, without the service's own words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AwsFailure {
    /// No answer, a time-out, a 5xx or a throttle, after the SDK's own retries.
    Unavailable,
    /// The SDK found no credentials to sign with.
    NoCredentials,
    /// The service does not accept the credentials: wrong or expired.
    CredentialsRefused,
    /// Any other answer; the code is empty where the service sends none (HEAD requests).
    Refused {
        /// HTTP status.
        status: u16,
        /// The service's error code.
        code: String,
    },
}

impl AwsFailure {
    /// Reads the failure out of an SDK error.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let SdkError::ServiceError(answer) = error else {
            return Self::without_answer(error);
        };
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().unwrap_or_default();
        match code {
            _ if status >= 500 || status == 429 || status == 408 => Self::Unavailable,
            "RequestTimeout"
            | "RequestTimeoutException"
            | "SlowDown"
            | "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException" => Self::Unavailable,
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "TokenRefreshRequired"
            | "RequestTimeTooSkewed"
            | "UnrecognizedClientException" => Self::CredentialsRefused,
            code => Self::Refused { status, code: code.to_owned() },
        }
    }

    /// The SDK's type for "no credentials" lies in a crate of its own, so its message is looked at;
    /// a miss only costs the better advice.
    fn without_answer<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + 'static,
    {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if error.to_string().contains("credential") {
                return Self::NoCredentials;
            }
            cause = error.source();
        }
        Self::Unavailable
    }
}

/// The cause of an SDK error, without the raw response: its body may quote what was signed.
pub(crate) fn source_of<E>(error: SdkError<E, HttpResponse>) -> Box<dyn StdError + Send + Sync>
where
    E: StdError + Send + Sync + 'static,
{
    error.into_source().unwrap_or_else(|_| "the SDK gave no cause".into())
}
