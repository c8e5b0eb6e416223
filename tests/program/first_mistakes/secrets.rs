//! Secrets of AWS Secrets Manager that are missing, damaged or not allowed.

use super::{Mistake, PASTED, Stranger, Told, judge_all};
use crate::support::moto::Moto;
use crate::support::stand_in::{StandIn, answer};

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 1, name: "SecretUnavailable", says, to_do }
}

pub(super) const MISTAKES: [Mistake; 8] = [
    wrong(
        "names a secret of another region, or none",
        || Box::pin(secret("mistakes/none", None, &[])),
        "does not exist in this AWS region",
        "correct CLERK_SECRET_ID or AWS_REGION",
    ),
    wrong(
        "keeps the key in a field of another name",
        || {
            Box::pin(secret(
                "mistakes/other-field",
                Some(r#"{"clerk":"sk_test_planted9in9the9tests"}"#),
                &[],
            ))
        },
        "has no such field (tried: CLERK_SECRET_KEY, secret_key, secret-key)",
        "set CLERK_SECRET_FIELD to the one that holds the key",
    ),
    wrong(
        "names a field of a secret that is the bare key",
        || Box::pin(secret("mistakes/bare", Some(PASTED), &[("CLERK_SECRET_FIELD", "clerk")])),
        "is not a JSON object, so it has no field clerk",
        "remove CLERK_SECRET_FIELD or store an object",
    ),
    wrong(
        "stores JSON with the wrong quotation marks",
        || {
            Box::pin(secret(
                "mistakes/not-json",
                Some("{'secret_key':'sk_test_planted9in9the9tests'}"),
                &[],
            ))
        },
        "is not valid JSON at line 1, column 2",
        "store the bare key or a JSON object",
    ),
    wrong(
        "stores the key in quotation marks",
        || Box::pin(secret("mistakes/quoted", Some("\"sk_test_planted9in9the9tests\""), &[])),
        "is in quotation marks",
        "give the Clerk secret key without them",
    ),
    wrong(
        "may not read the secret",
        || Box::pin(refused("AccessDeniedException", "no identity-based policy allows it")),
        "access denied; allow secretsmanager:GetSecretValue on it",
        "It is the role or user of this program that needs the right.",
    ),
    wrong(
        "may not use the key that encrypts the secret",
        || Box::pin(refused("DecryptionFailure", "?")),
        "cannot be decrypted",
        "allow kms:Decrypt on its KMS key and check that the key is enabled",
    ),
    wrong(
        "has deleted the secret",
        || Box::pin(refused("InvalidRequestException", "marked for deletion")),
        "AWS Secrets Manager refused with status 400",
        "see whether the secret is marked for deletion",
    ),
];

/// A secret with this value, if it has any, in a Secrets Manager of moto's.
async fn secret(name: &str, value: Option<&str>, settings: &[(&str, &str)]) -> Option<Told> {
    let (stranger, moto) = (Stranger::new().await, Moto::shared());
    if let Some(value) = value {
        let client = aws_sdk_secretsmanager::Client::new(&moto.aws_config().await);
        client.create_secret().name(name).secret_string(value).send().await.expect("a secret");
    }
    let program = stranger.with_secret(name, moto.url());
    let program = settings.iter().fold(program, |it, (name, value)| it.with(name, value));
    Told::answered(&program.run().await)
}

/// A Secrets Manager that refuses with this code.
async fn refused(code: &str, message: &str) -> Option<Told> {
    let stranger = Stranger::new().await;
    let body = format!(r#"{{"__type":"{code}","message":"{message}"}}"#);
    let refusal =
        answer("400 Bad Request", &[("content-type", "application/x-amz-json-1.1")], &body);
    let aws = StandIn::new(move |_| refusal.clone()).await;
    Told::answered(&stranger.with_secret("mistakes/refused", &aws.url()).run().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_secrets_are_explained() {
    judge_all(&MISTAKES).await;
}
