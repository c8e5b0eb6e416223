//! Names the ways to compress a part.

use crate::resource::named;

named! {
    /// `COMPRESSION`: how parts are compressed. Its names are those of the setting and the manifest.
    Compression, "compression":
    /// `.ndjson`
    None = "none",
    /// `.ndjson.gz`
    Gzip = "gzip",
    /// `.ndjson.zst`
    Zstd = "zstd",
}
