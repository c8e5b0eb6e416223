//! How the system's allocator is set up.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What glibc reads from the environment before `main` (its manual, "Memory Allocation Tunables"):
/// one heap for all threads, since what is freed in one of several is of no use to the others; and
/// blocks of 128 KiB and more (bodies, and the lines they become) from the kernel and back to it, which moves them
/// without copying; and smaller ones given back by no less than 8 MiB, where it would be 128 KiB as soon
/// as any of these is set (docs/decisions/0016-allocator.md).
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "8388608"),
];

/// Starts this process over with the allocator set up, unless the environment does so already, as
/// the template's does. To be called before there is any other thread.
///
/// Where that is not possible everything works all the same, with more memory.
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
