//! The blocks of a pcapng capture (draft-ietf-opsawg-pcapng): those that carry packets and those
//! that say how to read them. All others are skipped.

use std::io::Read;

use super::LinkType;
use super::error::ReadErrorKind;
use super::input::Input;
use super::reader::{ByteOrder, Found, kept_len, malformed, words};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Far more than any capture has: a crafted one shall not fill the memory with them.
const MAX_INTERFACES: usize = 1 << 16;

/// Block type and total length before the body, the total length again after it.
const HEAD: usize = 8;
const TAIL: usize = 4;

/// What the blocks of a section so far say about those to come.
pub(super) struct Section {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// How many interfaces the sections before this one had.
    first_interface: u32,
}

struct Interface {
    link_type: LinkType,
    snap_len: u32,
    resolution: u8,
    offset_s: i64,
}

impl Default for Section {
    fn default() -> Self {
        Self { order: ByteOrder::Little, interfaces: Vec::new(), first_interface: 0 }
    }
}

impl Section {
    /// The next block with a packet; `offset` becomes that of the last block looked at.
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>, offset: &mut u64) -> Result<Option<Found>, ReadErrorKind> {
        loop {
            *offset = input.offset();
            if input.at_end()? {
                return Ok(None);
            }
            let head = input.peek_array::<HEAD>()?;
            if head[..4] == SECTION_HEADER.to_be_bytes() {
                self.begin(input)?;
            }
            let [kind, len] = words(self.order, &head);
            if len % 4 != 0 {
                return malformed(format!("block length {len} is not a multiple of 4"));
            }
            if (len as usize) < HEAD + TAIL {
                return malformed(format!("block length {len} is less than {}", HEAD + TAIL));
            }
            match kind {
                SECTION_HEADER => {
                    self.body(input, len, "a section header block", 16)?;
                    input.take(len as usize);
                }
                INTERFACE_DESCRIPTION => {
                    let body = self.body(input, len, "an interface description block", 8)?;
                    let interface = Interface::parse(self.order, body);
                    if self.interfaces.len() == MAX_INTERFACES {
                        return malformed(format!("more than {MAX_INTERFACES} interfaces"));
                    }
                    self.interfaces.push(interface);
                    input.take(len as usize);
                }
                ENHANCED_PACKET => {
                    let body = self.body(input, len, "an enhanced packet block", 20)?;
                    return self.packet(body, len, words(self.order, body)).map(Some);
                }
                PACKET => {
                    let body = self.body(input, len, "a packet block", 20)?;
                    let [_, high, low, data_len, original_len] = words(self.order, body);
                    let interface = u32::from(self.order.u16([body[0], body[1]]));
                    let fields = [interface, high, low, data_len, original_len];
                    return self.packet(body, len, fields).map(Some);
                }
                SIMPLE_PACKET => {
                    let body = self.body(input, len, "a simple packet block", 4)?;
                    return self.simple_packet(body, len).map(Some);
                }
                _ => {
                    input.skip(u64::from(len) - TAIL as u64)?;
                    let tail = self.order.u32(input.peek_array()?);
                    check_tail(len, tail)?;
                    input.take(TAIL);
                }
            }
        }
    }

    /// Takes the byte order of the section whose header is next.
    fn begin<R: Read>(&mut self, input: &mut Input<R>) -> Result<(), ReadErrorKind> {
        let header = input.peek_array::<16>()?;
        let [.., m0, m1, m2, m3, v0, v1, _, _] = header;
        self.order = match [m0, m1, m2, m3] {
            [0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
            [a, b, c, d] => {
                return malformed(format!("{a:02x} {b:02x} {c:02x} {d:02x} is not the byte-order magic of a section"));
            }
        };
        match self.order.u16([v0, v1]) {
            1 => {}
            major => return malformed(format!("pcapng version {major} is not known, only 1")),
        }
        self.first_interface = self.first_interface.saturating_add(self.interfaces.len() as u32);
        self.interfaces.clear();
        Ok(())
    }

    /// The body of the next block once all of it is in memory; it has at least `min` bytes.
    fn body<'a, R: Read>(&self, input: &'a mut Input<R>, len: u32, what: &str, min: usize) -> Result<&'a [u8], ReadErrorKind> {
        let kept = kept_len(len, "block length")?;
        let block = input.peek(kept)?;
        let (body, tail) = block[HEAD..].split_at(kept - HEAD - TAIL);
        let [tail] = words(self.order, tail);
        check_tail(len, tail)?;
        if body.len() < min {
            let min = HEAD + min + TAIL;
            return malformed(format!("block length {len} is less than the {min} of {what}"));
        }
        Ok(body)
    }

    /// An Enhanced Packet Block, or a Packet Block with its fields in the same order.
    fn packet(
        &self,
        body: &[u8],
        block_len: u32,
        [interface, high, low, data_len, original_len]: [u32; 5],
    ) -> Result<Found, ReadErrorKind> {
        let described = self.interface(interface)?;
        let room = body.len() - 20;
        if data_len as usize > room {
            return malformed(format!("captured length {data_len} is more than the {room} bytes that its block has left"));
        }
        Ok(Found {
            timestamp_ns: described.timestamp_ns((u64::from(high) << 32) | u64::from(low)),
            interface: self.first_interface.saturating_add(interface),
            original_len,
            link_type: described.link_type,
            block_len: block_len as usize,
            data_start: HEAD + 20,
            data_len: data_len as usize,
        })
    }

    fn simple_packet(&self, body: &[u8], block_len: u32) -> Result<Found, ReadErrorKind> {
        let described = self.interface(0)?;
        let [original_len] = words(self.order, body);
        let data_len = match described.snap_len {
            0 => original_len,
            snap_len => original_len.min(snap_len),
        };
        let room = body.len() - 4;
        if data_len as usize > room {
            return malformed(format!("packet length {data_len} is more than the {room} bytes that its block has left"));
        }
        Ok(Found {
            timestamp_ns: 0,
            interface: self.first_interface,
            original_len,
            link_type: described.link_type,
            block_len: block_len as usize,
            data_start: HEAD + 4,
            data_len: data_len as usize,
        })
    }

    fn interface(&self, index: u32) -> Result<&Interface, ReadErrorKind> {
        let described = self.interfaces.len();
        self.interfaces
            .get(index as usize)
            .map_or_else(|| malformed(format!("packet of interface {index}, but {described} are described")), Ok)
    }
}

fn check_tail(len: u32, tail: u32) -> Result<(), ReadErrorKind> {
    if len == tail {
        return Ok(());
    }
    malformed(format!("block length {len} is repeated as {tail} at its end"))
}

impl Interface {
    const OPTIONS: usize = 8;
    const TSRESOL: u16 = 9;
    const TSOFFSET: u16 = 14;

    fn parse(order: ByteOrder, body: &[u8]) -> Self {
        let [_, snap_len] = words(order, body);
        let mut interface = Self { link_type: LinkType(order.u16([body[0], body[1]])), snap_len, resolution: 6, offset_s: 0 };
        let mut options = &body[Self::OPTIONS..];
        while let [c0, c1, l0, l1, rest @ ..] = options {
            let code = order.u16([*c0, *c1]);
            let len = usize::from(order.u16([*l0, *l1]));
            let Some(value) = rest.get(..len) else { break };
            match (code, value) {
                (0, _) => break,
                (Self::TSRESOL, &[resolution]) => interface.resolution = resolution,
                (Self::TSOFFSET, &[a, b, c, d, e, f, g, h]) => {
                    let [first, second] = words(order, &[a, b, c, d, e, f, g, h]);
                    let (high, low) = match order {
                        ByteOrder::Little => (second, first),
                        ByteOrder::Big => (first, second),
                    };
                    interface.offset_s = (i64::from(high) << 32) | i64::from(low);
                }
                _ => {}
            }
            options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        interface
    }

    /// Nanoseconds from ticks: the top bit of `if_tsresol` tells a power of 2 from one of 10.
    fn timestamp_ns(&self, ticks: u64) -> u64 {
        let scaled = u128::from(ticks) * 1_000_000_000;
        let exponent = u32::from(self.resolution & 0x7f);
        let since_offset = if self.resolution & 0x80 != 0 {
            scaled >> exponent
        } else {
            // A power that overflows is above any `scaled`.
            10_u128.checked_pow(exponent).map_or(0, |per_second| scaled / per_second)
        };
        let offset = i128::from(self.offset_s) * 1_000_000_000;
        let timestamp = since_offset.cast_signed() + offset;
        timestamp.clamp(0, i128::from(u64::MAX)) as u64
    }
}
