//! Every row that stays is in the snapshot exactly once, whatever the pages and the changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use clerk_sandbox::{DeletedCursor, FaultRule, Rules, Sandbox};
use clerk_sync::clerk::bytes_in_flight::Room;
use clerk_sync::clerk::transport::{Answer, Transport, TransportError};
use proptest::collection::vec;
use proptest::prelude::*;
use reqwest::header::HeaderMap;
use url::Url;

use super::{cases, paused};
use crate::support::pieces::{complete, complete_in_pieces};
use crate::support::plain::{FIRST, add, fill, plain};
use crate::support::sandbox_transport::SandboxTransport;
use crate::support::source::{Source, membership_ids};
use crate::support::world::World;

/// A list, its server and its changes.
#[derive(Debug, Clone)]
struct Story {
    list: &'static str,
    /// Milliseconds from each row to the next; zero for rows of one time.
    gaps: Vec<u8>,
    /// The most rows of a page.
    page: usize,
    deleted_cursor: DeletedCursor,
    /// Whether a page begins with the row of its cursor, as with some servers.
    inclusive: bool,
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Change {
    /// Just before this request is answered, from 1.
    request: u64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The row at this fraction of the list.
    Delete(f64),
    /// A row created this many milliseconds after the first.
    Insert(i64),
}

fn stories() -> impl Strategy<Value = Story> {
    let lists = prop_oneof![Just("users"), Just("organizations"), Just("organization_memberships")];
    let deleted_cursors = prop_oneof![
        Just(DeletedCursor::Refused),
        Just(DeletedCursor::Continues),
        Just(DeletedCursor::EmptyPage),
        Just(DeletedCursor::FirstPage)
    ];
    let gaps = vec(prop_oneof![3 => Just(0_u8), 2 => 1..4_u8], 0..60);
    let kinds = prop_oneof![(0.0..1.0).prop_map(Kind::Delete), (0..100_i64).prop_map(Kind::Insert)];
    let change = (1..30_u64, kinds).prop_map(|(request, kind)| Change { request, kind });
    (lists, gaps, 2..20_usize, deleted_cursors, any::<bool>(), vec(change, 0..8)).prop_map(
        |(list, gaps, page, deleted_cursor, inclusive, changes)| Story {
            list,
            gaps,
            page,
            deleted_cursor,
            inclusive,
            changes,
        },
    )
}

impl Story {
    fn sandbox(&self) -> Sandbox {
        let moments: Vec<i64> = self
            .gaps
            .iter()
            .scan(FIRST, |moment, &gap| {
                *moment += i64::from(gap);
                Some(*moment)
            })
            .collect();
        let sandbox = if self.list == "organization_memberships" {
            let sandbox = plain(10, 7, 0);
            crate::support::plain::add_memberships(&sandbox, moments.len(), |row| moments[row]);
            sandbox
        } else {
            let sandbox = plain(0, 0, 0);
            fill(&sandbox, self.list, moments.len(), |row| moments[row]);
            sandbox
        };
        sandbox.set_rules(Rules { deleted_cursor: self.deleted_cursor, ..Rules::default() });
        sandbox.fault(FaultRule::on(format!("/v1/{}", self.list)).truncate_page(self.page));
        let (list, changes) = (self.list, self.changes.clone());
        let asked = AtomicU64::new(0);
        sandbox.on_request(move |sandbox, _| {
            let request = asked.fetch_add(1, Ordering::SeqCst) + 1;
            for change in changes.iter().filter(|change| change.request == request) {
                change.kind.happen(sandbox, list);
            }
        });
        sandbox
    }

    fn world(&self, sandbox: &Sandbox) -> World {
        let mut world = World::new(sandbox.clone()).with("RESOURCES", self.list);
        if self.inclusive {
            world.transport = Arc::new(InclusiveCursor(sandbox.clone()));
        }
        world
    }
}

impl Kind {
    fn happen(&self, sandbox: &Sandbox, list: &str) {
        match *self {
            Self::Delete(part) => {
                let ids = sandbox.ids(list);
                if let Some(id) = ids.get((part * ids.len() as f64) as usize) {
                    sandbox.delete(list, id);
                }
            }
            Self::Insert(after) => {
                let id = format!("late_{}", sandbox.history().len());
                if list == "organization_memberships" {
                    add(sandbox, "users", &id, FIRST);
                    let organization = &sandbox.ids("organizations")[0];
                    sandbox.add_membership(organization, &id, "org:admin", FIRST + after).unwrap();
                } else {
                    add(sandbox, list, &id, FIRST + after);
                }
            }
        }
    }
}

/// Answers `starting_after` with the named row and those after it.
#[derive(Debug)]
struct InclusiveCursor(Sandbox);

#[async_trait]
impl Transport for InclusiveCursor {
    async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        room: &mut Room,
    ) -> Result<Answer, TransportError> {
        let mut url = url.clone();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let ids = self.0.ids("users");
        let before =
            |id: &str| Some(ids[ids.iter().position(|it| it == id)?.checked_sub(1)?].clone());
        url.query_pairs_mut().clear().extend_pairs(pairs.into_iter().filter_map(
            |(name, value)| {
                let is_first = ids.first() == Some(&value);
                match name.as_str() {
                    "starting_after" if is_first => None,
                    "starting_after" => Some((name, before(&value).unwrap_or(value))),
                    _ => Some((name, value)),
                }
            },
        ));
        SandboxTransport(self.0.clone()).get(&url, headers, room).await
    }
}

/// A case that once failed.
#[test]
fn deletions_at_both_ends_of_a_segment_of_tied_rows_double_none() {
    let change = |request, kind| Change { request, kind };
    let changes = vec![
        change(3, Kind::Delete(0.0)),
        change(3, Kind::Insert(2)),
        change(3, Kind::Insert(3)),
        change(17, Kind::Delete(0.53)),
        change(20, Kind::Delete(0.0)),
        change(20, Kind::Insert(0)),
    ];
    for list in ["users", "organizations", "organization_memberships"] {
        for later in 0..12 {
            let mut changes = changes.clone();
            changes[3..].iter_mut().for_each(|change| change.request += later);
            let story = Story {
                list,
                gaps: [[0; 11].as_slice(), &[2]].concat(),
                page: 2,
                deleted_cursor: DeletedCursor::Refused,
                inclusive: false,
                changes,
            };
            paused(async {
                let sandbox = story.sandbox();
                let source = Source::of(&sandbox);
                let snapshot = complete(&story.world(&sandbox), "at once").await;
                source.assert_kept_by(&snapshot, &format!("{list}, {later} requests later"));
            });
        }
    }
}

proptest! {
    #![proptest_config(cases(120))]

    /// Promise 1. The source also checks that no row is invented, that the order is right, and that
    /// no dataset is called verified with a count that differs from Clerk's.
    #[test]
    fn every_row_that_stays_is_there_once(story in stories()) {
        paused(async {
            let sandbox = story.sandbox();
            let source = Source::of(&sandbox);
            let snapshot = complete(&story.world(&sandbox), "at once").await;
            source.assert_kept_by(&snapshot, "at once");
        });
    }

    /// The same in several invocations.
    #[test]
    fn every_row_that_stays_is_there_once_despite_interruptions(story in stories(), hundredths in 1..20_u32) {
        paused(async {
            let sandbox = story.sandbox();
            let source = Source::of(&sandbox);
            let world = story.world(&sandbox).with("CLERK_REQUESTS_PER_10S", "1000");
            let seconds = f64::from(hundredths) / 100.0;
            let (_, snapshot) = complete_in_pieces(&world, seconds, "in pieces").await;
            source.assert_kept_by(&snapshot, "in pieces");
        });
    }

    /// A list that does not change is copied exactly, in its order.
    #[test]
    fn a_list_that_does_not_change_is_copied_as_it_is(story in stories()) {
        paused(async {
            let story = Story { changes: Vec::new(), ..story };
            let sandbox = story.sandbox();
            let snapshot = complete(&story.world(&sandbox), "unchanged").await;
            let rows = match story.list {
                "organization_memberships" => membership_ids(&snapshot),
                list => snapshot.ids(list),
            };
            assert_eq!(rows, sandbox.ids(story.list));
            assert_eq!(snapshot.manifest["verified"], true);
        });
    }
}

/// The number of users created at one time, and the time to the next ones in milliseconds.
fn crowds() -> impl Strategy<Value = Vec<(usize, i64)>> {
    let gaps = prop_oneof![Just(0), 1..1000_i64, 1_000_000..10_000_000_i64];
    vec((1..6000_usize, gaps), 2..6)
}

proptest! {
    #![proptest_config(cases(6))]

    /// Users may have been created all at once or over years: concurrent windows hold each of them
    /// once.
    #[test]
    fn windows_hold_every_user_once_however_they_came(
        crowds in crowds(),
        (before_includes, after_includes) in any::<(bool, bool)>(),
    ) {
        paused(async {
            let moments: Vec<i64> = crowds
                .iter()
                .flat_map(|&(users, gap)| std::iter::repeat_n(gap, users))
                .scan(FIRST, |moment, gap| {
                    *moment += gap;
                    Some(*moment)
                })
                .collect();
            let sandbox = Sandbox::empty();
            fill(&sandbox, "users", moments.len(), |row| moments[row]);
            sandbox.set_rules(Rules { before_includes, after_includes, ..Rules::default() });
            sandbox.set_latency(std::time::Duration::from_millis(50), std::time::Duration::ZERO);
            let world = World::new(sandbox.clone()).with("RESOURCES", "users");
            let snapshot = complete(&world.with("COMPRESSION", "none"), "crowds").await;
            assert!(snapshot.ids("users") == sandbox.ids("users"));
            assert_eq!(snapshot.manifest["verified"], true);
        });
    }
}
