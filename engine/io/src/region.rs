//! The region that packets live in: a memfd, mapped once, on huge pages where there are any.
//!
//! A memfd and not anonymous memory, because a file can be handed to another process. Its size is sealed, and every page is there
//! before the first packet comes: the data path takes no page faults.

use std::fmt;
use std::fs::{self, File};
use std::io;

use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use swath_api::memory::{Geometry, Region};
use swath_core::spec::Hugepages;

/// Bytes of a huge page on x86-64.
const HUGE: usize = 2 << 20;
/// Bytes of a normal page.
const PAGE: usize = 4096;

/// What a region lies on, for one line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// Bytes of the region.
    pub bytes: usize,
    /// What kind of pages they are.
    pub kind: PageKind,
    /// Whether the graph file asked for normal pages.
    pub asked_normal: bool,
}

/// A kind of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Huge pages of 2 MiB that the system had reserved.
    Huge,
    /// Huge pages of 2 MiB that the kernel made of normal ones, for so many bytes of the region.
    Transparent(usize),
    /// Normal pages of 4 KiB.
    Normal,
}

impl Pages {
    /// What it costs that not all pages are huge, and the command that changes it. `None` if they are, or if none were wanted.
    ///
    /// Writing and sending packets of 60 bytes from a pool of 16,384 (AMD Zen 4 guest, November 2026, TSC cycles per packet): 28 on
    /// huge and on normal pages with 256 in flight, 31 on huge and 34 on normal ones with 12,288.
    pub fn warning(&self) -> Option<String> {
        let huge = match self.kind {
            PageKind::Huge => return None,
            PageKind::Transparent(bytes) => bytes,
            PageKind::Normal => 0,
        };
        if self.asked_normal || huge >= self.bytes {
            return None;
        }
        Some(format!(
            "{self}: with thousands of packets in flight each costs some cycles more for page walks; reserve huge pages with \
             `sysctl vm.nr_hugepages={}`",
            Reserved::read().total_for(self.bytes)
        ))
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of packet memory on ", Size(self.bytes))?;
        match self.kind {
            PageKind::Huge => f.write_str("reserved huge pages of 2 MiB"),
            PageKind::Transparent(huge) => {
                write!(f, "normal pages, {} of them made huge by the kernel", Size(huge.min(self.bytes)))
            }
            PageKind::Normal => f.write_str("normal pages of 4 KiB"),
        }
    }
}

/// Why there is no region.
#[derive(Debug)]
pub enum RegionError {
    /// Huge pages are required, and there are not as many.
    NoHugePages {
        /// How many are needed.
        needed: usize,
        /// How many are free.
        free: usize,
        /// What `vm.nr_hugepages` has to be for them to be free.
        total: usize,
        /// What the kernel said.
        error: io::Error,
    },
    /// The system refused something.
    System {
        /// What.
        what: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// The geometry is not one that a region can have.
    Geometry(Geometry),
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegionError::NoHugePages { needed, free, total, error } => write!(
                f,
                "packet memory needs {needed} huge pages of 2 MiB, and {free} are free ({error}): reserve them with \
                 `sysctl vm.nr_hugepages={total}`, or set `engine.hugepages` to `auto`"
            ),
            RegionError::System { what, error } => write!(f, "packet memory: {what}: {error}"),
            RegionError::Geometry(geometry) => {
                write!(f, "packet memory cannot be {} buffers of {} bytes", geometry.chunks, geometry.stride)
            }
        }
    }
}

impl std::error::Error for RegionError {}

fn system(what: &'static str) -> impl Fn(io::Error) -> RegionError {
    move |error| RegionError::System { what, error }
}

/// Maps the region of all packets, with every page in place.
///
/// # Errors
/// The memory cannot be had; or it cannot be had on huge pages, and they are required.
pub fn open_region(geometry: Geometry, hugepages: Hugepages) -> Result<(Region, Pages), RegionError> {
    let bytes = geometry.bytes();
    let length = bytes.max(1).checked_next_multiple_of(HUGE).ok_or(RegionError::Geometry(geometry))?;
    let asked_normal = hugepages == Hugepages::Never;
    let region = |map| Region::new(map, geometry).ok_or(RegionError::Geometry(geometry));
    if !asked_normal {
        match map_huge(length) {
            Ok(map) => return Ok((region(map)?, Pages { bytes, kind: PageKind::Huge, asked_normal })),
            Err(error) if hugepages == Hugepages::Required => {
                let reserved = Reserved::read();
                let (needed, total) = (length / HUGE, reserved.total_for(length));
                return Err(RegionError::NoHugePages { needed, free: reserved.free, total, error });
            }
            Err(_) => {}
        }
    }
    let map = map_normal(length, !asked_normal)?;
    let kind = match transparent_bytes(map.as_ptr() as usize) {
        0 => PageKind::Normal,
        huge => PageKind::Transparent(huge),
    };
    Ok((region(map)?, Pages { bytes, kind, asked_normal }))
}

fn map_huge(length: usize) -> io::Result<MmapMut> {
    let map = map(length, MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB)?;
    populate(map)
}

fn map_normal(length: usize, advise: bool) -> Result<MmapMut, RegionError> {
    let map = map(length, MemfdFlags::empty()).map_err(system("it cannot be mapped"))?;
    if advise {
        // Advice: a kernel that has no transparent huge pages for files refuses it, and `transparent_bytes` sees what came of it.
        let _ = map.advise(Advice::HugePage);
    }
    populate(map).map_err(system("there is not enough"))
}

fn map(length: usize, flags: MemfdFlags) -> io::Result<MmapMut> {
    let flags = flags | MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create(c"swath-packets", flags)?);
    file.set_len(length as u64)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    // SAFETY: the file is new and nobody else has it, so no other process writes to it; its seals keep it from ever being shorter
    // than the mapping, and `File` closes its descriptor only, which leaves the mapping as it is.
    unsafe { MmapOptions::new().len(length).map_mut(&file) }
}

/// Makes every page present and writable.
fn populate(mut map: MmapMut) -> io::Result<MmapMut> {
    match map.advise(Advice::PopulateWrite) {
        // Linux before 5.14 does not know it.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            map.iter_mut().step_by(PAGE).for_each(|byte| *byte = 0);
            Ok(map)
        }
        done => done.map(|()| map),
    }
}

/// Bytes of the mapping at `address` that lie on transparent huge pages.
fn transparent_bytes(address: usize) -> usize {
    smaps_field(address, "ShmemPmdMapped:").unwrap_or(0)
}

/// Bytes of the pages that the mapping at `address` is made of.
pub(crate) fn page_size(address: usize) -> usize {
    smaps_field(address, "KernelPageSize:").unwrap_or(PAGE)
}

/// A field in bytes of what `/proc/self/smaps` says of the mapping at `address` (`proc_pid_smaps(5)`).
fn smaps_field(address: usize, field: &str) -> Option<usize> {
    let smaps = fs::read_to_string("/proc/self/smaps").ok()?;
    let start = format!("{address:x}-");
    let mapping = smaps.lines().skip_while(|line| !line.starts_with(&start));
    let value = mapping.map_while(|line| if line.starts_with("VmFlags:") { None } else { Some(line.strip_prefix(field)) });
    let kilobytes: usize = value.flatten().next()?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

/// The system's huge pages of 2 MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserved {
    pub all: usize,
    /// Neither used nor promised to anyone.
    pub free: usize,
}

impl Reserved {
    pub fn read() -> Reserved {
        let read = |name: &str| {
            let text = fs::read_to_string(format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{name}"));
            text.ok().and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0)
        };
        let free = read("free_hugepages").saturating_sub(read("resv_hugepages"));
        Reserved { all: read("nr_hugepages"), free }
    }

    /// What `vm.nr_hugepages` has to be for `bytes` to be free beside those in use.
    fn total_for(self, bytes: usize) -> usize {
        self.all.saturating_sub(self.free) + bytes.div_ceil(HUGE)
    }
}

struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes < 1 << 20 => write!(f, "{} KiB", bytes.div_ceil(1 << 10)),
            bytes => write!(f, "{} MiB", bytes.div_ceil(1 << 20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_there_from_the_start() {
        let geometry = Geometry::new(2000, 2048);
        let (region, pages) = open_region(geometry, Hugepages::Never).unwrap();
        assert_eq!(pages, Pages { bytes: 2000 * 2496, kind: PageKind::Normal, asked_normal: true });
        assert_eq!(smaps_field(region.base() as usize, "Rss:"), Some((2000 * 2496_usize).next_multiple_of(HUGE)));
        assert_eq!(pages.warning(), None, "they were asked for");
        assert_eq!(pages.to_string(), "5 MiB of packet memory on normal pages of 4 KiB");
    }

    #[test]
    fn a_region_that_cannot_be_is_refused() {
        let error = open_region(Geometry { chunks: 1, stride: 100 }, Hugepages::Never).unwrap_err();
        assert_eq!(error.to_string(), "packet memory cannot be 1 buffers of 100 bytes");
        // 256 TiB are more than the address space of a process.
        let error = open_region(Geometry { chunks: u32::MAX, stride: 65_472 }, Hugepages::Never).unwrap_err();
        assert!(error.to_string().starts_with("packet memory: it cannot be mapped: "), "{error}");
    }

    #[test]
    fn the_command_counts_the_pages_that_others_use() {
        assert_eq!(Reserved { all: 10, free: 4 }.total_for(5 * HUGE - 1), 11);
        assert_eq!(Reserved { all: 0, free: 0 }.total_for(1), 1);
    }

    #[test]
    fn a_warning_says_what_to_do() {
        let pages = Pages { bytes: 40 << 20, kind: PageKind::Normal, asked_normal: false };
        let warning = pages.warning().unwrap();
        assert!(warning.starts_with("40 MiB of packet memory on normal pages of 4 KiB: "), "{warning}");
        let total = Reserved::read().total_for(40 << 20);
        assert!(warning.ends_with(&format!("`sysctl vm.nr_hugepages={total}`")), "{warning}");
        let partly = Pages { kind: PageKind::Transparent(6 << 20), ..pages };
        assert!(partly.warning().unwrap().contains("normal pages, 6 MiB of them made huge"));
        assert_eq!(Pages { kind: PageKind::Transparent(40 << 20), ..pages }.warning(), None);
        assert_eq!(Pages { kind: PageKind::Huge, ..pages }.warning(), None);
    }
}
