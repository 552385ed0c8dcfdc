//! Text that crosses the plugin boundary.

use std::fmt;

/// A `&'static str` with a layout that C knows: pointer and length of UTF-8 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Str {
    bytes: *const u8,
    len: usize,
}

// SAFETY: it is a `&'static str` in another layout.
unsafe impl Send for Str {}
// SAFETY: as above.
unsafe impl Sync for Str {}

impl Str {
    /// The same text.
    pub const fn new(text: &'static str) -> Str {
        Str { bytes: text.as_ptr(), len: text.len() }
    }

    /// The same text.
    pub const fn as_str(&self) -> &'static str {
        // SAFETY: both parts come from one `&'static str` in `new`, the only constructor.
        unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.bytes, self.len)) }
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Str) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for Str {}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A `&'static [T]` with a layout that C knows.
#[repr(C)]
pub struct List<T: 'static> {
    first: *const T,
    len: usize,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> List<T> {
        *self
    }
}
impl<T> Copy for List<T> {}

// SAFETY: it is a `&'static [T]` in another layout.
unsafe impl<T: Sync> Send for List<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for List<T> {}

impl<T> List<T> {
    /// The same slice.
    pub const fn new(slice: &'static [T]) -> List<T> {
        List { first: slice.as_ptr(), len: slice.len() }
    }

    /// The same slice.
    pub const fn as_slice(&self) -> &'static [T] {
        // SAFETY: both parts come from one `&'static [T]` in `new`, the only constructor.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_slice(), f)
    }
}
