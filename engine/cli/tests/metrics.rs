//! Metrics and health by HTTP: what they say, how many there are, and that Prometheus reads them.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::running::ROUTER_OF_TWO;
use common::scrape::{engine, get, metrics_of, samples};
use common::{Place, graph, has, python, said};
use rustix::process::{Pid, Signal, kill_process};
use swath_ctl::{Format, Live, Server, Settings};

const LIMIT: Duration = Duration::from_secs(20);

/// 5000 packets of 60 bytes, of which 1000 have no route.
fn router() -> String {
    ROUTER_OF_TWO.replace("rate: 5kpps", "limit: 5000")
}

#[test]
fn the_numbers_are_those_of_the_traffic() {
    let mut engine = engine(&router());
    engine.step_until(u64::MAX);
    let found = samples(&metrics_of(&engine, Settings::default(), Format::Text));
    for (series, value) in [
        ("swath_node_packets_total{node=\"rx\",kind=\"rx\"}", 5000.0),
        ("swath_node_packets_total{node=\"rewrite\",kind=\"ip4-rewrite\"}", 4000.0),
        ("swath_node_drops_total{node=\"lookup\",reason=\"no-route\"}", 1000.0),
        ("swath_node_drops_total{node=\"ethernet\",reason=\"arp\"}", 0.0),
        ("swath_interface_receive_packets_total{interface=\"lan\"}", 5000.0),
        ("swath_interface_receive_bytes_total{interface=\"lan\"}", 300_000.0),
        ("swath_interface_transmit_packets_total{interface=\"wan\"}", 4000.0),
        ("swath_interface_transmit_bytes_total{interface=\"wan\"}", 240_000.0),
        ("swath_interface_transmit_drops_total{interface=\"wan\"}", 0.0),
        ("swath_interface_up{interface=\"wan\"}", 1.0),
        ("swath_interface_info{interface=\"wan\",driver=\"memory\"}", 1.0),
        ("swath_buffers_capacity", 16384.0),
        ("swath_buffers{state=\"held\"}", 0.0),
        ("swath_neighbours{table=\"neighbours\",state=\"static\"}", 1.0),
        ("swath_neighbours_learnt_total{table=\"neighbours\"}", 0.0),
        ("swath_node_vector_size_packets_sum{node=\"rx\"}", 5000.0),
        ("swath_node_packet_cost_cycles_count{node=\"rewrite\"}", 4000.0),
        ("swath_node_packet_cost_cycles_bucket{node=\"rewrite\",le=\"+Inf\"}", 4000.0),
    ] {
        assert_eq!(found.get(series), Some(&value), "{series}\n{found:#?}");
    }
    // What the engine itself says, by another way.
    for node in engine.nodes() {
        let of = |name: &str| found[&format!("swath_node_{name}{{node=\"{}\",kind=\"{}\"}}", node.name, node.kind)];
        assert_eq!((of("batches_total"), of("cycles_total")), (node.calls as f64, node.cycles as f64));
        let histogram = |name: &str| found[&format!("swath_node_{name}{{node=\"{}\"}}", node.name)];
        assert_eq!(histogram("vector_size_packets_count"), node.calls as f64);
        assert_eq!(histogram("vector_size_packets_sum"), node.packets as f64);
        assert_eq!(histogram("packet_cost_cycles_sum"), node.cycles as f64);
    }
    let buffers: f64 = found.iter().filter(|(series, _)| series.starts_with("swath_buffers{")).map(|(_, count)| count).sum();
    assert_eq!(buffers, 16384.0);
    let routes: serde_json::Value = serde_json::from_str(&engine.command("routes", r#"{"show":{}}"#).unwrap()).unwrap();
    let routes = routes.pointer("/table/routes").or(routes.pointer("/routes")).unwrap().as_f64();
    assert_eq!(found.get("swath_fib_routes{table=\"routes\",family=\"ip4\"}").copied(), routes);
    // By worker, the sum is the same, and there is none without the label.
    let each = samples(&metrics_of(&engine, Settings { by_worker: true }, Format::Text));
    let rx = |worker: usize| each[&format!("swath_node_packets_total{{node=\"rx\",kind=\"rx\",worker=\"{worker}\"}}")];
    assert_eq!(rx(0) + rx(1), 5000.0);
    assert!(!each.contains_key("swath_node_packets_total{node=\"rx\",kind=\"rx\"}"));
}

/// A hundred nodes, in chains of routers.
fn large() -> String {
    let mut text = "version: 1\nengine: { workers: 8 }\ninterfaces:\n".to_string();
    for chain in 0..16 {
        text += &format!("  i{chain}: {{ driver: memory, addresses: [10.{chain}.0.1/24] }}\n");
    }
    text += "tables:\n  neighbours: { kind: neighbours }\n  routes: { kind: fib4 }\nnodes:\n  tx: { kind: tx }\n";
    for chain in 0..16 {
        text += &format!(
            "  rx-{chain}: {{ kind: rx, interface: i{chain}, to: eth-{chain} }}
  eth-{chain}: {{ kind: ethernet-input, to: {{ ip4: ip4-{chain} }} }}
  ip4-{chain}: {{ kind: ip4-input, to: lookup-{chain} }}
  lookup-{chain}: {{ kind: ip4-lookup, to: rewrite-{chain} }}
  rewrite-{chain}: {{ kind: ip4-rewrite, to: count-{chain} }}
  count-{chain}: {{ kind: counter, to: tx }}\n"
        );
    }
    for spare in 0..3 {
        text += &format!("  spare-{spare}: {{ kind: drop }}\n");
    }
    text
}

#[test]
fn a_hundred_nodes_by_eight_workers_are_less_than_five_thousand_series() {
    let engine = engine(&large());
    assert_eq!((engine.plan().nodes.len(), engine.plan().engine.workers), (100, 8));
    for by_worker in [false, true] {
        let count = samples(&metrics_of(&engine, Settings { by_worker }, Format::Text)).len();
        println!("by worker {by_worker}: {count} series");
        assert!(count < 5000, "by worker {by_worker}: {count}");
    }
}

#[test]
fn what_is_gone_is_not_shown() {
    let live = Live::new(Settings::default());
    let nodes = |live: &Live| -> BTreeSet<String> {
        let text = live.metrics(Format::Text);
        text.lines().filter_map(|line| Some(line.split_once("{node=\"")?.1.split_once('"')?.0.to_string())).collect()
    };
    assert!(nodes(&live).is_empty());
    live.attach(engine(&router()).observer());
    assert_eq!(nodes(&live), ["ethernet", "ip4", "lookup", "rewrite", "rx", "tx"].map(Into::into).into());
    live.attach(
        engine("version: 1\ninterfaces: { lan: { driver: memory } }\nnodes: { in: { kind: rx, interface: lan, to: out }, out: { kind: drop } }")
            .observer(),
    );
    assert_eq!(nodes(&live), ["in", "out"].map(Into::into).into());
    let text = live.metrics(Format::Text);
    assert!(!text.contains("\"wan\"") && !text.contains("swath_fib_routes"), "{text}");
}

#[test]
fn a_worker_that_stands_still_is_not_ready() {
    let mut engine = engine(&router());
    let live = Live::new(Settings::default());
    assert_eq!(live.ready(), Err("starting".into()));
    live.attach(engine.observer());
    assert_eq!(live.ready(), Ok(()));
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    live.look(start + second);
    assert_eq!(live.stalled(start + second, 2 * second), Vec::<usize>::new());
    assert_eq!(live.stalled(start + 3 * second, 2 * second), [0, 1]);
    // One of them turns.
    engine.graphs_mut()[1].sweep(0);
    live.look(start + 3 * second);
    assert_eq!(live.stalled(start + 4 * second, 2 * second), [0]);
    live.set(swath_ctl::Phase::Draining);
    assert_eq!(live.ready(), Err("draining".into()));
}

#[test]
fn a_control_thread_that_does_not_come_round_hangs() {
    let live = Live::new(Settings::default());
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    assert!(!live.hangs(start + 1000 * second), "nothing runs yet");
    live.attach(engine(&router()).observer());
    assert!(!live.hangs(start + 119 * second));
    assert!(live.hangs(start + 1000 * second));
    live.come_round(start + 1000 * second);
    assert!(!live.hangs(start + 1119 * second));
    assert!(live.hangs(start + 1120 * second));
}

#[test]
fn http_has_metrics_in_both_formats_and_health() {
    let live = Live::new(Settings::default());
    let server = Server::start("127.0.0.1:0".parse().unwrap(), Arc::clone(&live)).unwrap();
    let at = server.address();
    assert_eq!(get(at, "/readyz", "*/*"), (503, "text/plain; charset=utf-8".into(), "not ready: starting\n".into()));
    live.attach(engine(&router()).observer());
    assert_eq!(get(at, "/readyz", "*/*").0, 200);
    assert_eq!((get(at, "/healthz", "*/*").0, get(at, "/livez", "*/*").0, get(at, "/else", "*/*").0), (200, 200, 404));
    let (code, kind, text) = get(at, "/metrics", "*/*");
    assert_eq!((code, &*kind), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(text.contains("\n# TYPE swath_node_packets_total counter\n") && !text.contains("# EOF"));
    let (code, kind, open) = get(at, "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert_eq!((code, &*kind), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.contains("\n# TYPE swath_node_packets counter\n") && open.ends_with("\n# EOF\n"));
    assert_eq!(samples(&text).keys().collect::<Vec<_>>(), samples(&open).keys().collect::<Vec<_>>());
    drop(server);
    assert!(TcpStream::connect(at).is_err());
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `swath run` with metrics; where they are, and what else it says on standard error.
fn run(options: &[&str]) -> (Running, SocketAddr, BufReader<std::process::ChildStderr>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_swath"))
        .args(["run".as_ref(), graph("quickstart.yaml").as_os_str()])
        .args(["--metrics", "127.0.0.1:0", "--stats", "none", "--log-format", "json"])
        .args(options)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let child = Running(child);
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
    assert_eq!(event["msg"], "metrics are served", "{line}");
    let address = event["address"].as_str().unwrap().parse().unwrap();
    loop {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0);
        if line.contains(r#""msg":"running""#) {
            break (child, address, stderr);
        }
    }
}

fn ends_in_order(mut child: Running, mut stderr: BufReader<std::process::ChildStderr>) -> String {
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0), "{rest}");
    rest
}

#[test]
fn promtool_and_another_parser_find_nothing_wrong() {
    let (child, at, stderr) = run(&[]);
    let (_, _, text) = get(at, "/metrics", "*/*");
    let (_, _, open) = get(at, "/metrics", "application/openmetrics-text");
    if has("promtool") {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
    // Of OpenMetrics promtool knows nothing; this parser accepts what the specification does, and no more.
    if let Some(python) = python() {
        let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                      print(sum(len(family.samples) for family in parse(sys.stdin.read())))";
        let mut parser = Command::new(python).args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        parser.stdin.take().unwrap().write_all(open.as_bytes()).unwrap();
        let output = parser.wait_with_output().unwrap();
        assert!(output.status.success(), "{open}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), samples(&open).len().to_string());
    }
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    let rest = ends_in_order(child, stderr);
    assert!(rest.contains("ended by a signal") && rest.contains("the ledger adds up"), "{rest}");
    rest.lines().for_each(|line| assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}"));
}

/// The queries of the dashboard, after Grafana has put in its variables, and those of the alerts.
fn expressions() -> Vec<String> {
    let packaging = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let dashboard = std::fs::read_to_string(packaging.join("grafana/swath.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let put_in = |text: &str| {
        let words = [("$__rate_interval", "5s"), ("$__range", "10s"), ("$job", ".*"), ("$instance", ".*")];
        words.iter().fold(text.to_owned(), |text, (variable, value)| text.replace(variable, value))
    };
    let mut all: Vec<String> = targets.map(|target| put_in(target["expr"].as_str().unwrap())).collect();
    let rules = std::fs::read_to_string(packaging.join("prometheus/swath.rules.yml")).unwrap();
    // One in a line, or folded: `>-` and lines that are indented more.
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.trim().strip_prefix("expr: ") else { continue };
        let mut whole = if first == ">-" { String::new() } else { first.to_owned() };
        while let Some(more) = lines.next_if(|more| first == ">-" && indent(more) > indent(line)) {
            whole += &format!(" {}", more.trim());
        }
        all.push(whole);
    }
    all
}

#[test]
fn prometheus_scrapes_a_running_engine() {
    if !has("prometheus") {
        return;
    }
    let (child, at, stderr) = run(&[]);
    let place = Place::new();
    let config = format!(
        "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\nscrape_configs:\n  - job_name: swath\n    static_configs: [{{ targets: ['{at}'] }}]\n"
    );
    let config = place.text("prometheus.yml", &config);
    // Free a moment ago, which is as good as one can know.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _prometheus = Running(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", place.path("data").display()))
            .arg(format!("--web.listen-address={port}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let query = |query: &str| -> Option<f64> {
        TcpStream::connect(port).ok()?;
        let (code, _, body) = get(port, &format!("/api/v1/query?query={query}"), "*/*");
        let start = body.find('{').filter(|_| code == 200)?;
        let answer: serde_json::Value = serde_json::Deserializer::from_str(&body[start..]).into_iter().next()?.ok()?;
        answer.pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
    };
    let start = Instant::now();
    // Two scrapes at least: the count has grown between them.
    while query("sum(delta(swath_node_packets_total%5B10s%5D))").is_none_or(|grown| grown <= 0.0) {
        assert!(start.elapsed() < LIMIT, "no scrape: {:?}", query("up"));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(query("up"), Some(1.0));
    assert!(query("histogram_quantile(0.5,sum(swath_node_packet_cost_cycles_bucket)by(le))").is_some_and(|cost| cost > 0.0));
    // What the dashboard and the alerts ask is answered, and most of it has figures.
    let (mut asked, mut answered) = (0, 0);
    for expression in expressions() {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (code, _, body) = get(port, &format!("/api/v1/query?query={encoded}"), "*/*");
        assert!(code == 200 && body.contains(r#""status":"success""#), "{expression}: {body}");
        asked += 1;
        answered += usize::from(!body.contains(r#""result":[]"#));
    }
    assert!(asked > 40 && answered * 2 > asked, "{answered} of {asked}");
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    ends_in_order(child, stderr);
}

#[test]
fn who_drains_forwards_and_is_not_ready() {
    let (child, at, stderr) = run(&["--drain", "3s"]);
    assert_eq!(get(at, "/readyz", "*/*").0, 200);
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    // Were it ready to the end, nobody would answer any more.
    while get(at, "/readyz", "*/*").0 == 200 {}
    assert_eq!(get(at, "/readyz", "*/*").2, "not ready: draining\n");
    let packets = || samples(&get(at, "/metrics", "*/*").2)["swath_interface_receive_packets_total{interface=\"lan\"}"];
    let before = packets();
    while packets() == before {}
    let rest = ends_in_order(child, stderr);
    assert!(rest.contains("draining: still forwarding, no longer ready") && rest.contains("the ledger adds up"), "{rest}");
}

#[test]
fn an_address_in_use_is_said_before_anything_is_touched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = said(["run".as_ref(), graph("quickstart.yaml").as_os_str(), "--metrics".as_ref(), address.as_ref()]);
    assert_eq!(said.code, 1);
    assert_eq!(said.err, format!("error: metrics cannot be served at {address}: Address already in use (os error 98)\n"));
}
