//! `/dev/net/tun` (`Documentation/networking/tuntap.rst`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::offload::VnetHeader;

const CLONE: &str = "/dev/net/tun";
/// What senders may leave to us: checksums and cutting, see [`crate::offload`].
const OFFLOADS: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// Cutting UDP (Linux 6.2).
const UDP_OFFLOADS: u32 = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// Why a tap cannot be had.
#[derive(Debug)]
pub(super) enum Refused {
    /// Its control file cannot be opened.
    Control(io::Error),
    /// The device cannot be made or attached to.
    Device(io::Error),
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> io::Error {
        let (Refused::Control(error) | Refused::Device(error)) = refused;
        error
    }
}

/// Opens the queues of a tap, which is made if it does not exist.
pub(super) fn open(name: &str, queues: usize) -> Result<Vec<File>, Refused> {
    (0..queues).map(|_| queue(name, queues > 1)).collect()
}

fn queue(name: &str, is_one_of_several: bool) -> Result<File, Refused> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(CLONE).map_err(Refused::Control)?;
    // SAFETY: all zeros is a request without name and flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte less than there are: the last stays zero. `check_name` has refused longer names.
    for (place, byte) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    let several = if is_one_of_several { libc::IFF_MULTI_QUEUE } else { 0 };
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | several) as libc::c_short;
    // SAFETY: the request lives during the call, which reads and writes it.
    ioctl(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) }).map_err(Refused::Device)?;
    // Who was attached before may have chosen another length.
    let length = VnetHeader::LEN as libc::c_int;
    // SAFETY: the integer lives during the call, which reads it.
    ioctl(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETVNETHDRSZ as _, &raw const length) }).map_err(Refused::Device)?;
    offload(&file, OFFLOADS | UDP_OFFLOADS).or_else(|_| offload(&file, OFFLOADS)).map_err(Refused::Device)?;
    Ok(file)
}

fn offload(file: &File, offloads: u32) -> io::Result<()> {
    // SAFETY: the argument is a number.
    ioctl(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD as _, libc::c_ulong::from(offloads)) })
}

fn ioctl(done: libc::c_int) -> io::Result<()> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
