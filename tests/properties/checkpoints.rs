//! A run continues from its checkpoint exactly as it was, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use clerk_snapshot::compression::Compression;
use clerk_snapshot::digest::{ContentDigest, Sha256Hex};
use clerk_snapshot::manifest::{Generator, Instance, Previous, RunStats, Settings, SourceCount};
use clerk_snapshot::part::Part;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::timestamp::Timestamp;
use clerk_sync::lists::endpoint::{Endpoint, ListName};
use clerk_sync::lists::page::RowKey;
use clerk_sync::lists::table::ENDPOINTS;
use clerk_sync::lists::table::lists_needed;
use clerk_sync::paging::created_range::CreatedRange;
use clerk_sync::paging::position::{OwnerPosition, PagingMode, Position};
use clerk_sync::paging::stalled::StalledRounds;
use clerk_sync::sync::checkpoint::document::{
    Checkpoint, Completed, Lease, PublishedSnapshot, Succession,
};
use clerk_sync::sync::checkpoint::list_progress::{
    ListProgress, Segment, Stage, StoredPart, Window,
};
use clerk_sync::sync::checkpoint::validate::UnreadableCheckpoint;
use clerk_sync::translate::{Role, RoleCatalogue};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Number, Value};

use super::cases;

fn moments() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_i64).prop_map(|millis| Timestamp::from_unix_millis(millis).unwrap())
}

/// No checkpoint of this program holds a larger number: every JSON reader is exact up to here.
const LARGEST: u64 = 1 << 53;

fn counts() -> impl Strategy<Value = u64> {
    0..=LARGEST
}

fn milliseconds() -> impl Strategy<Value = i64> {
    -(LARGEST as i64)..=LARGEST as i64
}

fn snapshot_ids() -> impl Strategy<Value = String> {
    "[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}"
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9_]{0,12}", any::<String>()]
}

fn row_keys() -> impl Strategy<Value = RowKey> {
    (text(), option::of(milliseconds())).prop_map(RowKey::from)
}

fn rounds() -> impl Strategy<Value = StalledRounds> {
    any::<u32>().prop_map(|rounds| serde_json::from_value(rounds.into()).unwrap())
}

fn places() -> impl Strategy<Value = Position> {
    let position =
        || {
            (counts(), vec(row_keys(), 0..3), rounds()).prop_map(|(offset, tail, stalled)| {
                Position { offset, tail, owner_position: None, stalled }
            })
        };
    let owner_position = (row_keys(), position())
        .prop_map(|(owner, position)| Box::new(OwnerPosition { owner, position }));
    (position(), option::of(owner_position))
        .prop_map(|(position, owner_position)| Position { owner_position, ..position })
}

fn parts() -> impl Strategy<Value = (Dataset, StoredPart)> {
    let names = "part-[0-9a-f-]{1,20}\\.ndjson";
    (
        select(Dataset::ALL),
        names,
        (counts(), counts()),
        vec(any::<u8>(), 0..4),
        moments(),
        moments(),
    )
        .prop_map(|(dataset, name, (records, bytes), content, fetched_from, fetched_to)| {
            let mut digest = ContentDigest::default();
            digest.add_line(&content);
            let sha256 = Sha256Hex::of(&content);
            let key = format!("{}/{name}", dataset.name());
            let part = Part { key, records, bytes, sha256, fetched_from, fetched_to };
            (dataset, StoredPart { part, digest })
        })
}

fn segments() -> impl Strategy<Value = Segment> {
    (
        (0..100_000_000_u32, 1..=LARGEST, counts(), counts(), any::<bool>()),
        (row_keys(), row_keys()),
        vec(parts(), 0..3).prop_map(BTreeMap::from_iter),
        (btree_map(text(), counts(), 0..3), btree_map(text(), counts(), 0..3)),
        btree_map(milliseconds(), 0..=LARGEST, 0..3),
    )
        .prop_map(
            |(numbers, (first, last), parts, (unresolved_role_keys, unreadable_fields), active)| {
                Segment {
                    sequence: numbers.0,
                    rows: numbers.1,
                    first,
                    last,
                    parts,
                    dangling_principals: numbers.2,
                    dangling_resources: numbers.3,
                    users_unchecked: numbers.4,
                    unresolved_role_keys,
                    unreadable_fields,
                    // No more windows are active than there are.
                    active: Vec::from_iter(
                        active.into_iter().map(|(day, count)| (day, count % (numbers.1 / 3 + 1))),
                    )
                    .into(),
                }
            },
        )
}

fn windows() -> impl Strategy<Value = Window> {
    let range = (option::of(milliseconds()), option::of(milliseconds()));
    let range = range.prop_map(|(from, until)| CreatedRange { from, until });
    let segments = vec(segments(), 0..3);
    let numbers = 0..100_000_000_u32;
    (range, option::of(counts()), places(), any::<bool>(), segments, numbers).prop_map(
        |(range, expected, position, ended, segments, numbered_from)| Window {
            number: 0,
            range,
            expected,
            position,
            ended,
            segments,
            numbered_from,
        },
    )
}

fn lists() -> impl Strategy<Value = ListProgress> {
    let stages = prop_oneof![
        Just(Stage::Walking),
        Just(Stage::Comparing),
        Just(Stage::Verified),
        Just(Stage::Drifted),
        text().prop_map(|code| Stage::Refused { code }),
    ];
    let source_counts = (option::of(counts()), option::of(counts()));
    (
        stages,
        select(&[PagingMode::Cursor, PagingMode::Offset, PagingMode::ByOwner][..]),
        (
            any::<bool>(),
            counts(),
            counts(),
            any::<[u32; 3]>(),
            option::of(counts()),
            option::of(counts()),
        ),
        source_counts.prop_map(|(before, after)| SourceCount { before, after }),
        vec(vec(any::<u8>(), 0..4).prop_map(|content| Sha256Hex::of(&content)), 0..3),
        vec(windows(), 1..3).prop_map(|mut windows| {
            for (number, window) in (0..).step_by(5000).zip(&mut windows) {
                window.number = number;
            }
            windows
        }),
    )
        .prop_map(|(stage, mode, numbers, source_count, ids, windows)| ListProgress {
            stage,
            mode,
            divisible: numbers.0,
            source_count,
            ids,
            duplicates_dropped: numbers.1,
            rows_repaired: numbers.2,
            repairs: numbers.3[0],
            restarts: numbers.3[1],
            edges_asked: numbers.3[2],
            best_latency_ms: numbers.4,
            owners: numbers.5,
            windows,
        })
}

fn stats() -> impl Strategy<Value = RunStats> {
    let numbers = (counts(), counts(), counts(), counts());
    // Sums of durations in nanoseconds, as the program computes them.
    let seconds = vec(any::<u32>(), 1..4)
        .prop_map(|spans| spans.into_iter().map(|nanos| f64::from(nanos) / 1e9 * 31.0).sum());
    (numbers, seconds).prop_map(|(numbers, elapsed_seconds)| RunStats {
        invocations: numbers.0,
        requests: numbers.1,
        retries: numbers.2,
        rate_limited: numbers.3,
        elapsed_seconds,
    })
}

fn completed() -> impl Strategy<Value = Completed> {
    let compressions = select(Compression::ALL);
    let newest = (option::of(settings()), option::of(successions()));
    (moments(), stats(), text(), text(), compressions, newest).prop_map(
        |(at, run, version, clerk_api_version, compression, (settings, succession))| Completed {
            at,
            run,
            generator: Generator { name: "clerk-sync".to_owned(), version, clerk_api_version },
            compression,
            settings,
            succession,
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let words = || vec(text(), 0..3);
    let days = prop_oneof![
        (0..=366_u64).prop_map(Number::from),
        (0.0..366.0).prop_map(|days| Number::from_f64(days).unwrap()),
    ];
    (text(), words(), any::<bool>(), words(), option::of(days), option::of(any::<u16>())).prop_map(
        |(clerk_api_url, metadata, include_raw, redact, sessions_lookback_days, dau)| Settings {
            clerk_api_url,
            metadata,
            include_raw,
            redact,
            sessions_lookback_days,
            dau_lookback_days: dau,
        },
    )
}

fn successions() -> impl Strategy<Value = Succession> {
    let sha256 = text().prop_map(|text| Sha256Hex::of(text.as_bytes()));
    let previous = (snapshot_ids(), sha256)
        .prop_map(|(snapshot_id, manifest_sha256)| Previous { snapshot_id, manifest_sha256 });
    option::of(previous).prop_map(|previous| Succession { previous })
}

fn roles() -> impl Strategy<Value = RoleCatalogue> {
    let role = (text(), text(), option::of(text()));
    let role = role.prop_map(|(id, key, name)| Role { id, key, name });
    vec(role, 0..4).prop_map(RoleCatalogue::from)
}

fn list_names() -> impl Strategy<Value = ListName> {
    select(ENDPOINTS.iter().map(Endpoint::name).collect::<Vec<_>>())
}

fn checkpoints() -> impl Strategy<Value = Checkpoint> {
    let instance = (text(), text()).prop_map(|(id, environment)| Instance { id, environment });
    let lease = (text(), text(), option::of(moments()));
    let lease = lease.prop_map(|(holder, token, until)| Lease { holder, token, until });
    let sha256 = text().prop_map(|text| Sha256Hex::of(text.as_bytes()));
    let follows = (snapshot_ids(), moments(), option::of(sha256)).prop_map(
        |(snapshot_id, started_at, manifest_sha256)| PublishedSnapshot {
            snapshot_id,
            started_at,
            manifest_sha256,
        },
    );
    (
        (
            (snapshot_ids(), moments(), text()),
            btree_set(select(Resource::ALL), 0..5),
            (any::<bool>(), counts()),
        ),
        (
            (option::of(instance), option::of(text())),
            lease,
            option::of(moments()),
            roles(),
            stats(),
        ),
        btree_map(list_names(), lists(), 0..3),
        (option::of(completed()), btree_set(snapshot_ids(), 0..3), option::of(follows)),
    )
        .prop_map(|(run, state, lists, (completed, abandoned, follows))| {
            let ((snapshot_id, started_at, config_fingerprint), resources, flags) = run;
            let ((instance, redaction_key_id), lease, retry_at, roles, stats) = state;
            let resources: BTreeSet<Resource> = resources;
            let lists: BTreeMap<ListName, ListProgress> = lists;
            // A run is complete once everything it needs has been read.
            let is_done = |list| lists.get(&list).is_some_and(ListProgress::is_done);
            let completed = completed.filter(|_| lists_needed(&resources).into_iter().all(is_done));
            let is_checked = |list: &ListProgress| !list.segments().any(|it| it.users_unchecked);
            let completed = completed.filter(|_| lists.values().all(is_checked));
            Checkpoint {
                snapshot_id,
                started_at,
                config_fingerprint,
                resources,
                resources_from_event: flags.0,
                instance,
                redaction_key_id,
                revision: flags.1,
                lease,
                retry_at,
                roles,
                lists,
                stats,
                completed,
                abandoned,
                follows,
            }
        })
}

/// Bytes of another format are never read as this one.
fn assert_never_mistaken(bytes: &[u8]) {
    match Checkpoint::from_json(bytes) {
        Ok(_) => {
            let document: Value = serde_json::from_slice(bytes).expect("it was read as JSON");
            assert_eq!(document["format"], "clerk-sync/checkpoint/4");
        }
        Err(UnreadableCheckpoint::UnknownFormat(format)) => {
            assert_ne!(format, "clerk-sync/checkpoint/4");
        }
        Err(UnreadableCheckpoint::NotACheckpoint(_) | UnreadableCheckpoint::Implausible(_)) => {}
    }
}

proptest! {
    #![proptest_config(cases(200))]

    /// Down to the last byte: whichever invocation publishes the run makes the manifest from it.
    #[test]
    fn a_checkpoint_is_read_as_it_was_written(checkpoint in checkpoints()) {
        let written = checkpoint.to_json().unwrap();
        let read = Checkpoint::from_json(&written).unwrap();
        prop_assert_eq!(
            String::from_utf8(read.to_json().unwrap()).unwrap(),
            String::from_utf8(written).unwrap()
        );
        prop_assert_eq!(read.stats, checkpoint.stats);
        prop_assert_eq!(read.roles, checkpoint.roles);
        prop_assert_eq!(read.lease, checkpoint.lease);
        prop_assert_eq!(read.follows, checkpoint.follows);
        for (resource, list) in &checkpoint.lists {
            prop_assert_eq!(&read.lists[resource].windows, &list.windows);
            prop_assert_eq!(&read.lists[resource].stage, &list.stage);
        }
    }

    #[test]
    fn a_truncated_checkpoint_is_refused(checkpoint in checkpoints(), part in 0.0..1.0) {
        let written = checkpoint.to_json().unwrap();
        let cut = &written[..(written.len() as f64 * part) as usize];
        prop_assert!(matches!(
            Checkpoint::from_json(cut),
            Err(UnreadableCheckpoint::NotACheckpoint(_))
        ));
    }

    #[test]
    fn a_checkpoint_with_other_bytes_is_never_mistaken(
        checkpoint in checkpoints(),
        changes in vec((0.0..1.0, any::<u8>()), 1..4),
    ) {
        let mut bytes = checkpoint.to_json().unwrap();
        for (part, byte) in changes {
            let position = (bytes.len() as f64 * part) as usize;
            bytes[position] = byte;
            assert_never_mistaken(&bytes);
        }
    }

    #[test]
    fn another_format_is_never_read(checkpoint in checkpoints(), format in text()) {
        prop_assume!(format != "clerk-sync/checkpoint/4");
        let mut document: Value = serde_json::from_slice(&checkpoint.to_json().unwrap()).unwrap();
        document["format"] = format.into();
        let read = Checkpoint::from_json(&serde_json::to_vec(&document).unwrap());
        prop_assert!(matches!(read, Err(UnreadableCheckpoint::UnknownFormat(_))));
    }
}

proptest! {
    #![proptest_config(cases(3))]

    /// Cut off after each byte, and with each byte replaced.
    #[test]
    fn wherever_a_checkpoint_is_damaged(checkpoint in checkpoints(), other in 1..=255_u8) {
        let written = checkpoint.to_json().unwrap();
        for position in 0..written.len().min(4000) {
            assert!(Checkpoint::from_json(&written[..position]).is_err(), "the first {position} bytes");
            let mut damaged = written.clone();
            damaged[position] ^= other;
            assert_never_mistaken(&damaged);
        }
    }
}
