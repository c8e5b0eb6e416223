//! Reads the public keys that signatures are held against.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use p256::SecretKey;
use p256::ecdsa::VerifyingKey;
use p256::pkcs8::spki::{SubjectPublicKeyInfoRef, der};
use p256::pkcs8::{DecodePublicKey as _, PrivateKeyInfo};

use crate::error::{ArgumentError, Error};

/// Most bytes of a file that is read as a public key. One of P-256 has 91 in DER and 178 in PEM.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a public key of ECDSA P-256: a SubjectPublicKeyInfo, in PEM as `openssl pkey -pubout` writes it, or in DER as
/// AWS KMS returns it. `path` is relative to `folder`.
///
/// # Errors
/// [`Error::Argument`] that names the file and says what it holds instead. Nothing of its content is repeated: it may
/// be a private key.
pub fn read(path: &Path, folder: &Path) -> Result<VerifyingKey, Error> {
    let failed = |problem: String| {
        Error::Argument(ArgumentError::File {
            what: "the public key in",
            path: path.display().to_string(),
            problem,
        })
    };
    let bytes = read_file(&folder.join(path))
        .map_err(|error| failed(format!("cannot be read: {error}; give the file of the key")))?;
    parse(&bytes).map_err(|problem| failed(problem.to_string()))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is accepted tells that there are more.
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a file holds that is not the public key which is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum KeyProblem {
    #[error("has more than {MAX_BYTES} bytes, which no public key has; give the file of the key")]
    TooLong,
    #[error("is empty; give the file of the key")]
    Empty,
    #[error(
        "holds a private key, which is not needed here and should be kept secret; give the public key, which \
         `openssl pkey -pubout` makes of it"
    )]
    Private,
    #[error(
        "holds a certificate; give the public key in it, which `openssl x509 -noout -pubkey` prints"
    )]
    Certificate,
    #[error(
        "is a public key of another kind or curve; give the one of the signing key, which is an ECDSA key on the curve \
         P-256"
    )]
    OtherKind,
    #[error(
        "is not a public key; give a SubjectPublicKeyInfo in PEM (BEGIN PUBLIC KEY) or DER, as `openssl pkey -pubout` \
         or AWS KMS give it"
    )]
    NotAKey,
}

fn parse(bytes: &[u8]) -> Result<VerifyingKey, KeyProblem> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(KeyProblem::TooLong);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN ") => parse_pem(text),
        _ => parse_der(bytes),
    }
}

fn parse_pem(text: &str) -> Result<VerifyingKey, KeyProblem> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyProblem::Private);
    }
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(KeyProblem::Certificate);
    }
    let (label, document) = der::Document::from_pem(text).map_err(|_| KeyProblem::NotAKey)?;
    if label == "PUBLIC KEY" { parse_der(document.as_bytes()) } else { Err(KeyProblem::NotAKey) }
}

fn parse_der(bytes: &[u8]) -> Result<VerifyingKey, KeyProblem> {
    if bytes.is_empty() {
        return Err(KeyProblem::Empty);
    }
    if let Ok(key) = VerifyingKey::from_public_key_der(bytes) {
        return Ok(key);
    }
    if PrivateKeyInfo::try_from(bytes).is_ok() || SecretKey::from_sec1_der(bytes).is_ok() {
        return Err(KeyProblem::Private);
    }
    match SubjectPublicKeyInfoRef::try_from(bytes) {
        Ok(_) => Err(KeyProblem::OtherKind),
        Err(_) => Err(KeyProblem::NotAKey),
    }
}
