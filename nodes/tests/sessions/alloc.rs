//! Nothing is allocated after a store was made.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::*;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_way_of_packets_allocates_nothing() {
    let mut store = store(|settings| (settings.capacity, settings.per_source) = (1000, Some(100)));
    let probes: Vec<Probe<Key4>> =
        (0..256).map(|number| probe(&format!("10.0.{}.1:{number} > 192.0.2.1:80 tcp", number % 8), Event::Syn)).collect();
    let mut found = [Found::NONE; 256];
    let before = ALLOCATIONS.get();
    let mut gone = 0;
    for round in 0..50 {
        let now = START + round * 1000 * SECOND;
        store.look_up(&probes, &mut found);
        for (probe, found) in probes.iter().zip(found) {
            if store.track(found, probe.event, now) == Tracked::Unknown {
                store.open(Opening::symmetric(probe, 0), now, &mut |_, _| gone += 1).unwrap();
            }
            store.track(store.find(&probe.key.reversed()), Event::Rst, now);
        }
        store.expire(now + 500 * SECOND, 128, &mut |_, _| gone += 1);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert!(gone > 1000);
}
