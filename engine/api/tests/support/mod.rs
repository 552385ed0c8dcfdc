//! What the differential tests share: bytes that are nearly right.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The bytes, some of them overwritten, and mostly cut somewhere.
pub fn damaged(valid: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let overwritten = vec((any::<Index>(), any::<u8>()), 0..4);
    (valid, overwritten, prop::option::of(any::<Index>())).prop_map(|(mut bytes, writes, cut)| {
        for (at, byte) in writes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes
    })
}
