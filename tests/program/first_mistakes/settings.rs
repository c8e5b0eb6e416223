//! Settings that are missing, mistyped or of the wrong kind.

use super::{Mistake, Told, judge_all, with_settings};
use crate::support::process::Program;

const CORRECT: &str = "Correct the environment variables; nothing was read or written.";

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 2, name: "InvalidConfig", says, to_do }
}

pub(super) const MISTAKES: [Mistake; 13] = [
    wrong(
        "sets nothing at all",
        || Box::pin(async { Told::answered(&Program::bare().run().await) }),
        "SNAPSHOT_URL is required but not set",
        CORRECT,
    ),
    wrong(
        "forgets to say what to copy",
        || Box::pin(with_settings(&[("RESOURCES", "")])),
        "RESOURCES is required but not set",
        "(accepted: a comma-separated list of users, organizations",
    ),
    wrong(
        "mistypes the name of a resource",
        || Box::pin(with_settings(&[("RESOURCES", "users,organisations")])),
        "RESOURCES names unknown",
        "\"organisations\" (did you mean organizations?)",
    ),
    wrong(
        "separates resources by spaces",
        || Box::pin(with_settings(&[("RESOURCES", "users organizations")])),
        "RESOURCES names unknown",
        "\"users organizations\" (separate the names by commas)",
    ),
    wrong(
        "gives a path as SNAPSHOT_URL",
        || Box::pin(with_settings(&[("SNAPSHOT_URL", "/var/tmp/clerk")])),
        "SNAPSHOT_URL must start with s3:// or file:///",
        "file:///absolute/folder; clerk-sync sync --into ./folder takes any folder)",
    ),
    wrong(
        "has a # in the folder of a URL",
        || Box::pin(with_settings(&[("SNAPSHOT_URL", "file:///srv/clerk #1")])),
        "SNAPSHOT_URL must not have ? or # as they are",
        "in a file URL, write %3F for ? and %23 for #",
    ),
    wrong(
        "gives a relative folder as a URL",
        || Box::pin(with_settings(&[("SNAPSHOT_URL", "file://out")])),
        "SNAPSHOT_URL must be file:/// and an absolute path on this machine",
        "three slashes and no host name",
    ),
    wrong(
        "writes the bucket's name in capitals",
        || Box::pin(with_settings(&[("SNAPSHOT_URL", "s3://Acme_Snapshots")])),
        "SNAPSHOT_URL needs a bucket name",
        "of 3 to 63 lower-case letters, digits, dots and hyphens",
    ),
    wrong(
        "gives a time with its unit",
        || Box::pin(with_settings(&[("TIME_BUDGET_SECONDS", "15m")])),
        "TIME_BUDGET_SECONDS is \"15m\"",
        "(accepted: a number of seconds from 0 to",
    ),
    wrong(
        "names a compression by its file extension",
        || Box::pin(with_settings(&[("COMPRESSION", "gz")])),
        "COMPRESSION is \"gz\"",
        "(accepted: none, gzip, zstd)",
    ),
    wrong(
        "would send the key over plain HTTP",
        || Box::pin(with_settings(&[("CLERK_API_URL", "http://api.clerk.com")])),
        "CLERK_API_URL would send the key unencrypted",
        "(accepted: an https URL",
    ),
    wrong(
        "names another version of Clerk's API",
        || Box::pin(with_settings(&[("CLERK_API_URL", "https://api.clerk.com/v2")])),
        "CLERK_API_URL names another version of the API than v1",
        "(accepted: an https URL, with or without /v1",
    ),
    wrong(
        "gives the address of an S3-compatible store without http",
        || {
            Box::pin(with_settings(&[
                ("SNAPSHOT_URL", "s3://acme"),
                ("AWS_ENDPOINT_URL_S3", "minio.example.com:9000"),
            ]))
        },
        "AWS_ENDPOINT_URL_S3 is \"minio.example.com:9000\"",
        "(accepted: an address that begins with http:// or https://)",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_explained() {
    judge_all(&MISTAKES).await;
}
