//! Promise: a record is exactly what docs/data.md and its schema say, whatever Clerk's row looks
//! like.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::Dataset;
use clerk_sync::clerk::wire::{
    self, Organization, OrganizationMembership, OrganizationPermission, OrganizationRole, User,
};
use clerk_sync::translate::{MetadataBags, References, Row, Translation};
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

// ---- users

const ADA: &str = r#"{
  "object":"user","id":"user_1","external_id":"7","primary_email_address_id":"idn_2","primary_phone_number_id":null,
  "primary_web3_wallet_id":null,"username":"ada","first_name":"Ada","last_name":"Lovelace","locale":"en-GB",
  "image_url":"https://example.com/a.png","has_image":true,
  "public_metadata":{"team":"𝄞"},"private_metadata":{"salary":1.0},"unsafe_metadata":{},
  "email_addresses":[
    {"id":"idn_1","object":"email_address","email_address":"old@example.com","reserved":false,"verification":null,"linked_to":[]},
    {"id":"idn_2","object":"email_address","email_address":"ada@example.com","reserved":false,"linked_to":[],
     "verification":{"object":"verification_otp","status":"verified","strategy":"email_code","attempts":1,"expire_at":1}},
    {"id":"idn_3","object":"email_address","email_address":"new@example.com","reserved":false,"linked_to":[],
     "verification":{"object":"verification_from_the_future","status":"half_verified","strategy":"telepathy"}}],
  "phone_numbers":[{"id":"idn_4","object":"phone_number","phone_number":"+15555550100","reserved_for_second_factor":true,
     "default_second_factor":true,"reserved":false,"verification":{"status":"verified","strategy":"phone_code"},
     "linked_to":[],"backup_codes":["11111111","22222222"]}],
  "web3_wallets":[{"id":"idn_5","object":"web3_wallet","web3_wallet":"0xabc","verification":null}],
  "passkeys":[{"id":"idn_6","object":"passkey","name":"laptop"},{"id":"idn_7","object":"passkey","name":"phone"}],
  "password_enabled":true,"two_factor_enabled":true,"totp_enabled":false,"backup_code_enabled":false,
  "mfa_enabled_at":1700000000000,"mfa_disabled_at":null,"password_last_updated_at":1600000000000,
  "external_accounts":[{"object":"google_account","id":"idn_8","provider":"oauth_google","email_address":"ada@gmail.example",
     "verification":{"status":"unverified"}},
     {"object":"comet_account","id":"idn_9","provider":"oauth_custom_comet","email_address":"","verification":null,"new":[1]}],
  "saml_accounts":[],
  "enterprise_accounts":[{"object":"enterprise_account","id":"ent_1","protocol":"saml","provider":"saml_okta","active":true,
     "email_address":"ada@corp.example","verification":null}],
  "last_sign_in_at":1763640000123,"banned":false,"locked":false,"deprovisioned":false,
  "lockout_expires_in_seconds":null,"verification_attempts_remaining":100,
  "updated_at":1763640000999,"created_at":1600000000001,"delete_self_enabled":true,"create_organization_enabled":false,
  "last_active_at":1763596800000,"legal_accepted_at":null,"a_field_of_the_future":{"x":[1]}}"#;

const ADA_TO_PROFILE_END: &str = concat!(
    r#"{"kind":"resource","type":"user","id":"user_1","display_name":"Ada Lovelace","status":"enabled","#,
    r#""created_at":"2020-09-13T12:26:40.001Z","updated_at":"2025-11-20T12:00:00.999Z","profile":{"#,
    r#""username":"ada","first_name":"Ada","last_name":"Lovelace","external_id":"7","#,
    r#""primary_email":"ada@example.com","primary_email_verified":true,"#,
    r#""emails":[{"address":"old@example.com","primary":false,"verified":null},"#,
    r#"{"address":"ada@example.com","primary":true,"verified":true},"#,
    r#"{"address":"new@example.com","primary":false,"verified":false}],"#,
    r#""phones":[{"number":"+15555550100","primary":false,"verified":true,"second_factor":true}],"#,
    r#""banned":false,"locked":false,"deprovisioned":false,"#,
    r#""last_sign_in_at":"2025-11-20T12:00:00.123Z","last_active_at":"2025-11-20T00:00:00.000Z","#,
    r#""password_enabled":true,"two_factor_enabled":true,"totp_enabled":false,"backup_code_enabled":false,"#,
    r#""passkeys":2,"mfa_enabled_at":"2023-11-14T22:13:20.000Z","mfa_disabled_at":null,"#,
    r#""external_accounts":[{"provider":"oauth_google","email":"ada@gmail.example","verified":false},"#,
    r#"{"provider":"oauth_custom_comet","email":"","verified":null}],"#,
    r#""enterprise_accounts":[{"provider":"saml_okta","email":"ada@corp.example","active":true}],"#,
    r#""web3_wallets":["0xabc"],"create_organization_enabled":false,"delete_self_enabled":true,"#,
    r#""legal_accepted_at":null,"locale":"en-GB""#,
);

#[test]
fn a_user_in_full() {
    let records = translate::<User<'_>>(ADA, &Translation::default());
    assert_eq!(lines(&records, Dataset::Users), [format!("{ADA_TO_PROFILE_END}}}}}\n")]);
}

// Promise: a value that Clerk does not state is null, never a default.
#[test]
fn a_user_without_optional_fields() {
    let expected = concat!(
        r#"{"kind":"resource","type":"user","id":"user_1","display_name":"user_1","status":"enabled","#,
        r#""created_at":null,"updated_at":null,"profile":{"username":null,"first_name":null,"last_name":null,"#,
        r#""external_id":null,"primary_email":null,"primary_email_verified":null,"emails":null,"phones":null,"#,
        r#""banned":null,"locked":null,"deprovisioned":null,"last_sign_in_at":null,"last_active_at":null,"#,
        r#""password_enabled":null,"two_factor_enabled":null,"totp_enabled":null,"backup_code_enabled":null,"#,
        r#""passkeys":null,"mfa_enabled_at":null,"mfa_disabled_at":null,"external_accounts":null,"#,
        r#""enterprise_accounts":null,"web3_wallets":null,"create_organization_enabled":null,"#,
        r#""delete_self_enabled":null,"legal_accepted_at":null,"locale":null}}"#,
        "\n"
    );
    let absent = translate::<User<'_>>(r#"{"id":"user_1"}"#, &Translation::default());
    assert_eq!(lines(&absent, Dataset::Users), [expected]);

    let mut user: Value = serde_json::from_str(ADA).unwrap();
    for (field, value) in user.as_object_mut().unwrap() {
        if field != "id" {
            *value = Value::Null;
        }
    }
    let null = translate::<User<'_>>(&user.to_string(), &Translation::default());
    assert_eq!(lines(&null, Dataset::Users), [expected]);
}

#[test]
fn empty_lists_stay_empty_lists() {
    let user = json!({"id": "u", "email_addresses": [], "phone_numbers": [], "passkeys": [],
        "external_accounts": [], "enterprise_accounts": [], "web3_wallets": []});
    let profile = &user_record(&user)["profile"];
    for list in ["emails", "phones", "external_accounts", "enterprise_accounts", "web3_wallets"] {
        assert_eq!(profile[list], json!([]), "{list}");
    }
    assert_eq!(profile["passkeys"], json!(0));
}

#[test]
fn the_display_name_is_the_best_name_available() {
    let email = json!([{"id": "idn_1", "email_address": "ada@example.com"}]);
    for (expected, user) in [
        ("Ada Lovelace", json!({"first_name": "Ada", "last_name": "Lovelace", "username": "al"})),
        (" Ada\t  Lovelace ", json!({"first_name": " Ada\t", "last_name": " Lovelace "})),
        ("Ada", json!({"first_name": "Ada", "last_name": null})),
        ("Lovelace", json!({"first_name": "  ", "last_name": "Lovelace", "username": "al"})),
        ("al", json!({"first_name": "", "last_name": "", "username": "al"})),
        ("ada@example.com", json!({"username": "", "primary_email_address_id": "idn_1"})),
        ("u", json!({"username": null, "primary_email_address_id": "idn_2"})),
        ("u", json!({})),
        ("𝄞 \"é\"\n", json!({"first_name": "𝄞", "last_name": "\"é\"\n."})),
    ] {
        let mut user = user;
        user["id"] = "u".into();
        user["email_addresses"] = email.clone();
        let record = user_record(&user);
        let expected =
            if expected.ends_with('\n') { format!("{expected}.") } else { expected.into() };
        assert_eq!(record["display_name"], json!(expected), "{user}");
    }
}

#[test]
fn a_user_is_disabled_by_any_of_three_reasons() {
    for reason in ["banned", "locked", "deprovisioned"] {
        let user = json!({"id": "u", reason: true});
        assert_eq!(user_record(&user)["status"], "disabled", "{reason}");
        let user = json!({"id": "u", reason: false});
        assert_eq!(user_record(&user)["status"], "enabled", "{reason}");
    }
}

#[test]
fn verified_has_three_values() {
    for (expected, verification) in [
        (json!(true), json!({"status": "verified"})),
        (json!(false), json!({"status": "expired"})),
        (json!(false), json!({"status": "VERIFIED"})),
        (json!(false), json!({"status": ""})),
        (json!(null), json!({"strategy": "ticket"})),
        (json!(null), json!({"status": null})),
        (json!(null), json!(null)),
    ] {
        let user = json!({"id": "u", "primary_email_address_id": "e",
            "email_addresses": [{"id": "e", "email_address": "a@b.c", "verification": verification}]});
        let profile = &user_record(&user)["profile"];
        assert_eq!(profile["primary_email_verified"], expected, "{verification}");
        assert_eq!(profile["emails"][0]["verified"], expected, "{verification}");
    }
}

#[test]
fn primary_addresses_are_found_by_id() {
    let emails = json!([{"id": "e", "email_address": "a@b.c"}, {"email_address": "d@e.f"}]);
    let primary = |id: Value| {
        let user = json!({"id": "u", "primary_email_address_id": id, "email_addresses": emails});
        let record = user_record(&user);
        let emails = &record["profile"]["emails"];
        [emails[0]["primary"].clone(), emails[1]["primary"].clone()]
    };
    assert_eq!(primary(json!("e")), [json!(true), json!(null)]);
    assert_eq!(primary(json!("other")), [json!(false), json!(null)]);
    assert_eq!(primary(json!(null)), [json!(false), json!(false)]);
}

// Promise: zero and negative times are null, and fractions of a millisecond are ignored.
#[test]
fn a_missing_time_is_null() {
    let times = ["created_at", "updated_at", "last_sign_in_at", "last_active_at", "mfa_enabled_at"];
    for field in times {
        for (time, expected) in [
            (json!(0), json!(null)),
            (json!(-1), json!(null)),
            (json!(-62_135_596_800_000_i64), json!(null)),
            (json!(0.25), json!(null)),
            (json!(1), json!("1970-01-01T00:00:00.001Z")),
            (json!(1_763_640_000_123.75), json!("2025-11-20T12:00:00.123Z")),
        ] {
            let record = user_record(&json!({"id": "u", field: time}));
            let written = record.get(field).unwrap_or(&record["profile"][field]);
            assert_eq!(*written, expected, "{field}: {time}");
        }
    }
}

// Promise: an empty string in place of an id counts as missing.
#[test]
fn an_empty_id_counts_as_missing() {
    let emails = json!([{"id": "", "email_address": "a@b.c"}]);
    let user = json!({"id": "u", "external_id": "", "primary_email_address_id": "",
        "email_addresses": emails});
    let profile = &user_record(&user)["profile"];
    assert_eq!(profile["external_id"], json!(null));
    assert_eq!(profile["primary_email"], json!(null), "a missing id matches nothing");
    assert_eq!(profile["emails"][0]["primary"], json!(false));
    let organization = r#"{"id":"org_1","created_by":""}"#;
    let records = translate::<Organization<'_>>(organization, &Translation::default());
    let line = &lines(&records, Dataset::Organizations)[0];
    assert!(line.contains(r#""created_by":null"#), "{line}");
}

// ---- rows of earlier years

#[test]
fn an_external_account_without_a_provider_takes_that_of_its_verification() {
    for (account, provider) in [
        (json!({"verification": {"strategy": "oauth_google"}}), json!("oauth_google")),
        (json!({"verification": {"strategy": "oauth_custom_comet"}}), json!("oauth_custom_comet")),
        (
            json!({"provider": "oauth_google", "verification": {"strategy": "oauth_comet"}}),
            json!("oauth_google"),
        ),
        (json!({"provider": null, "verification": {"strategy": "oauth_google"}}), json!(null)),
        (json!({"verification": {"strategy": "ticket"}}), json!(null)),
        (json!({"verification": {"status": "verified"}}), json!(null)),
        (json!({"verification": null}), json!(null)),
        (json!({"object": "google_account", "google_id": "1"}), json!(null)),
    ] {
        let user = json!({"id": "u", "external_accounts": [account]});
        let record = user_record(&user);
        assert_eq!(record["profile"]["external_accounts"][0]["provider"], provider, "{user}");
    }
}

#[test]
fn saml_accounts_replace_missing_enterprise_accounts() {
    let saml =
        json!([{"provider": "saml_okta", "email_address": "a@b.c", "active": true, "id": "s"}]);
    let expected = json!([{"provider": "saml_okta", "email": "a@b.c", "active": true}]);
    for (user, expected) in [
        (json!({"saml_accounts": saml}), expected),
        (json!({"saml_accounts": saml, "enterprise_accounts": []}), json!([])),
        (json!({"saml_accounts": saml, "enterprise_accounts": null}), json!(null)),
        (json!({"saml_accounts": null}), json!(null)),
    ] {
        let mut user = user;
        user["id"] = "u".into();
        assert_eq!(user_record(&user)["profile"]["enterprise_accounts"], expected, "{user}");
    }
}

// ---- metadata and raw

#[test]
fn metadata_bags_are_copied_only_when_named() {
    let bags = |public, private, unsafe_| Translation {
        metadata: MetadataBags { public, private, unsafe_ },
        ..Translation::default()
    };
    let public = r#","public_metadata":{"team":"𝄞"}"#;
    let private = r#","private_metadata":{"salary":1.0}"#;
    let unsafe_ = r#","unsafe_metadata":{}"#;
    for (translation, expected) in [
        (bags(true, false, false), public.to_owned()),
        (bags(false, true, false), private.to_owned()),
        (bags(false, false, true), unsafe_.to_owned()),
        (bags(true, true, true), [public, private, unsafe_].concat()),
    ] {
        let records = translate::<User<'_>>(ADA, &translation);
        assert_eq!(
            lines(&records, Dataset::Users),
            [format!("{ADA_TO_PROFILE_END}{expected}}}}}\n")]
        );
    }
    let records = translate::<User<'_>>(r#"{"id":"u"}"#, &bags(true, true, true));
    let line = &lines(&records, Dataset::Users)[0];
    let end = r#""public_metadata":null,"private_metadata":null,"unsafe_metadata":null}}"#;
    assert!(line.trim_end().ends_with(end), "{line}");
}

// Promise: private and unsafe metadata, backup codes and tickets are never written out.
#[test]
fn raw_is_the_row_without_what_must_never_be_written() {
    let translation = Translation { include_raw: true, ..Translation::default() };
    let records = translate::<User<'_>>(ADA, &translation);
    let line = &lines(&records, Dataset::Users)[0];
    let raw = line.strip_prefix(&format!("{ADA_TO_PROFILE_END}}},\"raw\":")).unwrap();

    let mut expected: Value = serde_json::from_str(ADA).unwrap();
    let user = expected.as_object_mut().unwrap();
    user.shift_remove("private_metadata");
    user.shift_remove("unsafe_metadata");
    user["phone_numbers"][0].as_object_mut().unwrap().shift_remove("backup_codes");
    assert_eq!(raw, format!("{expected}}}\n"));

    let translation = Translation { metadata: all_bags(), ..translation };
    let records = translate::<User<'_>>(ADA, &translation);
    let record: Value = serde_json::from_str(&lines(&records, Dataset::Users)[0]).unwrap();
    assert_eq!(record["raw"]["private_metadata"], json!({"salary": 1.0}));
    assert_eq!(record["raw"]["unsafe_metadata"], json!({}));
    assert_eq!(record["raw"]["phone_numbers"][0].get("backup_codes"), None);
}

#[test]
fn raw_that_cannot_be_filtered_is_null() {
    let json = r#"{"id":"user_1","x":{"\udc00":"ada@example.com"}}"#;
    let translation = Translation { include_raw: true, ..Translation::default() };
    let records = translate::<User<'_>>(json, &translation);
    let line = &lines(&records, Dataset::Users)[0];
    assert!(line.ends_with("},\"raw\":null}\n"), "{line}");
    assert!(records.raw_is_unreadable);
}

// ---- organizations

const ACME: &str = r#"{"object":"organization","id":"org_1","name":"Acme","slug":"acme","has_image":false,
  "members_count":3,"pending_invitations_count":0,"max_allowed_memberships":5,"admin_delete_enabled":true,
  "public_metadata":{},"private_metadata":{"tier":"gold"},"created_by":"user_1","created_at":1600000000000,
  "updated_at":1600000000000,"last_active_at":1763596800000,"role_set_key":null}"#;

#[test]
fn an_organization_in_full() {
    let translation = Translation { metadata: all_bags(), ..with_roles() };
    let records = translate::<Organization<'_>>(ACME, &translation);
    assert_eq!(
        lines(&records, Dataset::Organizations),
        [concat!(
            r#"{"kind":"resource","type":"organization","id":"org_1","display_name":"Acme","status":"enabled","#,
            r#""created_at":"2020-09-13T12:26:40.000Z","updated_at":"2020-09-13T12:26:40.000Z","profile":{"#,
            r#""slug":"acme","members_count":3,"pending_invitations_count":0,"max_allowed_memberships":5,"#,
            r#""admin_delete_enabled":true,"created_by":"user_1","role_set_key":null,"#,
            r#""last_active_at":"2025-11-20T00:00:00.000Z","public_metadata":{},"private_metadata":{"tier":"gold"}}}"#,
            "\n"
        )]
    );
    assert_eq!(
        lines(&records, Dataset::Entitlements),
        [
            concat!(
                r#"{"kind":"entitlement","id":"organization:org_1:member","resource":{"type":"organization","id":"org_1"},"#,
                r#""slug":"member","purpose":"assignment","display_name":"Acme member","grantable_to":["user"],"role":null}"#,
                "\n"
            ),
            concat!(
                r#"{"kind":"entitlement","id":"organization:org_1:role_1","resource":{"type":"organization","id":"org_1"},"#,
                r#""slug":"role_1","purpose":"assignment","display_name":"Acme Admin","grantable_to":["user"],"#,
                r#""role":{"id":"role_1","key":"org:admin"}}"#,
                "\n"
            ),
            concat!(
                r#"{"kind":"entitlement","id":"organization:org_1:role_2","resource":{"type":"organization","id":"org_1"},"#,
                r#""slug":"role_2","purpose":"assignment","display_name":"Acme basic_member","grantable_to":["user"],"#,
                r#""role":{"id":"role_2","key":"basic_member"}}"#,
                "\n"
            ),
        ]
    );
}

#[test]
fn an_organization_without_optional_fields() {
    let records = translate::<Organization<'_>>(r#"{"id":"org_1"}"#, &Translation::default());
    assert_eq!(
        lines(&records, Dataset::Organizations),
        [concat!(
            r#"{"kind":"resource","type":"organization","id":"org_1","display_name":"org_1","status":"enabled","#,
            r#""created_at":null,"updated_at":null,"profile":{"slug":null,"members_count":null,"#,
            r#""pending_invitations_count":null,"max_allowed_memberships":null,"admin_delete_enabled":null,"#,
            r#""created_by":null,"role_set_key":null,"last_active_at":null}}"#,
            "\n"
        )]
    );

    let organization = r#"{"id":"org_1","name":" ","slug":"acme"}"#;
    let records = translate::<Organization<'_>>(organization, &Translation::default());
    let entitlement = &lines(&records, Dataset::Entitlements)[0];
    assert!(entitlement.contains(r#""display_name":"acme member""#), "{entitlement}");
}

// ---- roles and permissions

const ADMIN: &str = r#"{"object":"role","id":"role_1","name":"Admin","key":"org:admin","description":null,
  "is_creator_eligible":true,"permissions":[
    {"object":"permission","id":"perm_1","name":"Manage","key":"org:sys_profile:manage","description":"d","type":"system",
     "created_at":1,"updated_at":2},
    {"id":"perm_2","key":"org:invoices:create"}],
  "created_at":1600000000000,"updated_at":1700000000000}"#;

#[test]
fn a_role_in_full() {
    let records = translate::<OrganizationRole<'_>>(ADMIN, &Translation::default());
    assert_eq!(
        lines(&records, Dataset::OrganizationRoles),
        [concat!(
            r#"{"kind":"resource","type":"organization_role","id":"role_1","display_name":"Admin","status":"enabled","#,
            r#""created_at":"2020-09-13T12:26:40.000Z","updated_at":"2023-11-14T22:13:20.000Z","profile":{"#,
            r#""key":"org:admin","description":null,"is_creator_eligible":true,"permissions":["#,
            r#"{"id":"perm_1","key":"org:sys_profile:manage"},{"id":"perm_2","key":"org:invoices:create"}]}}"#,
            "\n"
        )]
    );
    let grant = |permission| {
        format!(
            concat!(
                r#"{{"kind":"grant","id":"organization_permission:{0}:assigned:organization_role:role_1","#,
                r#""entitlement_id":"organization_permission:{0}:assigned","#,
                r#""resource":{{"type":"organization_permission","id":"{0}"}},"slug":"assigned","#,
                r#""principal":{{"type":"organization_role","id":"role_1"}},"role":null,"permissions":null,"source":null,"#,
                r#""created_at":"2020-09-13T12:26:40.000Z","updated_at":"2023-11-14T22:13:20.000Z"}}"#,
                "\n"
            ),
            permission
        )
    };
    assert_eq!(lines(&records, Dataset::Grants), [grant("perm_1"), grant("perm_2")]);
}

/// The id of a grant is unique.
#[test]
fn a_permission_that_a_role_lists_twice_is_granted_once() {
    let role = r#"{"id":"role_1","key":"org:admin","permissions":[
      {"id":"perm_1","key":"a"},{"id":"perm_2","key":"b"},{"id":"perm_1","key":"a"}]}"#;
    let records = translate::<OrganizationRole<'_>>(role, &Translation::default());
    assert_eq!(records.count(Dataset::Grants), 2);
}

#[test]
fn a_role_without_a_list_of_permissions_has_no_grants() {
    let role = r#"{"id":"role_1","key":"org:admin"}"#;
    let records = translate::<OrganizationRole<'_>>(role, &Translation::default());
    let line = &lines(&records, Dataset::OrganizationRoles)[0];
    assert!(line.contains(r#""display_name":"org:admin""#), "{line}");
    assert!(line.contains(r#""permissions":null"#), "{line}");
    assert_eq!(records.count(Dataset::Grants), 0);
}

// Promise: reading /organization_roles for another resource writes no lines of roles.
#[test]
fn roles_read_only_for_their_keys_write_nothing() {
    let role: OrganizationRole<'_> = wire::decode(ADMIN.as_bytes()).unwrap();
    let mut records = Records::new(&[]);
    role.translate(None, &Translation::default(), &mut records);
    assert!(Dataset::ALL.iter().all(|&dataset| records.bytes(dataset).is_empty()));
}

#[test]
fn a_permission_in_full() {
    let permission = r#"{"object":"permission","id":"perm_1","name":"Manage profile","key":"org:sys_profile:manage",
        "description":"All of it","type":"system","created_at":1600000000000,"updated_at":1700000000000}"#;
    let records = translate::<OrganizationPermission<'_>>(permission, &Translation::default());
    assert_eq!(
        lines(&records, Dataset::OrganizationPermissions),
        [concat!(
            r#"{"kind":"resource","type":"organization_permission","id":"perm_1","display_name":"Manage profile","#,
            r#""status":"enabled","created_at":"2020-09-13T12:26:40.000Z","updated_at":"2023-11-14T22:13:20.000Z","#,
            r#""profile":{"key":"org:sys_profile:manage","description":"All of it","type":"system"}}"#,
            "\n"
        )]
    );
    assert_eq!(
        lines(&records, Dataset::Entitlements),
        [concat!(
            r#"{"kind":"entitlement","id":"organization_permission:perm_1:assigned","#,
            r#""resource":{"type":"organization_permission","id":"perm_1"},"slug":"assigned","purpose":"permission","#,
            r#""display_name":"Manage profile","grantable_to":["organization_role"],"role":null}"#,
            "\n"
        )]
    );
}

// ---- memberships

const MEMBERSHIP: &str = r#"{"object":"organization_membership","id":"orgmem_1","role":"org:admin","role_name":"Admin",
  "permissions":["org:sys_profile:manage","org:invoices:create"],"public_metadata":{},"private_metadata":{"secret":1},
  "organization":{"object":"organization","id":"org_1","name":"Acme","private_metadata":{"secret":2}},
  "public_user_data":{"user_id":"user_1","first_name":"Ada","last_name":null,"identifier":"ada@example.com"},
  "created_at":1600000000000,"updated_at":1700000000000}"#;

const MEMBER_GRANT: &str = concat!(
    r#"{"kind":"grant","id":"organization:org_1:member:user:user_1","entitlement_id":"organization:org_1:member","#,
    r#""resource":{"type":"organization","id":"org_1"},"slug":"member","principal":{"type":"user","id":"user_1"},"#,
    r#""role":null,"permissions":null,"source":{"type":"organization_membership","id":"orgmem_1"},"#,
    r#""created_at":"2020-09-13T12:26:40.000Z","updated_at":"2023-11-14T22:13:20.000Z"}"#,
    "\n"
);

#[test]
fn a_membership_grants_membership_and_role() {
    let translation = Translation { include_raw: true, metadata: all_bags(), ..with_roles() };
    let records = translate::<OrganizationMembership<'_>>(MEMBERSHIP, &translation);
    let role_grant = concat!(
        r#"{"kind":"grant","id":"organization:org_1:role_1:user:user_1","entitlement_id":"organization:org_1:role_1","#,
        r#""resource":{"type":"organization","id":"org_1"},"slug":"role_1","principal":{"type":"user","id":"user_1"},"#,
        r#""role":{"id":"role_1","key":"org:admin"},"permissions":["org:sys_profile:manage","org:invoices:create"],"#,
        r#""source":{"type":"organization_membership","id":"orgmem_1"},"#,
        r#""created_at":"2020-09-13T12:26:40.000Z","updated_at":"2023-11-14T22:13:20.000Z"}"#,
        "\n"
    );
    assert_eq!(lines(&records, Dataset::Grants), [MEMBER_GRANT, role_grant]);
    assert!(records.unresolved_role_keys.is_empty());
}

#[test]
fn a_role_key_that_does_not_resolve_is_counted() {
    let mut records = Records::new(Dataset::ALL);
    let translation = Translation::default();
    for _ in 0..2 {
        let membership: OrganizationMembership<'_> = wire::decode(MEMBERSHIP.as_bytes()).unwrap();
        membership.translate(None, &translation, &mut records);
    }
    assert_eq!(lines(&records, Dataset::Grants), [MEMBER_GRANT, MEMBER_GRANT]);
    assert_eq!(records.unresolved_role_keys["org:admin"], 2);
    assert_eq!(records.unresolved_role_keys.len(), 1);
}

#[test]
fn missing_permissions_of_a_membership_are_null_and_an_empty_list_stays_empty() {
    for (given, expected) in [(json!(null), json!(null)), (json!([]), json!([]))] {
        let mut membership: Value = serde_json::from_str(MEMBERSHIP).unwrap();
        membership["permissions"] = given;
        let records =
            translate::<OrganizationMembership<'_>>(&membership.to_string(), &with_roles());
        let grant: Value = serde_json::from_str(&lines(&records, Dataset::Grants)[1]).unwrap();
        assert_eq!(grant["permissions"], expected);
    }
}

#[test]
fn a_membership_refers_to_its_user_and_organization() {
    let membership: OrganizationMembership<'_> = wire::decode(MEMBERSHIP.as_bytes()).unwrap();
    let expected =
        References { user: Some("user_1"), organization: Some("org_1"), ..References::default() };
    assert_eq!(membership.references(), expected);
    let user: User<'_> = wire::decode(ADA.as_bytes()).unwrap();
    assert_eq!(user.references(), References::default());
}

// Promise: a membership without a user gives no grant.
#[test]
fn a_membership_without_its_user_belongs_to_nobody() {
    for public_user_data in [None, Some(json!(null)), Some(json!({})), Some(json!({"user_id": ""}))]
    {
        let mut membership: Value = serde_json::from_str(MEMBERSHIP).unwrap();
        let fields = membership.as_object_mut().unwrap();
        fields.shift_remove("public_user_data");
        fields.extend(public_user_data.map(|it| ("public_user_data".to_owned(), it)));
        let json = membership.to_string();
        let read: OrganizationMembership<'_> = wire::decode(json.as_bytes()).unwrap();
        assert!(read.belongs_to_nobody(), "{json}");
        let records = translate::<OrganizationMembership<'_>>(&json, &Translation::default());
        assert_eq!(records.count(Dataset::Grants), 0);
        assert!(records.unresolved_role_keys.is_empty(), "nobody has the role");
    }
}

// ---- whatever the row looks like

// Promise: keys always have the same order, and every record is one line that is valid against its
// schema.
#[test]
fn any_row_gives_valid_lines_with_their_keys_in_order() {
    let schemas = Schemas::load();
    let translation = Translation { include_raw: true, metadata: all_bags(), ..with_roles() };
    let plain = with_roles();
    let mut random = fastrand::Rng::with_seed(20_261_120);
    let mut orders = BTreeSet::new();
    for _ in 0..300 {
        for translation in [&translation, &plain] {
            let records = [
                translate::<User<'_>>(&thinned(ADA, &["id"], &mut random), translation),
                translate::<Organization<'_>>(&thinned(ACME, &["id"], &mut random), translation),
                translate::<OrganizationRole<'_>>(
                    &thinned(ADMIN, &["id", "key"], &mut random),
                    translation,
                ),
                translate::<OrganizationPermission<'_>>(
                    &thinned(&PERMISSION.to_string(), &["id", "key"], &mut random),
                    translation,
                ),
                translate::<OrganizationMembership<'_>>(
                    &thinned(
                        MEMBERSHIP,
                        &["id", "role", "organization", "public_user_data"],
                        &mut random,
                    ),
                    translation,
                ),
            ];
            for (records, &dataset) in
                records.iter().flat_map(|it| Dataset::ALL.iter().map(move |dataset| (it, dataset)))
            {
                for line in lines(records, dataset) {
                    assert_eq!(line.find(['\n', '\r']), Some(line.len() - 1), "{line}");
                    let record: Value = serde_json::from_str(&line).unwrap();
                    schemas.check(dataset, &record);
                    orders.insert((dataset, keys(&record), keys(&record["profile"])));
                }
            }
        }
    }
    // The options for metadata and raw add keys; otherwise a dataset has one order of keys.
    let count = |dataset| orders.iter().filter(|(it, ..)| *it == dataset).count();
    assert_eq!(count(Dataset::Users), 2);
    assert_eq!(count(Dataset::Organizations), 2);
    assert_eq!(count(Dataset::OrganizationRoles), 2);
    assert_eq!(count(Dataset::OrganizationPermissions), 2);
    assert_eq!(count(Dataset::Entitlements), 1);
    assert_eq!(count(Dataset::Grants), 1);
}

// The documented order of keys is the order written.
#[test]
fn schemas_list_their_keys_in_the_order_written() {
    let translation = Translation { include_raw: true, metadata: all_bags(), ..with_roles() };
    for (dataset, records) in [
        (Dataset::Users, translate::<User<'_>>(ADA, &translation)),
        (Dataset::Organizations, translate::<Organization<'_>>(ACME, &translation)),
        (Dataset::OrganizationRoles, translate::<OrganizationRole<'_>>(ADMIN, &translation)),
        (
            Dataset::OrganizationPermissions,
            translate::<OrganizationPermission<'_>>(&PERMISSION.to_string(), &translation),
        ),
    ] {
        let schema = schema(dataset);
        let record: Value = serde_json::from_str(&lines(&records, dataset)[0]).unwrap();
        assert_eq!(keys(&record), keys(&schema["properties"]));
        assert_eq!(keys(&record["profile"]), keys(&schema["properties"]["profile"]["properties"]));
    }
    let entitlements = translate::<Organization<'_>>(ACME, &translation);
    let grants = translate::<OrganizationMembership<'_>>(MEMBERSHIP, &translation);
    for (dataset, records) in [(Dataset::Entitlements, entitlements), (Dataset::Grants, grants)] {
        for line in lines(&records, dataset) {
            let record: Value = serde_json::from_str(&line).unwrap();
            for variant in schema(dataset)["oneOf"].as_array().unwrap() {
                assert_eq!(keys(&record), keys(&variant["properties"]));
            }
        }
    }
}

// A schema that accepts anything would prove nothing.
#[test]
fn schemas_refuse_invalid_records() {
    let schemas = Schemas::load();
    let records = translate::<User<'_>>(ADA, &Translation::default());
    let user: Value = serde_json::from_str(&lines(&records, Dataset::Users)[0]).unwrap();
    schemas.check(Dataset::Users, &user);
    for (pointer, value) in [
        ("/created_at", json!("2026-11-20T12:00:00Z")),
        ("/created_at", json!(1_600_000_000_000_i64)),
        ("/type", json!("organization")),
        ("/status", json!(null)),
        ("/profile/banned", json!("no")),
        ("/profile/emails/0/verified", json!("verified")),
        ("/profile", json!({})),
    ] {
        let mut broken = user.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!schemas.accepts(Dataset::Users, &broken), "{pointer}");
    }
    let mut surplus = user.clone();
    surplus["extra"] = json!(1);
    assert!(!schemas.accepts(Dataset::Users, &surplus));

    let records = translate::<OrganizationMembership<'_>>(MEMBERSHIP, &with_roles());
    let mut grant: Value = serde_json::from_str(&lines(&records, Dataset::Grants)[1]).unwrap();
    schemas.check(Dataset::Grants, &grant);
    grant["source"] = json!(null);
    assert!(!schemas.accepts(Dataset::Grants, &grant));
}

#[test]
fn pretty_printed_rows_still_give_one_line_each() {
    let translation =
        Translation { include_raw: true, metadata: all_bags(), ..Translation::default() };
    let mut user: Value = serde_json::from_str(ADA).unwrap();
    user["public_metadata"] = json!({"text": "a\nb\r\u{2028} \" \\", "list": [1, {"a": null}]});
    let pretty = serde_json::to_string_pretty(&user).unwrap().replace('\n', "\r\n");
    let compact = translate::<User<'_>>(&user.to_string(), &translation);
    let records = translate::<User<'_>>(&pretty, &translation);
    assert_eq!(lines(&records, Dataset::Users), lines(&compact, Dataset::Users));
}

// ---- manifest and latest

#[test]
fn the_documented_manifest_is_valid() {
    let manifest = validator(include_str!("../../schemas/manifest.schema.json"));
    let example = manifest_example();
    assert_valid(&manifest, &example);

    let mut skipped = example.clone();
    skipped["datasets"]["grants"] = json!({"status": "skipped", "reason": "feature_not_enabled",
        "records": 0, "source_count": {"before": null, "after": null}, "duplicates_dropped": 0,
        "rows_repaired": 0, "unreadable_fields": {}, "content_digest": null,
        "parts": [], "walk": null});
    assert_valid(&manifest, &skipped);

    for (pointer, value) in [
        ("/datasets/grants/reason", json!(null)),
        ("/datasets/grants/records", json!(-1)),
        ("/datasets/grants/content_digest", json!("")),
        ("/datasets/users/content_digest", json!(null)),
        ("/datasets/users/parts/0/sha256", json!("abc")),
        ("/resources", json!(["grants"])),
        ("/snapshot_id", json!("20261120T120000Z-3F9A1C")),
        ("/previous/snapshot_id", json!("../../elsewhere")),
        ("/previous/manifest_sha256", json!(null)),
        ("/settings/metadata", json!(["secret"])),
        ("/settings/redact", json!("email")),
        ("/settings/dau_lookback_days", json!(1.5)),
        ("/redaction_key_id", json!("hmac-sha256:0123456789abcdef")),
    ] {
        let mut broken = skipped.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!manifest.is_valid(&broken), "{pointer}");
    }
}

/// The snapshots of every version so far stay readable by the published schema, and by the program.
#[test]
fn a_manifest_without_the_fields_that_came_later_is_valid() {
    let schema = validator(include_str!("../../schemas/manifest.schema.json"));
    let example = manifest_example();
    let mut nulls = example.clone();
    let mut older = example.clone();
    for field in ["previous", "settings", "redaction_key_id"] {
        nulls[field] = Value::Null;
        older.as_object_mut().unwrap().shift_remove(field).unwrap();
    }
    older["datasets"]["users"].as_object_mut().unwrap().shift_remove("unreadable_fields").unwrap();
    for manifest in [&example, &nulls, &older] {
        assert_valid(&schema, manifest);
        let mut readable = manifest.clone();
        readable["datasets"]["users"]["content_digest"] = json!("0".repeat(64));
        let read: Manifest = serde_json::from_value(readable).unwrap();
        assert_eq!(read.previous.is_some(), *manifest == example);
        assert_eq!(read.settings.is_some(), *manifest == example);
        assert_eq!(read.redaction_key_id.is_some(), *manifest == example);
    }
}

#[test]
fn the_documented_latest_json_is_valid() {
    let latest = validator(include_str!("../../schemas/latest.schema.json"));
    let example = json!({"snapshot_id": "20261120T120000Z-3f9a1c",
        "manifest": "snapshots/20261120T120000Z-3f9a1c/manifest.json",
        "manifest_sha256": "0".repeat(64), "started_at": "2026-11-20T12:00:00.000Z",
        "completed_at": "2026-11-20T12:00:01.000Z", "verified": true});
    assert_valid(&latest, &example);
    let mut broken = example;
    broken["manifest"] = json!("s3://bucket/manifest.json");
    assert!(!latest.is_valid(&broken));
}

fn manifest_example() -> Value {
    json!({"format": "clerk-sync/manifest/1", "snapshot_id": "20261120T120000Z-3f9a1c",
        "instance": {"id": "ins_1", "environment": "production"},
        "started_at": "2026-11-20T12:00:00.000Z", "completed_at": "2026-11-20T12:00:01.000Z",
        "verified": true,
        "generator": {"name": "clerk-sync", "version": "0.1.0", "clerk_api_version": "2026-05-12"},
        "previous": {"snapshot_id": "20261119T120000Z-000001", "manifest_sha256": "0".repeat(64)},
        "config_fingerprint": "sha256:00ff",
        "settings": {"clerk_api_url": "https://api.clerk.com", "metadata": ["public"],
            "include_raw": false, "redact": ["email"], "sessions_lookback_days": 0.5,
            "dau_lookback_days": 30},
        "redaction_key_id": "0123456789abcdef", "resources": ["users"], "compression": "gzip",
        "datasets": {"users": {"status": "verified", "reason": null, "records": 123,
            "source_count": {"before": 123, "after": 123}, "duplicates_dropped": 0, "rows_repaired": 0,
            "unreadable_fields": {"email_addresses.verification.status": 2}, "content_digest": "d", "parts": [{"key": "users/part-00000.ndjson.gz", "records": 123,
                "bytes": 4567, "sha256": "0".repeat(64), "fetched_from": "2026-11-20T12:00:00.000Z",
                "fetched_to": "2026-11-20T12:00:00.500Z"}]}},
        "referential": {"dangling_principals": 0, "dangling_resources": 0, "unresolved_role_keys": {}},
        "run": {"invocations": 1, "requests": 17, "retries": 0, "rate_limited": 0,
            "elapsed_seconds": 0.8}})
}

// ---- helpers

static PERMISSION: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| {
    json!({"object": "permission", "id": "perm_1", "name": "Manage", "key": "org:sys_profile:manage",
        "description": "d", "type": "system", "created_at": 1, "updated_at": 2})
});

fn all_bags() -> MetadataBags {
    MetadataBags { public: true, private: true, unsafe_: true }
}

fn with_roles() -> Translation {
    let mut translation = Translation::default();
    for role in [ADMIN, r#"{"id":"role_2","key":"basic_member","name":""}"#] {
        let role: OrganizationRole<'_> = wire::decode(role.as_bytes()).unwrap();
        role.role().into_iter().for_each(|role| translation.roles.push(role));
    }
    translation
}

/// The lines of one row, with all datasets opted in.
fn translate<'a, R: Row + Deserialize<'a>>(row: &'a str, translation: &Translation) -> Records {
    let raw: &RawValue = serde_json::from_str(row).unwrap();
    let row: R = wire::decode(row.as_bytes()).unwrap();
    let mut records = Records::new(Dataset::ALL);
    row.translate(Some(raw), translation, &mut records);
    records
}

fn lines(records: &Records, dataset: Dataset) -> Vec<String> {
    records.lines(dataset).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
}

/// The record of a user.
fn user_record(user: &Value) -> Value {
    let user = user.to_string();
    let records = translate::<User<'_>>(&user, &Translation::default());
    serde_json::from_str(&lines(&records, Dataset::Users)[0]).unwrap()
}

/// The row without some of its fields, and with `null` in others, except for those `needed`.
fn thinned(row: &str, needed: &[&str], random: &mut fastrand::Rng) -> String {
    let mut row: Value = serde_json::from_str(row).unwrap();
    let fields = row.as_object_mut().unwrap();
    fields.retain(|field, _| needed.contains(&field.as_str()) || random.u8(0..4) > 0);
    for (field, value) in fields.iter_mut() {
        if !needed.contains(&field.as_str()) && random.u8(0..4) == 0 {
            *value = Value::Null;
        }
    }
    if random.bool() { row.to_string() } else { serde_json::to_string_pretty(&row).unwrap() }
}

fn keys(object: &Value) -> Vec<String> {
    object.as_object().into_iter().flat_map(|object| object.keys().cloned()).collect()
}

struct Schemas(Vec<Validator>);

impl Schemas {
    fn load() -> Self {
        Self(
            Dataset::ALL
                .iter()
                .map(|&it| jsonschema::validator_for(&schema(it)).unwrap())
                .collect(),
        )
    }

    fn check(&self, dataset: Dataset, record: &Value) {
        assert_valid(&self.0[dataset as usize], record);
    }

    fn accepts(&self, dataset: Dataset, record: &Value) -> bool {
        self.0[dataset as usize].is_valid(record)
    }
}

fn schema(dataset: Dataset) -> Value {
    let path = format!("{}/schemas/{dataset}.schema.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn validator(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_valid(validator: &Validator, instance: &Value) {
    let errors: Vec<_> = validator.iter_errors(instance).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{instance}");
}
