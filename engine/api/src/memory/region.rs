//! The one contiguous region that holds every packet of a process.

use memmap2::MmapMut;

use super::{DATA, LINE, WINDOW};

/// How a region is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Number of chunks.
    pub chunks: u32,
    /// Bytes from the start of a chunk to the next: an odd number of cache lines.
    pub stride: u32,
}

impl Geometry {
    /// The most bytes of packet data that a chunk can be asked to hold: offsets in a chunk are 16 bits wide.
    pub const MAX_DATA: usize = 65_535 - DATA - 3 * LINE;

    /// Chunks with room for `data` bytes behind the default headroom. `data` is raised to 128 and held at [`Geometry::MAX_DATA`].
    ///
    /// The 32-bit position in units of 64 bytes bounds a region at 256 GiB.
    pub fn new(chunks: u32, data: usize) -> Geometry {
        let data = data.clamp(WINDOW, Geometry::MAX_DATA);
        let lines = (DATA + data).div_ceil(LINE) | 1;
        Geometry { chunks, stride: (lines * LINE) as u32 }
    }

    /// Bytes of the whole region.
    pub fn bytes(&self) -> usize {
        self.chunks as usize * self.stride as usize
    }

    /// Bytes of packet data that fit behind the default headroom.
    pub fn data(&self) -> usize {
        self.stride as usize - DATA
    }
}

/// A mapped region, cut into chunks.
#[derive(Debug)]
pub struct Region {
    base: *mut u8,
    geometry: Geometry,
    // Keeps the mapping; never touched again but through `base`.
    _map: MmapMut,
}

// SAFETY: the region is plain memory. Which thread may touch which chunk is decided by ownership of descriptors (`Vector`, `Buffer`,
// `Held`), each of which exists once per chunk.
unsafe impl Send for Region {}
// SAFETY: as above; `&Region` gives out no reference into the memory.
unsafe impl Sync for Region {}

impl Region {
    /// Takes over a mapping. `None` if it is smaller than the geometry asks, or the geometry is not one of [`Geometry::new`].
    pub fn new(mut map: MmapMut, geometry: Geometry) -> Option<Region> {
        let lines = geometry.bytes() / LINE;
        let stride = geometry.stride as usize;
        let sound = stride.is_multiple_of(LINE) && (DATA + WINDOW..=usize::from(u16::MAX)).contains(&stride);
        if !sound || map.len() < geometry.bytes() || lines >= u32::MAX as usize {
            return None;
        }
        Some(Region { base: map.as_mut_ptr(), geometry, _map: map })
    }

    /// A region in anonymous memory of normal pages, for tests and tools.
    ///
    /// # Errors
    /// What `mmap` says.
    pub fn anonymous(geometry: Geometry) -> std::io::Result<Region> {
        let map = MmapMut::map_anon(geometry.bytes().max(1))?;
        Region::new(map, geometry).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))
    }

    /// As [`Region::anonymous`], on huge pages if the kernel gives them for the asking.
    ///
    /// # Errors
    /// What `mmap` says.
    pub fn anonymous_huge(geometry: Geometry) -> std::io::Result<Region> {
        const HUGE: usize = 2 << 20;
        let map = MmapMut::map_anon(geometry.bytes().next_multiple_of(HUGE))?;
        // Advice: a kernel without transparent huge pages refuses it.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Region::new(map, geometry).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))
    }

    /// How it is cut.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The region's first byte, for drivers that register it with the kernel or a device.
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// The position of chunk `index`, in units of 64 bytes from the base.
    pub(crate) fn position(&self, index: u32) -> u32 {
        index * (self.geometry.stride / LINE as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_is_an_odd_number_of_lines() {
        for data in [0, 1, 128, 1500, 1984, 2048, 9000, 16_384, usize::MAX] {
            let geometry = Geometry::new(10, data);
            assert_eq!(geometry.stride as usize / LINE % 2, 1, "data {data}");
            assert!(geometry.data() >= data.min(Geometry::MAX_DATA));
            assert!(geometry.stride <= 65_535);
        }
        assert_eq!(Geometry::new(1, 2048).stride, 2496);
        assert_eq!(Geometry::new(1, 1984).stride, 2368);
    }

    #[test]
    fn a_mapping_that_is_too_small_is_refused() {
        let map = MmapMut::map_anon(4096).unwrap();
        assert!(Region::new(map, Geometry::new(2, 2048)).is_none());
    }
}
