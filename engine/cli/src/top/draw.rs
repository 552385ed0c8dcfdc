//! The picture.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as Cells, Table};
use swath_ctl::api::{Interface, Worker};

use super::state::{Reading, Row, State};
use crate::figures::{grouped, rate};
use crate::show::{Since, interface_state, receive_lost, transmit_lost};

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let Some(now) = &state.now else {
        return frame
            .render_widget(Paragraph::new(state.lost.clone().unwrap_or_else(|| "waiting for the engine".into())), frame.area());
    };
    let (workers, interfaces) = (now.runtime.workers.len() as u16, now.interfaces.len() as u16);
    // What there is room for of workers and interfaces, and always some nodes.
    let heights = [1, (workers + 1).min(9), (interfaces + 1).min(9)];
    let [head, of_workers, of_interfaces, of_nodes, foot] = Layout::vertical([
        Constraint::Length(heights[0]),
        Constraint::Length(heights[1]),
        Constraint::Length(heights[2]),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .spacing(0)
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(now, state)), head);
    workers_table(frame, of_workers, now, state);
    interfaces_table(frame, of_interfaces, now, state);
    nodes_table(frame, of_nodes, state);
    frame.render_widget(Paragraph::new(keys(state)), foot);
}

fn heading(now: &Reading, state: &State) -> Line<'static> {
    let process = &now.process;
    let stands = match (&state.lost, state.held, &process.not_ready) {
        (Some(why), ..) => Span::styled(format!("not heard: {why}"), alarm()),
        (_, true, _) => Span::styled("held", alarm()),
        (_, _, Some(why)) => Span::styled(format!("not ready: {why}"), alarm()),
        _ => Span::raw("ready"),
    };
    let name = Span::styled(process.graph.clone(), bold());
    Line::from(vec![name, Span::raw(format!("  revision {}  ", process.revision)), stands])
}

fn workers_table(frame: &mut Frame<'_>, area: Rect, now: &Reading, state: &State) {
    let row = |worker: &Worker| {
        let known = state.before.as_ref().and_then(|before| before.runtime.workers.iter().find(|old| old.worker == worker.worker));
        let since = Since { before: known, now: worker };
        let all = since.seconds(|worker| worker.busy + worker.polling + worker.asleep).max(f64::MIN_POSITIVE);
        let share = |of: fn(&Worker) -> f64| format!("{:.1} %", 100.0 * since.seconds(of) / all);
        let bar = (20.0 * since.seconds(|worker| worker.busy) / all).round() as usize;
        let core = if let [core] = worker.cores[..] { core.to_string() } else { "any".into() };
        Cells::new([
            Cell::from(worker.worker.to_string()),
            Cell::from(core),
            right(share(|worker| worker.busy)),
            Cell::from(format!("{}{}", "█".repeat(bar.min(20)), "░".repeat(20 - bar.min(20)))),
            right(share(|worker| worker.asleep)),
            Cell::from(worker.queues.join(", ")),
        ])
    };
    let widths = [6, 5, 8, 20, 8, 40].map(Constraint::Length);
    let header = ["WORKER", "CORE", "    BUSY", "", "  ASLEEP", "RECEIVES"];
    let table = Table::new(now.runtime.workers.iter().map(row), widths).header(Cells::new(header).style(bold()));
    frame.render_widget(table, area);
}

fn interfaces_table(frame: &mut Frame<'_>, area: Rect, now: &Reading, state: &State) {
    let seconds = state.seconds();
    let row = |interface: &Interface| {
        let known = state.before.as_ref().and_then(|before| before.interfaces.iter().find(|old| old.name == interface.name));
        let per_second = |of: fn(&Interface) -> u64| of(interface).saturating_sub(known.map_or(0, of)) as f64 / seconds;
        Cells::new([
            Cell::from(interface.name.clone()),
            Cell::from(interface_state(interface)),
            right(rate(per_second(|interface| interface.received.packets))),
            right(rate(8.0 * per_second(|interface| interface.received.bytes))),
            right(rate(per_second(|interface| interface.sent.packets))),
            right(rate(8.0 * per_second(|interface| interface.sent.bytes))),
            right(grouped(receive_lost(interface))),
            right(grouped(transmit_lost(interface))),
        ])
    };
    let widths = [16, 12, 9, 9, 9, 9, 12, 12].map(Constraint::Length);
    let header = ["INTERFACE", "STATE", "     RX/s", " RX BIT/s", "     TX/s", " TX BIT/s", "     RX LOST", "     TX LOST"];
    let table = Table::new(now.interfaces.iter().map(row), widths).header(Cells::new(header).style(bold()));
    frame.render_widget(table, area);
}

fn nodes_table(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let number = |value: Option<f64>| right(value.map_or("-".into(), |value| format!("{value:.1}")));
    let row = |row: Row| {
        let style = if row.drops > 0.0 { alarm() } else { Style::default() };
        Cells::new([
            Cell::from(row.name),
            Cell::from(row.kind),
            right(rate(row.packets)),
            number(row.per_vector),
            number(row.cycles),
            right(rate(row.drops)).style(style),
            right(grouped(row.dropped)),
        ])
    };
    let widths = [Constraint::Min(16), Constraint::Length(18)].into_iter().chain([11, 11, 10, 9, 14].map(Constraint::Length));
    let header = ["NODE", "KIND", "  PACKETS/s", "PKTS/VECTOR", "CYCLES/PKT", "  DROPS/s", "         DROPS"];
    let rows = state.rows().into_iter().skip(state.scroll).map(row);
    frame.render_widget(Table::new(rows, widths).header(Cells::new(header).style(bold())), area);
}

fn keys(state: &State) -> Line<'static> {
    let order = if state.reversed { ", reversed" } else { "" };
    let sorted = format!("sorted by {}{order}", format!("{:?}", state.sort).to_lowercase());
    let filter = match (state.writing, state.filter.is_empty()) {
        (true, _) => format!("  /{}_", state.filter),
        (false, false) => format!("  /{}", state.filter),
        (false, true) => String::new(),
    };
    Line::from(vec![
        Span::raw(sorted),
        Span::styled(filter, bold()),
        Span::raw("   s sort  r reverse  / filter  space hold  q end"),
    ])
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

fn bold() -> Style {
    Style::default().add_modifier(Modifier::BOLD)
}

fn alarm() -> Style {
    Style::default().fg(ratatui::style::Color::Red).add_modifier(Modifier::BOLD)
}
