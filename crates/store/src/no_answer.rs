//! Explains why a server gave no answer, in this program's own words, and what a person can do about it.
//!
//! HTTP clients wrap the cause in errors of several crates, and some of their texts repeat what a server sent. Only the
//! kinds of these errors are examined; none of their text is passed on.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{CertificateError, Error as TlsError};

/// Why a server gave no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// The server's certificate is not accepted. Nothing was sent to the server.
    Certificate(CertificateProblem),
    /// This machine has no CA certificate, so it can trust no server.
    NoTrustedCertificates,
    /// The server does not speak TLS.
    NotTls,
    /// The TLS handshake failed for a reason other than the certificate.
    TlsFailed,
    /// The host's name is unknown.
    HostNotFound,
    /// Nothing is listening at the host and port.
    ConnectionRefused,
    /// The proxy requires a user name and a password.
    ProxyAuthentication,
    /// The proxy did not connect to the host, or cannot be reached.
    ProxyFailed,
    /// There was no connection, or no answer, within the time allowed.
    TimedOut,
    /// The connection could not be made, or broke.
    Broken,
}

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertificateProblem {
    /// No authority that this machine trusts has signed it.
    NotTrusted,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is for another host.
    OtherHost,
    /// Anything else: revoked, damaged, or not issued for a server.
    Unfit,
}

/// The server that the request was for. It determines which setting has the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// Clerk's API.
    Clerk,
    /// S3, Secrets Manager, or a compatible server.
    Aws,
}

impl NoAnswer {
    /// Finds the reason among the causes of a client's error.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        causes(error).find_map(Self::of_cause).unwrap_or(Self::Broken)
    }

    /// Whether the failure persists until a person acts, so that a retry is pointless.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        match self {
            Self::Certificate(_)
            | Self::NoTrustedCertificates
            | Self::NotTls
            | Self::ProxyAuthentication => true,
            Self::TlsFailed
            | Self::HostNotFound
            | Self::ConnectionRefused
            | Self::ProxyFailed
            | Self::TimedOut
            | Self::Broken => false,
        }
    }

    /// What to do about it, as a sentence without a full stop.
    #[must_use]
    pub fn advice(self, server: Server) -> String {
        let address = match server {
            Server::Clerk => "CLERK_API_URL",
            Server::Aws => "AWS_REGION and any AWS_ENDPOINT_URL",
        };
        match self {
            Self::Certificate(CertificateProblem::NotTrusted) => {
                "if the authority is your own (a private one, or that of a proxy that inspects TLS), \
                 set SSL_CERT_FILE to a file with its certificate; if not, find out which server is \
                 answering instead"
                    .to_owned()
            }
            Self::Certificate(CertificateProblem::Expired) => {
                "renew the certificate; if it is current, correct this machine's clock".to_owned()
            }
            Self::Certificate(CertificateProblem::NotYetValid) => {
                "correct this machine's clock".to_owned()
            }
            Self::Certificate(CertificateProblem::OtherHost) => format!(
                "check {address}; if it is right, find out which server is answering instead"
            ),
            Self::Certificate(CertificateProblem::Unfit) => {
                "have an authority issue a certificate for the server".to_owned()
            }
            Self::NoTrustedCertificates => {
                "install them (the package ca-certificates), or set SSL_CERT_FILE to a file with \
                 certificates"
                    .to_owned()
            }
            Self::NotTls => format!(
                "check host and port in {address}: the address says https, but the \
                 server does not speak TLS"
            ),
            Self::TlsFailed => {
                format!("check {address}, and whether a proxy or firewall is in between")
            }
            Self::HostNotFound => {
                format!("check {address}, and this machine's network and name server")
            }
            Self::ConnectionRefused => {
                format!("check {address}, and whether a firewall is in between")
            }
            Self::ProxyAuthentication => {
                "put the user name and password of the proxy into HTTPS_PROXY \
                 (http://user:password@host:port), or the host into NO_PROXY"
                    .to_owned()
            }
            Self::ProxyFailed => {
                "check HTTPS_PROXY and what the proxy allows, or put the host into NO_PROXY".to_owned()
            }
            Self::TimedOut | Self::Broken => {
                format!("check this machine's network, then {address}")
            }
        }
    }

    /// The reason that one cause points to, if it does.
    fn of_cause(cause: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = cause.downcast_ref::<TlsError>() {
            return Some(Self::of_tls(error));
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::ConnectionRefused => Some(Self::ConnectionRefused),
                io::ErrorKind::TimedOut => Some(Self::TimedOut),
                _ => None,
            };
        }
        // These types are private to hyper-util, but their texts are constants.
        match cause.to_string().as_str() {
            "dns error" => Some(Self::HostNotFound),
            "tunnel error: proxy authorization required" => Some(Self::ProxyAuthentication),
            text if text.starts_with("tunnel error: ") => Some(Self::ProxyFailed),
            _ => None,
        }
    }

    fn of_tls(error: &TlsError) -> Self {
        match error {
            TlsError::InvalidCertificate(problem) => Self::of_certificate(problem),
            TlsError::InvalidMessage(_) => Self::NotTls,
            _ => Self::TlsFailed,
        }
    }

    fn of_certificate(problem: &CertificateError) -> Self {
        Self::Certificate(match problem {
            CertificateError::UnknownIssuer if !trusts_anybody() => {
                return Self::NoTrustedCertificates;
            }
            CertificateError::UnknownIssuer => CertificateProblem::NotTrusted,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                CertificateProblem::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertificateProblem::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                CertificateProblem::OtherHost
            }
            _ => CertificateProblem::Unfit,
        })
    }
}

/// Whether this machine has any CA certificate, in `SSL_CERT_FILE`, `SSL_CERT_DIR` or the system's own store. Reads all
/// of them.
pub fn trusts_anybody() -> bool {
    !rustls_native_certs::load_native_certs().certs.is_empty()
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Certificate(CertificateProblem::NotTrusted) => {
                "the server's certificate is not signed by an authority that this machine trusts"
            }
            Self::Certificate(CertificateProblem::Expired) => {
                "the server's certificate has expired"
            }
            Self::Certificate(CertificateProblem::NotYetValid) => {
                "the server's certificate is not valid yet"
            }
            Self::Certificate(CertificateProblem::OtherHost) => {
                "the server's certificate is for another host"
            }
            Self::Certificate(CertificateProblem::Unfit) => {
                "the server's certificate is damaged, revoked or not meant for a server"
            }
            Self::NoTrustedCertificates => {
                "this machine has no CA certificates, so that no server can be trusted"
            }
            Self::NotTls => "the server does not speak TLS",
            Self::TlsFailed => "the server and this program could not agree on TLS",
            Self::HostNotFound => "the host's name was not found",
            Self::ConnectionRefused => "the connection was refused: nothing is listening there",
            Self::ProxyAuthentication => "the proxy asks for a user name and password",
            Self::ProxyFailed => "the proxy made no connection to the server",
            Self::TimedOut => "there was no answer in time",
            Self::Broken => "the connection could not be made or broke",
        })
    }
}

impl Error for NoAnswer {}

/// An error and its causes, outermost first. The error inside an `io::Error` is a cause as well, which
/// [`Error::source`] would skip.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// Whether a body is a web page. Login pages, captive portals and proxies send web pages; Clerk, S3 and Secrets Manager
/// never do.
pub fn is_web_page(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let begins_with = |tag: &str| {
        body.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    begins_with("<!doctype html") || begins_with("<html")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Wrapped(#[source] io::Error);

    fn of_tls(error: TlsError) -> NoAnswer {
        NoAnswer::of(&Wrapped(io::Error::other(error)))
    }

    #[test]
    fn a_certificate_problem_is_found_below_any_wrapping() {
        for (error, found) in [
            (CertificateError::Expired, CertificateProblem::Expired),
            (CertificateError::NotValidYet, CertificateProblem::NotYetValid),
            (CertificateError::NotValidForName, CertificateProblem::OtherHost),
            (CertificateError::BadEncoding, CertificateProblem::Unfit),
            (
                CertificateError::Other(rustls::OtherError(Arc::new(io::Error::other("x")))),
                CertificateProblem::Unfit,
            ),
        ] {
            let found = NoAnswer::Certificate(found);
            assert_eq!(of_tls(TlsError::InvalidCertificate(error)), found);
            assert!(found.is_permanent());
        }
    }

    #[test]
    fn a_passing_failure_is_retried() {
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut] {
            assert!(!NoAnswer::of(&Wrapped(kind.into())).is_permanent(), "{kind}");
        }
        assert_eq!(NoAnswer::of(&Wrapped(io::Error::other("?"))), NoAnswer::Broken);
        assert!(!NoAnswer::Broken.is_permanent());
    }

    #[test]
    fn a_web_page_is_distinguished_from_json_and_xml() {
        for page in ["<!DOCTYPE html><p>", "\r\n <html lang=en>", "<HTML>"] {
            assert!(is_web_page(page.as_bytes()), "{page}");
        }
        for other in ["", "{}", "[]", "<?xml version=\"1.0\"?><Error/>", "<Error>", "<h"] {
            assert!(!is_web_page(other.as_bytes()), "{other}");
        }
    }
}
