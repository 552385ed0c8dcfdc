//! Answers of neighbours, where user space takes them and the kernel has asked.
//!
//! With `capture: all-but-ssh` the kernel goes on speaking on the device, and asks for the MAC addresses of neighbours as before. A frame
//! can go to one of both only, so the answers are told to it by netlink: to entries that it has, and that is those of which it has asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::{io, thread};

use swath_api::wire::MacAddr;
use swath_core::privileges::{CapabilitySet, keep};

use crate::drivers::kernel::netlink::Netlink;

/// Answers that may wait to be told.
const WAITING: usize = 256;

/// Who has which MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    address: IpAddr,
    mac: MacAddr,
}

/// The answer in a frame: an ARP reply (RFC 826), or a neighbour advertisement (RFC 4861 §4.4).
#[inline]
pub(super) fn answer(frame: &[u8]) -> Option<Answer> {
    match frame.get(12..14)? {
        [0x08, 0x06] => {
            let arp: &[u8; 28] = frame.get(14..)?.first_chunk()?;
            let is_reply = arp[..8] == [0, 1, 8, 0, 6, 4, 0, 2];
            let (mac, address) = (arp[8..].first_chunk::<6>()?, arp[14..].first_chunk::<4>()?);
            is_reply.then(|| Answer { address: Ipv4Addr::from(*address).into(), mac: MacAddr::from(*mac) })
        }
        [0x86, 0xdd] => {
            // ICMPv6 with a hop limit of 255, type 136.
            let packet = frame.get(14..)?;
            if packet.get(6..8)? != [58, 255] || *packet.get(40)? != 136 {
                return None;
            }
            let address: [u8; 16] = *packet.get(48..)?.first_chunk()?;
            let [kind, length, mac @ ..] = packet.get(64..)?.first_chunk::<8>()?;
            // The target's link-layer address, as the first option.
            (*kind == 2 && *length == 1).then(|| Answer { address: Ipv6Addr::from(address).into(), mac: MacAddr::from(*mac) })
        }
        _ => None,
    }
}

/// Starts the thread that tells the kernel; it ends when the last sender is gone. `device`: the index of the device as it is now.
///
/// # Errors
/// The system refuses.
pub(super) fn tell_kernel(device: &Arc<AtomicU32>) -> io::Result<SyncSender<Answer>> {
    let (sender, receiver) = sync_channel::<Answer>(WAITING);
    let (device, mut netlink) = (Arc::clone(device), Netlink::open()?);
    let body = move || {
        // With more of them it does not do anything else.
        let _ = keep(CapabilitySet::NET_ADMIN);
        while let Ok(Answer { address, mac }) = receiver.recv() {
            // It has not asked, or has its answer already.
            let _ = netlink.confirm_neighbour(device.load(Ordering::Relaxed), address, mac);
        }
    };
    thread::Builder::new().name("neighbours".into()).spawn(body)?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_and_questions_are_not() {
        let header = |kind: [u8; 2]| [&[2u8, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &kind].concat();
        let arp = |operation: u8| {
            let body = [0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1];
            [header([8, 6]), body.to_vec()].concat()
        };
        let mac = MacAddr::from([2, 0, 0, 0, 0, 2]);
        assert_eq!(answer(&arp(2)), Some(Answer { address: "10.0.0.2".parse().unwrap(), mac }));
        assert_eq!(answer(&arp(1)), None);
        let advertisement = |kind: u8, limit: u8| {
            let mut frame = [header([0x86, 0xdd]), vec![0x60, 0, 0, 0, 0, 32, 58, limit], vec![0xfe; 32]].concat();
            frame.extend([kind, 0, 0, 0, 0x60, 0, 0, 0]);
            frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
            frame.extend([2, 1, 2, 0, 0, 0, 0, 2]);
            frame
        };
        assert_eq!(answer(&advertisement(136, 255)), Some(Answer { address: "2001:db8::7".parse().unwrap(), mac }));
        assert_eq!(answer(&advertisement(135, 255)), None);
        assert_eq!(answer(&advertisement(136, 64)), None, "from another link");
        for whole in [arp(2), advertisement(136, 255)] {
            assert!((0..whole.len()).all(|len| answer(&whole[..len]).is_none()));
        }
    }
}
