//! A worker thread: sweeps until it is told to stop, and rests when there is nothing to do.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::pass::WorkerGraph;
use crate::driver::Due;

/// Empty sweeps after which a worker rests.
const PATIENCE: u32 = 1000;
/// The longest rest while a queue has to be asked whether packets have come.
const REST: Duration = Duration::from_micros(200);
/// The longest rest while the descriptors of all queues tell: how late a worker may notice that it shall stop, or that a table has
/// changed. A hundred times a second costs 0.4 % of a core.
const SLEEP: Duration = Duration::from_millis(10);

/// A worker that runs.
pub(super) struct Worker {
    pub thread: JoinHandle<WorkerGraph>,
    /// Whether none of its queues will ever have packets again. It says so when it rests.
    pub ended: Arc<AtomicBool>,
}

/// Starts a worker, pinned to a core if one is given. The thread gives the graph back when it ends.
///
/// The graph's clock goes on at `now` nanoseconds.
///
/// # Errors
/// The thread cannot be started (it has taken the graph with it), or not pinned (the graph comes back).
pub(super) fn start(
    index: usize,
    core: Option<usize>,
    mut graph: WorkerGraph,
    stop: Arc<AtomicBool>,
    clock: Instant,
    now: u64,
) -> Result<Worker, Box<(std::io::Error, Option<WorkerGraph>)>> {
    let (report, pinned) = std::sync::mpsc::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&ended);
    let body = move || {
        // Reported before the first packet: a worker on another core than asked for is refused, not run slowly.
        let done = core.map_or(Ok(()), pin);
        let go = done.is_ok();
        let _ = report.send(done);
        if go {
            run(&mut graph, &stop, &says, clock, now);
        }
        graph
    };
    let thread =
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(body).map_err(|error| Box::new((error, None)))?;
    match pinned.recv() {
        Ok(Ok(())) | Err(_) => Ok(Worker { thread, ended }),
        Ok(Err(error)) => Err(Box::new((error, thread.join().ok()))),
    }
}

fn pin(core: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(std::io::Error::other(format!("there is no core {core}")));
    }
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| std::io::Error::other(format!("core {core} cannot be had: {error}")))
}

fn run(graph: &mut WorkerGraph, stop: &AtomicBool, ended: &AtomicBool, clock: Instant, start: u64) {
    let mut empty = 0;
    while !stop.load(Ordering::Relaxed) {
        let now = start + clock.elapsed().as_nanos() as u64;
        if graph.sweep(now) {
            empty = 0;
            continue;
        }
        empty += 1;
        if empty < PATIENCE {
            std::hint::spin_loop();
            continue;
        }
        ended.store(graph.ended(), Ordering::Relaxed);
        let longest = |most: Duration| match graph.due() {
            Due::At(at) => Duration::from_nanos(at.saturating_sub(now)).min(most),
            Due::Unknown | Due::Ended => most,
        };
        match graph.readable() {
            None => std::thread::sleep(longest(REST)),
            Some(queues) => wait(&queues, longest(SLEEP)),
        }
    }
}

/// Until one of the descriptors is readable, or a time has passed.
fn wait(queues: &[BorrowedFd<'_>], most: Duration) {
    let mut wanted: Vec<PollFd<'_>> = queues.iter().map(|queue| PollFd::from_borrowed_fd(*queue, PollFlags::IN)).collect();
    let most = Timespec { tv_sec: most.as_secs() as i64, tv_nsec: most.subsec_nanos().into() };
    // A signal that interrupts it is as good as a packet: the sweep that follows finds out.
    let _ = poll(&mut wanted, Some(&most));
}
