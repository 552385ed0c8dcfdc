//! From the words of a test to what can be run: names are found, texts and captures read, and all mistakes reported.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use swath_api::memory::Geometry;
use swath_api::{EdgeClass, EdgeInfo, reserved};
use swath_core::Registry;
use swath_core::spec::{
    Changes, Code, Diagnostic, Diagnostics, DropSpec, NodeSpec, PacketSpec, Spanned, Spec, StepSpec, TestSpec, TrafficSpec,
    suggestion,
};
use swath_io::capture::{LinkType, ReadError, Reader};
use swath_io::text::TextPacket;

use super::packet::{Content, Packet};
use super::place;
use crate::compare::unreadable_capture;
use crate::load::Graph;

/// A test that can be run.
#[derive(Debug)]
pub struct Case {
    /// What it is to show.
    pub name: String,
    /// The line of the graph file.
    pub line: usize,
    /// What happens.
    pub steps: Vec<Step>,
}

/// What happens at one time.
#[derive(Debug)]
pub struct Step {
    /// When; `None`: directly after the step before.
    pub at: Option<Duration>,
    /// The graph that the engine goes over to.
    pub reload: Option<Arc<Spec>>,
    /// Which interfaces go down or come up, by name.
    pub links: Vec<(String, bool)>,
    /// What comes in, by name of the interface.
    pub input: Vec<(String, Vec<Packet>)>,
    /// What is expected to leave, by name of the interface.
    pub output: Vec<(String, Vec<Packet>)>,
    /// What is expected to be dropped: node, reason, count.
    pub drops: Vec<(String, String, u64)>,
}

/// Makes the tests of a graph ready. What is wrong with them is added to the graph's diagnostics.
pub fn prepare(graph: &mut Graph, registry: &Registry) -> Vec<Case> {
    let others = others(graph, registry);
    // What is wrong with a plugin was said when the graph was planned.
    let registry = &registry.of_graph(&graph.spec().plugins, &mut Diagnostics::new());
    let mut reader = CaseReader { graph, registry, others, current: None, mistakes: Vec::new() };
    let tests = &graph.spec().tests;
    let cases = tests.iter().enumerate().map(|(number, test)| reader.case(number, test)).collect();
    let mistakes = reader.mistakes;
    mistakes.into_iter().for_each(|mistake| graph.diagnostics_mut().push(mistake));
    cases
}

/// The graphs that tests go over to, by test and step: those that are not refused. Of a graph that is refused itself there are no others.
fn others(graph: &mut Graph, registry: &Registry) -> HashMap<(usize, usize), Arc<Spec>> {
    let of_test = |(test, spec): (usize, &TestSpec)| -> Vec<((usize, usize), Changes)> {
        let changes = spec.steps.iter().enumerate().filter_map(|(step, spec)| Some(((test, step), spec.reload.clone()?)));
        changes.collect()
    };
    let wanted: Vec<_> = graph.spec().tests.iter().enumerate().flat_map(of_test).collect();
    if graph.diagnostics().errors() > 0 {
        return HashMap::new();
    }
    wanted.into_iter().filter_map(|(at, changes)| Some((at, Arc::new(graph.changed(&changes, registry)?)))).collect()
}

struct CaseReader<'a> {
    graph: &'a Graph,
    registry: &'a Registry,
    others: HashMap<(usize, usize), Arc<Spec>>,
    /// The graph of the step, if it is not that of the file.
    current: Option<Arc<Spec>>,
    mistakes: Vec<Diagnostic>,
}

impl CaseReader<'_> {
    fn case(&mut self, number: usize, test: &TestSpec) -> Case {
        self.current = None;
        let mut steps = Vec::with_capacity(test.steps.len());
        for (step, spec) in test.steps.iter().enumerate() {
            if spec.reload.is_some() {
                // What there is in one that is refused nobody knows, and nothing of it is run.
                let Some(other) = self.others.remove(&(number, step)) else { break };
                self.current = Some(other);
            }
            steps.push(self.step(spec));
        }
        Case { name: test.name.value.clone(), line: self.line(&test.name), steps }
    }

    /// The graph that runs in the step.
    fn spec(&self) -> &Spec {
        self.current.as_deref().unwrap_or(self.graph.spec())
    }

    fn step(&mut self, step: &StepSpec) -> Step {
        let reload = step.reload.as_ref().and(self.current.clone());
        let links = step.links.iter().map(|link| (self.interface(&link.interface), link.up)).collect();
        let input = step.input.iter().map(|traffic| self.traffic(traffic, true)).collect();
        let output = step.output.iter().map(|traffic| self.traffic(traffic, false)).collect();
        let drops = step.drops.iter().filter_map(|spec| {
            let found = self.reason(spec);
            let (node, reason) = found.map_err(|mistake| self.mistakes.extend(mistake)).ok()?;
            Some((node.to_owned(), reason.to_owned(), spec.count.value))
        });
        Step { at: step.at.map(|at| at.value), reload, links, input, drops: drops.collect(), output }
    }

    fn traffic(&mut self, traffic: &TrafficSpec, comes_in: bool) -> (String, Vec<Packet>) {
        let name = self.interface(&traffic.interface);
        let mut packets = Vec::new();
        for packet in &traffic.packets {
            match packet {
                PacketSpec::Text(text) => packets.extend(self.text(text, &name, comes_in)),
                PacketSpec::Capture(path) => packets.extend(self.capture(path, comes_in)),
            }
        }
        (name, packets)
    }

    /// The name of an interface that there is.
    fn interface(&mut self, name: &Spanned<String>) -> String {
        let spec = self.spec();
        let known: Vec<&str> = spec.interfaces.iter().map(|interface| interface.name.value.as_str()).collect();
        if !known.contains(&name.value.as_str()) && !spec.doubts.interfaces.has(&name.value) {
            let unknown = Diagnostic::error(Code::UnknownInterface, format!("unknown interface `{}`", name.value));
            let help = suggestion(&name.value, "an interface is one of", &known);
            self.mistakes.push(unknown.primary(name.span, "").help(help.unwrap_or("the graph has no interfaces".into())));
        }
        name.value.clone()
    }

    fn text(&mut self, text: &Spanned<String>, interface: &str, comes_in: bool) -> Option<Packet> {
        let parsed = match TextPacket::parse(&text.value) {
            Ok(parsed) => parsed,
            Err(error) => {
                let length = text.value.chars().skip(error.column - 1).take_while(|c| !c.is_whitespace()).count();
                let place = self.within(text, error.column, length);
                let mut mistake = Diagnostic::error(Code::PacketText, error.message).primary(place, "");
                if let Some(meant) = error.suggestion {
                    mistake = mistake.help(format!("did you mean `{meant}`?"));
                } else if error.column == 1 && self.follows_a_comma(text) {
                    mistake = mistake.help("in brackets a comma ends a text: put a packet that has a comma in quotes");
                }
                self.mistakes.push(mistake);
                return None;
            }
        };
        if let Some(via) = parsed.via().filter(|via| *via != interface) {
            let mistake = format!("`via {via}` is another interface than `{interface}`, under which it stands");
            self.mistakes.push(Diagnostic::error(Code::PacketText, mistake).primary(text.span, "").help("leave it out"));
        }
        let frame = parsed.frame();
        let length = frame.len();
        let content = if parsed.is_hex() { Content::Bytes(frame) } else { Content::Text(parsed) };
        let packet = Packet { content, line: self.line(text), capture: None };
        if comes_in && length > self.room() {
            let mistake = Diagnostic::error(Code::PacketText, self.too_long("the packet", length));
            self.mistakes.push(mistake.primary(text.span, "").help("raise `engine.buffer-size`"));
        }
        Some(packet)
    }

    /// The records of a capture; their times do not count.
    fn capture(&mut self, path: &Spanned<String>, comes_in: bool) -> Vec<Packet> {
        let line = self.line(path);
        match self.records(&path.value, comes_in) {
            Ok(frames) => (1..)
                .zip(frames)
                .map(|(number, frame)| Packet { content: Content::Bytes(frame), line, capture: Some((path.value.clone(), number)) })
                .collect(),
            Err(message) => {
                self.mistakes.push(Diagnostic::error(Code::TestCapture, message).primary(path.span, ""));
                Vec::new()
            }
        }
    }

    fn records(&self, path: &str, comes_in: bool) -> Result<Vec<Vec<u8>>, String> {
        let mut reader = Reader::open(self.graph.directory().join(path)).map_err(in_words)?;
        let mut frames = Vec::new();
        while let Some(record) = reader.next_record().map_err(in_words)? {
            let number = frames.len() + 1;
            if record.link_type != LinkType::ETHERNET {
                return Err(format!("{path}: packet {number}: {} instead of Ethernet", record.link_type));
            }
            if comes_in && record.data.len() > self.room() {
                return Err(self.too_long(&format!("{path}: packet {number}"), record.data.len()));
            }
            frames.push(record.data.to_vec());
        }
        if frames.is_empty() { Err(format!("{path}: the capture holds no packet")) } else { Ok(frames) }
    }

    /// The node and the reason of a drop. An error without a mistake: it has been reported elsewhere.
    fn reason<'a>(&self, spec: &'a DropSpec) -> Result<(&'a str, &'a str), Option<Diagnostic>> {
        let graph = self.spec();
        let mistake = |message: String| Diagnostic::error(Code::UnknownDrop, message);
        let Some((name, reason)) = spec.parts() else {
            let mistake = mistake(format!("`{}` does not name a node and a reason", spec.name.value)).primary(spec.name.span, "");
            return Err(Some(mistake.help("write `NODE.REASON`, as `ip4.bad-checksum`")));
        };
        let Some(node) = graph.nodes.iter().find(|node| node.name.value == name) else {
            let known: Vec<&str> = graph.nodes.iter().map(|node| node.name.value.as_str()).collect();
            let place = self.within(&spec.name, 1, name.chars().count());
            let unknown = mistake(format!("unknown node `{name}`")).primary(place, "");
            let help = suggestion(name, "a node is one of", &known).unwrap_or_default();
            return Err((!graph.doubts.nodes.has(name)).then(|| unknown.help(help)));
        };
        // Of an unknown kind the plan speaks.
        let kind = self.registry.node(&node.kind.value).ok_or(None)?;
        let edges = kind.edges();
        let place = self.within(&spec.name, name.chars().count() + 2, reason.chars().count());
        if let Some(id) = edges.iter().position(|edge| edge.name.as_str() == reason) {
            if let Some(to) = wired(node, edges, id) {
                return Err(Some(goes_on(spec, to, place)));
            }
            if can_drop(&edges[id]) {
                return Ok((name, reason));
            }
            let message = format!("`{name}.{reason}` is no drop: such packets are kept, consumed or sent");
            return Err(Some(mistake(message).primary(place, "").help("what is sent stands under `out`")));
        }
        if reserved::REASONS.iter().any(|(known, _)| *known == reason) {
            return Ok((name, reason));
        }
        let named = node.to.iter().find(|wire| wire.edge.as_ref().is_some_and(|edge| edge.value == reason));
        if let (Some(wire), Some(_)) = (named, kind.named()) {
            return Err(Some(goes_on(spec, &wire.to, place)));
        }
        let own = (0..edges.len()).filter(|id| can_drop(&edges[*id]) && wired(node, edges, *id).is_none());
        let own = own.map(|id| edges[id].name.as_str());
        let known: Vec<&str> = own.chain(reserved::REASONS.iter().map(|(known, _)| *known)).collect();
        let mistake = mistake(format!("the node `{name}` drops nothing as `{reason}`")).primary(place, "");
        Err(Some(mistake.help(suggestion(reason, "its reasons are", &known).unwrap_or_default())))
    }

    /// Whether a text in brackets starts where a comma has ended the one before, without a blank.
    fn follows_a_comma(&self, text: &Spanned<String>) -> bool {
        let source = self.graph.sources().get(text.span.file);
        source.is_some_and(|source| source.text()[..text.span.range().start].ends_with(','))
    }

    fn within(&self, text: &Spanned<String>, column: usize, length: usize) -> swath_core::spec::Span {
        match self.graph.sources().get(text.span.file) {
            Some(source) => place::within(source, text.span, &text.value, column, length),
            None => text.span,
        }
    }

    fn line<T>(&self, place: &Spanned<T>) -> usize {
        let source = self.graph.sources().get(place.span.file);
        source.map_or(0, |source| source.position(place.span.range().start).line)
    }

    /// Bytes that a buffer takes.
    fn room(&self) -> usize {
        Geometry::new(1, self.graph.spec().engine.buffer_size).data()
    }

    fn too_long(&self, what: &str, length: usize) -> String {
        format!("{what} has {length} bytes, and a buffer takes {}", self.room())
    }
}

fn in_words(error: ReadError) -> String {
    unreadable_capture(error).to_string()
}

/// The edge that is named as a drop leads to a node.
fn goes_on(drop: &DropSpec, to: &Spanned<String>, place: swath_core::spec::Span) -> Diagnostic {
    let message = format!("`{}` drops nothing: the edge is wired to `{}`", drop.name.value, to.value);
    let mistake = Diagnostic::error(Code::UnknownDrop, message).primary(place, "never dropped here").secondary(to.span, "wired");
    mistake.help("name the drop by the node that the packets come to, or do not wire the edge")
}

fn can_drop(edge: &EdgeInfo) -> bool {
    matches!(edge.class, EdgeClass::Drop | EdgeClass::Edge | EdgeClass::Required)
}

/// Where an edge is wired to.
fn wired<'a>(node: &'a NodeSpec, edges: &[EdgeInfo], id: usize) -> Option<&'a Spanned<String>> {
    let is_it = |edge: &Option<Spanned<String>>| match edge {
        Some(edge) => edge.value == edges[id].name.as_str(),
        None => id == 0,
    };
    node.to.iter().find(|wire| is_it(&wire.edge)).map(|wire| &wire.to)
}
