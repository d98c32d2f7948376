//! The messages: in flight, in line, written, rejected.

use super::{Effect, Effects, InFlight, Phase, State, Waiting};
use crate::error::Error;
use crate::protocol::outbound;
use crate::session::event::Event;
use crate::session::pending;
use std::collections::VecDeque;

impl State {
    /// JSON of the messages that have no answer, and the count of changes up to it.
    pub fn pending(&self) -> (u64, impl FnOnce() -> String) {
        (self.pending_version, || pending::list(self.entries()))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &str> + Clone {
        let in_flight = self.in_flight.iter().map(|turn| turn.entry.as_str());
        in_flight.chain(self.waiting.iter().map(|waiting| waiting.entry.as_str()))
    }

    /// Sends the next message if nothing is in the way.
    pub(super) fn pump(&mut self, effects: &mut Effects) {
        if self.paused || self.in_flight.is_some() || self.turns.runs_foreign() {
            return;
        }
        match self.phase {
            Phase::Running => {}
            Phase::Suspended if !self.waiting.is_empty() => return self.start_next(effects),
            _ => return,
        }
        if let Some(Waiting {
            message,
            uuid,
            entry,
            deadline,
        }) = self.waiting.pop_front()
        {
            if self.waiting.is_empty() {
                // Most sessions never have two messages: no room is kept for four.
                self.waiting = VecDeque::new();
            }
            self.turns.on_write();
            effects.push(Effect::Write(outbound::user_message(&message.content, &uuid)));
            self.in_flight = Some(InFlight {
                send: message.send,
                uuid,
                prompt: message.prompt,
                entry,
                deadline,
                abandoned: false,
            });
        }
    }

    pub(super) fn reject_waiting(&mut self, error: &Error, effects: &mut Effects) {
        self.pending_version += 1;
        for waiting in self.waiting.drain(..) {
            effects.push(Effect::Emit(Event::Failed {
                send: waiting.message.send,
                error: error.clone(),
            }));
        }
    }

    pub(super) fn reject_all(&mut self, error: &Error, effects: &mut Effects) {
        self.settle_held(effects);
        if let Some(turn) = self.in_flight.take().filter(|turn| !turn.abandoned) {
            effects.push(Effect::Emit(Event::Failed {
                send: turn.send,
                error: error.clone(),
            }));
        }
        self.reject_waiting(error, effects);
    }
}
