//! `swath diff`: what a change from one graph to another would mean for what runs.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use swath_core::plan::{Cause, Change, Diff, Fate, Plan, SettingChange, What};

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::figures::counted;
use crate::load::Graph;
use crate::terminal::{Style, Terminal, paint};

/// Elements of a list that are shown singly; of more, how many there are.
const SHOWN: usize = 4;
/// Characters of a value that are shown.
const LONGEST: usize = 60;
/// Columns before what is said below a name.
const DETAIL: usize = 11;

const HELP: &str = "\
Interfaces, tables and nodes are paired by their names. Each has one fate:
  keep   it goes on as it is; an interface stays attached. A node may be rewired and keeps its state.
  adopt  its settings differ: it is made anew, and takes over the state of the old one. So is what
         has the same settings and refers to something that changed. Of an interface, only the
         addresses differ.
  fresh  it starts without state. Where the kind under a name differs, the old one's state is lost.
         An interface is attached anew if its driver, the driver's settings, `mac` or `mtu` differ.
  gone   it ends, and its state is lost.
Changes of the section `engine` need a restart.

Both graphs are read and planned; what kinds say of their settings is for `swath validate` to tell.

As JSON: one object with `old` and `new` (the files), `equal`, `restart` (whether `engine` differs),
`engine` (a list of settings), `interfaces`, `tables` and `nodes` (a list each, of everything there).
  a part     name, fate, kind (or driver); where it applies: replaces (the kind that had the name),
             drops_held (packets kept by the old one are dropped), carried and lost (what it knows), settings,
             edges, because
  a setting  path, what (added, removed, changed, reordered), old, new; in lists also element: list,
             index and, if elements are told apart by a key, key: [NAME, VALUE]
  an edge    edge, old, new (nodes; missing where it is not wired), named (by the graph itself)
  because    why: interfaces, table (table), only-table (kind, old, new), siblings (another number of tables of
             its kind), edges

Exit codes:
  0  done, whether they differ or not
  2  they differ, and --exit-code was given

Examples:
  swath diff old.yaml new.yaml
  swath diff --exit-code <(git show HEAD:graph.yaml) graph.yaml
  swath diff --format json old.yaml new.yaml | jq '.nodes[] | select(.fate != \"keep\")'";

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct DiffArgs {
    /// The graph as it is
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The graph as it is to be
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Show everything: what is kept, too, and each element of long lists
    #[arg(long)]
    pub all: bool,
    /// End with 2 if anything differs
    #[arg(long)]
    pub exit_code: bool,
    /// How to show it: for people, or as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Compares two graphs.
///
/// # Errors
/// One of them cannot be read, or is refused.
pub fn diff(args: &DiffArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let registry = crate::registry();
    let [old, new] = [&args.old, &args.new].map(|path| Graph::open(path)?.colour(terminal.colour).plan(&registry));
    let diff = Plan::diff(&old?, &new?);
    let text = match args.format {
        Format::Text => in_words(&diff, args.all, terminal.data_colour),
        Format::Json => to_json(&diff, args),
    };
    terminal.data(&text)?;
    Ok(if args.exit_code && !diff.is_empty() { Exit::Differs } else { Exit::Ok })
}

/// What changes, for people: everything, or what matters.
pub fn in_words(diff: &Diff, all: bool, colour: bool) -> String {
    Text { all, colour }.of(diff)
}

fn to_json(diff: &Diff, args: &DiffArgs) -> String {
    let mut json = json!({
        "old": args.old.display().to_string(),
        "new": args.new.display().to_string(),
        "equal": diff.is_empty(),
        "restart": !diff.engine.is_empty(),
    });
    // The sections, in their order.
    if let (Some(json), Ok(Value::Object(sections))) = (json.as_object_mut(), serde_json::to_value(diff)) {
        json.extend(sections);
    }
    serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
}

/// How much is said, and with what.
#[derive(Debug, Clone, Copy)]
struct Text {
    all: bool,
    colour: bool,
}

/// What a section is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Interfaces,
    Tables,
    Nodes,
}

impl Text {
    fn of(self, diff: &Diff) -> String {
        let mut text = String::new();
        if !diff.engine.is_empty() {
            let _ = writeln!(text, "{}: needs a restart", paint("engine", Style::Bold, self.colour));
            self.settings(&diff.engine, 4, &mut text);
        }
        let sections = [
            (Section::Interfaces, "interfaces", &diff.interfaces),
            (Section::Tables, "tables", &diff.tables),
            (Section::Nodes, "nodes", &diff.nodes),
        ];
        for (section, heading, changes) in sections {
            let lines = self.section(section, changes);
            if !lines.is_empty() {
                let _ = write!(text, "{}\n{lines}", paint(heading, Style::Bold, self.colour));
            }
        }
        text + &totals(diff)
    }

    fn section(self, section: Section, changes: &[Change]) -> String {
        let mut text = String::new();
        let width = changes.iter().map(|change| change.name.chars().count()).max().unwrap_or(0);
        // What only follows from something that stands above is said once.
        let follows = |change: &Change| change.fate == Fate::Adopt && change.settings.is_empty() && change.edges.is_empty();
        let is_shown = |change: &&Change| match change.fate {
            Fate::Keep => self.all || !change.edges.is_empty(),
            _ => self.all || section != Section::Nodes || !follows(change),
        };
        for change in changes.iter().filter(is_shown) {
            let name = &change.name;
            let _ = writeln!(text, "  {}  {name:<width$}  {}", self.fate(change.fate), meaning(section, change));
            self.settings(&change.settings, DETAIL, &mut text);
            for edge in &change.edges {
                let nowhere = if edge.named { "no such edge" } else { "nowhere, a drop" };
                let end = |node: &Option<String>| node.as_deref().map_or(nowhere.into(), |node| format!("`{node}`"));
                let _ = writeln!(text, "{:DETAIL$}{}: {} → {}", "", edge.edge, end(&edge.old), end(&edge.new));
            }
        }
        let hidden: Vec<&Change> = changes.iter().filter(|change| follows(change) && !is_shown(change)).collect();
        if let [first, ..] = hidden[..] {
            let (nodes, why) = (counted(hidden.len(), "node"), causes(&first.because));
            let same = "whose settings are the same: what they know is carried over; made anew because of";
            let _ = writeln!(text, "  {}  {nodes} {same} {why}", self.fate(Fate::Adopt));
        }
        text
    }

    fn fate(self, fate: Fate) -> String {
        let (word, style) = match fate {
            Fate::Keep => return "keep ".into(),
            Fate::Adopt => ("adopt", Style::Warning),
            Fate::Convert => return paint("conv.", Style::Warning, self.colour),
            Fate::Fresh => ("fresh", Style::Good),
            Fate::Gone => return paint("gone", Style::Error, self.colour) + " ",
        };
        paint(word, style, self.colour)
    }

    /// A line for each setting, or for each list of which much differs.
    fn settings(self, settings: &[SettingChange], indent: usize, text: &mut String) {
        let list = |setting: &SettingChange| setting.element.as_ref().map(|element| element.list.clone());
        for group in settings.chunk_by(|a, b| a.element.is_some() && list(a) == list(b)) {
            match list(&group[0]) {
                Some(list) if !self.all && elements(group) > SHOWN => {
                    let _ = writeln!(text, "{:indent$}{list}: {}", "", counts(group));
                }
                _ => {
                    for setting in group {
                        let _ = writeln!(text, "{:indent$}{}", "", words(setting));
                    }
                }
            }
        }
    }
}

/// What it means for one part, in a sentence.
fn meaning(section: Section, change: &Change) -> String {
    let is_interface = section == Section::Interfaces;
    let word = if is_interface { "driver" } else { "kind" };
    let kind = &change.kind;
    let mut sentence = match (change.fate, &change.replaces) {
        (Fate::Keep, _) if change.edges.is_empty() => format!("{kind}: goes on as it is"),
        (Fate::Keep, _) => format!("{kind}: rewired, and keeps its state"),
        (Fate::Adopt, _) if is_interface => format!("{kind}: stays attached"),
        (Fate::Adopt, _) if change.carried.is_empty() => format!("{kind}: made anew"),
        (Fate::Adopt, _) => format!("{kind}: made anew, and takes over {}", change.carried),
        (Fate::Convert, _) if change.carried.is_empty() => format!("{kind}: made anew by another build, which reads its state"),
        (Fate::Convert, _) => format!("{kind}: made anew by another build, which reads {}", change.carried),
        (Fate::Fresh, None) if is_interface => format!("{kind}: attached"),
        (Fate::Fresh, None) => format!("{kind}: starts without state"),
        (Fate::Fresh, Some(old)) if is_interface && old == kind => format!("{kind}: detached, and attached anew"),
        (Fate::Fresh, Some(old)) => {
            let then = if is_interface { "detached, and attached anew" } else { "starts without state" };
            format!("{word} `{old}` → `{kind}`: {then}")
        }
        (Fate::Gone, _) if is_interface => format!("{kind}: detached"),
        (Fate::Gone, _) => format!("{kind}: ends"),
    };
    if !change.lost.is_empty() {
        sentence += &format!("; lost: {}", change.lost);
    }
    if change.drops_held {
        sentence += ", and the packets that it keeps are dropped";
    }
    if !change.because.is_empty() {
        sentence += &format!("; because of {}", causes(&change.because));
    }
    sentence
}

fn causes(because: &[Cause]) -> String {
    let words = because.iter().map(|cause| match cause {
        Cause::Interfaces => "changed interfaces".into(),
        Cause::Table { table } => format!("the table `{table}`"),
        Cause::OnlyTable { kind, old, new } => format!("the table of kind `{kind}`, `{new}` instead of `{old}`"),
        Cause::Siblings => "another number of tables of its kind".into(),
        Cause::Edges => "edges of other names".into(),
        Cause::Library { old, new } => format!("the library `{new}` instead of `{old}`"),
    });
    words.collect::<Vec<String>>().join(" and ")
}

/// How many elements of a list differ.
fn elements(group: &[SettingChange]) -> usize {
    let of = |setting: &SettingChange| setting.element.as_ref().map(|element| element.index);
    // Those of one element stand together; of what was removed, the position is another list's.
    group.chunk_by(|a, b| of(a) == of(b) && is_removed(a) == is_removed(b)).count()
}

/// Whether an element as a whole is not there any more.
fn is_removed(setting: &SettingChange) -> bool {
    matches!(setting.what, What::Removed { .. }) && is_whole(setting)
}

fn is_whole(setting: &SettingChange) -> bool {
    setting.element.as_ref().is_some_and(|element| setting.path == format!("{}[{}]", element.list, element.index))
}

fn counts(group: &[SettingChange]) -> String {
    let whole = |is: fn(&What) -> bool| group.iter().filter(|setting| is_whole(setting) && is(&setting.what)).count();
    let (added, removed) = (whole(|what| matches!(what, What::Added { .. })), whole(|what| matches!(what, What::Removed { .. })));
    let changed = elements(group) - added - removed;
    let parts = [(added, "added"), (removed, "removed"), (changed, "changed")];
    let parts: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let key = group[0].element.as_ref().and_then(|element| element.key.as_ref()).map(|(key, _)| format!(", by `{key}`"));
    parts.join(", ") + &key.unwrap_or_default()
}

fn words(setting: &SettingChange) -> String {
    let path = harmless(&setting.path);
    let key = setting.element.as_ref().filter(|_| !is_whole(setting)).and_then(|element| element.key.as_ref());
    let key = key.map(|(key, value)| format!(" ({key} {})", brief(value))).unwrap_or_default();
    match &setting.what {
        What::Added { new } => format!("{path}: added {}{key}", brief(new)),
        What::Removed { old } => format!("{path}: removed {}{key}", brief(old)),
        What::Changed { old, new } => format!("{path}: {} → {}{key}", brief(old), brief(new)),
        What::Reordered => format!("{path}: in another order"),
    }
}

/// How many parts have which fate, as a line.
pub fn totals(diff: &Diff) -> String {
    let count = |fate: Fate| diff.parts().filter(|change| change.fate == fate).count();
    let rewired = diff.parts().filter(|change| change.fate == Fate::Keep && !change.edges.is_empty()).count();
    let rewired = if rewired == 0 { String::new() } else { format!(" ({rewired} rewired)") };
    let [keep, adopt, convert, fresh, gone] = [Fate::Keep, Fate::Adopt, Fate::Convert, Fate::Fresh, Fate::Gone].map(count);
    let converted = if convert == 0 { String::new() } else { format!("{convert} converted, ") };
    if diff.is_empty() {
        return format!("nothing differs: {} kept\n", keep);
    }
    format!("{keep} kept{rewired}, {adopt} adopted, {converted}{fresh} fresh, {gone} gone\n")
}

/// A value as one writes it in a graph, cut off where it is long.
fn brief(value: &Value) -> String {
    let text = flow(value);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        // With escapes for what a terminal would act upon.
        Value::String(text) => format!("{text:?}"),
        Value::Array(values) => format!("[{}]", values.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".into(),
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("{}: {}", harmless(key), flow(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// A key, with escapes for what a terminal would act upon.
fn harmless(key: &str) -> String {
    key.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Whether a string is one without quotes, too.
fn is_plain(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || "._-/:+ ".contains(c);
    let is_other = text.parse::<f64>().is_ok() || ["null", "true", "false", ""].contains(&text);
    !is_other
        && text.starts_with(char::is_alphanumeric)
        && text.chars().all(is_word)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_one_writes_them() {
        let table = [
            (json!("10.0.0.0/8"), "10.0.0.0/8"),
            (json!("02:00:00:00:00:01"), "02:00:00:00:00:01"),
            (json!(1), "1"),
            (json!("1"), "\"1\""),
            (json!(""), "\"\""),
            (json!("true"), "\"true\""),
            (json!("a: b"), "\"a: b\""),
            (json!("\u{1b}[31m"), "\"\\u{1b}[31m\""),
            (json!(null), "null"),
            (json!([]), "[]"),
            (json!({ "prefix": "a", "list": [1, {}] }), "{ prefix: a, list: [1, {}] }"),
        ];
        for (value, text) in table {
            assert_eq!(brief(&value), text);
        }
        assert_eq!(brief(&json!("ä".repeat(61))), format!("{}…", "ä".repeat(60)));
    }
}
