//! What the control API says, as data: written by the server, read by clients, and described by the OpenAPI document.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use swath_core::plan::Diff;
use swath_core::run::Report;
use swath_core::spec::GraphFiles;
use utoipa::ToSchema;

use super::problem::Diagnostic;
use crate::change::By;

/// The process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Process {
    /// The version of swath.
    pub version: String,
    /// The process's number.
    pub pid: u32,
    /// When it started, in seconds since 1970.
    pub started: f64,
    /// How long ago that was, in seconds.
    pub uptime: f64,
    /// The graph file.
    pub graph: String,
    /// The number of the graph that runs.
    pub revision: u64,
    /// Whether packets should be sent here.
    pub ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// Threads that process packets.
    pub workers: u32,
    /// Nodes, those included that the planner has put in.
    pub nodes: usize,
    /// Interfaces.
    pub interfaces: usize,
    /// Tables.
    pub tables: usize,
}

/// The text that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// The number of the graph that runs.
    pub revision: u64,
    /// The files as they were read, the graph first, then what it includes. Variables of the environment are not replaced.
    pub files: Vec<ConfigFile>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigFile {
    /// Its name, as it was given.
    pub name: String,
    /// What stood in it when it was read.
    pub text: String,
}

/// A graph to be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlanRequest {
    /// Its files.
    pub graph: GraphFiles,
}

/// What a graph would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Planned {
    /// The number of the graph that runs.
    pub revision: u64,
    /// The name of the other one.
    pub graph: String,
    /// Whether nothing changes.
    pub equal: bool,
    /// Whether it cannot be applied, since its section `engine` is another: that needs a restart.
    pub restart: bool,
    /// What becomes of each part.
    pub changes: Diff,
    /// Warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// A graph to go over to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ApplyRequest {
    /// Its files.
    pub graph: GraphFiles,
    /// Seconds within which it is to be confirmed, from 1 to 86400: else the engine goes back to the last one that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<f64>,
}

/// A way back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RollbackRequest {
    /// The revision to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// As in `/v1/apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<f64>,
}

/// What has come of a graph.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Applied {
    /// The number of the graph that runs now.
    pub revision: u64,
    /// What has brought it.
    pub by: By,
    /// How it went; nothing if these files run already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Seconds that are left to confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_within: Option<f64>,
    /// What is not as it should be, but for the graph itself: that it is not kept for the next start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Warnings about the graph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// What there is to say of a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RevisionInfo {
    /// Its number.
    pub number: u64,
    /// When it came, in seconds since 1970.
    pub at: f64,
    /// What has brought it.
    pub by: By,
    /// The name of the graph.
    pub graph: String,
    /// Whether it runs.
    pub running: bool,
    /// Whether `swath run --last-good` starts with it.
    pub good: bool,
    /// Whether it is known after the end of the process.
    pub kept: bool,
}

impl RevisionInfo {
    /// When it came, to the second, by UTC (RFC 3339).
    pub fn time(&self) -> String {
        let at = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(self.at).unwrap_or_default());
        humantime::format_rfc3339_seconds(at.unwrap_or(UNIX_EPOCH)).to_string()
    }
}

/// What changes from one revision to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RevisionChanges {
    /// The revision that is changed.
    pub from: u64,
    /// The one that it is changed to.
    pub to: u64,
    /// Whether nothing changes.
    pub equal: bool,
    /// What becomes of each part.
    pub changes: Diff,
}

/// A graph that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Confirmed {
    /// Its number.
    pub revision: u64,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// By which way of several the driver is attached, such as `zero-copy`; empty if there is one.
    pub mode: String,
    /// Why it is not attached by a better way: what it has not, and the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<String>,
    /// Whether it is to be used.
    pub admin: Admin,
    /// Whether packets can come and go.
    pub link: bool,
    /// How often that has changed.
    pub link_changes: u64,
    /// Its hardware address.
    pub mac: String,
    /// The longest layer 3 packet that it carries, in bytes.
    pub mtu: u16,
    /// Its addresses with the lengths of their subnets' prefixes.
    pub addresses: Vec<String>,
    /// What came.
    pub received: Received,
    /// What went.
    pub sent: Sent,
}

/// Whether an interface is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Admin {
    /// It is.
    Up,
    /// Routes do not lead there, whatever its link says.
    Down,
}

/// What came by an interface since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Received {
    /// Packets, those included that were lost for want of a buffer.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of those packets: lost for want of a buffer.
    pub drops: u64,
    /// Of those packets: longer than a buffer, or with work left that cannot be done.
    pub errors: u64,
    /// Packets beside those: lost before swath could see them, because the device's ring was full.
    pub missed: u64,
}

/// What went by an interface since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Sent {
    /// Packets that the driver has taken.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that it has not taken, because its ring was full or the link down.
    pub drops: u64,
    /// Packets that it has not taken, because the device does not carry packets of their length.
    pub oversize: u64,
    /// Of the packets taken: lost after that.
    pub errors: u64,
}

/// What is to be changed of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InterfaceChange {
    /// Whether it is to be used.
    pub admin: Admin,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What there is to see of it in numbers.
    pub figures: Vec<Figure>,
}

/// A number that a table tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Figure {
    /// Its name, as in the metrics.
    pub name: String,
    /// What it means.
    pub help: String,
    /// Whether it only grows.
    pub total: bool,
    /// What it is of, if a figure of this name is of several things: a label and its value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its value now.
    pub value: u64,
}

/// A node, and what all workers together have counted of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Whether the planner has put it in.
    pub inserted: bool,
    /// Packets that came in.
    pub packets: u64,
    /// Vectors that they came in.
    pub vectors: u64,
    /// TSC cycles spent in it.
    pub cycles: u64,
    /// Packets that it made.
    pub made: u64,
    /// Packets that it has let go of those that it kept.
    pub released: u64,
    /// Packets that it dropped, for whatever reason.
    pub drops: u64,
    /// Its edges and drop reasons.
    pub edges: Vec<Edge>,
}

/// An edge or a drop reason of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Edge {
    /// Its name.
    pub name: String,
    /// The node that it leads to, if it is wired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether packets are lost there.
    pub drops: bool,
    /// Packets that took it.
    pub packets: u64,
}

/// Why packets were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Drops {
    /// The node.
    pub node: String,
    /// Its kind.
    pub kind: String,
    /// The reason, as in the metrics.
    pub reason: String,
    /// How many there were.
    pub packets: u64,
    /// When the last one was dropped: RFC 3339, UTC. It is the time of the round in which its worker had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// What the reason means, and what to do.
    pub meaning: String,
}

/// How the process spends its time and its buffers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Runtime {
    /// The workers.
    pub workers: Vec<Worker>,
    /// Where packets came from and where they have gone.
    pub packets: Packets,
    /// Where the buffers are.
    pub buffers: Buffers,
    /// What does not add up in these two. Only while the engine stands still there is nothing on its way between two counters, so small
    /// differences that come and go are none.
    pub discrepancies: Vec<String>,
}

/// What a worker has counted of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Worker {
    /// Its index.
    pub worker: usize,
    /// The cores that it is bound to; none if the system chooses.
    pub cores: Vec<usize>,
    /// The receive queues that are its own, as `lan queue 0`.
    pub queues: Vec<String>,
    /// Seconds spent with packets.
    pub busy: f64,
    /// Seconds spent looking for packets.
    pub polling: f64,
    /// Seconds blocked: the core was free for others.
    pub asleep: f64,
    /// How often it has looked for packets.
    pub sweeps: u64,
    /// How often it has found none.
    pub empty_sweeps: u64,
    /// How often it has blocked.
    pub sleeps: u64,
    /// Packets that its nodes were given, once for each node.
    pub packets: u64,
    /// Vectors that they were given in.
    pub vectors: u64,
    /// TSC cycles spent in nodes.
    pub cycles: u64,
    /// Packets handed to other workers.
    pub handed: u64,
    /// Slices of questions to tables that it has answered.
    pub slices: u64,
    /// The longest of them, in seconds.
    pub longest_slice: f64,
    /// Graphs that it has gone over to.
    pub swaps: u64,
    /// Seconds of the longest time for which it looked after no packets because of that.
    pub longest_swap: f64,
}

/// Where packets came from and where they have gone: received + made = sent + dropped + consumed + held + in transit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Packets {
    /// Packets that drivers received.
    pub received: u64,
    /// Packets that nodes made.
    pub made: u64,
    /// Packets that drivers have taken to send.
    pub sent: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Packets that ended in a node that they were for.
    pub consumed: u64,
    /// Packets that nodes keep.
    pub held: u64,
    /// Packets between nodes or between workers.
    pub in_transit: u64,
}

/// Where the buffers are: capacity = free + cached + rings + frames + handoff + held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Buffers {
    /// All of them.
    pub capacity: u64,
    /// Free in the pool.
    pub free: u64,
    /// Free in caches of workers.
    pub cached: u64,
    /// In rings of drivers.
    pub rings: u64,
    /// Between nodes.
    pub frames: u64,
    /// In rings between workers.
    pub handoff: u64,
    /// Kept by nodes.
    pub held: u64,
}
