//! Folders that cannot be written, and an output that is full.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::{Mistake, Stranger, Told, judge_all};

const fn wrong(
    what: &'static str,
    play: fn() -> super::Play,
    says: &'static str,
    to_do: &'static str,
) -> Mistake {
    Mistake { what, play, status: 1, name: "StoreUnavailable", says, to_do }
}

pub(super) const MISTAKES: [Mistake; 5] = [
    wrong(
        "names a file as the folder",
        || Box::pin(a_file_in_the_way()),
        "there is a file where a folder is needed",
        "move it away or choose another folder in SNAPSHOT_URL",
    ),
    wrong(
        "may not write to the folder",
        || Box::pin(no_permission()),
        "permission denied",
        "Nothing was copied; run it again afterwards.",
    ),
    wrong(
        "names a folder that is mounted read-only",
        || Box::pin(mounted("ro")),
        "the file system is read-only",
        "choose another folder in SNAPSHOT_URL",
    ),
    wrong(
        "has filled the disk",
        || Box::pin(mounted("size=4k,nr_inodes=64")),
        "the disk or the user's quota is full",
        "make room or choose another folder in SNAPSHOT_URL",
    ),
    Mistake {
        what: "sends the answer to a full disk",
        play: || Box::pin(full_output()),
        status: 1,
        name: "",
        says: "the answer could not be written to standard output",
        to_do: "send it to another place",
    },
];

async fn a_file_in_the_way() -> Option<Told> {
    let stranger = Stranger::new().await;
    fs::write(stranger.folder.path().join("out"), "in the way").expect("a file");
    Told::answered(&stranger.program().run().await)
}

async fn no_permission() -> Option<Told> {
    let stranger = Stranger::new().await;
    let out = stranger.folder.path().join("out");
    fs::create_dir(&out).expect("a folder");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o500)).expect("it is mine");
    // The superuser may write anywhere, unless that right is given up.
    let without = [
        "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search",
    ];
    let can_write = fs::write(out.join("probe"), "").is_ok();
    let program = stranger.program();
    let program = match can_write {
        false => program,
        true if runs(&without) => program.within(&without),
        true => return None,
    };
    Told::answered(&program.run().await)
}

/// A file system of its own, mounted like this, in place of the folder: for this one process, which a Linux that lets
/// users do so allows.
async fn mounted(options: &str) -> Option<Told> {
    let stranger = Stranger::new().await;
    let out = stranger.folder.path().join("out");
    fs::create_dir(&out).expect("a folder");
    let mount = format!("mount -t tmpfs -o {options} none '{}' && exec \"$@\"", out.display());
    let within = ["unshare", "--map-root-user", "--mount", "sh", "-c", &mount, "-"];
    runs(&within).then_some(())?;
    // More than the file system holds.
    let program = stranger.program().with("COMPRESSION", "none").within(&within);
    Told::answered(&program.run().await)
}

async fn full_output() -> Option<Told> {
    let stranger = Stranger::new().await;
    fs::metadata("/dev/full").ok()?;
    let within = ["sh", "-c", "exec \"$@\" >/dev/full", "-"];
    let program = stranger.program().with("LOG_LEVEL", "error").within(&within);
    Told::complained(&program.argument("status").run().await)
}

/// Whether these words can run a program on this machine.
fn runs(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_that_cannot_be_written_are_explained() {
    judge_all(&MISTAKES).await;
}
