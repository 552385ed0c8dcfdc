//! DPDK's environment abstraction layer: it is started once, and what it logs goes where Swath logs.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use dpdk_sys as dpdk;
use swath_dpdk_abi::{Message, Start};

/// An error, with the words of DPDK or the system for its number.
pub fn words(error: c_int) -> String {
    // SAFETY: it returns a string that ends with a zero and lives until this thread asks again.
    let text = unsafe { CStr::from_ptr(dpdk::rte_strerror(error.abs())) };
    text.to_string_lossy().into_owned()
}

/// The error of the last call on this thread.
pub fn last_error() -> c_int {
    // SAFETY: it reads a variable of this thread.
    unsafe { dpdk::swath_rte_errno() }
}

pub unsafe extern "C" fn version() -> *const c_char {
    // SAFETY: it has no preconditions.
    unsafe { dpdk::rte_version() }
}

/// # Safety
/// As [`swath_dpdk_abi::Library::start`] says.
pub unsafe extern "C" fn start(start: *const Start, message: *mut Message) -> i32 {
    // SAFETY: both are what the caller promises.
    let (start, message) = unsafe { (&*start, &mut *message) };
    // SAFETY: there are `count` of them, each of which ends with a zero.
    let arguments = (0..start.count as usize).map(|at| unsafe { CStr::from_ptr(*start.arguments.add(at)) }.to_owned());
    let arguments: Vec<CString> = [c"swath".to_owned()].into_iter().chain(arguments).collect();
    let log = start.log;
    if let Err(error) = log_to(log) {
        message.set(&format!("what it logs cannot be taken: {error}"));
        return -1;
    }
    // On a thread of its own, which it takes for its main one: it binds that to processors, and to the last of its life.
    let started = std::thread::Builder::new().name("dpdk".into()).spawn(move || {
        let mut pointers: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        // It permutes the pointers, and writes to no string.
        // SAFETY: there are as many as the count says, and they live as long as the call.
        let start = || unsafe { dpdk::rte_eal_init(pointers.len() as c_int, pointers.as_mut_ptr()) };
        let status = overheard(log, start);
        // It keeps pointers to them for as long as the process lives.
        std::mem::forget(arguments);
        if status < 0 { Err(last_error()) } else { Ok(()) }
    });
    match started.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => 0,
        Ok(Ok(Err(error))) => {
            message.set(&words(error));
            -1
        }
        Ok(Err(_)) => {
            message.set("its main thread has panicked");
            -1
        }
        Err(error) => {
            message.set(&format!("no thread for it: {error}"));
            -1
        }
    }
}

/// Has all that DPDK logs from now on go to a function, at once and on the thread that logs it.
fn log_to(log: Log) -> std::io::Result<()> {
    let stream = stream(log)?;
    // SAFETY: the stream is open, and stays so.
    unsafe { dpdk::rte_openlog_stream(stream.cast()) };
    Ok(())
}

/// Does something that writes to the standard streams of C, instead of which what is an error is logged. What is wrong with an argument DPDK and
/// `getopt_long` say there, and DPDK adds all options that it knows: whoever reads the output of swath has asked for none of it.
fn overheard<T>(log: Log, work: impl FnOnce() -> T) -> T {
    unsafe extern "C" fn nothing(_: *const u8, _: usize) {}
    let Ok((errors, output)) = stream(log).and_then(|errors| Ok((errors, stream(nothing)?))) else { return work() };
    // SAFETY: the streams of C are variables of glibc that may be replaced (Standard Streams in its manual). Nothing in this process but DPDK writes by
    // them: Rust writes to the descriptors. Both streams are open for as long as they are in use, and for ever: another thread of DPDK may have them.
    unsafe {
        let before = (stdout, stderr);
        (stdout, stderr) = (output, errors);
        let result = work();
        (stdout, stderr) = before;
        result
    }
}

/// A stream of C, each line of which goes to a function.
fn stream(log: Log) -> std::io::Result<*mut c_void> {
    /// Calls its cookie, which is the function.
    unsafe extern "C" fn write(cookie: *mut c_void, bytes: *const c_char, length: usize) -> isize {
        // SAFETY: the cookie is a `Log`, and such are as large as pointers; the stream gives `length` bytes.
        unsafe {
            let log: Log = std::mem::transmute(cookie);
            log(bytes.cast(), length);
        }
        length as isize
    }
    let functions = Functions { read: None, write: Some(write), seek: None, close: None };
    // SAFETY: the mode ends with a zero, and the function is there for ever.
    let stream = unsafe { fopencookie(log as *mut c_void, c"w".as_ptr(), functions) };
    if stream.is_null() {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the stream is open.
    unsafe { setvbuf(stream, std::ptr::null_mut(), LINE_BUFFERED, 0) };
    Ok(stream)
}

type Log = unsafe extern "C" fn(*const u8, usize);

/// `_IOLBF`.
const LINE_BUFFERED: c_int = 1;

/// `cookie_io_functions_t` of fopencookie(3).
#[repr(C)]
struct Functions {
    read: Option<unsafe extern "C" fn()>,
    write: Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize) -> isize>,
    seek: Option<unsafe extern "C" fn()>,
    close: Option<unsafe extern "C" fn()>,
}

unsafe extern "C" {
    static mut stdout: *mut c_void;
    static mut stderr: *mut c_void;
    fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: Functions) -> *mut c_void;
    fn setvbuf(stream: *mut c_void, buffer: *mut c_char, mode: c_int, size: usize) -> c_int;
}
