//! Refuses keys that could lead out of the store.

use super::{KeyProblem, Operation, StoreError, StoreErrorKind};

/// Longest key in bytes. S3 allows 1,024 bytes for the prefix of `SNAPSHOT_URL` and the key together.
const MAX_KEY_BYTES: usize = 500;

/// Refuses a key that is empty, absolute, too long, or has an empty part, a hidden part or `..`.
pub(super) fn check_key(operation: Operation, key: &str) -> Result<(), StoreError> {
    problem_of(key).map_or(Ok(()), |problem| Err(invalid(operation, key, problem)))
}

/// Like [`check_key`], but the last part may be empty or incomplete.
pub(super) fn check_prefix(operation: Operation, prefix: &str) -> Result<(), StoreError> {
    let whole = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() { Ok(()) } else { check_key(operation, whole) }
}

fn problem_of(key: &str) -> Option<KeyProblem> {
    if key.is_empty() {
        return Some(KeyProblem::Empty);
    }
    if key.len() > MAX_KEY_BYTES {
        return Some(KeyProblem::TooLong);
    }
    if key.starts_with('/') {
        return Some(KeyProblem::Absolute);
    }
    if key.contains(|character: char| character == '\\' || character.is_control()) {
        return Some(KeyProblem::Character);
    }
    key.split('/').find_map(|part| {
        if part.is_empty() {
            Some(KeyProblem::EmptyPart)
        } else if part.starts_with('.') {
            Some(KeyProblem::Dot)
        } else {
            None
        }
    })
}

fn invalid(operation: Operation, key: &str, problem: KeyProblem) -> StoreError {
    StoreError::new(
        operation,
        key.chars().take(100).collect::<String>(),
        StoreErrorKind::InvalidKey(problem),
    )
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;

    #[test]
    fn keys_of_all_files_are_accepted() {
        for key in
            ["checkpoint.json", "snapshots/20261120T120000Z-3f9a1c/users/part-00000.ndjson.gz"]
        {
            assert_eq!(problem_of(key), None, "{key}");
        }
    }

    #[test]
    fn keys_that_could_lead_out_are_refused() {
        for (key, problem) in [
            ("", KeyProblem::Empty),
            ("/etc/passwd", KeyProblem::Absolute),
            ("../up", KeyProblem::Dot),
            ("a/../b", KeyProblem::Dot),
            ("a/./b", KeyProblem::Dot),
            ("a/..", KeyProblem::Dot),
            ("a/.hidden", KeyProblem::Dot),
            ("a//b", KeyProblem::EmptyPart),
            ("a/", KeyProblem::EmptyPart),
            ("a\\..\\b", KeyProblem::Character),
            ("a\0b", KeyProblem::Character),
            ("a\nb", KeyProblem::Character),
        ] {
            assert_eq!(problem_of(key), Some(problem), "{key:?}");
        }
        assert_eq!(problem_of(&"a".repeat(MAX_KEY_BYTES + 1)), Some(KeyProblem::TooLong));
    }

    #[test]
    fn prefixes_may_be_empty_or_end_in_a_slash() {
        for prefix in ["", "snapshots/", "snapshots/2026"] {
            assert!(check_prefix(Operation::List, prefix).is_ok(), "{prefix}");
        }
        for prefix in ["/", "../", "a//", "a/../"] {
            assert!(check_prefix(Operation::List, prefix).is_err(), "{prefix}");
        }
    }

    proptest! {
        #![proptest_config(Config {
            cases: 1000,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..Config::default()
        })]

        /// An accepted key stays below the root and keeps each of its parts.
        #[test]
        fn no_key_leads_out_of_the_store(
            key in prop_oneof![any::<String>(), r"[a./\\\x00-]{0,12}", "[a-z]{1,3}(/[a-z.]{1,3}){0,4}"],
        ) {
            if problem_of(&key).is_none() {
                let path = Path::new("/root").join(&key);
                let parts: Vec<_> = path.components().skip(2).collect();
                prop_assert!(path.starts_with("/root") && parts.len() == key.split('/').count());
                for (part, name) in parts.into_iter().zip(key.split('/')) {
                    prop_assert_eq!(part, Component::Normal(name.as_ref()));
                }
            }
        }
    }
}
