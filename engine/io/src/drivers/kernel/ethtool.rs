//! What the driver of a device says of itself (`SIOCETHTOOL`, linux/ethtool.h), in the network namespace of the calling thread.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use serde::Serialize;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GET_DRIVER: u32 = 0x3;
const GET_FLAGS: u32 = 0x25;
const GET_TSO: u32 = 0x1e;
const GET_GSO: u32 = 0x23;
const GET_GRO: u32 = 0x2b;
const GET_CHANNELS: u32 = 0x3c;
/// Bits of the flags: `ETH_FLAG_TXVLAN`, `ETH_FLAG_RXVLAN`, `ETH_FLAG_LRO`.
const TX_VLAN: u32 = 1 << 7;
const RX_VLAN: u32 = 1 << 8;
const LRO: u32 = 1 << 15;
/// `struct ethtool_drvinfo`, in words.
const DRIVER: usize = 49;
/// `struct ethtool_channels`, in words.
const CHANNELS: usize = 9;

/// A socket to ask by.
pub struct Ethtool(OwnedFd);

/// The driver of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Where the device is attached, such as `0000:00:1f.6`; empty if it is made of software.
    pub bus: String,
}

/// What a device does to packets before a driver of swath sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Offloads {
    /// It takes VLAN tags off.
    pub rx_vlan: bool,
    /// It merges packets of a flow (large receive offload).
    pub lro: bool,
    /// The kernel merges packets of a flow (generic receive offload).
    pub gro: bool,
}

/// What a device leaves to be done to packets that it sends: the kernel hands them on so, if the next device is one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Undone {
    /// To cut them into segments.
    pub segments: bool,
    /// To put VLAN tags in.
    pub tags: bool,
}

impl Ethtool {
    /// # Errors
    /// The system refuses.
    pub fn open() -> io::Result<Ethtool> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        Ok(Ethtool(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?))
    }

    /// The driver of a device.
    ///
    /// # Errors
    /// What the kernel says: EOPNOTSUPP if the driver does not.
    pub fn driver(&self, device: &str) -> io::Result<Driver> {
        let words = self.ask::<DRIVER>(device, GET_DRIVER)?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let text = |at: usize| {
            let text = &bytes[at..at + 32];
            let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
            String::from_utf8_lossy(&text[..end]).into_owned()
        };
        // Behind the command: driver, version, firmware, bus; 32 bytes each.
        Ok(Driver { name: text(4), bus: text(100) })
    }

    /// How many receive queues a device has.
    ///
    /// # Errors
    /// What the kernel says: EOPNOTSUPP if the driver does not.
    pub fn receive_queues(&self, device: &str) -> io::Result<u32> {
        let words = self.ask::<CHANNELS>(device, GET_CHANNELS)?;
        let (receive, combined) = (words[5], words[8]);
        Ok(receive + combined)
    }

    /// What a device does to packets that it receives.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn offloads(&self, device: &str) -> io::Result<Offloads> {
        // `struct ethtool_value`: the command, and the answer.
        let [_, flags] = self.ask::<2>(device, GET_FLAGS)?;
        let [_, gro] = self.ask::<2>(device, GET_GRO)?;
        Ok(Offloads { rx_vlan: flags & RX_VLAN != 0, lro: flags & LRO != 0, gro: gro != 0 })
    }

    /// What a device leaves to be done to packets that it sends.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn left_undone(&self, device: &str) -> io::Result<Undone> {
        let [_, flags] = self.ask::<2>(device, GET_FLAGS)?;
        let [_, tso] = self.ask::<2>(device, GET_TSO)?;
        let [_, gso] = self.ask::<2>(device, GET_GSO)?;
        Ok(Undone { segments: tso != 0 || gso != 0, tags: flags & TX_VLAN != 0 })
    }

    fn ask<const WORDS: usize>(&self, device: &str, command: u32) -> io::Result<[u32; WORDS]> {
        let mut data = [0u32; WORDS];
        data[0] = command;
        // SAFETY: all zeros is a value of it.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let name = request.ifr_name.iter_mut().zip(device.as_bytes());
        name.take(libc::IFNAMSIZ - 1).for_each(|(to, byte)| *to = *byte as libc::c_char);
        request.ifr_ifru.ifru_data = (&raw mut data).cast();
        // SAFETY: the request names the device and points to the structure of its command, as long as the kernel takes it to be; both live
        // during the call.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(data) }
    }
}
