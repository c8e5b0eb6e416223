//! Parses `SNAPSHOT_URL`, the place where everything is written (docs/reference.md, Settings).

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// Longest prefix in bytes. It leaves room for the keys within S3's 1,024 bytes.
const MAX_PREFIX_BYTES: usize = 500;

/// Where snapshots are written: `s3://bucket[/prefix]` or `file:///absolute/folder`. Displays as such a URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotUrl {
    /// A bucket and a prefix, which has no slashes at its ends and is empty for the whole bucket.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// Everything is stored below `prefix/`.
        prefix: String,
    },
    /// An absolute folder on this machine, which need not exist yet.
    Folder(PathBuf),
}

/// Why a text is not a valid `SNAPSHOT_URL`. The text is not repeated, because it may contain credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotUrlError {
    /// Neither `s3://` nor `file://`.
    #[error("must start with s3:// or file:///")]
    Scheme,
    /// Not a valid S3 bucket name.
    #[error(
        "needs a bucket name of 3 to 63 lower-case letters, digits, dots and hyphens after s3://"
    )]
    Bucket,
    /// `?` or `#` in an S3 URL.
    #[error("must have neither ? nor #: it is s3://bucket or s3://bucket/prefix and nothing more")]
    QueryOrFragment,
    /// `?` or `#` in a `file://` URL.
    #[error("must not have ? or # as they are: in a file URL, write %3F for ? and %23 for #")]
    UnencodedCharacter,
    /// A control character or backslash.
    #[error("must not contain control characters or backslashes")]
    Character,
    /// `//`, `.` or `..` within the path.
    #[error("must not have empty, . or .. parts in its path")]
    PathPart,
    /// The prefix is too long.
    #[error("must have a prefix of at most 500 bytes")]
    PrefixTooLong,
    /// `file://host/…` or a relative path.
    #[error(
        "must be file:/// and an absolute path on this machine, three slashes and no host name"
    )]
    NotAbsolute,
    /// `file:///`.
    #[error("must name a folder, not the root of the file system")]
    Root,
    /// A folder that begins with `~`, which a shell has not replaced.
    #[error(
        "must not begin with ~, which stands for a home folder only where the shell replaces it: write \"$HOME\" in its \
         place"
    )]
    Tilde,
    /// `%` not followed by two hexadecimal digits, or decoding to a slash or to invalid UTF-8.
    #[error(
        "has a % that does not begin an encoded character of a file name (write %25 for % itself)"
    )]
    PercentEncoding,
}

impl FromStr for SnapshotUrl {
    type Err = SnapshotUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(|character: char| character == '\\' || character.is_control()) {
            return Err(SnapshotUrlError::Character);
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            parse_s3(rest)
        } else if let Some(rest) = text.strip_prefix("file://") {
            parse_folder(rest)
        } else {
            Err(SnapshotUrlError::Scheme)
        }
    }
}

impl SnapshotUrl {
    /// The place that a person names on a command line: a URL as in `SNAPSHOT_URL`, or a folder, which may be relative
    /// to the folder `current`.
    ///
    /// # Errors
    /// [`SnapshotUrlError`].
    pub fn of_argument(text: &str, current: &Path) -> Result<Self, SnapshotUrlError> {
        if text.starts_with("s3://") || text.starts_with("file:") {
            return text.parse();
        }
        if text.is_empty() || text.contains("://") {
            return Err(SnapshotUrlError::Scheme);
        }
        if text.contains(char::is_control) {
            return Err(SnapshotUrlError::Character);
        }
        if text.starts_with('~') {
            return Err(SnapshotUrlError::Tilde);
        }
        let folder = resolved(current, Path::new(text));
        if folder.parent().is_none() {
            Err(SnapshotUrlError::Root)
        } else {
            Ok(Self::Folder(folder))
        }
    }
}

/// The path from `current`, without `.` and `..`. A `..` behind a symbolic link leads where the system would go.
fn resolved(current: &Path, path: &Path) -> PathBuf {
    let mut whole = current.to_path_buf();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if let Ok(real) = whole.canonicalize() {
                    whole = real;
                }
                whole.pop();
            }
            _ => whole.push(part),
        }
    }
    whole
}

impl fmt::Display for SnapshotUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(formatter, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(formatter, "s3://{bucket}/{prefix}"),
            Self::Folder(folder) => match url::Url::from_file_path(folder) {
                Ok(url) => write!(formatter, "{url}"),
                Err(()) => write!(formatter, "file://{}", folder.display()),
            },
        }
    }
}

fn parse_s3(rest: &str) -> Result<SnapshotUrl, SnapshotUrlError> {
    if rest.contains(['?', '#']) {
        return Err(SnapshotUrlError::QueryOrFragment);
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_bucket_name(bucket) {
        return Err(SnapshotUrlError::Bucket);
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.len() > MAX_PREFIX_BYTES {
        return Err(SnapshotUrlError::PrefixTooLong);
    }
    if !prefix.is_empty() && !prefix.split('/').all(is_path_part) {
        return Err(SnapshotUrlError::PathPart);
    }
    Ok(SnapshotUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

/// Checks the rules of the S3 user guide except the few reserved prefixes and suffixes, for which S3 itself gives clear
/// errors.
fn is_bucket_name(name: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-' || byte == b'.')
        && bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric)
        && !name.contains("..")
}

fn is_path_part(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".."
}

/// Parses the path by hand, because a URL parser would silently resolve `..` and trim spaces at the ends.
fn parse_folder(rest: &str) -> Result<SnapshotUrl, SnapshotUrlError> {
    let Some(path) = rest.strip_prefix('/') else {
        return Err(SnapshotUrlError::NotAbsolute);
    };
    if path.contains(['?', '#']) {
        return Err(SnapshotUrlError::UnencodedCharacter);
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Err(SnapshotUrlError::Root);
    }
    let mut folder = PathBuf::from("/");
    for part in path.split('/') {
        let part = percent_decode(part).ok_or(SnapshotUrlError::PercentEncoding)?;
        if !is_path_part(&part) {
            return Err(SnapshotUrlError::PathPart);
        }
        if part.contains(|character: char| character == '/' || character.is_control()) {
            return Err(SnapshotUrlError::PercentEncoding);
        }
        folder.push(part);
    }
    Ok(SnapshotUrl::Folder(folder))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> Result<SnapshotUrl, SnapshotUrlError> {
        Ok(SnapshotUrl::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    #[test]
    fn s3_urls_give_bucket_and_clean_prefix() {
        assert_eq!("s3://acme-audit".parse(), s3("acme-audit", ""));
        assert_eq!("s3://acme-audit/".parse(), s3("acme-audit", ""));
        assert_eq!(
            "s3://acme.audit/clerk/production/".parse(),
            s3("acme.audit", "clerk/production")
        );
        assert_eq!("s3://acme/a=b/c d".parse(), s3("acme", "a=b/c d"));
    }

    #[test]
    fn s3_urls_that_could_mean_something_else_are_refused() {
        for (text, error) in [
            ("s3://", SnapshotUrlError::Bucket),
            ("s3:///prefix", SnapshotUrlError::Bucket),
            ("s3://ab", SnapshotUrlError::Bucket),
            ("s3://Acme", SnapshotUrlError::Bucket),
            ("s3://-acme", SnapshotUrlError::Bucket),
            ("s3://acme..audit", SnapshotUrlError::Bucket),
            ("s3://user:password@acme", SnapshotUrlError::Bucket),
            ("s3://acme?region=eu", SnapshotUrlError::QueryOrFragment),
            ("s3://acme/a?b", SnapshotUrlError::QueryOrFragment),
            ("s3://acme//a", SnapshotUrlError::PathPart),
            ("s3://acme/a/../b", SnapshotUrlError::PathPart),
            ("s3://acme/a/.", SnapshotUrlError::PathPart),
            ("s3://acme/a\\b", SnapshotUrlError::Character),
            ("s3://acme/a\nb", SnapshotUrlError::Character),
        ] {
            assert_eq!(text.parse::<SnapshotUrl>(), Err(error), "{text:?}");
        }
        let long = format!("s3://acme/{}", "a".repeat(MAX_PREFIX_BYTES + 1));
        assert_eq!(long.parse::<SnapshotUrl>(), Err(SnapshotUrlError::PrefixTooLong));
    }

    #[test]
    fn file_urls_give_the_decoded_folder() {
        for (text, folder) in [
            ("file:///srv/snapshots", "/srv/snapshots"),
            ("file:///srv/snapshots/", "/srv/snapshots"),
            ("file:///srv/my%20snapshots", "/srv/my snapshots"),
            ("file:///srv/my snapshots", "/srv/my snapshots"),
            ("file:///srv/%C3%A9t%C3%A9", "/srv/été"),
            ("file:///srv/100%25", "/srv/100%"),
        ] {
            assert_eq!(text.parse(), Ok(SnapshotUrl::Folder(PathBuf::from(folder))), "{text}");
        }
    }

    #[test]
    fn file_urls_that_are_not_an_absolute_folder_are_refused() {
        for (text, error) in [
            ("/srv/snapshots", SnapshotUrlError::Scheme),
            ("http://acme/", SnapshotUrlError::Scheme),
            ("", SnapshotUrlError::Scheme),
            ("file:/srv", SnapshotUrlError::Scheme),
            ("file://", SnapshotUrlError::NotAbsolute),
            ("file://out", SnapshotUrlError::NotAbsolute),
            ("file://./out", SnapshotUrlError::NotAbsolute),
            ("file://localhost/out", SnapshotUrlError::NotAbsolute),
            ("file:///", SnapshotUrlError::Root),
            ("file:////", SnapshotUrlError::Root),
            ("file:////srv", SnapshotUrlError::PathPart),
            ("file:///srv//out", SnapshotUrlError::PathPart),
            ("file:///srv/../etc", SnapshotUrlError::PathPart),
            ("file:///srv/%2e%2E/etc", SnapshotUrlError::PathPart),
            ("file:///srv/a%2Fb", SnapshotUrlError::PercentEncoding),
            ("file:///srv/a%00b", SnapshotUrlError::PercentEncoding),
            ("file:///srv/a%zz", SnapshotUrlError::PercentEncoding),
            ("file:///srv/a%4", SnapshotUrlError::PercentEncoding),
            ("file:///srv/%ff", SnapshotUrlError::PercentEncoding),
            ("file:///srv?x", SnapshotUrlError::UnencodedCharacter),
            ("file:///srv/a#b", SnapshotUrlError::UnencodedCharacter),
        ] {
            assert_eq!(text.parse::<SnapshotUrl>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn an_argument_is_a_url_or_a_folder_relative_or_not() {
        let place = tempfile::tempdir().unwrap();
        let current = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(current.join("far/away")).unwrap();
        std::os::unix::fs::symlink(current.join("far/away"), current.join("link")).unwrap();
        for (text, expected) in [
            ("./out", "out"),
            ("out/", "out"),
            ("a/./b", "a/b"),
            (".", ""),
            ("missing/../out", "out"),
            ("link/../out", "far/out"),
            ("my snapshots", "my snapshots"),
            ("./~", "~"),
        ] {
            let url = SnapshotUrl::of_argument(text, &current).unwrap();
            assert_eq!(url, SnapshotUrl::Folder(current.join(expected)), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text}");
        }
        for text in ["s3://acme/clerk", "file:///srv/my%20snapshots"] {
            assert_eq!(SnapshotUrl::of_argument(text, &current), text.parse(), "{text}");
        }
        for (text, error) in [
            ("", SnapshotUrlError::Scheme),
            ("https://acme/", SnapshotUrlError::Scheme),
            ("file://out", SnapshotUrlError::NotAbsolute),
            ("/", SnapshotUrlError::Root),
            ("/..", SnapshotUrlError::Root),
            ("a\nb", SnapshotUrlError::Character),
            ("~", SnapshotUrlError::Tilde),
            ("~/snapshots", SnapshotUrlError::Tilde),
            ("~ada", SnapshotUrlError::Tilde),
        ] {
            assert_eq!(SnapshotUrl::of_argument(text, &current), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_parsed_url_displays_as_one_that_parses_to_the_same() {
        for text in ["s3://acme", "s3://acme/clerk/production", "file:///srv/my%20snapshots"] {
            assert_eq!(text.parse::<SnapshotUrl>().unwrap().to_string(), text);
        }
    }
}
