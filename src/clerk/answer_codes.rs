//! What Clerk's answers with a 4xx status mean for the list that was asked.
//!
//! Only the codes in `WITHOUT_THE_FEATURE` say that the instance does not have what was asked for. A
//! refusal of the key, or a code that nobody has heard of, never makes a list look empty.

/// What a 4xx answer says. 401 and 429 have a handling of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// This instance does not have the feature: the list is skipped.
    NoSuchFeature,
    /// The key may not read this, or has used up its quota: a person has to act.
    KeyMayNot,
    /// The same request may be answered later, or something between this program and Clerk answered.
    TryAgain,
    /// Clerk does not accept this request. Another way of asking may help; without one the list cannot
    /// be read.
    NotAccepted,
}

/// A code of Clerk's, or the part of it that many codes share.
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

/// The codes that say that an instance does not have a feature, each with its source: the codes that
/// Clerk documents (`data/api_errors.json` of Clerk's documentation, those of the Backend API) and that
/// the row stands for, with their statuses. `tests/fixtures/clerk-error-codes.tsv` holds all of them.
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

/// The statuses with which those codes are believed.
const STATUSES_WITHOUT_THE_FEATURE: [u16; 5] = [400, 402, 403, 410, 422];

/// What an answer with a 4xx `status` and Clerk's error `code` says. `None` for the code is an answer
/// that Clerk did not write: every error of Clerk's has one (Clerk OpenAPI, schema `ClerkErrors`).
#[must_use]
pub fn meaning_of(status: u16, code: Option<&str>) -> Meaning {
    match (status, code) {
        // RFC 9110, section 15.5.9; RFC 8470, section 5.2; RFC 6585, section 4.
        (408 | 425 | 429, _) | (_, None) => Meaning::TryAgain,
        // Somebody else is changing the same thing (Clerk's documentation, `data/api_errors.json`).
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

    /// Every code that Clerk documents, with its status: `code`, a tab, `status`, a line each
    /// (`data/api_errors.json` of Clerk's documentation, those of the Backend API, August 2026).
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

    /// Of all codes that Clerk documents these skip a list, and no other does.
    #[test]
    fn the_codes_that_skip_a_list_are_these() {
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
    fn every_other_403_is_a_matter_of_the_key() {
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
    fn what_is_tried_again_is_little() {
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

    /// The catalogue holds as many codes of each meaning as it did when the table was made: whoever
    /// replaces it by a newer one looks at what is new.
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

    /// A code means what it means with the statuses that Clerk gives it, and no part of another code
    /// does.
    #[test]
    fn a_code_is_believed_with_its_statuses_only() {
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

    /// The source of a row names codes that Clerk documents, and that the row matches.
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
