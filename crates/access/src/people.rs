//! PERSON: finds a user by id, e-mail address, user name or external id.

use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::redaction::{Personal, RedactionKey};
use clerk_snapshot::resource::Dataset;
use memchr::memmem::Finder;

use crate::archive::{Archive, Lines, ScanError};
use crate::lines::user::User;
use crate::names;
use crate::progress::Progress;

/// Who is asked for.
#[derive(Debug, Clone)]
pub struct Person {
    text: String,
    /// Hashes of the text as an e-mail address and as a name, where the snapshot has hashes.
    hashes: Vec<String>,
    filter: Filter,
}

/// A user that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The id.
    pub id: String,
    /// The name to display.
    pub display_name: String,
    /// The record, without the line's end.
    pub record: String,
}

impl Found {
    /// Somebody with this id who is not among the users: grants may still name them.
    #[must_use]
    pub fn unknown(id: &str) -> Self {
        let record = serde_json::json!({"type": "user", "id": id}).to_string();
        Self { id: id.to_owned(), display_name: String::new(), record }
    }

    /// Whether it is somebody who is not among the users: a user's name is never empty.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.display_name.is_empty()
    }
}

impl Person {
    /// The person that a text names. In a snapshot with hashes, `key` makes those of the text.
    #[must_use]
    pub fn new(text: &str, key: Option<&RedactionKey>) -> Self {
        let hash =
            |key: &RedactionKey| [key.hash(Personal::Email, text), key.hash(Personal::Name, text)];
        let hashes: Vec<String> = key.map(hash).into_iter().flatten().collect();
        Self { filter: Filter::new(text, &hashes), text: text.to_owned(), hashes }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All users that the text names, by name and then id.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn find(
        &self,
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
    ) -> Result<Vec<Found>, ScanError> {
        let person = Arc::new(self.clone());
        let read = move |lines: &mut Lines| person.read(lines);
        let mut found = Vec::new();
        let take = |part: Vec<Found>| {
            found.extend(part);
            Ok(())
        };
        archive.scan(snapshot, Dataset::Users, progress, read, take).await?;
        found.sort_by_cached_key(|user| (names::folded(&user.display_name), user.id.clone()));
        Ok(found)
    }

    fn read(&self, lines: &mut Lines) -> Result<Vec<Found>, ScanError> {
        let mut found = Vec::new();
        while let Some(line) = lines.next_line()? {
            if !self.filter.may_match(line) {
                continue;
            }
            let is_named = User::of_line(line).map(|user| {
                self.is_named_by(&user).then(|| Found {
                    id: user.id.into_owned(),
                    display_name: user.display_name.into_owned(),
                    record: String::from_utf8_lossy(line).trim_end().to_owned(),
                })
            });
            found.extend(is_named.ok_or_else(|| lines.not_a_record())?);
        }
        Ok(found)
    }

    fn is_named_by(&self, user: &User<'_>) -> bool {
        let profile = &user.profile;
        let is_text = |text: Option<&str>| text == Some(&self.text);
        let is_hash = |text: Option<&str>| {
            text.is_some_and(|text| self.hashes.iter().any(|hash| hash == text))
        };
        let is_address = |address: Option<&str>| {
            let in_another_case =
                |address| self.text.contains(AT) && names::equal(address, &self.text);
            is_text(address) || is_hash(address) || address.is_some_and(in_another_case)
        };
        user.id == self.text
            || is_text(profile.external_id.as_deref())
            || is_text(profile.username.as_deref())
            || is_hash(profile.username.as_deref())
            || is_address(profile.primary_email.as_deref())
            || profile.emails.iter().any(|email| is_address(email.address.as_deref()))
    }
}

/// Passes every line that may name the person, and few others: parsing a million lines takes longer than all the rest.
#[derive(Debug, Clone)]
struct Filter {
    /// Texts one of which a line holds that names the person exactly.
    exact: Vec<Finder<'static>>,
    address: Address,
}

/// The sign that makes a text an address. It occurs a few times in a line, where letters are everywhere.
const AT: char = '@';

/// What a line holds that has the text, as an address, in another case.
#[derive(Debug, Clone)]
enum Address {
    /// The text is no address.
    None,
    /// The text is ASCII: its case folded form, and the place of the sign in it.
    Ascii { folded: Vec<u8>, at: usize },
    /// The text is not ASCII, and neither are its other cases.
    Other,
}

/// The characters outside of ASCII whose case folded form is in ASCII, with [`LIGATURES`] (Unicode, CaseFolding.txt,
/// statuses C and F). The last is the Kelvin sign.
const FOLDS_TO_ASCII: [&str; 4] = ["ß", "ẞ", "ſ", "\u{212a}"];

/// The first two bytes of the ligatures from `ﬀ` to `ﬆ`, which fold to ASCII, too.
const LIGATURES: [u8; 2] = [0xef, 0xac];

impl Filter {
    fn new(text: &str, hashes: &[String]) -> Self {
        let exact = std::iter::once(text).chain(hashes.iter().map(String::as_str));
        let folded = names::folded(text);
        let address = match folded.find(AT) {
            None => Address::None,
            Some(at) if folded.is_ascii() => Address::Ascii { folded: folded.into_bytes(), at },
            Some(_) => Address::Other,
        };
        Self { exact: exact.map(|text| Finder::new(text).into_owned()).collect(), address }
    }

    fn may_match(&self, line: &[u8]) -> bool {
        // With an escape, a text may stand there in another form.
        memchr::memchr(b'\\', line).is_some()
            || self.exact.iter().any(|finder| finder.find(line).is_some())
            || match &self.address {
                Address::None => false,
                Address::Ascii { folded, at } => {
                    holds_ignoring_case(line, folded, *at)
                        || (!line.is_ascii() && folds_to_ascii(line))
                }
                Address::Other => !line.is_ascii(),
            }
    }
}

/// Whether the line holds the folded text, whose sign is at `at`, in any case as far as ASCII goes.
fn holds_ignoring_case(line: &[u8], folded: &[u8], at: usize) -> bool {
    let is_there = |sign: usize| {
        let there = sign.checked_sub(at).and_then(|begin| line.get(begin..begin + folded.len()));
        there.is_some_and(|there| there.eq_ignore_ascii_case(folded))
    };
    memchr::memchr_iter(AT as u8, line).any(is_there)
}

fn folds_to_ascii(line: &[u8]) -> bool {
    FOLDS_TO_ASCII.iter().any(|text| memchr::memmem::find(line, text.as_bytes()).is_some())
        || memchr::memmem::find(line, &LIGATURES).is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use clerk_snapshot::testing::records;
    use serde_json::Value;

    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn user(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut user = records::user("user_1");
        change(&mut user);
        user.to_string().into_bytes()
    }

    fn finds(text: &str, line: &[u8]) -> bool {
        let person = Person::new(text, None);
        let is_named = person.is_named_by(&User::of_line(line).unwrap());
        assert!(person.filter.may_match(line) || !is_named, "the filter hides {text:?}");
        is_named && person.filter.may_match(line)
    }

    // Promise: a person is found by id, by any address in any case, by user name and by external id.
    #[test]
    fn a_person_is_found_by_everything_that_identifies_one() {
        let line = user(|user| {
            user["profile"]["username"] = "Ada_L".into();
            user["profile"]["external_id"] = "hr:17".into();
            user["profile"]["primary_email"] = Value::Null;
            user["profile"]["emails"] = serde_json::json!([
                {"address": "ada@example.com", "primary": false, "verified": true},
                {"address": "Countess@Lovelace.example", "primary": false, "verified": false},
            ]);
        });
        for text in [
            "user_1",
            "Ada_L",
            "hr:17",
            "ada@example.com",
            "ADA@EXAMPLE.COM",
            "countess@lovelace.EXAMPLE",
        ] {
            assert!(finds(text, &line), "{text}");
        }
        for text in [
            "user_",
            "USER_1",
            "ada_l",
            "HR:17",
            "ada@example.co",
            "da@example.com",
            "Person user_1",
            "",
        ] {
            assert!(!finds(text, &line), "{text}");
        }
    }

    // Promise: no form of an address hides a person: not an escape, and no letter that only folding makes equal.
    #[test]
    fn addresses_are_found_in_every_form() {
        for (stored, asked) in [
            ("ada@bücher.example", "ADA@BÜCHER.EXAMPLE"),
            ("strauß@example.com", "STRAUSS@example.com"),
            ("strauss@example.com", "strauß@example.com"),
            ("\u{212a}elvin@example.com", "kelvin@example.com"),
            ("kelvin@example.com", "\u{212a}elvin@example.com"),
            ("o\u{fb03}ce@example.com", "office@example.com"),
            ("ſam@example.com", "SAM@example.com"),
            ("\"a\\b\"@example.com", "\"A\\B\"@example.com"),
        ] {
            let line = user(|user| user["profile"]["emails"][0]["address"] = stored.into());
            assert!(finds(asked, &line), "{asked}");
        }
        let escaped = String::from_utf8(user(|_| {})).unwrap().replace("user_1@", "\\u0075ser_1@");
        assert!(finds("User_1@Example.com", escaped.as_bytes()));
    }

    // Promise: with the key, hashes are found by what they are hashes of.
    #[test]
    fn hashes_are_found_by_what_they_stand_for() {
        let key = RedactionKey::parse(KEY).unwrap();
        let line = user(|user| {
            user["profile"]["username"] = key.hash(Personal::Name, "Ada").into();
            user["profile"]["primary_email"] = key.hash(Personal::Email, "ada@example.com").into();
            user["profile"]["emails"] = Value::Array(Vec::new());
        });
        let parsed = User::of_line(&line).unwrap();
        for (text, is_found) in
            [("ADA@example.com", true), ("Ada", true), ("ada", false), ("user_1", true)]
        {
            let person = Person::new(text, Some(&key));
            assert_eq!(person.is_named_by(&parsed), is_found, "{text}");
            assert_eq!(
                person.filter.may_match(&line) && person.is_named_by(&parsed),
                is_found,
                "{text}"
            );
            assert_eq!(Person::new(text, None).is_named_by(&parsed), text == "user_1", "{text}");
        }
    }
}
