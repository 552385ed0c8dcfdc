//! Questions of the control side to workers, and their answers: a queue each way, for each worker. A worker never waits for either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swath_api::sync::{Receiver, Sender, ring};
use swath_api::{ConfigError, Question};

use super::bed::Bed;
use super::pass::WorkerGraph;

/// How often the control side looks for an answer. The worker does not tell it, which would be a system call.
const LOOK: Duration = Duration::from_micros(20);
/// How long a worker may take for one slice: far more than any does that gets a core at all.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the answer to a question was, and what it has cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// JSON.
    pub reply: String,
    /// The longest time for which a worker has not looked after its packets.
    pub longest_pause: Duration,
    /// How many slices the workers have answered.
    pub slices: u64,
}

/// A question on its way to a worker and back.
struct Errand {
    question: Question,
    pause: Duration,
    // Of the question as a whole: what was given up may come back later.
    serial: u64,
}

/// The worker's side.
pub(super) struct WorkerMail {
    asked: Receiver<Errand>,
    answered: Sender<Errand>,
}

/// The control side.
pub(super) struct ControlMail {
    ask: Sender<Errand>,
    answers: Receiver<Errand>,
    bed: Arc<Bed>,
    serial: u64,
}

/// The mail of one worker.
pub(super) fn mail(bed: &Arc<Bed>) -> (ControlMail, WorkerMail) {
    // One question is asked at a time.
    let (ask, asked) = ring(1);
    let (answered, answers) = ring(1);
    (ControlMail { ask, answers, bed: Arc::clone(bed), serial: 0 }, WorkerMail { asked, answered })
}

impl WorkerMail {
    /// Answers a slice of a question, if there is one.
    #[inline]
    pub fn answer(&mut self, graph: &mut WorkerGraph) {
        if let Some(errand) = self.asked.pop() {
            self.answer_slice(errand, graph);
        }
    }

    #[cold]
    fn answer_slice(&mut self, mut errand: Errand, graph: &mut WorkerGraph) {
        let start = Instant::now();
        graph.visit(&mut errand.question);
        errand.pause = start.elapsed();
        let time = &graph.counters.time;
        time.slices.add(1);
        time.longest_slice.raise(errand.pause.as_nanos() as u64);
        // There is room: the control side asks when it has taken the answer before.
        let _ = self.answered.push(errand);
    }

    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

/// Asks all workers, which answer slice by slice, each at its own pace. `dead` tells of workers that have ended.
pub(super) fn ask(
    mail: &mut [ControlMail],
    questions: Vec<Question>,
    dead: impl Fn() -> Vec<usize>,
) -> Result<Answer, ConfigError> {
    let mut collected: Vec<Option<Question>> = questions.iter().map(|_| None).collect();
    let (mut longest_pause, mut slices) = (Duration::ZERO, 0);
    let mut failed = None;
    let send = |mail: &mut ControlMail, question| {
        let sent = mail.ask.push(Errand { question, pause: Duration::ZERO, serial: mail.serial });
        mail.bed.wake();
        sent.map_err(|_| ConfigError::new("a worker has not answered the question before"))
    };
    for (mail, question) in mail.iter_mut().zip(questions) {
        mail.serial += 1;
        send(mail, question)?;
    }
    let mut heard = Instant::now();
    while collected.iter().any(Option::is_none) {
        let mut silent = true;
        for (mail, done) in mail.iter_mut().zip(&mut collected) {
            let Some(Errand { mut question, pause, serial }) = mail.answers.pop() else { continue };
            if serial != mail.serial {
                continue;
            }
            silent = false;
            slices += 1;
            longest_pause = longest_pause.max(pause);
            match question.collect() {
                Ok(false) if failed.is_none() => send(mail, question)?,
                collected => {
                    failed = failed.or(collected.err());
                    *done = Some(question);
                }
            }
        }
        if !silent {
            heard = Instant::now();
            continue;
        }
        let waits = collected.iter().position(Option::is_none).unwrap_or(0);
        if dead().iter().any(|worker| collected[*worker].is_none()) {
            return Err(ConfigError::new("a worker has died"));
        }
        if heard.elapsed() > DEADLINE {
            return Err(ConfigError::new(format!("worker {waits} does not answer")));
        }
        std::thread::sleep(LOOK);
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let collected: Vec<Question> = collected.into_iter().flatten().collect();
    Ok(Answer { reply: Question::answer(&collected)?, longest_pause, slices })
}

/// Asks graphs that no thread runs.
pub(super) fn ask_standing(graphs: &mut [WorkerGraph], mut questions: Vec<Question>) -> Result<Answer, ConfigError> {
    let (mut longest_pause, mut slices) = (Duration::ZERO, 0);
    for (graph, question) in graphs.iter_mut().zip(&mut questions) {
        loop {
            let start = Instant::now();
            graph.visit(question);
            (longest_pause, slices) = (longest_pause.max(start.elapsed()), slices + 1);
            if question.collect()? {
                break;
            }
        }
    }
    Ok(Answer { reply: Question::answer(&questions)?, longest_pause, slices })
}
