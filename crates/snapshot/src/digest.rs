//! Computes a digest of a set of lines, independent of their order and of how they are split into parts.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// The sum, modulo 2^256, of the SHA-256 of each line (including its `\n`), read big-endian.
///
/// - Addition is commutative, so parts can be summed in any order.
/// - It proves that two copies are equal if nobody forged them. Against forged lines, use the `sha256` of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContentDigest([u64; 4]);

impl ContentDigest {
    /// Adds one line, including its `\n`.
    pub fn add_line(&mut self, line: &[u8]) {
        let hash: [u8; 32] = Sha256::digest(line).into();
        self.add(Self::from_bytes(hash));
    }

    /// Adds all lines of another digest.
    pub fn add(&mut self, other: Self) {
        let mut carry = false;
        for (mine, theirs) in self.0.iter_mut().zip(other.0).rev() {
            let (sum, first) = mine.overflowing_add(theirs);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *mine = sum;
            carry = first || second;
        }
    }

    fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        }
        Self(words)
    }
}

impl From<ContentDigest> for Sha256Hex {
    fn from(digest: ContentDigest) -> Self {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(digest.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        Self(bytes)
    }
}

impl std::fmt::Display for ContentDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Sha256Hex::from(*self).fmt(formatter)
    }
}

impl Serialize for ContentDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Sha256Hex::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ContentDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Sha256Hex::deserialize(deserializer).map(|hex| Self::from_bytes(hex.0))
    }
}

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256Hex(pub [u8; 32]);

impl Sha256Hex {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Sha256Hex {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(text_of(&self.digits()))
    }
}

impl Serialize for Sha256Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text_of(&self.digits()))
    }
}

impl Sha256Hex {
    /// The digits, on the stack, because every checkpoint writes two checksums per part.
    fn digits(self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        text
    }
}

fn text_of(digits: &[u8; 64]) -> &str {
    // The fallback is never used: the digits are ASCII.
    std::str::from_utf8(digits).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Sha256Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom("expected 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = hex_byte(&text.as_bytes()[2 * index..]).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

fn hex_byte(text: &[u8]) -> Option<u8> {
    let digit = |place: usize| char::from(*text.get(place)?).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> ContentDigest {
        let mut digest = ContentDigest::default();
        lines.iter().for_each(|line| digest.add_line(line.as_bytes()));
        digest
    }

    /// docs/data.md: independent of order and of the split into parts, and different for other lines.
    #[test]
    fn depends_only_on_the_set_of_lines() {
        let whole = of(&["a\n", "b\n", "c\n"]);
        assert_eq!(whole, of(&["c\n", "a\n", "b\n"]));
        let mut parts = of(&["b\n"]);
        parts.add(of(&["a\n", "c\n"]));
        assert_eq!(whole, parts);
        assert_ne!(whole, of(&["a\n", "b\n"]));
        assert_ne!(whole, of(&["a\n", "b\n", "d\n"]));
        assert_ne!(of(&["a\n", "a\n"]), of(&[]));
    }

    #[test]
    fn carries_across_words_and_survives_json() {
        let mut digest = ContentDigest([0, 0, u64::MAX, u64::MAX]);
        digest.add(ContentDigest([0, 0, 0, 1]));
        assert_eq!(digest, ContentDigest([0, 1, 0, 0]));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{:016x}{:016x}{:032x}\"", 0, 1, 0));
        assert_eq!(serde_json::from_str::<ContentDigest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<ContentDigest>("\"zz\"").is_err());
        assert!(
            serde_json::from_str::<ContentDigest>(&format!("\"{}\"", "+1".repeat(32))).is_err()
        );
    }
}
