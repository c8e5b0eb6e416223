//! Compresses parts with gzip, reusing the compressors and their output's memory.
//!
//! A compressor takes 270 KiB, which the kernel clears when it hands them out, and the output of most parts about as
//! much. A large sync fills thousands of parts (docs/decisions/0016-allocator.md).

use std::io;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

use crate::buffers::{Buffer, Buffers};

/// The fastest level already shrinks NDJSON of this kind by a factor of six to nine. The next level takes half as much
/// time again and saves a fifth (docs/decisions/0010-compression.md).
const LEVEL: u32 = 1;
/// Binary logarithm of the window in bytes: the largest that gzip knows.
const WINDOW_BITS: u8 = 15;
/// The compressor always has room for at least this many bytes of output.
const OUTPUT_STEP: usize = 32 * 1024;
/// Most unused compressors that are kept.
const MAX_KEPT: usize = 4;

/// The unused compressors of this process.
static UNUSED: Mutex<Vec<Compress>> = Mutex::new(Vec::new());

/// Memory for the output, likewise.
static OUTPUTS: LazyLock<Buffers> = LazyLock::new(Buffers::default);

/// A gzip file being written into memory.
pub(crate) struct GzipEncoder {
    compressor: Compress,
    /// The file so far, followed by room for more. The room is set to zero only once, when `output` grows: flate2's own
    /// way to append to a vector sets all of its spare capacity to zero at each call.
    output: Buffer,
    /// Bytes of the file so far.
    size: usize,
}

impl GzipEncoder {
    pub(crate) fn new() -> Self {
        let unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let compressor =
            unused.unwrap_or_else(|| Compress::new_gzip(Compression::new(LEVEL), WINDOW_BITS));
        Self { compressor, output: OUTPUTS.take(), size: 0 }
    }

    /// Compresses `bytes`. Some of them may stay in the compressor.
    ///
    /// # Errors
    /// If the compressor fails (out of memory).
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let before = self.compressor.total_in();
            self.compress(bytes, FlushCompress::None)?;
            // No more than was passed, so it fits into a usize.
            bytes = &bytes[(self.compressor.total_in() - before) as usize..];
        }
        Ok(())
    }

    /// The bytes of the output so far.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// The whole file.
    ///
    /// # Errors
    /// If the compressor fails (out of memory).
    pub(crate) fn finish(mut self) -> io::Result<Bytes> {
        while self.compress(&[], FlushCompress::Finish)? != Status::StreamEnd {}
        self.compressor.reset();
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.len() < MAX_KEPT {
            unused.push(self.compressor);
        }
        self.output.truncate(self.size);
        Ok(Bytes::from_owner(self.output))
    }

    fn compress(&mut self, bytes: &[u8], flush: FlushCompress) -> io::Result<Status> {
        if self.output.len() < self.size + OUTPUT_STEP {
            self.output.resize(self.size + OUTPUT_STEP, 0);
        }
        let before = self.compressor.total_out();
        let status = self.compressor.compress(bytes, &mut self.output[self.size..], flush)?;
        // No more than there was room for, so it fits into a usize.
        self.size += (self.compressor.total_out() - before) as usize;
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn compressed(text: &[u8]) -> Bytes {
        let mut encoder = GzipEncoder::new();
        encoder.write(text).unwrap();
        encoder.finish().unwrap()
    }

    // Promise: a part's bytes depend on its lines alone, not on what its compressor did before.
    #[test]
    fn a_used_compressor_gives_the_bytes_of_a_new_one() {
        let lines: Vec<u8> = (0..200_000u32).flat_map(|number| number.to_le_bytes()).collect();
        let first = compressed(&lines);
        for _ in 0..2 * MAX_KEPT {
            drop(compressed(b"something else"));
            // Dropped in the middle of a file.
            GzipEncoder::new().write(&lines).unwrap();
            assert!(compressed(&lines) == first);
        }
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(first.as_ref()).read_to_end(&mut text).unwrap();
        assert!(text == lines);
    }

    // Promise: memory is bounded, however many parts there were at a time.
    #[test]
    fn only_a_few_compressors_are_kept() {
        let many: Vec<GzipEncoder> = (0..3 * MAX_KEPT).map(|_| GzipEncoder::new()).collect();
        for encoder in many {
            encoder.finish().unwrap();
        }
        assert!(UNUSED.lock().unwrap().len() <= MAX_KEPT);
    }
}
