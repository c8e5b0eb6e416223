//! A dataset's digest depends on its lines and on nothing else.

use clerk_snapshot::compression::Compression;
use clerk_snapshot::digest::{ContentDigest, Sha256Hex};
use clerk_snapshot::part::{Lines, PartBuilder};
use clerk_snapshot::timestamp::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{cases, paused};
use crate::support::pieces::{complete, complete_in_pieces};
use crate::support::plain::plain;
use crate::support::world::World;

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line = "[^\n]{0,40}".prop_map(|line| format!("{line}\n").into_bytes());
    vec(line, 0..40)
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Gzip), Just(Compression::Zstd)]
}

fn digest_of(lines: &[Vec<u8>]) -> ContentDigest {
    let mut digest = ContentDigest::default();
    lines.iter().for_each(|line| digest.add_line(line));
    digest
}

/// Parts with this many lines, each added in pieces of this many.
fn in_parts(
    lines: &[Vec<u8>],
    part: usize,
    piece: usize,
    compression: Compression,
) -> (ContentDigest, u64, Vec<u8>) {
    let moment = Timestamp::from_unix_millis(0).unwrap();
    let (mut digest, mut records, mut read) = (ContentDigest::default(), 0, Vec::new());
    for lines in lines.chunks(part) {
        let mut builder = PartBuilder::new(compression).unwrap();
        for lines in lines.chunks(piece) {
            builder.add_lines(&lines.concat(), (moment, moment)).unwrap();
        }
        let part = builder.finish().unwrap().expect("it has lines");
        assert_eq!(part.sha256, Sha256Hex::of(&part.bytes));
        digest.add(part.digest);
        records += part.records;
        let mut lines = Lines::of(compression, &part.bytes, part.records).unwrap();
        let mut line = String::new();
        while lines.next_into(&mut line).unwrap() {
            read.extend_from_slice(line.as_bytes());
        }
    }
    (digest, records, read)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn order_parts_and_compression_do_not_matter(
        (lines, shuffled) in lines().prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle())),
        part in 1..50_usize,
        piece in 1..10_usize,
        compression in compressions(),
    ) {
        let (digest, records, read) = in_parts(&shuffled, part, piece, compression);
        prop_assert_eq!(digest, digest_of(&lines));
        prop_assert_eq!(records, lines.len() as u64);
        prop_assert_eq!(read, shuffled.concat());
    }

    #[test]
    fn other_lines_have_another_digest(lines in lines(), place in any::<usize>(), byte in any::<u8>()) {
        prop_assume!(!lines.is_empty());
        let place = place % lines.len();
        let mut fewer = lines.clone();
        fewer.remove(place);
        prop_assert_ne!(digest_of(&fewer), digest_of(&lines));
        let mut other = lines.clone();
        other[place].insert(0, byte);
        prop_assert_ne!(digest_of(&other), digest_of(&lines));
        let mut twice = lines.clone();
        twice.push(lines[place].clone());
        prop_assert_ne!(digest_of(&twice), digest_of(&lines));
    }

    #[test]
    fn a_digest_is_read_as_it_is_written(lines in lines()) {
        let digest = digest_of(&lines);
        let json = serde_json::to_string(&digest).unwrap();
        prop_assert_eq!(serde_json::from_str::<ContentDigest>(&json).unwrap(), digest);
        let sha256 = Sha256Hex::of(&lines.concat());
        let json = serde_json::to_string(&sha256).unwrap();
        prop_assert_eq!(serde_json::from_str::<Sha256Hex>(&json).unwrap(), sha256);
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// Two snapshots of an unchanged instance, in one invocation or in many, compressed or not,
    /// have the same digests.
    #[test]
    fn digests_do_not_depend_on_the_number_of_invocations(hundredths in 1..30_u32, compression in compressions()) {
        paused(async {
            let sandbox = plain(700, 5, 600);
            let world = || World::new(sandbox.clone()).with("CLERK_REQUESTS_PER_10S", "500");
            let whole = complete(&world().with("COMPRESSION", "none"), "whole").await;
            let world = world().with("COMPRESSION", compression.name());
            let seconds = f64::from(hundredths) / 100.0;
            let (_, pieces) = complete_in_pieces(&world, seconds, "in pieces").await;
            assert_eq!(pieces.digests(), whole.digests());
        });
    }
}
