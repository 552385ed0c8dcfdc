//! Captures of real traffic through the router: what leaves is what an independent router, written here with etherparse, would send.
//!
//! The captures come with the Debian packages `golang-github-google-gopacket-dev` and `sip-tester`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use etherparse::{Ethernet2Header, Ipv4Header};
use pcap_file::pcap::PcapReader;

const GOPACKET: &str = "/usr/share/gocode/src/github.com/google/gopacket/pcap";
const SIP: &str = "/usr/share/sip-tester";
const WAN_MAC: [u8; 6] = [2, 0, 0, 0, 2, 1];
const NEXT_HOP: [u8; 6] = [2, 0, 0, 0, 2, 2];

/// The captures of a directory, or none with a word on why. With `CI=true` that is a failure.
fn captures(directory: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{directory} is missing: run .ci/deps as root");
        eprintln!("skipped: {directory} is missing; .ci/deps installs it");
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "pcap"));
    found.sort();
    found
}

/// All frames of a capture, by another library than ours.
fn frames(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut found = Vec::new();
    while let Some(packet) = reader.next_packet() {
        found.push(packet.unwrap().into_data().into_owned());
    }
    found
}

fn swath(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swath")).args(arguments).output().unwrap()
}

fn graph(mac: [u8; 6]) -> String {
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    format!(
        "version: 1
interfaces:
  lan: {{ driver: memory, mac: '{mac}', addresses: [192.0.2.1/24] }}
  wan: {{ driver: memory, mac: '02:00:00:00:02:01', addresses: [203.0.113.2/30] }}
tables:
  neighbours: {{ kind: neighbours, static: [{{ address: 203.0.113.1, mac: '02:00:00:00:02:02' }}] }}
  routes: {{ kind: fib4, routes: [{{ prefix: 0.0.0.0/0, via: 203.0.113.1 }}] }}
nodes:
  rx:       {{ kind: rx, interface: lan, to: ethernet }}
  ethernet: {{ kind: ethernet-input, to: {{ ip4: ip4 }} }}
  ip4:      {{ kind: ip4-input, to: lookup }}
  lookup:   {{ kind: ip4-lookup, to: rewrite }}
  rewrite:  {{ kind: ip4-rewrite, to: tx }}
  tx:       {{ kind: tx }}
"
    )
}

/// The frame as a router with a default route sends it on, or `None` if it does not.
fn forwarded(frame: &[u8], mac: [u8; 6]) -> Option<Vec<u8>> {
    let (ethernet, rest) = Ethernet2Header::from_slice(frame).ok()?;
    let (mut ip, _) = Ipv4Header::from_slice(rest).ok()?;
    let total = usize::from(ip.total_len);
    let sound = ethernet.ether_type == etherparse::EtherType::IPV4 && ip.header_checksum == ip.calc_header_checksum();
    let unicast = !matches!(ip.destination[0], 0 | 127 | 224..);
    if !sound || !unicast || ethernet.destination != mac || ip.time_to_live < 2 || total > rest.len() || total > 1500 {
        return None;
    }
    ip.time_to_live -= 1;
    ip.header_checksum = ip.calc_header_checksum();
    let header = Ethernet2Header { destination: NEXT_HOP, source: WAN_MAC, ..ethernet };
    Some([&header.to_bytes()[..], &ip.to_bytes(), &rest[ip.header_len()..total]].concat())
}

#[test]
fn what_leaves_is_what_a_router_sends() {
    let mut forwarded_in_all = 0;
    for capture in captures(GOPACKET).into_iter().chain(captures(SIP)) {
        if capture.ends_with("test_loopback.pcap") {
            continue;
        }
        let frames = frames(&capture);
        let mut destinations: BTreeMap<[u8; 6], usize> = BTreeMap::new();
        frames.iter().for_each(|frame| *destinations.entry(frame[..6].try_into().unwrap()).or_default() += 1);
        for (mac, _) in destinations {
            let directory = tempfile::tempdir().unwrap();
            let (yaml, out) = (directory.path().join("router.yaml"), directory.path().join("wan.pcap"));
            std::fs::write(&yaml, graph(mac)).unwrap();
            let (input, output) = (format!("lan={}", capture.display()), format!("wan={}", out.display()));
            let done = swath(&["replay", yaml.to_str().unwrap(), "--in", &input, "--out", &output, "--report", "-"]);
            assert!(done.status.success(), "{}: {}", capture.display(), String::from_utf8_lossy(&done.stderr));
            let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
            let expected: Vec<Vec<u8>> = frames.iter().filter_map(|frame| forwarded(frame, mac)).collect();
            assert_eq!(self::frames(&out), expected, "{}", capture.display());
            assert_eq!(report["received"], frames.len(), "{}", capture.display());
            assert_eq!(report["sent"], expected.len(), "{}", capture.display());
            forwarded_in_all += expected.len();
        }
    }
    assert!(forwarded_in_all > 300 || captures(SIP).is_empty(), "{forwarded_in_all} frames were forwarded");
}

#[test]
fn a_capture_of_another_link_layer_is_refused() {
    let Some(capture) = captures(GOPACKET).into_iter().find(|path| path.ends_with("test_loopback.pcap")) else { return };
    let directory = tempfile::tempdir().unwrap();
    let yaml = directory.path().join("router.yaml");
    std::fs::write(&yaml, graph([2, 0, 0, 0, 0, 1])).unwrap();
    let done = swath(&["replay", yaml.to_str().unwrap(), "--in", &format!("lan={}", capture.display())]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("Ethernet"), "{said}");
}
