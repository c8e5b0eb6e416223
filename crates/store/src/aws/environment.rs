//! AWS settings from environment variables alone, which is how Lambda passes all of them to a function.
//!
//! The SDK's usual sources include profiles, roles to assume and metadata services. A function has none of these, and the
//! code for them would be a thirtieth of what Lambda loads at each start.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::identity::IdentityCache;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::sdk_config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::{retries, timeouts};

/// The settings in this process's environment.
pub(super) fn config() -> SdkConfig {
    config_of(|name| std::env::var(name).ok())
}

fn config_of(read: impl Fn(&str) -> Option<String>) -> SdkConfig {
    let variable = |name: &str| read(name).filter(|value| !value.is_empty());
    let is_true = |name: &str| variable(name).map(|value| value.eq_ignore_ascii_case("true"));
    let when = |name: &str| variable(name);
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .identity_cache(IdentityCache::lazy().build())
        .retry_config(retries())
        .timeout_config(timeouts())
        .service_config(ServiceVariables);
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    builder.set_region(region.map(Region::new));
    builder.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    builder.set_use_fips(is_true("AWS_USE_FIPS_ENDPOINT"));
    builder.set_use_dual_stack(is_true("AWS_USE_DUALSTACK_ENDPOINT"));
    let calculation = when("AWS_REQUEST_CHECKSUM_CALCULATION")
        .and_then(|text| text.parse().ok())
        .unwrap_or(RequestChecksumCalculation::WhenSupported);
    let validation = when("AWS_RESPONSE_CHECKSUM_VALIDATION")
        .and_then(|text| text.parse().ok())
        .unwrap_or(ResponseChecksumValidation::WhenSupported);
    builder.set_request_checksum_calculation(Some(calculation));
    builder.set_response_checksum_validation(Some(validation));
    builder.build()
}

/// Variables of one service, such as `AWS_ENDPOINT_URL_S3`: the general name, and that of the service.
#[derive(Debug)]
struct ServiceVariables;

impl LoadServiceConfig for ServiceVariables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let name = variable_of(key.env(), key.service_id());
        let value = std::env::var(name).or_else(|_| std::env::var(key.env())).ok();
        value.filter(|value| !value.is_empty())
    }
}

/// AWS SDKs and tools reference guide, "Service-specific endpoints": the service's id in capitals, with underscores.
fn variable_of(name: &str, service_id: &str) -> String {
    format!("{name}_{}", service_id.to_ascii_uppercase().replace(' ', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_the_variables() {
        let config = config_of(|name| {
            let value = match name {
                "AWS_REGION" => "eu-central-1",
                "AWS_USE_FIPS_ENDPOINT" => "true",
                "AWS_ENDPOINT_URL" => "http://127.0.0.1:1",
                "AWS_REQUEST_CHECKSUM_CALCULATION" => "when_required",
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!(config.region().map(Region::as_ref), Some("eu-central-1"));
        assert_eq!((config.use_fips(), config.use_dual_stack()), (Some(true), None));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:1"));
        let (calculation, validation) =
            (config.request_checksum_calculation(), config.response_checksum_validation());
        assert_eq!(calculation, Some(RequestChecksumCalculation::WhenRequired));
        assert_eq!(validation, Some(ResponseChecksumValidation::WhenSupported));
        assert!(config.credentials_provider().is_some());
    }

    #[test]
    fn an_empty_environment_names_no_region() {
        assert_eq!(config_of(|_| None).region(), None);
        assert_eq!(config_of(|_| Some(String::new())).region(), None);
    }

    #[test]
    fn each_service_has_its_own_variable() {
        let s3 = variable_of("AWS_ENDPOINT_URL", "S3");
        assert_eq!(s3, "AWS_ENDPOINT_URL_S3");
        let secrets = variable_of("AWS_ENDPOINT_URL", "Secrets Manager");
        assert_eq!(secrets, "AWS_ENDPOINT_URL_SECRETS_MANAGER");
    }
}
