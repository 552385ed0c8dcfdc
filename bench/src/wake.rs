//! How long a packet waits for a worker that sleeps, and what a worker costs that has nothing to do.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use swath_api::wire::MacAddr;
use swath_api::{ConfigError, Lane, Vector};
use swath_core::driver::{DriverKind, Io, Port, PortConfig, Received, RxQueue, TxQueue};

use crate::rig::build;
use crate::workers::worker_seconds;

/// Packets of one measurement, and the time between them.
const PACKETS: usize = 500;
const EVERY: Duration = Duration::from_millis(10);

/// When packets were handed to the kernel, and when they came to the end of the graph: nanoseconds from the first look at the clock.
static CLOCK: OnceLock<Instant> = OnceLock::new();
static WAITED: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// The sender's end of the interface that was opened last.
static SENDER: Mutex<Option<UnixDatagram>> = Mutex::new(None);

fn now() -> u64 {
    CLOCK.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Measures and prints.
///
/// # Errors
/// A thread cannot be had, or packets are lost.
pub fn report() -> Result<(), String> {
    println!("| idle | packets/s | median wait | 99 % | longest | CPU share |\n|---|---|---|---|---|---|");
    ["adaptive", "busy"].into_iter().try_for_each(measure)
}

fn measure(idle: &str) -> Result<(), String> {
    let graph = format!(
        "version: 1
engine: {{ idle: {idle}, buffers: 1024 }}
interfaces: {{ wire: {{ driver: bench-wire }} }}
nodes:
  rx: {{ kind: rx, interface: wire, to: tx }}
  tx: {{ kind: tx, interface: wire }}
"
    );
    let mut engine = build("wake", graph, DRIVERS, false);
    let sender = SENDER.lock().expect("nobody else").take().expect("the interface is open");
    engine.start().map_err(|error| error.to_string())?;
    sleep(Duration::from_millis(200));
    let share = |during: &mut dyn FnMut()| {
        let (start, cpu) = (Instant::now(), worker_seconds());
        during();
        (worker_seconds() - cpu) / start.elapsed().as_secs_f64()
    };
    let quiet = share(&mut || sleep(Duration::from_secs(2)));
    println!("| {idle} | 0 | | | | {:.2} % |", quiet * 100.0);
    let used = share(&mut || {
        for _ in 0..PACKETS {
            let mut frame = [0; 60];
            frame[..8].copy_from_slice(&now().to_ne_bytes());
            sender.send(&frame).expect("there is room");
            sleep(EVERY);
        }
    });
    engine.stop();
    let mut waited = std::mem::take(&mut *WAITED.lock().expect("nobody else"));
    if waited.len() != PACKETS {
        return Err(format!("{} of {PACKETS} packets came", waited.len()));
    }
    waited.sort_unstable();
    let micros = |at: usize| format!("{:.0} µs", waited[at] as f64 / 1e3);
    let (median, late, last) = (micros(PACKETS / 2), micros(PACKETS * 99 / 100), micros(PACKETS - 1));
    println!("| {idle} | {} | {median} | {late} | {last} | {:.2} % |", 1000 / EVERY.as_millis(), used * 100.0);
    Ok(())
}

const DRIVERS: &[DriverKind] = &[DriverKind {
    name: "bench-wire",
    summary: "Packets through the kernel, from a sender of this process.",
    schema: || "{}".into(),
    example: "",
    paths: &[],
    check: |_| Ok(()),
    open,
}];

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let refused = |error: std::io::Error| ConfigError::new(error.to_string());
    let (sender, receiver) = UnixDatagram::pair().map_err(refused)?;
    receiver.set_nonblocking(true).map_err(refused)?;
    *SENDER.lock().expect("nobody else") = Some(sender);
    Ok(Box::new(Wire { mac: config.default_mac(), queue: Some(Queue { index: config.index, receiver }) }))
}

struct Wire {
    mac: MacAddr,
    queue: Option<Queue>,
}

impl Port for Wire {
    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        1500
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        self.queue.take().into_iter().map(|queue| Box::new(queue) as Box<dyn RxQueue>).collect()
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        vec![Box::new(End)]
    }
}

struct Queue {
    index: u16,
    receiver: UnixDatagram,
}

impl RxQueue for Queue {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let (mut received, mut frame) = (Received::default(), [0; 64]);
        while (received.packets as usize) < max {
            let Ok(len) = self.receiver.recv(&mut frame) else { break };
            let Some(mut buffer) = io.cache.take() else {
                received.no_buffer += 1;
                break;
            };
            buffer.fill(&frame[..len]);
            buffer.push(packets, Lane::received(self.index));
            received.packets += 1;
        }
        received
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        Some(self.receiver.as_fd())
    }
}

struct End;

impl TxQueue for End {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let now = now();
        let stamp = |bytes: &[u8]| bytes.first_chunk().map(|stamp| u64::from_ne_bytes(*stamp));
        let waited = (0..packets.len()).filter_map(|at| packets.bytes(at).and_then(stamp)).map(|sent| now - sent);
        WAITED.lock().expect("nobody else").extend(waited);
        io.cache.free(packets);
    }
}
