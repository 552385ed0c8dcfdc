//! The window of a capture that is in memory: bytes in order from any `Read`, with their offsets.

use std::io::{self, Read};

use super::error::ReadErrorKind;

/// No record or block that is kept in memory may be larger. libpcap has the same limit for blocks.
pub(super) const MAX_RECORD: usize = 16 << 20;

const INITIAL: usize = 256 << 10;

/// A refillable buffer over a `Read`.
///
/// It grows only as bytes arrive, so a huge length in a small file costs nothing.
pub(super) struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    consumed: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: vec![0; INITIAL], start: 0, end: 0, consumed: 0 }
    }

    /// The offset in the capture of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.consumed
    }

    /// Whether no byte is left.
    pub(super) fn at_end(&mut self) -> Result<bool, ReadErrorKind> {
        Ok(self.fill(1)? == 0)
    }

    /// The next `len` bytes, which stay the next ones.
    pub(super) fn peek(&mut self, len: usize) -> Result<&[u8], ReadErrorKind> {
        let present = self.fill(len)?;
        if present < len {
            return Err(ReadErrorKind::Truncated { present: present as u64, needed: len as u64 });
        }
        Ok(&self.buffer[self.start..self.start + len])
    }

    /// The next `N` bytes, which stay the next ones.
    pub(super) fn peek_array<const N: usize>(&mut self) -> Result<[u8; N], ReadErrorKind> {
        let mut array = [0; N];
        array.copy_from_slice(self.peek(N)?);
        Ok(array)
    }

    /// Leaves the next `len` bytes behind and returns them. They must have been peeked at.
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let taken = self.start..self.start + len;
        self.start += len;
        self.consumed += len as u64;
        &self.buffer[taken]
    }

    /// Leaves the next `len` bytes behind without keeping them in memory.
    pub(super) fn skip(&mut self, len: u64) -> Result<(), ReadErrorKind> {
        let mut left = len;
        while left > 0 {
            let step = left.min(INITIAL as u64) as usize;
            let present = self.fill(step)?.min(step);
            if present == 0 {
                return Err(ReadErrorKind::Truncated { present: len - left, needed: len });
            }
            self.take(present);
            left -= present as u64;
        }
        Ok(())
    }

    /// Reads until `len` bytes are in the buffer or the source ends; returns how many are.
    fn fill(&mut self, len: usize) -> io::Result<usize> {
        while self.end - self.start < len {
            if self.start > 0 && self.start + len > self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end == self.buffer.len() {
                self.buffer.resize(2 * self.buffer.len(), 0);
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end - self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_only_with_what_is_there_and_is_kept() {
        let mut input = Input::new(io::repeat(7).take(1000));
        assert!(matches!(
            input.peek(MAX_RECORD),
            Err(ReadErrorKind::Truncated { present: 1000, needed }) if needed == MAX_RECORD as u64
        ));
        assert_eq!(input.buffer.len(), INITIAL);

        let mut input = Input::new(io::repeat(7));
        input.skip(40 << 20).unwrap();
        assert_eq!((input.offset(), input.buffer.len()), (40 << 20, INITIAL));
        input.peek(MAX_RECORD).unwrap();
        assert!(input.buffer.len() <= 2 * MAX_RECORD);
    }

    #[test]
    fn bytes_come_in_order_from_a_source_that_gives_one_at_a_time() {
        struct OneByOne(u8);
        impl Read for OneByOne {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                out[0] = self.0;
                self.0 = self.0.wrapping_add(1);
                Ok(1)
            }
        }
        let mut input = Input::new(OneByOne(0));
        assert_eq!(input.peek_array::<3>().unwrap(), [0, 1, 2]);
        assert_eq!(input.take(2), [0, 1]);
        input.skip(300).unwrap();
        assert_eq!(input.peek_array::<2>().unwrap(), [46, 47]); // 302 modulo 256
        assert_eq!(input.offset(), 302);
    }
}
