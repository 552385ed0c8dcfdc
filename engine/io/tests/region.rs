//! Packet memory on huge pages. One test, because the system's huge pages are shared by all.

use std::fs;
use std::sync::Arc;

use swath_api::memory::Geometry;
use swath_api::{Lane, Pool, Vector};
use swath_core::spec::Hugepages;
use swath_io::{PageKind, RegionError, open_region};

const HUGE: usize = 2 << 20;
const COUNT: &str = "/proc/sys/vm/nr_hugepages";

fn read(path: &str) -> usize {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn free() -> usize {
    let pages = |name| read(&format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{name}"));
    pages("free_hugepages").saturating_sub(pages("resv_hugepages"))
}

/// Pages that are reserved for the test, and given back after it.
struct Reserved {
    before: usize,
    during: usize,
}

impl Reserved {
    fn more(pages: usize) -> Option<Reserved> {
        let before = read(COUNT);
        let reserved = Reserved { before, during: before + pages };
        fs::write(COUNT, reserved.during.to_string()).ok()?;
        (read(COUNT) == reserved.during && free() >= pages).then_some(reserved)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // Unless somebody else has changed it meanwhile.
        if read(COUNT) == self.during {
            let _ = fs::write(COUNT, self.before.to_string());
        }
    }
}

/// Writes and reads every byte of every chunk that can be packet data.
fn exercise(pool: &Arc<Pool>) {
    let mut cache = pool.cache();
    let mut vectors = Vec::new();
    loop {
        let mut vector = Vector::new(pool);
        while vector.room() > 0 {
            let Some(mut buffer) = cache.take() else { break };
            buffer.data().fill(0xa5);
            buffer.set_len(usize::MAX);
            assert!(buffer.push(&mut vector, Lane::default()));
        }
        if vector.is_empty() {
            break;
        }
        vectors.push(vector);
    }
    let room = pool.region().geometry().data();
    let whole = |vector: &Vector| (0..vector.len()).all(|index| vector.bytes(index) == Some(&vec![0xa5; room][..]));
    assert!(vectors.iter().all(whole));
    assert_eq!(vectors.iter().map(Vector::len).sum::<usize>(), pool.capacity());
    drop((vectors, cache));
    assert_eq!(pool.free(), pool.capacity());
}

#[test]
fn regions_lie_on_the_pages_that_are_asked_for() {
    let geometry = Geometry::new(1000, 2048);
    let pages = geometry.bytes().div_ceil(HUGE);

    let (region, notice) = open_region(geometry, Hugepages::Never).unwrap();
    assert_eq!((notice.kind, notice.warning()), (PageKind::Normal, None));
    exercise(&Pool::new(region));

    // One page more than there are: required is an error that says what to do.
    let before = free();
    let too_many = Geometry::new(((before + 1) * HUGE / geometry.stride as usize) as u32 + 1, 2048);
    let needed = too_many.bytes().div_ceil(HUGE);
    let error = open_region(too_many, Hugepages::Required).unwrap_err();
    assert!(matches!(error, RegionError::NoHugePages { needed: n, free, .. } if n == needed && free == before), "{error:?}");
    let total = read(COUNT) - before + needed;
    assert!(error.to_string().contains(&format!("`sysctl vm.nr_hugepages={total}`")), "{error}");

    if free() < pages {
        let (region, notice) = open_region(geometry, Hugepages::Auto).unwrap();
        assert_ne!(notice.kind, PageKind::Huge);
        if notice.kind == PageKind::Normal {
            let warning = notice.warning().unwrap();
            assert!(warning.contains("normal pages of 4 KiB") && warning.contains("`sysctl vm.nr_hugepages="), "{warning}");
        }
        exercise(&Pool::new(region));
    }

    let Some(_reserved) = Reserved::more(pages) else {
        eprintln!("skipped: huge pages cannot be reserved (not root, or not enough memory in one piece)");
        return;
    };
    for mode in [Hugepages::Auto, Hugepages::Required] {
        let before = free();
        let (region, notice) = open_region(geometry, mode).unwrap();
        assert_eq!((notice.kind, notice.warning()), (PageKind::Huge, None));
        assert_eq!(notice.to_string(), "3 MiB of packet memory on reserved huge pages of 2 MiB");
        assert_eq!(before - free(), pages);
        exercise(&Pool::new(region));
        assert_eq!(free(), before, "they are given back");
    }
    let (_region, notice) = open_region(geometry, Hugepages::Never).unwrap();
    assert_eq!(notice.kind, PageKind::Normal);
}
