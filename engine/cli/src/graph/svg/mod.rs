//! A picture in SVG (<https://www.w3.org/TR/SVG11/>): without scripts, without references, light or dark as the reader likes it.

mod measure;
mod scene;

use std::fmt::Write as _;

use super::layout::{Layout, Place, Point, lay_out};
use super::picture::{Node, Picture, Role};
use super::words::{edge_words, interface_words, node_words, table_words};
use super::{Direction, Options};
use measure::shortened;
#[cfg(test)]
pub use measure::width as text_width;
use scene::{Boxed, DETAIL, HALF, Is, Joins, LEADING, Scene};

const STYLE: &str = include_str!("style.css");
/// How round the corners of boxes and frames are.
const ROUND: f64 = 7.0;
/// The head of an arrow: how long, and how far to both sides.
const HEAD: (f64, f64) = (8.0, 3.6);
/// How high the bow of a cylinder is.
const BOW: f64 = 5.0;

/// The graph as a picture.
pub fn svg(picture: &Picture, options: Options) -> String {
    let scene = Scene::new(picture, options);
    let layout = lay_out(&scene.input);
    let mut svg = Svg { turned: options.direction == Direction::Tb, text: String::new() };
    svg.open(&picture.graph, &layout);
    svg.groups(&scene, &layout);
    svg.uses(&scene, &layout);
    svg.lines(&scene, &layout);
    for (at, place) in layout.boxes.iter().enumerate() {
        svg.boxed(&scene.boxes[at], place);
    }
    svg.tables(&scene, &layout);
    svg.labels(&scene, &layout);
    svg.text + "</svg>\n"
}

struct Svg {
    /// From top to bottom instead of from left to right.
    turned: bool,
    text: String,
}

/// From where to where, in pixels.
struct Rect {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Svg {
    fn point(&self, (along, across): Point) -> Point {
        if self.turned { (across, along) } else { (along, across) }
    }

    fn rect(&self, place: &Place) -> Rect {
        let (x, y) = self.point((place.along.start, place.across.start));
        let (right, bottom) = self.point((place.along.end, place.across.end));
        Rect { x, y, width: right - x, height: bottom - y }
    }

    fn open(&mut self, title: &str, layout: &Layout) {
        let (width, height) = self.point((layout.along.ceil(), layout.across.ceil()));
        let title = escaped(title);
        let _ = write!(
            self.text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{title}\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>\n"
        );
    }

    fn groups(&mut self, scene: &Scene<'_>, layout: &Layout) {
        for ((name, place), title) in scene.groups.iter().zip(&layout.groups).zip(&layout.titles) {
            let Rect { x, y, width, height } = self.rect(place);
            let last = name.rsplit('/').next().unwrap_or_default();
            let title = self.rect(title);
            let shown = escaped(&shortened(last, DETAIL, title.width));
            let (name, text_x, text_y) = (escaped(name), title.x, y + 15.0);
            let _ = writeln!(
                self.text,
                "<g class=\"group\" data-group=\"{name}\"><title>{name}</title>\
                 <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{ROUND}\"/>\
                 <text x=\"{text_x}\" y=\"{text_y}\">{shown}</text></g>"
            );
        }
    }

    fn uses(&mut self, scene: &Scene<'_>, layout: &Layout) {
        for (table, user, points) in &layout.uses {
            let (table, Is::Node(node)) = (scene.tables[*table].0, scene.boxes[*user].is) else { continue };
            let mut path = String::new();
            for (at, point) in points.iter().enumerate() {
                let (x, y) = self.point(*point);
                let _ = write!(path, "{}{x} {y}", if at == 0 { 'M' } else { 'L' });
            }
            let (table, node) = (escaped(&table.name), escaped(&node.name));
            let _ = writeln!(
                self.text,
                "<g class=\"use\" data-table=\"{table}\" data-node=\"{node}\"><title>{node} uses {table}</title><path d=\"{path}\"/></g>"
            );
        }
    }

    fn lines(&mut self, scene: &Scene<'_>, layout: &Layout) {
        // Main lines lie above others where they run together.
        let is_main = |line: &Joins<'_>| matches!(line, Joins::Interface) || matches!(line, Joins::Edge(edge, _) if edge.main);
        for main in [false, true] {
            for ((joins, route), line) in scene.lines.iter().zip(&layout.lines).zip(&scene.input.lines) {
                if is_main(joins) != main {
                    continue;
                }
                let path = self.curve(&route.points);
                let weight = if main { " main" } else { "" };
                let _ = match joins {
                    Joins::Edge(edge, _) => writeln!(
                        self.text,
                        "<g class=\"edge{weight}{}\" data-from=\"{}\" data-edge=\"{}\" data-to=\"{}\"><title>{}</title><path d=\"{path}\"/></g>",
                        if edge.class == "drop" { " dropped" } else { "" },
                        escaped(&edge.from),
                        escaped(&edge.name),
                        escaped(&edge.to),
                        escaped(&edge_words(edge)),
                    ),
                    Joins::Interface => {
                        let ends = [line.from, line.to].map(|at| match scene.boxes[at].is {
                            Is::Entry(one) | Is::Exit(one) => escaped(&one.name),
                            Is::Node(node) => escaped(&node.name),
                        });
                        let [from, to] = ends;
                        writeln!(
                            self.text,
                            "<g class=\"edge main wire\" data-from=\"{from}\" data-to=\"{to}\"><path d=\"{path}\"/></g>"
                        )
                    }
                };
            }
        }
        let mut ends: Vec<usize> = scene.input.lines.iter().map(|line| line.to).collect();
        ends.sort_unstable();
        ends.dedup();
        for to in ends {
            let (along, across) = (layout.boxes[to].along.start, layout.axes[to]);
            let corners = [(along, across), (along - HEAD.0, across - HEAD.1), (along - HEAD.0, across + HEAD.1)];
            let [(ax, ay), (bx, by), (cx, cy)] = corners.map(|corner| self.point(corner));
            let _ = writeln!(self.text, "<path class=\"arrow\" d=\"M{ax} {ay}L{bx} {by}L{cx} {cy}Z\"/>");
        }
    }

    /// Straight along, and from one height to another by a curve that starts and ends straight.
    fn curve(&self, points: &[Point]) -> String {
        let (x, y) = self.point(points[0]);
        let mut path = format!("M{x} {y}");
        for pair in points.windows(2) {
            let ((from, start), (to, end)) = (pair[0], pair[1]);
            let (x, y) = self.point((to, end));
            let _ = if start == end {
                write!(path, "L{x} {y}")
            } else {
                let middle = (from + to) / 2.0;
                let ((ax, ay), (bx, by)) = (self.point((middle, start)), self.point((middle, end)));
                write!(path, "C{ax} {ay} {bx} {by} {x} {y}")
            };
        }
        path
    }

    fn boxed(&mut self, boxed: &Boxed<'_>, place: &Place) {
        let Rect { x, y, width, height } = self.rect(place);
        let (class, data, words, round) = match boxed.is {
            Is::Entry(one) => ("interface entry", one.name.as_str(), interface_words(one), HALF),
            Is::Exit(one) => ("interface exit", one.name.as_str(), interface_words(one), HALF),
            Is::Node(node) => (class(node), node.name.as_str(), node_words(node), ROUND),
        };
        let kind = if matches!(boxed.is, Is::Node(_)) { "node" } else { "interface" };
        let _ = write!(
            self.text,
            "<g class=\"box {class}\" data-{kind}=\"{}\"><title>{}</title>\
             <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>",
            escaped(data),
            escaped(&words),
        );
        // The middle of the two lines of text.
        let list = boxed.list();
        let (middle, center) = (x + width / 2.0, y + (height - list) / 2.0);
        let baseline = if boxed.detail.is_empty() { center + 4.5 } else { center - 2.0 };
        let _ = write!(
            self.text,
            "<text class=\"name\" text-anchor=\"middle\" x=\"{middle}\" y=\"{baseline}\">{}</text>",
            escaped(&boxed.name)
        );
        if !boxed.detail.is_empty() {
            let _ = write!(
                self.text,
                "<text class=\"detail\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{}</text>",
                center + 12.5,
                escaped(&boxed.detail)
            );
        }
        for (line, drops) in boxed.drops.iter().enumerate() {
            let y = center + HALF + 8.0 + LEADING * line as f64;
            let _ = write!(
                self.text,
                "<text class=\"drops\" text-anchor=\"middle\" x=\"{middle}\" y=\"{y}\">{}</text>",
                escaped(drops)
            );
        }
        self.text.push_str("</g>\n");
    }

    /// Cylinders.
    fn tables(&mut self, scene: &Scene<'_>, layout: &Layout) {
        for ((table, name), place) in scene.tables.iter().zip(&layout.tables) {
            let Rect { x, y, width, height } = self.rect(place);
            let (side, bow) = (height - 2.0 * BOW, width / 2.0);
            let (middle, top, center) = (x + bow, y + BOW, y + height / 2.0 + BOW / 2.0);
            let _ = writeln!(
                self.text,
                "<g class=\"table\" data-table=\"{}\"><title>{}</title>\
                 <path d=\"M{x} {top}a{bow} {BOW} 0 0 1 {width} 0v{side}a{bow} {BOW} 0 0 1 -{width} 0Z\"/>\
                 <path d=\"M{x} {top}a{bow} {BOW} 0 0 0 {width} 0\"/>\
                 <text class=\"name\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{}</text>\
                 <text class=\"detail\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{}</text></g>",
                escaped(&table.name),
                escaped(&table_words(table)),
                center - 1.0,
                escaped(name),
                center + 12.0,
                escaped(&shortened(&table.kind, DETAIL, width)),
            );
        }
    }

    fn labels(&mut self, scene: &Scene<'_>, layout: &Layout) {
        for (joins, route) in scene.lines.iter().zip(&layout.lines) {
            let (Joins::Edge(edge, Some(label)), Some(place)) = (joins, &route.label) else { continue };
            let Rect { x, y, .. } = self.rect(place);
            let (x, y) = if self.turned { (route.points[0].1 + 6.0, y + 10.0) } else { (x, route.points[0].1 - 4.0) };
            let main = if edge.main { " main" } else { "" };
            let _ = writeln!(self.text, "<text class=\"label{main}\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(label));
        }
    }
}

fn class(node: &Node) -> &'static str {
    match (node.role, &*node.layer) {
        (Role::Receive, _) => "receive",
        (Role::Transmit, _) => "transmit",
        (Role::Drop, _) => "drop",
        (_, "ethernet" | "vlan") => "ethernet",
        (_, "arp") => "arp",
        (_, "ip4") => "ip4",
        (_, "ip6") => "ip6",
        _ => "process",
    }
}

/// Text of an element or an attribute. Characters that XML has no place for are left out (XML 1.0 §2.2).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
