//! The transmit queue: writes what is sent to the interface's capture.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swath_api::Vector;
use swath_core::driver::{Io, TxQueue};

use crate::capture::Writer;

/// What the queues of an interface write to.
#[derive(Debug)]
pub(super) struct Output {
    path: Option<PathBuf>,
    state: Mutex<State>,
    // The engine's time 0 in timestamps.
    base: u64,
}

struct State {
    // The file, until it is written to: what is in it stays as long as the engine may still be refused.
    file: Option<File>,
    // None until then, and when it is complete.
    writer: Option<Writer<File>>,
    packets: u64,
    // The first error, and the packets that are not in the file since.
    error: Option<String>,
    lost: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State({} packets, {} lost)", self.packets, self.lost)
    }
}

impl Output {
    /// Opens the file, if there is to be one. What is in it is replaced when the first packet is written, or in the end.
    pub fn create(path: Option<&Path>, base: u64) -> std::io::Result<Arc<Output>> {
        let open = |path: &Path| OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = path.map(open).transpose()?;
        let state = Mutex::new(State { file, writer: None, packets: 0, error: None, lost: 0 });
        Ok(Arc::new(Output { path: path.map(Path::to_path_buf), state, base }))
    }

    /// Where it is.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Completes the file. Returns how many packets were sent.
    ///
    /// # Errors
    /// What could not be written.
    pub fn finish(&self) -> Result<u64, String> {
        let mut state = self.lock();
        state.begin();
        if let Some(Err(error)) = state.writer.take().map(Writer::finish) {
            state.error.get_or_insert(error.to_string());
        }
        match (&state.error, &self.path) {
            (Some(error), Some(path)) => {
                Err(format!("{} is not complete: {error}; {} packets or more are missing", path.display(), state.lost))
            }
            _ => Ok(state.packets),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes a capture of the file, at the first packet or in the end.
    fn begin(&mut self) {
        if let Some(file) = self.file.take() {
            // A device has no length.
            let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
            let emptied = if is_file { file.set_len(0) } else { Ok(()) };
            match emptied.and_then(|()| Writer::new(file)) {
                Ok(writer) => self.writer = Some(writer),
                Err(error) => self.error = Some(error.to_string()),
            }
        }
    }
}

/// A transmit queue.
#[derive(Debug)]
pub(super) struct WriteQueue(pub Arc<Output>);

impl TxQueue for WriteQueue {
    fn transmit(&mut self, packets: &mut Vector, io: &mut Io<'_>) {
        let timestamp = self.0.base.saturating_add(io.now);
        let mut state = self.0.lock();
        state.begin();
        let State { writer, packets: count, error, lost, .. } = &mut *state;
        *count += packets.len() as u64;
        if let Some(writer) = writer {
            for frame in (0..packets.len()).filter_map(|index| packets.bytes(index)) {
                // Nothing follows an error: what is in the file is without gaps.
                if error.is_none() {
                    *error = writer.write(timestamp, frame).err().map(|error| error.to_string());
                }
                *lost += u64::from(error.is_some());
            }
        }
        io.cache.free(packets);
    }
}
