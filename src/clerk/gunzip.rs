//! Decompresses a complete gzip body.

use std::io::{self, Read as _};

use bytes::Bytes;
use clerk_snapshot::buffers::Buffers;
use libdeflater::{Crc, Decompressor};
use memchr::memmem;

/// Decompresses `body`, a gzip file (RFC 1952), into at most `most` bytes; `None` if there are more.
///
/// # Errors
/// If the body is truncated or not gzip.
pub fn gunzip(body: &[u8], most: usize, buffers: &Buffers) -> io::Result<Option<Bytes>> {
    match at_once(body, most, buffers) {
        Some(bytes) => Ok(Some(bytes)),
        None => Ok(in_pieces(body, most)?.map(Bytes::from)),
    }
}

/// Decompresses the kind of body that servers send: one member with a plain header, whose last bytes give the length
/// and checksum of the result. Decompressing it in one call takes a third of the time. `None` for any other body, valid
/// or broken.
fn at_once(body: &[u8], most: usize, buffers: &Buffers) -> Option<Bytes> {
    let (header, rest) = body.split_first_chunk::<10>()?;
    let (rest, &size) = rest.split_last_chunk::<4>()?;
    let (deflated, &checksum) = rest.split_last_chunk::<4>()?;
    let size = u32::from_le_bytes(size) as usize;
    // Any flag means a longer header.
    if !header.starts_with(&[0x1f, 0x8b, 8, 0]) || size > most {
        return None;
    }
    // If two members have the same content, the last one's length and checksum fit the first. (These bytes also occur
    // by chance in one body of several hundred.)
    if memmem::find(deflated, MEMBER).is_some() {
        return None;
    }
    let mut bytes = buffers.take();
    bytes.resize(size, 0);
    let written = Decompressor::new().deflate_decompress(deflated, &mut bytes).ok()?;
    // With several members, the last one's length and checksum do not match the first one's content.
    let mut crc = Crc::new();
    crc.update(&bytes);
    let is_whole = written == size && crc.sum() == u32::from_le_bytes(checksum);
    is_whole.then(|| Bytes::from_owner(bytes))
}

/// The first bytes of a member.
const MEMBER: &[u8] = &[0x1f, 0x8b, 8];

/// Decompresses anything that gzip allows, without allocating more than the content needs.
fn in_pieces(body: &[u8], most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let one_more = most as u64 + 1;
    flate2::read::MultiGzDecoder::new(body).take(one_more).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;
    use flate2::{Compression, GzBuilder};

    use super::*;

    fn gunzip(body: &[u8], most: usize) -> io::Result<Option<Bytes>> {
        super::gunzip(body, most, &Buffers::default())
    }

    fn at_once(body: &[u8], most: usize) -> Option<Bytes> {
        super::at_once(body, most, &Buffers::default())
    }

    const MOST: usize = 1 << 20;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_plain_body_is_decompressed_in_one_call() {
        for text in ["", "[]", &"[1,2,3]".repeat(10_000)] {
            let body = gzip(text.as_bytes());
            assert_eq!(at_once(&body, MOST).as_deref(), Some(text.as_bytes()));
            assert_eq!(in_pieces(&body, MOST).unwrap().as_deref(), Some(text.as_bytes()));
        }
    }

    /// RFC 1952: a file may have several members, and a header may contain names and comments.
    #[test]
    fn any_valid_gzip_is_decompressed() {
        let members = |texts: [&str; 2]| texts.map(|text| gzip(text.as_bytes())).concat();
        for (texts, whole) in
            [(["[1,", "2]"], "[1,2]"), (["[1,", "22]"], "[1,22]"), (["[1]"; 2], "[1][1]")]
        {
            let bytes = gunzip(&members(texts), MOST).unwrap().unwrap();
            assert_eq!(bytes, whole.as_bytes(), "members of {texts:?}");
        }
        let mut named = GzBuilder::new()
            .filename("page.json")
            .comment("no")
            .write(Vec::new(), Compression::fast());
        named.write_all(b"[]").unwrap();
        assert_eq!(gunzip(&named.finish().unwrap(), MOST).unwrap().unwrap(), "[]");
    }

    // Promise: a truncated body is an error, never a shorter page.
    #[test]
    fn a_broken_body_is_an_error() {
        let body = gzip("[1,2,3]".repeat(100).as_bytes());
        for length in 0..body.len() {
            assert!(gunzip(&body[..length], MOST).is_err(), "the first {length} bytes");
        }
        for index in [0, 2, body.len() / 2, body.len() - 8, body.len() - 4] {
            let mut altered = body.clone();
            altered[index] ^= 0x10;
            assert!(gunzip(&altered, MOST).is_err(), "byte {index} altered");
        }
        assert!(gunzip(b"[]", MOST).is_err());
    }

    // Promise: memory is capped, whatever size the body claims.
    #[test]
    fn more_than_allowed_is_never_held() {
        let mut body = gzip(&[b' '; 1000]);
        assert!(gunzip(&body, 1000).unwrap().is_some());
        assert!(gunzip(&body, 999).unwrap().is_none());
        let size = body.len() - 4;
        body[size..].copy_from_slice(&5_u32.to_le_bytes());
        assert!(gunzip(&body, 999).unwrap().is_none());
        assert!(gunzip(&body, 1000).is_err());
    }
}
