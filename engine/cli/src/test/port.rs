//! Interfaces in memory: a test feeds them, and reads what they have sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swath_api::wire::MacAddr;
use swath_api::{Lane, Vector};
use swath_core::driver::{Due, Io, Opener, Port, PortConfig, Received, RxQueue, TxQueue};
use swath_io::{flow_hash, queue_of};

/// The MTU of Ethernet (RFC 894).
const MTU: u16 = 1500;

/// Frames, and when they come.
type Queue = VecDeque<(u64, Vec<u8>)>;

/// The other end of an interface.
#[derive(Debug)]
pub struct Wire {
    /// One for each worker.
    queues: Vec<Mutex<Queue>>,
    sent: Mutex<Vec<Sent>>,
}

/// A frame that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When, in nanoseconds from the start of the test on.
    pub at: u64,
    /// The frame.
    pub frame: Vec<u8>,
}

impl Wire {
    /// The other end of an interface of a graph with so many workers.
    pub fn new(workers: u16) -> Arc<Wire> {
        Arc::new(Wire { queues: (0..workers).map(|_| Mutex::default()).collect(), sent: Mutex::default() })
    }

    /// What attaches an interface to it.
    pub fn opener(self: &Arc<Wire>) -> Opener {
        let wire = Arc::clone(self);
        Opener::new(move |config| Ok(Box::new(MemoryPort::new(wire, config))))
    }

    /// Lets a frame come at a time, on the queue of its flow.
    pub fn feed(&self, at: u64, frame: Vec<u8>) {
        let queue = queue_of(flow_hash(&frame), self.queues.len());
        if let Some(queue) = self.queues.get(queue) {
            lock(queue).push_back((at, frame));
        }
    }

    /// Takes back the frames that nobody has received, and says how many there were.
    pub fn take_waiting(&self) -> usize {
        self.queues.iter().map(|queue| std::mem::take(&mut *lock(queue)).len()).sum()
    }

    /// The frames that were sent since this was asked last.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut lock(&self.sent))
    }
}

/// What a mutex guards is whole between any two of its uses here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct MemoryPort {
    mac: MacAddr,
    mtu: u16,
    interface: u16,
    wire: Arc<Wire>,
}

impl MemoryPort {
    fn new(wire: Arc<Wire>, config: &PortConfig<'_>) -> MemoryPort {
        let mac = config.mac.unwrap_or_else(|| config.default_mac());
        MemoryPort { mac, mtu: config.mtu.unwrap_or(MTU), interface: config.index, wire }
    }
}

impl Port for MemoryPort {
    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        let queue = |queue| Receive { wire: Arc::clone(&self.wire), queue, interface: self.interface };
        (0..self.wire.queues.len()).map(|number| Box::new(queue(number)) as Box<dyn RxQueue>).collect()
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        self.wire.queues.iter().map(|_| Box::new(Transmit(Arc::clone(&self.wire))) as Box<dyn TxQueue>).collect()
    }
}

struct Receive {
    wire: Arc<Wire>,
    queue: usize,
    interface: u16,
}

impl RxQueue for Receive {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let mut queue = lock(&self.wire.queues[self.queue]);
        let most = max.min(packets.room()) as u32;
        let mut received = Received::default();
        while received.packets + received.no_buffer < most {
            let Some((_, frame)) = queue.pop_front_if(|(at, _)| *at <= io.now) else { break };
            match io.cache.take() {
                Some(mut buffer) => {
                    // Frames that do not fit are refused before the test.
                    buffer.fill(&frame);
                    buffer.push(packets, Lane::received(self.interface));
                    received.packets += 1;
                }
                None => received.no_buffer += 1,
            }
        }
        received
    }

    fn due(&self) -> Due {
        lock(&self.wire.queues[self.queue]).front().map_or(Due::Ended, |(at, _)| Due::At(*at))
    }
}

struct Transmit(Arc<Wire>);

impl TxQueue for Transmit {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let frames = (0..packets.len()).filter_map(|index| packets.bytes(index));
        lock(&self.0.sent).extend(frames.map(|frame| Sent { at: io.now, frame: frame.to_vec() }));
        io.cache.free(packets);
    }
}
