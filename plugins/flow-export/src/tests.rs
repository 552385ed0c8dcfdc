use swath_api::testkit::{NodeKit, TestKit};

use super::*;
use swath_api::Lane;

fn udp(source: u8, length: usize) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, source, 10, 0, 0, 9, 16, 0, 0, 53, 0, 8, 0, 0];
    packet.resize(length, 0);
    packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    packet
}

fn kit(config: &str) -> NodeKit {
    TestKit::new().table::<Ipfix>("flows", config).node::<FlowExport>("{}").unwrap()
}

fn shown(kit: &NodeKit) -> std::collections::BTreeMap<String, u64> {
    let shown: std::collections::BTreeMap<String, u64> =
        swath_api::serde_json::from_str(&kit.command("flows", r#"{"show": {}}"#).unwrap()).unwrap();
    shown.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn figures(pairs: &[(&str, u64)]) -> std::collections::BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_string(), *count)).collect()
}

#[test]
fn packets_pass_unchanged_and_are_counted() {
    let mut kit = kit(r#"{"collector": "192.0.2.9:4739"}"#);
    let packets: Vec<Vec<u8>> = (0..30).map(|index| udp(index % 3, 28 + usize::from(index))).collect();
    let given: Vec<(&[u8], Lane)> = packets.iter().map(|packet| (&packet[..], Lane::received(0))).collect();
    for (outcome, packet) in kit.run(&given).iter().zip(&packets) {
        assert_eq!((outcome.edge, &outcome.bytes), ("ok", packet));
    }
    assert_eq!(kit.edge(b"no IPv4"), "ok");
    let bytes = (28..58).sum();
    let counted =
        [("ipfix_bytes_total", bytes), ("ipfix_flows", 3), ("ipfix_packets_total", 30), ("ipfix_ignored_packets_total", 1)];
    assert_eq!(shown(&kit), figures(&counted));
    // A minute later, in as many ticks as it takes to look at all places.
    let mut now = 60_000_000_000;
    for _ in 0..50 {
        now += 20_000_000;
        kit.tick(now);
    }
    let ended = [("ipfix_ended_flows_total_idle", 3)];
    let rest = counted.into_iter().filter(|(name, _)| *name != "ipfix_flows").chain(ended);
    assert_eq!(shown(&kit), figures(&rest.collect::<Vec<_>>()));
}

#[test]
fn a_small_table_evicts_and_counts_it() {
    let mut kit = kit(r#"{"collector": "[2001:db8::9]:4739", "flows": 1024}"#);
    for round in 0..40_u8 {
        let packets: Vec<Vec<u8>> = (0..100)
            .map(|index| {
                let mut packet = udp(index, 40);
                packet[13] = round;
                packet
            })
            .collect();
        kit.run(&packets.iter().map(|packet| (&packet[..], Lane::received(0))).collect::<Vec<_>>());
    }
    let shown = shown(&kit);
    let (live, evicted) = (shown["ipfix_flows"], shown["ipfix_ended_flows_total_evicted"]);
    assert_eq!((shown["ipfix_packets_total"], live + evicted), (4000, 4000));
    assert!((1000..=1024).contains(&live), "{live}");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    for (settings, message) in [
        (r#""collector": "example.org""#, "collector: it is an address and a port: `192.0.2.9:4739`, or `[2001:db8::9]:4739`"),
        (r#""collector": "192.0.2.9:0""#, "collector: port 0 is nobody's: the usual one is 4739"),
        (
            r#""collector": "192.0.2.9:1", "source": "::1""#,
            "source: it has to be of the same version as the address of the collector",
        ),
        (r#""collector": "192.0.2.9:1", "flows": 1023"#, "flows: each worker has room for 1024 to 1048576 flows"),
        (r#""collector": "192.0.2.9:1", "flows": 1048577"#, "flows: each worker has room for 1024 to 1048576 flows"),
        (r#""collector": "192.0.2.9:1", "mtu": 511"#, "mtu: it is from 512 to 9000 bytes"),
        (r#""collector": "192.0.2.9:1", "idle-timeout": "999ms""#, "idle-timeout: it is from 1s to 1d"),
        (r#""collector": "192.0.2.9:1", "active-timeout": "25h""#, "active-timeout: it is from 1s to 1d"),
        (r#""collector": "192.0.2.9:1", "templates": "0s""#, "templates: it is from 1s to 1d"),
    ] {
        let refused = TestKit::new().try_table::<Ipfix>("flows", &format!("{{{settings}}}")).unwrap_err();
        assert_eq!(refused.to_string(), message);
    }
}
