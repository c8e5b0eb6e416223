//! What is stored and is not what was written.

use clerk_snapshot::compression::Compression;
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::Stored;

use crate::support::Place;
use crate::world::World;

const QUESTIONS: [&[&str]; 4] =
    [&["who", "user_007"], &["can", "org:sys_memberships:read"], &["holders"], &["access"]];

fn place() -> (Place, Stored) {
    let place = Place::new();
    let stored = place.publish(&World::new().snapshot(20));
    (place, stored)
}

async fn is_damaged(place: &Place) {
    for question in QUESTIONS {
        for format in ["json", "ndjson"] {
            let answer = place.ask(&[question, &["-o", format]].concat()).await;
            assert_eq!(answer.error_type(6), "SnapshotDamaged", "{question:?}");
            assert_eq!(answer.stdout.lines().count(), 1, "nothing is answered beside the error");
        }
        let table = place.ask(&[question, &["-o", "table"]].concat()).await;
        assert_eq!((table.status, table.stdout.as_str()), (6, ""), "{table:?}");
    }
}

// Promise: every part that is read is held against its checksum, wherever in the dataset it is.
#[tokio::test]
async fn a_changed_part_is_damage() {
    for dataset in [Dataset::Users, Dataset::Grants] {
        let (place, stored) = place();
        let parts = stored.manifest.datasets[&dataset].parts.len();
        let key = stored.part_key(dataset, parts - 1);
        let mut bytes = std::fs::read(place.path(&key)).unwrap();
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        place.write(&key, &bytes);
        is_damaged(&place).await;
    }
}

// Promise: so are a part that is cut short, one that is missing, and another one in its place.
#[tokio::test]
async fn a_cut_missing_or_replaced_part_is_damage() {
    for change in ["cut", "missing", "replaced"] {
        let (place, stored) = place();
        let key = stored.part_key(Dataset::Grants, 0);
        let bytes = std::fs::read(place.path(&key)).unwrap();
        match change {
            "cut" => place.write(&key, &bytes[..bytes.len() - 1]),
            "missing" => std::fs::remove_file(place.path(&key)).unwrap(),
            _ => place.write(
                &key,
                &std::fs::read(place.path(&stored.part_key(Dataset::Grants, 1))).unwrap(),
            ),
        }
        is_damaged(&place).await;
    }
}

// Promise: a part that somebody changed, and that is still whole and as long as before, is damage.
#[tokio::test]
async fn a_forged_part_is_damage() {
    for dataset in [Dataset::Users, Dataset::Grants] {
        let mut snapshot = World::new().snapshot(20);
        snapshot.manifest.compression = Compression::None;
        snapshot.lines_per_part = 1_000;
        let place = Place::new();
        let stored = place.publish(&snapshot);
        let key = stored.part_key(dataset, 0);
        let text = std::fs::read_to_string(place.path(&key)).unwrap();
        place.write(&key, text.replace("user_007", "user_077").as_bytes());
        is_damaged(&place).await;
    }
}

// Promise: an intact part whose lines are not records of the dataset is damage, too.
#[tokio::test]
async fn a_line_that_is_no_record_is_damage() {
    for dataset in [Dataset::Users, Dataset::Grants] {
        let mut snapshot = World::new().snapshot(20);
        snapshot.lines.get_mut(&dataset).unwrap().push("{\"id\":\"\\u0075ser_007\"}".to_owned());
        let place = Place::new();
        place.publish(&snapshot);
        is_damaged(&place).await;
    }
}

// Promise: an error makes no file, and leaves an older one of that name alone.
#[tokio::test]
async fn an_error_leaves_the_file_alone() {
    let (place, stored) = place();
    place.write("answer.csv", b"older");
    std::fs::remove_file(place.path(&stored.part_key(Dataset::Users, 0))).unwrap();
    let file = place.path("answer.csv");
    let answer = place.ask(&["holders", "--out", file.to_str().unwrap()]).await;
    assert_eq!(answer.status, 6);
    assert_eq!(std::fs::read(&file).unwrap(), b"older");
    let files = std::fs::read_dir(place.folder.path()).unwrap();
    let names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.starts_with(".clerk-access")), "{names:?}");
}
