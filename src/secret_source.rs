//! Reads the Clerk secret key from AWS Secrets Manager or from the environment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use clerk_snapshot::redaction::{RedactionKey, TooShort};
use clerk_store::aws::{AwsFailure, AwsObstacle, NeverRepeatInVain};
use clerk_store::no_answer::{NoAnswer, Server};
use secrecy::zeroize::Zeroizing;
use serde_json::value::RawValue;

use crate::secret_key::{SecretKey, SecretKeyError};

/// The fields to try in a JSON secret if none is named, in this order (docs/reference.md,
/// Settings).
pub const DEFAULT_FIELDS: [&str; 3] = ["CLERK_SECRET_KEY", "secret_key", "secret-key"];

/// The field of a JSON secret with the key that `REDACT` hashes with.
pub const REDACTION_KEY_FIELD: &str = "redaction_key";

/// A source of the secret key. It is read again after a rotation.
#[async_trait]
pub trait SecretSource: Send + Sync + fmt::Debug {
    /// Reads the current key.
    async fn read(&self) -> Result<SecretKey, SecretError>;

    /// Reads the key, and the key that personal data is hashed with; `None` if there is no such
    /// key.
    async fn read_both(&self) -> Result<(SecretKey, Option<RedactionKey>), SecretError> {
        Ok((self.read().await?, None))
    }

    /// Whether another read may return another key.
    fn can_rotate(&self) -> bool;
}

/// A key from the environment, which never changes.
#[derive(Clone, Debug)]
pub struct FixedSecret(pub SecretKey);

#[async_trait]
impl SecretSource for FixedSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        Ok(self.0.clone())
    }

    fn can_rotate(&self) -> bool {
        false
    }
}

/// A secret in AWS Secrets Manager: the bare key, or a JSON object with the key in one field.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    client: Client,
    place: KeyPlace,
}

/// The place of a key: the secret, and the field in it.
#[derive(Clone, Debug)]
pub struct KeyPlace {
    secret_id: Label,
    field: Option<Label>,
}

impl SecretsManager {
    /// The secret with this name or ARN. `field` names the field of a JSON secret; without it,
    /// [`DEFAULT_FIELDS`] are tried. Nothing is read yet.
    ///
    /// Fails with [`SecretError::NoRegion`] if the configuration names no region, and with
    /// [`SecretError::KeyAsName`] if a name is itself a key, which must not be sent or shown.
    pub fn new(
        config: &SdkConfig,
        secret_id: &str,
        field: Option<&str>,
    ) -> Result<Self, SecretError> {
        let place = KeyPlace::new(secret_id, field)?;
        if config.region().is_none() {
            return Err(SecretError::NoRegion { secret_id: place.secret_id });
        }
        let config = aws_sdk_secretsmanager::config::Builder::from(config)
            .retry_classifier(NeverRepeatInVain)
            .build();
        Ok(Self { client: Client::from_conf(config), place })
    }

    async fn value(&self) -> Result<Zeroizing<String>, SecretError> {
        let secret_id = || self.place.secret_id.clone();
        let request = self.client.get_secret_value().secret_id(self.place.secret_id.as_str());
        let answer = request
            .send()
            .await
            .map_err(|error| SecretError::of(AwsFailure::of(&error), secret_id()))?;
        if let Some(text) = answer.secret_string {
            return Ok(Zeroizing::new(text));
        }
        let Some(binary) = answer.secret_binary else {
            return Err(SecretError::NoValue { secret_id: secret_id() });
        };
        match String::from_utf8(binary.into_inner()) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(SecretError::NotText { secret_id: secret_id() })
            }
        }
    }
}

impl KeyPlace {
    /// The secret of this name or ARN; `field` as for [`SecretsManager::new`].
    ///
    /// # Errors
    /// [`SecretError::KeyAsName`] when a name is itself a key.
    pub fn new(secret_id: &str, field: Option<&str>) -> Result<Self, SecretError> {
        let label = |text| Label::new(text).ok_or(SecretError::KeyAsName);
        Ok(Self { secret_id: label(secret_id)?, field: field.map(label).transpose()? })
    }

    /// The key in the secret's `value`: the whole value, or one field.
    ///
    /// # Errors
    /// [`SecretError`], which shows nothing of the value.
    pub fn key_in(&self, value: &str) -> Result<SecretKey, SecretError> {
        let value = value.trim();
        if !value.starts_with('{') {
            return match &self.field {
                None => self.parse(value, None),
                Some(field) => Err(SecretError::NotAnObject {
                    secret_id: self.secret_id.clone(),
                    field: field.clone(),
                }),
            };
        }
        let fields = self.fields_of(value)?;
        let named = self.field.as_ref().map(Label::as_str);
        let tried: &[&str] = named.as_ref().map_or(&DEFAULT_FIELDS, std::slice::from_ref);
        let Some((name, raw)) = tried.iter().find_map(|name| Some((*name, fields.get(*name)?)))
        else {
            return Err(SecretError::NoSuchField {
                secret_id: self.secret_id.clone(),
                tried: tried.join(", "),
            });
        };
        self.parse(&self.text_of(name, raw)?, Some(name))
    }

    /// The redaction key in the secret's `value`; `None` if that is a bare key, or an object
    /// without the field.
    ///
    /// # Errors
    /// [`SecretError`], which shows nothing of the value.
    pub fn redaction_key_in(&self, value: &str) -> Result<Option<RedactionKey>, SecretError> {
        let value = value.trim();
        if !value.starts_with('{') {
            return Ok(None);
        }
        let fields = self.fields_of(value)?;
        let Some(raw) = fields.get(REDACTION_KEY_FIELD) else { return Ok(None) };
        let text = self.text_of(REDACTION_KEY_FIELD, raw)?;
        let key = RedactionKey::parse(&text).map_err(|problem| SecretError::NotARedactionKey {
            secret_id: self.secret_id.clone(),
            problem,
        })?;
        Ok(Some(key))
    }

    /// The fields of a JSON object, borrowed and unparsed: the other fields are never copied out of
    /// the text, which is wiped afterwards.
    fn fields_of<'a>(
        &self,
        value: &'a str,
    ) -> Result<BTreeMap<Cow<'a, str>, &'a RawValue>, SecretError> {
        serde_json::from_str(value).map_err(|error| SecretError::NotJson {
            secret_id: self.secret_id.clone(),
            line: error.line(),
            column: error.column(),
        })
    }

    fn text_of(&self, field: &str, raw: &RawValue) -> Result<Zeroizing<String>, SecretError> {
        serde_json::from_str(raw.get()).map(Zeroizing::new).map_err(|_| SecretError::NotAString {
            secret_id: self.secret_id.clone(),
            field: field.to_owned(),
        })
    }

    fn parse(&self, text: &str, field: Option<&str>) -> Result<SecretKey, SecretError> {
        SecretKey::parse(text).map_err(|problem| SecretError::NotAKey {
            secret_id: self.secret_id.clone(),
            field: field.map(str::to_owned),
            problem,
        })
    }
}

#[async_trait]
impl SecretSource for SecretsManager {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        self.place.key_in(&self.value().await?)
    }

    async fn read_both(&self) -> Result<(SecretKey, Option<RedactionKey>), SecretError> {
        let value = self.value().await?;
        Ok((self.place.key_in(&value)?, self.place.redaction_key_in(&value)?))
    }

    fn can_rotate(&self) -> bool {
        true
    }
}

/// The name of a secret or of a field. It is not a key, so messages may show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label(String);

impl Label {
    /// `None` if the text contains what looks like a Clerk secret key.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let looks_like_key = text.contains("sk_live_") || text.contains("sk_test_");
        (!looks_like_key).then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why the key could not be read. Names the secret and fields, never a value.
///
/// This program retries none of these within an invocation: the SDK has tried three times where
/// that makes sense. [`SecretError::is_retryable`] says whether the next invocation may succeed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No response, a time-out, a 5xx or throttling. Retryable.
    #[error("reading secret {secret_id}: {}", unavailable(&**source))]
    Unavailable {
        /// The secret's name or ARN.
        secret_id: Label,
        /// The last attempt's failure.
        source: Box<dyn Error + Send + Sync>,
    },

    /// No such secret, in this region. Not retryable.
    #[error(
        "secret {secret_id} does not exist in this AWS region; correct CLERK_SECRET_ID or \
         AWS_REGION"
    )]
    NotFound {
        /// The secret's name or ARN.
        secret_id: Label,
    },

    /// The credentials do not allow it. Not retryable.
    #[error(
        "reading secret {secret_id}: access denied; allow secretsmanager:GetSecretValue on it \
         (and kms:Decrypt on its KMS key, if it has its own)"
    )]
    AccessDenied {
        /// The secret's name or ARN.
        secret_id: Label,
        /// Secrets Manager's answer.
        source: Box<dyn Error + Send + Sync>,
    },

    /// Secrets Manager could not decrypt it. Not retryable.
    #[error(
        "secret {secret_id} cannot be decrypted; allow kms:Decrypt on its KMS key and check that \
         the key is enabled"
    )]
    Decryption {
        /// The secret's name or ARN.
        secret_id: Label,
        /// Secrets Manager's answer.
        source: Box<dyn Error + Send + Sync>,
    },

    /// No AWS region is configured. Not retryable.
    #[error(
        "reading secret {secret_id}: no AWS region is configured; set AWS_REGION to the secret's \
         region"
    )]
    NoRegion {
        /// The secret's name or ARN.
        secret_id: Label,
    },

    /// Something on this machine's side prevents the request. Not retryable.
    #[error("reading secret {secret_id}: {obstacle}")]
    Obstacle {
        /// The secret's name or ARN.
        secret_id: Label,
        /// What prevents it, and what to do.
        obstacle: AwsObstacle,
    },

    /// Secrets Manager refused for a reason of its own, such as a secret marked for deletion. Not
    /// retryable.
    #[error(
        "reading secret {secret_id}: AWS Secrets Manager refused with status {status}, code {code:?}; see \
         whether the secret is marked for deletion"
    )]
    Refused {
        /// The secret's name or ARN.
        secret_id: Label,
        /// HTTP status.
        status: u16,
        /// The service's error code.
        code: String,
    },

    /// The secret has no current value. Not retryable.
    #[error("secret {secret_id} has no value yet; store the Clerk secret key in it")]
    NoValue {
        /// The secret's name or ARN.
        secret_id: Label,
    },

    /// A binary secret that is not UTF-8. Not retryable.
    #[error("secret {secret_id} is binary and not text; store the Clerk secret key as text")]
    NotText {
        /// The secret's name or ARN.
        secret_id: Label,
    },

    /// It begins like a JSON object, and is not JSON. Not retryable.
    #[error(
        "secret {secret_id} is not valid JSON at line {line}, column {column}; store the bare key \
         or a JSON object"
    )]
    NotJson {
        /// The secret's name or ARN.
        secret_id: Label,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },

    /// A field is named, but the value is not a JSON object. Not retryable.
    #[error(
        "secret {secret_id} is not a JSON object, so it has no field {field}; remove \
         CLERK_SECRET_FIELD or store an object"
    )]
    NotAnObject {
        /// The secret's name or ARN.
        secret_id: Label,
        /// The field asked for.
        field: Label,
    },

    /// None of the fields is there. Not retryable.
    #[error(
        "secret {secret_id} has no such field (tried: {tried}); set CLERK_SECRET_FIELD to the one \
         that holds the key"
    )]
    NoSuchField {
        /// The secret's name or ARN.
        secret_id: Label,
        /// The names looked for.
        tried: String,
    },

    /// The field is there, but not a string. Not retryable.
    #[error("field {field} of secret {secret_id} is not a string; store the key in it")]
    NotAString {
        /// The secret's name or ARN.
        secret_id: Label,
        /// The field found.
        field: String,
    },

    /// The value is not a secret key. Not retryable.
    #[error("{}secret {secret_id} {problem}", field_of(field.as_deref()))]
    NotAKey {
        /// The secret's name or ARN.
        secret_id: Label,
        /// The field it was found in, if the secret is a JSON object.
        field: Option<String>,
        /// Why it is not a key.
        problem: SecretKeyError,
    },

    /// The value of [`REDACTION_KEY_FIELD`] is short enough to guess. Not retryable.
    #[error(
        "field redaction_key of secret {secret_id} {problem}; store a random text there, such as \
         that of openssl rand -hex 32"
    )]
    NotARedactionKey {
        /// The secret's name or ARN.
        secret_id: Label,
        /// Why it is not accepted.
        problem: TooShort,
    },

    /// `CLERK_SECRET_ID` or `CLERK_SECRET_FIELD` is itself a key. Not retryable.
    #[error(
        "CLERK_SECRET_ID or CLERK_SECRET_FIELD holds what looks like a Clerk secret key instead \
         of a name; use CLERK_SECRET_KEY outside Lambda, or store the key in AWS Secrets Manager \
         and name that secret; and rotate the key, which may have been recorded"
    )]
    KeyAsName,
}

impl SecretError {
    /// Whether the next invocation may succeed without any change.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    fn of(failure: AwsFailure, secret_id: Label) -> Self {
        let refusal = match failure {
            AwsFailure::Unavailable(source) => return Self::Unavailable { secret_id, source },
            AwsFailure::Obstacle(obstacle) => return Self::Obstacle { secret_id, obstacle },
            AwsFailure::Full => return Self::not_aws(secret_id, 507),
            AwsFailure::Refused(refusal) => refusal,
        };
        match refusal.code.as_str() {
            // Secrets Manager never refuses without a code.
            "" => Self::not_aws(secret_id, refusal.status),
            "ResourceNotFoundException" => Self::NotFound { secret_id },
            "AccessDeniedException" | "AccessDenied" => {
                Self::AccessDenied { secret_id, source: refusal.into() }
            }
            "DecryptionFailure" => Self::Decryption { secret_id, source: refusal.into() },
            _ => Self::Refused { secret_id, status: refusal.status, code: refusal.code },
        }
    }

    fn not_aws(secret_id: Label, status: u16) -> Self {
        Self::Obstacle { secret_id, obstacle: AwsObstacle::NotAws { status } }
    }

    /// A sentence to add after the message, which says what to do itself; empty if there is nothing to add.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::AccessDenied { .. } | Self::Decryption { .. } => {
                "It is the role or user of this program that needs the right."
            }
            _ => "",
        }
    }

    /// What becomes of a run that needs the secret, a sentence; empty if there is nothing to say.
    #[must_use]
    pub const fn outlook(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "The next invocation continues.",
            Self::AccessDenied { .. } | Self::Decryption { .. } => "",
            _ => "Nothing is lost: the next invocation continues.",
        }
    }
}

/// Says who must act after a request without a usable response: AWS, or this machine's side.
fn unavailable(source: &(dyn Error + Send + Sync + 'static)) -> String {
    match source.downcast_ref::<NoAnswer>() {
        Some(why) => format!(
            "AWS Secrets Manager could not be reached: {why}; {} (a VPC needs an endpoint for it)",
            why.advice(Server::Aws)
        ),
        None => "AWS Secrets Manager is overloaded; try again later".to_owned(),
    }
}

fn field_of(field: Option<&str>) -> String {
    field.map(|field| format!("field {field} of ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_config::BehaviorVersion;

    use super::*;

    const PLANTED: &str = "sk_test_planted0not0a0key";

    fn place(field: Option<&str>) -> KeyPlace {
        KeyPlace::new("clerk/production", field).unwrap()
    }

    #[test]
    fn finds_a_bare_key_or_one_in_a_json_field() {
        let expected = SecretKey::parse(PLANTED).unwrap();
        for (field, value) in [
            (None, format!("{PLANTED}\n")),
            (None, format!(r#"{{"CLERK_SECRET_KEY":"{PLANTED}"}}"#)),
            (None, format!(r#" {{"other":1,"secret_key":" {PLANTED} "}}"#)),
            (None, format!(r#"{{"secret-key":"{PLANTED}","nested":{{"a":[1]}}}}"#)),
            (
                None,
                format!(
                    r#"{{"secret-key":"sk_test_b","secret_key":"sk_test_c","CLERK_SECRET_KEY":"{PLANTED}"}}"#
                ),
            ),
            (None, format!(r#"{{"secret-key":"sk_test_b","secret_key":"{PLANTED}"}}"#)),
            (None, format!(r#"{{"secret_key":"sk\u005ftest{}"}}"#, &PLANTED[7..])),
            (
                Some("production"),
                format!(r#"{{"secret_key":"sk_test_b","production":"{PLANTED}"}}"#),
            ),
        ] {
            let key =
                place(field).key_in(&value).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert!(key.same_as(&expected), "{value}");
        }
    }

    #[test]
    fn finds_the_redaction_key_beside_the_key() {
        let long = "planted".repeat(5);
        let found = |value: &str| place(Some("production")).redaction_key_in(value).unwrap();
        assert!(found(&format!(r#"{{"production":1,"redaction_key":"{long}"}}"#)).is_some());
        assert!(found(&format!(r#"{{"production":"{PLANTED}"}}"#)).is_none());
        assert!(found(PLANTED).is_none());
        for (value, message) in [
            (format!(r#"{{"redaction_key":["{long}"]}}"#), "redaction_key of secret"),
            (r#"{"redaction_key":"planted"}"#.to_owned(), "is shorter than 32 characters; store"),
            (format!(r#"{{"redaction_key":"{long}""#), "is not valid JSON at line 1"),
        ] {
            let error = place(None).redaction_key_in(&value).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(message), "{shown}");
            assert!(!shown.contains("planted"), "{shown}");
        }
    }

    // Also proves that no error shows a value: each value contains the planted key.
    #[test]
    fn other_values_are_refused_and_never_shown() {
        for (field, value, message) in [
            (None, format!("x {PLANTED}"), "secret clerk/production has white space"),
            (None, "pk_test_planted".to_owned(), "secret clerk/production is a publishable key"),
            (None, String::new(), "secret clerk/production is empty"),
            (None, format!("\"{PLANTED}\""), "secret clerk/production is in quotation marks"),
            (None, format!("{{\"a\": {PLANTED}}}"), "is not valid JSON at line 1, column 7"),
            (
                None,
                format!(r#"{{"key":"{PLANTED}"}}"#),
                "tried: CLERK_SECRET_KEY, secret_key, secret-key",
            ),
            (Some("production"), format!(r#"{{"secret_key":"{PLANTED}"}}"#), "tried: production"),
            (
                Some("production"),
                PLANTED.to_owned(),
                "is not a JSON object, so it has no field production",
            ),
            (
                None,
                format!(r#"{{"secret_key":["{PLANTED}"]}}"#),
                "field secret_key of secret clerk/production is not a string",
            ),
            (
                None,
                format!(r#"{{"secret_key":"live_{PLANTED}"}}"#),
                "field secret_key of secret clerk/production is not a Clerk secret key",
            ),
        ] {
            let error = place(field).key_in(&value).unwrap_err();
            let shown = format!("{error} | {error:?} | {error:#?}");
            assert!(shown.contains(message), "{shown}");
            assert!(!shown.contains("planted"), "{shown}");
        }
    }

    #[test]
    fn a_key_given_as_a_name_is_neither_sent_nor_shown() {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        for (secret_id, field) in [(PLANTED, None), ("clerk", Some(PLANTED))] {
            let error = SecretsManager::new(&config, secret_id, field).unwrap_err();
            assert!(matches!(error, SecretError::KeyAsName));
            assert!(!format!("{error} {error:?}").contains("planted"));
        }
    }

    #[test]
    fn a_missing_region_is_reported_before_any_request() {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        let error = SecretsManager::new(&config, "clerk", None).unwrap_err();
        assert!(matches!(error, SecretError::NoRegion { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_fixed_secret_is_always_the_same() {
        let key = SecretKey::parse(PLANTED).unwrap();
        let fixed = FixedSecret(key.clone());
        assert!(!fixed.can_rotate());
        assert!(fixed.read().await.unwrap().same_as(&key));
        assert!(!format!("{fixed:?}").contains("planted"));
    }
}
