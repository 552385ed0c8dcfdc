//! The control API of a running engine, asked by curl and by the commands that speak to it.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::running::{ROUTER_OF_TWO as ROUTER, Running, curl};
use common::{Place, has, said_by, swath};
use serde_json::json;

#[test]
fn each_resource_says_what_is_so() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let process = running.json("/v1");
    assert_eq!(process["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&process["pid"], &process["revision"]), (&json!(running.pid()), &json!(1)));
    assert_eq!((&process["ready"], &process["workers"], &process["tables"]), (&json!(true), &json!(2), &json!(2)));
    assert_eq!(process["graph"], place.path("graph.yaml").to_str().unwrap());
    let config = running.json("/v1/config");
    assert_eq!(config["files"], json!([{ "name": place.path("graph.yaml"), "text": ROUTER }]));
    let drops = running.until("/v1/drops", |drops| drops[0]["packets"].as_u64() > Some(100));
    assert_eq!(
        (&drops[0]["node"], &drops[0]["reason"], &drops[0]["kind"]),
        (&json!("lookup"), &json!("no-route"), &json!("ip4-lookup"))
    );
    assert!(drops[0]["meaning"].as_str().unwrap().ends_with('.') && drops.as_array().unwrap().len() == 1, "{drops}");
    let wan = running.json("/v1/interfaces/wan");
    let stays = ["name", "driver", "mode", "admin", "link", "link-changes", "mac", "mtu", "addresses"].map(|key| wan[key].clone());
    let expected = [
        json!("wan"),
        "memory".into(),
        "".into(),
        "up".into(),
        true.into(),
        0.into(),
        "02:00:00:00:02:01".into(),
        1400.into(),
        json!(["203.0.113.2/30"]),
    ];
    assert_eq!(stays, expected);
    let table = running.json("/v1/tables/routes");
    assert_eq!((&table["name"], &table["kind"]), (&json!("routes"), &json!("fib4")));
    let figures = table["figures"].as_array().unwrap();
    let routes = figures.iter().find(|figure| figure["name"] == "fib_routes").unwrap();
    assert_eq!(routes["labels"], json!({ "family": "ip4" }));
    // One moment of one worker at a time, so counters differ by what is under way; 1 in 5 has no route.
    let nodes = running.json("/v1/nodes");
    let names: Vec<&str> = nodes.as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["rx", "ethernet", "ip4", "lookup", "rewrite", "tx"]);
    let lookup = running.json("/v1/nodes/lookup");
    let edge = |name: &str| lookup["edges"].as_array().unwrap().iter().find(|edge| edge["name"] == name).unwrap().clone();
    assert_eq!((&edge("forward")["to"], &edge("forward")["drops"]), (&json!("rewrite"), &json!(false)));
    assert_eq!((edge("no-route").get("to"), &edge("no-route")["drops"]), (None, &json!(true)));
    assert_eq!(lookup["drops"], edge("no-route")["packets"]);
    let runtime = running.json("/v1/runtime");
    let workers = runtime["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    assert_eq!(workers[0]["queues"], json!(["lan queue 0"]), "{runtime:#}");
    assert!(workers.iter().any(|worker| worker["busy"].as_f64() > Some(0.0) && worker["asleep"].as_f64() > Some(0.0)));
    assert_eq!(runtime["buffers"]["capacity"], 16384);
    running.end();
}

#[test]
fn refusals_are_problem_details() {
    if !has("curl") {
        return;
    }
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let problem = |arguments: &[&str], resource: &str| -> (u16, serde_json::Value) {
        let (status, body) = running.curl(arguments, resource);
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{resource}: {error}: {body}")))
    };
    let (status, found) = problem(&[], "/v1/tables/rotes");
    assert_eq!((status, &found["status"], &found["type"]), (404, &json!(404), &json!("urn:swath:problem:unknown-name")));
    let diagnostic =
        json!({ "code": "SW0215", "severity": "error", "message": "there is no table `rotes`", "help": "did you mean `routes`?" });
    assert_eq!(found["diagnostics"], json!([diagnostic]));
    let (status, found) =
        problem(&["--data", r#"{"add": {"prefix": "10.0.0.0/8", "via": "1.2.3.4"}}"#], "/v1/tables/routes/commands");
    assert_eq!((status, &found["type"]), (422, &json!("urn:swath:problem:refused")), "{found}");
    assert!(found["detail"].as_str().unwrap().contains("1.2.3.4"), "{found}");
    assert_eq!(found["diagnostics"][0]["message"], found["detail"]);
    assert_eq!(problem(&["--data", "{"], "/v1/tables/routes/commands").0, 400);
    let latin = place.path("latin");
    std::fs::write(&latin, b"{\"\xe4\": {}}").unwrap();
    assert_eq!(problem(&["--data-binary", &format!("@{}", latin.display())], "/v1/tables/routes/commands").0, 400);
    assert_eq!(problem(&["--data", "[]"], "/v1/tables/rotes/commands").0, 404);
    assert_eq!(problem(&["--data", r#"{"admin": "sideways"}"#, "--request", "PATCH"], "/v1/interfaces/lan").0, 400);
    for (arguments, resource, status) in [
        (&[][..], "/v2", 404),
        (&[], "/v1/interfaces/lane", 404),
        (&[], "/v1/nodes/look", 404),
        (&["--request", "DELETE"], "/v1/interfaces/lan", 405),
    ] {
        let (found, problem) = problem(arguments, resource);
        assert_eq!((found, &problem["status"]), (status, &json!(status)), "{resource}");
    }
    let (_, head) = running.curl(&["--dump-header", "-"], "/v1/nothing");
    assert!(head.contains("content-type: application/problem+json\r\n"), "{head}");
    running.end();
}

#[test]
fn a_change_may_depend_on_the_revision() {
    if !has("curl") {
        return;
    }
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let (_, config) = running.curl(&["--dump-header", "-"], "/v1/config");
    assert!(config.contains("etag: \"1\"\r\n"), "{config}");
    assert_eq!(running.curl(&["--header", "If-None-Match: \"1\""], "/v1/config"), (304, String::new()));
    let switch = |admin: &str, revision: &str| {
        let (change, header) = (format!(r#"{{"admin": "{admin}"}}"#), format!("If-Match: {revision}"));
        running.curl(&["--request", "PATCH", "--data", &change, "--header", &header], "/v1/interfaces/wan").0
    };
    assert_eq!(switch("down", "\"2\""), 412);
    assert_eq!(running.json("/v1/interfaces/wan")["admin"], "up");
    assert_eq!(switch("down", "\"1\""), 200);
    assert_eq!(running.json("/v1/interfaces/wan")["admin"], "down");
    assert_eq!(switch("up", "\"7\", \"1\""), 200);
    assert_eq!(switch("down", "*"), 200);
    let add = r#"{"add": {"prefix": "11.0.0.0/8", "blackhole": true}}"#;
    let commands = |revision: &str| {
        running.curl(&["--data", add, "--header", &format!("If-Match: {revision}")], "/v1/tables/routes/commands").0
    };
    assert_eq!((commands("\"0\""), commands("\"1\"")), (412, 200));
    running.end();
}

#[test]
fn only_its_owner_may_use_the_socket_and_a_dead_one_gives_way() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    assert_eq!(std::fs::metadata(&running.socket).unwrap().permissions().mode() & 0o777, 0o600);
    // A second one cannot have it.
    let second = said_by(swath(["run", "--api"]).arg(&running.socket).arg(place.path("graph.yaml")));
    assert_eq!(second.code, 1);
    assert!(second.err.contains("another process listens there"), "{}", second.err);
    assert_eq!(running.json("/v1")["revision"], 1);
    let socket = running.kill();
    assert!(socket.exists());
    Running::start(&place, ROUTER).end();
    // A file of somebody else is not touched.
    let file = place.text("notes", "keep");
    let refused = said_by(swath(["run", "--api"]).arg(&file).arg(place.path("graph.yaml")));
    assert_eq!((refused.code, refused.err.contains("no socket")), (1, true), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "keep");
}

/// `swath run` with its socket in the usual directory, which is this one.
fn run_in(directory: &Path, graph: &Path, socket: &str, options: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
    command.arg("run").arg(graph).args(["--stats", "none", "--log-format", "json"]).args(options);
    command.env("RUNTIME_DIRECTORY", directory).env_remove("SWATH_API");
    Running::of(command, directory.join(socket))
}

#[test]
fn clients_find_the_only_engine_and_ask_which_of_several() {
    let place = Place::new();
    let directory = place.path("run");
    let graph = place.text("router.yaml", ROUTER);
    let show = |socket: Option<&Path>| {
        let mut command = swath(["show", "config"]);
        command.env("RUNTIME_DIRECTORY", &directory);
        socket.map(|socket| command.arg("--socket").arg(socket));
        said_by(&mut command)
    };
    let nobody = show(None);
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("no engine runs") && nobody.err.contains(directory.to_str().unwrap()), "{}", nobody.err);
    let first = run_in(&directory, &graph, "router.sock", &[]);
    assert_eq!((show(None).code, show(None).out), (0, ROUTER.to_string()));
    let mut second = run_in(&directory, &graph, "", &[]);
    second.socket = directory.join(format!("router-{}.sock", second.pid()));
    let which = show(None);
    assert_eq!(which.code, 64);
    for socket in [&first.socket, &second.socket] {
        assert!(which.err.contains(&format!("\n  --socket {}", socket.display())), "{}", which.err);
        assert_eq!(show(Some(socket)).code, 0);
    }
    // One that was killed leaves its socket, and does not count.
    let left = first.kill();
    assert!(left.exists());
    assert_eq!(show(None).code, 0);
    let gone = show(Some(&left));
    assert_eq!((gone.code, gone.err.contains("nobody listens there")), (1, true), "{}", gone.err);
    let third = run_in(&directory, &graph, "router.sock", &[]);
    let off = run_in(&directory, &graph, "", &["--api", "off"]);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
    off.kill();
    third.end();
    second.end();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn a_graph_says_where_and_a_place_that_cannot_be_is_said() {
    let place = Place::new();
    let run = |graph: &str, directory: &Path| {
        let graph = place.text("graph.yaml", graph);
        said_by(swath(["run".as_ref(), graph.as_os_str()]).args(["--duration", "0.1"]).env("RUNTIME_DIRECTORY", directory))
    };
    let with = |api: &str| ROUTER.replace("workers: 2", &format!("workers: 2, api: {api}"));
    let said = run(&with("my.sock"), Path::new("/nowhere"));
    assert!(said.code == 0 && said.err.contains(&format!("\ncontrol API: {}\n", place.path("my.sock").display())), "{}", said.err);
    let said = run(&with("no/my.sock"), Path::new("/nowhere"));
    assert!(said.code == 1 && said.err.contains("the control API cannot listen at "), "{}", said.err);
    let said = run(&with("off"), Path::new("/proc/nowhere"));
    assert!(said.code == 0 && !said.err.contains("control API"), "{}", said.err);
    let said = run(ROUTER, Path::new("/proc/nowhere"));
    assert!(said.code == 0 && said.err.contains("warning: no control API, so `swath show` cannot ask: "), "{}", said.err);
}

#[test]
fn show_tells_people_what_is_wrong_first() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let show = |args: &[&str]| running.told(["show"].iter().chain(args));
    let overview = show(&["--over", "0.3"]);
    let lines: Vec<&str> = overview.lines().collect();
    assert!(
        lines[0].starts_with(place.path("graph.yaml").to_str().unwrap()) && lines[0].contains(": ready, running for "),
        "{overview}"
    );
    assert!(lines[0].ends_with(&format!("process {}, revision 1", running.pid())), "{overview}");
    assert!(lines[2].starts_with("! lookup.no-route ") && lines[2].contains("/s: "), "{overview}");
    for heading in ["INTERFACE", "WORKER", "TABLE"] {
        assert_eq!(lines.iter().filter(|line| line.starts_with(heading)).count(), 1, "{overview}");
    }
    let lan = lines.iter().find(|line| line.starts_with("lan ")).unwrap();
    assert!(lan.contains("  up  ") && lan.ends_with("  memory  192.168.1.1/24"), "{overview}");
    for (args, words) in [
        (&["interfaces", "wan"][..], &["wan (memory)", "02:00:00:00:02:01", "1400 bytes", "203.0.113.2/30", "not taken"][..]),
        (&["tables"], &["neighbours", "routes", "fib4"]),
        (&["tables", "routes"], &["routes (fib4)", "fib-routes (ip4)"]),
        (&["nodes"], &["ethernet-input", "CYCLES/PKT"]),
        (&["nodes", "lookup"], &["lookup (ip4-lookup)", "forward", "rewrite", "no-route", "drop"]),
        (&["runtime"], &["BUSY", "packets: received ", "buffers: 16,384 = free "]),
        (&["drops"], &["lookup.no-route"]),
    ] {
        let text = show(&[args, &["--over", "0.1"]].concat());
        words.iter().for_each(|word| assert!(text.contains(word), "{args:?}: {word}\n{text}"));
        assert_eq!(show(&[args, &["--over", "0"]].concat()).lines().next(), text.lines().next());
    }
    assert_eq!(show(&["config"]), ROUTER);
    let drops = running.told(["drops", "--over", "0.1"]);
    let meaning = running.json("/v1/drops")[0]["meaning"].as_str().unwrap().to_string();
    let words: Vec<&str> = drops.split_whitespace().collect();
    assert!(words.join(" ").contains(&meaning), "{drops}");
    // As JSON: what the API says.
    let all: serde_json::Value = serde_json::from_str(&show(&["--format", "json"])).unwrap();
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["process", "interfaces", "tables", "runtime", "drops"]);
    let one: serde_json::Value = serde_json::from_str(&show(&["nodes", "tx", "--format", "json"])).unwrap();
    assert_eq!((&one["name"], &one["kind"]), (&json!("tx"), &json!("tx")));
    let unknown = running.ask(["show", "nodes", "looking"]);
    assert_eq!((unknown.code, unknown.err.contains("there is no node `looking`")), (1, true), "{}", unknown.err);
    assert_eq!(running.ask(["show", "runtime", "x"]).code, 64);
    running.curl(&["--request", "PATCH", "--data", r#"{"admin": "down"}"#], "/v1/interfaces/wan");
    let overview = show(&["--over", "0.1"]);
    assert!(overview.contains("\n! wan is switched off: `swath interface up wan` switches it on\n"), "{overview}");
    running.end();
}

#[test]
fn requests_that_wait_while_it_ends_are_answered() {
    if !has("curl") {
        return;
    }
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let socket = running.socket.clone();
    let (send, hear) = std::sync::mpsc::channel();
    let asker = std::thread::spawn(move || {
        let mut answered = 0;
        while socket.exists() {
            // Between the look and the question it may end: then nobody listens, which curl says.
            let asked = std::panic::catch_unwind(|| curl(&socket, &[], "/v1/nodes").0);
            if let Ok(status) = asked {
                assert!(status == 200 || status == 503, "{status}");
                answered += 1;
                let _ = send.send(());
            }
        }
        answered
    });
    (0..20).for_each(|_| hear.recv().unwrap());
    running.end();
    assert!(asker.join().unwrap() >= 20);
}

/// Each block of commands in the chapter, in which the first line runs a graph that the others are about.
#[test]
fn every_command_of_the_chapter_works() {
    if !has("curl") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/control-api.md")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_swath"));
    let paths = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut count = 0;
    for block in text.split("```console\n").skip(1) {
        let mut lines = block.split("```").next().unwrap().lines().filter_map(|line| line.strip_prefix("$ "));
        let run = lines.next().unwrap();
        let socket = run.split("--api ").nth(1).unwrap().to_string();
        let place = Place::new();
        let here = place.path("control.sock");
        let token = place.text("token", "b25lIHRva2VuIGZvciB0aGlzIHRlc3QgYWxvbmU=");
        std::fs::set_permissions(token, std::fs::Permissions::from_mode(0o600)).unwrap();
        // One that nobody has.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let shell = |line: &str| {
            let line = line.replace(&socket, here.to_str().unwrap()).replace("9475", &port);
            let mut command = Command::new("sh");
            command.args(["-c", &line]).current_dir(&root).env("PATH", &paths);
            command.env("FILES", place.path(""));
            command
        };
        let mut command = shell(&format!("exec {run} --stats none --log-format json"));
        command.env_remove("SWATH_API");
        let running = Running::of(command, here.clone());
        for line in lines {
            let output = shell(line).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !(output.stdout.is_empty() && said.is_empty()), "{line}: {said}");
            count += 1;
        }
        running.end();
    }
    assert!(count >= 3, "{count} commands were found");
}

/// Who changes something is known by the kernel, and what it was is in the log; who only looks is not.
#[test]
fn changes_are_logged_with_who_and_what() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let uid = rustix::process::geteuid().as_raw();
    running.told(["route", "list"]);
    running.told(["table", "routes", r#"{"lookup": {"address": "10.0.0.1"}}"#]);
    running.ask(["route", "add", "blackhole", "198.51.100.0/24"]);
    running.ask(["route", "del", "203.0.113.128/25"]);
    running.ask(["interface", "down", "wan"]);
    let many: String = (0..3000).map(|n| format!("blackhole 100.{}.{}.0/24\n", 64 + n / 256, n % 256)).collect();
    let routes = place.text("routes.txt", &many);
    running.ask(["route".as_ref(), "add".as_ref(), "--from".as_ref(), routes.as_os_str()]);
    let graph = place.text("new.yaml", &ROUTER.replace("rate: 5kpps", "rate: 6kpps"));
    running.ask(["apply".as_ref(), graph.as_os_str(), "--confirm".as_ref(), "5min".as_ref()]);
    running.ask(["apply".as_ref(), graph.as_os_str(), "--confirm".as_ref(), "5min".as_ref()]);
    running.ask(["confirm"]);
    running.ask(["rollback"]);
    let log = running.end();
    let events: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_api: Vec<_> = events.iter().filter(|event| event["target"] == "swath::api").collect();
    let peers = events.iter().filter_map(|event| event["peer"].as_str());
    assert!(peers.clone().all(|peer| peer.starts_with(&format!("uid {uid}, pid "))), "{log}");
    let bulk: u64 = of_api
        .iter()
        .filter(|event| event["command"].as_str().is_some_and(|text| text.contains("\"100.")))
        .map(|event| event["count"].as_u64().unwrap())
        .sum();
    assert_eq!(bulk, 3000, "{log}");
    let rest: Vec<_> = of_api.iter().filter(|event| event["count"].as_u64().is_none_or(|count| count == 1)).collect();
    let what: Vec<_> = rest.iter().map(|event| event["msg"].as_str().unwrap()).collect();
    // What was refused has changed nothing, nor has the graph that ran already.
    assert_eq!(what, ["changed a table", "applied a graph", "confirmed a graph", "went back to a graph"], "{log}");
    assert_eq!((&rest[0]["table"], &rest[0]["count"]), (&json!("routes"), &json!(1)));
    assert!(rest[0]["command"].as_str().unwrap().contains("198.51.100.0/24"), "{log}");
    let revisions: Vec<_> = rest[1..].iter().map(|event| event["revision"].as_u64().unwrap()).collect();
    assert_eq!((revisions, &rest[1]["confirm_within"]), (vec![2, 2, 3], &json!(300.0)), "{log}");
    let down = events.iter().find(|event| event["msg"] == "switched by the control API").unwrap();
    assert_eq!((&down["interface"], &down["up"], down["peer"].is_string()), (&json!("wan"), &json!(false), true));
}
