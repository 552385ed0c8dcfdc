//! State that goes from one build of a kind to another: the old one writes it in pieces, the new one reads them.

use super::DONE;
use super::raw::Sink;
use crate::setup::ConfigError;

/// Pieces of which there may be no more, so that a kind that never says that it has ended does not keep a worker.
const MOST: usize = 1 << 20;

/// Carries all pieces over. `false` if one side fails, or does not end.
pub(super) fn all(mut save: impl FnMut(u64, &Sink, &mut u64) -> i32, mut restore: impl FnMut(&[u8], &Sink) -> i32) -> bool {
    let (mut at, mut piece) = (0, Vec::new());
    for _ in 0..MOST {
        piece.clear();
        let mut next = 0;
        if save(at, &Sink::append(&mut piece), &mut next) != DONE {
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
