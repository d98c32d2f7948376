//! Events on their way out, in order. A change must be stored before a caller learns of it. So an event that reports a
//! change waits for the store, and all later events wait behind it.

use super::event::{Event, Turn};
use crate::error::Error;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Receives events. Called in order, from any thread; must not block.
pub trait EventSink: Send + Sync {
    /// Takes the next event.
    fn emit(&self, event: Event);

    /// Counts the ticks of its program: the work that a program does without a pause is one tick.
    fn tick(&self) -> u64 {
        0
    }
}

/// The queue in front of an [`EventSink`].
pub struct Outbox {
    sink: Box<dyn EventSink>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    slots: VecDeque<Slot>,
    tickets: u64,
}

enum Slot {
    Ready(Event),
    /// Waits for the store, with the turn to emit then, if any.
    Held(u64, Option<Box<Turn>>),
    /// Was held and is stored; nothing to emit.
    Stored,
}

/// Names a held place in the queue.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(u64);

impl Outbox {
    /// An outbox that feeds `sink`.
    #[must_use]
    pub fn new(sink: Box<dyn EventSink>) -> Self {
        Self {
            sink,
            queue: Mutex::default(),
        }
    }

    /// See [`EventSink::tick`].
    pub fn tick(&self) -> u64 {
        self.sink.tick()
    }

    /// Emits the event once nothing before it is held.
    pub fn emit(&self, event: Event) {
        let mut queue = self.lock();
        queue.slots.push_back(Slot::Ready(event));
        self.flush(&mut queue);
    }

    /// Holds the queue from here on, until [`Outbox::release`].
    pub fn hold(&self, turn: Option<Box<Turn>>) -> Ticket {
        let mut queue = self.lock();
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.slots.push_back(Slot::Held(ticket, turn));
        Ticket(ticket)
    }

    /// Notes that the held change is stored, or could not be.
    pub fn release(&self, ticket: Ticket, stored: Result<(), Error>) {
        let mut queue = self.lock();
        let held = queue
            .slots
            .iter_mut()
            .find(|slot| matches!(slot, Slot::Held(held, _) if *held == ticket.0));
        let Some(slot) = held else { return };
        let turn = match slot {
            Slot::Held(_, turn) => turn.take(),
            Slot::Ready(_) | Slot::Stored => None,
        };
        *slot = match (turn, stored) {
            (Some(mut turn), stored) => {
                turn.unsaved = stored.err();
                Slot::Ready(Event::Turn(turn))
            }
            (None, Err(error)) => Slot::Ready(Event::Error { error }),
            (None, Ok(())) => Slot::Stored,
        };
        self.flush(&mut queue);
    }

    /// Emits the ready events at the front. The lock is held during this, to keep the order.
    fn flush(&self, queue: &mut Queue) {
        while let Some(slot) = queue.slots.pop_front() {
            match slot {
                Slot::Ready(event) => self.sink.emit(event),
                Slot::Stored => {}
                held @ Slot::Held(..) => {
                    queue.slots.push_front(held);
                    return;
                }
            }
        }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Default)]
    struct Recorded(Mutex<Vec<String>>);

    impl EventSink for Arc<Recorded> {
        fn emit(&self, event: Event) {
            let word = match event {
                Event::Stderr { text } => text,
                Event::Error { error } => error.code().to_owned(),
                other => format!("{other:?}"),
            };
            self.0.lock().push(word);
        }
    }

    #[test]
    fn events_wait_for_what_is_held_before_them_and_keep_their_order() {
        let recorded = Arc::new(Recorded::default());
        let outbox = Outbox::new(Box::new(Arc::clone(&recorded)));
        let words = || recorded.0.lock().clone();
        outbox.emit(Event::Stderr { text: "a".into() });
        let (first, second) = (outbox.hold(None), outbox.hold(None));
        outbox.emit(Event::Stderr { text: "b".into() });
        outbox.release(
            second,
            Err(Error::Internal {
                reason: String::new(),
            }),
        );
        assert_eq!(words(), ["a"]);
        outbox.release(first, Ok(()));
        assert_eq!(words(), ["a", "ERR_INTERNAL", "b"]);
    }
}
