//! Shows characters that could deceive a reader: control characters and those that reorder or hide text.

use clerk_store::quoted::escaped_json;

pub use clerk_store::quoted::for_terminal;

/// JSON of a value in one line. On a terminal the same characters are escaped in its strings, which stay the same
/// strings. Elsewhere they are left as they are: what a record says is passed on byte for byte.
///
/// # Errors
/// If the value has no JSON.
pub fn json(value: &impl serde::Serialize, is_terminal: bool) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    Ok(if is_terminal { escaped_json(json) } else { json })
}
