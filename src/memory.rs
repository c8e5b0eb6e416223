//! Sets up the allocator of glibc.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Environment variables that glibc reads before `main` (its manual, "Memory Allocation Tunables";
/// docs/decisions/0016-allocator.md):
///
/// - One heap for all threads, because memory that is freed in one heap cannot be used by another.
/// - Blocks of 128 KiB and more, that is response bodies and their lines, come from the kernel,
///   which can grow them without copying, and go back to it.
/// - At least 8 MiB at a time are returned at the top of the heap. The default of 128 KiB would
///   cost many system calls.
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "8388608"),
];

/// Restarts this process with the allocator set up, unless the environment does so already, as the
/// template's does. To be called before there is another thread.
///
/// If the process cannot be restarted it works all the same, with more memory.
pub fn set_up() {
    let missing = SETTINGS.iter().filter(|(name, _)| env::var_os(name).is_none());
    let missing: Vec<_> = missing.copied().collect();
    if missing.is_empty() || cfg!(not(target_env = "gnu")) {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Only returns if it fails.
    let _failed = again.args(arguments).envs(missing).exec();
}
