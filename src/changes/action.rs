//! Answers the event `changes`: makes the feeds that are owed, or compares any two snapshots.

use std::sync::Arc;

use async_trait::async_trait;
use clerk_snapshot::compare::sink::SinkError;
use clerk_snapshot::compare::{Change, Classes, CompareError, Sink};
use clerk_snapshot::reader::{ReadError, Snapshot};

use super::error::FeedError;
use super::feeds::{Feeds, is_of};
use crate::config::Config;
use crate::dependencies::Dependencies;
use crate::error::Error;
use crate::event::{ChangesOptions, InvalidEvent};
use crate::invocation::Invocation;
use crate::response::{ChangesAnswer, ChangesStatus, OwedAnswer};
use crate::time_limit::TimeLimit;

/// Handles a `changes` event.
///
/// # Errors
/// [`Error`]. Snapshots and feeds that are there stay intact.
pub async fn changes(
    dependencies: &Dependencies,
    config: &Config,
    options: &ChangesOptions,
    invocation: &Invocation,
) -> Result<ChangesAnswer, Error> {
    let limit = TimeLimit::all_that_is_left(&invocation.work_limit);
    let feeds =
        |classes| Feeds::new(&dependencies.store, classes, config.athena_latest, limit.clone());
    match (&options.between, config.changes) {
        (Some((from, to)), classes) => {
            let feeds = feeds(classes.unwrap_or(Classes::DEFAULT));
            feeds.summary_of(from, to, &limit).await
        }
        (None, Some(classes)) => Ok(make_owed(&feeds(classes), invocation).await?),
        (None, None) => Err(InvalidEvent::changes_are_off().into()),
    }
}

/// Makes what is owed, newest first, for as long as there is time.
async fn make_owed(feeds: &Feeds, invocation: &Invocation) -> Result<ChangesAnswer, FeedError> {
    let owed = feeds.owed().await?;
    let mut made = Vec::new();
    let (mut left, mut stopped) = (owed.len(), None);
    for id in owed {
        match feeds.make_of_id(&id).await {
            Ok(feed) => {
                left -= 1;
                made.extend(feed.is_some().then_some(id));
                invocation
                    .metrics
                    .note(|measured| measured.feeds.extend(feed.map(|it| it.sizes())));
            }
            Err(FeedError::Stopped(why)) => {
                stopped = Some(why);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let message = match (made.len(), stopped) {
        (0, None) => "No changes are owed.".to_owned(),
        (count, None) => {
            format!("The changes of {} are written; none are owed any more.", snapshots(count))
        }
        (count, Some(why)) => format!(
            "The changes of {} are written, and those of {left} are still owed because {}; \
             send the event again.",
            snapshots(count),
            FeedError::Stopped(why)
        ),
    };
    Ok(ChangesAnswer::Owed(OwedAnswer {
        status: if stopped.is_none() { ChangesStatus::Complete } else { ChangesStatus::Partial },
        made,
        owed: left as u64,
        message,
    }))
}

fn snapshots(count: usize) -> String {
    if count == 1 { "1 snapshot".to_owned() } else { format!("{count} snapshots") }
}

impl Feeds {
    /// Compares any two snapshots, and writes nothing.
    async fn summary_of(
        &self,
        from: &str,
        to: &str,
        limit: &TimeLimit,
    ) -> Result<ChangesAnswer, Error> {
        let (from, to) = (self.named("from", from).await?, self.named("to", to).await?);
        let mut counted = Counted { limit };
        let compared = tokio::select! {
            compared = self.compare(&from, &to, &mut counted) => compared,
            _ = limit.reached() => Err(CompareError::Stopped),
        };
        match compared {
            Ok(summary) => Ok(ChangesAnswer::Summary(Box::new(summary))),
            Err(CompareError::Stopped) => Err(InvalidEvent::too_long_to_compare().into()),
            Err(CompareError::Read(ReadError::Removed { url })) => {
                let field = if is_of(&from, &url) { "from" } else { "to" };
                Err(InvalidEvent::no_snapshot(field, &url).into())
            }
            Err(error @ CompareError::DifferentInstances { .. }) => {
                Err(InvalidEvent::incomparable(&error).into())
            }
            Err(error) => Err(FeedError::from(error).into()),
        }
    }

    /// Opens a snapshot that a field of the event names.
    async fn named(&self, field: &str, id: &str) -> Result<Snapshot, Error> {
        match Snapshot::open(Arc::clone(&self.source), id, None).await {
            Ok(snapshot) => Ok(snapshot),
            Err(ReadError::NotFound { url }) => Err(InvalidEvent::no_snapshot(field, &url).into()),
            Err(error) => Err(FeedError::from(error).into()),
        }
    }
}

/// Takes records that the summary counts, and keeps none.
struct Counted<'a> {
    limit: &'a TimeLimit,
}

#[async_trait]
impl Sink for Counted<'_> {
    async fn change(&mut self, _: &Change<'_>, _: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.limit.exceeded().is_some()
    }
}
