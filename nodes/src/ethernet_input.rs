//! `ethernet-input`: which frames are for this station, and what they carry (IEEE 802.3).

use swath_api::prelude::*;
use swath_api::wire::{EtherType, MacAddr};

/// Sorts frames by destination and EtherType.
pub struct EthernetInput {
    macs: Vec<MacAddr>,
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
        /// Shorter than the 14 bytes of an Ethernet header, which no wire carries: look for a defect in the driver, or for a broken capture.
        TooShort = drop("too-short"),
    }
}

impl Node for EthernetInput {
    const INFO: Info = Info::new("ethernet-input", "Takes the Ethernet header off and sorts frames by what they carry.")
        .about(
            "Frames to the address of the interface that received them, to a group address and to the broadcast address are \
             accepted. One node may serve several interfaces.",
        )
        .input(layer::ETHERNET)
        .example(include_str!("../examples/ethernet-input.yaml"));
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<EthernetInput, ConfigError> {
        Ok(EthernetInput { macs: setup.interfaces().iter().map(|interface| interface.mac).collect() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        const TYPES: &[(EtherType, Next)] = &[
            (EtherType::IPV4, Next::Ip4),
            (EtherType::IPV6, Next::Ip6),
            (EtherType::ARP, Next::Arp),
            (EtherType::VLAN, Next::Vlan),
            (EtherType::QINQ, Next::Vlan),
        ];
        frame.eth_check(&self.macs, TYPES, Next::Other, Next::NotOurs, Next::TooShort);
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
}
