//! The picture.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use swath_ctl::api::{Interface, Worker};

use super::columns::{Column, Columns};
use super::state::{Reading, State};
use crate::figures::{grouped, rate};
use crate::show::{Since, interface_state, receive_lost, transmit_lost};

/// Narrower than this it is told which graph it is and how it stands, and not its number.
const NARROW: usize = 48;

/// Draws all of it. Returns how many nodes it has room for.
pub fn draw(frame: &mut Frame<'_>, state: &State) -> usize {
    let Some(now) = &state.now else {
        let why = state.lost.clone().unwrap_or_else(|| "waiting for the engine".into());
        frame.render_widget(Paragraph::new(why), frame.area());
        return 0;
    };
    let area = frame.area();
    let heights = heights(area.height, now.runtime.workers.len() as u16, now.interfaces.len() as u16);
    let [head, of_workers, of_interfaces, mut of_nodes, foot] = Layout::vertical(heights.map(Constraint::Length)).areas(area);
    frame.render_widget(Paragraph::new(heading(now, state, area.width.into())), head);
    workers(now, state).render(frame, of_workers);
    interfaces(now, state).render(frame, of_interfaces);
    let rows = state.rows().len();
    // Air between the parts where there is more than enough.
    if usize::from(of_nodes.height) > rows + 2 {
        of_nodes = Rect { y: of_nodes.y + 1, height: of_nodes.height - 1, ..of_nodes };
    }
    let room = usize::from(of_nodes.height.saturating_sub(1));
    let first = state.scroll.min(rows.saturating_sub(room));
    let shown = first..rows.min(first + room);
    if rows == 0 {
        let none = format!("no node has `{}` in its name or kind", state.filter);
        frame.render_widget(Paragraph::new(none), of_nodes);
    } else {
        nodes(state, shown.clone()).render(frame, of_nodes);
    }
    frame.render_widget(Paragraph::new(keys(state, (shown, rows), area.width.into())), foot);
    room
}

/// Lines for the heading, workers, interfaces, nodes and keys: nodes have a third at least, and nobody a heading with nothing below.
fn heights(all: u16, workers: u16, interfaces: u16) -> [u16; 5] {
    let head = all.min(1);
    let foot = u16::from(all >= 4);
    let rest = all - head - foot;
    let mut spare = rest - (rest / 3).max(4).min(rest);
    let mut take = |count: u16| {
        let height = (count + 1).min(9).min(spare);
        let height = if count == 0 || height < 2 { 0 } else { height };
        spare -= height;
        height
    };
    let interfaces = take(interfaces);
    let workers = take(workers);
    [head, workers, interfaces, rest - workers - interfaces, foot]
}

fn heading(now: &Reading, state: &State, width: usize) -> Line<'static> {
    let process = &now.process;
    let stands = match (&state.lost, state.held, &process.not_ready) {
        (Some(why), ..) => Span::styled(format!("not heard: {why}"), alarm()),
        (_, true, _) => Span::styled("held", alarm()),
        (_, _, Some(why)) => Span::styled(format!("not ready: {why}"), alarm()),
        _ => Span::raw("ready"),
    };
    let revision = if width < NARROW { "  ".into() } else { format!("  revision {}  ", process.revision) };
    // Of a long path the end says which graph it is; and how it stands is what one looks for.
    let room = width.saturating_sub(revision.len() + stands.content.chars().count()).max(12);
    let letters = process.graph.chars().count();
    let name = match letters > room {
        true => process.graph.chars().skip(letters + 1 - room).fold(String::from("…"), |name, letter| name + &letter.to_string()),
        false => process.graph.clone(),
    };
    Line::from(vec![Span::styled(name, bold()), Span::raw(revision), stands])
}

fn workers(now: &Reading, state: &State) -> Columns {
    let mut columns = Columns::new([
        Column::words("WORKER"),
        Column::words("CORE").goes(1),
        Column::figures("BUSY"),
        Column::words("").goes(3),
        Column::figures("ASLEEP").goes(2),
        Column::words("RECEIVES").goes(4).down_to(12),
    ]);
    for worker in &now.runtime.workers {
        let known = state.before.as_ref().and_then(|before| before.runtime.workers.iter().find(|old| old.worker == worker.worker));
        let since = Since { before: known, now: worker };
        let all = since.seconds(|worker| worker.busy + worker.polling + worker.asleep).max(f64::MIN_POSITIVE);
        let share = |of: fn(&Worker) -> f64| format!("{:.1} %", 100.0 * since.seconds(of) / all);
        let bar = (20.0 * since.seconds(|worker| worker.busy) / all).round() as usize;
        let core = if let [core] = worker.cores[..] { core.to_string() } else { "any".into() };
        columns.row([
            worker.worker.to_string(),
            core,
            share(|worker| worker.busy),
            format!("{}{}", "█".repeat(bar.min(20)), "░".repeat(20 - bar.min(20))),
            share(|worker| worker.asleep),
            worker.queues.join(", "),
        ]);
    }
    columns
}

fn interfaces(now: &Reading, state: &State) -> Columns {
    let mut columns = Columns::new([
        Column::words("INTERFACE").down_to(9),
        Column::words("STATE").goes(1),
        Column::figures("RX/s"),
        Column::figures("RX BIT/s").goes(2),
        Column::figures("TX/s"),
        Column::figures("TX BIT/s").goes(2),
        Column::figures("RX LOST").goes(3),
        Column::figures("TX LOST").goes(3),
    ]);
    let seconds = state.seconds();
    for interface in &now.interfaces {
        let known = state.before.as_ref().and_then(|before| before.interfaces.iter().find(|old| old.name == interface.name));
        let per_second = |of: fn(&Interface) -> u64| of(interface).saturating_sub(known.map_or(0, of)) as f64 / seconds;
        columns.row([
            interface.name.clone(),
            interface_state(interface).into(),
            rate(per_second(|interface| interface.received.packets)),
            rate(8.0 * per_second(|interface| interface.received.bytes)),
            rate(per_second(|interface| interface.sent.packets)),
            rate(8.0 * per_second(|interface| interface.sent.bytes)),
            grouped(receive_lost(interface)),
            grouped(transmit_lost(interface)),
        ]);
    }
    columns
}

fn nodes(state: &State, shown: std::ops::Range<usize>) -> Columns {
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
    let mut columns = Columns::new([
        Column::words("NODE").down_to(10),
        Column::words("KIND").goes(5),
        Column::figures("PACKETS/s"),
        Column::figures("PKTS/VECTOR").goes(4),
        Column::figures("CYCLES/PKT").goes(3),
        Column::figures("DROPS/s").goes(1),
        Column::figures("DROPS").goes(2),
    ]);
    for row in state.rows().drain(shown) {
        let dropping = row.drops > 0.0;
        columns.row([
            row.name,
            row.kind,
            rate(row.packets),
            number(row.per_vector),
            number(row.cycles),
            rate(row.drops),
            grouped(row.dropped),
        ]);
        if dropping {
            columns.style_last(5, alarm());
        }
    }
    columns
}

fn keys(state: &State, (shown, rows): (std::ops::Range<usize>, usize), width: usize) -> Line<'static> {
    let order = if state.reversed { ", reversed" } else { "" };
    let sorted = format!("sorted by {}{order}", format!("{:?}", state.sort).to_lowercase());
    let filter = match (state.writing, state.filter.is_empty()) {
        (true, _) => format!("  /{}_", state.filter),
        (false, false) => format!("  /{}", state.filter),
        (false, true) => String::new(),
    };
    let part = if shown.len() < rows { format!("  {}-{} of {rows}", shown.start + 1, shown.end) } else { String::new() };
    let used = [&sorted, &filter, &part].map(|text| text.chars().count()).iter().sum::<usize>();
    let help = match state.writing {
        true => ["  Enter ends, Esc forgets it", "  Enter, Esc", ""],
        false => ["  s sort  r reverse  / filter  space hold  q end", "  s r / space q", ""],
    };
    let help = help.into_iter().find(|help| used + help.len() <= width).unwrap_or_default();
    Line::from(vec![Span::raw(sorted), Span::styled(filter, bold()), Span::raw(part), Span::raw(help)])
}

pub(super) fn bold() -> Style {
    Style::default().add_modifier(Modifier::BOLD)
}

fn alarm() -> Style {
    Style::default().fg(ratatui::style::Color::Red).add_modifier(Modifier::BOLD)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use serde_json::{Value, json};

    use super::super::Sort;
    use super::*;

    /// An engine of so many nodes and workers that has run for so many seconds.
    fn reading(at: Instant, seconds: u64, nodes: usize, workers: usize) -> Reading {
        let interface = |name: &str| {
            json!({
                "name": name, "driver": "memory", "mode": "", "admin": "up", "link": true, "link-changes": 0, "mac": "", "mtu": 1500,
                "addresses": [],
                "received": { "packets": 2_000_000 * seconds, "bytes": 128_000_000 * seconds, "drops": 0, "errors": 0, "missed": 1_234_567 },
                "sent": { "packets": 1_800_000 * seconds, "bytes": 115_200_000 * seconds, "drops": 0, "errors": 0, "oversize": 0 },
            })
        };
        let node = |at: usize| {
            json!({
                "name": format!("site-{at}/lookup"), "kind": "ip4-lookup", "inserted": false, "packets": 1_000_000 * seconds, "vectors": 10_000 * seconds,
                "cycles": 31_000_000 * seconds, "made": 0, "released": 0, "drops": if at == 2 { 50_000 * seconds } else { 0 }, "edges": [],
                "layer": "ip4",
            })
        };
        let worker = |at: usize| {
            json!({
                "worker": at, "cores": [at], "queues": ["lan queue 0", "wan queue 0"], "busy": 0.25 * seconds as f64,
                "polling": 0.5 * seconds as f64, "asleep": 0.25 * seconds as f64, "sweeps": 0, "empty-sweeps": 0, "sleeps": 0,
                "packets": 0, "vectors": 0, "cycles": 0, "handed": 0, "slices": 0, "longest-slice": 0.0, "swaps": 0, "longest-swap": 0.0,
            })
        };
        let runtime = json!({
            "workers": (0..workers).map(worker).collect::<Value>(),
            "packets": { "received": 0, "made": 0, "sent": 0, "dropped": 0, "consumed": 0, "held": 0, "in-transit": 0 },
            "buffers": { "capacity": 0, "free": 0, "cached": 0, "rings": 0, "frames": 0, "handoff": 0, "held": 0 },
            "discrepancies": [],
        });
        let process = json!({
            "version": "0.1.0", "pid": 1, "started": 0.0, "uptime": seconds as f64, "revision": 1, "ready": true, "workers": workers,
            "graph": "/etc/swath/sites/of-which-the-path-is-long/and-longer/than-a-terminal/gateway.yaml", "nodes": nodes,
            "interfaces": 2, "tables": 0,
        });
        fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
            serde_json::from_value(value).unwrap()
        }
        Reading {
            at: at + Duration::from_secs(seconds),
            process: read(process),
            nodes: read((0..nodes).map(node).collect()),
            interfaces: read(json!([interface("lan"), interface("wan")])),
            runtime: read(runtime),
        }
    }

    fn state(nodes: usize, workers: usize) -> State {
        let (mut state, start) = (State::new(Sort::Graph, String::new()), Instant::now());
        state.take(reading(start, 10, nodes, workers));
        state.take(reading(start, 12, nodes, workers));
        state
    }

    fn drawn(state: &mut State, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| state.page = draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    fn press(state: &mut State, code: KeyCode) {
        state.key(KeyEvent::new(code, KeyModifiers::NONE));
    }

    #[test]
    fn nothing_is_cut_on_a_terminal_of_80_columns() {
        let shown = drawn(&mut state(35, 1), 80, 24);
        assert!(shown[0].starts_with('…') && shown[0].ends_with("/gateway.yaml  revision 1  ready"), "{shown:#?}");
        assert_eq!(shown[1], "WORKER  CORE    BUSY                        ASLEEP  RECEIVES");
        assert_eq!(shown[2], "0       0     25.0 %  █████░░░░░░░░░░░░░░░  25.0 %  lan queue 0, wan queue 0");
        assert_eq!(shown[3], "INTERFACE  STATE    RX/s  RX BIT/s    TX/s  TX BIT/s    RX LOST  TX LOST");
        assert_eq!(shown[4], "lan        up     2.00 M    1.02 G  1.80 M     922 M  1,234,567        0");
        let headings: Vec<&str> = shown[6].split_whitespace().collect();
        assert_eq!(headings, ["NODE", "KIND", "PACKETS/s", "PKTS/VECTOR", "CYCLES/PKT", "DROPS/s", "DROPS"]);
        let third: Vec<&str> = shown[9].split_whitespace().collect();
        assert_eq!(third, ["site-2/lookup", "ip4-lookup", "1.00", "M", "100.0", "31.0", "50.0", "k", "600,000"]);
        assert_eq!(shown[23], "sorted by graph  1-16 of 35  s sort  r reverse  / filter  space hold  q end");
    }

    #[test]
    fn a_small_terminal_has_what_matters() {
        let shown = drawn(&mut state(35, 2), 40, 10);
        assert!(shown[0].starts_with('…') && shown[0].ends_with("/gateway.yaml  ready"), "{shown:#?}");
        assert!(
            shown[1].starts_with("INTERFACE") && shown[4].starts_with("NODE") && shown[8].starts_with("site-3/lookup"),
            "{shown:#?}"
        );
        let shown = drawn(&mut state(35, 2), 20, 5);
        let expected = [
            "…gateway.yaml  ready",
            "NODE       PACKETS/s",
            "site-0/lo…    1.00 M",
            "site-1/lo…    1.00 M",
            "sorted by graph  1-2",
        ];
        assert_eq!(shown, expected);
        // Whatever the size, it is drawn.
        for (width, height) in [(1, 1), (2, 3), (5, 2), (80, 1), (3, 40)] {
            drawn(&mut state(35, 16), width, height);
        }
    }

    #[test]
    fn pages_end_with_the_last_node() {
        let mut state = state(35, 16);
        let first =
            |shown: &[String]| shown.iter().find(|line| line.starts_with("site-")).unwrap().split(' ').next().unwrap().to_owned();
        let shown = drawn(&mut state, 140, 30);
        assert!(shown.iter().any(|line| line == "… and 9 more"), "{shown:#?}");
        let page = state.page;
        assert_eq!(
            (first(&shown), shown.last().unwrap().contains(&format!("1-{page} of 35"))),
            ("site-0/lookup".into(), true),
            "{shown:#?}"
        );
        press(&mut state, KeyCode::PageDown);
        assert_eq!(first(&drawn(&mut state, 140, 30)), format!("site-{page}/lookup"));
        press(&mut state, KeyCode::End);
        let shown = drawn(&mut state, 140, 30);
        assert_eq!(first(&shown), format!("site-{}/lookup", 35 - page));
        assert!(shown.last().unwrap().contains(&format!("{}-35 of 35", 36 - page)), "{shown:#?}");
        // Fewer rows by a filter, or by another graph: what there is is shown.
        "/site-34".chars().for_each(|letter| press(&mut state, KeyCode::Char(letter)));
        assert_eq!(first(&drawn(&mut state, 140, 30)), "site-34/lookup");
        press(&mut state, KeyCode::Char('x'));
        let shown = drawn(&mut state, 140, 30);
        assert!(shown.iter().any(|line| line == "no node has `site-34x` in its name or kind"), "{shown:#?}");
        assert!(shown.last().unwrap().ends_with("/site-34x_  Enter ends, Esc forgets it"), "{shown:#?}");
    }
}
