//! What the commands say of a snapshot that clerk-sync is removing (`KEEP_SNAPSHOTS`): it is gone, and not damaged.

use clerk_snapshot::layout::{manifest_key, manifest_signature_key, removal_key};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, Stored, records};
use serde_json::{Value, json};

use crate::support::Place;

fn snapshot(day: u32, users: &[&str]) -> SnapshotBuilder {
    let users = users.iter().map(|user| records::user(user));
    SnapshotBuilder::on_day(day).with(Dataset::Users, users).with(Dataset::Grants, [])
}

/// Three published snapshots. Of the first, the second and so on as many are being removed: their users are gone.
fn place(going: usize) -> (Place, [Stored; 3]) {
    let place = Place::new();
    let first = place.publish(&snapshot(1, &["ada"]));
    let second = place.publish(&snapshot(2, &["ada", "bob"]).after(&first));
    let third = place.publish(&snapshot(3, &["bob"]).after(&second));
    let all = [first, second, third];
    for stored in &all[..going] {
        place.write(&removal_key(stored.id()), b"{}");
        std::fs::remove_file(place.path(&stored.part_key(Dataset::Users, 0))).unwrap();
    }
    (place, all)
}

// Promise: whoever asks about a snapshot that is being removed is told that it is, with the exit status of one that is
// not there.
#[tokio::test]
async fn a_snapshot_that_is_being_removed_is_not_found() {
    let (place, [first, second, _]) = place(1);
    for arguments in [
        &["verify", first.id()][..],
        &["diff", first.id(), second.id()],
        &["--snapshot", first.id(), "who", "ada"],
        &["--snapshot", first.id(), "export", "users", "--format", "ndjson"],
    ] {
        let answer = place.ask(arguments).await;
        assert_eq!(answer.error_type(2), "SnapshotNotFound", "{arguments:?}");
        assert!(answer.stderr.contains("its snapshot is being removed"), "{answer:?}");
    }
    // What is there of the others is answered.
    assert_eq!(place.ask(&["verify", second.id()]).await.status, 0);
    assert_eq!(place.ask(&["diff"]).await.answered()["from"]["snapshot_id"], second.id());
}

// Promise: among all snapshots, one that is being removed is told, and is no damage.
#[tokio::test]
async fn it_is_told_among_all_of_them() {
    let (place, [first, ..]) = place(1);
    let answer = place.ask(&["verify", "--all"]).await.answered();
    let checks = answer["checks"].as_array().unwrap();
    let of_first: Vec<&Value> =
        checks.iter().filter(|check| check["snapshot_id"] == first.id()).collect();
    assert_eq!(of_first.len(), 1, "{of_first:?}");
    assert_eq!((&of_first[0]["check"], &of_first[0]["ok"]), (&"removal".into(), &true.into()));
    assert!(checks.iter().all(|check| check["ok"] == true), "{checks:?}");

    let listed = place.ask(&["snapshots"]).await;
    assert!(listed.stderr.contains(&format!("{} is being removed", first.id())), "{listed:?}");
    let listed = listed.answered();
    assert_eq!(listed["removing"], json!([first.id()]));
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 3);
}

// Promise: history and growth end where snapshots are being removed, as they end where snapshots are gone.
#[tokio::test]
async fn history_and_growth_end_before_it() {
    let (place, [_, second, _]) = place(1);
    let history = place.ask(&["history", "ada"]).await.json();
    assert_eq!(history["from"]["snapshot_id"], second.id(), "{history}");
    assert_eq!(history["changes"].as_array().unwrap().len(), 1, "{history}");

    let (place, _) = self::place(2);
    let stats = place.ask(&["stats"]).await;
    assert!([0, 5].contains(&stats.status), "{stats:?}");
    assert_eq!(stats.json()["from"], Value::Null);
    let history = place.ask(&["history", "ada"]).await;
    assert_eq!(history.json()["changes"], json!([]), "{history:?}");
}

// Promise: a file that is missing for any other reason is damage, and so is one of the newest snapshot, whatever a file
// below `removing/` says.
#[tokio::test]
async fn what_is_missing_otherwise_is_damage() {
    let (place, [first, second, third]) = place(1);
    std::fs::remove_file(place.path(&removal_key(first.id()))).unwrap();
    assert_eq!(
        place.ask(&["diff", first.id(), second.id()]).await.error_type(6),
        "SnapshotDamaged"
    );
    for arguments in [&["verify", first.id()][..], &["verify", "--all"]] {
        let answer = place.ask(arguments).await;
        assert_eq!(answer.status, 6, "{answer:?}");
        assert!(answer.stdout.contains(&first.part_key(Dataset::Users, 0)), "{answer:?}");
    }
    place.write(&removal_key(third.id()), b"{}");
    std::fs::remove_file(place.path(&third.part_key(Dataset::Users, 0))).unwrap();
    let answer = place.ask(&["verify"]).await;
    assert_eq!(answer.status, 6, "{answer:?}");
    assert!(answer.stdout.contains(&third.part_key(Dataset::Users, 0)), "{answer:?}");
    // A part that is there and was changed is damage also while its snapshot is being removed.
    place.write(&removal_key(second.id()), b"{}");
    place.write(&second.part_key(Dataset::Users, 0), b"changed");
    assert_eq!(place.ask(&["verify", second.id()]).await.status, 6);
}

// Promise: a signature that went before the parts is no fault of a snapshot that is being removed.
#[tokio::test]
async fn a_signature_that_went_first_is_no_damage() {
    let (place, [first, second, _]) = place(0);
    let key = p256::ecdsa::SigningKey::from_slice(&[1; 32]).unwrap();
    let public = p256::ecdsa::VerifyingKey::from(&key);
    let public = p256::pkcs8::EncodePublicKey::to_public_key_der(&public).unwrap();
    place.write("public.der", public.as_bytes());
    let verify = async |id: &str| place.ask(&["verify", id, "--public-key", "public.der"]).await;
    assert!(!place.path(&manifest_signature_key(second.id())).exists());
    assert_eq!(verify(second.id()).await.status, 6);
    place.write(&removal_key(first.id()), b"{}");
    assert_eq!(verify(first.id()).await.error_type(2), "SnapshotNotFound");
    assert!(place.path(&manifest_key(first.id())).exists(), "its manifest is still there");
}
