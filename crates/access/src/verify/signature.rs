//! Checks who signed a manifest.

use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::layout::manifest_signature_key;
use clerk_snapshot::reader::{ReadError, is_removed};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

use super::check::{Check, Problems};
use super::targets::Target;
use crate::archive::Archive;

/// Most bytes of a signature of ECDSA P-256 in DER: two numbers of 33 bytes, and three headers of two.
const MAX_BYTES: usize = 72;

/// Checks that one of `keys` made the signature beside a snapshot's manifest. `manifest_sha256` is that of the
/// manifest's bytes; `None` if it could not be opened.
///
/// # Errors
/// [`ReadError::Unavailable`]; [`ReadError::Removed`] if it is missing because the snapshot is being removed;
/// [`ReadError::Damaged`] if it is missing, and `latest.json` cannot be understood.
pub async fn check(
    archive: &Archive,
    target: &Target,
    manifest_sha256: Option<&Sha256Hex>,
    keys: &[VerifyingKey],
) -> Result<Check, ReadError> {
    let (source, key) = (&**archive.source(), manifest_signature_key(&target.id));
    let url = source.url_of(&key);
    let mut problems = Problems::default();
    let mut detail = String::new();
    match (source.read(&key).await, manifest_sha256) {
        (Ok(None), _)
            if is_removed(source, &target.id).await? && !target.is_latest(archive).await? =>
        {
            return Err(ReadError::Removed { url });
        }
        (Err(source), _) => return Err(ReadError::Unavailable { url, source }),
        (Ok(None), _) => problems.add(|| {
            format!("{url} is missing: the manifest was not signed, or its signature was removed")
        }),
        (Ok(Some(_)), None) => {
            problems.add(|| format!("{url} signs a manifest that cannot be opened"));
        }
        (Ok(Some(bytes)), Some(sha256)) => match signer(&bytes, sha256, keys) {
            Ok(number) => detail = by_whom(number, keys.len()),
            Err(problem) => problems.add(|| format!("{url} {problem}")),
        },
    }
    Ok(problems.into_check(&target.id, "signature", detail))
}

/// The place of the key that made the signature, from 0.
fn signer(
    bytes: &[u8],
    sha256: &Sha256Hex,
    keys: &[VerifyingKey],
) -> Result<usize, SignatureProblem> {
    if bytes.len() > MAX_BYTES {
        return Err(SignatureProblem::TooLong { bytes: bytes.len() });
    }
    let signature = Signature::from_der(bytes).map_err(|_| SignatureProblem::NotASignature)?;
    let fits = |key: &VerifyingKey| key.verify_prehash(&sha256.0, &signature).is_ok();
    keys.iter().position(fits).ok_or(SignatureProblem::OtherKey { keys: keys.len() })
}

/// What is wrong with a signature, after its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum SignatureProblem {
    #[error("has {bytes} bytes, and a signature has at most {MAX_BYTES}")]
    TooLong { bytes: usize },
    #[error("is not a signature of ECDSA P-256 in DER")]
    NotASignature,
    #[error("was not made {} for this manifest", by_none(*keys))]
    OtherKey { keys: usize },
}

fn by_none(keys: usize) -> String {
    if keys == 1 { "by this key".to_owned() } else { format!("by any of these {keys} keys") }
}

fn by_whom(number: usize, keys: usize) -> String {
    if keys == 1 {
        "The public key confirms the signature of the manifest.".to_owned()
    } else {
        format!("Public key {} of {keys} confirms the signature of the manifest.", number + 1)
    }
}
