//! What is said of a part that cannot be made: everything that is wrong with its settings, and each thing once.

use std::cell::RefCell;
use std::collections::HashSet;

use swath_api::{ConfigError, EdgeClass, NodeKind, TableKind};

use super::View;
use super::references::Reference;
use super::search::Search;
use crate::driver::DriverKind;
use crate::spec::{
    Code, Diagnostic, Diagnostics, Doubts, EdgeSpec, InterfaceSpec, NodeSpec, Span, Spanned, TableSpec, Value, did_you_mean,
};

/// Settings that are read again to look for further mistakes, in bytes of JSON and over all parts: what is looked at once is not bounded
/// by it, what is looked at again is.
const BUDGET: usize = 2 << 20;
/// What another attempt costs beside reading, in the same measure.
const ATTEMPT: usize = 4 << 10;

/// An interface, a table or a node, as written.
pub(crate) struct Part<'a> {
    name: &'a Spanned<String>,
    /// Its kind or driver.
    kind: &'a Spanned<String>,
    settings: &'a Value,
    /// Keys beside the settings, which the engine reads.
    common: &'static [&'static str],
    /// Where its edges are wired, and the names that its kind has for them.
    wires: &'a [EdgeSpec],
    own_edges: Vec<&'static str>,
    /// Edges that the graph has named, and about which all is said.
    refused_edges: RefCell<Vec<String>>,
    schema: Box<dyn Fn() -> String + 'a>,
}

const OF_INTERFACES: &[&str] = &["driver", ADDRESSES, "mac", "mtu"];
const ADDRESSES: &str = "addresses";

impl<'a> Part<'a> {
    pub(crate) fn interface(spec: &'a InterfaceSpec, driver: &'a DriverKind) -> Part<'a> {
        Part {
            name: &spec.name,
            kind: &spec.driver,
            settings: &spec.settings,
            common: OF_INTERFACES,
            wires: &[],
            own_edges: Vec::new(),
            refused_edges: RefCell::default(),
            schema: Box::new(|| (driver.schema)()),
        }
    }

    pub(crate) fn table(spec: &'a TableSpec, kind: &'a TableKind) -> Part<'a> {
        Part {
            name: &spec.name,
            kind: &spec.kind,
            settings: &spec.settings,
            common: &["kind"],
            wires: &[],
            own_edges: Vec::new(),
            refused_edges: RefCell::default(),
            schema: Box::new(|| kind.schema()),
        }
    }

    pub(crate) fn node(spec: &'a NodeSpec, kind: &'a NodeKind) -> Part<'a> {
        Part {
            name: &spec.name,
            kind: &spec.kind,
            settings: &spec.settings,
            common: &["kind", "to"],
            wires: &spec.to,
            own_edges: kind.edges().iter().filter(|edge| edge.class != EdgeClass::Held).map(|edge| edge.name.as_str()).collect(),
            refused_edges: RefCell::default(),
            schema: Box::new(|| kind.schema()),
        }
    }

    /// Names of edges without those about which all is said.
    pub(crate) fn without_refused<'n>(&self, mut names: Vec<&'n str>) -> Vec<&'n str> {
        let refused = self.refused_edges.borrow();
        names.retain(|name| !refused.iter().any(|refused| refused == name));
        names
    }

    /// The place of the edge that a mistake is about; of the first one if it is about all.
    fn wire(&self, mistake: &ConfigError) -> Option<Span> {
        let rest = mistake.path().strip_prefix("to")?;
        if rest.is_empty() {
            return Some(self.wires.first().map_or(self.kind.span, EdgeSpec::span));
        }
        let name = rest.strip_prefix('.')?;
        let is_it = |wire: &&EdgeSpec| wire.edge.as_ref().is_some_and(|edge| edge.value == name);
        self.wires.iter().find(is_it).map(EdgeSpec::span)
    }

    /// Takes the edge that a mistake is about out of those that the kind is asked about. `false` if it is about all.
    fn refuse_edge(&self, mistake: &ConfigError) -> bool {
        let name = mistake.path().strip_prefix("to.");
        self.refused_edges.borrow_mut().extend(name.map(str::to_owned));
        name.is_some()
    }
}

/// Whether settings are those of a kind, whatever they mean.
pub(crate) type Check<'a> = &'a dyn Fn(&[u8]) -> Result<(), ConfigError>;

/// Words refusals.
pub(crate) struct Teller<'a> {
    view: &'a View<'a>,
    doubts: Doubts,
    told: HashSet<(Span, String)>,
    /// Kinds of tables of which a part could not say which one it means.
    unclear: HashSet<String>,
    left: usize,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(view: &'a View<'a>) -> Teller<'a> {
        Teller { view, doubts: view.doubts.clone(), told: HashSet::new(), unclear: HashSet::new(), left: BUDGET }
    }

    /// Whether a part may mean any table of a kind, and could not say which.
    pub(crate) fn is_unclear(&self, kind: &str) -> bool {
        self.unclear.contains(kind)
    }

    /// The parts that have a mistake in them, as far as others hang on it.
    pub(crate) fn doubts(&self) -> &Doubts {
        &self.doubts
    }

    /// Makes a part of its settings as JSON, or says everything that is wrong with them. `check` looks at their form alone; without it,
    /// `make` is asked for both, and is one that changes nothing.
    pub(crate) fn make<T>(
        &mut self,
        part: &Part<'_>,
        mut make: impl FnMut(&[u8]) -> Result<T, ConfigError>,
        check: Option<Check<'_>>,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        match make(&part.settings.to_json_bytes()) {
            Ok(made) => Some(made),
            Err(refusal) => {
                self.explain(part, refusal, |settings| make(settings).map(drop), check, diagnostics);
                None
            }
        }
    }

    /// Says why an interface could not be attached: what is wrong with its settings, by `check`; if nothing is, the refusal itself.
    pub(crate) fn explain_open(&mut self, part: &Part<'_>, refusal: ConfigError, check: Check<'_>, diagnostics: &mut Diagnostics) {
        match check(&part.settings.to_json_bytes()) {
            Ok(()) => self.push(part, part.settings, &refusal, diagnostics),
            Err(mistake) => self.explain(part, mistake, check, None, diagnostics),
        }
    }

    /// Says why a part was refused, and what else is wrong with its settings.
    fn explain(
        &mut self,
        part: &Part<'_>,
        refusal: ConfigError,
        mut make: impl FnMut(&[u8]) -> Result<(), ConfigError>,
        check: Option<Check<'_>>,
        diagnostics: &mut Diagnostics,
    ) {
        if diagnostics.is_full() {
            // Counted, and not looked at.
            return diagnostics.push_error(|| self.word(part, part.settings, &refusal).unwrap_or_else(|| plain(part, &refusal)));
        }
        let mut search = Search::new(part.settings);
        let mut refusal = Some(refusal);
        if let Some(check) = check {
            let mut mistake = check(search.json()).err();
            while let Some(found) = mistake {
                refusal = None;
                if !self.tell(part, &mut search, &found, true, diagnostics) || !self.afford(&search, diagnostics) {
                    return;
                }
                mistake = check(search.json()).err();
            }
        }
        // Of the right form by now: what is left is what the settings mean.
        let mut refused = refusal.or_else(|| make(search.json()).err());
        while let Some(found) = refused {
            if !self.tell(part, &mut search, &found, check.is_none(), diagnostics) || !self.afford(&search, diagnostics) {
                break;
            }
            refused = make(search.json()).err();
        }
        if diagnostics.errors() == 0
            && let Some(refused) = make(&part.settings.to_json_bytes()).err()
        {
            // Nothing is refused without a word.
            diagnostics.push(plain(part, &refused));
        }
    }

    /// Tells a mistake, unless it only follows from others, and takes what it is about out of the settings. Whether there is anything
    /// left to be looked at.
    fn tell(
        &mut self,
        part: &Part<'_>,
        search: &mut Search,
        mistake: &ConfigError,
        of_form: bool,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        if part.wire(mistake).is_some() {
            self.push(part, search.settings(), mistake, diagnostics);
            return part.refuse_edge(mistake);
        }
        if !search.follows(mistake, of_form) {
            self.push(part, search.settings(), mistake, diagnostics);
            for missing in search.missing_beside(mistake, &part.schema) {
                self.push(part, search.settings(), &missing, diagnostics);
            }
        }
        search.remove(mistake)
    }

    fn push(&mut self, part: &Part<'_>, settings: &Value, mistake: &ConfigError, diagnostics: &mut Diagnostics) {
        self.unclear.extend(Reference::read(mistake.message()).and_then(Reference::of_kind).map(str::to_owned));
        if let Some(key) = unknown_key(mistake)
            && part.common.contains(&ADDRESSES)
            && did_you_mean(key, [ADDRESSES]).is_some()
        {
            self.doubts.interfaces.doubt(&part.name.value);
        }
        let Some(diagnostic) = self.word(part, settings, mistake) else { return };
        if diagnostic.span().is_none_or(|span| self.told.insert((span, diagnostic.message.clone()))) {
            diagnostics.push(diagnostic);
        }
    }

    /// The mistake in the words of graph files. `None` if it is the consequence of one that has been reported.
    fn word(&self, part: &Part<'_>, settings: &Value, mistake: &ConfigError) -> Option<Diagnostic> {
        let place = settings.locate(mistake.path());
        let wire = part.wire(mistake);
        let worded = match Reference::read(mistake.message()) {
            Some(reference) => reference.word(self.view, &self.doubts, settings, &place, wire.unwrap_or(part.kind.span)),
            None => Some(plain_in(part, settings, mistake)),
        };
        let own = mistake.path().strip_prefix("to.").and_then(|name| did_you_mean(name, part.own_edges.iter().copied()));
        match own.filter(|_| wire.is_some()) {
            Some(own) => worded.map(|diagnostic| diagnostic.help(format!("did you mean `{own}`?"))),
            None => worded,
        }
    }

    fn afford(&mut self, search: &Search, diagnostics: &Diagnostics) -> bool {
        let cost = search.json().len() + ATTEMPT;
        self.left = self.left.saturating_sub(cost);
        self.left > 0 && !diagnostics.is_full()
    }
}

fn plain(part: &Part<'_>, mistake: &ConfigError) -> Diagnostic {
    plain_in(part, part.settings, mistake)
}

fn plain_in(part: &Part<'_>, settings: &Value, mistake: &ConfigError) -> Diagnostic {
    if let Some(span) = part.wire(mistake) {
        let code = if mistake.path() == "to" { Code::RequiredEdge } else { Code::UnknownEdge };
        return Diagnostic::error(code, mistake.message()).primary(span, "");
    }
    let mut message = mistake.message().to_owned();
    if unknown_key(mistake).is_some_and(|key| settings.get(key).is_some()) {
        part.common.iter().for_each(|key| message += &format!(", `{key}`"));
    }
    let mut diagnostic = Diagnostic::at_path(settings, mistake.path(), &message);
    for label in diagnostic.labels.iter_mut().filter(|label| label.span == settings.span) {
        // About the settings as a whole: not all of them are underlined.
        label.span = if diagnostic.code == Code::MissingKey { part.name.span } else { part.kind.span };
    }
    diagnostic
}

fn unknown_key(mistake: &ConfigError) -> Option<&str> {
    mistake
        .message()
        .strip_prefix("unknown field `")?
        .split('`')
        .next()
        .filter(|key| matches!(mistake.path(), "" | ".") || mistake.path() == *key)
}
