//! The devices: `gen` and `in` are the ends of one veth, `out` and `end` those of another. Who forwards has the two in the middle.
//!
//! They lie in a network namespace that ends with the last process in it, so that nothing is left whatever happens.

use std::process::Command;

use serde_json::Value;

/// Where packets are put in, and its other end.
pub const INTO: &str = "gen";
pub const IN: &str = "in";
/// Where they are sent to, and its other end.
pub const OUT: &str = "out";
pub const LAST: &str = "end";

pub const OUR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub const OUT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
pub const NEXT_HOP_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];
pub const SENDER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x77];

/// A command that does the same in a network namespace of its own.
pub fn apart() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--net");
    command
}

/// Makes the devices.
pub fn lay() -> Result<(), String> {
    run("sysctl", "-qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")?;
    run("ip", "link set lo up")?;
    for (a, mac_a, b, mac_b) in [(INTO, SENDER_MAC, IN, OUR_MAC), (OUT, OUT_MAC, LAST, NEXT_HOP_MAC)] {
        let [mac_a, mac_b] = [mac_a, mac_b].map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
        let queues = "numrxqueues 1 numtxqueues 1";
        run("ip", &format!("link add {a} address {mac_a} {queues} type veth peer name {b} address {mac_b} {queues}"))?;
        [a, b].iter().try_for_each(|device| run("ip", &format!("link set {device} up")).map(drop))?;
    }
    Ok(())
}

/// The index of a device.
pub fn index(device: &str) -> Result<u32, String> {
    let text = run("ip", &format!("-j link show {device}"))?;
    let links: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    links[0]["ifindex"].as_u64().and_then(|index| index.try_into().ok()).ok_or_else(|| format!("{device} has no index"))
}

/// Packets that the devices have dropped themselves so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drops {
    /// On the way to who forwards: the queue of the device was full.
    pub before: u64,
    /// On the way from it.
    pub behind: u64,
    /// By a program of the device that says so.
    pub discarded: u64,
}

impl Drops {
    pub fn read() -> Result<Drops, String> {
        let before = figure(INTO, "tx_queue_0_xdp_xmit_errors")?;
        let discarded = figure(IN, "rx_queue_0_xdp_drops")?;
        let text = run("ip", &format!("-s -j link show {OUT}"))?;
        let links: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let behind = links[0]["stats64"]["tx"]["dropped"].as_u64().ok_or_else(|| format!("{OUT} counts no drops"))?;
        Ok(Drops { before, behind, discarded })
    }

    pub fn since(self, before: Drops) -> Drops {
        Drops {
            before: self.before - before.before,
            behind: self.behind - before.behind,
            discarded: self.discarded - before.discarded,
        }
    }
}

/// What the driver of a device counts.
fn figure(device: &str, name: &str) -> Result<u64, String> {
    let text = run("ethtool", &format!("-S {device}"))?;
    let of = |line: &str| line.trim().strip_prefix(name)?.strip_prefix(": ")?.parse::<u64>().ok();
    text.lines().find_map(of).ok_or_else(|| format!("{device} does not count {name}:\n{text}"))
}

/// Runs a command, which must succeed. Returns what it wrote.
pub fn run(program: &str, args: &str) -> Result<String, String> {
    let output = Command::new(program).args(args.split(' ')).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} {args}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
