//! What stands between this machine and the drivers of DPDK, step by step of `docs/dpdk.md`, and the command that mends it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::library;
use crate::drivers::doctor::{Finding, Level};

/// What DPDK's manual says of Intel's IOMMU, for Debian. That of AMD is on unless somebody has switched it off.
const IOMMU: &str = "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on iommu=pt /' /etc/default/grub && update-grub && reboot";
/// Drivers that share a card with DPDK.
const SHARED: [&str; 2] = ["mlx4_core", "mlx5_core"];
/// Drivers that hand a card over.
const HANDED: &str = "vfio-pci";
/// Drivers of the same kind, with which DPDK needs addresses that swath does not give it.
const PHYSICAL: [&str; 2] = ["uio_pci_generic", "igb_uio"];

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Examination {
    /// The library of swath for DPDK.
    pub library: Option<PathBuf>,
    /// The release of DPDK that it runs with.
    pub version: Option<String>,
    /// Huge pages of 2 MiB that nobody uses.
    pub hugepages_free: u64,
    /// Groups of devices that an IOMMU keeps apart; 0 without one.
    pub iommu_groups: usize,
    /// Network cards on a bus.
    pub devices: Vec<Device>,
    /// What to look at, the worst first.
    pub findings: Vec<Finding>,
}

/// A network card.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Device {
    /// Its PCI address.
    pub address: String,
    /// The driver of the kernel that has it, if one does.
    pub driver: Option<String>,
    /// Its names as devices of the kernel.
    pub names: Vec<String>,
    /// Its group of the IOMMU.
    pub iommu_group: Option<String>,
    /// Others of that group that drivers of the kernel have: they go with it, or none does.
    pub held_beside: Vec<String>,
}

/// Looks at the machine and these cards, by PCI address or name; at all of them if none is named.
///
/// # Errors
/// There is no such card.
pub fn examine(names: &[String]) -> Result<Examination, String> {
    let (library, version, refusal) = match library::look() {
        Ok((file, version)) => (Some(file), Some(version), None),
        Err((file, refusal)) => (file, None, Some(refusal)),
    };
    let system = System(Path::new("/sys").into());
    let known = system.cards();
    let devices = if names.is_empty() {
        known
    } else {
        let find = |name: &String| {
            let found = known.iter().find(|card| card.address == *name || card.names.contains(name));
            found
                .cloned()
                .ok_or_else(|| format!("there is no network card `{name}`: a PCI address is one of lspci, with its domain"))
        };
        names.iter().map(find).collect::<Result<_, _>>()?
    };
    let mut found = Examination {
        library,
        version,
        hugepages_free: library::free_huge_pages().unwrap_or(0).into(),
        iommu_groups: system.groups(),
        devices,
        findings: Vec::new(),
    };
    if let Some(library::Refusal { what, mend }) = refusal {
        found.findings.push(Finding { level: Level::Error, device: None, what, mend });
    }
    let has_vfio = system.has_vfio();
    found.findings.extend(of_machine(&found, has_vfio, !names.is_empty()));
    found.findings.sort_by_key(|finding| finding.level);
    Ok(found)
}

/// Of the machine and the cards. Cards that nobody has named are looked at if they are DPDK's already: the others are the kernel's, and may stay so.
fn of_machine(found: &Examination, has_vfio: bool, is_named: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let needed = u64::from(library::HUGE_PAGES);
    if found.hugepages_free < needed {
        let what = format!(
            "{} huge pages are free, and DPDK's own memory takes {needed}: without them it is in small pages, and so is slower",
            found.hugepages_free
        );
        let mend = Some("sysctl vm.nr_hugepages=1024".to_owned());
        findings.push(Finding { level: Level::Warning, device: None, what, mend });
    }
    let cards: Vec<&Device> = found.devices.iter().filter(|device| is_named || device.driver.as_deref() == Some(HANDED)).collect();
    if cards.iter().any(|card| !card.is_shared()) {
        let mut find = |what: &str, mend: &str| {
            findings.push(Finding { level: Level::Error, device: None, what: what.into(), mend: Some(mend.into()) });
        };
        if found.iommu_groups == 0 {
            find("there is no IOMMU, or it is switched off, and cards are given packets by virtual addresses", IOMMU);
        }
        if !has_vfio {
            find("the kernel's driver that hands cards over is not loaded", "modprobe vfio-pci");
        }
    }
    findings.extend(cards.into_iter().flat_map(of_card));
    findings
}

fn of_card(card: &Device) -> Vec<Finding> {
    if card.is_shared() {
        return Vec::new();
    }
    let address = &card.address;
    let mut findings = Vec::new();
    let mut find = |what: String, mend: String| {
        findings.push(Finding { level: Level::Error, device: Some(address.clone()), what, mend: Some(mend) });
    };
    let names = if card.names.is_empty() { String::new() } else { format!(" as `{}`", card.names.join("`, `")) };
    let mend = format!("dpdk-devbind.py --bind={HANDED} {address}");
    match card.driver.as_deref() {
        Some(HANDED) => {}
        None => find("no driver has it, and so none hands it over".into(), mend),
        Some(driver) if PHYSICAL.contains(&driver) => {
            find(format!("`{driver}` has it, which knows no virtual addresses"), mend);
        }
        Some(driver) => {
            let down = card.names.iter().map(|name| format!("ip link set {name} down && ")).collect::<String>();
            find(format!("the kernel has it{names}, by its driver `{driver}`"), down + &mend);
        }
    }
    if !card.held_beside.is_empty() {
        let (beside, group) = (card.held_beside.join(" "), card.iommu_group.as_deref().unwrap_or_default());
        find(
            format!("the IOMMU does not tell it from {beside} (group {group}), which the kernel has"),
            format!("dpdk-devbind.py --bind={HANDED} {beside}"),
        );
    }
    findings
}

impl Device {
    /// Whether the kernel keeps it while DPDK uses it.
    fn is_shared(&self) -> bool {
        self.driver.as_deref().is_some_and(|driver| SHARED.contains(&driver))
    }
}

/// What the kernel shows of buses and devices: `/sys`.
struct System(PathBuf);

impl System {
    /// All network cards on the PCI bus.
    fn cards(&self) -> Vec<Device> {
        let mut cards: Vec<Device> = entries(&self.0.join("bus/pci/devices"))
            .into_iter()
            .filter(|address| self.class(address).starts_with("0x02"))
            .map(|address| self.card(address))
            .collect();
        cards.sort_by(|one, other| one.address.cmp(&other.address));
        cards
    }

    fn card(&self, address: String) -> Device {
        let device = self.0.join("bus/pci/devices").join(&address);
        let iommu_group = target(&device.join("iommu_group"));
        let beside = entries(&device.join("iommu_group/devices")).into_iter();
        // Bridges of the bus stay where they are.
        let held = beside.filter(|other| *other != address && !self.class(other).starts_with("0x06"));
        let held = held.filter(|other| {
            target(&self.0.join("bus/pci/devices").join(other).join("driver")).is_some_and(|driver| driver != HANDED)
        });
        let mut held_beside: Vec<String> = held.collect();
        held_beside.sort();
        // Of virtio, the device of the network is behind another.
        let virtio = entries(&device).into_iter().filter(|entry| entry.starts_with("virtio"));
        let places = std::iter::once(device.join("net")).chain(virtio.map(|entry| device.join(entry).join("net")));
        let mut names: Vec<String> = places.flat_map(|place| entries(&place)).collect();
        names.sort();
        Device { driver: target(&device.join("driver")), names, iommu_group, held_beside, address }
    }

    fn class(&self, address: &str) -> String {
        fs::read_to_string(self.0.join("bus/pci/devices").join(address).join("class")).unwrap_or_default()
    }

    fn groups(&self) -> usize {
        entries(&self.0.join("kernel/iommu_groups")).len()
    }

    fn has_vfio(&self) -> bool {
        self.0.join("bus/pci/drivers").join(HANDED).is_dir()
    }
}

/// The names in a directory; none if there is none.
fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The last part of where a link leads to.
fn target(link: &Path) -> Option<String> {
    fs::read_link(link).ok()?.file_name()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
