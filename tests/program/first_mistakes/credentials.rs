//! AWS without credentials, with expired ones, with those of somebody else, or with a wrong clock.

use std::fs;

use super::{Mistake, Stranger, Told, judge_all};
use crate::support::stand_in::{StandIn, answer};

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 1, name: "StoreUnavailable", says, to_do }
}

pub(super) const MISTAKES: [Mistake; 8] = [
    wrong(
        "has no AWS credentials",
        || Box::pin(without_credentials("", &[])),
        "no AWS credentials were found",
        "configure a profile, a role or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    wrong(
        "mistypes the AWS profile",
        || Box::pin(without_credentials("", &[("AWS_PROFILE", "staging")])),
        "AWS_PROFILE names \"staging\", but there is no such profile",
        "correct it, or add the profile with `aws configure`",
    ),
    wrong(
        "has not signed in to IAM Identity Center",
        || {
            Box::pin(without_credentials(
                "[profile people]\nsso_session = people\nsso_account_id = 123456789012\n\
                 sso_role_name = Reader\nregion = us-east-1\n\n[sso-session people]\n\
                 sso_region = us-east-1\nsso_start_url = https://people.awsapps.com/start\n",
                &[("AWS_PROFILE", "people")],
            ))
        },
        "the sign-in of the AWS profile has expired or there was none",
        "run `aws sso login`",
    ),
    wrong(
        "has a profile whose command fails",
        || {
            let profile = "[profile broken]\nregion = us-east-1\ncredential_process = false\n";
            Box::pin(without_credentials(profile, &[("AWS_PROFILE", "broken")]))
        },
        "the credential_process of the AWS profile failed",
        "run its command by hand",
    ),
    wrong(
        "names no AWS region",
        || Box::pin(without_credentials("", &[("AWS_REGION", "")])),
        "no AWS region is configured",
        "set AWS_REGION to the bucket's region",
    ),
    wrong(
        "has AWS credentials that have expired",
        || Box::pin(refused("ExpiredToken")),
        "AWS did not accept the credentials (code ExpiredToken)",
        "renew them, or use those of the right account",
    ),
    wrong(
        "has cut off the AWS secret access key",
        || Box::pin(refused("SignatureDoesNotMatch")),
        "AWS did not accept the credentials (code SignatureDoesNotMatch)",
        "renew them, or use those of the right account",
    ),
    wrong(
        "has a clock that is off by a day",
        || Box::pin(refused("RequestTimeTooSkewed")),
        "AWS did not accept the request's time",
        "set this machine's clock correctly",
    ),
];

/// A bucket, no credentials but those of this AWS configuration file, and no metadata service.
async fn without_credentials(profiles: &str, settings: &[(&str, &str)]) -> Option<Told> {
    let stranger = Stranger::new().await;
    let nobody = StandIn::new(|_| answer("500 Oh", &[], "")).await;
    let home = stranger.folder.path();
    fs::create_dir_all(home.join(".aws")).expect("a folder");
    fs::write(home.join(".aws/config"), profiles).expect("a file");
    let program = stranger
        .program_for_bucket("acme", &nobody.url())
        .with("HOME", home.to_str().expect("UTF-8"))
        .with("PATH", "/usr/bin:/bin")
        .with("AWS_ACCESS_KEY_ID", "")
        .with("AWS_SECRET_ACCESS_KEY", "")
        .with("AWS_EC2_METADATA_DISABLED", "true");
    let program = settings.iter().fold(program, |it, (name, value)| it.with(name, value));
    Told::answered(&program.run().await)
}

/// An S3 that refuses everything with this code.
async fn refused(code: &str) -> Option<Told> {
    let stranger = Stranger::new().await;
    let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    let refusal = answer("403 Forbidden", &[("content-type", "application/xml")], &body);
    let aws = StandIn::new(move |_| refusal.clone()).await;
    Told::answered(&stranger.program_for_bucket("acme", &aws.url()).run().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_explained() {
    judge_all(&MISTAKES).await;
}
