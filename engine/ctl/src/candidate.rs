//! A graph that somebody wants to have: read and planned apart from the engine, which is asked only when it is sound.

use swath_core::Registry;
use swath_core::plan::{Draft, Plan};
use swath_core::spec::{Diagnostics, GraphFiles, Machine, SourceMap};

use crate::api::{Diagnostic, Problem};

/// A graph that is sound as far as can be told without the engine.
#[derive(Debug)]
pub struct Candidate {
    /// What it was read from.
    pub files: GraphFiles,
    /// What it is.
    pub plan: Plan,
    /// What there is to say of it: warnings.
    pub findings: Findings,
}

/// What was found in a graph, with the texts that this is about.
#[derive(Debug, Default)]
pub struct Findings {
    /// The texts.
    pub sources: SourceMap,
    /// What was found.
    pub diagnostics: Diagnostics,
}

impl Candidate {
    /// Reads and plans a graph, with the variables of this process.
    ///
    /// # Errors
    /// There are mistakes in it: all of them.
    pub fn read(files: GraphFiles, registry: &Registry) -> Result<Candidate, Box<Problem>> {
        let mut findings = Findings::default();
        let Findings { sources, diagnostics } = &mut findings;
        let spec = files.spec(sources, &Machine, diagnostics);
        match Draft::new(spec, registry, diagnostics).plan() {
            Ok(plan) => Ok(Candidate { files, plan, findings }),
            Err(draft) => {
                draft.check(diagnostics);
                Err(Box::new(findings.refusal(files.name())))
            }
        }
    }

    /// Looks for mistakes in the settings of all parts, as `swath validate` does.
    ///
    /// # Errors
    /// There are some.
    pub fn check(mut self) -> Result<Candidate, Box<Problem>> {
        self.plan.check(&mut self.findings.diagnostics);
        if self.findings.diagnostics.errors() > 0 {
            return Err(Box::new(self.findings.refusal(self.files.name())));
        }
        Ok(self)
    }
}

impl Findings {
    /// What was found, as data.
    pub fn list(&self) -> Vec<Diagnostic> {
        let found = self.diagnostics.sorted();
        found.into_iter().map(|diagnostic| Diagnostic::of(diagnostic, &self.sources)).collect()
    }

    /// As the reason to refuse the graph of this name.
    pub fn refusal(&self, name: &str) -> Problem {
        Problem::graph(name, &self.diagnostics, self.list())
    }
}
