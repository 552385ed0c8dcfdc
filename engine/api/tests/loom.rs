//! The queue and the sleep between threads in every order that memory allows, tried by loom.
//!
//! `make loom` runs it.
#![cfg(loom)]

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use swath_api::sync::{Ebb, Receiver, Sender, Sleeper, Tide, ebbs, post, ring, ring_with};

/// Items that own memory, so that loom sees one that is lost or taken twice.
type Item = loom::alloc::Track<usize>;

fn item(number: usize) -> Item {
    loom::alloc::Track::new(number)
}

#[test]
fn the_ring_hands_over_in_order() {
    loom::model(|| {
        let (mut sender, mut receiver) = ring(2);
        let putting = thread::spawn(move || {
            let mut put = sender.push_all(3, item);
            put += sender.push_all(3 - put, |index| item(put + index));
            put
        });
        let mut taken = Vec::new();
        for _ in 0..2 {
            receiver.pop_all(2, |item| taken.push(*item.get_ref()));
        }
        let put = putting.join().unwrap();
        receiver.pop_all(3, |item| taken.push(*item.get_ref()));
        assert_eq!(taken, (0..put).collect::<Vec<_>>());
        assert!(put >= 2);
    });
}

#[test]
fn the_last_end_that_goes_gives_the_rest_back() {
    loom::model(|| {
        let lost = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&lost);
        let (mut sender, mut receiver) = ring_with(2, move |_: Item| _ = count.fetch_add(1, Ordering::Relaxed));
        let putting = thread::spawn(move || sender.push_all(2, item));
        let taken = receiver.pop().is_some();
        drop(receiver);
        let put = putting.join().unwrap();
        assert_eq!(lost.load(Ordering::Relaxed) + usize::from(taken), put);
    });
}

/// What an eventfd is to a worker.
#[derive(Default)]
struct Event {
    written: Mutex<bool>,
    condition: Condvar,
}

impl Event {
    fn write(&self) {
        let mut written = self.written.lock().unwrap();
        *written = true;
        self.condition.notify_one();
    }

    fn wait(&self) {
        let mut written = self.written.lock().unwrap();
        while !*written {
            written = self.condition.wait(written).unwrap();
        }
        *written = false;
    }
}

/// A sleep that misses what was put down for it would never end: loom says so of a deadlock.
#[test]
fn nobody_sleeps_over_what_is_there() {
    loom::model(|| {
        let (mut sender, mut receiver) = ring(2);
        let bed = Arc::new((Sleeper::default(), Event::default()));
        let other = Arc::clone(&bed);
        let putting = thread::spawn(move || {
            for number in 0..2 {
                assert!(sender.push(number).is_ok());
                if other.0.must_wake() {
                    other.1.write();
                }
            }
        });
        let mut taken = 0;
        while taken < 2 {
            let count = receiver.pop_all(2, |_: usize| ());
            if count == 0 && bed.0.may_sleep(|| receiver.is_empty()) {
                bed.1.wait();
                bed.0.awake();
            }
            taken += count;
        }
        putting.join().unwrap();
    });
}

/// A question to a worker that sleeps, and its answer: the mailbox of control messages, a queue each way.
#[test]
fn a_question_to_a_sleeper_is_answered() {
    loom::model(|| {
        let (mut ask, mut asked) = ring::<Item>(1);
        let (mut answer, mut answered) = ring::<Item>(1);
        let bed = Arc::new((Sleeper::default(), Event::default()));
        let other = Arc::clone(&bed);
        let worker = thread::spawn(move || {
            loop {
                if let Some(question) = asked.pop() {
                    assert!(answer.push(item(question.get_ref() + 1)).is_ok());
                    return;
                }
                if other.0.may_sleep(|| asked.is_empty()) {
                    other.1.wait();
                    other.0.awake();
                }
            }
        });
        assert!(ask.push(item(1)).is_ok());
        if bed.0.must_wake() {
            bed.1.write();
        }
        worker.join().unwrap();
        assert_eq!(answered.pop().map(|item| *item.get_ref()), Some(2));
    });
}

/// A swap: each thread finds what was put for it, once, and gives back what it had.
#[test]
fn what_is_published_is_taken_by_each_thread_and_given_back() {
    loom::model(|| {
        let (mut publisher, subscribers) = post::<Item>(2);
        let threads: Vec<_> = subscribers
            .into_iter()
            .zip([10, 20])
            .map(|(mut subscriber, own)| {
                thread::spawn(move || {
                    let mut graph = item(own);
                    // Two sweeps.
                    for _ in 0..2 {
                        if subscriber.has_news() {
                            let new = subscriber.take().expect("what was published was put before");
                            assert_eq!(*new.get_ref(), own + 1);
                            assert!(subscriber.give_back(std::mem::replace(&mut graph, new)).is_ok());
                        }
                    }
                    *graph.get_ref()
                })
            })
            .collect();
        assert!(publisher.put(0, item(11)).is_ok() && publisher.put(1, item(21)).is_ok());
        publisher.publish();
        let ends: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for (thread, (end, own)) in ends.into_iter().zip([10, 20]).enumerate() {
            let back = publisher.back(thread).map(|old| *old.get_ref());
            assert_eq!(back, (end == own + 1).then_some(own));
        }
    });
}

/// What has become of a thread that waits for an ebb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    Out,
    Left,
    /// It still waits, or the other one has left.
    Undecided,
}

/// A thread that hands things over, and waits for an ebb.
struct Side {
    ebb: Ebb,
    out: Sender<u8>,
    inbox: Receiver<u8>,
    sent: usize,
    taken: usize,
}

impl Side {
    /// Joins, and looks so many times. What it takes with something to do it sends on with one less. Then it leaves, if it is one that does,
    /// and begins something new.
    fn wait(mut self, looks: usize, leaves: bool) -> (Waited, Side) {
        self.ebb.join(self.sent, self.taken);
        for _ in 0..looks {
            self.ebb.work();
            if let Some(hops) = self.inbox.pop() {
                self.taken += 1;
                if hops > 0 {
                    self.out.push(hops - 1).unwrap();
                    self.sent += 1;
                }
            }
            self.ebb.rest(self.sent, self.taken);
            match self.ebb.tide() {
                Tide::Runs => {}
                Tide::Broken => return (Waited::Undecided, self),
                Tide::Out => {
                    assert!(self.inbox.is_empty(), "nothing is on its way");
                    return (Waited::Out, self);
                }
            }
        }
        match leaves.then(|| self.ebb.leave()) {
            None => (Waited::Undecided, self),
            Some(true) => (Waited::Out, self),
            Some(false) => {
                self.out.push(0).unwrap();
                self.sent += 1;
                (Waited::Left, self)
            }
        }
    }
}

/// Two threads that could begin, one of which has sent something that comes back once.
fn two_sides() -> (Side, Side) {
    let [one, two] = <[Ebb; 2]>::try_from(ebbs(2)).unwrap();
    let ((to_two, from_one), (to_one, from_two)) = (ring(2), ring(2));
    let mut one = Side { ebb: one, out: to_two, inbox: from_two, sent: 0, taken: 0 };
    let mut two = Side { ebb: two, out: to_one, inbox: from_one, sent: 0, taken: 0 };
    one.out.push(1).unwrap();
    one.sent = 1;
    assert!(!one.ebb.announce() && two.ebb.announce() && one.ebb.announce());
    (one, two)
}

/// Two threads that hand each other things join an ebb. When it has come for one of them, the other has nothing for it, nor ever will.
#[test]
fn when_the_ebb_has_come_nothing_is_on_its_way() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (one, two) = two_sides();
        let other = thread::spawn(move || two.wait(2, false));
        let (first, one) = one.wait(2, false);
        let (second, two) = other.join().unwrap();
        // For whom it has come, it has come for all: what each has taken is all there was.
        if first == Waited::Out || second == Waited::Out {
            assert!(one.inbox.is_empty() && two.inbox.is_empty());
            assert_eq!((one.sent + two.sent, one.taken + two.taken), (2, 2));
        }
    });
}

/// One that waits no longer begins something new. Then the ebb has not come for the other one, whenever that looks.
#[test]
fn nobody_goes_on_alone() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (one, two) = two_sides();
        let other = thread::spawn(move || two.wait(1, true));
        let (first, one) = one.wait(2, false);
        let (second, two) = other.join().unwrap();
        assert!(!(first == Waited::Out && second == Waited::Left), "{first:?} {second:?}");
        if first == Waited::Out || second == Waited::Out {
            assert!(one.inbox.is_empty() && two.inbox.is_empty());
        }
        // And the next attempt is another one.
        if second == Waited::Left {
            let (mut one, mut two) = (one, two);
            assert_eq!(one.ebb.tide(), Tide::Broken);
            assert!(!one.ebb.announce() && two.ebb.announce());
        }
    });
}

/// Threads announce themselves whenever they come by: all of them mean the same attempt.
#[test]
fn an_attempt_is_announced_by_all() {
    loom::model(|| {
        let [mut one, mut two] = <[Ebb; 2]>::try_from(ebbs(2)).unwrap();
        let other = thread::spawn(move || (two.announce(), two));
        let first = one.announce();
        let (second, mut two) = other.join().unwrap();
        assert!(one.announce() && two.announce(), "{first} {second}");
        one.join(3, 1);
        two.join(0, 2);
        assert_eq!((one.tide(), two.tide()), (Tide::Out, Tide::Out));
        assert!(!two.announce() && one.announce(), "the next one");
    });
}
