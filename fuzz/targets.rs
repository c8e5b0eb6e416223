//! What the fuzzer throws bytes at: one function for each parser of bytes that come from outside.
//!
//! Each says more than "no panic": what was read is what an independent reading of the same bytes
//! gives, what is written is read again, and no error shows what it was given. The ordinary tests
//! include this file as well and replay the corpus (`tests/fuzz.rs`).

#![allow(unreachable_pub, reason = "public for the fuzzer's programs, a module in the tests")]
#![allow(clippy::expect_used, clippy::panic, reason = "a broken assumption is a finding")]

#[path = "snapshots.rs"]
mod snapshots;

use std::error::Error;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use clerk_snapshot::buffers::Buffers;
use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_store::SnapshotUrl;
use clerk_sync::clerk::error::Refusal;
use clerk_sync::clerk::gunzip::gunzip;
use clerk_sync::clerk::retry::{MAX_RETRY_AFTER, retry_after};
use clerk_sync::clerk::wire::{Instance, TotalCount, decode_object};
use clerk_sync::config::{Config, Environment, Place};
use clerk_sync::event::Event;
use clerk_sync::lists::endpoint::{Endpoint, Order, Paging, Phase};
use clerk_sync::lists::page::{PageContext, PageError, ReadPage};
use clerk_sync::lists::table::{ENDPOINTS, endpoint};
use clerk_sync::redaction::Redaction;
use clerk_sync::secret_source::KeyPlace;
use clerk_sync::sync::checkpoint::document::Checkpoint;
use clerk_sync::sync::checkpoint::validate::UnreadableCheckpoint;
use clerk_sync::sync::state::{PublishedCounts, latest as read_latest};
use clerk_sync::translate::{MetadataBags, Role, RoleCatalogue, Translation};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use time::OffsetDateTime;

pub use snapshots::{chain, comparison, part_lines};

/// A target's name, which is that of its folder in `corpus/` and of its program in `fuzz_targets/`,
/// and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("users", users),
    ("organizations", organizations),
    ("organization_roles", organization_roles),
    ("organization_permissions", organization_permissions),
    ("organization_memberships", organization_memberships),
    ("further_lists", further_lists),
    ("error_body", error_body),
    ("gzip", gzip),
    ("instance", instance),
    ("count", count),
    ("checkpoint", checkpoint),
    ("manifest", manifest),
    ("latest", latest),
    ("chain", chain),
    ("part_lines", part_lines),
    ("comparison", comparison),
    ("event", event),
    ("secret", secret),
    ("retry_after", retry_after_header),
    ("settings", settings),
];

// Clerk's lists, and the lines that their rows become. The first byte chooses the settings, the rest
// is the body.

/// A page of `/users`.
pub fn users(data: &[u8]) {
    list(endpoint(Resource::Users), data);
}

/// A page of `/organizations`.
pub fn organizations(data: &[u8]) {
    list(endpoint(Resource::Organizations), data);
}

/// A page of `/organization_roles`.
pub fn organization_roles(data: &[u8]) {
    list(endpoint(Resource::OrganizationRoles), data);
}

/// A page of `/organization_permissions`.
pub fn organization_permissions(data: &[u8]) {
    list(endpoint(Resource::OrganizationPermissions), data);
}

/// A page of `/organization_memberships`.
pub fn organization_memberships(data: &[u8]) {
    list(endpoint(Resource::OrganizationMemberships), data);
}

/// A page of one of the other lists: the very first byte says of which.
pub fn further_lists(data: &[u8]) {
    let Some((&number, data)) = data.split_first() else { return };
    let lists: Vec<_> = ENDPOINTS.iter().filter(|it| is_further(it) && it.is_read()).collect();
    list(lists[usize::from(number) % lists.len()], data);
}

fn is_further(endpoint: &Endpoint) -> bool {
    endpoint.phase >= Phase::Others
}

fn list(endpoint: &Endpoint, data: &[u8]) {
    let Some((&settings, body)) = data.split_first() else { return };
    let context = context(endpoint, settings);
    match endpoint.read(body, &context) {
        Err(error @ PageError::Page(_)) => assert_discreet(&error, body),
        // Names the row by its id.
        Err(error @ PageError::Row(_)) => assert_fit_for_a_log(&with_causes(&error)),
        Ok(page) => {
            assert_json(body);
            if let Ok(value) = serde_json::from_slice(body) {
                assert_rows_of(&value, &page, endpoint);
            }
            assert_lines(body, &page, &context);
        }
    }
}

fn context(endpoint: &Endpoint, settings: u8) -> PageContext {
    let is_set = |bit: u8| settings & 1 << bit != 0;
    let role = |id: &str, key: &str| Role { id: id.to_owned(), key: key.to_owned(), name: None };
    let roles = vec![role("role_1", "org:admin"), role("role_2", "org:member")];
    let include_raw = is_set(0);
    let everything = || Redaction::new(Personal::ALL.into(), None);
    let translation = Translation {
        include_raw,
        metadata: MetadataBags { public: is_set(1), private: is_set(2), unsafe_: is_set(3) },
        redaction: (is_set(4) && !include_raw).then(everything),
        roles: RoleCatalogue::from(roles),
    };
    let datasets = endpoint.destinations.iter().map(|destination| destination.dataset).collect();
    PageContext { translation, datasets, id_index: Arc::default(), buffers: Buffers::default() }
}

/// The year 0, in milliseconds since 1970.
const EARLIEST: i64 = -62_167_219_200_000;

/// The page is what a parser that knows nothing of Clerk finds.
fn assert_rows_of(body: &Value, page: &ReadPage, endpoint: &Endpoint) {
    // Other lists may say of their rows when they were created, and may not.
    let is_dated =
        matches!(endpoint.paging, Paging::Cursor { .. } | Paging::Offset(Order::Creation));
    let rows = body.as_array().or_else(|| body["data"].as_array()).expect("a list of rows");
    assert_eq!(page.rows.len(), rows.len());
    assert_eq!(page.total, body.get("total_count").and_then(Value::as_u64));
    for (index, (read, row)) in page.rows.iter().zip(rows).enumerate() {
        assert_eq!(Some(read.key.id.as_str()), row["id"].as_str());
        let created_at = &row["created_at"];
        let created_at = created_at.as_i64().or(created_at.as_f64().map(|it| it.floor() as i64));
        let created_at = created_at.map(|it| it.max(EARLIEST));
        assert!(!is_dated || (created_at.is_some() && read.key.created_at == created_at));
        // They are told in the log, and stand in the checkpoint: no word in them is the server's.
        let is_of_ours = |byte: u8| byte.is_ascii_lowercase() || b"_.3".contains(&byte);
        assert!(read.unreadable.iter().all(|field| field.bytes().all(is_of_ours)));
        assert!(!read.key.id.is_empty());
        // Of a row that is shown again nothing is written.
        assert!(read.kept || page.rows[..index].iter().any(|before| before.key == read.key));
    }
}

/// Names of credentials: no line holds a field of such a name, but inside of metadata.
const WITHHELD: [&str; 16] = [
    "backup_codes",
    "url",
    "secret",
    "secret_key",
    "client_secret",
    "private_key",
    "signing_key",
    "certificate",
    "idp_certificate",
    "token",
    "token_secret",
    "access_token",
    "refresh_token",
    "id_token",
    "ticket",
    "external_verification_redirect_url",
];

fn assert_lines(body: &[u8], page: &ReadPage, context: &PageContext) {
    let rows: Option<Vec<Value>> = serde_json::from_slice(body).ok().and_then(rows);
    for (place, &dataset) in context.datasets.iter().enumerate() {
        let lines: Vec<&[u8]> = page.records.lines(dataset).collect();
        let counted: u32 = page.rows.iter().map(|row| row.lines[place]).sum();
        assert_eq!(lines.len(), counted as usize);
        if page.rows.iter().all(|row| row.kept) {
            assert_eq!(page.kept_lines(place, dataset), lines.concat());
        }
        for line in &lines {
            let (last, line) = line.split_last().expect("no line is empty");
            assert_eq!(*last, b'\n');
            assert!(!line.iter().any(|byte| matches!(byte, b'\n' | b'\r')), "a line is one line");
            assert_json(line);
            if let Ok(line) = serde_json::from_slice(line) {
                assert_record(&line, context.translation.metadata);
            }
        }
        let Some(rows) = rows.as_ref().filter(|_| is_of_resources(dataset)) else { continue };
        for ((line, row), read) in lines.iter().zip(rows).zip(&page.rows) {
            let line: Value = serde_json::from_slice(line).expect("as deep as the row it is from");
            let url = dataset == Dataset::RedirectUrls;
            let asked = Asked { bags: context.translation.metadata, url };
            let raw = without_withheld(row.clone(), asked);
            let is_given_up = read.unreadable.iter().any(|field| field == "raw");
            let raw = if is_given_up { &Value::Null } else { &raw };
            assert_eq!(line.get("raw"), context.translation.include_raw.then_some(raw));
        }
    }
}

fn rows(body: Value) -> Option<Vec<Value>> {
    match body {
        Value::Array(rows) => Some(rows),
        Value::Object(mut page) => page.remove("data").and_then(rows),
        _ => None,
    }
}

const fn is_of_resources(dataset: Dataset) -> bool {
    !matches!(dataset, Dataset::Entitlements | Dataset::Grants)
}

fn assert_record(line: &Value, asked: MetadataBags) {
    let kind = line["kind"].as_str().expect("a kind");
    assert!(["resource", "entitlement", "grant"].contains(&kind));
    assert!(line["id"].as_str().is_some_and(|id| !id.is_empty()));
    for moment in ["created_at", "updated_at"] {
        let moment = line.get(moment).and_then(Value::as_str);
        assert!(moment.is_none_or(|moment| moment.len() == 24 && moment.ends_with('Z')));
    }
    let profile = &line["profile"];
    assert_eq!(profile.get("private_metadata").is_some(), asked.private && has_bags(line));
    let asked = Asked { bags: asked, url: line["type"] == "redirect_url" };
    for name in WITHHELD {
        assert!(profile.get(name).is_none() || !is_withheld(name, asked), "a profile holds {name}");
    }
    assert_nothing_withheld(&line["raw"], asked);
}

/// What may be written for once.
#[derive(Clone, Copy)]
struct Asked {
    bags: MetadataBags,
    /// A redirect URL is one; elsewhere a `url` lets in whoever has it.
    url: bool,
}

/// These alone have private metadata.
fn has_bags(line: &Value) -> bool {
    let of = ["user", "organization", "organization_invitation"];
    line["kind"] == "resource" && of.iter().any(|it| line["type"] == *it)
}

fn assert_nothing_withheld(value: &Value, asked: Asked) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert!(!is_withheld(name, asked), "a record holds {name}");
                if !is_bag(name) {
                    assert_nothing_withheld(value, asked);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|it| assert_nothing_withheld(it, asked)),
        _ => {}
    }
}

/// The row less what must never be written out, made in another way than the program does.
fn without_withheld(value: Value, asked: Asked) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(name, _)| !is_withheld(name, asked))
                .map(|(name, value)| {
                    let value = if is_bag(&name) { value } else { without_withheld(value, asked) };
                    (name, value)
                })
                .collect::<Map<_, _>>(),
        ),
        Value::Array(values) => {
            values.into_iter().map(|value| without_withheld(value, asked)).collect()
        }
        value => value,
    }
}

fn is_bag(name: &str) -> bool {
    matches!(name, "public_metadata" | "private_metadata" | "unsafe_metadata")
}

fn is_withheld(name: &str, asked: Asked) -> bool {
    (WITHHELD.contains(&name) && !(name == "url" && asked.url))
        || (name == "private_metadata" && !asked.bags.private)
        || (name == "unsafe_metadata" && !asked.bags.unsafe_)
}

// Clerk's other answers.

/// The body of a 4xx.
pub fn error_body(data: &[u8]) {
    let refusal = Refusal::from_body(data);
    for word in refusal.code.iter().chain(&refusal.trace_id) {
        assert!((1..=100).contains(&word.len()));
        assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)));
        assert!(!looks_like_a_key(word), "{word}");
    }
    if refusal != Refusal::default() {
        assert_json(data);
    }
    assert_fit_for_a_log(&refusal.to_string());
}

/// Most bytes that a body may decompress to; the program's own bound would only make it slower.
const MOST: usize = 64 * 1024;

/// A compressed body.
pub fn gzip(data: &[u8]) {
    let mut independent = Vec::new();
    let read = flate2::bufread::MultiGzDecoder::new(data)
        .take(MOST as u64 + 1)
        .read_to_end(&mut independent);
    match (gunzip(data, MOST, &Buffers::default()), read) {
        (Ok(Some(bytes)), Ok(_)) => assert!(bytes == independent, "another body"),
        // What stands between the data and their checksum is passed over.
        (Ok(Some(bytes)), Err(_)) => {
            let (rest, size) = data.split_last_chunk::<4>().expect("a size");
            let (_, checksum) = rest.split_last_chunk::<4>().expect("a checksum");
            let mut crc = flate2::Crc::new();
            crc.update(&bytes);
            assert_eq!(
                (crc.sum(), crc.amount()),
                (u32::from_le_bytes(*checksum), u32::from_le_bytes(*size))
            );
        }
        (Ok(None), read) => assert!(read.is_err() || independent.len() > MOST),
        (Err(_), read) => assert!(read.is_err(), "a body that can be read"),
    }
}

/// `/instance`.
pub fn instance(data: &[u8]) {
    match decode_object::<Instance<'_>>(data) {
        Err(error) => assert_discreet(&error, data),
        Ok(instance) => {
            assert!(!instance.id.is_empty());
            if let Ok(value) = serde_json::from_slice::<Value>(data) {
                assert_eq!(value["id"], instance.id.as_str());
                assert_eq!(value["environment_type"], instance.environment_type.as_str());
            }
        }
    }
}

/// `/users/count`.
pub fn count(data: &[u8]) {
    match decode_object::<TotalCount>(data) {
        Err(error) => assert_discreet(&error, data),
        Ok(count) => {
            if let Ok(value) = serde_json::from_slice::<Value>(data) {
                assert_eq!(value["total_count"].as_u64(), Some(count.total_count));
            }
        }
    }
}

/// A `Retry-After`.
pub fn retry_after_header(data: &[u8]) {
    let Ok(value) = std::str::from_utf8(data) else { return };
    // 21 October 2015, 07:28:00, of the example in RFC 9110.
    let now = OffsetDateTime::from_unix_timestamp(1_445_412_480).expect("a moment");
    let wait = retry_after(value, now);
    assert!(wait.is_none_or(|wait| !wait.is_zero() && wait <= MAX_RETRY_AFTER));
    if let Ok(seconds) = value.trim().parse::<u32>() {
        let seconds = Duration::from_secs(seconds.into());
        assert_eq!(wait, Some(seconds.min(MAX_RETRY_AFTER)).filter(|wait| !wait.is_zero()));
    }
    // The later it is, the less is left to wait; and never a negative time.
    let later = retry_after(value, now + Duration::from_secs(1));
    assert!(later <= wait);
}

// What stands in the store.

/// `checkpoint.json`.
pub fn checkpoint(data: &[u8]) {
    match Checkpoint::from_json(data) {
        // Names the format, and not much of it.
        Err(error @ UnreadableCheckpoint::UnknownFormat(_)) => {
            assert_fit_for_a_log(&with_causes(&error));
        }
        Err(error) => assert_discreet(&error, data),
        Ok(checkpoint) => {
            let written = checkpoint.to_json().expect("a checkpoint can be written");
            let again = Checkpoint::from_json(&written).expect("what was written can be read");
            assert_eq!(again.to_json().expect("likewise"), written);
            let written: Value = serde_json::from_slice(&written).expect("JSON");
            assert_eq!(written["format"], "clerk-sync/checkpoint/4");
            if let Ok(given) = serde_json::from_slice::<Value>(data) {
                for field in ["snapshot_id", "revision", "config_fingerprint"] {
                    assert_eq!(written[field], given[field]);
                }
            }
        }
    }
}

/// `manifest.json`, as the guard reads it and as this program writes it.
pub fn manifest(data: &[u8]) {
    let counts = PublishedCounts::from_manifest(data);
    if let Err(error) = &counts {
        assert_discreet(error, data);
    }
    let Ok(manifest) = serde_json::from_slice::<Manifest>(data) else { return };
    let written = serde_json::to_vec(&manifest).expect("a manifest can be written");
    let again: Manifest = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&again).expect("likewise"), written);
    // Whoever can read all of it can read the counts; a dataset given twice counts once.
    let counts = counts.expect("the counts of a manifest");
    assert_eq!(counts.snapshot_id, manifest.snapshot_id);
    for (dataset, entry) in &manifest.datasets {
        assert!(counts.records.get(dataset.name()).is_none_or(|records| *records == entry.records));
    }
}

/// `latest.json`.
pub fn latest(data: &[u8]) {
    match read_latest(data) {
        Err(error) => assert_discreet(&error, data),
        Ok(latest) => {
            let written = serde_json::to_vec(&latest).expect("it can be written");
            assert_eq!(read_latest(&written).expect("what was written can be read"), latest);
        }
    }
}

// What this program is told.

/// An event.
pub fn event(data: &[u8]) {
    match Event::from_json(data) {
        Err(error) => {
            assert!(!error.problems().is_empty());
            assert_fit_for_a_log(&with_causes(&error));
        }
        Ok(event) => {
            let value: Value = serde_json::from_slice(data).expect("an event is JSON");
            assert!(value.is_object());
            // Of two sources, the scheduler's is the one that counts.
            if value.get("source").is_none() {
                assert_eq!(Event::from_value(&value).expect("the same event"), event);
            }
        }
    }
}

/// The value of a secret.
pub fn secret(data: &[u8]) {
    let Ok(value) = std::str::from_utf8(data) else { return };
    for field in [None, Some("production")] {
        let place = KeyPlace::new("clerk/production", field).expect("names, not keys");
        match place.key_in(value) {
            Err(error) => {
                assert_discreet(&error, data);
                // Shorter ones may be part of the names of its fields.
                if value.len() >= 24 {
                    assert_holds_no_text_of(&format!("{error:?}"), &Value::String(value.into()));
                }
            }
            Ok(key) => {
                assert!(looks_like_a_key(value) || value.contains("\\u"));
                let header = key.authorization();
                let bearer = header.to_str().expect("visible ASCII");
                let key = bearer.strip_prefix("Bearer ").expect("a bearer token");
                assert!(key.starts_with("sk_live_") || key.starts_with("sk_test_"));
                assert!(key.len() > 8 && key.bytes().all(|byte| byte.is_ascii_graphic()));
                assert!(header.is_sensitive());
            }
        }
    }
}

/// Settings, a line each, and `SNAPSHOT_URL` by itself.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(url) = text.trim().parse::<SnapshotUrl>() {
        let shown = url.to_string();
        assert_eq!(shown.parse(), Ok(url), "{shown}");
    }
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let environment = Environment::from_pairs(pairs);
    for place in [Place::Program, Place::Lambda] {
        match Config::from_environment(&environment, place) {
            Err(error) => {
                assert!(!error.problems().is_empty());
                for problem in error.problems() {
                    assert_fit_for_a_log(&problem.to_string());
                }
            }
            Ok(config) => {
                assert!(!config.resources.is_empty());
                assert!(config.clerk.rate_share > 0.0 && config.clerk.rate_share <= 1.0);
                assert!((0.0..=100.0).contains(&config.shrink_guard_percent));
                assert!(config.clerk.api_url.path().ends_with("/v1"));
                assert_eq!(
                    config.snapshot_url.to_string().parse(),
                    Ok(config.snapshot_url.clone())
                );
                let fingerprint = config.fingerprint(&config.resources);
                assert_eq!(fingerprint.len(), "sha256:".len() + 64);
            }
        }
    }
}

// What errors may say.

/// Longest text of an event's or a setting's problem, in bytes: it quotes some unknown names.
const LONGEST_SHOWN: usize = 16 * 1024;

/// Short enough for a log, on one line, with nothing that disguises it, and without a key.
fn assert_fit_for_a_log(shown: &str) {
    assert!(shown.len() <= LONGEST_SHOWN, "{} bytes", shown.len());
    let disturbs = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2066}'..='\u{2069}')
    };
    assert!(!shown.contains(disturbs), "{shown:?}");
    // To say how a key begins is fine.
    let shown = ["sk_live_…", "sk_test_…", "sk_live_ or sk_test_"]
        .iter()
        .fold(shown.to_owned(), |shown, beginning| shown.replace(beginning, ""));
    assert!(!looks_like_a_key(&shown), "{shown:?}");
}

fn with_causes(error: &dyn Error) -> String {
    let mut shown = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        shown = format!("{shown}: {cause}");
        next = cause.source();
    }
    shown
}

/// Longest text of an error that quotes nothing, in bytes.
const LONGEST_DISCREET: usize = 400;

/// Fit for a log, and nothing of what was given stands in it.
fn assert_discreet(error: &dyn Error, data: &[u8]) {
    let shown = with_causes(error);
    assert_fit_for_a_log(&shown);
    assert!(shown.len() <= LONGEST_DISCREET, "{shown}");
    match serde_json::from_slice(data) {
        Ok(value) => assert_holds_no_text_of(&shown, &value),
        Err(_) => {
            let text = String::from_utf8_lossy(data).trim().to_owned();
            assert_holds_no_text_of(&shown, &Value::String(text));
        }
    }
}

fn assert_holds_no_text_of(shown: &str, value: &Value) {
    match value {
        Value::String(text) => {
            assert!(!is_telling(text) || !shown.contains(text), "{shown:?} shows {text:?}");
        }
        Value::Array(values) => values.iter().for_each(|it| assert_holds_no_text_of(shown, it)),
        Value::Object(fields) => {
            fields.values().for_each(|it| assert_holds_no_text_of(shown, it));
        }
        _ => {}
    }
}

/// Whether a text holds a character that no message has of its own: the fuzzer learns to write what
/// messages are made of.
fn is_telling(text: &str) -> bool {
    text.len() >= 6 && text.contains(['@', '+', '$', '%', '=', '~', '^', '*'])
}

fn looks_like_a_key(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("sk_live_") || text.contains("sk_test_")
}

/// JSON, however deep it nests.
fn assert_json(bytes: &[u8]) {
    serde_json::from_slice::<IgnoredAny>(bytes).expect("JSON");
}
