//! Floods, by counting: what is remembered is bounded, and who has a session keeps it.

use std::collections::HashSet;

use super::*;

const CAPACITY: usize = 1024;
const ESTABLISHED: u16 = 100;

/// TCP connections of one host inside, of both versions of IP by turns.
fn connection(number: u16, from: u16, flags: &'static str) -> Vec<u8> {
    let (inside, outside) = if number.is_multiple_of(2) { (address("10.9.9.9"), address("192.0.2.9")) } else { (host(), server()) };
    match from {
        INSIDE => packet(inside, outside, Upper::Tcp(20_000 + number, 443, flags)),
        _ => packet(outside, inside, Upper::Tcp(443, 20_000 + number, flags)),
    }
}

fn establish(rig: &mut Rig) {
    let all = |from, flags| (0..ESTABLISHED).map(move |number| connection(number, from, flags));
    assert_eq!(through(rig, "inside", all(INSIDE, "s")), usize::from(ESTABLISHED));
    assert_eq!(through(rig, "outside", all(OUTSIDE, "sa")), usize::from(ESTABLISHED));
    assert_eq!(through(rig, "inside", all(INSIDE, "a")), usize::from(ESTABLISHED));
}

/// A packet of each connection in each direction passes.
fn unharmed(rig: &mut Rig) {
    let all = |from| (0..ESTABLISHED).map(move |number| connection(number, from, "a"));
    assert_eq!(through(rig, "inside", all(INSIDE)), usize::from(ESTABLISHED));
    assert_eq!(through(rig, "outside", all(OUTSIDE)), usize::from(ESTABLISHED));
}

/// Sources and ports at random: SYNs from inside, each of which opens a session, and anything from outside, which opens none.
#[test]
fn floods_leave_established_connections_alone() {
    let mut rng = Rng::new();
    for workers in [1, 2] {
        let mut rig = Rig::new(&graph(workers, &format!("sessions: {{ capacity: {CAPACITY} }},")));
        establish(&mut rig);
        let (mut inside, mut outside) = (0, 0);
        for _ in 0..20 {
            let any = |rng: &mut Rng, six: bool| match six {
                false => IpAddr::from((0x0b00_0000 | rng.bits() as u32 >> 8).to_be_bytes()),
                true => IpAddr::from((0x2001 << 112 | u128::from(rng.bits())).to_be_bytes()),
            };
            let mut flood = |flags: &'static str| -> Vec<Vec<u8>> {
                let one = |rng: &mut Rng| {
                    let six = rng.below(2) == 1;
                    packet(any(rng, six), any(rng, six), Upper::Tcp(rng.bits() as u16, rng.bits() as u16, flags))
                };
                (0..VECTOR).map(|_| one(&mut rng)).collect()
            };
            let (syns, others) = (flood("s"), flood("sa"));
            inside += through(&mut rig, "inside", syns);
            outside += through(&mut rig, "outside", others);
            unharmed(&mut rig);
        }
        // That an answer fits a SYN by chance has a probability of 2^-55.
        assert_eq!((inside, outside), (20 * VECTOR, 0));
        assert_eq!(rig.count("in.denied-by-default"), 20 * VECTOR as u64);
        // Memory is what it was: no more sessions than were asked for, of each version of IP, and each other SYN has taken the place of one.
        let found = ask(&mut rig, r#"{"sessions": {"limit": 0}}"#)["sessions"]["found"].as_u64().expect("a number");
        assert!(found <= 2 * CAPACITY as u64, "{found}");
        let ended = ask(&mut rig, r#"{"end-sessions": {"which": {"state": "tcp-syn"}}}"#)["ended"]["sessions"].as_u64();
        assert_eq!(ended, Some(found - u64::from(ESTABLISHED)));
        unharmed(&mut rig);
        assert_eq!(rig.count("out.sessions-full") + rig.count("out.source-limit"), 0);
        rig.check();
    }
}

/// The source and its port of flow number so much.
type Shape = fn(u32) -> (u32, u16);

/// Keys with a structure, as somebody chooses them who does not know the seed: the table is filled to its last place, and finds all of them.
#[test]
fn keys_that_somebody_has_chosen_do_not_collide() {
    let shapes: [(&str, Shape); 5] = [
        ("ports one after the other", |n| (0x0a00_0001, n as u16)),
        ("sources one after the other", |n| (0x0a00_0000 + n, 4000)),
        ("sources of high bits", |n| (n << 20 | 1, 4000)),
        ("source and port together", |n| (0x0a00_0000 + n, n as u16)),
        ("source against port", |n| (0x0a00_0000 + n, !(n as u16))),
    ];
    for (what, shape) in shapes {
        let mut rig = Rig::new(&graph(1, &format!("sessions: {{ capacity: {CAPACITY} }},")));
        let ends = |n: u32| {
            let (source, port) = shape(n);
            (IpAddr::from(source.to_be_bytes()), port)
        };
        let server = address("192.0.2.9");
        let all = 1..=CAPACITY as u32;
        let asked = all.clone().map(|n| packet(ends(n).0, server, Upper::Udp(ends(n).1, 53)));
        assert_eq!(through(&mut rig, "inside", asked), CAPACITY, "{what}");
        let answers = all.map(|n| packet(server, ends(n).0, Upper::Udp(53, ends(n).1)));
        assert_eq!(through(&mut rig, "outside", answers), CAPACITY, "{what}");
        assert_eq!(ask(&mut rig, r#"{"sessions": {"limit": 0}}"#)["sessions"]["found"], CAPACITY, "{what}");
        // The next one takes the place of one, and no more.
        assert_eq!(through(&mut rig, "inside", [packet(address("10.200.0.1"), server, Upper::Udp(1, 53))]), 1);
        assert_eq!(ask(&mut rig, r#"{"sessions": {"limit": 0}}"#)["sessions"]["found"], CAPACITY, "{what}");
        rig.check();
    }
}

/// What somebody sends who wants others to have less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flood {
    /// SYNs of sources that there are not: from inside each opens a session.
    Syn,
    /// Any addresses, ports and protocols.
    Tuples,
    /// Sessions whose keys have a structure, so that they would meet under many hashes.
    Colliding,
    /// First fragments of flows that nobody knows, and later ones that nobody has begun.
    Fragments,
}

impl Flood {
    fn packet(self, from: u16, number: u32, rng: &mut Rng) -> Vec<u8> {
        let any = |rng: &mut Rng| IpAddr::from((0x0b00_0000 | rng.bits() as u32 >> 8).to_be_bytes());
        let (source, destination) = (any(rng), any(rng));
        let (port, other) = (rng.bits() as u16, rng.bits() as u16);
        match self {
            Flood::Syn => packet(source, destination, Upper::Tcp(port, other, "s")),
            Flood::Tuples => {
                let flags = rng.pick(&["s", "sa", "a", "fa", "r", "", "sf"]);
                let upper = [Upper::Udp(port, other), Upper::Tcp(port, other, flags), Upper::Echo(port, from == OUTSIDE)];
                packet(source, destination, rng.pick(&[upper[0], upper[1], upper[2], Upper::Other(GRE)]))
            }
            Flood::Colliding => {
                let source = IpAddr::from([0x0b00_0000 + number, 0x0b00_0001 | number << 12][number as usize % 2].to_be_bytes());
                packet(source, address("192.0.2.9"), Upper::Udp(number as u16, 53))
            }
            Flood::Fragments => {
                let [first, later] = cut(&packet(source, destination, Upper::Udp(port, other)), number as u16);
                if from == INSIDE && number.is_multiple_of(2) { first } else { later }
            }
        }
    }
}

/// UDP of one host inside that was answered.
fn answered(number: u16, from: u16) -> Vec<u8> {
    let (inside, outside) = (address("10.9.9.8"), address("192.0.2.8"));
    match from {
        INSIDE => packet(inside, outside, Upper::Udp(20_000 + number, 53)),
        _ => packet(outside, inside, Upper::Udp(53, 20_000 + number)),
    }
}

/// In so many steps of 10 ms, how many packets come through of flows that are established, one of each in each direction and step. For
/// each of them come in ten of a flood, before it and behind it.
fn through_beside(flood: Option<Flood>, workers: usize, rng: &mut Rng) -> usize {
    const STEPS: u64 = 10;
    let mut rig = Rig::new(&graph(workers, &format!("sessions: {{ capacity: {CAPACITY} }}, fragmented-packets: 64,")));
    establish(&mut rig);
    for (from, name) in [(INSIDE, "inside"), (OUTSIDE, "outside")] {
        assert_eq!(through(&mut rig, name, (0..ESTABLISHED).map(|number| answered(number, from))), usize::from(ESTABLISHED));
    }
    let flows = |from| (0..ESTABLISHED).flat_map(move |number| [connection(number, from, "a"), answered(number, from)]);
    let ours: [Vec<Vec<u8>>; 2] = [INSIDE, OUTSIDE].map(|from| flows(from).map(|packet| frame(&packet)).collect());
    let (mut number, mut came) = (0, 0);
    for step in 1..=STEPS {
        for (from, name) in [(INSIDE, "inside"), (OUTSIDE, "outside")] {
            let mut frames = ours[usize::from(from)].clone();
            for _ in 0..flood.map_or(0, |_| 10 * frames.len()) {
                number += 1;
                frames.extend(flood.map(|flood| frame(&flood.packet(from, number, rng))));
            }
            rng.shuffle(&mut frames);
            for (at, frame) in frames.into_iter().enumerate() {
                rig.wire(name).feed(at % workers, [frame]);
            }
        }
        rig.engine().step_until(step * 10_000_000);
        for (from, name) in [(INSIDE, "outside"), (OUTSIDE, "inside")] {
            let ours: HashSet<&Vec<u8>> = ours[usize::from(from)].iter().collect();
            came += rig.sent(name).iter().filter(|frame| ours.contains(frame)).count();
        }
    }
    // Bounded: as many sessions as were asked for, of each version of IP.
    let found = ask(&mut rig, r#"{"sessions": {"limit": 0}}"#)["sessions"]["found"].as_u64().expect("a number");
    assert!(found <= 2 * CAPACITY as u64, "{found}");
    assert_eq!(rig.check().in_transit, 0);
    came
}

/// Those who are there keep four fifths, at least, of what they have when nobody floods: of packets in the same time.
#[test]
fn no_flood_takes_from_established_flows_what_they_have() {
    let mut rng = Rng::new();
    for workers in [1, 2, 4] {
        let alone = through_beside(None, workers, &mut rng);
        assert_eq!(alone, 10 * 2 * 2 * usize::from(ESTABLISHED));
        for flood in [Flood::Syn, Flood::Tuples, Flood::Colliding, Flood::Fragments] {
            let beside = through_beside(Some(flood), workers, &mut rng);
            eprintln!("{flood:?}, {workers} workers: {beside} of {alone}");
            assert!(beside * 10 >= alone * 8, "{flood:?}, {workers} workers: {beside} of {alone}");
        }
    }
}

/// A packet of IPv4 in two fragments.
fn cut(whole: &[u8], id: u16) -> [Vec<u8>; 2] {
    let (header, payload) = etherparse::Ipv4Header::from_slice(whole).expect("an IPv4 packet");
    [(0, &payload[..16]), (2, &payload[16..])].map(|(offset, data)| {
        let mut header = header.clone();
        header.set_payload_len(data.len()).expect("a short one");
        (header.identification, header.dont_fragment, header.more_fragments) = (id, false, offset == 0);
        header.fragment_offset = etherparse::IpFragOffset::try_new(offset).expect("a short one");
        header.header_checksum = header.calc_header_checksum();
        [&header.to_bytes()[..], data].concat()
    })
}

/// A datagram of an established flow in two pieces, and pieces of others between them: as many as are remembered at most, its second one
/// finds its way.
#[test]
fn floods_of_fragments_leave_fragments_alone() {
    const REMEMBERED: usize = 64;
    let mut rig = Rig::new(&graph(1, &format!("sessions: {{ capacity: {CAPACITY} }}, fragmented-packets: {REMEMBERED},")));
    establish(&mut rig);
    let (asks, answers) = (address("10.0.0.1"), address("192.0.2.1"));
    let answer = packet(answers, asks, Upper::Udp(53, 4000));
    assert_eq!(through(&mut rig, "inside", [packet(asks, answers, Upper::Udp(4000, 53))]), 1);
    let mut number = 0;
    let mut flood = |count: usize| -> Vec<[Vec<u8>; 2]> {
        let one = |_| {
            number += 1;
            let source = IpAddr::from([11, 0, (number >> 8) as u8, number as u8]);
            cut(&packet(source, answers, Upper::Udp(number, 53)), number)
        };
        (0..count).map(one).collect()
    };
    for round in 0..50 {
        let [first, rest] = cut(&answer, round);
        assert_eq!(through(&mut rig, "outside", [first]), 1);
        // First ones from inside, each of a flow of its own; later ones from outside, which nobody has begun.
        let flooded = flood(REMEMBERED - 1);
        assert_eq!(through(&mut rig, "inside", flooded.iter().map(|pieces| pieces[0].clone())), REMEMBERED - 1);
        assert_eq!(through(&mut rig, "outside", flood(VECTOR).into_iter().map(|[_, rest]| rest)), 0);
        assert_eq!(through(&mut rig, "outside", [rest.clone()]), 1, "round {round}");
        // One more, and what it began is forgotten, as the oldest.
        assert_eq!(through(&mut rig, "inside", flood(REMEMBERED).into_iter().map(|[first, _]| first)), REMEMBERED);
        assert_eq!(through(&mut rig, "outside", [rest]), 0, "round {round}");
        unharmed(&mut rig);
    }
    rig.check();
}
