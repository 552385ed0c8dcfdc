//! Lists in files of data are the same as lists in graphs, whoever looks at them.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Words of CSV files, and what can be wrong in one.
const WORDS: [&str; 28] = [
    ",",
    ",",
    ",",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "#",
    " ",
    "\t",
    "\u{a0}",
    "a",
    "b",
    "lan",
    "x y",
    "é",
    "7",
    "-7",
    "0x1f",
    "18446744073709551615",
    "1.5",
    "true",
    "~",
    "10.0.0.0/8",
    "192.0.2.1",
    ".inf",
    "${A}",
];

/// A text without quotes that may be a CSV file.
pub(crate) fn csv_text() -> impl Strategy<Value = String> {
    let rows = prop::collection::vec(select(&WORDS[..]), 0..40).prop_map(|words| words.concat());
    (prop::bool::weighted(0.8), rows).prop_map(|(good, rows)| if good { format!("p,q,r\n{rows}") } else { rows })
}

/// A list of lines, some of them good.
fn lines() -> impl Strategy<Value = String> {
    let field = select(&["", "a", "b", "c", "lan", "7", "8", "true", "1.5", "~", "10.0.0.0/8"][..]);
    let line = prop::collection::vec(field, 1..4).prop_map(|fields| fields.join(",") + "\n");
    let header = select(&["p,q,r\n", "q,p,r\n"][..]);
    (header, prop::collection::vec(line, 0..8)).prop_map(|(header, lines)| header.to_owned() + &lines.concat())
}

/// Settings with a list of which parts stand in files, with a few entries before and behind.
pub(crate) fn settings() -> impl Strategy<Value = (SourceMap, Value)> {
    let inline = select(&["", "rows: [], ", "rows: [{ p: a }], ", "rows: [{ q: 7, p: x }, x], "][..]);
    (inline, lines(), lines(), select(&["[]", "[x, { p: b, s: [1] }]"][..])).prop_map(|(inline, one, other, list)| {
        let graph = format!("version: 1\ntables: {{ t: {{ kind: k, n: 1, {inline}rows-from: [1.csv, 3.yaml, 2.csv] }} }}\nnodes: {{ n: {{ kind: n }} }}\n");
        let files = [("a.yaml", &*graph), ("1.csv", &*one), ("2.csv", &*other), ("3.yaml", list)];
        let (sources, spec, diagnostics) = language_tests::read(&files);
        assert_eq!(diagnostics.errors(), 0, "{}", diagnostics.render(&sources, false));
        let settings = spec.tables[0].settings.clone();
        assert!(matches!(settings.get("rows").unwrap().node, Node::Rows(_)));
        (sources, settings)
    })
}

/// The same settings as if all stood in the graph.
pub(crate) fn expanded(value: &Value) -> Value {
    let node = match (&value.node, value.list()) {
        (_, Some(list)) => Node::Seq(list.iter().map(|row| expanded(&row.value())).collect()),
        (Node::Map(entries), _) => {
            Node::Map(entries.iter().map(|entry| Entry { value: expanded(&entry.value), ..entry.clone() }).collect())
        }
        (node, _) => node.clone(),
    };
    Value { span: value.span, node }
}

proptest! {
    #[test]
    fn both_forms_are_the_same((_, rows) in settings(), index in 0_usize..16, key in select(&["", ".p", ".q", ".r", ".s[0]", "[0]"][..])) {
        let values = expanded(&rows);
        prop_assert_eq!(rows.to_json_bytes(), values.to_json_bytes());
        prop_assert_eq!(rows.to_json(), values.to_json());
        prop_assert_eq!(rows.count(), values.count());
        prop_assert_eq!(rows.to_string(), values.to_string());
        for word in ["a", "lan", "7", "true", "~", "10.0.0.0/8", "p", "y", ""] {
            prop_assert_eq!(rows.says(word), values.says(word), "{}", word);
        }
        let path = format!("rows[{index}]{key}");
        let (one, other) = (rows.locate(&path), values.locate(&path));
        // A list itself is another form of the same.
        prop_assert_eq!(expanded(&one.value), expanded(&other.value));
        let entry = |place: &Place<'_, '_>| place.entry.as_ref().map(|entry| (entry.key.clone(), expanded(&entry.value)));
        prop_assert_eq!((entry(&one), one.rest), (entry(&other), other.rest));
        prop_assert_eq!(one.key_span(), other.key_span());
        let list = |value: &Value| value.get("rows").unwrap().expect_seq().unwrap().into_owned();
        prop_assert_eq!(list(&rows), list(&values));
    }
}
