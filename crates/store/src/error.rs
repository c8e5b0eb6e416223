//! Errors of a store, in words for the person who operates it.

use std::error::Error;
use std::fmt;
use std::io;

use crate::aws::AwsObstacle;
use crate::no_answer::{NoAnswer, Server};

/// A failed operation on a store. Contains addresses, but never content or credentials.
#[derive(Debug)]
pub struct StoreError {
    /// The operation.
    pub operation: Operation,
    /// The object, or the prefix of a listing. Of a key that is refused, its first 100 characters.
    pub url: String,
    /// What went wrong.
    pub kind: StoreErrorKind,
}

/// Why an operation on a store failed, and whether the store has retried it.
///
/// Without the operation and the object, which stand in [`StoreError`].
#[derive(Debug, thiserror::Error)]
pub enum StoreErrorKind {
    /// The object is not in the state required by the write or removal. Not retryable: read it again and decide. Also
    /// returned if the SDK repeated a write that had succeeded but whose answer was lost.
    #[error("it was changed by somebody else, so the operation was refused")]
    PreconditionFailed,

    /// No usable answer: timeout, lost connection, 5xx, throttling, or a busy folder lock. Retryable; the SDK has
    /// already made three attempts. A write may have taken effect.
    #[error("{}", unavailable(&**source))]
    Unavailable {
        /// The last attempt's failure.
        source: Box<dyn Error + Send + Sync>,
    },

    /// The store holds other bytes than were sent. Retryable: write the object again.
    #[error(
        "the store returned a different checksum from that of the bytes sent; \
             the object is damaged and must be written again"
    )]
    ChecksumMismatch,

    /// The bucket does not exist. Not retryable.
    #[error("bucket {bucket} does not exist; create it or correct SNAPSHOT_URL")]
    NoSuchBucket {
        /// The bucket.
        bucket: String,
    },

    /// The bucket is in another AWS region. Not retryable.
    #[error(
        "bucket {bucket} is in another AWS region than {region}; set \
         AWS_REGION{}",
        right_region(right.as_deref())
    )]
    WrongRegion {
        /// The bucket.
        bucket: String,
        /// The region that the request was sent to.
        region: String,
        /// The bucket's region, if the answer names it.
        right: Option<String>,
    },

    /// The credentials do not allow the operation, or another account owns the bucket. Not retryable.
    #[error("access denied")]
    AccessDenied {
        /// S3's answer.
        source: Box<dyn Error + Send + Sync>,
        /// The account that must own the bucket, if one was named. S3 does not say that this is why it refuses.
        expected_owner: Option<String>,
    },

    /// No AWS region is configured. Not retryable.
    #[error("no AWS region is configured; set AWS_REGION to the bucket's region")]
    NoRegion,

    /// A problem on the caller's own side prevents calls to the store. Not retryable.
    #[error("{0}")]
    Obstacle(AwsObstacle),

    /// The store is full: the quota of the bucket or account is used up, or its disk is full. Not retryable.
    #[error(
        "the store is full; raise the quota of the bucket or account, or remove old \
         snapshots"
    )]
    Full,

    /// S3 refused for some other reason. Not retryable.
    #[error(
        "S3 refused with status {status}, code {code:?}; see the S3 documentation on \
         this code"
    )]
    Refused {
        /// HTTP status.
        status: u16,
        /// S3's error code; empty if it sends none.
        code: String,
    },

    /// The store does not implement the request: 501 `NotImplemented`. Not retryable.
    #[error(
        "the store answered 501 NotImplemented: {}{}; see \"What a store must be able \
         to do\" in docs/deploy.md",
        if *.is_conditional {
            "it lacks conditional writes or removals (If-Match, If-None-Match)"
        } else {
            "it lacks an operation"
        },
        if *.sends_checksums {
            ", or refuses checksum headers: then set AWS_REQUEST_CHECKSUM_CALCULATION and \
             AWS_RESPONSE_CHECKSUM_VALIDATION to when_required"
        } else {
            ""
        }
    )]
    NotImplemented {
        /// Whether the request had a condition.
        is_conditional: bool,
        /// Whether the request had a checksum header.
        sends_checksums: bool,
    },

    /// The store does not do what a run relies on. Not retryable.
    #[error("{0}; see \"What a store must be able to do\" in docs/deploy.md")]
    Unfit(Shortcoming),

    /// The file system refused. Not retryable.
    #[error("{problem}")]
    Folder {
        /// What is wrong with it, and what to do about it.
        problem: FolderProblem,
        /// The operating system's error, if there is one.
        source: Option<io::Error>,
    },

    /// The object is larger than any that this program writes and reads back. Not retryable.
    #[error("it is larger than any file that this program reads back")]
    TooLarge,

    /// The key or prefix could lead out of the store. Not retryable: either a bug of the caller, or a checkpoint or
    /// manifest that was tampered with.
    #[error("{0}")]
    InvalidKey(KeyProblem),
}

impl StoreError {
    /// An operation on an object, or on the objects with a prefix, has failed.
    pub fn new(operation: Operation, url: impl Into<String>, kind: StoreErrorKind) -> Self {
        Self { operation, url: url.into(), kind }
    }

    /// Whether the same call may succeed later although nobody has changed anything.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable { .. } | StoreErrorKind::ChecksumMismatch)
    }

    /// Whether the write or removal was refused because the object is in another state.
    pub const fn is_precondition_failed(&self) -> bool {
        matches!(self.kind, StoreErrorKind::PreconditionFailed)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, url, kind } = self;
        match kind {
            StoreErrorKind::PreconditionFailed => write!(
                formatter,
                "{url} was changed by somebody else, so the conditional {operation} was refused"
            ),
            StoreErrorKind::AccessDenied { expected_owner, .. } => {
                write!(
                    formatter,
                    "{operation} {url}: {kind}; allow {} (and, for a bucket with its own KMS key, {}){}",
                    operation.permission(),
                    operation.key_permission(),
                    operation.denial_hint()
                )?;
                match expected_owner {
                    Some(owner) => write!(
                        formatter,
                        "; if that is allowed, see whether account {owner} owns the bucket, as \
                         EXPECTED_BUCKET_OWNER says"
                    ),
                    None => Ok(()),
                }
            }
            StoreErrorKind::NoRegion | StoreErrorKind::Unfit(_) => {
                write!(formatter, "{url}: {kind}")
            }
            StoreErrorKind::InvalidKey(_) => {
                write!(formatter, "{operation}: the key {url:?} is refused: {kind}")
            }
            _ => write!(formatter, "{operation} {url}: {kind}"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

/// Names the side that must act when no usable answer came: the store's, or this machine's.
fn unavailable(source: &(dyn Error + Send + Sync + 'static)) -> String {
    match source.downcast_ref::<NoAnswer>() {
        Some(NoAnswer::TimedOut) | None => {
            "the store did not answer in time or is overloaded; try again later".to_owned()
        }
        Some(why) => {
            format!("the store could not be reached: {why}; {}", why.advice(Server::Aws))
        }
    }
}

fn right_region(right: Option<&str>) -> String {
    match right {
        Some(region) => format!("={region}"),
        None => " to the bucket's".to_owned(),
    }
}

/// An operation of [`Store`](super::Store). Displays as the verb of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// [`Store::get`](super::Store::get)
    Get,
    /// [`Store::put`](super::Store::put)
    Put,
    /// [`Store::delete`](super::Store::delete)
    Delete,
    /// [`Store::list`](super::Store::list)
    List,
    /// [`Store::verify`](super::Store::verify)
    Verify,
    /// [`Store::remove_leftovers`](super::Store::remove_leftovers)
    RemoveLeftovers,
}

impl Operation {
    /// Whether the right to read is all that it needs.
    pub(crate) const fn only_reads(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Verify => true,
            Self::Put | Self::Delete | Self::RemoveLeftovers => false,
        }
    }

    /// The IAM actions that S3 requires. A conditional write or removal also requires the right to read.
    const fn permission(self) -> &'static str {
        match self {
            Self::Get | Self::Verify => "s3:GetObject on the objects below SNAPSHOT_URL",
            Self::Put => "s3:PutObject and s3:GetObject on the objects below SNAPSHOT_URL",
            Self::Delete => "s3:DeleteObject and s3:GetObject on the objects below SNAPSHOT_URL",
            Self::List | Self::RemoveLeftovers => {
                "s3:ListBucket on the bucket, for SNAPSHOT_URL's prefix"
            }
        }
    }

    /// The actions that KMS requires of it, if the bucket has a key of its own.
    const fn key_permission(self) -> &'static str {
        if self.only_reads() { "kms:Decrypt" } else { "kms:Decrypt and kms:GenerateDataKey" }
    }

    /// S3 does not reveal whether an object exists to a caller without the right to list.
    const fn denial_hint(self) -> &'static str {
        match self {
            Self::Get | Self::Verify => {
                "; without s3:ListBucket on the prefix, S3 also answers this for an object that \
                 does not exist"
            }
            Self::Put | Self::Delete | Self::List | Self::RemoveLeftovers => "",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Get => "read",
            Self::Put => "write",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Verify => "verify",
            Self::RemoveLeftovers => "clean up",
        })
    }
}

/// What a store fails to do that a run relies on, as found by [`prove`](super::conformance::prove).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Shortcoming {
    /// The store ignores `If-None-Match: *`.
    #[error(
        "the store ignores If-None-Match: it overwrote an existing object where it should have \
         refused to, so two runs could publish at once"
    )]
    Overwrites,
    /// The store ignores `If-Match` in writes.
    #[error(
        "the store ignores If-Match: it overwrote a version newer than the one to be \
         replaced, so two runs could publish at once"
    )]
    IgnoresVersions,
    /// The store ignores `If-Match` in removals.
    #[error(
        "the store ignores If-Match when it deletes: it removed a version newer than the one to be \
         removed, so a frozen invocation could remove the checkpoint of the next one, \
         which would then read everything again"
    )]
    RemovesOtherVersions,
    /// The store refuses `If-None-Match: *` although there is no object.
    #[error("the store refuses to create an object that does not exist yet (If-None-Match)")]
    CreationRefused,
    /// The store refuses `If-Match` with the ETag that it has just returned.
    #[error(
        "the store refuses If-Match with the ETag that it has just returned, as happens behind a \
         proxy that changes ETags"
    )]
    VersionsOfReadsRefused,
    /// A read, a listing or a HEAD does not show what was written.
    #[error("the store does not return an object as it was just written")]
    StaleReads,
}

/// Why a folder refused an operation. Displays with what to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FolderProblem {
    /// The user lacks the permission to write, or to change what is there.
    #[error(
        "permission denied; give the user that runs this program the right to read and write there"
    )]
    PermissionDenied,
    /// The user lacks the permission to read, which is all that this operation needs.
    #[error("permission denied; give the user that runs this program the right to read there")]
    ReadingDenied,
    /// The file system is mounted read-only.
    #[error("the file system is read-only; choose another folder in SNAPSHOT_URL")]
    ReadOnly,
    /// The disk or the quota is full.
    #[error(
        "the disk or the user's quota is full; make room or choose another folder in SNAPSHOT_URL"
    )]
    DiskFull,
    /// A part of the path is not a folder.
    #[error(
        "there is a file where a folder is needed; move it away or choose another folder in \
         SNAPSHOT_URL"
    )]
    NotAFolder,
    /// The key names a folder, or something else that is not a file.
    #[error("there is something other than a file where a file is needed; move it away")]
    NotAFile,
    /// The path contains a symbolic link, which could lead out of the folder.
    #[error(
        "the path contains a symbolic link, which is not followed; replace it by what it points to"
    )]
    SymbolicLink,
    /// The file system has no advisory locks, without which conditional writes are not safe.
    #[error(
        "the file system does not support locks; choose a folder on a local disk, or mount it so that \
         locks work (see \"What a folder must be able to do\" in docs/deploy.md)"
    )]
    NoLocks,
    /// Anything else; the operating system's error is the source.
    #[error("the file system refused; the operating system's error follows")]
    Other,
}

/// Why a key is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyProblem {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// It starts with `/`.
    #[error("it is absolute")]
    Absolute,
    /// It contains `//`, or ends in `/`.
    #[error("a part between slashes is empty")]
    EmptyPart,
    /// It contains `.`, `..`, or a hidden name; the folder store uses hidden names for temporary files.
    #[error("a part between slashes begins with a dot")]
    Dot,
    /// It contains `\` or a control character.
    #[error("it contains a backslash or a control character")]
    Character,
    /// It is longer than the prefix and S3's limit allow.
    #[error("it is longer than 500 bytes")]
    TooLong,
}
