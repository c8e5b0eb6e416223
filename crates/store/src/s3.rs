//! Stores objects in an S3 bucket.

use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode};
use aws_types::sdk_config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_types::service_config::ServiceConfigKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::key::{check_key, check_prefix};
use super::s3_options::{Encryption, S3Options};
use super::{
    Condition, ContentType, DeleteCondition, Listed, MAX_BYTES_READ, Object, Operation, Store,
    StoreError, StoreErrorKind, Stored, Version,
};
use crate::aws::{
    ATTEMPT_TIMEOUT, AwsFailure, AwsObstacle, NeverRepeatInVain, OPERATION_TIMEOUT, Refusal,
    is_html, is_page,
};
use crate::no_answer::NoAnswer;

/// Slowest transfer of a large object that is waited for, in bytes per second.
const SLOWEST: u64 = 256 * 1024;

/// Longest wait for the content of a small object after its headers have arrived. A larger one has more time: at least
/// as much as at [`SLOWEST`].
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts to read an object whose content breaks off. The SDK repeats requests, and no content.
const BODY_ATTEMPTS: u32 = 3;

/// Attempts at a conditional write that S3 answers with 409 `ConditionalRequestConflict`, which only means that another
/// write was in progress. After that the store counts as unavailable.
const CONFLICT_ATTEMPTS: u32 = 5;

/// Upper bound of the first pause after such an answer; doubled each time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// A bucket, or the part of it below a prefix, as a [`Store`].
///
/// Every object is sent with its SHA-256, which S3 checks before it accepts the object and stores with it. Because some
/// S3-compatible stores refuse those headers, `AWS_REQUEST_CHECKSUM_CALCULATION=when_required` sends none and
/// `AWS_RESPONSE_CHECKSUM_VALIDATION=when_required` requests none. Then only the size is verified.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    bucket: String,
    /// Empty, or ends in a slash.
    prefix: String,
    region: String,
    /// Whether checksums are sent.
    sends_checksums: bool,
    /// Whether stored checksums are requested.
    asks_for_checksums: bool,
    options: S3Options,
}

impl S3Store {
    /// A store in `bucket`, below `prefix` (empty for the whole bucket). Nothing is requested yet. `None` if the
    /// configuration has no region.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Option<Self> {
        let region = config.region()?;
        let s3_config = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(has_own_endpoint(config))
            .retry_classifier(NeverRepeatInVain)
            .build();
        Some(Self {
            client: Client::from_conf(s3_config),
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            region: region.to_string(),
            sends_checksums: config.request_checksum_calculation()
                != Some(RequestChecksumCalculation::WhenRequired),
            asks_for_checksums: config.response_checksum_validation()
                != Some(ResponseChecksumValidation::WhenRequired),
            options: S3Options::default(),
        })
    }

    /// The same store with `options`.
    #[must_use]
    pub fn with(self, options: S3Options) -> Self {
        Self { options, ..self }
    }

    fn expected_owner(&self) -> Option<String> {
        self.options.expected_owner.clone()
    }

    fn object_key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// One attempt at reading an object, including the SDK's own retries of the request.
    async fn get_once(&self, key: &str) -> Result<Option<Object>, Unread> {
        let operation = Operation::Get;
        let request = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.expected_owner())
            .key(self.object_key(key));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Unread::Failed(self.failed(operation, key, error))),
        };
        let unavailable = |why: NoAnswer| {
            StoreError::new(
                operation,
                self.url_of(key),
                StoreErrorKind::Unavailable { source: why.into() },
            )
        };
        if answer.content_type.as_deref().is_some_and(is_html) {
            return Err(Unread::Failed(self.incomplete(operation, key)));
        }
        let no_version = || Unread::Failed(self.incomplete(operation, key));
        let version = answer.e_tag.ok_or_else(no_version)?;
        let announced = answer.content_length.and_then(|length| u64::try_from(length).ok());
        let read = async {
            let mut body = answer.body;
            let mut bytes = BytesMut::new();
            let mut fits = announced.is_none_or(|length| length <= MAX_BYTES_READ);
            while fits && let Some(chunk) = body.try_next().await? {
                bytes.extend_from_slice(&chunk);
                fits = bytes.len() as u64 <= MAX_BYTES_READ;
            }
            Ok(fits.then(|| bytes.freeze()))
        };
        let longest = BODY_TIMEOUT + Duration::from_secs(announced.unwrap_or_default() / SLOWEST);
        let read: Result<_, ByteStreamError> = tokio::time::timeout(longest, read)
            .await
            .map_err(|_| Unread::Failed(unavailable(NoAnswer::TimedOut)))?;
        let broken_off = |error| Unread::BrokenOff(unavailable(NoAnswer::of(&error)));
        let bytes = read.map_err(broken_off)?;
        let too_large = || StoreError::new(operation, self.url_of(key), StoreErrorKind::TooLarge);
        let bytes = bytes.ok_or_else(|| Unread::Failed(too_large()))?;
        Ok(Some(Object { bytes, version: version_of(&version) }))
    }

    /// One attempt at a write, including the SDK's own retries.
    async fn put_once(
        &self,
        key: &str,
        bytes: Bytes,
        checksum: &str,
        content_type: ContentType,
        condition: &Condition,
    ) -> Result<PutObjectOutput, SdkError<PutObjectError, HttpResponse>> {
        let timeouts = upload_timeouts(bytes.len());
        let encryption = self.options.encryption.as_ref();
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.expected_owner())
            .set_server_side_encryption(encryption.map(Encryption::algorithm))
            .set_ssekms_key_id(encryption.and_then(Encryption::key_id).cloned())
            .key(self.object_key(key))
            .content_type(content_type.media_type())
            .body(ByteStream::from(bytes));
        let request = if self.sends_checksums {
            request.checksum_algorithm(ChecksumAlgorithm::Sha256).checksum_sha256(checksum)
        } else {
            request
        };
        let request = match condition {
            Condition::Any => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Matches(version) => request.if_match(version.as_str()),
        };
        request
            .customize()
            .config_override(aws_sdk_s3::config::Builder::new().timeout_config(timeouts))
            .send()
            .await
    }

    fn failed<E>(
        &self,
        operation: Operation,
        key: &str,
        error: SdkError<E, HttpResponse>,
    ) -> StoreError
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        self.failed_where(operation, key, error, false)
    }

    /// The failure of a call that may have had a condition.
    fn failed_where<E>(
        &self,
        operation: Operation,
        key: &str,
        error: SdkError<E, HttpResponse>,
        is_conditional: bool,
    ) -> StoreError
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let url = self.url_of(key);
        match AwsFailure::of(&error) {
            AwsFailure::Unavailable(source) => {
                StoreError::new(operation, url, StoreErrorKind::Unavailable { source })
            }
            AwsFailure::Obstacle(obstacle) => {
                StoreError::new(operation, url, StoreErrorKind::Obstacle(obstacle))
            }
            AwsFailure::Full => StoreError::new(operation, url, StoreErrorKind::Full),
            AwsFailure::Refused(refusal) => self.refused(operation, url, refusal, is_conditional),
        }
    }

    fn refused(
        &self,
        operation: Operation,
        url: String,
        refusal: Refusal,
        is_conditional: bool,
    ) -> StoreError {
        let bucket = self.bucket.clone();
        match (refusal.status, refusal.code.as_str()) {
            (412, _) => StoreError::new(operation, url, StoreErrorKind::PreconditionFailed),
            (409, "ConditionalRequestConflict" | "OperationAborted") => StoreError::new(
                operation,
                url,
                StoreErrorKind::Unavailable { source: refusal.into() },
            ),
            (404, "NoSuchBucket") => {
                StoreError::new(operation, url, StoreErrorKind::NoSuchBucket { bucket })
            }
            _ if is_elsewhere(&refusal) => StoreError::new(
                operation,
                url,
                StoreErrorKind::WrongRegion {
                    bucket,
                    region: self.region.clone(),
                    right: refusal.region,
                },
            ),
            // S3 always names the target of a redirect in an error code: any other redirect leads to a web page.
            (300..=399, "") => StoreError::new(
                operation,
                url,
                StoreErrorKind::Obstacle(AwsObstacle::NotAws { status: refusal.status }),
            ),
            (501, _) => {
                let sends_checksums = match operation {
                    Operation::Put => self.sends_checksums,
                    Operation::Get | Operation::Verify => self.asks_for_checksums,
                    Operation::Delete | Operation::List | Operation::RemoveLeftovers => false,
                };
                StoreError::new(
                    operation,
                    url,
                    StoreErrorKind::NotImplemented { is_conditional, sends_checksums },
                )
            }
            (401 | 403, _) => StoreError::new(
                operation,
                url,
                StoreErrorKind::AccessDenied {
                    source: refusal.into(),
                    expected_owner: self.expected_owner(),
                },
            ),
            (status, _) => StoreError::new(
                operation,
                url,
                StoreErrorKind::Refused { status, code: refusal.code },
            ),
        }
    }

    /// An answer that lacks what every S3 sends, or has what none sends.
    fn incomplete(&self, operation: Operation, key: &str) -> StoreError {
        let obstacle = AwsObstacle::NotAws { status: 200 };
        StoreError::new(operation, self.url_of(key), StoreErrorKind::Obstacle(obstacle))
    }
}

/// Why an object was not read.
enum Unread {
    /// Its content broke off, and another attempt may read it.
    BrokenOff(StoreError),
    /// Another attempt would end the same, or the SDK has made it.
    Failed(StoreError),
}

/// Whether an answer means that the bucket is in another region. (HEAD answers have no code.)
fn is_elsewhere(refusal: &Refusal) -> bool {
    let other = refusal.region.is_some();
    match refusal.code.as_str() {
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => true,
        _ => other && matches!(refusal.status, 301 | 307 | 400),
    }
}

#[async_trait]
impl Store for S3Store {
    fn url_of(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.bucket, self.prefix)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        check_key(Operation::Get, key)?;
        let mut attempt = 1;
        loop {
            match self.get_once(key).await {
                Err(Unread::BrokenOff(_)) if attempt < BODY_ATTEMPTS => attempt += 1,
                Err(Unread::BrokenOff(error) | Unread::Failed(error)) => return Err(error),
                Ok(object) => return Ok(object),
            }
        }
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        let operation = Operation::Put;
        check_key(operation, key)?;
        let checksum = base64_of(&Sha256::digest(&bytes).into());
        let mut pause = CONFLICT_PAUSE;
        let mut attempt = 1;
        let answer = loop {
            let put = self.put_once(key, bytes.clone(), &checksum, content_type, &condition);
            match put.await {
                Ok(answer) => break answer,
                Err(error) if is_conflict(&error) && attempt < CONFLICT_ATTEMPTS => {
                    tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
                    pause *= 2;
                    attempt += 1;
                }
                // Some servers answer 404 to a condition on an object that no longer exists.
                Err(error) if matches!(condition, Condition::Matches(_)) && is_absent(&error) => {
                    return Err(StoreError::new(
                        operation,
                        self.url_of(key),
                        StoreErrorKind::PreconditionFailed,
                    ));
                }
                Err(error) => {
                    let is_conditional = condition != Condition::Any;
                    return Err(self.failed_where(operation, key, error, is_conditional));
                }
            }
        };
        if answer.checksum_sha256.is_some_and(|stored| stored != checksum) {
            return Err(StoreError::new(
                operation,
                self.url_of(key),
                StoreErrorKind::ChecksumMismatch,
            ));
        }
        let version = answer.e_tag.as_deref().map(version_of);
        version.ok_or_else(|| self.incomplete(operation, key))
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        let operation = Operation::Delete;
        check_key(operation, key)?;
        let request = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.expected_owner())
            .key(self.object_key(key));
        let (request, conditional) = match &condition {
            DeleteCondition::Any => (request, false),
            DeleteCondition::Matches(version) => (request.if_match(version.as_str()), true),
        };
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) && conditional => Err(StoreError::new(
                operation,
                self.url_of(key),
                StoreErrorKind::PreconditionFailed,
            )),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(self.failed_where(operation, key, error, conditional)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let operation = Operation::List;
        check_prefix(operation, prefix)?;
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.expected_owner())
            .prefix(self.object_key(prefix))
            .into_paginator()
            .send();
        let mut listed = Vec::new();
        while let Some(page) =
            pages.try_next().await.map_err(|error| self.failed(operation, prefix, error))?
        {
            listed.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| {
                let key = object.key?.strip_prefix(&self.prefix)?.to_owned();
                // Consoles mark folders by empty objects with names that are not valid keys.
                check_key(operation, &key).ok()?;
                let bytes = u64::try_from(object.size?).ok()?;
                Some(Listed { key, bytes })
            }));
        }
        Ok(listed)
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let operation = Operation::Verify;
        check_key(operation, key)?;
        let request = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .set_expected_bucket_owner(self.expected_owner())
            .key(self.object_key(key))
            .set_checksum_mode(self.asks_for_checksums.then_some(ChecksumMode::Enabled));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.failed(operation, key, error)),
        };
        let bytes = answer.content_length.and_then(|length| u64::try_from(length).ok());
        let bytes = bytes.ok_or_else(|| self.incomplete(operation, key))?;
        let sha256 = answer.checksum_sha256.as_deref().and_then(sha256_of_base64);
        Ok(Some(Stored { bytes, sha256 }))
    }
}

/// Whether S3's endpoint is configured (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3` or a profile). Such servers seldom
/// support `bucket.host`, so the bucket goes into the path.
fn has_own_endpoint(config: &SdkConfig) -> bool {
    let for_s3 = || {
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        config.service_config()?.load_config(key)
    };
    config.endpoint_url().is_some() || for_s3().is_some()
}

/// The version of an ETag. Proxies that compress responses make the tag weak (`W/"…"`), and a weak tag matches no
/// condition. The prefix can be dropped: S3's own tags are strong, and what follows the prefix is what S3 compares.
fn version_of(e_tag: &str) -> Version {
    Version::new(e_tag.strip_prefix("W/").unwrap_or(e_tag))
}

/// Timeouts of an upload: sending a large part over a slow line takes longer than waiting for an answer.
fn upload_timeouts(bytes: usize) -> TimeoutConfig {
    let sending = Duration::from_secs(bytes as u64 / SLOWEST);
    TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT + sending)
        .operation_timeout(OPERATION_TIMEOUT + 2 * sending)
        .build()
}

/// Whether the answer is a 404 for the object, rather than for the bucket or from a web page. (HEAD answers have no
/// code.)
fn is_absent<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error
        .raw_response()
        .is_some_and(|response| response.status().as_u16() == 404 && !is_page(response))
        && error.code() != Some("NoSuchBucket")
}

fn is_conflict<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.code() == Some("ConditionalRequestConflict")
}

#[expect(clippy::expect_used, reason = "32 bytes are 44 characters of Base64, with the padding")]
fn base64_of(sha256: &[u8; 32]) -> String {
    let mut text = [0; 44];
    BASE64.encode_slice(sha256, &mut text).expect("the text has room");
    String::from_utf8_lossy(&text).into_owned()
}

/// Decodes a SHA-256; `None` for a checksum of another form, such as that of a multipart upload (`…-3`).
fn sha256_of_base64(text: &str) -> Option<[u8; 32]> {
    let mut sha256 = [0; 33];
    let length = BASE64.decode_slice(text, &mut sha256).ok()?;
    sha256.get(..length)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use aws_types::service_config::LoadServiceConfig;

    use super::*;

    /// A configuration that has an endpoint for one service alone, as `AWS_ENDPOINT_URL_S3` sets it.
    #[derive(Debug)]
    struct EndpointOf(&'static str);

    impl LoadServiceConfig for EndpointOf {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            (key.service_id() == self.0).then(|| "http://minio:9000".to_owned())
        }
    }

    // Servers other than AWS seldom support `bucket.host`, and AWS advises against `host/bucket`.
    #[test]
    fn the_bucket_is_in_the_path_only_at_a_configured_endpoint() {
        let aws = SdkConfig::builder();
        assert!(!has_own_endpoint(&aws.build()));
        let of_another_service = SdkConfig::builder().service_config(EndpointOf("KMS"));
        assert!(!has_own_endpoint(&of_another_service.build()));
        let of_all_services = SdkConfig::builder().endpoint_url("http://minio:9000");
        assert!(has_own_endpoint(&of_all_services.build()));
        let of_s3 = SdkConfig::builder().service_config(EndpointOf("S3"));
        assert!(has_own_endpoint(&of_s3.build()));
    }

    // An upload that is never answered ends soon, and a large one may be sent over a slow line.
    #[test]
    fn an_upload_has_the_time_that_its_size_takes() {
        for (bytes, attempt, operation) in [(0, 15, 60), (500, 15, 60), (10 << 20, 55, 140)] {
            let timeouts = upload_timeouts(bytes);
            assert_eq!(
                (timeouts.operation_attempt_timeout(), timeouts.operation_timeout()),
                (Some(Duration::from_secs(attempt)), Some(Duration::from_secs(operation))),
                "{bytes} bytes"
            );
        }
    }

    #[test]
    fn checksums_are_written_and_read_as_s3_does() {
        let sha256: [u8; 32] = Sha256::digest(b"hello").into();
        let text = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
        assert_eq!(base64_of(&sha256), text);
        assert_eq!(sha256_of_base64(text), Some(sha256));
    }

    #[test]
    fn a_checksum_of_another_form_is_unknown_rather_than_wrong() {
        for text in [
            "",
            "LPJN",
            "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=-3",
            "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQAA",
        ] {
            assert_eq!(sha256_of_base64(text), None, "{text}");
        }
    }
}
