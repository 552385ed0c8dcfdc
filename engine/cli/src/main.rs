//! `swath`: describe a dataplane in YAML, and run it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    swath::main(std::env::args_os())
}
