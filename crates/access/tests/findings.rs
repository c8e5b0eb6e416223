//! `findings`: every rule at its boundary, what says nothing, and the order.

use std::collections::BTreeMap;
use std::time::Duration;

use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::testing::{SnapshotBuilder, records};
use clerk_snapshot::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::support::Place;

const ADMIN: (&str, &str) = ("role_admin", "org:admin");
const MEMBER: (&str, &str) = ("role_member", "org:member");
const MANAGE: &str = "org:sys_memberships:manage";
const READ: &str = "org:a:read";

/// Rows about which no rule has anything to say: an organization with an administrator and a member.
struct World {
    lines: BTreeMap<Dataset, Vec<Value>>,
    unresolved: BTreeMap<String, u64>,
}

fn completed_at() -> Timestamp {
    SnapshotBuilder::on_day(20).manifest.completed_at
}

/// So many days and milliseconds before the end of the snapshot.
fn ago(days: u64, millis: u64) -> String {
    let day = Duration::from_secs(86_400);
    (completed_at() - day * u32::try_from(days).unwrap() - Duration::from_millis(millis))
        .to_string()
}

fn user(id: &str) -> Value {
    let mut user = records::user(id);
    user["profile"]["two_factor_enabled"] = true.into();
    user["profile"]["last_active_at"] = ago(1, 0).into();
    user
}

fn domain(id: &str, organization: &str, name: &str, status: &str) -> Value {
    let mut domain = records::resource(
        "organization_domain",
        id,
        json!({"organization_id": organization, "affiliation_verification": {"status": status},
               "ownership_verification": null}),
    );
    domain["display_name"] = name.into();
    domain
}

impl World {
    fn new() -> Self {
        let mut world = Self { lines: BTreeMap::new(), unresolved: BTreeMap::new() };
        world.add(Dataset::Users, user("user_boss"));
        world.add(Dataset::Users, user("user_1"));
        world.add(Dataset::Organizations, records::organization("org_1", "Acme"));
        world.add(
            Dataset::OrganizationRoles,
            records::role(ADMIN.0, ADMIN.1, &[("perm_1", MANAGE), ("perm_2", READ)]),
        );
        world.add(
            Dataset::OrganizationRoles,
            records::role(MEMBER.0, MEMBER.1, &[("perm_2", READ)]),
        );
        world.add(Dataset::OrganizationPermissions, records::permission("perm_1", MANAGE));
        world.add(Dataset::OrganizationPermissions, records::permission("perm_2", READ));
        world.join("org_1", "user_boss", ADMIN, &[MANAGE, READ]);
        world.join("org_1", "user_1", MEMBER, &[READ]);
        for dataset in [
            Dataset::OrganizationDomains,
            Dataset::Invitations,
            Dataset::OrganizationInvitations,
            Dataset::ApiKeys,
            Dataset::JwtTemplates,
            Dataset::RedirectUrls,
            Dataset::EnterpriseConnections,
        ] {
            world.lines.insert(dataset, Vec::new());
        }
        world
    }

    fn add(&mut self, dataset: Dataset, line: Value) {
        self.lines.entry(dataset).or_default().push(line);
    }

    fn join(&mut self, organization: &str, user: &str, role: (&str, &str), permissions: &[&str]) {
        let membership = format!("orgmem_{organization}_{user}");
        self.add(Dataset::Grants, records::member_grant(organization, user, &membership));
        let grant = records::role_grant(organization, user, &membership, role, permissions);
        self.add(Dataset::Grants, grant);
    }

    fn thing(&mut self, dataset: Dataset, object_type: &str, id: &str, profile: Value) {
        self.add(dataset, records::resource(object_type, id, profile));
    }

    fn user(&mut self, id: &str) -> &mut Value {
        let users = self.lines.get_mut(&Dataset::Users).unwrap();
        users.iter_mut().find(|user| user["id"] == id).unwrap()
    }

    fn snapshot(&self) -> SnapshotBuilder {
        let mut snapshot = SnapshotBuilder::on_day(20);
        snapshot.manifest.referential.unresolved_role_keys = self.unresolved.clone();
        for (dataset, lines) in &self.lines {
            snapshot.add(*dataset, lines.clone());
        }
        snapshot
    }
}

async fn answer(snapshot: &SnapshotBuilder, arguments: &[&str]) -> Value {
    let place = Place::new();
    place.publish(snapshot);
    place.ask(&[&["findings"], arguments].concat()).await.answered()
}

/// Rules and ids of subjects.
fn told(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = answer["findings"].as_array().unwrap();
    findings.iter().map(|it| (text(&it["rule"]), text(&it["subject"]["id"]))).collect()
}

type Change = fn(&mut World);

/// Each rule with a change that makes it fire about somebody or something, and one that just does not.
const CASES: &[(&str, &str, Change, Change)] = &[
    (
        "privileged-without-second-factor",
        "user_boss",
        |world| world.user("user_boss")["profile"]["two_factor_enabled"] = false.into(),
        |world| {
            world.user("user_1")["profile"]["two_factor_enabled"] = false.into();
            world.user("user_boss")["profile"]["two_factor_enabled"] = Value::Null;
        },
    ),
    (
        "privileged-and-dormant",
        "user_boss",
        |world| world.user("user_boss")["profile"]["last_active_at"] = ago(90, 0).into(),
        |world| {
            let day = Duration::from_secs(86_400);
            let just_less = completed_at() - day * 90 + Duration::from_millis(1);
            world.user("user_boss")["profile"]["last_active_at"] = just_less.to_string().into();
            world.user("user_1")["profile"]["last_active_at"] = ago(179, 0).into();
        },
    ),
    (
        "dormant-with-access",
        "user_1",
        |world| {
            world.user("user_1")["profile"]["last_active_at"] = ago(200, 0).into();
            world.user("user_1")["profile"]["last_sign_in_at"] = ago(180, 0).into();
        },
        |world| {
            world.user("user_1")["profile"]["last_active_at"] = ago(200, 0).into();
            world.user("user_1")["profile"]["last_sign_in_at"] = ago(179, 86_399_999).into();
            let mut without_access = user("user_2");
            without_access["profile"]["last_active_at"] = ago(300, 0).into();
            world.add(Dataset::Users, without_access);
        },
    ),
    (
        "dormant-with-access",
        "user_1",
        // Never active counts from the creation.
        |world| world.user("user_1")["profile"]["last_active_at"] = Value::Null,
        |world| {
            world.user("user_1")["profile"]["last_active_at"] = Value::Null;
            world.user("user_1")["created_at"] = ago(179, 0).into();
        },
    ),
    (
        "disabled-with-access",
        "user_1",
        |world| world.user("user_1")["status"] = "disabled".into(),
        |world| {
            let mut gone = user("user_2");
            gone["status"] = "disabled".into();
            world.add(Dataset::Users, gone);
        },
    ),
    (
        "outside-domain-with-access",
        "user_1",
        |world| {
            world.add(
                Dataset::OrganizationDomains,
                domain("d_1", "org_1", "Example.com", "verified"),
            );
            world.user("user_1")["profile"]["primary_email"] = "ada@sub.example.com".into();
        },
        |world| {
            world.add(
                Dataset::OrganizationDomains,
                domain("d_1", "org_1", "Example.com", "verified"),
            );
            world.add(
                Dataset::OrganizationDomains,
                domain("d_2", "org_1", "sub.example.com", "verified"),
            );
            world.add(
                Dataset::OrganizationDomains,
                domain("d_3", "org_2", "other.example", "verified"),
            );
            world.user("user_1")["profile"]["primary_email"] = "ada@SUB.example.com".into();
        },
    ),
    (
        "organization-without-administrator",
        "org_2",
        |world| {
            world.add(Dataset::Organizations, records::organization("org_2", "Beta"));
            world.join("org_2", "user_1", MEMBER, &[READ]);
        },
        |world| {
            world.add(Dataset::Organizations, records::organization("org_2", "Beta"));
            world.join("org_2", "user_1", MEMBER, &["org:sys_profile:delete"]);
        },
    ),
    (
        "too-many-administrators",
        "org_1",
        |world| administrators(world, 6, 29),
        |world| {
            administrators(world, 6, 30);
        },
    ),
    (
        "too-many-administrators",
        "org_1",
        |world| administrators(world, 6, 6),
        |world| {
            administrators(world, 5, 5);
        },
    ),
    (
        "unverified-address-with-access",
        "user_1",
        |world| world.user("user_1")["profile"]["primary_email_verified"] = false.into(),
        |world| {
            world.user("user_1")["profile"]["primary_email_verified"] = Value::Null;
            let mut without_access = user("user_2");
            without_access["profile"]["primary_email_verified"] = false.into();
            world.add(Dataset::Users, without_access);
        },
    ),
    (
        "role-nobody-holds",
        "role_3",
        |world| world.add(Dataset::OrganizationRoles, records::role("role_3", "org:x", &[])),
        |world| {
            world.add(Dataset::OrganizationRoles, records::role("role_3", "org:x", &[]));
            world.join("org_1", "user_1", ("role_3", "org:x"), &[]);
        },
    ),
    (
        "permission-nobody-has",
        "perm_3",
        |world| {
            let role = records::role("role_member", "org:member", &[("perm_3", "org:a:write")]);
            world.lines.get_mut(&Dataset::OrganizationRoles).unwrap()[1] = role;
            world.add(
                Dataset::OrganizationPermissions,
                records::permission("perm_3", "org:a:write"),
            );
        },
        |world| {
            world.add(
                Dataset::OrganizationPermissions,
                records::permission("perm_3", "org:a:write"),
            );
            let mut grant = records::role_grant("org_1", "user_1", "orgmem_9", MEMBER, &[]);
            // A membership that does not say what it carries has what its role has.
            grant["permissions"] = Value::Null;
            world.add(Dataset::Grants, grant);
            let role = records::role("role_member", "org:member", &[("perm_3", "org:a:write")]);
            world.lines.get_mut(&Dataset::OrganizationRoles).unwrap()[1] = role;
        },
    ),
    (
        "unresolved-role-key",
        "org:gone",
        |world| {
            world.unresolved.insert("org:gone".to_owned(), 1);
            world.add(Dataset::Users, user("user_2"));
            world.add(Dataset::Grants, records::member_grant("org_1", "user_2", "orgmem_2"));
        },
        |_| {},
    ),
    (
        "invitation-pending-long",
        "inv_1",
        |world| invitation(world, Dataset::Invitations, "invitation", &ago(30, 0), "pending"),
        |world| {
            let since = (completed_at() - Duration::from_secs(30 * 86_400 - 1)).to_string();
            invitation(world, Dataset::Invitations, "invitation", &since, "pending");
        },
    ),
    (
        "invitation-pending-long",
        "inv_1",
        |world| {
            let dataset = Dataset::OrganizationInvitations;
            invitation(world, dataset, "organization_invitation", &ago(31, 0), "pending");
        },
        |world| {
            let dataset = Dataset::OrganizationInvitations;
            invitation(world, dataset, "organization_invitation", &ago(31, 0), "accepted");
        },
    ),
    (
        "api-key-never-expires",
        "ak_1",
        |world| key(world, "enabled", Value::Null, ago(1, 0).into()),
        |world| key(world, "disabled", Value::Null, ago(1, 0).into()),
    ),
    (
        "api-key-unused",
        "ak_1",
        |world| key(world, "enabled", "2030-01-01T00:00:00.000Z".into(), ago(90, 0).into()),
        |world| {
            key(world, "enabled", "2030-01-01T00:00:00.000Z".into(), ago(89, 86_399_999).into())
        },
    ),
    (
        "api-key-unused",
        "ak_1",
        // Never used since January.
        |world| key(world, "enabled", "2030-01-01T00:00:00.000Z".into(), Value::Null),
        |world| key(world, "disabled", "2030-01-01T00:00:00.000Z".into(), Value::Null),
    ),
    (
        "session-template-long-lived",
        "jtmp_1",
        |world| {
            world.thing(
                Dataset::JwtTemplates,
                "jwt_template",
                "jtmp_1",
                json!({"lifetime": 86_401}),
            )
        },
        |world| {
            world.thing(
                Dataset::JwtTemplates,
                "jwt_template",
                "jtmp_1",
                json!({"lifetime": 86_400}),
            )
        },
    ),
    (
        "redirect-url-insecure",
        "ru_1",
        |world| {
            let profile = json!({"url": "http://example.com/callback"});
            world.thing(Dataset::RedirectUrls, "redirect_url", "ru_1", profile);
        },
        |world| {
            let profile = json!({"url": "http://localhost:3000/callback"});
            world.thing(Dataset::RedirectUrls, "redirect_url", "ru_1", profile);
        },
    ),
    (
        "connection-inactive",
        "ec_1",
        |world| {
            let profile = json!({"active": false});
            world.thing(Dataset::EnterpriseConnections, "enterprise_connection", "ec_1", profile);
        },
        |world| {
            let profile = json!({"active": true});
            world.thing(Dataset::EnterpriseConnections, "enterprise_connection", "ec_1", profile);
        },
    ),
];

/// An organization with so many administrators of so many members.
fn administrators(world: &mut World, administrators: usize, members: usize) {
    for number in 2..members {
        let id = format!("user_more_{number}");
        world.add(Dataset::Users, user(&id));
        if number <= administrators {
            world.join("org_1", &id, ADMIN, &[MANAGE, READ]);
        } else {
            world.join("org_1", &id, MEMBER, &[READ]);
        }
    }
    // The two that are there are one of each.
    if members == administrators {
        let grants = world.lines.get_mut(&Dataset::Grants).unwrap();
        let grant =
            grants.iter_mut().find(|it| it["principal"]["id"] == "user_1" && !it["role"].is_null());
        *grant.unwrap() =
            records::role_grant("org_1", "user_1", "orgmem_org_1_user_1", ADMIN, &[MANAGE, READ]);
        world.lines.get_mut(&Dataset::OrganizationRoles).unwrap().truncate(1);
    }
}

fn invitation(world: &mut World, dataset: Dataset, object_type: &str, since: &str, status: &str) {
    let mut line = records::resource(object_type, "inv_1", json!({"status": status}));
    line["created_at"] = since.into();
    world.add(dataset, line);
}

fn key(world: &mut World, status: &str, expiration: Value, used: Value) {
    let profile = json!({"expiration": expiration, "last_used_at": used});
    let mut line = records::resource("api_key", "ak_1", profile);
    line["status"] = status.into();
    world.add(Dataset::ApiKeys, line);
}

// Promise: each rule fires at its boundary about the right subject and nothing else, and not just before it.
#[tokio::test]
async fn every_rule_fires_at_its_boundary_and_not_before() {
    let clean = answer(&World::new().snapshot(), &[]).await;
    assert_eq!(clean["complete"], true, "{clean}");
    assert_eq!(clean["findings"], json!([]), "{clean}");
    for (rule, subject, fires, does_not) in CASES {
        let mut world = World::new();
        fires(&mut world);
        let found = answer(&world.snapshot(), &[]).await;
        assert_eq!(told(&found), [(rule.to_string(), subject.to_string())], "{rule}: {found}");
        let mut world = World::new();
        does_not(&mut world);
        let found = answer(&world.snapshot(), &[]).await;
        assert_eq!(told(&found), [], "the neighbour of {rule}: {found}");
    }
    let rules: std::collections::BTreeSet<_> = CASES.iter().map(|case| case.0).collect();
    assert_eq!(rules.len(), 17, "every rule has a case");
}

// Promise: evidence names records that are there.
#[tokio::test]
async fn evidence_names_records_that_are_there() {
    for (rule, _, fires, _) in CASES {
        let mut world = World::new();
        fires(&mut world);
        let found = answer(&world.snapshot(), &[]).await;
        let evidence = found["findings"][0]["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "{rule}");
        for record in evidence {
            let dataset = Dataset::from_name(record["dataset"].as_str().unwrap()).unwrap();
            let is_there = world.lines[&dataset].iter().any(|line| line["id"] == record["id"]);
            assert!(is_there, "{rule}: {record}");
        }
    }
}

// Promise: a finding is one per person, with every grant that it rests on; a person without access has none.
#[tokio::test]
async fn a_person_in_several_organizations_is_one_finding() {
    let mut world = World::new();
    world.user("user_1")["status"] = "disabled".into();
    world.user("user_1")["display_name"] = "=cmd|'\u{202e}\u{1b}[2J".into();
    world.add(Dataset::Organizations, records::organization("org_2", "Beta"));
    world.join("org_2", "user_1", ADMIN, &[MANAGE]);
    let found = answer(&world.snapshot(), &[]).await;
    assert_eq!(told(&found), [("disabled-with-access".to_owned(), "user_1".to_owned())]);
    let finding = &found["findings"][0];
    assert_eq!(finding["severity"], "medium");
    assert_eq!(
        finding["subject"],
        json!({"type": "user", "id": "user_1", "name": "=cmd|'\u{202e}\u{1b}[2J"})
    );
    assert_eq!(
        finding["evidence"],
        json!([
            {"dataset": "users", "id": "user_1"},
            {"dataset": "grants", "id": "organization:org_1:member:user:user_1"},
            {"dataset": "grants", "id": "organization:org_2:member:user:user_1"},
        ])
    );
    let place = Place { terminal: Some(120), ..Place::new() };
    place.publish(&world.snapshot());
    let table = place.ask(&["findings"]).await;
    assert_eq!(table.status, 0);
    assert!(!table.stdout.contains(['\u{202e}', '\u{1b}']), "{}", table.stdout);
    let csv = place.ask(&["findings", "-o", "csv"]).await.stdout;
    assert!(csv.contains(",'=cmd|'"), "{csv}");
}

// Promise: a rule whose dataset is missing, skipped, failed or says nothing of members is named and accuses nobody.
#[tokio::test]
async fn a_rule_without_its_dataset_is_named_and_says_nothing() {
    let everything = |world: &mut World| {
        for (_, _, fires, _) in CASES.iter().filter(|case| case.0 != "too-many-administrators") {
            fires(world);
        }
    };
    let place = Place::new();
    for (dataset, status, reason, silent) in [
        (
            Dataset::ApiKeys,
            None,
            "not_in_resources",
            &["api-key-unused", "api-key-never-expires"][..],
        ),
        (
            Dataset::JwtTemplates,
            Some(DatasetStatus::Skipped),
            "feature_x",
            &["session-template-long-lived"],
        ),
        (Dataset::RedirectUrls, Some(DatasetStatus::Failed), "GET", &["redirect-url-insecure"]),
        (
            Dataset::OrganizationDomains,
            Some(DatasetStatus::Drifted),
            "",
            &["outside-domain-with-access"],
        ),
        (
            Dataset::Grants,
            Some(DatasetStatus::Drifted),
            "",
            &["organization-without-administrator", "role-nobody-holds", "permission-nobody-has"],
        ),
        (
            Dataset::Grants,
            Some(DatasetStatus::Skipped),
            "",
            &[
                "disabled-with-access",
                "dormant-with-access",
                "role-nobody-holds",
                "unresolved-role-key",
            ],
        ),
        (
            Dataset::Users,
            None,
            "not_in_resources",
            &["disabled-with-access", "privileged-and-dormant"],
        ),
    ] {
        let mut world = World::new();
        everything(&mut world);
        let mut snapshot = world.snapshot();
        match status {
            None => {
                snapshot.lines.remove(&dataset);
                snapshot.manifest.datasets.remove(&dataset);
            }
            Some(status) => snapshot = snapshot.with_status(dataset, status, Some(reason)),
        }
        place.publish(&snapshot);
        let found = place.ask(&["findings"]).await;
        assert_eq!(found.status, 5, "{dataset}");
        let found = found.json();
        let named = found["incomplete"].as_array().unwrap();
        let named = named.iter().find(|it| it["dataset"] == dataset.name()).unwrap();
        for rule in silent {
            assert!(named["reason"].as_str().unwrap().contains(rule), "{rule}: {named}");
            assert!(!told(&found).iter().any(|it| it.0 == *rule), "{rule} of {dataset}: {found}");
        }
        assert!(named["reason"].as_str().unwrap().starts_with(reason), "{named}");
        assert!(!told(&found).is_empty(), "the other rules speak");
        let allowed = place.ask(&["findings", "--allow-incomplete", "--exit-code"]).await;
        assert_eq!(allowed.status, 4);
    }
}

// Promise: what drifted still shows who is there.
#[tokio::test]
async fn a_drifted_dataset_still_shows_who_is_there() {
    let mut world = World::new();
    world.user("user_1")["status"] = "disabled".into();
    let place = Place::new();
    place.publish(&world.snapshot().with_status(Dataset::Users, DatasetStatus::Drifted, None));
    let found = place.ask(&["findings", "--rule", "disabled-with-access"]).await;
    assert_eq!(found.status, 5);
    assert_eq!(told(&found.json()).len(), 1);
}

// Promise: grants without memberships say nothing of members: nobody is accused of holding nothing.
#[tokio::test]
async fn grants_of_roles_alone_accuse_nobody() {
    let mut snapshot = World::new().snapshot();
    snapshot.manifest.resources.retain(|it| *it != Resource::OrganizationMemberships);
    snapshot
        .lines
        .insert(Dataset::Grants, vec![records::permission_grant("perm_1", ADMIN.0).to_string()]);
    let place = Place::new();
    place.publish(&snapshot);
    let found = place.ask(&["findings"]).await;
    assert_eq!(found.status, 5);
    let found = found.json();
    assert_eq!(found["findings"], json!([]));
    assert_eq!(found["incomplete"][0]["dataset"], "grants");
    assert_eq!(found["incomplete"][0]["status"], "partial");
}

// Promise: with hashes in place of addresses nobody is outside of a domain.
#[tokio::test]
async fn hashed_addresses_are_outside_of_no_domain() {
    let mut world = World::new();
    world.add(Dataset::OrganizationDomains, domain("d_1", "org_1", "example.com", "verified"));
    world.user("user_1")["profile"]["primary_email"] = "hmac-sha256:00".into();
    let mut snapshot = world.snapshot();
    snapshot.manifest.settings.as_mut().unwrap().redact = vec!["email".to_owned()];
    let place = Place::new();
    place.publish(&snapshot);
    let found = place.ask(&["findings"]).await;
    assert_eq!(found.status, 5);
    let found = found.json();
    assert_eq!(found["findings"], json!([]));
    let reason = found["incomplete"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("outside-domain-with-access"), "{reason}");
}

// Promise: the order is severity, rule, name in any case, id; and it is the same every time.
#[tokio::test]
async fn findings_stand_in_their_order() {
    let mut world = World::new();
    for (id, name) in [("user_c", "zoe"), ("user_b", "Ada"), ("user_a", "Zoe"), ("user_d", "ada")] {
        let mut user = user(id);
        user["display_name"] = name.into();
        user["status"] = "disabled".into();
        user["profile"]["two_factor_enabled"] = false.into();
        world.add(Dataset::Users, user);
        world.join("org_1", id, ADMIN, &[MANAGE]);
    }
    world.thing(
        Dataset::EnterpriseConnections,
        "enterprise_connection",
        "ec_1",
        json!({"active": false}),
    );
    let snapshot = world.snapshot();
    let found = answer(&snapshot, &[]).await;
    let order = ["user_b", "user_d", "user_a", "user_c"];
    let mut expected: Vec<(String, String)> = Vec::new();
    for rule in ["privileged-without-second-factor", "disabled-with-access"] {
        expected.extend(order.map(|id| (rule.to_owned(), id.to_owned())));
    }
    expected.push(("connection-inactive".to_owned(), "ec_1".to_owned()));
    assert_eq!(told(&found), expected);
    assert_eq!(answer(&snapshot, &[]).await["findings"], found["findings"]);
    let only = answer(&snapshot, &["--rule", "connection-inactive"]).await;
    assert_eq!(told(&only), expected[8..]);
}

// Promise: a rules file changes numbers, severities and what is privileged; what is wrong in it is named.
#[tokio::test]
async fn a_rules_file_changes_the_rules() {
    let place = Place::new();
    let mut world = World::new();
    world.user("user_1")["profile"]["two_factor_enabled"] = false.into();
    world.user("user_1")["profile"]["last_active_at"] = ago(7, 0).into();
    place.publish(&world.snapshot());
    place.write(
        "rules.yaml",
        b"privileged_permissions: [org:a:read]\nrules:\n  dormant-with-access: {days: 7, severity: low}\n",
    );
    let found = place.ask(&["findings", "--rules", "rules.yaml", "--exit-code"]).await;
    assert_eq!(found.status, 4);
    let found = found.json();
    let told = told(&found);
    assert_eq!(told[0].0, "privileged-without-second-factor");
    assert_eq!(told[1].0, "dormant-with-access");
    assert_eq!((told.len(), &found["findings"][1]["severity"]), (2, &"low".into()));
    for (text, word) in
        [("rules: {api-key-old: {}}", "api-key-old"), ("rule: {}", "rule"), ("{", "YAML")]
    {
        place.write("wrong.yaml", text.as_bytes());
        let wrong = place.ask(&["findings", "--rules", "wrong.yaml"]).await;
        assert_eq!(wrong.error_type(2), "InvalidEvent");
        assert!(wrong.stderr.contains(word) && wrong.stderr.contains("wrong.yaml"), "{wrong:?}");
    }
    let missing = place.ask(&["findings", "--rules", "nowhere.yaml"]).await;
    assert_eq!(missing.error_type(2), "InvalidEvent");
    let unknown = place.ask(&["findings", "--rule", "dormant"]).await;
    assert_eq!(unknown.error_type(2), "InvalidEvent");
    assert!(unknown.stderr.contains("'dormant'") && unknown.stderr.contains("api-key-unused"));
}

// Promise: the rules file can be printed without a snapshot, and reading it back changes nothing.
#[tokio::test]
async fn the_printed_rules_change_nothing() {
    let place = Place::new();
    let printed = place.run(&["findings", "--print-rules"]).await;
    assert_eq!((printed.status, printed.stderr.as_str()), (0, ""));
    assert!(printed.stdout.contains("# ") && printed.stdout.contains("days: 180"));
    place.write("rules.yaml", printed.stdout.as_bytes());
    let mut world = World::new();
    world.user("user_1")["profile"]["last_active_at"] = ago(180, 0).into();
    place.publish(&world.snapshot());
    let without = place.ask(&["findings"]).await.answered();
    let with = place.ask(&["findings", "--rules", "rules.yaml"]).await.answered();
    assert_eq!(with["findings"], without["findings"]);
    assert_eq!(told(&with).len(), 1);
    let file = place.run(&["findings", "--print-rules", "--out", "printed.yaml"]).await;
    assert_eq!((file.status, file.stdout.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(place.path("printed.yaml")).unwrap(), printed.stdout);
}

// Promise: a damaged part is reported, whatever was asked, and nothing is answered.
#[tokio::test]
async fn a_damaged_part_is_no_answer() {
    let place = Place::new();
    let stored = place.publish(&World::new().snapshot());
    place.write(&stored.part_key(Dataset::Users, 0), b"other bytes");
    let damaged = place.ask(&["findings"]).await;
    assert_eq!(damaged.error_type(6), "SnapshotDamaged");
    assert!(damaged.json().get("findings").is_none());
}
