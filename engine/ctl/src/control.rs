//! The control thread: whoever wants something of an engine sends a job, and the thread that has the engine does one after the other. So
//! each is a transaction, and nothing of an engine is locked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Instant;

use swath_core::Registry;
use swath_core::run::Engine;
use swath_core::spec::{GraphFile, GraphFiles};
use tokio::sync::oneshot;

use crate::api::{Config, ConfigFile};
use crate::change::{News, Trial};
use crate::revisions::{Disk, Revisions};

/// What runs.
pub struct Running {
    /// The engine.
    pub engine: Engine,
    /// The graph file that it was started with.
    pub graph: String,
    /// The kinds that graphs may name.
    pub registry: Registry,
    pub(crate) revisions: Revisions,
    pub(crate) trial: Option<Trial>,
    pub(crate) news: Vec<News>,
}

impl Running {
    /// An engine that was made of these files and kinds. Without a disk, revisions are known until it ends.
    pub fn new(engine: Engine, files: GraphFiles, registry: Registry, disk: Option<Disk>) -> Running {
        let graph = files.name().to_string();
        let revisions = Revisions::new(files, disk);
        let news = revisions.warning().map(|why| News::Warning(why.into()));
        Running { engine, graph, registry, revisions, trial: None, news: news.into_iter().collect() }
    }

    /// The text that runs.
    pub fn config(&self) -> Config {
        let current = self.revisions.current();
        let file = |file: &GraphFile| ConfigFile { name: file.name.clone(), text: file.text.to_string() };
        Config { revision: current.number, files: current.files.files.iter().map(file).collect() }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({}, revision {}, {:?})", self.graph, self.revision(), self.engine)
    }
}

/// What a job works with.
pub struct Desk<'a> {
    /// What runs.
    pub running: &'a mut Running,
    /// To be called many times a second by jobs that take longer: what else the thread has to do.
    pub meanwhile: &'a mut dyn FnMut(),
}

type Job = Box<dyn FnOnce(&mut Desk<'_>) + Send>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The control thread does no jobs any more.
    Ended,
    /// The job has panicked: a defect.
    Panicked,
}

/// Where jobs are given up.
#[derive(Clone, Debug)]
pub struct Control(Sender<Job>);

/// Where jobs are done: by the thread that has the engine.
pub struct Jobs(Receiver<Job>);

/// Both ends.
pub fn control() -> (Control, Jobs) {
    let (send, receive) = mpsc::channel();
    (Control(send), Jobs(receive))
}

impl Control {
    /// Has a job done, and waits for what it returns.
    ///
    /// # Errors
    /// It was not done, or not to its end.
    pub async fn ask<T: Send + 'static>(&self, job: impl FnOnce(&mut Desk<'_>) -> T + Send + 'static) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        let job = move |desk: &mut Desk<'_>| {
            let done = catch_unwind(AssertUnwindSafe(|| job(desk))).map_err(|_| Gone::Panicked);
            // Who has asked may have gone away since.
            let _ = answer.send(done);
        };
        self.0.send(Box::new(job)).map_err(|_| Gone::Ended)?;
        answered.await.unwrap_or(Err(Gone::Ended))
    }
}

impl Jobs {
    /// Does jobs until it is time for something else, and waits for them until then.
    pub fn work(&self, running: &mut Running, meanwhile: &mut dyn FnMut(), until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.0.recv_timeout(left) {
                Ok(job) => job(&mut Desk { running, meanwhile }),
                Err(RecvTimeoutError::Timeout) => return,
                // Nobody can ask any more.
                Err(RecvTimeoutError::Disconnected) => return std::thread::sleep(left),
            }
            if left.is_zero() {
                return;
            }
        }
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jobs")
    }
}
