//! `swath`: describe a dataplane in YAML, run it at line rate.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    swath::main(std::env::args_os())
}
