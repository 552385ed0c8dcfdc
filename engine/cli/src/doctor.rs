//! `swath doctor`: what stands between this machine and AF_XDP, or DPDK, and the command that mends it.

use swath_io::doctor::{Device, Finding, Level, examine};
use swath_io::drivers::dpdk::doctor as dpdk;

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::table::Table;
use crate::terminal::{Style, Terminal, paint};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It tries what a device can do, by a program that hands all packets on to the kernel and is gone at
once. A device by which this machine is reached is tried only if you name it. Nothing is changed.
It ends with 1 if something stands in the way, and with 0 if there are warnings at most.

Examples:
  swath doctor
  swath doctor eth1 --format json
  swath doctor --dpdk 0000:03:00.0")]
pub struct DoctorArgs {
    /// The devices to look at; all Ethernet devices without any
    pub devices: Vec<String>,
    /// Looks at what DPDK needs instead, and at network cards, by name or PCI address
    #[arg(long)]
    pub dpdk: bool,
    /// How to show it: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Examines the machine.
///
/// # Errors
/// There is no such device, or the kernel does not answer.
pub fn doctor(args: &DoctorArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.dpdk {
        let found = dpdk::examine(&args.devices).map_err(Failure::other)?;
        return tell(args.format, terminal, &found, &found.findings, |colour| cards(&found, colour));
    }
    let found = examine(&args.devices).map_err(Failure::other)?;
    tell(args.format, terminal, &found, &found.findings, |colour| devices(&found.devices, colour))
}

/// Says what was found: as text, what there is and what is to be said of it.
fn tell(
    format: Format,
    terminal: &Terminal,
    found: &impl serde::Serialize,
    findings: &[Finding],
    what: impl FnOnce(bool) -> String,
) -> Result<Exit, Failure> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(found).unwrap_or_default() + "\n",
        Format::Text => what(terminal.data_colour) + &text(findings, terminal.data_colour),
    };
    terminal.data(&text)?;
    let is_bad = findings.iter().any(|finding| finding.level == Level::Error);
    Ok(if is_bad { Exit::Failed } else { Exit::Ok })
}

fn devices(devices: &[Device], colour: bool) -> String {
    if devices.is_empty() {
        return String::new();
    }
    let headings = ["device", "driver", "queues", "MTU", "NUMA", "native", "generic", "zero-copy", "offload"];
    let mut table = Table::new(&headings, 2..4);
    devices.iter().for_each(|device| table.row(row(device)));
    table.render(colour) + "\n"
}

fn cards(found: &dpdk::Examination, colour: bool) -> String {
    let mut text = found.version.as_ref().map_or_else(String::new, |version| format!("{version}\n\n"));
    if !found.devices.is_empty() {
        let mut table = Table::new(&["card", "driver", "names", "IOMMU group"], 3..4);
        let or_none = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".into());
        for card in &found.devices {
            let names = Some(card.names.join(" ")).filter(|names| !names.is_empty());
            table.row([
                card.address.clone(),
                or_none(card.driver.as_ref()),
                or_none(names.as_ref()),
                or_none(card.iommu_group.as_ref()),
            ]);
        }
        text += &(table.render(colour) + "\n");
    }
    text
}

fn text(findings: &[Finding], colour: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let (word, style) = match finding.level {
            Level::Error => ("error", Style::Error),
            Level::Warning => ("warning", Style::Warning),
        };
        let device = finding.device.as_ref().map_or(String::new(), |device| format!("`{device}`: "));
        text += &format!("{}: {device}{}\n", paint(word, style, colour), finding.what);
        if let Some(mend) = &finding.mend {
            text += &format!("    {mend}\n");
        }
    }
    if findings.is_empty() {
        text += &format!("{}\n", paint("nothing stands in the way", Style::Good, colour));
    }
    text
}

fn row(device: &Device) -> [String; 9] {
    let can = |pick: fn(&swath_io::doctor::Trial) -> &Option<String>| match &device.xdp {
        None => "not tried".to_owned(),
        Some(trial) if trial.busy => "busy".into(),
        Some(trial) => if pick(trial).is_none() { "yes" } else { "no" }.into(),
    };
    [
        device.name.clone(),
        device.driver.clone().unwrap_or_else(|| "-".into()),
        device.queues.to_string(),
        device.mtu.to_string(),
        device.numa_node.map_or("-".into(), |node| node.to_string()),
        can(|trial| &trial.native),
        can(|trial| &trial.generic),
        can(|trial| &trial.zero_copy),
        can(|trial| &trial.offload),
    ]
}
