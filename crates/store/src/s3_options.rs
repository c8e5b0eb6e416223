//! What is added to requests to S3 for a bucket whose owner or policy demands it.

use aws_sdk_s3::types::ServerSideEncryption;

/// What is added to requests to S3. The default adds nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct S3Options {
    /// The account that must own the bucket, as 12 digits. If another account does, S3 refuses every request with 403
    /// (Amazon S3 user guide, "Verifying bucket ownership with bucket owner condition").
    pub expected_owner: Option<String>,
    /// How S3 is asked to encrypt each object that is written. `None`: as the bucket does by default.
    pub encryption: Option<Encryption>,
}

/// How S3 encrypts an object. Some buckets have a policy that refuses writes whose headers do not say so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Encryption {
    /// With S3's own keys (`AES256`).
    S3Keys,
    /// With a KMS key (`aws:kms`).
    KmsKey {
        /// The key's id or ARN; `None`: the bucket's key, or the account's `aws/s3`.
        key_id: Option<String>,
    },
}

impl Encryption {
    pub(crate) fn algorithm(&self) -> ServerSideEncryption {
        match self {
            Self::S3Keys => ServerSideEncryption::Aes256,
            Self::KmsKey { .. } => ServerSideEncryption::AwsKms,
        }
    }

    pub(crate) fn key_id(&self) -> Option<&String> {
        match self {
            Self::S3Keys => None,
            Self::KmsKey { key_id } => key_id.as_ref(),
        }
    }
}
