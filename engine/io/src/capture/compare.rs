//! Whether two captures hold the same traffic: on each interface the same multiset of frames, and
//! the same order within each [`Flow`]. Timestamps and the order between flows do not count.
//!
//! Of each frame only a keyed 128-bit hash is kept (24 bytes in all), so that captures of some
//! million frames fit in memory.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::difference::{Comparison, Difference, Kind, Side};
use super::{Flow, ReadError, Reader};

/// Why two captures could not be compared.
#[derive(Debug)]
pub enum CompareError {
    /// One of them could not be read.
    Capture(ReadError),
    /// A path leads to nothing, or to a directory that could not be read.
    Path(PathBuf, io::Error),
    /// One is a directory and the other is not; the directory is named.
    Mixed(PathBuf),
}

/// Compares two capture files, or two directories whose `.pcap`, `.pcapng` and `.cap` files are
/// matched by name. Keeps the first `limit` differences.
pub fn compare(a: impl AsRef<Path>, b: impl AsRef<Path>, limit: usize) -> Result<Comparison, CompareError> {
    let (a, b) = (a.as_ref(), b.as_ref());
    match (is_directory(a)?, is_directory(b)?) {
        (false, false) => compare_readers(Reader::open(a)?, Reader::open(b)?, limit),
        (true, true) => compare_directories(a, b, limit),
        (true, false) => Err(CompareError::Mixed(a.to_owned())),
        (false, true) => Err(CompareError::Mixed(b.to_owned())),
    }
}

/// Compares two captures from any source. Keeps the first `limit` differences.
pub fn compare_readers<A: Read, B: Read>(a: Reader<A>, b: Reader<B>, limit: usize) -> Result<Comparison, CompareError> {
    let mut comparison = Comparison::new();
    comparison.add_pair("", a, b, limit)?;
    Ok(comparison)
}

fn is_directory(path: &Path) -> Result<bool, CompareError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) => Err(CompareError::Path(path.to_owned(), error)),
    }
}

fn compare_directories(a: &Path, b: &Path, limit: usize) -> Result<Comparison, CompareError> {
    let mut pairs: BTreeMap<OsString, [Option<PathBuf>; 2]> = BTreeMap::new();
    for (side, directory) in [a, b].into_iter().enumerate() {
        for (name, path) in captures_in(directory).map_err(|error| CompareError::Path(directory.to_owned(), error))? {
            pairs.entry(name).or_default()[side] = Some(path);
        }
    }
    let mut comparison = Comparison::new();
    for (file, pair) in pairs {
        let file = file.to_string_lossy();
        match pair {
            [Some(a), Some(b)] => {
                comparison.add_pair(&file, Reader::open(a)?, Reader::open(b)?, limit)?;
            }
            [Some(a), None] => comparison.add_single(&file, Side::B, Reader::open(a)?, limit)?,
            [None, Some(b)] => comparison.add_single(&file, Side::A, Reader::open(b)?, limit)?,
            [None, None] => {}
        }
    }
    Ok(comparison)
}

fn captures_in(directory: &Path) -> io::Result<Vec<(OsString, PathBuf)>> {
    let mut captures = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default();
        if ["pcap", "pcapng", "cap"].iter().any(|known| extension == *known)
            && let Some(name) = path.file_name()
        {
            captures.push((name.to_owned(), path));
        }
    }
    Ok(captures)
}

/// A frame, known by a hash of its bytes and true length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    hash: [u64; 2],
    number: u64,
}

/// The flows of both captures in the order in which they were first seen, with their frames.
#[derive(Default)]
struct Flows {
    places: HashMap<(u32, Flow), usize>,
    frames: Vec<[Vec<Seen>; 2]>,
}

impl Flows {
    /// Adds all frames of one capture and returns how many there were.
    fn read<R: Read>(&mut self, side: Side, mut reader: Reader<R>, keys: &[RandomState; 2]) -> Result<u64, ReadError> {
        let mut number = 0;
        while let Some(record) = reader.next_record()? {
            number += 1;
            let hash = keys.each_ref().map(|key| key.hash_one((record.original_len, record.data)));
            let next = self.frames.len();
            let key = (record.interface, Flow::of(&record));
            let place = *self.places.entry(key).or_insert(next);
            if place == next {
                self.frames.push(Default::default());
            }
            self.frames[place][side as usize].push(Seen { hash, number });
        }
        Ok(number)
    }
}

impl Comparison {
    fn new() -> Self {
        Self { equal: true, frames: [0; 2], flows: 0, differences: Vec::new(), total_differences: 0 }
    }

    fn add_pair<A: Read, B: Read>(&mut self, file: &str, a: Reader<A>, b: Reader<B>, limit: usize) -> Result<(), CompareError> {
        let keys = [RandomState::new(), RandomState::new()];
        let mut flows = Flows::default();
        self.frames[0] += flows.read(Side::A, a, &keys)?;
        self.frames[1] += flows.read(Side::B, b, &keys)?;
        self.flows += flows.frames.len() as u64;

        let mut places: Vec<_> = flows.places.into_iter().collect();
        places.sort_unstable_by_key(|(_, place)| *place);
        for ((interface, flow), place) in places {
            let [a, b] = &mut flows.frames[place];
            if a.iter().map(|seen| seen.hash).eq(b.iter().map(|seen| seen.hash)) {
                continue;
            }
            let position = a.iter().zip(&*b).position(|(a, b)| a.hash != b.hash);
            let at = position.map(|position| (position as u64 + 1, a[position], b[position]));
            let unmatched = unmatched(a, b);
            if let (true, Some((position, a, b))) = (unmatched.is_empty(), at) {
                let (frame_a, frame_b) = (a.number, b.number);
                self.add(file, limit, || Kind::Order { interface, flow: flow.clone(), position, frame_a, frame_b });
            }
            for Unmatched { missing_in, frame, count } in unmatched {
                self.add(file, limit, || Kind::Missing { missing_in, interface, flow: flow.clone(), frame, count });
            }
        }
        Ok(())
    }

    fn add_single<R: Read>(&mut self, file: &str, missing_in: Side, reader: Reader<R>, limit: usize) -> Result<(), CompareError> {
        let present_in = missing_in.other();
        let mut flows = Flows::default();
        let frames = flows.read(present_in, reader, &[RandomState::new(), RandomState::new()])?;
        self.frames[present_in as usize] += frames;
        self.flows += flows.frames.len() as u64;
        self.add(file, limit, || Kind::NoFile { missing_in, frames });
        Ok(())
    }

    fn add(&mut self, file: &str, limit: usize, kind: impl FnOnce() -> Kind) {
        self.equal = false;
        self.total_differences += 1;
        if self.differences.len() < limit {
            self.differences.push(Difference { file: file.to_owned(), kind: kind() });
        }
    }
}

struct Unmatched {
    missing_in: Side,
    frame: u64,
    count: u64,
}

/// The frames of one flow that one side has more often, in the order of their numbers. Equal
/// frames find their partners in order, so that the last ones are left over. Sorts both sides.
fn unmatched(a: &mut [Seen], b: &mut [Seen]) -> Vec<Unmatched> {
    a.sort_unstable();
    b.sort_unstable();
    let (mut a, mut b) = (&*a, &*b);
    let mut unmatched = Vec::new();
    while let Some(hash) = a.first().into_iter().chain(b.first()).map(|seen| seen.hash).min() {
        let in_a = a.partition_point(|seen| seen.hash == hash);
        let in_b = b.partition_point(|seen| seen.hash == hash);
        let (missing_in, surplus) = if in_a > in_b { (Side::B, &a[in_b..in_a]) } else { (Side::A, &b[in_a..in_b]) };
        if let [first, ..] = surplus {
            let count = surplus.len() as u64;
            unmatched.push(Unmatched { missing_in, frame: first.number, count });
        }
        (a, b) = (&a[in_a..], &b[in_b..]);
    }
    unmatched.sort_unstable_by_key(|unmatched| (unmatched.frame, unmatched.missing_in == Side::A));
    unmatched
}

impl From<ReadError> for CompareError {
    fn from(error: ReadError) -> Self {
        Self::Capture(error)
    }
}

impl fmt::Display for CompareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(error) => error.fmt(f),
            Self::Path(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Mixed(path) => {
                write!(f, "{}: a directory and a file cannot be compared", path.display())
            }
        }
    }
}

impl std::error::Error for CompareError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Capture(error) => Some(error),
            Self::Path(_, error) => Some(error),
            Self::Mixed(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
