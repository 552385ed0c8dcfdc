//! `swath doctor`: what stands between this machine and AF_XDP, and the command that mends it.

use swath_io::doctor::{Device, Examination, Level, examine};

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
  swath doctor eth1 --format json")]
pub struct DoctorArgs {
    /// The devices to look at; all Ethernet devices without any
    pub devices: Vec<String>,
    /// How to show it: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Examines the machine.
///
/// # Errors
/// There is no such device, or the kernel does not answer.
pub fn doctor(args: &DoctorArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let found = examine(&args.devices).map_err(Failure::other)?;
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&found).unwrap_or_default() + "\n",
        Format::Text => text(&found, terminal.data_colour),
    };
    terminal.data(&text)?;
    let is_bad = found.findings.iter().any(|finding| finding.level == Level::Error);
    Ok(if is_bad { Exit::Failed } else { Exit::Ok })
}

fn text(found: &Examination, colour: bool) -> String {
    let mut text = String::new();
    if !found.devices.is_empty() {
        let headings = ["device", "driver", "queues", "MTU", "NUMA", "native", "generic", "zero-copy", "offload"];
        let mut table = Table::new(&headings, 2..4);
        found.devices.iter().for_each(|device| table.row(row(device)));
        text += &table.render(colour);
        text.push('\n');
    }
    for finding in &found.findings {
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
    if found.findings.is_empty() {
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
