//! Parses the variables into typed settings, and collects every problem.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use clerk_snapshot::compare::Classes;
use clerk_snapshot::compression::Compression;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Resource;
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::nearest::quoted_with_suggestion;
use clerk_store::quoted::{Quoted, looks_like_a_key};
use clerk_store::{Encryption, S3Options, SnapshotUrl};
use url::{Host, Url};

use super::environment::{
    AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_KMS, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL_SECRETS_MANAGER,
    Environment, LAMBDA_LOG_LEVEL, Place,
};
use super::problem::{InvalidConfig, Problem};
use super::{ClerkSettings, Config, KeySetting, LogLevel, StoreConfig};
use crate::secret_key::SecretKey;
use crate::translate::MetadataBags;

pub(super) const SETTING_SNAPSHOT_URL: &str = "SNAPSHOT_URL";
pub(super) const SETTING_RESOURCES: &str = "RESOURCES";
pub(super) const SETTING_SECRET_ID: &str = "CLERK_SECRET_ID";
pub(super) const SETTING_SECRET_FIELD: &str = "CLERK_SECRET_FIELD";
pub(super) const SETTING_SECRET_KEY: &str = "CLERK_SECRET_KEY";
pub(super) const SETTING_API_URL: &str = "CLERK_API_URL";
pub(super) const SETTING_API_VERSION: &str = "CLERK_API_VERSION";
pub(super) const SETTING_REQUESTS_PER_10S: &str = "CLERK_REQUESTS_PER_10S";
pub(super) const SETTING_RATE_SHARE: &str = "CLERK_RATE_SHARE";
pub(super) const SETTING_MAX_CONCURRENCY: &str = "MAX_CONCURRENCY";
pub(super) const SETTING_TIME_BUDGET: &str = "TIME_BUDGET_SECONDS";
pub(super) const SETTING_DEADLINE_RESERVE: &str = "DEADLINE_RESERVE_SECONDS";
pub(super) const SETTING_LEASE: &str = "LEASE_SECONDS";
pub(super) const SETTING_SNAPSHOT_INTERVAL: &str = "SNAPSHOT_INTERVAL_MINUTES";
pub(super) const SETTING_SNAPSHOT_MAX_AGE: &str = "SNAPSHOT_MAX_AGE_HOURS";
pub(super) const SETTING_COMPRESSION: &str = "COMPRESSION";
pub(super) const SETTING_METADATA: &str = "METADATA";
pub(super) const SETTING_INCLUDE_RAW: &str = "INCLUDE_RAW";
pub(super) const SETTING_REDACT: &str = "REDACT";
pub(super) const SETTING_DAU_LOOKBACK: &str = "DAU_LOOKBACK_DAYS";
pub(super) const SETTING_SHRINK_GUARD: &str = "SHRINK_GUARD_PERCENT";
pub(super) const SETTING_KEEP_SNAPSHOTS: &str = "KEEP_SNAPSHOTS";
pub(super) const SETTING_CHANGES: &str = "CHANGES";
pub(super) const SETTING_ATHENA_LATEST: &str = "ATHENA_LATEST";
pub(super) const SETTING_SIGNING_KEY: &str = "SIGNING_KEY_ID";
pub(super) const SETTING_BUCKET_OWNER: &str = "EXPECTED_BUCKET_OWNER";
pub(super) const SETTING_ENCRYPTION: &str = "SERVER_SIDE_ENCRYPTION";
pub(super) const SETTING_ENCRYPTION_KEY: &str = "SERVER_SIDE_ENCRYPTION_KEY_ID";
pub(super) const SETTING_SESSIONS_LOOKBACK: &str = "SESSIONS_LOOKBACK_DAYS";
pub(super) const SETTING_LOG_LEVEL: &str = "LOG_LEVEL";
pub(super) const SETTING_METRICS_NAMESPACE: &str = "METRICS_NAMESPACE";

const DEFAULT_API_URL: &str = "https://api.clerk.com";
const DEFAULT_API_VERSION: &str = "2026-05-12";
const DEFAULT_RATE_SHARE: f64 = 0.5;
const DEFAULT_DEADLINE_RESERVE: Duration = Duration::from_secs(20);
const DEFAULT_LEASE: Duration = Duration::from_secs(60);
const DEFAULT_SNAPSHOT_MAX_AGE: Duration = Duration::from_secs(24 * HOUR);
const DEFAULT_DAU_LOOKBACK_DAYS: u16 = 30;
const DEFAULT_SHRINK_GUARD_PERCENT: f64 = 50.0;
const DEFAULT_SESSIONS_LOOKBACK: Duration = Duration::from_secs(30 * DAY);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Longer than any use of these settings, and far from overflowing any arithmetic.
const YEAR: u64 = 365 * DAY;

/// The longest `TIME_BUDGET_SECONDS`, also in an event.
pub(crate) const LONGEST_TIME_BUDGET: Duration = Duration::from_secs(YEAR);
/// A Lambda function runs for at most 900 seconds, so a longer reserve or lease is a mistake.
const LONGEST_INVOCATION_SECONDS: f64 = 900.0;
/// Higher than any limit of Clerk; far from overflowing the arithmetic of the rate limiter.
const MAX_REQUESTS_PER_10S: u32 = 1_000_000;
/// Each request in flight may hold a page of several megabytes, so more than this is a mistake.
const HIGHEST_MAX_CONCURRENCY: usize = 1000;

/// A snapshot a minute for two years. More is a mistake.
const MAX_KEPT: usize = 1_000_000;

/// Most characters of a namespace (CloudWatch API reference, "PutMetricData").
const LONGEST_NAMESPACE: usize = 255;

/// See [`Config::from_environment`].
pub(super) fn config(environment: &Environment, place: Place) -> Result<Config, InvalidConfig> {
    let mut reader = Reader { environment, asks_for: Asked::Everything, problems: Vec::new() };
    let (_, config) = read(&mut reader, place);
    reader.finish(config)
}

/// See [`StoreConfig::from_environment`].
pub(super) fn store_config(
    environment: &Environment,
    place: Place,
) -> Result<StoreConfig, InvalidConfig> {
    let mut reader = Reader { environment, asks_for: Asked::TheStore, problems: Vec::new() };
    let (config, _) = read(&mut reader, place);
    reader.finish(config)
}

/// The value of `SNAPSHOT_URL`, right or wrong.
#[cfg(feature = "cli")]
pub(crate) fn snapshot_url_as_set(environment: &Environment) -> Option<&str> {
    environment.value(SETTING_SNAPSHOT_URL).ok().flatten()
}

/// Reads every setting. What is missing, or wrong, is a problem of the reader.
fn read(reader: &mut Reader<'_>, place: Place) -> (Option<StoreConfig>, Option<Config>) {
    // In the order of the table in docs/reference.md, which is the order of the reported problems.
    let snapshot_url = reader.required(SETTING_SNAPSHOT_URL, snapshot_urls(place), snapshot_url);
    let resources = match reader.asks_for {
        Asked::Everything => reader.required(SETTING_RESOURCES, &resource_names(), resources),
        Asked::TheStore => reader.optional(SETTING_RESOURCES, &resource_names(), resources),
    };
    let key = key_setting(reader, place);
    let clerk = clerk_settings(reader);
    let time_budget = reader.time(SETTING_TIME_BUDGET, SECONDS, 0.0..=as_number(YEAR));
    let deadline_reserve = reader
        .time(SETTING_DEADLINE_RESERVE, SECONDS, 0.0..=LONGEST_INVOCATION_SECONDS)
        .unwrap_or(DEFAULT_DEADLINE_RESERVE);
    let lease = reader
        .time(SETTING_LEASE, SECONDS, 2.0..=LONGEST_INVOCATION_SECONDS)
        .unwrap_or(DEFAULT_LEASE);
    let snapshot_interval = reader
        .time(SETTING_SNAPSHOT_INTERVAL, MINUTES, 0.0..=as_number(YEAR / MINUTE))
        .unwrap_or(Duration::ZERO);
    let snapshot_max_age = reader
        .time(SETTING_SNAPSHOT_MAX_AGE, HOURS, 0.0..=as_number(YEAR / HOUR))
        .unwrap_or(DEFAULT_SNAPSHOT_MAX_AGE);
    let compression = reader
        .optional(SETTING_COMPRESSION, COMPRESSIONS, compression)
        .unwrap_or(Compression::Gzip);
    let metadata =
        reader.optional(SETTING_METADATA, METADATA_BAGS, metadata_bags).unwrap_or_default();
    let include_raw = reader.optional(SETTING_INCLUDE_RAW, BOOLEANS, boolean).unwrap_or(false);
    let redact = redact(reader, include_raw);
    let dau_lookback_days =
        reader.integer(SETTING_DAU_LOOKBACK, 1..=365).unwrap_or(DEFAULT_DAU_LOOKBACK_DAYS);
    let shrink_guard_percent = reader
        .optional(SETTING_SHRINK_GUARD, PERCENTAGES, |text| number_within(text, &(0.0..=100.0)))
        .unwrap_or(DEFAULT_SHRINK_GUARD_PERCENT);
    let keep_snapshots = reader.optional(SETTING_KEEP_SNAPSHOTS, KEPT, keep_snapshots).flatten();
    let changes = reader.optional(SETTING_CHANGES, CHANGES, changes).flatten();
    let athena_latest = reader.optional(SETTING_ATHENA_LATEST, BOOLEANS, boolean).unwrap_or(false);
    let signing_key_id = reader.optional(SETTING_SIGNING_KEY, KMS_KEYS, kms_key_id);
    let s3 = s3_options(reader);
    let sessions_lookback = reader
        .time(SETTING_SESSIONS_LOOKBACK, DAYS, 0.0..=as_number(YEAR / DAY))
        .unwrap_or(DEFAULT_SESSIONS_LOOKBACK);
    let log_level = log_level(reader).unwrap_or_default();
    let metrics_namespace =
        reader.optional(SETTING_METRICS_NAMESPACE, NAMESPACES, metrics_namespace);
    let uses_kms = reader.is_set(SETTING_SIGNING_KEY);
    aws_endpoints(reader, snapshot_url.as_ref(), key.as_ref(), uses_kms);

    let Some(snapshot_url) = snapshot_url else { return (None, None) };
    let store = StoreConfig { snapshot_url: snapshot_url.clone(), s3: s3.clone() };
    let (Some(resources), Some(key), Some(clerk)) = (resources, key, clerk) else {
        return (Some(store), None);
    };
    let config = Config {
        snapshot_url,
        s3,
        resources,
        key,
        clerk,
        time_budget,
        deadline_reserve,
        lease,
        snapshot_interval,
        snapshot_max_age,
        compression,
        metadata,
        include_raw,
        redact,
        dau_lookback_days,
        shrink_guard_percent,
        keep_snapshots,
        changes,
        athena_latest,
        signing_key_id,
        sessions_lookback,
        log_level,
        metrics_namespace,
    };
    (Some(store), Some(config))
}

/// The settings of [`ClerkSettings`]; `None` if the URL is wrong.
fn clerk_settings(reader: &mut Reader<'_>) -> Option<ClerkSettings> {
    let api_url = reader
        .optional(SETTING_API_URL, API_URLS, api_url)
        .or_else(|| api_url(DEFAULT_API_URL).ok());
    let api_version = reader
        .optional(SETTING_API_VERSION, API_VERSIONS, api_version)
        .unwrap_or_else(|| DEFAULT_API_VERSION.to_owned());
    let requests_per_10s = reader.integer(SETTING_REQUESTS_PER_10S, 1..=MAX_REQUESTS_PER_10S);
    let rate_share =
        reader.optional(SETTING_RATE_SHARE, RATE_SHARES, rate_share).unwrap_or(DEFAULT_RATE_SHARE);
    let max_concurrency = reader.integer(SETTING_MAX_CONCURRENCY, 1..=HIGHEST_MAX_CONCURRENCY);
    Some(ClerkSettings {
        api_url: api_url?,
        api_version,
        requests_per_10s,
        rate_share,
        max_concurrency,
    })
}

const SECRET_IDS: &str = "the name or ARN of a Secrets Manager secret";
const SECRET_FIELDS: &str =
    "the name of a field of the secret that CLERK_SECRET_ID names, if it is a JSON object";
const SECRET_KEYS: &str = "the instance's secret key, sk_live_… or sk_test_…";
const ONE_OF_ID_AND_KEY: &str = "exactly one of CLERK_SECRET_ID and CLERK_SECRET_KEY, which is \
                                 for runs outside Lambda only";
const NO_KEY: &str = "no Clerk secret key: set CLERK_SECRET_KEY to the key (Clerk's dashboard shows it under API \
                      keys), or CLERK_SECRET_ID to the name of a secret in AWS Secrets Manager";
const NO_KEY_IN_LAMBDA: &str = "no Clerk secret key: set CLERK_SECRET_ID to the name or ARN of the secret in AWS \
                                Secrets Manager that holds it";
const API_URLS: &str = "an https URL, with or without /v1; http for loopback hosts only";
const ENDPOINT_URLS: &str = "an address that begins with http:// or https://";
const API_VERSIONS: &str = "a date, YYYY-MM-DD";
const RATE_SHARES: &str = "a number above 0 and at most 1";
const COMPRESSIONS: &str = "none, gzip, zstd";
const METADATA_BAGS: &str = "none, or a comma-separated list of public, private, unsafe";
const REDACTED: &str = "none, or a comma-separated list of email, phone, name, ip";
const BOOLEANS: &str = "true, false";
const PERCENTAGES: &str = "a number from 0 to 100";
const KEPT: &str = "all, or a whole number from 1 to 1000000";
const CHANGES: &str = "off, access, all";
const KMS_KEYS: &str = "the id, ARN or alias of a KMS key";
const ACCOUNTS: &str = "the 12 digits of an AWS account";
const ENCRYPTIONS: &str = "AES256, aws:kms";
const LOG_LEVELS: &str = "error, warn, info, debug, trace";
const NAMESPACES: &str =
    "letters, digits and . - _ / # :, at most 255, not beginning with : or AWS/";
const LAMBDA_LOG_LEVELS: &str = "FATAL, ERROR, WARN, INFO, DEBUG, TRACE";

/// A unit of time: its name, and its length in seconds.
type Unit = (&'static str, f64);
const SECONDS: Unit = ("seconds", 1.0);
const MINUTES: Unit = ("minutes", 60.0);
const HOURS: Unit = ("hours", 3600.0);
const DAYS: Unit = ("days", 86_400.0);

/// What `SNAPSHOT_URL` accepts, and where there are commands the option that takes any folder.
const fn snapshot_urls(place: Place) -> &'static str {
    match place {
        Place::Program if cfg!(feature = "cli") => {
            "s3://bucket[/prefix] or file:///absolute/folder; clerk-sync sync --into ./folder takes any folder"
        }
        Place::Program | Place::Lambda => "s3://bucket[/prefix] or file:///absolute/folder",
    }
}

/// What `RESOURCES` and the `resources` of an event accept.
pub(crate) fn resource_names() -> String {
    let names: Vec<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    format!("a comma-separated list of {}", names.join(", "))
}

/// What must be set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// What a sync needs.
    Everything,
    /// What the store needs.
    TheStore,
}

/// Reads variables one by one, and collects the problems.
struct Reader<'a> {
    environment: &'a Environment,
    asks_for: Asked,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// What was read, if there is no problem. Without one it is there.
    fn finish<T>(self, read: Option<T>) -> Result<T, InvalidConfig> {
        match read {
            Some(read) if self.problems.is_empty() => Ok(read),
            _ => Err(InvalidConfig::new(self.problems)),
        }
    }

    /// The parsed value; `None` if it is not set, or if it is wrong, which becomes a problem.
    /// `parse` says what is wrong as the rest of a sentence that begins with the name of the
    /// variable.
    fn optional<T>(
        &mut self,
        variable: &'static str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let result = match self.environment.value(variable) {
            Ok(None) => return None,
            Ok(Some(text)) => parse(text),
            Err(_) => Err("is not UTF-8 text".to_owned()),
        };
        result.map_err(|what| self.note(variable, what, accepted)).ok()
    }

    /// Like `optional`, but a variable that is not set is a problem.
    fn required<T>(
        &mut self,
        variable: &'static str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.is_set(variable) {
            self.note(variable, "is required but not set", accepted);
        }
        self.optional(variable, accepted, parse)
    }

    fn integer<T>(&mut self, variable: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let accepted = format!("a whole number from {} to {}", range.start(), range.end());
        self.optional(variable, &accepted, |text| {
            text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| is(text))
        })
    }

    /// A duration as a number of `unit`s, with or without decimals.
    fn time(
        &mut self,
        variable: &'static str,
        (unit, seconds): Unit,
        range: RangeInclusive<f64>,
    ) -> Option<Duration> {
        let accepted = format!(
            "a number of {unit} from {} to {}, decimals allowed",
            range.start(),
            range.end()
        );
        self.optional(variable, &accepted, |text| {
            let number = number_within(text, &range)?;
            Duration::try_from_secs_f64(number * seconds).map_err(|_| is(text))
        })
    }

    /// Whether the variable has a value, even one that is not UTF-8.
    fn is_set(&self, variable: &str) -> bool {
        !matches!(self.environment.value(variable), Ok(None))
    }

    fn note(&mut self, variable: &'static str, what: impl Into<String>, accepted: &str) {
        self.problems.push(Problem {
            variable,
            what: what.into(),
            accepted: accepted.to_owned(),
            sentence: None,
        });
    }

    /// Like [`note`](Self::note), in a sentence of its own.
    fn note_in_words(
        &mut self,
        variable: &'static str,
        what: &str,
        accepted: &str,
        sentence: &str,
    ) {
        self.note(variable, what, accepted);
        if let Some(problem) = self.problems.last_mut() {
            problem.sentence = Some(sentence.to_owned());
        }
    }
}

fn is(text: &str) -> String {
    format!("is {}", Quoted(text))
}

fn as_number(seconds: u64) -> f64 {
    // Exact: every bound used here is far below 2^32.
    u32::try_from(seconds).map_or(f64::MAX, f64::from)
}

fn number_within(text: &str, range: &RangeInclusive<f64>) -> Result<f64, String> {
    // `inf` and `nan` parse as numbers but lie in no range.
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| is(text))
}

/// A CloudWatch namespace (CloudWatch API reference, "PutMetricData").
fn metrics_namespace(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
    let reserved = text.starts_with(':') || text.starts_with("AWS/");
    let is_one = text.len() <= LONGEST_NAMESPACE && text.bytes().all(allowed) && !reserved;
    if is_one && !looks_like_a_key(text) { Ok(text.to_owned()) } else { Err(is(text)) }
}

fn keep_snapshots(text: &str) -> Result<Option<NonZeroUsize>, String> {
    if text == "all" {
        return Ok(None);
    }
    let number: Option<NonZeroUsize> = text.parse().ok();
    number.filter(|number| number.get() <= MAX_KEPT).map(Some).ok_or_else(|| is(text))
}

fn changes(text: &str) -> Result<Option<Classes>, String> {
    match text {
        "off" => Ok(None),
        "access" => Ok(Some(Classes::DEFAULT)),
        "all" => Ok(Some(Classes::ALL)),
        _ => Err(is(text)),
    }
}

/// What is added to requests to S3. Without meaning for a folder, and accepted all the same: one environment may serve
/// both.
fn s3_options(reader: &mut Reader<'_>) -> S3Options {
    let expected_owner = reader.optional(SETTING_BUCKET_OWNER, ACCOUNTS, account);
    let encryption = reader.optional(SETTING_ENCRYPTION, ENCRYPTIONS, encryption);
    let key_id = reader.optional(SETTING_ENCRYPTION_KEY, KMS_KEYS, kms_key_id);
    let encryption = match encryption {
        Some(Encryption::KmsKey { .. }) => Some(Encryption::KmsKey { key_id }),
        other if key_id.is_none() => other,
        _ => {
            reader.note(
                SETTING_ENCRYPTION_KEY,
                "is set, and SERVER_SIDE_ENCRYPTION is not aws:kms",
                "both, or neither",
            );
            None
        }
    };
    S3Options { expected_owner, encryption }
}

fn account(text: &str) -> Result<String, String> {
    let is_one = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_one { Ok(text.to_owned()) } else { Err(is(text)) }
}

fn encryption(text: &str) -> Result<Encryption, String> {
    match text {
        "AES256" => Ok(Encryption::S3Keys),
        "aws:kms" => Ok(Encryption::KmsKey { key_id: None }),
        _ => Err(is(text)),
    }
}

/// Most characters of a key id (AWS KMS API reference, "Sign", `KeyId`).
const LONGEST_KMS_KEY_ID: usize = 2048;

fn kms_key_id(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/:".contains(&byte);
    let is_one = text.len() <= LONGEST_KMS_KEY_ID && text.bytes().all(allowed);
    if is_one && !looks_like_a_key(text) { Ok(text.to_owned()) } else { Err(is(text)) }
}

fn snapshot_url(text: &str) -> Result<SnapshotUrl, String> {
    text.parse().map_err(|error: <SnapshotUrl as FromStr>::Err| error.to_string())
}

fn resources(text: &str) -> Result<BTreeSet<Resource>, String> {
    let resources = listed(text, Resource::ALL.iter().map(|it| (it.name(), *it)))?;
    if resources.is_empty() {
        return Err("names nothing".to_owned());
    }
    Ok(resources.into_iter().collect())
}

/// The items of a comma-separated list, of those that are `known` by these names. Skips empty items,
/// such as the one after a trailing comma.
fn listed<'a, T: Copy>(
    text: &str,
    known: impl Iterator<Item = (&'a str, T)> + Clone,
) -> Result<Vec<T>, String> {
    let mut items = Vec::new();
    let mut unknown = Vec::new();
    for text in text.split(',').map(str::trim) {
        match known.clone().find(|(name, _)| *name == text) {
            Some((_, item)) => items.push(item),
            None if text.is_empty() => {}
            None => {
                unknown.push(quoted_with_suggestion(text, known.clone().map(|(name, _)| name)));
            }
        }
    }
    if unknown.is_empty() {
        Ok(items)
    } else {
        Err(format!("names unknown {}", unknown.join(", ")))
    }
}

/// Checks the endpoints of the AWS services that are used. The SDK accepts any text and fails at
/// the first request, without saying why.
fn aws_endpoints(
    reader: &mut Reader<'_>,
    snapshot_url: Option<&SnapshotUrl>,
    key: Option<&KeySetting>,
    kms: bool,
) {
    let s3 = matches!(snapshot_url, Some(SnapshotUrl::S3 { .. }));
    let secrets_manager = matches!(key, Some(KeySetting::SecretsManager { .. }));
    for (is_used, variable) in [
        (s3 || secrets_manager || kms, AWS_ENDPOINT_URL),
        (s3, AWS_ENDPOINT_URL_S3),
        (secrets_manager, AWS_ENDPOINT_URL_SECRETS_MANAGER),
        (kms, AWS_ENDPOINT_URL_KMS),
    ] {
        if is_used {
            reader.optional(variable, ENDPOINT_URLS, endpoint_url);
        }
    }
}

fn endpoint_url(text: &str) -> Result<(), String> {
    let is_one = |url: &Url| matches!(url.scheme(), "http" | "https") && url.host().is_some();
    match Url::parse(text) {
        Ok(url) if is_one(&url) => Ok(()),
        _ => Err(is(text)),
    }
}

/// Exactly one of `CLERK_SECRET_ID`, with `CLERK_SECRET_FIELD`, and `CLERK_SECRET_KEY`. The key
/// itself is refused in Lambda, where everybody who may view the function can see its environment.
fn key_setting(reader: &mut Reader<'_>, place: Place) -> Option<KeySetting> {
    let has_id = reader.is_set(SETTING_SECRET_ID);
    let has_key = reader.is_set(SETTING_SECRET_KEY);

    let secret_id = reader.optional(SETTING_SECRET_ID, SECRET_IDS, secret_id);
    let field = reader.optional(SETTING_SECRET_FIELD, SECRET_FIELDS, secret_field);
    if reader.is_set(SETTING_SECRET_FIELD) && !has_id {
        reader.note(SETTING_SECRET_FIELD, "is set without CLERK_SECRET_ID", SECRET_FIELDS);
    }

    let key = if place == Place::Lambda {
        if has_key {
            reader.note(
                SETTING_SECRET_KEY,
                "is refused inside Lambda: everybody who may view the function could read it",
                "CLERK_SECRET_ID instead",
            );
        } else if !has_id && reader.asks_for == Asked::Everything {
            reader.note_in_words(
                SETTING_SECRET_ID,
                "is required but not set",
                SECRET_IDS,
                NO_KEY_IN_LAMBDA,
            );
        }
        None
    } else {
        if has_id && has_key {
            reader.note(
                SETTING_SECRET_KEY,
                "is set together with CLERK_SECRET_ID",
                ONE_OF_ID_AND_KEY,
            );
        } else if !has_id && !has_key && reader.asks_for == Asked::Everything {
            reader.note_in_words(
                SETTING_SECRET_ID,
                "is not set, and neither is CLERK_SECRET_KEY",
                ONE_OF_ID_AND_KEY,
                NO_KEY,
            );
        }
        reader.optional(SETTING_SECRET_KEY, SECRET_KEYS, |text| {
            SecretKey::parse(text).map_err(|error| error.to_string())
        })
    };

    match (secret_id, key) {
        (Some(secret_id), None) => Some(KeySetting::SecretsManager { secret_id, field }),
        (None, Some(key)) => Some(KeySetting::Environment(key)),
        // Reported above.
        _ => None,
    }
}

/// Most characters of a secret id (AWS Secrets Manager API reference, "GetSecretValue",
/// `SecretId`).
const LONGEST_SECRET_ID: usize = 2048;

fn secret_id(text: &str) -> Result<String, String> {
    if looks_like_a_key(text) {
        return Err("holds what looks like the key itself".to_owned());
    }
    if text.chars().any(is_space_or_control) {
        return Err("holds white space or control characters".to_owned());
    }
    if text.chars().count() > LONGEST_SECRET_ID {
        return Err(format!("is longer than {LONGEST_SECRET_ID} characters"));
    }
    Ok(text.to_owned())
}

fn is_space_or_control(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}

fn secret_field(text: &str) -> Result<String, String> {
    if looks_like_a_key(text) {
        return Err("holds what looks like the key itself".to_owned());
    }
    Ok(text.to_owned())
}

/// The URL with a path that ends in `/v1`. Errors do not show the value: it may contain a password.
fn api_url(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err("would send the key unencrypted, to a host that is not loopback".to_owned());
        }
        _ => return Err("is neither an https nor an http URL".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("holds a query or a fragment".to_owned());
    }
    let base = url.path().trim_end_matches('/');
    let last = base.rsplit('/').next().unwrap_or_default();
    if last != "v1" && last.strip_prefix('v').is_some_and(|number| number.parse::<u8>().is_ok()) {
        return Err("names another version of the API than v1".to_owned());
    }
    let path = if base.ends_with("/v1") { base.to_owned() } else { format!("{base}/v1") };
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn api_version(text: &str) -> Result<String, String> {
    let is_date = text.len() == 10 && format!("{text}T00:00:00Z").parse::<Timestamp>().is_ok();
    if is_date { Ok(text.to_owned()) } else { Err(is(text)) }
}

fn rate_share(text: &str) -> Result<f64, String> {
    number_within(text, &(0.0..=1.0)).and_then(
        |share| {
            if share > 0.0 { Ok(share) } else { Err(is(text)) }
        },
    )
}

fn compression(text: &str) -> Result<Compression, String> {
    Compression::from_name(text).ok_or_else(|| is(text))
}

fn metadata_bags(text: &str) -> Result<MetadataBags, String> {
    let mut bags = MetadataBags::default();
    if text == "none" {
        return Ok(bags);
    }
    let known = ["public", "private", "unsafe"].into_iter().map(|name| (name, name));
    for name in listed(text, known)? {
        match name {
            "public" => bags.public = true,
            "private" => bags.private = true,
            _ => bags.unsafe_ = true,
        }
    }
    Ok(bags)
}

/// `REDACT`. It excludes `INCLUDE_RAW`, because Clerk's own object has the same data in fields that
/// are not redacted.
fn redact(reader: &mut Reader<'_>, include_raw: bool) -> BTreeSet<Personal> {
    let kinds = reader.optional(SETTING_REDACT, REDACTED, |text| match text {
        "none" => Ok(BTreeSet::new()),
        _ => {
            Ok(listed(text, Personal::ALL.iter().map(|it| (it.name(), *it)))?.into_iter().collect())
        }
    });
    let kinds = kinds.unwrap_or_default();
    if include_raw && !kinds.is_empty() {
        reader.note(
            SETTING_REDACT,
            "is set together with INCLUDE_RAW, which would write out what it replaces",
            "one of the two",
        );
    }
    kinds
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(is(text)),
    }
}

/// `LOG_LEVEL`, or the level in Lambda's logging configuration without it.
fn log_level(reader: &mut Reader<'_>) -> Option<LogLevel> {
    if reader.is_set(SETTING_LOG_LEVEL) {
        return reader.optional(SETTING_LOG_LEVEL, LOG_LEVELS, level);
    }
    reader.optional(LAMBDA_LOG_LEVEL, LAMBDA_LOG_LEVELS, level)
}

fn level(text: &str) -> Result<LogLevel, String> {
    LogLevel::from_name(text).ok_or_else(|| is(text))
}
