//! State that goes from one build of a kind to another: the old one writes it in pieces, the new one reads them.

use super::DONE;
use super::raw::Sink;
use crate::setup::ConfigError;

/// How much is carried over. Of what is more nothing further is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pieces: usize,
    bytes: usize,
}

impl Bound {
    /// While a worker waits, for each node and each shard.
    pub const WORKER: Bound = Bound { pieces: 4096, bytes: 16 << 20 };
    /// On a control thread, where nobody waits: so that a kind that never says that it has ended does not keep it.
    pub const CONTROL: Bound = Bound { pieces: 1 << 20, bytes: 1 << 30 };
}

/// Carries all pieces over. `false` if one side fails, or there are more than the bound allows.
pub(super) fn all(
    bound: Bound,
    mut save: impl FnMut(u64, &Sink, &mut u64) -> i32,
    mut restore: impl FnMut(&[u8], &Sink) -> i32,
) -> bool {
    let (mut at, mut piece, mut bytes) = (0, Vec::new(), 0_usize);
    for _ in 0..bound.pieces {
        piece.clear();
        let mut next = 0;
        if save(at, &Sink::append(&mut piece), &mut next) != DONE {
            return false;
        }
        bytes = bytes.saturating_add(piece.len());
        if bytes > bound.bytes {
            return false;
        }
        let mut refusal = ConfigError::new("");
        if restore(&piece, &Sink::collect(&mut refusal)) != DONE {
            return false;
        }
        if next == 0 {
            return true;
        }
        at = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries so many pieces of so many bytes over. Whether that was done, how many were asked for, and how many were read.
    fn carried(pieces: u64, length: usize) -> (bool, u64, u64) {
        let (mut asked, mut read, text) = (0, 0, vec![7; length]);
        let save = |at: u64, sink: &Sink, next: &mut u64| {
            assert_eq!(at, asked);
            sink.put_bytes("", &text);
            asked += 1;
            *next = if asked < pieces { asked } else { 0 };
            DONE
        };
        let restore = |piece: &[u8], _: &Sink| {
            assert_eq!(piece.len(), length);
            read += 1;
            DONE
        };
        let done = all(Bound::WORKER, save, restore);
        (done, asked, read)
    }

    #[test]
    fn a_worker_waits_for_so_many_pieces_and_bytes_and_no_more() {
        assert_eq!(carried(1, 0), (true, 1, 1));
        assert_eq!(carried(4096, 1), (true, 4096, 4096));
        assert_eq!(carried(4097, 1), (false, 4096, 4096));
        assert_eq!(carried(u64::MAX, 1), (false, 4096, 4096));
        // 16 MiB in pieces of 1 MiB, and one piece more, which is written and not read.
        assert_eq!(carried(16, 1 << 20), (true, 16, 16));
        assert_eq!(carried(17, 1 << 20), (false, 17, 16));
        assert_eq!(carried(1, (16 << 20) + 1), (false, 1, 0));
    }
}
