//! From a file to an engine, step by step, with all that was found wrong on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use swath_api::Pool;
use swath_api::memory::Geometry;
use swath_core::Registry;
use swath_core::plan::{BUFFERS_PER_WORKER, Draft, Plan};
use swath_core::run::{BuildOptions, Engine};
use swath_core::spec::{BUFFERS, Changes, Diagnostics, EngineSpec, GraphFiles, Hugepages, Machine, Severity, SourceMap, Spec};
use swath_io::{Pages, open_region};

use crate::attach;
use crate::exit::Failure;
use crate::figures::counted;

/// The clock of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The machine's.
    Real,
    /// That of the input: for replays and tests.
    Virtual,
}

/// A graph file that was read.
#[derive(Debug)]
pub struct Graph {
    name: String,
    directory: PathBuf,
    sources: SourceMap,
    spec: Spec,
    files: GraphFiles,
    diagnostics: Diagnostics,
    colour: bool,
}

impl Graph {
    /// Reads a file. What is wrong in it is said by [`Graph::plan`].
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Graph, Failure> {
        let bytes = std::fs::read(path).map_err(|error| Failure::no_input(path, &error))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Ok(Graph::read(path.display().to_string(), bytes, directory.into()))
    }

    /// Reads a graph from files that were read before.
    pub fn from_files(files: GraphFiles) -> Graph {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        let spec = files.spec(&mut sources, &Machine, &mut diagnostics);
        let name = files.name().to_string();
        let directory = Path::new(&files.directory).join(Path::new(&name).parent().unwrap_or(Path::new("")));
        Graph { name, directory, sources, spec, files, diagnostics, colour: false }
    }

    /// Reads a text, of which messages speak by this name. Relative paths in it are relative to the working directory.
    pub fn from_text(name: &str, text: &str) -> Graph {
        Graph::read(name.into(), text.into(), PathBuf::new())
    }

    fn read(name: String, bytes: Vec<u8>, directory: PathBuf) -> Graph {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        let id = diagnostics.ok(sources.add_bytes(&name, bytes));
        let read = id.map(|id| GraphFiles::read(id, &mut sources, &Machine, &mut diagnostics));
        let (spec, files) = read.unwrap_or_default();
        Graph { name, directory, sources, spec, files, diagnostics, colour: false }
    }

    /// With colours in what is said of it, or without.
    #[must_use]
    pub fn colour(mut self, colour: bool) -> Graph {
        self.colour = colour;
        self
    }

    /// Plans it.
    ///
    /// # Errors
    /// There are mistakes in it: all of them, with their places.
    pub fn plan(&mut self, registry: &Registry) -> Result<Plan, Failure> {
        let spec = self.spec.clone();
        self.plan_spec(spec, registry)
    }

    /// As [`Graph::plan`], for one that is planned once: what was read is not copied, which may be millions of routes.
    ///
    /// # Errors
    /// As [`Graph::plan`].
    pub fn plan_once(&mut self, registry: &Registry) -> Result<Plan, Failure> {
        let spec = std::mem::take(&mut self.spec);
        self.plan_spec(spec, registry)
    }

    fn plan_spec(&mut self, spec: Spec, registry: &Registry) -> Result<Plan, Failure> {
        // What has a mistake is missing in the spec, which serves to look for more of them.
        Draft::new(spec, registry, &mut self.diagnostics).plan().map_err(|draft| {
            draft.check(&mut self.diagnostics);
            self.refused()
        })
    }

    /// Reads it again, as a step of a test changes it. `None` if that is refused; the diagnostics say why.
    pub fn changed(&mut self, changes: &Changes, registry: &Registry) -> Option<Spec> {
        let mut found = Diagnostics::new();
        let spec = Spec::read_changed(changes.span().file, changes, &mut self.sources, &Machine, &mut found);
        // What it warns of is in the graph itself as a rule, and was told.
        if let Err(draft) = Draft::new(spec.clone(), registry, &mut found).plan() {
            draft.check(&mut found);
        }
        let is_refused = found.errors() > 0;
        found.sorted().into_iter().filter(|one| one.severity == Severity::Error).for_each(|one| self.diagnostics.push(one.clone()));
        (!is_refused).then_some(spec)
    }

    /// Looks for what is wrong with the settings in a plan of it, without attaching its interfaces.
    pub fn check(&mut self, plan: &Plan) {
        plan.check(&mut self.diagnostics);
    }

    /// Checks the settings of its own drivers, before others take their places.
    ///
    /// # Errors
    /// There are mistakes in them: all of them are told, and what else is wrong with the graph.
    pub fn check_interfaces(&mut self, plan: &Plan) -> Result<(), Failure> {
        let mut found = Diagnostics::new();
        plan.check_interfaces(&mut found);
        if found.errors() == 0 {
            return Ok(());
        }
        self.check(plan);
        Err(self.refused())
    }

    /// Builds a plan of it with all interfaces attached to nothing, once the settings of their drivers were looked at.
    ///
    /// # Errors
    /// The graph is refused, or there is no memory.
    pub fn build_unattached(&mut self, mut plan: Plan) -> Result<Engine, Failure> {
        self.check_interfaces(&plan)?;
        // As many buffers as must be: nothing is received. As many workers as there are: they make a difference to the graph.
        let buffers = (*BUFFERS.start()).max(usize::from(plan.engine.workers) * BUFFERS_PER_WORKER);
        plan.engine = EngineSpec { buffers, hugepages: Hugepages::Never, cores: None, ..plan.engine };
        let (pool, _) = packet_memory(&plan.engine)?;
        plan.interfaces.iter_mut().for_each(attach::to_nothing);
        self.build(plan, &pool, Time::Real)
    }

    /// Builds a plan of it, whose drivers may have been replaced.
    ///
    /// # Errors
    /// A driver, a table or a node refuses.
    pub fn build(&mut self, plan: Plan, pool: &Arc<Pool>, time: Time) -> Result<Engine, Failure> {
        let options = BuildOptions { pool, virtual_time: time == Time::Virtual };
        let engine = Engine::build(plan, &options, &mut self.diagnostics);
        engine.filter(|_| self.diagnostics.errors() == 0).ok_or_else(|| self.refused())
    }

    /// The name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What relative paths in it are relative to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What was read. What has a mistake is missing.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The files that it was read from.
    pub fn files(&self) -> &GraphFiles {
        &self.files
    }

    /// What was found so far.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// What was found so far, to add to it.
    pub fn diagnostics_mut(&mut self) -> &mut Diagnostics {
        &mut self.diagnostics
    }

    /// The texts that diagnostics refer to.
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// What was found so far, for people; empty if nothing was.
    pub fn render(&self) -> String {
        self.diagnostics.render(&self.sources, self.colour)
    }

    /// What was found so far, as the reason to go no further.
    pub fn refused(&self) -> Failure {
        let (errors, warnings) = (self.diagnostics.errors(), self.diagnostics.warnings());
        let mut counts = counted(errors, "error");
        if warnings > 0 {
            counts = format!("{counts}, {}", counted(warnings, "warning"));
        }
        Failure::config(format!("{}{}: {counts}", self.render(), self.name))
    }
}

/// Makes the pool that a graph's section `engine` asks for, and says what it lies on.
///
/// # Errors
/// The memory cannot be had.
pub fn packet_memory(engine: &EngineSpec) -> Result<(Arc<Pool>, Pages), Failure> {
    let chunks = u32::try_from(engine.buffers).unwrap_or(u32::MAX);
    let opened = open_region(Geometry::new(chunks, engine.buffer_size), engine.hugepages);
    let (region, pages) = opened.map_err(|error| Failure::other(error.to_string()))?;
    Ok((Pool::new(region), pages))
}
