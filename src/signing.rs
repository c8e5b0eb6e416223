//! Signs manifests with a key in AWS KMS, so that a published snapshot cannot be replaced unnoticed by somebody who may
//! only write to the store.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;
use clerk_store::aws::{AwsFailure, AwsObstacle, LazyAwsConfig, NeverRepeatInVain, Refusal};
use clerk_store::no_answer::{NoAnswer, Server};

/// Signs manifests.
#[async_trait]
pub trait Signer: Send + Sync + fmt::Debug {
    /// The ECDSA P-256 signature of a document with this SHA-256, in DER (RFC 3279, `Ecdsa-Sig-Value`). Signing the same
    /// document again gives another signature, which is as good.
    ///
    /// # Errors
    /// [`SigningError`].
    async fn sign(&self, sha256: Sha256Hex) -> Result<Bytes, SigningError>;

    /// Finds out whether it can be asked to sign, without a request.
    ///
    /// # Errors
    /// [`SigningError`].
    async fn prepare(&self) -> Result<(), SigningError> {
        Ok(())
    }
}

/// A key in AWS KMS, of the key spec `ECC_NIST_P256` and for the usage `SIGN_VERIFY`. It never leaves KMS.
#[derive(Debug)]
pub struct KmsSigner {
    key_id: String,
    aws: Arc<LazyAwsConfig>,
}

impl KmsSigner {
    /// The key with this id, ARN or alias. Nothing is requested yet.
    #[must_use]
    pub const fn new(key_id: String, aws: Arc<LazyAwsConfig>) -> Self {
        Self { key_id, aws }
    }

    fn client(&self, config: &SdkConfig) -> Result<Client, SigningProblem> {
        if config.region().is_none() {
            return Err(SigningProblem::NoRegion);
        }
        let config =
            aws_sdk_kms::config::Builder::from(config).retry_classifier(NeverRepeatInVain).build();
        Ok(Client::from_conf(config))
    }

    async fn request(&self, sha256: Sha256Hex) -> Result<Bytes, SigningProblem> {
        let config = self.aws.load().await.map_err(SigningProblem::Obstacle)?;
        let request = self
            .client(config)?
            .sign()
            .key_id(&self.key_id)
            .message(Blob::new(sha256.0))
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
        let answer =
            request.send().await.map_err(|error| SigningProblem::of(AwsFailure::of(&error)))?;
        match answer.signature.map(Blob::into_inner) {
            Some(signature) if is_signature(&signature) => Ok(Bytes::from(signature)),
            _ => Err(SigningProblem::Obstacle(AwsObstacle::NotAws { status: 200 })),
        }
    }
}

/// Whether this has the form of an ECDSA signature of 256 bits: a DER sequence of two integers of at most 33 bytes. What
/// it signs, only the public key tells.
fn is_signature(der: &[u8]) -> bool {
    let integer = |der: &[u8]| -> Option<usize> {
        let &[0x02, length @ 1..=33, ..] = der else { return None };
        let end = 2 + usize::from(length);
        (der.len() >= end).then_some(end)
    };
    let [0x30, length, content @ ..] = der else { return false };
    let end = integer(content).and_then(|first| Some(first + integer(&content[first..])?));
    usize::from(*length) == content.len() && end == Some(content.len())
}

#[async_trait]
impl Signer for KmsSigner {
    async fn sign(&self, sha256: Sha256Hex) -> Result<Bytes, SigningError> {
        let signed = self.request(sha256).await;
        signed.map_err(|problem| SigningError { key_id: self.key_id.clone(), problem })
    }

    async fn prepare(&self) -> Result<(), SigningError> {
        let config = self.aws.load().await.map_err(SigningProblem::Obstacle);
        let client = config.and_then(|config| self.client(config));
        let prepared = client.map(|_| ());
        prepared.map_err(|problem| SigningError { key_id: self.key_id.clone(), problem })
    }
}

/// A manifest could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("signing with the KMS key {key_id}: {problem}")]
pub struct SigningError {
    /// The key, as `SIGNING_KEY_ID` names it.
    pub key_id: String,
    /// Why.
    #[source]
    pub problem: SigningProblem,
}

/// Why a manifest could not be signed. The SDK has tried three times where that makes sense.
#[derive(Debug, thiserror::Error)]
pub enum SigningProblem {
    /// No answer, a time-out, a 5xx or throttling. The next invocation may succeed.
    #[error("{}", unavailable(&**source))]
    Unavailable {
        /// The last attempt's failure.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The credentials do not allow it.
    #[error("access denied; allow kms:Sign on it, in the role's policy and in the key's own")]
    AccessDenied {
        /// KMS's answer.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no such key in this region.
    #[error("there is no such key in this AWS region; correct SIGNING_KEY_ID or AWS_REGION")]
    NotFound,
    /// The key is disabled, marked for deletion, or of another kind.
    #[error(
        "the key cannot sign (code {code:?}); see whether it is enabled, of the key spec ECC_NIST_P256, and for the \
         usage SIGN_VERIFY"
    )]
    Unusable {
        /// KMS's error code.
        code: String,
    },
    /// No AWS region is configured.
    #[error("no AWS region is configured; set AWS_REGION to the key's region")]
    NoRegion,
    /// Something on this machine's side prevents the request.
    #[error("{0}")]
    Obstacle(AwsObstacle),
    /// KMS refused for another reason.
    #[error(
        "AWS KMS refused with status {status}, code {code:?}; see its documentation on this code"
    )]
    Refused {
        /// HTTP status.
        status: u16,
        /// KMS's error code.
        code: String,
    },
}

impl SigningProblem {
    fn of(failure: AwsFailure) -> Self {
        match failure {
            AwsFailure::Unavailable(source) => Self::Unavailable { source },
            AwsFailure::Obstacle(obstacle) => Self::Obstacle(obstacle),
            AwsFailure::Full => Self::Obstacle(AwsObstacle::NotAws { status: 507 }),
            AwsFailure::Refused(refusal) => Self::refused(refusal),
        }
    }

    /// By the errors of KMS's `Sign` (AWS KMS API reference).
    fn refused(refusal: Refusal) -> Self {
        match refusal.code.as_str() {
            // KMS never refuses without a code.
            "" => Self::Obstacle(AwsObstacle::NotAws { status: refusal.status }),
            "NotFoundException" => Self::NotFound,
            "AccessDeniedException" | "AccessDenied" => {
                Self::AccessDenied { source: refusal.into() }
            }
            "DisabledException"
            | "InvalidKeyUsageException"
            | "KMSInvalidStateException"
            | "ValidationException" => Self::Unusable { code: refusal.code },
            _ => Self::Refused { status: refusal.status, code: refusal.code },
        }
    }
}

/// Says who must act after a request without a usable response: AWS, or this machine's side.
fn unavailable(source: &(dyn Error + Send + Sync + 'static)) -> String {
    match source.downcast_ref::<NoAnswer>() {
        Some(why) => format!(
            "AWS KMS could not be reached: {why}; {} (a VPC needs an endpoint for it)",
            why.advice(Server::Aws)
        ),
        None => {
            "AWS KMS is overloaded, or does not have the key at hand; try again later".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_signature_is_one() {
        let small = [0x30, 6, 2, 1, 1, 2, 1, 1];
        let large = [&[0x30, 70, 2, 33][..], &[0; 33], &[2, 33], &[0; 33]].concat();
        assert!(is_signature(&small) && is_signature(&large));
        let beyond = [&[0x30, 71, 2, 34][..], &[0; 34], &[2, 33], &[0; 33]].concat();
        let mut longer = small.to_vec();
        longer.push(0);
        let wrong: [&[u8]; 7] = [
            b"",
            b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            &small[..7],
            &[0x30, 3, 2, 1, 1],
            &[0x31, 6, 2, 1, 1, 2, 1, 1],
            &beyond,
            &longer,
        ];
        for wrong in wrong {
            assert!(!is_signature(wrong), "{wrong:02x?}");
        }
    }
}
