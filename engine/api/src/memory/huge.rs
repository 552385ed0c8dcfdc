//! Arrays for tables that are too large for normal pages.

use std::fmt;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};
use zerocopy::FromZeros;

/// Bytes of a huge page on x86-64.
const HUGE: usize = 2 << 20;

/// A zeroed array, aligned to 2 MiB and advised to lie on huge pages, whose memory is committed when it is first written.
/// Many may share one of atomics; whoever owns one of plain values writes it through `&mut`.
///
/// Random look-ups in tables of megabytes pay for TLB misses on normal pages; huge pages save a third to a half (measured).
pub struct HugeArray<T> {
    first: *mut T,
    len: usize,
    _map: MmapMut,
    _type: PhantomData<T>,
}

// SAFETY: it owns its memory and lends it as a `Box<[T]>` does.
unsafe impl<T: Send> Send for HugeArray<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for HugeArray<T> {}

impl<T: FromZeros> HugeArray<T> {
    /// An array of `len` zeroes.
    ///
    /// # Errors
    /// What `mmap` says when the address space cannot be had.
    pub fn new(len: usize) -> std::io::Result<HugeArray<T>> {
        const { assert!(!needs_drop::<T>() && align_of::<T>() <= HUGE) };
        let bytes = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(HUGE));
        let bytes = bytes.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        let mut map = MmapMut::map_anon(bytes)?;
        // Advice: a kernel without transparent huge pages refuses it, and the array is as right on normal pages.
        #[cfg(target_os = "linux")]
        let _ = map.advise(Advice::HugePage);
        let start = map.as_mut_ptr();
        let first = start.wrapping_add(start.align_offset(HUGE)).cast::<T>();
        Ok(HugeArray { first, len, _map: map, _type: PhantomData })
    }
}

impl<T> Deref for HugeArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping has `len * size_of::<T>()` bytes behind the first 2 MiB boundary (2 MiB more were asked for), they are
        // zero at first, which is a value of T by `FromZeros` (`new` is the only constructor), and they live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}

impl<T> DerefMut for HugeArray<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes it the only view, of memory that nobody else knows.
        unsafe { std::slice::from_raw_parts_mut(self.first, self.len) }
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
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    #[test]
    fn it_is_zeroed_aligned_and_keeps_what_is_stored() {
        let array = HugeArray::<AtomicU32>::new(1 << 20).unwrap();
        assert_eq!(array.as_ptr() as usize % HUGE, 0);
        assert_eq!(array.len(), 1 << 20);
        array[(1 << 20) - 1].store(7, Ordering::Relaxed);
        assert_eq!((array[0].load(Ordering::Relaxed), array[(1 << 20) - 1].load(Ordering::Relaxed)), (0, 7));
        assert!(HugeArray::<AtomicU64>::new(usize::MAX / 4).is_err());
    }

    #[test]
    fn its_owner_writes_plain_values() {
        let mut array = HugeArray::<[u64; 2]>::new(1000).unwrap();
        array[999] = [1, 2];
        assert_eq!((array[998], array[999]), ([0, 0], [1, 2]));
    }
}
