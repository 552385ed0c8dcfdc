//! Help, read as a newcomer reads it; and who sees colours.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Place, forwarder, graph, has, said};
use rustix::process::{Pid, Signal, kill_process};

/// All commands, as the help lists them.
fn commands() -> Vec<String> {
    let help = said(["-h"]).out;
    let list = help.split("Options:").next().unwrap().lines().filter_map(|line| line.strip_prefix("  "));
    list.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The lines of a section of the program's help.
fn section(heading: &str) -> Vec<String> {
    let help = said(["--help"]).out;
    let section = help.split(&format!("\n{heading}:\n")).nth(1).unwrap().split("\n\n").next().unwrap();
    section.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn every_command_is_listed_and_explained() {
    let commands = commands();
    for name in ["new", "run", "validate", "replay", "diff", "nodes", "explain-error", "completions", "man", "help"] {
        assert!(commands.iter().any(|command| command == name), "{name}");
    }
    assert_eq!(commands.iter().collect::<BTreeSet<_>>().len(), commands.len(), "each once");
    for name in commands.iter().filter(|name| *name != "help") {
        let (short, long, help) = (said([name, "-h"]), said([name, "--help"]), said(["help", name]));
        for said in [&short, &long, &help] {
            assert_eq!((said.code, &*said.err), (0, ""), "{name}");
            assert!(said.out.contains(&format!("Usage: swath {name}")), "{}", said.out);
            assert!(said.out.contains(&format!("\nExamples:\n  swath {name}")), "{}", said.out);
        }
        assert_eq!(help.out, long.out);
        assert!(short.out.ends_with(&format!("`swath help {name}` says more.\n")), "{}", short.out);
    }
}

#[test]
fn no_line_is_longer_than_100_columns() {
    let commands = commands();
    let pages = commands.iter().flat_map(|name| [vec!["help", name], vec![name, "-h"]]);
    for args in pages.chain([vec!["-h"], vec!["--help"]]) {
        for line in said(&args).out.lines() {
            assert!(line.chars().count() <= 100, "{args:?}: {line}");
        }
    }
}

#[test]
fn the_examples_that_come_first_work() {
    let place = Place::new();
    let lines = section("Start here");
    assert!(lines.len() >= 4, "{lines:?}");
    for line in lines {
        let mut args: Vec<&str> = line.strip_prefix("swath ").unwrap().split(' ').collect();
        if args[0] == "run" {
            args.extend(["--duration", "0.2"]);
        }
        let done = common::swath(args).current_dir(place.path("")).output().unwrap();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn the_graph_that_explains_graphs_is_one() {
    let help = said(["--help"]).out;
    let start = help.find("  version: 1\n").unwrap();
    let text = help[start..].split("\n\n").next().unwrap();
    let place = Place::new();
    let graph = place.text("graph.yaml", text);
    let done = said(["run".as_ref(), graph.as_os_str(), "--report".as_ref(), "-".as_ref()]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(common::without_buffers(&done.out)["received"], 1000);
}

#[test]
fn every_exit_code_is_documented_and_used() {
    let place = Place::new();
    let (good, other) = (forwarder(), graph("quickstart.yaml"));
    let (good, other) = (good.to_str().unwrap(), other.to_str().unwrap());
    let bad = place.text("bad.yaml", "version: 1\n");
    let mut used: BTreeSet<String> = BTreeSet::new();
    for (code, args) in [
        (0, vec!["validate", good]),
        (1, vec!["new", "router", "-o", good]),
        (2, vec!["diff", "--exit-code", good, other]),
        (64, vec!["rnu"]),
        (66, vec!["validate", "/no/such/file.yaml"]),
        (78, vec!["validate", bad.to_str().unwrap()]),
    ] {
        assert_eq!(said(&args).code, code, "{args:?}");
        used.insert(code.to_string());
    }
    // Both signals wait while it is stopped, so that none is answered before the other has come.
    let mut child = Command::new(env!("CARGO_BIN_EXE_swath")).args(["run", other]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    for signal in [Signal::STOP, Signal::INT, Signal::TERM, Signal::CONT] {
        kill_process(Pid::from_child(&child), signal).unwrap();
    }
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}: {line}");
    used.insert("130, 143".into());
    let documented: BTreeSet<String> =
        section("Exit codes").iter().map(|line| line.split_once("  ").unwrap().0.to_owned()).collect();
    assert_eq!(documented, used);
    let table: BTreeSet<String> = std::fs::read_to_string(root().join("README.md"))
        .unwrap()
        .split("| exit code |")
        .nth(1)
        .unwrap()
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| "))
        .map(|line| line.split(" |").next().unwrap().to_owned())
        .collect();
    assert_eq!(table, used, "README.md");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All words `SWATH_...` in the sources of the program, but for those of tests.
fn variables(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        // The ABI of plugins has names of C that are none of the environment's.
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("abi") {
            variables(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.to_string_lossy().ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for rest in text.split("#[cfg(test)]").next().unwrap().split("\"SWATH_").skip(1) {
                let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
                found.insert(format!("SWATH_{}", &rest[..end]));
            }
        }
    }
}

#[test]
fn every_variable_of_the_environment_is_documented() {
    let mut read = BTreeSet::new();
    for sources in ["engine/api/src", "engine/core/src", "engine/io/src", "engine/cli/src", "nodes/src"] {
        variables(&root().join(sources), &mut read);
    }
    let documented = section("Environment").into_iter().map(|line| line.split(' ').next().unwrap().to_owned());
    let documented: BTreeSet<String> = documented.filter(|word| word.starts_with("SWATH_")).collect();
    assert_eq!(documented, read);
}

#[test]
fn a_misspelt_command_has_a_suggestion() {
    for (word, meant) in [("vlidate", "validate"), ("node", "nodes"), ("explain-eror", "explain-error"), ("relpay", "replay")] {
        let said = said([word]);
        assert_eq!((said.code, &*said.out), (64, ""));
        assert!(said.err.contains(&format!("'{meant}'")), "{}", said.err);
    }
    let said = said(["run", "x.yaml", "--durration", "1"]);
    assert!(said.err.contains("'--duration'"), "{}", said.err);
}

/// Runs a line of a shell whose outputs, where the line does not lead them elsewhere, are a terminal; what that has shown.
fn on_a_terminal(line: &str, variables: &str) -> String {
    let mut command = Command::new("script");
    command.args(["-q", "-c", line, "/dev/null"]).stdin(Stdio::null()).env("TERM", "xterm").env("SHELL", "/bin/sh");
    for variable in ["SWATH_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.envs(variables.split(' ').filter_map(|variable| variable.split_once('=')));
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// Whether there are colours: for each of standard output and standard error, on a terminal while the other one is a file, and in a file while
/// the other one is a terminal.
#[test]
fn each_output_has_the_colours_that_it_should_have() {
    if !has("script") {
        return;
    }
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_swath");
    // Data, help, an error, and a complaint about arguments; and where it goes.
    let outputs = [("nodes", "1"), ("-h", "1"), ("run missing.yaml", "2"), ("rnu", "2")];
    for (variables, option, on_terminal, in_file) in [
        ("", "", true, false),
        ("NO_COLOR=1", "", false, false),
        ("NO_COLOR=", "", true, false),
        ("TERM=dumb", "", false, false),
        ("CLICOLOR=0", "", false, false),
        ("CLICOLOR_FORCE=1", "", true, true),
        ("CLICOLOR_FORCE=1 NO_COLOR=1", "", false, false),
        ("CLICOLOR_FORCE=1 CLICOLOR=0 TERM=dumb", "", true, true),
        ("SWATH_COLOR=never CLICOLOR_FORCE=1", "", false, false),
        ("SWATH_COLOR=always NO_COLOR=1", "", true, true),
        ("SWATH_COLOR=auto NO_COLOR=1", "", false, false),
        ("SWATH_COLOR=never", "--color always", true, true),
        ("SWATH_COLOR=always CLICOLOR_FORCE=1", "--color=never", false, false),
        ("SWATH_COLOR=always", "--color=auto", true, false),
    ] {
        for (args, stream) in outputs {
            let other = if stream == "1" { "2" } else { "1" };
            let shown = on_a_terminal(&format!("{program} {option} {args} {other}>/dev/null"), variables);
            assert_eq!(shown.contains('\x1b'), on_terminal, "{variables} {option} {args}, on a terminal: {shown}");
            let file = place.path("said");
            on_a_terminal(&format!("{program} {option} {args} {stream}>{}", file.display()), variables);
            let written = std::fs::read_to_string(&file).unwrap();
            assert!(!written.is_empty(), "{args}");
            assert_eq!(written.contains('\x1b'), in_file, "{variables} {option} {args}, in a file: {written}");
        }
    }
}
