//! What devices count.

use std::ffi::c_void;

use dpdk_sys as dpdk;
use swath_dpdk_abi::Counts;

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
