//! `docs/nat44-rfcs.md` speaks of each requirement, and the tests that it names are there.

use std::collections::BTreeSet;

/// Each RFC with the number of its requirements; of RFC 7857 with its sections that ask for something.
const REQUIREMENTS: [(&str, u32); 4] = [("RFC 4787", 14), ("RFC 5382", 10), ("RFC 5508", 11), ("RFC 6888", 15)];
const SECTIONS: [&str; 12] = ["2", "2.1", "2.2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];

#[test]
fn each_requirement_has_a_row_and_each_test_is_there() {
    let tests = [
        include_str!("rfc4787.rs"),
        include_str!("rfc5382.rs"),
        include_str!("rfc5508.rs"),
        include_str!("rfc6888.rs"),
        include_str!("rfc7857.rs"),
        include_str!("fragments.rs"),
        include_str!("saved.rs"),
        include_str!("table.rs"),
        include_str!("workers.rs"),
        include_str!("blocks.rs"),
        include_str!("churn.rs"),
        include_str!("collisions.rs"),
        include_str!("hostile.rs"),
    ];
    let there: BTreeSet<&str> = tests
        .iter()
        .flat_map(|text| text.split("#[test]\nfn ").skip(1))
        .map(|text| text.split('(').next().expect("a name"))
        .collect();
    let document = include_str!("../../../docs/nat44-rfcs.md");
    let (mut rfc, mut spoken_of, mut named) = ("", BTreeSet::new(), BTreeSet::new());
    for line in document.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            rfc = title.split(':').next().expect("a title");
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let is_row = line.starts_with("| REQ-") || line.starts_with("| §");
        if !is_row || cells[0] == "§" {
            continue;
        }
        assert_eq!(cells.len(), 3, "{line}");
        assert!(cells[2].len() > 10, "{line}: what we do");
        spoken_of.insert((rfc, cells[0].to_string()));
        for test in cells[2].split('`').skip(1).step_by(2).filter(|name| there.contains(name) || name.starts_with("req_")) {
            assert!(there.contains(test), "{line}: there is no such test");
            named.insert(test);
        }
    }
    for (rfc, count) in REQUIREMENTS {
        for number in 1..=count {
            let row = (rfc, format!("REQ-{number}"));
            assert!(spoken_of.contains(&row), "docs/nat44-rfcs.md says nothing of {row:?}");
        }
    }
    for section in SECTIONS {
        assert!(spoken_of.contains(&("RFC 7857", format!("§{section}"))), "docs/nat44-rfcs.md says nothing of RFC 7857 §{section}");
    }
    let unnamed: Vec<_> =
        there.iter().filter(|test| (test.starts_with("req_") || test.starts_with("section_")) && !named.contains(*test)).collect();
    assert!(unnamed.is_empty(), "docs/nat44-rfcs.md does not name {unnamed:?}");
}
