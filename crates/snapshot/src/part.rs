//! Builds a part: lines go in, compressed bytes with known size and checksum come out.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::compression::Compression;
use crate::digest::{ContentDigest, Sha256Hex};
use crate::gzip::GzipEncoder;
use crate::timestamp::Timestamp;

/// A part as the manifest and the checkpoint list it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Key below the snapshot's folder, e.g. `users/part-00-0000-00000000-1a2b3c4d.ndjson.gz`.
    pub key: String,
    /// Number of lines.
    pub records: u64,
    /// Stored size in bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: Sha256Hex,
    /// When its first page was requested.
    pub fetched_from: Timestamp,
    /// When its last page had arrived.
    pub fetched_to: Timestamp,
}

/// A part being filled. Holds only compressed bytes.
pub struct PartBuilder {
    encoder: Encoder,
    records: u64,
    digest: ContentDigest,
    fetched: Option<(Timestamp, Timestamp)>,
}

/// A part ready to be stored.
#[derive(Debug)]
pub struct FinishedPart {
    /// The bytes to store.
    pub bytes: Bytes,
    /// SHA-256 of `bytes`.
    pub sha256: Sha256Hex,
    /// Number of lines.
    pub records: u64,
    /// Digest of its lines.
    pub digest: ContentDigest,
    /// When its first page was requested and its last had arrived.
    pub fetched: (Timestamp, Timestamp),
}

enum Encoder {
    None(Vec<u8>),
    Gzip(GzipEncoder),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

const ZSTD_LEVEL: i32 = 1;

impl PartBuilder {
    /// An empty part.
    ///
    /// # Errors
    /// If the compressor cannot be set up (out of memory).
    pub fn new(compression: Compression) -> io::Result<Self> {
        let encoder = match compression {
            Compression::None => Encoder::None(Vec::new()),
            Compression::Gzip => Encoder::Gzip(GzipEncoder::new()),
            Compression::Zstd => Encoder::Zstd(zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        };
        Ok(Self { encoder, records: 0, digest: ContentDigest::default(), fetched: None })
    }

    /// Adds complete lines that came with one page.
    ///
    /// # Errors
    /// If the compressor fails (out of memory).
    pub fn add_lines(&mut self, lines: &[u8], fetched: (Timestamp, Timestamp)) -> io::Result<()> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            self.digest.add_line(&lines[start..=end]);
            self.records += 1;
            start = end + 1;
        }
        self.fetched = Some(match self.fetched {
            None => fetched,
            Some((from, to)) => (from.min(fetched.0), to.max(fetched.1)),
        });
        match &mut self.encoder {
            Encoder::None(bytes) => bytes.write_all(lines),
            Encoder::Gzip(encoder) => encoder.write(lines),
            Encoder::Zstd(encoder) => encoder.write_all(lines),
        }
    }

    /// Compressed bytes held so far.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.encoder {
            Encoder::None(bytes) => bytes.len(),
            Encoder::Gzip(encoder) => encoder.size(),
            Encoder::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// Finishes the part; `None` if it has no lines, because an empty dataset has no parts.
    ///
    /// # Errors
    /// If the compressor fails (out of memory).
    pub fn finish(self) -> io::Result<Option<FinishedPart>> {
        let Some(fetched) = self.fetched.filter(|_| self.records > 0) else { return Ok(None) };
        let bytes = match self.encoder {
            Encoder::None(bytes) => Bytes::from(bytes),
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => Bytes::from(encoder.finish()?),
        };
        Ok(Some(FinishedPart {
            sha256: Sha256Hex::of(&bytes),
            bytes,
            records: self.records,
            digest: self.digest,
            fetched,
        }))
    }
}

/// Reads the lines of a stored part.
pub struct Lines<'a> {
    reader: BufReader<Box<dyn Read + 'a>>,
    left: u64,
}

/// Longest line in bytes: a row that fills the largest accepted page, and the same row again as `raw`.
pub const LONGEST_LINE: u64 = 112 * 1024 * 1024;

impl<'a> Lines<'a> {
    /// Reads a part that should have this many `records`.
    ///
    /// # Errors
    /// If the decompressor cannot be set up.
    pub fn of(compression: Compression, bytes: &'a [u8], records: u64) -> io::Result<Self> {
        let reader: Box<dyn Read + 'a> = match compression {
            Compression::None => Box::new(bytes),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            Compression::Zstd => Box::new(zstd::Decoder::new(bytes)?),
        };
        Ok(Self { reader: BufReader::new(reader), left: records })
    }

    /// Reads the next line, including its `\n`, into `line`. Returns `false` after the last line.
    ///
    /// # Errors
    /// If the bytes are not of this compression, or decompress to more lines than stated or to a line longer than
    /// [`LONGEST_LINE`]: then this program did not write them.
    pub fn next_into(&mut self, line: &mut String) -> io::Result<bool> {
        line.clear();
        let read = (&mut self.reader).take(LONGEST_LINE).read_line(line)?;
        if read == 0 {
            return Ok(false);
        }
        let ends = line.ends_with('\n');
        self.left = self.left.checked_sub(1).filter(|_| ends).ok_or(io::ErrorKind::InvalidData)?;
        Ok(true)
    }
}

/// File extension of parts with this compression.
#[must_use]
pub const fn extension(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "ndjson",
        Compression::Gzip => "ndjson.gz",
        Compression::Zstd => "ndjson.zst",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched() -> (Timestamp, Timestamp) {
        let now = Timestamp::from_unix_millis(1_795_176_000_000).unwrap();
        (now, now)
    }

    #[test]
    fn lines_survive_a_round_trip() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut part = PartBuilder::new(compression).unwrap();
            part.add_lines(b"{\"a\":1}\n{\"b\":2}\n", fetched()).unwrap();
            part.add_lines("{\"c\":\"ü\"}\n".as_bytes(), fetched()).unwrap();
            let part = part.finish().unwrap().unwrap();
            assert_eq!(part.records, 3);
            assert_eq!(part.sha256, Sha256Hex::of(&part.bytes));
            let mut text = String::new();
            let mut lines = Lines::of(compression, &part.bytes, 3).unwrap();
            let mut line = String::new();
            while lines.next_into(&mut line).unwrap() {
                text.push_str(&line);
            }
            assert_eq!(text, "{\"a\":1}\n{\"b\":2}\n{\"c\":\"ü\"}\n");
        }
    }

    /// Promise 8: a few foreign bytes cannot fill the memory.
    #[test]
    fn a_part_that_decompresses_to_more_than_it_should_is_an_error() {
        let outcome = |compression, text: &[u8], records| {
            let mut part = PartBuilder::new(compression).unwrap();
            for piece in text.chunks(1 << 20) {
                part.add_lines(piece, fetched()).unwrap();
            }
            part.add_lines(b"\n", fetched()).unwrap();
            let bytes = part.finish().unwrap().unwrap().bytes;
            let mut lines = Lines::of(compression, &bytes, records).unwrap();
            let mut line = String::new();
            while lines.next_into(&mut line)? {}
            io::Result::Ok(())
        };
        for compression in [Compression::Gzip, Compression::Zstd] {
            assert!(outcome(compression, b"{}\n{}", 2).is_ok());
            assert!(outcome(compression, b"{}\n{}", 1).is_err(), "more lines than stated");
            let long = vec![b' '; LONGEST_LINE as usize];
            assert!(outcome(compression, &long, 1).is_err(), "an unterminated line");
        }
    }

    /// docs/data.md: an empty dataset has no parts.
    #[test]
    fn a_part_without_lines_is_none() {
        let mut part = PartBuilder::new(Compression::Gzip).unwrap();
        part.add_lines(b"", fetched()).unwrap();
        assert!(part.finish().unwrap().is_none());
    }

    /// Equal lines give equal bytes at any time, so a part that is stored twice is one object.
    #[test]
    fn bytes_depend_only_on_the_lines() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let bytes = || {
                let mut part = PartBuilder::new(compression).unwrap();
                part.add_lines(b"{}\n", fetched()).unwrap();
                part.finish().unwrap().unwrap().bytes
            };
            assert_eq!(bytes(), bytes());
        }
    }
}
