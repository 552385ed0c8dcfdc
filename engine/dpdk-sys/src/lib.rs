//! Raw bindings to the parts of [DPDK](https://doc.dpdk.org/) that Swath uses, made by bindgen from the headers that are installed, and shims in C
//! for what those have as inline functions.
//!
//! Release 22.11 or later. Nothing here is safe to call without its manual; who wants a port for packets wants `driver: dpdk`.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]
#![allow(missing_docs, unnecessary_transmutes, unsafe_op_in_unsafe_fn, clippy::all, clippy::undocumented_unsafe_blocks)]
#![allow(rust_2018_idioms, rustdoc::all)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
