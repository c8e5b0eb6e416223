//! Chooses where the snapshots are.

use clerk_store::{SnapshotUrl, SnapshotUrlError};

use crate::environment::{EXPECTED_BUCKET_OWNER, Environment, SNAPSHOT_URL};

/// The folder that is used if nothing else is named and it holds snapshots: `make run` writes there.
const USUAL_FOLDER: &str = "out";

/// Returns the place that `--url` names, else `SNAPSHOT_URL`, else `./out` if it holds a `latest.json`.
///
/// A value without `s3://` or `file://` is a folder, which may be relative.
///
/// # Errors
/// [`PlaceError`].
pub fn choose(option: Option<&str>, environment: &Environment) -> Result<SnapshotUrl, PlaceError> {
    if let Some(url) = option {
        return SnapshotUrl::of_argument(url, &environment.folder)
            .map_err(|reason| PlaceError::Invalid { setting: "--url", reason });
    }
    if let Some(url) = environment.variable(SNAPSHOT_URL) {
        return SnapshotUrl::of_argument(url, &environment.folder)
            .map_err(|reason| PlaceError::Invalid { setting: SNAPSHOT_URL, reason });
    }
    let usual = environment.folder.join(USUAL_FOLDER);
    if usual.join("latest.json").is_file() {
        Ok(SnapshotUrl::Folder(usual))
    } else {
        Err(PlaceError::Missing)
    }
}

/// The account that must own the bucket, if `EXPECTED_BUCKET_OWNER` names one.
///
/// # Errors
/// [`PlaceError::Owner`].
pub fn expected_owner(environment: &Environment) -> Result<Option<String>, PlaceError> {
    let Some(owner) = environment.variable(EXPECTED_BUCKET_OWNER) else { return Ok(None) };
    let is_account = owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit());
    if is_account { Ok(Some(owner.to_owned())) } else { Err(PlaceError::Owner) }
}

/// Why it is not known where the snapshots are.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// `EXPECTED_BUCKET_OWNER` is no account.
    #[error("EXPECTED_BUCKET_OWNER must be the 12 digits of an AWS account")]
    Owner,
    /// Nothing names a place.
    #[error(
        "nothing says where the snapshots are: give --url s3://bucket/prefix or --url ./folder, or set SNAPSHOT_URL"
    )]
    Missing,
    /// A value that is neither a URL of snapshots nor a folder.
    #[error("{setting} {reason}, or name a folder on this machine")]
    Invalid {
        /// The option or variable.
        setting: &'static str,
        /// What is wrong with its value, which is not repeated because it may contain credentials.
        reason: SnapshotUrlError,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use clerk_snapshot::timestamp::Timestamp;

    use super::*;

    fn environment(folder: &Path, url: Option<&str>) -> Environment {
        let variables = url.map(|url| (SNAPSHOT_URL.to_owned(), url.to_owned()));
        Environment {
            variables: BTreeMap::from_iter(variables),
            folder: folder.to_owned(),
            now: Timestamp::from_unix_millis(0).unwrap(),
            terminal: None,
            shows_progress: false,
            input: Box::new(std::io::empty()),
        }
    }

    fn folder(path: &str) -> SnapshotUrl {
        SnapshotUrl::Folder(path.into())
    }

    // Promise: --url wins over SNAPSHOT_URL, and both take URLs and folders.
    #[test]
    fn the_option_wins_over_the_variable() {
        let work = environment(Path::new("/work"), Some("s3://acme/clerk"));
        let s3 = SnapshotUrl::S3 { bucket: "acme".to_owned(), prefix: "clerk".to_owned() };
        assert_eq!(choose(None, &work).unwrap(), s3);
        for (option, expected) in [
            ("./snapshots", "/work/snapshots"),
            ("a/b", "/work/a/b"),
            (".", "/work"),
            ("/srv/snapshots", "/srv/snapshots"),
            ("file:///srv/my%20snapshots", "/srv/my snapshots"),
        ] {
            assert_eq!(choose(Some(option), &work).unwrap(), folder(expected), "{option}");
        }
    }

    #[test]
    fn an_owner_is_an_account() {
        let with = |value: &str| {
            let mut environment = environment(Path::new("/work"), None);
            environment.variables.insert(EXPECTED_BUCKET_OWNER.to_owned(), value.to_owned());
            expected_owner(&environment)
        };
        assert_eq!(with("").unwrap(), None);
        assert_eq!(with("012345678901").unwrap().as_deref(), Some("012345678901"));
        for wrong in ["12345", "0123456789012", "01234567890a"] {
            assert!(matches!(with(wrong), Err(PlaceError::Owner)), "{wrong}");
        }
    }

    // Promise: ./out is taken only if it holds published snapshots.
    #[test]
    fn the_usual_folder_needs_a_latest_json() {
        let work = tempfile::tempdir().unwrap();
        let nothing = environment(work.path(), None);
        assert!(matches!(choose(None, &nothing), Err(PlaceError::Missing)));
        std::fs::create_dir(work.path().join("out")).unwrap();
        assert!(matches!(choose(None, &nothing), Err(PlaceError::Missing)));
        std::fs::write(work.path().join("out/latest.json"), "{}").unwrap();
        let expected = SnapshotUrl::Folder(work.path().join("out"));
        assert_eq!(choose(None, &nothing).unwrap(), expected);
    }

    #[test]
    fn a_wrong_place_is_named_without_its_value() {
        let work = environment(Path::new("/work"), None);
        for option in ["", "http://user:password@host/", "s3://A", "file://out", "/", "a\nb"] {
            let message = choose(Some(option), &work).unwrap_err().to_string();
            assert!(message.starts_with("--url "), "{option}: {message}");
            assert!(!message.contains("password"), "{message}");
        }
    }
}
