//! What can go wrong with a store, in words for the person who runs it.

use std::error::Error;
use std::fmt;
use std::io;

use crate::aws::AwsObstacle;
use crate::no_answer::{NoAnswer, Server};

/// A failed operation on a store. Holds addresses, never content or credentials.
///
/// None is retried by the store itself beyond what its variant says; [`StoreError::is_retryable`]
/// tells whether the same call may succeed later with nothing changed by a person.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is not in the state the write or removal was conditional on. Not retryable: read
    /// it again and decide. A write whose own first answer was lost ends here too, when the SDK
    /// repeated it.
    #[error("{url} was changed by somebody else, so the conditional {operation} was refused")]
    PreconditionFailed {
        /// What was attempted.
        operation: Operation,
        /// The object.
        url: String,
    },

    /// No usable answer: time-out, lost connection, 5xx, throttled, or a folder's lock is busy.
    /// Retryable; the SDK has already tried three times. A write may have taken effect.
    #[error("{operation} {url}: {}", unavailable(&**source))]
    Unavailable {
        /// What was attempted.
        operation: Operation,
        /// The object, or the prefix of a listing.
        url: String,
        /// The last attempt's failure.
        source: Box<dyn Error + Send + Sync>,
    },

    /// The store holds other bytes than were sent. Retryable: write the object again.
    #[error(
        "{operation} {url}: the store answered with another checksum than that of the bytes sent; \
             the object is damaged and has to be written again"
    )]
    ChecksumMismatch {
        /// What was attempted.
        operation: Operation,
        /// The object.
        url: String,
    },

    /// There is no such bucket. Not retryable.
    #[error("{operation} {url}: bucket {bucket} does not exist; create it or correct SNAPSHOT_URL")]
    NoSuchBucket {
        /// What was attempted.
        operation: Operation,
        /// The object, or the prefix of a listing.
        url: String,
        /// The bucket.
        bucket: String,
    },

    /// The bucket lives in another AWS region. Not retryable.
    #[error(
        "{operation} {url}: bucket {bucket} is in another AWS region than {region}; set \
         AWS_REGION{}",
        right_region(right.as_deref())
    )]
    WrongRegion {
        /// What was attempted.
        operation: Operation,
        /// The object, or the prefix of a listing.
        url: String,
        /// The bucket.
        bucket: String,
        /// The region that was asked.
        region: String,
        /// The bucket's own, where the answer names it.
        right: Option<String>,
    },

    /// The credentials do not allow the operation. Not retryable.
    #[error(
        "{operation} {url}: access denied; allow {} (and, for a bucket with its own KMS key, \
         kms:Decrypt and kms:GenerateDataKey){}",
        operation.permission(),
        operation.denial_hint()
    )]
    AccessDenied {
        /// What was attempted.
        operation: Operation,
        /// The object, or the prefix of a listing.
        url: String,
        /// S3's answer.
        source: Box<dyn Error + Send + Sync>,
    },

    /// No AWS region is configured. Not retryable.
    #[error("{url}: no AWS region is configured; set AWS_REGION to the bucket's region")]
    NoRegion {
        /// The store's address.
        url: String,
    },

    /// Something on the caller's own side stands between this program and the store. Not retryable.
    #[error("{operation} {url}: {obstacle}")]
    Obstacle {
        /// What was attempted.
        operation: Operation,
        /// The object, or the prefix of a listing.
        url: String,
        /// What stands there, and what to do about it.
        obstacle: AwsObstacle,
    },

    /// The store has no room: the bucket's or account's quota is spent, or its disk is full. Not
    /// retryable.
    #[error(
        "{operation} {url}: the store is full; raise the quota of the bucket or account, or remove old \
         snapshots"
    )]
    Full {
        /// What was attempted.
        operation: Operation,
        /// The object, or the prefix of a listing.
        url: String,
    },

    /// S3 refused for a reason of its own. Not retryable.
    #[error(
        "{operation} {url}: S3 refused with status {status}, code {code:?}; see the S3 documentation on \
         this code"
    )]
    Refused {
        /// What was attempted.
        operation: Operation,
        /// The object, or the prefix of a listing.
        url: String,
        /// HTTP status.
        status: u16,
        /// S3's error code; empty where it sends none.
        code: String,
    },

    /// The store does not know what was asked: 501 `NotImplemented`. Not retryable.
    #[error(
        "{operation} {url}: the store answered 501 NotImplemented: {}{}; see \"What a store must be able \
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
        /// What was attempted.
        operation: Operation,
        /// The object, or the prefix of a listing.
        url: String,
        /// Whether there was a condition.
        is_conditional: bool,
        /// Whether there was a checksum header.
        sends_checksums: bool,
    },

    /// The store does not do what a run relies on. Not retryable.
    #[error("{url}: {shortcoming}; see \"What a store must be able to do\" in docs/deploy.md")]
    Unfit {
        /// The store.
        url: String,
        /// What it does not do.
        shortcoming: Shortcoming,
    },

    /// The file system refused. Not retryable.
    #[error("{operation} {url}: {problem}")]
    Folder {
        /// What was attempted.
        operation: Operation,
        /// The file or folder.
        url: String,
        /// What is wrong with it, and what to do.
        problem: FolderProblem,
        /// The system's error, where it gave one.
        source: Option<io::Error>,
    },

    /// The object is larger than any that this program writes and reads back. Not retryable.
    #[error("{operation} {url}: it is larger than any file that this program reads back")]
    TooLarge {
        /// What was attempted.
        operation: Operation,
        /// The object.
        url: String,
    },

    /// The key or prefix could lead out of the store. Not retryable: a fault of the caller, or a
    /// checkpoint or manifest that was tampered with.
    #[error("{operation}: the key {key:?} is refused: {problem}")]
    InvalidKey {
        /// What was attempted.
        operation: Operation,
        /// The key, cut to its first 100 characters.
        key: String,
        /// What is wrong with it.
        problem: KeyProblem,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::ChecksumMismatch { .. } => true,
            Self::PreconditionFailed { .. }
            | Self::NoSuchBucket { .. }
            | Self::WrongRegion { .. }
            | Self::AccessDenied { .. }
            | Self::NoRegion { .. }
            | Self::Obstacle { .. }
            | Self::Full { .. }
            | Self::Refused { .. }
            | Self::NotImplemented { .. }
            | Self::Unfit { .. }
            | Self::Folder { .. }
            | Self::TooLarge { .. }
            | Self::InvalidKey { .. } => false,
        }
    }

    /// What remains to be said once the error itself has said what to do, as a sentence.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } | Self::ChecksumMismatch { .. } | Self::Refused { .. } => {
                "The next invocation continues; if it goes on, check SNAPSHOT_URL and the store \
                 behind it."
            }
            Self::PreconditionFailed { .. } => {
                "The next invocation continues; if it goes on, find out what else writes below \
                 SNAPSHOT_URL."
            }
            _ => "Nothing is lost: the next invocation continues.",
        }
    }

    /// Whether the write or removal was refused because the object is in another state.
    pub const fn is_precondition_failed(&self) -> bool {
        matches!(self, Self::PreconditionFailed { .. })
    }
}

/// Who must act when no usable answer came: the store's side, or this machine's.
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

/// An operation of [`Store`](super::Store); displays as the verb of a message.
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
    /// The IAM actions S3 asks for; a conditional write or removal also needs the right to read.
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

    /// S3 hides from those who may not list whether an object exists.
    const fn denial_hint(self) -> &'static str {
        match self {
            Self::Get | Self::Verify => {
                "; without s3:ListBucket on the prefix S3 answers so for an object that does not \
                 exist, too"
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

/// What a store does not do that a run relies on; found out by
/// [`prove`](super::conformance::prove).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Shortcoming {
    /// `If-None-Match: *` is ignored.
    #[error(
        "the store ignores If-None-Match: it wrote over an object that a second writer wanted to \
         create, so two runs could publish at once"
    )]
    Overwrites,
    /// `If-Match` is ignored in writes.
    #[error(
        "the store ignores If-Match: it wrote over a newer version than the one that was to be \
         replaced, so two runs could publish at once"
    )]
    IgnoresVersions,
    /// `If-Match` is ignored in removals.
    #[error(
        "the store ignores If-Match when it deletes: it removed a newer version than the one that was \
         to be removed, so an invocation that was frozen can remove the checkpoint of the next one, \
         which then reads everything again"
    )]
    RemovesOtherVersions,
    /// `If-None-Match: *` is refused where there is no object.
    #[error("the store refuses to create an object that does not exist yet (If-None-Match)")]
    CreationRefused,
    /// `If-Match` is refused with the ETag that the store gave a moment ago.
    #[error(
        "the store refuses If-Match with the ETag that it has just given to a reader, as behind a \
         proxy that changes ETags"
    )]
    VersionsOfReadsRefused,
    /// A read, a listing or a HEAD does not show what was written.
    #[error("the store does not show an object as it was just written")]
    StaleReads,
}

/// Why a folder did not do what was asked; displays with what to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FolderProblem {
    /// The user may not.
    #[error(
        "permission denied; give the user that runs this program the right to read and write there"
    )]
    PermissionDenied,
    /// The file system is mounted read-only.
    #[error("the file system is read-only; choose another folder in SNAPSHOT_URL")]
    ReadOnly,
    /// The disk or the quota is full.
    #[error(
        "the disk or the user's quota is full; make room or choose another folder in SNAPSHOT_URL"
    )]
    DiskFull,
    /// Something on the way is not a folder.
    #[error(
        "a file stands where a folder is needed; move it away or choose another folder in \
         SNAPSHOT_URL"
    )]
    NotAFolder,
    /// The key names a folder or another thing that is not a file.
    #[error("something that is not a file stands where a file is needed; move it away")]
    NotAFile,
    /// A symbolic link below the folder could lead out of it.
    #[error(
        "a symbolic link stands on the way and is not followed; replace it by what it points to"
    )]
    SymbolicLink,
    /// The file system has no advisory locks, without which conditional writes are not safe.
    #[error(
        "the file system does not support locks; choose a folder on a local disk, or mount it so that \
         locks work (see \"What a folder must be able to do\" in docs/deploy.md)"
    )]
    NoLocks,
    /// Anything else; the system's error is the source.
    #[error("the file system refused; the system's own words follow")]
    Other,
}

/// Why a key is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyProblem {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// Starts with `/`.
    #[error("it is absolute")]
    Absolute,
    /// `//`, or a `/` at the end of a key.
    #[error("a part between slashes is empty")]
    EmptyPart,
    /// `.`, `..`, or a hidden name: those are the folder store's temporary files.
    #[error("a part between slashes begins with a dot")]
    Dot,
    /// `\` or a control character.
    #[error("it contains a backslash or a control character")]
    Character,
    /// Longer than S3 allows.
    #[error("it is longer than 500 bytes")]
    TooLong,
}
