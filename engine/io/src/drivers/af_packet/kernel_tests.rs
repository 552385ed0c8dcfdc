//! Checksums and segments against those of the kernel: the same frame goes by a device without offloads, where the kernel has to do the work
//! itself, and by one with all of them, where we have to. Needs root.

use std::process::Command;

use etherparse::{IpNumber, Ipv6RawExtHeader, PacketBuilder};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use swath_api::wire::checksum::Sum;

use super::ring::{Ring, RingSettings, Slot};
use super::settings::Fanout;
use super::socket::Socket;
use crate::drivers::kernel::netlink::Netlink;
use crate::offload::{VnetHeader, Work};

/// A network namespace with two cables, `plain` to `plain-rx` and `full` to `full-rx`.
struct Cables(String);

impl Cables {
    fn lay() -> Option<Cables> {
        let tools = ["ip", "ethtool"].iter().all(|tool| Command::new(tool).arg("--help").output().is_ok());
        let needs = "it needs root, `ip` and `ethtool`";
        if !tools || !rustix::process::geteuid().is_root() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{needs}");
            println!("not run: {needs}");
            return None;
        }
        let cables = Cables(format!("swath-{}-offload", std::process::id()));
        run(&["ip", "netns", "add", &cables.0]);
        let file = std::fs::File::open(format!("/run/netns/{}", cables.0)).unwrap();
        // Of this thread only.
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
        run(&["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]);
        for device in ["plain", "full"] {
            let peer = format!("{device}-rx");
            run(&["ip", "link", "add", device, "mtu", "9000", "type", "veth", "peer", "name", &peer, "mtu", "9000"]);
            if device == "plain" {
                for offload in ["tx", "tso", "gso", "tx-udp-segmentation"] {
                    run(&["ethtool", "-K", device, offload, "off"]);
                }
            }
            run(&["ip", "link", "set", device, "up"]);
            run(&["ip", "link", "set", &peer, "up"]);
        }
        Some(cables)
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

fn run(line: &[&str]) {
    let output = Command::new(line[0]).args(&line[1..]).output().unwrap();
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Both ends of a cable.
struct Ends {
    sender: Socket,
    receiver: Ring,
}

impl Ends {
    fn of(device: &str) -> Ends {
        let mut netlink = Netlink::open().unwrap();
        let mut index = |name: &str| netlink.link(name).unwrap().unwrap().index;
        let sender = Socket::sender(index(device)).unwrap();
        sender.set(libc::PACKET_VNET_HDR, &1i32).unwrap();
        let settings = RingSettings { slots: 256, promiscuous: true, fanout: Fanout::Hash };
        let receiver = Ring::open_all(index(&format!("{device}-rx")), 1, settings).unwrap().remove(0);
        Ends { sender, receiver }
    }

    /// Sends a frame; returns what the kernel hands over of it, and the packets that we make of that.
    fn pass(&mut self, header: VnetHeader, frame: &[u8]) -> (usize, Vec<Vec<u8>>) {
        let bytes = [&header.to_bytes()[..], frame].concat();
        assert_eq!(self.sender.send(&[&bytes]).map_err(|error| format!("{error}: {header:?}")), Ok(1));
        let (mut frames, mut packets, mut out) = (0, Vec::new(), vec![0; 70_000]);
        // What is sent by a cable is received when the call returns.
        while let Some(slot) = self.receiver.next() {
            let Slot::Frame(handed) = slot else { panic!("{header:?}") };
            frames += 1;
            match Work::new(&handed).unwrap_or_else(|_| panic!("{:?}", handed.header)) {
                Work::Whole(checksum) => {
                    let len = handed.write(checksum, &mut out).unwrap();
                    packets.push(out[..len].to_vec());
                }
                Work::Segments(segments) => {
                    for index in 0..segments.count() {
                        let len = segments.write(&handed, index, &mut out).unwrap();
                        packets.push(out[..len].to_vec());
                    }
                }
            }
            self.receiver.advance();
        }
        (frames, packets)
    }
}

/// What a frame has around its payload.
#[derive(Debug, Clone, Copy)]
struct Shape {
    is_ipv6: bool,
    is_tcp: bool,
    tags: usize,
    options: bool,
    flags: u8,
    payload: usize,
    size: u16,
}

/// A frame whose checksum and cutting are left to the receiver.
fn frame(shape: Shape, number: usize) -> (VnetHeader, Vec<u8>) {
    let payload: Vec<u8> = (0..shape.payload).map(|index| (index * 31 + index / 251 + number) as u8).collect();
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let network = if shape.is_ipv6 {
        let mut extensions = etherparse::Ipv6Extensions::default();
        if shape.options {
            extensions.destination_options = Some(Ipv6RawExtHeader::new_raw(IpNumber::TCP, &[1, 4, 0, 0, 0, 0]).unwrap());
        }
        let ip = etherparse::Ipv6Header { source: [0xfd; 16], destination: [0xfe; 16], hop_limit: 9, ..Default::default() };
        ethernet.ip(etherparse::IpHeaders::Ipv6(ip, extensions))
    } else {
        let mut ip = etherparse::Ipv4Header::new(0, 9, IpNumber::TCP, [10, 0, 0, 1], [10, 0, 0, 2]).unwrap();
        (ip.identification, ip.dont_fragment) = (0xfff0 + number as u16 % 16, number.is_multiple_of(2));
        if shape.options {
            ip.options = [1u8, 1, 1, 0].into();
        }
        ethernet.ip(etherparse::IpHeaders::Ipv4(ip, Default::default()))
    };
    let mut bytes = Vec::new();
    if shape.is_tcp {
        let mut tcp = etherparse::TcpHeader::new(1000, 80, u32::MAX - 5000 + number as u32, 77);
        if shape.options {
            // Time stamps (RFC 7323).
            tcp.set_options_raw(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        }
        (tcp.fin, tcp.psh, tcp.ack, tcp.urg) = (shape.flags & 1 != 0, shape.flags & 8 != 0, true, shape.flags & 32 != 0);
        (tcp.ece, tcp.cwr) = (shape.flags & 64 != 0, shape.flags & 128 != 0);
        network.tcp_header(tcp).write(&mut bytes, &payload).unwrap();
    } else {
        network.udp(1000, 53).write(&mut bytes, &payload).unwrap();
    }
    let start = 14 + if shape.is_ipv6 { 40 + if shape.options { 8 } else { 0 } } else { 20 + if shape.options { 4 } else { 0 } };
    let (offset, header) = if shape.is_tcp { (16, if shape.options { 32 } else { 20 }) } else { (6, 8) };
    let addresses = if shape.is_ipv6 { 22..54 } else { 26..34 };
    let protocol = if shape.is_tcp { 6 } else { 17 };
    let pseudo = Sum::new().add_bytes(&bytes[addresses]).add_u16(protocol).add_u32((bytes.len() - start) as u32).fold();
    bytes[start + offset..start + offset + 2].copy_from_slice(&pseudo.to_be_bytes());
    let tags = [0x88, 0xa8, 0x20, 9, 0x81, 0, 0, 7];
    bytes.splice(12..12, tags[tags.len() - 4 * shape.tags..].iter().copied());
    let start = start + 4 * shape.tags;
    let gso_type = match (shape.is_tcp, shape.is_ipv6) {
        (false, _) => VnetHeader::GSO_UDP_L4,
        (true, true) => VnetHeader::GSO_TCPV6,
        (true, false) => VnetHeader::GSO_TCPV4,
    };
    let ecn = if shape.is_tcp && shape.flags & 128 != 0 { VnetHeader::GSO_ECN } else { 0 };
    let header = VnetHeader {
        flags: VnetHeader::NEEDS_CSUM,
        gso_type: if shape.payload > usize::from(shape.size) { gso_type | ecn } else { VnetHeader::GSO_NONE },
        hdr_len: (start + header) as u16,
        gso_size: shape.size,
        csum_start: start as u16,
        csum_offset: offset as u16,
    };
    (header, bytes)
}

#[test]
fn our_packets_are_those_of_the_kernel() {
    let Some(_cables) = Cables::lay() else { return };
    let (mut plain, mut full) = (Ends::of("plain"), Ends::of("full"));
    let (mut number, mut cut) = (0, 0);
    for (is_ipv6, is_tcp) in [(false, true), (true, true), (false, false), (true, false)] {
        for tags in 0..=1 {
            for options in [false, true] {
                for flags in [0x00, 0x09, 0x29, 0xc8, 0x80] {
                    for (payload, size) in [(100, 1400), (1401, 1400), (2800, 1400), (9999, 1111), (60_000, 1448), (3000, 100)] {
                        // UDP with extension headers the kernel does not cut.
                        if !is_tcp && is_ipv6 && options && payload > size {
                            continue;
                        }
                        let shape = Shape { is_ipv6, is_tcp, tags, options, flags, payload, size: size as u16 };
                        number += 1;
                        let (header, frame) = frame(shape, number);
                        let (frames, expected) = plain.pass(header, &frame);
                        assert_eq!(frames, payload.div_ceil(size), "the kernel cuts: {shape:?}");
                        let (frames, found) = full.pass(header, &frame);
                        assert_eq!(frames, 1, "the kernel does not cut: {shape:?}");
                        cut += usize::from(found.len() > 1);
                        let differs = expected.iter().zip(&found).position(|(expected, found)| expected != found);
                        assert!(expected == found, "{shape:?}: {} and {}, {differs:?}", expected.len(), found.len());
                    }
                }
            }
        }
    }
    assert!(cut > 300, "{cut}");
}
