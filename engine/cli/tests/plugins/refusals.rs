//! Libraries that are not loaded, and what is said of them: with a place in the graph, a code, both sides, and what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::build;
use crate::common::{Place, has, said};

const GRAPH: &str = "version: 1
plugins: { strip: libgeneve_strip.so }
interfaces: { lan: { driver: memory } }
nodes:
  in:    { kind: rx, interface: lan, to: eth }
  eth:   { kind: ethernet-input, to: { ip4: strip } }
  strip: { kind: geneve-strip, to: { inner: out } }
  out:   { kind: tx }
";

/// What `swath validate` says of a graph whose plugins are in the directory.
fn validate(place: &Place, text: &str) -> (i32, String) {
    let graph = place.text("graph.yaml", text);
    let directory = place.path("");
    let said = said(["--plugin-path".as_ref(), directory.as_os_str(), "validate".as_ref(), graph.as_os_str()]);
    (said.code, said.err.replace(place.path("").to_str().unwrap(), "/DIR/").replace("/DIR//", "/DIR/"))
}

#[track_caller]
fn refused(place: &Place, text: &str, words: &[&str]) {
    let (code, said) = validate(place, text);
    assert_eq!(code, 78, "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in:\n{said}");
    }
    // The kinds that are missing follow from it, and nobody is told of them.
    assert_eq!(said.matches("error[").count(), 1, "{said}");
}

/// The library with other bytes from a place on, which counts from its magic number.
fn patched(file: &Path, at: usize, bytes: &[u8]) {
    let mut library = std::fs::read(file).unwrap();
    let start = library.windows(8).position(|word| word == b"swathplg").unwrap() + at;
    library[start..start + bytes.len()].copy_from_slice(bytes);
    std::fs::write(file, library).unwrap();
}

#[test]
fn one_that_fits_is_loaded() {
    let place = Place::new();
    let file = build::geneve(&place);
    assert_eq!(validate(&place, GRAPH).0, 0, "{}", validate(&place, GRAPH).1);
    let checked = said(["plugin".as_ref(), "check".as_ref(), file.as_os_str()]);
    assert_eq!((checked.code, &*checked.err), (0, ""));
    let pin = checked.out.lines().last().unwrap().trim();
    assert!(pin.starts_with("geneve-strip: { file: libgeneve_strip.so, sha256: "), "{}", checked.out);
    let pinned = GRAPH.replace("strip: libgeneve_strip.so", pin.strip_prefix("geneve-").unwrap());
    assert_eq!(validate(&place, &pinned).0, 0, "{pinned}");
}

#[test]
fn another_abi_or_layout_is_refused_before_anything_is_called() {
    let (place, ours) = (Place::new(), env!("CARGO_PKG_VERSION"));
    let file = build::geneve(&place);
    patched(&file, 8, &2_u32.to_le_bytes());
    let who = format!(
        "geneve-strip 0.1.0, built with swath.h {ours}, has plugin ABI 2, and this swath {ours} has 1: take a newer swath, or build it again"
    );
    refused(&place, GRAPH, &["SW0503", &who, "graph.yaml:2:19"]);
    let checked = said(["plugin".as_ref(), "check".as_ref(), file.as_os_str()]);
    assert_eq!(checked.code, 78);
    assert!(checked.err.contains(&who), "{}", checked.err);

    let place = Place::new();
    patched(&build::geneve(&place), 16, &0x1234_u64.to_le_bytes());
    let layout = format!("has the layout 0000000000001234 of plugin ABI 1, and this swath {ours} has {:016x}", swath_api::LAYOUT);
    refused(&place, GRAPH, &["SW0503", &layout, "its structures are others"]);
}

#[test]
fn what_is_no_library_is_not_opened() {
    let place = Place::new();
    let file = build::geneve(&place);
    let whole = std::fs::read(&file).unwrap();
    for length in [100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        refused(&place, GRAPH, &["SW0503", &format!("it is cut off, or damaged: {length} bytes are no whole ELF file")]);
    }
    std::fs::write(&file, "no library").unwrap();
    refused(&place, GRAPH, &["SW0503", "it does not begin as an ELF file does"]);
    std::fs::write(&file, "").unwrap();
    refused(&place, GRAPH, &["SW0503", "it does not begin as an ELF file does"]);
    let mut other = whole;
    other[18..20].copy_from_slice(&21_u16.to_le_bytes());
    std::fs::write(&file, other).unwrap();
    refused(&place, GRAPH, &["SW0503", "it is for another machine (ELF number 21)"]);
    let source = place.text("empty.c", "int nothing; void __attribute__((constructor)) run(void) { __builtin_trap(); }\n");
    build::c(&place, &source, "geneve_strip", &[]);
    refused(&place, GRAPH, &["SW0503", "it exports no symbol SWATH_PLUGIN", "export_nodes!"]);
    let source = place.text("other.c", "const char SWATH_PLUGIN[64] = \"something else\";\n");
    build::c(&place, &source, "geneve_strip", &[]);
    refused(&place, GRAPH, &["SW0503", "does not begin with the magic number"]);
}

#[test]
fn a_file_that_others_may_write_to_is_not_trusted() {
    let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let place = Place::new();
    let file = build::geneve(&place);
    mode(&file, 0o775);
    refused(
        &place,
        GRAPH,
        &["SW0501", "others can write to the library `/DIR/libgeneve_strip.so`, whose mode is 0775", "chmod go-w"],
    );
    mode(&file, 0o757);
    refused(&place, GRAPH, &["SW0501", "whose mode is 0757"]);
    mode(&file, 0o755);
    mode(&place.path(""), 0o1777);
    refused(&place, GRAPH, &["SW0501", "others can write to the directory", "whose mode is 1777"]);
    mode(&place.path(""), 0o755);
    assert_eq!(validate(&place, GRAPH).0, 0);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
        refused(&place, GRAPH, &["SW0501", "belongs to user 12345, who is neither root nor the one who runs swath"]);
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
        // Root reads what nobody may read: so as nobody.
        mode(&file, 0o000);
        let graph = place.text("graph.yaml", GRAPH);
        let Some(mut nobody) = as_nobody(&place) else { return };
        let output = nobody.arg("--plugin-path").arg(place.path("")).arg("validate").arg(&graph).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("SW0501") && said.contains("cannot be read: Permission denied"), "{said}");
    } else {
        mode(&file, 0o000);
        refused(&place, GRAPH, &["SW0501", "cannot be read: Permission denied"]);
    }
}

/// `swath` as another user, in a directory that he can read. `None`, which is said, where he cannot run it; with CI=true that is a failure.
fn as_nobody(place: &Place) -> Option<std::process::Command> {
    if !has("setpriv") {
        return None;
    }
    let program = place.path("swath");
    std::fs::copy(env!("CARGO_BIN_EXE_swath"), &program).unwrap();
    let command = || {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
        command
    };
    let tried = command().arg("--version").output().unwrap();
    if !tried.status.success() {
        let why = String::from_utf8_lossy(&tried.stderr).into_owned();
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nobody cannot run swath: {why}");
        println!("not run: nobody cannot run swath: {why}");
        return None;
    }
    Some(command())
}

#[test]
fn a_file_is_looked_for_in_the_directories_alone() {
    let place = Place::new();
    refused(&place, GRAPH, &["SW0501", "there is no library `libgeneve_strip.so`", "--plugin-path DIRECTORY"]);
    build::geneve(&place);
    for path in ["./libgeneve_strip.so", "../libgeneve_strip.so", "/usr/lib/libc.so.6", ".."] {
        refused(
            &place,
            &GRAPH.replace("libgeneve_strip.so", path),
            &["SW0501", "is a path, and a plugin is named by the file alone"],
        );
    }
    std::fs::create_dir(place.path("directory.so")).unwrap();
    refused(&place, &GRAPH.replace("libgeneve_strip.so", "directory.so"), &["SW0501", "`/DIR/directory.so` is no file"]);
}

#[test]
fn another_file_than_the_one_that_is_meant_is_refused() {
    let place = Place::new();
    build::geneve(&place);
    let pinned = |sha256: &str| GRAPH.replace("libgeneve_strip.so", &format!("{{ file: libgeneve_strip.so, sha256: '{sha256}' }}"));
    refused(&place, &pinned(&"0".repeat(64)), &["SW0502", "is not the library that is meant: its SHA-256 is "]);
    refused(&place, &pinned("12"), &["SW0502", "`12` is no SHA-256, which has 64 hexadecimal digits", "sha256sum"]);
    refused(&place, &GRAPH.replace("libgeneve_strip.so", "{ file: libgeneve_strip.so, sha: '1' }"), &["SW0104", "sha"]);
}

#[test]
fn a_wait_that_is_none_is_refused() {
    let place = Place::new();
    build::geneve(&place);
    let with = |restart: &str| GRAPH.replace("libgeneve_strip.so", &format!("{{ file: libgeneve_strip.so, restart: {restart} }}"));
    for wrong in ["50ms", "61min"] {
        refused(&place, &with(wrong), &["SW0107", "expected a duration from 100ms to 1h", "graph.yaml:2:"]);
    }
    refused(&place, &with("5"), &["SW0106", "expected `5s` or `5ms`, found integer 5"]);
    assert_eq!(validate(&place, &with("100ms")).0, 0);
}

#[test]
fn no_two_libraries_have_one_kind() {
    let place = Place::new();
    let file = build::geneve(&place);
    std::fs::copy(&file, place.path("libother.so")).unwrap();
    let both = GRAPH.replace("so }", "so, other: libother.so }");
    refused(
        &place,
        &both,
        &["SW0504", "the kind `geneve-strip` of `/DIR/libother.so` is also one of `/DIR/libgeneve_strip.so`", "the other library"],
    );
    let source = build::root().join("engine/cli/tests/plugins/defects.c");
    build::c(&place, &source, "geneve_strip", &["-DKIND=\"rx\"", "-DDEFECT="]);
    refused(&place, GRAPH, &["SW0504", "the kind `rx` of `/DIR/libgeneve_strip.so` is also one of swath itself"]);
    build::c(&place, &source, "geneve_strip", &["-DKIND=\"No Kind\"", "-DDEFECT="]);
    refused(&place, GRAPH, &["SW0503", "`No Kind` cannot be the name of a kind"]);
}

#[test]
fn a_file_that_changes_while_it_is_in_use_needs_another_name() {
    let place = Place::new();
    let file = build::geneve(&place);
    let first = swath_plugin::load(&file, None).unwrap();
    assert!(std::ptr::eq(first, swath_plugin::load(&file, None).unwrap()), "it is loaded once");
    let copy = place.path("libgeneve_strip-2.so");
    std::fs::copy(&file, &copy).unwrap();
    let second = swath_plugin::load(&copy, None).unwrap();
    assert!(!first.nodes()[0].is_same(&second.nodes()[0]), "another file is another build");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.push(0);
    // As an installer does it: what is loaded is still there, under no name.
    std::fs::write(place.path("new"), bytes).unwrap();
    std::fs::rename(place.path("new"), &file).unwrap();
    let refusal = swath_plugin::load(&file, None).unwrap_err();
    assert_eq!(refusal.code.text(), "SW0505");
    assert!(refusal.message.ends_with("has changed since it was loaded, and what was loaded stays"), "{}", refusal.message);
    assert_eq!(refusal.help.as_deref(), Some("give the new build a new file name, and name that in the graph"));
}

#[test]
fn settings_of_a_plugin_are_refused_with_their_place() {
    let place = Place::new();
    build::geneve(&place);
    let with = |settings: &str| GRAPH.replace("kind: geneve-strip,", &format!("kind: geneve-strip, {settings},"));
    refused(&place, &with("vni: 16777216"), &["graph.yaml:7:37", "a virtual network is a number from 0 to 16777215"]);
    refused(&place, &with("vin: 1"), &["graph.yaml:7", "the only setting is `vni`"]);
}

/// The fragment of the guide, in a graph around it.
#[test]
fn the_plugins_of_the_guide_are_found() {
    let guide = std::fs::read_to_string(build::root().join("docs/plugins.md")).unwrap();
    let [fragment] = guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect::<Vec<_>>()[..] else {
        panic!("one fragment")
    };
    let place = Place::new();
    build::c(&place, &build::root().join("plugins/geneve-strip/geneve_strip.c"), "my_node", &[]);
    let source = build::root().join("engine/cli/tests/plugins/defects.c");
    let other = build::c(&place, &source, "other", &["-DKIND=\"other\"", "-DDEFECT="]);
    let rest = GRAPH.split_once("plugins: { strip: libgeneve_strip.so }\n").unwrap();
    let graph = format!("{}{fragment}{}", rest.0, rest.1)
        .replace("out:   { kind: tx }", "out:   { kind: other, to: end }\n  end:   { kind: tx }");
    refused(&place, &graph, &["SW0502", "`/DIR/libother.so` is not the library that is meant", "graph.yaml:4:"]);
    let example = fragment.split("sha256: ").nth(1).unwrap().split([' ', ',']).next().unwrap();
    let is = swath_plugin::sha256(&other).unwrap();
    let (code, said) = validate(&place, &graph.replace(example, &is));
    assert_eq!(code, 0, "{said}");
}
