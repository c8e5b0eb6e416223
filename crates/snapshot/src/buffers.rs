//! Reuses buffers for pages.
//!
//! The kernel clears the memory that it hands out, 4 KiB at a time. A page of users takes a megabyte when decompressed,
//! and two thirds of a megabyte as lines. Reusing their buffers saves a sixth of a sync's processor time
//! (docs/decisions/0016-allocator.md).

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Most unused buffers that are kept.
const MAX_KEPT: usize = 3;
/// Capacity in bytes above which a buffer is not kept.
const LARGEST_KEPT: usize = 4 * 1024 * 1024;

/// Unused buffers of one kind.
#[derive(Debug, Clone, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer in use. Dropping it returns it.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// A buffer with the content that its last user left, or an empty one.
    #[must_use]
    pub fn take(&self) -> Buffer {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Buffer { bytes, home: self.clone() }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT && bytes.capacity() <= LARGEST_KEPT {
            kept.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused() {
        let buffers = Buffers::default();
        let mut first = buffers.take();
        first.extend_from_slice(b"abc");
        let place = first.as_ptr();
        drop(first);
        let second = buffers.take();
        assert_eq!((second.as_ptr(), second.as_ref()), (place, &b"abc"[..]));
        assert!(buffers.take().is_empty(), "a buffer in use is not handed out again");
    }

    // Promise: memory is bounded, however many pages there were and however large they were.
    #[test]
    fn only_a_few_small_buffers_are_kept() {
        let buffers = Buffers::default();
        drop([(); 10].map(|()| buffers.take()));
        assert_eq!(buffers.0.lock().unwrap().len(), MAX_KEPT);
        let buffers = Buffers::default();
        buffers.take().reserve(LARGEST_KEPT + 1);
        assert_eq!(buffers.0.lock().unwrap().len(), 0);
    }
}
