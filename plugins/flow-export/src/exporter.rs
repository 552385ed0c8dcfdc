//! The control side: a thread that takes flows that have ended from the workers, and sends them to a collector by UDP (RFC 7011, section 10.3).

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use swath_api::plugin::{Level, log};
use swath_api::sync::{Receiver, Sender, ring};

use crate::flow::Flow;
use crate::ipfix::{Stream, Times};

/// How often the thread looks for flows.
const PERIOD: Duration = Duration::from_millis(20);
/// Flows of a worker that may wait for the thread: as many as come in a period when all are the first of their flow and none can stay.
const RING: usize = 1 << 14;
/// Flows that are taken at once.
const BATCH: usize = 1024;
/// Milliseconds that a flow waits for others in a message.
const LONGEST: u64 = 500;
/// After so many messages the collector gets a moment to read them.
const BURST: u32 = 16;
const MOMENT: Duration = Duration::from_millis(1);
/// How long it tries to send what there is when the table ends.
const PATIENCE: Duration = Duration::from_secs(1);
/// What does not change is said so often.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Where flows go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The collector.
    pub collector: SocketAddr,
    /// The address that they come from, if it is not the kernel's choice.
    pub source: Option<IpAddr>,
    /// The observation domain.
    pub domain: u32,
    /// Bytes of a packet on the way to the collector, IP header included.
    pub mtu: u16,
    /// How often templates are told.
    pub templates: Duration,
}

impl Target {
    /// Bytes of a message that fits into a packet.
    pub fn longest(&self) -> usize {
        let headers = if self.collector.is_ipv4() { 28 } else { 48 };
        usize::from(self.mtu).saturating_sub(headers)
    }
}

/// What exporters have done.
#[derive(Debug, Default)]
pub struct Exported {
    pub messages: AtomicU64,
    pub flows: AtomicU64,
    /// Flows that could not be sent before the end.
    pub lost: AtomicU64,
    /// Messages that could not be sent, and were tried again, or that came to nobody.
    pub failures: AtomicU64,
}

/// What a worker's shard and the exporter share.
#[derive(Debug, Default)]
struct Line {
    /// The engine's clock, as the worker has last read it.
    now: AtomicU64,
    /// The shard is gone: what is in the ring is all.
    closed: AtomicBool,
}

/// The end of a worker: it neither waits nor allocates.
pub struct Feed {
    ring: Sender<Flow>,
    line: Arc<Line>,
    shared: Arc<Shared>,
}

impl Feed {
    /// Hands over a flow that has ended; `false` if there is no room.
    #[inline]
    pub fn push(&mut self, flow: &Flow) -> bool {
        self.ring.push(*flow).is_ok()
    }

    /// Says what time it is.
    #[inline]
    pub fn tell(&self, now: u64) {
        self.line.now.store(now, Ordering::Relaxed);
    }

    /// Hands over all that is left, on a control thread.
    pub fn leave(self, flows: Vec<Flow>) {
        self.shared.inbox().left.push(flows);
        // Release: who sees it sees all that is in the ring.
        self.line.closed.store(true, Ordering::Release);
    }
}

struct Source {
    ring: Receiver<Flow>,
    line: Arc<Line>,
}

#[derive(Default)]
struct Inbox {
    sources: Vec<Source>,
    /// What shards that are gone have left, which goes after what was in their rings.
    left: Vec<Vec<Flow>>,
    names: Option<Vec<(u32, String)>>,
}

struct Shared {
    inbox: Mutex<Inbox>,
    stop: AtomicBool,
    exported: Arc<Exported>,
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that exports; it ends with this, after it has sent what there is.
pub struct Exporter {
    target: Target,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts the thread.
    pub fn start(target: Target, exported: Arc<Exported>) -> io::Result<Exporter> {
        let shared = Arc::new(Shared { inbox: Mutex::default(), stop: AtomicBool::new(false), exported });
        let (theirs, to) = (Arc::clone(&shared), target.clone());
        let thread = std::thread::Builder::new().name("ipfix".into()).spawn(move || run(&theirs, &to))?;
        Ok(Exporter { target, shared, thread: Some(thread) })
    }

    /// Where it sends.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Has collectors told of these interfaces.
    pub fn names(&self, names: Vec<(u32, String)>) {
        self.shared.inbox().names = Some(names);
    }

    /// A worker more.
    pub fn feed(&self) -> Feed {
        let (sender, receiver) = ring(RING);
        let line = Arc::new(Line::default());
        self.shared.inbox().sources.push(Source { ring: receiver, line: Arc::clone(&line) });
        Feed { ring: sender, line, shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                log(Level::Error, "the thread that exports flows has panicked");
            }
        }
    }
}

/// What the thread has.
struct Work<'a> {
    shared: &'a Shared,
    target: &'a Target,
    stream: Stream,
    link: Link<'a>,
    clock: Clock,
    taken: VecDeque<Flow>,
    told: Option<Instant>,
    names: Vec<(u32, String)>,
}

fn run(shared: &Shared, target: &Target) {
    let stream = Stream::new(target.domain, target.longest());
    let link = Link { target, exported: &shared.exported, socket: None, again: None, said: None, burst: 0 };
    let (clock, taken) = (Clock::default(), VecDeque::with_capacity(BATCH));
    let mut work = Work { shared, target, stream, link, clock, taken, told: None, names: Vec::new() };
    loop {
        // Acquire: what was left before is there.
        let stopping = shared.stop.load(Ordering::Acquire);
        let done = work.turn(stopping);
        if stopping {
            return work.end(done);
        }
        std::thread::park_timeout(PERIOD);
    }
}

impl Work<'_> {
    /// Sends what there is; with `all` also what would wait for more.
    fn turn(&mut self, all: bool) -> io::Result<()> {
        if let Some(names) = self.shared.inbox().names.take() {
            (self.names, self.told) = (names, None);
        }
        if self.told.is_none_or(|told| told.elapsed() >= self.target.templates) {
            self.stream.tell(&self.names);
            self.told = Some(Instant::now());
        }
        loop {
            if self.taken.is_empty() && !self.take() {
                break;
            }
            let times = self.clock.times(self.taken.front());
            let sent = self.push(times);
            self.count();
            sent?;
        }
        let times = self.clock.times(None);
        let sent = self.stream.age(if all { 0 } else { LONGEST }, times, &mut |message| self.link.send(message));
        self.count();
        sent
    }

    fn push(&mut self, times: Times) -> io::Result<()> {
        while let Some(flow) = self.taken.front() {
            self.stream.push(flow, times, &mut |message| self.link.send(message))?;
            self.taken.pop_front();
        }
        Ok(())
    }

    fn count(&mut self) {
        let (messages, flows) = self.stream.take_sent();
        // An exporter that is about to end may do the same.
        self.shared.exported.messages.fetch_add(messages, Ordering::Relaxed);
        self.shared.exported.flows.fetch_add(flows, Ordering::Relaxed);
    }

    /// Takes flows that have ended; `false` if there are none.
    fn take(&mut self) -> bool {
        let Work { shared, clock, taken, .. } = self;
        let mut inbox = shared.inbox();
        inbox.sources.retain_mut(|Source { ring, line }| {
            clock.sample(line.now.load(Ordering::Relaxed));
            let closed = line.closed.load(Ordering::Acquire);
            let room = BATCH - taken.len();
            let count = ring.pop_all(room, |flow| taken.push_back(flow));
            !closed || count == room
        });
        if taken.is_empty()
            && let Some(left) = inbox.left.pop()
        {
            taken.extend(left);
        }
        // What was left may have been nothing.
        !taken.is_empty() || !inbox.left.is_empty()
    }

    /// The last words: tries for a while, and says what could not be sent.
    fn end(&mut self, mut done: io::Result<()>) {
        let start = Instant::now();
        while done.is_err() && start.elapsed() < PATIENCE {
            std::thread::sleep(PERIOD);
            done = self.turn(true);
        }
        let Err(error) = done else { return };
        let mut lost = u64::from(self.stream.waiting());
        while !self.taken.is_empty() || self.take() {
            lost += self.taken.len() as u64;
            self.taken.clear();
        }
        if lost > 0 {
            self.shared.exported.lost.fetch_add(lost, Ordering::Relaxed);
            log(
                Level::Error,
                &format!("{lost} flows are lost: the collector {} cannot be reached: {error}", self.target.collector),
            );
        }
    }
}

/// What the engine's clock is in the time of the world. It begins with 0 at some time that nobody says.
#[derive(Debug, Default)]
struct Clock {
    /// The last reading.
    last: u64,
    /// Nanoseconds since 1970 when it was 0: at the earliest, for readings are late and never early.
    start: Option<u64>,
}

impl Clock {
    /// A reading that a worker has made just now, if it is another one than before.
    fn sample(&mut self, now: u64) {
        if now > self.last {
            self.last = now;
            self.read(now, wall());
        }
    }

    fn read(&mut self, now: u64, wall: u64) {
        let start = wall.saturating_sub(now);
        let keep = self.start.filter(|known| *known <= start && start - known < 1_000_000_000);
        // Much later than known: somebody has set the clock of the world.
        self.start = Some(keep.unwrap_or(start));
    }

    /// The times to send with, and those of a flow before any reading.
    fn times(&self, flow: Option<&Flow>) -> Times {
        let now = wall();
        let start = self.start.unwrap_or_else(|| now.saturating_sub(flow.map_or(0, |flow| flow.last)));
        Times { now: now / 1_000_000, start: start / 1_000_000 }
    }
}

fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// The way to the collector. The socket is made when it is needed, and again if it fails: the network may come later than the engine.
struct Link<'a> {
    target: &'a Target,
    exported: &'a Exported,
    socket: Option<UdpSocket>,
    /// When to try again.
    again: Option<Instant>,
    /// When something was last said of it.
    said: Option<Instant>,
    burst: u32,
}

impl Link<'_> {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if self.again.is_some_and(|again| Instant::now() < again) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let sent = self.try_to(message);
        if let Err(error) = &sent {
            (self.socket, self.again) = (None, Some(Instant::now() + 10 * PERIOD));
            self.failed(&format!("flows wait: the collector {} cannot be reached: {error}", self.target.collector));
        }
        sent
    }

    fn try_to(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(self.target)?,
        };
        let mut sent = socket.send(message);
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            // That was said of a message before, which was lost on its way as any may be. This one was not sent.
            self.failed(&format!("nobody listens at {}: flows come to nobody", self.target.collector));
            sent = socket.send(message);
        }
        sent?;
        self.socket = Some(socket);
        self.burst += 1;
        if self.burst.is_multiple_of(BURST) {
            std::thread::sleep(MOMENT);
        }
        Ok(())
    }

    fn failed(&mut self, what: &str) {
        self.exported.failures.fetch_add(1, Ordering::Relaxed);
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            self.said = Some(Instant::now());
            log(Level::Warning, what);
        }
    }
}

fn open(target: &Target) -> io::Result<UdpSocket> {
    let any = if target.collector.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(target.source.unwrap_or(any), 0))?;
    socket.connect(target.collector)?;
    // The kernel has room for many: who has to wait longer than that tries again.
    socket.set_write_timeout(Some(PERIOD))?;
    Ok(socket)
}

#[cfg(test)]
#[path = "exporter_tests.rs"]
mod tests;
