use std::os::unix::fs::symlink;

use super::*;

/// A machine: each card with its class, driver, group of the IOMMU and name.
fn machine(cards: &[(&str, &str, &str, &str, &str)]) -> (tempfile::TempDir, System) {
    let place = tempfile::tempdir().unwrap();
    let at = |path: String| {
        let path = place.path().join(path);
        fs::create_dir_all(&path).unwrap();
        path
    };
    for (address, class, driver, group, name) in cards {
        let device = at(format!("bus/pci/devices/{address}"));
        fs::write(device.join("class"), format!("{class}\n")).unwrap();
        if !driver.is_empty() {
            symlink(at(format!("bus/pci/drivers/{driver}")), device.join("driver")).unwrap();
        }
        if !group.is_empty() {
            let members = at(format!("kernel/iommu_groups/{group}/devices"));
            symlink(&device, members.join(address)).unwrap();
            symlink(members.parent().unwrap(), device.join("iommu_group")).unwrap();
        }
        if !name.is_empty() {
            at(format!("bus/pci/devices/{address}/{name}"));
        }
    }
    let system = System(place.path().into());
    (place, system)
}

/// What is found, as `device: what -> mend`; with all cards named or none.
fn findings(system: &System, is_named: bool) -> Vec<String> {
    let found = Examination {
        library: None,
        version: None,
        hugepages_free: 1024,
        iommu_groups: system.groups(),
        devices: system.cards(),
        findings: Vec::new(),
    };
    let findings = of_machine(&found, system.has_vfio(), is_named).into_iter();
    findings
        .map(|finding| {
            let (device, mend) = (finding.device.unwrap_or_default(), finding.mend.unwrap_or_default());
            format!("{device}: {} -> {mend}", finding.what)
        })
        .collect()
}

#[test]
fn a_card_that_is_handed_over_has_nothing_in_its_way() {
    let (_place, system) = machine(&[
        ("0000:00:1c.0", "0x060400", "pcieport", "7", ""),
        ("0000:03:00.0", "0x020000", "vfio-pci", "7", ""),
        ("0000:03:00.1", "0x020000", "vfio-pci", "7", ""),
    ]);
    assert_eq!(findings(&system, true), Vec::<String>::new());
    assert_eq!(findings(&system, false), Vec::<String>::new());
    let cards: Vec<String> = system.cards().into_iter().map(|card| card.address).collect();
    assert_eq!(cards, ["0000:03:00.0", "0000:03:00.1"], "bridges are no network cards");
}

#[test]
fn each_step_that_is_left_out_is_said() {
    let (_place, system) = machine(&[
        ("0000:03:00.0", "0x020000", "ixgbe", "", "net/eth1"),
        ("0000:04:00.0", "0x020000", "", "", ""),
        ("0000:05:00.0", "0x020000", "uio_pci_generic", "", ""),
        ("0000:06:00.0", "0x020000", "virtio-pci", "", "virtio2/net/eth2"),
        ("0000:07:00.0", "0x010601", "ahci", "", ""),
    ]);
    assert_eq!(findings(&system, false), Vec::<String>::new(), "they are the kernel's, and nobody has asked for one");
    let bind = "dpdk-devbind.py --bind=vfio-pci";
    assert_eq!(
        findings(&system, true),
        [
            format!(": there is no IOMMU, or it is switched off, and cards are given packets by virtual addresses -> {IOMMU}"),
            ": the kernel's driver that hands cards over is not loaded -> modprobe vfio-pci".into(),
            format!(
                "0000:03:00.0: the kernel has it as `eth1`, by its driver `ixgbe` -> ip link set eth1 down && {bind} 0000:03:00.0"
            ),
            format!("0000:04:00.0: no driver has it, and so none hands it over -> {bind} 0000:04:00.0"),
            format!("0000:05:00.0: `uio_pci_generic` has it, which knows no virtual addresses -> {bind} 0000:05:00.0"),
            format!(
                "0000:06:00.0: the kernel has it as `eth2`, by its driver `virtio-pci` -> \
                 ip link set eth2 down && {bind} 0000:06:00.0"
            ),
        ]
    );
}

#[test]
fn a_card_goes_with_its_group_or_stays_with_the_kernel() {
    let (_place, system) = machine(&[
        ("0000:03:00.0", "0x020000", "vfio-pci", "7", ""),
        ("0000:03:00.1", "0x0c0330", "xhci_hcd", "7", ""),
        ("0000:04:00.0", "0x020000", "mlx5_core", "8", "net/eth4"),
    ]);
    let expected = ["0000:03:00.0: the IOMMU does not tell it from 0000:03:00.1 (group 7), which the kernel has -> \
                     dpdk-devbind.py --bind=vfio-pci 0000:03:00.1"];
    assert_eq!(findings(&system, false), expected);
    assert_eq!(findings(&system, true), expected, "that of NVIDIA stays where it is");
}
