//! Clerk's own object, less what must never be written out.

use std::fmt;

use clerk_snapshot::record::ObjectType;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::metadata_bags::MetadataBags;
use super::verbatim::on_one_line;
use crate::clerk::wire::Text;

/// Fields that are left out wherever they stand outside of metadata. `backup_codes` (phone numbers),
/// `url` (invitations, and waitlist entries with one inside: it holds a ticket) and
/// `external_verification_redirect_url` (verifications: whoever follows it continues a sign-in) are what
/// Clerk's lists hold today; of redirect URLs alone `url` is no secret but what they are. The rest are the
/// names by which Clerk calls credentials elsewhere (Clerk OpenAPI 2026-05-12, schemas OAuthAccessToken,
/// OAuthApplicationWithSecret, SignInToken, EnterpriseConnectionTestRun, SAMLConnection; GET
/// /machines/{id}/secret_key, GET /api_keys/{id}/secret), should it ever put one inside.
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

/// Clerk's objects nest four deep. Past this, something is not one of Clerk's objects, and
/// following it could exhaust the stack.
const DEEPEST: usize = 64;

/// `raw` on one line, less the [`WITHHELD`] fields at any depth, and less `private_metadata` and
/// `unsafe_metadata` unless `asked`. `public_metadata` stays. What is inside a metadata bag is the
/// customer's own and stays or goes as a whole.
///
/// # Errors
/// When the JSON nests too deep, or holds a key that is not Unicode: better no record than one that
/// could hold a secret.
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

/// What decides about a field, besides its name.
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

/// The fields of an object as they stand, doubled ones as well: each is judged by itself.
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

    // Promise: backup codes, tickets and unasked metadata are never written out, at any depth.
    #[test]
    fn what_must_never_be_written_is_left_out_at_any_depth() {
        let json = r#"{"private_metadata":{"a":1},"phone_numbers":[{"id":"i","backup_codes":["c"]}],
            "organization_memberships":[{"organization":{"unsafe_metadata":2,"private_metadata":{},
            "invitations":[[{"url":"https://example.com/?ticket=t"}]]}}],"secret":"s","id":"u"}"#;
        assert_eq!(
            filter(json, NOTHING),
            r#"{"phone_numbers":[{"id":"i"}],"organization_memberships":[{"organization":{"invitations":[[{}]]}}],"id":"u"}"#
        );
    }

    #[test]
    fn a_field_is_recognised_however_json_escapes_it_and_however_often_it_comes() {
        let json = r#"{"priv\u0061te_metadata":1,"private_metadata":2,"backup\u005fcodes":3,"private_metadata":4}"#;
        assert_eq!(filter(json, NOTHING), "{}");
    }

    // It continues a sign-in: whoever has it goes on in its place.
    #[test]
    fn where_a_verification_goes_on_is_left_out() {
        let json = r#"{"external_accounts":[{"id":"e","verification":{"status":"unverified",
            "external_verification_redirect_url":"https://accounts.example/?state=s"}}]}"#;
        assert_eq!(
            filter(json, NOTHING),
            r#"{"external_accounts":[{"id":"e","verification":{"status":"unverified"}}]}"#
        );
    }

    #[test]
    fn bags_that_were_asked_for_stay() {
        let json = r#"{"public_metadata":1,"private_metadata":2,"unsafe_metadata":3}"#;
        let private = MetadataBags { private: true, ..NOTHING };
        assert_eq!(filter(json, private), r#"{"public_metadata":1,"private_metadata":2}"#);
        let unsafe_ = MetadataBags { unsafe_: true, ..NOTHING };
        assert_eq!(filter(json, unsafe_), r#"{"public_metadata":1,"unsafe_metadata":3}"#);
    }

    #[test]
    fn the_url_of_a_redirect_url_is_no_ticket() {
        let json = r#"{"id":"ru","url":"https://example.com","client_secret":"s"}"#;
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let kept = without_withheld(raw, ObjectType::RedirectUrl, NOTHING).unwrap();
        assert_eq!(kept.get(), r#"{"id":"ru","url":"https://example.com"}"#);
    }

    #[test]
    fn a_bag_stays_whole() {
        let json = "{\"public_metadata\":{\n\"url\":\"x\", \"token\":1.0}}";
        assert_eq!(filter(json, NOTHING), r#"{"public_metadata":{"url":"x","token":1.0}}"#);
    }

    #[test]
    fn the_rest_is_what_clerk_wrote() {
        let json = r#"{"z":1.0,"a":1e400,"n":null,"é\"":"\u00e9 𝄞","empty":[],"o":{}}"#;
        assert_eq!(filter(json, NOTHING), json);
        assert_eq!(filter("[ {} ,\n[1 , 2]]", NOTHING), "[{},[1,2]]");
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for json in [deep.as_str(), r#"{"\ud800":1}"#] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert!(without_withheld(raw, ObjectType::User, NOTHING).is_err());
        }
    }
}
