//! Classifies failed calls to AWS by who must act, with messages of this program's own.
//!
//! The text of an answer is examined but never passed on: AWS repeats requests in it (a rejected signature is returned
//! with the whole request that was signed), and a server that is not AWS may repeat anything.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::credentials::CredentialsProblem;
use crate::no_answer::{NoAnswer, Server, causes, is_web_page};
use crate::quoted::looks_like_a_key;

/// What a failed call means.
#[derive(Debug)]
pub enum AwsFailure {
    /// No answer, a timeout, a 5xx or throttling, after the SDK's own retries. A later call may succeed.
    Unavailable(ErrorSource),
    /// Something between this program and AWS that a person has to fix.
    Obstacle(AwsObstacle),
    /// The store is full: a quota is used up, or a disk is full.
    Full,
    /// Any other answer.
    Refused(Refusal),
}

pub(super) type ErrorSource = Box<dyn StdError + Send + Sync>;

/// A problem on the caller's own side that prevents calls to AWS. Retrying is pointless.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AwsObstacle {
    /// No answer came, and none will.
    NoAnswer(NoAnswer),
    /// Another server answered instead of AWS.
    NotAws {
        /// HTTP status.
        status: u16,
    },
    /// There are no credentials to sign with.
    Credentials(CredentialsProblem),
    /// AWS does not accept the credentials.
    CredentialsRefused {
        /// AWS's error code.
        code: String,
    },
    /// This machine's clock differs from that of AWS by minutes.
    ClockSkew,
    /// The SDK could not build the request.
    NotSent,
}

impl fmt::Display for AwsObstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(why) => write!(formatter, "{why}; {}", why.advice(Server::Aws)),
            Self::NotAws { status } => write!(
                formatter,
                "the server that answered ({status}) is not AWS: a login page, a proxy or another server; \
                 check this machine's network, HTTPS_PROXY and any AWS_ENDPOINT_URL"
            ),
            Self::Credentials(problem) => write!(formatter, "{problem}"),
            Self::CredentialsRefused { code } => write!(
                formatter,
                "AWS did not accept the credentials (code {code}); renew them, or use those of the \
                 right account"
            ),
            Self::ClockSkew => formatter.write_str(
                "AWS did not accept the request's time; set this machine's clock correctly, for \
                 example with NTP",
            ),
            Self::NotSent => formatter.write_str(
                "no request can be built from the AWS settings; check the region and the \
                 endpoint_url of the AWS profile",
            ),
        }
    }
}

impl StdError for AwsObstacle {}

/// An answer that rejects the call.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The service's error code; empty if the service sends none (HEAD requests).
    pub code: String,
    /// The correct region, if the answer names it.
    pub region: Option<String>,
    /// Which kind of policy denied it, if AWS says so.
    policy: Option<&'static str>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the answer was {}", self.status)?;
        if !self.code.is_empty() {
            write!(formatter, ", code {:?}", self.code)?;
        }
        match self.policy {
            Some(policy) => write!(formatter, ": {policy} the action"),
            None => Ok(()),
        }
    }
}

impl StdError for Refusal {}

impl AwsFailure {
    /// Classifies an SDK error.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let metadata = answer.err().meta();
                Self::answered(answer.raw(), metadata.code(), metadata.message())
            }
            SdkError::ResponseError(answer) => Self::not_understood(error, answer.raw()),
            _ => Self::without_answer(error),
        }
    }

    fn answered(answer: &HttpResponse, code: Option<&str>, message: Option<&str>) -> Self {
        let status = answer.status().as_u16();
        let code = code.and_then(plain_code).unwrap_or_default();
        let message = message.unwrap_or_default();
        let refusal = || Refusal {
            status,
            code: code.to_owned(),
            region: region_of(answer),
            policy: policy_of(message),
        };
        match code {
            _ if status == 507 || says_full(code) => Self::Full,
            _ if status == 511 || (status < 500 && is_page(answer)) => {
                Self::Obstacle(AwsObstacle::NotAws { status })
            }
            _ if status == 407 => {
                Self::Obstacle(AwsObstacle::NoAnswer(NoAnswer::ProxyAuthentication))
            }
            // A server that does not implement a request will not implement it later either.
            _ if status == 501 => Self::Refused(refusal()),
            _ if status >= 500 || status == 429 || status == 408 => {
                Self::Unavailable(refusal().into())
            }
            "RequestTimeout"
            | "RequestTimeoutException"
            | "SlowDown"
            | "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException" => Self::Unavailable(refusal().into()),
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => {
                Self::Obstacle(AwsObstacle::ClockSkew)
            }
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException" => Self::Obstacle(if is_about_time(message) {
                AwsObstacle::ClockSkew
            } else {
                AwsObstacle::CredentialsRefused { code: code.to_owned() }
            }),
            _ => Self::Refused(refusal()),
        }
    }

    /// An answer that the service did not send, or that was cut off.
    fn not_understood(error: &(dyn StdError + 'static), answer: &HttpResponse) -> Self {
        let status = answer.status().as_u16();
        let broke_off = causes(error).any(|cause| cause.is::<std::io::Error>());
        match NoAnswer::of(error) {
            NoAnswer::Broken if !broke_off && status < 500 => {
                Self::Obstacle(AwsObstacle::NotAws { status })
            }
            why => Self::Unavailable(why.into()),
        }
    }

    fn without_answer<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + 'static,
    {
        if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref()) {
            return Self::without_credentials(error);
        }
        match error {
            SdkError::ConstructionFailure(_) => Self::Obstacle(AwsObstacle::NotSent),
            SdkError::TimeoutError(_) => Self::Unavailable(NoAnswer::TimedOut.into()),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                Self::Unavailable(NoAnswer::TimedOut.into())
            }
            SdkError::DispatchFailure(failure) if failure.is_user() => {
                Self::Obstacle(AwsObstacle::NotSent)
            }
            _ => match NoAnswer::of(error) {
                why if why.is_permanent() => Self::Obstacle(AwsObstacle::NoAnswer(why)),
                why => Self::Unavailable(why.into()),
            },
        }
    }

    fn without_credentials(error: &CredentialsError) -> Self {
        Self::Obstacle(AwsObstacle::Credentials(CredentialsProblem::of(error)))
    }
}

/// The code, if it is a plain one. The server chooses it, and it ends up in logs and files.
fn plain_code(code: &str) -> Option<&str> {
    let plain = code.len() <= 64
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
    (plain && !looks_like_a_key(code)).then_some(code)
}

/// Whether the code means that the store is full: `QuotaExceeded` (Ceph and others), `XMinioAdminBucketQuotaExceeded`,
/// `XMinioStorageFull`, `storage_cap_exceeded` (Backblaze).
fn says_full(code: &str) -> bool {
    code.ends_with("QuotaExceeded") || code == "XMinioStorageFull" || code == "storage_cap_exceeded"
}

/// Whether AWS complains about the time: "Signature expired: …", "Signature not yet current: …" (AWS General Reference,
/// Signature Version 4).
fn is_about_time(message: &str) -> bool {
    message.contains("Signature expired") || message.contains("Signature not yet current")
}

/// The kind of policy that denied the call, from AWS's message (IAM user guide, "Troubleshoot access denied error
/// messages").
fn policy_of(message: &str) -> Option<&'static str> {
    const PHRASES: [(&str, &str); 13] = [
        ("explicit deny in a service control policy", "a service control policy denies"),
        ("explicit deny in a resource control policy", "a resource control policy denies"),
        ("explicit deny in a resource-based policy", "a resource-based policy denies"),
        ("explicit deny in an identity-based policy", "an identity-based policy denies"),
        ("explicit deny in a permissions boundary", "a permissions boundary denies"),
        ("explicit deny in a session policy", "a session policy denies"),
        ("explicit deny in a VPC endpoint policy", "a VPC endpoint policy denies"),
        ("no service control policy allows", "no service control policy allows"),
        ("no resource-based policy allows", "no resource-based policy allows"),
        ("no identity-based policy allows", "no identity-based policy allows"),
        ("no permissions boundary allows", "no permissions boundary allows"),
        ("no session policy allows", "no session policy allows"),
        ("no VPC endpoint policy allows", "no VPC endpoint policy allows"),
    ];
    PHRASES.into_iter().find(|(phrase, _)| message.contains(phrase)).map(|(_, policy)| policy)
}

/// The bucket's region, which S3 states in a header, or in the body if the answer has one.
fn region_of(answer: &HttpResponse) -> Option<String> {
    let in_body = || {
        let body = std::str::from_utf8(answer.body().bytes()?).ok()?;
        let (_, rest) = body.split_once("<Region>")?;
        Some(rest.split_once("</Region>")?.0)
    };
    let region = answer.headers().get("x-amz-bucket-region").or_else(in_body)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!region.is_empty() && region.len() <= 32 && region.bytes().all(plain))
        .then(|| region.to_owned())
}

/// Whether an answer is a web page, which AWS never sends. Its content type is no evidence: S3-compatible servers label
/// empty answers as HTML.
pub fn is_page(answer: &HttpResponse) -> bool {
    answer.body().bytes().is_some_and(is_web_page)
}

/// Whether a content type is that of a web page.
pub fn is_html(content_type: &str) -> bool {
    content_type.trim_start().to_ascii_lowercase().starts_with("text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_not_plain_is_dropped() {
        for code in ["SlowDown", "XMinioStorageFull", "storage_cap_exceeded"] {
            assert_eq!(plain_code(code), Some(code));
        }
        let key = format!("sk_{}_abc", "live");
        for code in [key.as_str(), "ada@example.com", "a b", "a\nb", &"x".repeat(65)] {
            assert_eq!(plain_code(code), None, "{code}");
        }
    }
}
