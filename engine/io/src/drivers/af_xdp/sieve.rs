//! A list of addresses in the memory of the program in the kernel, which drops packets by it before they are copied.
//!
//! The maps of the program are arrays that are mapped: a change is a store, and no system call, for which there might be no privilege any
//! more. IPv4 has a word for each /24 and blocks of 256 bits where only some addresses of one are in the list: two loads for an address at
//! most. IPv6 has its borders in order, in two halves, of which the program searches one while the other is written.
//!
//! The program may be looking while this is written. What it sees is old or new, and neither has an address that is not in the list.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use aya::Ebpf;
use aya::maps::Map;
use memmap2::{MmapOptions, MmapRaw};
use swath_api::{AddressSet, NO_EDGE, Offload};
use swath_core::driver::Offloaded;

use super::attach::Shared;
use super::denials;

/// What a word of a /24 says (`NONE`, `ALL` and `BLOCK` in ebpf/list.h).
const NONE: u32 = 0;
const ALL: u32 = 1;
const BLOCK: u32 = 2;
/// Words of a block: a bit for each address of a /24.
const WORDS: usize = 8;
/// Words of an element of `listed4`, of which there is one for each /24.
const ELEMENT: u32 = 16;
const NETWORKS: u32 = 1 << 24;
/// Numbers of a border, and of what was dropped of a queue.
const BORDER: usize = 2;
const DROPPED: usize = 8;
/// There is room for twice as many entries as there are, and for so many blocks, and borders of each half, at least and at most.
const BLOCKS: (u32, u32) = (1 << 16, 1 << 21);
const BORDERS: (u32, u32) = (1 << 14, 1 << 21);
/// `SOURCE`, `DESTINATION`, `NOT_ICMPV6` and `RULES`.
const ROLES: [u32; 2] = [1, 2];
const NOT_ICMPV6: u32 = 4;
const BY_RULES: u32 = 8;

/// What the program is told, and how long its maps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// `sieve` there.
    pub flags: u32,
    blocks: u32,
    /// Of each half.
    borders: u32,
    /// `room` there: queues, and rules of each half.
    pub room: [u32; 2],
}

impl Shape {
    /// For a program without a list.
    pub const NONE: Shape = Shape { flags: 0, blocks: 1, borders: 1, room: [0; 2] };

    /// For so many queues. `keeps_icmpv6`: swath has to see ICMPv6, whoever has sent it.
    pub fn of(offload: &Offload, queues: usize, keeps_icmpv6: bool) -> Shape {
        let [ip4, ip6] = offload.prefixes;
        let common = if keeps_icmpv6 { NOT_ICMPV6 } else { 0 };
        if offload.work.as_str() == Offload::RULES {
            let rules = ip4.saturating_add(ip6).saturating_mul(2).clamp(denials::RULES.0, denials::RULES.1);
            return Shape { flags: BY_RULES | common, room: [queues as u32, rules], ..Shape::NONE };
        }
        let roles = ROLES.iter().zip(offload.edges).filter(|(_, edge)| *edge != NO_EDGE).fold(0, |flags, (role, _)| flags | role);
        Shape {
            flags: roles | common,
            blocks: ip4.saturating_mul(2).clamp(BLOCKS.0, BLOCKS.1),
            borders: ip6.saturating_mul(4).clamp(BORDERS.0, BORDERS.1),
            room: [0; 2],
        }
    }

    /// The maps whose length is not that of the object.
    pub fn lengths(&self) -> [(&'static str, u32); 6] {
        let networks = if self.flags & (ROLES[0] | ROLES[1]) == 0 { 1 } else { NETWORKS / ELEMENT };
        let [bounds, pairs, denied] = denials::lengths(self.room);
        let list = [("listed4", networks), ("blocks4", self.blocks), ("borders6", 2 * self.borders)];
        let rules = [("bounds", bounds), ("pairs", pairs), ("denied", denied)];
        [list[0], list[1], list[2], rules[0], rules[1], rules[2]]
    }
}

/// Numbers that the kernel has, too.
pub(super) struct Shared32(MmapRaw);
pub(super) struct Shared64(MmapRaw);

impl Shared32 {
    /// Those of an array of a program, of so many words.
    pub fn of(program: &mut Ebpf, name: &str, words: usize) -> io::Result<Shared32> {
        map(program, name, words * size_of::<u32>()).map(Shared32)
    }

    pub fn words(&self) -> &[AtomicU32] {
        // SAFETY: the map is of as many bytes, aligned to a page, and lives as long as `self`; all that look at it at the same time do so by
        // atomic operations or, in the kernel, by single loads and stores.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() / size_of::<AtomicU32>()) }
    }
}

impl Shared64 {
    /// Those of an array of a program, of so many words.
    pub fn of(program: &mut Ebpf, name: &str, words: usize) -> io::Result<Shared64> {
        map(program, name, words * size_of::<u64>()).map(Shared64)
    }

    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() / size_of::<AtomicU64>()) }
    }
}

/// Maps the memory of an array of a program.
fn map(program: &mut Ebpf, name: &str, bytes: usize) -> io::Result<MmapRaw> {
    match program.take_map(name) {
        Some(Map::Array(data)) => MmapOptions::new().len(bytes).map_raw(&data.fd().as_fd()),
        _ => Err(io::Error::other(format!("the program has no array `{name}`"))),
    }
}

/// What the program has dropped.
pub(super) struct Counts(Shared64);

impl Counts {
    pub fn of(program: &mut Ebpf, queues: usize) -> io::Result<Counts> {
        Shared64::of(program, "dropped", queues * DROPPED).map(Counts)
    }

    /// Of a queue, from the start on.
    #[inline]
    pub fn of_queue(&self, queue: usize) -> Offloaded {
        let own = &self.0.words()[queue * DROPPED..][..DROPPED];
        let [first, second, bytes] = [0, 1, 2].map(|at: usize| own[at].load(Ordering::Relaxed));
        Offloaded { packets: [first, second], bytes }
    }
}

/// The list.
pub(super) struct Sieve {
    listed4: Shared32,
    blocks4: Shared32,
    borders6: Shared64,
    listed6: Shared64,
    shape: Shape,
    control: Mutex<Control>,
    // Tables keep lists; they do not keep sockets open.
    shared: Weak<Shared>,
    device: String,
}

/// What only the writer knows.
#[derive(Default)]
struct Control {
    /// Blocks from this one on were never used.
    fresh: u32,
    /// Blocks that nobody uses, and those that a program may still be looking at.
    free: Vec<u32>,
    left: Vec<u32>,
    /// The half in which the borders of IPv6 are that count.
    half: u32,
    /// It was said that there is no room.
    said: bool,
}

impl Sieve {
    /// The list of a program, which is empty.
    ///
    /// # Errors
    /// There is no memory.
    pub fn of(program: &mut Ebpf, shape: Shape, shared: Weak<Shared>, device: &str) -> io::Result<Sieve> {
        Ok(Sieve {
            listed4: Shared32::of(program, "listed4", NETWORKS as usize)?,
            blocks4: Shared32::of(program, "blocks4", shape.blocks as usize * WORDS)?,
            borders6: Shared64::of(program, "borders6", 2 * shape.borders as usize * BORDER)?,
            listed6: Shared64::of(program, "listed6", 1)?,
            shape,
            control: Mutex::default(),
            shared,
            device: device.into(),
        })
    }

    fn block(&self, number: u32) -> &[AtomicU32] {
        &self.blocks4.words()[number as usize * WORDS..][..WORDS]
    }

    /// A block whose bits are all the same, and which no program looks at.
    fn take(&self, control: &mut Control, bits: u32) -> Option<u32> {
        if control.free.is_empty() && control.fresh == self.shape.blocks && !control.left.is_empty() {
            wait_for_programs();
            control.free.append(&mut control.left);
        }
        let fresh = (control.fresh < self.shape.blocks).then_some(control.fresh);
        let Some(number) = control.free.pop().or(fresh) else {
            self.say(control);
            return None;
        };
        control.fresh += u32::from(Some(number) == fresh);
        self.block(number).iter().for_each(|word| word.store(bits, Ordering::Relaxed));
        Some(number)
    }

    /// Says of a whole /24 that none of its addresses is listed, or all are.
    fn set_network(&self, control: &mut Control, network: u32, state: u32) {
        let word = &self.listed4.words()[network as usize];
        let before = word.load(Ordering::Relaxed);
        if before != state {
            word.store(state, Ordering::Release);
            control.left.extend(before.checked_sub(BLOCK));
        }
    }

    /// Lists some addresses of a /24, or takes them from the list.
    fn set_some(&self, control: &mut Control, address: u32, length: u8, listed: bool) {
        let word = &self.listed4.words()[(address >> 8) as usize];
        let now = word.load(Ordering::Relaxed);
        if now == if listed { ALL } else { NONE } {
            return;
        }
        let block = now.checked_sub(BLOCK).or_else(|| self.take(control, if now == ALL { u32::MAX } else { 0 }));
        let Some(number) = block else {
            // Without room none of them is listed here, and the node drops them.
            self.set_network(control, address >> 8, NONE);
            return;
        };
        let block = self.block(number);
        let (first, last) = (address & 255, address & 255 | u32::MAX.checked_shr(length.into()).unwrap_or(0));
        for bit in first..=last {
            let (word, bit) = (&block[(bit / 32) as usize], 1 << (bit % 32));
            let bits = word.load(Ordering::Relaxed);
            word.store(if listed { bits | bit } else { bits & !bit }, Ordering::Relaxed);
        }
        if block.iter().all(|word| word.load(Ordering::Relaxed) == 0) {
            self.set_network(control, address >> 8, NONE);
        } else {
            // After its bits.
            word.store(BLOCK + number, Ordering::Release);
        }
    }

    fn set4(&self, address: u32, length: u8, listed: bool) {
        let control = &mut *self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if length > 24 {
            self.set_some(control, address, length, listed);
            return;
        }
        let first = address >> 8;
        let last = first | (NETWORKS - 1) >> length;
        (first..=last).for_each(|network| self.set_network(control, network, if listed { ALL } else { NONE }));
    }

    /// Once: the list may have outgrown what it has room for.
    fn say(&self, control: &mut Control) {
        if !std::mem::replace(&mut control.said, true)
            && let Some(shared) = self.shared.upgrade()
        {
            let device = &self.device;
            shared.say(format!(
                "`{device}` has no room in the kernel for all of a list, which has grown since the start: the node drops the rest"
            ));
        }
    }
}

impl AddressSet for Sieve {
    fn add4(&self, address: u32, length: u8) {
        self.set4(address, length, true);
    }

    fn remove4(&self, address: u32, length: u8) {
        self.set4(address, length, false);
    }

    fn replace6(&self, borders: &[u128]) {
        let control = &mut *self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = &self.listed6.words()[0];
        if borders.is_empty() || borders.len() > self.shape.borders as usize {
            listed.store(0, Ordering::Release);
            if !borders.is_empty() {
                self.say(control);
            }
            return;
        }
        // One that began before the last change may be in the half that is written now.
        wait_for_programs();
        control.half ^= 1;
        let first = control.half * self.shape.borders;
        let room = &self.borders6.words()[first as usize * BORDER..];
        for (border, numbers) in borders.iter().zip(room.as_chunks::<BORDER>().0) {
            numbers[0].store((border >> 64) as u64, Ordering::Relaxed);
            numbers[1].store(*border as u64, Ordering::Relaxed);
        }
        listed.store((borders.len() as u64) << 32 | u64::from(first), Ordering::Release);
    }

    fn clear(&self) {
        self.remove4(0, 0);
        self.replace6(&[]);
        // One that has found an address just before drops, and counts.
        wait_for_programs();
    }
}

/// Until all programs that run now have ended: they are parts of the kernel that RCU waits for, and so does this call (membarrier(2), in the
/// kernel `synchronize_rcu`).
pub(super) fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_long = 1;
    // SAFETY: no memory is handed over.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if done != 0 {
        // Not where processors run without ticks (`nohz_full`). A program runs for microseconds, and nothing interrupts it.
        std::thread::sleep(Duration::from_millis(100));
    }
}
