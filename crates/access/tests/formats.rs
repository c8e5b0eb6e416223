//! The formats of answers.

use std::io::Read as _;

use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, records};

use crate::support::Place;
use crate::world::World;

/// A user of each name, who are members of one organization.
fn named(names: &[&str]) -> Place {
    let ids: Vec<_> = (0..names.len()).map(|number| format!("user_{number}")).collect();
    let users = ids.iter().zip(names).map(|(id, name)| {
        let mut user = records::user(id);
        user["display_name"] = (*name).into();
        user
    });
    let grants = ids.iter().map(|id| records::member_grant("org_1", id, &format!("orgmem_{id}")));
    let snapshot = SnapshotBuilder::on_day(20)
        .with(Dataset::Users, users)
        .with(Dataset::Organizations, [records::organization("org_1", "Acme")])
        .with(Dataset::OrganizationRoles, [])
        .with(Dataset::Grants, grants);
    let place = Place::new();
    place.publish(&snapshot);
    place
}

/// The names of a CSV answer, without the line of column names.
fn names_of(csv: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader.records().map(|record| record.unwrap()[1].to_owned()).collect()
}

const FORMULAS: [&str; 6] = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"];

// Promise: a cell that a sheet would take for a formula is written with a quote before it, and no other cell.
#[tokio::test]
async fn formulas_are_guarded_in_csv() {
    let place = named(&FORMULAS);
    let answer = place.ask(&["holders", "-o", "csv"]).await;
    let mut expected: Vec<_> = FORMULAS.iter().map(|formula| format!("'{formula}")).collect();
    let mut names = names_of(&answer.stdout);
    expected.sort();
    names.sort();
    assert_eq!(names, expected);
    let plain = ["a=1", " =1", "'=1", "1+1"];
    let mut names = names_of(&named(&plain).ask(&["holders", "-o", "csv"]).await.stdout);
    names.sort();
    let mut expected = plain.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

// Promise: every value comes back from CSV as it is in JSON, whatever it holds.
#[tokio::test]
async fn csv_gives_every_value_back() {
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    let csv = place.ask(&["holders", "-o", "csv"]).await.stdout;
    let json = place.ask(&["holders"]).await.answered();
    let rows = json["holders"].as_array().unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let expected = "user_id,display_name,primary_email,status,organization_id,organization_name,organization_slug,\
                    role_id,role_key,role_name,membership_id,since";
    assert_eq!(columns.iter().collect::<Vec<_>>().join(","), expected);
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), rows.len());
    for (record, row) in records.iter().zip(rows) {
        let name = row["user"]["display_name"].as_str().unwrap();
        assert_eq!(record[1].strip_prefix('\'').unwrap_or(&record[1]), name);
        assert_eq!(&record[8], row["role"]["key"].as_str().unwrap_or_default());
        assert_eq!(&record[10], row["membership_id"].as_str().unwrap());
    }
}

// Promise: NDJSON has the records of the document, a line each, and the envelope in the last line.
#[tokio::test]
async fn ndjson_ends_in_the_envelope() {
    let place = Place::new();
    let stored = place.publish(&World::new().snapshot(20));
    let document = place.ask(&["holders"]).await.answered();
    let ndjson = place.ask(&["holders", "-o", "ndjson"]).await;
    let mut lines: Vec<serde_json::Value> =
        ndjson.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    assert_eq!(last["snapshot"], document["snapshot"]);
    assert_eq!(last["complete"], true);
    assert!(last["holders"].is_null());
    assert_eq!(serde_json::Value::Array(lines), document["holders"]);
    let facts = &document["snapshot"];
    assert_eq!(facts["snapshot_id"], stored.id());
    assert_eq!(facts["manifest_sha256"], stored.manifest_sha256.to_string());
    assert_eq!(facts["instance"]["id"], "ins_1");
    let keys: Vec<_> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["snapshot", "complete", "incomplete", "command", "holders"]);
    assert_eq!(document["command"].as_array().unwrap().last().unwrap(), "holders");
}

// Promise: on a terminal nothing moves the cursor, colours, or reorders text.
#[tokio::test]
async fn a_terminal_shows_what_could_deceive() {
    let mut place = named(&["\u{202e}evil", "\u{1b}[2J", "a\nb", "\u{61c}c", "\u{2066}d"]);
    place.terminal = Some(100);
    let answer = place.ask(&["holders"]).await;
    assert_eq!(answer.status, 0);
    for shown in ["\\u{202e}evil", "\\u{1b}[2J", "a\\u{a}b", "\\u{61c}c", "\\u{2066}d"] {
        assert!(answer.stdout.contains(shown), "{shown}: {}", answer.stdout);
    }
    let deceives = |character: char| {
        character != '\n'
            && (character.is_control() || "\u{202e}\u{61c}\u{2066}".contains(character))
    };
    assert!(!answer.stdout.contains(deceives));
}

// Promise: on a terminal no format has a character that it acts on; elsewhere each passes on what the records say, byte
// for byte.
#[tokio::test]
async fn only_a_terminal_changes_what_could_deceive() {
    const NAME: &str = "\u{202e}\u{7f}\u{85}\u{61c}x";
    let deceives =
        |character: char| character != '\n' && NAME.contains(character) && character != 'x';
    let mut place = named(&[NAME]);
    for question in
        [["holders", "-o", "json"], ["holders", "-o", "ndjson"], ["export", "users", "-ocsv"]]
    {
        place.terminal = Some(100);
        let answer = place.ask(&question).await;
        assert!(!answer.stdout.contains(deceives), "{question:?}: {answer:?}");
        if question[2] == "json" {
            assert_eq!(answer.json()["holders"][0]["user"]["display_name"], NAME);
        }
        place.terminal = None;
        let answer = place.ask(&question).await;
        assert!(answer.stdout.contains(NAME), "{question:?}: {answer:?}");
    }
}

// Promise: a cell that nobody would read is cut in a table, and nowhere else.
#[tokio::test]
async fn a_table_cuts_what_is_too_long() {
    let name = "x".repeat(70_000);
    let mut place = named(&[&name]);
    place.terminal = Some(100);
    let answer = place.ask(&["holders"]).await;
    assert_eq!(answer.status, 0);
    let shown = answer.stdout.matches('x').count();
    assert!((1_000..10_000).contains(&shown), "{shown}");
    place.terminal = None;
    assert_eq!(place.ask(&["holders"]).await.json()["holders"][0]["user"]["display_name"], *name);
}

// Promise: --out replaces a file and nothing else: a link stays a link, a pipe is written to, permissions stay.
#[tokio::test]
async fn out_replaces_nothing_but_files() {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    let place = named(&["Ada"]);
    let (file, link) = (place.path("answer.csv"), place.path("link.csv"));
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let write = async |path: &std::path::Path| {
        place.ask(&["holders", "-o", "csv", "--out", path.to_str().unwrap()]).await
    };
    assert_eq!(write(&link).await.status, 0);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(std::fs::read_to_string(&file).unwrap().contains("Ada"));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);

    let pipe = place.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    assert_eq!(write(&pipe).await.status, 0);
    assert!(reader.join().unwrap().contains("Ada"));
    assert!(pipe.metadata().unwrap().file_type().is_fifo());

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o440)).unwrap();
    let refused = write(&file).await;
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("Ada"));
}

// Promise: a table is not wider than the terminal, and one for a pipe wraps nothing.
#[tokio::test]
async fn a_table_fits_the_terminal() {
    let name = "A very long name that does not fit into a narrow terminal at all";
    let mut place = named(&[name]);
    for width in [60, 100] {
        place.terminal = Some(width);
        let answer = place.ask(&["holders"]).await;
        let table = answer.stdout.lines().filter(|line| line.starts_with(['│', '┌', '└']));
        let widest = table.map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width), "{widest}: {}", answer.stdout);
    }
    place.terminal = None;
    assert!(place.ask(&["holders", "-o", "table"]).await.stdout.contains(name));
}

// Promise: a workbook holds formulas as text, and says which snapshot it was made from; it needs a file.
#[tokio::test]
async fn a_workbook_holds_text() {
    let place = named(&FORMULAS);
    let stored = place.ask(&["snapshots"]).await.answered()["snapshot"]["snapshot_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let refused = place.ask(&["holders", "-o", "xlsx"]).await;
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("--out"), "{refused:?}");
    let file = place.path("answer.xlsx");
    let write = async || {
        let answer = place.ask(&["holders", "--out", file.to_str().unwrap()]).await;
        assert_eq!((answer.status, answer.stdout.as_str()), (0, ""));
        assert!(answer.stderr.contains(&stored));
        std::fs::read(&file).unwrap()
    };
    let workbook = write().await;
    let rows = sheet(&workbook, 2);
    for formula in ["=1+1", "+1", "-1", "@SUM(A1)"] {
        assert!(
            rows.contains(&format!("t=\"inlineStr\"><is><t>{formula}</t>")),
            "{formula}: {rows}"
        );
    }
    assert!(!rows.contains("<f>"));
    assert!(sheet(&workbook, 1).contains(&stored));
    assert_eq!(workbook, write().await, "the same answer is the same file");
}

fn sheet(workbook: &[u8], number: u32) -> String {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(workbook)).unwrap();
    let mut text = String::new();
    archive
        .by_name(&format!("xl/worksheets/sheet{number}.xml"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

// Promise: the file has the answer that standard output would have, for its owner's eyes only.
#[tokio::test]
async fn a_file_holds_the_same_answer() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.publish(&World::new().snapshot(20));
    for (name, format) in
        [("a.csv", "csv"), ("a.ndjson", "ndjson"), ("a.json", "json"), ("a.txt", "table")]
    {
        let file = place.path(name);
        let path = file.to_str().unwrap();
        let written = place.ask(&["holders", "-o", format, "--out", path]).await;
        assert_eq!((written.status, written.stdout.as_str()), (0, ""), "{format}");
        let without_command =
            |text: &str| text.lines().filter(|line| !line.contains("\"command\"")).count();
        let answer = place.ask(&["holders", "-o", format]).await;
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(without_command(&text), without_command(&answer.stdout));
        if !format.contains("json") {
            assert_eq!(text, answer.stdout);
        }
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
