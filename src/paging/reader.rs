//! Requests one page of a list, or one row of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::quoted::Quoted;

use crate::clerk::client::Client;
use crate::clerk::error::{ClerkError, Unreadable};
use crate::clerk::urgency::Urgency;
use crate::clock::Clock;
use crate::lists::endpoint::{Endpoint, Order, Paging};
use crate::lists::filter_check;
use crate::lists::list_error::ListError;
use crate::lists::page::{PageContext, ReadPage, RowKey};
use crate::paging::created_range::CreatedRange;
use crate::work_limit::WorkLimit;

/// What a pager reads a list with.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Sends the requests.
    pub client: Arc<Client>,
    /// The list.
    pub endpoint: &'static Endpoint,
    /// Path of the list, or of one owner's rows.
    pub path: Cow<'static, str>,
    /// Whether that path supports the endpoint's `order_by`. If not, its rows have no defined order.
    pub ordered: bool,
    /// Filters, in addition to the endpoint's own query.
    pub filters: Vec<(&'static str, String)>,
    /// How its rows are translated into lines.
    pub context: Arc<PageContext>,
    /// Time stamps for pages.
    pub clock: Clock,
    /// Says when no new request may start.
    pub work_limit: Arc<WorkLimit>,
}

impl Reader {
    /// Parameters sent with every page.
    fn query(&self) -> Vec<(&'static str, &str)> {
        let own =
            self.endpoint.query.iter().filter(|(name, _)| self.ordered || *name != "order_by");
        let filters = self.filters.iter().map(|(name, value)| (*name, value.as_str()));
        own.copied().chain(filters).collect()
    }

    /// An error of the list as a whole: it violates Clerk's API, even if each answer does not.
    pub(crate) fn protocol(&self, detail: String) -> ListError {
        let endpoint = self.endpoint.path.to_owned();
        ListError::of(self.endpoint)(ClerkError::Protocol { endpoint, detail })
    }

    pub(crate) fn is_in_any_order(&self) -> bool {
        !self.ordered || self.endpoint.paging == Paging::Offset(Order::Any)
    }

    /// Decodes a page's body and checks that its rows match the filters. A list that is not counted by a separate
    /// request must state its size: otherwise an empty page would look like an empty list. `position` names the page in
    /// its list, for messages.
    fn read(&self, body: &[u8], position: &str) -> Result<ReadPage, Unreadable> {
        let page = self.endpoint.read(body, &self.context).map_err(|error| error.on(position))?;
        if page.total.is_none() && !matches!(self.endpoint.paging, Paging::Cursor { .. }) {
            return Err(Unreadable("`total_count`: missing".to_owned()));
        }
        if let Some(parameter) = filter_check::ignored(body, self.query().into_iter()) {
            return Err(Unreadable(format!(
                "the list contains rows that the filter `{parameter}` excludes"
            )));
        }
        Ok(page)
    }
}

/// Which page was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PageRequest {
    Offset(u64),
    Cursor(Option<String>),
}

impl fmt::Display for PageRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(offset) => write!(formatter, "the page at offset {offset}"),
            Self::Cursor(Some(id)) => write!(formatter, "the page after row {}", Quoted(id)),
            Self::Cursor(None) => formatter.write_str("the first page"),
        }
    }
}

pub(crate) async fn fetch(
    reader: Reader,
    range: CreatedRange,
    asked: PageRequest,
    urgency: Urgency,
) -> Result<ReadPage, ListError> {
    let mut position = Vec::new();
    if reader.endpoint.paging != Paging::SinglePage {
        position.push(("limit", reader.endpoint.page_rows.to_string()));
        position.extend(range.query());
        match &asked {
            PageRequest::Offset(offset) => position.push(("offset", offset.to_string())),
            PageRequest::Cursor(Some(cursor)) => position.push(("starting_after", cursor.clone())),
            PageRequest::Cursor(None) => {}
        }
    }
    let mut query = reader.query();
    query.extend(position.iter().map(|(name, value)| (*name, value.as_str())));
    let from = reader.clock.now();
    let read = |body: Bytes| {
        let page = reader.read(&body, &asked.to_string())?;
        not_cut_short(&page, &asked)?;
        Ok(page)
    };
    let size = |page: &ReadPage| page.records.size();
    let page = reader.client.get_page(&reader.path, &query, read, size, &urgency).await;
    let (mut page, room) = page.map_err(ListError::of(reader.endpoint))?;
    page.room = Some(room);
    page.fetched = Some((from, reader.clock.now()));
    Ok(page)
}

/// An empty page of a list that has rows there is a fault, not the end of the list.
fn not_cut_short(page: &ReadPage, asked: &PageRequest) -> Result<(), Unreadable> {
    match (asked, page.total) {
        (PageRequest::Offset(offset), Some(total)) if page.rows.is_empty() && *offset < total => {
            Err(Unreadable("the page is empty though `total_count` says there are rows".to_owned()))
        }
        _ => Ok(()),
    }
}

/// The row at an index of the list, to see whether rows have moved, and the list's size.
///
/// # Errors
/// Those of any request.
pub async fn row_at(
    reader: &Reader,
    index: u64,
) -> Result<(Option<RowKey>, Option<u64>), ListError> {
    let position = [("limit", "1".to_owned()), ("offset", index.to_string())];
    let page = look(reader, &position, &PageRequest::Offset(index)).await?;
    Ok((page.rows.into_iter().next().map(|row| row.key), page.total))
}

/// The first rows of a list, at most `most`.
///
/// # Errors
/// Those of any request.
pub async fn first_rows(reader: &Reader, most: u64) -> Result<Vec<RowKey>, ListError> {
    let position = [("limit", most.to_string())];
    let page = look(reader, &position, &PageRequest::Cursor(None)).await?;
    Ok(page.rows.into_iter().map(|row| row.key).collect())
}

async fn look(
    reader: &Reader,
    position: &[(&str, String)],
    asked: &PageRequest,
) -> Result<ReadPage, ListError> {
    let mut query = reader.query();
    query.extend(position.iter().map(|(name, value)| (*name, value.as_str())));
    let read =
        reader.client.get(&reader.path, &query, |body| reader.read(&body, &asked.to_string()));
    read.await.map_err(ListError::of(reader.endpoint))
}

/// When a page was requested and when it had arrived.
#[must_use]
pub fn fetched(page: &ReadPage, clock: &Clock) -> (Timestamp, Timestamp) {
    page.fetched.unwrap_or_else(|| (clock.now(), clock.now()))
}
