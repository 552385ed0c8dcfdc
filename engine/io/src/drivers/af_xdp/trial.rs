//! What a device can do: tried, and undone.

use std::io;
use std::sync::Arc;

use serde::Serialize;
use swath_api::wire::MacAddr;
use swath_api::{NO_EDGE, Offload, Str};

use super::capture::Capture;
use super::program::Loaded;
use super::settings::Xdp;
use super::sieve::Shape;
use super::socket::{Bound, Memory, Queue};
use crate::drivers::kernel::netlink::Link;

/// What a device can do: `None` if it can, else why not.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trial {
    /// A program in its driver.
    pub native: Option<String>,
    /// A program behind it.
    pub generic: Option<String>,
    /// Reading and writing packet memory itself.
    pub zero_copy: Option<String>,
    /// Sockets whose packets the kernel copies.
    pub copy: Option<String>,
    /// Dropping packets for a node that asks for it by `offload: xdp`, in the first of these ways.
    pub offload: Option<String>,
    /// Whether none of this was found out, as another program is there.
    pub busy: bool,
}

/// Tries a device. Its packets go on to the kernel meanwhile.
pub fn try_device(link: &Link) -> Trial {
    let say = |result: io::Result<()>| result.err().map(|error| error.to_string());
    let mut program = match Loaded::new(&Capture::default(), link.mac.unwrap_or(MacAddr::ZERO)) {
        Ok(program) => program,
        Err(error) => {
            let why = Some(error.to_string());
            let [native, generic, zero_copy, copy, offload] = std::array::from_fn(|_| why.clone());
            return Trial { native, generic, zero_copy, copy, offload, busy: false };
        }
    };
    let is_busy = |result: &io::Result<()>| {
        matches!(result.as_ref().err().and_then(io::Error::raw_os_error), Some(libc::EBUSY | libc::EEXIST))
    };
    let generic = program.attach(link.index, Xdp::Generic).map(drop);
    program.detach();
    let native = program.attach(link.index, Xdp::Native).map(drop);
    let queue = Queue { device: link.index, number: 0 };
    let bind = |zero_copy| Bound::open(queue, &Memory::frames(64)?, 64, zero_copy, &Arc::default()).map(drop);
    // Needs the program in the driver.
    let zero_copy = bind(true);
    let copy = bind(false);
    let busy = is_busy(&native) || is_busy(&generic) || is_busy(&copy);
    program.detach();
    let offload = say(try_offload(link));
    Trial { native: say(native), generic: say(generic), zero_copy: say(zero_copy), copy: say(copy), offload, busy }
}

/// Puts programs on a device that drop for a node, with all the memory that they take. They have nothing to drop by, and no socket.
fn try_offload(link: &Link) -> io::Result<()> {
    for (work, edges) in [(Offload::DENY, [0, 1]), (Offload::RULES, [0, NO_EDGE])] {
        let offload = Offload { work: Str::new(work), table: 0, edges, prefixes: [0; 2] };
        let mac = link.mac.unwrap_or(MacAddr::ZERO);
        let mut program = Loaded::with_list(&Capture::default(), mac, Shape::of(&offload, 1, false))?;
        program.attach(link.index, Xdp::default())?;
    }
    Ok(())
}
