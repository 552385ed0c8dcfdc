//! What passes a graph that runs: rates on its edges, and what it drops.

use std::time::{Duration, Instant};

use serde_json::json;
use swath_ctl::Client;
use swath_ctl::api::{Config, Edge as Counted, Node as Counts, Process};

use super::picture::{Drop, Edge, Picture};
use crate::exit::Failure;
use crate::figures::rate;
use crate::load::Graph;
use crate::remote::failure;

/// The graph that an engine runs, as it was read.
pub fn graph(client: &mut Client) -> Result<Graph, Failure> {
    let config: Config = client.get("/v1/config").map_err(|error| failure(&error))?;
    let process: Process = client.get("/v1").map_err(|error| failure(&error))?;
    let directory = std::env::current_dir().map(|here| here.display().to_string()).unwrap_or_default();
    let files = json!({ "directory": directory, "files": config.files });
    let files = serde_json::from_value(files).map_err(|error| Failure::other(format!("{}: {error}", process.graph)))?;
    Ok(Graph::from_files(files))
}

/// Counts of all nodes, twice, and the seconds in between.
pub struct Readings {
    before: Vec<Counts>,
    now: Vec<Counts>,
    seconds: f64,
}

impl Readings {
    /// Reads them.
    pub fn take(client: &mut Client, over: Duration) -> Result<Readings, Failure> {
        let mut read = || client.get("/v1/nodes").map_err(|error| failure(&error));
        let (before, start) = (read()?, Instant::now());
        std::thread::sleep(over);
        Ok(Readings { before, now: read()?, seconds: start.elapsed().as_secs_f64() })
    }

    /// Packets that took an edge of a node, in a second.
    fn rate(&self, node: &str, edge: &str) -> f64 {
        let count = |nodes: &[Counts]| {
            let node = nodes.iter().find(|known| known.name == node);
            node.and_then(|node| node.edges.iter().find(|known| known.name == edge)).map_or(0, |edge| edge.packets)
        };
        count(&self.now).saturating_sub(count(&self.before)) as f64 / self.seconds
    }

    /// Packets that came to a node, in a second.
    fn given(&self, node: &str) -> f64 {
        let count = |nodes: &[Counts]| nodes.iter().find(|known| known.name == node).map_or(0, |node| node.packets);
        count(&self.now).saturating_sub(count(&self.before)) as f64 / self.seconds
    }
}

impl Picture {
    /// Puts rates on edges, and leaves of the drops those that happen.
    pub fn enliven(&mut self, readings: &Readings) {
        for at in 0..self.edges.len() {
            let label = self.label(&self.edges[at]).map(str::to_owned);
            let edge: &mut Edge = &mut self.edges[at];
            let per_second = readings.rate(&edge.from, &edge.name);
            let name = label.map(|label| format!("{label} ")).unwrap_or_default();
            (edge.rate, edge.shown) = (Some(per_second), Some(format!("{name}{}/s", rate(per_second))));
        }
        for node in &mut self.nodes {
            let counted = readings.now.iter().find(|known| known.name == node.name);
            let dropped = counted.into_iter().flat_map(|counted| &counted.edges).filter(|edge| edge.drops);
            let given = readings.given(&node.name);
            let drop = |edge: &Counted| {
                let per_second = readings.rate(&node.name, &edge.name);
                let known = node.drops.iter().find(|known| known.name == edge.name);
                let share = if given > 0.0 { format!(", {:.1} %", 100.0 * per_second / given) } else { String::new() };
                (per_second > 0.0).then(|| Drop {
                    name: edge.name.clone(),
                    class: known.map_or("drop".into(), |known| known.class.clone()),
                    doc: known.map_or(String::new(), |known| known.doc.clone()),
                    rate: Some(per_second),
                    shown: Some(format!("{} {}/s{share}", edge.name, rate(per_second))),
                })
            };
            node.drops = dropped.filter_map(drop).collect();
        }
    }
}
