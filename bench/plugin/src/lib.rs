//! The node of the case `plugin`, as a library in Rust.

mod mark;

swath_api::export_nodes!(mark::Mark);
