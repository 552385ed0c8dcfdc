//! `bridge-flood`: sends a frame to all interfaces of a bridge but the one that it came from.

use swath_api::prelude::*;

use crate::bridge::{Bridge, Header, Member};

/// Makes a copy for each interface but the last, which gets the frame itself.
pub struct BridgeFlood {
    bridge: Handle<Bridge>,
}

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table of kind `bridge`. Default: the only one.
    #[serde(default)]
    table: Option<String>,
}

edges! {
    /// Where frames go.
    pub enum Next {
        /// A frame for each interface, which its lane names.
        Ok = required("ok", layer::ETHERNET),
        /// The frame carries more than the MTU of the interface to leave by, and a bridge cannot fragment: give all its interfaces the same `mtu`. Other interfaces have got theirs.
        TooBig = drop("too-big"),
        /// The frame came in by an interface that is not of this bridge: put `bridge-input` on the same table before this node.
        NotMember = drop("not-member"),
        /// Shorter than the 14 bytes of an Ethernet header: put `bridge-input` before this node.
        TooShort = drop("too-short"),
    }
}

impl Node for BridgeFlood {
    const INFO: Info = Info::new("bridge-flood", "Sends frames to all interfaces of a bridge but the one that they came from.")
        .about(
            "It makes a copy for each interface but the last, in the order of the table's `interfaces`; the last gets the frame itself. \
             The engine takes 256 made packets a pass: the copies that are too many are counted as `inbox-full` and dropped, those for \
             which the pool has no buffer as `out-of-buffers`.",
        )
        .input(layer::ETHERNET)
        .uses(&[const { swath_api::Str::new("bridge") }])
        .example(include_str!("../examples/bridge-flood.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<BridgeFlood, ConfigError> {
        Ok(BridgeFlood { bridge: setup.table("table", config.table.as_deref())? })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        if decided.is(Next::Ok) || decided.is(Next::TooBig) {
            say_members(cx.table(self.bridge), packet.lane_ref().rx, words);
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let (bridge, rx) = (cx.table(self.bridge), packet.lane_ref().rx);
        let Some(Header { payload, .. }) = Header::read(packet) else { return Some(Next::TooShort) };
        if bridge.mtu(rx).is_none() {
            return Some(Next::NotMember);
        }
        let Some(last) = say_members(bridge, rx, words) else { return Some(Next::NotMember) };
        packet.lane().set_out(u64::from(last.interface) << 32);
        Some(if payload > last.mtu { Next::TooBig } else { Next::Ok })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let bridge = cx.table(self.bridge);
        frame.for_each_emit(|packet, emit| {
            let rx = packet.lane_ref().rx;
            let Some(Header { payload, .. }) = Header::read(packet) else { return Next::TooShort };
            if bridge.mtu(rx).is_none() {
                return Next::NotMember;
            }
            let send = |packet: &mut Packet<'_>, member: &Member| {
                packet.lane().set_out(u64::from(member.interface) << 32);
                if payload > member.mtu { Next::TooBig } else { Next::Ok }
            };
            let mut others = bridge.members().iter().filter(|member| member.interface != rx);
            // A bridge has two members at least.
            let Some(mut last) = others.next() else { return Next::NotMember };
            for member in others {
                let next = send(packet, last);
                emit.copy(packet, next);
                last = member;
            }
            send(packet, last)
        });
    }
}

/// Says to whom frames go that came in by an interface. Returns the last of them, which gets the frame itself.
fn say_members<'b>(bridge: &'b Bridge, rx: u16, words: &mut Words<'_>) -> Option<&'b Member> {
    let mut last: Option<&Member> = None;
    for member in bridge.members().iter().filter(|member| member.interface != rx) {
        if let Some(copy) = last.replace(member) {
            words.say(format_args!("a copy to {}", bridge.name(copy.interface)));
        }
    }
    let last = last?;
    words.say(format_args!("the frame itself to {}", bridge.name(last.interface)));
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::{NodeKit, TestKit};

    const OUTSIDER: u16 = 3;

    fn kit(kit: TestKit, interfaces: &str) -> NodeKit {
        let kit = kit.interface("a", "02:00:00:00:00:0a", 1500, &[]).interface("b", "02:00:00:00:00:0b", 100, &[]);
        let kit = kit.interface("c", "02:00:00:00:00:0c", 1500, &[]).interface("d", "02:00:00:00:00:0d", 1500, &[]);
        kit.table::<Bridge>("bridge", &format!(r#"{{"interfaces": {interfaces}}}"#)).node::<BridgeFlood>("{}").unwrap()
    }

    /// Edge and interface of what became of a frame of so many bytes: of the copies, then of itself.
    fn flooded(kit: &mut NodeKit, rx: u16, len: usize) -> (Vec<(&'static str, u16)>, &'static str, u16) {
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let frame = kit.one(&bytes, Lane { adj: 7, ..Lane::received(rx) });
        let way = |out: &swath_api::testkit::Outcome| {
            assert_eq!((&out.bytes, out.lane.rx), (&bytes, rx));
            (out.edge, out.lane.tx)
        };
        (kit.emitted().iter().map(way).collect(), frame.edge, way(&frame).1)
    }

    #[test]
    fn each_other_interface_gets_it_once() {
        let mut three = kit(TestKit::new(), r#"["a", "b", "c"]"#);
        assert_eq!(flooded(&mut three, 0, 60), (vec![("ok", 1)], "ok", 2));
        assert_eq!(flooded(&mut three, 1, 60), (vec![("ok", 0)], "ok", 2));
        assert_eq!(flooded(&mut three, 2, 60), (vec![("ok", 0)], "ok", 1));
        let mut two = kit(TestKit::new(), r#"["c", "a"]"#);
        assert_eq!(flooded(&mut two, 0, 60), (vec![], "ok", 2));
        let mut four = kit(TestKit::new(), r#"["d", "c", "b", "a"]"#);
        assert_eq!(flooded(&mut four, 1, 60), (vec![("ok", 3), ("ok", 2)], "ok", 0));
    }

    #[test]
    fn what_is_too_big_for_one_goes_to_the_others() {
        let mut last = kit(TestKit::new(), r#"["a", "c", "b"]"#);
        assert_eq!(flooded(&mut last, 0, 114), (vec![("ok", 2)], "ok", 1));
        assert_eq!(flooded(&mut last, 0, 115), (vec![("ok", 2)], "too-big", 1));
        let mut first = kit(TestKit::new(), r#"["b", "a", "c"]"#);
        assert_eq!(flooded(&mut first, 0, 115), (vec![("too-big", 1)], "ok", 2));
        assert_eq!(flooded(&mut first, 1, 115), (vec![("ok", 0)], "ok", 2), "it came from there");
    }

    #[test]
    fn what_is_not_of_the_bridge_goes_nowhere() {
        let mut kit = kit(TestKit::new(), r#"["a", "b", "c"]"#);
        for rx in [OUTSIDER, 4, NO_INTERFACE] {
            assert_eq!(flooded(&mut kit, rx, 60), (vec![], "not-member", NO_INTERFACE));
        }
        assert_eq!(flooded(&mut kit, 0, 13), (vec![], "too-short", NO_INTERFACE));
    }

    #[test]
    fn without_buffers_the_frame_itself_still_goes() {
        // Two buffers for two frames leave one for copies.
        let mut kit = kit(TestKit::with_buffers(3), r#"["a", "b", "c"]"#);
        let frames = kit.run(&[(&[0; 60], Lane::received(0)), (&[1; 60], Lane::received(0))]);
        assert_eq!(frames.iter().map(|out| (out.edge, out.lane.tx)).collect::<Vec<_>>(), [("ok", 2), ("ok", 2)]);
        assert_eq!((kit.emitted().len(), kit.called().made, kit.called().no_buffer, kit.called().no_room), (1, 1, 1, 0));
    }
}
