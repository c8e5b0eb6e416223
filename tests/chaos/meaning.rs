//! What an answer of Clerk means for the requested list: a second implementation of
//! docs/reference.md.

use clerk_sandbox::LoggedRequest;

use super::odd;

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Rows, or whatever was requested.
    Good,
    /// The instance lacks this feature.
    Refused,
    /// The key lacks permission.
    KeyRefused,
    /// The same request may succeed later.
    TryAgain,
    /// The answer cannot be interpreted.
    Unreadable,
}

/// The lists without which there is no snapshot.
pub(super) const CORE: [&str; 5] = [
    "users",
    "organizations",
    "organization_roles",
    "organization_permissions",
    "organization_memberships",
];

const BEGINNINGS: [&str; 1] = ["feature_"];
const ENDS: [&str; 3] = ["_not_enabled", "_not_enabled_in_instance", "_disabled"];
const WHOLE: [&str; 4] = [
    "unsupported_subscription_plan_features",
    "operation_deprecated",
    "request_invalid_for_instance",
    "request_invalid_for_environment",
];

/// The meaning of this status and code.
fn of_status(status: u16, code: Option<&str>) -> Meaning {
    let names_feature = |code: &str| {
        BEGINNINGS.iter().any(|it| code.starts_with(it))
            || ENDS.iter().any(|it| code.ends_with(it))
            || WHOLE.contains(&code)
    };
    match (status, code) {
        (200..=299, _) => Meaning::Good,
        (401, _) => Meaning::KeyRefused,
        (408 | 425 | 429 | 500..=599, _) | (400..=499, None) | (409, Some("resource_locked")) => {
            Meaning::TryAgain
        }
        (400 | 402 | 403 | 410 | 422, Some(code)) if names_feature(code) => Meaning::Refused,
        (403, Some(_)) => Meaning::KeyRefused,
        _ => Meaning::Unreadable,
    }
}

/// The meaning of the answer to a request. A missing or damaged answer may be retried, but the
/// fault may last.
pub(super) fn meaning(request: &LoggedRequest) -> Meaning {
    let Some(status) = request.status else { return Meaning::TryAgain };
    match of_status(status, request.code.as_deref()) {
        Meaning::Good if request.spoiled => Meaning::Unreadable,
        Meaning::Good if request.edits.iter().any(|it| odd::is_needed(&request.path, it)) => {
            Meaning::Unreadable
        }
        // An answer that was cut or damaged on its way means nothing.
        _ if request.spoiled => Meaning::TryAgain,
        meaning => meaning,
    }
}

/// Whether an answer may have been understood like this: damage on its way need not have touched
/// the important part.
pub(super) fn may_mean(request: &LoggedRequest, what: Meaning) -> bool {
    let as_sent = || request.status.map(|it| of_status(it, request.code.as_deref()));
    meaning(request) == what
        || (request.spoiled && as_sent() == Some(what))
        || (what == Meaning::Unreadable && shows_row_of_another(request))
}

/// Whether a row was changed into one that the request's filter excludes, so that the filter seems
/// to be ignored.
fn shows_row_of_another(request: &LoggedRequest) -> bool {
    request.path.ends_with("/api_keys") && request.edits.iter().any(|it| it.pointer == "/subject")
}

/// The lists whose rows are in a dataset, below `/v1/`; `*` is one segment.
pub(super) fn lists_of(dataset: &str) -> Vec<String> {
    let lists: &[&str] = match dataset {
        "grants" => &[
            "organization_memberships",
            "organizations/*/memberships",
            "organization_roles",
            "machines",
        ],
        "entitlements" => {
            &["organizations", "organization_roles", "organization_permissions", "machines"]
        }
        "daily_active_users" | "users" => &["users", "users/count"],
        own => return vec![super::further::path_of(own)],
    };
    lists.iter().map(|list| format!("/v1/{list}")).collect()
}

/// The lists whose rows are requested one by one for a dataset, which cannot be read without them.
pub(super) fn owners_of(dataset: &str) -> Vec<String> {
    let lists: &[&str] = match dataset {
        "api_keys" => &super::required::OWNERS,
        "sessions" => &["users"],
        _ => &[],
    };
    lists.iter().flat_map(|list| lists_of(list)).collect()
}

/// Whether a request is for this list, or for a row of it.
pub(super) fn asks_for(request: &LoggedRequest, list: &str) -> bool {
    let (mut wanted, mut given) = (list.split('/'), request.path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            // A row of the list, and not a list below the row.
            (None, Some(_)) => return given.next().is_none(),
            (Some(wanted), Some(given)) if wanted == "*" || wanted == given => {}
            _ => return false,
        }
    }
}
