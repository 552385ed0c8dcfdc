//! `docs/graph-language.md`: every graph in it is accepted and its tests pass, every message is the one that is given.
//!
//! The blocks of a chapter are files of one directory: a block with a name is a file of that name, and `broken.yaml` is one that is
//! refused with the text that the block of the same name shows. A block of YAML without a name is a graph by itself, and so is
//! `router.yaml`.

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::{said_by, swath};

struct Block {
    language: String,
    name: Option<String>,
    text: String,
}

/// The blocks of each chapter.
fn chapters(document: &str) -> Vec<(String, Vec<Block>)> {
    let mut chapters: Vec<(String, Vec<Block>)> = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            chapters.push((title.to_owned(), Vec::new()));
        } else if let Some(tag) = line.strip_prefix("```") {
            let mut words = tag.split(' ').map(str::to_owned);
            let mut block = Block { language: words.next().unwrap_or_default(), name: words.next(), text: String::new() };
            for line in lines.by_ref().take_while(|line| *line != "```") {
                writeln!(block.text, "{line}").unwrap();
            }
            chapters.last_mut().expect("a chapter before its blocks").1.push(block);
        }
    }
    chapters
}

/// What a command says in a directory: its exit code and its words.
fn run(directory: &Path, args: &[&str]) -> (i32, String) {
    let said = said_by(swath(args).current_dir(directory));
    (said.code, said.err + &said.out)
}

#[test]
fn everything_that_is_shown_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/graph-language.md");
    let (mut graphs, mut refused) = (0, 0);
    for (title, blocks) in chapters(&std::fs::read_to_string(path).unwrap()) {
        let directory = tempfile::tempdir().unwrap();
        let mut accepted = Vec::new();
        for (at, block) in blocks.iter().enumerate() {
            let name = match (&*block.language, &block.name) {
                ("text", _) => continue,
                (_, Some(name)) => name.clone(),
                (language, None) => format!("block-{at}.{language}"),
            };
            let file = directory.path().join(&name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, &block.text).unwrap();
            if block.language == "yaml" && (block.name.is_none() || name == "router.yaml") {
                accepted.push(name);
            }
        }
        for graph in accepted {
            let (code, words) = run(directory.path(), &["validate", "--deny-warnings", &graph]);
            assert_eq!(code, 0, "{title}: {graph}: {words}");
            let (code, words) = run(directory.path(), &["test", &graph]);
            assert_eq!(code, 0, "{title}: {graph}: {words}");
            graphs += 1;
        }
        for block in blocks.iter().filter(|block| block.language == "text") {
            let graph = block.name.as_deref().expect("a message is of a graph");
            let (code, words) = run(directory.path(), &["validate", graph]);
            assert_eq!(code, 78, "{title}: {graph}");
            assert!(words.contains(block.text.trim_end()), "{title}: {graph}: shown:\n{}given:\n{words}", block.text);
            refused += 1;
        }
    }
    assert!(graphs >= 5 && refused >= 1, "{graphs} graphs and {refused} messages were found");
}
