//! The loader and files that nobody should write: it never panics, costs little, and refuses exactly what it has told an error of.

mod hostile;
mod random;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

use swath::Graph;

/// Counts what a thread has allocated and not given back; but for large blocks of zeroes, which are nobody's memory until they are
/// written.
struct Counting;

/// Zeroes from here on come from the kernel, page by page (the threshold of glibc).
const LARGE: usize = 128 << 10;
/// The large blocks of zeroes.
static ZEROES: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // At the end of a thread there is nothing to be counted any more.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: everything is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let at = unsafe { System.alloc_zeroed(layout) };
        match layout.size() >= LARGE {
            true => _ = ZEROES.lock().unwrap().insert(at.addr()),
            false => count(layout.size() as isize),
        }
        at
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if layout.size() < LARGE || !ZEROES.lock().unwrap().remove(&at.addr()) {
            count(-(layout.size() as isize));
        }
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let was_zeroes = layout.size() >= LARGE && ZEROES.lock().unwrap().remove(&at.addr());
        count(size as isize - if was_zeroes { 0 } else { layout.size() as isize });
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Errors and warnings of a text, and what is said of them.
pub fn load(text: &str) -> (usize, usize, String) {
    let mut graph = Graph::from_text("graph.yaml", text);
    let planned = graph.plan_once(&swath::registry());
    let refused = planned.is_err();
    if let Ok(plan) = planned {
        assert_eq!(graph.diagnostics().errors(), 0, "what has a mistake is refused");
        graph.check(&plan);
    }
    let (errors, warnings) = (graph.diagnostics().errors(), graph.diagnostics().warnings());
    assert!(errors > 0 || !refused, "what is refused has a mistake");
    (errors, warnings, graph.render())
}

/// What the loader holds at most, in bytes.
const MOST: usize = 64 << 20;
/// What it says at most of 64 KiB, in bytes.
const LONGEST: usize = 4 << 20;

#[test]
fn no_file_of_64_kib_takes_more_than_64_mib() {
    for (name, text) in hostile::files() {
        assert!(text.len() <= 65_536, "{name}: {}", text.len());
        LIVE.set(0);
        PEAK.set(0);
        let start = Instant::now();
        let (errors, warnings, said) = load(&text);
        let (time, peak) = (start.elapsed(), PEAK.get());
        println!(
            "{name:<45} {:>7.1} ms {:>6.1} MiB, {errors} errors, {warnings} warnings, {} KiB",
            time.as_secs_f64() * 1e3,
            peak as f64 / f64::from(1 << 20),
            said.len() >> 10
        );
        assert!(peak < MOST as isize, "{name}: {peak} bytes");
        assert!(said.len() < LONGEST, "{name}: {} bytes are said", said.len());
    }
}
