//! Two things that only the processor can do: fetch a line early and read its clock.

/// Asks for the cache line of `value`, soon to be read; changes nothing.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of every x86-64, and a prefetch reads nothing architecturally.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Asks for the cache line at an address, which may be any: a prefetch does not fault.
#[inline(always)]
pub fn prefetch_at(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of every x86-64, and a prefetch reads nothing architecturally, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Prefetches `slice[index]`; an index outside the slice is ignored, so look-ahead needs no test.
#[inline(always)]
pub fn prefetch_slice<T>(slice: &[T], index: usize) {
    if let Some(value) = slice.get(index) {
        prefetch(value);
    }
}

/// The processor's time stamp counter: cheap, monotonic on one core, and in ticks, not nanoseconds.
///
/// Where there is none that user space may read, nanoseconds since the first call.
#[inline(always)]
pub fn tsc() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 has RDTSC; reading it touches no memory.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        use std::{sync::OnceLock, time::Instant};
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefetch_ignores_what_is_out_of_range() {
        let values = [1u64, 2, 3];
        for index in [0, 2, 3, 4, usize::MAX] {
            prefetch_slice(&values, index);
        }
        prefetch_slice::<u64>(&[], 0);
        prefetch(&());
    }

    #[test]
    fn the_clock_does_not_go_back() {
        let mut last = tsc();
        for _ in 0..1000 {
            let now = tsc();
            assert!(now >= last);
            last = now;
        }
    }
}
