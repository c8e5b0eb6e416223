//! Formats the metrics of an invocation as log lines that CloudWatch parses (AWS documentation,
//! "Specification: Embedded metric format").

use std::time::Duration;

use clerk_snapshot::timestamp::Timestamp;
use serde_json::{Map, Value, json};

use super::Invocation;
use super::json::SERVICE;
use crate::invocation_metrics::{FeedSizes, Measured, Owed};

/// The name of a metric, and its unit in CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// `Count`, `Seconds` or `Bytes`.
    pub unit: &'static str,
    /// Its meaning, for the documentation.
    pub meaning: &'static str,
}

const fn metric(name: &'static str, unit: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit, meaning }
}

/// The metrics of each invocation of `sync`, with the dimension `Function`.
pub const OF_INVOCATION: [Metric; 18] = [
    metric("Requests", "Count", "requests sent to Clerk, repeated ones included"),
    metric("Retries", "Count", "requests that repeated an earlier one"),
    metric("RateLimited", "Count", "answers with status 429"),
    metric(
        "WaitSeconds",
        "Seconds",
        "time the rate limit, or a pause Clerk asked for, held requests back",
    ),
    metric("DurationSeconds", "Seconds", "time the invocation worked"),
    metric("Resumed", "Count", "1 when it went on with a run that another began, else 0"),
    metric("SnapshotPublished", "Count", "1 when it published a snapshot, else 0"),
    metric("SnapshotHeld", "Count", "1 when the shrink guard holds the snapshot, else 0"),
    metric(
        "SnapshotAgeSeconds",
        "Seconds",
        "time since the newest published snapshot was started; nothing while there is none",
    ),
    metric("Bytes", "Bytes", "size of the snapshot it published; nothing when it published none"),
    metric(
        "DatasetsSkipped",
        "Count",
        "`skipped` datasets of the snapshot it published or held; nothing when it did neither",
    ),
    metric(
        "DatasetsFailed",
        "Count",
        "`failed` datasets of the snapshot it published or held; nothing when it did neither",
    ),
    metric(
        "DatasetsDrifted",
        "Count",
        "`drifted` datasets of the snapshot it published or held; nothing when it did neither",
    ),
    metric(
        "ChangesAdded",
        "Count",
        "records added, of the changes it wrote; nothing when it wrote none",
    ),
    metric(
        "ChangesRemoved",
        "Count",
        "records removed, of the changes it wrote; nothing when it wrote none",
    ),
    metric(
        "PrivilegedGranted",
        "Count",
        "privileged grants added, of the changes it wrote; nothing when it wrote none",
    ),
    metric(
        "DatasetsLost",
        "Count",
        "datasets that were there before and are `skipped` or `failed` now, of the changes it wrote; nothing when it \
         wrote none",
    ),
    metric(
        "ChangesOwedSeconds",
        "Seconds",
        "time since the newest published snapshot was complete while its changes are not written, else 0; nothing \
         when `CHANGES` is off",
    ),
];

/// The metric of a published snapshot, with the dimensions `Function` and `Dataset`.
pub const OF_DATASET: Metric = metric("Rows", "Count", "records of the published snapshot");

/// The namespace and the dimensions of the metrics.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// CloudWatch's namespace.
    pub namespace: &'a str,
    /// The value of the dimension `Function`.
    pub function: &'a str,
}

/// The lines, each with a newline at the end: one for the invocation, and one for each dataset of a
/// snapshot that it published.
pub(super) fn lines(
    labels: Labels<'_>,
    measured: &Measured,
    worked: Duration,
    now: Timestamp,
    invocation: Option<&Invocation>,
) -> Vec<String> {
    let line = |metrics: &[(Metric, Value)], dataset: Option<&str>| {
        line(labels, metrics, dataset, now, invocation)
    };
    let [
        requests,
        retries,
        rate_limited,
        wait,
        duration,
        resumed,
        published,
        held,
        age,
        bytes,
        skipped,
        failed,
        drifted,
        added,
        removed,
        privileged,
        lost,
        owed,
    ] = OF_INVOCATION;
    let mut metrics = vec![
        (requests, json!(measured.requests)),
        (retries, json!(measured.retries)),
        (rate_limited, json!(measured.rate_limited)),
        (wait, json!(measured.waited.as_secs_f64())),
        (duration, json!(worked.as_secs_f64())),
        (resumed, json!(u8::from(measured.resumed))),
        (published, json!(u8::from(measured.published.is_some()))),
        (held, json!(u8::from(measured.held))),
    ];
    if let Some(started_at) = measured.newest_started_at {
        metrics.push((age, json!(now.saturating_duration_since(started_at).as_secs_f64())));
    }
    let sizes = measured.published.as_ref();
    metrics.extend(sizes.map(|sizes| (bytes, json!(sizes.bytes))));
    if let Some(outcomes) = &measured.outcomes {
        metrics.push((skipped, json!(outcomes.skipped)));
        metrics.push((failed, json!(outcomes.failed)));
        metrics.push((drifted, json!(outcomes.drifted)));
    }
    if !measured.feeds.is_empty() {
        let sum =
            |count: fn(&FeedSizes) -> u64| json!(measured.feeds.iter().map(count).sum::<u64>());
        metrics.push((added, sum(|feed| feed.added)));
        metrics.push((removed, sum(|feed| feed.removed)));
        metrics.push((privileged, sum(|feed| feed.privileged_granted)));
        metrics.push((lost, sum(|feed| feed.datasets_lost)));
    }
    metrics.extend(measured.owed.map(|measured| {
        let seconds = match measured {
            Owed::Nothing => 0.0,
            Owed::Since(completed_at) => now.saturating_duration_since(completed_at).as_secs_f64(),
        };
        (owed, json!(seconds))
    }));
    let mut lines = vec![line(&metrics, None)];
    for (dataset, records) in sizes.into_iter().flat_map(|sizes| &sizes.records) {
        lines.push(line(&[(OF_DATASET, json!(records))], Some(dataset.name())));
    }
    lines
}

fn line(
    labels: Labels<'_>,
    metrics: &[(Metric, Value)],
    dataset: Option<&str>,
    now: Timestamp,
    invocation: Option<&Invocation>,
) -> String {
    let mut dimensions = vec!["Function"];
    dimensions.extend(dataset.map(|_| "Dataset"));
    let directive = json!({
        "Namespace": labels.namespace,
        "Dimensions": [dimensions],
        "Metrics": metrics
            .iter()
            .map(|(metric, _)| json!({"Name": metric.name, "Unit": metric.unit}))
            .collect::<Vec<_>>(),
    });
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
    set("timestamp", now.to_string().into());
    set("level", "INFO".into());
    set("message", "metrics".into());
    set("service", SERVICE.into());
    if let Some(invocation) = invocation {
        set("function_request_id", invocation.request_id.clone().into());
    }
    set("_aws", json!({"Timestamp": now.unix_millis(), "CloudWatchMetrics": [directive]}));
    set("Function", labels.function.into());
    if let Some(dataset) = dataset {
        set("Dataset", dataset.into());
    }
    for (metric, value) in metrics {
        set(metric.name, value.clone());
    }
    format!("{}\n", Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The metrics of changes in the line of an invocation, with their values. CloudWatch reads those alone that the
    /// line lists.
    fn of_changes(measured: &Measured) -> Vec<(&'static str, Value)> {
        let labels = Labels { namespace: "ClerkSync", function: "clerk-sync" };
        let now = Timestamp::from_unix_millis(1_795_176_000_000).expect("a time");
        let written = lines(labels, measured, Duration::from_secs(3), now, None);
        let line: Value = serde_json::from_str(&written[0]).expect("JSON");
        let listed = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("a list");
        let names = ["ChangesAdded", "ChangesRemoved", "PrivilegedGranted", "DatasetsLost"];
        for name in names {
            let is_listed = listed.iter().any(|metric| metric["Name"] == name);
            assert_eq!(is_listed, line.get(name).is_some(), "{name}: {line}");
        }
        names.into_iter().filter_map(|name| Some((name, line.get(name)?.clone()))).collect()
    }

    // An alarm on privileged grants or lost datasets sees every feed that was written, and no zero where none was.
    #[test]
    fn the_metrics_of_changes_are_sums_and_absent_when_none_were_written() {
        let first =
            FeedSizes { added: 1, removed: 20, privileged_granted: 300, datasets_lost: 4_000 };
        let second = FeedSizes { added: 5, removed: 0, privileged_granted: 2, datasets_lost: 1 };
        let measured = Measured { feeds: vec![first, second], ..Measured::default() };
        assert_eq!(
            of_changes(&measured),
            [
                ("ChangesAdded", json!(6)),
                ("ChangesRemoved", json!(20)),
                ("PrivilegedGranted", json!(302)),
                ("DatasetsLost", json!(4_001)),
            ]
        );
        assert!(of_changes(&Measured::default()).is_empty());
    }
}
