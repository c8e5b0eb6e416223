//! The two hashes by which lines are compared.

use std::hash::{BuildHasher as _, RandomState};

/// Bytes of the secret of XXH3, as its reference implementation has them.
const SECRET_BYTES: usize = 192;

/// Hashes ids and lines.
///
/// - That of an id is XXH3, so it is the same everywhere: records are in its order. Two ids with one hash are told apart
///   by the ids themselves.
/// - That of a line is XXH3 with a random secret, because nothing else tells apart two lines of one id: people choose
///   part of what stands in their line, and must not be able to choose a line with the hash of the one before.
#[derive(Debug, Clone)]
pub(super) struct Hashes {
    secret: [u8; SECRET_BYTES],
    /// How many bits of an id's hash count. Tests make ids collide with fewer.
    pub(super) id_bits: u32,
}

impl Hashes {
    pub(super) fn new() -> Self {
        // The system's randomness, through the keys of the standard library's hash maps.
        let random = RandomState::new();
        let mut secret = [0; SECRET_BYTES];
        for (number, word) in secret.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&random.hash_one(number).to_le_bytes());
        }
        Self { secret, id_bits: u64::BITS }
    }

    pub(super) fn of_id(&self, id: &[u8]) -> u64 {
        let hash = twox_hash::XxHash3_64::oneshot(id);
        if self.id_bits == u64::BITS { hash } else { hash & !(u64::MAX >> self.id_bits) }
    }

    /// Of a line, or a second hash of an id that is independent of the first.
    pub(super) fn of_line(&self, line: &[u8]) -> u64 {
        // The fallback is never used: the secret is long enough.
        twox_hash::XxHash3_64::oneshot_with_secret(&self.secret, line).unwrap_or_default()
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
