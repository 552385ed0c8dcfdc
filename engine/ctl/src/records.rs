//! What tables tell for good, kept: each record is an event of the log, and a line of a file if the graph names one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use swath_api::{Record, Records};
use swath_core::run::Engine;

/// Records of a table that are asked for at once.
const MOST: usize = 4096;

/// Keeps the records of an engine.
#[derive(Debug)]
pub struct RecordKeeper {
    /// What paths are relative to.
    directory: PathBuf,
    /// By table.
    files: BTreeMap<String, Kept>,
}

impl RecordKeeper {
    /// For a graph whose paths are relative to this directory.
    pub fn new(directory: impl Into<PathBuf>) -> RecordKeeper {
        RecordKeeper { directory: directory.into(), files: BTreeMap::new() }
    }

    /// Takes what there is of an engine. To be called many times a second.
    pub fn keep(&mut self, engine: &Engine) {
        let started = SystemTime::now() - Duration::from_nanos(engine.clock());
        let mut more = true;
        while std::mem::take(&mut more) {
            for (table, records) in engine.records(MOST) {
                more |= records.more;
                self.take(table, &records, |at| started + Duration::from_nanos(at));
            }
        }
        let gone = |table: &str| engine.table(table).is_none();
        self.files.retain(|table, file| {
            if gone(table) {
                file.write(&[line(SystemTime::now(), table, "ends", [])]);
            }
            !gone(table)
        });
    }

    /// Takes the last of an engine that has stopped.
    pub fn end(&mut self, engine: &Engine) {
        self.keep(engine);
        for (table, file) in &mut self.files {
            file.write(&[line(SystemTime::now(), table, "ends", [])]);
        }
        self.files.clear();
    }

    fn take(&mut self, table: &str, records: &Records, time: impl Fn(u64) -> SystemTime) {
        let of = |record: &Record| {
            let fields = record.fields.iter().map(|(name, value)| (name.to_string(), value.clone()));
            line(time(record.at), table, &record.event, fields)
        };
        let mut lines: Vec<Map<String, Value>> = records.records.iter().map(of).collect();
        if records.lost > 0 {
            let count = [("count".to_string(), records.lost.into())];
            lines.push(line(SystemTime::now(), table, "records-lost", count));
        }
        for line in &lines {
            let (event, record) = (line["event"].as_str().unwrap_or_default(), Value::Object(line.clone()).to_string());
            if event == "records-lost" {
                tracing::error!(target: "swath::records", subject = &*records.subject, record, "{event}");
            } else {
                tracing::info!(target: "swath::records", subject = &*records.subject, record, "{event}");
            }
        }
        let Some(path) = records.file.as_ref().map(|file| self.directory.join(file)) else {
            self.files.remove(table);
            return;
        };
        if self.files.get(table).is_none_or(|file| file.path != path) {
            let mut file = Kept::new(path);
            file.write(&[line(SystemTime::now(), table, "begins", [])]);
            self.files.insert(table.into(), file);
        }
        if let Some(file) = self.files.get_mut(table) {
            file.write(&lines);
        }
    }
}

fn line(time: SystemTime, table: &str, event: &str, fields: impl IntoIterator<Item = (String, Value)>) -> Map<String, Value> {
    let time = humantime::format_rfc3339_millis(time).to_string();
    let first = [("ts", time.as_str()), ("table", table), ("event", event)];
    first.into_iter().map(|(name, value)| (name.to_string(), value.into())).chain(fields).collect()
}

/// A file that lines are appended to; opened again when it was moved away.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    file: Option<File>,
    /// Lines that could not be written since the last that could.
    unwritten: u64,
    /// The last line may have been cut off.
    torn: bool,
}

impl Kept {
    fn new(path: PathBuf) -> Kept {
        Kept { path, file: None, unwritten: 0, torn: false }
    }

    fn write(&mut self, lines: &[Map<String, Value>]) {
        if lines.is_empty() {
            return;
        }
        if let Err(error) = self.try_write(lines) {
            self.unwritten += lines.len() as u64;
            self.file = None;
            let (path, lines) = (self.path.display(), self.unwritten);
            tracing::error!(target: "swath::engine", file = %path, lines, "records are not kept: {error}");
        }
    }

    fn try_write(&mut self, lines: &[Map<String, Value>]) -> io::Result<()> {
        let mut text = String::new();
        if self.torn {
            text.push('\n');
        }
        if self.unwritten > 0 {
            let table = lines[0].get("table").and_then(Value::as_str).unwrap_or_default();
            let lost = line(SystemTime::now(), table, "records-lost", [("count".to_string(), self.unwritten.into())]);
            text += &(Value::Object(lost).to_string() + "\n");
        }
        for line in lines {
            text += &(serde_json::to_string(line)? + "\n");
        }
        let file = self.open()?;
        let written = file.write_all(text.as_bytes());
        self.torn = written.is_err();
        written?;
        self.unwritten = 0;
        Ok(())
    }

    fn open(&mut self) -> io::Result<&mut File> {
        let is_there = |file: &File| Some(identity(&file.metadata().ok()?) == identity(&std::fs::metadata(&self.path).ok()?));
        match self.file.take().filter(|file| is_there(file) == Some(true)) {
            Some(file) => Ok(self.file.insert(file)),
            None => {
                self.torn = false;
                Ok(self.file.insert(append(&self.path)?))
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(ports: &[u16], lost: u64, file: &str) -> Records {
        let record = |port: &u16| Record::new("given", u64::from(*port) * 1_000_000).with("port", *port);
        let records = ports.iter().map(record).collect();
        Records { subject: "nat".into(), file: Some(file.into()), records, lost, more: false }
    }

    fn read(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(|line| line.split_once(r#","table""#).unwrap().1.to_string()).collect()
    }

    fn take(keeper: &mut RecordKeeper, records: &Records) {
        keeper.take("t", records, |at| SystemTime::UNIX_EPOCH + Duration::from_nanos(at));
    }

    #[test]
    fn lines_are_appended_and_the_file_may_be_moved_away() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("log"), directory.path().join("old"));
        let mut keeper = RecordKeeper::new(directory.path());
        take(&mut keeper, &records(&[1, 2], 0, "log"));
        take(&mut keeper, &records(&[], 7, "log"));
        let first = [
            r#":"t","event":"begins"}"#,
            r#":"t","event":"given","port":1}"#,
            r#":"t","event":"given","port":2}"#,
            r#":"t","event":"records-lost","count":7}"#,
        ];
        assert_eq!(read(&path), first);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().nth(2).unwrap().starts_with(r#"{"ts":"1970-01-01T00:00:00.002Z","#), "{text}");
        std::fs::rename(&path, &old).unwrap();
        take(&mut keeper, &records(&[3], 0, "log"));
        assert_eq!(read(&path), [r#":"t","event":"given","port":3}"#]);
        assert_eq!(read(&old), first);
        // Another process goes on in the same file.
        drop(keeper);
        take(&mut RecordKeeper::new(directory.path()), &records(&[4], 0, "log"));
        assert_eq!(read(&path)[1..], [r#":"t","event":"begins"}"#, r#":"t","event":"given","port":4}"#]);
    }

    #[test]
    fn what_could_not_be_written_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let mut keeper = RecordKeeper::new(directory.path());
        take(&mut keeper, &records(&[1, 2], 0, "later/log"));
        take(&mut keeper, &records(&[3], 0, "later/log"));
        std::fs::create_dir(directory.path().join("later")).unwrap();
        take(&mut keeper, &records(&[4], 0, "later/log"));
        let expected = [r#":"t","event":"records-lost","count":4}"#, r#":"t","event":"given","port":4}"#];
        assert_eq!(read(&directory.path().join("later/log")), expected);
    }
}
