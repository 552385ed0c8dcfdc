//! `bridge-input`: learning and forwarding of a bridge without spanning tree (IEEE 802.1D-2004 §7.7 and §7.8).

use swath_api::prelude::*;

use crate::bridge::{Bridge, Header, Key, Learns, Moment, PAUSE, is_group, is_reserved};

/// Learns where stations are, and decides where frames go.
pub struct BridgeInput {
    bridge: Handle<Bridge>,
    worker: u32,
    forward_reserved: bool,
    // Scratch space, kept so that it need not be zeroed for each vector.
    heads: Box<[Head; VECTOR]>,
}

/// What is needed of a frame, and what becomes of it.
#[derive(Debug, Clone, Copy)]
struct Head {
    /// Whom to learn; nobody if it is 0.
    source: Key,
    destination: Key,
    payload: u16,
    rx: u16,
    tx: u16,
    next: Next,
}

const NOBODY: Key = Key(0);

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The table of kind `bridge`. Default: the only one.
    #[serde(default)]
    table: Option<String>,
    /// Flood frames to 01:80:c2:00:00:00 to 0f, which a bridge keeps to the link that they are on: for a bridge that shall be as a
    /// wire to spanning tree, LACP, 802.1X or LLDP. Those to 01:80:c2:00:00:01, the PAUSE frames of one link, are dropped all the
    /// same.
    #[serde(default)]
    forward_reserved: bool,
}

edges! {
    /// Where frames go. All of them are whole.
    pub enum Next {
        /// Frames to a station that is known. Their lane names its interface.
        Forward = required("forward", layer::ETHERNET),
        /// Frames for all other interfaces: broadcasts, multicasts, and those to a station that is not known.
        Flood = required("flood", layer::ETHERNET),
        /// Frames to the address of one of the bridge's own interfaces: for whoever answers on this machine.
        Local = edge("local", layer::ETHERNET),
        /// The destination is behind the interface that the frame came from, so it has the frame already: two stations on one segment, or behind one switch that floods.
        SamePort = drop("same-port"),
        /// The frame carries more than the MTU of the interface to leave by, and a bridge cannot fragment: give all its interfaces the same `mtu`.
        TooBig = drop("too-big"),
        /// The destination is one of 01:80:c2:00:00:00 to 0f, which bridges do not forward (IEEE 802.1D-2004 §7.12.6): spanning tree, LACP, LLDP and the like. `forward-reserved` floods them.
        Reserved = drop("reserved"),
        /// The source is a group address or 00:00:00:00:00:00, which no station has: a broken or malicious sender.
        BadSource = drop("bad-source"),
        /// The frame's tag says VLAN 4095, which is reserved (IEEE 802.1Q-2018 §9.6): a broken sender.
        BadVlan = drop("bad-vlan"),
        /// The frame came in by an interface that is not of this bridge: name it in the `interfaces` of the table, or wire its `rx` elsewhere.
        NotMember = drop("not-member"),
        /// Shorter than the 14 bytes of an Ethernet header, or ends within its VLAN tag: a broken sender or driver.
        TooShort = drop("too-short"),
    }
}

impl Node for BridgeInput {
    const INFO: Info = Info::new("bridge-input", "Learns where stations are, and sends frames where their destination is.")
        .about(
            "Of the frames of a vector all sources are learnt first, then all destinations looked up. VLANs are learnt each on its own, by \
             the outermost 802.1Q or 802.1ad tag, and tags stay as they are. There is no spanning tree: a loop between two interfaces of \
             the bridge is a storm.",
        )
        .input(layer::ETHERNET)
        .uses(&[const { swath_api::Str::new("bridge") }])
        .example(include_str!("../examples/bridge-input.yaml"));
    type Config = Config;
    type Next = Next;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<BridgeInput, ConfigError> {
        let bridge = setup.table("table", config.table.as_deref())?;
        let worker = setup.worker();
        if worker == 0 {
            setup.every(Bridge::SWEEP_EVERY);
        }
        let head =
            Head { source: NOBODY, destination: NOBODY, payload: 0, rx: NO_INTERFACE, tx: NO_INTERFACE, next: Next::TooShort };
        Ok(BridgeInput { bridge, worker, forward_reserved: config.forward_reserved, heads: Box::new([head; VECTOR]) })
    }

    fn reason(&self, packet: &Packet<'_>, decided: Decided, cx: &Context<'_>, words: &mut Words<'_>) {
        let (bridge, lane) = (cx.table(self.bridge), packet.lane_ref());
        let Some(Header { destination, vlan, payload, .. }) = Header::read(packet) else { return };
        let to = Key::new(destination, vlan);
        if decided.is(Next::Forward) || decided.is(Next::SamePort) {
            let port = if decided.is(Next::Forward) { lane.tx } else { lane.rx };
            words.say(format_args!("{} is behind {}", bridge.tell(to), bridge.name(port)));
        } else if decided.is(Next::Flood) {
            say_flooded(bridge, to, words);
        } else if decided.is(Next::Local) {
            words.say(format_args!("{} is the bridge's own", bridge.tell(to)));
        } else if decided.is(Next::TooBig)
            && let Some(port) = bridge.port(to, Moment::at(cx.now()))
        {
            say_too_big(bridge, payload, port, words);
        }
    }

    fn simulate(&mut self, packet: &mut Packet<'_>, cx: &mut Context<'_>, words: &mut Words<'_>) -> Option<Next> {
        let (bridge, now) = (cx.table(self.bridge), Moment::at(cx.now()));
        let mut head = Head::read(packet, bridge, self.forward_reserved);
        if head.source != NOBODY {
            let (source, rx) = (bridge.tell(head.source), bridge.name(head.rx));
            let learns = bridge.would_learn(head.source, head.rx, now);
            match learns {
                Learns::Nothing => {}
                Learns::New => words.say(format_args!("{source} is learnt behind {rx}")),
                Learns::Moves(from) => words.say(format_args!("{source} moves from {} to {rx}", bridge.name(from))),
                Learns::Full => words.say(format_args!("there is no room to learn {source}")),
            }
            let is_learnt = matches!(learns, Learns::New | Learns::Moves(_));
            match head.next {
                // A station that writes to itself, and is learnt first.
                Next::Forward if is_learnt && head.destination == head.source => head.next = Next::SamePort,
                Next::Forward => head.look_up(bridge, now),
                _ => {}
            }
            let to = head.destination;
            match head.next {
                Next::Forward => words.say(format_args!("{} is behind {}", bridge.tell(to), bridge.name(head.tx))),
                Next::SamePort => words.say(format_args!("{} is behind {rx}, too", bridge.tell(to))),
                Next::Local => words.say(format_args!("{} is the bridge's own", bridge.tell(to))),
                Next::Flood => say_flooded(bridge, to, words),
                Next::TooBig => say_too_big(bridge, head.payload, bridge.port(to, now).unwrap_or(NO_INTERFACE), words),
                _ => {}
            }
        }
        packet.lane().set_out(u64::from(head.tx) << 32);
        Some(head.next)
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let (bridge, now, forward_reserved) = (cx.table(self.bridge), Moment::at(cx.now()), self.forward_reserved);
        let heads = frame.gather(&mut self.heads, |packet| Head::read(packet, bridge, forward_reserved));
        // All sources before any destination: of the frames to one station either all are forwarded or all are flooded, so that
        // none overtakes another on a shorter way through the graph.
        let mut last = (NOBODY, NO_INTERFACE);
        for head in heads.iter().filter(|head| head.source != NOBODY) {
            if last != (head.source, head.rx) {
                bridge.hear(self.worker, head.source, head.rx, now);
                last = (head.source, head.rx);
            }
        }
        for head in heads.iter_mut().filter(|head| head.next == Next::Forward) {
            head.look_up(bridge, now);
        }
        frame.decide_lanes(heads, |lane, head| {
            lane.set_out(u64::from(head.tx) << 32);
            head.next
        });
    }

    fn tick(&mut self, _: &mut Emit<'_, Next>, cx: &mut Context<'_>) {
        cx.table(self.bridge).sweep(Moment::at(cx.now()));
    }
}

fn say_flooded(bridge: &Bridge, to: Key, words: &mut Words<'_>) {
    match is_group(to.address()) {
        true => words.say(format_args!("{} is a group", bridge.tell(to))),
        false => words.say(format_args!("nobody knows where {} is", bridge.tell(to))),
    }
}

fn say_too_big(bridge: &Bridge, payload: u16, port: u16, words: &mut Words<'_>) {
    let mtu = bridge.mtu(port).unwrap_or(0);
    words.say(format_args!("{payload} bytes, where the MTU of {} is {mtu}", bridge.name(port)));
}

impl Head {
    /// What the frame says, and what becomes of it if no look-up is needed; else `Forward`.
    #[inline(always)]
    fn read(packet: &mut Packet<'_>, bridge: &Bridge, forward_reserved: bool) -> Head {
        let rx = packet.lane_ref().rx;
        let lost = |next| Head { source: NOBODY, destination: NOBODY, payload: 0, rx, tx: NO_INTERFACE, next };
        let Some(Header { destination, source, vlan, payload }) = Header::read(packet) else { return lost(Next::TooShort) };
        if is_group(source) || source == 0 {
            return lost(Next::BadSource);
        }
        if vlan == 0xfff {
            return lost(Next::BadVlan);
        }
        if bridge.mtu(rx).is_none() {
            return lost(Next::NotMember);
        }
        let next = match () {
            () if !is_group(destination) => Next::Forward,
            () if is_reserved(destination) && (!forward_reserved || destination == PAUSE) => Next::Reserved,
            () => Next::Flood,
        };
        let (source, destination) = (Key::new(source, vlan), Key::new(destination, vlan));
        bridge.prefetch(source);
        bridge.prefetch(destination);
        Head { source, destination, payload, rx, tx: NO_INTERFACE, next }
    }

    #[inline(always)]
    fn look_up(&mut self, bridge: &Bridge, now: Moment) {
        self.next = match bridge.port(self.destination, now) {
            Some(port) if port == self.rx => Next::SamePort,
            Some(port) if bridge.mtu(port).is_none_or(|mtu| self.payload > mtu) => Next::TooBig,
            Some(port) => {
                self.tx = port;
                Next::Forward
            }
            None if bridge.is_own(self.destination.address()) => Next::Local,
            None => Next::Flood,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::testkit::{NodeKit, TestKit};

    const SECOND: u64 = 1_000_000_000;
    const BROADCAST: [u8; 6] = [0xff; 6];
    const LLDP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0e];

    fn kit(table: &str, node: &str) -> NodeKit {
        let kit = TestKit::new().interface("a", "02:00:00:00:00:0a", 1500, &[]).interface("b", "02:00:00:00:00:0b", 1500, &[]);
        let kit = kit.interface("c", "02:00:00:00:00:0c", 100, &[]).interface("other", "02:00:00:00:00:0d", 1500, &[]);
        let interfaces = r#""interfaces": ["a", "b", "c"]"#;
        let table = if table.is_empty() { format!("{{{interfaces}}}") } else { format!("{{{interfaces}, {table}}}") };
        kit.table::<Bridge>("bridge", &table).node::<BridgeInput>(node).unwrap()
    }

    /// The station with this number.
    fn station(number: u8) -> [u8; 6] {
        [2, 0, 0, 0, 1, number]
    }

    fn frame(source: [u8; 6], destination: [u8; 6], rest: &[u8]) -> Vec<u8> {
        let mut frame = [&destination[..], &source, rest].concat();
        frame.resize(60.max(frame.len()), 0);
        frame
    }

    fn tagged(source: u8, destination: u8, tags: &[[u8; 4]]) -> Vec<u8> {
        frame(station(source), station(destination), &[&tags.concat()[..], &[8, 0]].concat())
    }

    /// Edge, and the interface to leave by.
    fn way(kit: &mut NodeKit, rx: u16, bytes: &[u8]) -> (&'static str, u16) {
        let out = kit.one(bytes, Lane { adj: 9, tx: 9, rx });
        assert_eq!((&out.bytes[..], out.lane.rx, out.lane.adj), (bytes, rx, 0));
        (out.edge, out.lane.tx)
    }

    /// The same of a frame from a station to another.
    fn between(kit: &mut NodeKit, rx: u16, source: u8, destination: u8) -> (&'static str, u16) {
        way(kit, rx, &frame(station(source), station(destination), &[8, 0]))
    }

    const FLOOD: (&str, u16) = ("flood", NO_INTERFACE);
    const SAME_PORT: (&str, u16) = ("same-port", NO_INTERFACE);

    #[test]
    fn learning_and_forwarding_802_1d_7_7_2_and_7_8() {
        let mut kit = kit("", "{}");
        assert_eq!(between(&mut kit, 0, 1, 2), FLOOD, "nobody is known");
        assert_eq!(between(&mut kit, 1, 2, 1), ("forward", 0));
        assert_eq!(between(&mut kit, 0, 1, 2), ("forward", 1));
        assert_eq!(between(&mut kit, 1, 3, 2), SAME_PORT, "a station behind the same interface has it already");
        assert_eq!(between(&mut kit, 0, 1, 1), SAME_PORT, "a station to itself");
        assert_eq!(between(&mut kit, 2, 4, 3), ("forward", 1), "learnt from a frame that was not forwarded");
        // It has moved, and what was sent to its old place goes to the new one.
        assert_eq!(between(&mut kit, 2, 1, 2), ("forward", 1));
        assert_eq!(between(&mut kit, 1, 2, 1), ("forward", 2));
        assert_eq!(between(&mut kit, 0, 5, 1), ("forward", 2));
    }

    #[test]
    fn groups_are_flooded_whoever_sends_them() {
        let mut kit = kit("", "{}");
        for group in [BROADCAST, [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1], [0x01, 0x80, 0xc2, 0, 0, 0x10]] {
            assert_eq!(way(&mut kit, 0, &frame(station(1), group, &[8, 0])), FLOOD);
        }
        assert_eq!(between(&mut kit, 1, 2, 1), ("forward", 0));
    }

    #[test]
    fn all_sources_of_a_vector_before_any_destination() {
        let mut kit = kit("", "{}");
        let (there, back) = (frame(station(1), station(2), &[8, 0]), frame(station(2), station(1), &[8, 0]));
        let out = kit.run(&[(&there, Lane::received(0)), (&back, Lane::received(1)), (&there, Lane::received(0))]);
        assert_eq!(
            out.iter().map(|out| (out.edge, out.lane.tx)).collect::<Vec<_>>(),
            [("forward", 1), ("forward", 0), ("forward", 1)]
        );
    }

    #[test]
    fn reserved_addresses_802_1d_7_12_6() {
        let reserved = |last| frame(station(last), [0x01, 0x80, 0xc2, 0, 0, last], &[0x88, 0xcc]);
        let (mut usual, mut wire) = (kit("", "{}"), kit("", r#"{"forward-reserved": true}"#));
        for last in 0..16 {
            assert_eq!(way(&mut usual, 0, &reserved(last)), ("reserved", NO_INTERFACE), "{last}");
            let expected = if last == 1 { ("reserved", NO_INTERFACE) } else { FLOOD };
            assert_eq!(way(&mut wire, 0, &reserved(last)), expected, "{last}");
            assert_eq!(between(&mut usual, 1, 99, last), ("forward", 0), "the sender is there all the same");
        }
        for near in [[0x01, 0x80, 0xc2, 0, 1, 0], [0x01, 0x80, 0xc3, 0, 0, 0], [0x03, 0x80, 0xc2, 0, 0, 0]] {
            assert_eq!(way(&mut usual, 0, &frame(station(1), near, &[8, 0])), FLOOD);
        }
    }

    #[test]
    fn addresses_that_no_station_has() {
        let mut kit = kit("", "{}");
        for source in [BROADCAST, LLDP, [1, 0, 0, 0, 0, 0], [0; 6]] {
            assert_eq!(way(&mut kit, 0, &frame(source, station(1), &[8, 0])), ("bad-source", NO_INTERFACE));
        }
        assert_eq!(way(&mut kit, 1, &frame(station(1), [0; 6], &[8, 0])), FLOOD, "nobody was learnt");
    }

    #[test]
    fn the_bridges_own_addresses() {
        let mut kit = kit("", "{}");
        let own = |last| [2, 0, 0, 0, 0, last];
        for last in 0xa..=0xc {
            assert_eq!(way(&mut kit, 0, &frame(station(1), own(last), &[8, 0])), ("local", NO_INTERFACE));
        }
        assert_eq!(
            way(&mut kit, 0, &frame(station(1), own(0xb), &[0x81, 0, 0, 5, 8, 0])),
            ("local", NO_INTERFACE),
            "in every VLAN"
        );
        assert_eq!(way(&mut kit, 0, &frame(station(1), own(0xd), &[8, 0])), FLOOD, "an interface of somebody else");
        // A loop brings back what was sent here, or somebody pretends: the address stays the bridge's.
        assert_eq!(way(&mut kit, 1, &frame(own(0xa), station(1), &[8, 0])), ("forward", 0));
        assert_eq!(way(&mut kit, 0, &frame(station(1), own(0xa), &[8, 0])), ("local", NO_INTERFACE));
    }

    #[test]
    fn frames_that_are_too_short() {
        let mut kit = kit("", "{}");
        let plain = frame(station(1), station(2), &[8, 0]);
        let tag = tagged(1, 2, &[[0x81, 0, 0, 5]]);
        let table = [
            (&plain[..0], "too-short"),
            (&plain[..13], "too-short"),
            (&plain[..14], "flood"),
            (&tag[..17], "too-short"),
            (&tag[..18], "flood"),
        ];
        for (bytes, edge) in table {
            assert_eq!(way(&mut kit, 0, bytes).0, edge, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn only_interfaces_of_the_bridge() {
        let mut kit = kit("", "{}");
        for rx in [3, 4, NO_INTERFACE] {
            assert_eq!(between(&mut kit, rx, 1, 2), ("not-member", NO_INTERFACE));
        }
        assert_eq!(between(&mut kit, 0, 2, 1), FLOOD, "nobody was learnt");
    }

    #[test]
    fn the_mtu_of_the_interface_to_leave_by() {
        let mut kit = kit("", "{}");
        assert_eq!(between(&mut kit, 2, 2, 1), FLOOD);
        let ethertype: &[u8] = &[0x88, 0xb5];
        let (vlan, service): (&[u8], &[u8]) = (&[0x81, 0, 0, 0], &[0x88, 0xa8, 0, 0]);
        for (headers, fits) in [(vec![], 114), (vec![vlan], 118), (vec![service, vlan], 122), (vec![vlan, vlan, vlan], 122)] {
            let mut bytes = frame(station(1), station(2), &[&headers.concat(), ethertype].concat());
            bytes.resize(fits, 0);
            assert_eq!(way(&mut kit, 0, &bytes), ("forward", 2), "{fits} bytes");
            bytes.push(0);
            assert_eq!(way(&mut kit, 0, &bytes), ("too-big", NO_INTERFACE), "{fits} bytes and one");
        }
    }

    #[test]
    fn vlans_are_learnt_each_on_its_own() {
        let mut kit = kit("", "{}");
        let (vlan, service) = (|id: u8| [0x81, 0, 0x60, id], |id: u8| [0x88, 0xa8, 0, id]);
        assert_eq!(way(&mut kit, 0, &tagged(1, 2, &[vlan(5)])), FLOOD);
        assert_eq!(way(&mut kit, 1, &tagged(2, 1, &[vlan(5)])), ("forward", 0));
        assert_eq!(way(&mut kit, 1, &tagged(2, 1, &[vlan(6)])), FLOOD);
        assert_eq!(between(&mut kit, 1, 2, 1), FLOOD);
        // The same station elsewhere in another VLAN.
        assert_eq!(way(&mut kit, 2, &tagged(1, 2, &[vlan(6)])), ("forward", 1));
        assert_eq!(way(&mut kit, 1, &tagged(2, 1, &[vlan(5)])), ("forward", 0));
        assert_eq!(way(&mut kit, 1, &tagged(2, 1, &[vlan(6)])), ("forward", 2));
        // The outermost tag counts, of either kind; a priority tag is of no VLAN (IEEE 802.1Q-2018 §9.6).
        assert_eq!(way(&mut kit, 1, &tagged(2, 1, &[service(5), vlan(6)])), ("forward", 0));
        assert_eq!(way(&mut kit, 0, &tagged(7, 1, &[vlan(0)])), FLOOD);
        assert_eq!(between(&mut kit, 1, 2, 7), ("forward", 0));
        assert_eq!(way(&mut kit, 0, &tagged(8, 1, &[[0x81, 0, 0x6f, 0xff]])), ("bad-vlan", NO_INTERFACE));
        assert_eq!(way(&mut kit, 1, &tagged(2, 8, &[[0x81, 0, 0x6f, 0xfe]])), FLOOD);
    }

    #[test]
    fn ageing_802_1d_7_9_2() {
        let mut kit = kit("", "{}");
        between(&mut kit, 0, 1, 9);
        kit.tick(200 * SECOND);
        between(&mut kit, 1, 2, 9);
        kit.tick(300 * SECOND);
        assert_eq!(between(&mut kit, 2, 3, 1), ("forward", 0), "300 s after its last frame");
        kit.tick(301 * SECOND);
        assert_eq!(between(&mut kit, 2, 3, 1), FLOOD);
        assert_eq!(between(&mut kit, 2, 3, 2), ("forward", 1));
        // Each frame counts from anew, and a destination does not.
        between(&mut kit, 1, 2, 9);
        kit.tick(600 * SECOND);
        assert_eq!(between(&mut kit, 2, 3, 2), ("forward", 1));
        kit.tick(602 * SECOND);
        assert_eq!(between(&mut kit, 2, 3, 2), FLOOD);
        between(&mut kit, 2, 1, 9);
        assert_eq!(between(&mut kit, 0, 3, 1), ("forward", 2), "known again, elsewhere");
    }

    #[test]
    fn static_stations_802_1d_7_9_1() {
        let stations = r#""static": [{"mac": "02:00:00:00:01:01", "interface": "b"}, {"mac": "02:00:00:00:01:01", "interface": "c", "vlan": 5}]"#;
        let mut kit = kit(stations, "{}");
        assert_eq!(between(&mut kit, 0, 2, 1), ("forward", 1));
        assert_eq!(way(&mut kit, 0, &tagged(2, 1, &[[0x81, 0, 0, 5]])), ("forward", 2));
        // It does not move, and does not age.
        assert_eq!(between(&mut kit, 2, 1, 2), ("forward", 0));
        kit.tick(1_000_000 * SECOND);
        assert_eq!(between(&mut kit, 0, 2, 1), ("forward", 1));
    }

    #[test]
    fn a_bridge_that_does_not_learn() {
        let mut kit = kit(r#""learn": false, "static": [{"mac": "02:00:00:00:01:01", "interface": "b"}]"#, "{}");
        assert_eq!(between(&mut kit, 0, 2, 1), ("forward", 1));
        assert_eq!(between(&mut kit, 1, 1, 2), FLOOD);
    }
}
