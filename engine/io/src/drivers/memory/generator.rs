//! The receive queue: takes the packets of the sequence that are due and its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use swath_api::{Lane, Vector};
use swath_core::driver::{Due, Io, Received, RxQueue};

use super::Source;
use super::sequence::{Pace, Sequence};
use super::stamp::Stamp;

/// A receive queue.
#[derive(Debug)]
pub(super) struct Generator<S> {
    source: Arc<S>,
    sequence: Sequence,
    pace: Pace,
    interface: u16,
    // For each flow the number of its next packet.
    stamps: Option<Box<[u64]>>,
    // The engine's clock when it began; unknown before the first call.
    start: Option<u64>,
    generated: Arc<AtomicU64>,
}

impl<S: Source> Generator<S> {
    /// A queue whose packets are due from `start` on, or from when it is first asked.
    pub fn new(
        source: &Arc<S>,
        sequence: Sequence,
        pace: Pace,
        interface: u16,
        stamp: bool,
        start: Option<u64>,
        generated: &Arc<AtomicU64>,
    ) -> Generator<S> {
        let stamps = stamp.then(|| vec![0; source.flows() as usize].into_boxed_slice());
        Generator { source: Arc::clone(source), sequence, pace, interface, stamps, start, generated: Arc::clone(generated) }
    }
}

impl<S: Source> RxQueue for Generator<S> {
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received {
        let start = *self.start.get_or_insert(io.now);
        let due = self.pace.due(io.now.saturating_sub(start));
        let most = if self.pace.rate.is_some() { u64::MAX } else { self.pace.burst };
        let most = most.min(max.min(packets.room()) as u64) as u32;
        let (interface, lane) = (self.interface, Lane::received(self.interface));
        let mut received = Received::default();
        while received.packets + received.no_buffer < most {
            let Some(step) = self.sequence.next(due) else { break };
            let stamp = self.stamps.as_mut().map(|counts| {
                let sequence = counts[step.flow as usize];
                counts[step.flow as usize] += 1;
                Stamp { interface, flow: step.flow, sequence }.to_bytes()
            });
            // A packet for which there is no buffer is lost, as in a network card.
            let Some(mut buffer) = io.cache.take() else {
                received.no_buffer += 1;
                continue;
            };
            let length = self.source.write(step.flow, step.size, stamp.as_ref(), buffer.data());
            buffer.set_len(length);
            buffer.push(packets, lane);
            received.packets += 1;
        }
        if received != Received::default() {
            self.generated.fetch_add(u64::from(received.packets + received.no_buffer), Ordering::Relaxed);
        }
        received
    }

    fn due(&self) -> Due {
        match self.sequence.position() {
            Some(number) => Due::At(self.start.unwrap_or(0).saturating_add(self.pace.time_of(number))),
            None => Due::Ended,
        }
    }
}
