//! What can go wrong between this program and Clerk, and who deals with it.

use std::sync::Arc;

use clerk_snapshot::timestamp::Timestamp;
use clerk_store::quoted::looks_like_a_key;

use crate::secret_source::SecretError;
use crate::work_limit::StopReason;

use super::transport::TransportError;

/// A request to Clerk that brought no rows. No variant means "empty".
#[derive(Debug, thiserror::Error)]
pub enum ClerkError {
    /// 401, and reading the secret again brought no other key. Not retried.
    #[error("Clerk refused the secret key at {endpoint} (401 {refusal})")]
    Unauthorized {
        /// Path of the request.
        endpoint: String,
        /// Clerk's own words.
        refusal: Refusal,
    },
    /// After a 401 the secret held a key of another instance than the one that is being read. Nothing
    /// was read with it.
    #[error(
        "the secret holds a key of another Clerk instance by now: {found} instead of {expected}, \
         which is being read"
    )]
    OtherInstance {
        /// Clerk's id of the instance that is being read.
        expected: String,
        /// Clerk's id of the instance that the key belongs to.
        found: String,
    },
    /// Another request found out first that there is no other key to go on with, and why.
    #[error(transparent)]
    NoOtherKey(Arc<Self>),
    /// The secret could not be read again after a 401.
    #[error("the secret could not be read again after Clerk answered 401 at {endpoint}")]
    SecretUnavailable {
        /// Path of the request.
        endpoint: String,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// A 403 that is about this key and not about a feature: what it may read, or a quota that is used
    /// up. Not retried.
    #[error("Clerk does not let this key read {endpoint} ({status} {refusal})")]
    Forbidden {
        /// Path of the request.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// Clerk's own words.
        refusal: Refusal,
    },
    /// The instance does not have the feature: the list is skipped, with this code. See
    /// [`answer_codes`](super::answer_codes).
    #[error("Clerk refused {endpoint} ({status} {refusal})")]
    Refused {
        /// Path of the request.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// Clerk's own words.
        refusal: Refusal,
    },
    /// Any other 4xx with a code of Clerk's. Not retried; a walk may choose another way.
    #[error("Clerk rejected {endpoint} ({status} {refusal})")]
    Rejected {
        /// Path of the request.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// Clerk's own words.
        refusal: Refusal,
    },
    /// Every attempt allowed ended in a fault of the server or the network.
    #[error("{endpoint} did not answer in {attempts} {}", if *attempts == 1 { "attempt" } else { "attempts" })]
    Unavailable {
        /// Path of the request.
        endpoint: String,
        /// Attempts made.
        attempts: u32,
        /// The last one's fault.
        #[source]
        last: Fault,
    },
    /// Every attempt allowed brought an answer that is not what the API promises.
    #[error("{endpoint} answered in a way that Clerk's API does not promise: {detail}")]
    Protocol {
        /// Path of the request.
        endpoint: String,
        /// What is wrong with it; names a field, never a value.
        detail: String,
    },
    /// Something else answered in Clerk's place: every attempt allowed brought a web page, or one a
    /// redirect.
    #[error("the server that answered {endpoint} with {status} is not Clerk's API{}", about_redirects(*status))]
    NotClerk {
        /// Path of the request.
        endpoint: String,
        /// HTTP status.
        status: u16,
    },
    /// Clerk asked for a pause that outlasts what is left of the budget.
    #[error("Clerk asked to wait until {retry_at}")]
    Paused {
        /// When Clerk may be asked again.
        retry_at: Timestamp,
    },
    /// The budget does not allow the wait before the next attempt, or a signal came.
    #[error("no time is left for {endpoint}")]
    OutOfTime {
        /// Path of the request.
        endpoint: String,
        /// Which limit was met.
        why: StopReason,
    },
}

impl ClerkError {
    /// The error itself, whichever request met it first.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::NoOtherKey(error) => error.root(),
            error => error,
        }
    }

    /// Whether Clerk says that there is nothing at this path. A proxy's 404, which has no code of
    /// Clerk's, says nothing.
    #[must_use]
    pub const fn says_absent(&self) -> bool {
        matches!(self, Self::Rejected { status: 404, .. })
    }

    /// Whether the request itself was not accepted, so that another way of asking may be: by Clerk, or
    /// by something in between that does not know a parameter.
    #[must_use]
    pub const fn rejects_the_request(&self) -> bool {
        matches!(
            self,
            Self::Rejected { .. }
                | Self::Unavailable { last: Fault::NotClerks(400 | 404 | 422), .. }
        )
    }
}

const fn about_redirects(status: u16) -> &'static str {
    match status {
        300..=399 => " (redirects are not followed)",
        _ => "",
    }
}

/// One attempt's failure; each is worth another, but for those that [`Fault::is_permanent`] tells of.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// 429: too many requests.
    #[error("it answered 429 (too many requests)")]
    RateLimited,
    /// 5xx, or a 4xx with which Clerk asks to be asked again.
    #[error("it answered {0}")]
    Status(u16),
    /// A web page with a good status, as a login page or a captive portal shows it.
    #[error("it answered {0} with a web page")]
    WebPage(u16),
    /// A 4xx without a code of Clerk's: a proxy or firewall answered.
    #[error("it answered {0} without an error code of Clerk's, as a proxy or firewall does")]
    NotClerks(u16),
    /// No complete answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A body that is not what the API promises.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Fault {
    /// Whether it stays so until a person acts, so that no other attempt is made.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_permanent())
    }
}

/// A body that is not what the API promises. Says where and what, never the content.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl From<super::wire::DecodeError> for Unreadable {
    fn from(error: super::wire::DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// Clerk's error code and trace id (Clerk OpenAPI, schema `ClerkErrors`), to quote to support.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// First error's `code`, reduced to letters, digits, `_`, `-` and `.`.
    pub code: Option<String>,
    /// `clerk_trace_id`, reduced likewise.
    pub trace_id: Option<String>,
}

impl Refusal {
    /// Reads an error body; a body that is not Clerk's gives an empty refusal.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Self {
        let Ok(errors) = serde_json::from_slice::<super::wire::ErrorBody<'_>>(body) else {
            return Self::default();
        };
        Self {
            code: errors.code().and_then(plain_word),
            trace_id: errors.clerk_trace_id.as_deref().and_then(plain_word),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.code.as_deref().unwrap_or("without a code"))?;
        match &self.trace_id {
            Some(trace_id) => write!(formatter, ", trace id {trace_id}"),
            None => Ok(()),
        }
    }
}

/// Longest code or trace id kept.
const LONGEST_WORD: usize = 100;

/// The server chooses these words and they end up in logs and files, so only plain ones pass, and
/// none that repeats a key.
fn plain_word(word: &str) -> Option<String> {
    let plain: String = word
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        .take(LONGEST_WORD)
        .collect();
    let repeats_a_key = looks_like_a_key(word) || looks_like_a_key(&plain);
    (!plain.is_empty() && !repeats_a_key).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 7: the key is in no error, however a server repeats it.
    #[test]
    fn a_code_that_repeats_a_key_is_none() {
        for code in ["sk_live_abc", "sk_li ve_abc", "SK_TEST_abc", "x-sk_\u{e9}test_abc"] {
            assert_eq!(plain_word(code), None, "{code}");
        }
        assert_eq!(plain_word("feature_not_enabled\n").as_deref(), Some("feature_not_enabled"));
    }
}
