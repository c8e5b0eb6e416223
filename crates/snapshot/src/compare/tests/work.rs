//! What a comparison reads, and how little it keeps.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::support::{compared, compared_as, open, stored, tiny};
use crate::compare::differences::{Differences, Side, Unmatched};
use crate::compare::sink::SinkError;
use crate::compare::{Change, Classes, CompareError, Comparison, Limits, Sink};
use crate::resource::Dataset;
use crate::testing::{SnapshotBuilder, records};

fn user(number: u32, name: &str) -> Value {
    let mut user = records::user(&format!("user_{number}"));
    user["profile"]["first_name"] = json!(name);
    user
}

/// Ten parts a side. The third one differs, and the eighth has another order.
fn snapshots() -> (SnapshotBuilder, SnapshotBuilder) {
    let from: Vec<_> = (0..40).map(|number| user(number, "Ada")).collect();
    let mut to = from.clone();
    to[9] = user(9, "Grace");
    to[10] = user(100, "Ada");
    to.swap(30, 31);
    let builder = |day, lines: Vec<Value>| SnapshotBuilder::on_day(day).with(Dataset::Users, lines);
    (builder(1, from), builder(2, to))
}

// Promise: parts that both sides have are not read, the others once, and only those in which something differs again.
#[tokio::test]
async fn only_parts_that_differ_are_read() {
    let (from, to) = snapshots();
    let (memory, [from, to]) = stored(&from, &to);
    let sides = (open(&memory, &from).await, open(&memory, &to).await);
    memory.take_reads();
    let comparison = Comparison::new(&sides.0, &sides.1).unwrap().classes(Classes::ALL);
    comparison.run(&mut Vec::new()).await.unwrap();
    let mut reads = memory.take_reads();
    reads.sort();
    let mut expected = Vec::new();
    for side in [&from, &to] {
        let key = |place| side.part_key(Dataset::Users, place);
        expected.extend([key(2), key(2), key(7)]);
    }
    expected.sort();
    assert_eq!(reads, expected);
    // Classes that no record of a dataset can have need no reading.
    let sessions = |day, id: &str| {
        SnapshotBuilder::on_day(day)
            .with(Dataset::Sessions, [records::resource("session", id, json!({}))])
    };
    let (memory, [from, to]) = stored(&sessions(1, "a"), &sessions(2, "b"));
    let sides = (open(&memory, &from).await, open(&memory, &to).await);
    memory.take_reads();
    Comparison::new(&sides.0, &sides.1).unwrap().run(&mut Vec::new()).await.unwrap();
    assert!(memory.take_reads().is_empty());
}

// Promise: datasets with equal digests are not read, however they are divided into parts.
#[tokio::test]
async fn equal_datasets_are_not_read() {
    let (from, mut to) = snapshots();
    to.lines = from.lines.clone();
    to.lines_per_part = 3;
    let (memory, [from, to]) = stored(&from, &to);
    let sides = (open(&memory, &from).await, open(&memory, &to).await);
    memory.take_reads();
    Comparison::new(&sides.0, &sides.1).unwrap().run(&mut Vec::new()).await.unwrap();
    assert!(memory.take_reads().is_empty());
}

// Promise: the same two snapshots give the same bytes, however little memory there is and however ids collide.
#[tokio::test]
async fn tiny_limits_and_colliding_ids_give_the_same_records() {
    let (from, to) = snapshots();
    let expected = compared(&from, &to).await;
    assert_eq!(expected.records().len(), 3);
    let again = compared(&from, &to).await;
    assert_eq!(expected.lines, again.lines);
    let small =
        compared_as(&from, &to, |it| it.classes(Classes::ALL).limits(tiny())).await.unwrap();
    assert_eq!(expected.lines, small.lines);
    let all: Vec<_> = (0..40).map(|number| user(number, "Grace")).collect();
    let everything = SnapshotBuilder::on_day(2).with(Dataset::Users, all);
    let expected = compared(&from, &everything).await;
    assert_eq!(expected.records().len(), 40);
    for bits in [64, 4, 0] {
        for limits in [
            tiny(),
            Limits { entries: 3, ..Limits::default() },
            Limits { held_bytes: 1, ..Limits::default() },
            Limits::default(),
        ] {
            let found = compared_as(&from, &everything, |it| {
                it.classes(Classes::ALL).limits(limits.clone()).id_bits(bits)
            })
            .await
            .unwrap();
            let (mut found, mut expected) = (found.shown(), expected.shown());
            if bits < 64 {
                found.sort();
                expected.sort();
            }
            assert_eq!(found, expected, "{bits} {limits:?}");
        }
    }
}

// Promise: the order of records follows from the ids alone: neither the order nor the number of other lines matters.
#[tokio::test]
async fn the_order_follows_from_the_ids() {
    let (from, to) = snapshots();
    let nobody = SnapshotBuilder::on_day(1).with(Dataset::Users, []);
    let order = |records: Vec<Value>| {
        records.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = order(compared(&nobody, &to).await.records());
    let mut reversed = to.clone();
    reversed.lines.get_mut(&Dataset::Users).unwrap().reverse();
    assert_eq!(order(compared(&nobody, &reversed).await.records()), all);
    let some = order(compared(&from, &to).await.records());
    let place = |id: &String| all.iter().position(|it| it == id);
    let places: Vec<_> = some.iter().filter_map(place).collect();
    assert!(places.is_sorted() && places.len() == 2, "{places:?}");
}

// Promise: what is kept in memory is bounded: past the limit, hashes go to the file, and partners still find each other.
#[test]
fn hashes_past_the_limit_go_to_the_file() {
    let limits = Limits { entries: 10, ..Limits::default() };
    let mut unmatched = Unmatched::new(&limits);
    let id = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for number in 0..1000 {
        unmatched.add(Side::From, id(number), number, 7).unwrap();
        assert!(unmatched.waiting(Side::From) + unmatched.waiting(Side::To) <= limits.entries);
    }
    for number in (0..1000).rev().filter(|number| number % 100 != 3) {
        unmatched.add(Side::To, id(number), number, 8).unwrap();
        assert!(unmatched.waiting(Side::From) + unmatched.waiting(Side::To) <= limits.entries);
    }
    unmatched.add(Side::To, id(5), 5000, 9).unwrap();
    let mut found = unmatched.finish().unwrap();
    assert!(matches!(found, Differences::Spilled(_)));
    let (mut start, mut entries) = (Some(0), Vec::new());
    while let Some(begin) = start {
        let range = found.range(begin, 2).unwrap();
        entries.extend(range.entries);
        start = range.next;
    }
    assert!(entries.is_sorted());
    let mut left: Vec<_> = entries.iter().map(|it| (it.line, it.surplus, it.part)).collect();
    left.sort_unstable();
    let mut expected: Vec<_> = (0..10).map(|it| (it * 100 + 3, 1, 7)).collect();
    expected.push((5000, -1, 9));
    assert_eq!(left, expected);
}

// Promise: snapshots that are alike need next to no memory, whatever their size: both sides are read in step.
#[tokio::test]
async fn snapshots_that_are_alike_are_read_in_step() {
    // More lines than the limit, in other parts, so that all of them are read.
    let lines = |skip: u32| {
        (0..2000).filter(move |number| number % 500 != skip).map(|number| user(number, "Ada"))
    };
    let mut from = SnapshotBuilder::on_day(1).with(Dataset::Users, lines(1));
    let mut to = SnapshotBuilder::on_day(2).with(Dataset::Users, lines(2));
    (from.lines_per_part, to.lines_per_part) = (300, 170);
    let nowhere = Some("/nonexistent".into());
    let limits = Limits { entries: 128, temporary_folder: nowhere, ..Limits::default() };
    let found = compared_as(&from, &to, |it| it.limits(limits.clone())).await.unwrap();
    assert_eq!(found.records().len(), 8);
    let limits = Limits { entries: 4, ..limits };
    let error = compared_as(&from, &to, |it| it.limits(limits.clone())).await.unwrap_err();
    assert!(matches!(error, CompareError::TemporaryFile(_)));
}

/// Stops after some records, or fails.
struct Fussy(usize, bool);

#[async_trait]
impl Sink for Fussy {
    async fn change(&mut self, _: &Change<'_>, _: &[u8]) -> Result<(), SinkError> {
        self.0 -= 1;
        if self.1 { Err("no room".into()) } else { Ok(()) }
    }

    fn is_stopped(&self) -> bool {
        self.0 == 0
    }
}

// Promise: a sink ends the comparison when it wants to, and when it fails.
#[tokio::test]
async fn a_sink_can_stop_and_fail() {
    let (from, to) = snapshots();
    let (memory, [from, to]) = stored(&from, &to);
    let sides = (open(&memory, &from).await, open(&memory, &to).await);
    let comparison = Comparison::new(&sides.0, &sides.1).unwrap().classes(Classes::ALL);
    let mut sink = Fussy(2, false);
    assert!(matches!(comparison.run(&mut sink).await, Err(CompareError::Stopped)));
    assert_eq!(sink.0, 0);
    let failed = comparison.run(&mut Fussy(2, true)).await;
    assert!(matches!(failed, Err(CompareError::Sink(_))));
    // It is asked while nothing is handed out yet as well.
    memory.take_reads();
    assert!(matches!(comparison.run(&mut Fussy(0, false)).await, Err(CompareError::Stopped)));
    assert!(memory.take_reads().len() < 3);
}

// Promise: an invitation that is on two lines, as it was and as it is, counts as it is.
#[tokio::test]
async fn an_invitation_on_two_lines_counts_as_it_is() {
    let invitation =
        |id: &str, status: &str| records::resource("invitation", id, json!({"status": status}));
    let others = || {
        (0..6).map(|number| {
            records::resource("invitation", &format!("i{number}"), json!({"status": "pending"}))
        })
    };
    let with = |day, lines: Vec<Value>| {
        SnapshotBuilder::on_day(day)
            .with(Dataset::Invitations, others())
            .with(Dataset::Invitations, lines)
    };
    let pending = || with(1, vec![invitation("x", "pending")]);
    let both = |day| with(day, vec![invitation("x", "pending"), invitation("x", "revoked")]);
    let revoked = || with(3, vec![invitation("x", "revoked")]);
    for limits in [Limits::default(), tiny()] {
        let changes = async |from: &SnapshotBuilder, to: &SnapshotBuilder| {
            let found = compared_as(from, to, |it| it.classes(Classes::ALL).limits(limits.clone()))
                .await
                .unwrap();
            found
                .records()
                .iter()
                .map(|it| {
                    format!(
                        "{} {} {}",
                        it["op"], it["fields"][0]["before"], it["fields"][0]["after"]
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(changes(&pending(), &both(2)).await, [r#""changed" "pending" "revoked""#]);
        assert!(changes(&both(2), &revoked()).await.is_empty());
        assert!(changes(&both(2), &both(3)).await.is_empty());
    }
}
