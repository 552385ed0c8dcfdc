//! A membership that lets a device receive what is for other addresses. The kernel undoes it when the descriptor is closed.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// As long as it lives, the device is promiscuous.
#[derive(Debug)]
pub(super) struct Promiscuous(#[expect(dead_code, reason = "is closed when it is dropped")] OwnedFd);

impl Promiscuous {
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub fn new(device: u32) -> io::Result<Promiscuous> {
        // SAFETY: no memory is involved. Of no protocol it receives nothing.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let kind = libc::PACKET_MR_PROMISC as u16;
        let request = libc::packet_mreq { mr_ifindex: device as i32, mr_type: kind, mr_alen: 0, mr_address: [0; 8] };
        let (option, at, len) = (libc::PACKET_ADD_MEMBERSHIP, (&raw const request).cast(), size_of_val(&request) as u32);
        // SAFETY: the kernel reads `len` bytes at `at`, which are the request's; it lives during the call.
        let done = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, option, at, len) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(Promiscuous(fd)) }
    }
}
