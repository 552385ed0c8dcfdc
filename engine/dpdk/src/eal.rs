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
    if let Err(error) = log_to(start.log) {
        message.set(&format!("what it logs cannot be taken: {error}"));
        return -1;
    }
    // On a thread of its own, which it takes for its main one: it binds that to processors, and to the last of its life.
    let started = std::thread::Builder::new().name("dpdk".into()).spawn(move || {
        let mut pointers: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        // It permutes the pointers, and writes to no string.
        // SAFETY: there are as many as the count says, and they live as long as the call.
        let status = unsafe { dpdk::rte_eal_init(pointers.len() as c_int, pointers.as_mut_ptr()) };
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
    /// A stream that calls its cookie, which is the function.
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
    // SAFETY: the stream is open, and stays so.
    unsafe {
        setvbuf(stream, std::ptr::null_mut(), LINE_BUFFERED, 0);
        dpdk::rte_openlog_stream(stream.cast());
    }
    Ok(())
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
    fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: Functions) -> *mut c_void;
    fn setvbuf(stream: *mut c_void, buffer: *mut c_char, mode: c_int, size: usize) -> c_int;
}
