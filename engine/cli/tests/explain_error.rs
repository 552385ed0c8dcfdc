//! `swath explain-error`.

mod common;

use common::said;

#[test]
fn a_code_is_explained_in_any_case() {
    for code in ["SW0205", "sw0205"] {
        let said = said(["explain-error", code]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.out.starts_with("SW0205: The graph has a cycle.\n\n"), "{}", said.out);
        assert!(said.out.contains("another node of the same kind"), "{}", said.out);
        assert!(said.out.lines().all(|line| line.chars().count() <= 100), "{}", said.out);
    }
}

#[test]
fn all_codes_are_listed() {
    let said = said(["explain-error"]);
    assert_eq!(said.code, 0);
    assert_eq!(said.out.lines().count(), swath_core::spec::Code::ALL.len());
}

#[test]
fn an_unknown_code_has_a_suggestion() {
    let said = said(["explain-error", "SW02005"]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("there is no error code `SW02005`; did you mean `SW0"), "{}", said.err);
}
