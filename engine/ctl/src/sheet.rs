//! Metrics as Prometheus reads them: its text format (version 0.0.4), or OpenMetrics 1.0.
//!
//! Whole numbers go through the `metrics` crate into a recorder of `metrics-exporter-prometheus` that lives for one sheet: what is not
//! put on it is not there, so series end with what they are of. What that recorder cannot hold, totals with a fraction and histograms
//! that somebody else has counted, is written here.

use std::collections::HashSet;
use std::fmt::Write as _;

use metrics::Label;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

/// How a sheet is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    Text,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a client prefers by its `Accept` header. Prometheus lists OpenMetrics with the highest weight; who names it at all and not the
    /// older format before it can read it.
    pub fn of(accept: &str) -> Format {
        let weight = |kind: &str| {
            let range = accept.split(',').map(str::trim).find(|range| range.split(';').next() == Some(kind))?;
            let weight = range.split(';').find_map(|part| part.trim().strip_prefix("q="));
            weight.map_or(Some(1.0), |weight| weight.trim().parse().ok())
        };
        let (open, text): (Option<f32>, Option<f32>) = (weight("application/openmetrics-text"), weight("text/plain"));
        match open {
            Some(open) if open > 0.0 && open >= text.unwrap_or(0.0) => Format::OpenMetrics,
            _ => Format::Text,
        }
    }

    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What is shown at one moment.
pub struct Sheet {
    recorder: PrometheusRecorder,
    /// Families that are written here, as text.
    blocks: Vec<String>,
}

/// A label with its value.
pub fn label(name: &'static str, value: impl Into<String>) -> Label {
    Label::new(name, value.into())
}

/// Samples of one histogram: by bound, and above the last, how many were counted there; and the sum of what was counted.
pub struct Bins {
    pub labels: Vec<Label>,
    pub bins: Vec<u64>,
    pub sum: u64,
}

impl Sheet {
    pub fn new() -> Sheet {
        Sheet { recorder: PrometheusBuilder::new().build_recorder(), blocks: Vec::new() }
    }

    /// Numbers that only grow. The name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Vec<Label>, u64)>) {
        metrics::with_local_recorder(&self.recorder, || {
            metrics::describe_counter!(name.to_string(), help.to_string());
            for (labels, value) in samples {
                metrics::counter!(name.to_string(), labels).absolute(value);
            }
        });
    }

    /// Numbers that rise and fall.
    pub fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Vec<Label>, f64)>) {
        metrics::with_local_recorder(&self.recorder, || {
            metrics::describe_gauge!(name.to_string(), help.to_string());
            for (labels, value) in samples {
                metrics::gauge!(name.to_string(), labels).set(value);
            }
        });
    }

    /// Seconds that only grow. `metrics` has only whole numbers for what grows.
    pub fn seconds(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Vec<Label>, f64)>) {
        let mut block = head(name, help, "counter");
        for (labels, value) in samples {
            let _ = writeln!(block, "{name}{} {value}", braces(&labels, None));
        }
        self.blocks.push(block);
    }

    /// Histograms with these bounds. A histogram of `metrics` wants each value, of which there were millions; workers count by bound.
    pub fn histogram(&mut self, name: &str, help: &str, bounds: &[u64], samples: impl IntoIterator<Item = Bins>) {
        let mut block = head(name, help, "histogram");
        for Bins { labels, bins, sum } in samples {
            let mut below = 0;
            for (at, count) in bins.iter().enumerate() {
                below += count;
                // With a fraction, which is how OpenMetrics and Prometheus 3 write a bound: one series whatever the format.
                if let Some(bound) = bounds.get(at) {
                    let _ = writeln!(block, "{name}_bucket{} {below}", braces(&labels, Some(&format!("{bound}.0"))));
                }
            }
            let _ = writeln!(block, "{name}_bucket{} {below}", braces(&labels, Some("+Inf")));
            let _ = writeln!(block, "{name}_sum{} {sum}", braces(&labels, None));
            let _ = writeln!(block, "{name}_count{} {below}", braces(&labels, None));
        }
        self.blocks.push(block);
    }

    /// The text of the sheet, and of others that the exporter has rendered, family by family in order of their names.
    pub fn text(self, others: &str, format: Format) -> String {
        let rendered = self.recorder.handle().render();
        let mut blocks: Vec<String> = [&rendered, others].into_iter().flat_map(families).collect();
        blocks.extend(self.blocks);
        blocks.sort_unstable();
        // Two sources of one family: the first has it.
        let mut known = HashSet::new();
        blocks.retain(|block| known.insert(name(block).to_string()));
        let mut text = String::with_capacity(blocks.iter().map(String::len).sum::<usize>() + 8);
        for block in &blocks {
            match format {
                Format::Text => text.push_str(block),
                Format::OpenMetrics => open_metrics(block, &mut text),
            }
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

/// The families that the exporter has rendered, with an empty line after each; their samples, which come out of hash maps, in order.
fn families(rendered: &str) -> impl Iterator<Item = String> {
    rendered.split("\n\n").filter(|block| !block.trim().is_empty()).map(|block| {
        let mut lines: Vec<&str> = block.lines().collect();
        let comments = lines.iter().take_while(|line| line.starts_with('#')).count();
        lines[comments..].sort_unstable();
        lines.join("\n") + "\n"
    })
}

/// The name of a family: the third word of its first line.
fn name(block: &str) -> &str {
    block.split([' ', '\n']).nth(2).unwrap_or_default()
}

/// In OpenMetrics a counter is named without the `_total` that its samples have (§5.1).
fn open_metrics(block: &str, text: &mut String) {
    let full = name(block);
    let is_counter = block.lines().any(|line| line == format!("# TYPE {full} counter"));
    let bare = if is_counter { full.strip_suffix("_total").unwrap_or(full) } else { full };
    for line in block.lines() {
        match line.strip_prefix("# ").and_then(|line| line.split_once(' ')) {
            Some((word, rest)) => {
                let rest = rest.strip_prefix(full).unwrap_or(rest);
                let _ = writeln!(text, "# {word} {bare}{rest}");
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
}

fn head(name: &str, help: &str, kind: &str) -> String {
    format!("# HELP {name} {}\n# TYPE {name} {kind}\n", help.replace('\\', "\\\\").replace('\n', "\\n"))
}

fn braces(labels: &[Label], bound: Option<&str>) -> String {
    let mut text = String::new();
    let pairs = labels.iter().map(|label| (label.key(), label.value())).chain(bound.map(|bound| ("le", bound)));
    for (at, (name, value)) in pairs.enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{}{name}=\"{value}\"", if at == 0 { "{" } else { "," });
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new();
        sheet.counter("x_packets_total", "Packets.", [(vec![label("node", "b/in")], 7), (vec![label("node", "a")], u64::MAX)]);
        sheet.gauge("x_up", "Whether it is up.", [(vec![], 1.0)]);
        sheet.seconds("x_cpu_seconds_total", "Seconds.", [(vec![label("node", "a\"\\\n")], 0.25)]);
        let bins = Bins { labels: vec![label("node", "a")], bins: vec![1, 0, 3, 2], sum: 4000 };
        sheet.histogram("x_cost_cycles", "Cycles.", &[8, 16, 32], [bins]);
        sheet
    }

    #[test]
    fn the_text_format() {
        assert_eq!(
            sheet().text("# HELP x_events_total Events.\n# TYPE x_events_total counter\nx_events_total 3\n\n", Format::Text),
            "# HELP x_cost_cycles Cycles.
# TYPE x_cost_cycles histogram
x_cost_cycles_bucket{node=\"a\",le=\"8.0\"} 1
x_cost_cycles_bucket{node=\"a\",le=\"16.0\"} 1
x_cost_cycles_bucket{node=\"a\",le=\"32.0\"} 4
x_cost_cycles_bucket{node=\"a\",le=\"+Inf\"} 6
x_cost_cycles_sum{node=\"a\"} 4000
x_cost_cycles_count{node=\"a\"} 6
# HELP x_cpu_seconds_total Seconds.
# TYPE x_cpu_seconds_total counter
x_cpu_seconds_total{node=\"a\\\"\\\\\\n\"} 0.25
# HELP x_events_total Events.
# TYPE x_events_total counter
x_events_total 3
# HELP x_packets_total Packets.
# TYPE x_packets_total counter
x_packets_total{node=\"a\"} 18446744073709551615
x_packets_total{node=\"b/in\"} 7
# HELP x_up Whether it is up.
# TYPE x_up gauge
x_up 1
"
        );
    }

    #[test]
    fn open_metrics_names_counters_without_their_suffix_and_ends() {
        let text = sheet().text("", Format::OpenMetrics);
        let found: Vec<&str> = text.lines().filter(|line| line.starts_with('#') || line.contains("packets")).collect();
        assert_eq!(
            found,
            [
                "# HELP x_cost_cycles Cycles.",
                "# TYPE x_cost_cycles histogram",
                "# HELP x_cpu_seconds Seconds.",
                "# TYPE x_cpu_seconds counter",
                "# HELP x_packets Packets.",
                "# TYPE x_packets counter",
                "x_packets_total{node=\"a\"} 18446744073709551615",
                "x_packets_total{node=\"b/in\"} 7",
                "# HELP x_up Whether it is up.",
                "# TYPE x_up gauge",
                "# EOF",
            ]
        );
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_format_is_what_the_client_prefers() {
        // What Prometheus 2.42, curl and a browser send.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=x", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(Format::of(accept), format, "{accept}");
        }
    }
}
