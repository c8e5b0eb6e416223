//! Signs manifests with a key in memory, and fails where a test tells it to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;
use clerk_sync::signing::{Signer, SigningError, SigningProblem};
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::ecdsa::{Signature, SigningKey};

/// A key in memory. As with KMS, no two signatures need be the same.
pub(crate) struct LocalSigner {
    key: SigningKey,
    /// Signatures that fail from now on.
    failing: AtomicU64,
    made: AtomicU64,
}

impl std::fmt::Debug for LocalSigner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LocalSigner")
    }
}

impl LocalSigner {
    /// One key for each number.
    pub(crate) fn new(number: u8) -> Self {
        let key = SigningKey::from_slice(&[number; 32]).expect("a number below the order");
        Self { key, failing: AtomicU64::new(0), made: AtomicU64::new(0) }
    }

    /// Lets the next signatures fail, as if KMS were overloaded.
    pub(crate) fn fail(&self, times: u64) {
        self.failing.store(times, Ordering::SeqCst);
    }

    /// How many signatures were made.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// Whether a file is this key's signature of a document.
    pub(crate) fn has_signed(&self, document: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_der(signature) else { return false };
        let sha256 = Sha256Hex::of(document);
        self.key.verifying_key().verify_prehash(&sha256.0, &signature).is_ok()
    }

    /// Panics unless the manifest that `latest.json` names has a signature by this key beside it.
    pub(crate) fn assert_signed_latest(&self, objects: &BTreeMap<String, Bytes>, what: &str) {
        let latest: serde_json::Value =
            serde_json::from_slice(&objects["latest.json"]).expect("JSON");
        let key = latest["manifest"].as_str().expect("a key");
        let signature = objects.get(&format!("{key}.sig"));
        let signature = signature.unwrap_or_else(|| panic!("{what}: {key} is not signed"));
        assert!(self.has_signed(&objects[key], signature), "{what}: {key} is signed wrongly");
    }
}

#[async_trait]
impl Signer for LocalSigner {
    async fn sign(&self, sha256: Sha256Hex) -> Result<Bytes, SigningError> {
        let fails = |left: u64| left.checked_sub(1);
        if self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            let problem = SigningProblem::Unavailable { source: "a planted fault".into() };
            return Err(SigningError { key_id: "alias/evidence".to_owned(), problem });
        }
        self.made.fetch_add(1, Ordering::SeqCst);
        let signature: Signature = self.key.sign_prehash(&sha256.0).expect("32 bytes");
        Ok(Bytes::copy_from_slice(signature.to_der().as_bytes()))
    }
}
