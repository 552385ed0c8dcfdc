//! What devices count.

use std::ffi::c_void;
use std::ptr::null_mut;

use dpdk_sys as dpdk;
use swath_dpdk_abi::{Counts, FIGURES, Figure};

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
/// As [`swath_dpdk_abi::Library::figures`] says.
pub unsafe extern "C" fn figures(port: *mut c_void, figures: *mut Figure) -> u32 {
    // SAFETY: the caller has it from `open`.
    let port = unsafe { Port::of(port) };
    // SAFETY: the port is open; without room, it says how many there are.
    let count = unsafe { dpdk::rte_eth_xstats_get_names(port.id, null_mut(), 0) };
    let count = usize::try_from(count).unwrap_or(0);
    let mut names = vec![dpdk::rte_eth_xstat_name::default(); count];
    let mut values = vec![dpdk::rte_eth_xstat::default(); count];
    // SAFETY: the port is open, and there is room for `count` of each.
    let (named, valued) = unsafe {
        let named = dpdk::rte_eth_xstats_get_names(port.id, names.as_mut_ptr(), count as u32);
        (named, dpdk::rte_eth_xstats_get(port.id, values.as_mut_ptr(), count as u32))
    };
    // Had there been more meanwhile, it would have written none.
    let known = [named, valued].into_iter().all(|number| usize::try_from(number).is_ok_and(|number| number <= count));
    let most = if known { usize::min(named.min(valued) as usize, FIGURES) } else { 0 };
    for (at, value) in values[..most].iter().enumerate() {
        let mut figure = Figure { name: [0; 64], value: value.value };
        let name = names.get(value.id as usize).map_or(&[][..], |name| &name.name[..]);
        figure.name[..63].iter_mut().zip(name).for_each(|(to, from)| *to = *from as u8);
        // SAFETY: there is room for `FIGURES`.
        unsafe { figures.add(at).write(figure) };
    }
    most as u32
}
