//! A secret whose values a test decides.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use clerk_snapshot::redaction::RedactionKey;
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{SecretError, SecretSource};

/// Returns one value after another, and the last one forever.
#[derive(Debug)]
pub(crate) struct ScriptedSecret(Mutex<Script>);

struct Script {
    values: VecDeque<String>,
    read: u32,
    redaction_key: Option<RedactionKey>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Script(hidden)")
    }
}

impl ScriptedSecret {
    /// A secret with these values in turn.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let values = values.into_iter().map(str::to_owned).collect();
        Self(Mutex::new(Script { values, read: 0, redaction_key: None }))
    }

    /// Adds a redaction key.
    pub(crate) fn with_redaction_key(self, text: &str) -> Self {
        let key = RedactionKey::parse(text).expect("long enough");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).redaction_key = Some(key);
        self
    }

    /// How often it has been read.
    pub(crate) fn times_read(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read
    }
}

#[async_trait]
impl SecretSource for ScriptedSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        script.read += 1;
        let value = match script.values.len() {
            0 | 1 => script.values.front().cloned().unwrap_or_default(),
            _ => script.values.pop_front().unwrap_or_default(),
        };
        Ok(SecretKey::parse(&value).expect("the script holds keys"))
    }

    async fn read_both(&self) -> Result<(SecretKey, Option<RedactionKey>), SecretError> {
        let key = self.read().await?;
        Ok((key, self.0.lock().unwrap_or_else(PoisonError::into_inner).redaction_key.clone()))
    }

    fn can_rotate(&self) -> bool {
        true
    }
}
