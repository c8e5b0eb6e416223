//! `snapshots`, and which snapshot `--snapshot` takes.

use std::time::Duration;

use clerk_snapshot::testing::{SnapshotBuilder, Stored};
use serde_json::{Value, json};

use crate::mcp::client::Client;
use crate::support::Place;

/// Published on 1, 8 and 20 November, and one of 21 November that is not.
fn place() -> (Place, Vec<String>) {
    let place = Place::new();
    let first = place.publish(&SnapshotBuilder::on_day(1));
    let second = place.publish(&SnapshotBuilder::on_day(8).after(&first));
    let third = place.publish(&SnapshotBuilder::on_day(20).after(&second));
    let held = place.store(&SnapshotBuilder::on_day(21).after(&third));
    let ids = [first, second, third, held].iter().map(|stored| stored.id().to_owned()).collect();
    (place, ids)
}

// Promise: all that have a manifest are listed, newest first, and `published` says which are in the chain.
#[tokio::test]
async fn every_snapshot_is_listed_newest_first() {
    let (place, ids) = place();
    let answer = place.ask(&["snapshots"]).await.answered();
    let listed: Vec<_> = answer["snapshots"].as_array().unwrap().iter().collect();
    let expected: Vec<_> = ids.iter().rev().zip([false, true, true, true]).collect();
    assert_eq!(listed.len(), 4);
    for (entry, (id, published)) in listed.iter().zip(expected) {
        assert_eq!(
            (&entry["snapshot_id"], &entry["published"]),
            (&id.as_str().into(), &published.into())
        );
    }
    assert_eq!(answer["snapshot"]["snapshot_id"], ids[2].as_str());
}

/// A snapshot of the 20th that began and was completed so many milliseconds after noon, with an id that ends so.
fn within_a_second(millis: u64, ending: &str) -> SnapshotBuilder {
    let mut snapshot = SnapshotBuilder::on_day(20);
    let manifest = &mut snapshot.manifest;
    let later = Duration::from_millis(millis);
    (manifest.started_at, manifest.completed_at) =
        (manifest.started_at + later, manifest.completed_at + later);
    manifest.snapshot_id = format!("20261120T120000Z-{ending}");
    snapshot
}

// Promise: snapshots whose runs began in the same second are in the order of time, whatever their ids, in every list and
// on every page of it, and so are those that are not published.
#[tokio::test]
async fn within_one_second_the_order_is_that_of_time() {
    let place = Place::new();
    let oldest = place.publish(&within_a_second(0, "ffffff"));
    let second = place.publish(&within_a_second(300, "555555").after(&oldest));
    let held = place.store(&within_a_second(500, "eeeeee").after(&second));
    let newest = place.publish(&within_a_second(900, "000000").after(&second));
    let expected: Vec<&str> = [&newest, &held, &second, &oldest].map(Stored::id).to_vec();
    let ids = |answer: &Value, list: &str| {
        let ids = answer[list].as_array().unwrap().iter();
        let mut ids: Vec<_> =
            ids.map(|it| it["snapshot_id"].as_str().unwrap().to_owned()).collect();
        ids.dedup();
        ids
    };
    assert_eq!(ids(&place.ask(&["snapshots"]).await.answered(), "snapshots"), expected);
    assert_eq!(ids(&place.ask(&["verify", "--all"]).await.json(), "checks"), expected);
    let mut client = Client::of(&place);
    for (tool, list, question) in
        [("snapshots", "snapshots", json!({})), ("verify", "checks", json!({"all": true}))]
    {
        let mut paged = Vec::new();
        let mut question = question;
        question["limit"] = 3.into();
        loop {
            let page = client.answer(tool, question.clone());
            paged.extend(ids(&page, list));
            question["cursor"] = page["next_cursor"].clone();
            if question["cursor"].is_null() {
                break;
            }
        }
        paged.dedup();
        assert_eq!(paged, expected, "{tool}");
    }
}

// Promise: each way to name a snapshot takes the documented one, and dates, ages and `previous` see published ones only.
#[tokio::test]
async fn every_way_to_name_a_snapshot_takes_the_right_one() {
    let (place, ids) = place();
    for (name, index) in [
        ("latest", 2),
        ("previous", 1),
        (ids[0].as_str(), 0),
        (ids[3].as_str(), 3),
        ("20261108", 1),
        ("2026110", 0),
        // The run of the 8th was completed at 12:01.
        ("2026-11-07", 0),
        ("2026-11-08", 1),
        ("2026-11-24", 2),
        // It is noon of the 25th.
        ("-1h", 2),
        ("-4d", 2),
        ("-6d", 1),
        ("-23d", 0),
    ] {
        let expected = if name == "2026110" { "ambiguous" } else { ids[index].as_str() };
        let answer = place.ask(&["--snapshot", name, "who", "nobody"]).await;
        if expected == "ambiguous" {
            assert_eq!(answer.error_type(2), "InvalidEvent");
        } else {
            assert_eq!(answer.json()["snapshot"]["snapshot_id"], expected, "{name}");
        }
    }
}

// Promise: a snapshot that was completed in the last millisecond of a day belongs to it, one of midnight does not.
#[tokio::test]
async fn a_day_ends_at_midnight() {
    let place = Place::new();
    let mut last = SnapshotBuilder::on_day(9);
    last.manifest.completed_at = "2026-11-09T23:59:59.999Z".parse().unwrap();
    let last = place.publish(&last);
    let mut midnight = SnapshotBuilder::on_day(10).after(&last);
    midnight.manifest.completed_at = "2026-11-11T00:00:00.000Z".parse().unwrap();
    let midnight = place.publish(&midnight);
    for (date, expected) in
        [("2026-11-09", last.id()), ("2026-11-10", last.id()), ("2026-11-11", midnight.id())]
    {
        let answer = place.ask(&["--snapshot", date, "who", "nobody"]).await;
        assert_eq!(answer.json()["snapshot"]["snapshot_id"], expected, "{date}");
    }
}

// Promise: an age of exactly that long is old enough.
#[tokio::test]
async fn an_age_includes_its_last_moment() {
    let (mut place, ids) = place();
    place.now = "2026-11-20T13:01:00.000Z".parse().unwrap();
    let taken =
        async |place: &Place| place.ask(&["--snapshot", "-1h", "who", "nobody"]).await.json();
    assert_eq!(taken(&place).await["snapshot"]["snapshot_id"], ids[2].as_str());
    place.now = "2026-11-20T13:00:59.999Z".parse().unwrap();
    assert_eq!(taken(&place).await["snapshot"]["snapshot_id"], ids[1].as_str());
}

// Promise: a snapshot that is not there is exit status 2, and nothing is answered in its place.
#[tokio::test]
async fn a_snapshot_that_is_not_there_is_not_found() {
    let (place, _) = place();
    for name in ["20270101", "2026-10-31", "-25d"] {
        let answer = place.ask(&["--snapshot", name, "who", "nobody"]).await;
        assert_eq!(answer.error_type(2), "SnapshotNotFound", "{name}");
    }
    let empty = Place::new();
    assert_eq!(empty.ask(&["snapshots"]).await.error_type(2), "SnapshotNotFound");
    empty.publish(&SnapshotBuilder::on_day(1));
    let answer = empty.ask(&["--snapshot", "previous", "who", "nobody"]).await;
    assert_eq!(answer.error_type(2), "SnapshotNotFound");
}

/// Questions about a snapshot that is named by when it was published.
const BY_TIME: [&[&str]; 7] = [
    &["diff"],
    &["diff", "2026-10-01"],
    &["--snapshot", "previous", "holders"],
    &["--snapshot", "-1d", "holders"],
    &["verify", "previous"],
    &["verify", "2026-10-01"],
    &["verify", "-1d"],
];

// Promise: where nothing is published, whatever is asked for, the error says that the place may be the wrong one.
#[tokio::test]
async fn an_empty_place_is_named_whatever_is_asked_for() {
    let place = Place::new();
    for question in BY_TIME.into_iter().chain([&["history", "user_1"][..], &["stats"]]) {
        let answer = place.ask(question).await;
        assert_eq!(answer.error_type(2), "SnapshotNotFound");
        let says = "there is no published snapshot in ";
        let is_said = answer.stderr.contains(says) && answer.stderr.contains("check --url");
        assert!(is_said, "{question:?}: {answer:?}");
    }
}

// Promise: where one snapshot alone is published, what needs the one before it says so, and when there will be one.
#[tokio::test]
async fn a_first_snapshot_has_none_before_it() {
    let place = Place::new();
    place.publish(&SnapshotBuilder::on_day(1));
    for question in [BY_TIME[0], BY_TIME[2], BY_TIME[4]] {
        let answer = place.ask(question).await;
        assert_eq!(answer.error_type(2), "SnapshotNotFound");
        for says in ["only one snapshot is published in ", "run clerk-sync sync again later"] {
            assert!(answer.stderr.contains(says), "{question:?}: {answer:?}");
        }
    }
}

// Promise: a manifest that is not the one that was published is exit status 6, also if it is asked for by its id.
#[tokio::test]
async fn a_forged_manifest_is_damage() {
    let (place, ids) = place();
    let key = format!("snapshots/{}/manifest.json", ids[1]);
    let manifest = std::fs::read_to_string(place.path(&key)).unwrap();
    place.write(&key, manifest.replace("ins_1", "ins_2").as_bytes());
    for arguments in [&["snapshots"][..], &["--snapshot", &ids[1], "who", "nobody"]] {
        assert_eq!(place.ask(arguments).await.error_type(6), "SnapshotDamaged");
    }
    place.write("latest.json", b"{\"snapshot_id\":");
    assert_eq!(place.ask(&["snapshots"]).await.error_type(6), "SnapshotDamaged");
    std::fs::remove_file(place.path("latest.json")).unwrap();
    std::fs::remove_dir_all(place.path("snapshots")).unwrap();
    assert_eq!(place.ask(&["snapshots"]).await.error_type(2), "SnapshotNotFound");
}

// Promise: the chain ends where older snapshots were removed, without an error.
#[tokio::test]
async fn removed_snapshots_end_the_chain() {
    let (place, ids) = place();
    std::fs::remove_dir_all(place.path(&format!("snapshots/{}", ids[1]))).unwrap();
    let answer = place.ask(&["snapshots"]).await.answered();
    let listed = answer["snapshots"].as_array().unwrap();
    let published: Vec<_> =
        listed.iter().map(|entry| entry["published"].as_bool().unwrap()).collect();
    assert_eq!(
        published,
        [false, true, false],
        "what is behind the gap is not known to be published"
    );
}

// Promise: a damaged manifest that is not published hides no other snapshot, and is told.
#[tokio::test]
async fn a_damaged_snapshot_hides_no_other() {
    let (place, ids) = place();
    let key = format!("snapshots/{}/manifest.json", ids[3]);
    place.write(&key, b"{}");
    let answer = place.ask(&["snapshots"]).await;
    assert_eq!(answer.status, 6, "{answer:?}");
    assert!(answer.stderr.contains(&ids[3]), "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["snapshots"].as_array().unwrap().len(), 3);
    assert_eq!(answer["damaged"][0]["snapshot_id"], ids[3].as_str());
}
