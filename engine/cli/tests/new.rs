//! `swath new`.

mod common;

use common::{Place, graph, said, said_by, swath};

/// What can be started from, and the graph that it is.
const STARTERS: [(&str, &str); 6] = [
    ("quickstart", "quickstart.yaml"),
    ("router", "ip4-router.yaml"),
    ("firewall", "firewall.yaml"),
    ("nat", "nat-gateway.yaml"),
    ("cgnat", "cgnat.yaml"),
    ("bridge", "bridge.yaml"),
];

/// A graph with what it includes in its place, for it is to be one file.
fn whole(graph_text: &str) -> String {
    let template = std::fs::read_to_string(graph("templates/ip4-origin.yaml")).unwrap();
    let templates = &template[template.find("\ntemplates:").unwrap()..];
    let comment = "\n# What the router itself sends, with a look-up of its own.";
    graph_text.replace("include: templates/ip4-origin.yaml\n", &format!("{comment}{templates}"))
}

#[test]
fn starters_are_listed() {
    let said = said(["new"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], "KIND        WHAT IT IS");
    assert!(lines[1].starts_with("quickstart  The five-minute tour: "), "{}", said.out);
    assert!(lines.contains(&"router      An IPv4 router between a local network and an uplink"), "{}", said.out);
    assert_eq!((said.code, &*said.err), (0, "\nnext:\n  swath new KIND -o FILE\n"));
}

#[test]
fn a_starter_is_a_graph_that_is_shipped_and_works() {
    for (kind, file) in STARTERS {
        let place = Place::new();
        let mut command = swath(["new", kind, "-o", "mine.yaml"]);
        let written = said_by(command.current_dir(place.path("")));
        assert_eq!((written.code, &*written.out), (0, ""), "{}", written.err);
        assert!(written.err.starts_with("mine.yaml: "), "{}", written.err);
        assert!(written.err.contains("\n\nnext:\n  swath validate mine.yaml\n"), "{}", written.err);
        let (mine, shipped) =
            (std::fs::read_to_string(place.path("mine.yaml")).unwrap(), std::fs::read_to_string(graph(file)).unwrap());
        assert_eq!(mine.replace("mine.yaml", &format!("graphs/{file}")), whole(&shipped));
        assert!(!mine.contains("graphs/"), "{kind}: it speaks of itself by its name");
        assert_eq!(said(["validate".as_ref(), "--deny-warnings".as_ref(), place.path("mine.yaml").as_os_str()]).code, 0);
        // What is said to do next can be done.
        let next = written.err.split("next:\n").nth(1).unwrap();
        for line in next.lines() {
            let words: Vec<&str> = line.trim().split(' ').collect();
            assert_eq!((words[0], words[2]), ("swath", "mine.yaml"), "{line}");
            assert_eq!(said([words[1], "--help"]).code, 0, "{line}");
        }
        assert!(next.lines().count() > 1, "{next}");
    }
}

#[test]
fn without_a_file_it_is_written_to_standard_output() {
    for args in [&["new", "router"][..], &["new", "router", "-o", "-"]] {
        let said = said(args);
        assert_eq!(
            said.out.replace("router.yaml", "ip4-router.yaml"),
            whole(&std::fs::read_to_string(graph("ip4-router.yaml")).unwrap()).replace("graphs/", "")
        );
        assert!(said.err.starts_with("\nnext:\n  swath new router -o router.yaml\n  swath validate router.yaml\n"), "{}", said.err);
    }
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let place = Place::new();
    let file = place.text("router.yaml", "mine");
    let with = |options: &[&str]| {
        let args = ["new", "router", "-o", file.to_str().unwrap()];
        said(args.iter().chain(options))
    };
    let refused = with(&[]);
    let expected = format!("error: {} is there already: choose another name, or --force\n", file.display());
    assert_eq!((refused.code, &*refused.out, &*refused.err), (1, "", &*expected));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(with(&["--force"]).code, 0);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("# An IPv4 router"));
    let nowhere = said(["new", "router", "-o", "/no/such/directory/router.yaml"]);
    assert_eq!(
        (nowhere.code, &*nowhere.err),
        (1, "error: cannot write /no/such/directory/router.yaml: there is no such directory\n")
    );
}

#[test]
fn a_starter_that_there_is_not() {
    let said = said(["new", "rooter"]);
    assert_eq!((said.code, &*said.out), (64, ""));
    assert!(said.err.contains("a similar value exists: 'router'"), "{}", said.err);
    assert_eq!(common::said(["new", "-o", "x.yaml"]).code, 64);
    assert_eq!(common::said(["new", "router", "--force"]).code, 64);
}
