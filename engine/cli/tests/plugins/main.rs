//! Plugins: built as a stranger builds them, loaded, refused, upgraded, and lived with.

#[path = "../common/mod.rs"]
mod common;

mod build;
mod contain;
mod flow_export;
mod refusals;
mod tables;
mod template;
mod upgrade;
