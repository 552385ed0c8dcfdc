//! Packets that were seen, as a capture: pcapng, with the node and the edge as the comment of each.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use swath_api::layer;
use swath_ctl::api::{Becomes, Seen};
use swath_io::capture::{Captured, LinkType, PcapngWriter};

use super::packet::{self, bytes, made_up_header};
use crate::exit::Failure;

/// A capture that is written.
pub struct Capture {
    writer: PcapngWriter<Box<dyn Write>>,
    path: PathBuf,
}

impl Capture {
    /// Begins one in a file, or on standard output (`-`).
    pub fn open(path: &Path) -> Result<Capture, Failure> {
        let out: Box<dyn Write> = match path.as_os_str() == "-" {
            true => Box::new(io::stdout()),
            false => Box::new(File::create(path).map_err(|error| Failure::no_output(path, &error))?),
        };
        let writer = PcapngWriter::new(out, concat!("swath ", env!("CARGO_PKG_VERSION")));
        let mut capture = Capture { writer: writer.map_err(|error| Failure::no_output(path, &error))?, path: path.into() };
        // Who reads it knows at once what it is.
        capture.flush()?;
        Ok(capture)
    }

    /// Writes a packet. One for which there was no buffer has no bytes.
    pub fn write(&mut self, seen: &Seen) -> Result<(), Failure> {
        let mut data = bytes(seen);
        let header = made_up_header(&seen.layer, &data).filter(|_| matches!(&*seen.layer, layer::ARP | layer::VLAN));
        let link = match &*seen.layer {
            layer::IP4 | layer::IP6 => LinkType::RAW,
            layer::ETHERNET | layer::ARP | layer::VLAN => LinkType::ETHERNET,
            _ => LinkType::USER,
        };
        let mut length = usize::from(seen.length);
        if let Some(header) = header {
            data.splice(0..0, header);
            length += header.len();
        }
        let time = humantime::parse_rfc3339(&seen.time).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let packet = Captured {
            interface: (seen.received.as_deref().unwrap_or("-"), link),
            timestamp_ns: time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            length,
            bytes: &data,
            comment: &comment(seen, header.is_some()),
        };
        let written = self.writer.write(&packet);
        self.done(written)
    }

    /// What was written is there for others to read.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.writer.flush();
        self.done(flushed)
    }

    fn done(&self, done: io::Result<()>) -> Result<(), Failure> {
        match done {
            // A reader that has gone away has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            done => done.map_err(|error| Failure::no_output(&self.path, &error)),
        }
    }
}

fn comment(seen: &Seen, is_made_up: bool) -> String {
    let mut comment = packet::place(seen);
    if seen.becomes == Becomes::Dropped {
        comment += &format!(": dropped. {}", seen.meaning.as_deref().unwrap_or_default());
    }
    if is_made_up {
        comment += " (The Ethernet header is made up: the node took it off.)";
    }
    comment
}
