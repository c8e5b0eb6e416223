//! The table of settings, and the text of `--help`.

use super::parse;
use clerk_snapshot::resource::Resource;

/// One environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The variable's name.
    pub name: &'static str,
    /// Its default value, or `required`, or `-` for none, or a description.
    pub default: &'static str,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
}

/// Every setting, in the order of the reference's table (docs/reference.md).
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: parse::SETTING_SNAPSHOT_URL,
        default: "required",
        meaning: "Where everything is written: s3://bucket[/prefix] or file:///absolute/folder",
    },
    Setting {
        name: parse::SETTING_RESOURCES,
        default: "required",
        meaning: "Comma-separated list of what to copy (see below); nothing is read that is not \
                  named here",
    },
    Setting {
        name: parse::SETTING_SECRET_ID,
        default: "-",
        meaning: "Name or ARN of the AWS Secrets Manager secret that holds Clerk's secret key, \
                  bare or in a JSON object",
    },
    Setting {
        name: parse::SETTING_SECRET_FIELD,
        default: "-",
        meaning: "Field of a secret that is a JSON object; without it CLERK_SECRET_KEY, \
                  secret_key and secret-key are tried",
    },
    Setting {
        name: parse::SETTING_SECRET_KEY,
        default: "-",
        meaning: "The key itself, outside Lambda only. Exactly one of this and CLERK_SECRET_ID",
    },
    Setting {
        name: parse::SETTING_API_URL,
        default: "https://api.clerk.com",
        meaning: "Clerk's Backend API, with or without /v1; http is accepted for loopback hosts \
                  only",
    },
    Setting {
        name: parse::SETTING_API_VERSION,
        default: "2026-05-12",
        meaning: "Sent as Clerk-API-Version",
    },
    Setting {
        name: parse::SETTING_REQUESTS_PER_10S,
        default: "1000 for sk_live_, 100 for sk_test_",
        meaning: "The instance's rate limit, in requests per 10 seconds (1 to 1000000)",
    },
    Setting {
        name: parse::SETTING_RATE_SHARE,
        default: "0.5",
        meaning: "The share of that limit to use (above 0, at most 1); the rest is left to your \
                  own application",
    },
    Setting {
        name: parse::SETTING_MAX_CONCURRENCY,
        default: "32 to 128, as the rate needs",
        meaning: "Most requests in flight at once (1 to 1000)",
    },
    Setting {
        name: parse::SETTING_TIME_BUDGET,
        default: "-",
        meaning: "Time one invocation works before it pauses (0 to 31536000); Lambda's own \
                  deadline applies as well. Even the smallest budget stores some progress first. \
                  All numbers of time accept decimals",
    },
    Setting {
        name: parse::SETTING_DEADLINE_RESERVE,
        default: "20",
        meaning: "Reserved before Lambda's deadline to flush and checkpoint (0 to 900)",
    },
    Setting {
        name: parse::SETTING_LEASE,
        default: "60",
        meaning: "A run whose holder has not renewed its lease for this long is free to take (2 \
                  to 900)",
    },
    Setting {
        name: parse::SETTING_SNAPSHOT_INTERVAL,
        default: "0",
        meaning: "A plain sync answers skipped while the newest complete snapshot was started \
                  more recently than this (0 to 525600). A run in progress is always continued",
    },
    Setting {
        name: parse::SETTING_SNAPSHOT_MAX_AGE,
        default: "24",
        meaning: "A run in progress older than this is abandoned and a new one started (0 to \
                  8760)",
    },
    Setting {
        name: parse::SETTING_COMPRESSION,
        default: "gzip",
        meaning: "none, gzip or zstd: parts end in .ndjson, .ndjson.gz or .ndjson.zst",
    },
    Setting {
        name: parse::SETTING_METADATA,
        default: "-",
        meaning: "Comma-separated subset of public, private and unsafe: which of Clerk's metadata \
                  bags are copied",
    },
    Setting {
        name: parse::SETTING_INCLUDE_RAW,
        default: "false",
        meaning: "true adds raw: Clerk's own object, without what must never be written out",
    },
    Setting {
        name: parse::SETTING_REDACT,
        default: "-",
        meaning: "Comma-separated subset of email, phone, name and ip: personal data of these kinds \
                  is replaced by a hash keyed with the field redaction_key of the secret, or by \
                  null without such a key. Not together with INCLUDE_RAW",
    },
    Setting {
        name: parse::SETTING_DAU_LOOKBACK,
        default: "30",
        meaning: "How many days daily_active_users counts, up to the one the snapshot was started \
                  on (1 to 365)",
    },
    Setting {
        name: parse::SETTING_SHRINK_GUARD,
        default: "50",
        meaning: "A snapshot in which any dataset of at least 20 records lost more than this \
                  percentage since the last published one is held (0 to 100), and so is one in \
                  which a dataset that had records is skipped or failed now. 0 turns both off",
    },
    Setting {
        name: parse::SETTING_KEEP_SNAPSHOTS,
        default: "all",
        meaning: "After publishing, older published snapshots but the newest this many are removed \
                  (1 to 1000000); what changed, below changes/, stays",
    },
    Setting {
        name: parse::SETTING_CHANGES,
        default: "off",
        meaning: "access or all: after publishing, what changed since the snapshot before is \
                  written below changes/. access: who can do what, and how they prove who they \
                  are",
    },
    Setting {
        name: parse::SETTING_ATHENA_LATEST,
        default: "false",
        meaning: "true: after publishing, lists of the newest snapshot's files are written below \
                  athena/, for tables that always show the newest snapshot",
    },
    Setting {
        name: parse::SETTING_SIGNING_KEY,
        default: "-",
        meaning: "A KMS key (ECDSA P-256, SIGN_VERIFY): each manifest is signed with it before \
                  latest.json moves; the signature is manifest.json.sig beside the manifest",
    },
    Setting {
        name: parse::SETTING_BUCKET_OWNER,
        default: "-",
        meaning: "The AWS account that must own the bucket, 12 digits; S3 refuses every request if \
                  another one does",
    },
    Setting {
        name: parse::SETTING_ENCRYPTION,
        default: "-",
        meaning: "AES256 or aws:kms: asks S3 for this encryption with each object, for buckets \
                  whose policy demands it. Without it the bucket's default applies",
    },
    Setting {
        name: parse::SETTING_ENCRYPTION_KEY,
        default: "-",
        meaning: "With aws:kms, the KMS key to encrypt with; without it the bucket's own",
    },
    Setting {
        name: parse::SETTING_SESSIONS_LOOKBACK,
        default: "30",
        meaning: "If Clerk lists sessions only user by user, only those of users are read who were \
                  active within this number of days (0 to 365)",
    },
    Setting {
        name: parse::SETTING_LOG_LEVEL,
        default: "info",
        meaning: "error, warn, info, debug or trace. Without it AWS_LAMBDA_LOG_LEVEL applies",
    },
    Setting {
        name: parse::SETTING_METRICS_NAMESPACE,
        default: "-",
        meaning: "In Lambda, the CloudWatch namespace of the metrics that each sync writes to its \
                  log; without it none are written",
    },
];

/// Every exit status, and what it means.
pub const EXIT_STATUSES: &[(u8, &str)] = &[
    (0, "complete, skipped, or an answered query"),
    (1, "any other error, and a check of which a part is not ok"),
    (2, "bad configuration, event or command"),
    (3, "held by the shrink guard"),
    (75, "partial or busy: run it again to continue. Ctrl-C checkpoints first"),
];

/// What `--help` says about the commands, in builds that have them.
const COMMANDS: &str = "\
Commands, each of which stands for an event (clerk-sync COMMAND --help):
  sync         continue the run in progress, or start one: --into URL-or-folder,
               --resources A,B, --time-budget SECONDS, --force, --restart,
               --accept-shrink
  check        test the settings, the key, Clerk and the store
  status       the run in progress and the newest snapshot
  lookup       one thing as a snapshot would hold it
  changes      write the changes that are owed, or sum up what changed
  completions  of bash, zsh or fish
  man          the manual page
A command answers in words on a terminal, and elsewhere, or with --json, as an
event does. A file of such a name is given as ./check.

";

/// The text of `--help`, ending in a newline; at most 80 columns wide.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "\
Copies who has access to what in a Clerk instance to S3 or a folder, as NDJSON
with a manifest and checksums. Only ever reads from Clerk.

Usage: clerk-sync [EVENT]
       clerk-sync COMMAND [OPTIONS]
       clerk-sync --help | --version

",
    );
    text.push_str(if cfg!(feature = "cli") { COMMANDS } else { "This build has no commands.\n\n" });
    text.push_str(
        "\
EVENT  a file with the event's JSON, - for standard input, nothing for {}
       {} or {\"action\":\"sync\"}  continue the run in progress, or start one;
          with \"resources\" (overrides RESOURCES), \"time_budget_seconds\",
          \"force\" (ignore the interval), \"restart\" (abandon a run in progress),
          \"accept_shrink\" (publish past the guard)
       {\"action\":\"check\"}       test the settings, the key, Clerk and the store
       {\"action\":\"status\"}      the run in progress and the last snapshot
       {\"action\":\"changes\"}     write the changes that are owed; with \"from\" and
          \"to\", sum up what changed between these two snapshots
       {\"action\":\"lookup\"}      one thing as a snapshot would hold it; with
          \"resource\", and \"id\", or for users \"email_address\", \"username\" or
          \"external_id\", for organizations \"slug\", for organization_memberships
          \"organization_id\" and \"user_id\"; \"grants\" (its grants as well)

The response to an event is one JSON document on standard output; logs go to
standard error. Where AWS_LAMBDA_RUNTIME_API is set, it runs as a Lambda
function.

Settings (environment variables; an empty one counts as not set):
",
    );
    for setting in SETTINGS {
        text.push_str(&format!("  {}  [{}]\n", setting.name, setting.default));
        push_wrapped(&mut text, setting.meaning);
    }
    text.push_str("\nResources:\n");
    let names: Vec<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    push_wrapped(&mut text, &names.join(", "));
    text.push_str(
        "
AWS endpoints, region and credentials come from the SDK's usual places.

Exit status:
",
    );
    for (status, meaning) in EXIT_STATUSES {
        text.push_str(&format!("  {status:2}  {meaning}\n"));
    }
    text.push_str(
        "
Example:
  export SNAPSHOT_URL=file:///var/tmp/clerk RESOURCES=users,organizations
  export CLERK_SECRET_ID=clerk/production
  clerk-sync
",
    );
    text
}

/// The width of `--help` in columns, for common terminals.
const WIDTH: usize = 80;
const INDENT: &str = "      ";

/// Appends `sentence` in indented lines of whole words, none wider than [`WIDTH`].
fn push_wrapped(text: &mut String, sentence: &str) {
    let mut column = 0;
    for word in sentence.split_whitespace() {
        if column == 0 || column + 1 + word.len() > WIDTH {
            if column > 0 {
                text.push('\n');
            }
            text.push_str(INDENT);
            column = INDENT.len();
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_setting_every_exit_status_and_fits_a_terminal() {
        let help = help();
        for setting in SETTINGS {
            let heading = format!("\n  {}  [{}]\n", setting.name, setting.default);
            assert!(help.contains(&heading), "{heading}");
        }
        for status in ["\n   0  ", "\n   1  ", "\n   2  ", "\n   3  ", "\n  75  "] {
            assert!(help.contains(status), "{status}");
        }
        let too_wide = help.lines().find(|line| line.chars().count() > WIDTH);
        assert_eq!(too_wide, None);
        assert!(help.ends_with('\n'));
    }

    #[test]
    fn a_line_holds_as_many_whole_words_as_fit() {
        let wrapped = |sentence: &str| {
            let mut text = String::new();
            push_wrapped(&mut text, sentence);
            text
        };
        assert_eq!(wrapped("two words"), "      two words\n");
        let (long, full) = ("x".repeat(40), "y".repeat(WIDTH - INDENT.len() - 41));
        assert_eq!(wrapped(&format!("{long} {full} z")), format!("      {long} {full}\n      z\n"));
        assert_eq!(wrapped(&format!("{long} {full}z")), format!("      {long}\n      {full}z\n"));
        assert_eq!(wrapped(&"a ".repeat(40)).lines().map(str::len).collect::<Vec<_>>(), [79, 11]);
    }

    #[test]
    fn help_names_every_resource() {
        for resource in Resource::ALL {
            assert!(help().contains(resource.name()));
        }
    }
}
