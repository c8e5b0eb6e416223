//! Splits a checked part into lines.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};

use super::error::{Damage, ReadError};
use crate::compression::Compression;
use crate::part::LONGEST_LINE;

/// Bytes that are decompressed at once. Larger pieces leave the processor's cache.
const BUFFER: usize = 64 * 1024;

/// Largest window of a zstd frame, as a power of two: 8 MiB. Writers stay far below it, and a forged frame could ask
/// for gigabytes.
const LARGEST_ZSTD_WINDOW: u32 = 23;

/// The lines of a part, one by one, in one buffer that is reused.
///
/// Ends with an error if there are more or fewer lines than the manifest says.
pub struct PartLines {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What of `buffer` was read and not yet handed out.
    unread: std::ops::Range<usize>,
    /// Lines handed out.
    found: u64,
    /// Lines according to the manifest.
    expected: u64,
    url: String,
    is_finished: bool,
}

impl PartLines {
    /// The lines in the compressed `bytes` of a part, of which there should be `expected`. `url` is for errors.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if no decompressor can be set up.
    pub fn new(
        compression: Compression,
        bytes: Bytes,
        expected: u64,
        url: String,
    ) -> Result<Self, ReadError> {
        let reader = match decompressor(compression, bytes) {
            Ok(reader) => reader,
            Err(error) => return Err(ReadError::Damaged { url, problem: Damage::from(&error) }),
        };
        let buffer = vec![0; BUFFER];
        Ok(Self { reader, buffer, unread: 0..0, found: 0, expected, url, is_finished: false })
    }

    /// The next line with its `\n`; `None` after the last one.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if the data do not decompress, if a line does not end or is longer than
    /// [`LONGEST_LINE`], and if there are more or fewer lines than the manifest says. Ends after an error.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, ReadError> {
        if self.is_finished {
            return Ok(None);
        }
        match self.advance() {
            Ok(Some(line)) => Ok(Some(&self.buffer[line])),
            Ok(None) => {
                self.is_finished = true;
                Ok(None)
            }
            Err(problem) => {
                self.is_finished = true;
                Err(self.damaged(problem))
            }
        }
    }

    /// Like [`next_line`](Self::next_line), as text.
    ///
    /// # Errors
    /// Its errors, and [`ReadError::Damaged`] if the line is not UTF-8.
    pub fn next_text(&mut self) -> Result<Option<&str>, ReadError> {
        if self.is_finished {
            return Ok(None);
        }
        let line = match self.advance() {
            Ok(Some(line)) => line,
            Ok(None) => {
                self.is_finished = true;
                return Ok(None);
            }
            Err(problem) => {
                self.is_finished = true;
                return Err(self.damaged(problem));
            }
        };
        let number = self.found;
        std::str::from_utf8(&self.buffer[line]).map(Some).map_err(|_| ReadError::Damaged {
            url: self.url.clone(),
            problem: Damage::NotUtf8 { line: number },
        })
    }

    /// Whether there is another line. At the end it checks that no line is missing.
    ///
    /// # Errors
    /// Those of [`next_line`](Self::next_line).
    pub fn has_next(&mut self) -> Result<bool, ReadError> {
        if !self.is_finished && self.found == self.expected {
            // Nothing, or an error: there may be no further line.
            return Ok(self.next_line()?.is_some());
        }
        Ok(!self.is_finished)
    }

    /// Number of the line that was handed out last, from 1.
    #[must_use]
    pub const fn line_number(&self) -> u64 {
        self.found
    }

    /// The error that says that this part is damaged.
    #[must_use]
    pub fn damaged(&self, problem: Damage) -> ReadError {
        ReadError::Damaged { url: self.url.clone(), problem }
    }

    /// Where the next line is in the buffer.
    fn advance(&mut self) -> Result<Option<std::ops::Range<usize>>, Damage> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.unread.clone()];
            if let Some(end) = memchr::memchr(b'\n', &unread[searched..]) {
                let line = self.unread.start..self.unread.start + searched + end + 1;
                self.unread.start = line.end;
                self.found += 1;
                if self.found > self.expected {
                    return Err(Damage::Lines { expected: self.expected, found: self.found });
                }
                return Ok(Some(line));
            }
            searched = unread.len();
            if searched as u64 >= LONGEST_LINE {
                return Err(Damage::LongLine);
            }
            if self.fill().map_err(|error| Damage::from(&error))? == 0 {
                return match (searched, self.found == self.expected) {
                    (1.., _) => Err(Damage::UnfinishedLine),
                    (0, false) => Err(Damage::Lines { expected: self.expected, found: self.found }),
                    (0, true) => Ok(None),
                };
            }
        }
    }

    /// Reads more behind what is unread. Returns the number of bytes, 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.unread.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.unread.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.unread.end += read;
                    return Ok(read);
                }
            }
        }
    }
}

impl std::fmt::Debug for PartLines {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the buffer, which holds personal data.
        formatter
            .debug_struct("PartLines")
            .field("url", &self.url)
            .field("found", &self.found)
            .finish()
    }
}

fn decompressor(compression: Compression, bytes: Bytes) -> io::Result<Box<dyn Read + Send>> {
    let bytes = bytes.reader();
    Ok(match compression {
        Compression::None => Box::new(bytes),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(bytes)?;
            decoder.window_log_max(LARGEST_ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::PartBuilder;
    use crate::timestamp::Timestamp;

    const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

    fn compressed(compression: Compression, text: &[u8]) -> Bytes {
        let now = Timestamp::from_unix_millis(0).unwrap();
        let mut part = PartBuilder::new(compression).unwrap();
        part.add_lines(text, (now, now)).unwrap();
        part.add_lines(b"\n", (now, now)).unwrap();
        part.finish().unwrap().unwrap().bytes
    }

    fn read(
        compression: Compression,
        bytes: Bytes,
        expected: u64,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut lines = PartLines::new(compression, bytes, expected, "part".to_owned())?;
        let mut read = Vec::new();
        while let Some(line) = lines.next_line()? {
            read.push(line.to_vec());
        }
        assert!(lines.next_line()?.is_none(), "it stays at its end");
        Ok(read)
    }

    fn problem(compression: Compression, bytes: Bytes, expected: u64) -> Damage {
        match read(compression, bytes, expected) {
            Err(ReadError::Damaged { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    // Promise: lines of any length come back as they were written, whatever the size of the buffer.
    #[test]
    fn lines_of_any_length_come_back() {
        let long = "x".repeat(3 * BUFFER + 7);
        let most = "y".repeat(BUFFER - 1);
        let texts = ["a", "", &most, "ü", &long, "b"];
        for compression in ALL {
            let bytes = compressed(compression, texts.join("\n").as_bytes());
            let read = read(compression, bytes, 6).unwrap();
            let expected: Vec<_> =
                texts.iter().map(|text| format!("{text}\n").into_bytes()).collect();
            assert_eq!(read, expected);
        }
    }

    // Promise: a part with another number of lines than stated is damaged, and so is one that is cut short.
    #[test]
    fn a_wrong_number_of_lines_and_cut_data_are_damage() {
        for compression in ALL {
            let bytes = compressed(compression, b"{}\n{}");
            assert_eq!(
                problem(compression, bytes.clone(), 1),
                Damage::Lines { expected: 1, found: 2 }
            );
            assert_eq!(
                problem(compression, bytes.clone(), 3),
                Damage::Lines { expected: 3, found: 2 }
            );
            let cut = bytes.slice(..bytes.len() - 1);
            let expected = match compression {
                Compression::None => Damage::UnfinishedLine,
                Compression::Gzip | Compression::Zstd => Damage::CutShort,
            };
            assert_eq!(problem(compression, cut, 2), expected);
        }
        let foreign = Bytes::from_static(b"{\"kind\":\"resource\"}\n{}\n");
        assert_eq!(problem(Compression::Gzip, foreign.clone(), 2), Damage::NotCompressed);
        assert_eq!(problem(Compression::Zstd, foreign, 2), Damage::NotCompressed);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_damage_only_as_text() {
        let bytes = compressed(Compression::None, b"\xff");
        assert_eq!(read(Compression::None, bytes.clone(), 1).unwrap(), [b"\xff\n"]);
        let mut lines = PartLines::new(Compression::None, bytes, 1, String::new()).unwrap();
        let error = lines.next_text().unwrap_err();
        assert!(matches!(error, ReadError::Damaged { problem: Damage::NotUtf8 { line: 1 }, .. }));
    }
}
