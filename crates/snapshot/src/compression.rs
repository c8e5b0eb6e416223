//! How parts are stored.

use crate::resource::named;

named! {
    /// `COMPRESSION`: how the parts are stored. Its name is that in the setting and in the manifest.
    Compression, "compression":
    /// `.ndjson`
    None = "none",
    /// `.ndjson.gz`
    Gzip = "gzip",
    /// `.ndjson.zst`
    Zstd = "zstd",
}
