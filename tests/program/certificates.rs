//! Promise: a server with an invalid certificate is sent neither the key nor a request, whether it
//! claims to be Clerk, S3 or Secrets Manager. The message says what is wrong with the certificate
//! and what to do, and a permanent failure is not retried.

use std::path::Path;

use clerk_sandbox::{DEFAULT_KEY, Population, Sandbox, Serving};
use tempfile::TempDir;

use crate::support::moto::Moto;
use crate::support::process::{Finished, Program};
use crate::support::tls::{Authority, Shown, TlsFront};

/// Certificates that are refused: what the server shows, whether its authority is trusted, and what
/// the message must say.
const REFUSED: [(Shown, bool, [&str; 2]); 5] = [
    (Shown::Good, false, ["not signed by an authority that this machine trusts", "SSL_CERT_FILE"]),
    (Shown::SelfSigned, true, ["not signed by an authority", "SSL_CERT_FILE"]),
    (Shown::Expired, true, ["has expired", "clock"]),
    (Shown::NotYetValid, true, ["is not valid yet", "clock"]),
    (Shown::OtherHost, true, ["is for another host", "_URL"]),
];

/// Two authorities, and a sandbox to copy.
struct Place {
    folder: TempDir,
    authority: Authority,
    stranger: Authority,
    sandbox: Sandbox,
    /// The sandbox over plain HTTP.
    clerk: Serving,
}

impl Place {
    async fn new() -> Self {
        let sandbox = Sandbox::new(Population::default().users(3));
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            authority: Authority::new("an authority"),
            stranger: Authority::new("a stranger"),
            clerk: sandbox.serve().await.expect("a port"),
            sandbox,
        }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program, which trusts only one of the authorities.
    fn program(&self, trusts_it: bool) -> Program {
        let authority = if trusts_it { &self.authority } else { &self.stranger };
        let name = if trusts_it { "authority.pem" } else { "stranger.pem" };
        let file = authority.file(self.folder(), name);
        let url = format!("file://{}", self.folder().join("snapshots").display());
        Program::new(&url, &self.clerk)
            .with("RESOURCES", "users")
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", "testing")
            .with("AWS_SECRET_ACCESS_KEY", "testing")
            .with("SSL_CERT_FILE", file.to_str().expect("UTF-8"))
    }
}

/// The connection is refused, the message says why, nothing is retried, and nothing was sent.
fn assert_refused(
    front: &TlsFront,
    finished: &Finished,
    name: &str,
    words: [&str; 2],
    what: Shown,
) {
    let message = finished.error(1, name);
    for word in words {
        assert!(message.contains(word), "{what:?}: {message}");
    }
    assert!(!message.contains("overloaded") && !message.contains("RATE"), "{message}");
    assert_eq!(front.accepted(), 0, "{what:?}: the certificate was accepted");
    // A sync begins by reading two objects at the same time.
    let requests = if name == "StoreUnavailable" { 2 } else { 1 };
    assert!(front.attempts() <= requests, "{what:?}: retried, although that cannot help");
    assert!(!finished.stderr.contains(DEFAULT_KEY), "{}", finished.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clerk_must_show_a_valid_certificate() {
    let place = Place::new().await;
    let front = TlsFront::of(&place.clerk.url(), place.authority.server(Shown::Good)).await;
    let program = place.program(true).with("CLERK_API_URL", &front.url());
    program.run().await.answer(0);
    assert!(front.accepted() > 0);
    place.sandbox.clear_requests();

    for (shown, trusts_it, words) in REFUSED {
        let front = TlsFront::of(&place.clerk.url(), place.authority.server(shown)).await;
        let program = place.program(trusts_it).with("CLERK_API_URL", &front.url());
        assert_refused(&front, &program.run().await, "ClerkUnavailable", words, shown);
        assert_eq!(place.sandbox.total_requests(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_must_show_a_valid_certificate() {
    let place = Place::new().await;
    let (moto, bucket) = (Moto::shared(), "certificates");
    moto.bucket(bucket).await;
    let url = format!("s3://{bucket}/clerk");
    let program = |trusts_it, front: &TlsFront| {
        let program = place.program(trusts_it);
        program.with("SNAPSHOT_URL", &url).with("AWS_ENDPOINT_URL_S3", &front.url())
    };
    for (shown, trusts_it, words) in REFUSED {
        let front = TlsFront::of(moto.url(), place.authority.server(shown)).await;
        let finished = program(trusts_it, &front).run().await;
        assert_refused(&front, &finished, "StoreUnavailable", words, shown);
        assert_eq!(place.sandbox.total_requests(), 0, "Clerk is not called needlessly");
    }
    let front = TlsFront::of(moto.url(), place.authority.server(Shown::Good)).await;
    program(true, &front).run().await.answer(0);
    assert!(front.accepted() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_manager_must_show_a_valid_certificate() {
    let place = Place::new().await;
    let moto = Moto::shared();
    let client = aws_sdk_secretsmanager::Client::new(&moto.aws_config().await);
    let create = client.create_secret().name("behind-tls").secret_string(DEFAULT_KEY);
    create.send().await.expect("a secret");
    let program = |trusts_it, front: &TlsFront| {
        let program = place.program(trusts_it).with("CLERK_SECRET_KEY", "");
        program
            .with("CLERK_SECRET_ID", "behind-tls")
            .with("AWS_ENDPOINT_URL_SECRETS_MANAGER", &front.url())
    };
    for (shown, trusts_it, words) in REFUSED {
        let front = TlsFront::of(moto.url(), place.authority.server(shown)).await;
        let finished = program(trusts_it, &front).run().await;
        assert_refused(&front, &finished, "SecretUnavailable", words, shown);
        assert_eq!(place.sandbox.total_requests(), 0);
    }
    let front = TlsFront::of(moto.url(), place.authority.server(Shown::Good)).await;
    program(true, &front).run().await.answer(0);
}

/// As in a container that holds little more than the program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_ca_certificates_gets_a_clear_message() {
    let place = Place::new().await;
    let moto = Moto::shared();
    let none = place.folder().join("none.pem");
    std::fs::write(&none, "").expect("a file");
    let program = place.program(true).with("SSL_CERT_FILE", none.to_str().expect("UTF-8"));
    let words = ["has no CA certificates", "SSL_CERT_FILE"];

    let front = TlsFront::of(&place.clerk.url(), place.authority.server(Shown::Good)).await;
    let message = program
        .clone()
        .with("CLERK_API_URL", &front.url())
        .run()
        .await
        .error(1, "ClerkUnavailable");
    assert!(words.iter().all(|word| message.contains(word)), "{message}");

    let front = TlsFront::of(moto.url(), place.authority.server(Shown::Good)).await;
    let s3 =
        program.with("SNAPSHOT_URL", "s3://certificates").with("AWS_ENDPOINT_URL", &front.url());
    assert_refused(&front, &s3.run().await, "StoreUnavailable", words, Shown::Good);
}
