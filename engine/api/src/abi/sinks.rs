//! What a callee has to say, on both sides.

use super::raw::{Bytes, Sink};
use crate::setup::ConfigError;

impl Sink {
    pub fn put(&self, path: &str, message: &str) {
        self.put_bytes(path, message.as_bytes());
    }

    pub fn put_bytes(&self, path: &str, bytes: &[u8]) {
        if let Some(put) = self.put {
            // SAFETY: the host made both parts, for the time of the call.
            unsafe { put(self.to, Bytes::new(path.as_bytes()), Bytes::new(bytes)) };
        }
    }

    /// Keeps the last text, with its path.
    pub fn collect(to: &mut ConfigError) -> Sink {
        unsafe extern "C" fn put(to: *mut std::ffi::c_void, path: Bytes, message: Bytes) {
            // SAFETY: `to` is the ConfigError below, which outlives the call; the bytes are alive during it.
            unsafe {
                let text = |bytes: Bytes| String::from_utf8_lossy(bytes.as_slice()).into_owned();
                *to.cast::<ConfigError>() = ConfigError::at(text(path), text(message));
            }
        }
        Sink { to: (&raw mut *to).cast(), put: Some(put) }
    }

    /// Keeps all bytes, one piece behind the other.
    pub fn append(to: &mut Vec<u8>) -> Sink {
        unsafe extern "C" fn put(to: *mut std::ffi::c_void, _: Bytes, piece: Bytes) {
            // SAFETY: `to` is the Vec below, which outlives the call; the bytes are alive during it.
            unsafe { (*to.cast::<Vec<u8>>()).extend_from_slice(piece.as_slice()) };
        }
        Sink { to: (&raw mut *to).cast(), put: Some(put) }
    }
}
