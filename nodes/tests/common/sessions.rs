//! A kind whose packets have owners: `flow-count` keeps, in the shard of a table `flows`, how many packets each flow had.

use std::collections::HashMap;

use swath_api::flow::ethernet_hash;
use swath_api::prelude::*;
use swath_api::{NodeKind, SLICE, TableKind};

use super::kinds::Next;

/// The node.
pub const KINDS: &[NodeKind] = &[NodeKind::of::<FlowCount>()];
/// Its table.
pub const TABLES: &[TableKind] = &[TableKind::sharded::<Flows>()];

/// Counts of flows.
pub struct Flows {
    entries: u64,
}

/// The flows of one worker.
pub struct Shard {
    flows: Vec<(u64, u64)>,
    index: HashMap<u64, usize>,
}

/// Settings of the table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Flows that are there from the start, in each shard: to have many.
    entries: u64,
}

/// What the table says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// How many flows each shard has from the start.
    Size {},
}

/// What the shards say.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// All flows with their counts.
    Dump {},
    /// Forgets the counts of all flows.
    Clear {},
    /// Has a defect.
    Trip {},
}

/// An answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To `size`.
    Size(u64),
    /// To `dump`: flows, packets of all of them, and flows that more than one worker has.
    Flows { count: usize, packets: u64, shared: usize },
    /// To `clear`: how many had a count.
    Cleared(usize),
}

impl Table for Flows {
    const INFO: TableInfo = TableInfo::new("flows", "For tests.");
    type Config = Settings;
    type Shard = Shard;
    type Command = Command;
    type Reply = Reply;

    fn new(config: Settings, _: &mut TableSetup<'_>) -> Result<Flows, ConfigError> {
        Ok(Flows { entries: config.entries })
    }

    fn shard(&self, worker: u32) -> Shard {
        // Keys that no hash is likely to be.
        let flows: Vec<(u64, u64)> = (0..self.entries).map(|entry| (u64::from(worker) << 32 | entry, 0)).collect();
        Shard { flows, index: HashMap::new() }
    }

    fn command(&self, _: Command) -> Result<Reply, ConfigError> {
        Ok(Reply::Size(self.entries))
    }
}

impl Sharded for Flows {
    type Question = Question;
    type Row = (u64, u64);

    fn visit(&self, shard: &mut Shard, question: &Question, at: u64, rows: &mut Rows<(u64, u64)>) -> Option<u64> {
        let from = at as usize;
        let to = shard.flows.len().min(from + SLICE);
        for entry in &mut shard.flows[from..to] {
            match question {
                Question::Dump {} => rows.push(*entry),
                Question::Clear {} if entry.1 > 0 => {
                    rows.push(*entry);
                    entry.1 = 0;
                }
                Question::Clear {} => {}
                Question::Trip {} => panic!("a defect"),
            }
        }
        (to < shard.flows.len()).then_some(to as u64)
    }

    fn answer(&self, question: Question, rows: Vec<Vec<(u64, u64)>>) -> Result<Reply, ConfigError> {
        if let Question::Clear {} = question {
            return Ok(Reply::Cleared(rows.iter().map(Vec::len).sum()));
        }
        let all: Vec<(u64, u64)> = rows.concat();
        let mut keys: Vec<u64> = all.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        let shared = keys.windows(2).filter(|pair| pair[0] == pair[1]).count();
        Ok(Reply::Flows { count: all.len(), packets: all.iter().map(|(_, count)| count).sum(), shared })
    }
}

/// Counts packets by flow.
pub struct FlowCount {
    table: Handle<Flows>,
    workers: u32,
}

impl Node for FlowCount {
    const INFO: Info = Info::new("flow-count", "For tests.").owned();
    type Config = NoConfig;
    type Next = Next;

    fn new(_: NoConfig, setup: &mut Setup<'_>) -> Result<FlowCount, ConfigError> {
        Ok(FlowCount { table: setup.table("table", None)?, workers: setup.workers() })
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, cx: &mut Context<'_>) {
        let shard = cx.shard(self.table);
        frame.for_each(|packet| {
            let key = ethernet_hash(packet.data(), 0).unwrap_or(0);
            let at = *shard.index.entry(key).or_insert_with(|| {
                shard.flows.push((key, 0));
                shard.flows.len() - 1
            });
            shard.flows[at].1 += 1;
            Next::Out
        });
    }

    fn owner(&self, frame: &mut Frame<'_, Owner>, _: &Context<'_>) {
        // What has no flow counts as one, and has one owner.
        frame.for_each(|packet| Owner::of((ethernet_hash(packet.data(), 0).unwrap_or(0) >> 32) as u32, self.workers));
    }
}
