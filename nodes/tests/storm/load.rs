//! What is offered, and what comes out: packets that say their flow and their number in it, by rings into which a generator puts them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use swath_api::sync::{Receiver, Sender};
use swath_api::wire::MacAddr;
use swath_api::{Lane, Vector};
use swath_core::driver::{DriverKind, Due, Io, Port, Received, RxQueue, TxQueue};

use crate::common::frames::{ethernet, header, mac, packet};

pub const FLOWS: u32 = 512;

pub const NEVER: DriverKind = DriverKind {
    name: "storm",
    summary: "Attached by the test.",
    schema: || "{}".into(),
    example: "",
    paths: &[],
    check: |_| Ok(()),
    open: |_| Err(swath_api::ConfigError::new("the test attaches it")),
};

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Receive rings are never empty: as many packets as workers can process.
    Full,
    /// So many packets a second, of all flows, whether the engine takes them or not.
    Rate(u64),
}

impl Load {
    /// Packets that a receive ring takes. By the clock: those of seconds, since other programs may want the cores.
    pub fn ring(self) -> usize {
        match self {
            Load::Full => 4096,
            Load::Rate(_) => 1 << 22,
        }
    }
}

/// A packet in a ring: its flow and its number.
pub type Ticket = (u32, u64);

/// What the sink has seen.
#[derive(Default)]
pub struct Seen {
    /// By flow, the number of the packet that comes next.
    pub next: Vec<u64>,
    pub missing: u64,
    pub late: u64,
    pub packets: u64,
}

/// What generator, queues and sink share.
pub struct Shared {
    frames: Vec<Vec<u8>>,
    seen: Mutex<Seen>,
    received: AtomicU64,
    // Has a receive queue lose a packet.
    lose: AtomicBool,
}

impl Shared {
    pub fn new() -> Arc<Shared> {
        let seen = Mutex::new(Seen { next: vec![0; FLOWS as usize], ..Seen::default() });
        Arc::new(Shared {
            frames: (0..FLOWS).map(frame).collect(),
            seen,
            received: AtomicU64::new(0),
            lose: AtomicBool::new(false),
        })
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packets that workers have received.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Has the next packet vanish that a worker receives.
    pub fn lose_one(&self) {
        self.lose.store(true, Ordering::Relaxed);
    }
}

/// The frame of a flow; its last 12 bytes are the flow and the number.
fn frame(flow: u32) -> Vec<u8> {
    let mut ip = header([10, 1, 2, 3], 64, 20);
    ip.source = [192, 168, (flow >> 8) as u8, flow as u8];
    let mut bytes = packet(ip, &[]);
    bytes.truncate(20);
    bytes.extend([&[0x20, 0, 0, 9, 0, 20, 0, 0][..], &flow.to_be_bytes(), &[0; 8]].concat());
    ethernet(mac(1), 0x0800, &bytes)
}

struct Source {
    packets: Receiver<Ticket>,
    shared: Arc<Shared>,
}

impl RxQueue for Source {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let mut received = Received::default();
        let Source { packets: ring, shared } = self;
        ring.pop_all(max, |(flow, number)| {
            if shared.lose.load(Ordering::Relaxed) && shared.lose.swap(false, Ordering::Relaxed) {
                return;
            }
            let Some(mut buffer) = io.cache.take() else {
                received.no_buffer += 1;
                return;
            };
            let frame = &shared.frames[flow as usize];
            let (length, data) = (frame.len(), buffer.data());
            data[..length].copy_from_slice(frame);
            data[length - 8..length].copy_from_slice(&number.to_be_bytes());
            buffer.set_len(length);
            buffer.push(packets, Lane::received(0));
            received.packets += 1;
        });
        shared.received.fetch_add(u64::from(received.packets), Ordering::Relaxed);
        received
    }

    fn due(&self) -> Due {
        Due::Unknown
    }
}

struct Sink(Arc<Shared>);

impl TxQueue for Sink {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let seen = &mut *self.0.seen();
        for frame in (0..packets.len()).filter_map(|index| packets.bytes(index)) {
            let flow = u32::from_be_bytes(frame[frame.len() - 12..frame.len() - 8].try_into().expect("four bytes"));
            let number = u64::from_be_bytes(*frame.last_chunk().expect("eight bytes"));
            let next = &mut seen.next[flow as usize];
            if number < *next {
                seen.late += 1;
            } else {
                seen.missing += number - *next;
                *next = number + 1;
            }
            seen.packets += 1;
        }
        io.cache.free(packets);
    }
}

/// An interface of the test.
pub struct StormPort(Vec<Box<dyn RxQueue>>, Vec<Box<dyn TxQueue>>);

impl StormPort {
    /// With a receive queue for each ring, and a sink for each worker.
    pub fn new(rings: Vec<Receiver<Ticket>>, workers: usize, shared: &Arc<Shared>) -> StormPort {
        let source = |packets| Box::new(Source { packets, shared: Arc::clone(shared) }) as Box<dyn RxQueue>;
        let sinks = (0..workers).map(|_| Box::new(Sink(Arc::clone(shared))) as Box<dyn TxQueue>);
        StormPort(rings.into_iter().map(source).collect(), sinks.collect())
    }
}

impl Port for StormPort {
    fn mac(&self) -> MacAddr {
        MacAddr::from(mac(1))
    }

    fn mtu(&self) -> u16 {
        1500
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        std::mem::take(&mut self.0)
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        std::mem::take(&mut self.1)
    }
}

/// What a generator has offered.
pub struct Offered {
    /// By flow how many packets.
    pub next: Vec<u64>,
    /// And how many of them found no room in a receive ring.
    pub overflows: u64,
}

/// Offers packets until it is told to stop, and waits for no worker.
pub fn generate(mut rings: Vec<Sender<Ticket>>, load: Load, stop: &AtomicBool) -> Offered {
    let mut offered = Offered { next: vec![0; FLOWS as usize], overflows: 0 };
    let (start, mut sent) = (Instant::now(), 0u64);
    while !stop.load(Ordering::Relaxed) {
        match load {
            Load::Full => (0..rings.len()).for_each(|at| fill(&mut rings, at, &mut offered)),
            Load::Rate(rate) => {
                let due = (start.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
                (sent..due).for_each(|number| push(&mut rings, number, &mut offered));
                sent = due;
            }
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    offered
}

fn push(rings: &mut [Sender<Ticket>], number: u64, offered: &mut Offered) {
    let flow = (number % u64::from(FLOWS)) as usize;
    let ring = flow % rings.len();
    offered.overflows += u64::from(rings[ring].push((flow as u32, offered.next[flow])).is_err());
    offered.next[flow] += 1;
}

/// Each flow of this ring in turn, until there is no room.
fn fill(rings: &mut [Sender<Ticket>], at: usize, offered: &mut Offered) {
    for flow in (at..FLOWS as usize).step_by(rings.len()).cycle() {
        if rings[at].push((flow as u32, offered.next[flow])).is_err() {
            return;
        }
        offered.next[flow] += 1;
    }
}
