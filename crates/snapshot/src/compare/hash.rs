//! The two hashes by which lines are compared.

use std::hash::{BuildHasher as _, RandomState};

/// Hashes ids and lines.
///
/// - That of an id is XXH3, so it is the same everywhere: records are in its order. Two ids with one hash are told apart
///   by the ids themselves.
/// - That of a line is SipHash with random keys, because nothing else tells apart two lines of one id: people choose
///   part of what stands in their line, and must not be able to choose a line with the hash of the one before.
#[derive(Debug, Clone)]
pub(super) struct Hashes {
    lines: RandomState,
    /// How many bits of an id's hash count. Tests make ids collide with fewer.
    pub(super) id_bits: u32,
}

impl Hashes {
    pub(super) fn new() -> Self {
        Self { lines: RandomState::new(), id_bits: u64::BITS }
    }

    pub(super) fn of_id(&self, id: &[u8]) -> u64 {
        let hash = twox_hash::XxHash3_64::oneshot(id);
        if self.id_bits == u64::BITS { hash } else { hash & !(u64::MAX >> self.id_bits) }
    }

    /// A second hash of an id, independent of the first.
    pub(super) fn of_text(&self, id: &[u8]) -> u64 {
        self.lines.hash_one(id)
    }

    pub(super) fn of_line(&self, line: &[u8]) -> u64 {
        self.lines.hash_one(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: the order of records is the same in every version. Computed with the reference implementation of XXH3.
    #[test]
    fn the_hash_of_an_id_never_changes() {
        assert_eq!(Hashes::new().of_id(b""), 0x2d06_8005_38d3_94c2);
    }
}
