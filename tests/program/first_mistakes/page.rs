//! Promise: docs/troubleshooting.md quotes messages that the program can print, and explains every one that the table of
//! first mistakes holds.

use std::collections::BTreeSet;
use std::path::Path;

use super::all;

/// The messages that the page's headings quote: `### `…`, `…``.
fn quoted() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    // Every other piece stands between backquotes.
    headings.flat_map(|heading| heading.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_message_on_the_page_is_one_that_the_program_prints() {
    let quoted = quoted();
    assert!(quoted.len() >= 40, "{}", quoted.len());
    let mistakes = all();
    for message in &quoted {
        let is_printed = mistakes.iter().any(|mistake| mistake.says == message);
        assert!(is_printed, "docs/troubleshooting.md quotes {message:?}, which no test has seen");
    }
}

#[test]
fn the_page_explains_every_mistake_of_the_table() {
    let quoted = quoted();
    for mistake in all() {
        assert!(
            quoted.contains(mistake.says),
            "docs/troubleshooting.md does not explain {:?}",
            mistake.says
        );
    }
}

/// Each entry says what caused it, how to check that, and how to cure it.
#[test]
fn every_entry_has_cause_check_and_cure() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md");
    let page = std::fs::read_to_string(path).expect("the page");
    for entry in page.split("\n### ").skip(1) {
        let entry = entry.split("\n## ").next().unwrap_or_default();
        let heading = entry.lines().next().unwrap_or_default();
        for part in ["**Cause**", "**Check**", "**Cure**"] {
            assert!(entry.contains(part), "{heading} has no {part}");
        }
    }
}
