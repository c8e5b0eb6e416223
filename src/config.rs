//! Parses the settings: environment variables, checked all at once and typed from then on.
//!
//! [`SETTINGS`] lists all of them; `--help` is generated from it.

mod environment;
mod fingerprint;
mod help;
mod log_level;
mod parse;
mod problem;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use clerk_snapshot::compare::Classes;
use clerk_snapshot::compression::Compression;
use clerk_snapshot::manifest::Settings;
use clerk_snapshot::redaction::Personal;
use clerk_snapshot::resource::Resource;
use clerk_store::{S3Options, SnapshotUrl};
use url::Url;

use crate::secret_key::SecretKey;
use crate::translate::MetadataBags;

pub use environment::{Environment, Place};
pub use help::{EXIT_STATUSES, SETTINGS, Setting, help};
pub use log_level::LogLevel;
pub use problem::{InvalidConfig, Problem};

#[cfg(feature = "cli")]
pub(crate) use parse::snapshot_url_as_set;
pub(crate) use parse::{LONGEST_TIME_BUDGET, resource_names};

/// All settings of an invocation.
#[derive(Clone, Debug)]
pub struct Config {
    /// `SNAPSHOT_URL`: where everything is written.
    pub snapshot_url: SnapshotUrl,
    /// `EXPECTED_BUCKET_OWNER`, `SERVER_SIDE_ENCRYPTION` and `SERVER_SIDE_ENCRYPTION_KEY_ID`: what is
    /// added to requests to S3.
    pub s3: S3Options,
    /// `RESOURCES`: what is read and written; never empty. A `sync` event may name others.
    pub resources: BTreeSet<Resource>,
    /// `CLERK_SECRET_ID` and `CLERK_SECRET_FIELD`, or `CLERK_SECRET_KEY`.
    pub key: KeySetting,
    /// How to talk to Clerk.
    pub clerk: ClerkSettings,
    /// `TIME_BUDGET_SECONDS`: how long one invocation works before it pauses. `None`: until
    /// Lambda's deadline, or until it is done.
    pub time_budget: Option<Duration>,
    /// `DEADLINE_RESERVE_SECONDS`: kept before Lambda's deadline to flush and checkpoint.
    pub deadline_reserve: Duration,
    /// `LEASE_SECONDS`: a lease that was not renewed for this long is free to take.
    pub lease: Duration,
    /// `SNAPSHOT_INTERVAL_MINUTES`: a plain `sync` is skipped if the newest complete snapshot was
    /// started more recently than this. Zero: never skipped.
    pub snapshot_interval: Duration,
    /// `SNAPSHOT_MAX_AGE_HOURS`: a run in progress older than this is abandoned.
    pub snapshot_max_age: Duration,
    /// `COMPRESSION`: the format of the parts.
    pub compression: Compression,
    /// `METADATA`: which of Clerk's metadata bags are copied.
    pub metadata: MetadataBags,
    /// `INCLUDE_RAW`: whether Clerk's own object is added to each resource.
    pub include_raw: bool,
    /// `REDACT`: which kinds of personal data are replaced by keyed hashes; excludes `include_raw`.
    pub redact: BTreeSet<Personal>,
    /// `DAU_LOOKBACK_DAYS`, 1 to 365: for how many days daily active users are counted.
    pub dau_lookback_days: u16,
    /// `SHRINK_GUARD_PERCENT`, 0 to 100: a snapshot is held if a dataset of at least 20 records
    /// lost more than this share of them. Zero: no guard.
    pub shrink_guard_percent: f64,
    /// `KEEP_SNAPSHOTS`: how many published snapshots are kept. `None`: all.
    pub keep_snapshots: Option<NonZeroUsize>,
    /// `CHANGES`: the classes of changes that are written below `changes/` after publishing. `None`: no changes are
    /// written.
    pub changes: Option<Classes>,
    /// `ATHENA_LATEST`: whether lists of the newest snapshot's files are written for Athena.
    pub athena_latest: bool,
    /// `SIGNING_KEY_ID`: the id, ARN or alias of the KMS key that signs manifests. `None`: they are not
    /// signed.
    pub signing_key_id: Option<String>,
    /// `SESSIONS_LOOKBACK_DAYS`: if sessions have to be read user by user, only those of users who
    /// were active within this time are read.
    pub sessions_lookback: Duration,
    /// `LOG_LEVEL`, or `AWS_LAMBDA_LOG_LEVEL` without it.
    pub log_level: LogLevel,
    /// `METRICS_NAMESPACE`: the CloudWatch namespace of the metrics that a Lambda function writes
    /// to its log. `None`: no metrics are written.
    pub metrics_namespace: Option<String>,
}

/// The settings of what needs the store alone.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `SNAPSHOT_URL`: where everything is written.
    pub snapshot_url: SnapshotUrl,
    /// `EXPECTED_BUCKET_OWNER`, `SERVER_SIDE_ENCRYPTION` and `SERVER_SIDE_ENCRYPTION_KEY_ID`: what is
    /// added to requests to S3.
    pub s3: S3Options,
}

impl StoreConfig {
    /// Reads the settings from `environment`. Neither a key nor `RESOURCES` is asked for.
    ///
    /// # Errors
    /// As of [`Config::from_environment`]: whatever is set must be right.
    pub fn from_environment(
        environment: &Environment,
        place: Place,
    ) -> Result<Self, InvalidConfig> {
        parse::store_config(environment, place)
    }
}

/// The source of Clerk's secret key.
#[derive(Clone, Debug)]
pub enum KeySetting {
    /// AWS Secrets Manager, read by every invocation so that a rotated key is noticed.
    SecretsManager {
        /// `CLERK_SECRET_ID`: the secret's name or ARN.
        secret_id: String,
        /// `CLERK_SECRET_FIELD`: the field of a secret that is a JSON object. `None`: the usual
        /// names are tried.
        field: Option<String>,
    },
    /// `CLERK_SECRET_KEY`: the key itself, outside Lambda only.
    Environment(SecretKey),
}

/// How to reach Clerk, and how much of its rate limit to use.
#[derive(Clone, Debug)]
pub struct ClerkSettings {
    /// `CLERK_API_URL`, ending in `/v1` with no slash after it.
    pub api_url: Url,
    /// `CLERK_API_VERSION`: the value of the `Clerk-API-Version` header, a date.
    pub api_version: String,
    /// `CLERK_REQUESTS_PER_10S`: the instance's limit, in requests per 10 seconds. `None`: the
    /// limit for the kind of key, 1000 for `sk_live_` and 100 for `sk_test_`.
    pub requests_per_10s: Option<u32>,
    /// `CLERK_RATE_SHARE`: the share of that limit to use, above 0 and at most 1. The rest is left
    /// to the customer's own application, whose sign-ins count towards the same limit.
    pub rate_share: f64,
    /// `MAX_CONCURRENCY`: most requests in flight, 1 to 1000. `None`: as many as the rate needs,
    /// see [`usual_concurrency`](crate::clerk::concurrency::usual_concurrency).
    pub max_concurrency: Option<usize>,
}

impl Config {
    /// Reads every setting from `environment`.
    ///
    /// # Errors
    /// Every setting that is missing, invalid or contradicts another one, each with its name and
    /// what it accepts. Values of `CLERK_SECRET_*` are never shown.
    pub fn from_environment(
        environment: &Environment,
        place: Place,
    ) -> Result<Self, InvalidConfig> {
        parse::config(environment, place)
    }

    /// Tells whether a run can be continued with these settings: `sha256:` and the hexadecimal
    /// digest of every setting that changes the records or where they come from. `resources` are
    /// those that the run copies.
    ///
    /// Rates, budgets, the lease, the guard and the key are not included: a run may be continued
    /// faster, slower, or with a rotated key.
    #[must_use]
    pub fn fingerprint(&self, resources: &BTreeSet<Resource>) -> String {
        fingerprint::fingerprint(self, resources)
    }

    /// The settings of the fingerprint that decide what records say, in clear, for the manifest.
    #[must_use]
    pub fn settings(&self, resources: &BTreeSet<Resource>) -> Settings {
        fingerprint::settings(self, resources)
    }
}
