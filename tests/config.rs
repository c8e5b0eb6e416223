//! Settings are read as docs/reference.md says, and all problems are reported at once, by name,
//! without showing a key.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clerk_snapshot::compression::Compression;
use clerk_snapshot::manifest::Settings;
use clerk_snapshot::resource::Resource;
use clerk_store::{Encryption, S3Options, SnapshotUrl};
use clerk_sync::config::{
    Config, Environment, InvalidConfig, KeySetting, LogLevel, Place, SETTINGS,
};

const REQUIRED: [(&str, &str); 3] = [
    ("SNAPSHOT_URL", "s3://bucket/prefix"),
    ("RESOURCES", "users"),
    ("CLERK_SECRET_ID", "clerk/production"),
];

/// The required settings with `changes`; an empty value unsets one.
fn read(changes: &[(&str, &str)], place: Place) -> Result<Config, InvalidConfig> {
    let environment = Environment::from_pairs(REQUIRED.into_iter().chain(changes.to_vec()));
    Config::from_environment(&environment, place)
}

fn config(changes: &[(&str, &str)]) -> Config {
    read(changes, Place::Program).unwrap()
}

/// The variables that problems are reported for.
fn complaints(changes: &[(&str, &str)], place: Place) -> Vec<&'static str> {
    match read(changes, place) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.problems().iter().map(|problem| problem.variable).collect(),
    }
}

fn refused(variable: &'static str, value: &str) {
    assert_eq!(complaints(&[(variable, value)], Place::Program), [variable], "{variable}={value}");
}

fn key(kind: &str) -> String {
    format!("sk_{kind}_example")
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let config = config(&[]);
    assert_eq!(
        config.snapshot_url,
        SnapshotUrl::S3 { bucket: "bucket".to_owned(), prefix: "prefix".to_owned() }
    );
    assert_eq!(config.resources, BTreeSet::from([Resource::Users]));
    assert!(matches!(
        &config.key,
        KeySetting::SecretsManager { secret_id, field: None } if secret_id == "clerk/production"
    ));
    assert_eq!(config.clerk.api_url.as_str(), "https://api.clerk.com/v1");
    assert_eq!(config.clerk.api_version, "2026-05-12");
    assert_eq!(config.clerk.requests_per_10s, None);
    assert!((config.clerk.rate_share - 0.5).abs() < f64::EPSILON);
    assert_eq!(config.clerk.max_concurrency, None);
    assert_eq!(config.time_budget, None);
    assert_eq!(config.deadline_reserve, Duration::from_secs(20));
    assert_eq!(config.lease, Duration::from_secs(60));
    assert_eq!(config.snapshot_interval, Duration::ZERO);
    assert_eq!(config.snapshot_max_age, Duration::from_secs(24 * 3600));
    assert_eq!(config.compression, Compression::Gzip);
    assert!(!config.metadata.public && !config.metadata.private && !config.metadata.unsafe_);
    assert!(!config.include_raw);
    assert!((config.shrink_guard_percent - 50.0).abs() < f64::EPSILON);
    assert_eq!(config.log_level, LogLevel::Info);
    assert_eq!(config.s3, S3Options::default());
    assert_eq!(config.signing_key_id, None);
    assert!(!config.athena_latest);
}

#[test]
fn what_is_added_to_requests_to_s3_is_read() {
    let s3 = |changes: &[(&str, &str)]| config(changes).s3;
    let owner = s3(&[("EXPECTED_BUCKET_OWNER", "012345678901")]);
    assert_eq!(owner.expected_owner.as_deref(), Some("012345678901"));
    let keys = s3(&[("SERVER_SIDE_ENCRYPTION", "AES256")]);
    assert_eq!(keys.encryption, Some(Encryption::S3Keys));
    let kms = [("SERVER_SIDE_ENCRYPTION", "aws:kms")];
    assert_eq!(s3(&kms).encryption, Some(Encryption::KmsKey { key_id: None }));
    let id = "arn:aws:kms:eu-central-1:012345678901:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let with_key = s3(&[kms[0], ("SERVER_SIDE_ENCRYPTION_KEY_ID", id)]);
    assert_eq!(with_key.encryption, Some(Encryption::KmsKey { key_id: Some(id.to_owned()) }));
}

#[test]
fn wrong_accounts_encryptions_and_keys_are_refused() {
    for wrong in ["12345", "0123456789012", "01234567890a", "-12345678901"] {
        refused("EXPECTED_BUCKET_OWNER", wrong);
    }
    for wrong in ["aes256", "kms", "true"] {
        refused("SERVER_SIDE_ENCRYPTION", wrong);
    }
    for wrong in ["a key", "alias/ä", &key("live")] {
        refused("SIGNING_KEY_ID", wrong);
    }
    refused("ATHENA_LATEST", "yes");
    // A key without the encryption that uses it.
    refused("SERVER_SIDE_ENCRYPTION_KEY_ID", "alias/snapshots");
    let both = [("SERVER_SIDE_ENCRYPTION", "AES256"), ("SERVER_SIDE_ENCRYPTION_KEY_ID", "alias/x")];
    assert_eq!(complaints(&both, Place::Lambda), ["SERVER_SIDE_ENCRYPTION_KEY_ID"]);
}

/// The SDK would fail at the first request, without saying why.
#[test]
fn an_endpoint_of_kms_is_checked_only_if_it_is_used() {
    let wrong = ("AWS_ENDPOINT_URL_KMS", "localhost:1");
    assert_eq!(complaints(&[wrong], Place::Program), [""; 0]);
    let used = [wrong, ("SIGNING_KEY_ID", "alias/evidence")];
    assert_eq!(complaints(&used, Place::Program), ["AWS_ENDPOINT_URL_KMS"]);
    // Neither a secret nor a bucket.
    let key = key("test");
    let no_other = [
        ("SNAPSHOT_URL", "file:///var/tmp/clerk"),
        ("CLERK_SECRET_ID", ""),
        ("CLERK_SECRET_KEY", &key),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        complaints(&[&no_other[..], more].concat(), Place::Program)
    };
    let signing = ("SIGNING_KEY_ID", "alias/evidence");
    for wrong in ["localhost:1", "mailto:somebody", "ftp://localhost", "http://"] {
        let of_all = ("AWS_ENDPOINT_URL", wrong);
        assert_eq!(with(&[of_all]), [""; 0]);
        assert_eq!(with(&[of_all, signing]), ["AWS_ENDPOINT_URL"], "{wrong}");
    }
    for accepted in ["http://localhost:1", "https://kms.example.org"] {
        assert_eq!(with(&[("AWS_ENDPOINT_URL", accepted), signing]), [""; 0], "{accepted}");
    }
}

// `--help` is made from the table, so the table must be true.
#[test]
fn the_documented_defaults_are_the_defaults() {
    let unset = format!("{:?}", config(&[]));
    for setting in SETTINGS {
        // `CLERK_REQUESTS_PER_10S` has its default in words.
        let in_words =
            ["required", "-"].contains(&setting.default) || setting.default.contains(' ');
        if !in_words {
            let set = config(&[(setting.name, setting.default)]);
            assert_eq!(format!("{set:?}"), unset, "{}", setting.name);
        }
    }
}

// Every row of the table is read: an invalid value in it is noticed.
#[test]
fn every_setting_is_read() {
    for setting in SETTINGS {
        let environment = Environment::from_pairs([(setting.name, "no\u{7} such value")]);
        let invalid = Config::from_environment(&environment, Place::Program).unwrap_err();
        let problem = invalid.problems().iter().find(|problem| problem.variable == setting.name);
        let problem = problem.unwrap_or_else(|| panic!("{} was not read", setting.name));
        assert!(!problem.what.is_empty() && !problem.accepted.is_empty());
        assert!(!invalid.to_string().contains('\u{7}'));
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_table() {
    let refused = complaints(
        &[
            ("SNAPSHOT_URL", ""),
            ("RESOURCES", "users,userz,teams"),
            ("CLERK_SECRET_ID", ""),
            ("LEASE_SECONDS", "1"),
            ("COMPRESSION", "lzma"),
            ("LOG_LEVEL", "loud"),
        ],
        Place::Lambda,
    );
    assert_eq!(
        refused,
        [
            "SNAPSHOT_URL",
            "RESOURCES",
            "CLERK_SECRET_ID",
            "LEASE_SECONDS",
            "COMPRESSION",
            "LOG_LEVEL"
        ]
    );
}

#[test]
fn a_problem_names_the_variable_what_is_wrong_and_what_is_accepted() {
    let message = |changes: &[(&str, &str)]| read(changes, Place::Program).unwrap_err().to_string();
    assert_eq!(
        message(&[("COMPRESSION", "lzma"), ("CLERK_RATE_SHARE", "2")]),
        "CLERK_RATE_SHARE is \"2\" (accepted: a number above 0 and at most 1); \
         COMPRESSION is \"lzma\" (accepted: none, gzip, zstd)"
    );
    let resources = message(&[("RESOURCES", "users,userz,teams")]);
    assert!(
        resources.starts_with(
            "RESOURCES names unknown \"userz\" (did you mean users?), \"teams\" (accepted: "
        ),
        "{resources}"
    );
    for resource in Resource::ALL {
        assert!(resources.contains(resource.name()), "{resources}");
    }
}

// Deployment templates pass the empty string for a parameter that was not given.
#[test]
fn an_empty_variable_counts_as_unset() {
    for setting in SETTINGS {
        let changes = [(setting.name, " \n")];
        if REQUIRED.iter().any(|(name, _)| *name == setting.name) {
            assert_eq!(complaints(&changes, Place::Lambda), [setting.name]);
        } else {
            assert!(complaints(&changes, Place::Lambda).is_empty(), "{}", setting.name);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_a_problem_that_names_it() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    for setting in SETTINGS {
        let wrong = OsString::from_vec(b"\xffsecret".to_vec());
        let pairs = REQUIRED
            .into_iter()
            .map(|(name, value)| (name, OsString::from(value)))
            .chain([(setting.name, wrong)]);
        let invalid = Config::from_environment(&Environment::from_pairs(pairs), Place::Program)
            .unwrap_err()
            .to_string();
        assert!(invalid.contains(setting.name), "{invalid}");
        assert!(invalid.contains("is not UTF-8"), "{invalid}");
        assert!(!invalid.contains("secret\u{fffd}") && !invalid.contains("\\xff"));
    }
}

#[test]
fn snapshot_url_is_a_bucket_or_a_folder() {
    let folder = config(&[("SNAPSHOT_URL", "file:///var/tmp/clerk")]).snapshot_url;
    assert_eq!(folder, SnapshotUrl::Folder(PathBuf::from("/var/tmp/clerk")));
    refused("SNAPSHOT_URL", "https://example.com");
}

#[test]
fn resources_are_an_opt_in_list() {
    let resources = |value| config(&[("RESOURCES", value)]).resources;
    assert_eq!(
        resources(" users , organizations,users,"),
        BTreeSet::from([Resource::Users, Resource::Organizations])
    );
    let all: Vec<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    assert_eq!(resources(&all.join(",")), Resource::ALL.iter().copied().collect());
    for wrong in ["all", "Users", "users organizations", ",", "users,*"] {
        refused("RESOURCES", wrong);
    }
}

#[test]
fn exactly_one_source_of_the_key() {
    let key = key("test");
    let problems = |changes: &[(&str, &str)], place| complaints(changes, place);

    let from_environment = config(&[("CLERK_SECRET_ID", ""), ("CLERK_SECRET_KEY", &key)]);
    assert!(matches!(from_environment.key, KeySetting::Environment(_)));
    let with_field = config(&[("CLERK_SECRET_FIELD", "clerk key")]);
    assert!(matches!(
        &with_field.key,
        KeySetting::SecretsManager { field: Some(field), .. } if field == "clerk key"
    ));

    let both = [("CLERK_SECRET_KEY", key.as_str())];
    assert_eq!(problems(&both, Place::Program), ["CLERK_SECRET_KEY"]);
    assert_eq!(problems(&both, Place::Lambda), ["CLERK_SECRET_KEY"]);
    let neither = [("CLERK_SECRET_ID", "")];
    assert_eq!(problems(&neither, Place::Program), ["CLERK_SECRET_ID"]);
    assert_eq!(problems(&neither, Place::Lambda), ["CLERK_SECRET_ID"]);
    let key_only = [("CLERK_SECRET_ID", ""), ("CLERK_SECRET_KEY", key.as_str())];
    assert_eq!(problems(&key_only, Place::Lambda), ["CLERK_SECRET_KEY"]);
    let field_and_key = [
        ("CLERK_SECRET_ID", ""),
        ("CLERK_SECRET_FIELD", "field"),
        ("CLERK_SECRET_KEY", key.as_str()),
    ];
    assert_eq!(problems(&field_and_key, Place::Program), ["CLERK_SECRET_FIELD"]);
}

// Promise 7: the key is in no error and no debug output, wherever it was pasted.
#[test]
fn a_key_is_never_shown() {
    let key = key("live");
    for setting in SETTINGS {
        let shown = match read(&[(setting.name, &key)], Place::Program) {
            Ok(config) => format!("{config:?}"),
            Err(invalid) => format!("{invalid} {invalid:?}"),
        };
        assert!(!shown.contains(&key), "{}: {shown}", setting.name);
    }
    let shown = format!("{:?}", config(&[("CLERK_SECRET_ID", ""), ("CLERK_SECRET_KEY", &key)]));
    assert!(!shown.contains(&key), "{shown}");

    for nearly in ["pk_live_example", "not-a-key", "sk_live_with space"] {
        for place in [Place::Program, Place::Lambda] {
            let changes = [("CLERK_SECRET_ID", ""), ("CLERK_SECRET_KEY", nearly)];
            let invalid = read(&changes, place).unwrap_err();
            assert!(!format!("{invalid} {invalid:?}").contains(nearly));
        }
    }
}

// Publishable keys start with `pk_`; they are refused with a clear message.
#[test]
fn a_publishable_key_gets_a_clear_message() {
    let changes = [("CLERK_SECRET_ID", ""), ("CLERK_SECRET_KEY", "pk_live_example")];
    let message = read(&changes, Place::Program).unwrap_err().to_string();
    assert!(message.contains("CLERK_SECRET_KEY"), "{message}");
    assert!(message.contains("publishable"), "{message}");
}

#[test]
fn a_secret_id_is_a_name_or_an_arn() {
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:clerk/production-AbCdEf";
    assert!(complaints(&[("CLERK_SECRET_ID", arn)], Place::Lambda).is_empty());
    for wrong in ["two words", "line\nbreak", &key("live"), &"x".repeat(2049)] {
        refused("CLERK_SECRET_ID", wrong);
    }
}

#[test]
fn the_api_url_is_normalised() {
    let url = |value| config(&[("CLERK_API_URL", value)]).clerk.api_url.to_string();
    for same in [
        "https://api.clerk.com",
        "https://api.clerk.com/",
        "https://api.clerk.com//",
        "https://api.clerk.com/v1",
        "https://api.clerk.com/v1/",
        "HTTPS://API.clerk.com:443/v1//",
    ] {
        assert_eq!(url(same), "https://api.clerk.com/v1", "{same}");
    }
    assert_eq!(url("https://proxy.example/clerk"), "https://proxy.example/clerk/v1");
    assert_eq!(url("https://proxy.example/clerk/v1/"), "https://proxy.example/clerk/v1");
    for loopback in
        ["http://127.0.0.1:8080", "http://127.9.9.9", "http://[::1]:8080", "http://localhost:8080"]
    {
        assert_eq!(url(loopback), format!("{loopback}/v1"));
    }
}

#[test]
fn the_api_url_names_no_other_version() {
    for wrong in ["https://api.clerk.com/v2", "https://proxy.example/clerk/v0/"] {
        refused("CLERK_API_URL", wrong);
    }
}

#[test]
fn the_api_url_never_sends_the_key_unencrypted_to_another_host() {
    for wrong in [
        "http://api.clerk.com",
        "http://localhost.example.com",
        "http://128.0.0.1",
        "http://0.0.0.0",
        "http://[::2]",
        "http://127.0.0.1@example.com",
        "https://user@api.clerk.com",
        "https://user:hunter2@api.clerk.com",
        "https://api.clerk.com/v1?limit=1",
        "https://api.clerk.com/v1#users",
        "ftp://127.0.0.1",
        "file:///v1",
        "api.clerk.com",
        "https://",
    ] {
        refused("CLERK_API_URL", wrong);
    }
    let message = read(&[("CLERK_API_URL", "https://user:hunter2@api.clerk.com")], Place::Program)
        .unwrap_err()
        .to_string();
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn numbers_have_bounds() {
    for (variable, accepted, wrong) in [
        ("CLERK_REQUESTS_PER_10S", ["1", "1000000"], ["0", "1000001", "-1", "1.5", "many", "nan"]),
        ("CLERK_RATE_SHARE", ["0.01", "1"], ["0", "1.01", "-0.5", "inf", "50%", "nan"]),
        ("MAX_CONCURRENCY", ["1", "1000"], ["0", "1001", "-1", "1.5", "", "nan"]),
        ("TIME_BUDGET_SECONDS", ["0", "31536000"], ["-1", "31536001", "1m", "inf", "1e300", "nan"]),
        ("DEADLINE_RESERVE_SECONDS", ["0", "900"], ["-1", "900.1", "x", "inf", "1e300", "nan"]),
        ("LEASE_SECONDS", ["2", "900"], ["1.99", "900.01", "0", "-2", "inf", "nan"]),
        (
            "SNAPSHOT_INTERVAL_MINUTES",
            ["0", "525600"],
            ["-1", "525601", "x", "inf", "1e300", "nan"],
        ),
        ("SNAPSHOT_MAX_AGE_HOURS", ["0", "8760"], ["-1", "8761", "x", "inf", "1e300", "nan"]),
        ("SHRINK_GUARD_PERCENT", ["0", "100"], ["-1", "101", "x", "inf", "50%", "nan"]),
        ("KEEP_SNAPSHOTS", ["1", "1000000"], ["0", "1000001", "-1", "1.5", "most", "inf"]),
        ("SESSIONS_LOOKBACK_DAYS", ["0", "365"], ["-1", "365.1", "x", "inf", "1e300", "nan"]),
    ] {
        for value in accepted {
            assert!(complaints(&[(variable, value)], Place::Program).is_empty());
        }
        for value in wrong.into_iter().filter(|value| !value.is_empty()) {
            refused(variable, value);
        }
    }
}

#[test]
fn names_have_a_greatest_length() {
    let (longest, longer) = ("a".repeat(2048), "a".repeat(2049));
    for variable in ["CLERK_SECRET_ID", "SIGNING_KEY_ID"] {
        assert_eq!(complaints(&[(variable, &longest)], Place::Program), [""; 0], "{variable}");
        refused(variable, &longer);
    }
}

// All seconds accept decimals. Minutes and hours do, too.
#[test]
fn times_accept_decimals() {
    let config = config(&[
        ("TIME_BUDGET_SECONDS", "0.25"),
        ("DEADLINE_RESERVE_SECONDS", "1.5"),
        ("LEASE_SECONDS", "2.5"),
        ("SNAPSHOT_INTERVAL_MINUTES", "0.5"),
        ("SNAPSHOT_MAX_AGE_HOURS", "1.5"),
    ]);
    assert_eq!(config.time_budget, Some(Duration::from_millis(250)));
    assert_eq!(config.deadline_reserve, Duration::from_millis(1500));
    assert_eq!(config.lease, Duration::from_millis(2500));
    assert_eq!(config.snapshot_interval, Duration::from_secs(30));
    assert_eq!(config.snapshot_max_age, Duration::from_secs(5400));
}

#[test]
fn the_output_settings_are_read() {
    for &compression in Compression::ALL {
        let read = config(&[("COMPRESSION", compression.name())]).compression;
        assert_eq!(read, compression);
    }
    refused("COMPRESSION", "GZIP");

    let metadata = config(&[("METADATA", "public, unsafe")]).metadata;
    assert!(metadata.public && metadata.unsafe_ && !metadata.private);
    assert!(config(&[("METADATA", "private")]).metadata.private);
    refused("METADATA", "public,secret");

    for (value, expected) in [("true", true), ("1", true), ("false", false), ("0", false)] {
        assert_eq!(config(&[("INCLUDE_RAW", value)]).include_raw, expected);
    }
    refused("INCLUDE_RAW", "yes");

    let version = config(&[("CLERK_API_VERSION", "2025-11-10")]).clerk.api_version;
    assert_eq!(version, "2025-11-10");
    for wrong in ["latest", "2025-11-1", "2025-11-10\r\nX: y", "2025/11/10", "2026-13-45"] {
        refused("CLERK_API_VERSION", wrong);
    }
}

#[test]
fn the_log_level_follows_lambdas_setting() {
    let level = |changes: &[(&str, &str)]| config(changes).log_level;
    assert_eq!(level(&[("LOG_LEVEL", "TRACE")]), LogLevel::Trace);
    assert_eq!(level(&[("AWS_LAMBDA_LOG_LEVEL", "DEBUG")]), LogLevel::Debug);
    assert_eq!(level(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]), LogLevel::Error);
    assert_eq!(level(&[("LOG_LEVEL", "warn"), ("AWS_LAMBDA_LOG_LEVEL", "DEBUG")]), LogLevel::Warn);
    refused("LOG_LEVEL", "off");
    refused("AWS_LAMBDA_LOG_LEVEL", "loud");
}

#[test]
fn a_metrics_namespace_is_one_that_cloudwatch_accepts() {
    let namespace = |changes: &[(&str, &str)]| config(changes).metrics_namespace;
    assert_eq!(namespace(&[]), None);
    assert_eq!(namespace(&[("METRICS_NAMESPACE", "")]), None);
    for accepted in ["ClerkSync", "identity/clerk-sync", "a.b_c#d:e", &"a".repeat(255)] {
        assert_eq!(namespace(&[("METRICS_NAMESPACE", accepted)]).as_deref(), Some(accepted));
    }
    for wrong in ["AWS/Lambda", ":a", "a b", "a\nb", "é", "\"", &"a".repeat(256)] {
        refused("METRICS_NAMESPACE", wrong);
    }
}

fn fingerprint(changes: &[(&str, &str)]) -> String {
    let config = config(changes);
    config.fingerprint(&config.resources)
}

/// What the manifest says of them.
fn settings(changes: &[(&str, &str)]) -> Settings {
    let config = config(changes);
    config.settings(&config.resources)
}

#[test]
fn the_settings_of_a_manifest_are_those_of_the_fingerprint_in_clear() {
    let plain = settings(&[]);
    assert_eq!(plain.clerk_api_url, "https://api.clerk.com");
    let mut seen = vec![plain];
    for change in [
        ("CLERK_API_URL", "http://127.0.0.1:8080"),
        ("CLERK_API_URL", "https://proxy.example/clerk/v1/"),
        ("METADATA", "public"),
        ("METADATA", "private"),
        ("METADATA", "unsafe"),
        ("INCLUDE_RAW", "true"),
        ("REDACT", "email"),
        ("REDACT", "email,phone"),
        ("RESOURCES", "daily_active_users"),
        ("RESOURCES", "sessions"),
    ] {
        let changed = settings(&[change]);
        assert!(!seen.contains(&changed), "{change:?}");
        seen.push(changed);
    }
    assert_eq!(seen[1].clerk_api_url, "http://127.0.0.1:8080");
    assert_eq!(seen[2].clerk_api_url, "https://proxy.example/clerk");
}

// Promise 9: a checkpoint of another configuration is recognised.
#[test]
fn the_fingerprint_changes_with_what_changes_the_output() {
    let plain = fingerprint(&[]);
    let digits = plain.strip_prefix("sha256:").unwrap();
    assert_eq!(digits.len(), 64);
    assert!(digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));

    let mut seen = BTreeSet::from([plain]);
    for change in [
        ("RESOURCES", "users,organizations"),
        ("RESOURCES", "organizations"),
        ("CLERK_API_URL", "http://127.0.0.1:8080"),
        ("CLERK_API_VERSION", "2025-11-10"),
        ("COMPRESSION", "none"),
        ("COMPRESSION", "zstd"),
        ("METADATA", "public"),
        ("METADATA", "private"),
        ("METADATA", "unsafe"),
        ("INCLUDE_RAW", "true"),
        ("REDACT", "email"),
        ("REDACT", "email,phone"),
        ("RESOURCES", "daily_active_users"),
    ] {
        assert!(seen.insert(fingerprint(&[change])), "{change:?}");
    }
    // The event of a sync may name other resources than the configuration.
    let overridden = config(&[]).fingerprint(&BTreeSet::from([Resource::OrganizationRoles]));
    assert!(seen.insert(overridden));
}

// A run may be continued faster, slower, or with a rotated key.
#[test]
fn the_fingerprint_does_not_change_with_anything_else() {
    let plain = fingerprint(&[]);
    for change in [
        ("RESOURCES", "users,users"),
        ("SNAPSHOT_URL", "file:///elsewhere"),
        ("CLERK_SECRET_ID", "another/secret"),
        ("CLERK_SECRET_FIELD", "field"),
        ("CLERK_API_URL", "https://api.clerk.com/v1/"),
        ("CLERK_REQUESTS_PER_10S", "10"),
        ("CLERK_RATE_SHARE", "1"),
        ("MAX_CONCURRENCY", "1"),
        ("TIME_BUDGET_SECONDS", "1"),
        ("DEADLINE_RESERVE_SECONDS", "1"),
        ("LEASE_SECONDS", "2"),
        ("SNAPSHOT_INTERVAL_MINUTES", "1"),
        ("SNAPSHOT_MAX_AGE_HOURS", "1"),
        ("METADATA", ""),
        ("INCLUDE_RAW", "0"),
        ("REDACT", "none"),
        ("DAU_LOOKBACK_DAYS", "7"),
        ("SHRINK_GUARD_PERCENT", "0"),
        ("LOG_LEVEL", "trace"),
        ("METRICS_NAMESPACE", "ClerkSync"),
    ] {
        assert_eq!(fingerprint(&[change]), plain, "{change:?}");
        assert_eq!(settings(&[change]), settings(&[]), "{change:?}");
    }
    // The value is fixed here, so that nobody changes it, and makes every run start over, by
    // accident.
    assert_eq!(plain, "sha256:b27d8a2dd39403b83f252caf351f27da15b6349d63230ec71d67e9347d84835a");
}
