//! Writing frames: one at once when it is alone, many in one system call when they have piled up.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use super::wire::Wire;
use crate::frame::Frame;
use crate::metrics::delivery as metrics;
use crate::outbox::Outbox;

/// Frames in one system call.
const FRAMES_AT_ONCE: usize = 64;
/// System calls before others get their turn.
const CALLS_AT_ONCE: usize = 16;

/// The writing side of a connection.
#[derive(Default)]
pub(super) struct Writer {
    /// Taken from the outbox and not yet written.
    batch: VecDeque<Frame>,
    /// Bytes of the first that are written.
    offset: usize,
    /// Frames written so far.
    pub(super) frames: u64,
}

/// How far writing got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing waits.
    All,
    /// The socket is full.
    Blocked,
    /// There is more, and others are to have their turn first.
    More,
}

impl Writer {
    /// Writes what waits in the outbox.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn pump(&mut self, wire: &Wire, outbox: &Outbox) -> io::Result<Written> {
        for _ in 0..CALLS_AT_ONCE {
            if self.batch.is_empty() {
                outbox.take(&mut self.batch);
                if self.batch.is_empty() {
                    return Ok(Written::All);
                }
            }
            match self.write(wire) {
                Ok(bytes) => outbox.written(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Written::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Written::More)
    }

    fn write(&mut self, wire: &Wire) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); FRAMES_AT_ONCE];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.batch) {
            let from = if count == 0 { self.offset } else { 0 };
            *slice = IoSlice::new(&frame.bytes()[from..]);
            count += 1;
        }
        let written = wire.try_write(&slices[..count])?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, written: usize) {
        self.offset += written;
        let mut frames = 0;
        while let Some(first) = self.batch.front()
            && self.offset >= first.len()
        {
            self.offset -= first.len();
            self.batch.pop_front();
            frames += 1;
        }
        self.frames += frames as u64;
        metrics::written(frames, written);
        if self.batch.is_empty() && self.batch.capacity() > FRAMES_AT_ONCE {
            self.batch = VecDeque::new();
        }
    }

    /// Drops what waits, but for a frame that is half on the wire: the next must not begin in the
    /// middle of it.
    pub(super) fn drop_waiting(&mut self) {
        self.batch.truncate(usize::from(self.offset > 0));
    }

    /// Queues a last frame behind what waits here.
    pub(super) fn queue(&mut self, frame: Frame) {
        self.batch.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_half_written_is_finished_whatever_is_dropped() {
        let mut writer = Writer::default();
        (0..3).for_each(|_| writer.queue(Frame::text(b"12345678")));
        writer.advance(13);
        writer.drop_waiting();
        writer.queue(Frame::close(4008, "slow reader"));
        assert_eq!((writer.batch.len(), writer.offset, writer.frames), (2, 3, 1));
        writer.advance(7);
        assert_eq!((writer.batch.len(), writer.offset, writer.frames), (1, 0, 2));
    }

    #[test]
    fn nothing_is_left_behind_on_a_frame_boundary() {
        let mut writer = Writer::default();
        (0..3).for_each(|_| writer.queue(Frame::text(b"12345678")));
        writer.advance(10);
        writer.drop_waiting();
        assert!(writer.batch.is_empty());
    }
}
