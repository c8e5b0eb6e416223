//! How much memory a comparison may take.

use std::path::PathBuf;

/// Bounds of a comparison's memory. Together the defaults keep it below 64 MiB, whatever the size of the snapshots.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most hashes of lines that are kept in memory, of about 48 bytes each while the parts are read. Past it, they are
    /// written to an unnamed temporary file.
    pub entries: usize,
    /// Bytes of lines and records that are kept in memory. Past it, the parts in which something differs are read once
    /// more for the rest.
    pub held_bytes: usize,
    /// Bytes of compressed parts that are read ahead on each side, in whole parts, at least one.
    pub read_ahead_bytes: u64,
    /// The folder of the temporary file, which holds nothing but hashes; the system's folder if `None`.
    pub temporary_folder: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 200_000,
            held_bytes: 16 * 1024 * 1024,
            read_ahead_bytes: 4 * 1024 * 1024,
            temporary_folder: None,
        }
    }
}
