//! Wrong command lines and events.

use serde_json::json;

use super::{Mistake, Stranger, Told, judge_all};
use crate::support::process::Program;

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 2, name: "InvalidEvent", says, to_do }
}

pub(super) const MISTAKES: [Mistake; 10] = [
    wrong(
        "mistypes a command",
        || Box::pin(run(|program| program.argument("snyc"))),
        "there is no command or file",
        "\"snyc\"; did you mean sync? clerk-sync --help lists the commands",
    ),
    wrong(
        "mistypes a command that has options",
        || Box::pin(run(|program| program.command(&["chekc", "--into", "./mine"]))),
        "there is no command or file",
        "\"chekc\"; did you mean check?",
    ),
    wrong(
        "mistypes the file of an event",
        || Box::pin(run(|program| program.argument("event.jsno"))),
        "the event cannot be read from the file",
        "Correct the event",
    ),
    wrong(
        "mistypes an option",
        || Box::pin(run(|program| program.command(&["sync", "--forse"]))),
        "unexpected argument '--forse' found",
        "a similar argument exists: '--force'",
    ),
    wrong(
        "puts ~ between quotation marks",
        || Box::pin(run(|program| program.command(&["sync", "--into", "~/snapshots"]))),
        "--into must not begin with ~",
        "write \"$HOME\" in its place",
    ),
    wrong(
        "does not say whom to look up",
        || Box::pin(run(|program| program.command(&["lookup", "users"]))),
        "lookup users takes exactly one of",
        "--id, --email-address, --username, --external-id",
    ),
    wrong(
        "sends an event that is not JSON",
        || Box::pin(run(|program| program.argument("-"))),
        "the event is not JSON",
        "(accepted: a JSON object such as {})",
    ),
    wrong(
        "mistypes an action",
        || Box::pin(run(|program| program.event(&json!({"action": "snyc"})))),
        "action \"snyc\" is unknown",
        "(accepted: sync, check, status, lookup, changes)",
    ),
    wrong(
        "mistypes a field",
        || Box::pin(run(|program| program.event(&json!({"forse": true})))),
        "field \"forse\" is unknown",
        "(accepted: action, resources, time_budget_seconds, force",
    ),
    Mistake {
        what: "gives two events",
        play: || Box::pin(two_events()),
        status: 2,
        name: "",
        says: "at most one EVENT is handled",
        to_do: "see clerk-sync --help",
    },
];

async fn run(change: fn(Program) -> Program) -> Option<Told> {
    let stranger = Stranger::new().await;
    Told::answered(&change(stranger.program()).run().await)
}

async fn two_events() -> Option<Told> {
    let mut told = Told::complained(&Program::bare().command(&["a.json", "b.json"]).run().await)?;
    // The sentence of a wrong command line is not a whole one.
    told.message.push('.');
    Some(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_commands_and_events_are_explained() {
    judge_all(&MISTAKES).await;
}
