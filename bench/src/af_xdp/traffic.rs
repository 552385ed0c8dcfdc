//! Packets from the kernel to the kernel, by way of whoever forwards between two devices.

use std::time::{Duration, Instant};

use aya::maps::{Array, MapData};
use aya::programs::xdp::XdpMode;
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use etherparse::PacketBuilder;

use super::network::{IN, INTO, LAST, NEXT_HOP_MAC, SENDER_MAC, index};

/// What `./build` makes of `traffic.bpf.c`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("traffic.bpf.o");

/// Bytes of a frame without its checksum: the shortest that Ethernet has.
const FRAME: usize = 60;
/// Bytes of the headers, which are written into each frame (`HEADERS` in traffic.bpf.c).
const HEADERS: usize = 42;
/// Frames that are under way at most: less than any ring has room for, so that nothing is lost for want of room.
pub const UNDER_WAY: u64 = 192;
/// Frames that a call of the kernel tries to send: it takes a tenth of a second or two.
const CALL: u32 = 1 << 20;
/// How long nothing must arrive until all that will arrive has.
const QUIET: Duration = Duration::from_millis(100);

/// Indexes of `counters` in traffic.bpf.c.
const SENT: u32 = 0;
const RECEIVED: u32 = 1;
const ROUTED: u32 = 2;
const ALLOWED: u32 = 3;
/// `struct counter` there.
type Counter = [u64; 16];

/// What was sent and what arrived, from the start on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub received: u64,
    /// Of what arrived, as a router has to make it: TTL less by one, and to the next hop.
    pub routed: u64,
}

/// Generator and sink.
pub struct Traffic {
    // Its programs are attached as long as it lives.
    program: Ebpf,
    counters: Array<MapData, Counter>,
    frame: Vec<u8>,
    /// What was lost so far, as far as it is known: it is not under way.
    lost: u64,
}

impl Traffic {
    /// Loads both, and puts the sink in its place, which is told whether sources are translated on the way.
    /// Frames are to a station: the router, or who is behind a bridge.
    pub fn new(translated: bool, to: [u8; 6]) -> Result<Traffic, String> {
        let device = index(INTO)?;
        let frame = frame(to);
        let headers: [u8; HEADERS] = *frame.first_chunk().ok_or("a frame has headers")?;
        let mut program = EbpfLoader::new()
            .override_global("device", &device, true)
            .override_global("headers", &headers, true)
            .override_global("routed", &NEXT_HOP_MAC, true)
            .override_global("translated", &u8::from(translated), true)
            .load(OBJECT)
            .map_err(words)?;
        let counters = Array::try_from(program.take_map("counters").ok_or("there are no counters")?).map_err(words)?;
        let sink = self::program(&mut program, "absorb")?;
        sink.load().map_err(words)?;
        sink.attach(LAST, XdpMode::Driver).map_err(words)?;
        for name in ["generate", "discard"] {
            self::program(&mut program, name)?.load().map_err(words)?;
        }
        Ok(Traffic { program, counters, frame, lost: 0 })
    }

    /// Begins anew, for another one that forwards: what was under way is lost.
    pub fn reset(&mut self) -> Result<(), String> {
        self.lost = 0;
        [SENT, RECEIVED, ROUTED].iter().try_for_each(|which| self.counters.set(*which, [0; 16], 0).map_err(words))
    }

    pub fn counts(&self) -> Result<Counts, String> {
        let read = |which: u32| self.counters.get(&which, 0).map(|counter| counter[0]).map_err(words);
        // What has arrived first: what was sent is then not less.
        let (routed, received) = (read(ROUTED)?, read(RECEIVED)?);
        Ok(Counts { sent: read(SENT)?, received, routed })
    }

    /// Sends for some time while fewer than so many are under way; packets that were lost are not.
    pub fn send(&mut self, duration: Duration, under_way: u64) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < duration {
            let before = self.counts()?;
            self.call(under_way)?;
            let after = self.counts()?;
            if after == before {
                // Nothing moves: all that may be under way was lost.
                self.lost = after.sent - after.received;
            }
        }
        Ok(())
    }

    /// Does something while the device that packets come to drops all of them at once.
    pub fn discarding<T>(&mut self, work: impl FnOnce(&mut Traffic) -> Result<T, String>) -> Result<T, String> {
        let link = program(&mut self.program, "discard")?.attach(IN, XdpMode::Driver).map_err(words)?;
        let done = work(self);
        program(&mut self.program, "discard")?.detach(link).map_err(words)?;
        done
    }

    /// Waits until all that will arrive has.
    pub fn settle(&self) -> Result<Counts, String> {
        let mut last = self.counts()?;
        loop {
            std::thread::sleep(QUIET);
            let now = self.counts()?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
    }

    fn call(&mut self, under_way: u64) -> Result<(), String> {
        let mut allowed = [0; 16];
        allowed[0] = under_way.saturating_add(self.lost);
        self.counters.set(ALLOWED, allowed, 0).map_err(words)?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.repeat = CALL;
        options.attrs = TestRunAttrs::new().xdp_live_frames(64);
        program(&mut self.program, "generate")?.test_run(options).map(drop).map_err(words)
    }
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, String> {
    object.program_mut(name).ok_or_else(|| format!("there is no program `{name}`"))?.try_into().map_err(words)
}

/// One flow of UDP, in frames of 60 bytes.
fn frame(to: [u8; 6]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(SENDER_MAC, to).ipv4([198, 51, 100, 2], [203, 0, 113, 1], 64).udp(1024, 9);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[0; FRAME - HEADERS]).expect("it is written to memory");
    frame
}

fn words(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(error) = at {
        text = format!("{text}: {error}");
        at = error.source();
    }
    text
}
