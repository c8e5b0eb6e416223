//! The real program works as a Lambda function: it takes events from the runtime interface, writes
//! snapshots to S3 and reads the key from Secrets Manager.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox, Serving};
use clerk_store::S3Store;
use serde_json::{Value, json};

use crate::support::lambda_runtime::Lambda;
use crate::support::moto::Moto;
use crate::support::oracle::Oracle;
use crate::support::process::{Program, objects};
use crate::support::snapshot::Snapshot;

/// More time than any invocation here needs.
const LONG: Duration = Duration::from_secs(900);

/// A sandbox on a socket; a bucket and a secret of the same name in moto.
struct Account {
    sandbox: Sandbox,
    serving: Serving,
    aws: SdkConfig,
    name: &'static str,
}

impl Account {
    async fn of(name: &'static str, population: Population, secret: &str) -> Self {
        let sandbox = Sandbox::new(population);
        let serving = sandbox.serve().await.expect("a free port");
        let aws = Moto::shared().bucket(name).await;
        let secrets = aws_sdk_secretsmanager::Client::new(&aws);
        secrets.create_secret().name(name).secret_string(secret).send().await.expect("a secret");
        Self { sandbox, serving, aws, name }
    }

    async fn small(name: &'static str, secret: &str) -> Self {
        let population = Population::default().users(40).organizations(6).memberships(50);
        Self::of(name, population, secret).await
    }

    fn function(&self) -> Program {
        Program::new(&format!("s3://{}/clerk", self.name), &self.serving)
            .with_aws(Moto::shared())
            .with("CLERK_SECRET_KEY", "")
            .with("CLERK_SECRET_ID", self.name)
    }

    async fn rotate(&self, key: &str) {
        let secrets = aws_sdk_secretsmanager::Client::new(&self.aws);
        let put = secrets.put_secret_value().secret_id(self.name).secret_string(key);
        put.send().await.expect("a new value");
        self.sandbox.rotate_key(key);
    }

    async fn published(&self) -> Option<Snapshot> {
        let store = S3Store::new(&self.aws, self.name, "clerk").expect("a store");
        Snapshot::of(&objects(&store).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_event_copies_the_whole_instance_in_one_invocation_or_in_many() {
    let population = Population::default().users(3000).organizations(200).memberships(6000);
    let account = Account::of("lambda-whole", population, DEFAULT_KEY).await;
    let scheduled = json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "source": "aws.events",
        "detail-type": "Scheduled Event", "account": "123456789012", "region": "us-east-1",
        "time": "2026-11-20T12:00:00Z", "detail": {},
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly"]
    });
    let mut lambda = Lambda::start(&account.function()).await;
    let answer = lambda.invoke("whole", scheduled.clone(), LONG).await.expect("a response");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert_eq!(answer["invocations"], 1, "{answer:#}");
    let whole = account.published().await.expect("published");
    assert_eq!(whole.manifest["verified"], true);
    assert_eq!(whole.datasets.len(), 6);
    for (name, expected) in Oracle::plain().datasets(&account.sandbox) {
        assert!(whole.datasets[&name] == expected, "{name} differs from its source");
    }
    lambda.stop().await;

    // The deadline leaves only the reserve, so each invocation takes one small step.
    let mut lambda = Lambda::start(&account.function()).await;
    let mut invocations = 0;
    let answer = loop {
        invocations += 1;
        assert!(invocations < 100, "no end");
        let id = format!("short-{invocations}");
        let deadline = Duration::from_secs(20);
        let answer = lambda.invoke(&id, scheduled.clone(), deadline).await.expect("a response");
        if answer["status"] != "partial" {
            break answer;
        }
        assert_eq!(answer["reason"], "time_budget", "{answer:#}");
    };
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert_eq!(answer["invocations"], invocations);
    assert!(invocations > 3, "{invocations} invocations");
    let pieced = account.published().await.expect("published");
    assert_ne!(pieced.latest["snapshot_id"], whole.latest["snapshot_id"]);
    assert_eq!(pieced.digests(), whole.digests());
    assert_eq!(account.sandbox.violations(), []);
    lambda.stop().await;
}

/// Value and unit by metric.
type Metrics<'a> = BTreeMap<&'a str, (f64, &'a str)>;

/// What CloudWatch reads from one line of the log: the values of the dimensions, and the metrics
/// (AWS documentation, "Specification: Embedded metric format").
fn metrics_of(line: &Value) -> Option<(Vec<&str>, Metrics<'_>)> {
    let directive = &line.get("_aws")?["CloudWatchMetrics"][0];
    assert!(line["_aws"]["Timestamp"].is_i64(), "{line:#}");
    assert_eq!(directive["Namespace"], "Identity/clerk-sync");
    let text = |value: &'_ Value| value.as_str().expect("a string").to_owned();
    let dimensions = directive["Dimensions"][0].as_array().expect("one set of dimensions");
    let dimensions = dimensions.iter().map(|name| line[text(name)].as_str().expect("a value"));
    let metrics = directive["Metrics"].as_array().expect("metrics").iter().map(|metric| {
        let name = metric["Name"].as_str().expect("a name");
        (name, (line[name].as_f64().expect("a number"), metric["Unit"].as_str().expect("a unit")))
    });
    Some((dimensions.collect(), metrics.collect()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sync_reports_metrics_whatever_the_log_level() {
    let account = Account::small("lambda-metrics", DEFAULT_KEY).await;
    let function = account
        .function()
        .with("METRICS_NAMESPACE", "Identity/clerk-sync")
        .with("SNAPSHOT_INTERVAL_MINUTES", "60")
        .with("LOG_LEVEL", "error");
    let mut lambda = Lambda::start(&function).await;
    // First too little time for more than one step, then enough, then nothing to do, and last an
    // event that is not a sync.
    let first = lambda.invoke("first", json!({}), Duration::from_secs(20)).await.expect("partial");
    assert_eq!(first["status"], "partial", "{first:#}");
    let mut answer = first.clone();
    while answer["status"] == "partial" {
        answer = lambda.invoke("rest", json!({}), LONG).await.expect("a response");
    }
    assert_eq!(answer["status"], "complete", "{answer:#}");
    let skipped = lambda.invoke("again", json!({}), LONG).await.expect("a response");
    assert_eq!(skipped["status"], "skipped");
    lambda.invoke("status", json!({"action": "status"}), LONG).await.expect("a response");
    let lines = lambda.stop().await;
    let of = |request: &str| -> Vec<_> {
        let lines = lines.iter().filter(|line| line["function_request_id"] == request);
        lines.filter_map(metrics_of).collect()
    };

    let (dimensions, metrics) = &of("first")[0];
    assert_eq!(dimensions, &["clerk-sync"]);
    assert_eq!(metrics["Requests"], (first["requests"].as_f64().expect("a number"), "Count"));
    assert_eq!(metrics["Resumed"].0, 0.0);
    assert_eq!(metrics["SnapshotPublished"].0, 0.0);
    assert!(!metrics.contains_key("SnapshotAgeSeconds"), "nothing is published");
    assert!(!metrics.contains_key("Bytes"), "nothing is published");

    let rest = of("rest");
    let (_, metrics) = &rest[0];
    assert_eq!(metrics["Resumed"].0, 1.0);
    assert_eq!(metrics["SnapshotPublished"].0, 1.0);
    assert_eq!(metrics["SnapshotHeld"].0, 0.0);
    for name in ["DatasetsSkipped", "DatasetsFailed", "DatasetsDrifted"] {
        assert_eq!(metrics[name], (0.0, "Count"), "{name}");
    }
    assert!(metrics["SnapshotAgeSeconds"].0 < 600.0, "{metrics:?}");
    let parts = account.published().await.expect("published").manifest["datasets"].clone();
    let parts = parts.as_object().expect("datasets").values().map(|entry| entry["parts"].clone());
    let bytes: f64 = parts
        .flat_map(|parts| parts.as_array().expect("parts").clone())
        .map(|part| part["bytes"].as_f64().expect("a size"))
        .sum();
    assert_eq!(metrics["Bytes"], (bytes, "Bytes"));
    let rows: BTreeMap<_, _> = rest[1..]
        .iter()
        .map(|(dimensions, metrics)| (dimensions[1].to_owned(), json!(metrics["Rows"].0 as u64)))
        .collect();
    assert_eq!(json!(rows), answer["records"]);

    let (_, metrics) = &of("again")[0];
    assert_eq!((metrics["Requests"].0, metrics["SnapshotPublished"].0), (0.0, 0.0));
    assert!(
        metrics.contains_key("SnapshotAgeSeconds"),
        "every sync reports it, because alarms depend on it"
    );
    assert!(of("status").is_empty(), "status is not a sync");
}

/// Lambda passes on any JSON. What the program cannot make sense of has the documented name as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_a_parser_may_refuse_is_an_invalid_event() {
    let account = Account::small("lambda-odd-json", DEFAULT_KEY).await;
    let mut lambda = Lambda::start(&account.function()).await;
    let deep = format!(r#"{{"a": {}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let twice = r#"{"action": "sync", "action": "sync"}"#;
    for event in [r#"{"a": "\ud800"}"#, r#"{"a": 1e400}"#, &deep, twice, "7", "null", "[]"] {
        let error = lambda.invoke_with_json("odd", event, LONG).await.expect_err("refused");
        assert_eq!(error["errorType"], "InvalidEvent", "{event}: {error:#}");
    }
    let scheduled = r#"{"source": "aws.events", "detail": {"a": ["\ud800", 1e400]}}"#;
    let answer = lambda.invoke_with_json("scheduled", scheduled, LONG).await.expect("a sync");
    assert_eq!(answer["status"], "complete", "{answer:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_log_line_is_json_with_time_level_message_and_request() {
    let account = Account::small("lambda-log", DEFAULT_KEY).await;
    let mut lambda = Lambda::start(&account.function().with("LOG_LEVEL", "trace")).await;
    for request_id in ["first", "second"] {
        let answer = lambda.invoke(request_id, json!({}), LONG).await.expect("a response");
        assert_eq!(answer["status"], "complete", "{answer:#}");
    }
    let error = lambda.invoke("third", json!({"action": "snyc"}), LONG).await;
    assert_eq!(error.expect_err("an error")["errorType"], "InvalidEvent");
    let lines = lambda.stop().await;
    for request_id in ["first", "second", "third"] {
        assert!(
            lines.iter().any(|line| line["function_request_id"] == request_id),
            "no line of {request_id}"
        );
    }
    for line in &lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        assert!(text("timestamp").ends_with('Z'), "{line}");
        let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
        assert!(levels.contains(&text("level").as_str()), "{line}");
        assert!(!text("message").is_empty(), "{line}");
        let cold = line["function_request_id"] == "first";
        assert!(line["cold_start"] == cold || line["function_request_id"].is_null(), "{line}");
        assert!(!line.to_string().contains(DEFAULT_KEY), "the key is in the log: {line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_the_bare_key_or_a_field_of_a_json_object() {
    let cases = [
        ("lambda-bare", DEFAULT_KEY.to_owned(), ""),
        ("lambda-usual", json!({"CLERK_SECRET_KEY": DEFAULT_KEY}).to_string(), ""),
        ("lambda-field", json!({"other": "x", "mine": DEFAULT_KEY}).to_string(), "mine"),
    ];
    for (name, secret, field) in cases {
        let account = Account::small(name, &secret).await;
        let function = account.function().with("CLERK_SECRET_FIELD", field);
        let mut lambda = Lambda::start(&function).await;
        let answer = lambda.invoke("request", json!({}), LONG).await.expect("a response");
        assert_eq!(answer["status"], "complete", "{name}: {answer:#}");
        assert_eq!(account.published().await.expect("published").ids("users").len(), 40);
        lambda.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_near_1970_counts_as_unknown() {
    let account = Account::small("lambda-1970", DEFAULT_KEY).await;
    let mut lambda = Lambda::start(&account.function()).await;
    let deadline = UNIX_EPOCH + Duration::from_secs(600);
    let answer = lambda.invoke_until("emulated", json!({}), deadline).await.expect("a response");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert_eq!(answer["invocations"], 1, "{answer:#}");
    lambda.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_the_documented_names_and_the_function_keeps_running() {
    let account = Account::small("lambda-errors", DEFAULT_KEY).await;
    let function = account.function();
    let elsewhere = "s3://lambda-no-such-bucket/clerk";
    let cases = [
        (function.clone().with("RESOURCES", ""), json!({}), "InvalidConfig", "RESOURCES"),
        (
            function.clone().with("CLERK_SECRET_ID", "").with("CLERK_SECRET_KEY", DEFAULT_KEY),
            json!({}),
            "InvalidConfig",
            "CLERK_SECRET_KEY",
        ),
        (function.clone(), json!({"forse": true}), "InvalidEvent", "forse"),
        (
            function.clone().with("CLERK_SECRET_ID", "no-such-secret"),
            json!({}),
            "SecretUnavailable",
            "no-such-secret",
        ),
        (
            function.clone().with("SNAPSHOT_URL", elsewhere),
            json!({}),
            "StoreUnavailable",
            "lambda-no-such-bucket",
        ),
    ];
    for (function, event, name, named) in cases {
        let mut lambda = Lambda::start(&function).await;
        for request_id in ["first", "second"] {
            let error = lambda.invoke(request_id, event.clone(), LONG).await;
            let error = error.expect_err("an error");
            assert_eq!(error["errorType"], name, "{error:#}");
            let message = error["errorMessage"].as_str().expect("a message");
            assert!(message.contains(named), "{message}");
            assert!(!message.contains(DEFAULT_KEY), "{message}");
        }
        for line in lambda.stop().await {
            assert!(!line.to_string().contains(DEFAULT_KEY), "the key is in the log: {line}");
        }
    }
    account.sandbox.rotate_key("sk_test_another");
    let mut lambda = Lambda::start(&function).await;
    let error = lambda.invoke("refused", json!({}), LONG).await.expect_err("an error");
    assert_eq!(error["errorType"], "ClerkUnauthorized", "{error:#}");
    account.sandbox.accept_key(DEFAULT_KEY);
    let answer = lambda.invoke("accepted", json!({}), LONG).await.expect("a response");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    lambda.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_rotated_between_two_invocations_or_within_one_is_read_again() {
    let account = Arc::new(Account::small("lambda-rotated", DEFAULT_KEY).await);
    let mut lambda = Lambda::start(&account.function()).await;
    let answer = lambda.invoke("before", json!({}), LONG).await.expect("a response");
    assert_eq!(answer["status"], "complete", "{answer:#}");

    account.rotate("sk_test_second").await;
    let answer = lambda.invoke("between", json!({}), LONG).await.expect("a response");
    assert_eq!(answer["status"], "complete", "{answer:#}");

    // Within one invocation: the old key is no longer valid when memberships are requested.
    let rotating = Arc::clone(&account);
    let runtime = tokio::runtime::Handle::current();
    account.sandbox.on_request(move |_, request| {
        if request.path == "/v1/organization_roles" {
            tokio::task::block_in_place(|| runtime.block_on(rotating.rotate("sk_test_third")));
        }
    });
    account.sandbox.clear_requests();
    let answer = lambda.invoke("within", json!({}), LONG).await.expect("a response");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    let refused = account.sandbox.requests().iter().filter(|it| it.status == Some(401)).count();
    assert!(refused > 0, "the rotation came too late to be noticed");
    account.sandbox.on_request(|_, _| ());
    lambda.stop().await;
}
