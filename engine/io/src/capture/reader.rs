//! Reads captures in the pcap and pcapng formats, one record at a time, in bounded memory.
//!
//! The decoding is our own because the crates do not give what a user needs from it: pcap-parser
//! 0.17 decodes neither binary `if_tsresol` nor big-endian `if_tsoffset` nor Packet Blocks, and
//! says neither where nor why a file is refused; pcap-file 3.0 cannot tell a truncated file from a
//! large block and refuses a capture for an option that is not UTF-8. Both are the tests' oracles.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::LinkType;
use super::error::{ReadError, ReadErrorKind};
use super::input::{Input, MAX_RECORD};
use super::pcapng::Section;

/// One captured frame, borrowed from its [`Reader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Nanoseconds since 1970-01-01 00:00 UTC, held to what a `u64` can say; 0 in a pcapng Simple
    /// Packet Block, which has no time.
    pub timestamp_ns: u64,
    /// The interface, numbered from 0 over the whole capture as described there; 0 in a pcap.
    pub interface: u32,
    /// The length of the frame on the wire, of which `data` may hold only the first part.
    pub original_len: u32,
    /// What `data` begins with.
    pub link_type: LinkType,
    /// The captured bytes.
    pub data: &'a [u8],
}

/// A record whose bytes are still to be taken from the input.
pub(super) struct Found {
    pub timestamp_ns: u64,
    pub interface: u32,
    pub original_len: u32,
    pub link_type: LinkType,
    /// The bytes of its block: headers, captured bytes, padding and options.
    pub block_len: usize,
    pub data_start: usize,
    pub data_len: usize,
}

/// The byte order of a capture's header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

enum Format {
    Pcap { order: ByteOrder, tick_ns: u64, link_type: LinkType },
    Pcapng(Section),
}

/// Reads the records of a pcap or pcapng capture, whichever it is, in both byte orders.
///
/// ```
/// use swath_io::capture::{Reader, Writer};
///
/// let mut writer = Writer::new(Vec::new())?;
/// writer.write(1_000, &[0xff; 60])?;
/// let bytes = writer.finish()?;
///
/// let mut reader = Reader::new("memory", bytes.as_slice())?;
/// while let Some(record) = reader.next_record()? {
///     assert_eq!((record.timestamp_ns, record.data.len()), (1_000, 60));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<R> {
    name: String,
    input: Input<R>,
    format: Format,
    ended: bool,
}

impl Reader<File> {
    /// Opens a capture file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let name = path.as_ref().display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, file),
            Err(error) => Err(ReadError { name, offset: 0, kind: error.into() }),
        }
    }
}

impl<R: Read> Reader<R> {
    /// Reads the file header from `source`, which needs no buffering of its own. Errors call the
    /// capture `name`.
    pub fn new(name: impl Into<String>, source: R) -> Result<Self, ReadError> {
        let name = name.into();
        let mut input = Input::new(source);
        match Format::read(&mut input) {
            Ok(format) => Ok(Self { name, input, format, ended: false }),
            Err(kind) => Err(ReadError { name, offset: 0, kind }),
        }
    }

    /// The next record, or `None` at the end of the capture and after an error.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let mut offset = self.input.offset();
        let found = match &mut self.format {
            Format::Pcap { order, tick_ns, link_type } => next_pcap(&mut self.input, *order, *tick_ns, *link_type),
            Format::Pcapng(section) => section.next(&mut self.input, &mut offset),
        };
        match found {
            Ok(Some(found)) => {
                let block = self.input.take(found.block_len);
                Ok(Some(Record {
                    timestamp_ns: found.timestamp_ns,
                    interface: found.interface,
                    original_len: found.original_len,
                    link_type: found.link_type,
                    data: &block[found.data_start..found.data_start + found.data_len],
                }))
            }
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Err(kind) => {
                self.ended = true;
                Err(ReadError { name: self.name.clone(), offset, kind })
            }
        }
    }
}

impl Format {
    fn read<R: Read>(input: &mut Input<R>) -> Result<Self, ReadErrorKind> {
        let magic = input.peek_array::<4>()?;
        let (order, tick_ns) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (ByteOrder::Little, 1_000),
            [0xa1, 0xb2, 0xc3, 0xd4] => (ByteOrder::Big, 1_000),
            [0x4d, 0x3c, 0xb2, 0xa1] => (ByteOrder::Little, 1),
            [0xa1, 0xb2, 0x3c, 0x4d] => (ByteOrder::Big, 1),
            [0x0a, 0x0d, 0x0d, 0x0a] => return Ok(Self::Pcapng(Section::default())),
            [0x1f, 0x8b, ..] => return malformed("the capture is compressed: gunzip it first"),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                return malformed("the capture is compressed: unzstd it first");
            }
            [a, b, c, d] => {
                return malformed(format!("neither pcap nor pcapng: it begins with {a:02x} {b:02x} {c:02x} {d:02x}"));
            }
        };
        let header = input.peek_array::<24>()?;
        let [.., l0, l1, l2, l3] = header;
        let major = order.u16([header[4], header[5]]);
        if major != 2 {
            return malformed(format!("pcap version {major} is not known, only 2"));
        }
        // The upper half tells of a frame check sequence.
        let link_type = LinkType(order.u32([l0, l1, l2, l3]) as u16);
        input.take(header.len());
        Ok(Self::Pcap { order, tick_ns, link_type })
    }
}

const PCAP_RECORD: usize = 16;

fn next_pcap<R: Read>(
    input: &mut Input<R>,
    order: ByteOrder,
    tick_ns: u64,
    link_type: LinkType,
) -> Result<Option<Found>, ReadErrorKind> {
    if input.at_end()? {
        return Ok(None);
    }
    let header = input.peek_array::<PCAP_RECORD>()?;
    let [seconds, ticks, data_len, original_len] = words(order, &header);
    let data_len = kept_len(data_len, "captured length")?;
    input.peek(PCAP_RECORD + data_len)?;
    Ok(Some(Found {
        timestamp_ns: u64::from(seconds) * 1_000_000_000 + u64::from(ticks) * tick_ns,
        interface: 0,
        original_len,
        link_type,
        block_len: PCAP_RECORD + data_len,
        data_start: PCAP_RECORD,
        data_len,
    }))
}

/// The first `N` 32-bit fields of `bytes`; those that are not there are 0.
pub(super) fn words<const N: usize>(order: ByteOrder, bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = order.u32(*bytes);
    }
    words
}

/// `len` if a record of that length may be kept in memory.
pub(super) fn kept_len(len: u32, what: &str) -> Result<usize, ReadErrorKind> {
    match len as usize {
        len if len <= MAX_RECORD => Ok(len),
        len => malformed(format!("{what} {len} is above the limit of {MAX_RECORD}")),
    }
}

pub(super) fn malformed<T>(what: impl Into<String>) -> Result<T, ReadErrorKind> {
    Err(ReadErrorKind::Malformed(what.into()))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
