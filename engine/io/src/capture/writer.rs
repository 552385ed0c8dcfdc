//! Writes captures in the pcap format, little-endian, with nanosecond timestamps.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// tcpdump's default, and far above any frame.
const SNAP_LEN: u32 = 262_144;

/// Writes Ethernet frames as a pcap capture. The same frames and times give the same bytes.
///
/// Output is buffered: end with [`finish`](Self::finish) to learn whether all of it was written.
pub struct Writer<W: Write> {
    out: BufWriter<W>,
}

impl Writer<File> {
    /// Creates a capture file, or replaces the one that is there.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::new(File::create(path)?)
    }
}

impl<W: Write> Writer<W> {
    /// Writes the file header to `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(64 << 10, out);
        out.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0])?; // version 2.4
        out.write_all(&[0; 8])?; // reserved
        out.write_all(&SNAP_LEN.to_le_bytes())?;
        out.write_all(&u32::from(super::LinkType::ETHERNET.0).to_le_bytes())?;
        Ok(Self { out })
    }

    /// Writes one frame. Of a frame above 262144 bytes it keeps that many and the true length.
    ///
    /// An error of kind `InvalidInput` means that the format cannot hold the time (after 2106) or
    /// the length; then nothing was written.
    pub fn write(&mut self, timestamp_ns: u64, frame: &[u8]) -> io::Result<()> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let seconds = u32::try_from(timestamp_ns / 1_000_000_000).map_err(|_| invalid("a pcap cannot hold a time after 2106"))?;
        let nanoseconds = (timestamp_ns % 1_000_000_000) as u32;
        let original_len = u32::try_from(frame.len()).map_err(|_| invalid("a pcap cannot hold a frame of 4 GiB"))?;
        let kept = original_len.min(SNAP_LEN);

        let mut header = [0; 16];
        let fields = [seconds, nanoseconds, kept, original_len];
        for (bytes, field) in header.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
            *bytes = field.to_le_bytes();
        }
        self.out.write_all(&header)?;
        self.out.write_all(&frame[..kept as usize])
    }

    /// Hands everything written so far to the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes what is still buffered and returns the output.
    pub fn finish(self) -> io::Result<W> {
        let mut out = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        out.flush()?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.write(3_000_000_007, &[0xab, 0xcd]).unwrap();
        // draft-ietf-opsawg-pcap, sections 4 and 5.
        let expected = [
            [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0].as_slice(),
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0],
            &[3, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0xab, 0xcd],
        ];
        assert_eq!(writer.finish().unwrap(), expected.concat());
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused_or_cut() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let last = (u64::from(u32::MAX) + 1) * 1_000_000_000 - 1;
        writer.write(last, &[]).unwrap();
        let error = writer.write(last + 1, &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        writer.write(0, &vec![1; SNAP_LEN as usize + 5]).unwrap();
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len(), 24 + 16 + 16 + SNAP_LEN as usize);
        assert_eq!(bytes[48..56], [0, 0, 4, 0, 5, 0, 4, 0]);
    }

    #[test]
    fn errors_of_the_output_reach_flush_and_finish() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = Writer::new(Full).unwrap();
        writer.write(0, &[1]).unwrap();
        assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(writer.finish().err().unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
