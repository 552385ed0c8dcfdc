//! What of a picture is a box, a line, a table and a frame, and how much room each takes.

use super::super::layout::{BoxIn, Extent, GroupIn, Input, LineIn, TableIn};
use super::super::picture::{Edge, Interface, Node, Picture, Table, groups};
use super::super::{Direction, Options};
use super::measure::{shortened, width};

/// Sizes of text in pixels: names, what is below them, edges.
pub const NAME: f64 = 13.0;
pub const DETAIL: f64 = 10.5;
pub const LABEL: f64 = 10.5;
/// From one line of details to the next.
pub const LEADING: f64 = 13.0;
/// A name takes no more room than this.
const WIDEST: f64 = 230.0;
/// Room at both sides of a text in its box.
const INSET: f64 = 14.0;
/// Half of a box with two lines of text.
pub const HALF: f64 = 21.0;
/// Drop reasons are set in lines of this width, unless one alone is wider.
const DROPS: f64 = 130.0;

/// What a box is.
#[derive(Debug, Clone, Copy)]
pub enum Is<'a> {
    Entry(&'a Interface),
    Exit(&'a Interface),
    Node(&'a Node),
}

/// A box with its texts.
#[derive(Debug)]
pub struct Boxed<'a> {
    pub is: Is<'a>,
    pub name: String,
    pub detail: String,
    pub drops: Vec<String>,
}

impl Boxed<'_> {
    /// The height of its drop reasons.
    pub fn list(&self) -> f64 {
        if self.drops.is_empty() { 0.0 } else { LEADING * self.drops.len() as f64 + 6.0 }
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy)]
pub enum Joins<'a> {
    /// A wired edge, with its name where it is shown.
    Edge(&'a Edge, Option<&'a str>),
    /// An interface and the node that receives from it or sends to it.
    Interface,
}

/// Everything that is to be drawn, in the order of the layout's input.
#[derive(Debug)]
pub struct Scene<'a> {
    pub boxes: Vec<Boxed<'a>>,
    pub lines: Vec<Joins<'a>>,
    pub tables: Vec<(&'a Table, String)>,
    /// Whole names.
    pub groups: Vec<String>,
    pub input: Input,
}

impl<'a> Scene<'a> {
    pub fn new(picture: &'a Picture, options: Options) -> Scene<'a> {
        let mut scene = Scene {
            boxes: Vec::new(),
            lines: Vec::new(),
            tables: Vec::new(),
            groups: groups(&picture.nodes),
            input: Input::default(),
        };
        let frames = scene.groups.iter().map(|name| frame(name, &scene.groups, options));
        scene.input.groups = frames.collect();
        let find = |interface: &String| picture.interfaces.iter().find(|other| other.name == *interface);
        let entries: Vec<&Interface> = picture.nodes.iter().filter_map(|node| find(node.receives.as_ref()?)).collect();
        for interface in &entries {
            scene.add(Is::Entry(interface), None, options);
        }
        let first = scene.boxes.len();
        for node in &picture.nodes {
            let group = node.split().0.and_then(|group| scene.groups.iter().position(|known| known == group));
            scene.add(Is::Node(node), group, options);
        }
        let exits: Vec<&Interface> = picture
            .interfaces
            .iter()
            .filter(|interface| picture.nodes.iter().any(|node| node.transmits.contains(&interface.name)))
            .collect();
        let last = scene.boxes.len();
        for interface in &exits {
            scene.add(Is::Exit(interface), None, options);
        }
        let mut entry = 0;
        for (at, node) in picture.nodes.iter().enumerate() {
            if node.receives.as_ref().and_then(find).is_some() {
                scene.join(Joins::Interface, entry, first + at, 0, options);
                entry += 1;
            }
            for (port, edge) in picture.edges_of(&node.name).enumerate() {
                if let Some(to) = picture.nodes.iter().position(|node| node.name == edge.to) {
                    scene.join(Joins::Edge(edge, picture.label(edge)), first + at, first + to, port, options);
                }
            }
            for (to, _) in exits.iter().enumerate().filter(|(_, exit)| node.transmits.contains(&exit.name)) {
                scene.join(Joins::Interface, first + at, last + to, usize::MAX, options);
            }
        }
        for table in &picture.tables {
            let users = picture.nodes.iter().enumerate().filter(|(_, node)| node.tables.contains(&table.name));
            let users = users.map(|(at, _)| first + at).collect();
            let name = shortened(&table.name, NAME, WIDEST);
            let across = f64::max(width(&name, NAME), width(&table.kind, DETAIL)) + 2.0 * INSET;
            let (along, across) = turned(options, across, 2.0 * HALF + 6.0);
            scene.tables.push((table, name));
            scene.input.tables.push(TableIn { along, across, users });
        }
        scene
    }

    fn add(&mut self, is: Is<'a>, group: Option<usize>, options: Options) {
        let (name, detail, drops) = match is {
            Is::Entry(interface) | Is::Exit(interface) => (&*interface.name, addresses(interface), Vec::new()),
            Is::Node(node) => {
                let name = node.split().1;
                let detail = if node.kind == name { String::new() } else { shortened(&node.kind, DETAIL, WIDEST) };
                (name, detail, if options.drops { drop_lines(node) } else { Vec::new() })
            }
        };
        let name = shortened(name, NAME, WIDEST);
        let texts = drops.iter().map(|line| width(line, DETAIL)).chain([width(&name, NAME), width(&detail, DETAIL)]);
        let width = (texts.fold(0.0, f64::max) + 2.0 * INSET).max(64.0);
        let boxed = Boxed { is, name, detail, drops };
        let (half, list) = ((width / 2.0).ceil(), boxed.list());
        let extent = match options.direction {
            Direction::Lr => Extent { along: width, above: HALF, below: HALF + list },
            Direction::Tb => Extent { along: 2.0 * HALF + list, above: half, below: half },
        };
        self.boxes.push(boxed);
        self.input.boxes.push(BoxIn { extent, group, last: matches!(is, Is::Exit(_)) });
    }

    fn join(&mut self, joins: Joins<'a>, from: usize, to: usize, port: usize, options: Options) {
        let (main, label) = match joins {
            Joins::Edge(edge, label) => (edge.main, label),
            Joins::Interface => (true, None),
        };
        let label = label.map_or(Extent::default(), |label| match options.direction {
            Direction::Lr => Extent { along: width(label, LABEL), above: 14.0, below: 3.0 },
            Direction::Tb => Extent { along: 14.0, above: 3.0, below: 10.0 + width(label, LABEL) },
        });
        self.lines.push(joins);
        self.input.lines.push(LineIn { from, to, port, main, label });
    }
}

/// Along and across of what is so wide and so high.
fn turned(options: Options, width: f64, height: f64) -> (f64, f64) {
    match options.direction {
        Direction::Lr => (width, height),
        Direction::Tb => (height, width),
    }
}

fn frame(name: &str, all: &[String], options: Options) -> GroupIn {
    let outer = name.rsplit_once('/').map(|(outer, _)| outer);
    let title = width(name.rsplit('/').next().unwrap_or_default(), DETAIL);
    let parent = outer.and_then(|outer| all.iter().position(|known| known == outer));
    match options.direction {
        Direction::Lr => GroupIn { parent, head_along: 0.0, head_across: 10.0 },
        // Lines come in from above: the title stands beside them, left of the axis of a box.
        Direction::Tb => GroupIn { parent, head_along: 10.0, head_across: (title - 30.0).clamp(0.0, WIDEST) },
    }
}

fn addresses(interface: &Interface) -> String {
    match &interface.addresses[..] {
        [] => String::new(),
        [one] => shortened(one, DETAIL, WIDEST),
        [one, more @ ..] => format!("{} +{}", shortened(one, DETAIL, WIDEST), more.len()),
    }
}

fn drop_lines(node: &Node) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for drop in &node.drops {
        let name = shortened(drop.label(), DETAIL, WIDEST);
        match lines.last_mut() {
            Some(line) if width(&format!("{line} · {name}"), DETAIL) <= DROPS => *line += &format!(" · {name}"),
            _ => lines.push(name),
        }
    }
    lines
}
