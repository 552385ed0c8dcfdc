//! The bridge against the kernel's: the same frames into both, and the same frames out of each port, in order within each flow.
//! Needs root, for a network namespace of its own.
//!
//! Where they differ, and both may, is left out:
//!
//! * The kernel without spanning tree forwards 01:80:c2:00:00:00, which IEEE 802.1D-2004 §7.12.6 keeps to the link.
//! * It lets any frame be 4 bytes longer than the MTU of the port to leave by, which is meant for a tag.
//! * Without VLAN filtering, which not every kernel has, it learns all VLANs together: here each station is in one, and speaks to
//!   those in it.

mod common;

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use common::Rig;
use common::random::Rng;

const STATIONS: usize = 30;
const PORTS: [&str; 3] = ["a", "b", "c"];
/// Seconds of ageing, and when the second and the third phase begin: then those who were silent in the second are forgotten.
const AGEING: f64 = 4.0;
const PHASES: [f64; 3] = [0.0, 2.5, 5.3];

const GRAPH: &str = "
version: 1
interfaces:
  a: { driver: test, mac: 02:00:00:00:00:0a }
  b: { driver: test, mac: 02:00:00:00:00:0b }
  c: { driver: test, mac: 02:00:00:00:00:0c, mtu: 200 }
tables:
  stations: { kind: bridge, ageing: 4s }
nodes:
  a-rx: { kind: rx, interface: a, to: bridge }
  b-rx: { kind: rx, interface: b, to: bridge }
  c-rx: { kind: rx, interface: c, to: bridge }
  bridge: { kind: bridge-input, to: { forward: tx, flood: flood } }
  flood: { kind: bridge-flood, to: tx }
  tx: { kind: tx }
";

type Frames = [Vec<Vec<u8>>; 3];

/// Frames of one phase, with the ports that they come in by.
fn phase(rng: &mut Rng, places: &mut [usize; STATIONS], phase: usize, count: usize) -> Vec<(usize, Vec<u8>)> {
    let station = |number: usize| [2, 0, 0, 1, 0, number as u8];
    let frame = |number: usize| {
        // In the second phase only every other station speaks; in the third only newcomers, so that nobody is learnt again.
        let from = match phase {
            0 => rng.below(STATIONS),
            1 => rng.below(STATIONS / 2) * 2,
            _ => STATIONS + rng.below(3),
        };
        if from < STATIONS && rng.one_in(20) {
            places[from] = rng.below(3);
        }
        let port = places.get(from).copied().unwrap_or(from % 3);
        let destination = match rng.below(20) {
            0 => [0xff; 6],
            1 => [0x33, 0x33, 0, 0, 0, 5],
            2 => [1, 0x80, 0xc2, 0, 0, 2 + rng.below(20) as u8],
            3 => [2, 0, 0, 0, 0, 0xa + rng.below(3) as u8],
            _ => station(rng.below(STATIONS / 3) * 3 + from % 3),
        };
        let source = if rng.one_in(50) { rng.pick(&[[0; 6], [3, 0, 0, 0, 0, 1]]) } else { station(from) };
        let mut bytes = [destination, source].concat();
        match from % 3 {
            0 => {}
            1 => bytes.extend([0x81, 0, rng.pick(&[0, 0x60, 0xf0]), 5]),
            _ => bytes.extend([0x88, 0xa8, 0xe0, 6, 0x81, 0, 0, rng.pick(&[5, 7])]),
        }
        bytes.extend([0x88, 0xb5, phase as u8]);
        bytes.extend((number as u32).to_be_bytes());
        // What the kernel's port itself does not take in, the bridge does not see.
        let payload = if port == 2 { rng.pick(&[7, 46, 190]) } else { rng.pick(&[7, 46, 46, 200, 300, 1400]) };
        bytes.resize(14 + from % 3 * 4 + payload, 0);
        (port, bytes)
    };
    (0..count).map(frame).collect()
}

/// A broadcast from each port: when all others have got it, what was sent before has been bridged.
fn marks(phase: usize) -> [(usize, Vec<u8>); 3] {
    [0, 1, 2].map(|port| {
        let mut bytes = [[0xff; 6], [2, 0, 0, 2, phase as u8, port as u8]].concat();
        bytes.extend([0x88, 0xb5]);
        bytes.resize(60, 0xee);
        (port, bytes)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ours(phases: &[Vec<(usize, Vec<u8>)>]) -> Frames {
    let mut rig = Rig::new(GRAPH);
    for (frames, at) in phases.iter().zip(PHASES) {
        rig.engine().step_until((at * 1e9) as u64);
        for (port, bytes) in frames {
            // One by one, as the kernel does.
            rig.feed(PORTS[*port], [bytes.clone()]);
            rig.run();
        }
    }
    rig.check();
    PORTS.map(|port| rig.sent(port))
}

/// What leaves the kernel's bridge, and how much too late anything was; or why there is none.
fn kernels(phases: &[Vec<(usize, Vec<u8>)>]) -> Result<(Frames, f64), String> {
    let mut script = String::new();
    for (number, (frames, at)) in phases.iter().zip(PHASES).enumerate() {
        script += &format!("at {at}\n");
        frames.iter().for_each(|(port, bytes)| script += &format!("send {port} {}\n", hex(bytes)));
        for (port, bytes) in marks(number) {
            (0..3).filter(|other| *other != port).for_each(|other| script += &format!("wait {other} {}\n", hex(&bytes)));
        }
    }
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bridge_kernel.py");
    let ageing = format!("{}", (AGEING * 100.0) as u32);
    let mut child = Command::new("unshare")
        .args(["--net", "python3", program, &ageing])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("unshare: {error}"))?;
    // It reads all before it writes anything. If it has ended already, what it says tells more.
    let _ = child.stdin.take().expect("piped").write_all(script.as_bytes());
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_string());
    }
    let (mut got, mut times): (Frames, Vec<f64>) = Default::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["time", at] => times.push(at.parse().expect("seconds")),
            ["got", port, hex] => {
                let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
                got[port.parse::<usize>().expect("a port")].push((0..hex.len()).step_by(2).map(byte).collect());
            }
            _ => panic!("{line}"),
        }
    }
    // For each phase its beginning and six marks.
    assert_eq!(times.len(), 3 * 7, "{times:?}");
    let end = |phase: usize| times[7 * phase + 6];
    // Of the first phase nobody may be known in the third, of the second everybody.
    let late = [end(0) + AGEING - PHASES[2], end(1) - PHASES[2], end(2) - (PHASES[1] + AGEING)];
    Ok((got, late.into_iter().fold(f64::MIN, f64::max)))
}

/// Each flow's frames in order, at each port.
fn by_flow(frames: &Frames) -> HashMap<(usize, Vec<u8>), Vec<&Vec<u8>>> {
    let mut flows: HashMap<_, Vec<_>> = HashMap::new();
    for (port, frame) in frames.iter().enumerate().flat_map(|(port, frames)| frames.iter().map(move |frame| (port, frame))) {
        flows.entry((port, frame[..12].to_vec())).or_default().push(frame);
    }
    flows
}

#[test]
fn the_kernels_bridge_does_the_same() {
    let mut rng = Rng::new();
    let mut places = [0; STATIONS].map(|_| rng.below(3));
    let counts = [600, 300, 300];
    let phases: Vec<_> = (0..3)
        .map(|number| {
            let mut frames = phase(&mut rng, &mut places, number, counts[number]);
            frames.extend(marks(number));
            frames
        })
        .collect();
    let mut attempts = 0;
    let theirs = loop {
        match kernels(&phases) {
            Ok((frames, late)) if late < 0.0 => break frames,
            Ok((_, late)) => eprintln!("the machine was busy: {late} s too late"),
            Err(error) if error.contains("Operation not permitted") || error.starts_with("unshare:") => {
                assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "this needs root, iproute2 and python3: {error}");
                eprintln!("skipped, for this needs root, iproute2 and python3: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        }
        attempts += 1;
        assert!(attempts < 3, "the machine was too busy each time");
    };
    let ours = ours(&phases);
    let (our_flows, their_flows) = (by_flow(&ours), by_flow(&theirs));
    let show = |frames: &[&Vec<u8>]| frames.iter().map(|frame| hex(&frame[..frame.len().min(32)])).collect::<Vec<_>>();
    for flow in our_flows.keys().chain(their_flows.keys()) {
        let [ours, theirs] = [&our_flows, &their_flows].map(|flows| flows.get(flow).cloned().unwrap_or_default());
        assert!(ours == theirs, "port {}: ours {:#?}, the kernel's {:#?}", flow.0, show(&ours), show(&theirs));
    }
    // A port may by chance have no station, and so get floods alone.
    let counts: Vec<usize> = ours.iter().map(Vec::len).collect();
    assert!(counts.iter().all(|count| *count > 50), "hardly anything was forwarded: {counts:?}");
}
