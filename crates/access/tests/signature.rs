//! `verify --public-key`: a signature of the manifest by one of the keys passes, and everything else is named.

use std::io::Write as _;
use std::process::Command;

use clerk_snapshot::layout::{MANIFEST, MANIFEST_SIGNATURE, manifest_key, snapshot_folder};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, Stored, records};
use p256::SecretKey;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::Value;

use crate::support::{Answer, Place};

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn signed(stored: &Stored, key: &SigningKey) -> Signature {
    key.sign_prehash(&stored.manifest_sha256.0).unwrap()
}

fn signature_key(stored: &Stored) -> String {
    format!("{}{MANIFEST_SIGNATURE}", snapshot_folder(stored.id()))
}

/// A published snapshot that is signed with the first key, and files of three public keys.
fn place() -> (Place, Stored) {
    let place = Place::new();
    let stored = publish(&place, 20, None);
    sign(&place, &stored, &key(1));
    for number in 1..=3 {
        let public = VerifyingKey::from(&key(number));
        let pem = public.to_public_key_pem(LineEnding::LF).unwrap();
        place.write(&format!("{number}.pem"), pem.as_bytes());
        place.write(&format!("{number}.der"), public.to_public_key_der().unwrap().as_bytes());
    }
    (place, stored)
}

fn publish(place: &Place, day: u32, before: Option<&Stored>) -> Stored {
    let snapshot = SnapshotBuilder::on_day(day).with(Dataset::Users, [records::user("user_1")]);
    place.publish(&match before {
        Some(before) => snapshot.after(before),
        None => snapshot,
    })
}

fn sign(place: &Place, stored: &Stored, key: &SigningKey) {
    place.write(&signature_key(stored), signed(stored, key).to_der().as_bytes());
}

/// The checks of signatures: whether each is ok, and its detail.
fn signatures(answer: &Answer) -> Vec<(bool, String)> {
    let document = answer.json();
    let checks = document["checks"].as_array().unwrap().iter();
    let of_signatures = checks.filter(|check| check["check"] == "signature");
    of_signatures
        .map(|check| (check["ok"] == true, check["detail"].as_str().unwrap().to_owned()))
        .collect()
}

// Promise: a signature by the key passes, whether the key is PEM or DER, and with several keys any may have made it.
#[tokio::test]
async fn a_signature_by_one_of_the_keys_passes() {
    let (place, stored) = place();
    for keys in [&["1.pem"][..], &["1.der"], &["2.pem", "1.pem"], &["3.der", "2.pem", "1.der"]] {
        let keys = keys.iter().flat_map(|key| ["--public-key", key]);
        let arguments: Vec<&str> = std::iter::once("verify").chain(keys).collect();
        let answer = place.ask(&arguments).await;
        assert_eq!(answer.status, 0, "{answer:?}");
        assert_eq!(signatures(&answer).len(), 1);
        assert!(signatures(&answer)[0].0, "{answer:?}");
    }
    // Each signature has a twin that is as good, and AWS KMS makes either.
    let signature = signed(&stored, &key(1));
    let (r, s) = signature.split_scalars();
    let twin = Signature::from_scalars(r, -*s).unwrap();
    assert_ne!(signature, twin);
    place.write(&signature_key(&stored), twin.to_der().as_bytes());
    assert_eq!(place.ask(&["verify", "--public-key", "1.pem"]).await.status, 0);
}

// Promise: a signature that is missing, by another key, of another manifest, too long or none at all does not pass, and
// the check says which.
#[tokio::test]
async fn everything_but_a_signature_by_the_key_is_named() {
    let (place, stored) = place();
    let of_other_bytes: Signature = key(1).sign_prehash(&[0; 32]).unwrap();
    let mut with_more = signed(&stored, &key(1)).to_der().as_bytes().to_vec();
    with_more.push(0);
    for (content, words) in [
        (None, "is missing: the manifest was not signed"),
        (Some(signed(&stored, &key(2)).to_der().as_bytes().to_vec()), "was not made by this key"),
        (Some(of_other_bytes.to_der().as_bytes().to_vec()), "was not made by this key"),
        (Some(Vec::new()), "is not a signature"),
        (Some(b"secret".to_vec()), "is not a signature"),
        (Some(with_more), "is not a signature"),
        (Some(signed(&stored, &key(1)).to_bytes().to_vec()), "is not a signature"),
        (Some(vec![0x30; 100_000]), "has 100000 bytes, and a signature has at most 72"),
    ] {
        match content {
            Some(content) => place.write(&signature_key(&stored), &content),
            None => std::fs::remove_file(place.path(&signature_key(&stored))).unwrap(),
        }
        let answer = place.ask(&["verify", "--public-key", "1.pem"]).await;
        assert_eq!(answer.status, 6, "{words}: {answer:?}");
        let found = signatures(&answer);
        assert!(!found[0].0 && found[0].1.contains(words), "{words}: {found:?}");
        assert!(found[0].1.contains(&signature_key(&stored)) && !found[0].1.contains("secret"));
        // Nothing else is wrong with the snapshot.
        let failed = answer.json()["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["ok"] == false)
            .count();
        assert_eq!(failed, 1, "{answer:?}");
    }
    let two = place.ask(&["verify", "--public-key", "2.pem", "--public-key", "3.pem"]).await;
    sign(&place, &stored, &key(1));
    assert_eq!(two.status, 6);
    let two = place.ask(&["verify", "--public-key", "2.pem", "--public-key", "3.pem"]).await;
    assert!(signatures(&two)[0].1.contains("by any of these 2 keys"), "{two:?}");
}

// Promise: --all checks the signature of each snapshot, also of one that cannot be opened; without a key, signatures
// change nothing.
#[tokio::test]
async fn each_snapshot_has_its_own_signature() {
    let (place, first) = place();
    let second = publish(&place, 21, Some(&first));
    let third = publish(&place, 22, Some(&second));
    sign(&place, &third, &key(2));
    let keys = ["verify", "--all", "--public-key", "1.pem", "--public-key", "2.pem"];
    let answer = place.ask(&keys).await;
    let passed: Vec<bool> = signatures(&answer).iter().map(|(ok, _)| *ok).collect();
    assert_eq!((answer.status, passed), (6, vec![true, false, true]));
    place.write(&manifest_key(third.id()), b"{}");
    let unopened = place.ask(&["verify", "--public-key", "2.pem"]).await;
    assert!(signatures(&unopened)[0].1.contains("cannot be opened"), "{unopened:?}");

    let (place, _) = crate::signature::place();
    let without = place.ask(&["verify"]).await;
    assert_eq!((without.status, signatures(&without)), (0, Vec::new()));
    let listed = place.ask(&["snapshots"]).await.answered();
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1);
}

// Promise: a file that is no public key of ECDSA P-256 is refused with what it is and what to give instead, before
// anything is read, and nothing of it is repeated.
#[tokio::test]
async fn a_file_that_is_no_public_key_is_refused() {
    let (place, _) = place();
    let secret = SecretKey::from_slice(&[7; 32]).unwrap();
    let pkcs8 = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
    let sec1 = secret.to_sec1_pem(LineEnding::LF).unwrap();
    let public = VerifyingKey::from(&key(1)).to_public_key_pem(LineEnding::LF).unwrap();
    // A key of the curve P-384, as far as its algorithm says.
    let header = [
        0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05,
        0x2b,
    ];
    let other_curve =
        [&header[..], &[0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04], &[1; 96]].concat();
    let cut = &public[..public.len() / 2];
    for (content, words) in [
        (pkcs8.as_bytes(), "holds a private key"),
        (sec1.as_bytes(), "holds a private key"),
        (secret.to_pkcs8_der().unwrap().as_bytes(), "holds a private key"),
        (&secret.to_sec1_der().unwrap(), "holds a private key"),
        (format!("{public}{}", pkcs8.as_str()).as_bytes(), "holds a private key"),
        (b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n", "holds a certificate"),
        (&other_curve, "is a public key of another kind or curve"),
        (cut.as_bytes(), "is not a public key"),
        (b"secret", "is not a public key"),
        (b"", "is empty"),
        (&[b' '; 70_000], "has more than 65536 bytes"),
    ] {
        place.write("key", content);
        let answer = place.ask(&["verify", "--public-key", "key"]).await;
        assert_eq!(answer.error_type(2), "InvalidEvent");
        let message = answer.json()["errorMessage"].as_str().unwrap().to_owned();
        assert!(message.starts_with("the public key in \"key\" "), "{message}");
        assert!(message.contains(words) && message.contains("give "), "{words}: {message}");
        let lines = pkcs8.lines().chain(sec1.lines()).filter(|line| !line.starts_with('-'));
        for line in lines.chain(["secret\""]) {
            assert!(!answer.stdout.contains(line) && !answer.stderr.contains(line), "{answer:?}");
        }
    }
    let missing = place.ask(&["verify", "--public-key", "nowhere.pem"]).await;
    assert_eq!(missing.error_type(2), "InvalidEvent");
    assert!(missing.stderr.contains("nowhere.pem") && missing.stderr.contains("cannot be read"));
}

// Promise: what docs/access.md says to do without this program, with OpenSSL alone, comes to the same.
#[tokio::test]
async fn openssl_agrees() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/access.md");
    let page = std::fs::read_to_string(page).unwrap();
    let command = page.lines().find(|line| line.starts_with("openssl dgst ")).unwrap();
    if Command::new("openssl").arg("version").output().is_err() {
        // Not with `eprintln!`, which tests swallow.
        let _ =
            writeln!(std::io::stderr(), "NOT RUN: openssl is not here to check a signature with");
        return;
    }
    let (place, stored) = place();
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        std::fs::copy(place.path(from), folder.path().join(to)).unwrap();
    };
    copy("1.pem", "public.pem");
    copy(&manifest_key(stored.id()), MANIFEST);
    copy(&signature_key(&stored), MANIFEST_SIGNATURE);
    let run = |command: &str| {
        let words: Vec<&str> = command.split_whitespace().collect();
        Command::new(words[0]).args(&words[1..]).current_dir(folder.path()).output().unwrap()
    };
    let verified = run(command);
    assert!(verified.status.success(), "{verified:?}");
    copy("2.pem", "public.pem");
    assert!(!run(command).status.success());

    // And the other way round: a signature that OpenSSL made passes here.
    let pkcs8 = SecretKey::from_slice(&[2; 32]).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap();
    std::fs::write(folder.path().join("private.pem"), pkcs8.as_bytes()).unwrap();
    let made = run("openssl dgst -sha256 -sign private.pem -out made.sig manifest.json");
    assert!(made.status.success(), "{made:?}");
    place.write(&signature_key(&stored), &std::fs::read(folder.path().join("made.sig")).unwrap());
    let answer = place.ask(&["verify", "--public-key", "2.pem"]).await;
    assert_eq!(answer.status, 0, "{answer:?}");
    let checks = answer.json()["checks"].as_array().unwrap().to_vec();
    assert!(checks.iter().any(|check: &Value| check["check"] == "signature"));
}
