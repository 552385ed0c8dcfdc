//! Any bytes as a capture: every record until the end, described and decoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swath_io::capture::{Flow, Reader};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Reader::new("fuzz.pcap", bytes) else { return };
    while let Ok(Some(record)) = reader.next_record() {
        swath_io::text::describe(record.data);
        swath_io::flow_hash(record.data);
        Flow::of(&record);
    }
});
