//! Drawn histories: what changed, put on top of the older snapshot, gives the newer one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};

use super::support::{Compared, compared_as, tiny};
use crate::compare::{Classes, Limits};
use crate::compression::Compression;
use crate::digest::ContentDigest;
use crate::resource::Dataset;
use crate::testing::{SnapshotBuilder, records};

const ROLES: [(&str, &str); 3] =
    [("role_0", "org:admin"), ("role_1", "org:member"), ("role_2", "org:guest")];

/// An instance of Clerk's, as small as can be.
#[derive(Debug, Clone, Default)]
struct Model {
    /// Name, and whether banned, by number.
    users: BTreeMap<u8, (String, bool, u32)>,
    organizations: BTreeMap<u8, String>,
    /// The role of a user in an organization.
    memberships: BTreeMap<(u8, u8), usize>,
    machines: BTreeMap<u8, u32>,
}

#[derive(Debug, Clone)]
enum Event {
    AddUser(u8),
    RemoveUser(u8),
    Rename(u8, String),
    Ban(u8),
    Activity(u8, u32),
    AddOrganization(u8),
    RemoveOrganization(u8),
    Join(u8, u8, usize),
    Leave(u8, u8),
    Machine(u8, u32),
    RemoveMachine(u8),
}

impl Model {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::AddUser(user) => {
                self.users.entry(*user).or_insert_with(|| ("Ada".to_owned(), false, 0));
            }
            Event::RemoveUser(user) => {
                self.users.remove(user);
                self.memberships.retain(|(_, member), _| member != user);
            }
            Event::Rename(user, name) => {
                self.users.entry(*user).and_modify(|it| it.0.clone_from(name));
            }
            Event::Ban(user) => {
                self.users.entry(*user).and_modify(|it| it.1 = !it.1);
            }
            Event::Activity(user, at) => {
                self.users.entry(*user).and_modify(|it| it.2 = *at);
            }
            Event::AddOrganization(number) => {
                self.organizations.insert(*number, format!("Organization {number}"));
            }
            Event::RemoveOrganization(number) => {
                self.organizations.remove(number);
                self.memberships.retain(|(organization, _), _| organization != number);
            }
            Event::Join(organization, user, role) => {
                let exist = self.organizations.contains_key(organization);
                if exist && self.users.contains_key(user) {
                    self.memberships.insert((*organization, *user), *role);
                }
            }
            Event::Leave(organization, user) => {
                self.memberships.remove(&(*organization, *user));
            }
            Event::Machine(number, ttl) => {
                self.machines.insert(*number, *ttl);
            }
            Event::RemoveMachine(number) => {
                self.machines.remove(number);
            }
        }
    }

    fn snapshot(&self, day: u32, lines_per_part: usize) -> SnapshotBuilder {
        let users = self.users.iter().map(|(number, (name, banned, active))| {
            let mut user = records::user(&format!("user_{number}"));
            user["profile"]["first_name"] = json!(name);
            user["profile"]["banned"] = json!(banned);
            user["status"] = json!(if *banned { "disabled" } else { "enabled" });
            user["profile"]["last_active_at"] =
                json!(format!("2026-11-01T00:00:00.{:03}Z", active % 1000));
            user
        });
        let organizations = self.organizations.iter();
        let organizations = organizations
            .map(|(number, name)| records::organization(&format!("org_{number}"), name));
        let entitlements = self.organizations.keys().flat_map(|number| {
            let organization = format!("org_{number}");
            let roles = ROLES.map(|role| records::role_entitlement(&organization, role));
            [records::member_entitlement(&organization)].into_iter().chain(roles)
        });
        let machines = self.machines.iter().map(|(number, ttl)| {
            let mut machine = records::machine(&format!("mch_{number}"));
            machine["profile"]["default_token_ttl"] = json!(ttl);
            machine
        });
        let calls =
            self.machines.keys().map(|number| records::call_entitlement(&format!("mch_{number}")));
        let grants = self.memberships.iter().flat_map(|((organization, user), role)| {
            let (organization, user) = (format!("org_{organization}"), format!("user_{user}"));
            let membership = format!("orgmem_{organization}_{user}");
            [
                records::member_grant(&organization, &user, &membership),
                records::role_grant(&organization, &user, &membership, ROLES[*role], &["a"]),
            ]
        });
        let mut builder = SnapshotBuilder::on_day(day)
            .with(Dataset::Users, users)
            .with(Dataset::Organizations, organizations)
            .with(Dataset::Entitlements, entitlements.chain(calls))
            .with(Dataset::Grants, grants)
            .with(Dataset::Machines, machines);
        builder.lines_per_part = lines_per_part;
        builder.manifest.compression = Compression::None;
        builder
    }
}

fn event() -> impl Strategy<Value = Event> {
    let (users, organizations) = (0..12_u8, 0..4_u8);
    prop_oneof![
        4 => users.clone().prop_map(Event::AddUser),
        1 => users.clone().prop_map(Event::RemoveUser),
        2 => (users.clone(), "[a-z\"\\\\ü]{0,4}").prop_map(|(user, name)| Event::Rename(user, name)),
        1 => users.clone().prop_map(Event::Ban),
        2 => (users.clone(), any::<u32>()).prop_map(|(user, at)| Event::Activity(user, at)),
        2 => organizations.clone().prop_map(Event::AddOrganization),
        1 => organizations.clone().prop_map(Event::RemoveOrganization),
        6 => (organizations.clone(), users.clone(), 0..3_usize).prop_map(|(organization, user, role)| Event::Join(organization, user, role)),
        1 => (organizations, users).prop_map(|(organization, user)| Event::Leave(organization, user)),
        1 => (0..3_u8, 0..3_u32).prop_map(|(number, ttl)| Event::Machine(number, ttl)),
        1 => (0..3_u8).prop_map(Event::RemoveMachine),
    ]
}

/// The lines of a dataset after the records, by id.
fn replayed(
    from: &SnapshotBuilder,
    dataset: Dataset,
    records: &[Value],
) -> BTreeMap<String, Value> {
    let parse = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let id = |line: &Value| line["id"].as_str().unwrap().to_owned();
    let lines = from.lines[&dataset].iter().map(parse);
    let mut lines: BTreeMap<_, _> = lines.map(|line| (id(&line), line)).collect();
    for record in records.iter().filter(|it| it["dataset"] == dataset.name()) {
        match record["op"].as_str().unwrap() {
            "added" => assert!(lines.insert(id(record), record["after"].clone()).is_none()),
            "removed" => assert_eq!(lines.remove(&id(record)).unwrap(), record["before"]),
            _ => {
                let line = lines.get_mut(&id(record)).unwrap();
                for field in record["fields"].as_array().unwrap() {
                    let path = field["path"].as_str().unwrap().split('.');
                    let leaf = path.fold(&mut *line, |value, name| &mut value[name]);
                    assert_eq!(*leaf, field["before"]);
                    *leaf = field["after"].clone();
                }
            }
        }
    }
    lines
}

fn digest(lines: impl IntoIterator<Item = String>) -> ContentDigest {
    let mut digest = ContentDigest::default();
    lines.into_iter().for_each(|line| digest.add_line(format!("{line}\n").as_bytes()));
    digest
}

/// Whether each removed grant and entitlement names the first cause that was removed, and each added entitlement the
/// first that was added.
fn assert_causes(before: &Model, after: &Model, records: &[Value]) {
    let number =
        |id: &str, prefix: &str| id.strip_prefix(prefix).and_then(|rest| rest.parse::<u8>().ok());
    let (gone, new) = ((before, after), (after, before));
    let only_in = |(one, other): (&Model, &Model), reference: &Value| {
        let id = reference["id"].as_str().unwrap();
        match reference["type"].as_str().unwrap() {
            "organization" => number(id, "org_").is_some_and(|it| {
                one.organizations.contains_key(&it) && !other.organizations.contains_key(&it)
            }),
            "user" => number(id, "user_")
                .is_some_and(|it| one.users.contains_key(&it) && !other.users.contains_key(&it)),
            _ => number(id, "mch_").is_some_and(|it| {
                one.machines.contains_key(&it) && !other.machines.contains_key(&it)
            }),
        }
    };
    for record in records {
        let candidates = match (record["dataset"].as_str().unwrap(), record["op"].as_str().unwrap())
        {
            ("grants", "removed") => vec![&record["target"], &record["subject"]],
            ("entitlements", "removed" | "added") => vec![&record["target"]],
            _ => Vec::new(),
        };
        let sides = if record["op"] == "added" { new } else { gone };
        let expected = candidates.into_iter().find(|it| only_in(sides, it));
        assert_eq!(&record["cause"], expected.unwrap_or(&Value::Null), "{record}");
    }
}

fn compare(from: &SnapshotBuilder, to: &SnapshotBuilder, limits: &Limits) -> Compared {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = compared_as(from, to, |it| it.classes(Classes::ALL).limits(limits.clone()));
    runtime.block_on(ask).unwrap()
}

proptest! {
    #![proptest_config(Config {
        cases: 150,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..Config::default()
    })]

    // Promise: FROM and the records give TO back, whatever happened, in any parts and with any memory.
    #[test]
    fn changes_lead_from_one_snapshot_to_the_other(
        past in proptest::collection::vec(event(), 0..80),
        between in proptest::collection::vec(event(), 0..20),
        parts in (1..9_usize, 1..9_usize),
    ) {
        let mut before = Model::default();
        past.iter().for_each(|event| before.apply(event));
        let mut after = before.clone();
        between.iter().for_each(|event| after.apply(event));
        let (from, to) = (before.snapshot(1, parts.0), after.snapshot(2, parts.1));
        let compared = compare(&from, &to, &Limits::default());
        let records = compared.records();
        for &dataset in from.lines.keys() {
            let lines = replayed(&from, dataset, &records);
            let expected = digest(to.lines[&dataset].iter().cloned());
            prop_assert_eq!(digest(lines.values().map(Value::to_string)), expected);
        }
        assert_causes(&before, &after, &records);
        prop_assert!(compared.summary.complete);
        let counted: u64 = compared.summary.datasets.values().map(|it| it.added + it.removed + it.changed).sum();
        prop_assert_eq!(counted, records.len() as u64);
        prop_assert_eq!(compare(&from, &to, &tiny()).lines, compared.lines);
    }
}
