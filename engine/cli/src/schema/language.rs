//! What is the same whatever kinds there are: sections, names, interfaces, templates, tests.

use serde_json::{Map, Value, json};
use swath_api::schemars::schema_for;
use swath_api::units::{Duration, Size};
use swath_core::spec::{BUFFER_SIZE, BUFFERS, MAX_MTU, MAX_NAME, MIN_MTU, VERSION, WORKERS};

use super::DRAFT;
use super::adapt::{VARIABLE, adapt, variable, words};

// What is behind it is looked at when the file is read.
const ENDPOINT: &str = r"^(([0-9]{1,3}\.){3}[0-9]{1,3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$";
const MAC: &str = "^[0-9A-Fa-f][02468ACEace]:([0-9A-Fa-f]{2}:){4}[0-9A-Fa-f]{2}$";
const ADDRESS: &str =
    r"^([0-9]{1,3}\.){3}[0-9]{1,3}/([0-9]|[12][0-9]|3[0-2])$|^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])$";

/// What an edge may lead to.
const TARGET: &str = r"^[a-z0-9][a-z0-9_/-]*$|\$\{";
const NO_TARGET: &str = "the name of a node is expected, or INSTANCE/ENTRANCE";

/// A graph file, without definitions.
pub fn root() -> Value {
    json!({
        "$schema": DRAFT,
        "description": "A dataplane: interfaces, tables that nodes share, and a graph of nodes that packets go through.",
        "type": "object",
        "properties": {
            "version": { "const": VERSION, "description": "The version of the language." },
            "include": {
                "description": "Files whose sections are added to this one. Relative to this file; `*` stands for any part of a name.",
                "type": ["array", "string"],
                "items": { "type": "string", "minLength": 1 },
                "minLength": 1,
            },
            "engine": { "$ref": "#/$defs/engine" },
            "plugins": {
                "description": "Libraries whose kinds the graph uses, by name: the file, which is looked for in the directories of plugins.",
                "type": ["object", "null"],
                "propertyNames": { "$ref": "#/$defs/name" },
                "additionalProperties": {
                    "type": ["object", "string"],
                    "minLength": 1,
                    "properties": {
                        "file": { "type": "string", "minLength": 1, "description": "The file, without its directory." },
                        "sha256": { "type": "string", "description": "What the file has to be: its SHA-256, in 64 hexadecimal digits." },
                        "restart": {
                            "type": "string",
                            "description": "A node of it that is out of service is made anew after so long, 100ms to 1h, and after twice as long each \
                                            time, up to 64 times that. It knows nothing then. Without it the node stays out of service.",
                        },
                    },
                    "required": ["file"],
                    "additionalProperties": false,
                },
            },
            "interfaces": section("The attachments to the world outside, by name.", "interface", &["object", "null"]),
            "tables": section("State that nodes share, by name: routes, neighbours.", "table", &["object", "null"]),
            "templates": section("Parts of a graph that are used several times, by name.", "template", &["object", "null"]),
            "nodes": nodes("The graph: what packets go through, by name.", json!({
                "allOf": [{ "$ref": "#/$defs/node" }, { "$ref": "#/$defs/wired" }],
            })),
            "tests": {
                "description": "What the graph must do, for `swath test`: packets that come in, leave and are dropped.",
                "type": ["array", "null"],
                "items": { "$ref": "#/$defs/test" },
            },
        },
        "required": ["version"],
        "additionalProperties": false,
    })
}

/// A mapping from names to entries.
fn section(about: &str, entry: &str, types: &[&str]) -> Value {
    json!({
        "description": about,
        "type": types,
        "propertyNames": { "$ref": "#/$defs/name" },
        "additionalProperties": { "$ref": format!("#/$defs/{entry}") },
    })
}

fn nodes(about: &str, entry: Value) -> Value {
    let mut nodes = section(about, "node", &["object"]);
    nodes["minProperties"] = 1.into();
    nodes["additionalProperties"] = entry;
    nodes
}

/// The definitions that do not depend on kinds.
pub fn definitions() -> Map<String, Value> {
    let name = format!("^[a-z0-9][a-z0-9_-]{{0,{}}}$", MAX_NAME - 1);
    let rule = format!("a name is made of a to z, 0 to 9, `-` and `_`, a letter or digit first; at most {MAX_NAME} characters");
    let all = json!({
        "name": { "type": "string", "pattern": name, "patternErrorMessage": rule },
        "node-name": { "type": "string", "pattern": TARGET, "patternErrorMessage": NO_TARGET },
        "engine": engine(),
        "node": {
            "description": "A node of a kind, or an instance of a template.",
            "type": "object",
            "properties": { "template": { "type": "string", "description": "The template that this is an instance of, instead of `kind`." } },
            "if": { "required": ["template"] },
            "then": { "$ref": "#/$defs/instance" },
            "else": { "$ref": "#/$defs/kind-of-node" },
        },
        "instance": {
            "description": "An instance of a template: beside `template` and `to` stand the template's parameters.",
            "type": "object",
            "properties": { "template": { "type": "string", "minLength": 1 }, "to": targets(), "kind": false },
        },
        "template": template(),
        "test": test(),
        "step": step(),
        "packets": {
            "description": "Packets by interface.",
            "type": "object",
            "additionalProperties": {
                "description": "A packet or a list of packets: as text, as `udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 3`, or those of a capture.",
                "anyOf": [{ "$ref": "#/$defs/packet" }, { "type": "array", "items": { "$ref": "#/$defs/packet" } }],
            },
        },
        "packet": {
            "anyOf": [
                { "type": "string", "minLength": 1 },
                {
                    "type": "object",
                    "properties": { "pcap": { "type": "string", "minLength": 1, "description": "A capture, relative to the graph." } },
                    "required": ["pcap"],
                    "additionalProperties": false,
                },
            ],
        },
    });
    all.as_object().cloned().unwrap_or_default()
}

/// `to` of something whose edges are not known.
pub fn targets() -> Value {
    json!({
        "description": "Where packets go: the node for the main edge, or `{ EDGE: NODE }`.",
        "type": ["string", "object"],
        "pattern": TARGET,
        "patternErrorMessage": NO_TARGET,
        "additionalProperties": { "$ref": "#/$defs/node-name" },
    })
}

fn integer(about: &str, low: u64, high: u64, default: u64) -> Value {
    adapt(&json!({ "description": about, "type": "integer", "minimum": low, "maximum": high, "default": default }), "")
}

fn engine() -> Value {
    let (workers, low, high) =
        ("How many workers process packets: as many as there are `cores`, or one.", *WORKERS.start(), *WORKERS.end());
    let mut size = adapt(schema_for!(Size).as_value(), "");
    size["description"] =
        format!("How much packet data one buffer holds: {} to {} bytes.", BUFFER_SIZE.start(), BUFFER_SIZE.end()).into();
    (size["minimum"], size["maximum"], size["default"]) = ((*BUFFER_SIZE.start()).into(), (*BUFFER_SIZE.end()).into(), 2048.into());
    let pages =
        [("auto", "Where there are any."), ("never", "Not at all."), ("required", "Without them the engine does not start.")];
    let mut hugepages = words(pages.map(|(word, meaning)| (word.into(), meaning.into())).into());
    hugepages["description"] = "Whether the buffers lie in huge pages. Default: `auto`.".into();
    let ways = [
        ("adaptive", "Look for packets for a while, then sleep until there are some."),
        ("busy", "Never stop looking: a core is always busy, and no packet waits for a worker to wake."),
    ];
    let mut idle = words(ways.map(|(word, meaning)| (word.into(), meaning.into())).into());
    idle["description"] = "What a worker does when there is nothing to do. Default: `adaptive`.".into();
    json!({
        "description": "What belongs to the process. A change needs a restart.",
        "type": ["object", "null"],
        "properties": {
            "workers": integer(workers, low.into(), high.into(), 1),
            "cores": {
                "description": "The core of each worker; without it, the system chooses.",
                "type": ["array", "null"],
                "items": adapt(&json!({ "type": "integer", "minimum": 0 }), ""),
                "uniqueItems": true,
            },
            "buffers": integer("How many packet buffers there are.", *BUFFERS.start() as u64, *BUFFERS.end() as u64, 16384),
            "buffer-size": size,
            "hugepages": hugepages,
            "metrics": {
                "description": "Where metrics for Prometheus are served by HTTP: an address with a port. Default: nowhere.",
                "type": "string",
                "pattern": format!("{ENDPOINT}|{VARIABLE}"),
                "patternErrorMessage": "an address with a port, such as `127.0.0.1:9474`",
            },
            "metrics-by-worker": adapt(&json!({
                "description": "Whether metrics of nodes are told for each worker, and not as one sum.",
                "type": "boolean",
                "default": false,
            }), ""),
            "api": {
                "description": "Where the control API listens: the path of a unix socket, relative to this file, or `off`. Default: a \
                    socket by the name of this file in `/run/swath` or the user's directory for such files.",
                "type": "string",
                "minLength": 1,
            },
            "revisions": {
                "description": "Where revisions of the graph are kept for `--last-good` and `swath rollback`: a directory, relative to this \
                    file, or `off`. Default: by the name of this file in `/var/lib/swath` or the user's directory for such files.",
                "type": "string",
                "minLength": 1,
            },
            "idle": idle,
        },
        "additionalProperties": false,
    })
}

/// What an interface has, whatever its driver.
pub fn interface_properties() -> Map<String, Value> {
    let properties = json!({
        "addresses": {
            "description": "Its own addresses with the length of their subnet's prefix, as `192.0.2.1/24`. Tables that serve the \
                interface take routes and local delivery from them.",
            "type": "array",
            "items": {
                "type": "string",
                "pattern": format!("{ADDRESS}|{VARIABLE}"),
                "patternErrorMessage": "an address with its prefix length, such as `192.0.2.1/24`",
            },
            "uniqueItems": true,
        },
        "mac": {
            "description": "Its MAC address. Default: that of the device; without a device one that is made up. In quotes where it \
                stands inside of `{ }`.",
            "type": "string",
            "pattern": format!("{MAC}|{VARIABLE}"),
            "patternErrorMessage": "the MAC address of one interface, such as `02:00:00:00:00:01`",
        },
        "mtu": adapt(
            &json!({
                "description": "The largest packet that it sends, in bytes, without the link-layer header. Default: that of the device.",
                "type": "integer", "minimum": MIN_MTU, "maximum": MAX_MTU,
            }),
            "",
        ),
    });
    properties.as_object().cloned().unwrap_or_default()
}

/// An interface, before its driver is chosen.
pub fn interface() -> Value {
    json!({ "description": "An attachment to the world outside.", "type": "object", "properties": interface_properties() })
}

/// A table, before its kind is chosen.
pub fn table() -> Value {
    json!({ "description": "State that nodes share.", "type": "object", "properties": {} })
}

/// A node, before its kind is chosen.
pub fn node() -> Value {
    json!({ "description": "A node of a kind.", "type": "object", "properties": { "to": targets() } })
}

fn template() -> Value {
    let types = ["any", "boolean", "integer", "interface", "list", "mapping", "number", "string", "table"];
    let edges = json!({ "type": "string", "minLength": 1 });
    json!({
        "description": "A part of a graph. An instance of it is a node `{ template: NAME, ... }`.",
        "type": "object",
        "properties": {
            "parameters": {
                "description": "What an instance says, by name. Inside, `${name}` stands for it.",
                "type": ["object", "null"],
                "propertyNames": { "pattern": "^[a-z][a-z0-9_-]*$", "not": { "enum": ["template", "kind", "to"] } },
                "additionalProperties": {
                    "anyOf": [
                        { "enum": types },
                        {
                            "type": "object",
                            "properties": {
                                "type": { "enum": types, "description": "What the argument must be." },
                                "default": { "description": "What holds if an instance does not say it. Without it, it must." },
                            },
                            "required": ["type"],
                            "additionalProperties": false,
                        },
                    ],
                },
            },
            "in": {
                "description": "Where packets may be sent into it: a node, or `{ NAME: NODE }`, the main one first.",
                "anyOf": [edges, { "type": "object", "additionalProperties": edges }],
            },
            "out": {
                "description": "Its edges as seen from outside, the main one first: `{ NAME: NODE.EDGE }`, or a list of such edges.",
                "type": "object",
                "additionalProperties": { "anyOf": [edges, { "type": "array", "items": edges, "minItems": 1 }] },
            },
            "nodes": nodes("Its nodes. Outside they are named `INSTANCE/NAME`.", json!({ "$ref": "#/$defs/node" })),
        },
        "required": ["nodes"],
        "additionalProperties": false,
    })
}

/// Parts of a section of another graph.
fn changed(part: &str) -> Value {
    let part = json!({ "$ref": format!("#/$defs/{part}") });
    json!({ "type": "object", "additionalProperties": { "anyOf": [part, { "type": "null" }] } })
}

fn step_properties() -> Map<String, Value> {
    let mut at = adapt(schema_for!(Duration).as_value(), "");
    at["description"] = "When it happens, from the start of the test on. Default: directly after the step before.".into();
    let properties = json!({
        "at": at,
        "reload": {
            "description": "The engine goes over to another graph, before anything else: to that of the file, but for these parts. One that is null is gone.",
            "type": "object",
            "properties": {
                "interfaces": changed("interface"),
                "tables": changed("table"),
                "nodes": changed("node"),
            },
            "additionalProperties": false,
        },
        "links": {
            "description": "Interfaces whose link goes down or comes up, before anything comes in.",
            "type": "object",
            "additionalProperties": { "anyOf": [{ "enum": ["up", "down"] }, variable()] },
        },
        "in": { "$ref": "#/$defs/packets", "description": "What comes in." },
        "out": { "$ref": "#/$defs/packets", "description": "What leaves. Whatever leaves and is not listed fails the test." },
        "drops": {
            "description": "How many packets are dropped, by `NODE.REASON`. Whatever is dropped and is not listed fails the test.",
            "type": "object",
            "propertyNames": { "pattern": r"^[^.]+\.[^.]+$" },
            "additionalProperties": { "anyOf": [{ "type": "integer", "minimum": 1 }, variable()] },
        },
    });
    properties.as_object().cloned().unwrap_or_default()
}

fn step() -> Value {
    json!({
        "description": "What comes in at a time, and what is to come of it.",
        "type": "object",
        "properties": step_properties(),
        "minProperties": 1,
        "additionalProperties": false,
    })
}

fn test() -> Value {
    let mut properties = step_properties();
    properties.insert("name".into(), json!({ "type": "string", "minLength": 1, "description": "What it shows, in a sentence." }));
    properties.insert(
        "steps".into(),
        json!({
            "description": "What happens, one after the other. A test of one step is written without.",
            "type": "array", "items": { "$ref": "#/$defs/step" }, "minItems": 1,
        }),
    );
    json!({
        "description": "A test of the graph.",
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "if": { "required": ["steps"] },
        "then": { "properties": { "at": false, "reload": false, "links": false, "in": false, "out": false, "drops": false } },
        "additionalProperties": false,
    })
}
