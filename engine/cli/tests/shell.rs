//! `swath completions` and `swath man`, by the programs that they are for.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{Place, has, said};

fn script(place: &Place, shell: &str) -> PathBuf {
    let said = said(["completions", shell]);
    assert_eq!((said.code, &*said.err), (0, ""), "{shell}");
    assert!(said.out.contains("explain-error"), "{shell}");
    place.text(&format!("swath.{shell}"), &said.out)
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && err.is_empty(), "{command:?}: {out}{err}");
    out
}

/// What bash offers, by the function that it would call.
const BASH: &str = r#"
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
function=$(complete -p swath | sed 's/.*-F \([^ ]*\).*/\1/')
$function swath "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes() {
    if !has("bash") {
        return;
    }
    let place = Place::new();
    let script = script(&place, "bash");
    output(Command::new("bash").arg("-n").arg(&script));
    for (line, expected) in [
        (&["swath", "val"][..], "validate\n"),
        (&["swath", "nodes", "ip4-look"], "ip4-lookup\n"),
        (&["swath", "nodes", "fib"], "fib4\n"),
        (&["swath", "explain-error", "SW0001"], "SW0001\n"),
        (&["swath", "new", "r"], "router\n"),
        (&["swath", "run", "--du"], "--duration\n"),
        (&["swath", "run", "--stats", ""], "auto line none\n"),
        (&["swath", "--color", "al"], "always\n"),
    ] {
        let offered = output(Command::new("bash").args(["--norc", "-c", BASH, "bash"]).arg(&script).args(line));
        assert_eq!(offered, expected, "{line:?}");
    }
}

#[test]
fn fish_completes() {
    if !has("fish") {
        return;
    }
    let place = Place::new();
    let script = script(&place, "fish");
    output(Command::new("fish").args(["--no-config", "--no-execute"]).arg(&script));
    for (line, expected) in [
        ("swath val", "validate\tCheck graphs"),
        ("swath nodes ip4-look", "ip4-lookup\tLooks the destination"),
        ("swath explain-error SW0001", "SW0001\t"),
        ("swath new rou", "router"),
        ("swath run --du", "--duration\tEnd after"),
    ] {
        let command = format!("source {}; complete -C '{line}'", script.display());
        let offered = output(Command::new("fish").args(["--no-config", "-c", &command]).env("HOME", place.path("")));
        assert!(offered.starts_with(expected) && offered.lines().count() == 1, "{line}: {offered}");
    }
}

#[test]
fn zsh_reads_it() {
    if has("zsh") {
        let place = Place::new();
        let script = script(&place, "zsh");
        output(Command::new("zsh").args(["-f", "-n"]).arg(&script));
        // `compdef` is the shell's: here it is enough that the functions are defined.
        let load = format!("compdef() {{ print $@ }}; source {}; whence -w _swath", script.display());
        assert_eq!(output(Command::new("zsh").args(["-f", "-c", &load])), "_swath swath\n_swath: function\n");
        let text = std::fs::read_to_string(script).unwrap();
        assert!(text.contains("ip4-lookup\\:") && text.contains("SW0001\\:"), "kinds and codes have their meaning beside them");
    }
}

#[test]
fn other_shells_have_a_script() {
    let place = Place::new();
    for shell in ["elvish", "powershell"] {
        script(&place, shell);
    }
    assert_eq!(said(["completions", "tcsh"]).code, 64);
}

#[test]
fn manual_pages_are_sound() {
    let place = Place::new();
    let directory = place.path("man/man1");
    let written = said(["man".as_ref(), "-o".as_ref(), directory.as_os_str()]);
    assert_eq!((written.code, &*written.out), (0, ""));
    let commands =
        said(["-h"]).out.lines().filter(|line| line.starts_with("  ") && !line.trim_start().starts_with(['-', '['])).count();
    let pages: Vec<PathBuf> = std::fs::read_dir(&directory).unwrap().map(|page| page.unwrap().path()).collect();
    assert!(written.err.starts_with(&format!("{} pages in ", pages.len())), "{}", written.err);
    assert!(pages.len() > 5 && commands > pages.len(), "{pages:?}");
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "SEE ALSO"] {
            let section = if section.contains(' ') { format!("\n.SH \"{section}\"\n") } else { format!("\n.SH {section}\n") };
            assert_eq!(text.matches(&section).count(), 1, "{}: {section}", page.display());
        }
        if has("mandoc") {
            let output = Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(&page).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
            // Without a date, so that the text does not depend on the day of the build.
            let said: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
            assert!(said.is_empty(), "{said:?}");
        }
        if has("groff") {
            let shown = output(Command::new("groff").args(["-man", "-ww", "-Tutf8", "-P-c"]).arg(&page));
            assert!(shown.contains("swath"), "{}", page.display());
        }
    }
    let program = said(["man"]).out;
    assert_eq!(program, std::fs::read_to_string(directory.join("swath.1")).unwrap());
    for section in ["\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "COMMANDS"] {
        assert!(program.contains(&format!(".SH {section}\n")), "{section}");
    }
}
