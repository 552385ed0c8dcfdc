//! In which way packets come and go, and why not in a better one: in the log, to who asks, and in metrics.

use serde_json::json;

use super::common::hosts::Net;
use super::common::{Place, said_by, swath};
use super::{DEFAULT, count, quiet, router, two_hosts};

/// Of the interface `a` of an engine in `r`: the mode in its metrics, and why it has no better one, as `swath show` says it.
fn shown(net: &Net, socket: &std::path::Path) -> (String, Vec<String>) {
    let metrics = net.sh("r", "curl --silent --fail http://127.0.0.1:9464/metrics");
    let of_a = r#"swath_interface_info{interface="a",driver="af-xdp",mode=""#;
    let mode =
        metrics.lines().find_map(|line| line.strip_prefix(of_a)?.strip_suffix("\"} 1")).unwrap_or_else(|| panic!("{metrics}"));
    let ask = |args: &[&str]| {
        let said = said_by(swath(args).env("SWATH_SOCKET", socket));
        assert_eq!((said.code, &*said.err), (0, ""), "{}", said.out);
        said.out
    };
    let (all, one) = (ask(&["show", "interfaces"]), ask(&["show", "interfaces", "a"]));
    let driver = format!("af-xdp ({mode})");
    assert!(all.lines().any(|line| line.starts_with("a ") && line.contains(&driver)), "{all}");
    assert!(one.starts_with(&format!("a ({driver})\n")), "{one}");
    (mode.into(), one.lines().filter_map(|line| Some(line.strip_prefix("  without")?.trim().into())).collect())
}

/// Behind the driver; with buffers that the kernel does not take; where the device cannot write to packet memory itself.
#[test]
fn what_is_not_as_good_as_it_can_be_is_said() {
    let Some(net) = two_hosts() else { return };
    let buffers = "buffers of 1984 bytes: the kernel takes 2048 to 4096, as `engine.buffer-size` says";
    for (engine, rest, how, copied, mode, without) in [
        ("", "xdp: generic", "generic, copied by the kernel", 0, "generic", &[][..]),
        ("", DEFAULT, "native, copied by the kernel", 0, "copy", &["zero-copy: "]),
        ("", "zero-copy: false", "native, copied by the kernel", 0, "copy", &[]),
        (
            "buffer-size: 1536,",
            "xdp: native",
            "native, copied by the kernel, copied by swath",
            40,
            "copy-aligned",
            &[buffers, "zero-copy: "],
        ),
        ("buffer-size: 1536,", "xdp: generic", "generic, copied by the kernel, copied by swath", 40, "generic-aligned", &[buffers]),
    ] {
        let place = Place::new();
        let socket = place.path("control.sock");
        let engine = format!("{engine} api: {}, metrics: '127.0.0.1:9464'", socket.display());
        let swath = net.swath("r", &router(&engine, rest, rest));
        assert_eq!(net.ping("a", 10, "10.0.2.2"), 10, "{mode}");
        assert_eq!(net.ping("b", 10, "-s 1400 10.0.1.2"), 10, "{mode}");
        let (found, reasons) = shown(&net, &socket);
        assert_eq!(found, mode);
        let same = reasons.len() == without.len() && reasons.iter().zip(without).all(|(reason, start)| reason.starts_with(start));
        assert!(same, "{mode}: {reasons:?}");
        let (report, log) = swath.end();
        assert_eq!(report["interfaces"], json!({ "a": quiet("r-a", how, copied), "b": quiet("r-b", how, copied) }));
        assert!(log.contains(&format!("`r-a` by AF_XDP: {how}, 1 queue interface=a\n")), "{log}");
        for reason in reasons {
            assert!(log.contains(&format!("`r-a` has no {reason} interface=a\n")), "{log}");
        }
    }
}

/// A device that takes no program in its driver: a bridge.
#[test]
fn a_driver_without_xdp_is_passed_by() {
    let Some(net) = Net::new(&["a", "b", "r"]) else { return };
    net.host("a", 1);
    net.host("b", 2);
    net.ip("r", "link set r-a name port");
    net.ip("r", "link add r-a type bridge");
    net.ip("r", "link set port master r-a");
    for device in ["port", "r-a"] {
        net.ip("r", &format!("link set {device} up"));
    }
    net.sh("a", "ethtool -K eth0 tso off gso off");
    let place = Place::new();
    let socket = place.path("control.sock");
    let engine = format!("api: {}, metrics: '127.0.0.1:9464'", socket.display());
    let mut swath = net.swath("r", &router(&engine, DEFAULT, DEFAULT));
    swath.says("`r-a` has no native XDP: Operation not supported (os error 95) interface=a\n");
    assert_eq!(shown(&net, &socket), ("generic".into(), vec!["native XDP: Operation not supported (os error 95)".into()]));
    assert!(net.comes_back("a", "10.0.2.2"));
    assert_eq!(net.ping("b", 10, "10.0.1.2"), 10);
    let (report, log) = swath.end();
    assert_eq!(report.pointer("/interfaces/a/mode"), Some(&json!("generic, copied by the kernel")), "{log}");
    assert!(count(&report, "/received") >= 20, "{log}");
}

/// As long as a buffer of AF_XDP can be: in the driver of a veth up to what it has room for, and behind it up to what the kernel takes.
/// Packets that are longer, of devices with an MTU of 9000, are refused (`what_cannot_be_attached_to_is_explained`).
#[test]
fn frames_are_as_long_as_a_buffer() {
    let Some(net) = two_hosts() else { return };
    for (mtu, how) in [(3500, "native, copied by the kernel"), (3626, "generic, copied by the kernel")] {
        for (name, device) in [("r", "r-a"), ("r", "r-b"), ("a", "eth0"), ("b", "eth0")] {
            net.ip(name, &format!("link set {device} mtu {mtu}"));
        }
        let swath = net.swath("r", &router(&format!("buffer-size: {}", mtu + 22), DEFAULT, DEFAULT));
        for length in [56, mtu - 28] {
            assert_eq!(net.ping("a", 5, &format!("-s {length} -M do 10.0.2.2")), 5, "{mtu}");
            assert_eq!(net.ping("b", 5, &format!("-s {length} -M do 10.0.1.2")), 5, "{mtu}");
        }
        let (report, log) = swath.end();
        assert_eq!((count(&report, "/received"), count(&report, "/sent")), (40, 40), "{log}");
        for interface in ["a", "b"] {
            assert_eq!(report.pointer(&format!("/interfaces/{interface}/mode")), Some(&json!(how)), "{log}");
        }
        let refused = "has no native XDP: Numerical result out of range (os error 34)";
        assert_eq!(log.contains(refused), how.starts_with("generic"), "{log}");
    }
}
