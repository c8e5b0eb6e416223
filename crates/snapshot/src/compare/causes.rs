//! Remembers what was removed and added, to explain the grants and entitlements that went or came with it.

use std::path::PathBuf;

use super::change::{Op, Reference};
use super::error::CompareError;
use super::record::Record;
use super::scratch::Scratch;
use crate::record::ObjectType;
use crate::resource::Dataset;

/// The types that explain others, in the order in which they do, and their datasets.
pub(super) const CAUSES: [(ObjectType, Dataset); 5] = [
    (ObjectType::Organization, Dataset::Organizations),
    (ObjectType::User, Dataset::Users),
    (ObjectType::OrganizationRole, Dataset::OrganizationRoles),
    (ObjectType::OrganizationPermission, Dataset::OrganizationPermissions),
    (ObjectType::Machine, Dataset::Machines),
];

/// What was removed and added of the types that explain others.
#[derive(Debug)]
pub(super) struct Causes {
    removed: [IdSet; CAUSES.len()],
    added: [IdSet; CAUSES.len()],
}

impl Causes {
    /// Keeps at most `most` ids of each type in memory.
    pub(super) fn new(most: usize, folder: Option<PathBuf>) -> Self {
        let sets = || [(); CAUSES.len()].map(|()| IdSet::new(most, folder.clone()));
        Self { removed: sets(), added: sets() }
    }

    /// Notes that something of `dataset` was added or removed. Each dataset's ids come in ascending order of `id`.
    pub(super) fn note(
        &mut self,
        dataset: Dataset,
        op: Op,
        id: (u64, u64),
    ) -> Result<(), CompareError> {
        let Some(index) = CAUSES.iter().position(|&(_, of)| of == dataset) else { return Ok(()) };
        match op {
            Op::Added => self.added[index].push(id),
            Op::Removed => self.removed[index].push(id),
            Op::Changed => Ok(()),
        }
    }

    /// What explains that this record was added or removed. `hash` gives the two hashes of an id.
    pub(super) fn of<'a>(
        &mut self,
        dataset: Dataset,
        op: Op,
        record: &'a Record<'_>,
        hash: impl Fn(&str) -> (u64, u64),
    ) -> Result<Option<Reference<'a>>, CompareError> {
        let sets = match (dataset, op) {
            (Dataset::Grants | Dataset::Entitlements, Op::Removed) => &mut self.removed,
            (Dataset::Entitlements, Op::Added) => &mut self.added,
            // Who was given access is news, also in a new organization.
            _ => return Ok(None),
        };
        for (set, (object_type, _)) in sets.iter_mut().zip(CAUSES) {
            // An entitlement has no principal.
            let named = [record.resource.as_ref(), record.principal.as_ref()];
            let named =
                named.into_iter().flatten().filter(|it| it.object_type == object_type.name());
            let role = record.role.as_ref().filter(|_| object_type == ObjectType::OrganizationRole);
            let ids = named.map(|it| &*it.id).chain(role.map(|role| &*role.id));
            for id in ids {
                if set.has(hash(id))? {
                    return Ok(Some(Reference::new(object_type.name(), id)));
                }
            }
        }
        Ok(None)
    }
}

/// Ids in a block of the file, of which one is read at a time.
const BLOCK: usize = 256;
/// Bytes of an id's two hashes.
const ID_BYTES: usize = 16;

/// A set of ids, each by two hashes. Past its limit all but the last ones are in a temporary file.
#[derive(Debug)]
struct IdSet {
    /// Ascending, like everything in the file before it.
    last: Vec<(u64, u64)>,
    most: usize,
    folder: Option<PathBuf>,
    file: Option<Scratch>,
    /// The first hash of each block in the file.
    blocks: Vec<u64>,
}

impl IdSet {
    const fn new(most: usize, folder: Option<PathBuf>) -> Self {
        Self { last: Vec::new(), most, folder, file: None, blocks: Vec::new() }
    }

    fn push(&mut self, id: (u64, u64)) -> Result<(), CompareError> {
        self.last.push(id);
        if self.last.len() < self.most.max(BLOCK) {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(Scratch::create(self.folder.as_deref())?),
        };
        let whole = self.last.len() / BLOCK * BLOCK;
        let mut bytes = Vec::with_capacity(BLOCK * ID_BYTES);
        for block in self.last[..whole].chunks(BLOCK) {
            bytes.clear();
            for (id, check) in block {
                bytes.extend_from_slice(&id.to_le_bytes());
                bytes.extend_from_slice(&check.to_le_bytes());
            }
            file.append(&bytes)?;
            self.blocks.push(block[0].0);
        }
        self.last.drain(..whole);
        Ok(())
    }

    fn has(&mut self, id: (u64, u64)) -> Result<bool, CompareError> {
        let begin = self.last.partition_point(|it| it.0 < id.0);
        if self.last[begin..].iter().take_while(|it| it.0 == id.0).any(|it| *it == id) {
            return Ok(true);
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        // Equal hashes may begin in the block before the first one that begins with them.
        let end = self.blocks.partition_point(|first| *first <= id.0);
        let begin = self.blocks.partition_point(|first| *first < id.0).saturating_sub(1);
        let wanted = [id.0.to_le_bytes(), id.1.to_le_bytes()].concat();
        for block in begin..end {
            let mut bytes = Vec::new();
            file.read((block * BLOCK * ID_BYTES) as u64, BLOCK * ID_BYTES, &mut bytes)?;
            if bytes.chunks_exact(ID_BYTES).any(|it| it == wanted) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: a set that outgrows its memory still knows each of its ids, and no other.
    #[test]
    fn a_set_past_its_limit_knows_its_ids() {
        let mut set = IdSet::new(BLOCK, None);
        // Runs of equal hashes go across blocks.
        let id = |number: u64| (number / 700 * 4, number);
        (0..3000).for_each(|number| set.push(id(number)).unwrap());
        assert!(set.last.len() < BLOCK && set.blocks.len() == 3000 / BLOCK);
        assert!((0..3000).all(|number| set.has(id(number)).unwrap()));
        assert!((3000..6000).all(|number| !set.has(id(number)).unwrap()));
        assert!(!set.has((2, 5)).unwrap() && !set.has((0, 5000)).unwrap());
    }
}
