//! Interface drivers and packet memory.

pub mod capture;
pub mod text;
