//! What `swath run` does while workers process packets: says what happens, to people, to logs and to the service manager; and what others
//! want of the engine, job by job.

use std::time::{Duration, Instant};

use swath_core::run::{Observer, Revived};
use swath_ctl::{By, FileWatch, Jobs, Live, Phase, RecordKeeper, Running, Service};

use crate::figures::counted;
use crate::line::Line;
use crate::reload::Reload;
use crate::signals::{Hangup, Stop};
use crate::terminal::Terminal;

/// How long a signal may wait for an answer.
const LOOK: Duration = Duration::from_millis(20);
/// Time between two lines.
const SECOND: Duration = Duration::from_secs(1);

/// How an engine is watched.
pub struct Watch<'a> {
    /// For people; quiet if they are told by log events.
    pub terminal: &'a Terminal,
    /// What asks it to end.
    pub stop: &'a Stop,
    /// What asks it to read the graph again.
    pub hangup: &'a Hangup,
    /// Reads it again.
    pub reload: Reload<'a>,
    /// Its files, if it is to be read again when they change.
    pub files: Option<FileWatch>,
    /// What others see of it.
    pub live: &'a Live,
    /// What others want of it.
    pub jobs: &'a Jobs,
    /// What keeps what tables tell for good.
    pub records: &'a mut RecordKeeper,
    /// The service manager.
    pub service: Service,
    /// Whether a line is said each second.
    pub lines: bool,
    /// Whether that line is drawn over the one before.
    pub redraw: bool,
    /// When it ends by itself.
    pub duration: Option<Duration>,
    /// How long it goes on when it is asked to end.
    pub drain: Duration,
}

impl Watch<'_> {
    /// Until somebody or something ends it. Returns what.
    pub fn until_the_end(&mut self, running: &mut Running) -> String {
        let (start, mut observer) = (Instant::now(), running.engine.observer());
        let (mut before, mut read_at, mut drawn) = (running.engine.ledger(), start, false);
        let mut asked: Option<Instant> = None;
        let end = loop {
            let now = Instant::now();
            self.live.come_round(now);
            let engine = &running.engine;
            self.records.keep(engine);
            if now - read_at >= SECOND {
                let ledger = engine.ledger();
                let line = Line::new(&before, &ledger, now - read_at, now - start);
                let workers = counted(observer.workers.len(), "worker");
                self.service.status(&format!("{workers}; {}", line.text(usize::MAX).trim_start()));
                if self.lines && self.redraw {
                    self.terminal.redraw(&line.text(self.terminal.width()));
                } else if self.lines {
                    self.terminal.say(line.text(usize::MAX));
                }
                drawn |= self.lines && self.redraw;
                (before, read_at) = (ledger, now);
            }
            for (interface, news) in engine.news() {
                if std::mem::take(&mut drawn) {
                    self.terminal.say("");
                }
                log_news(&observer, interface, &news);
            }
            // What is being ended is not changed any more.
            if asked.is_none() {
                for revived in running.engine.revive() {
                    if std::mem::take(&mut drawn) {
                        self.terminal.say("");
                    }
                    log_revived(&revived);
                }
                if let Some(by) = self.wants_reload(now) {
                    if std::mem::take(&mut drawn) {
                        self.terminal.say("");
                    }
                    self.read_again(running, by);
                }
                running.look_after(now);
            }
            let news = running.take_news();
            if !news.is_empty() {
                if std::mem::take(&mut drawn) {
                    self.terminal.say("");
                }
                news.iter().for_each(|news| self.reload.tell(news));
                observer = running.engine.observer();
                self.live.attach(running.engine.observer());
            }
            self.live.set_incomplete(running.engine.incomplete());
            running.engine.end_probes();
            running.engine.keep_samples();
            let engine = &running.engine;
            if asked.is_none() && self.stop.asked() {
                asked = Some(now);
                self.live.set(Phase::Draining);
                self.service.stopping();
                if self.drain > Duration::ZERO {
                    if std::mem::take(&mut drawn) {
                        self.terminal.say("");
                    }
                    tracing::info!(target: "swath::engine", seconds = self.drain.as_secs_f64(), "draining: still forwarding, no longer ready");
                }
            }
            if asked.is_some_and(|asked| now - asked >= self.drain) {
                break "ended by a signal".into();
            }
            if let [worker, ..] = engine.dead_workers()[..] {
                tracing::error!(target: "swath::engine", worker, "a worker has died");
                break format!("worker {worker} has died: this is a defect of swath, and the message above is what to report");
            }
            if engine.ended() {
                break "all inputs have ended".into();
            }
            if self.duration.is_some_and(|duration| now - start >= duration) {
                break format!("ended after {:.1} s", (now - start).as_secs_f64());
            }
            let left = self.duration.map_or(LOOK, |duration| duration.saturating_sub(start.elapsed()));
            let until = Instant::now() + left.min(SECOND.saturating_sub(read_at.elapsed())).min(LOOK);
            let live = self.live;
            self.jobs.work(running, &mut || live.come_round(Instant::now()), until);
        };
        if asked.is_none() {
            self.live.set(Phase::Draining);
            self.service.stopping();
        }
        // Below the line that was drawn last.
        if drawn { format!("\n{end}") } else { end }
    }
}

impl Watch<'_> {
    /// Whether the graph is to be read again, and why.
    fn wants_reload(&mut self, now: Instant) -> Option<By> {
        if self.hangup.take() {
            return Some(By::Hangup);
        }
        match self.files.as_mut()?.is_due(now) {
            Ok(is_due) => is_due.then_some(By::File),
            Err(error) => {
                self.stop_watching(&error);
                None
            }
        }
    }

    fn read_again(&mut self, running: &mut Running, by: By) {
        let read = self.reload.carry_out(running, by);
        if let Some((watched, read)) = self.files.as_mut().zip(read)
            && let Err(error) = watched.follow(&read)
        {
            self.stop_watching(&error);
        }
    }

    fn stop_watching(&mut self, error: &std::io::Error) {
        self.files = None;
        self.terminal.warn(&format!("the graph's files are watched no more, and SIGHUP has them read: {error}"));
        tracing::error!(target: "swath::engine", %error, "the graph's files are watched no more");
    }
}

fn log_revived(revived: &Revived) {
    let Revived { node, worker, faults, refused, next } = revived;
    let (worker, next) = (*worker, next.as_secs_f64());
    match refused {
        None => tracing::warn!(target: "swath::plugin", node, worker, faults, next, "a node was out of service, and is made anew"),
        Some(why) => {
            tracing::error!(target: "swath::plugin", node, worker, faults, next, "a node stays out of service: it cannot be made anew: {why}");
        }
    }
}

fn log_news(observer: &Observer, interface: &str, news: &str) {
    let is_up = observer.interfaces.iter().any(|known| known.name == interface && known.is_up());
    if is_up {
        tracing::info!(target: "swath::interface", interface, "{news}");
    } else {
        tracing::warn!(target: "swath::interface", interface, "{news}");
    }
}
