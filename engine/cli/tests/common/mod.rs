//! What the tests of the program share: commands, captures, and a place for them.

#![allow(dead_code)]

pub mod hosts;
pub mod router;
pub mod running;
pub mod scrape;
pub mod stopped;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use swath_io::capture::{Reader, Writer};
use swath_io::text::{Mac, TextPacket};
use tempfile::TempDir;

/// The interfaces of `graphs/ip4-router.yaml` and of [`forwarder`], and the neighbours behind them.
pub const LAN: Mac = Mac([2, 0, 0, 0, 1, 1]);
pub const WAN: Mac = Mac([2, 0, 0, 0, 2, 1]);
pub const HOST: Mac = Mac([2, 0, 0, 0, 1, 0x10]);
pub const UPLINK: Mac = Mac([2, 0, 0, 0, 2, 2]);

/// The program with these arguments, for people who do not see colours.
pub fn swath<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("swath");
    command.args(args);
    for variable in ["SWATH_API", "SWATH_COLOR", "SWATH_SOCKET", "SWATH_STATS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"]
    {
        command.env_remove(variable);
    }
    command
}

/// Whether a program of the system is there. In CI it must be.
pub fn has(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|path| path.join(program).is_file());
    if !found {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{program} is not installed: run .ci/deps");
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// The Python of `.ci/python`, with what is in `.ci/requirements.txt`.
pub fn python() -> Option<PathBuf> {
    if !has("python3") {
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let directory = target.join("python");
    let made = std::process::Command::new(root.join(".ci/python")).arg(&directory).status().is_ok_and(|status| status.success());
    if !made {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no Python environment");
        println!("skipped: no Python environment");
    }
    made.then(|| directory.join("bin/python"))
}

/// A graph that is shipped.
pub fn graph(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../graphs").join(name)
}

/// A router that only forwards: it has no ARP and no ICMP, so that each packet in is a packet out or a drop.
pub fn forwarder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphs/forwarder.yaml")
}

/// What a command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn said<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Said {
    said_by(&mut swath(args))
}

pub fn said_by(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The report of `replay` or `run`, without the ledger of the buffers.
pub fn without_buffers(json: &str) -> serde_json::Value {
    let mut report: serde_json::Value = serde_json::from_str(json).unwrap();
    report.as_object_mut().unwrap().remove("buffers").expect("a ledger of the buffers");
    report
}

/// A directory for files of one test.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        Place(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn capture<F: AsRef<[u8]>>(&self, name: &str, frames: impl IntoIterator<Item = (u64, F)>) -> PathBuf {
        let path = self.path(name);
        let mut writer = Writer::create(&path).unwrap();
        for (timestamp, frame) in frames {
            writer.write(timestamp, frame.as_ref()).unwrap();
        }
        writer.finish().unwrap();
        path
    }
}

/// `IF=FILE`.
pub fn at(interface: &str, file: &Path) -> String {
    format!("{interface}={}", file.display())
}

/// The frame of a packet in text form.
pub fn frame(text: &str, source: Mac, destination: Mac) -> Vec<u8> {
    TextPacket::parse(text).unwrap().frame_with(source, destination)
}

/// All records of a capture.
pub fn records(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut reader = Reader::open(path).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push((record.timestamp_ns, record.data.to_vec()));
    }
    records
}
