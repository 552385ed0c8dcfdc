//! The driver `test`: a source that yields what the test feeds, and a sink that keeps what it gets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde::Deserialize;
use swath_api::wire::MacAddr;
use swath_api::{ConfigError, Copied, Lane, Offload, VECTOR, Vector};
use swath_core::driver::{DriverKind, Due, Io, Offloaded, Port, PortConfig, Received, RxQueue, TxQueue};

use super::sieve::Sieve;

/// `driver: test`, with the settings of [`Settings`].
pub const DRIVER: DriverKind = DriverKind {
    name: "test",
    summary: "What a test feeds and reads.",
    schema: || "{}".into(),
    example: "",
    paths: &[],
    check: |_| Ok(()),
    open,
};

/// How an interface behaves.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// The most frames of one receive call.
    batch: usize,
    /// Nanoseconds between batches.
    every: u64,
    /// The most frames that one transmit call takes.
    capacity: usize,
    /// Whether the sink's ring keeps what it takes, until it is told to let go.
    ring: bool,
    /// Whether the sink keeps copies.
    keep: bool,
    /// Whether it drops packets in the place of a node that asks for it, before they wait to be received.
    sieve: bool,
    /// Whether it has a defect, and panics when it is to attach the interface.
    broken: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { batch: VECTOR, every: 0, capacity: usize::MAX, ring: false, keep: true, sieve: false, broken: false }
    }
}

/// A frame that left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The worker that sent it.
    pub worker: usize,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// The other end of an interface.
#[derive(Debug)]
pub struct Wire {
    /// The interface's name.
    pub name: String,
    settings: Settings,
    inputs: Vec<Mutex<VecDeque<Vec<u8>>>>,
    sent: Mutex<Vec<Sent>>,
    arrived: AtomicU64,
    lost: AtomicU64,
    left: AtomicU64,
    ring: AtomicU64,
    ring_keeps: AtomicBool,
    // What it drops by, and what it has dropped of each queue and has not told yet.
    sieve: OnceLock<Arc<Sieve>>,
    sieved: Vec<Mutex<Offloaded>>,
}

impl Wire {
    /// Lets frames arrive at one of the interface's queues, of which there is one for each worker.
    pub fn feed(&self, queue: usize, frames: impl IntoIterator<Item = Vec<u8>>) {
        for frame in frames {
            let Some(role) = self.sieve.get().and_then(|sieve| sieve.role_of(&frame)) else {
                lock(&self.inputs[queue]).push_back(frame);
                continue;
            };
            let mut sieved = lock(&self.sieved[queue]);
            sieved.packets[role] += 1;
            sieved.bytes += frame.len() as u64;
            self.arrived.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Frames that wait to be received.
    pub fn waiting(&self) -> usize {
        self.inputs.iter().map(|input| lock(input).len()).sum()
    }

    /// Frames that were fetched, those included for which there was no buffer.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::SeqCst)
    }

    /// Frames for which there was no buffer.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }

    /// Frames that the sink took.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::SeqCst)
    }

    /// Frames in the sink's ring.
    pub fn in_ring(&self) -> u64 {
        self.ring.load(Ordering::SeqCst)
    }

    /// Lets the ring run empty at the end of each sweep from now on.
    pub fn drain_ring(&self) {
        self.ring_keeps.store(false, Ordering::SeqCst);
    }

    /// The frames that left since this was asked last, in order.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut lock(&self.sent))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with a wire locked")
}

thread_local! {
    // A driver is opened by name and knows no test; a graph is built on the thread of its test.
    static OPENED: RefCell<Vec<Arc<Wire>>> = const { RefCell::new(Vec::new()) };
}

/// The wires that were opened on this thread since this was asked last.
pub fn opened() -> Vec<Arc<Wire>> {
    OPENED.take()
}

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let settings: Settings = serde_json::from_slice(config.settings).map_err(|error| ConfigError::new(error.to_string()))?;
    assert!(!settings.broken, "no such thing");
    let wire = Arc::new(Wire {
        name: config.name.into(),
        ring_keeps: AtomicBool::new(settings.ring),
        settings,
        inputs: (0..config.workers).map(|_| Mutex::default()).collect(),
        sent: Mutex::default(),
        arrived: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        left: AtomicU64::new(0),
        ring: AtomicU64::new(0),
        sieve: OnceLock::new(),
        sieved: (0..config.workers).map(|_| Mutex::default()).collect(),
    });
    OPENED.with_borrow_mut(|opened| opened.push(Arc::clone(&wire)));
    let (mac, mtu) = (config.mac.unwrap_or_else(|| config.default_mac()), config.mtu.unwrap_or(1500));
    let rings = (0..config.workers).map(|_| Vector::new(config.pool)).collect();
    let rest = (0..config.workers).map(|_| Vector::new(config.pool)).collect();
    Ok(Box::new(TestPort { wire, index: config.index, mac, mtu, rings, rest }))
}

struct TestPort {
    wire: Arc<Wire>,
    index: u16,
    mac: MacAddr,
    mtu: u16,
    rings: Vec<Vector>,
    rest: Vec<Vector>,
}

impl Port for TestPort {
    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        let queue =
            |queue| Box::new(Source { wire: Arc::clone(&self.wire), queue, index: self.index, next: 0 }) as Box<dyn RxQueue>;
        (0..self.wire.inputs.len()).map(queue).collect()
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        let parts = self.rings.drain(..).zip(self.rest.drain(..)).enumerate();
        let sink = |(worker, (ring, rest))| Box::new(Sink { wire: Arc::clone(&self.wire), worker, ring, rest }) as Box<dyn TxQueue>;
        parts.map(sink).collect()
    }

    fn accept(&mut self, offload: &Offload) -> Result<Copied, String> {
        if !self.wire.settings.sieve {
            return Err("it has no sieve".into());
        }
        assert!(!self.rings.is_empty(), "it is asked before its queues are taken out");
        let sieve = Arc::new(Sieve::new(offload));
        assert!(self.wire.sieve.set(Arc::clone(&sieve)).is_ok(), "it is asked once");
        Ok(Copied::Addresses(sieve))
    }
}

struct Source {
    wire: Arc<Wire>,
    queue: usize,
    index: u16,
    next: u64,
}

impl RxQueue for Source {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let mut received = Received::default();
        let mut input = lock(&self.wire.inputs[self.queue]);
        if input.is_empty() || io.now < self.next {
            return received;
        }
        self.next = io.now + self.wire.settings.every;
        for frame in (0..self.wire.settings.batch.min(max)).map_while(|_| input.pop_front()) {
            let Some(mut buffer) = io.cache.take() else {
                received.no_buffer += 1;
                continue;
            };
            assert!(buffer.fill(&frame), "a frame of {} bytes", frame.len());
            assert!(buffer.push(packets, Lane::received(self.index)));
            received.packets += 1;
        }
        self.wire.arrived.fetch_add(u64::from(received.packets + received.no_buffer), Ordering::SeqCst);
        self.wire.lost.fetch_add(u64::from(received.no_buffer), Ordering::SeqCst);
        received
    }

    fn offloaded(&mut self) -> Offloaded {
        std::mem::take(&mut lock(&self.wire.sieved[self.queue]))
    }

    fn due(&self) -> Due {
        if lock(&self.wire.inputs[self.queue]).is_empty() { Due::Ended } else { Due::At(self.next) }
    }
}

struct Sink {
    wire: Arc<Wire>,
    worker: usize,
    ring: Vector,
    rest: Vector,
}

impl TxQueue for Sink {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let Wire { settings, sent, left, ring_keeps, .. } = &*self.wire;
        let ring_keeps = ring_keeps.load(Ordering::SeqCst);
        let room = if ring_keeps { self.ring.room() } else { usize::MAX };
        packets.split_off(settings.capacity.min(room), &mut self.rest);
        left.fetch_add(packets.len() as u64, Ordering::SeqCst);
        if settings.keep {
            let frames = (0..packets.len()).filter_map(|at| packets.bytes(at));
            lock(sent).extend(frames.map(|bytes| Sent { worker: self.worker, bytes: bytes.to_vec() }));
        }
        if ring_keeps {
            self.wire.ring.fetch_add(packets.len() as u64, Ordering::SeqCst);
            self.ring.append(packets);
        } else {
            io.cache.free(packets);
        }
        packets.append(&mut self.rest);
    }

    fn flush(&mut self, io: &mut Io<'_>) {
        if !self.wire.ring_keeps.load(Ordering::SeqCst) {
            self.wire.ring.fetch_sub(self.ring.len() as u64, Ordering::SeqCst);
            io.cache.free(&mut self.ring);
        }
    }

    fn in_ring(&self) -> isize {
        self.ring.len() as isize
    }
}
