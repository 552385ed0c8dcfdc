//! Says whose code it was when the process dies: native code of a library can do anything, and nobody can go on behind it.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use swath_api::{Library, Running, running};

/// What a defect raises.
const SIGNALS: [(c_int, &str); 4] =
    [(libc::SIGSEGV, "SIGSEGV"), (libc::SIGBUS, "SIGBUS"), (libc::SIGILL, "SIGILL"), (libc::SIGFPE, "SIGFPE")];
/// Libraries whose code is known by its addresses.
const MOST: usize = 64;

struct Code {
    start: AtomicUsize,
    end: AtomicUsize,
    library: AtomicPtr<Library>,
}

static CODES: [Code; MOST] =
    [const { Code { start: AtomicUsize::new(0), end: AtomicUsize::new(0), library: AtomicPtr::new(std::ptr::null_mut()) } }; MOST];
static KNOWN: AtomicUsize = AtomicUsize::new(0);

/// What was done about each signal before.
static mut BEFORE: MaybeUninit<[libc::sigaction; SIGNALS.len()]> = MaybeUninit::zeroed();

/// Takes down where the code of a library is, and has the handler of signals tell of it.
pub fn watch(library: &'static Library) {
    static INSTALL: Once = Once::new();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, end) in code(&maps, library.file()) {
        let at = KNOWN.fetch_add(1, Ordering::Relaxed);
        let Some(entry) = CODES.get(at) else { break };
        entry.start.store(start, Ordering::Relaxed);
        entry.end.store(end, Ordering::Relaxed);
        entry.library.store(std::ptr::from_ref(library).cast_mut(), Ordering::Release);
    }
    INSTALL.call_once(install);
}

/// The ranges of a file's code, of the list of a process's memory.
fn code<'a>(maps: &'a str, file: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    maps.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        let (start, end) = range.split_once('-')?;
        let is_its = rights.contains('x') && line.ends_with(file);
        is_its.then_some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    })
}

fn install() {
    for (index, (signal, _)) in SIGNALS.into_iter().enumerate() {
        let handler: unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle;
        // SAFETY: a structure of numbers, for which zeros are good; the handler has the type that SA_SIGINFO asks for, and does only what a handler
        // may. What was before is written by this thread alone, and read by handlers that are installed after it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            let before = (&raw mut BEFORE).cast::<libc::sigaction>().add(index);
            libc::sigaction(signal, std::ptr::null(), before);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Tells, and lets what was before this handler do what it would have done: what has raised the signal does so again.
unsafe extern "C" fn handle(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(index) = SIGNALS.iter().position(|(known, _)| *known == signal) else { return };
    // SAFETY: the kernel hands a handler its context.
    let library = library_at(unsafe { address(context) });
    let within = running();
    if library.is_some() || within.is_some() {
        let mut line = Line { text: [0; 512], length: 0 };
        line.put(b"swath: ");
        line.put(SIGNALS[index].1.as_bytes());
        tell(&mut line, within, library);
        line.put(b"\n");
        // SAFETY: so many bytes are there. Nothing can be done if it fails.
        unsafe { libc::write(2, line.text.as_ptr().cast(), line.length) };
    }
    // SAFETY: `install` has written it before this handler was installed.
    unsafe { libc::sigaction(signal, (&raw const BEFORE).cast::<libc::sigaction>().add(index), std::ptr::null_mut()) };
}

fn tell(line: &mut Line, within: Option<&Running>, library: Option<&Library>) {
    match within {
        Some(Running { class, name, kind, library }) => {
            for part in [" in the ", class, " `", name, "` of kind `", kind, "` of the library ", library] {
                line.put(part.as_bytes());
            }
        }
        None => {
            line.put(b" in a thread of the library ");
            line.put(library.map_or("", Library::file).as_bytes());
        }
    }
}

fn library_at(address: usize) -> Option<&'static Library> {
    let inside = |code: &&Code| (code.start.load(Ordering::Relaxed)..code.end.load(Ordering::Relaxed)).contains(&address);
    let code = CODES.iter().find(inside)?;
    // SAFETY: it is null, or a library, which stays for ever.
    unsafe { code.library.load(Ordering::Acquire).as_ref() }
}

/// Where the thread was.
///
/// # Safety
/// The context is that of a handler.
unsafe fn address(context: *mut c_void) -> usize {
    // SAFETY: the caller's contract.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    #[cfg(target_arch = "x86_64")]
    return context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    return context.uc_mcontext.pc as usize;
}

/// A line of text without an allocator.
struct Line {
    text: [u8; 512],
    length: usize,
}

impl Line {
    fn put(&mut self, bytes: &[u8]) {
        // The last byte is the line's end.
        let room = self.text.len().saturating_sub(self.length + 1);
        let bytes = if bytes == b"\n" { bytes } else { &bytes[..bytes.len().min(room)] };
        self.text[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_too_long_are_cut_off_and_end() {
        let mut line = Line { text: [0; 512], length: 0 };
        (0..100).for_each(|_| line.put(b"0123456789"));
        line.put(b"\n");
        assert_eq!((line.length, line.text[510], line.text[511]), (512, b'0', b'\n'));
    }

    #[test]
    fn code_is_found_in_the_list_of_memory() {
        let maps =
            "7f00-7f10 r--p 0 fe:00 1 /p/liba.so\n7f10-7f40 r-xp 1 fe:00 1 /p/liba.so\n8000-8010 r-xp 1 fe:00 1 /p/libb.so\n";
        assert_eq!(code(maps, "/p/liba.so").collect::<Vec<_>>(), [(0x7f10, 0x7f40)]);
    }
}
