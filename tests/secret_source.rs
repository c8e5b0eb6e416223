//! Promise: the key is read from Secrets Manager in every documented form, and again after a
//! rotation. An error names the secret but never shows its value. Moto is the Secrets Manager, on
//! loopback.

use aws_config::SdkConfig;
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{SecretError, SecretSource as _, SecretsManager};

use crate::support::moto::Moto;
use crate::support::unreachable::Nobody;

const PLANTED: &str = "sk_test_planted0not0a0key";

#[tokio::test]
async fn a_secret_is_read_in_every_form() {
    let config = Moto::shared().aws_config().await;
    for (name, field, value) in [
        ("bare", None, format!(" {PLANTED}\n")),
        ("default-field", None, format!(r#"{{"a":1,"secret_key":"{PLANTED}"}}"#)),
        ("named-field", Some("clerk"), format!(r#"{{"secret_key":"x","clerk":"{PLANTED}"}}"#)),
    ] {
        create_secret(&config, name, &value).await;
        let source = SecretsManager::new(&config, name, field).unwrap();
        assert!(
            source.read().await.unwrap().same_as(&SecretKey::parse(PLANTED).unwrap()),
            "{name}"
        );
        assert!(!format!("{source:?}").contains("planted"));
    }
    let client = aws_sdk_secretsmanager::Client::new(&config);
    for (name, bytes) in [("binary", PLANTED.as_bytes()), ("not-text", b"\xff\xfe")] {
        let blob = aws_sdk_secretsmanager::primitives::Blob::new(bytes);
        client.create_secret().name(name).secret_binary(blob).send().await.unwrap();
    }
    assert!(SecretsManager::new(&config, "binary", None).unwrap().read().await.is_ok());
    let error = SecretsManager::new(&config, "not-text", None).unwrap().read().await.unwrap_err();
    assert!(matches!(error, SecretError::NotText { .. }), "{error}");
}

#[tokio::test]
async fn the_key_for_hashes_is_read_from_the_same_secret() {
    let config = Moto::shared().aws_config().await;
    let hashing = "planted0".repeat(4);
    let both = format!(r#"{{"secret_key":"{PLANTED}","redaction_key":"{hashing}"}}"#);
    let one = format!(r#"{{"secret_key":"{PLANTED}"}}"#);
    for (name, value, has_both) in [("both-keys", both, true), ("one-key", one, false)] {
        create_secret(&config, name, &value).await;
        let source = SecretsManager::new(&config, name, None).unwrap();
        let (key, redaction_key) = source.read_both().await.unwrap();
        assert!(key.same_as(&SecretKey::parse(PLANTED).unwrap()), "{name}");
        assert_eq!(redaction_key.is_some(), has_both, "{name}");
    }
}

/// After a 401 the key is read again, and the new one is found.
#[tokio::test]
async fn a_rotated_secret_is_read_again() {
    let config = Moto::shared().aws_config().await;
    create_secret(&config, "rotated", PLANTED).await;
    let source = SecretsManager::new(&config, "rotated", None).unwrap();
    assert!(source.can_rotate());
    let before = source.read().await.unwrap();
    assert!(before.same_as(&source.read().await.unwrap()));
    let client = aws_sdk_secretsmanager::Client::new(&config);
    let put = client.put_secret_value().secret_id("rotated").secret_string("sk_test_next");
    put.send().await.unwrap();
    let after = source.read().await.unwrap();
    assert!(!before.same_as(&after));
    assert!(after.same_as(&SecretKey::parse("sk_test_next").unwrap()));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named_and_its_value_never_shown() {
    let config = Moto::shared().aws_config().await;
    create_secret(&config, "wrong-field", &format!(r#"{{"other":"{PLANTED}"}}"#)).await;
    create_secret(&config, "deleted", PLANTED).await;
    let client = aws_sdk_secretsmanager::Client::new(&config);
    client.delete_secret().secret_id("deleted").send().await.unwrap();
    let nobody = Nobody::new();
    let unreachable = nobody.aws_config().await;
    for (config, name, message, retryable) in [
        (&config, "never-made", "secret never-made does not exist", false),
        (&config, "deleted", "marked for deletion", false),
        (&config, "wrong-field", "no such field (tried: CLERK_SECRET_KEY, secret_key", false),
        (&unreachable, "far", "could not be reached", true),
    ] {
        let error = SecretsManager::new(config, name, None).unwrap().read().await.unwrap_err();
        let shown = format!("{error} | {error:?}");
        assert!(error.to_string().contains(message), "{shown}");
        assert!(error.to_string().contains(name), "{shown}");
        assert!(!shown.contains("planted") && !shown.contains("testing"), "{shown}");
        assert_eq!(error.is_retryable(), retryable);
    }
}

async fn create_secret(config: &SdkConfig, name: &str, value: &str) {
    let client = aws_sdk_secretsmanager::Client::new(config);
    client.create_secret().name(name).secret_string(value).send().await.unwrap();
}
