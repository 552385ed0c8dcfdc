//! The program in the kernel that hands frames to sockets, and its attachment to a device.
//!
//! The attachment is a descriptor (`BPF_LINK_CREATE`, Linux 5.9) and nothing else: it ends with the process, whatever ends that. The older
//! way, by netlink, stays behind after a SIGKILL, with the device's packets going nowhere. The library that loads the program would fall
//! back to it silently, so the link is made here.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{MapData, XskMap};
use aya::programs::{ProgramFd, Xdp as Program};
use aya::{Ebpf, EbpfLoader};
use swath_api::wire::MacAddr;

use super::capture::Capture;
use super::settings::Xdp;
use super::sieve::Shape;

/// What `ebpf/build` makes of `ebpf/capture.bpf.c`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("ebpf/capture.bpf.o");

/// Of `enum bpf_cmd` in linux/bpf.h.
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_LINK_UPDATE: libc::c_long = 29;
/// Of `enum bpf_attach_type`.
const BPF_XDP: u32 = 37;
/// Of linux/if_link.h.
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Where a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// In the device's driver.
    Native,
    /// Behind it.
    Generic,
}

/// A program that is in the kernel, and on a device or not.
pub(super) struct Loaded {
    program: Ebpf,
    sockets: XskMap<MapData>,
    link: Option<OwnedFd>,
}

impl Loaded {
    /// Loads the program.
    ///
    /// # Errors
    /// EPERM without CAP_BPF and CAP_NET_ADMIN; EACCES without CAP_PERFMON if it reads IP headers (the verifier bars what might leak
    /// by speculation); whatever the kernel's verifier says.
    pub fn new(capture: &Capture, mac: MacAddr) -> io::Result<Loaded> {
        Loaded::with_list(capture, mac, Shape::NONE)
    }

    /// Loads a program that drops by a list, or by none.
    ///
    /// # Errors
    /// As [`Loaded::new`]; ENOMEM if there is no memory for the list.
    pub fn with_list(capture: &Capture, mac: MacAddr, shape: Shape) -> io::Result<Loaded> {
        let constants = capture.constants(mac);
        let mut loader = EbpfLoader::new();
        loader.override_global("capture", &constants[..], true).override_global("sieve", &shape.flags, true);
        loader.override_global("room", &shape.room, true);
        shape.lengths().into_iter().for_each(|(map, length)| _ = loader.map_max_entries(map, length));
        let mut program = loader.load(OBJECT).map_err(|error| system(&error))?;
        let mut map =
            |name: &str| program.take_map(name).ok_or_else(|| io::Error::other(format!("the program has no map `{name}`")));
        let sockets = XskMap::try_from(map("sockets")?).map_err(|error| system(&error))?;
        let mut four: LpmTrie<MapData, [u8; 4], u32> = LpmTrie::try_from(map("destinations4")?).map_err(|error| system(&error))?;
        let mut six: LpmTrie<MapData, [u8; 16], u32> = LpmTrie::try_from(map("destinations6")?).map_err(|error| system(&error))?;
        for prefix in capture.destinations() {
            let length = prefix.length.into();
            match prefix.address {
                IpAddr::V4(address) => four.insert(&Key::new(length, address.octets()), 1, 0),
                IpAddr::V6(address) => six.insert(&Key::new(length, address.octets()), 1, 0),
            }
            .map_err(|error| system(&error))?;
        }
        // Maps live as long as a program that uses them.
        let loaded: &mut Program = program
            .program_mut("swath")
            .ok_or_else(|| io::Error::other("the program is not there"))?
            .try_into()
            .map_err(|error: aya::programs::ProgramError| system(&error))?;
        loaded.load().map_err(|error| system(&error))?;
        Ok(Loaded { program, sockets, link: None })
    }

    /// Itself, whose maps may be taken out.
    pub fn object(&mut self) -> &mut Ebpf {
        &mut self.program
    }

    /// Takes the place of another program on its device, between two packets.
    ///
    /// # Errors
    /// What the kernel says; the other one stays then.
    pub fn succeed(&mut self, other: &mut Loaded) -> io::Result<()> {
        let Some(link) = &other.link else { return Ok(()) };
        let program = self.descriptor()?;
        // `link_fd`, `new_prog_fd` of `union bpf_attr`, and zeros.
        let mut attributes = [0u32; 16];
        attributes[..2].copy_from_slice(&[link.as_raw_fd() as u32, program.as_fd().as_raw_fd() as u32]);
        // SAFETY: the kernel reads as many bytes as it is told, which live during the call.
        let done = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_UPDATE, attributes.as_ptr(), size_of_val(&attributes)) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        self.link = other.link.take();
        Ok(())
    }

    /// Gives the packets of a queue to a socket.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn give(&mut self, queue: u32, socket: &impl AsFd) -> io::Result<()> {
        self.sockets.set(queue, socket.as_fd().as_raw_fd(), 0).map_err(|error| system(&error))
    }

    /// Attaches the program to a device, in the first way that is possible; returns that, and why not in the one before it.
    ///
    /// # Errors
    /// What the kernel says: EBUSY or EEXIST if another program is there.
    pub fn attach(&mut self, device: u32, wanted: Xdp) -> io::Result<(Mode, Option<io::Error>)> {
        self.link = None;
        let native = if wanted == Xdp::Generic { None } else { Some(self.create(device, XDP_FLAGS_DRV_MODE)) };
        let refused = match native {
            Some(Ok(link)) => {
                self.link = Some(link);
                return Ok((Mode::Native, None));
            }
            Some(Err(error)) if wanted == Xdp::Native || is_final(&error) => return Err(error),
            Some(Err(error)) => Some(error),
            None => None,
        };
        self.link = Some(self.create(device, XDP_FLAGS_SKB_MODE)?);
        Ok((Mode::Generic, refused))
    }

    /// Takes the program off.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// Whether it is on a device: somebody may have taken it off.
    pub fn is_attached(&self) -> bool {
        self.link.as_ref().is_some_and(|link| device_of(link).is_ok_and(|device| device != 0))
    }

    /// What becomes of a frame on the first queue: a number of `enum xdp_action`.
    #[cfg(test)]
    pub fn verdict(&self, frame: &[u8]) -> u32 {
        let program: &Program = self.program.program("swath").unwrap().try_into().unwrap();
        let options = aya::TestRunOptions { data_in: Some(frame), ..Default::default() };
        aya::TestRun::test_run(program, options).unwrap().return_value
    }

    fn descriptor(&self) -> io::Result<&ProgramFd> {
        let program: &Program = self
            .program
            .program("swath")
            .ok_or_else(|| io::Error::other("the program is not there"))?
            .try_into()
            .map_err(|error: aya::programs::ProgramError| system(&error))?;
        program.fd().map_err(|error| system(&error))
    }

    fn create(&self, device: u32, flags: u32) -> io::Result<OwnedFd> {
        let program = self.descriptor()?;
        // `prog_fd`, `target_ifindex`, `attach_type`, `flags` of `union bpf_attr`, and zeros.
        let attributes: [u32; 16] = {
            let mut words = [0; 16];
            words[..4].copy_from_slice(&[program.as_fd().as_raw_fd() as u32, device, BPF_XDP, flags]);
            words
        };
        // SAFETY: the kernel reads as many bytes as it is told, which live during the call.
        let link = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, attributes.as_ptr(), size_of_val(&attributes)) };
        if link < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
        Ok(unsafe { OwnedFd::from_raw_fd(link as i32) })
    }
}

/// Whether another way of attaching would meet the same: another program is there, or the privilege is not.
fn is_final(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST | libc::EPERM | libc::ENODEV))
}

/// The device that a link is on: 0 if none.
fn device_of(link: &OwnedFd) -> io::Result<u32> {
    // `struct bpf_link_info`: type, id, program, padding, then of this type the index of the device.
    const DEVICE: usize = 4;
    let mut info = [0u32; 32];
    // `bpf_fd`, `info_len`, `info` of `union bpf_attr`.
    let [low, high] = [(&raw mut info) as u64 as u32, ((&raw mut info) as u64 >> 32) as u32];
    let (first, second) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
    let attributes = [link.as_raw_fd() as u32, size_of_val(&info) as u32, first, second];
    // SAFETY: the kernel reads the attributes, and writes at most `info_len` bytes to `info`; both live during the call.
    let done = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, attributes.as_ptr(), size_of_val(&attributes)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(info[DEVICE]) }
}

/// The system's error behind an error of the library, if there is one.
fn system(error: &(dyn std::error::Error + 'static)) -> io::Error {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(code) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(code);
        }
        at = error.source();
    }
    io::Error::other(error.to_string())
}
