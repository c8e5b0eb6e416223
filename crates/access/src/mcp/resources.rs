//! What an agent can read as a whole: the newest manifest, and the JSON Schemas.

use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::layout::manifest_key;
use clerk_snapshot::reader::{Damage, ReadError};
use clerk_snapshot::timestamp::Timestamp;

use crate::archive::{Archive, ChooseError, Which};
use crate::error::Error;
use crate::schemas;

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its address.
    pub uri: String,
    /// Its name: that of the file.
    pub name: String,
    /// What it is, for an agent.
    pub description: String,
    /// Its type.
    pub mime_type: &'static str,
}

/// The address of the newest published manifest.
pub const MANIFEST_URI: &str = "clerk-access://latest/manifest.json";

/// What the address of each schema begins with.
const SCHEMAS_URI: &str = "clerk-access://schemas/";

/// All resources, the manifest first.
#[must_use]
pub fn all() -> Vec<Resource> {
    let manifest = Resource {
        uri: MANIFEST_URI.to_owned(),
        name: "manifest.json".to_owned(),
        description: "The manifest of the newest published snapshot: what was copied, when, how completely, with which \
            settings, and the checksums of all parts."
            .to_owned(),
        mime_type: "application/json",
    };
    let schema = |(name, _): (&'static str, &'static str)| Resource {
        uri: schema_uri(name),
        name: format!("{name}.schema.json"),
        description: format!("The JSON Schema of {name}."),
        mime_type: "application/schema+json",
    };
    std::iter::once(manifest).chain(schemas::all().map(schema)).collect()
}

/// The text of a resource; `None` if there is no such resource.
///
/// # Errors
/// [`Error::Choose`] if no manifest is published, or if it is not the one that was written.
pub async fn read(uri: &str, archive: &Archive, now: Timestamp) -> Result<Option<String>, Error> {
    if uri == MANIFEST_URI {
        return manifest(archive, now).await.map(Some).map_err(Error::from);
    }
    let schema = schemas::all().find(|(name, _)| schema_uri(name) == uri);
    Ok(schema.map(|(_, text)| text.to_owned()))
}

fn schema_uri(name: &str) -> String {
    format!("{SCHEMAS_URI}{name}.schema.json")
}

/// The bytes of the newest manifest, which are those that were checked when it was opened.
async fn manifest(archive: &Archive, now: Timestamp) -> Result<String, ChooseError> {
    let snapshot = archive.choose(&Which::Latest, now).await?;
    let key = manifest_key(snapshot.id());
    let url = archive.source().url_of(&key);
    let bytes = match archive.source().read(&key).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(ReadError::NotFound { url }.into()),
        Err(source) => return Err(ReadError::Unavailable { url, source }.into()),
    };
    let (expected, found) = (*snapshot.manifest_sha256(), Sha256Hex::of(&bytes));
    if expected != found {
        let problem = Damage::Checksum { named_by: "latest.json", expected, found };
        return Err(ReadError::Damaged { url, problem }.into());
    }
    // It was parsed as JSON, so it is UTF-8.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
