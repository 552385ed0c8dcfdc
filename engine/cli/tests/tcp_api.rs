//! The control API by TCP: with the token or not at all.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::running::Running;
use common::{Place, has, said_by, swath};
use rustix::process::geteuid;

const TOKEN: &str = "b25lIHRva2VuIGZvciB0aGlzIHRlc3QgYWxvbmU=";
const GRAPH: &str = "version: 1
interfaces: { lan: { driver: memory, generate: { rate: 1, packets: [udp 10.0.0.1:1 > 10.0.0.2:2] } } }
tables:
  neighbours: { kind: neighbours }
  routes: { kind: fib4 }
nodes:
  in:  { kind: rx, interface: lan, to: out }
  out: { kind: drop }
";

fn token(place: &Place, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = place.text(name, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Runs the graph, and says where the API listens by TCP.
fn start(place: &Place, token: &Path) -> (Running, String) {
    let options = ["--api-tcp", "127.0.0.1:0", "--api-token-file", token.to_str().unwrap()];
    let socket = place.path("control.sock");
    let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
    command.arg("run").arg(place.text("graph.yaml", GRAPH)).args(["--stats", "none", "--log-format", "json", "--api"]).arg(&socket);
    let (running, heard) = Running::heard(command.args(options), socket);
    let mut events = heard.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let listens = events.find(|event| event["msg"] == "the control API listens by TCP").unwrap_or_else(|| panic!("{heard}"));
    (running, format!("http://{}", listens["address"].as_str().unwrap()))
}

/// What curl hears: status, challenge and body.
fn curl(url: &str, arguments: &[&str]) -> (u16, String, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%header{www-authenticate}\n%{http_code}"])
        .args(arguments)
        .arg(url)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    let (rest, status) = said.rsplit_once('\n').unwrap();
    let (body, challenge) = rest.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), challenge.into(), body.into())
}

#[test]
fn only_who_has_the_token_is_answered() {
    if !has("curl") {
        return;
    }
    let place = Place::new();
    let file = token(&place, "token", &format!("{TOKEN}\n"), 0o600);
    let (running, url) = start(&place, &file);
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let (status, _, body) = curl(&format!("{url}/v1"), &["--header", &bearer(TOKEN)]);
    let process: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &process["pid"]), (200, &running.pid().into()));
    let shorter = bearer(&TOKEN[..39]);
    let basic = format!("Authorization: Basic {TOKEN}");
    for (arguments, challenge) in [
        (vec![], "Bearer"),
        (vec!["--header", &shorter], "Bearer error=\"invalid_token\""),
        (vec!["--header", &basic], "Bearer error=\"invalid_token\""),
        (vec!["--header", "Authorization: Bearer "], "Bearer error=\"invalid_token\""),
        // Nothing else of a request is looked at.
        (vec!["--request", "POST", "--data", "not JSON"], "Bearer"),
    ] {
        for resource in ["/v1", "/v1/apply", "/v1/openapi.json", "/nothing"] {
            let (status, said, body) = curl(&format!("{url}{resource}"), &arguments);
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status, &*said, &problem["status"]), (401, challenge, &401.into()), "{resource} {arguments:?}");
        }
    }
    // The socket wants none, as before.
    assert_eq!(running.json("/v1")["pid"], running.pid());
    let log = running.end();
    assert!(log.contains("refused: this is not the token") && !log.contains(TOKEN), "{log}");
}

#[test]
fn commands_speak_to_a_server() {
    let place = Place::new();
    let file = token(&place, "token", TOKEN, 0o400);
    let (running, url) = start(&place, &file);
    let ask = |args: &[&str], file: &Path| {
        said_by(swath(args).args(["--server", &url]).env("SWATH_TOKEN_FILE", file).env_remove("SWATH_SERVER"))
    };
    assert!(ask(&["show", "interfaces"], &file).out.contains("lan"));
    assert_eq!(ask(&["route", "add", "blackhole", "198.51.100.0/24"], &file).code, 0);
    let listed = ask(&["route", "list"], &file);
    assert!(listed.code == 0 && listed.out.contains("198.51.100.0/24"), "{}", listed.err);
    let graph = place.text("new.yaml", &GRAPH.replace("to: out }", "to: count }\n  count: { kind: counter, to: out }"));
    let applied = ask(&["apply", graph.to_str().unwrap()], &file);
    assert!(applied.code == 0 && applied.err.contains("revision 2 runs"), "{}", applied.err);
    let other = token(&place, "other", &TOKEN.replace('b', "c"), 0o600);
    let refused = ask(&["show"], &other);
    assert_eq!((refused.code, &*refused.err), (1, "error: this is not the token\n"));
    let without = said_by(swath(["show", "--server", &url]).env_remove("SWATH_TOKEN_FILE"));
    assert_eq!((without.code, without.err.contains("SWATH_TOKEN_FILE")), (64, true), "{}", without.err);
    let both = said_by(swath(["show", "--server", &url, "--socket", "/x.sock"]).env("SWATH_TOKEN_FILE", &file));
    assert_eq!((both.code, both.err.contains("not both")), (64, true), "{}", both.err);
    let log = running.end();
    assert!(log.lines().any(|line| line.contains("changed a table") && line.contains(r#""peer":"127.0.0.1:"#)), "{log}");
}

#[test]
fn what_would_not_be_safe_does_not_start() {
    let place = Place::new();
    let graph = place.text("graph.yaml", GRAPH);
    let good = token(&place, "good", TOKEN, 0o600);
    let run = |address: &str, file: Option<&Path>| {
        let mut command = swath(["run".as_ref(), graph.as_os_str()]);
        command.args(["--api", "off", "--duration", "100ms", "--api-tcp", address]);
        said_by(command.args(file.map(|file| ["--api-token-file".as_ref(), file.as_os_str()]).into_iter().flatten()))
    };
    let fine = run("127.0.0.1:0", Some(&good));
    assert_eq!(fine.code, 0, "{}", fine.err);
    for (address, file, why) in [
        ("127.0.0.1:0", None, "--api-token-file"),
        ("127.0.0.1:0", Some(token(&place, "open", TOKEN, 0o644)), "others may read it (mode 0644): `chmod 600` it"),
        ("127.0.0.1:0", Some(token(&place, "short", "secret", 0o600)), "32 characters at least, and this one has 6"),
        ("127.0.0.1:0", Some(place.path("gone")), "No such file"),
        ("0.0.0.0:0", Some(good.clone()), "only addresses of this machine itself"),
        ("[::]:0", Some(good.clone()), "only addresses of this machine itself"),
        ("192.0.2.1:9475", Some(good.clone()), "only addresses of this machine itself"),
    ] {
        let said = run(address, file.as_deref());
        assert!(said.code != 0 && said.err.contains(why), "{address}: {}", said.err);
    }
    if geteuid().is_root() {
        let theirs = token(&place, "theirs", TOKEN, 0o600);
        std::os::unix::fs::chown(&theirs, Some(65534), None).unwrap();
        let said = run("127.0.0.1:0", Some(&theirs));
        assert!(said.code == 1 && said.err.contains("it belongs to somebody else (uid 65534)"), "{}", said.err);
    }
}
