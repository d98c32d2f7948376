//! Changes that wait for a commit, changes that wait until the disk accepts them, and answers to give.

use std::collections::VecDeque;
use std::mem;

use super::change::{Applied, Change};
use crate::error::{Error, Result};
use crate::limits;

/// Called once with the outcome of a queued change.
pub type Done = Box<dyn FnOnce(Result<Applied>) + Send>;

/// Called once when everything queued before is written, or could not be.
pub type Flushed = Box<dyn FnOnce(Result<()>) + Send>;

/// An answer that is ready to be given.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

enum Waiting {
    Change(Change, Done),
    Flush(Flushed),
}

/// The queue of one data directory.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    unsaved: VecDeque<Change>,
    unsaved_bytes: usize,
    /// Batches that were written or have failed, in order, until their answers are prepared.
    over: VecDeque<Over>,
    answers: VecDeque<Answer>,
    /// Whether a thread is giving answers. Only one does at a time, so that they are given in order.
    gives: bool,
    /// Whether the last write is to be made durable and is not known to be.
    pub(super) unsynced: bool,
    /// Whether the store thread was asked to process this queue and has not begun.
    scheduled: bool,
}

/// The outcome of a batch.
enum Over {
    Written(Batch, Vec<Result<Applied>>),
    Failed(Vec<Answer>),
}

/// Everything that one commit writes.
pub(super) struct Batch {
    unsaved: VecDeque<Change>,
    waiting: Vec<Waiting>,
}

impl Batch {
    /// The changes of earlier commits that failed; their callers have had the error.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = &Change> {
        self.unsaved.iter()
    }

    /// Whether a caller waits until `sessions.json` is up to date.
    pub(super) fn has_flush(&self) -> bool {
        let is_flush = |waiting: &Waiting| matches!(waiting, Waiting::Flush(_));
        self.waiting.iter().any(is_flush)
    }

    /// The queued changes, in order.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Change(change, _) => Some(change),
            Waiting::Flush(_) => None,
        })
    }
}

impl Queue {
    pub(super) fn push(&mut self, change: Change, done: Done) {
        self.waiting_bytes += change.weight();
        self.waiting.push(Waiting::Change(change, done));
    }

    pub(super) fn push_flush(&mut self, done: Flushed) {
        self.waiting.push(Waiting::Flush(done));
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= limits::STORE_QUEUE_CHANGES || self.waiting_bytes >= limits::STORE_QUEUE_BYTES
    }

    /// Whether only changes wait that an append serves quickly: not many, and no caller waits for more than the append.
    /// Changes that could not be saved before, and batches whose answers are not given yet, are the store thread's.
    pub(super) fn is_light(&self) -> bool {
        let is_change = |waiting: &Waiting| matches!(waiting, Waiting::Change(..));
        !self.waiting.is_empty()
            && self.over.is_empty()
            && self.unsaved.is_empty()
            && self.waiting_bytes < limits::STORE_QUICK_BYTES
            && self.waiting.iter().all(is_change)
    }

    /// Whether one of the changes must be in a small `sessions.json` before it is answered.
    pub(super) fn has_news_for_others(&self) -> bool {
        let is_for_others = |waiting: &Waiting| match waiting {
            Waiting::Change(change, _) => change.is_for_others(),
            Waiting::Flush(_) => true,
        };
        self.waiting.iter().any(is_for_others)
    }

    /// Whether there is anything to write.
    pub(super) fn has_changes(&self) -> bool {
        self.has_unsaved()
            || self
                .waiting
                .iter()
                .any(|waiting| matches!(waiting, Waiting::Change(..)))
    }

    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    pub(super) fn take_if_light(&mut self) -> Option<Batch> {
        self.is_light().then(|| self.take())
    }

    pub(super) fn take(&mut self) -> Batch {
        self.waiting_bytes = 0;
        self.unsaved_bytes = 0;
        Batch {
            unsaved: mem::take(&mut self.unsaved),
            waiting: mem::take(&mut self.waiting),
        }
    }

    /// A batch was written; `outcomes` are those of its queued changes.
    pub(super) fn written(&mut self, batch: Batch, outcomes: Vec<Result<Applied>>) {
        if !batch.waiting.is_empty() {
            self.over.push_back(Over::Written(batch, outcomes));
        }
    }

    /// How many batches wait for [`Queue::answer`], and whether a caller waits for `sessions.json` itself.
    pub(super) fn over(&self) -> (usize, bool) {
        let has_flush = |over: &Over| matches!(over, Over::Written(batch, _) if batch.has_flush());
        (self.over.len(), self.over.iter().any(has_flush))
    }

    /// Prepares the answers of the first `count` batches. `synced` is the result of making them durable, `folded` that of
    /// bringing `sessions.json` up to date.
    pub(super) fn answer(&mut self, count: usize, synced: &Result<()>, folded: &Result<()>) {
        for over in self.over.drain(..count) {
            match over {
                Over::Failed(answers) => self.answers.extend(answers),
                Over::Written(batch, outcomes) => {
                    let mut outcomes = outcomes.into_iter();
                    let answer = |waiting| answer(waiting, &mut outcomes, synced, folded);
                    self.answers.extend(batch.waiting.into_iter().map(answer));
                }
            }
        }
    }

    /// Prepares the answers of a batch that could not be written, and keeps the changes that must not be lost for the next
    /// batch. Returns how many changes were dropped because too many are kept.
    pub(super) fn fail(&mut self, batch: Batch, error: &Error) -> usize {
        // A change that makes the engine panic would do so again and again.
        let keep = !matches!(error, Error::Internal { .. });
        let mut dropped = 0;
        for change in batch.unsaved {
            dropped += self.keep_unsaved(change, keep);
        }
        let mut answers: Vec<Answer> = Vec::new();
        for waiting in batch.waiting {
            let error = error.clone();
            match waiting {
                Waiting::Flush(done) => answers.push(Box::new(move || done(Err(error)))),
                Waiting::Change(change, done) => {
                    let keep = keep && change.outlives_failure();
                    dropped += self.keep_unsaved(change, keep);
                    answers.push(Box::new(move || done(Err(error))));
                }
            }
        }
        self.over.push_back(Over::Failed(answers));
        dropped
    }

    fn keep_unsaved(&mut self, change: Change, keep: bool) -> usize {
        if !keep {
            return 0;
        }
        self.unsaved_bytes += change.weight();
        self.unsaved.push_back(change);
        let mut dropped = 0;
        // The oldest go first: the newest have the correct totals and status.
        while self.unsaved.len() > limits::STORE_QUEUE_CHANGES
            || self.unsaved_bytes > limits::STORE_QUEUE_BYTES
        {
            let Some(oldest) = self.unsaved.pop_front() else {
                break;
            };
            self.unsaved_bytes -= oldest.weight();
            dropped += 1;
        }
        dropped
    }

    /// Whether the caller is to give the answers, until [`Queue::next_answer`] has none.
    pub(super) fn begin_to_give(&mut self) -> bool {
        !self.answers.is_empty() && !mem::replace(&mut self.gives, true)
    }

    /// The next answer, for the thread that gives them.
    pub(super) fn next_answer(&mut self) -> Option<Answer> {
        let next = self.answers.pop_front();
        self.gives = next.is_some();
        next
    }

    /// Whether the store thread must be asked to process this queue: there is work that it does not know of.
    pub(super) fn schedule(&mut self) -> bool {
        let idle = self.answers.is_empty()
            && self.over.is_empty()
            && self.waiting.is_empty()
            && self.unsaved.is_empty()
            && !self.unsynced;
        !idle && !mem::replace(&mut self.scheduled, true)
    }

    /// Notes that the store thread processes this queue now. Returns whether a caller waits for a commit.
    pub(super) fn unschedule(&mut self) -> bool {
        self.scheduled = false;
        !self.waiting.is_empty()
    }
}

fn answer(
    waiting: Waiting,
    outcomes: &mut impl Iterator<Item = Result<Applied>>,
    synced: &Result<()>,
    folded: &Result<()>,
) -> Answer {
    let synced = synced.clone();
    match waiting {
        Waiting::Flush(done) => {
            let flushed = synced.and_then(|()| folded.clone());
            Box::new(move || done(flushed))
        }
        Waiting::Change(_, done) => {
            let outcome = outcomes.next().unwrap_or_else(|| Err(no_outcome()));
            let outcome = outcome.and_then(|applied| synced.map(|()| applied));
            Box::new(move || done(outcome))
        }
    }
}

fn no_outcome() -> Error {
    Error::Internal {
        reason: "store: a change has no outcome".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Record;

    fn merge(name: &str) -> Change {
        Change::Merge {
            name: name.to_owned(),
            fields: Record::new(),
            instance: None,
            create: false,
        }
    }

    fn full_disk() -> Error {
        Error::Store {
            path: String::new(),
            reason: "full".to_owned(),
            holder_pid: None,
            source: None,
        }
    }

    fn unsaved_names(queue: &mut Queue) -> Vec<String> {
        let name = |change: &Change| match change {
            Change::Merge { name, .. } => name.clone(),
            other => format!("{other:?}"),
        };
        queue.take().unsaved().map(name).collect()
    }

    #[test]
    fn changes_that_failed_are_kept_in_order_before_newer_ones() {
        let mut queue = Queue::default();
        for name in ["a", "b"] {
            queue.push(merge(name), Box::new(|_| {}));
            queue.push(Change::Delete { name: "c".to_owned() }, Box::new(|_| {}));
            let batch = queue.take();
            assert_eq!(queue.fail(batch, &full_disk()), 0);
        }
        assert_eq!(unsaved_names(&mut queue), ["a", "b"]);
    }

    #[test]
    fn what_made_the_engine_panic_is_not_tried_again() {
        let mut queue = Queue::default();
        queue.push(merge("a"), Box::new(|_| {}));
        let batch = queue.take();
        queue.fail(batch, &no_outcome());
        queue.answer(1, &Ok(()), &Ok(()));
        assert!(!queue.has_unsaved());
        assert!(queue.next_answer().is_some());
    }

    #[test]
    fn the_oldest_changes_are_dropped_when_too_many_are_kept() {
        let mut queue = Queue::default();
        for n in 0..limits::STORE_QUEUE_CHANGES + 2 {
            queue.push(merge(&n.to_string()), Box::new(|_| {}));
        }
        assert!(queue.is_full());
        let batch = queue.take();
        assert_eq!(queue.fail(batch, &full_disk()), 2);
        let names = unsaved_names(&mut queue);
        assert_eq!(
            (names.len(), names.first().map(String::as_str)),
            (limits::STORE_QUEUE_CHANGES, Some("2"))
        );
    }

    #[test]
    fn a_flush_is_not_answered_by_an_append() {
        let mut queue = Queue::default();
        assert!(queue.take_if_light().is_none());
        queue.push(merge("a"), Box::new(|_| {}));
        queue.push_flush(Box::new(|_| {}));
        assert!(queue.take_if_light().is_none());
        drop(queue.take());
        queue.push(merge("b"), Box::new(|_| {}));
        assert!(queue.take_if_light().is_some());
    }

    #[test]
    fn the_store_thread_is_told_once_until_it_looks() {
        let mut queue = Queue::default();
        assert!(!queue.schedule());
        queue.push(merge("a"), Box::new(|_| {}));
        assert!(queue.schedule());
        assert!(!queue.schedule());
        assert!(queue.unschedule());
        assert!(queue.schedule());
    }
}
