//! Any text as a packet; what is one says the same when it is described and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swath_io::text::{TextPacket, describe};

fuzz_target!(|text: &str| {
    let Ok(packet) = TextPacket::parse(text) else { return };
    let frame = packet.frame();
    let again = describe(&frame);
    if !again.contains("# inexact") {
        assert_eq!(TextPacket::parse(&again).map(|packet| packet.frame()).as_ref(), Ok(&frame), "{again}");
    }
});
