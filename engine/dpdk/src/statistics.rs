//! What devices count.

use std::ffi::{CStr, c_void};

use dpdk_sys as dpdk;
use swath_dpdk_abi::{Counts, Visit};

use crate::port::Port;

/// # Safety
/// As [`swath_dpdk_abi::Library::counts`] says.
pub unsafe extern "C" fn counts(port: *mut c_void) -> Counts {
    // SAFETY: the caller has it from `open`.
    let port = unsafe { Port::of(port) };
    let mut found = dpdk::rte_eth_stats::default();
    // SAFETY: the port is open.
    if unsafe { dpdk::rte_eth_stats_get(port.id, &raw mut found) } < 0 {
        return Counts::default();
    }
    Counts { missed: found.imissed, receive_errors: found.ierrors, no_buffer: found.rx_nombuf, transmit_errors: found.oerrors }
}

/// # Safety
/// As [`swath_dpdk_abi::Library::statistics`] says.
pub unsafe extern "C" fn statistics(port: *mut c_void, visit: Visit, context: *mut c_void) {
    // SAFETY: the caller has it from `open`.
    let id = unsafe { Port::of(port) }.id;
    // SAFETY: the port is open; without room for any they say how many there are.
    let count = unsafe { dpdk::rte_eth_xstats_get_names(id, std::ptr::null_mut(), 0) };
    let Ok(count) = usize::try_from(count) else { return };
    let mut names = vec![dpdk::rte_eth_xstat_name::default(); count];
    let mut values = vec![dpdk::rte_eth_xstat::default(); count];
    // SAFETY: there is room for as many.
    let (named, valued) = unsafe {
        (
            dpdk::rte_eth_xstats_get_names(id, names.as_mut_ptr(), count as u32),
            dpdk::rte_eth_xstats_get(id, values.as_mut_ptr(), count as u32),
        )
    };
    let known = usize::try_from(named.min(valued)).unwrap_or(0).min(count);
    for value in &values[..known] {
        let Some(name) = names.get(value.id as usize) else { continue };
        // SAFETY: DPDK ends names with a zero.
        let name = unsafe { CStr::from_ptr(name.name.as_ptr()) }.to_bytes();
        if std::str::from_utf8(name).is_ok() {
            // SAFETY: the caller's function, with the caller's context.
            unsafe { visit(context, name.as_ptr(), name.len(), value.value) };
        }
    }
}
