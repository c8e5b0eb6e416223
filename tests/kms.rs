//! Promise: manifests are signed by KMS as openssl and every other ECDSA library verify it, and each way in which KMS
//! can refuse has a message that says what to do. Against moto's KMS.

use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use clerk_snapshot::digest::Sha256Hex;
use clerk_store::aws::LazyAwsConfig;
use clerk_sync::signing::{KmsSigner, Signer as _, SigningProblem};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

use crate::support::moto::{Moto, aws_config_for};

/// The last bytes of a P-256 key's SubjectPublicKeyInfo: an uncompressed point (RFC 5480).
const POINT: usize = 65;

async fn key(client: &Client, spec: KeySpec, usage: KeyUsageType) -> String {
    let made = client.create_key().key_spec(spec).key_usage(usage).send().await.expect("a key");
    made.key_metadata.expect("metadata").key_id
}

async fn signing_key(client: &Client) -> String {
    key(client, KeySpec::EccNistP256, KeyUsageType::SignVerify).await
}

async fn problem(key_id: &str) -> SigningProblem {
    let aws = Arc::new(LazyAwsConfig::from(Moto::shared().aws_config().await));
    let signer = KmsSigner::new(key_id.to_owned(), aws);
    signer.sign(Sha256Hex::of(b"a manifest")).await.expect_err("it cannot sign").problem
}

#[tokio::test]
async fn a_signature_is_that_of_the_sha256_and_is_der() {
    let config = Moto::shared().aws_config().await;
    let client = Client::new(&config);
    let key_id = signing_key(&client).await;
    let signer = KmsSigner::new(key_id.clone(), Arc::new(LazyAwsConfig::from(config)));
    let sha256 = Sha256Hex::of(b"a manifest");
    let signature = signer.sign(sha256).await.expect("a signature");

    let public = client.get_public_key().key_id(key_id).send().await.expect("a public key");
    let public = public.public_key.expect("a public key").into_inner();
    let public = VerifyingKey::from_sec1_bytes(&public[public.len() - POINT..]).expect("a point");
    let signature = Signature::from_der(&signature).expect("DER");
    public.verify_prehash(&sha256.0, &signature).expect("it is the key's");
    let other = Sha256Hex::of(b"another manifest");
    assert!(public.verify_prehash(&other.0, &signature).is_err());
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_told_from_one_that_is_not_there() {
    let client = Client::new(&Moto::shared().aws_config().await);
    let missing = "11111111-2222-3333-4444-555555555555";
    let found = problem(missing).await;
    assert!(matches!(found, SigningProblem::NotFound), "{found:?}");

    let encrypts = key(&client, KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt).await;
    let rsa = key(&client, KeySpec::Rsa2048, KeyUsageType::SignVerify).await;
    for other in [encrypts, rsa] {
        let found = problem(&other).await;
        assert!(matches!(found, SigningProblem::Unusable { .. }), "{found:?}");
        assert!(found.to_string().contains("ECC_NIST_P256"), "{found}");
    }
}

#[tokio::test]
async fn without_a_region_or_an_answer_the_message_says_so() {
    let no_region = aws_config::SdkConfig::builder().build();
    let signer = KmsSigner::new("alias/x".to_owned(), Arc::new(LazyAwsConfig::from(no_region)));
    let error = signer.sign(Sha256Hex::of(b"")).await.expect_err("no region");
    assert!(error.to_string().contains("AWS_REGION"), "{error}");

    let nobody = aws_config_for("http://127.0.0.1:1").await;
    let signer = KmsSigner::new("alias/x".to_owned(), Arc::new(LazyAwsConfig::from(nobody)));
    let error = signer.sign(Sha256Hex::of(b"")).await.expect_err("nobody listens");
    assert!(error.to_string().contains("AWS KMS could not be reached"), "{error}");
    assert!(!format!("{error:?}").contains("testing"), "credentials are not shown: {error:?}");
}
