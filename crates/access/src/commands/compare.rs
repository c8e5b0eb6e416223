//! `compare`: a list of people from elsewhere against the users.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use clap::Args;
use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::redaction::{Personal, RedactionKey};
use clerk_snapshot::resource::Dataset;
use serde::Serialize;

use super::who::{KeyFile, read_key};
use crate::archive::{Lines, ScanError};
use crate::envelope::{Envelope, Need};
use crate::error::{ArgumentError, Error};
use crate::lines::user::User;
use crate::list_of_people::{By, ListOfPeople};
use crate::memberships::membership::UserOfHolder;
use crate::output::{Cell, Column, List, Row};
use crate::ranked::{MAX_BYTES, Picked, Ranked};
use crate::session::{Outcome, Session};
use crate::texts::Texts;

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clerk-access compare --people hr.csv --column Email\n  \
    clerk-access compare --people hr.csv --column PersonnelId --by external_id --out hr.xlsx")]
pub struct Arguments {
    /// A CSV file with a person a line, or - for standard input. Its first line names the columns
    #[arg(long, value_name = "FILE")]
    pub people: PathBuf,

    /// The column that says who each person is
    #[arg(long, value_name = "NAME")]
    pub column: String,

    /// What the column holds
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub by: By,

    /// Where the key of hashes is.
    #[command(flatten)]
    pub key: KeyFile,
}

/// What is listed.
pub const LIST: List = List {
    name: "compared",
    columns: &[
        Column::shown("result", "Result"),
        Column::shown("value", "On the list"),
        Column::shown("line", "Line"),
        Column::hidden("user_id"),
        Column::shown("display_name", "Person"),
        Column::shown("primary_email", "E-mail"),
        Column::shown("status", "Status"),
    ],
};

/// Ranks of users: the enabled ones that are not on the list, and the disabled ones that are.
const NOT_ON_LIST: u32 = 0;
const DISABLED: u32 = 1;

/// A user who is not on the list.
#[derive(Debug, Serialize)]
struct NotOnList<'a> {
    #[serde(flatten)]
    user: UserOfHolder<'a>,
}

/// A person of the list who is no user.
#[derive(Debug, Serialize)]
struct Unknown<'a> {
    value: &'a str,
    line: u64,
}

/// A person of the list who is a disabled user.
#[derive(Debug, Serialize)]
struct OnList<'a> {
    value: &'a str,
    line: u64,
    #[serde(flatten)]
    user: UserOfHolder<'a>,
}

/// A row, with the section that it stands in: NDJSON has no other place for it.
#[derive(Debug, Serialize)]
struct Compared<R> {
    result: &'static str,
    #[serde(flatten)]
    row: R,
}

/// Fields beside the sections.
#[derive(Debug, Serialize)]
struct Summary {
    matched: u64,
}

/// Lists who is enabled and not on the list, who is on the list and unknown, and who is on the list and disabled: users
/// by name and then id, unknown people as the list has them.
///
/// # Errors
/// [`Error`].
pub async fn run(arguments: &Arguments, session: &mut Session<'_>) -> Result<Outcome, Error> {
    let snapshot = session.snapshot().await?;
    let key = key(arguments, snapshot.manifest(), session)?;
    let list = Arc::new(read_list(arguments, key.as_ref(), session)?);
    let envelope = session.envelope(&snapshot, &[Need::Dataset(Dataset::Users)]);
    let comparison = Comparison::new(list, arguments.by);
    let mut written = Written::default();
    let mut lowest = None;
    loop {
        let mut batch = Ranked::new(MAX_BYTES, lowest);
        let (archive, progress) = (session.archive.clone(), session.progress);
        let matched = {
            let (read, mut matched) = (comparison.reader(), 0);
            let take = |part: Part| {
                matched += part.push_into(&mut batch);
                Ok(())
            };
            archive.scan(&snapshot, Dataset::Users, &progress, read, take).await?;
            matched
        };
        lowest = batch.finish();
        written.write(&batch, &comparison, &envelope, session)?;
        if lowest.is_none() {
            written.open_until(SECTIONS.len(), &comparison, &envelope, session)?;
            session.output.end_sections(&LIST, &Summary { matched })?;
            let has_findings = written.rows > 0;
            return Ok(Outcome { has_findings, ..envelope.into() });
        }
    }
}

/// The key of the hashes, where the snapshot has some in place of what is compared.
fn key(
    arguments: &Arguments,
    manifest: &Manifest,
    session: &mut Session<'_>,
) -> Result<Option<RedactionKey>, Error> {
    let redact = manifest.settings.as_ref().map(|settings| settings.redact.as_slice());
    let is_redacted =
        |kind: &Personal| redact.unwrap_or_default().iter().any(|redacted| redacted == kind.name());
    let Some(kind) = arguments.by.personal().filter(is_redacted) else { return Ok(None) };
    if manifest.redaction_key_id.is_none() {
        return Err(Error::refused(format!(
            "this snapshot was written without what REDACT={} replaces, and without a key; compare \
             by external_id",
            kind.name()
        )));
    }
    match &arguments.key.redaction_key_file {
        Some(path) => Ok(Some(read_key(path, manifest, session)?)),
        None => Err(Error::refused(format!(
            "this snapshot has hashes in place of what REDACT={} replaces; give their key with \
             --redaction-key-file, or compare by external_id",
            kind.name()
        ))),
    }
}

fn read_list(
    arguments: &Arguments,
    key: Option<&RedactionKey>,
    session: &mut Session<'_>,
) -> Result<ListOfPeople, Error> {
    let failed = |problem: String| {
        Error::Argument(ArgumentError::File {
            what: "the list of people",
            path: arguments.people.display().to_string(),
            problem,
        })
    };
    let (column, by) = (&arguments.column, arguments.by);
    let list = if arguments.people == Path::new("-") {
        ListOfPeople::read(&mut session.input, column, by, key)
    } else {
        let file = std::fs::File::open(session.folder.join(&arguments.people));
        let file = file.map_err(|error| failed(format!("cannot be read: {error}")))?;
        ListOfPeople::read(file, column, by, key)
    };
    list.map_err(|error| failed(error.to_string()))
}

/// The list, and which of its people are users.
struct Comparison {
    list: Arc<ListOfPeople>,
    by: By,
    /// Of each person of the list: whether a user is that person.
    is_user: Arc<Vec<AtomicU8>>,
}

/// Users of one part who stand in the answer.
#[derive(Debug, Default)]
struct Part {
    users: Vec<(u32, [u32; 3], u32)>,
    texts: Texts,
    matched: u64,
}

/// The number of no person of the list.
const NOBODY: u32 = u32::MAX;

impl Comparison {
    fn new(list: Arc<ListOfPeople>, by: By) -> Self {
        let is_user = (0..list.len()).map(|_| AtomicU8::new(0)).collect();
        Self { list, by, is_user: Arc::new(is_user) }
    }

    fn reader(&self) -> impl Fn(&mut Lines) -> Result<Part, ScanError> + Send + Sync + 'static {
        let (list, by, is_user) = (Arc::clone(&self.list), self.by, Arc::clone(&self.is_user));
        move |lines: &mut Lines| {
            let mut part = Part::default();
            while let Some(line) = lines.next_line()? {
                let Some(user) = User::of_line(line) else { return Err(lines.not_a_record()) };
                part.add(&user, &list, by, &is_user);
            }
            Ok(part)
        }
    }

    fn is_unknown(&self, number: u32) -> bool {
        self.is_user.get(number as usize).is_some_and(|it| it.load(Ordering::Relaxed) == 0)
    }
}

impl Part {
    fn add(&mut self, user: &User<'_>, list: &ListOfPeople, by: By, is_user: &[AtomicU8]) {
        let mut first = NOBODY;
        for text in identifiers(user, by) {
            if let Some(number) = list.find(by, text) {
                if let Some(is_user) = is_user.get(number as usize) {
                    is_user.store(1, Ordering::Relaxed);
                }
                first = first.min(number);
            }
        }
        let rank = match (first == NOBODY, user.status == "enabled") {
            (true, true) => NOT_ON_LIST,
            (false, false) => DISABLED,
            (false, true) => {
                self.matched += 1;
                return;
            }
            (true, false) => return,
        };
        let email = user.profile.primary_email.as_deref().unwrap_or_default();
        let texts = [&*user.display_name, &*user.id, email].map(|text| self.texts.push(text));
        self.users.push((rank, texts, first));
    }

    /// Adds the users to the batch, and returns how many are enabled and on the list.
    fn push_into(self, batch: &mut Ranked<u32>) -> u64 {
        for (rank, [name, id, email], number) in self.users {
            let text = |number| self.texts.get(number);
            batch.push(rank, (text(name), text(id), text(email)), number, 0);
        }
        self.matched
    }
}

/// What identifies a user in the list.
fn identifiers<'a>(user: &'a User<'_>, by: By) -> impl Iterator<Item = &'a str> {
    let profile = &user.profile;
    let (one, emails) = match by {
        By::Email => (profile.primary_email.as_deref(), profile.emails.as_slice()),
        By::ExternalId => (profile.external_id.as_deref(), &[][..]),
        By::Username => (profile.username.as_deref(), &[][..]),
    };
    one.into_iter().chain(emails.iter().filter_map(|email| email.address.as_deref()))
}

/// The sections, in their order.
const SECTIONS: [&str; 3] = ["not_on_list", "unknown", "disabled"];

/// What is written by now.
#[derive(Debug, Default)]
struct Written {
    has_begun: bool,
    /// How many sections are begun.
    sections: usize,
    rows: u64,
}

impl Written {
    fn write(
        &mut self,
        batch: &Ranked<u32>,
        comparison: &Comparison,
        envelope: &Envelope,
        session: &mut Session<'_>,
    ) -> Result<(), Error> {
        for picked in batch.iter() {
            self.open_until(
                if picked.rank == NOT_ON_LIST { 1 } else { 3 },
                comparison,
                envelope,
                session,
            )?;
            self.rows += 1;
            let user = user(&picked);
            if picked.rank == NOT_ON_LIST {
                let result = SECTIONS[0];
                session.output.row(&Compared { result, row: NotOnList { user } })?;
            } else {
                let (value, line) = comparison.list.show(picked.value);
                let row = OnList { value, line, user };
                session.output.row(&Compared { result: SECTIONS[2], row })?;
            }
        }
        Ok(())
    }

    /// Begins sections until so many are begun, and writes the unknown people where their section begins.
    fn open_until(
        &mut self,
        count: usize,
        comparison: &Comparison,
        envelope: &Envelope,
        session: &mut Session<'_>,
    ) -> Result<(), Error> {
        if !std::mem::replace(&mut self.has_begun, true) {
            session.output.begin_sections(envelope, &LIST)?;
        }
        while self.sections < count {
            let result = SECTIONS[self.sections];
            session.output.section(result)?;
            self.sections += 1;
            if result != "unknown" {
                continue;
            }
            let numbers = 0..u32::try_from(comparison.list.len()).unwrap_or(u32::MAX);
            for number in numbers.filter(|&number| comparison.is_unknown(number)) {
                let (value, line) = comparison.list.show(number);
                session.output.row(&Compared { result, row: Unknown { value, line } })?;
                self.rows += 1;
            }
        }
        Ok(())
    }
}

fn user<'a>(picked: &Picked<'a, u32>) -> UserOfHolder<'a> {
    let status = if picked.rank == NOT_ON_LIST { "enabled" } else { "disabled" };
    UserOfHolder {
        id: picked.id,
        display_name: Some(picked.name),
        primary_email: Some(picked.note).filter(|email| !email.is_empty()),
        status: Some(status),
    }
}

/// The cells of a user.
fn cells<'a>(user: &UserOfHolder<'a>) -> [Cell<'a>; 4] {
    [user.id.into(), user.display_name.into(), user.primary_email.into(), user.status.into()]
}

impl Row for Compared<NotOnList<'_>> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let mut row = vec![self.result.into(), Cell::Empty, Cell::Empty];
        row.extend(cells(&self.row.user));
        vec![row]
    }
}

impl Row for Compared<Unknown<'_>> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let mut row = vec![self.result.into(), self.row.value.into(), self.row.line.into()];
        row.resize(LIST.columns.len(), Cell::Empty);
        vec![row]
    }
}

impl Row for Compared<OnList<'_>> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let mut row = vec![self.result.into(), self.row.value.into(), self.row.line.into()];
        row.extend(cells(&self.row.user));
        vec![row]
    }
}
