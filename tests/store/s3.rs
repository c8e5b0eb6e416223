//! Promise: the S3 store stays below its prefix, sends checksums and conditions, and says what to
//! do when S3 refuses. Most answers are scripted; for the others moto is the S3, on loopback.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use clerk_store::aws::LazyAwsConfig;
use clerk_store::{
    Condition, ContentType, DeleteCondition, Encryption, FolderStore, MAX_BYTES_READ, Operation,
    S3Options, S3Store, Store, StoreErrorKind, Version, open,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::moto::{self, Moto};
use crate::support::store_calls::{CHECKPOINT, PART, assert_refused, put};
use crate::support::unreachable::Nobody;

#[tokio::test]
async fn an_s3_store_keeps_to_its_prefix() {
    let config = Moto::shared().bucket("keeps-to-its-prefix").await;
    let aws = LazyAwsConfig::from(config.clone());
    let at = async |url: &str| open(&url.parse().unwrap(), &aws, &S3Options::default()).await;
    let whole = at("s3://keeps-to-its-prefix").await;
    let part = at("s3://keeps-to-its-prefix/clerk/").await;
    assert_eq!(part.url_of("latest.json"), "s3://keeps-to-its-prefix/clerk/latest.json");
    put(&part, "latest.json", "{}", Condition::Any).await.unwrap();
    put(&whole, "clerk-other/latest.json", "{}", Condition::Any).await.unwrap();
    assert_eq!(keys(&whole).await, ["clerk-other/latest.json", "clerk/latest.json"]);
    assert_eq!(keys(&part).await, ["latest.json"]);
}

/// S3 returns at most a thousand keys per answer.
#[tokio::test]
async fn a_listing_of_several_pages_is_complete() {
    const OBJECTS: usize = 1_203;
    let config = Moto::shared().bucket("several-pages").await;
    let store: Arc<dyn Store> = Arc::new(S3Store::new(&config, "several-pages", "clerk").unwrap());
    let names: Vec<_> = (0..OBJECTS).map(|part| format!("snapshots/a/part-{part:05}")).collect();
    for some in names.chunks(32) {
        let puts = some.iter().map(|key| put(&store, key, "rows", Condition::Any));
        futures_util::future::try_join_all(puts).await.unwrap();
    }
    assert_eq!(keys(&store).await, names);
}

#[tokio::test]
async fn objects_carry_their_content_type_and_no_encoding() {
    let config = Moto::shared().bucket("content-types").await;
    let store: Arc<dyn Store> = Arc::new(S3Store::new(&config, "content-types", "").unwrap());
    store.put(PART, "rows".into(), ContentType::Ndjson, Condition::Any).await.unwrap();
    store.put(CHECKPOINT, "{}".into(), ContentType::Json, Condition::Any).await.unwrap();
    let client = aws_sdk_s3::Client::new(&config);
    for (key, expected) in [(PART, "application/x-ndjson"), (CHECKPOINT, "application/json")] {
        let head = client.head_object().bucket("content-types").key(key).send().await.unwrap();
        assert_eq!(head.content_type(), Some(expected));
        assert_eq!(head.content_encoding(), None);
    }
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let config = Moto::shared().aws_config().await;
    let store: Arc<dyn Store> = Arc::new(S3Store::new(&config, "never-made", "clerk").unwrap());
    for result in [
        store.get(CHECKPOINT).await.map(drop),
        put(&store, CHECKPOINT, "{}", Condition::Any).await.map(drop),
        put(&store, CHECKPOINT, "{}", Condition::Absent).await.map(drop),
        store.delete(CHECKPOINT, DeleteCondition::Any).await,
        store.list("").await.map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error.kind, StoreErrorKind::NoSuchBucket { .. }), "{error:?}");
        assert!(error.to_string().contains("bucket never-made does not exist"), "{error}");
    }
}

#[tokio::test]
async fn without_a_region_or_credentials_the_message_says_so() {
    let nothing = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    assert!(S3Store::new(&nothing, "bucket", "").is_none(), "without a region there is no store");

    let nobody = ProfileFileCredentialsProvider::builder()
        .profile_name("clerk-sync-tests-have-no-such-profile")
        .build();
    let config = clerk_store::aws::aws_config_loader()
        .endpoint_url(Moto::shared().url())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(CredentialsProviderChain::first_try("a missing profile", nobody))
        .load()
        .await;
    let store = S3Store::new(&config, "bucket", "").unwrap();
    let error = store.get(CHECKPOINT).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Obstacle(_)), "{error:?}");
    assert!(error.to_string().contains("no AWS credentials were found"), "{error}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable() {
    let nobody = Nobody::new();
    let config = nobody.aws_config().await;
    let store: Arc<dyn Store> = Arc::new(S3Store::new(&config, "bucket", "").unwrap());
    let (got, written, listed, verified, deleted) = tokio::join!(
        store.get(CHECKPOINT),
        put(&store, CHECKPOINT, "{}", Condition::Absent),
        store.list(""),
        store.verify(CHECKPOINT),
        store.delete(CHECKPOINT, DeleteCondition::Any),
    );
    let listed = listed.map(drop);
    for result in [got.map(drop), written.map(drop), listed, verified.map(drop), deleted] {
        let error = result.unwrap_err();
        assert!(
            matches!(error.kind, StoreErrorKind::Unavailable { .. }) && error.is_retryable(),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains("testing"), "credentials are not shown: {error:?}");
    }
}

/// The exact headers of a write.
#[tokio::test]
async fn a_write_carries_its_checksum_condition_and_size() {
    let (store, s3) = scripted_s3(&["200 OK\r\nETag: \"1\"", "200 OK\r\nETag: \"2\""]).await;
    let first = put(&store, CHECKPOINT, "hello", Condition::Absent).await.unwrap();
    put(&store, CHECKPOINT, "hello", Condition::Matches(first)).await.unwrap();
    let requests = s3.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert!(request.starts_with("PUT /bucket/clerk/checkpoint.json"), "{request}");
        for header in [
            "x-amz-checksum-sha256: LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "content-length: 5",
            "content-type: application/json",
        ] {
            assert!(request.contains(header), "{header}: {request}");
        }
        assert!(!request.contains("crc32") && !request.contains("content-encoding"), "{request}");
    }
    assert!(requests[0].contains("if-none-match: *"), "{}", requests[0]);
    assert!(requests[1].contains("if-match: \"1\""), "{}", requests[1]);
}

/// Buckets of companies often refuse writes without these headers, and requests to a bucket that somebody else has
/// made under the expected name.
#[tokio::test]
async fn the_owner_and_the_encryption_go_with_every_request() {
    let encryption = Encryption::KmsKey { key_id: Some("alias/snapshots".to_owned()) };
    let options =
        S3Options { expected_owner: Some("012345678901".to_owned()), encryption: Some(encryption) };
    let answers = ["200 OK\r\nETag: \"1\""; 5];
    let (store, s3) = scripted_s3_with(options, &answers).await;
    put(&store, CHECKPOINT, "{}", Condition::Any).await.unwrap();
    // What these make of the scripted answers does not matter here.
    let _ = store.get(CHECKPOINT).await;
    let _ = store.verify(CHECKPOINT).await;
    let _ = store.list("").await;
    let _ = store.delete(CHECKPOINT, DeleteCondition::Any).await;
    let requests = s3.requests();
    let methods: Vec<_> = requests.iter().map(|it| it.split(' ').next().unwrap()).collect();
    assert_eq!(methods, ["PUT", "GET", "HEAD", "GET", "DELETE"]);
    for request in &requests {
        assert!(request.contains("x-amz-expected-bucket-owner: 012345678901"), "{request}");
        let is_write = request.starts_with("PUT");
        for header in [
            "x-amz-server-side-encryption: aws:kms\r\n",
            "x-amz-server-side-encryption-aws-kms-key-id: alias/snapshots",
        ] {
            assert_eq!(request.contains(header), is_write, "{header}: {request}");
        }
    }

    let options = S3Options { encryption: Some(Encryption::S3Keys), ..S3Options::default() };
    let (store, s3) = scripted_s3_with(options, &answers[..1]).await;
    put(&store, CHECKPOINT, "{}", Condition::Any).await.unwrap();
    assert!(s3.requests()[0].contains("x-amz-server-side-encryption: AES256"));
    assert!(!s3.requests()[0].contains("expected-bucket-owner"));
}

/// S3 does not say that the owner is why it refuses.
#[tokio::test]
async fn a_refusal_that_the_owner_may_cause_says_so() {
    let options =
        S3Options { expected_owner: Some("012345678901".to_owned()), ..S3Options::default() };
    let (store, _s3) = scripted_s3_with(options, &["403 Forbidden\r\nx-body: AccessDenied"]).await;
    let error = store.get(CHECKPOINT).await.unwrap_err().to_string();
    assert!(error.contains("account 012345678901 owns the bucket"), "{error}");
    assert!(error.contains("EXPECTED_BUCKET_OWNER"), "{error}");
}

/// A 409 only says that another write was in progress (S3 user guide, conditional writes).
#[tokio::test]
async fn a_conflict_is_tried_again() {
    let conflict = "409 Conflict\r\nx-body: ConditionalRequestConflict";
    let (store, s3) = scripted_s3(&[conflict, conflict, "200 OK\r\nETag: \"1\""]).await;
    put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap();
    assert_eq!(s3.requests().len(), 3);

    let (store, s3) = scripted_s3(&[conflict; 9]).await;
    let error = put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Unavailable { .. }), "{error:?}");
    assert_eq!(s3.requests().len(), 5);
}

/// The first answer is lost, the SDK repeats the write and collides with its own first attempt: the
/// caller learns that the object changed, and reads it again.
#[tokio::test]
async fn a_repeated_conditional_write_reports_the_refusal() {
    let refusal = "412 Precondition Failed\r\nx-body: PreconditionFailed";
    let (store, s3) = scripted_s3(&["", refusal]).await;
    let error = put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap_err();
    assert_refused(&error, Operation::Put, "s3://bucket/clerk/checkpoint.json");
    assert_eq!(s3.requests().len(), 2);
}

/// Some servers answer a condition on a missing object with 404, others with 412.
#[tokio::test]
async fn a_condition_on_a_missing_object_is_refused_either_way() {
    for answer in
        ["404 Not Found\r\nx-body: NoSuchKey", "412 Refused\r\nx-body: PreconditionFailed"]
    {
        let (store, _s3) = scripted_s3(&[answer, answer]).await;
        let version = Version::new("\"1\"");
        let written = put(&store, CHECKPOINT, "{}", Condition::Matches(version.clone())).await;
        assert!(written.unwrap_err().is_precondition_failed());
        let deleted = store.delete(CHECKPOINT, DeleteCondition::Matches(version)).await;
        assert!(deleted.unwrap_err().is_precondition_failed());
    }
}

/// Only an answer about the condition says that somebody else has changed the object. A store that is busy or refuses
/// everything must not look like a faster writer.
#[tokio::test]
async fn other_refusals_of_a_conditional_write_are_not_those_of_its_condition() {
    let (store, s3) = scripted_s3(&[
        "403 Forbidden\r\nx-body: AccessDenied",
        "404 Not Found\r\nx-body: NoSuchBucket",
        "409 Conflict\r\nx-body: OperationAborted",
        "404 Not Found\r\nx-body: NoSuchKey",
    ])
    .await;
    let replace = || put(&store, CHECKPOINT, "{}", Condition::Matches(Version::new("\"1\"")));
    let error = replace().await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::AccessDenied { .. }), "{error:?}");
    let error = replace().await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::NoSuchBucket { .. }), "{error:?}");
    let error = replace().await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Unavailable { .. }), "{error:?}");
    // A write that requires that there is no object cannot fail because there is none.
    let error = put(&store, CHECKPOINT, "{}", Condition::Absent).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Refused { status: 404, .. }), "{error:?}");
    assert_eq!(s3.requests().len(), 4);
}

/// S3 answers 204 if there is nothing to remove, other servers answer 404.
#[tokio::test]
async fn removing_an_object_that_is_gone_succeeds() {
    let (store, s3) = scripted_s3(&["404 Not Found\r\nx-body: NoSuchKey"]).await;
    store.delete(CHECKPOINT, DeleteCondition::Any).await.unwrap();
    assert_eq!(s3.requests().len(), 1);
}

/// A store without conditional writes answers 501 to them, and the message names them.
#[tokio::test]
async fn the_message_about_an_unsupported_write_depends_on_its_condition() {
    let lacks = "501 Not Implemented\r\nx-body: NotImplemented";
    for (condition, reason) in [
        (Condition::Any, "it lacks an operation"),
        (Condition::Absent, "it lacks conditional writes"),
        (Condition::Matches(Version::new("\"1\"")), "it lacks conditional writes"),
    ] {
        let (store, s3) = scripted_s3(&[lacks]).await;
        let error = put(&store, CHECKPOINT, "{}", condition).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.is_retryable(), "{error}");
        assert_eq!(s3.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_damaged_object_is_noticed_when_written() {
    let other = "200 OK\r\nETag: \"1\"\r\n\
                 x-amz-checksum-sha256: AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let (store, _s3) = scripted_s3(&[other]).await;
    let error = put(&store, CHECKPOINT, "hello", Condition::Any).await.unwrap_err();
    assert!(
        matches!(error.kind, StoreErrorKind::ChecksumMismatch) && error.is_retryable(),
        "{error}"
    );
}

/// Every refusal names the address and what to do, and none is mistaken for a missing object.
#[tokio::test]
async fn refusals_say_what_to_do() {
    for (answer, advice) in [
        ("403 Forbidden\r\nx-body: AccessDenied", "allow s3:GetObject"),
        ("403 Forbidden\r\nx-body: AccessDenied", "without s3:ListBucket"),
        // The header alone does not mean that the region is wrong.
        (
            "403 Forbidden\r\nx-amz-bucket-region: eu-west-1\r\nx-body: AccessDenied",
            "allow s3:GetObject",
        ),
        ("403 Forbidden\r\nx-body: InvalidAccessKeyId", "did not accept the credentials"),
        ("400 Bad Request\r\nx-body: ExpiredToken", "did not accept the credentials"),
        (
            "301 Moved\r\nx-body: PermanentRedirect",
            "another AWS region than us-east-1; set AWS_REGION",
        ),
        ("400 Bad Request\r\nx-body: AuthorizationHeaderMalformed", "set AWS_REGION"),
        ("404 Not Found\r\nx-body: NoSuchBucket", "bucket bucket does not exist"),
        ("400 Bad Request\r\nx-body: InvalidArgument", "status 400, code \"InvalidArgument\""),
        (
            "405 Method Not Allowed\r\nx-body: MethodNotAllowed",
            "status 405, code \"MethodNotAllowed\"",
        ),
    ] {
        let (store, s3) = scripted_s3(&[answer]).await;
        let error = store.get(CHECKPOINT).await.unwrap_err();
        assert!(error.to_string().contains("s3://bucket/clerk/checkpoint.json"), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
        assert!(!error.is_retryable(), "{error}");
        assert!(!format!("{error:?}").contains("StringToSign"), "no bodies: {error:?}");
        assert_eq!(s3.requests().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn an_overloaded_store_is_tried_three_times() {
    let busy = "503 Slow Down\r\nx-body: SlowDown";
    let (store, s3) = scripted_s3(&[busy; 9]).await;
    let error = store.verify(CHECKPOINT).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Unavailable { .. }), "{error:?}");
    assert_eq!(s3.requests().len(), 3);
}

/// A body that is cut short is an error, never a shorter object.
#[tokio::test]
async fn a_body_that_is_cut_short_is_unavailable() {
    let cut = "200 OK\r\nETag: \"1\"\r\nx-announce: 5000";
    let (store, s3) = scripted_s3(&[cut; 5]).await;
    let error = store.get(CHECKPOINT).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Unavailable { .. }), "{error:?}");
    assert_eq!(s3.requests().len(), 3);
}

/// The SDK repeats no body, so the store does: parts of megabytes are read over any line.
#[tokio::test]
async fn a_body_that_breaks_off_is_read_again() {
    let cut = "200 OK\r\nETag: \"1\"\r\nx-announce: 5000";
    let (store, s3) = scripted_s3(&[cut, cut, "200 OK\r\nETag: \"1\""]).await;
    let object = store.get(CHECKPOINT).await.unwrap().unwrap();
    assert_eq!((object.bytes.len(), s3.requests().len()), (0, 3));
}

/// A large object has more time to arrive than a small one, but a server that sends a byte now and then does not hold
/// up a run forever.
#[tokio::test]
async fn a_body_is_given_up_when_it_is_slower_than_its_size_allows() {
    // 160 s at 256 KiB a second, and the 30 s that every body has.
    const ANNOUNCED: usize = 42_000_000;
    const ALLOWED: Duration = Duration::from_secs(190);
    // More than lies in buffers on the way: once it is sent, the body is being read.
    const AT_ONCE: usize = 32_000_000;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        read_request(&mut connection).await;
        let head = rendered(&format!("200 OK\r\nETag: \"1\"\r\nx-announce: {ANNOUNCED}"));
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(&vec![b'x'; AT_ONCE]).await.unwrap();
        tokio::time::pause();
        // Long enough to be given up before it closes the connection.
        for _ in 0..800 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if connection.write_all(b"x").await.is_err() {
                return;
            }
        }
    });
    let store = S3Store::new(&moto::aws_config_for(&url).await, "bucket", "clerk").unwrap();
    let begun = tokio::time::Instant::now();
    let error = store.get(CHECKPOINT).await.unwrap_err();
    let took = begun.elapsed();
    server.abort();
    assert!(matches!(error.kind, StoreErrorKind::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    assert!((ALLOWED..ALLOWED + Duration::from_secs(10)).contains(&took), "{took:?}");
}

/// Limit: 256 MiB. This program never writes larger objects, so it does not read them into memory.
#[tokio::test]
async fn an_object_that_would_fill_the_memory_is_not_read() {
    let at_the_limit = "200 OK\r\nETag: \"1\"\r\nx-announce: 268435456";
    let (s3, _s3) = scripted_s3(&[at_the_limit; 3]).await;
    let error = s3.get(CHECKPOINT).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Unavailable { .. }), "it is read: {error:?}");

    let (s3, _s3) = scripted_s3(&["200 OK\r\nETag: \"1\"\r\nx-announce: 268435457"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join(CHECKPOINT)).unwrap();
    file.set_len(MAX_BYTES_READ + 1).unwrap();
    let folder_store: Arc<dyn Store> = Arc::new(FolderStore::new(folder.path()));
    for store in [s3, folder_store] {
        let error = store.get(CHECKPOINT).await.unwrap_err();
        assert!(matches!(error.kind, StoreErrorKind::TooLarge), "{error:?}");
        assert!(!error.is_retryable() && error.to_string().contains(CHECKPOINT), "{error}");
    }
}

async fn keys(store: &Arc<dyn Store>) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|listed| listed.key).collect()
}

/// An S3 that gives one scripted answer per request, and keeps the requests.
struct ScriptedS3 {
    requests: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl ScriptedS3 {
    /// Method, path and headers of each request.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for ScriptedS3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A store on such a server. An answer is a status line with headers, without `HTTP/1.1`; `x-body`
/// names the error code of the XML body, `x-announce` a length that is not sent in full. An empty
/// answer closes the connection instead.
async fn scripted_s3(answers: &[&'static str]) -> (Arc<dyn Store>, ScriptedS3) {
    scripted_s3_with(S3Options::default(), answers).await
}

async fn scripted_s3_with(
    options: S3Options,
    answers: &[&'static str],
) -> (Arc<dyn Store>, ScriptedS3) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let answers = answers.to_vec();
    let server = tokio::spawn({
        let requests = Arc::clone(&requests);
        async move {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let request = read_request(&mut connection).await;
                requests.lock().unwrap().push(request);
                connection.write_all(rendered(answer).as_bytes()).await.unwrap();
                connection.shutdown().await.unwrap();
            }
        }
    });
    let config = moto::aws_config_for(&url).await;
    let store = Arc::new(S3Store::new(&config, "bucket", "clerk").unwrap().with(options));
    (store, ScriptedS3 { requests, server })
}

/// Reads the headers and the body, and returns the headers.
async fn read_request(connection: &mut tokio::net::TcpStream) -> String {
    let mut received = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((headers, body)) = text.split_once("\r\n\r\n") {
            let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return headers.to_owned();
            }
        }
        assert_ne!(connection.read_buf(&mut received).await.unwrap(), 0, "{text}");
    }
}

fn rendered(answer: &str) -> String {
    if answer.is_empty() {
        return String::new();
    }
    let value_of = |name| answer.lines().find_map(|line: &str| line.strip_prefix(name));
    let body = value_of("x-body: ").map_or_else(String::new, |code| {
        format!(
            "<Error><Code>{code}</Code><Message>m</Message><StringToSign>s</StringToSign></Error>"
        )
    });
    let length = value_of("x-announce: ").map_or(body.len(), |length| length.parse().unwrap());
    format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}
