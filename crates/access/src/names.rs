//! Compares names for people: by Unicode code point, case folded.

use std::cmp::Ordering;

use unicase::UniCase;

/// The form of a name that is compared, by Unicode's full case folding.
#[must_use]
pub fn folded(name: &str) -> String {
    UniCase::new(name).to_folded_case()
}

/// The order of two names.
#[must_use]
pub fn compare(one: &str, other: &str) -> Ordering {
    UniCase::new(one).cmp(&UniCase::new(other))
}

/// Whether two names or e-mail addresses are the same but for case.
#[must_use]
pub fn equal(one: &str, other: &str) -> bool {
    unicase::eq(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: names compare by Unicode code point, case folded.
    #[test]
    fn names_are_compared_folded_and_by_code_point() {
        let mut names = ["Émile", "zoe", "Zoë", "ada", "Ada", "STRASSE", "straße", "Ωmega", "東京"];
        names.sort_by_key(|name| folded(name));
        assert_eq!(
            names,
            ["ada", "Ada", "STRASSE", "straße", "zoe", "Zoë", "Émile", "Ωmega", "東京"]
        );
        assert_eq!(folded("STRASSE"), folded("straße"));
        for one in names {
            for other in names {
                assert_eq!(compare(one, other), folded(one).cmp(&folded(other)), "{one} {other}");
            }
        }
        assert!(equal("ADA@BÜCHER.example", "ada@bücher.example"));
        assert!(!equal("ada@example.com", "ada@example.org"));
    }
}
