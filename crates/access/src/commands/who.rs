//! `who`: what a person can do, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::redaction::{Personal, RedactionKey, shown_key_id};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;
use memchr::memmem::Finder;
use serde::Serialize;
use serde_json::value::RawValue;

use super::needs;
use crate::archive::{Lines, ScanError};
use crate::catalogue::{RoleOfHolder, Roles};
use crate::envelope::Envelope;
use crate::error::{ArgumentError, Error};
use crate::lines::grant::{Grant, permission_keys};
use crate::names;
use crate::organizations::{OrganizationOfHolder, Organizations};
use crate::output::{Cell, Column, List, Row};
use crate::people::{Found, Person};
use crate::session::{Outcome, Session};
use crate::unmatched::Unmatched;

/// Arguments of `who`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clerk-access who ada@example.com\n  \
    clerk-access who ada@example.com --redaction-key-file key.txt")]
pub struct Arguments {
    /// An id, any of the person's e-mail addresses, a user name or an external id
    #[arg(value_name = "PERSON")]
    pub person: String,

    /// Where the key of hashes is.
    #[command(flatten)]
    pub key: KeyFile,
}

/// Where the key of hashes is.
#[derive(Debug, Clone, Args)]
pub struct KeyFile {
    /// The key of the hashes in the snapshot, from this file, or from standard input with `-`
    #[arg(long, value_name = "FILE")]
    pub redaction_key_file: Option<PathBuf>,
}

/// What is listed.
pub const LIST: List = List {
    name: "people",
    columns: &[
        Column::hidden("user_id"),
        Column::shown("display_name", "Person"),
        Column::shown("primary_email", "E-mail"),
        Column::shown("status", "Status"),
        Column::hidden("organization_id"),
        Column::shown("organization_name", "Organization"),
        Column::hidden("organization_slug"),
        Column::hidden("membership_id"),
        Column::hidden("role_ids"),
        Column::shown("role_keys", "Roles"),
        Column::hidden("role_names"),
        Column::shown("permissions", "Permissions"),
        Column::shown("since", "Since"),
    ],
};

/// A person and what they can do.
#[derive(Debug, Serialize)]
struct PersonAnswer<'a> {
    user: Box<RawValue>,
    memberships: Vec<MembershipAnswer<'a>>,
    #[serde(skip)]
    summary: UserCells,
}

/// What the flat formats say of the user.
#[derive(Debug, Default, serde::Deserialize)]
struct UserCells {
    id: String,
    display_name: Option<String>,
    status: Option<String>,
    #[serde(default)]
    profile: ProfileCells,
}

#[derive(Debug, Default, serde::Deserialize)]
struct ProfileCells {
    primary_email: Option<String>,
}

#[derive(Debug, Serialize)]
struct MembershipAnswer<'a> {
    organization: OrganizationOfHolder<'a>,
    membership_id: Option<&'a str>,
    roles: Vec<RoleOfHolder>,
    permissions: BTreeSet<String>,
    since: Option<Timestamp>,
}

/// A grant of one of the people.
#[derive(Debug)]
struct Held {
    organization: String,
    user: String,
    membership: Option<String>,
    role: Option<(String, String)>,
    permissions: Option<Vec<String>>,
    since: Option<Timestamp>,
}

/// Lists the people that the text names, by name and then id, with their memberships by the organization's name.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let snapshot = session.snapshot().await?;
    let mut envelope = session.envelope(&snapshot, needs::MEMBERS);
    let person = person(&arguments.person, &arguments.key, &snapshot, session)?;
    let mut people = person.find(&session.archive, &snapshot, &session.progress).await?;
    // Where the users are not whole, a text that is none of them may still be the id of one in the memberships.
    if people.is_empty() && envelope.lacks(Dataset::Users) {
        people.push(Found::unknown(&arguments.person));
    }
    let held = grants(&people, &snapshot, session).await?;
    people.retain(|user| !user.is_unknown() || held.contains_key(&user.id));
    if people.is_empty() {
        assert_findable(&arguments.person, &arguments.key, snapshot.manifest())?;
        envelope.unmatched.push(Unmatched::new("person", &arguments.person));
    }
    let wanted: BTreeSet<&str> =
        held.values().flatten().map(|held| held.organization.as_str()).collect();
    let is_wanted = |id: &str| wanted.contains(id);
    let organizations = match wanted.is_empty() {
        true => Organizations::default(),
        false => {
            Organizations::read(&session.archive, &snapshot, &session.progress, is_wanted).await?
        }
    };
    let roles = Roles::read(&session.archive, &snapshot, &session.progress).await?;
    write(&people, &held, &organizations, &roles, envelope, session)
}

/// The person that a text names, with the key of hashes if one is given.
///
/// # Errors
/// [`Error::Argument`] if the key cannot be read or is not that of the snapshot.
pub fn person(
    text: &str,
    key: &KeyFile,
    snapshot: &Snapshot,
    session: &mut Session<'_>,
) -> Result<Person, Error> {
    let key = match &key.redaction_key_file {
        None => None,
        Some(path) => Some(read_key(path, snapshot.manifest(), session)?),
    };
    Ok(Person::new(text, key.as_ref()))
}

/// How ids begin that `history` accepts. Redaction never replaces an id.
const IDS: [&str; 5] = ["user_", "org_", "orgmem_", "role_", "perm_"];

/// Nobody was found. In a snapshot with hashes in place of names and addresses, that means nothing unless their key was
/// given.
///
/// # Errors
/// [`Error::Argument`] if the person may be there all the same.
pub fn assert_findable(text: &str, key: &KeyFile, manifest: &Manifest) -> Result<(), Error> {
    let kind = if text.contains('@') { Personal::Email } else { Personal::Name };
    let redact = manifest.settings.as_ref().map(|settings| settings.redact.as_slice());
    let is_redacted = redact.unwrap_or_default().iter().any(|redacted| redacted == kind.name());
    if !is_redacted || IDS.iter().any(|beginning| text.starts_with(beginning)) {
        return Ok(());
    }
    if manifest.redaction_key_id.is_none() {
        return Err(Error::refused(format!(
            "this snapshot was written without what REDACT={} replaces, and without a key; name the \
             person by id or external id",
            kind.name()
        )));
    }
    if key.redaction_key_file.is_some() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "this snapshot has hashes in place of what REDACT={} replaces; give their key with \
         --redaction-key-file, or name the person by id",
        kind.name()
    )))
}

/// Reads the key of a snapshot's hashes.
///
/// # Errors
/// [`Error::Argument`] if it cannot be read or is not that of the snapshot.
pub fn read_key(
    path: &std::path::Path,
    manifest: &Manifest,
    session: &mut Session<'_>,
) -> Result<RedactionKey, Error> {
    let failed = |problem: String| {
        Error::Argument(ArgumentError::File {
            what: "the redaction key in",
            path: path.display().to_string(),
            problem,
        })
    };
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        session.input.read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(session.folder.join(path)).map(|key| text = key)
    };
    read.map_err(|error| failed(format!("cannot be read: {error}")))?;
    let key = RedactionKey::parse(&text)
        .map_err(|error| failed(format!("{error}; give the key of the secret")))?;
    let stated = manifest.redaction_key_id.as_deref();
    if stated.is_some() && stated != shown_key_id(&key.id()).as_deref() {
        return Err(failed(
            "is not the one that made the hashes of this snapshot; give the key of its time"
                .to_owned(),
        ));
    }
    Ok(key)
}

/// The grants of the people, by user.
async fn grants(
    people: &[Found],
    snapshot: &Snapshot,
    session: &Session<'_>,
) -> Result<BTreeMap<String, Vec<Held>>, Error> {
    let mut held: BTreeMap<String, Vec<Held>> = BTreeMap::new();
    if people.is_empty() {
        return Ok(held);
    }
    let people = Arc::new(Ids::new(people.iter().map(|user| user.id.clone())));
    let read = move |lines: &mut Lines| people.read(lines);
    let take = |part: Vec<Held>| {
        for grant in part {
            held.entry(grant.user.clone()).or_default().push(grant);
        }
        Ok(())
    };
    session.archive.scan(snapshot, Dataset::Grants, &session.progress, read, take).await?;
    Ok(held)
}

/// Ids of a few people, to be found in many grants.
struct Ids {
    ids: BTreeSet<String>,
    finders: Vec<Finder<'static>>,
}

/// Above this many ids, reading each grant is faster than looking for each id.
const MAX_FINDERS: usize = 8;

impl Ids {
    fn new(ids: impl Iterator<Item = String>) -> Self {
        let ids: BTreeSet<String> = ids.collect();
        let finders = match ids.len() {
            0..=MAX_FINDERS => ids.iter().map(|id| Finder::new(id).into_owned()).collect(),
            _ => Vec::new(),
        };
        Self { ids, finders }
    }

    fn read(&self, lines: &mut Lines) -> Result<Vec<Held>, ScanError> {
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            if !self.may_hold(line) {
                continue;
            }
            match Grant::of_line(line) {
                Ok(Some(grant)) if self.ids.contains(&*grant.user) => all.push(Held::of(&grant)),
                Ok(_) => {}
                Err(_) => return Err(lines.not_a_record()),
            }
        }
        Ok(all)
    }

    /// With an escape, an id may stand there in another form.
    fn may_hold(&self, line: &[u8]) -> bool {
        self.finders.is_empty()
            || self.finders.iter().any(|finder| finder.find(line).is_some())
            || memchr::memchr(b'\\', line).is_some()
    }
}

impl Held {
    fn of(grant: &Grant<'_>) -> Self {
        Self {
            organization: grant.organization.to_string(),
            user: grant.user.to_string(),
            membership: grant.membership.as_deref().map(str::to_owned),
            role: grant.role.as_ref().map(|(id, key)| (id.to_string(), key.to_string())),
            permissions: grant.permissions.and_then(permission_keys),
            since: grant.created_at.as_deref().and_then(|time| time.parse().ok()),
        }
    }
}

fn write(
    people: &[Found],
    held: &BTreeMap<String, Vec<Held>>,
    organizations: &Organizations,
    roles: &Roles,
    envelope: Envelope,
    session: &mut Session<'_>,
) -> Result<Outcome, Error> {
    session.output.begin(&envelope, &LIST)?;
    for user in people {
        let grants = held.get(&user.id).map(Vec::as_slice).unwrap_or_default();
        let record =
            RawValue::from_string(user.record.clone()).map_err(crate::output::OutputError::Json)?;
        let summary = serde_json::from_str(&user.record).unwrap_or_default();
        let memberships = memberships(grants, organizations, roles);
        session.output.row(&PersonAnswer { user: record, memberships, summary })?;
    }
    session.output.end(&())?;
    Ok(envelope.into())
}

/// A person's memberships, by the organization's name and then their id.
fn memberships<'a>(
    grants: &'a [Held],
    organizations: &'a Organizations,
    roles: &Roles,
) -> Vec<MembershipAnswer<'a>> {
    let mut by_membership: BTreeMap<(Option<&str>, &str), MembershipAnswer<'a>> = BTreeMap::new();
    for grant in grants {
        let id = grant.membership.as_deref();
        let membership =
            by_membership.entry((id, &grant.organization)).or_insert_with(|| MembershipAnswer {
                organization: organizations.show(&grant.organization),
                membership_id: id,
                roles: Vec::new(),
                permissions: BTreeSet::new(),
                since: grant.since,
            });
        let Some((id, key)) = &grant.role else { continue };
        membership.roles.push(roles.show(id, key));
        let permissions = grant.permissions.clone().unwrap_or_else(|| roles.permissions(id));
        membership.permissions.extend(permissions);
    }
    let mut memberships: Vec<_> = by_membership.into_values().collect();
    for membership in &mut memberships {
        membership.roles.sort();
    }
    memberships.sort_by(|one, other| {
        let name =
            |membership: &MembershipAnswer<'a>| membership.organization.name.unwrap_or_default();
        names::compare(name(one), name(other))
            .then_with(|| one.membership_id.cmp(&other.membership_id))
    });
    memberships
}

impl Row for PersonAnswer<'_> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let user = &self.summary;
        let of_user = || -> Vec<Cell<'_>> {
            vec![
                user.id.as_str().into(),
                user.display_name.as_deref().into(),
                user.profile.primary_email.as_deref().into(),
                user.status.as_deref().into(),
            ]
        };
        if self.memberships.is_empty() {
            let mut cells = of_user();
            cells.resize(LIST.columns.len(), Cell::Empty);
            return vec![cells];
        }
        let rows = self.memberships.iter().map(|membership| {
            let mut cells = of_user();
            cells.extend([
                membership.organization.id.into(),
                membership.organization.name.into(),
                membership.organization.slug.into(),
                membership.membership_id.into(),
                Cell::joined(membership.roles.iter().map(|role| &role.id)),
                Cell::joined(membership.roles.iter().map(|role| &role.key)),
                Cell::joined(membership.roles.iter().filter_map(|role| role.name.as_ref())),
                Cell::joined(&membership.permissions),
                membership.since.map(|since| since.to_string()).into(),
            ]);
            cells
        });
        rows.collect()
    }
}
