//! The fields of an `rte_mbuf`.

use std::ffi::c_void;

use dpdk_sys as dpdk;

/// Bytes of it.
pub const SIZE: usize = dpdk::SWATH_MBUF_SIZE as usize;

/// A pointer to an `rte_mbuf`.
#[derive(Clone, Copy)]
pub struct Mbuf(pub *mut dpdk::rte_mbuf);

impl Mbuf {
    /// # Safety
    /// The `rte_mbuf` is ours, and a `T` is at this place of it.
    #[inline(always)]
    unsafe fn get<T: Copy>(self, at: u32) -> T {
        // SAFETY: as the caller promises; DPDK aligns its fields.
        unsafe { self.0.byte_add(at as usize).cast::<T>().read() }
    }

    /// # Safety
    /// As [`Mbuf::get`].
    #[inline(always)]
    unsafe fn set<T>(self, at: u32, value: T) {
        // SAFETY: as above.
        unsafe { self.0.byte_add(at as usize).cast::<T>().write(value) }
    }

    /// Makes it that of a chunk which is nobody's packet yet.
    ///
    /// # Safety
    /// Its bytes are ours. `data` is what it describes, `private` bytes behind it.
    pub unsafe fn make(self, data: *mut u8, length: u16, private: u16, pool: *mut dpdk::rte_mempool) {
        // SAFETY: as the caller promises.
        unsafe {
            self.0.cast::<u8>().write_bytes(0, SIZE);
            self.set(dpdk::SWATH_MBUF_BUF_ADDR, data);
            self.set(dpdk::SWATH_MBUF_BUF_IOVA, data as u64);
            self.set(dpdk::SWATH_MBUF_BUF_LEN, length);
            self.set(dpdk::SWATH_MBUF_PRIV_SIZE, private);
            self.set(dpdk::SWATH_MBUF_POOL, pool.cast::<c_void>());
            self.set(dpdk::SWATH_MBUF_DATA_OFF, dpdk::RTE_PKTMBUF_HEADROOM as u16);
            self.set(dpdk::SWATH_MBUF_REFCNT, 1_u16);
            self.set(dpdk::SWATH_MBUF_NB_SEGS, 1_u16);
            self.set(dpdk::SWATH_MBUF_PORT, u16::MAX);
        }
    }

    /// Says which bytes of its chunk are the packet, and that there is nothing else to say.
    ///
    /// # Safety
    /// The `rte_mbuf` is ours.
    #[inline(always)]
    pub unsafe fn describe(self, offset: u16, length: u16) {
        // SAFETY: as the caller promises.
        unsafe {
            self.set(dpdk::SWATH_MBUF_DATA_OFF, offset);
            self.set(dpdk::SWATH_MBUF_OL_FLAGS, 0_u64);
            self.set(dpdk::SWATH_MBUF_PKT_LEN, u32::from(length));
            self.set(dpdk::SWATH_MBUF_DATA_LEN, length);
        }
    }

    /// Where its packet is: bytes behind the start of what it describes, and how many.
    ///
    /// # Safety
    /// The `rte_mbuf` is ours.
    #[inline(always)]
    pub unsafe fn place(self) -> (u16, u16) {
        // SAFETY: as the caller promises.
        unsafe { (self.get(dpdk::SWATH_MBUF_DATA_OFF), self.get(dpdk::SWATH_MBUF_DATA_LEN)) }
    }

    /// Whether its packet is whole, in a chunk of this pool.
    ///
    /// # Safety
    /// The `rte_mbuf` is ours.
    #[inline(always)]
    pub unsafe fn is_whole(self, pool: *mut dpdk::rte_mempool) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            self.get::<u16>(dpdk::SWATH_MBUF_NB_SEGS) == 1 && self.get::<*mut dpdk::rte_mempool>(dpdk::SWATH_MBUF_POOL) == pool
        }
    }

    /// Other than 0 if its packet is in several pieces, in a chunk of another pool than this, or has any of these flags.
    ///
    /// # Safety
    /// The `rte_mbuf` is ours.
    #[inline(always)]
    pub unsafe fn oddities(self, pool: *mut dpdk::rte_mempool, flags: u64) -> u64 {
        // SAFETY: as the caller promises.
        unsafe {
            let pieces = u64::from(self.get::<u16>(dpdk::SWATH_MBUF_NB_SEGS) ^ 1);
            let other = self.get::<usize>(dpdk::SWATH_MBUF_POOL) ^ pool as usize;
            pieces | other as u64 | self.get::<u64>(dpdk::SWATH_MBUF_OL_FLAGS) & flags
        }
    }

    /// The VLAN tag that was taken off.
    ///
    /// # Safety
    /// The `rte_mbuf` is ours.
    #[inline(always)]
    pub unsafe fn stripped(self) -> Option<u16> {
        // SAFETY: as the caller promises; DPDK exports the number.
        unsafe {
            let is_stripped = self.get::<u64>(dpdk::SWATH_MBUF_OL_FLAGS) & dpdk::SWATH_RX_VLAN_STRIPPED != 0;
            is_stripped.then(|| self.get(dpdk::SWATH_MBUF_VLAN_TCI))
        }
    }
}
