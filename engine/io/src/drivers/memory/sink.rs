//! The transmit queue: counts what is sent, looks at its stamps, and frees it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use swath_api::{Pool, Vector};
use swath_core::driver::{Io, TxQueue};

use super::settings::{CheckKind, SinkSettings};
use super::stamp::{Check, Report};

/// What all transmit queues of an interface have seen.
#[derive(Debug)]
pub(super) struct Sink {
    packets: AtomicU64,
    bytes: AtomicU64,
    // A flow can be sent by several workers, so one check for all of them.
    check: Option<Mutex<Check>>,
    capacity: usize,
}

/// What the sink says at the end.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    packets: u64,
    bytes: u64,
    #[serde(flatten)]
    stamps: Option<Report>,
}

impl Sink {
    pub fn new(settings: &SinkSettings) -> Arc<Sink> {
        Arc::new(Sink {
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            check: (settings.check == CheckKind::Stamps).then(Mutex::default),
            capacity: settings.capacity.map_or(usize::MAX, |capacity| capacity as usize),
        })
    }

    pub fn seen(&self) -> Seen {
        Seen {
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            stamps: self.check.as_ref().map(|check| check.lock().unwrap_or_else(PoisonError::into_inner).report()),
        }
    }
}

/// A transmit queue.
#[derive(Debug)]
pub(super) struct SinkQueue {
    sink: Arc<Sink>,
    // What did not fit.
    rest: Vector,
}

impl SinkQueue {
    pub fn new(sink: &Arc<Sink>, pool: &Arc<Pool>) -> SinkQueue {
        SinkQueue { sink: Arc::clone(sink), rest: Vector::new(pool) }
    }
}

impl TxQueue for SinkQueue {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let sink = &*self.sink;
        packets.split_off(sink.capacity, &mut self.rest);
        let bytes = packets.descs().iter().map(|desc| u64::from(desc.length())).sum();
        sink.packets.fetch_add(packets.len() as u64, Ordering::Relaxed);
        sink.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(check) = &sink.check {
            let mut check = check.lock().unwrap_or_else(PoisonError::into_inner);
            (0..packets.len()).filter_map(|index| packets.bytes(index)).for_each(|frame| check.see(frame));
        }
        io.cache.free(packets);
        packets.append(&mut self.rest);
    }
}
