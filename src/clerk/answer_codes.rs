//! Classifies Clerk's 4xx answers: skip the list, stop, or retry.
//!
//! - Only a code in `WITHOUT_THE_FEATURE` means that the instance lacks the feature.
//! - A refused key or an unknown code never makes a list look empty.

/// What a 4xx answer means. The client handles 401 and 429 itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The instance does not have this feature: the list is skipped.
    NoSuchFeature,
    /// The key is not allowed to read this, or its quota is used up. A person has to act.
    KeyMayNot,
    /// The request may succeed later, or something between this program and Clerk answered.
    TryAgain,
    /// Clerk does not accept this request. Another form of the request may be accepted; otherwise the list cannot be
    /// read.
    NotAccepted,
}

/// An error code of Clerk's, or a prefix or suffix that several codes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Is(&'static str),
    Begins(&'static str),
    Ends(&'static str),
}

impl Code {
    fn matches(self, code: &str) -> bool {
        match self {
            Self::Is(whole) => code == whole,
            Self::Begins(beginning) => code.starts_with(beginning),
            Self::Ends(end) => code.ends_with(end),
        }
    }
}

/// The codes that mean that an instance does not have a feature. The second column is the source: the codes in Clerk's
/// documentation (`data/api_errors.json`, Backend API) that the row matches, with their statuses.
/// `tests/fixtures/clerk-error-codes.tsv` lists every documented code.
const WITHOUT_THE_FEATURE: &[(Code, &str)] = &[
    (Code::Ends("_not_enabled_in_instance"), "organization_not_enabled_in_instance (403)"),
    (
        Code::Ends("_not_enabled"),
        "api_keys_not_enabled (422), billing_not_enabled (403), organization_domains_not_enabled (403)",
    ),
    (
        Code::Begins("feature_"),
        "feature_not_enabled (400, 403), feature_not_implemented (403), feature_requires_… (403, 422)",
    ),
    (
        Code::Ends("_disabled"),
        "organization_slugs_disabled (403), password_disabled (403), scim_directory_disabled (400)",
    ),
    (
        Code::Is("unsupported_subscription_plan_features"),
        "unsupported_subscription_plan_features (402)",
    ),
    (Code::Is("operation_deprecated"), "operation_deprecated (410)"),
    (Code::Is("request_invalid_for_instance"), "request_invalid_for_instance (400)"),
    (Code::Is("request_invalid_for_environment"), "request_invalid_for_environment (400)"),
];

/// The statuses with which these codes count. With any other status they mean nothing.
const STATUSES_WITHOUT_THE_FEATURE: [u16; 5] = [400, 402, 403, 410, 422];

/// Classifies an answer with a 4xx `status` and Clerk's error `code`. `None` means that Clerk did not write the answer:
/// every error of Clerk's has a code (Clerk OpenAPI, schema `ClerkErrors`).
#[must_use]
pub fn meaning_of(status: u16, code: Option<&str>) -> Meaning {
    match (status, code) {
        // RFC 9110, section 15.5.9; RFC 8470, section 5.2; RFC 6585, section 4.
        (408 | 425 | 429, _) | (_, None) => Meaning::TryAgain,
        // Another request is changing the same resource (Clerk's documentation, `data/api_errors.json`).
        (409, Some("resource_locked")) => Meaning::TryAgain,
        (_, Some(code)) if says_without_the_feature(status, code) => Meaning::NoSuchFeature,
        (403, Some(_)) => Meaning::KeyMayNot,
        _ => Meaning::NotAccepted,
    }
}

fn says_without_the_feature(status: u16, code: &str) -> bool {
    STATUSES_WITHOUT_THE_FEATURE.contains(&status)
        && WITHOUT_THE_FEATURE.iter().any(|(row, _source)| row.matches(code))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Every code in Clerk's documentation with its status: one `code<TAB>status` per line (`data/api_errors.json`,
    /// Backend API, August 2026).
    const ALL_CODES: &str = include_str!("../../tests/fixtures/clerk-error-codes.tsv");

    fn all_codes() -> impl Iterator<Item = (&'static str, u16)> {
        ALL_CODES.lines().skip(1).filter_map(|line| {
            let (code, status) = line.split_once('\t')?;
            Some((code, status.parse().ok()?))
        })
    }

    fn with_meaning(wanted: Meaning) -> BTreeSet<(&'static str, u16)> {
        all_codes()
            .filter(|&(_, status)| (400..=499).contains(&status) && status != 401)
            .filter(|&(code, status)| meaning_of(status, Some(code)) == wanted)
            .collect()
    }

    /// Exactly these documented codes skip a list.
    #[test]
    fn exactly_these_codes_skip_a_list() {
        let expected = BTreeSet::from([
            ("api_keys_not_enabled", 422),
            ("billing_annual_only_plans_not_enabled", 403),
            ("billing_not_enabled", 403),
            ("feature_not_enabled", 400),
            ("feature_not_enabled", 403),
            ("feature_not_implemented", 403),
            ("feature_requires_custom_domain", 403),
            ("feature_requires_email_address_enabled", 422),
            ("feature_requires_oidc_provider", 422),
            ("feature_requires_progressive_sign_up", 422),
            ("force_organization_selection_not_allowed_when_organizations_disabled", 422),
            ("oauth_application_consent_screen_cannot_be_disabled", 422),
            ("operation_deprecated", 410),
            ("organization_domain_enrollment_mode_not_enabled", 403),
            ("organization_domains_not_enabled", 403),
            ("organization_not_enabled_in_instance", 403),
            ("organization_slugs_disabled", 403),
            ("password_disabled", 403),
            ("plan_free_trials_disabled", 403),
            ("request_invalid_for_environment", 400),
            ("request_invalid_for_instance", 400),
            ("scim_directory_disabled", 400),
            ("totp_disabled", 400),
            ("unsupported_subscription_plan_features", 402),
        ]);
        assert_eq!(with_meaning(Meaning::NoSuchFeature), expected);
    }

    #[test]
    fn every_other_403_is_about_the_key() {
        let refused = with_meaning(Meaning::KeyMayNot);
        let with_403: BTreeSet<_> = all_codes().filter(|&(_, status)| status == 403).collect();
        let skipped = with_meaning(Meaning::NoSuchFeature);
        assert_eq!(refused, with_403.difference(&skipped).copied().collect());
        for code in [
            "authorization_invalid",
            "authorization_missing_scopes",
            "action_blocked",
            "not_allowed_access",
            "quota_exceeded",
        ] {
            assert!(refused.contains(&(code, 403)), "{code}");
        }
    }

    #[test]
    fn few_codes_are_retried() {
        let expected = BTreeSet::from([
            ("email_template_customization_rate_limited", 429),
            ("resource_locked", 409),
            ("verification_code_too_many_requests", 429),
        ]);
        assert_eq!(with_meaning(Meaning::TryAgain), expected);
        for status in 400..=499 {
            assert_eq!(meaning_of(status, None), Meaning::TryAgain, "{status} is not Clerk's");
        }
        assert_eq!(meaning_of(408, Some("any")), Meaning::TryAgain);
        assert_eq!(meaning_of(425, Some("any")), Meaning::TryAgain);
    }

    /// Counts the documented codes by meaning, so that anyone who updates the fixture reviews the new codes.
    #[test]
    fn every_documented_code_has_a_meaning() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (code, status) in all_codes() {
            let meaning = match status {
                401 => "the key",
                500..=599 => "an outage",
                _ => match meaning_of(status, Some(code)) {
                    Meaning::NoSuchFeature => "skipped",
                    Meaning::KeyMayNot => "the key may not",
                    Meaning::TryAgain => "tried again",
                    Meaning::NotAccepted => "not accepted",
                },
            };
            *counts.entry(meaning).or_default() += 1;
        }
        let expected = BTreeMap::from([
            ("an outage", 4),
            ("not accepted", 236),
            ("skipped", 24),
            ("the key", 19),
            ("the key may not", 28),
            ("tried again", 3),
        ]);
        assert_eq!(counts, expected);
    }

    /// A code counts only with the statuses that Clerk documents for it, and only as a whole.
    #[test]
    fn a_code_counts_only_with_its_documented_statuses() {
        for status in [404, 405, 409, 413, 415] {
            let meaning = meaning_of(status, Some("feature_not_enabled"));
            assert_eq!(meaning, Meaning::NotAccepted, "{status}");
        }
        for code in ["not_enabled", "no_feature_here", "disabled_instance_restriction"] {
            assert_eq!(meaning_of(422, Some(code)), Meaning::NotAccepted, "{code}");
            assert_eq!(meaning_of(403, Some(code)), Meaning::KeyMayNot, "{code}");
        }
        assert_eq!(meaning_of(404, Some("resource_not_found")), Meaning::NotAccepted);
        assert_eq!(meaning_of(402, Some("insufficient_seats")), Meaning::NotAccepted);
    }

    /// Each row's source names at least one documented code, and the row matches all of them.
    #[test]
    fn every_row_has_its_source() {
        let documented: BTreeSet<&str> = all_codes().map(|(code, _)| code).collect();
        for (row, source) in WITHOUT_THE_FEATURE {
            let words = source.split([' ', ',']).filter(|word| documented.contains(word));
            let named: Vec<&str> = words.collect();
            assert!(!named.is_empty(), "{row:?} has no source");
            assert!(named.iter().all(|code| row.matches(code)), "{row:?}: {source}");
        }
    }
}
