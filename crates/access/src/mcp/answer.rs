//! Asks a question and keeps one page of the answer.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use clerk_snapshot::timestamp::Timestamp;
use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::given::Given;
use super::questions::{Asked, Settings};
use super::tools::Tool;
use crate::archive::Archive;
use crate::commands;
use crate::error::Error;
use crate::output::{Output, Page, PageLimits};
use crate::progress::Progress;
use crate::session::Session;

/// The page of an answer that is asked for: the document of the command, with its rows, and `next_cursor`.
///
/// # Errors
/// Those of the command, and [`Error::Argument`] if the cursor is that of another question.
pub async fn answer(
    tool: &Tool,
    given: &Given,
    archive: &Archive,
    settings: &Settings,
) -> Result<Map<String, Value>, Error> {
    let question = given.question();
    let cursor = given.cursor().map(|text| Cursor::parse(text, &question, tool.pins.count()));
    let cursor = cursor.transpose()?;
    let pins = cursor.as_ref().map(|cursor| cursor.snapshots.as_slice()).unwrap_or_default();
    let asked = (tool.ask)(given, pins, settings)?;
    let limits = PageLimits {
        offset: cursor.as_ref().map_or(0, |cursor| cursor.offset),
        limit: given.limit(),
        ends_when_full: !tool.has_summary,
    };
    let page = page(asked, limits, archive).await?;
    let next = page.next_offset().map(|offset| {
        let snapshots = cursor.map_or_else(|| tool.pins.of(&page), |cursor| cursor.snapshots);
        Cursor { offset, snapshots }.write(&question)
    });
    let mut document = page.into_document();
    document.insert("next_cursor".to_owned(), next.into());
    Ok(document)
}

#[expect(clippy::expect_used, reason = "the output is made here, and keeps a page")]
async fn page(asked: Asked, limits: PageLimits, archive: &Archive) -> Result<Page, Error> {
    let mut nowhere = io::sink();
    let mut session = Session {
        archive: archive.clone(),
        which: asked.which,
        now: Timestamp::from(SystemTime::now()),
        command: asked.command,
        output: Output::page(limits, &mut nowhere),
        out: None,
        // The questions of agents name no file.
        folder: PathBuf::new(),
        progress: Progress::default(),
        input: Box::new(io::empty()),
    };
    match commands::answer(&asked.question, &mut session).await {
        Ok(_) => {}
        Err(error) if error.is_page_full() => {}
        Err(error) => return Err(error),
    }
    Ok(session.output.into_page().expect("the output keeps a page"))
}
