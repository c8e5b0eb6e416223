//! Ids of a dataset as hashes, eight bytes each.

use hashbrown::DefaultHashBuilder;

use crate::texts::hash_of;

/// The hashes of a dataset's ids.
#[derive(Debug, Default)]
pub struct Ids {
    hashes: Vec<u64>,
}

/// Most ids that occur twice and are looked at more closely.
const MAX_SUSPECTED: usize = 1_000;

impl Ids {
    /// Room for so many ids, so that the list need not grow to twice its size.
    #[must_use]
    pub fn with_room_for(count: u64) -> Self {
        let mut hashes = Vec::new();
        // A forged manifest may state any number. Without the room, the list grows as ids come.
        if let Ok(count) = usize::try_from(count) {
            let _ = hashes.try_reserve_exact(count);
        }
        Self { hashes }
    }

    /// Adds the ids of a part.
    pub fn add(&mut self, part: Self) {
        self.hashes.extend(part.hashes);
    }

    /// Adds an id.
    pub fn push(&mut self, hasher: &DefaultHashBuilder, id: &str) {
        self.hashes.push(hash_of(hasher, id));
    }

    /// Makes the ids findable. Returns the hashes that occur twice, in ascending order, at most a thousand.
    pub fn sort(&mut self) -> Vec<u64> {
        self.hashes.sort_unstable();
        let pairs = self.hashes.windows(2).filter(|pair| pair[0] == pair[1]);
        let mut suspected: Vec<u64> = pairs.map(|pair| pair[0]).take(MAX_SUSPECTED).collect();
        suspected.dedup();
        suspected
    }

    /// Whether an id may be there. If not, it is certainly not there.
    #[must_use]
    pub fn may_hold(&self, hasher: &DefaultHashBuilder, id: &str) -> bool {
        self.hashes.binary_search(&hash_of(hasher, id)).is_ok()
    }
}
