//! Keys that are missing, damaged, of the wrong kind or of another instance.

use std::time::Duration;

use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox};
use serde_json::json;

use super::{Mistake, PASTED, Stranger, Told, judge_all, with_settings};
use crate::support::lambda_runtime::Lambda;
use crate::support::moto::Moto;
use crate::support::process::Finished;

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 2, name: "InvalidConfig", says, to_do }
}

const KEY: &str = "CLERK_SECRET_KEY";

pub(super) const MISTAKES: [Mistake; 12] = [
    wrong(
        "gives no key",
        || Box::pin(with_settings(&[(KEY, "")])),
        "no Clerk secret key: set CLERK_SECRET_KEY to the key",
        "(Clerk's dashboard shows it under API keys), or CLERK_SECRET_ID to the name of a secret",
    ),
    wrong(
        "gives the function no secret",
        || Box::pin(function_with(&[(KEY, "")])),
        "no Clerk secret key: set CLERK_SECRET_ID",
        "to the name or ARN of the secret in AWS Secrets Manager that holds it.",
    ),
    wrong(
        "gives a key and a secret",
        || Box::pin(with_settings(&[("CLERK_SECRET_ID", "clerk/production")])),
        "CLERK_SECRET_KEY is set together with CLERK_SECRET_ID",
        "(accepted: exactly one of CLERK_SECRET_ID and CLERK_SECRET_KEY",
    ),
    wrong(
        "gives the publishable key",
        || Box::pin(with_settings(&[(KEY, "pk_test_planted9in9the9tests")])),
        "is a publishable key (pk_…), which opens nothing here",
        "a secret key (sk_live_… or sk_test_…) is needed, which Clerk's dashboard shows under API keys",
    ),
    wrong(
        "gives a key with spaces",
        || Box::pin(with_settings(&[(KEY, "sk_test_planted9in9 the9tests")])),
        "has white space, a control character or a non-ASCII character inside",
        "copy the Clerk secret key again, alone",
    ),
    wrong(
        "gives a key in quotation marks",
        || Box::pin(with_settings(&[(KEY, "\"sk_test_planted9in9the9tests\"")])),
        "is in quotation marks",
        "give the Clerk secret key without them",
    ),
    wrong(
        "gives the whole line of an .env file",
        || Box::pin(with_settings(&[(KEY, "CLERK_SECRET_KEY=sk_test_planted9in9the9tests")])),
        "is a whole line such as NAME=key",
        "give the Clerk secret key alone, from sk_ to its end",
    ),
    wrong(
        "gives something else",
        || Box::pin(with_settings(&[(KEY, "hunter2")])),
        "is not a Clerk secret key",
        "those start with sk_live_ or sk_test_",
    ),
    wrong(
        "gives only the beginning of a key",
        || Box::pin(with_settings(&[(KEY, "sk_live_")])),
        "is only the beginning of a Clerk secret key",
        "copy it again in full",
    ),
    wrong(
        "gives the key where the secret's name belongs",
        || Box::pin(with_settings(&[(KEY, ""), ("CLERK_SECRET_ID", PASTED)])),
        "CLERK_SECRET_ID holds what looks like the key itself",
        "(accepted: the name or ARN of a Secrets Manager secret)",
    ),
    wrong(
        "gives the function its key as a variable",
        || Box::pin(function_with(&[])),
        "CLERK_SECRET_KEY is refused inside Lambda",
        "(accepted: CLERK_SECRET_ID instead)",
    ),
    Mistake {
        what: "gives a key that was deleted, or one of another instance",
        play: || Box::pin(with_settings(&[(KEY, PASTED)])),
        status: 1,
        name: "ClerkUnauthorized",
        says: "the secret key is not valid",
        to_do: "Put a current secret key of the instance into CLERK_SECRET_KEY; Clerk's dashboard shows it under API \
                keys. Nothing was copied; run it again afterwards.",
    },
];

/// The function, with the settings of the program and these.
async fn function_with(settings: &[(&str, &str)]) -> Option<Told> {
    let stranger = Stranger::new().await;
    let program =
        settings.iter().fold(stranger.program(), |it, (name, value)| it.with(name, value));
    let mut lambda = Lambda::start(&program).await;
    let refused = lambda.invoke("first", json!({}), Duration::from_secs(60)).await;
    let error = refused.expect_err("refused");
    lambda.stop().await;
    let finished =
        Finished { status: Some(2), stdout: error.to_string(), stderr: error.to_string() };
    Told::answered(&finished)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_are_explained() {
    judge_all(&MISTAKES).await;
}

/// Windows ends lines with two characters, and editors add one to every file: neither is part of a key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_endings_of_windows_do_no_harm() {
    let stranger = Stranger::new().await;
    let with_line_end = format!("{DEFAULT_KEY}\r\n");
    stranger.program().with(KEY, &with_line_end).run().await.answer(0);

    let moto = Moto::shared();
    let secrets = aws_sdk_secretsmanager::Client::new(&moto.aws_config().await);
    let fields = format!("{{\r\n  \"CLERK_SECRET_KEY\": \"{DEFAULT_KEY}\"\r\n}}\r\n");
    for (name, value) in [("windows/bare", with_line_end), ("windows/fields", fields)] {
        secrets.create_secret().name(name).secret_string(value).send().await.expect("a secret");
        stranger.with_secret(name, moto.url()).run().await.answer(0);
    }
}

/// The key of another instance is no mistake that can be seen: it opens that instance. What was begun of the first one
/// is given up, and the answer says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_instance_starts_over_and_says_so() {
    let stranger = Stranger::new().await;
    let other = Sandbox::new(Population::default().seed(7).users(3));
    other.set_instance("ins_another", "production");
    other.rotate_key("sk_test_other");
    stranger.sandbox.belongs_to("sk_test_other", &other);

    stranger.program().command(&["sync", "--time-budget", "0"]).run().await.answer(75);
    let answer = stranger.program().with(KEY, "sk_test_other").run().await.answer(0);
    assert_eq!(answer["records"], json!({"users": 3}), "{answer:#}");
    let message = answer["message"].as_str().expect("a message");
    assert!(message.contains("The previous run was abandoned: "), "{message}");
    assert!(message.contains("another"), "{message}");
}
