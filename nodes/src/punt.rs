//! `punt`: hands packets for the router itself to the stack of the host's kernel, through a tap.

use std::collections::BTreeMap;

use swath_api::NO_INTERFACE;
use swath_api::prelude::*;
use swath_api::wire::{ArpOperation, Eth, EtherType, Header, MacAddr};

/// Puts the header on that the kernel's end of a tap accepts.
pub struct Punt {
    // By the interface that has received a packet.
    ways: Vec<Option<Way>>,
    // Of interfaces, by index.
    names: Box<[String]>,
}

#[derive(Debug, Clone, Copy)]
struct Way {
    tap: u16,
    kernel: MacAddr,
    own: MacAddr,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For each interface whose packets may come here the `tap` whose kernel's end stands for it: `{ lan: lan-kernel }`. The device has the
    /// addresses of the interface (`kernel-addresses`), and its MAC address (`kernel-mac`).
    interfaces: BTreeMap<String, String>,
}

edges! {
    /// Where packets go.
    pub enum Next {
        /// Ethernet frames for `tx`, which sends them by the tap.
        Ok = required("ok", layer::ETHERNET),
        /// ARP messages that the kernel need not hear: requests, which `arp-input` answers, and those of interfaces without a tap.
        NotNeeded = consumed("not-needed"),
        /// The interface that has received the packet has no tap: name one in `interfaces`, or nobody hears it.
        NoTap = drop("no-tap"),
        /// Neither IPv4, nor IPv6, nor ARP, or without room for a header before it: the graph is wrong, this node takes what `ethernet-input` has
        /// taken the Ethernet header from.
        Malformed = drop("malformed"),
    }
}

impl Node for Punt {
    const INFO: Info = Info::new("punt", "Hands packets to the stack of the host's kernel.")
        .about(
            "What is for the router itself and not for Swath, such as BGP or SSH, goes by the tap that belongs to the interface which has \
             received it. The kernel's end of the tap has the addresses of the interface, and its MAC address, so the kernel takes the \
             packets for its own. Packets come here from `punt` of `ip4-local`, and as copies of ARP messages, since the kernel has to hear \
             the replies to its own requests. What the kernel sends is wired from an `rx` of the tap to a `tx` with the setting \
             `interface`: it leaves unchanged, its TTL included, on which BGP relies (RFC 5082).",
        )
        .pure()
        .example(include_str!("../examples/punt.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Punt, ConfigError> {
        if config.interfaces.is_empty() {
            return Err(ConfigError::at("interfaces", "at least one: `{ lan: lan-kernel }`"));
        }
        let mut ways = vec![None; setup.interfaces().len()];
        for (name, tap) in &config.interfaces {
            let path = format!("interfaces.{name}");
            let (from, to) = (setup.interface(&path, name)?, setup.interface(&path, tap)?);
            if from == to {
                return Err(ConfigError::at(path, format!("`{tap}` is the interface itself: name its tap")));
            }
            let mac = |index: u16| setup.interfaces().get(usize::from(index)).map(|interface| interface.mac);
            if let (Some(place), Some(kernel), Some(own)) = (ways.get_mut(usize::from(from)), mac(from), mac(to)) {
                *place = Some(Way { tap: to, kernel, own });
            }
        }
        let names = setup.interfaces().iter().map(|interface| interface.name.clone()).collect();
        Ok(Punt { ways, names })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, _: &Context<'_>, words: &mut Words<'_>) {
        let name = |interface: u16| self.names.get(usize::from(interface)).map_or("no interface", String::as_str);
        let lane = packet.lane_ref();
        if decided.is(Next::Ok) {
            words.say(format_args!("to the kernel by {}", name(lane.tx)));
        } else if decided.is(Next::NoTap) {
            words.say(format_args!("received by {}", name(lane.rx)));
        }
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.for_each(|packet| {
            let way = self.ways.get(usize::from(packet.lane_ref().rx)).copied().flatten();
            match way {
                Some(way) => way.send(packet),
                None if is_arp(packet) => Next::NotNeeded,
                None => Next::NoTap,
            }
        });
    }
}

impl Way {
    fn send(self, packet: &mut Packet<'_>) -> Next {
        let ether_type = match *packet.data() {
            [first, ..] if first >> 4 == 4 => EtherType::IPV4,
            [first, ..] if first >> 4 == 6 => EtherType::IPV6,
            // Hardware type 1, and the operation behind the kinds and lengths of addresses (RFC 826).
            [0, 1, _, _, _, _, high, low, ..] if [high, low] == ArpOperation::REPLY.0.to_be_bytes() => EtherType::ARP,
            _ if is_arp(packet) => return Next::NotNeeded,
            _ => return Next::Malformed,
        };
        let mut eth = Eth::default();
        eth.set_dst(self.kernel);
        eth.set_src(self.own);
        eth.set_ether_type(ether_type);
        let Some(head) = packet.prepend::<{ size_of::<Eth>() }>() else { return Next::Malformed };
        *head = *eth.as_array();
        *packet.lane() = Lane { tx: self.tap, ..Lane::received(packet.lane_ref().rx) };
        debug_assert_ne!(self.tap, NO_INTERFACE);
        Next::Ok
    }
}

/// Whether it begins as an ARP message on Ethernet does, and no IP packet: with hardware type 1.
fn is_arp(packet: &Packet<'_>) -> bool {
    packet.data().starts_with(&[0, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::{NodeKit, TestKit};

    fn kit(config: &str) -> Result<NodeKit, ConfigError> {
        let kit = TestKit::new().interface("lan", "02:00:00:00:00:01", 1500, &[]);
        let kit = kit.interface("kernel", "02:00:00:00:00:02", 1500, &[]).interface("wan", "02:00:00:00:00:03", 1500, &[]);
        kit.node::<Punt>(config)
    }

    #[test]
    fn what_the_kernel_takes_for_its_own() {
        let mut kit = kit(r#"{"interfaces": {"lan": "kernel"}}"#).unwrap();
        let head = |ether_type: u16| [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ether_type.to_be_bytes()[..]].concat();
        let arp = |operation: u8| [0, 1, 8, 0, 6, 4, 0, operation, 1, 2, 3];
        for (packet, rx, edge, ether_type) in [
            (&[0x45, 1, 2][..], 0, "ok", 0x0800),
            (&[0x4f], 0, "ok", 0x0800),
            (&[0x60, 0, 0], 0, "ok", 0x86dd),
            (&arp(2), 0, "ok", 0x0806),
            (&arp(1), 0, "not-needed", 0),
            (&[0, 1], 0, "not-needed", 0),
            (&[0, 2, 8, 0], 0, "malformed", 0),
            (&[], 0, "malformed", 0),
            (&[0x45], 1, "no-tap", 0),
            (&[0x45], 2, "no-tap", 0),
            (&[0x45], 99, "no-tap", 0),
            (&arp(2), 2, "not-needed", 0),
        ] {
            let out = kit.one(packet, Lane { adj: 7, ..Lane::received(rx) });
            assert_eq!(out.edge, edge, "{packet:x?} by {rx}");
            if edge == "ok" {
                assert_eq!((out.bytes, out.lane.tx), ([&head(ether_type), packet].concat(), 1), "{packet:x?}");
            }
        }
    }

    #[test]
    fn an_interface_has_another_one_for_its_tap() {
        for (config, path) in [
            (r#"{"interfaces": {}}"#, "interfaces"),
            (r#"{"interfaces": {"lan": "lan"}}"#, "interfaces.lan"),
            (r#"{"interfaces": {"lan": "none"}}"#, "interfaces.lan"),
            (r#"{"interfaces": {"none": "kernel"}}"#, "interfaces.none"),
        ] {
            assert_eq!(kit(config).expect_err(config).path(), path, "{config}");
        }
    }
}
