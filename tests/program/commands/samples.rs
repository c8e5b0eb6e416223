//! Promise: the sample events and the examples in the documentation find somebody in what `clerk-sandbox` serves unless
//! it is told otherwise, which the demonstrations copy.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clerk_sandbox::{Population, Sandbox};
use serde_json::Value;

use super::asked;
use crate::support::world::World;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).expect("a file of this repository")
}

async fn assert_finds(world: &World, event: Value, named: &str) {
    let answer = world.handle(event).await.unwrap_or_else(|error| panic!("{named}: {error:?}"));
    let records = answer["records"].as_array().expect("records");
    assert!(!records.is_empty(), "{named} finds nobody: {answer:#}");
    if let Some(grants) = answer["grants"].as_array() {
        assert!(!grants.is_empty(), "{named} finds no grants");
    }
}

#[tokio::test(start_paused = true)]
async fn every_sample_lookup_finds_something() {
    let world = World::new(Sandbox::new(Population::demo()));
    let mut lookups = 0;
    for entry in fs::read_dir(repository("events")).expect("events/") {
        let path = entry.expect("an entry").path();
        let event: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        if event["action"] == "lookup" {
            lookups += 1;
            assert_finds(&world, event, &path.display().to_string()).await;
        }
    }
    assert!(lookups >= 3, "{lookups} lookups in events/");
}

/// The commands in the documentation and in `--help`, from `clerk-sync` to the end of the line.
fn examples() -> Vec<(String, Vec<String>)> {
    let mut examples = Vec::new();
    let sources = [
        "README.md",
        "docs/start.md",
        "docs/reference.md",
        "docs/faq.md",
        "src/commands/lookup.rs",
        "crates/sandbox/README.md",
    ];
    for source in sources {
        let text = read(source);
        let mut lines = text.split(['\n', '`', '"']).flat_map(|line| line.split("\\n"));
        examples.extend(lines.by_ref().filter_map(|line| {
            let (_, words) = line.split_once("clerk-sync lookup ")?;
            let words = words.split_whitespace().take_while(|word| !word.starts_with('#'));
            let words: Vec<String> = words.map(str::to_owned).collect();
            // Not the syntax, and not `clerk-sync lookup --help`.
            let is_example = words.len() > 2 && !words.iter().any(|word| word.contains(['…', '[']));
            is_example.then(|| (source.to_owned(), words))
        }));
    }
    examples
}

#[tokio::test(start_paused = true)]
async fn every_lookup_in_the_documentation_finds_something() {
    let world = World::new(Sandbox::new(Population::demo()));
    let examples = examples();
    let sources: BTreeSet<&str> = examples.iter().map(|(source, _)| source.as_str()).collect();
    assert!(
        sources.contains("README.md") && sources.contains("src/commands/lookup.rs"),
        "{sources:?}"
    );
    for (source, words) in &examples {
        let words: Vec<&str> = ["lookup"].into_iter().chain(words.iter().map(|it| &**it)).collect();
        let event = asked(&words, &[]).document;
        assert_finds(&world, event, &format!("{source}: {words:?}")).await;
    }
}

#[test]
fn every_e_mail_address_in_the_readme_is_somebodys() {
    let sandbox = Sandbox::new(Population::demo());
    let rows = sandbox.rows("users");
    let addresses: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row["email_addresses"].as_array().into_iter().flatten())
        .filter_map(|address| address["email_address"].as_str())
        .collect();
    let readme = read("README.md");
    let is_of_one = |character: char| character.is_alphanumeric() || "@._+-".contains(character);
    let named: BTreeSet<&str> = readme
        .split(|character: char| !is_of_one(character))
        .map(|word| word.trim_matches(['.', '-']))
        .filter(|word| {
            word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        })
        .collect();
    assert!(!named.is_empty());
    for address in named {
        assert!(addresses.contains(address), "README.md names {address}, which is nobody's");
    }
}
