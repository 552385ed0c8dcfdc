//! `swath doctor`.

use serde_json::Value;

use super::common::hosts::Net;
use super::{DEFAULT, router, state, two_hosts};

/// What `swath doctor` says in the router's namespace: its exit code, and its data.
fn doctor(net: &Net, prefix: &str, args: &str) -> (i32, String) {
    let output = net.command("r", &format!("{prefix} {} doctor {args}", env!("CARGO_BIN_EXE_swath"))).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// The commands that it names for a device, by what they mend.
fn mends(report: &Value, device: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["device"] == device);
    findings.filter_map(|finding| Some(finding["mend"].as_str()?.to_owned())).collect()
}

#[test]
fn the_doctor_tries_and_what_it_says_mends() {
    let Some(net) = two_hosts() else { return };
    net.ip("r", "link add plain type bridge");
    net.ip("r", "link set r-a mtu 9000");
    let (code, text) = doctor(&net, "", "--format json");
    assert_eq!(code, 1, "an MTU that is too large: {text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let device = |name: &str| report["devices"].as_array().unwrap().iter().find(|device| device["name"] == name).unwrap();
    assert_eq!(device("r-b")["driver"], "veth");
    assert_eq!(device("r-b")["xdp"]["native"], Value::Null);
    assert_eq!(device("r-b")["xdp"]["generic"], Value::Null);
    assert!(device("r-b")["xdp"]["zero-copy"].is_string(), "no veth has it: {text}");
    assert_eq!((&device("r-b")["xdp"]["offload"], &device("plain")["xdp"]["offload"]), (&Value::Null, &Value::Null), "{text}");
    assert!(device("plain")["xdp"]["native"].is_string() && device("plain")["xdp"]["generic"].is_null(), "{text}");
    assert_eq!((device("r-a")["mtu"].as_u64(), device("r-a")["queues"].as_u64()), (Some(9000), Some(1)));
    assert_eq!(state(&net, "r", "r-a"), (false, "0".into()), "nothing stays behind");
    for name in ["r-a", "plain"] {
        for mend in mends(&report, name) {
            net.sh("r", &mend);
        }
    }
    let (code, text) = doctor(&net, "", "--format json r-a");
    assert_eq!(code, 0, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((mends(&report, "r-a"), mends(&report, "r-b")), (vec![], vec![]), "{text}");

    // A device by which the machine is reached is tried only if it is named; one that somebody has is busy.
    net.ip("r", "address add 10.0.1.1/24 dev r-a");
    net.ip("r", "route add default via 10.0.1.2");
    let (_, text) = doctor(&net, "", "");
    assert!(
        text.lines().any(|line| line.starts_with("r-a ") && line.ends_with("not tried  not tried  not tried  not tried")),
        "{text}"
    );
    assert!(text.contains("`r-a`: the default route of this machine leads to `r-a`: a graph takes it with `force: true` only\n"));
    let swath = net.swath("r", &router("", "force: true", DEFAULT));
    let (code, text) = doctor(&net, "", "r-b");
    assert!(
        code == 1 && text.contains("error: `r-b`: another program has it by XDP\n    ip -d link show r-b; bpftool net\n"),
        "{text}"
    );
    assert_eq!(net.ping("a", 5, "10.0.2.2"), 5, "and keeps it");
    swath.end();
    assert_eq!(doctor(&net, "", "r-x"), (1, "error: there is no device `r-x`\n".into()));
    let (code, text) = doctor(&net, "setpriv --bounding-set -net_raw,-ipc_lock --inh-caps -net_raw,-ipc_lock", "");
    assert!(code == 1 && text.contains("error: the process has not cap_net_raw, which AF_XDP needs\n    sudo setcap "), "{text}");
}

/// What the other end of a veth leaves undone nobody does, and what the doctor says about it mends it.
#[test]
fn the_other_end_of_a_veth_is_looked_at() {
    let Some(net) = Net::new(&["r"]) else { return };
    net.ip("r", "link add one type veth peer name two");
    for device in ["one", "two"] {
        net.ip("r", &format!("link set {device} up"));
    }
    let findings = || {
        let (code, text) = doctor(&net, "", "--format json one");
        assert_eq!(code, 0, "warnings at most: {text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let report = findings();
    assert_eq!(report["devices"][0]["peer"], serde_json::json!({ "name": "two", "undone": { "segments": true, "tags": true } }));
    // In its driver, a veth has its other end cut what it sends.
    let mending = mends(&report, "one");
    assert_eq!(mending, ["ethtool -K two txvlan off", "ethtool -K one rxvlan off"]);
    mending.iter().for_each(|line| _ = net.sh("r", line));
    assert_eq!(mends(&findings(), "one"), Vec::<String>::new());
}
