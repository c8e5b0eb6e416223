//! Removes secrets from Clerk's own object.

use std::fmt;

use clerk_snapshot::record::ObjectType;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::metadata_bags::MetadataBags;
use super::verbatim::on_one_line;
use crate::clerk::wire::Text;

/// Fields that are removed at any depth outside of metadata. Those that Clerk's lists contain today:
///
/// - `backup_codes`, in phone numbers.
/// - `url`, in invitations, also inside waitlist entries: it contains a ticket. In a redirect URL it is not a secret,
///   so it stays.
/// - `external_verification_redirect_url`, in verifications: following it continues a sign-in.
///
/// The others are Clerk's names for credentials elsewhere, in case a list ever contains one (Clerk OpenAPI 2026-05-12,
/// schemas OAuthAccessToken, OAuthApplicationWithSecret, SignInToken, EnterpriseConnectionTestRun, SAMLConnection; GET
/// /machines/{id}/secret_key, GET /api_keys/{id}/secret).
const WITHHELD: &[&str] = &[
    "backup_codes",
    "url",
    "secret",
    "secret_key",
    "client_secret",
    "private_key",
    "signing_key",
    "certificate",
    "idp_certificate",
    "token",
    "token_secret",
    "access_token",
    "refresh_token",
    "id_token",
    "ticket",
    "external_verification_redirect_url",
];

/// Deepest nesting that is followed, because recursion could exhaust the stack. Clerk's objects nest four deep;
/// anything beyond this is not one of them.
const DEEPEST: usize = 64;

/// Returns `raw` on one line without the [`WITHHELD`] fields, at any depth.
///
/// - `private_metadata` and `unsafe_metadata` stay only if `asked`; `public_metadata` always stays.
/// - The content of a metadata bag belongs to the customer and is kept or removed as a whole.
///
/// # Errors
/// If the JSON nests too deep or has a key that is not Unicode: no record is better than one that could contain a
/// secret.
pub(super) fn without_withheld(
    raw: &RawValue,
    object: ObjectType,
    asked: MetadataBags,
) -> Result<Box<RawValue>, serde_json::Error> {
    let mut output = Vec::with_capacity(raw.get().len());
    let rules = Rules { asked, url_is_a_ticket: object != ObjectType::RedirectUrl };
    write_filtered(raw.get(), rules, DEEPEST, &mut output)?;
    serde_json::from_slice(&output)
}

fn write_filtered(
    json: &str,
    rules: Rules,
    depth_left: usize,
    output: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let deeper = || depth_left.checked_sub(1).ok_or_else(|| Error::custom("it nests too deep"));
    match json.as_bytes().first() {
        Some(b'{') => write_object(serde_json::from_str(json)?, rules, deeper()?, output),
        Some(b'[') => write_array(serde_json::from_str(json)?, rules, deeper()?, output),
        _ => {
            output.extend_from_slice(json.as_bytes());
            Ok(())
        }
    }
}

fn write_object(
    Fields(fields): Fields<'_>,
    rules: Rules,
    depth_left: usize,
    output: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut separator = b'{';
    for (key, value) in fields {
        let treatment = Treatment::of(&key, rules);
        if treatment == Treatment::Withhold {
            continue;
        }
        output.push(separator);
        separator = b',';
        serde_json::to_writer(&mut *output, &key)?;
        output.push(b':');
        if treatment == Treatment::CopyWhole {
            output.extend_from_slice(on_one_line(value.get()).as_bytes());
        } else {
            write_filtered(value.get(), rules, depth_left, output)?;
        }
    }
    if separator == b'{' {
        output.push(b'{');
    }
    output.push(b'}');
    Ok(())
}

fn write_array(
    values: Vec<&RawValue>,
    rules: Rules,
    depth_left: usize,
    output: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    output.push(b'[');
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            output.push(b',');
        }
        write_filtered(value.get(), rules, depth_left, output)?;
    }
    output.push(b']');
    Ok(())
}

/// What decides about a field, apart from its name.
#[derive(Clone, Copy)]
struct Rules {
    asked: MetadataBags,
    url_is_a_ticket: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Withhold,
    CopyWhole,
    LookInside,
}

impl Treatment {
    fn of(field: &str, rules: Rules) -> Self {
        let bag = |asked| {
            if asked { Self::CopyWhole } else { Self::Withhold }
        };
        match field {
            "public_metadata" => Self::CopyWhole,
            "private_metadata" => bag(rules.asked.private),
            "unsafe_metadata" => bag(rules.asked.unsafe_),
            "url" if !rules.url_is_a_ticket => Self::LookInside,
            _ if WITHHELD.contains(&field) => Self::Withhold,
            _ => Self::LookInside,
        }
    }
}

/// The fields of an object in order, including duplicates: each is judged separately.
struct Fields<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = object.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn filter(json: &str, asked: MetadataBags) -> String {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        without_withheld(raw, ObjectType::User, asked).unwrap().get().to_owned()
    }

    const NOTHING: MetadataBags = MetadataBags { public: false, private: false, unsafe_: false };

    // Promise: backup codes, tickets and unselected metadata are never written, at any depth.
    #[test]
    fn secrets_are_removed_at_any_depth() {
        let json = r#"{"private_metadata":{"a":1},"phone_numbers":[{"id":"i","backup_codes":["c"]}],
            "organization_memberships":[{"organization":{"unsafe_metadata":2,"private_metadata":{},
            "invitations":[[{"url":"https://example.com/?ticket=t"}]]}}],"secret":"s","id":"u"}"#;
        assert_eq!(
            filter(json, NOTHING),
            r#"{"phone_numbers":[{"id":"i"}],"organization_memberships":[{"organization":{"invitations":[[{}]]}}],"id":"u"}"#
        );
    }

    #[test]
    fn an_escaped_or_repeated_field_is_recognised() {
        let json = r#"{"priv\u0061te_metadata":1,"private_metadata":2,"backup\u005fcodes":3,"private_metadata":4}"#;
        assert_eq!(filter(json, NOTHING), "{}");
    }

    // The URL continues a sign-in: anyone who has it can complete the sign-in.
    #[test]
    fn the_redirect_url_of_a_verification_is_removed() {
        let json = r#"{"external_accounts":[{"id":"e","verification":{"status":"unverified",
            "external_verification_redirect_url":"https://accounts.example/?state=s"}}]}"#;
        assert_eq!(
            filter(json, NOTHING),
            r#"{"external_accounts":[{"id":"e","verification":{"status":"unverified"}}]}"#
        );
    }

    #[test]
    fn selected_metadata_bags_are_kept() {
        let json = r#"{"public_metadata":1,"private_metadata":2,"unsafe_metadata":3}"#;
        let private = MetadataBags { private: true, ..NOTHING };
        assert_eq!(filter(json, private), r#"{"public_metadata":1,"private_metadata":2}"#);
        let unsafe_ = MetadataBags { unsafe_: true, ..NOTHING };
        assert_eq!(filter(json, unsafe_), r#"{"public_metadata":1,"unsafe_metadata":3}"#);
    }

    #[test]
    fn the_url_of_a_redirect_url_is_kept() {
        let json = r#"{"id":"ru","url":"https://example.com","client_secret":"s"}"#;
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let kept = without_withheld(raw, ObjectType::RedirectUrl, NOTHING).unwrap();
        assert_eq!(kept.get(), r#"{"id":"ru","url":"https://example.com"}"#);
    }

    #[test]
    fn the_content_of_a_metadata_bag_is_kept() {
        let json = "{\"public_metadata\":{\n\"url\":\"x\", \"token\":1.0}}";
        assert_eq!(filter(json, NOTHING), r#"{"public_metadata":{"url":"x","token":1.0}}"#);
    }

    #[test]
    fn everything_else_is_copied_unchanged() {
        let json = r#"{"z":1.0,"a":1e400,"n":null,"é\"":"\u00e9 𝄞","empty":[],"o":{}}"#;
        assert_eq!(filter(json, NOTHING), json);
        assert_eq!(filter("[ {} ,\n[1 , 2]]", NOTHING), "[{},[1,2]]");
    }

    #[test]
    fn json_that_cannot_be_filtered_is_an_error() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for json in [deep.as_str(), r#"{"\ud800":1}"#] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert!(without_withheld(raw, ObjectType::User, NOTHING).is_err());
        }
    }
}
