//! No network, the wrong address, proxies, certificates and login pages between this machine and Clerk.

use clerk_sandbox::FaultRule;

use super::{Mistake, Stranger, Told, judge_all};
use crate::support::stand_in::{StandIn, answer};
use crate::support::tls::{Authority, Shown, TlsFront};
use crate::support::unreachable::Nobody;

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 1, name: "ClerkUnavailable", says, to_do }
}

pub(super) const MISTAKES: [Mistake; 14] = [
    wrong(
        "has no network",
        || Box::pin(at("https://no-such-host.invalid")),
        "the host's name was not found",
        "Check CLERK_API_URL, and this machine's network and name server",
    ),
    wrong(
        "names a port where nothing listens",
        || Box::pin(nobody_listens()),
        "the connection was refused: nothing is listening there",
        "Check CLERK_API_URL, and whether a firewall is in between",
    ),
    wrong(
        "writes https for a server that speaks http",
        || Box::pin(not_tls()),
        "the server does not speak TLS",
        "Check host and port in CLERK_API_URL",
    ),
    wrong(
        "is behind a proxy that inspects TLS",
        || Box::pin(certificate(Shown::Good, false)),
        "the server's certificate is not signed by an authority that this machine trusts",
        "set SSL_CERT_FILE to a file with its certificate",
    ),
    wrong(
        "has a clock that is a day behind, or more",
        || Box::pin(certificate(Shown::NotYetValid, true)),
        "the server's certificate is not valid yet",
        "Correct this machine's clock",
    ),
    wrong(
        "has a clock that is ahead, or an old certificate",
        || Box::pin(certificate(Shown::Expired, true)),
        "the server's certificate has expired",
        "if it is current, correct this machine's clock",
    ),
    wrong(
        "reaches another server under that name",
        || Box::pin(certificate(Shown::OtherHost, true)),
        "the server's certificate is for another host",
        "Check CLERK_API_URL; if it is right, find out which server is answering instead",
    ),
    wrong(
        "runs in a container without CA certificates",
        || Box::pin(no_authorities()),
        "this machine has no CA certificates",
        "Install them (the package ca-certificates)",
    ),
    wrong(
        "does not give the proxy its password",
        || Box::pin(proxy_that_wants_a_password()),
        "the proxy asks for a user name and password",
        "Put the user name and password of the proxy into HTTPS_PROXY",
    ),
    wrong(
        "names a proxy that is not there",
        || Box::pin(proxy_that_is_gone()),
        "the proxy made no connection to the server",
        "Check HTTPS_PROXY and what the proxy allows",
    ),
    Mistake {
        what: "has not signed in at the captive portal",
        play: || Box::pin(page("200 OK")),
        status: 1,
        name: "ClerkProtocol",
        says: "is not Clerk's API",
        to_do: "A login page, a proxy or a captive portal may stand between",
    },
    Mistake {
        what: "gives an address that redirects",
        play: || Box::pin(page("302 Found")),
        status: 1,
        name: "ClerkProtocol",
        says: "(redirects are not followed)",
        to_do: "check this machine's network, HTTPS_PROXY and CLERK_API_URL",
    },
    wrong(
        "is refused by a firewall",
        || Box::pin(firewall()),
        "something other than Clerk answers",
        "Check CLERK_API_URL, and the proxies and firewalls on the way to it",
    ),
    wrong(
        "meets Clerk when it is down",
        || Box::pin(down()),
        "did not answer in 6 attempts: it answered 503",
        "see Clerk's status page",
    ),
];

/// A sync from a Clerk at this address.
async fn at(clerk: &str) -> Option<Told> {
    let stranger = Stranger::new().await;
    let program = stranger.program().with("CLERK_API_URL", clerk);
    // A name server that does not answer must not take longer than the program waits.
    let program = program.with("RES_OPTIONS", "timeout:1 attempts:1");
    Told::answered(&program.run().await)
}

async fn nobody_listens() -> Option<Told> {
    at(&Nobody::new().url()).await
}

async fn not_tls() -> Option<Told> {
    let stranger = Stranger::new().await;
    let address = stranger.clerk.url().replace("http://", "https://");
    Told::answered(&stranger.program().with("CLERK_API_URL", &address).run().await)
}

async fn certificate(shown: Shown, is_trusted: bool) -> Option<Told> {
    let stranger = Stranger::new().await;
    let [authority, other] = ["an authority", "another"].map(Authority::new);
    let trusted = if is_trusted { &authority } else { &other };
    let file = trusted.file(stranger.folder.path(), "trusted.pem");
    let front = TlsFront::of(&stranger.clerk.url(), authority.server(shown)).await;
    let program = stranger.program().with("CLERK_API_URL", &front.url());
    Told::answered(&program.with("SSL_CERT_FILE", file.to_str().expect("UTF-8")).run().await)
}

async fn no_authorities() -> Option<Told> {
    let stranger = Stranger::new().await;
    let none = stranger.folder.path().join("none.pem");
    std::fs::write(&none, "").expect("a file");
    let program = stranger.program().with("CLERK_API_URL", "https://127.0.0.1:9");
    Told::answered(&program.with("SSL_CERT_FILE", none.to_str().expect("UTF-8")).run().await)
}

async fn proxy_that_wants_a_password() -> Option<Told> {
    let proxy = StandIn::new(|_| answer("407 Proxy Authentication Required", &[], "")).await;
    through(&proxy.url()).await
}

async fn proxy_that_is_gone() -> Option<Told> {
    through(&Nobody::new().url()).await
}

async fn through(proxy: &str) -> Option<Told> {
    let stranger = Stranger::new().await;
    let authority = Authority::new("an authority").file(stranger.folder.path(), "trusted.pem");
    let program = stranger.program().with("CLERK_API_URL", "https://api.clerk.invalid");
    let program = program.with("SSL_CERT_FILE", authority.to_str().expect("UTF-8"));
    Told::answered(&program.with("HTTPS_PROXY", proxy).run().await)
}

async fn page(status: &'static str) -> Option<Told> {
    let page = "<!DOCTYPE html><html><title>Sign in</title></html>";
    let headers = [("content-type", "text/html"), ("location", "https://login.example.com")];
    let server = StandIn::new(move |_| answer(status, &headers, page)).await;
    at(&server.url()).await
}

async fn firewall() -> Option<Told> {
    let server = StandIn::new(|_| answer("403 Forbidden", &[], "blocked")).await;
    at(&server.url()).await
}

async fn down() -> Option<Told> {
    let stranger = Stranger::new().await;
    stranger.sandbox.fault(FaultRule::on("*").status(503, "unavailable"));
    Told::answered(&stranger.program().run().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_between_here_and_clerk_is_explained() {
    judge_all(&MISTAKES).await;
}
