//! What is shown, and how somebody wants it to be.

use std::time::Instant;

use clap::ValueEnum;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use swath_ctl::api::{Interface, Node, Process, Runtime};

use super::Sort;

/// What an engine says at one time.
#[derive(Debug, Clone)]
pub struct Reading {
    pub at: Instant,
    pub process: Process,
    pub nodes: Vec<Node>,
    pub interfaces: Vec<Interface>,
    pub runtime: Runtime,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    GoOn,
    End,
}

/// All of it.
#[derive(Debug)]
pub struct State {
    pub before: Option<Reading>,
    pub now: Option<Reading>,
    /// Why nothing is heard of the engine.
    pub lost: Option<String>,
    pub sort: Sort,
    pub reversed: bool,
    pub filter: String,
    /// Whether the filter is being written.
    pub writing: bool,
    pub held: bool,
    /// Nodes above the first that is shown.
    pub scroll: usize,
    /// Nodes that there is room for.
    pub page: usize,
}

/// A node in figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: String,
    pub kind: String,
    pub packets: f64,
    pub per_vector: Option<f64>,
    pub cycles: Option<f64>,
    pub drops: f64,
    pub dropped: u64,
}

impl State {
    pub fn new(sort: Sort, filter: String) -> State {
        State {
            before: None,
            now: None,
            lost: None,
            sort,
            reversed: false,
            filter,
            writing: false,
            held: false,
            scroll: 0,
            page: 0,
        }
    }

    /// Takes a reading, unless the picture is held.
    pub fn take(&mut self, reading: Reading) {
        self.lost = None;
        if self.held {
            return;
        }
        // Another process counts from 0.
        let same = |before: &Reading| before.process.pid == reading.process.pid;
        self.before = self.now.take().filter(same);
        self.now = Some(reading);
    }

    /// The engine does not answer.
    pub fn lose(&mut self, why: String) {
        self.lost = Some(why);
    }

    /// Does what a key says.
    pub fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Wish::End;
        }
        if self.writing {
            match key.code {
                KeyCode::Enter => self.writing = false,
                KeyCode::Esc => (self.writing, self.filter) = (false, String::new()),
                KeyCode::Backspace => _ = self.filter.pop(),
                KeyCode::Char(letter) => self.filter.push(letter),
                _ => {}
            }
            self.scroll = 0;
            return Wish::GoOn;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::End,
            KeyCode::Char('s') => {
                let all = Sort::value_variants();
                let at = all.iter().position(|sort| *sort == self.sort).map_or(0, |at| at + 1);
                self.sort = all[at % all.len()];
            }
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('/') => self.writing = true,
            KeyCode::Char(' ') => self.held = !self.held,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down => self.scroll += 1,
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(self.page),
            KeyCode::PageDown => self.scroll += self.page,
            KeyCode::Home => self.scroll = 0,
            KeyCode::End => self.scroll = usize::MAX,
            _ => {}
        }
        self.scroll = self.scroll.min(self.rows().len().saturating_sub(self.page));
        Wish::GoOn
    }

    /// Seconds between both readings; those since the start if there is one reading.
    pub fn seconds(&self) -> f64 {
        let Some(now) = &self.now else { return 1.0 };
        let since = self.before.as_ref().map_or(now.process.uptime, |before| (now.at - before.at).as_secs_f64());
        since.max(f64::MIN_POSITIVE)
    }

    /// Nodes as they are to be shown.
    pub fn rows(&self) -> Vec<Row> {
        let Some(now) = &self.now else { return Vec::new() };
        let seconds = self.seconds();
        let row = |node: &Node| {
            let before = self.before.as_ref().and_then(|before| before.nodes.iter().find(|known| known.name == node.name));
            let since = |of: fn(&Node) -> u64| of(node).saturating_sub(before.map_or(0, of)) as f64;
            let ratio = |a: f64, b: f64| (b > 0.0).then(|| a / b);
            let (packets, vectors) = (since(|node| node.packets), since(|node| node.vectors));
            Row {
                name: node.name.clone(),
                kind: node.kind.clone(),
                packets: packets / seconds,
                per_vector: ratio(packets, vectors),
                cycles: ratio(since(|node| node.cycles), packets),
                drops: since(|node| node.drops) / seconds,
                dropped: node.drops,
            }
        };
        let wanted = |row: &Row| row.name.contains(&self.filter) || row.kind.contains(&self.filter);
        let mut rows: Vec<Row> = now.nodes.iter().map(row).filter(wanted).collect();
        let figure = |row: &Row| match self.sort {
            Sort::Graph => 0.0,
            Sort::Packets => row.packets,
            Sort::Cycles => row.cycles.unwrap_or(0.0),
            Sort::Drops => row.drops,
        };
        // Stable: where figures are equal, in the order of the graph.
        rows.sort_by(|a, b| figure(b).total_cmp(&figure(a)));
        if self.reversed {
            rows.reverse();
        }
        rows
    }
}
