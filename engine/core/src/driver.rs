//! What an interface driver is to the engine: ports with queues, each queue owned by one worker.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use swath_api::wire::MacAddr;
use swath_api::{Cache, ConfigError, Copied, Offload, Pool, ROLES, Vector};

/// A kind of driver, as the registry lists it.
#[derive(Debug, Clone, Copy)]
pub struct DriverKind {
    /// The `driver:` in YAML.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The JSON Schema of its settings.
    pub schema: fn() -> String,
    /// A complete graph with it, in YAML: what its page shows.
    pub example: &'static str,
    /// Settings that are paths of files, relative to that of the graph: `generate.file`.
    pub paths: &'static [&'static str],
    /// Checks the settings and attaches nothing: no device is touched, and nothing written.
    pub check: fn(&PortConfig<'_>) -> Result<(), ConfigError>,
    /// Attaches an interface.
    pub open: fn(&PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError>,
}

impl DriverKind {
    /// Checks settings: see [`DriverKind::check`]. A panic is a refusal.
    pub(crate) fn check(&self, config: &PortConfig<'_>) -> Result<(), ConfigError> {
        contain(|| (self.check)(config))
    }

    /// Attaches an interface, by `opener` if there is one. A panic is a refusal.
    pub(crate) fn open(&self, opener: Option<Opener>, config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
        contain(|| match opener {
            Some(opener) => opener.open(config),
            None => (self.open)(config),
        })
    }
}

/// A driver that has a defect is refused, as nodes and tables are that have one: the graph that runs is not its business.
fn contain<T>(f: impl FnOnce() -> Result<T, ConfigError>) -> Result<T, ConfigError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
        Err(ConfigError::new(format!("this driver has a defect: it panicked ({text})")))
    })
}

/// Attaches one interface, in the place of the driver that its graph names.
pub struct Opener(Box<Open>);

type Open = dyn FnOnce(&PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> + Send;

impl Opener {
    /// An opener that calls a function.
    pub fn new(open: impl FnOnce(&PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> + Send + 'static) -> Opener {
        Opener(Box::new(open))
    }

    /// Attaches the interface.
    ///
    /// # Errors
    /// The function refuses; paths are those of the settings that it was given.
    pub fn open(self, config: &PortConfig<'_>) -> Result<Box<dyn Port>, ConfigError> {
        (self.0)(config)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

/// What an interface is opened with.
#[derive(Debug)]
pub struct PortConfig<'a> {
    /// The interface's name.
    pub name: &'a str,
    /// Its index: what [`Lane::rx`](swath_api::Lane) of each packet must hold.
    pub index: u16,
    /// The driver's settings as JSON.
    pub settings: &'a [u8],
    /// Its address, if the graph says one.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes, if the graph says one.
    pub mtu: Option<u16>,
    /// How many workers there are: a driver that can makes as many receive queues.
    pub workers: u32,
    /// Where packets live.
    pub pool: &'a Arc<Pool>,
    /// What relative paths in the settings are relative to.
    pub directory: &'a Path,
    /// Time is that of the input, not of the clock.
    pub virtual_time: bool,
    /// What interfaces use that are detached when this one is attached and its graph runs: the resource of a [`Claim`], and the interface.
    pub leaving: &'a [(String, String)],
}

impl PortConfig<'_> {
    /// The interface that has a resource until this one is attached.
    pub fn holder(&self, resource: &str) -> Option<&str> {
        self.leaving.iter().find(|(known, _)| known == resource).map(|(_, interface)| interface.as_str())
    }

    /// The address to use if neither graph nor device has one: locally administered, different for each interface, and the same in
    /// each run.
    pub fn default_mac(&self) -> MacAddr {
        default_mac(self.index)
    }
}

/// See [`PortConfig::default_mac`].
pub(crate) fn default_mac(index: u16) -> MacAddr {
    let [high, low] = index.to_be_bytes();
    MacAddr::from([0x02, 0x53, 0x57, 0x00, high, low])
}

/// An attached interface; its queues belong to workers.
pub trait Port: Send {
    /// Its hardware address.
    fn mac(&self) -> MacAddr;

    /// The longest layer 3 packet it carries, in bytes.
    fn mtu(&self) -> u16;

    /// Takes the receive queues out; called once.
    fn receive_queues(&mut self) -> Vec<Box<dyn RxQueue>>;

    /// Takes the transmit queues out, one for each worker; called once.
    fn transmit_queues(&mut self) -> Vec<Box<dyn TxQueue>>;

    /// Is asked to do some work of the node that gets all its packets, before they come in; before its queues are taken out, and once at
    /// most. If it does, it keeps the copy of the node's table that it returns, and its queues say what they have dropped
    /// ([`RxQueue::offloaded`]).
    ///
    /// # Errors
    /// Why it does not, in words: the node goes on to do all by itself.
    fn accept(&mut self, offload: &Offload) -> Result<Copied, String> {
        let _ = offload;
        Err("its driver can do nothing for a node".into())
    }

    /// What it uses of the machine: two interfaces cannot use the same thing, unless both only read it.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// What has happened since it was last asked, in words: the link went down, the device is back.
    fn news(&self) -> Vec<String> {
        Vec::new()
    }

    /// How it stands, for whoever watches while workers run. `None`: it is up as long as it is attached.
    fn status(&self) -> Option<Arc<dyn PortStatus>> {
        None
    }

    /// What the driver has to say at the end: what its sink has checked, what its files have become.
    ///
    /// # Errors
    /// What went wrong with output that could not be written.
    fn finish(&mut self) -> Result<serde_json::Value, String> {
        Ok(serde_json::Value::Null)
    }
}

/// How an interface stands, as of now.
pub trait PortStatus: Send + Sync {
    /// Whether packets can come and go.
    fn is_up(&self) -> bool;

    /// How often that has changed.
    fn link_changes(&self) -> u64;

    /// By which way of several its driver is attached: `copy`, `zero-copy`. Empty if there is one.
    fn mode(&self) -> &'static str {
        ""
    }

    /// Why it is not attached by a better way: what it has not, and the reason, as `native XDP: Operation not supported`.
    fn fallbacks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Packets that were lost before the driver could see them, because its ring was full.
    fn missed(&self) -> u64 {
        0
    }

    /// What the device has counted by itself, under the names that its driver has for it: 256 at most.
    fn counted(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// Packets that were lost after the driver had taken them to send.
    fn transmit_errors(&self) -> u64 {
        0
    }
}

/// Something of the machine that an interface uses: a file, a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it is, under a name that is the same for whoever uses it.
    pub resource: String,
    /// Whether nobody else may use it.
    pub exclusive: bool,
}

/// What a queue works with in one call.
#[derive(Debug)]
pub struct Io<'a> {
    /// Where chunks come from and go to.
    pub cache: &'a mut Cache,
    /// Nanoseconds of the engine's clock.
    pub now: u64,
}

/// What a queue received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Packets appended to the vector.
    pub packets: u32,
    /// Packets that arrived and were lost because the pool had no buffer.
    pub no_buffer: u32,
    /// Packets that arrived and were lost because they are longer than a buffer.
    pub too_big: u32,
    /// Packets that arrived and were lost because their sender left work to the receiver that cannot be done.
    pub bad_offload: u32,
}

impl Received {
    /// Packets that arrived and were lost.
    #[inline]
    pub fn lost(&self) -> u32 {
        self.no_buffer + self.too_big + self.bad_offload
    }

    /// Packets that arrived.
    #[inline]
    pub fn arrived(&self) -> u32 {
        self.packets + self.lost()
    }
}

/// What was dropped in the place of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offloaded {
    /// Packets by role.
    pub packets: [u64; ROLES],
    /// Their bytes.
    pub bytes: u64,
}

/// Why a queue did not take packets, as far as it is not that its ring was full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Packets that it did not take because the link is down, or the device gone.
    pub link_down: u32,
    /// Packets that it did not take because the device does not carry packets of their length.
    pub too_big: u32,
}

/// When a queue has packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// At this time of the engine's clock, or now if that has passed.
    At(u64),
    /// Nobody knows.
    Unknown,
    /// Never again.
    Ended,
}

/// A receive queue.
pub trait RxQueue: Send {
    /// Appends up to `max` packets to the vector, their lanes naming the interface.
    fn receive(&mut self, packets: &mut Vector, max: usize, io: &mut Io<'_>) -> Received;

    /// What was dropped in the place of a node ([`Port::accept`]) since this was last asked.
    fn offloaded(&mut self) -> Offloaded {
        Offloaded::default()
    }

    /// When the next packets come.
    fn due(&self) -> Due {
        Due::Unknown
    }

    /// A descriptor that is readable when packets have come, so that a worker can sleep on it. `None`: only asking tells.
    fn readable(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Chunks that lie in the device's ring. Where chunks wander between the rings of several queues, each says what it has taken less what it
    /// has given, which may be negative: of those of all workers only the sum counts.
    fn in_ring(&self) -> isize {
        0
    }
}

/// A transmit queue.
pub trait TxQueue: Send {
    /// Takes packets from the vector, all of which are for this interface; what the ring has no room for stays.
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>);

    /// Of the packets that the last call of `transmit` has left: how many for another reason.
    fn refused(&self) -> Refused {
        Refused::default()
    }

    /// Called at the end of a sweep.
    fn flush(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// Chunks that lie in the device's ring. Where chunks wander between the rings of several queues, each says what it has taken less what it
    /// has given, which may be negative: of those of all workers only the sum counts.
    fn in_ring(&self) -> isize {
        0
    }
}
