//! Users.

use std::borrow::Cow;

use serde::Deserialize;

use super::cursor::Cursor;

/// What answers say about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSummary<'a> {
    /// The id.
    pub id: Cow<'a, str>,
    /// The name to display.
    pub display_name: Cow<'a, str>,
    /// `enabled` or `disabled`.
    pub status: Cow<'a, str>,
    /// The primary address.
    pub primary_email: Option<Cow<'a, str>>,
}

/// A user, with everything that identifies one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User<'a> {
    /// The id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The name to display.
    #[serde(borrow)]
    pub display_name: Cow<'a, str>,
    /// `enabled` or `disabled`.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    /// Further data.
    #[serde(borrow)]
    pub profile: Profile<'a>,
}

/// The part of a user's profile that identifies the user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Profile<'a> {
    /// The user name.
    #[serde(borrow)]
    pub username: Option<Cow<'a, str>>,
    /// The customer's own id.
    #[serde(borrow)]
    pub external_id: Option<Cow<'a, str>>,
    /// The primary address.
    #[serde(borrow)]
    pub primary_email: Option<Cow<'a, str>>,
    /// All addresses.
    #[serde(borrow)]
    pub emails: Vec<Email<'a>>,
}

/// An address of a user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Email<'a> {
    /// The address, or its hash.
    #[serde(borrow)]
    pub address: Option<Cow<'a, str>>,
}

/// The id of a user's line; `None` if it is not a user.
#[must_use]
pub fn id_of_line(line: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let mut cursor = Cursor::new(line);
    let written = cursor.pass(BEGINNING).and_then(|()| cursor.string());
    match written {
        Some(id) => Some(id.into()),
        None => serde_json::from_slice::<Id<'_>>(line).ok().map(|user| user.id),
    }
}

impl<'a> UserSummary<'a> {
    /// The user of a line; `None` if it is not a user.
    #[must_use]
    pub fn of_line(line: &'a [u8]) -> Option<Self> {
        as_written(line).or_else(|| {
            let User { id, display_name, status, profile } = User::of_line(line)?;
            Some(Self { id, display_name, status, primary_email: profile.primary_email })
        })
    }
}

impl<'a> User<'a> {
    /// The user of a line; `None` if it is not a user.
    #[must_use]
    pub fn of_line(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// How every line of a user begins.
const BEGINNING: &str = "{\"kind\":\"resource\",\"type\":\"user\",\"id\":";

fn as_written(line: &[u8]) -> Option<UserSummary<'_>> {
    let mut cursor = Cursor::new(line);
    cursor.pass(BEGINNING)?;
    let id = cursor.string()?;
    cursor.pass(",\"display_name\":")?;
    let display_name = cursor.string()?;
    cursor.pass(",\"status\":")?;
    let status = cursor.string()?;
    cursor.pass(",\"created_at\":")?;
    cursor.string_or_null()?;
    cursor.pass(",\"updated_at\":")?;
    cursor.string_or_null()?;
    cursor.pass(",\"profile\":{\"username\":")?;
    cursor.string_or_null()?;
    cursor.pass(",\"first_name\":")?;
    cursor.string_or_null()?;
    cursor.pass(",\"last_name\":")?;
    cursor.string_or_null()?;
    cursor.pass(",\"external_id\":")?;
    cursor.string_or_null()?;
    cursor.pass(",\"primary_email\":")?;
    let primary_email = cursor.string_or_null()?.map(Cow::Borrowed);
    Some(UserSummary {
        id: id.into(),
        display_name: display_name.into(),
        status: status.into(),
        primary_email,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use clerk_snapshot::testing::records;

    use super::*;

    // Promise: a line gives the same user in the form in which it is written and in any other form of its JSON.
    #[test]
    fn every_form_of_a_line_gives_the_same_user() {
        let mut hostile = records::user("user_\"2\"");
        hostile["display_name"] = "\u{202e}=cmd\n".into();
        let mut nameless = records::user("user_3");
        nameless["profile"]["primary_email"] = serde_json::Value::Null;
        for line in [records::user("user_1"), hostile, nameless] {
            let written = line.to_string();
            let summary = UserSummary::of_line(written.as_bytes()).unwrap();
            let spaced = serde_json::to_string_pretty(&line).unwrap();
            assert_eq!(summary, UserSummary::of_line(spaced.as_bytes()).unwrap());
            assert_eq!(summary.id, line["id"].as_str().unwrap());
            assert_eq!(summary.display_name, line["display_name"].as_str().unwrap());
            assert_eq!(summary.primary_email.as_deref(), line["profile"]["primary_email"].as_str());
            assert_eq!(id_of_line(written.as_bytes()), Some(summary.id.clone()));
            assert_eq!(id_of_line(spaced.as_bytes()), Some(summary.id));
        }
        let plain = records::user("user_1").to_string();
        assert!(as_written(plain.as_bytes()).is_some(), "the fast way is taken");
    }
}
