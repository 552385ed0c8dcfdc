//! One datagram that is being put together.

use swath_api::Lane;
use swath_api::prelude::Packet;
use swath_api::wire::{Header, IpProtocol, Ipv4};
use swath_api::zerocopy::FromBytes;

use super::Next;

/// The longest header.
const HEADER_MAX: usize = 60;
/// What fragments are measured in.
const BLOCK: usize = 8;
/// ECN codepoints (RFC 3168 §5), as bits of those that were seen.
const NOT_ECT: u8 = 1 << 0;
const CE: u8 = 3;

/// What a fragment is to a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Others are missing.
    More,
    /// None is missing.
    Whole,
    /// It has come before.
    Duplicate,
    /// It contradicts one that has come before.
    Overlap,
}

/// A datagram. Its memory is taken when it is made, and used again.
pub(super) struct Datagram {
    open: bool,
    refused: bool,
    source: u32,
    destination: u32,
    id: u16,
    protocol: IpProtocol,
    /// When it is given up.
    pub(super) due: u64,
    // Of the first fragment: its header, none so far if that is empty; its length, and how it came.
    header: [u8; HEADER_MAX],
    header_len: usize,
    first_len: usize,
    lane: Lane,
    // Of the data: where it ends, if that is known; up to where there is some; which blocks are there, and how many.
    end: Option<usize>,
    highest: usize,
    blocks: Box<[u64]>,
    count: usize,
    data: Box<[u8]>,
    ecn: u8,
}

impl Datagram {
    pub(super) fn new(largest: usize) -> Datagram {
        Datagram {
            open: false,
            refused: false,
            source: 0,
            destination: 0,
            id: 0,
            protocol: IpProtocol(0),
            due: 0,
            header: [0; HEADER_MAX],
            header_len: 0,
            first_len: 0,
            lane: Lane::default(),
            end: None,
            highest: 0,
            blocks: vec![0; largest.div_ceil(BLOCK * 64)].into(),
            count: 0,
            // Zeroed by the system when it is touched.
            data: vec![0; largest].into(),
            ecn: 0,
        }
    }

    pub(super) fn start(&mut self, ip: &Ipv4, due: u64) {
        (self.open, self.refused, self.due) = (true, false, due);
        (self.source, self.destination, self.id, self.protocol) = (ip.src_bits(), ip.dst_bits(), ip.id(), ip.protocol());
        (self.header_len, self.end, self.highest, self.count, self.ecn) = (0, None, 0, 0, 0);
        self.blocks.fill(0);
    }

    /// Becomes what another one of the same length is.
    pub(super) fn be(&mut self, other: &Datagram) {
        let Datagram { ref blocks, ref data, .. } = *other;
        let (mut own_blocks, mut own_data) = (std::mem::take(&mut self.blocks), std::mem::take(&mut self.data));
        own_blocks.copy_from_slice(blocks);
        own_data[..other.highest].copy_from_slice(&data[..other.highest]);
        *self = Datagram { blocks: own_blocks, data: own_data, ..*other };
    }

    /// Bytes of data that are there, the last block counted as whole.
    pub(super) fn bytes(&self) -> usize {
        (self.count * BLOCK).min(self.end.unwrap_or(usize::MAX))
    }

    pub(super) fn close(&mut self) {
        self.open = false;
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    pub(super) fn source(&self) -> u32 {
        self.source
    }

    /// Whether a fragment is of this datagram.
    pub(super) fn is_of(&self, ip: &Ipv4) -> bool {
        self.open
            && (self.source, self.destination, self.id, self.protocol) == (ip.src_bits(), ip.dst_bits(), ip.id(), ip.protocol())
    }

    /// How the first fragment came, if it did.
    pub(super) fn first(&self) -> Option<Lane> {
        (self.header_len > 0).then_some(self.lane)
    }

    /// Takes the data of a fragment, which must not end behind the largest datagram.
    pub(super) fn add(&mut self, ip: &Ipv4, options: &[u8], payload: &[u8], lane: Lane) -> Finding {
        let offset = usize::from(ip.fragment_offset());
        let (end, last) = (offset + payload.len(), !ip.more_fragments());
        let contradicts = match self.end {
            Some(known) => end > known || last && end != known,
            None => last && end < self.highest,
        };
        let blocks = offset / BLOCK..end.div_ceil(BLOCK);
        let there = blocks.clone().filter(|block| self.has(*block)).count();
        if self.refused || contradicts || there > 0 {
            let again = !self.refused && !contradicts && there == blocks.len() && (!last || self.end.is_some());
            if again && self.data[offset..end] == *payload {
                return Finding::Duplicate;
            }
            self.refused = true;
            return Finding::Overlap;
        }
        self.data[offset..end].copy_from_slice(payload);
        self.count += blocks.len();
        for block in blocks {
            self.blocks[block / 64] |= 1 << (block % 64);
        }
        self.highest = self.highest.max(end);
        self.ecn |= 1 << ip.ecn();
        if last {
            self.end = Some(end);
        }
        if offset == 0 {
            self.header[..size_of::<Ipv4>()].copy_from_slice(ip.as_array());
            self.header[size_of::<Ipv4>()..][..options.len()].copy_from_slice(options);
            (self.header_len, self.first_len, self.lane) = (size_of::<Ipv4>() + options.len(), payload.len(), lane);
        }
        match self.end {
            Some(end) if self.count == end.div_ceil(BLOCK) => Finding::Whole,
            _ => Finding::More,
        }
    }

    fn has(&self, block: usize) -> bool {
        self.blocks[block / 64] >> (block % 64) & 1 == 1
    }

    /// Makes a packet the whole datagram, with the header of its first fragment (RFC 791 §3.2) and the congestion of any (RFC 3168 §5.3).
    pub(super) fn write(&self, packet: &mut Packet<'_>) -> Result<Next, Next> {
        if self.ecn & NOT_ECT != 0 && self.ecn & 1 << CE != 0 {
            return Err(Next::BadEcn);
        }
        let end = self.end.unwrap_or(0);
        let total = self.header_len + end;
        let more = total.saturating_sub(packet.len());
        if total > self.data.len() || more > 0 && packet.append(more).is_none() {
            return Err(Next::TooBig);
        }
        packet.truncate(total);
        let bytes = packet.data_mut();
        bytes[..self.header_len].copy_from_slice(&self.header[..self.header_len]);
        bytes[self.header_len..].copy_from_slice(&self.data[..end]);
        if let Ok((ip, rest)) = Ipv4::mut_from_prefix(bytes) {
            ip.set_total_len(total as u16);
            ip.set_more_fragments(false);
            if self.ecn & 1 << CE != 0 {
                ip.set_ecn(CE);
            }
            ip.fill_checksum(rest);
        }
        *packet.lane() = self.lane;
        Ok(Next::Ok)
    }

    /// Makes an empty packet the first fragment as it came, or a header without data if it did not come.
    pub(super) fn write_first(&self, packet: &mut Packet<'_>) {
        if self.header_len > 0 {
            if let Some(bytes) = packet.append(self.header_len + self.first_len) {
                let (header, data) = bytes.split_at_mut(self.header_len);
                header.copy_from_slice(&self.header[..self.header_len]);
                data.copy_from_slice(&self.data[..self.first_len]);
            }
            return;
        }
        let mut ip = Ipv4::default();
        ip.set_id(self.id);
        ip.set_more_fragments(true);
        ip.set_protocol(self.protocol);
        ip.set_src_bits(self.source);
        ip.set_dst_bits(self.destination);
        ip.fill_checksum(&[]);
        if let Some(bytes) = packet.append(size_of::<Ipv4>()) {
            bytes.copy_from_slice(ip.as_array());
        }
    }
}
