//! Many short texts in little memory: without a header and an allocation for each.

use std::hash::{BuildHasher as _, Hasher as _};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Texts one after another, each known by its number.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    bytes: String,
    /// Where each text ends.
    ends: Vec<u32>,
}

impl Texts {
    /// Adds a text and returns its number.
    ///
    /// The number of texts and of their bytes stays far below 4 Gi: whoever collects more runs out of the memory that
    /// the program allows itself first.
    pub fn push(&mut self, text: &str) -> u32 {
        self.bytes.push_str(text);
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX)
    }

    /// The text of a number; empty if there is none.
    #[must_use]
    pub fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).map(|&end| end as usize));
        let range = begin.zip(self.ends.get(number).map(|&end| end as usize));
        range.and_then(|(begin, end)| self.bytes.get(begin..end)).unwrap_or_default()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of memory.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<u32>()
    }
}

/// Texts without repetition, each known by its number.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    texts: Texts,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Interner {
    /// The number of a text, which is added if it is new.
    pub fn add(&mut self, text: &str) -> u32 {
        if let Some(number) = self.find(text) {
            return number;
        }
        let number = self.texts.push(text);
        let (texts, hasher) = (&self.texts, &self.hasher);
        let hash = hash_of(hasher, text);
        self.numbers.insert_unique(hash, number, |&number| hash_of(hasher, texts.get(number)));
        number
    }

    /// The number of a text that was added.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<u32> {
        let hash = hash_of(&self.hasher, text);
        self.numbers.find(hash, |&number| self.texts.get(number) == text).copied()
    }

    /// The text of a number.
    #[must_use]
    pub fn get(&self, number: u32) -> &str {
        self.texts.get(number)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Bytes of memory.
    #[must_use]
    pub fn size(&self) -> usize {
        // A byte of control beside each number.
        self.texts.size() + self.numbers.capacity() * (size_of::<u32>() + 1)
    }
}

/// The hash of a text.
#[must_use]
pub fn hash_of(hasher: &DefaultHashBuilder, text: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_by_its_number() {
        let mut interner = Interner::default();
        let texts: Vec<_> = (0..1000).map(|number| format!("text {number} ü")).collect();
        for (number, text) in (0..).zip(&texts) {
            assert_eq!(interner.find(text), None);
            assert_eq!(interner.add(text), number);
        }
        for (number, text) in (0..).zip(&texts) {
            assert_eq!((interner.add(text), interner.get(number)), (number, text.as_str()));
        }
        assert_eq!((interner.len(), interner.get(1000)), (1000, ""));
        assert_eq!(interner.add(""), 1000);
        assert_eq!(interner.find(""), Some(1000));
    }
}
