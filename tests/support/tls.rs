//! Valid and invalid certificates, and HTTPS in front of a server that speaks plain HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// An authority that signs server certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing.
    Good,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is for another host.
    OtherHost,
    /// No authority has signed it.
    SelfSigned,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.distinguished_name = named(name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("a certificate"))
    }

    /// A file with the authority's certificate, for `SSL_CERT_FILE`.
    pub(crate) fn file(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, self.0.pem()).expect("a file");
        path
    }

    /// The acceptor of a server at 127.0.0.1.
    pub(crate) fn server(&self, shown: Shown) -> TlsAcceptor {
        let host = if shown == Shown::OtherHost { "other.example" } else { "127.0.0.1" };
        let mut parameters = CertificateParams::new(vec![host.to_owned()]).expect("a host");
        parameters.distinguished_name = named("clerk-sync tests");
        match shown {
            Shown::Expired => parameters.not_after = date_time_ymd(2020, 1, 1),
            Shown::NotYetValid => parameters.not_before = date_time_ymd(2200, 1, 1),
            _ => {}
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = match shown {
            Shown::SelfSigned => parameters.self_signed(&key),
            _ => parameters.signed_by(&key, &self.0),
        };
        let chain = vec![certificate.expect("a certificate").der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a key for the certificate");
        TlsAcceptor::from(Arc::new(config))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// HTTPS in front of a server, which ends when dropped.
pub(crate) struct TlsFront {
    address: String,
    counted: Arc<Counted>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Counted {
    attempts: AtomicU64,
    accepted: AtomicU64,
}

impl TlsFront {
    /// Passes on to `url` (`http://host:port`) what comes through TLS.
    pub(crate) async fn of(url: &str, tls: TlsAcceptor) -> Self {
        let behind = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let counted = Arc::new(Counted::default());
        let server = tokio::spawn({
            let counted = Arc::clone(&counted);
            async move {
                loop {
                    let (outside, _) = listener.accept().await.expect("a connection");
                    counted.attempts.fetch_add(1, Ordering::SeqCst);
                    let (tls, behind, counted) =
                        (tls.clone(), behind.clone(), Arc::clone(&counted));
                    tokio::spawn(async move {
                        let Ok(mut outside) = tls.accept(outside).await else { return };
                        counted.accepted.fetch_add(1, Ordering::SeqCst);
                        let mut inside = TcpStream::connect(behind).await.expect("it listens");
                        // Either side may disconnect.
                        let _ = copy_bidirectional(&mut outside, &mut inside).await;
                    });
                }
            }
        });
        Self { address, counted, server }
    }

    /// `https://127.0.0.1:<port>`
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The number of connections that were opened.
    pub(crate) fn attempts(&self) -> u64 {
        self.counted.attempts.load(Ordering::SeqCst)
    }

    /// The number of connections on which the client accepted the certificate and could send
    /// something.
    pub(crate) fn accepted(&self) -> u64 {
        self.counted.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.server.abort();
    }
}
