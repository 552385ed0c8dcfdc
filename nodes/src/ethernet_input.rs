//! `ethernet-input`: which frames are for this station, and what they carry (IEEE 802.3, RFC 1812 §5.3.4).

use swath_api::prelude::*;
use swath_api::wire::{Eth, EtherType, Header, MacAddr};

use crate::own4::broadcasts;

/// Sorts frames by destination and EtherType.
pub struct EthernetInput {
    macs: Vec<MacAddr>,
    // By interface: what a host on its link may broadcast to.
    broadcasts: Vec<Vec<u32>>,
}

edges! {
    /// Where frames go. All but those of `other` have lost their Ethernet header.
    pub enum Next {
        /// IPv4 packets: wire them to an `ip4-input`.
        Ip4 = edge("ip4", layer::IP4),
        /// IPv6 packets. Hosts try IPv6 by themselves, so drops are usual on a link where nobody forwards it.
        Ip6 = edge("ip6", layer::IP6),
        /// ARP messages: who asks for the addresses of the interface, and answers. If they drop here, nobody on the link finds this machine
        /// unless its MAC address is written down there; and the graph's own neighbours must be `static`.
        Arp = edge("arp", layer::ARP),
        /// Frames with an 802.1Q or 802.1ad tag, which starts at the TCI. If they drop here unexpectedly, the port at the other end sends
        /// tagged frames: make it an access port, or take the tags off in the graph.
        Vlan = edge("vlan", layer::VLAN),
        /// Frames of any other type, whole: LLDP, spanning tree, and other frames of IEEE 802.3 with a length. A few each second are usual.
        Other = edge("other", layer::ETHERNET),
        /// The destination is the unicast address of another station. A few are usual: a switch floods what it has not learnt. If nothing
        /// else comes in, the interface's `mac` is not the address that its neighbours send to: compare the two.
        NotOurs = drop("not-ours"),
        /// An IPv4 packet to a single host in a frame to all or to a group, which a router must not forward (RFC 1812 §5.3.4): each router of
        /// the link would. Find its sender by the source MAC address in a capture of the interface.
        UnicastInGroupFrame = drop("unicast-in-group-frame"),
        /// Shorter than the 14 bytes of an Ethernet header, which no wire carries: look for a defect in the driver, or for a broken capture.
        TooShort = drop("too-short"),
    }
}

impl Node for EthernetInput {
    const INFO: Info = Info::new("ethernet-input", "Takes the Ethernet header off and sorts frames by what they carry.")
        .about(
            "Frames to the address of the interface that received them, to a group address and to the broadcast address are \
             accepted. An IPv4 packet that comes in a frame to a group or to all has to be for one, too: multicast, 255.255.255.255, or \
             the broadcast address of a subnet of the interface. One node may serve several interfaces.",
        )
        .input(layer::ETHERNET)
        .pure()
        .example(include_str!("../examples/ethernet-input.yaml"));
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<EthernetInput, ConfigError> {
        let interfaces = setup.interfaces();
        Ok(EthernetInput {
            macs: interfaces.iter().map(|interface| interface.mac).collect(),
            broadcasts: interfaces.iter().map(|interface| broadcasts(interface).collect()).collect(),
        })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let Ok((eth, _)) = Eth::parse(packet.data()) else { return };
        if decided.is(Next::NotOurs)
            && let Some(own) = self.macs.get(usize::from(packet.lane_ref().rx))
        {
            words.say(format_args!("for {}, where the interface is {own}", eth.dst()));
        } else if decided.is(Next::Other) {
            words.say(format_args!("EtherType {}", eth.ether_type()));
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        const TYPES: &[(EtherType, Next)] = &[
            (EtherType::IPV4, Next::Ip4),
            (EtherType::IPV6, Next::Ip6),
            (EtherType::ARP, Next::Arp),
            (EtherType::VLAN, Next::Vlan),
            (EtherType::QINQ, Next::Vlan),
        ];
        let in_group = (EtherType::IPV4, Next::UnicastInGroupFrame);
        frame.eth_check_group(&self.macs, TYPES, in_group, Next::Other, Next::NotOurs, Next::TooShort);
        frame.revise(Next::UnicastInGroupFrame, |packet| {
            let broadcasts = self.broadcasts.get(usize::from(packet.lane_ref().rx)).map_or(&[][..], Vec::as_slice);
            // What has no whole header is for `ip4-input` to name.
            let to_group = packet.ip4().is_none_or(|ip| {
                let to = ip.dst_bits();
                ip.dst().is_multicast() || ip.dst().is_broadcast() || broadcasts.contains(&to)
            });
            if to_group { Next::Ip4 } else { Next::UnicastInGroupFrame }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::TestKit;

    const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn frame(destination: [u8; 6], ethertype: u16) -> Vec<u8> {
        let mut frame = [&destination[..], &[2, 0, 0, 0, 0, 9]].concat();
        frame.extend(ethertype.to_be_bytes());
        frame.extend(b"payload");
        frame
    }

    #[test]
    fn frames_are_sorted_by_destination_and_type() {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &[]);
        let mut kit = kit.interface("wan", "02:00:00:00:00:02", 1500, &[]).node::<EthernetInput>("{}").unwrap();
        let group = [0x33, 0x33, 0, 0, 0, 1];
        let table = [
            (frame(OURS, 0x0800), 0, "ip4"),
            (frame(OURS, 0x86dd), 0, "ip6"),
            (frame(group, 0x86dd), 0, "ip6"),
            (frame([0xff; 6], 0x0806), 0, "arp"),
            (frame([0xff; 6], 0x0800), 0, "ip4"),
            (frame(OURS, 0x8100), 0, "vlan"),
            (frame(OURS, 0x88a8), 0, "vlan"),
            (frame(OURS, 0x88cc), 0, "other"),
            // An 802.3 length, not a type.
            (frame(OURS, 0x0040), 0, "other"),
            // The other interface's address.
            (frame(OURS, 0x0800), 1, "not-ours"),
            (frame([2, 0, 0, 0, 0, 2], 0x0800), 1, "ip4"),
            (frame([4, 0, 0, 0, 0, 1], 0x0800), 0, "not-ours"),
            (frame(OURS, 0x0800)[..13].to_vec(), 0, "too-short"),
            (frame(OURS, 0x0800)[..14].to_vec(), 0, "ip4"),
        ];
        let packets: Vec<(&[u8], Lane)> = table.iter().map(|(bytes, rx, _)| (&bytes[..], Lane::received(*rx))).collect();
        for ((bytes, _, edge), out) in table.iter().zip(kit.run(&packets)) {
            let whole = matches!(*edge, "other" | "not-ours" | "too-short");
            assert_eq!((out.edge, &out.bytes[..]), (*edge, if whole { &bytes[..] } else { &bytes[14..] }));
        }
    }

    #[test]
    fn rfc_1812_5_3_4_link_layer_broadcasts() {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &["192.168.1.1/24", "10.0.0.1/31"]);
        let mut kit = kit.interface("wan", "02:00:00:00:00:02", 1500, &["203.0.113.1/24"]).node::<EthernetInput>("{}").unwrap();
        let group = [1, 0, 0x5e, 0, 0, 5];
        let table = [
            ([8, 8, 8, 8], 0, false),
            ([192, 168, 1, 1], 0, false),
            ([255; 4], 0, true),
            ([224, 0, 0, 5], 0, true),
            ([239, 255, 255, 255], 1, true),
            ([240, 0, 0, 0], 0, false),
            // That of the link, and that of another.
            ([192, 168, 1, 255], 0, true),
            ([203, 0, 113, 255], 1, true),
            ([192, 168, 1, 255], 1, false),
            // RFC 3021: a link of two has none.
            ([10, 0, 0, 1], 0, false),
            ([0; 4], 0, false),
        ];
        for (destination, rx, accepted) in table {
            let packet = [&[0x45; 16][..], &destination, &[0; 8]].concat();
            for (to, edge) in [
                ([0xff; 6], if accepted { "ip4" } else { "unicast-in-group-frame" }),
                (group, if accepted { "ip4" } else { "unicast-in-group-frame" }),
                ([2, 0, 0, 0, 0, rx as u8 + 1], "ip4"),
            ] {
                let frame = [&to[..], &[2, 0, 0, 0, 0, 9, 8, 0], &packet].concat();
                let out = kit.one(&frame, Lane::received(rx));
                assert_eq!((out.edge, &out.bytes), (edge, &packet), "{destination:?} in a frame to {to:?}");
            }
        }
    }
}
