//! Errors of a request to Clerk, and who handles each.

use std::sync::Arc;

use clerk_snapshot::timestamp::Timestamp;
use clerk_store::quoted::looks_like_a_key;

use crate::secret_source::SecretError;
use crate::work_limit::StopReason;

use super::transport::TransportError;

/// A request to Clerk that returned no rows. No variant means "empty".
#[derive(Debug, thiserror::Error)]
pub enum ClerkError {
    /// 401, and the secret holds no other key. Not retried.
    #[error("Clerk refused the secret key at {endpoint} (401 {refusal})")]
    Unauthorized {
        /// Path of the request.
        endpoint: String,
        /// Clerk's code and trace id.
        refusal: Refusal,
        /// Whether the key was read from a secret, and not from the environment.
        is_from_secret: bool,
    },
    /// After a 401, the secret held a key of another instance than the one being read. Nothing was read with that key.
    #[error(
        "the secret holds a key of another Clerk instance by now: {found} instead of {expected}, \
         which is being read"
    )]
    OtherInstance {
        /// Clerk's id of the instance being read.
        expected: String,
        /// Clerk's id of the instance that the new key belongs to.
        found: String,
    },
    /// Another request has already found that no other key is available, and why.
    #[error(transparent)]
    NoOtherKey(Arc<Self>),
    /// The secret could not be read again after a 401.
    #[error("the secret could not be read again after Clerk answered 401 at {endpoint}")]
    SecretUnavailable {
        /// Path of the request.
        endpoint: String,
        /// Cause.
        #[source]
        source: SecretError,
    },
    /// A 403 about this key rather than about a feature: missing permission, or a used-up quota. Not retried.
    #[error("Clerk does not let this key read {endpoint} ({status} {refusal})")]
    Forbidden {
        /// Path of the request.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// Clerk's code and trace id.
        refusal: Refusal,
    },
    /// The instance does not have the feature, so the list is skipped with this code as the reason. See
    /// [`answer_codes`](super::answer_codes).
    #[error("Clerk refused {endpoint} ({status} {refusal})")]
    Refused {
        /// Path of the request.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// Clerk's code and trace id.
        refusal: Refusal,
    },
    /// Any other 4xx with a code of Clerk's. Not retried; a pager may try another paging mode.
    #[error("Clerk rejected {endpoint} ({status} {refusal})")]
    Rejected {
        /// Path of the request.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// Clerk's code and trace id.
        refusal: Refusal,
    },
    /// Every allowed attempt ended in a fault of the server or the network.
    #[error("{endpoint} did not answer in {attempts} {}", if *attempts == 1 { "attempt" } else { "attempts" })]
    Unavailable {
        /// Path of the request.
        endpoint: String,
        /// Attempts made.
        attempts: u32,
        /// The fault of the last attempt.
        #[source]
        last: Fault,
    },
    /// Every allowed attempt returned an answer that violates Clerk's API.
    #[error("{endpoint} answered in a way that Clerk's API does not promise: {detail}")]
    Protocol {
        /// Path of the request.
        endpoint: String,
        /// What is wrong. Names the field, never the value.
        detail: String,
    },
    /// Something other than Clerk answered: every allowed attempt returned a web page, or one returned a redirect.
    #[error("the server that answered {endpoint} with {status} is not Clerk's API{}", about_redirects(*status))]
    NotClerk {
        /// Path of the request.
        endpoint: String,
        /// HTTP status.
        status: u16,
    },
    /// Clerk asked for a pause longer than the remaining time budget.
    #[error("Clerk asked to wait until {retry_at}")]
    Paused {
        /// When Clerk may be asked again.
        retry_at: Timestamp,
    },
    /// The time budget does not allow the wait before the next attempt, or a signal arrived.
    #[error("no time is left for {endpoint}")]
    OutOfTime {
        /// Path of the request.
        endpoint: String,
        /// Which limit was reached.
        why: StopReason,
    },
}

impl ClerkError {
    /// The underlying error, even if another request met it first.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::NoOtherKey(error) => error.root(),
            error => error,
        }
    }

    /// Whether Clerk says that nothing exists at this path. A proxy's 404, which has no code of Clerk's, does not
    /// count.
    #[must_use]
    pub const fn says_absent(&self) -> bool {
        matches!(self, Self::Rejected { status: 404, .. })
    }

    /// Whether the form of the request was not accepted, so that another form may be: by Clerk, or by a proxy that does
    /// not know a parameter.
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

/// Why one attempt failed. It is retried unless [`Fault::is_permanent`].
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// 429: too many requests.
    #[error("it answered 429 (too many requests)")]
    RateLimited,
    /// A 5xx, or a 4xx that Clerk wants retried.
    #[error("it answered {0}")]
    Status(u16),
    /// A web page with a 2xx status, such as a login page or a captive portal.
    #[error("it answered {0} with a web page")]
    WebPage(u16),
    /// A 4xx without a code of Clerk's: a proxy or a firewall answered.
    #[error("it answered {0} without an error code of Clerk's, as a proxy or firewall does")]
    NotClerks(u16),
    /// No complete answer arrived.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A body that violates Clerk's API.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Fault {
    /// Whether the fault persists until a person acts, so that a retry is pointless.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Transport(error) if error.is_permanent())
    }
}

/// A body that violates Clerk's API. Says where and what, never the content.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl From<super::wire::DecodeError> for Unreadable {
    fn from(error: super::wire::DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// Clerk's error code and trace id (Clerk OpenAPI, schema `ClerkErrors`), for a support request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// `code` of the first error, reduced to letters, digits, `_`, `-` and `.`.
    pub code: Option<String>,
    /// `clerk_trace_id`, reduced in the same way.
    pub trace_id: Option<String>,
}

impl Refusal {
    /// Parses an error body. A body that is not Clerk's gives an empty refusal.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Self {
        let Ok(errors) = serde_json::from_slice::<super::wire::ErrorBody<'_>>(body) else {
            return Self::default();
        };
        Self {
            code: errors.code().as_deref().and_then(plain_word),
            trace_id: errors.trace_id().as_deref().and_then(plain_word),
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

/// Most characters kept of a code or trace id.
const LONGEST_WORD: usize = 100;

/// Sanitizes a string that the server chose and that ends up in logs and files: keeps plain characters only, and drops
/// it if it repeats a key.
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

    // Promise 7: no error contains the key, however a server repeats it.
    #[test]
    fn a_code_that_repeats_a_key_is_dropped() {
        for code in ["sk_live_abc", "sk_li ve_abc", "SK_TEST_abc", "x-sk_\u{e9}test_abc"] {
            assert_eq!(plain_word(code), None, "{code}");
        }
        assert_eq!(plain_word("feature_not_enabled\n").as_deref(), Some("feature_not_enabled"));
    }
}
