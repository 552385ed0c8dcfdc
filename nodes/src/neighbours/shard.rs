//! What one worker has of the table: its own copy of all adjacencies, so that the way of a packet reads plain memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use swath_api::EthRewrite;
use swath_api::wire::EtherType;

use super::Neighbours;
use super::entries::{BLOCK, PLACES};

/// A worker's part of the table, brought up to date at the top of each sweep.
pub struct Shard {
    worker: u32,
    version: u64,
    marks: Vec<u64>,
    adjacencies: Vec<EthRewrite>,
    waiting: Arc<Waiting>,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shard({} adjacencies of worker {})", self.adjacencies.len(), self.worker)
    }
}

impl Shard {
    /// The part of a worker, which has seen nothing yet. It has room for all adjacencies, so that the worker never allocates; memory is used
    /// as far as there are any.
    pub(super) fn new(worker: u32) -> Shard {
        Shard {
            worker,
            version: u64::MAX,
            marks: vec![u64::MAX; PLACES / BLOCK],
            adjacencies: Vec::with_capacity(PLACES),
            waiting: Arc::new(Waiting((0..PLACES).map(|_| AtomicU16::new(0)).collect())),
        }
    }

    /// Goes on in the place of the shard of the table before, whose entries are those of this one. If links are the same, so are the
    /// adjacencies; else all of them are made anew in the next sweep.
    pub(super) fn adopt(&mut self, old: &mut Shard, same_links: bool) {
        // Packets that wait are counted there.
        std::mem::swap(&mut self.waiting, &mut old.waiting);
        if same_links {
            std::mem::swap(&mut self.adjacencies, &mut old.adjacencies);
            std::mem::swap(&mut self.marks, &mut old.marks);
            self.version = old.version;
        } else {
            self.marks.fill(u64::MAX);
            self.version = u64::MAX;
        }
    }

    /// All adjacencies, by index. The first is nobody's, and never ready.
    #[inline]
    pub fn adjacencies(&self) -> &[EthRewrite] {
        &self.adjacencies
    }

    /// How many packets the worker holds, by adjacency.
    pub(crate) fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    pub(super) fn worker(&self) -> u32 {
        self.worker
    }

    /// Brings the adjacencies up to date. In the middle of a sweep, too, for whoever has found a neighbour is to see its adjacency.
    #[inline]
    pub fn catch_up(&mut self, table: &Neighbours) {
        if table.entries.version() != self.version {
            self.update(table);
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    #[cold]
    fn update(&mut self, table: &Neighbours) {
        self.version = table.entries.version();
        let high = table.entries.high() as usize;
        for block in 0..high.div_ceil(BLOCK) {
            let mark = table.entries.mark_of(block);
            let known = self.adjacencies.len().min((block + 1) * BLOCK);
            let last = high.min((block + 1) * BLOCK);
            let first = if mark != self.marks[block] { block * BLOCK } else { known };
            self.marks[block] = mark;
            for place in first..last {
                self.refresh(table, place as u32);
            }
        }
    }

    /// Brings one adjacency up to date. While packets wait for it it is not ready: those behind them must not overtake them.
    pub(crate) fn refresh(&mut self, table: &Neighbours, place: u32) {
        let adjacency = table.adjacency_at(place, self.waiting.count(place) == 0);
        if let Some(known) = self.adjacencies.get_mut(place as usize) {
            *known = adjacency;
        } else if self.adjacencies.len() == place as usize && place < PLACES as u32 {
            self.adjacencies.push(adjacency);
        }
    }
}

impl Neighbours {
    fn adjacency_at(&self, place: u32, may_be_ready: bool) -> EthRewrite {
        let nobody = EthRewrite::new([0; 14], u16::MAX, swath_api::NO_INTERFACE, false);
        let Some(entry) = self.entries.get(place).filter(|_| place > 0) else { return nobody };
        let (state, key) = (entry.state(), entry.key());
        let Some(interface) = self.interfaces.get(usize::from(key.interface())).filter(|_| state.is_live()) else { return nobody };
        let mut header = [0; 14];
        header[..6].copy_from_slice(&state.mac().octets());
        header[6..12].copy_from_slice(&interface.mac.octets());
        header[12..].copy_from_slice(&EtherType::IPV4.0.to_be_bytes());
        EthRewrite::new(header, interface.mtu, key.interface(), state.is_ready() && may_be_ready)
    }
}

/// How many packets a worker holds for each neighbour, by place.
#[derive(Debug)]
pub(crate) struct Waiting(Box<[AtomicU16]>);

impl Waiting {
    pub fn count(&self, place: u32) -> u16 {
        self.0.get(place as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// One packet that waits, as long as this lives: wherever the packet goes, even back to the pool, it waits no more.
#[derive(Debug)]
pub(crate) struct Wait {
    waiting: Arc<Waiting>,
    place: u32,
}

impl Wait {
    pub fn new(waiting: &Arc<Waiting>, place: u32) -> Wait {
        if let Some(count) = waiting.0.get(place as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Wait { waiting: Arc::clone(waiting), place }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(count) = self.waiting.0.get(self.place as usize) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
