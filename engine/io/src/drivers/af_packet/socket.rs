//! Packet sockets (packet(7)).

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::settings::Fanout;

/// Bytes that wait in the kernel to be sent, at most. The default of 208 KiB is less than a vector of packets of 1500 bytes, each of which
/// counts for 2304.
const SEND_BUFFER: usize = 4 << 20;
/// Packets that are handed to the kernel in one call.
pub(super) const BATCH: usize = 64;

/// A packet socket.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// A socket that receives nothing yet.
    ///
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub fn new() -> io::Result<Socket> {
        // SAFETY: no memory is involved.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
        Ok(Socket(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// A socket that sends by a device.
    pub fn sender(index: u32) -> io::Result<Socket> {
        let socket = Socket::new()?;
        // The privilege to raise it above the system's limit may be missing: then it is as large as may be.
        let fd = socket.0.as_fd();
        let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(fd, SEND_BUFFER)
            .or_else(|_| rustix::net::sockopt::set_socket_send_buffer_size(fd, SEND_BUFFER));
        socket.bind(index, 0)?;
        Ok(socket)
    }

    /// Binds it to a device; it receives the packets of a protocol, or none with 0.
    pub fn bind(&self, index: u32, protocol: u16) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: protocol.to_be(),
            sll_ifindex: index as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the address lives during the call, and the length is its own.
        let done = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32) };
        check(done).map(drop)
    }

    /// Sets an option of the packet layer.
    pub fn set<T: Copy>(&self, option: i32, value: &T) -> io::Result<()> {
        let (at, len) = ((&raw const *value).cast(), size_of_val(value) as u32);
        // SAFETY: the kernel reads `len` bytes at `at`, which are the value's; it lives during the call.
        check(unsafe { libc::setsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, option, at, len) }).map(drop)
    }

    /// Receives what is for other addresses, too. The kernel undoes this when the socket is closed.
    pub fn promiscuous(&self, index: u32) -> io::Result<()> {
        let kind = libc::PACKET_MR_PROMISC as u16;
        let request = libc::packet_mreq { mr_ifindex: index as i32, mr_type: kind, mr_alen: 0, mr_address: [0; 8] };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Joins the group of sockets that the packets of a device are dealt to; without a group it makes one. Returns the group.
    pub fn join(&self, group: Option<u16>, fanout: Fanout) -> io::Result<u16> {
        let mode = match fanout {
            Fanout::Hash => libc::PACKET_FANOUT_HASH,
            Fanout::Cpu => libc::PACKET_FANOUT_CPU,
        };
        // Without a group the kernel chooses a number that nobody uses.
        let unique = if group.is_none() { libc::PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
        // A group does not know what its sockets ignore.
        let flags = mode | unique | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
        self.set(libc::PACKET_FANOUT, &(u32::from(group.unwrap_or(0)) | flags << 16))?;
        match group {
            Some(group) => Ok(group),
            None => self.get(libc::PACKET_FANOUT).map(|[value, _]| value as u16),
        }
    }

    /// Packets that the kernel had no room for since this was last asked.
    pub fn lost(&self) -> u64 {
        self.get(libc::PACKET_STATISTICS).map_or(0, |[_, lost]| lost.into())
    }

    /// Reads an option of the packet layer that consists of one or two words.
    fn get(&self, option: i32) -> io::Result<[u32; 2]> {
        let mut value = [0u32; 2];
        let mut len = size_of_val(&value) as u32;
        // SAFETY: the kernel writes at most `len` bytes to the value, of which any pattern is one.
        check(unsafe { libc::getsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, option, (&raw mut value).cast(), &raw mut len) })?;
        Ok(value)
    }

    /// Clears the error that a device leaves when it goes down: until then the socket is always ready.
    pub fn clear_error(&self) {
        let _ = rustix::net::sockopt::socket_error(&self.0);
    }

    /// Sends frames in their order. Returns how many: at least one.
    ///
    /// # Errors
    /// Why the first was not sent.
    pub fn send(&self, frames: &[&[u8]]) -> io::Result<usize> {
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: all zeros is a message without address, data and control information.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let count = frames.len().min(BATCH);
        for ((part, message), frame) in parts.iter_mut().zip(&mut messages).zip(frames) {
            *part = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: the first `count` messages point to one part each, and each part to a frame; all of them live during the call. The
        // kernel reads the frames and writes `msg_len` of the messages.
        let sent = unsafe { libc::sendmmsg(self.0.as_raw_fd(), messages.as_mut_ptr(), count as u32, libc::MSG_DONTWAIT) };
        check(sent).map(|sent| sent as usize)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn check(done: i32) -> io::Result<i32> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
}
