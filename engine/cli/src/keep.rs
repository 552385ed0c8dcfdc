//! Revisions of `swath run`: where they are kept, and the start with the last good one.

use std::path::{Path, PathBuf};

use swath_core::spec::Whereabouts;
use swath_ctl::revisions::{last_good, usual};
use swath_ctl::{Disk, FileWatch};

use crate::exit::Failure;
use crate::load::Graph;
use crate::run::{RunArgs, beside};
use crate::terminal::Terminal;

/// The graph to start with: what the file says, or the last revision that was good.
///
/// # Errors
/// It cannot be read.
pub fn graph(args: &RunArgs, people: &Terminal) -> Result<Graph, Failure> {
    let file = Graph::open(&args.graph);
    if !args.last_good {
        return file;
    }
    // Where the file says, as far as it can be read.
    let said = file.as_ref().map(|graph| beside(graph, &graph.spec().engine.revisions)).unwrap_or_default();
    let found = match args.revisions.as_ref().unwrap_or(&said) {
        Whereabouts::Off => return Err(Failure::usage("revisions are `off`, so none of them is the last good one")),
        Whereabouts::At(path) => last_good(path),
        Whereabouts::Usual => usual(&name(&args.graph)).and_then(|path| last_good(&path)),
    };
    let revision = match found {
        Ok(revision) => revision,
        Err(error) => {
            people.warn(&format!("no last good revision, so {} is read: {error}", args.graph.display()));
            tracing::warn!(target: "swath::engine", %error, "no last good revision, so the file is read");
            return file;
        }
    };
    let number = revision.number;
    let is_same = file.is_ok_and(|graph| graph.files() == &revision.files);
    if !is_same {
        people.warn(&format!("{} is not revision {number}, which was good last and is started", args.graph.display()));
    }
    tracing::info!(target: "swath::engine", revision = number, is_same, "starting with the last good revision");
    Ok(Graph::from_files(revision.files))
}

/// Where revisions are kept. Who cannot have them at the usual place is warned; who asks for a place has them there or nothing.
///
/// # Errors
/// The place that was asked for cannot be used.
pub fn disk(args: &RunArgs, graph: &Graph, place: &Whereabouts, people: &Terminal) -> Result<Option<Disk>, Failure> {
    let place = args.revisions.clone().unwrap_or_else(|| beside(graph, place));
    let opened = match &place {
        Whereabouts::Off => return Ok(None),
        Whereabouts::At(path) => {
            let opened = Disk::open(path).map(Some);
            return opened.map_err(|error| Failure::other(format!("revisions cannot be kept in {}: {error}", path.display())));
        }
        Whereabouts::Usual => usual(&name(&args.graph)).and_then(|path| Disk::open(&path)),
    };
    if let Err(error) = &opened {
        people.warn(&format!(
            "revisions are known until it ends: {error}; `--revisions PATH` says where to keep them, `off` is quiet"
        ));
        tracing::warn!(target: "swath::engine", %error, "revisions are known until it ends");
    }
    Ok(opened.ok())
}

/// Watches the files of a graph, if they are to be. Of one that was started with the last good revision, the file's.
///
/// # Errors
/// They cannot be watched.
pub fn watch(args: &RunArgs, graph: &Graph) -> Result<Option<FileWatch>, Failure> {
    if !args.watch_config || args.dry_run {
        return Ok(None);
    }
    let file = if args.last_good { Graph::open(&args.graph).ok() } else { None };
    let watched = FileWatch::new(file.as_ref().unwrap_or(graph).files()).map(Some);
    watched.map_err(|error| Failure::other(format!("the files of {} cannot be watched: {error}", graph.name())))
}

/// The name of a graph's directory.
fn name(graph: &Path) -> String {
    PathBuf::from(graph.file_stem().unwrap_or_default()).display().to_string()
}
