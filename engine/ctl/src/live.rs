//! What others may ask about the engine that runs now.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use swath_core::run::Observer;

use crate::events;
use crate::figures;
use crate::sheet::{Format, Sheet};

/// A worker that has not begun a sweep for so long does not turn. One that sleeps begins a hundred in a second.
const STALLED: Duration = Duration::from_secs(2);

/// A control thread that has not come round for so long hangs. It may make a graph meanwhile, with tables that are read from files: a million routes
/// take it seconds.
const HANGS: Duration = Duration::from_secs(120);

/// How metrics are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// For each worker, where that can be, and not as one sum.
    pub by_worker: bool,
}

/// Where the engine is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It does not process packets yet.
    Starting,
    /// It does.
    Running,
    /// It still does, and somebody has asked it to end.
    Draining,
}

/// The engine that runs, for all who watch it.
#[derive(Debug)]
pub struct Live {
    settings: Settings,
    started: SystemTime,
    phase: AtomicU8,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    engine: Option<Arc<Observer>>,
    /// By worker: its sweeps, and when they were seen to be others than before.
    pulse: Vec<(u64, Instant)>,
    /// Workers that have not gone over to the last graph in time.
    incomplete: Vec<usize>,
    /// When the control thread has come round last.
    came_round: Option<Instant>,
}

impl Live {
    /// Nothing runs yet.
    pub fn new(settings: Settings) -> Arc<Live> {
        let phase = AtomicU8::new(Phase::Starting as u8);
        Arc::new(Live { settings, started: SystemTime::now(), phase, state: Mutex::default() })
    }

    /// From now on this engine is watched, and the one before it, with all that it has counted, is forgotten.
    pub fn attach(&self, engine: Observer) {
        let (engine, now) = (Arc::new(engine), Instant::now());
        let pulse = engine.sweeps().map(|sweeps| (sweeps, now)).collect();
        let before = std::mem::replace(
            &mut *self.state(),
            State { engine: Some(engine), pulse, incomplete: Vec::new(), came_round: Some(now) },
        );
        drop(before);
        self.set(Phase::Running);
    }

    /// Says where the engine is in its life.
    pub fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Says which workers have not gone over to the last graph in time.
    pub fn set_incomplete(&self, workers: Vec<usize>) {
        self.state().incomplete = workers;
    }

    /// Looks whether the workers turn. To be called often, and always by the same thread.
    pub fn look(&self, now: Instant) {
        let mut state = self.state();
        let State { engine: Some(engine), pulse, .. } = &mut *state else { return };
        for (seen, sweeps) in pulse.iter_mut().zip(engine.sweeps()) {
            if seen.0 != sweeps {
                *seen = (sweeps, now);
            }
        }
    }

    /// The workers that have stood still for so long at least, by what [`Live::look`] has seen.
    pub fn stalled(&self, now: Instant, since: Duration) -> Vec<usize> {
        let state = self.state();
        let stalled = state.pulse.iter().enumerate().filter(|(_, (_, at))| now.saturating_duration_since(*at) >= since);
        stalled.map(|(worker, _)| worker).collect()
    }

    /// The control thread has come round. It says so often.
    pub fn come_round(&self, now: Instant) {
        self.state().came_round = Some(now);
    }

    /// Whether the control thread has not come round for two minutes, so that nothing can be changed any more and no signal is answered.
    pub fn hangs(&self, now: Instant) -> bool {
        self.state().came_round.is_some_and(|at| now.saturating_duration_since(at) >= HANGS)
    }

    /// Whether packets should be sent here.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), String> {
        match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Starting as u8 => return Err("starting".into()),
            phase if phase == Phase::Draining as u8 => return Err("draining".into()),
            _ => {}
        }
        if let [worker, ..] = self.stalled(Instant::now(), STALLED)[..] {
            return Err(format!("worker {worker} stands still"));
        }
        match self.state().incomplete[..] {
            [] => Ok(()),
            [worker, ..] => Err(format!("worker {worker} has not gone over to the last graph")),
        }
    }

    /// Everything that there is to see of it.
    pub fn metrics(&self, format: Format) -> String {
        let engine = self.state().engine.clone();
        let mut sheet = Sheet::new();
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        figures::process(&mut sheet, started, self.ready().is_ok());
        if let Some(engine) = engine {
            figures::engine(&mut sheet, &engine, self.settings);
        }
        sheet.text(&events::handle().render(), format)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
