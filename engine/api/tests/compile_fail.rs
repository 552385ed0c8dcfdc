//! What the borrow checker and privacy keep node authors from, and what they allow.
//!
//! The expected messages are those of the toolchain that `rust-toolchain.toml` pins; after a change of it run with
//! `TRYBUILD=overwrite` and read the difference.

#[test]
fn packets_views_and_shards_stay_where_they_are_lent() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile_pass/*.rs");
    cases.compile_fail("tests/compile_fail/*.rs");
}
