//! The one table of tools.

use super::arguments::{Argument, OF_EVERY_TOOL, Takes, optional, required, schema};
use super::pins::Pins;
use super::questions::{self, Asking};

/// A question that an agent can ask: a command of the program.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name, which is that of the command.
    pub name: &'static str,
    /// A title for people.
    pub title: &'static str,
    /// What it answers, for an agent.
    pub description: &'static str,
    /// What it takes, beside [`OF_EVERY_TOOL`].
    own_arguments: &'static [Argument],
    /// Which snapshots the pages of one answer have in common.
    pub pins: Pins,
    /// Whether something follows the list of its answer, so that every page needs the answer to its end.
    pub has_summary: bool,
    /// Makes the command's question.
    pub ask: Asking,
}

const SNAPSHOT: Argument = optional(
    "snapshot",
    Takes::Text,
    "Which snapshot: `latest` (default), `previous`, an id or its beginning, a date (`2026-09-30`: the newest completed \
     by the end of that day, UTC) or an age (`-7d`, `-12h`).",
);
const IN: Argument = optional(
    "in",
    Takes::Text,
    "Only in this organization: its id, its slug, or its name if one organization has it.",
);

/// All tools.
pub const TOOLS: [Tool; 10] = [
    Tool {
        name: "who",
        title: "What a person can do",
        description: "What a person can do, and where: the user's record, and each membership with its roles and \
            permissions. Lists `people`: several, if several match.",
        own_arguments: &[
            required(
                "person",
                "An id, any of the person's e-mail addresses in any case, a user name or an external id.",
            ),
            SNAPSHOT,
        ],
        pins: Pins::Snapshot,
        has_summary: false,
        ask: questions::who,
    },
    Tool {
        name: "can",
        title: "Who has a permission",
        description: "Who has a permission, where, and through which role. Lists `holders`, by organization and then \
            person.",
        own_arguments: &[
            required(
                "permission",
                "A permission: its key (`org:sys_profile:delete`), its id, or its name if one permission has it.",
            ),
            IN,
            SNAPSHOT,
        ],
        pins: Pins::Snapshot,
        has_summary: false,
        ask: questions::can,
    },
    Tool {
        name: "holders",
        title: "Who holds a role",
        description: "Who holds a role, or is a member of anything, in an organization or everywhere. Lists `holders`, \
            by organization and then person.",
        own_arguments: &[
            optional(
                "role",
                Takes::Text,
                "Only with this role: its key (`org:admin`), its id, or its name if one role has it.",
            ),
            IN,
            SNAPSHOT,
        ],
        pins: Pins::Snapshot,
        has_summary: false,
        ask: questions::holders,
    },
    Tool {
        name: "access",
        title: "Every membership, flat",
        description: "Every membership with its roles and permissions, one flat row each. Lists `rows`.",
        own_arguments: &[
            IN,
            optional(
                "user",
                Takes::Text,
                "Only of this person: an id, any of their e-mail addresses, a user name or an external id.",
            ),
            SNAPSHOT,
        ],
        pins: Pins::Snapshot,
        has_summary: false,
        ask: questions::access,
    },
    Tool {
        name: "diff",
        title: "What changed between two snapshots",
        description: "What changed between two snapshots. Lists `changes`; `datasets` and `events` count all of them \
            on every page.",
        own_arguments: &[
            optional(
                "from",
                Takes::Text,
                "The older snapshot, named like `to`; default `previous`.",
            ),
            optional(
                "to",
                Takes::Text,
                "The newer snapshot: `latest` (default), `previous`, an id or its beginning, a date (`2026-09-30`) or \
                 an age (`-7d`).",
            ),
            optional(
                "class",
                Takes::Classes,
                "Only changes of these classes; default `access` and `security`.",
            ),
            optional("only", Takes::Datasets, "Only changes in these datasets; default all."),
        ],
        pins: Pins::Both,
        has_summary: true,
        ask: questions::diff,
    },
    Tool {
        name: "history",
        title: "What happened to something",
        description: "When what happened to a user, an organization, a role or a membership, over all published \
            snapshots, oldest first. Lists `changes`.",
        own_arguments: &[required(
            "id",
            "A person as for `who`, an organization as for `in`, a role as for `role`, or the id of any of them or of a \
             membership.",
        )],
        pins: Pins::Both,
        has_summary: false,
        ask: questions::history,
    },
    Tool {
        name: "findings",
        title: "What a reviewer should look at first",
        description: "What a reviewer should look at first, by rules, the most severe first. Lists `findings`.",
        own_arguments: &[
            optional("rule", Takes::Rules, "Only these rules; default all."),
            SNAPSHOT,
        ],
        pins: Pins::Snapshot,
        has_summary: false,
        ask: questions::findings,
    },
    Tool {
        name: "stats",
        title: "How many of what",
        description: "How many records, users by status, and memberships by role and by organization, and the growth \
            since the snapshot before. Lists `stats`.",
        own_arguments: &[SNAPSHOT],
        pins: Pins::Snapshot,
        has_summary: false,
        ask: questions::stats,
    },
    Tool {
        name: "verify",
        title: "Whether a snapshot is whole",
        description: "Whether a snapshot is what was written, and whole. Lists `checks`; one with `ok` false says what \
            is wrong. Reads the whole snapshot.",
        own_arguments: &[
            SNAPSHOT,
            optional("all", Takes::Flag, "All snapshots, newest first, instead of one."),
        ],
        pins: Pins::Newest,
        has_summary: false,
        ask: questions::verify,
    },
    Tool {
        name: "snapshots",
        title: "Which snapshots there are",
        description: "Which snapshots there are, newest first, and which of them are published. Lists `snapshots`.",
        own_arguments: &[],
        pins: Pins::Newest,
        has_summary: true,
        ask: questions::snapshots,
    },
];

impl Tool {
    /// The tool of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        static ALL: [Tool; 10] = TOOLS;
        ALL.iter().find(|tool| tool.name == name)
    }

    /// All that it takes.
    #[must_use]
    pub fn arguments(&self) -> Vec<&'static Argument> {
        self.own_arguments.iter().chain(&OF_EVERY_TOOL).collect()
    }

    /// The JSON Schema of its arguments.
    #[must_use]
    pub fn schema(&self) -> serde_json::Map<String, serde_json::Value> {
        schema(&self.arguments())
    }
}
