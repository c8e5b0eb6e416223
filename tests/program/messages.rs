//! Promise: a message says who must act. An error on the caller's side is never called an overload,
//! is not retried, and says what to do about it; no message or log line holds anything of a request
//! or a body.

use std::error::Error;
use std::fs;

use aws_config::SdkConfig;
use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox};
use clerk_store::{Condition, ContentType, DeleteCondition, S3Store, Store, StoreError};
use clerk_sync::secret_source::{SecretError, SecretSource, SecretsManager};

use crate::support::moto::{self, Moto};
use crate::support::process::Program;
use crate::support::stand_in::{StandIn, answer};
use crate::support::unreachable::Nobody;

/// No message may hold this text, which is in every part of an answer that a server can choose.
const MARKER: &str = "ada@example.com";

const XML: (&str, &str) = ("content-type", "application/xml");
const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

/// A page like that of a login, a captive portal or a proxy.
fn page() -> String {
    format!("<!DOCTYPE html><html><title>Sign in, {MARKER}</title></html>")
}

fn xml(code: &str) -> String {
    format!(
        "<Error><Code>{code}</Code><Message>{MARKER}</Message><Region>eu-west-1</Region>\
         <StringToSign>{MARKER}</StringToSign></Error>"
    )
}

fn json(code: &str, message: &str) -> String {
    format!(r#"{{"__type":"{code}","message":"{message} {MARKER}"}}"#)
}

/// An error and its causes, in `Display` and `Debug`.
fn shown(error: &dyn Error) -> String {
    let mut text = format!("{error} | {error:?}");
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(" | {cause} | {cause:?}"));
        next = cause.source();
    }
    text
}

async fn config_for(server: &StandIn) -> SdkConfig {
    moto::aws_config_for(&server.url()).await
}

/// The error that each operation of S3 makes of an answer, and the number of requests.
async fn asked_s3(answered: String) -> (Vec<StoreError>, usize) {
    let server = StandIn::new(move |_| answered.clone()).await;
    let store = S3Store::new(&config_for(&server).await, "bucket", "clerk").expect("a store");
    let put = store.put("a.json", "{}".into(), ContentType::Json, Condition::Absent);
    let errors = [
        store.get("a.json").await.map(drop).err(),
        put.await.map(drop).err(),
        store.list("").await.map(drop).err(),
        store.delete("a.json", DeleteCondition::Any).await.err(),
    ];
    (errors.into_iter().flatten().collect(), server.requests().len())
}

#[tokio::test]
async fn refusals_of_s3_say_who_must_act_and_are_not_retried() {
    for (answered, expected) in [
        (answer("403 Forbidden", &[XML], &xml("RequestTimeTooSkewed")), "set this machine's clock"),
        (answer("403 Forbidden", &[XML], &xml("RequestExpired")), "set this machine's clock"),
        (answer("403 Forbidden", &[XML], &xml("SignatureDoesNotMatch")), "renew them"),
        (
            answer("403 Forbidden", &[XML], &xml("QuotaExceeded")),
            "the store is full; raise the quota",
        ),
        (
            answer("507 Insufficient Storage", &[XML], &xml("XMinioStorageFull")),
            "the store is full",
        ),
        (answer("507 Insufficient Storage", &[], ""), "the store is full"),
        (answer("301 Moved", &[XML], &xml("PermanentRedirect")), "set AWS_REGION=eu-west-1"),
        (
            answer("400 Bad Request", &[XML], &xml("AuthorizationHeaderMalformed")),
            "than us-east-1; set AWS_REGION=eu-west-1",
        ),
        (
            answer("301 Moved", &[("x-amz-bucket-region", "ap-south-2")], ""),
            "set AWS_REGION=ap-south-2",
        ),
        (
            answer("301 Moved", &[("x-amz-bucket-region", MARKER)], &xml("PermanentRedirect")),
            "set AWS_REGION to the bucket's",
        ),
        (answer("403 Forbidden", &[HTML], &page()), "(403) is not AWS: a login page"),
        // Never "there is no such object": a missing object would be invented.
        (answer("404 Not Found", &[HTML], &page()), "is not AWS"),
        (answer("302 Found", &[("location", MARKER)], ""), "is not AWS"),
        (answer("511 Network Authentication Required", &[HTML], &page()), "is not AWS"),
        (answer("407 Proxy Authentication Required", &[], ""), "HTTPS_PROXY"),
    ] {
        let (errors, requests) = asked_s3(answered.clone()).await;
        assert_eq!((errors.len(), requests), (4, 4), "{answered}");
        for error in errors {
            let text = shown(&error);
            assert!(text.contains(expected), "{expected}: {text}");
            assert!(!error.is_retryable() && !text.contains("overloaded"), "{text}");
            assert!(!text.contains(MARKER), "{text}");
        }
    }
}

/// A web page in place of an object is not an object, and in place of a listing it is not an empty
/// one.
#[tokio::test]
async fn a_web_page_answered_with_200_is_not_taken_for_s3() {
    let headers = [HTML, ("etag", "\"1\"")];
    for headers in [&headers[..1], &headers] {
        assert_no_object_is_read(answer("200 OK", headers, &page())).await;
    }
    let (errors, requests) = asked_s3(answer("200 OK", &[HTML], &page())).await;
    assert_eq!(requests, 4);
    // A deletion that is answered with 204 or 200 has no body to check.
    assert_eq!(errors.len(), 3, "{errors:?}");
    for error in errors {
        let text = shown(&error);
        assert!(text.contains("is not AWS") && !text.contains(MARKER), "{text}");
        assert!(!error.is_retryable(), "{text}");
    }
}

async fn assert_no_object_is_read(answered: String) {
    let (errors, _) = asked_s3(answered).await;
    assert!(
        shown(&errors[0]).contains("read s3://bucket/clerk/a.json: the server that answered"),
        "{errors:?}"
    );
}

async fn asked_secrets_manager(answered: String) -> (SecretError, usize) {
    let server = StandIn::new(move |_| answered.clone()).await;
    let source = SecretsManager::new(&config_for(&server).await, "clerk/key", None);
    let error = source.expect("a source").read().await.expect_err("refused");
    (error, server.requests().len())
}

#[tokio::test]
async fn refusals_of_secrets_manager_say_who_must_act_and_are_not_retried() {
    let denied = "User is not authorized to perform the action with an explicit deny in a service \
                  control policy";
    let canonical = "The Canonical String for this request should have been";
    for (status, body, expected) in [
        ("400 Bad Request", json("InvalidSignatureException", canonical), "renew them"),
        ("400 Bad Request", json("InvalidSignatureException", "Signature expired: 2"), "clock"),
        (
            "400 Bad Request",
            json("InvalidSignatureException", "Signature not yet current"),
            "clock",
        ),
        ("400 Bad Request", json("UnrecognizedClientException", "?"), "renew them"),
        (
            "400 Bad Request",
            json("AccessDeniedException", denied),
            "a service control policy denies",
        ),
        (
            "400 Bad Request",
            json("AccessDeniedException", "?"),
            "allow secretsmanager:GetSecretValue",
        ),
        ("400 Bad Request", json("InvalidRequestException", "?"), "marked for deletion"),
        ("400 Bad Request", json("SomethingNew", "?"), "code \"SomethingNew\""),
        ("400 Bad Request", json(MARKER, "?"), "is not AWS"),
        ("403 Forbidden", page(), "is not AWS: a login page, a proxy"),
        ("200 OK", page(), "is not AWS"),
        ("302 Found", String::new(), "is not AWS"),
        ("407 Proxy Authentication Required", String::new(), "HTTPS_PROXY"),
    ] {
        let (error, requests) = asked_secrets_manager(answer(status, &[JSON], &body)).await;
        let text = shown(&error);
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(!error.is_retryable() && !text.contains("overloaded"), "{text}");
        for secret in [MARKER, "Canonical", "is not authorized"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert_eq!(requests, 1, "{status} {body}");
    }
}

// ---- In the real process

/// The program, with a stand-in for all of AWS.
fn program(server: &StandIn) -> Program {
    Program::bare()
        .with("SNAPSHOT_URL", "s3://bucket/clerk")
        .with("RESOURCES", "users")
        .with("CLERK_API_URL", &server.url())
        .with("CLERK_SECRET_KEY", DEFAULT_KEY)
        .with("AWS_ENDPOINT_URL", &server.url())
        .with("AWS_REGION", "us-east-1")
        .with("AWS_ACCESS_KEY_ID", "testing")
        .with("AWS_SECRET_ACCESS_KEY", "testing")
}

/// Secrets Manager repeats the request when it refuses a signature; proxies may repeat anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_or_log_line_holds_anything_of_a_body_or_a_header() {
    let headers = [
        ("x-amz-request-id", MARKER),
        ("x-amzn-requestid", MARKER),
        ("x-amz-bucket-region", MARKER),
        ("x-amzn-errortype", MARKER),
        ("etag", MARKER),
        ("location", MARKER),
        ("retry-after", "0"),
        ("server", MARKER),
    ];
    let clerks = format!(
        r#"{{"errors":[{{"code":"{MARKER}","message":"{MARKER}","long_message":"{MARKER}"}}]}}"#
    );
    let bodies =
        [xml(MARKER), json("InvalidSignatureException", MARKER), page(), clerks, MARKER.to_owned()];
    let statuses = ["200 OK", "301 Moved", "400 Bad", "403 Forbidden", "503 Unavailable"];
    let check = serde_json::json!({"action": "check"});
    let cases = statuses.iter().flat_map(|status| bodies.iter().map(move |body| (status, body)));
    let runs = cases.map(async |(status, body)| {
        let answered = answer(status, &headers, body);
        let server = StandIn::new(move |_| answered.clone()).await;
        let program =
            program(&server).with("LOG_LEVEL", "trace").with("RUST_LOG", "trace").event(&check);
        let in_secrets_manager =
            program.clone().with("CLERK_SECRET_KEY", "").with("CLERK_SECRET_ID", "clerk/key");
        for program in [program, in_secrets_manager] {
            let finished = program.run().await;
            for text in [&finished.stdout, &finished.stderr] {
                assert!(!text.contains(MARKER), "{status}: {text}");
            }
            let checks = finished.answer(1);
            assert!(checks.as_array().is_some_and(|checks| checks.len() == 4), "{checks:#}");
        }
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_without_a_scheme_is_an_invalid_setting() {
    let server = StandIn::new(|_| answer("500 Oh", &[], "")).await;
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "127.0.0.1:5000"),
        ("AWS_ENDPOINT_URL_S3", "localhost:5000"),
        ("AWS_ENDPOINT_URL_S3", "ftp://host"),
        ("AWS_ENDPOINT_URL_S3", "https://"),
    ] {
        let message = program(&server).with(name, value).run().await.error(2, "InvalidConfig");
        assert!(message.contains(name) && message.contains("http"), "{message}");
    }
    assert_eq!(server.requests(), [""; 0]);
    // An invalid endpoint does not matter if AWS is not used.
    let place = tempfile::tempdir().expect("a folder");
    let sandbox = Sandbox::new(Population::default().users(3));
    let clerk = sandbox.serve().await.expect("a port");
    let url = format!("file://{}", place.path().display());
    let program = Program::new(&url, &clerk).with("AWS_ENDPOINT_URL", "127.0.0.1:5000");
    program.run().await.answer(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_does_not_exist_is_named() {
    let server = StandIn::new(|_| answer("500 Oh", &[], "")).await;
    let home = tempfile::tempdir().expect("a folder");
    let program = program(&server)
        .with("HOME", home.path().to_str().expect("UTF-8"))
        .with("AWS_ACCESS_KEY_ID", "")
        .with("AWS_SECRET_ACCESS_KEY", "")
        .with("AWS_EC2_METADATA_DISABLED", "true")
        .with("AWS_PROFILE", "staging");
    for region in ["us-east-1", ""] {
        let program = program.clone().with("AWS_REGION", region);
        let message = program.run().await.error(1, "StoreUnavailable");
        assert!(message.contains("AWS_PROFILE names \"staging\""), "{message}");
        let in_secrets_manager = program
            .with("SNAPSHOT_URL", &format!("file://{}", home.path().join("out").display()))
            .with("CLERK_SECRET_KEY", "")
            .with("CLERK_SECRET_ID", "clerk/key");
        let message = in_secrets_manager.run().await.error(1, "SecretUnavailable");
        assert!(message.contains("AWS_PROFILE names \"staging\""), "{message}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

/// The cause comes first, and a proxy in front of the metadata service is recognised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_could_not_be_obtained_say_why() {
    let proxy = StandIn::new(|_| answer("403 Forbidden", &[HTML], &page())).await;
    let server = StandIn::new(|_| answer("500 Oh", &[], "")).await;
    let without = program(&server).with("AWS_ACCESS_KEY_ID", "").with("AWS_SECRET_ACCESS_KEY", "");
    let message = without
        .clone()
        .with("AWS_EC2_METADATA_DISABLED", "true")
        .run()
        .await
        .error(1, "StoreUnavailable");
    assert!(message.contains("no AWS credentials were found; configure a profile"), "{message}");

    let in_container = without
        .with("HTTP_PROXY", &proxy.url())
        .with("NO_PROXY", "127.0.0.1")
        .with("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x");
    let finished = in_container.run().await;
    let message = finished.error(1, "StoreUnavailable");
    assert!(message.contains("NO_PROXY=169.254.169.254,169.254.170.2"), "{message}");
    assert!(!proxy.requests().is_empty(), "the proxy was asked");
    for text in [&finished.stdout, &finished.stderr] {
        assert!(!text.contains(MARKER) && !text.contains("overloaded"), "{text}");
    }
}

/// A host that is not found, or where nothing listens, is retried, and is not called an overload.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clerk_that_cannot_be_reached_is_not_called_overloaded() {
    let place = tempfile::tempdir().expect("a folder");
    let nobody = Nobody::new();
    let program = |folder: &str, clerk: &str| {
        Program::bare()
            .with("SNAPSHOT_URL", &format!("file://{}", place.path().join(folder).display()))
            .with("RESOURCES", "users")
            .with("CLERK_SECRET_KEY", DEFAULT_KEY)
            .with("CLERK_API_URL", clerk)
            // A name server that does not answer must not take longer than the program waits.
            .with("RES_OPTIONS", "timeout:1 attempts:1")
    };
    let unknown = program("unknown", "https://no-such-host.invalid");
    let refused = program("refused", &nobody.url());
    let (unknown, refused) = tokio::join!(unknown.run(), refused.run());
    for (finished, says) in [
        (&unknown, "the host's name was not found"),
        (&refused, "the connection was refused: nothing is listening there"),
    ] {
        let message = finished.error(1, "ClerkUnavailable");
        assert!(message.contains(says) && message.contains("CLERK_API_URL"), "{message}");
        assert!(!message.contains("CLERK_RATE_SHARE"), "{message}");
        assert!(message.contains("6 attempts"), "{message}");
    }
}

/// Both HTTP clients use `HTTPS_PROXY`, and a proxy that demands a password is not tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_wants_a_password_is_named() {
    let place = tempfile::tempdir().expect("a folder");
    let wants = "407 Proxy Authentication Required";
    let proxy =
        StandIn::new(move |_| answer(wants, &[("proxy-authenticate", MARKER)], &page())).await;
    let far = "https://no-such-host.invalid";
    let folder = format!("file://{}", place.path().display());
    let program = program(&proxy).with("HTTPS_PROXY", &proxy.url()).with("AWS_ENDPOINT_URL", far);
    let clerk = program.clone().with("SNAPSHOT_URL", &folder).with("CLERK_API_URL", far);
    for (program, name, most) in [(clerk, "ClerkUnavailable", 1), (program, "StoreUnavailable", 2)]
    {
        let before = proxy.requests().len();
        let finished = program.run().await;
        let message = finished.error(1, name);
        assert!(message.contains("the proxy asks for a user name and password"), "{message}");
        assert!(message.contains("HTTPS_PROXY"), "{message}");
        assert!(!finished.stderr.contains(MARKER), "{}", finished.stderr);
        let asked = proxy.requests().split_off(before);
        assert!((1..=most).contains(&asked.len()), "{asked:?}");
        assert!(asked.iter().all(|head| head.starts_with("CONNECT ")), "{asked:?}");
        assert!(asked.iter().all(|head| !head.contains(DEFAULT_KEY)), "the key stays here");
    }
}

/// A login page between this machine and Clerk is not Clerk's answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_in_place_of_clerk_is_recognised() {
    let place = tempfile::tempdir().expect("a folder");
    for (status, name) in [("200 OK", "ClerkProtocol"), ("302 Found", "ClerkProtocol")] {
        let server = StandIn::new(move |_| answer(status, &[HTML], &page())).await;
        let program = program(&server)
            .with("SNAPSHOT_URL", &format!("file://{}", place.path().join(status).display()));
        let finished = program.run().await;
        let message = finished.error(1, name);
        for word in ["is not Clerk's", "login page", "CLERK_API_URL"] {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert!(!finished.stderr.contains(MARKER), "{}", finished.stderr);
    }
}

// ---- AWS profiles

/// A profile whose credentials come from a command signs a request that moto accepts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_with_a_credential_process_signs_requests() {
    let (moto, bucket) = (Moto::shared(), "credential-process");
    moto.bucket(bucket).await;
    let home = tempfile::tempdir().expect("a folder");
    let command = home.path().join("credentials.sh");
    let credentials = r#"{"Version":1,"AccessKeyId":"FROMPROCESS","SecretAccessKey":"x"}"#;
    fs::write(&command, format!("echo '{credentials}'\n")).expect("a command");
    let with_profile = |line: String| {
        fs::create_dir_all(home.path().join(".aws")).expect("a folder");
        let config = format!("[profile people]\nregion = us-east-1\n{line}\n");
        fs::write(home.path().join(".aws/config"), config).expect("a profile");
    };
    let sandbox = Sandbox::new(Population::default().users(3));
    let clerk = sandbox.serve().await.expect("a port");
    let program = Program::new(&format!("s3://{bucket}/clerk"), &clerk)
        .with("AWS_ENDPOINT_URL", moto.url())
        .with("AWS_PROFILE", "people")
        .with("PATH", "/usr/bin:/bin")
        .with("HOME", home.path().to_str().expect("UTF-8"));
    with_profile(format!("credential_process = sh {}", command.display()));
    program.run().await.answer(0);

    fs::write(&command, format!("echo {MARKER}; echo {MARKER} >&2; exit 3\n")).expect("a command");
    let finished = program.run().await;
    let message = finished.error(1, "StoreUnavailable");
    assert!(message.contains("the credential_process of the AWS profile failed"), "{message}");
    assert!(!finished.stderr.contains(MARKER), "{}", finished.stderr);
}

/// A profile of IAM Identity Center is used after a sign-in; without one, the message asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_with_sso_signs_requests_or_asks_for_the_sign_in() {
    let (moto, bucket) = (Moto::shared(), "sso");
    moto.bucket(bucket).await;
    let portal = StandIn::new(|_| {
        let credentials = r#"{"roleCredentials":{"accessKeyId":"FROMSSO","secretAccessKey":"x",
            "sessionToken":"y","expiration":4102444800000}}"#;
        answer("200 OK", &[("content-type", "application/json")], credentials)
    })
    .await;
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(home.path().join(".aws/sso/cache")).expect("a folder");
    let config = "[profile people]\nsso_session = people\nsso_account_id = 123456789012\n\
                  sso_role_name = Reader\nregion = us-east-1\n\n[sso-session people]\n\
                  sso_region = us-east-1\nsso_start_url = https://people.awsapps.com/start\n\n\
                  [profile console]\nlogin_session = arn:aws:iam::123456789012:user/ada\n\
                  region = us-east-1\n";
    fs::write(home.path().join(".aws/config"), config).expect("a profile");
    let sandbox = Sandbox::new(Population::default().users(3));
    let clerk = sandbox.serve().await.expect("a port");
    let program = Program::new(&format!("s3://{bucket}/clerk"), &clerk)
        .with("AWS_ENDPOINT_URL_S3", moto.url())
        .with("AWS_ENDPOINT_URL_SSO", &portal.url())
        .with("AWS_PROFILE", "people")
        .with("HOME", home.path().to_str().expect("UTF-8"));
    let message = program.run().await.error(1, "StoreUnavailable");
    assert!(message.contains("run `aws sso login`"), "{message}");
    let message =
        program.clone().with("AWS_PROFILE", "console").run().await.error(1, "StoreUnavailable");
    assert!(message.contains("run `aws login`"), "{message}");

    // As `aws sso login` leaves it: the file is named after the SHA-1 of the session's name.
    let token = r#"{"accessToken":"a-token","expiresAt":"2100-01-01T00:00:00Z"}"#;
    let file = home.path().join(".aws/sso/cache").join(format!("{SHA1_OF_PEOPLE}.json"));
    fs::write(file, token).expect("a token");
    program.run().await.answer(0);
    assert!(portal.requests()[0].contains("/federation/credentials"), "{:?}", portal.requests());
}

/// The SHA-1 of `people`.
const SHA1_OF_PEOPLE: &str = "ab3ccc8dba2a0cf7a1ce4d830bb8a6238ff03833";
