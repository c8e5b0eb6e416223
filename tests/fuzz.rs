//! The fuzzing corpus still passes: hand-written seeds and former findings, replayed. `make fuzz`
//! looks for new findings.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use targets::TARGETS;

/// The largest corpus of one target, since `cargo test` replays all of it.
const MAX_FILES: usize = 30;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn no_target_finds_anything_in_its_corpus() {
    for (name, target) in TARGETS {
        let files = files(&fuzz().join("corpus").join(name));
        assert!((1..=MAX_FILES).contains(&files.len()), "{name}: {} files", files.len());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            let outcome = std::panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{} is a finding of {name}", file.display());
        }
    }
}

/// Fuzzing without coverage feedback: `FUZZ_SEED` draws other inputs, and `FUZZ_MUTATIONS` sets how
/// many of each target.
#[test]
fn no_target_finds_anything_near_its_corpus() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let mut random = fastrand::Rng::with_seed(number("FUZZ_SEED", 0));
    for (name, target) in TARGETS {
        let seeds: Vec<Vec<u8>> = files(&fuzz().join("corpus").join(name))
            .iter()
            .map(|file| fs::read(file).unwrap())
            .collect();
        for _ in 0..number("FUZZ_MUTATIONS", 1000) {
            let bytes = mutated(&seeds, &mut random);
            let outcome = std::panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{name} finds {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

/// One of the seeds with a few changes.
fn mutated(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..random.usize(1..6) {
        let place = random.usize(..=bytes.len());
        let behind = (place + random.usize(..20)).min(bytes.len());
        match random.u8(..6) {
            0 => bytes.insert(place, random.u8(..)),
            1 => drop(bytes.drain(place..behind)),
            2 => bytes.extend_from_within(place..behind),
            3 => bytes.truncate(place.max(1)),
            4 => {
                let other = &seeds[random.usize(..seeds.len())];
                let from = random.usize(..=other.len());
                let until = (from + random.usize(..40)).min(other.len());
                bytes.splice(place..behind, other[from..until].iter().copied());
            }
            _ if place < bytes.len() => bytes[place] ^= 1 << random.u8(..8),
            _ => {}
        }
    }
    bytes
}

/// Every target has a program, and there are no others.
#[test]
fn every_target_is_fuzzed() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for (folder, extension) in [("fuzz_targets", ".rs"), ("corpus", "")] {
        let names = files(&fuzz().join(folder)).into_iter().map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.strip_suffix(extension).unwrap().to_owned()
        });
        assert_eq!(names.collect::<BTreeSet<_>>(), targets, "{folder}");
    }
    for name in targets {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
