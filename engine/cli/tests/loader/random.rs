//! Random graph files: shipped and broken ones with changes, and texts of the words of the language.

use std::path::Path;

use proptest::prelude::*;

use super::{LONGEST, load};

/// The shipped graphs, and those of `tests/broken`.
fn graphs() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in ["tests/broken", "../../graphs"] {
        files.extend(std::fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 30);
    files.into_iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

const WORDS: &[&str] = &[
    "version",
    "engine",
    "interfaces",
    "tables",
    "nodes",
    "kind",
    "to",
    "driver",
    "memory",
    "pcap",
    "addresses",
    "mac",
    "mtu",
    "generate",
    "packets",
    "flows",
    "sink",
    "read",
    "write",
    "loop",
    "workers",
    "buffers",
    "rx",
    "tx",
    "drop",
    "ethernet-input",
    "ip4-input",
    "ip4-lookup",
    "ip4-rewrite",
    "ip4-dscp",
    "dscp",
    "fib4",
    "neighbours",
    "interface",
    "table",
    "static",
    "routes",
    "prefix",
    "via",
    "blackhole",
    "lan",
    "wan",
    "arp",
    "ok",
    "forward",
    "local",
    "ip4",
    "out",
    "1",
    "0",
    "-1",
    "64",
    "99999999999",
    "true",
    "null",
    "1.5",
    "10.0.0.1/24",
    "10.0.0.0/8",
    "10.0.0.1",
    "02:00:00:00:00:01",
    "",
    "'",
    "\"",
    "&a",
    "*a",
    "!t",
    "<<",
    "é",
    "a b",
    "udp 10.0.0.1:1 > 10.0.0.2:2",
];

/// What may stand between words.
const BETWEEN: &[&str] = &[": ", ": {", "}", ", ", "[", "]", "\n", "\n  ", "\n    ", "\n- ", "\n  - ", " ", ":", "# "];

#[derive(Debug, Clone)]
enum Change {
    Cut(usize, usize),
    Word(usize, &'static str),
    Swap(usize, usize),
    Line(usize, usize),
    Byte(usize, char),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || 0..4000usize;
    prop_oneof![
        (at(), 1..30usize).prop_map(|(from, len)| Change::Cut(from, len)),
        (at(), prop::sample::select(WORDS)).prop_map(|(at, word)| Change::Word(at, word)),
        (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        (at(), at()).prop_map(|(from, to)| Change::Line(from, to)),
        (at(), any::<char>()).prop_map(|(at, letter)| Change::Byte(at, letter)),
    ]
}

/// The start and end of a word of a text.
fn word(text: &str, at: usize) -> (usize, usize) {
    let starts: Vec<(usize, &str)> = text
        .split([' ', '\n', ',', '[', ']', '{', '}', ':'])
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
        .filter(|(_, word)| !word.is_empty())
        .collect();
    starts.get(at % starts.len().max(1)).map_or((0, 0), |(start, word)| (*start, start + word.len()))
}

fn apply(text: &mut String, change: &Change) {
    let place = |text: &str, at: usize| text.floor_char_boundary(at % (text.len() + 1));
    match *change {
        Change::Cut(from, len) => {
            let from = place(text, from);
            let to = text.ceil_char_boundary((from + len).min(text.len()));
            text.replace_range(from..to, "");
        }
        Change::Word(at, new) => {
            let (start, end) = word(text, at);
            text.replace_range(start..end, new);
        }
        Change::Swap(a, b) => {
            let ((a, b), (c, d)) = (word(text, a), word(text, b));
            if b <= c {
                let (first, second) = (text[a..b].to_owned(), text[c..d].to_owned());
                text.replace_range(c..d, &first);
                text.replace_range(a..b, &second);
            }
        }
        Change::Line(from, to) => {
            let mut lines: Vec<&str> = text.lines().collect();
            if !lines.is_empty() {
                let line = lines[from % lines.len()];
                lines.insert(to % lines.len(), line);
                *text = lines.join("\n");
            }
        }
        Change::Byte(at, letter) => {
            let at = place(text, at);
            text.insert(at, letter);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_graphs(which in 0..1000usize, changes in prop::collection::vec(change(), 1..6)) {
        thread_local! {
            static GRAPHS: Vec<String> = graphs();
        }
        let mut text = GRAPHS.with(|graphs| graphs[which % graphs.len()].clone());
        changes.iter().for_each(|change| apply(&mut text, change));
        let (.., said) = load(&text);
        prop_assert!(said.len() < LONGEST);
    }

    #[test]
    fn texts_of_words(words in prop::collection::vec((prop::sample::select(WORDS), prop::sample::select(BETWEEN)), 0..120)) {
        let text: String = words.into_iter().map(|(word, between)| format!("{word}{between}")).collect();
        let (.., said) = load(&text);
        prop_assert!(said.len() < LONGEST);
        load(&format!("version: 1\nnodes: {{ {text}"));
    }
}
