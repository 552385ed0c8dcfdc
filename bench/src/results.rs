//! What a run has measured, written down: as JSON, as Markdown, and as a picture.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::measure::{CYCLES, Measurement};

/// What VPP 26.10-rc0 was measured to need on this kind of machine (22 November 2026, KVM guest on AMD EPYC of Zen 4; all nodes but `pg-input` and
/// `pg-tx`, 64-byte frames, vectors of 256), and what is wanted here, in TSC cycles per packet.
const BESIDE: [(&str, Option<f64>, Option<f64>); 16] = [
    ("ip4-1", Some(47.0), Some(13.0)),
    ("ip4-1-exceptions", None, Some(17.0)),
    ("ip4-131k", Some(49.0), Some(16.0)),
    ("ip4-100k", Some(320.0), Some(60.0)),
    ("ip4-1m", Some(576.0), Some(90.0)),
    ("l2-cross-connect", Some(20.0), Some(6.0)),
    ("acl-router-1", Some(130.0), Some(40.0)),
    ("acl-router-100", Some(207.0), Some(70.0)),
    ("acl-router-1000", Some(240.0), Some(80.0)),
    ("acl-reflect-1", Some(91.0), None),
    ("acl-reflect-10k", Some(99.0), Some(50.0)),
    ("acl-reflect-1000-10k", Some(97.0), None),
    ("nat-1", Some(126.0), Some(50.0)),
    ("nat-10k", Some(171.0), Some(70.0)),
    ("nat-1m", Some(540.0), Some(180.0)),
    ("acl-reflect-1m", None, None),
];

/// What one case came to, by set of kernels.
#[derive(Debug)]
pub struct Outcome {
    pub name: &'static str,
    pub about: &'static str,
    pub rows: Vec<Row>,
}

/// With one set of kernels.
#[derive(Debug)]
pub struct Row {
    pub kernels: &'static str,
    pub measured: Measurement,
    pub instructions: Option<f64>,
}

impl Outcome {
    /// The best set of kernels, which is what a user of this machine gets.
    fn best(&self) -> Option<f64> {
        self.rows.first().map(|row| row.measured.total)
    }

    fn beside(&self) -> (Option<f64>, Option<f64>) {
        BESIDE.iter().find(|(name, ..)| *name == self.name).map_or((None, None), |(_, vpp, wanted)| (*vpp, *wanted))
    }

    fn json(&self) -> Value {
        let (vpp, wanted) = self.beside();
        let rows = self.rows.iter().map(|Row { kernels, measured, instructions }| {
            let mut row = measured.to_json();
            row["kernels"] = json!(kernels);
            row["instructions"] = json!(instructions);
            row
        });
        json!({ "name": self.name, "about": self.about, "vpp": vpp, "wanted": wanted, "rows": rows.collect::<Vec<_>>() })
    }
}

/// All of them in one table, beside VPP and what is wanted.
pub fn summary(outcomes: &[Outcome]) -> String {
    let figure = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.0}"));
    let mut table = String::from("| case | swath | VPP 26.10 | ratio | wanted | |\n|---|---|---|---|---|---|\n");
    for outcome in outcomes {
        let ((vpp, wanted), Some(best)) = (outcome.beside(), outcome.best()) else { continue };
        let ratio = vpp.map_or_else(|| "-".into(), |vpp| format!("{:.1}", vpp / best));
        let met = match wanted {
            Some(wanted) if best <= wanted => "met",
            Some(_) => "missed",
            None => "",
        };
        let _ = writeln!(table, "| {} | **{best:.1}** | {} | {ratio} | {} | {met} |", outcome.about, figure(vpp), figure(wanted));
    }
    table
}

/// Writes `DATE.json`, `DATE.md` and `DATE.svg`. `machine` is a line on what this ran on, `printed` what the run has printed.
///
/// # Errors
/// What the system says of a file.
pub fn write(directory: &Path, date: &str, machine: &str, outcomes: &[Outcome], printed: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let file = |extension: &str| directory.join(format!("{date}.{extension}"));
    let all = json!({
        "machine": machine, "unit": CYCLES, "cases": outcomes.iter().map(Outcome::json).collect::<Vec<_>>(),
    });
    std::fs::write(file("json"), serde_json::to_string_pretty(&all)? + "\n")?;
    std::fs::write(file("svg"), picture(machine, outcomes))?;
    let text = format!(
        "# {date}\n\n`make bench` on {machine}.\n\nTSC cycles per packet from the end of receive to the start of transmit, 256 packets per vector, one \
         core. VPP was measured before on this kind of machine, and not in this run.\n\n{}\n![The same as bars]({date}.svg)\n\n{}\n",
        summary(outcomes),
        printed.trim_end()
    );
    std::fs::write(file("md"), text)
}

/// Where a bar starts, how many pixels there are for the longest, and how high a case is.
const LEFT: f64 = 300.0;
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 46.0;
const TOP: f64 = 70.0;

/// Bars: ours above VPP's, and a line where we want to be.
fn picture(machine: &str, outcomes: &[Outcome]) -> String {
    let shown: Vec<_> = outcomes.iter().filter_map(|outcome| Some((outcome, outcome.best()?, outcome.beside()))).collect();
    let shown: Vec<_> = shown.into_iter().filter(|(_, _, (vpp, wanted))| vpp.or(*wanted).is_some()).collect();
    let longest = shown.iter().flat_map(|(_, best, (vpp, wanted))| [Some(*best), *vpp, *wanted]).flatten().fold(1.0, f64::max);
    let length = |value: f64| value / longest * WIDTH;
    let (width, height) = (LEFT + WIDTH + 70.0, TOP + HEIGHT * shown.len() as f64 + 10.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">
<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>
<text x=\"10\" y=\"22\" font-size=\"16\" fill=\"#1b1f24\">TSC cycles per packet of graph cost: less is better</text>
<text x=\"10\" y=\"42\" fill=\"#57606a\">{}</text>
<text x=\"10\" y=\"60\" fill=\"#57606a\"><tspan fill=\"#0a66c2\">&#9632;</tspan> swath  <tspan fill=\"#b0b7bf\">&#9632;</tspan> VPP 26.10  <tspan \
         fill=\"#c2410c\">|</tspan> wanted</text>
",
        escaped(machine)
    );
    for (index, (outcome, best, (vpp, wanted))) in shown.iter().enumerate() {
        let y = TOP + HEIGHT * index as f64;
        let _ = writeln!(svg, "<text x=\"10\" y=\"{:.0}\" fill=\"#1b1f24\">{}</text>", y + 22.0, outcome.name);
        let mut bar = |y: f64, value: f64, color: &str| {
            let (long, end) = (length(value).max(1.0), LEFT + length(value) + 6.0);
            let _ = writeln!(svg, "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{long:.1}\" height=\"15\" fill=\"{color}\"/>");
            let _ = writeln!(svg, "<text x=\"{end:.1}\" y=\"{:.0}\" fill=\"#1b1f24\">{value:.1}</text>", y + 12.0);
        };
        bar(y + 4.0, *best, "#0a66c2");
        if let Some(vpp) = vpp {
            bar(y + 21.0, *vpp, "#b0b7bf");
        }
        if let Some(x) = wanted.map(|wanted| LEFT + length(wanted)) {
            let (from, to) = (y + 1.0, y + 22.0);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{from:.0}\" x2=\"{x:.1}\" y2=\"{to:.0}\" stroke=\"#c2410c\" stroke-width=\"2\"/>"
            );
        }
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &'static str, total: f64) -> Outcome {
        let measured = Measurement { total, best: total, nodes: vec![("rx".into(), 1.0)], remainder: 0.5, share: 1.0, kept: 0.9 };
        let row = |kernels| Row { kernels, measured: measured.clone(), instructions: None };
        Outcome { name, about: "a case", rows: vec![row("avx512"), row("scalar")] }
    }

    #[test]
    fn a_case_stands_beside_its_peer() {
        let outcomes = [outcome("nat-1", 50.0), outcome("ip4-1", 18.8), outcome("acl-flood-syn", 70.0)];
        let rows: Vec<String> = summary(&outcomes).lines().skip(2).map(String::from).collect();
        assert_eq!(rows[0], "| a case | **50.0** | 126 | 2.5 | 50 | met |");
        assert_eq!(rows[1], "| a case | **18.8** | 47 | 2.5 | 13 | missed |");
        assert_eq!(rows[2], "| a case | **70.0** | - | - | - |  |");
    }

    #[test]
    fn three_files_are_written() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "2026-01-02", "CPU <x> & co", &[outcome("ip4-1", 18.8)], "### more").unwrap();
        let read = |extension: &str| std::fs::read_to_string(directory.path().join(format!("2026-01-02.{extension}"))).unwrap();
        let value: Value = serde_json::from_str(&read("json")).unwrap();
        assert_eq!((&value["cases"][0]["vpp"], &value["cases"][0]["rows"][1]["kernels"]), (&json!(47.0), &json!("scalar")));
        assert!(read("md").contains("| a case | **18.8** | 47 | 2.5 | 13 | missed |") && read("md").ends_with("### more\n"));
        let svg = read("svg");
        assert!(svg.contains("CPU &lt;x> &amp; co") && svg.matches("<rect").count() == 3 && svg.matches("<line").count() == 1);
    }
}
