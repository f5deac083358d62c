//! Memory for parts, used again and again: a transfer takes and drops one every few milliseconds,
//! and an allocator that gives memory back a second later would hold all those of that second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::PART_BYTES;

/// Room of those that are used again, and the fewest bytes for which one is taken.
const SHARED: usize = PART_BYTES as usize;
const SHARED_MIN: usize = SHARED / 2;
/// Buffers that are kept while nobody uses them.
const IDLE_MAX: usize = 16;

/// Buffers of a part each; clones share them.
#[derive(Clone, Default)]
pub(super) struct Buffers {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Room for a part, to be filled from its beginning.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    buffers: Buffers,
}

impl Buffers {
    /// An empty buffer with room for `len` bytes.
    pub(super) fn take(&self, len: usize) -> Buffer {
        // For a few bytes none of this size is held.
        let bytes = if (SHARED_MIN..=SHARED).contains(&len) {
            self.idle().pop().unwrap_or_else(|| Vec::with_capacity(SHARED))
        } else {
            Vec::with_capacity(len)
        };
        Buffer { bytes, buffers: self.clone() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// What is in it, and room for more.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The bytes as they are to stay. The memory is used again when the last clone is dropped.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut idle = self.buffers.idle();
        if bytes.capacity() == SHARED && idle.len() < IDLE_MAX {
            idle.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_reads_it() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(SHARED);
        buffer.bytes().extend_from_slice(b"first");
        let place = buffer.as_ref().as_ptr();
        let bytes = buffer.freeze();
        let part = bytes.slice(1..3);
        drop(bytes);
        assert!(buffers.idle().is_empty(), "somebody reads it");
        assert_eq!(&part[..], b"ir");
        drop(part);
        let again = buffers.take(SHARED_MIN);
        assert_eq!((again.as_ref().len(), again.as_ref().as_ptr()), (0, place));
    }

    #[test]
    fn few_are_kept_and_none_of_another_size() {
        let buffers = Buffers::default();
        drop(buffers.take(10));
        drop(buffers.take(2 * SHARED));
        assert!(buffers.idle().is_empty());
        let many: Vec<Buffer> = (0..40).map(|_| buffers.take(SHARED)).collect();
        drop(many);
        assert_eq!(buffers.idle().len(), IDLE_MAX);
    }
}
