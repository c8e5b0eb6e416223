//! Stands in for the crate `crc-fast` below the AWS SDK, which wants three CRCs of it. That crate
//! holds the tables of all that it knows, and nothing can leave them out of a program: they were a
//! tenth of the zip (docs/decisions/0017-a-quick-start-and-a-small-binary.md).
//!
//! clerk-sync stores its own objects with SHA-256. A CRC is calculated only when S3 answers with one,
//! for an object that something else has stored.

use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc};

static ISO_HDLC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
static ISCSI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
static NVME: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);

/// The CRCs of Amazon S3 ("Checking object integrity for data uploads in Amazon S3", Amazon S3 User
/// Guide).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrcAlgorithm {
    /// CRC-32.
    Crc32IsoHdlc,
    /// CRC-32C.
    Crc32Iscsi,
    /// CRC-64/NVME.
    Crc64Nvme,
}

/// A CRC in the making.
#[derive(Clone)]
pub struct Digest(State);

#[derive(Clone)]
enum State {
    Bits32(crc::Digest<'static, u32>),
    Bits64(crc::Digest<'static, u64>),
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Digest").finish_non_exhaustive()
    }
}

impl Digest {
    /// Of no bytes yet.
    #[must_use]
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        Self(match algorithm {
            CrcAlgorithm::Crc32IsoHdlc => State::Bits32(ISO_HDLC.digest()),
            CrcAlgorithm::Crc32Iscsi => State::Bits32(ISCSI.digest()),
            CrcAlgorithm::Crc64Nvme => State::Bits64(NVME.digest()),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Bits32(digest) => digest.update(bytes),
            State::Bits64(digest) => digest.update(bytes),
        }
    }

    /// The CRC: of 32 bits, in the lower half.
    #[must_use]
    pub fn finalize(self) -> u64 {
        match self.0 {
            State::Bits32(digest) => digest.finalize().into(),
            State::Bits64(digest) => digest.finalize(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the "Catalogue of parametrised CRC algorithms" (reveng).
    #[test]
    fn each_is_the_crc_of_its_name() {
        for (algorithm, check) in [
            (CrcAlgorithm::Crc32IsoHdlc, 0xcbf4_3926),
            (CrcAlgorithm::Crc32Iscsi, 0xe306_9283),
            (CrcAlgorithm::Crc64Nvme, 0xae8b_1486_0a79_9888),
        ] {
            let mut digest = Digest::new(algorithm);
            digest.update(b"1234");
            digest.update(b"56789");
            assert_eq!(digest.finalize(), check, "{algorithm:?}");
        }
    }
}
