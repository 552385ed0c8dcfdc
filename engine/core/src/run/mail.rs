//! What the control side has workers do between two sweeps: questions to shards, and probes. A queue each way, for each worker, which never
//! waits for either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swath_api::sync::{Receiver, Sender, ring};
use swath_api::{ConfigError, Question};

use super::bed::Bed;
use super::pass::WorkerGraph;
use super::probe::{Probe, Walk};
use super::revive::Renewal;

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

/// What a worker is to do.
pub(super) enum Task {
    /// Answer a slice of a question to its shard of a table.
    Ask(Question),
    /// Show packets; it keeps the probe.
    Probe(Option<Box<Probe>>),
    /// Show no more packets to the probe of a number, which it gives back.
    Unprobe(u64, Option<Box<Probe>>),
    /// Walk with a packet that is not real.
    Walk(Box<Walk>),
    /// Go on with another instance of a node that is out of service.
    Renew(Box<Renewal>),
}

/// A task on its way to a worker and back.
struct Errand {
    task: Task,
    pause: Duration,
    // Of the task as a whole: what was given up may come back later.
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
    // One question is asked at a time. Of two that were given up the answers may still come: one that a worker was about to give, and
    // one that it has not even read.
    let (ask, asked) = ring(1);
    let (answered, answers) = ring(2);
    (ControlMail { ask, answers, bed: Arc::clone(bed), serial: 0 }, WorkerMail { asked, answered })
}

impl WorkerMail {
    /// Does a task, or a slice of it, if there is one.
    #[inline]
    pub fn answer(&mut self, graph: &mut WorkerGraph) {
        if let Some(errand) = self.asked.pop() {
            self.carry_out(errand, graph);
        }
    }

    #[cold]
    fn carry_out(&mut self, mut errand: Errand, graph: &mut WorkerGraph) {
        let start = Instant::now();
        graph.carry_out(&mut errand.task);
        errand.pause = start.elapsed();
        let time = &graph.counters.time;
        time.slices.add(1);
        time.longest_slice.raise(errand.pause.as_nanos() as u64);
        // There is room: the control side takes out what there is before it asks, and more than two it cannot have asked then.
        let _ = self.answered.push(errand);
    }

    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

/// What became of tasks.
pub(super) struct Done {
    /// By worker.
    pub tasks: Vec<Task>,
    longest_pause: Duration,
    slices: u64,
}

/// Gives each worker its task, which each does slice by slice at its own pace; `is_done` says when it has. `dead` tells of workers that have
/// ended; `meanwhile` is called in each round.
pub(super) fn give(
    mail: &mut [ControlMail],
    tasks: Vec<Task>,
    dead: impl Fn() -> Vec<usize>,
    meanwhile: &mut dyn FnMut(),
    is_done: impl Fn(&mut Task) -> Result<bool, ConfigError>,
) -> Result<Done, ConfigError> {
    let mut collected: Vec<Option<Task>> = tasks.iter().map(|_| None).collect();
    let (mut longest_pause, mut slices) = (Duration::ZERO, 0);
    let mut failed = None;
    let send = |mail: &mut ControlMail, task| {
        let sent = mail.ask.push(Errand { task, pause: Duration::ZERO, serial: mail.serial });
        mail.bed.wake();
        sent.map_err(|_| ConfigError::new("a worker has not answered the question before"))
    };
    for (mail, task) in mail.iter_mut().zip(tasks) {
        while mail.answers.pop().is_some() {}
        mail.serial += 1;
        send(mail, task)?;
    }
    let mut heard = Instant::now();
    while collected.iter().any(Option::is_none) {
        meanwhile();
        let mut silent = true;
        for (mail, done) in mail.iter_mut().zip(&mut collected) {
            let Some(Errand { mut task, pause, serial }) = mail.answers.pop() else { continue };
            if serial != mail.serial {
                continue;
            }
            silent = false;
            slices += 1;
            longest_pause = longest_pause.max(pause);
            match is_done(&mut task) {
                Ok(false) if failed.is_none() => send(mail, task)?,
                collected => {
                    failed = failed.or(collected.err());
                    *done = Some(task);
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
    match failed {
        Some(error) => Err(error),
        None => Ok(Done { tasks: collected.into_iter().flatten().collect(), longest_pause, slices }),
    }
}

/// Has graphs do tasks that no thread runs.
pub(super) fn give_standing(
    graphs: &mut [WorkerGraph],
    mut tasks: Vec<Task>,
    is_done: impl Fn(&mut Task) -> Result<bool, ConfigError>,
) -> Result<Done, ConfigError> {
    let (mut longest_pause, mut slices) = (Duration::ZERO, 0);
    for (graph, task) in graphs.iter_mut().zip(&mut tasks) {
        loop {
            let start = Instant::now();
            graph.carry_out(task);
            (longest_pause, slices) = (longest_pause.max(start.elapsed()), slices + 1);
            if is_done(task)? {
                break;
            }
        }
    }
    Ok(Done { tasks, longest_pause, slices })
}

/// Questions as tasks.
pub(super) fn asking(questions: Vec<Question>) -> Vec<Task> {
    questions.into_iter().map(Task::Ask).collect()
}

/// Takes the rows of a slice; whether it was the last one.
pub(super) fn collect(task: &mut Task) -> Result<bool, ConfigError> {
    match task {
        Task::Ask(question) => question.collect(),
        _ => Ok(true),
    }
}

impl Done {
    /// What all workers have answered to a question.
    pub fn answer(self) -> Result<Answer, ConfigError> {
        let questions = self.tasks.into_iter().filter_map(|task| match task {
            Task::Ask(question) => Some(question),
            _ => None,
        });
        let questions: Vec<Question> = questions.collect();
        Ok(Answer { reply: Question::answer(&questions)?, longest_pause: self.longest_pause, slices: self.slices })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use swath_api::{
        Interfaces, NoConfig, Rows, Sharded, Table, TableHost, TableInfo, TableInstance, TableKind, TableSetup, Tables,
        WorkerTables,
    };

    use super::*;

    /// Repeats what it is asked.
    struct Echo;

    #[derive(Debug, Deserialize)]
    enum Command {}

    #[derive(Debug, Clone, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Asked {
        Word(u32),
    }

    impl Table for Echo {
        const INFO: TableInfo = TableInfo::new("echo", "For tests.");
        type Config = NoConfig;
        type Shard = ();
        type Command = Command;
        type Reply = u32;

        fn new(_: NoConfig, _: &mut TableSetup<'_>) -> Result<Echo, ConfigError> {
            Ok(Echo)
        }

        fn shard(&self, _: u32) {}

        fn command(&self, command: Command) -> Result<u32, ConfigError> {
            match command {}
        }
    }

    impl Sharded for Echo {
        type Question = Asked;
        type Row = u32;

        fn visit(&self, (): &mut (), Asked::Word(word): &Asked, _: u64, rows: &mut Rows<u32>) -> Option<u64> {
            rows.push(*word);
            None
        }

        fn answer(&self, _: Asked, rows: Vec<Vec<u32>>) -> Result<u32, ConfigError> {
            Ok(rows.concat().iter().sum())
        }
    }

    fn table() -> Arc<TableInstance> {
        let (interfaces, tables) = (&Interfaces::new(Vec::new()), &Tables::default());
        let host =
            TableHost { name: "echo", interfaces, tables, siblings: 1, workers: 1, in_use: true, virtual_time: true, old: None };
        TableKind::sharded::<Echo>().create(b"{}", &host).expect("a table").0
    }

    fn ask(control: &mut [ControlMail], questions: Vec<Question>, dead: impl Fn() -> Vec<usize>) -> Result<Answer, ConfigError> {
        give(control, asking(questions), dead, &mut || {}, collect)?.answer()
    }

    #[test]
    fn a_late_answer_is_not_that_of_the_next_question() {
        let table = table();
        let mut shards = WorkerTables::new(0, &[Arc::clone(&table)]).expect("a shard");
        let (control, mut worker) = mail(&Arc::new(Bed::new().expect("a descriptor")));
        let mut control = [control];
        let question = |word: u32| {
            vec![Question::read(&table, &format!(r#"{{"word": {word}}}"#)).expect("a question").expect("one that it knows")]
        };
        let given_up = |control: &mut [ControlMail], word| {
            let error = ask(control, question(word), || vec![0]).unwrap_err();
            assert_eq!(error.message(), "a worker has died");
        };
        given_up(&mut control, 1);
        let error = ask(&mut control, question(2), Vec::new).unwrap_err();
        assert_eq!(error.message(), "a worker has not answered the question before");
        let first = worker.asked.pop().expect("the first question");
        given_up(&mut control, 3);
        let third = worker.asked.pop().expect("the third question");
        for errand in [first, third] {
            worker.answer_with(errand, &mut shards);
        }
        // Answers that wait, and one that comes when the next question has been asked already.
        given_up(&mut control, 4);
        let fourth = worker.asked.pop().expect("the fourth question");
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                while worker.is_empty() {
                    std::thread::yield_now();
                }
                worker.answer_with(fourth, &mut shards);
                let fifth = worker.asked.pop().expect("the fifth question");
                worker.answer_with(fifth, &mut shards);
            });
            ask(&mut control, question(5), Vec::new).expect("an answer")
        });
        assert_eq!((answer.reply.as_str(), answer.slices), ("5", 1));
    }

    impl WorkerMail {
        fn answer_with(&mut self, mut errand: Errand, shards: &mut WorkerTables) {
            let Task::Ask(question) = &mut errand.task else { panic!("a question") };
            question.visit(shards);
            assert!(self.answered.push(errand).is_ok(), "there is room for late answers");
        }
    }
}
