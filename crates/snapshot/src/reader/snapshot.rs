//! Opens a snapshot, and reads its parts.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};

use super::error::{Damage, ReadError};
use super::lines::PartLines;
use super::removal::why_missing;
use crate::compression::Compression;
use crate::digest::Sha256Hex;
use crate::layout;
use crate::manifest::{MANIFEST_FORMAT, Manifest, unknown_datasets};
use crate::part::Part;
use crate::resource::Dataset;
use crate::source::Source;

/// A snapshot whose manifest was read and checked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    source: Arc<dyn Source>,
    manifest: Arc<Manifest>,
    manifest_sha256: Sha256Hex,
    unknown_datasets: Arc<[String]>,
}

/// The bytes of a part, which have the size and SHA-256 that the manifest says.
#[derive(Debug, Clone)]
pub struct VerifiedPart {
    bytes: Bytes,
    compression: Compression,
    records: u64,
    url: String,
}

impl Snapshot {
    /// Opens the snapshot `snapshot_id`. With `expected`, its manifest must have that SHA-256.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] if there is no such snapshot, also for a text that is no snapshot's id.
    /// [`ReadError::Damaged`] if its manifest is not the expected one, not of this format, that of another snapshot, or
    /// names parts outside of its folders. [`ReadError::Unavailable`] if the store does not answer.
    pub async fn open(
        source: Arc<dyn Source>,
        snapshot_id: &str,
        expected: Option<&Sha256Hex>,
    ) -> Result<Self, ReadError> {
        let key = layout::manifest_key(snapshot_id);
        let url = source.url_of(&key);
        if !layout::is_snapshot_id(snapshot_id) {
            return Err(ReadError::NotFound { url });
        }
        let bytes = read(&*source, &key).await?;
        let manifest_sha256 = Sha256Hex::of(&bytes);
        match parse(&bytes, snapshot_id, manifest_sha256, expected) {
            Ok((manifest, unknown)) => {
                let (manifest, unknown_datasets) = (Arc::new(manifest), unknown.into());
                Ok(Self { source, manifest, manifest_sha256, unknown_datasets })
            }
            Err(problem) => Err(ReadError::Damaged { url, problem }),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.snapshot_id
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of its manifest's bytes.
    #[must_use]
    pub const fn manifest_sha256(&self) -> &Sha256Hex {
        &self.manifest_sha256
    }

    /// The names of its datasets that this version does not know, and that a newer one wrote. Nothing can be said of
    /// them.
    #[must_use]
    pub fn unknown_datasets(&self) -> &[String] {
        &self.unknown_datasets
    }

    /// Where it is stored.
    #[must_use]
    pub const fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// The parts of a dataset, in the order of its lines; none if the snapshot has not got the dataset.
    #[must_use]
    pub fn parts(&self, dataset: Dataset) -> &[Part] {
        self.manifest.datasets.get(&dataset).map_or(&[], |entry| &entry.parts)
    }

    /// The address of a part, for messages.
    #[must_use]
    pub fn part_url(&self, part: &Part) -> String {
        self.source.url_of(&self.part_key(part))
    }

    /// Reads a part and holds it against its size and SHA-256.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if it is missing or other bytes than were written; [`ReadError::Removed`] if it is missing
    /// because the snapshot is being removed; [`ReadError::Unavailable`].
    pub async fn read_part(&self, part: &Part) -> Result<VerifiedPart, ReadError> {
        let bytes = match read(&*self.source, &self.part_key(part)).await {
            Err(ReadError::NotFound { url }) => {
                return Err(why_missing(&*self.source, self.id(), url).await);
            }
            read => read?,
        };
        let url = self.part_url(part);
        match verify(&bytes, part) {
            Ok(()) => Ok(VerifiedPart {
                bytes,
                compression: self.manifest.compression,
                records: part.records,
                url,
            }),
            Err(problem) => Err(ReadError::Damaged { url, problem }),
        }
    }

    /// Reads `parts` side by side, at most `at_once` of them in memory before they are taken, and yields them in their
    /// order.
    ///
    /// # Errors
    /// Each item is a result of [`read_part`](Self::read_part).
    pub fn read_parts<'a>(
        &'a self,
        parts: impl IntoIterator<Item = &'a Part, IntoIter: Send + 'a>,
        at_once: usize,
    ) -> BoxStream<'a, Result<VerifiedPart, ReadError>> {
        let reads = parts.into_iter().map(|part| self.read_part(part));
        futures_util::stream::iter(reads).buffered(at_once.max(1)).boxed()
    }

    fn part_key(&self, part: &Part) -> String {
        format!("{}{}", layout::snapshot_folder(self.id()), part.key)
    }
}

impl VerifiedPart {
    /// Its lines.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if no decompressor can be set up.
    pub fn lines(&self) -> Result<PartLines, ReadError> {
        PartLines::new(self.compression, self.bytes.clone(), self.records, self.url.clone())
    }

    /// The stored bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its address, for messages.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Reads a file that must exist.
async fn read(source: &dyn Source, key: &str) -> Result<Bytes, ReadError> {
    let url = || source.url_of(key);
    match source.read(key).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(ReadError::NotFound { url: url() }),
        Err(source) => Err(ReadError::Unavailable { url: url(), source }),
    }
}

fn parse(
    bytes: &[u8],
    snapshot_id: &str,
    sha256: Sha256Hex,
    expected: Option<&Sha256Hex>,
) -> Result<(Manifest, Vec<String>), Damage> {
    if let Some(&expected) = expected.filter(|expected| **expected != sha256) {
        return Err(Damage::Checksum {
            named_by: "what names the snapshot",
            expected,
            found: sha256,
        });
    }
    check_format(bytes)?;
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| Damage::from(&error))?;
    if manifest.snapshot_id != snapshot_id {
        return Err(Damage::OtherSnapshot);
    }
    let is_in_place = manifest
        .datasets
        .iter()
        .all(|(&dataset, entry)| entry.parts.iter().all(|part| is_in_folder(dataset, &part.key)));
    if !is_in_place {
        return Err(Damage::PartKey);
    }
    let unknown = unknown_datasets(bytes).map_err(|error| Damage::from(&error))?;
    Ok((manifest, unknown))
}

/// A manifest of another format may have another shape, so its tag is read first.
fn check_format(bytes: &[u8]) -> Result<(), Damage> {
    #[derive(serde::Deserialize)]
    struct Tagged {
        format: String,
    }
    let Tagged { format } = serde_json::from_slice(bytes).map_err(|error| Damage::from(&error))?;
    if format == MANIFEST_FORMAT { Ok(()) } else { Err(Damage::Format) }
}

/// Whether a part's key stays in its dataset's folder, whatever its name.
fn is_in_folder(dataset: Dataset, key: &str) -> bool {
    let name = key.strip_prefix(dataset.name()).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| {
        let leads_on = |character: char| matches!(character, '/' | '\\') || character.is_control();
        !name.is_empty() && !name.starts_with('.') && !name.contains(leads_on)
    })
}

fn verify(bytes: &Bytes, part: &Part) -> Result<(), Damage> {
    let found = bytes.len() as u64;
    if found != part.bytes {
        return Err(Damage::Size { expected: part.bytes, found });
    }
    let found = Sha256Hex::of(bytes);
    if found != part.sha256 {
        return Err(Damage::Checksum { named_by: "its manifest", expected: part.sha256, found });
    }
    Ok(())
}
