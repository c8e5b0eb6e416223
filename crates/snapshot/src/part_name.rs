//! Names parts so that sorting the names puts a dataset's lines in order.
//!
//! Every number in a name has a fixed width, and a number that would not fit is an error.

use crate::resource::Dataset;

/// Position of a part in its dataset. Parts are ordered by section, then window, then sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartPosition {
    /// The list within the dataset.
    pub section: u16,
    /// The window within the list.
    pub window: u32,
    /// The segment within the window.
    pub sequence: u32,
}

/// Sections per dataset, in two digits. The table of lists uses three sections.
pub const MAX_SECTIONS: u16 = 100;
/// Windows per list, in four digits: far more than there can be requests in flight, so that new windows fit between two
/// others.
pub const MAX_WINDOWS: u32 = 10_000;
/// Segments per window, in eight digits: enough even if each row of a very large list were stored separately.
pub const MAX_SEGMENTS: u32 = 100_000_000;

/// Digits of the content's SHA-256 in a name. They prevent an invocation that lost its lease from replacing what the
/// new holder has stored under the same numbers.
const CHECKSUM_DIGITS: usize = 8;

/// Key of a part below its snapshot's folder: `users/part-00-0000-00000000-1a2b3c4d.ndjson.gz`.
///
/// # Errors
/// [`TooManyParts`] if a number has too many digits: the part would sort in the wrong place.
pub fn part_key(
    dataset: Dataset,
    position: PartPosition,
    sha256: &str,
    extension: &str,
) -> Result<String, TooManyParts> {
    let PartPosition { section, window, sequence } = position;
    if section >= MAX_SECTIONS || window >= MAX_WINDOWS || sequence >= MAX_SEGMENTS {
        return Err(TooManyParts(dataset));
    }
    Ok(format!(
        "{}/part-{section:02}-{window:04}-{sequence:08}-{sha256:.CHECKSUM_DIGITS$}.{extension}",
        dataset.name(),
    ))
}

/// A dataset has more parts than part names can number.
#[derive(Debug, thiserror::Error)]
#[error("{} has more parts than part names can number", .0.name())]
pub struct TooManyParts(Dataset);

/// Whether a key below a snapshot's folder names a part of the dataset, in the format of this version or the shorter
/// one of earlier versions, whose parts must be recognised to be removed.
#[must_use]
pub fn is_part_of(dataset: Dataset, key: &str) -> bool {
    let name = key.strip_prefix(dataset.name()).and_then(|rest| rest.strip_prefix("/part-"));
    name.is_some_and(|name| {
        name.len() <= LONGEST_PART_NAME
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    })
}

/// Most characters after `part-`. The longest name has 36.
const LONGEST_PART_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;

    fn position(section: u16, window: u32, sequence: u32) -> PartPosition {
        PartPosition { section, window, sequence }
    }

    fn key_of(position: PartPosition, sha256: &str) -> String {
        part_key(Dataset::Users, position, sha256, "ndjson.zst").unwrap()
    }

    const LAST: PartPosition = PartPosition {
        section: MAX_SECTIONS - 1,
        window: MAX_WINDOWS - 1,
        sequence: MAX_SEGMENTS - 1,
    };

    #[test]
    fn every_number_has_a_fixed_width() {
        let digits = "1a2b3c4d5e6f";
        assert_eq!(
            key_of(position(0, 0, 0), digits),
            "users/part-00-0000-00000000-1a2b3c4d.ndjson.zst"
        );
        assert_eq!(key_of(LAST, digits), "users/part-99-9999-99999999-1a2b3c4d.ndjson.zst");
        for key in [key_of(position(0, 0, 0), digits), key_of(LAST, digits)] {
            assert!(is_part_of(Dataset::Users, &key), "{key}");
        }
        // A name of version 1.
        assert!(is_part_of(Dataset::Users, "users/part-00-00-000000-1a2b3c4d.ndjson.gz"));
    }

    #[test]
    fn a_number_that_does_not_fit_is_an_error() {
        for too_high in [
            PartPosition { section: MAX_SECTIONS, ..LAST },
            PartPosition { window: MAX_WINDOWS, ..LAST },
            PartPosition { sequence: MAX_SEGMENTS, ..LAST },
        ] {
            assert!(part_key(Dataset::Users, too_high, "1a2b3c4d", "ndjson").is_err());
        }
    }

    /// Any number below `most`, with every number of digits equally likely.
    fn below(most: u32) -> impl Strategy<Value = u32> {
        (0..=most.ilog10()).prop_flat_map(move |digits| 0..10_u32.pow(digits).min(most))
    }

    fn positions() -> impl Strategy<Value = PartPosition> {
        let numbers = (below(MAX_SECTIONS.into()), below(MAX_WINDOWS), below(MAX_SEGMENTS));
        numbers.prop_map(|(section, window, sequence)| position(section as u16, window, sequence))
    }

    proptest! {
        #![proptest_config(Config {
            cases: 2000,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..Config::default()
        })]

        /// docs/data.md: sorted by name, the parts of a dataset are in order, whatever they contain.
        #[test]
        fn names_sort_as_positions_do(
            one in positions(),
            other in positions(),
            digits in "[0-9a-f]{8}",
            other_digits in "[0-9a-f]{8}",
        ) {
            let by_name = key_of(one, &digits).cmp(&key_of(other, &other_digits));
            if one != other {
                prop_assert_eq!(by_name, one.cmp(&other));
            }
        }
    }
}
