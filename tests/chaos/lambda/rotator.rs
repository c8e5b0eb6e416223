//! Another key, in Clerk and in the secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clerk_sandbox::{DEFAULT_KEY, Sandbox};

/// Replaces the key as people do: the new one is accepted before it is put into the secret, the old
/// one no more after that.
pub(super) struct Rotator {
    pub(super) secrets: aws_sdk_secretsmanager::Client,
    pub(super) secret: String,
    pub(super) sandbox: Sandbox,
    pub(super) keys: Arc<AtomicU64>,
}

impl Rotator {
    pub(super) async fn rotate(&self) {
        let number = self.keys.fetch_add(1, Ordering::SeqCst) + 1;
        let key = format!("{DEFAULT_KEY}{number}");
        self.sandbox.accept_key(&key);
        let put = self.secrets.put_secret_value().secret_id(&self.secret).secret_string(&key);
        put.send().await.expect("a new value");
        self.sandbox.rotate_key(key);
    }
}
