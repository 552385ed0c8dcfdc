//! A flow, and what a packet says of its own.

use swath_api::flow::mix;
use swath_api::wire::{IpProtocol, Ipv4};
use swath_api::{NO_INTERFACE, Packet};

const FIXED: usize = 20;
/// Where the flags of a TCP header are.
const TCP_FLAGS: usize = 13;

/// What the packets of a flow have in common: source and destination address; source and destination port, interface of receive,
/// protocol, DSCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u64; 2]);

impl Key {
    fn new(addresses: [u32; 2], ports: [u16; 2], interface: u16, protocol: IpProtocol, dscp: u8) -> Key {
        let [source, destination] = addresses.map(u64::from);
        let [from, to] = ports.map(u64::from);
        let rest = u64::from(interface) << 16 | u64::from(protocol.0) << 8 | u64::from(dscp);
        Key([source << 32 | destination, from << 48 | to << 32 | rest])
    }

    /// Source and destination address.
    pub fn addresses(&self) -> [u32; 2] {
        [(self.0[0] >> 32) as u32, self.0[0] as u32]
    }

    /// Source and destination port; of ICMP 0, and type and code.
    pub fn ports(&self) -> [u16; 2] {
        [(self.0[1] >> 48) as u16, (self.0[1] >> 32) as u16]
    }

    /// The interface that it was received by, as the engine counts them.
    pub fn interface(&self) -> u16 {
        (self.0[1] >> 16) as u16
    }

    /// Its protocol.
    pub fn protocol(&self) -> IpProtocol {
        IpProtocol((self.0[1] >> 8) as u8)
    }

    /// Differentiated services code point.
    pub fn dscp(&self) -> u8 {
        self.0[1] as u8
    }
}

/// What is to be counted of a packet.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Its flow.
    pub key: Key,
    /// By which its flow is found.
    pub hash: u64,
    /// Bytes from the IPv4 header on, as that says; 0 for what is no IPv4 packet.
    pub bytes: u32,
    /// The interface that it leaves by, if that is known.
    pub egress: u16,
    /// The whole octet, of which the DSCP is a part.
    pub tos: u8,
    /// The flags of TCP.
    pub tcp_flags: u8,
}

impl Seen {
    /// Nothing.
    pub const NONE: Seen = Seen { key: Key([0; 2]), hash: 0, bytes: 0, egress: NO_INTERFACE, tos: 0, tcp_flags: 0 };

    /// What a packet says.
    #[inline]
    pub fn of(packet: &Packet<'_>, seed: u64) -> Seen {
        let Some((header, rest)) = packet.data().split_first_chunk::<FIXED>() else { return Seen::NONE };
        let ip = <Ipv4 as swath_api::wire::Header>::from_array(header);
        let at = ip.header_len().wrapping_sub(FIXED);
        if ip.version() != 4 || at > 40 {
            return Seen::NONE;
        }
        let protocol = ip.protocol();
        // Behind the end of the packet there is nothing to be read, whatever the header says.
        let payload = rest.get(at..).filter(|_| ip.fragment_offset() == 0).unwrap_or_default();
        let be16 = |at: usize| payload.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let ports = match protocol {
            IpProtocol::ICMP => [0, be16(0)],
            // TCP, UDP, DCCP, SCTP, UDP-Lite.
            IpProtocol(6 | 17 | 33 | 132 | 136) => [be16(0), be16(2)],
            _ => [0; 2],
        };
        let is_tcp = protocol == IpProtocol::TCP;
        let lane = packet.lane_ref();
        let key = Key::new([ip.src_bits(), ip.dst_bits()], ports, lane.rx, protocol, ip.dscp());
        Seen {
            key,
            hash: mix(mix(key.0[0] ^ seed) ^ key.0[1]),
            bytes: ip.total_len().into(),
            egress: lane.tx,
            tos: ip.tos(),
            tcp_flags: if is_tcp { payload.get(TCP_FLAGS).copied().unwrap_or(0) } else { 0 },
        }
    }
}

/// Why a flow has ended: `flowEndReason` (136) of the IANA registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// No packet has come for the idle timeout.
    Idle = 1,
    /// It has lasted for the active timeout, and may go on as another record.
    Active = 2,
    /// The table has ended.
    Forced = 4,
    /// Its place was needed.
    Evicted = 5,
}

impl End {
    /// All of them, with their names.
    pub const ALL: [(End, &'static str); 4] =
        [(End::Idle, "idle"), (End::Active, "active"), (End::Forced, "forced"), (End::Evicted, "evicted")];
}

/// A flow: what was counted of it. A cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Flow {
    /// What its packets have in common.
    pub key: Key,
    /// How many.
    pub packets: u64,
    /// Their bytes, from the IPv4 header on.
    pub bytes: u64,
    /// When its first packet came, by the engine's clock in nanoseconds.
    pub first: u64,
    /// When its last packet came.
    pub last: u64,
    /// The interface that its first packet left by.
    pub egress: u16,
    /// The octet with the DSCP, of its first packet.
    pub tos: u8,
    /// The flags of TCP of all of its packets together.
    pub tcp_flags: u8,
    /// Why it has ended; before that it means nothing.
    pub end: End,
}

impl Flow {
    /// Of its first packet.
    pub fn new(seen: &Seen, now: u64) -> Flow {
        let Seen { key, bytes, egress, tos, tcp_flags, .. } = *seen;
        Flow { key, packets: 1, bytes: bytes.into(), first: now, last: now, egress, tos, tcp_flags, end: End::Forced }
    }

    /// One packet more.
    #[inline]
    pub fn count(&mut self, seen: &Seen, now: u64) {
        self.packets += 1;
        self.bytes += u64::from(seen.bytes);
        self.last = now;
        self.tcp_flags |= seen.tcp_flags;
    }
}

/// A key that says a number, and the number that it says.
#[cfg(test)]
pub fn numbered(number: u64) -> Key {
    Key([number, !number])
}

#[cfg(test)]
pub fn number(key: &Key) -> u64 {
    key.0[0]
}
