//! From frames of the kernel to packets in buffers.

use swath_api::{Cache, Lane, Vector};
use swath_core::driver::Received;

use crate::offload::{BadOffload, Handed, Segments, Work};

/// Takes the frames of one queue.
#[derive(Debug)]
pub struct Intake {
    interface: u16,
    // A frame that is being cut, and its next segment.
    cut: Option<(Segments, usize)>,
}

impl Intake {
    /// For the queue of an interface.
    pub fn new(interface: u16) -> Intake {
        Intake { interface, cut: None }
    }

    /// Takes the packets of a frame into the vector, until `most` have arrived in this call of the queue. `false` if there are more:
    /// then it must be given the same frame again.
    pub fn take(
        &mut self,
        handed: &Handed<'_>,
        packets: &mut Vector,
        most: u32,
        received: &mut Received,
        cache: &mut Cache,
    ) -> bool {
        let (segments, mut next) = match self
            .cut
            .take()
            .map_or_else(|| Work::new(handed).map(|work| (work, 0)), |(segments, next)| Ok((Work::Segments(segments), next)))
        {
            Ok((Work::Segments(segments), next)) => (segments, next),
            Ok((Work::Whole(checksum), _)) => {
                self.fill(packets, received, cache, handed.len(), |out| handed.write(checksum, out));
                return true;
            }
            Err(BadOffload) => {
                received.bad_offload += 1;
                return true;
            }
        };
        while next < segments.count() {
            if received.arrived() >= most {
                self.cut = Some((segments, next));
                return false;
            }
            self.fill(packets, received, cache, 0, |out| segments.write(handed, next, out));
            next += 1;
        }
        true
    }

    /// Forgets the frame that is being cut: it will not be given again.
    pub fn forget(&mut self) {
        self.cut = None;
    }

    /// A packet of at least so many bytes.
    #[inline]
    fn fill(
        &self,
        packets: &mut Vector,
        received: &mut Received,
        cache: &mut Cache,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) {
        let Some(mut buffer) = cache.take() else {
            received.no_buffer += 1;
            return;
        };
        if len > buffer.capacity() {
            received.too_big += 1;
            return;
        }
        match write(buffer.data()) {
            Some(len) => {
                buffer.set_len(len);
                if buffer.push(packets, Lane::received(self.interface)) {
                    received.packets += 1;
                } else {
                    // Cannot be: the queue asks for no more than the vector has room for.
                    received.no_buffer += 1;
                }
            }
            None => received.too_big += 1,
        }
    }
}
