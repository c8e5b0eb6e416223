//! Promise 6: every sync ends, however the server lists its rows, within a number of requests that
//! depends on the number of rows.

use clerk_sandbox::{ChurnPlan, DeletedCursor, Effect, FaultRule, Rules, Sandbox};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::{cases, paused};
use crate::support::bounded::Bounded;
use crate::support::plain::{FIRST, add_memberships, fill, plain};
use crate::support::world::World;

/// A list, the oddities of its server, and its changes.
#[derive(Debug, Clone)]
struct Story {
    list: &'static str,
    /// Milliseconds from each row to the next; zero for rows of one time.
    gaps: Vec<u8>,
    /// The most rows of a page.
    page: usize,
    deleted_cursor: DeletedCursor,
    oddities: Vec<Oddity>,
    churn: Option<Churn>,
    /// The time budget of one invocation, in hundredths of a second.
    budget: Option<u8>,
}

/// An oddity of some or all pages of a list.
#[derive(Debug, Clone)]
struct Oddity {
    what: What,
    first: u64,
    how_many: u64,
}

#[derive(Debug, Clone)]
enum What {
    Pages(Effect),
    Counts(Effect),
    RefusedCursor,
}

/// A change at every n-th page.
#[derive(Debug, Clone)]
struct Churn {
    every: u64,
    inserts: usize,
    deletes: usize,
    backdate_one_in: u32,
    last_page: u64,
}

const LISTS: [&str; 5] =
    ["users", "organizations", "organization_memberships", "allowlist_identifiers", "api_keys"];

fn stories() -> impl Strategy<Value = Story> {
    let lists = proptest::sample::select(&LISTS[..]);
    let deleted_cursors = prop_oneof![
        Just(DeletedCursor::Refused),
        Just(DeletedCursor::Continues),
        Just(DeletedCursor::EmptyPage),
        Just(DeletedCursor::FirstPage)
    ];
    let gaps = vec(prop_oneof![3 => Just(0_u8), 2 => 1..4_u8], 0..60);
    let pages = prop_oneof![4 => 2..20_usize, 1 => Just(500)];
    let budgets = option::of(1..20_u8);
    (lists, gaps, pages, deleted_cursors, vec(oddities(), 0..4), option::of(churns()), budgets)
        .prop_map(|(list, gaps, page, deleted_cursor, oddities, churn, budget)| Story {
            list,
            gaps,
            page,
            deleted_cursor,
            oddities,
            churn,
            budget,
        })
}

fn oddities() -> impl Strategy<Value = Oddity> {
    let ignored = |name: &str| What::Pages(Effect::IgnoreParameter(name.to_owned()));
    let what = prop_oneof![
        (0..6_usize).prop_map(|rows| What::Pages(Effect::TruncatePage(rows))),
        (0..6_usize).prop_map(|row| What::Pages(Effect::RepeatRow(row))),
        (0..6_usize).prop_map(|row| What::Pages(Effect::HideRow(row))),
        (0..6_usize).prop_map(|row| What::Pages(Effect::SwapRows(row))),
        (-5..6_i64).prop_map(|shift| What::Counts(Effect::ShiftTotal(shift))),
        prop_oneof![Just(0), Just(MAX_STATED), Just(100_000_000)]
            .prop_map(|total| What::Counts(Effect::Total(total))),
        Just(ignored("starting_after")),
        Just(ignored("offset")),
        Just(What::RefusedCursor),
    ];
    let how_many = prop_oneof![1..4_u64, Just(u64::MAX / 2)];
    (what, 1..8_u64, how_many).prop_map(|(what, first, how_many)| Oddity { what, first, how_many })
}

fn churns() -> impl Strategy<Value = Churn> {
    let last_pages = prop_oneof![1..20_u64, Just(u64::MAX)];
    (1..4_u64, 0..3_usize, 0..3_usize, 0..4_u32, last_pages).prop_map(
        |(every, inserts, deletes, backdate_one_in, last_page)| Churn {
            every,
            inserts,
            deletes,
            backdate_one_in,
            last_page,
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
        let sandbox = match self.list {
            "organization_memberships" => {
                let sandbox = plain(10, 7, 0);
                add_memberships(&sandbox, moments.len(), |row| moments[row]);
                sandbox
            }
            "users" | "organizations" => {
                let sandbox = plain(0, 0, 0);
                fill(&sandbox, self.list, moments.len(), |row| moments[row]);
                sandbox
            }
            list => {
                let sandbox = plain(7, 3, 0);
                for &moment in &moments {
                    sandbox.add_sample(list, moment).expect("there is a sample");
                }
                sandbox
            }
        };
        sandbox.set_rules(Rules { deleted_cursor: self.deleted_cursor, ..Rules::default() });
        let path = format!("/v1/{}", self.list);
        sandbox.fault(FaultRule::on(&path).truncate_page(self.page));
        for Oddity { what, first, how_many } in &self.oddities {
            let calls = |rule: FaultRule| rule.calls(*first, first + how_many - 1);
            // The oddity of a list read by owner may also be one of the list of its owners.
            let pages = match (self.list, first % 2) {
                ("api_keys", 0) => "/v1/users",
                _ => path.as_str(),
            };
            sandbox.fault(calls(match what {
                What::Pages(effect) => FaultRule::on(pages).effect(effect.clone()),
                What::RefusedCursor => FaultRule::on(pages).refuse_cursor(),
                What::Counts(effect) if self.list == "users" => {
                    let effect = match effect {
                        Effect::Total(total) if self.grows_for_ever() => {
                            Effect::Total((*total).min(MAX_STATED))
                        }
                        effect => effect.clone(),
                    };
                    FaultRule::on("/v1/users/count").effect(effect)
                }
                What::Counts(effect) => FaultRule::on(pages).effect(effect.clone()),
            }));
        }
        if let Some(churn) = &self.churn {
            sandbox.churn(ChurnPlan {
                seed: self.gaps.len() as u64,
                every_pages: match self.list {
                    // A list without an order is read again as a whole, up to twelve times: growing
                    // by a third each time, it would end up a hundred times as long.
                    "allowlist_identifiers" if self.grows_for_ever() => 30 * churn.every,
                    _ => churn.every,
                },
                inserts: churn.inserts,
                deletes: churn.deletes,
                backdate_one_in: churn.backdate_one_in,
                lists: vec![self.list],
                last_page: churn.last_page,
            });
        }
        sandbox
    }

    fn grows_for_ever(&self) -> bool {
        self.churn.as_ref().is_some_and(|it| it.inserts > 0 && it.last_page == u64::MAX)
    }

    /// The most requests that may be sent: each page may have only one new row, every repair may
    /// read all pages again, and each looks for rows that have moved.
    fn most_requests(&self) -> u64 {
        EACH * self.gaps.len() as u64 + AT_LEAST
    }
}

/// A list that grows with every page by cursor is followed up to the size that its count states.
const MAX_STATED: i64 = 100;
const EACH: u64 = 30;
const AT_LEAST: u64 = 1500;

proptest! {
    #![proptest_config(Config { max_shrink_iters: 60, ..cases(200) })]

    /// The sync ends with a complete snapshot, or with an error that names the list, and never runs
    /// forever.
    #[test]
    fn a_sync_ends_whatever_the_server_does(story in stories()) {
        paused(async {
            let sandbox = story.sandbox();
            let world = World::new(sandbox.clone())
                .with("RESOURCES", story.list)
                .with("COMPRESSION", "none")
                .with("CLERK_REQUESTS_PER_10S", "1000");
            let bounded = Bounded::new(world, story.most_requests(), |_, _, _| ());
            let seconds = story.budget.map(|hundredths| f64::from(hundredths) / 100.0);
            let (_, ended) = bounded.ending(seconds, 1000, "drawn").await;
            match ended {
                Ok(answer) => {
                    prop_assert_eq!(&answer["status"], "complete");
                    let snapshot = bounded.world.published().expect("published");
                    for (name, dataset) in snapshot.manifest["datasets"].as_object().unwrap() {
                        let status = dataset["status"].as_str().unwrap();
                        prop_assert!(["verified", "drifted", "failed"].contains(&status), "{}: {}", name, status);
                    }
                }
                Err(error) => {
                    prop_assert!(["ClerkProtocol", "ClerkUnavailable"].contains(&error.name()));
                    let path = if story.list == "api_keys" { "/" } else { story.list };
                    prop_assert!(error.message().contains(path), "{}", error);
                    prop_assert!(bounded.world.published().is_none());
                }
            }
            Ok(())
        })?;
    }
}
