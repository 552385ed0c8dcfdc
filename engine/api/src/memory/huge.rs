//! Arrays for tables that are too large for normal pages.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64};

use memmap2::{Advice, MmapMut};

/// Bytes of a huge page on x86-64.
const HUGE: usize = 2 << 20;

/// Types whose all-zero bytes are a value, and which may be shared.
///
/// # Safety
/// The all-zero byte pattern must be a valid value, and the type must need no drop.
pub unsafe trait Zeroable: Sync + Send {}
// SAFETY: an atomic integer has the layout of the integer, zero is one of its values, and it has no drop.
unsafe impl Zeroable for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroable for AtomicU64 {}

/// A zeroed array, aligned to 2 MiB and advised to lie on huge pages, whose memory is committed when it is first written.
///
/// Random look-ups in tables of megabytes pay for TLB misses on normal pages; huge pages save a third to a half (measured).
pub struct HugeArray<T> {
    first: *const T,
    len: usize,
    _map: MmapMut,
    _type: PhantomData<T>,
}

// SAFETY: it owns its memory and gives out only `&[T]`, with T: Send + Sync by `Zeroable`.
unsafe impl<T: Zeroable> Send for HugeArray<T> {}
// SAFETY: as above.
unsafe impl<T: Zeroable> Sync for HugeArray<T> {}

impl<T: Zeroable> HugeArray<T> {
    /// An array of `len` zeroes.
    ///
    /// # Errors
    /// What `mmap` says when the address space cannot be had.
    pub fn new(len: usize) -> std::io::Result<HugeArray<T>> {
        let bytes = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(HUGE));
        let bytes = bytes.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        let mut map = MmapMut::map_anon(bytes)?;
        // Advice: a kernel without transparent huge pages refuses it, and the array is as right on normal pages.
        #[cfg(target_os = "linux")]
        let _ = map.advise(Advice::HugePage);
        let start = map.as_mut_ptr();
        let first = start.wrapping_add(start.align_offset(HUGE)).cast::<T>().cast_const();
        Ok(HugeArray { first, len, _map: map, _type: PhantomData })
    }
}

impl<T> Deref for HugeArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping has `len * size_of::<T>()` bytes behind the first 2 MiB boundary (2 MiB more were asked for), they are
        // zero at first, which is a value of T by `Zeroable` (`new` is the only constructor), and they live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}

impl<T> fmt::Debug for HugeArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HugeArray({} x {} bytes)", self.len, size_of::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn it_is_zeroed_aligned_and_keeps_what_is_stored() {
        let array = HugeArray::<AtomicU32>::new(1 << 20).unwrap();
        assert_eq!(array.as_ptr() as usize % HUGE, 0);
        assert_eq!(array.len(), 1 << 20);
        array[(1 << 20) - 1].store(7, Ordering::Relaxed);
        assert_eq!((array[0].load(Ordering::Relaxed), array[(1 << 20) - 1].load(Ordering::Relaxed)), (0, 7));
        assert!(HugeArray::<AtomicU64>::new(usize::MAX / 4).is_err());
    }
}
