//! A device of DPDK, from its discovery to its end.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use dpdk_sys as dpdk;
use swath_dpdk_abi::{BURST, Link, Message, Opened, PortRequest};

use crate::eal::{last_error, words};
use crate::memory::Memory;

/// Hashes both directions of a flow alike: Woo and Park, Scalable TCP Session Monitoring with Symmetric Receive-side Scaling, 2012.
const SYMMETRIC: [u8; 2] = [0x6d, 0x5a];
/// The longest key of a device that is known.
const KEY: usize = 64;

/// A device that is open.
pub struct Port {
    pub id: u16,
    device: *mut dpdk::rte_device,
    memory: *mut c_void,
    queues: Vec<TransmitQueue>,
    // Receive queues that are rings within this process.
    rings: u16,
    // Of a port that is started again while its queues are in use: who uses them reads, who starts it writes.
    gate: Option<RwLock<()>>,
}

/// A transmit queue, which is locked if it has to do for several workers.
pub struct TransmitQueue {
    pub number: u16,
    lock: Option<Mutex<()>>,
}

impl TransmitQueue {
    #[inline]
    pub fn lock(&self) -> Option<MutexGuard<'_, ()>> {
        self.lock.as_ref().map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Port {
    /// # Safety
    /// A pointer that [`open`] has returned, and that was not given to [`close`].
    #[inline(always)]
    pub unsafe fn of<'a>(port: *mut c_void) -> &'a Port {
        // SAFETY: as the caller promises.
        unsafe { &*port.cast::<Port>() }
    }

    #[inline(always)]
    pub fn memory(&self) -> &Memory {
        // SAFETY: a pool outlives its ports.
        unsafe { Memory::of(self.memory) }
    }

    /// Held while packets come and go. `None` if they cannot now.
    #[inline(always)]
    pub fn pass(&self) -> Option<Option<RwLockReadGuard<'_, ()>>> {
        match &self.gate {
            None => Some(None),
            Some(gate) => gate.try_read().ok().map(Some),
        }
    }

    /// Frees what lies in the rings of `net_ring`, which frees those alone: from a ring to itself, so what is on its way is received.
    ///
    /// # Safety
    /// Nobody uses its queues.
    unsafe fn empty(&self) {
        let mut mbufs = [null_mut(); BURST];
        for queue in 0..self.rings {
            loop {
                // SAFETY: as the caller promises, and there is room for as many as are asked for, each of which is ours then.
                let got = unsafe { dpdk::swath_rte_eth_rx_burst(self.id, queue, mbufs.as_mut_ptr(), BURST as u16) };
                // SAFETY: as above.
                mbufs[..usize::from(got)].iter().for_each(|mbuf| unsafe { dpdk::swath_rte_pktmbuf_free(*mbuf) });
                if got == 0 {
                    break;
                }
            }
        }
    }

    /// The queue of a worker.
    #[inline(always)]
    pub fn transmit_queue(&self, worker: u16) -> &TransmitQueue {
        &self.queues[usize::from(worker) % self.queues.len()]
    }
}

/// # Safety
/// As [`swath_dpdk_abi::Library::open`] says.
pub unsafe extern "C" fn open(request: *const PortRequest, opened: *mut Opened, message: *mut Message) -> *mut c_void {
    // SAFETY: all of them are what the caller promises.
    let (request, opened, message) = unsafe { (&*request, &mut *opened, &mut *message) };
    // SAFETY: as above; the string ends with a zero.
    let device = unsafe { CStr::from_ptr(request.device) };
    match probe(device).and_then(|id| start(id, request, opened)) {
        Ok(port) => Box::into_raw(Box::new(port)).cast(),
        Err(error) => {
            message.set(&error);
            null_mut()
        }
    }
}

/// Has DPDK find a device, which it did not have.
fn probe(device: &CStr) -> Result<u16, String> {
    // SAFETY: the string ends with a zero.
    if unsafe { dpdk::rte_dev_probe(device.as_ptr()) } < 0 {
        return Err(format!("DPDK does not find it, or cannot use it: {}", words(last_error())));
    }
    let mut id = 0;
    // SAFETY: as above.
    if unsafe { dpdk::swath_rte_eth_dev_get_port(device.as_ptr(), &raw mut id) } < 0 {
        return Err("it is a device of DPDK, and none for packets".into());
    }
    Ok(id)
}

/// Gives a device back.
///
/// # Safety
/// The port is DPDK's, and nobody uses its queues.
unsafe fn remove(id: u16, device: *mut dpdk::rte_device) {
    // SAFETY: as the caller promises. Errors are logged by DPDK, and nothing can be done about them.
    unsafe {
        dpdk::rte_eth_dev_stop(id);
        dpdk::rte_eth_dev_close(id);
        dpdk::rte_dev_remove(device);
    }
}

fn start(id: u16, request: &PortRequest, opened: &mut Opened) -> Result<Port, String> {
    let mut info = dpdk::rte_eth_dev_info::default();
    // SAFETY: the port is one that DPDK has just found.
    let known = unsafe { dpdk::rte_eth_dev_info_get(id, &raw mut info) };
    if known < 0 {
        return Err(format!("nothing is known of it: {}", words(known)));
    }
    let done = configure(id, request, &info, opened);
    if let Err(error) = done {
        // SAFETY: it has no queues that anybody knows.
        unsafe { remove(id, info.device) };
        return Err(error);
    }
    let shared = opened.transmit_queues < request.transmit_queues;
    let queue = |number| TransmitQueue { number, lock: shared.then(Mutex::default) };
    let queues = (0..opened.transmit_queues).map(queue).collect();
    let gate = request.revives.then(RwLock::default);
    // SAFETY: DPDK gives a string that ends with a zero.
    let is_ring = unsafe { CStr::from_ptr(info.driver_name) } == c"net_ring";
    let rings = if is_ring { opened.receive_queues } else { 0 };
    Ok(Port { id, device: info.device, memory: request.pool, queues, rings, gate })
}

fn configure(id: u16, request: &PortRequest, info: &dpdk::rte_eth_dev_info, opened: &mut Opened) -> Result<(), String> {
    // SAFETY: the caller has it from `pool`.
    let memory = unsafe { Memory::of(request.pool) };
    if is_real(request) {
        // SAFETY: the device is that of the port.
        unsafe { memory.map_for(info.device) }?;
    }
    let said = |what: &str, status: c_int| if status < 0 { Err(format!("{what}: {}", words(status))) } else { Ok(()) };
    let (receive, transmit) =
        (request.receive_queues.min(info.max_rx_queues).max(1), request.transmit_queues.min(info.max_tx_queues).max(1));
    let mut settings = dpdk::rte_eth_conf::default();
    let mut key = [0; KEY];
    key.chunks_exact_mut(2).for_each(|bytes| bytes.copy_from_slice(&SYMMETRIC));
    // SAFETY: DPDK exports these numbers.
    let flows = unsafe { dpdk::SWATH_RSS_IP | dpdk::SWATH_RSS_TCP | dpdk::SWATH_RSS_UDP } & info.flow_type_rss_offloads;
    let key_size = usize::from(info.hash_key_size);
    if receive > 1 && flows != 0 && key_size <= KEY {
        settings.rxmode.mq_mode = dpdk::rte_eth_rx_mq_mode_RTE_ETH_MQ_RX_RSS;
        let hash = &mut settings.rx_adv_conf.rss_conf;
        hash.rss_hf = flows;
        if key_size > 0 {
            (hash.rss_key, hash.rss_key_len) = (key.as_mut_ptr(), info.hash_key_size);
        }
    }
    if request.mtu != 0 {
        settings.rxmode.mtu = u32::from(request.mtu);
    }
    // SAFETY: the structures live as long as the calls, which copy them.
    unsafe {
        said("it cannot be configured", dpdk::rte_eth_dev_configure(id, receive, transmit, &raw const settings))?;
        let (mut received, mut sent) = (
            descriptors(request.receive_descriptors, info.default_rxportconf.ring_size),
            descriptors(request.transmit_descriptors, info.default_txportconf.ring_size),
        );
        said("descriptors", dpdk::rte_eth_dev_adjust_nb_rx_tx_desc(id, &raw mut received, &raw mut sent))?;
        let socket = c_int::max(dpdk::rte_eth_dev_socket_id(id), 0) as u32;
        for queue in 0..receive {
            let status = dpdk::rte_eth_rx_queue_setup(id, queue, received, socket, std::ptr::null(), memory.mempool());
            said(&format!("receive queue {queue}"), status)?;
        }
        for queue in 0..transmit {
            let status = dpdk::rte_eth_tx_queue_setup(id, queue, sent, socket, std::ptr::null());
            said(&format!("transmit queue {queue}"), status)?;
        }
        if request.mtu != 0 {
            let status = dpdk::rte_eth_dev_set_mtu(id, request.mtu);
            // Of a device whose MTU cannot be set nothing says what it carries.
            if status != -ENOTSUP {
                said(&format!("an MTU of {} bytes", request.mtu), status)?;
            }
        }
        let started = dpdk::rte_eth_dev_start(id);
        if !request.revives {
            said("it cannot be started", started)?;
        }
        if request.promiscuous {
            let status = dpdk::rte_eth_promiscuous_enable(id);
            if status != -ENOTSUP {
                said("promiscuous mode", status)?;
            }
        }
        let (mut mac, mut mtu) = (dpdk::rte_ether_addr::default(), 0);
        dpdk::rte_eth_macaddr_get(id, &raw mut mac);
        dpdk::rte_eth_dev_get_mtu(id, &raw mut mtu);
        let driver = CStr::from_ptr(info.driver_name).to_bytes();
        *opened = Opened { mac: mac.addr_bytes, mtu, receive_queues: receive, transmit_queues: transmit, driver: [0; 32] };
        opened.driver.iter_mut().zip(driver).for_each(|(to, from)| *to = *from);
    }
    Ok(())
}

const ENOTSUP: c_int = 95;

/// Whether a device is none of software: those have addresses such as `0000:03:00.0`.
fn is_real(request: &PortRequest) -> bool {
    // SAFETY: the string ends with a zero.
    let device = unsafe { CStr::from_ptr(request.device) }.to_bytes();
    device.split(|byte| *byte == b',').next().is_some_and(|name| name.contains(&b':'))
}

/// What is asked, or what the device likes, or what most like.
fn descriptors(asked: u16, liked: u16) -> u16 {
    const USUAL: u16 = 1024;
    [asked, liked, USUAL].into_iter().find(|count| *count != 0).unwrap_or(USUAL)
}

/// # Safety
/// As [`swath_dpdk_abi::Library::close`] says.
pub unsafe extern "C" fn close(port: *mut c_void) {
    // SAFETY: the caller gives it back, and no queue of it is in use.
    let port = unsafe { Box::from_raw(port.cast::<Port>()) };
    // SAFETY: as above.
    unsafe {
        port.empty();
        dpdk::rte_eth_dev_stop(port.id);
        port.memory().unmap_for(port.device);
        remove(port.id, port.device);
    }
}

/// # Safety
/// As [`swath_dpdk_abi::Library::link`] says.
pub unsafe extern "C" fn link(port: *mut c_void) -> Link {
    // SAFETY: the caller has it from `open`.
    let port = unsafe { Port::of(port) };
    let mut link = dpdk::rte_eth_link::default();
    // SAFETY: the port is open.
    let status = unsafe { dpdk::rte_eth_link_get_nowait(port.id, &raw mut link) };
    // SAFETY: as above.
    let is_gone = unsafe { dpdk::rte_eth_dev_is_removed(port.id) } != 0;
    // SAFETY: both read the structure.
    let (is_up, speed) =
        unsafe { (dpdk::swath_rte_eth_link_is_up(&raw const link) != 0, dpdk::swath_rte_eth_link_speed(&raw const link)) };
    Link { is_up: status >= 0 && is_up && !is_gone, speed, is_gone }
}

/// # Safety
/// As [`swath_dpdk_abi::Library::revive`] says.
pub unsafe extern "C" fn revive(port: *mut c_void) {
    // SAFETY: the caller has it from `open`.
    let port = unsafe { Port::of(port) };
    let Some(gate) = &port.gate else { return };
    let shut = gate.write().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the port is open, and its queues are used by nobody while the gate is shut.
    unsafe {
        dpdk::rte_eth_dev_stop(port.id);
        dpdk::rte_eth_dev_start(port.id);
    }
    drop(shut);
}
