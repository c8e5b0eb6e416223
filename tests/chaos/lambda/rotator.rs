//! Replaces the key, in Clerk and in the secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clerk_sandbox::{DEFAULT_KEY, Sandbox};

use super::super::hazards::OTHER_KEY;

/// Replaces the key as people do: the new one is accepted before it is put into the secret, and the
/// old one is revoked afterwards.
pub(super) struct Rotator {
    pub(super) secrets: aws_sdk_secretsmanager::Client,
    pub(super) secret: String,
    pub(super) sandbox: Sandbox,
    /// The instance to which the secret may change.
    pub(super) other: Sandbox,
    /// Whether it has.
    pub(super) is_other: Arc<AtomicBool>,
    pub(super) keys: Arc<AtomicU64>,
}

impl Rotator {
    pub(super) async fn rotate(&self) {
        let number = self.keys.fetch_add(1, Ordering::SeqCst) + 1;
        let key = format!("{DEFAULT_KEY}{number}");
        self.sandbox.accept_key(&key);
        self.put(&key).await;
        self.sandbox.rotate_key(key);
        self.is_other.store(false, Ordering::SeqCst);
    }

    /// Puts a key of the other instance into the secret, or of the first one again; the old key is
    /// revoked or not.
    pub(super) async fn turn(&self, old_ends: bool) {
        if self.is_other.load(Ordering::SeqCst) {
            return self.rotate().await;
        }
        let key = format!("{OTHER_KEY}{}", self.keys.fetch_add(1, Ordering::SeqCst) + 1);
        self.other.rotate_key(key.clone());
        self.sandbox.belongs_to(key.clone(), &self.other);
        self.put(&key).await;
        if old_ends {
            self.sandbox.rotate_key("of nobody");
        }
        self.is_other.store(true, Ordering::SeqCst);
    }

    async fn put(&self, key: &str) {
        let put = self.secrets.put_secret_value().secret_id(&self.secret).secret_string(key);
        put.send().await.expect("a new value");
    }
}
