//! The sentences in which references go wrong, which kinds get from `swath_api`: told with both places, and with what was probably
//! meant.

use super::View;
use crate::spec::{Code, Diagnostic, Doubts, Place, Span, Value, suggestion};

/// Places of tables that are shown where one has to be chosen.
const SHOWN: usize = 4;

/// A sentence taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    UnknownInterface { name: &'a str },
    UnknownTable { name: &'a str, kind: &'a str },
    OtherKind { name: &'a str, kind: &'a str },
    NoTable { kind: &'a str },
    SeveralTables { kind: &'a str, key: &'a str },
    ServesWhich { kind: &'a str, key: &'a str },
    OffSubnet { address: &'a str },
    Twice { what: &'a str, first: &'a str },
    Refused { name: &'a str },
}

impl<'a> Reference<'a> {
    pub(super) fn read(message: &'a str) -> Option<Reference<'a>> {
        use Reference::*;
        let mut quoted = message.split('`').skip(1).step_by(2);
        let mut next = || quoted.next().unwrap_or_default();
        // What stands between the names; what may be named behind them has no end.
        let words: Vec<&str> = message.split('`').step_by(2).take(4).collect();
        Some(match words[..] {
            ["unknown interface ", end, ..] if is_list(end) => UnknownInterface { name: next() },
            ["unknown table ", " of kind ", end, ..] if is_list(end) => UnknownTable { name: next(), kind: next() },
            ["the table ", " is of kind ", " and not of kind ", end] if is_list(end) => {
                OtherKind { name: next(), kind: [next(), next()][1] }
            }
            ["a table of kind ", " is needed, there is none"] => NoTable { kind: next() },
            ["several tables of kind ", ": say in ", " which, expected one of ", ..] => SeveralTables { kind: next(), key: next() },
            ["several tables of kind ", ": say in ", " which interfaces this one serves"] => {
                ServesWhich { kind: next(), key: next() }
            }
            ["", " is on no interface's subnet"] => OffSubnet { address: next() },
            ["", " is given twice, first in ", ""] => Twice { what: next(), first: next() },
            ["the table ", " was refused"] => Refused { name: next() },
            _ => return None,
        })
    }

    /// Whether the name that is written is itself the mistake, and no other setting can be.
    pub(super) fn is_of_name(self) -> bool {
        use Reference::*;
        matches!(self, UnknownInterface { .. } | UnknownTable { .. } | OtherKind { .. } | Refused { .. })
    }

    /// The kind of table of which the part could not say which one it means.
    pub(super) fn of_kind(self) -> Option<&'a str> {
        match self {
            Reference::UnknownTable { kind, .. } | Reference::OtherKind { kind, .. } | Reference::SeveralTables { kind, .. } => {
                Some(kind)
            }
            _ => None,
        }
    }

    /// The mistake in the words of graph files. `None` if it is the consequence of one that has been reported.
    ///
    /// `kind` is where the kind of the part stands, and `place` what the path leads to.
    pub(super) fn word(
        self,
        view: &View<'_>,
        doubts: &Doubts,
        root: &Value,
        place: &Place<'_, '_>,
        kind_span: Span,
    ) -> Option<Diagnostic> {
        // Where the setting is not written, the kind asks by itself.
        let span = if place.rest.is_empty() && place.value.span != root.span { place.value.span } else { kind_span };
        let tables_of = |kind: &str| -> Vec<&str> {
            let of_kind = view.tables.iter().filter(|(spec, _)| spec.kind.value == kind);
            of_kind.map(|(spec, _)| spec.name.value.as_str()).collect()
        };
        let add = |kind: &str| format!("add one: `tables: {{ NAME: {{ kind: {kind} }} }}`");
        let error = |code: Code, message: String| Diagnostic::error(code, message).primary(span, "");
        match self {
            Reference::UnknownInterface { name } if doubts.interfaces.has(name) => None,
            Reference::UnknownInterface { name } => {
                let known: Vec<&str> = view.interfaces.iter().map(|(spec, _)| spec.name.value.as_str()).collect();
                let help = suggestion(name, "an interface is one of", &known);
                let help = help.unwrap_or_else(|| format!("add it: `interfaces: {{ {name}: {{ driver: DRIVER }} }}`"));
                Some(error(Code::UnknownInterface, format!("unknown interface `{name}`")).help(help))
            }
            Reference::UnknownTable { name, .. } if doubts.tables.has(name) => None,
            Reference::UnknownTable { name, kind } => {
                let help = suggestion(name, &format!("a table of kind `{kind}` is one of"), &tables_of(kind));
                let help = help.unwrap_or_else(|| format!("add it: `tables: {{ {name}: {{ kind: {kind} }} }}`"));
                Some(error(Code::UnknownTable, format!("unknown table `{name}`")).help(help))
            }
            Reference::OtherKind { name, kind } => {
                let named = view.tables.iter().find(|(spec, _)| spec.name.value == name);
                let message = format!("the table `{name}` is not of kind `{kind}`");
                let diagnostic =
                    Diagnostic::error(Code::OtherKind, message).primary(span, format!("wants a table of kind `{kind}`"));
                let diagnostic = match named {
                    Some((spec, _)) => diagnostic.secondary(spec.kind.span, format!("`{name}` is of kind `{}`", spec.kind.value)),
                    None => diagnostic,
                };
                let help = match &tables_of(kind)[..] {
                    [] => add(kind),
                    [one] => format!("the table of kind `{kind}` is `{one}`"),
                    several => suggestion("", &format!("a table of kind `{kind}` is one of"), several).unwrap_or_default(),
                };
                Some(diagnostic.help(help))
            }
            // One that could not be read may have been meant for it.
            Reference::NoTable { .. } if doubts.tables.is_all() => None,
            Reference::NoTable { kind } => {
                let message = format!("a table of kind `{kind}` is needed, and the graph has none");
                Some(Diagnostic::error(Code::NoTable, message).primary(span, "works on such a table").help(add(kind)))
            }
            Reference::SeveralTables { kind, key } => {
                let of_kind: Vec<_> = view.tables.iter().filter(|(spec, _)| spec.kind.value == kind).collect();
                let message = format!("it is not clear which of the {} tables of kind `{kind}` is meant", of_kind.len());
                let diagnostic = Diagnostic::error(Code::SeveralTables, message).primary(span, "works on one of them");
                let diagnostic =
                    of_kind.iter().take(SHOWN).fold(diagnostic, |diagnostic, (spec, _)| diagnostic.secondary(spec.name.span, ""));
                let first = of_kind.first().map_or("NAME", |(spec, _)| &spec.name.value);
                Some(diagnostic.help(format!("say which one, such as `{key}: {first}`")))
            }
            Reference::ServesWhich { kind, key } => {
                let message = format!("several tables are of kind `{kind}`, and this one does not say which interfaces it serves");
                let mut known: Vec<&str> = view.interfaces.iter().map(|(spec, _)| spec.name.value.as_str()).collect();
                known.truncate(SHOWN);
                let list = if known.is_empty() { "NAME".into() } else { known.join(", ") };
                let diagnostic = Diagnostic::error(Code::ServesWhich, message).primary(span, format!("`{key}` is missing"));
                Some(diagnostic.help(format!("list those of this table, out of `{key}: [{list}]`")))
            }
            Reference::OffSubnet { .. } if doubts.interfaces.is_any() => None,
            Reference::OffSubnet { address } => {
                let diagnostic = error(Code::OffSubnet, format!("`{address}` is on no subnet of an interface"));
                Some(diagnostic.help(subnets(view)))
            }
            Reference::Twice { what, first } => {
                let message = format!("`{what}` is given twice");
                let first = root.locate(first).value.span;
                let diagnostic = Diagnostic::error(Code::Conflict, message).primary(span, "given again");
                Some(diagnostic.secondary(first, "first given here").help("remove one of the two"))
            }
            Reference::Refused { name } => {
                let is_there = view.tables.iter().any(|(spec, _)| spec.name.value == name) || doubts.tables.has(name);
                (!is_there).then(|| error(Code::Setting, format!("the table `{name}` was refused")))
            }
        }
    }
}

/// How a sentence goes on in which the names are listed that would have been right.
fn is_list(text: &str) -> bool {
    matches!(text, ", expected one of " | ", there is none")
}

fn subnets(view: &View<'_>) -> String {
    let subnets = view
        .interfaces
        .iter()
        .flat_map(|(spec, _)| spec.addresses.iter().map(|address| format!("`{}` (`{}`)", address.value, spec.name.value)));
    let mut subnets: Vec<String> = subnets.collect();
    let many = subnets.len() > SHOWN;
    subnets.truncate(SHOWN);
    let mend = "correct the address, give an interface an address on its subnet, or name the interface";
    match (subnets.is_empty(), many) {
        (true, _) => format!("no interface has an address: {mend}"),
        (false, false) => format!("{mend}; the interfaces have {}", subnets.join(", ")),
        (false, true) => format!("{mend}; the interfaces have {} and others", subnets.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_api::ConfigError;

    #[test]
    fn sentences_of_the_api_are_known() {
        let read = |error: &ConfigError| Reference::read(error.message()).map(|reference| format!("{reference:?}"));
        let interface = ConfigError::unknown_interface("x", "lna", ["lan", "wan"]);
        assert_eq!(read(&interface).unwrap(), r#"UnknownInterface { name: "lna" }"#);
        assert_eq!(read(&ConfigError::unknown_interface("x", "lna", [])).unwrap(), r#"UnknownInterface { name: "lna" }"#);
        let address: std::net::Ipv4Addr = "192.0.2.1".parse().unwrap();
        assert_eq!(read(&ConfigError::off_subnet("x", address)).unwrap(), r#"OffSubnet { address: "192.0.2.1" }"#);
        let twice = ConfigError::twice("routes[1]", "10.0.0.0/8", "routes[0]");
        assert_eq!(read(&twice).unwrap(), r#"Twice { what: "10.0.0.0/8", first: "routes[0]" }"#);
        for other in ["", "`", "unknown interface", "unknown interface `a`", "unknown interface `a` on `b`", "the table `a`"] {
            assert_eq!(Reference::read(other), None, "{other}");
        }
    }
}
