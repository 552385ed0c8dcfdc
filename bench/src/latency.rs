//! How long a packet is in the engine: from when it comes in to when it is handed over to be sent, below, near and at what a worker can do.
//!
//! Arrivals are a Poisson process that knows nothing of the engine: a schedule, drawn before from a seed, which a thread on another core
//! publishes packet by packet, as a network card does. A packet has *waited* from the time in its schedule on, whoever was late, so nothing is
//! left out where the engine, or the machine, stood still. How long it was *inside*, from the call of the driver that handed it over, stands
//! beside it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::{sched_getaffinity, sched_setaffinity};
use swath_api::kernel::tsc;
use swath_api::wire::MacAddr;
use swath_api::{ConfigError, Lane, Vector};
use swath_core::driver::{DriverKind, Io, Port, PortConfig, Received, RxQueue, TxQueue};

use crate::cases::{Case, mixed};
use crate::measure;
use crate::rig::build;
use crate::workers::worker_seconds;

/// Its name on the command line.
pub const NAME: &str = "latency";
/// One sentence.
pub const ABOUT: &str =
    "how long packets are in the engine at 10, 50 and 90 % of what it can, with workers that sleep and that do not";

/// The graph: one route, one flow.
const CASE: &str = "ip4-1";
/// Of the capacity.
const LOADS: [f64; 3] = [0.1, 0.5, 0.9];
/// What a worker does without packets.
const IDLE: [&str; 2] = ["adaptive", "busy"];
/// Rounds of all, each in turn; medians of their percentiles are told.
const ROUNDS: usize = 5;
/// Packets of a measurement. Of these, so many in a hundred come before anything is measured.
const PACKETS: usize = 4_000_000;
const WARM_UP: usize = 5;
/// The core of the worker, and that of who publishes.
const WORKER: usize = 1;
const PUBLISHER: usize = 0;
/// From the start of a worker to the first arrival.
const BEFORE: Duration = Duration::from_millis(20);
/// The longest that packets may be on their way after the last has come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where in a frame its times stand, which are those of its arrival and of its receive: the payload of UDP.
const ARRIVAL: usize = 42;
const RECEIVE: usize = 50;
/// A thread that publishes so much later than the schedule says was kept from it.
const LATE: f64 = 5e-6;

/// What the drivers of the engine that is built next share with who publishes.
static WIRE: Mutex<Option<Arc<Wire>>> = Mutex::new(None);

/// Packets that come, and where they have gone.
struct Wire {
    frame: [u8; 60],
    /// TSC cycles from each arrival to the next.
    gaps: Vec<u32>,
    /// The time of the schedule's begin.
    base: AtomicU64,
    /// How many have come. Who publishes writes it, and the queue reads it.
    arrived: AtomicUsize,
    /// Whether a worker may sleep until the event.
    armed: AtomicBool,
    event: OwnedFd,
    /// How many have left.
    left: AtomicUsize,
    seen: Mutex<Seen>,
}

/// Packets as they have left, in TSC cycles: how long each has waited since its arrival by the schedule, and since it was handed over.
struct Seen {
    waited: Vec<u32>,
    inside: Vec<u32>,
    count: usize,
}

impl Wire {
    fn new(gaps: Vec<u32>) -> Result<Wire, String> {
        let case = case()?;
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| error.to_string())?;
        // Touched now, and not by who is measured.
        let times = || vec![1; gaps.len()];
        let seen = Mutex::new(Seen { waited: times(), inside: times(), count: 0 });
        Ok(Wire {
            frame: case.packet(0).try_into().map_err(|_| "a frame of 60 bytes")?,
            gaps,
            base: AtomicU64::new(0),
            arrived: AtomicUsize::new(0),
            armed: AtomicBool::new(false),
            event,
            left: AtomicUsize::new(0),
            seen,
        })
    }

    /// So many packets have come.
    fn publish(&self, count: usize) {
        self.arrived.store(count, Ordering::SeqCst);
        // Either the worker sees the packets before it sleeps, or it is seen here that it may sleep.
        if self.armed.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    fn ring(&self) {
        // It can only fail if nobody has read 2^64 - 2 of them.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// Lets packets come at their times. Returns which part of them came late.
    fn play(&self, late: u64) -> f64 {
        let (mut due, mut next, mut behind) = (self.base.load(Ordering::Relaxed), 0, 0_usize);
        while next < self.gaps.len() {
            let now = tsc();
            let before = next;
            while next < self.gaps.len() && due + u64::from(self.gaps[next]) <= now {
                due += u64::from(self.gaps[next]);
                behind += usize::from(now - due > late);
                next += 1;
            }
            if next > before {
                self.publish(next);
            } else {
                std::hint::spin_loop();
            }
        }
        behind as f64 / self.gaps.len() as f64
    }
}

fn case() -> Result<Case, String> {
    Case::all().into_iter().find(|case| case.name == CASE).ok_or_else(|| "the case is there".into())
}

/// What one measurement has found.
struct Reading {
    /// Median, 99 % and 99.9 % of the times from arrival to departure, and of those from receive to departure, in seconds.
    waited: [f64; 3],
    inside: [f64; 3],
    /// The longest wait.
    longest: f64,
    /// CPU time of the worker over wall time.
    share: f64,
    /// Of the packets, those that came late to the engine.
    late: f64,
}

/// The values at the median, at 99 % and at 99.9 %, and the last.
fn percentiles(mut values: Vec<u32>) -> [u32; 4] {
    values.sort_unstable();
    let at = |part: f64| values[((values.len() as f64 * part) as usize).min(values.len() - 1)];
    [at(0.5), at(0.99), at(0.999), at(1.0)]
}

/// Gaps of a Poisson process with so many arrivals per second.
fn schedule(count: usize, rate: f64, hertz: f64, seed: u64) -> Vec<u32> {
    let mean = hertz / rate;
    let mut rest = 0.0;
    let gap = |number: u64| {
        // Of ]0, 1]: its logarithm is finite.
        let uniform = ((mixed(seed ^ number) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        // What is cut off here comes on the next one: the rate stays what it is.
        rest += -mean * uniform.ln();
        let whole = rest.floor().min(f64::from(u32::MAX));
        rest -= whole;
        whole as u32
    };
    (0..count as u64).map(gap).collect()
}

/// TSC cycles per second.
fn hertz() -> f64 {
    let (start, cycles) = (Instant::now(), tsc());
    std::thread::sleep(Duration::from_millis(100));
    (tsc() - cycles) as f64 / start.elapsed().as_secs_f64()
}

/// Starts an engine on a wire, and lets `publish` do its part. Returns the wire, and the CPU share of the worker meanwhile.
fn run<T>(idle: &str, gaps: Vec<u32>, hertz: f64, publish: impl FnOnce(&Wire) -> T) -> Result<(Arc<Wire>, T, f64), String> {
    let wire = Arc::new(Wire::new(gaps)?);
    *WIRE.lock().expect("nobody else") = Some(Arc::clone(&wire));
    // Whoever starts a worker may run where it is to run.
    let all = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let graph = case()?.graph().replacen("engine: {", &format!("engine: {{ cores: [{WORKER}], idle: {idle},"), 1);
    let mut engine = build(NAME, graph, DRIVERS, false);
    engine.start().map_err(|error| error.to_string())?;
    measure::claim_core(PUBLISHER)?;
    let base = tsc() + (BEFORE.as_secs_f64() * hertz) as u64;
    wire.base.store(base, Ordering::Relaxed);
    std::thread::sleep(BEFORE / 2);
    while tsc() < base {
        std::hint::spin_loop();
    }
    let (start, cpu) = (Instant::now(), worker_seconds());
    let published = publish(&wire);
    let came = Instant::now();
    while wire.left.load(Ordering::Acquire) < wire.gaps.len() && came.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_micros(100));
    }
    let share = (worker_seconds() - cpu) / start.elapsed().as_secs_f64();
    engine.stop();
    sched_setaffinity(None, &all).map_err(|error| error.to_string())?;
    let wrong = engine.ledger().discrepancies();
    let left = wire.left.load(Ordering::Acquire);
    match () {
        () if !wrong.is_empty() => Err(wrong.join("; ")),
        () if left < wire.gaps.len() => Err(format!("{left} of {} packets have left", wire.gaps.len())),
        () => Ok((wire, published, share)),
    }
}

/// Packets per second of a worker for which there are always some.
fn capacity(packets: usize, hertz: f64) -> Result<f64, String> {
    let (wire, ..) = run("busy", vec![0; packets], hertz, |wire| wire.publish(packets))?;
    let seen = wire.seen.lock().expect("the engine has stopped");
    let measured = packets * WARM_UP / 100;
    // All came at once.
    let cycles = seen.waited[packets - 1].saturating_sub(seen.waited[measured]);
    if cycles == 0 {
        return Err("the packets left before they came".into());
    }
    Ok((packets - 1 - measured) as f64 / (f64::from(cycles) / hertz))
}

fn measure(idle: &str, gaps: Vec<u32>, hertz: f64) -> Result<Reading, String> {
    let (wire, late, share) = run(idle, gaps, hertz, |wire| wire.play((LATE * hertz) as u64))?;
    let seen = wire.seen.lock().expect("the engine has stopped");
    let warm_up = seen.count * WARM_UP / 100;
    let of = |cycles: &[u32]| percentiles(cycles[warm_up..].to_vec()).map(|cycles| f64::from(cycles) / hertz);
    let ([a, b, c, longest], [inside_a, inside_b, inside_c, _]) = (of(&seen.waited), of(&seen.inside));
    Ok(Reading { waited: [a, b, c], inside: [inside_a, inside_b, inside_c], longest, share, late })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures and prints.
///
/// # Errors
/// There is one core, or packets are lost.
pub fn report(short: bool) -> Result<(), String> {
    let (rounds, packets) = if short { (1, PACKETS / 200) } else { (ROUNDS, PACKETS) };
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err("it needs two cores: on one, who lets packets come would wait for who forwards them".into());
    }
    let hertz = hertz();
    let capacity = median((0..rounds).map(|_| capacity(packets, hertz)).collect::<Result<Vec<_>, _>>()?.into_iter());
    println!("{}: {}. Arrivals are a Poisson process, of {packets} packets each time.", CASE, case()?.about);
    println!("Capacity with both drivers of this rig: {:.2} Mpps; medians of {rounds} rounds.\n", capacity / 1e6);
    println!(
        "| idle | load | Mpps | waited, µs: median | 99 % | 99.9 % | longest | inside, µs: median | 99 % | 99.9 % | CPU share | came late |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let cases: Vec<(&str, f64)> = IDLE.into_iter().flat_map(|idle| LOADS.map(|load| (idle, load))).collect();
    let mut readings: Vec<Vec<Reading>> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for ((idle, load), readings) in cases.iter().zip(&mut readings) {
            readings.push(measure(idle, schedule(packets, capacity * load, hertz, (round as u64) << 40), hertz)?);
        }
    }
    for ((idle, load), readings) in cases.iter().zip(&readings) {
        let figure = |of: fn(&Reading) -> f64| median(readings.iter().map(of));
        let micros = |of: fn(&Reading) -> f64| format!("{:.2}", figure(of) * 1e6);
        println!(
            "| {idle} | {:.0} % | {:.2} | **{}** | **{}** | **{}** | {} | {} | {} | {} | {:.2} | {:.1} % |",
            load * 100.0,
            capacity * load / 1e6,
            micros(|reading| reading.waited[0]),
            micros(|reading| reading.waited[1]),
            micros(|reading| reading.waited[2]),
            micros(|reading| reading.longest),
            micros(|reading| reading.inside[0]),
            micros(|reading| reading.inside[1]),
            micros(|reading| reading.inside[2]),
            figure(|reading| reading.share),
            figure(|reading| reading.late) * 100.0,
        );
    }
    println!(
        "\n*Waited* counts from the time in the schedule to transmit, *inside* from the call of the driver that handed the packet over. \
         *Came late*: more than {:.0} µs behind the schedule, as who publishes was kept from it; that is in *waited*.",
        LATE * 1e6
    );
    Ok(())
}

/// In the places of those that graphs of cases name.
const DRIVERS: &[DriverKind] = &[kind("bench-source"), kind("bench-sink")];

const fn kind(name: &'static str) -> DriverKind {
    DriverKind {
        name,
        summary: "Packets that come by a schedule, and tell how long they took.",
        schema: || "{}".into(),
        example: "",
        paths: &[],
        check: |_| Ok(()),
        open,
    }
}

fn open(config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
    let wire = WIRE.lock().ok().and_then(|wire| wire.clone()).ok_or_else(|| ConfigError::new("there is no wire"))?;
    Ok(Box::new(End { mac: config.mac.unwrap_or_else(|| config.default_mac()), index: config.index, wire }))
}

struct End {
    mac: MacAddr,
    index: u16,
    wire: Arc<Wire>,
}

impl Port for End {
    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u16 {
        1500
    }

    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>> {
        vec![Box::new(Arrivals { index: self.index, wire: Arc::clone(&self.wire), next: 0, due: 0 })]
    }

    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>> {
        vec![Box::new(Departures { wire: Arc::clone(&self.wire) })]
    }
}

struct Arrivals {
    index: u16,
    wire: Arc<Wire>,
    next: usize,
    /// When the last one came, from the begin of the schedule on.
    due: u64,
}

impl RxQueue for Arrivals {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let mut received = Received::default();
        if self.wire.armed.load(Ordering::Relaxed) {
            self.wire.armed.store(false, Ordering::SeqCst);
            let _ = rustix::io::read(&self.wire.event, &mut [0u8; 8]);
        }
        let end = self.wire.arrived.load(Ordering::SeqCst).min(self.next + max);
        if self.next == end {
            return received;
        }
        let (now, base) = (tsc(), self.wire.base.load(Ordering::Relaxed));
        while self.next < end {
            let Some(mut buffer) = io.cache.take() else {
                received.no_buffer += 1;
                break;
            };
            self.due += u64::from(self.wire.gaps[self.next]);
            let mut frame = self.wire.frame;
            frame[ARRIVAL..ARRIVAL + 8].copy_from_slice(&(base + self.due).to_ne_bytes());
            frame[RECEIVE..RECEIVE + 8].copy_from_slice(&now.to_ne_bytes());
            buffer.fill(&frame);
            buffer.push(packets, Lane::received(self.index));
            self.next += 1;
            received.packets += 1;
        }
        received
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        self.wire.armed.store(true, Ordering::SeqCst);
        if self.wire.arrived.load(Ordering::SeqCst) > self.next {
            self.wire.ring();
        }
        Some(self.wire.event.as_fd())
    }
}

struct Departures {
    wire: Arc<Wire>,
}

impl TxQueue for Departures {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let now = tsc();
        let time = |bytes: &[u8], at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
        let since = |start: u64| u32::try_from(now.saturating_sub(start)).unwrap_or(u32::MAX);
        let mut seen = self.wire.seen.lock().expect("one worker");
        for bytes in (0..packets.len()).filter_map(|at| packets.bytes(at)) {
            let (Some(arrival), Some(receive)) = (time(bytes, ARRIVAL), time(bytes, RECEIVE)) else { continue };
            let count = seen.count;
            (seen.waited[count], seen.inside[count], seen.count) = (since(arrival), since(receive), count + 1);
        }
        drop(seen);
        self.wire.left.fetch_add(packets.len(), Ordering::Release);
        io.cache.free(packets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
        let gaps = schedule(200_000, 1e6, 2.5e9, 0);
        let mean = gaps.iter().map(|gap| f64::from(*gap)).sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (f64::from(*gap) - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of an exponential distribution both are 2500; the standard errors of these are 0.2 and 0.5 %.
        assert!((mean - 2500.0).abs() < 25.0 && (variance.sqrt() - 2500.0).abs() < 50.0, "{mean} {variance}");
        assert_eq!(gaps, schedule(200_000, 1e6, 2.5e9, 0));
        assert_ne!(gaps, schedule(200_000, 1e6, 2.5e9, 1 << 40));
    }

    #[test]
    fn percentiles_are_those_of_the_sorted() {
        assert_eq!(percentiles((1..=1000).rev().collect()), [501, 991, 1000, 1000]);
        assert_eq!(percentiles(vec![7]), [7; 4]);
    }

    /// However the moments of publishing and of falling asleep lie, the event is readable when packets are there.
    #[test]
    fn who_may_sleep_is_woken() {
        let readable = |wire: &Wire| rustix::io::read(&wire.event, &mut [0u8; 8]).is_ok();
        let wire = Arc::new(Wire::new(vec![0; 4]).unwrap());
        let queue = Arrivals { index: 0, wire: Arc::clone(&wire), next: 0, due: 0 };
        wire.publish(1);
        assert!(!readable(&wire), "nobody sleeps");
        queue.readable();
        assert!(readable(&wire), "one was there already");
        let queue = Arrivals { next: 1, ..queue };
        queue.readable();
        assert!(!readable(&wire), "none is there");
        wire.publish(2);
        assert!(readable(&wire), "one has come since");
    }
}
