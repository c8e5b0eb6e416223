//! Writes the JSON documents beside the parts, such as manifests and summaries.

use bytes::Bytes;
use serde::Serialize;

/// The bytes of a document: indented for people, with a line end at the end. The same document gives the same bytes.
///
/// # Errors
/// If the document cannot be JSON, which a document of this format always can.
pub fn to_bytes(document: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(document)?;
    bytes.push(b'\n');
    Ok(Bytes::from(bytes))
}
