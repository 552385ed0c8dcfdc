//! The receive queue: each reads the capture for itself and takes the packets of its own flows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use swath_api::{Lane, Pool, Vector};
use swath_core::driver::{Due, Io, Received, RxQueue};

use crate::capture::{LinkType, ReadError, Reader};
use crate::flow_hash::{flow_hash, queue_of};

/// A capture that was looked through.
#[derive(Debug)]
pub(super) struct Input {
    path: PathBuf,
    /// The timestamp of its first packet.
    pub first: Option<u64>,
    // What one round is later than the one before.
    period: u64,
    // It ends within a packet: how the reader says it.
    cut_off: Option<String>,
}

impl Input {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a capture once, so that what is wrong with it is known before the first packet.
    pub fn scan(path: PathBuf) -> Result<Input, String> {
        let mut reader = Reader::open(&path).map_err(|error| error.to_string())?;
        let (mut packets, mut first, mut last, mut cut_off) = (0u64, None, 0, None);
        loop {
            match reader.next_record() {
                Ok(Some(record)) if record.link_type != LinkType::ETHERNET => {
                    return Err(format!("{}: packet {}: {} instead of Ethernet", path.display(), packets + 1, record.link_type));
                }
                Ok(Some(record)) => {
                    packets += 1;
                    first.get_or_insert(record.timestamp_ns);
                    last = record.timestamp_ns.max(last);
                }
                Ok(None) => break,
                Err(error) if error.is_truncated() => cut_off = Some(error.to_string()),
                Err(error) => return Err(error.to_string()),
            }
        }
        let span = last - first.unwrap_or(last);
        let mean = span / packets.saturating_sub(1).max(1);
        // At least a nanosecond, so that time moves on.
        Ok(Input { path, first, period: (span + mean).max(1), cut_off })
    }
}

/// What all receive queues of an interface have read.
#[derive(Debug, Default)]
pub(super) struct ReadTotals {
    packets: AtomicU64,
    truncated: AtomicU64,
    oversize: AtomicU64,
    error: Mutex<Option<String>>,
}

impl ReadTotals {
    /// What the driver reports of them.
    ///
    /// # Errors
    /// Why the capture could not be read to its end.
    pub fn report(&self, input: &Input) -> Result<serde_json::Value, String> {
        if let Some(error) = &*self.error.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.clone());
        }
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut report = serde_json::json!({
            "packets": load(&self.packets), "truncated": load(&self.truncated), "oversize": load(&self.oversize),
        });
        if let Some(error) = &input.cut_off {
            report["cut-off"] = error.as_str().into();
        }
        Ok(report)
    }
}

/// How the queues of an interface read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay {
    /// The index of the interface.
    pub interface: u16,
    /// How many queues there are.
    pub queues: usize,
    /// How often the capture is read.
    pub rounds: u64,
    /// The timestamp that is time 0; without it all packets come at once.
    pub base: Option<u64>,
    /// Whether time 0 is when the engine's clock says so, and not when the queue is first asked.
    pub virtual_time: bool,
}

/// A receive queue.
pub(super) struct ReadQueue {
    replay: Replay,
    queue: usize,
    input: Arc<Input>,
    totals: Arc<ReadTotals>,
    // None at the end.
    reader: Option<Reader<File>>,
    round: u64,
    // The latest timestamp so far: a packet that lies before it comes with it.
    latest: u64,
    // Whether this round had a packet of ours.
    found: bool,
    // The next packet, and when it is due from the start on.
    frame: Vec<u8>,
    is_truncated: bool,
    due: u64,
    start: Option<u64>,
    room: usize,
}

impl ReadQueue {
    /// Opens the capture for a queue.
    pub fn open(
        queue: usize,
        replay: Replay,
        input: &Arc<Input>,
        totals: &Arc<ReadTotals>,
        pool: &Pool,
    ) -> Result<ReadQueue, ReadError> {
        let mut made = ReadQueue {
            replay,
            queue,
            input: Arc::clone(input),
            totals: Arc::clone(totals),
            reader: Some(Reader::open(&input.path)?),
            round: 0,
            latest: 0,
            found: false,
            frame: Vec::new(),
            is_truncated: false,
            due: 0,
            start: replay.virtual_time.then_some(0),
            room: pool.region().geometry().data(),
        };
        made.advance();
        Ok(made)
    }

    /// Goes to the next packet of our own.
    fn advance(&mut self) {
        while let Some(reader) = &mut self.reader {
            match reader.next_record() {
                Ok(Some(record)) => {
                    self.latest = self.latest.max(record.timestamp_ns);
                    if self.replay.queues > 1 && queue_of(flow_hash(record.data), self.replay.queues) != self.queue {
                        continue;
                    }
                    if record.data.len() > self.room {
                        self.totals.oversize.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    self.is_truncated = (record.data.len() as u64) < u64::from(record.original_len);
                    self.frame.clear();
                    self.frame.extend_from_slice(record.data);
                    self.found = true;
                    self.due = self.replay.base.map_or(0, |base| {
                        let at = self.round.saturating_mul(self.input.period).saturating_add(self.latest);
                        at.saturating_sub(base)
                    });
                    return;
                }
                Ok(None) => self.next_round(),
                Err(error) if error.is_truncated() => self.next_round(),
                Err(error) => self.fail(&error),
            }
        }
    }

    fn next_round(&mut self) {
        self.round += 1;
        self.latest = 0;
        // Without a packet of ours the next round has none either.
        let again = self.found && self.round < self.replay.rounds;
        self.found = false;
        self.reader = None;
        if again {
            match Reader::open(&self.input.path) {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => self.fail(&error),
            }
        }
    }

    fn fail(&mut self, error: &ReadError) {
        self.reader = None;
        self.totals.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
    }
}

impl RxQueue for ReadQueue {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let start = *self.start.get_or_insert(io.now);
        let elapsed = io.now.saturating_sub(start);
        let most = max.min(packets.room()) as u32;
        let (mut received, mut truncated) = (Received::default(), 0);
        while self.reader.is_some() && self.due <= elapsed && received.packets + received.no_buffer < most {
            match io.cache.take() {
                Some(mut buffer) => {
                    buffer.fill(&self.frame);
                    buffer.push(packets, Lane::received(self.replay.interface));
                    received.packets += 1;
                }
                None => received.no_buffer += 1,
            }
            truncated += u64::from(self.is_truncated);
            self.advance();
        }
        if received != Received::default() {
            self.totals.packets.fetch_add(u64::from(received.packets + received.no_buffer), Ordering::Relaxed);
            self.totals.truncated.fetch_add(truncated, Ordering::Relaxed);
        }
        received
    }

    fn due(&self) -> Due {
        match self.reader {
            Some(_) => Due::At(self.start.unwrap_or(0).saturating_add(self.due)),
            None => Due::Ended,
        }
    }
}
