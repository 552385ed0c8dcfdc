//! What a table knows in a file: saved and restored part by part, by the questions `save` and `restore` of the table.
//!
//! A file is lines of JSON: what it is; an entry each; and how many these are, with the CRC-32 of all before. It is written beside its place and
//! put there when it is whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crc32fast::Hasher;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use swath_api::units::Duration;

/// The version of the format.
const VERSION: u32 = 1;
/// Entries that are restored by one command.
const PART: usize = 4096;
/// Longer than any line.
const LONGEST: u64 = 1 << 16;

/// Sends a command to the table, and returns its answer as it stands: a million sessions are never values of JSON.
pub type Ask<'a> = &'a mut dyn FnMut(&str) -> Result<Box<RawValue>, String>;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    swath: String,
    version: u32,
    kind: String,
    table: String,
    saved: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    entries: u64,
    crc32: String,
}

/// What a table is asked to take: entries as they stand in the file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Command<'a> {
    Restore { elapsed: Duration, sessions: &'a [Box<RawValue>] },
}

/// What it answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Saved(Saved),
    Restored(Taken),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Saved {
    workers: u64,
    next: Option<u64>,
    sessions: Vec<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Taken {
    restored: u64,
    #[serde(default)]
    not_taken: BTreeMap<String, u64>,
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Entries that the table has taken.
    pub taken: u64,
    /// Those that it has not, by reason.
    pub not_taken: BTreeMap<String, u64>,
}

impl Restored {
    /// For people.
    pub fn words(&self) -> String {
        let mut words = format!("{} restored", sessions(self.taken));
        if !self.not_taken.is_empty() {
            let sum: u64 = self.not_taken.values().sum();
            let reasons: Vec<String> = self.not_taken.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            words += &format!(", {sum} not taken ({})", reasons.join(", "));
        }
        words
    }
}

fn sessions(count: u64) -> String {
    if count == 1 { "1 session".into() } else { format!("{count} sessions") }
}

/// Saves what a table of this kind and name knows. Returns how many entries.
///
/// # Errors
/// The table or the file refuses; a file that is there stays as it is.
pub fn save(path: &Path, kind: &str, table: &str, ask: Ask<'_>) -> Result<u64, String> {
    let beside = beside(path);
    let cannot = |error: io::Error| format!("{}: {error}", path.display());
    let saved = write(&beside, kind, table, ask, &cannot);
    let saved = saved.and_then(|entries| std::fs::rename(&beside, path).map(|()| entries).map_err(cannot));
    if saved.is_err() {
        // It may never have been there.
        let _ = std::fs::remove_file(&beside);
    }
    saved
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}

fn write(path: &Path, kind: &str, table: &str, ask: Ask<'_>, cannot: &dyn Fn(io::Error) -> String) -> Result<u64, String> {
    let mut output = Summed { output: BufWriter::new(File::create(path).map_err(cannot)?), crc: Hasher::new() };
    let saved = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let head = Head { swath: "state".into(), version: VERSION, kind: kind.into(), table: table.into(), saved };
    output.line(&head).map_err(cannot)?;
    let (mut entries, mut worker, mut workers) = (0, 0, 1);
    while worker < workers {
        let mut next = Some(0);
        while let Some(from) = next {
            let answer = ask(&json!({ "save": { "worker": worker, "from": from } }).to_string())?;
            let Answer::Saved(part) = serde_json::from_str(answer.get()).map_err(|error| error.to_string())? else {
                return Err("the table does not say what it knows".into());
            };
            (workers, next) = (part.workers, part.next);
            for entry in part.sessions {
                if entry.get().contains('\n') {
                    return Err("an entry is more than a line".into());
                }
                output.line(&entry).map_err(cannot)?;
                entries += 1;
            }
        }
        worker += 1;
    }
    let crc32 = format!("{:08x}", output.crc.clone().finalize());
    output.line(&End { entries, crc32 }).map_err(cannot)?;
    let file = output.output.into_inner().map_err(|error| cannot(error.into_error()))?;
    file.sync_all().map_err(cannot)?;
    Ok(entries)
}

struct Summed {
    output: BufWriter<File>,
    crc: Hasher,
}

impl Summed {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.crc.update(&text);
        self.output.write_all(&text)
    }
}

/// Restores what was saved of a table of this kind, of whatever name.
///
/// # Errors
/// The file is not what [`save`] has written, to the byte, and nothing has changed; or the table does not answer any more.
pub fn restore(path: &Path, kind: &str, ask: Ask<'_>) -> Result<Restored, String> {
    let wrong = |text: String| format!("{}: {text}; nothing is restored", path.display());
    let saved = check(path, kind).map_err(wrong)?;
    let mut lines = Lines::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut restored = Restored::default();
    lines.next()?;
    loop {
        let mut part: Vec<Box<RawValue>> = Vec::new();
        while part.len() < PART
            && let Some(line) = lines.next()?
            && serde_json::from_str::<End>(&line).is_err()
        {
            part.push(RawValue::from_string(line).map_err(|error| error.to_string())?);
        }
        if part.is_empty() {
            return Ok(restored);
        }
        // A clock that was put back since makes nothing younger.
        let elapsed = SystemTime::now().duration_since(saved).unwrap_or_default();
        let elapsed = Duration::from_nanoseconds(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        let command = Command::Restore { elapsed, sessions: &part };
        let answer = ask(&serde_json::to_string(&command).map_err(|error| error.to_string())?)?;
        let Answer::Restored(part) = serde_json::from_str(answer.get()).map_err(|error| error.to_string())? else {
            return Err("the table does not say what it has restored".into());
        };
        restored.taken += part.restored;
        for (reason, count) in part.not_taken {
            *restored.not_taken.entry(reason).or_default() += count;
        }
    }
}

/// When it was saved.
fn check(path: &Path, kind: &str) -> Result<SystemTime, String> {
    let mut lines = Lines::open(path).map_err(|error| error.to_string())?;
    let first = lines.next()?.unwrap_or_default();
    let head: Head = serde_json::from_str(&first).map_err(|_| "it is no state that was saved")?;
    if head.swath != "state" {
        return Err("it is no state that was saved".into());
    }
    if head.version != VERSION {
        return Err(format!("it is of version {} of the format, and this program knows version {VERSION}", head.version));
    }
    if head.kind != kind {
        return Err(format!("it is of a table of kind `{}`, and not `{kind}`", head.kind));
    }
    let saved = humantime::parse_rfc3339(&head.saved).map_err(|_| "it is damaged: it does not say when it was saved")?;
    let (mut entries, mut crc) = (0, Hasher::new());
    let mut before = Some(first);
    let end = loop {
        let line = lines.next()?;
        let Some(last) = before.take() else { break None };
        if line.is_none() {
            break serde_json::from_str::<End>(&last).ok();
        }
        crc.update(last.as_bytes());
        crc.update(b"\n");
        entries += 1;
        before = line;
    };
    let end = end.ok_or("it is damaged: its end is missing")?;
    if end.crc32 != format!("{:08x}", crc.finalize()) || end.entries + 1 != entries {
        return Err("it is damaged: its checksum is another".into());
    }
    Ok(saved)
}

/// The lines of a file, none of them so long that it would fill the memory.
struct Lines(BufReader<File>);

impl Lines {
    fn open(path: &Path) -> io::Result<Lines> {
        Ok(Lines(BufReader::new(File::open(path)?)))
    }

    fn next(&mut self) -> Result<Option<String>, String> {
        let mut line = String::new();
        let read = io::Read::take(&mut self.0, LONGEST).read_line(&mut line);
        match read {
            Ok(0) => Ok(None),
            Ok(_) if line.pop() == Some('\n') => Ok(Some(line)),
            Ok(_) => Err("it is damaged: a line does not end".into()),
            Err(error) => Err(format!("it cannot be read: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::value::to_raw_value;

    use super::*;

    /// A table of two workers.
    fn table(command: &str) -> Result<Box<RawValue>, String> {
        let command: Value = serde_json::from_str(command).unwrap();
        let answer = if command["save"].is_object() {
            let (worker, from) = (command["save"]["worker"].as_u64().unwrap(), command["save"]["from"].as_u64().unwrap());
            let sessions: Vec<u64> = (0..10).map(|entry| worker * 1000 + from + entry).collect();
            json!({ "saved": { "workers": 2, "next": (from < 20).then_some(from + 10), "sessions": sessions } })
        } else {
            json!({ "restored": { "restored": command["restore"]["sessions"].as_array().unwrap().len() - 1, "not-taken": { "over": 1 } } })
        };
        Ok(to_raw_value(&answer).unwrap())
    }

    #[test]
    fn a_file_is_whole_or_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        assert_eq!(save(&path, "nat44", "nat", &mut table), Ok(60));
        let restored = restore(&path, "nat44", &mut table).unwrap();
        assert_eq!(restored.words(), "59 sessions restored, 1 not taken (over 1)");
        let good = std::fs::read(&path).unwrap();
        let none = &mut |_: &str| -> Result<Box<RawValue>, String> { panic!("something was restored") };
        // Any byte that is another, and any length.
        for at in 0..good.len() {
            for other in [1, 2, 0x20, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= other;
                std::fs::write(&path, &bad).unwrap();
                let error = restore(&path, "nat44", none).expect_err("it is another");
                assert!(error.ends_with("; nothing is restored"), "{error}");
            }
            std::fs::write(&path, &good[..at]).unwrap();
            restore(&path, "nat44", none).expect_err("it is shorter");
        }
        std::fs::write(&path, &good).unwrap();
        assert!(restore(&path, "acl", none).unwrap_err().contains("kind `nat44`, and not `acl`"));
        std::fs::write(&path, String::from_utf8(good.clone()).unwrap().replacen(r#""version":1"#, r#""version":2"#, 1)).unwrap();
        assert!(restore(&path, "nat44", none).unwrap_err().contains("version 2"));
        // What cannot be written leaves what is there.
        std::fs::write(&path, &good).unwrap();
        assert_eq!(save(&path, "nat44", "nat", &mut |_| Err("busy".into())), Err("busy".into()));
        assert_eq!((std::fs::read(&path).unwrap(), std::fs::read_dir(directory.path()).unwrap().count()), (good, 1));
    }
}
