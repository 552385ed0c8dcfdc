//! A worker thread: sweeps until it is told to stop, answers questions between two sweeps, and rests when there is nothing to do.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::bed::Bed;
use super::cpus;
use super::mail::WorkerMail;
use super::pass::WorkerGraph;
use super::swap::Turn;
use crate::driver::Due;
use crate::privileges::{self, CapabilitySet};
use crate::spec::Idle;

/// Empty sweeps after which a worker rests.
const PATIENCE: u32 = 1000;
/// How often it is asked what drivers have dropped for nodes, in nanoseconds: what is read each time is written by other processors, which wait
/// for the line then.
const COUNT_EVERY: u64 = 1_000_000;
/// The first rest while a queue has to be asked whether packets have come. Each that was for nothing is followed by one twice as long.
const SHORT_REST: Duration = Duration::from_micros(50);
/// The longest of these: a thousand a second cost less than 1 % of a core.
const LONG_REST: Duration = Duration::from_millis(1);
/// The longest rest while the descriptors of all queues tell: how late a worker may notice that a table has changed. A hundred times a
/// second costs 0.4 % of a core.
const SLEEP: Duration = Duration::from_millis(10);

/// A worker that runs.
pub(super) struct Worker {
    pub thread: JoinHandle<(WorkerGraph, Turn)>,
    /// Whether none of its queues will ever have packets again. It says so when it rests.
    pub ended: Arc<AtomicBool>,
}

/// What a worker runs with.
pub(super) struct Start {
    pub index: usize,
    /// The CPUs that it may run on; all that the process may, if there are none.
    pub cpus: Vec<usize>,
    pub graph: WorkerGraph,
    pub stop: Arc<AtomicBool>,
    pub bed: Arc<Bed>,
    pub mail: WorkerMail,
    pub turn: Turn,
    pub idle: Idle,
    /// The graph's clock goes on at `now` nanoseconds.
    pub clock: Instant,
    pub now: u64,
}

/// Why there is no worker, and what it was given.
type Failed = (std::io::Error, Option<(WorkerGraph, Turn)>);

/// Starts a worker. The thread gives the graph back when it ends.
///
/// # Errors
/// The thread cannot be started (it has taken the graph with it), or not pinned (the graph comes back).
pub(super) fn start(mut start: Start) -> Result<Worker, Box<Failed>> {
    let (report, pinned) = std::sync::mpsc::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&ended);
    let builder = std::thread::Builder::new().name(format!("worker-{}", start.index));
    let body = move || {
        // Whoever starts it may keep what it takes to attach interfaces; it needs nothing of that.
        let unprivileged = privileges::keep(CapabilitySet::empty());
        // Reported before the first packet: a worker on another core than asked for is refused, not run slowly.
        let done = unprivileged.and_then(|()| if start.cpus.is_empty() { Ok(()) } else { cpus::pin(&start.cpus) });
        let go = done.is_ok();
        let _ = report.send(done);
        if go {
            run(&mut start, &says);
        }
        (start.graph, start.turn)
    };
    let thread = builder.spawn(body).map_err(|error| Box::new((error, None)))?;
    match pinned.recv() {
        Ok(Ok(())) | Err(_) => Ok(Worker { thread, ended }),
        Ok(Err(error)) => Err(Box::new((error, thread.join().ok()))),
    }
}

fn run(start: &mut Start, ended: &AtomicBool) {
    let Start { graph, stop, bed, mail, turn, idle, clock, now: begin, .. } = start;
    let time = Arc::clone(&graph.counters.time);
    let (mut empty, mut rests, mut before, mut busy, mut count_at) = (0, 0, *begin, false, 0);
    while !stop.load(Ordering::Relaxed) {
        let now = *begin + clock.elapsed().as_nanos() as u64;
        // The one reading of the clock serves to say what the sweep before it was: so these are the times of whole rounds.
        if busy { &time.busy } else { &time.idle }.add(now - before);
        before = now;
        let is_there =
            !turn.is_due() || turn.take(graph, || *begin + clock.elapsed().as_nanos() as u64, || stop.load(Ordering::Relaxed));
        // Questions are about the graph that it is to have.
        if is_there {
            mail.answer(graph);
        }
        if now >= count_at {
            graph.count_offloaded(now);
            count_at = now + COUNT_EVERY;
        }
        busy = graph.sweep(now);
        if busy {
            (empty, rests) = (0, 0);
            continue;
        }
        empty += 1;
        if empty < PATIENCE {
            std::hint::spin_loop();
            continue;
        }
        ended.store(graph.ended(), Ordering::Relaxed);
        if *idle == Idle::Busy {
            empty = 0;
            continue;
        }
        let until_due = |most: Duration| match graph.due() {
            Due::At(at) => Duration::from_nanos(at.saturating_sub(now)).min(most),
            Due::Unknown | Due::Ended => most,
        };
        let queues = graph.readable();
        let most = match &queues {
            None => until_due((SHORT_REST * (1 << rests)).min(LONG_REST)),
            Some(_) => until_due(SLEEP),
        };
        let nothing = || mail.is_empty() && !turn.is_due() && !graph.has_incoming() && !stop.load(Ordering::Relaxed);
        let slept = bed.lie_down(nothing, |event| wait(queues.iter().flatten().copied().chain([event]), most));
        if slept {
            let up = *begin + clock.elapsed().as_nanos() as u64;
            time.asleep.add(up - before);
            time.sleeps.add(1);
            time.woken.add(bed.was_woken().into());
            before = up;
            rests = (rests + 1).min(8);
        }
    }
}

/// Until one of the descriptors is readable, or a time has passed.
fn wait<'a>(wanted: impl Iterator<Item = BorrowedFd<'a>>, most: Duration) {
    let mut wanted: Vec<PollFd<'_>> = wanted.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let most = Timespec { tv_sec: most.as_secs() as i64, tv_nsec: most.subsec_nanos().into() };
    // A signal that interrupts it is as good as a packet: the sweep that follows finds out.
    let _ = poll(&mut wanted, Some(&most));
}
