//! What this machine offers to drivers of devices, what stands in their way, and the command that mends it.
//!
//! What a device can do with AF_XDP is tried: a program is attached and detached again, which hands all packets on to the kernel. A device
//! by which the machine is reached is tried only if it is named, since a network card may lose its link for a moment.

use std::fs;

use serde::Serialize;
use swath_api::memory::Geometry;

use super::af_xdp::lifeline;
pub use super::af_xdp::trial::Trial;
use super::af_xdp::trial::try_device;
use super::kernel::ethtool::Ethtool;
pub use super::kernel::ethtool::{Offloads, Undone};
use super::kernel::netlink::{Link, Netlink};
use crate::region::Reserved;

/// Packets that the default pool has, and the bytes of each.
const POOL: (u32, usize) = (16_384, 2048);
/// The longest packet that a buffer of the default size carries by AF_XDP.
const LONGEST: u32 = 2090;
/// Capabilities that AF_XDP needs, by their number in linux/capability.h.
const CAPABILITIES: [(&str, u32); 4] = [("cap_net_admin", 12), ("cap_net_raw", 13), ("cap_perfmon", 38), ("cap_bpf", 39)];
const IPC_LOCK: u32 = 14;
/// Which includes what CAP_BPF and CAP_PERFMON allow.
const SYS_ADMIN: u32 = 21;

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Examination {
    /// Of the machine and the process.
    pub machine: Machine,
    /// Of each device.
    pub devices: Vec<Device>,
    /// What to look at, the worst first.
    pub findings: Vec<Finding>,
}

/// The machine and the process.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Machine {
    /// Huge pages of 2 MiB: all of them.
    pub hugepages: usize,
    /// Those that nobody uses.
    pub hugepages_free: usize,
    /// Bytes of memory that the process may lock; `None` if there is no limit.
    pub memlock: Option<u64>,
    /// Capabilities of AF_XDP that the process has not.
    pub missing_capabilities: Vec<String>,
}

/// A device.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Device {
    /// Its name.
    pub name: String,
    /// The name of its driver, if that says it.
    pub driver: Option<String>,
    /// Receive queues.
    pub queues: u32,
    /// The NUMA node that it is attached to, if there are several.
    pub numa_node: Option<u32>,
    /// Bytes of a layer 3 packet.
    pub mtu: u32,
    /// Whether it is up and connected.
    pub up: bool,
    /// Why it should be left to the kernel: the default route leads to it, or a session comes in by it.
    pub lifeline: Option<String>,
    /// What AF_XDP can do with it; `None` if it was not tried.
    pub xdp: Option<Trial>,
    /// What it does to packets before a driver of swath sees them.
    pub offloads: Option<Offloads>,
    /// The other end of a veth, if it is in the same network namespace.
    pub peer: Option<Peer>,
}

/// The other end of a veth.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// What it leaves to be done, which nobody does where AF_XDP takes packets.
    pub undone: Undone,
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// AF_XDP does not work so.
    Error,
    /// It works, and packets may be lost or wrong, or slower than they need be.
    Warning,
}

/// Something to look at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// The device, if it is of one.
    pub device: Option<String>,
    /// What it is.
    pub what: String,
    /// The command that mends it.
    pub mend: Option<String>,
}

/// Looks at the machine and at these devices; at all Ethernet devices if none is named.
///
/// # Errors
/// There is no such device, or the kernel does not answer; in words.
pub fn examine(names: &[String]) -> Result<Examination, String> {
    let failed = |error: std::io::Error| format!("cannot ask the kernel for its devices: {error}");
    let mut netlink = Netlink::open().map_err(failed)?;
    let ethtool = Ethtool::open().map_err(failed)?;
    let mut known = netlink.names().map_err(failed)?;
    known.sort();
    let mut devices = Vec::new();
    for name in if names.is_empty() { &known } else { names } {
        let link = netlink.link(name).map_err(failed)?.ok_or_else(|| format!("there is no device `{name}`"))?;
        let is_ethernet = link.mac.is_some() && name != "lo";
        if is_ethernet || !names.is_empty() {
            devices.push(device(&link, !names.is_empty(), &mut netlink, &ethtool));
        }
    }
    let machine = machine();
    let mut findings = of_machine(&machine);
    devices.iter().for_each(|device| findings.extend(of_device(device)));
    findings.sort_by_key(|finding| finding.level);
    Ok(Examination { machine, devices, findings })
}

fn device(link: &Link, is_named: bool, netlink: &mut Netlink, ethtool: &Ethtool) -> Device {
    let lifeline = lifeline::reason(link, netlink);
    let name = link.name.as_str();
    let driver = ethtool.driver(name).ok().map(|driver| driver.name);
    let peer = link.peer.filter(|_| driver.as_deref() == Some("veth"));
    let peer = peer.and_then(|peer| Some(netlink.link_at(peer).ok()??.name));
    let peer = peer.and_then(|name| Some(Peer { undone: ethtool.left_undone(&name).ok()?, name }));
    let numa = fs::read_to_string(format!("/sys/class/net/{name}/device/numa_node"));
    Device {
        name: name.into(),
        driver,
        queues: ethtool.receive_queues(name).unwrap_or(1).max(1),
        // -1 where there is one node.
        numa_node: numa.ok().and_then(|text| text.trim().parse().ok()),
        mtu: link.mtu,
        up: link.is_up && link.has_carrier,
        xdp: (is_named || lifeline.is_none()).then(|| try_device(link)),
        lifeline,
        offloads: ethtool.offloads(name).ok(),
        peer,
    }
}

fn machine() -> Machine {
    let reserved = Reserved::read();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let memlock = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")?.split_whitespace().next()?.parse().ok());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok()).unwrap_or(0);
    let has = |bit: u32| bits >> bit & 1 == 1;
    let missing = CAPABILITIES.iter().filter(|(_, bit)| !(has(*bit) || *bit >= 38 && has(SYS_ADMIN)));
    let missing_capabilities = missing.map(|(name, _)| (*name).to_owned()).collect();
    let memlock = if has(IPC_LOCK) { None } else { memlock };
    Machine { hugepages: reserved.all, hugepages_free: reserved.free, memlock, missing_capabilities }
}

fn of_machine(machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |level, what: String, mend: String| findings.push(Finding { level, device: None, what, mend: Some(mend) });
    if !machine.missing_capabilities.is_empty() {
        let program = std::env::current_exe().map_or_else(|_| "swath".into(), |path| path.display().to_string());
        let what = format!("the process has not {}, which AF_XDP needs", machine.missing_capabilities.join(", "));
        find(Level::Error, what, format!("sudo setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon,cap_ipc_lock+ep {program}"));
    }
    let pool = Geometry::new(POOL.0, POOL.1).bytes();
    if machine.memlock.is_some_and(|limit| limit < pool as u64) {
        let what = format!(
            "the process may lock {} KiB of memory, and {} MiB are packet memory",
            machine.memlock.unwrap_or(0) >> 10,
            pool >> 20
        );
        find(Level::Error, what, "ulimit -l unlimited".into());
    }
    let needed = pool.div_ceil(2 << 20);
    if machine.hugepages_free < needed {
        let what = format!(
            "{} huge pages are free, and packet memory takes {needed}: without them a device copies packets that it could write to memory \
             itself, and page walks cost some cycles",
            machine.hugepages_free
        );
        let total = machine.hugepages - machine.hugepages_free + needed;
        find(Level::Warning, what, format!("sysctl vm.nr_hugepages={total}"));
    }
    findings
}

fn of_device(device: &Device) -> Vec<Finding> {
    let name = &device.name;
    let mut findings = Vec::new();
    let mut find = |level, what: String, mend: Option<String>| {
        findings.push(Finding { level, device: Some(name.clone()), what, mend });
    };
    if let Some(reason) = &device.lifeline {
        find(Level::Warning, format!("{reason}: a graph takes it with `force: true` only"), None);
    }
    if device.mtu > LONGEST {
        let what = format!("its MTU is {}, and a buffer of the default size carries {LONGEST} by AF_XDP", device.mtu);
        find(Level::Error, what, Some(format!("ip link set {name} mtu {LONGEST}")));
    }
    if !device.up {
        find(Level::Warning, "it is down, or nothing is connected".into(), Some(format!("ip link set {name} up")));
    }
    let is_generic = match &device.xdp {
        None => false,
        Some(trial) if trial.busy => {
            find(Level::Error, "another program has it by XDP".into(), Some(format!("ip -d link show {name}; bpftool net")));
            false
        }
        Some(trial) => {
            if trial.native.is_some() && trial.generic.is_some() {
                find(Level::Error, format!("it takes no program: {}", trial.generic.as_deref().unwrap_or_default()), None);
            }
            if let Some(why) = trial.offload.as_deref().filter(|_| trial.native.is_none() || trial.generic.is_none()) {
                find(Level::Warning, format!("nodes with `offload: xdp` do all of their work themselves: {why}"), None);
            }
            trial.native.is_some() && trial.generic.is_none()
        }
    };
    if let Some(Peer { name: peer, undone }) = &device.peer {
        if undone.tags {
            let what = format!("its other end `{peer}` leaves VLAN tags to be put in, which AF_XDP does not see");
            find(Level::Warning, what, Some(format!("ethtool -K {peer} txvlan off")));
        }
        if undone.segments && is_generic {
            let what = format!("its other end `{peer}` leaves packets to be cut, which are longer than a buffer, and lost");
            find(Level::Warning, what, Some(format!("ethtool -K {peer} tso off gso off")));
        }
    }
    if let Some(offloads) = device.offloads {
        if offloads.rx_vlan {
            let what = "it takes the VLAN tag off a frame before AF_XDP sees it".to_owned();
            find(Level::Warning, what, Some(format!("ethtool -K {name} rxvlan off")));
        }
        if offloads.lro {
            find(Level::Warning, "it merges packets, which a router must not".into(), Some(format!("ethtool -K {name} lro off")));
        }
        if offloads.gro && is_generic {
            let what = "behind its driver, packets that were merged are longer than a buffer, and lost".to_owned();
            find(Level::Warning, what, Some(format!("ethtool -K {name} gro off")));
        }
    }
    findings
}
