//! What is seen of packets while they pass: drops, taps, traces, and explanations, by the commands of people who look for a packet.

mod common;

use std::process::{Command, Stdio};

use common::running::{LIMIT, ROUTER, Running};
use common::{Place, forwarder, said};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use serde_json::{Value, json};

/// As JSON, a line each.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// What a command writes that ends by itself.
fn ended(running: &Running, args: &[&str]) -> String {
    let said = running.ask(args);
    assert_eq!(said.code, 0, "{args:?}: {}", said.err);
    said.out
}

/// Member by member.
fn of(value: &Value, members: &[&str]) -> Value {
    members.iter().map(|member| value[*member].clone()).collect()
}

#[test]
fn each_reason_has_its_last_packets() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    running.until("/v1/drops/samples", |samples| samples.as_array().unwrap().len() == 16);
    let drops: Value = serde_json::from_str(&running.told(["drops", "--format", "json"])).unwrap();
    assert_eq!(of(&drops[0], &["node", "reason", "kind"]), json!(["lookup", "no-route", "ip4-lookup"]));
    let samples = drops[0]["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 16);
    for sample in samples {
        assert_eq!(of(sample, &["becomes", "received", "layer", "length"]), json!(["dropped", "lan", "ip4", 46]));
        assert_eq!(sample["text"], "udp 192.168.1.2:1 > 172.16.0.1:2 len 60");
    }
    let times: Vec<&str> = samples.iter().map(|sample| sample["time"].as_str().unwrap()).collect();
    // Samples were asked for behind the counts; the first of them is older than 15 times 10 ms.
    assert!(times.is_sorted() && times[0] < drops[0]["last-seen"].as_str().unwrap(), "{times:?}");
    let text = running.told(["drops", "--over", "0"]);
    assert!(
        text.starts_with("DROPPED          KIND        PACKETS/s  PACKETS  LAST SEEN (UTC)\nlookup.no-route  ip4-lookup  "),
        "{text}"
    );
    assert!(text.contains("\n  No route leads to the destination: add one, or a default route"), "{text}");
    assert_eq!(text.matches("  udp 192.168.1.2:1 > 172.16.0.1:2 len 60 via lan\n").count(), 1, "{text}");
    let of_place = running.told(["drops", "lookup.*", "--over", "0"]);
    assert_eq!(of_place.matches("  udp 192.168.1.2:1 > 172.16.0.1:2 len 60 via lan\n").count(), 16, "{of_place}");
    assert_eq!(running.told(["drops", "rewrite", "--over", "0"]), "no packet was dropped\n");
    running.end();
}

#[test]
fn drops_are_followed_filtered_and_captured() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let seen = lines(&ended(&running, &["drops", "--follow", "-n", "7", "--format", "json"]));
    assert_eq!(seen.len(), 7);
    for packet in &seen {
        assert_eq!(of(packet, &["node", "edge", "text"]), json!(["lookup", "no-route", "udp 192.168.1.2:1 > 172.16.0.1:2 len 60"]));
    }
    let none = ended(&running, &["drops", "--follow", "-f", "dst net 10.0.0.0/8", "--duration", "300ms"]);
    assert_eq!(none, "");
    let file = place.path("drops.pcapng");
    ended(&running, &["drops", "lookup", "-f", "udp dst port 2", "-n", "5", "-w", file.to_str().unwrap()]);
    let packets = capture(&std::fs::read(&file).unwrap());
    assert_eq!(packets.len(), 5);
    for (link, bytes, comment) in packets {
        // LINKTYPE_RAW: from the IPv4 header on.
        assert_eq!((link, bytes.len(), &bytes[16..20]), (101, 46, &[172, 16, 0, 1][..]));
        assert!(comment.starts_with("lookup.no-route: dropped. No route leads to the destination"), "{comment}");
    }
    let refused = running.ask(["drops", "lookup.forward", "--follow"]);
    assert_eq!((refused.code, &*refused.err), (1, "error: `lookup.forward` drops nothing: its packets go on\n"));
    let refused = running.ask(["drops", "-n", "5"]);
    assert_eq!(refused.code, 64, "{}", refused.err);
    running.end();
}

/// Link type, bytes and comment of each packet.
fn capture(bytes: &[u8]) -> Vec<(u32, Vec<u8>, String)> {
    let mut reader = PcapNgReader::new(bytes).unwrap();
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        let (block, state) = block.unwrap();
        if let Block::EnhancedPacket(packet) = block {
            let comment = packet.options.iter().find_map(|option| match option {
                EnhancedPacketOption::Common(CommonOption::Comment(text)) => Some(text.to_string()),
                _ => None,
            });
            let link = u32::from(state.interfaces()[packet.interface_id as usize].linktype);
            packets.push((link, packet.data.to_vec(), comment.unwrap_or_default()));
        }
    }
    packets
}

#[test]
fn a_packet_is_followed_from_node_to_node() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let args = ["trace", "--in", "lan", "-f", "dst host 10.0.0.2", "-n", "3", "--format", "json"];
    let paths = lines(&ended(&running, &args));
    assert_eq!(paths.iter().map(|path| path["packet"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    for path in &paths {
        let hops: Value =
            path["hops"].as_array().unwrap().iter().map(|hop| of(hop, &["hop", "node", "edge", "becomes", "to", "why"])).collect();
        assert_eq!(
            hops,
            json!([
                [0, "rx", "out", "goes", "ethernet", null],
                [1, "ethernet", "ip4", "goes", "ip4", null],
                [2, "ip4", "ok", "goes", "lookup", null],
                [3, "lookup", "forward", "goes", "rewrite", "route 10.0.0.0/8, via 203.0.113.1 by wan"],
                [4, "rewrite", "ok", "goes", "tx", "to 02:00:00:00:00:fe, ttl 63"],
                [5, "tx", "sent", "sent", null, null],
            ])
        );
        assert_eq!(path["hops"][0]["text"], "udp 192.168.1.2:1 > 10.0.0.2:2 len 60 dst-mac 02:00:00:00:01:01");
    }
    let text = ended(&running, &["trace", "-f", "dst net 172.16.0.0/12", "-n", "1"]);
    let expected = "
  udp 192.168.1.2:1 > 172.16.0.1:2 len 60 dst-mac 02:00:00:00:01:01
  rx        out -> ethernet
  ethernet  ip4 -> ip4
  ip4       ok -> lookup
  lookup    dropped: no-route  no route leads to 172.16.0.1
            No route leads to the destination: add one, or a default route (`prefix: 0.0.0.0/0`). If
            the routes are as they should be, a sender scans, or has a wrong address.

";
    let (title, rest) = text.split_at(text.find('\n').unwrap());
    assert!(title.starts_with("packet 1 by lan at "), "{text}");
    assert_eq!(rest, expected);
    let refused = running.ask(["trace", "--in", "lam"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.starts_with("error: unknown interface `lam`, expected one of `lan`, `wan`"), "{}", refused.err);
    let wrong = running.ask(["trace", "-f", "udp prot 53"]);
    let expected = "error: `and` or `or` is missing before `prot`\n  udp prot 53\n      ^^^^ did you mean `port`?\n";
    assert_eq!((wrong.code, &*wrong.err), (64, expected));
    running.end();
}

#[test]
fn a_packet_is_followed_to_another_worker() {
    let place = Place::new();
    let graph = ROUTER.replace("version: 1", "version: 1\nengine: { workers: 2 }");
    let graph = graph.replace("to: ethernet }", "to: spread }\n  spread:   { kind: handoff, to: ethernet }");
    let running = Running::start(&place, &graph);
    let paths = lines(&ended(&running, &["trace", "-f", "dst net 10.0.0.0/8", "-n", "40", "--format", "json"]));
    assert_eq!(paths.len(), 40);
    for path in &paths {
        let hops = path["hops"].as_array().unwrap();
        let nodes: Vec<&str> = hops.iter().map(|hop| hop["node"].as_str().unwrap()).collect();
        assert_eq!(nodes, ["rx", "spread", "ethernet", "ip4", "lookup", "rewrite", "tx"], "{path:#}");
        assert_eq!(hops.iter().map(|hop| hop["hop"].as_u64().unwrap()).collect::<Vec<_>>(), (0..7).collect::<Vec<u64>>());
        let (first, last) = (&hops[0]["worker"], &hops[6]["worker"]);
        let who = if first == last { format!("it stays on worker {first}") } else { format!("worker {last} owns it") };
        let told = who + ", by the hash of its flow";
        assert_eq!(hops[1]["why"], told, "{path:#}");
    }
    running.end();
}

#[test]
fn a_tap_goes_on_when_another_graph_is_applied() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    let mut tap = Command::new(env!("CARGO_BIN_EXE_swath"))
        .args(["tap", "lookup.forward", "-w", "-", "--socket"])
        .arg(&running.socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = tap.stdout.take().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut all: Vec<u8> = Vec::new();
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = std::io::Read::read(&mut out, &mut part) {
            all.extend(&part[..read]);
            let _ = send.send(all.clone());
        }
    });
    // A block may be written in part.
    let has = |text: &str| {
        let end = std::time::Instant::now() + LIMIT;
        loop {
            let all = receive.recv_timeout(LIMIT).expect("packets");
            if all.windows(text.len()).filter(|window| *window == text.as_bytes()).count() > 20 {
                return;
            }
            assert!(std::time::Instant::now() < end, "{text}");
        }
    };
    has("lookup.forward -> rewrite");
    let other = ROUTER.replace(
        "{ kind: ip4-lookup, to: rewrite }",
        "{ kind: ip4-lookup, to: count }\n  count:    { kind: counter, to: rewrite }",
    );
    assert_eq!(running.ask(["apply", place.text("other.yaml", &other).to_str().unwrap()]).code, 0);
    has("lookup.forward -> count");
    tap.kill().unwrap();
    tap.wait().unwrap();
    reader.join().unwrap();
    // Nobody reads any more, so nobody writes.
    let packets = lines(&ended(&running, &["tap", "lookup", "-f", "udp", "-n", "10", "-s", "20", "--format", "json"]));
    assert_eq!(packets.len(), 10);
    assert!(packets.iter().all(|packet| packet["node"] == "lookup" && packet["length"] == 46), "{packets:#?}");
    assert!(packets.iter().all(|packet| packet["bytes"].as_str().unwrap().len() == 40), "{packets:#?}");
    for (at, why) in [
        ("lookupp", "there is no node `lookupp`"),
        ("lookup.forwrad", "there is no `lookup.forwrad`: packets leave `lookup` by `forward`, `local`, `no-route`, "),
        ("a[", "`a[`: "),
    ] {
        let refused = running.ask(["tap", at]);
        assert_eq!(refused.code, 1, "{at}");
        assert!(refused.err.starts_with(&format!("error: {why}")), "{}", refused.err);
    }
    running.end();
}

#[test]
fn who_looks_ends_when_nobody_reads_any_more() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    for args in [&["tap", "lookup"][..], &["tap", "rx", "-w", "-"], &["trace", "-n", "0"], &["drops", "--follow"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        command.args(args).args(["--format", "json"].iter().filter(|_| !args.contains(&"-w"))).arg("--socket").arg(&running.socket);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut first = [0; 1];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        drop(child.stdout.take());
        let end = std::time::Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(std::time::Instant::now() < end, "{args:?} goes on");
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert!(status.success(), "{args:?}: {status}");
    }
    // Without bytes there is no text of them.
    let said = running.ask(["tap", "lookup.forward", "-n", "1", "-s", "0"]);
    assert!(said.out.ends_with("  lookup.forward -> rewrite  46 bytes via lan\n"), "{}", said.out);
    running.end();
}

#[test]
fn nothing_changes_when_a_packet_is_explained() {
    let place = Place::new();
    // Sixty packets at once, and then none for a minute: what is counted then are the packets of explanations, if any.
    let quiet = ROUTER.replace("rate: 5kpps", "rate: 1\n      burst: 60");
    let running = Running::start(&place, &quiet);
    running.until("/v1/nodes", |nodes| nodes[0]["packets"] == 60);
    running.until("/v1/runtime", |runtime| runtime["packets"]["in-transit"] == 0);
    let dump = || {
        let mut dump = ["/v1/nodes", "/v1/drops", "/v1/tables", "/v1/interfaces"].map(|resource| running.json(resource));
        // The time of the engine's clock by that of the machine, which differs by what it takes to read both.
        dump[1].as_array_mut().unwrap().iter_mut().for_each(|drops| drops["last-seen"] = Value::Null);
        dump
    };
    let ledgers = || {
        let runtime = running.json("/v1/runtime");
        of(&runtime, &["packets", "buffers"])
    };
    let before = (dump(), ledgers());
    let sent = running.told(["explain", "--in", "lan", "udp 192.168.1.2:4000 > 10.0.0.9:53 ttl 3"]);
    let expected = "  udp 192.168.1.2:4000 > 10.0.0.9:53 ttl 3 dst-mac 02:00:00:00:01:01
  rx        out -> ethernet
  ethernet  ip4 -> ip4
  ip4       ok -> lookup
  lookup    forward -> rewrite  route 10.0.0.0/8, via 203.0.113.1 by wan
  rewrite   ok -> tx            to 02:00:00:00:00:fe, ttl 2
            udp 192.168.1.2:4000 > 10.0.0.9:53 ttl 2 src-mac 02:00:00:00:02:01 dst-mac 02:00:00:00:00:fe
  tx        sent by wan

it would be sent by wan
";
    assert_eq!(sent, expected);
    let end = |packet: &str| {
        let text = running.told(["explain", packet, "--in", "lan"]);
        text.lines().next_back().unwrap().to_owned()
    };
    for (packet, expected) in [
        ("udp 192.168.1.2:4000 > 10.0.0.9:53 ttl 1", "it would be dropped: rewrite.ttl-expired"),
        ("udp 192.168.1.2:4000 > 11.0.0.9:53", "it would be dropped: lookup.no-route"),
        ("udp 192.168.1.2:4000 > 10.0.0.9:53 df len 1500", "it would be dropped: rewrite.too-big"),
        ("udp 192.168.1.2:4000 > 10.0.0.9:53 dst-mac 02:00:00:00:09:09", "it would be dropped: ethernet.not-ours"),
        ("udp 192.168.1.2:4000 > 192.168.1.77:53", "it would be dropped: rewrite.unresolved"),
        ("udp 192.168.1.2:4000 > 10.0.0.9:53 bad-ip-checksum", "it would be dropped: ip4.bad-checksum"),
        ("eth 02:00:00:00:00:01 > 02:00:00:00:01:01 type 0x88cc", "it would be dropped: ethernet.other"),
        ("hex 0102", "it would be dropped: ethernet.too-short"),
    ] {
        assert_eq!(end(packet), expected, "{packet}");
    }
    assert_eq!((dump(), ledgers()), before);
    let refused = running.ask(["explain", "udp 1.2.3.4:1 > 5.6.7.8:2", "--in", "wan"]);
    assert_eq!((refused.code, &*refused.err), (1, "error: no node receives the packets of `wan`: the graph has no `rx` for it\n"));
    assert_eq!(running.ask(["explain", "udp 1.2.3.4:1 > 5.6.7.8:2"]).code, 64);
    assert_eq!(running.ask(["explain", "upd 1.2.3.4:1 > 5.6.7.8:2", "--in", "lan"]).code, 64);
    running.end();
}

/// What `make run` tells a newcomer to type.
#[test]
fn what_make_run_tells_works_as_printed() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let makefile = std::fs::read_to_string(root.join("Makefile")).unwrap();
    let recipe = makefile.split("\nrun:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let told = recipe.lines().filter_map(|line| {
        line.trim().trim_end_matches(['\\', ' ']).strip_suffix(" ''").or(Some(line.trim().trim_end_matches(['\\', ' '])))
    });
    let quoted = |line: &str| {
        line.strip_prefix(['\'', '"']).and_then(|line| line.strip_suffix(['\'', '"'])).map(str::trim).map(str::to_owned)
    };
    let lines: Vec<String> = told.filter_map(quoted).filter(|line| line.starts_with("target/release/swath ")).collect();
    assert_eq!(lines.len(), 5, "{recipe}");
    let place = Place::new();
    let running = Running::start(&place, &std::fs::read_to_string(common::graph("quickstart.yaml")).unwrap());
    for line in lines {
        let line = line.replace("target/release/swath", env!("CARGO_BIN_EXE_swath"));
        let output = Command::new("sh").args(["-c", &line]).env("SWATH_SOCKET", &running.socket).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    running.end();
}

#[test]
fn a_graph_file_explains_a_packet_without_running() {
    let graph = forwarder();
    let graph = graph.to_str().unwrap();
    let explained = said(["explain", "--graph", graph, "udp 192.168.1.10:4000 > 8.8.8.8:53 via lan", "--format", "json"]);
    assert_eq!((explained.code, &*explained.err), (0, ""));
    let steps: Value = serde_json::from_str(&explained.out).unwrap();
    let nodes: Value = steps["steps"].as_array().unwrap().iter().map(|step| step["node"].clone()).collect();
    assert_eq!(nodes, json!(["lan-rx", "ethernet", "ip4", "lookup", "rewrite", "tx"]));
    assert_eq!(steps["steps"][3]["why"], "route 0.0.0.0/0, via 203.0.113.1 by wan");
}

#[test]
fn a_picture_of_what_runs_has_rates_and_drops() {
    let place = Place::new();
    let running = Running::start(&place, ROUTER);
    running.until("/v1/drops", |drops| drops[0]["packets"].as_u64() > Some(10));
    let picture: Value = serde_json::from_str(&running.told(["graph", "--live", "--over", "300ms", "--format", "json"])).unwrap();
    let edge = |from: &str| picture["edges"].as_array().unwrap().iter().find(|edge| edge["from"] == from).unwrap().clone();
    assert!(edge("lookup")["rate"].as_f64() > Some(0.0), "{picture:#}");
    let lookup = picture["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "lookup").unwrap();
    // Of ten reasons one happens.
    assert_eq!(lookup["drops"].as_array().unwrap().len(), 1, "{lookup:#}");
    assert_eq!((&lookup["drops"][0]["name"], lookup["drops"][0]["rate"].as_f64() > Some(0.0)), (&json!("no-route"), true));
    let svg = running.told(["graph", "--live", "--over", "200ms", "--format", "svg"]);
    assert!(svg.contains("✗") || svg.contains("no-route "), "{svg}");
    let text = running.told(["graph", "--live", "--over", "200ms"]);
    let line = text.lines().find(|line| line.contains(" lookup ")).unwrap();
    assert!(line.contains("/s  ─►  rewrite") && line.contains("no-route ") && line.ends_with(" %"), "{text}");
    running.end();
}
