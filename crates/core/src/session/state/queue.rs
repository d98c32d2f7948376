//! The messages: in flight, in line, written, rejected.

use super::{Effect, Effects, InFlight, Phase, State, Waiting};
use crate::error::Error;
use crate::protocol::outbound;
use crate::session::event::Event;
use crate::session::pending;
use std::time::Instant;

impl State {
    /// JSON of the messages that have no answer, and the count of changes up to it.
    pub fn pending(&self) -> (u64, impl FnOnce() -> String) {
        (self.pending_version, || pending::list(self.entries()))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &str> + Clone {
        let in_flight = self.in_flight.iter().map(|turn| turn.entry.as_str());
        in_flight.chain(self.waiting.iter().map(|waiting| waiting.entry.as_str()))
    }

    /// Sends the next message if nothing holds it back.
    pub(super) fn pump(&mut self, now: Instant, effects: &mut Effects) {
        if self.paused || self.in_flight.is_some() || self.turns.runs_foreign() {
            return;
        }
        // An interrupt that has no answer would hit the message; a process that has not confirmed its hooks has none.
        if self.controls.awaits_interrupt() || self.controls.awaits_initialize() {
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
            interrupted,
        }) = self.waiting.pop()
        {
            self.turns.on_write();
            effects.push(Effect::Write(outbound::user_message(&message.content, &uuid)));
            self.in_flight = Some(InFlight {
                send: message.send,
                uuid,
                prompt: message.prompt,
                entry,
                deadline,
                abandoned: false,
                interrupted,
                failed_fast: None,
            });
            self.answer_line.clear();
            if interrupted {
                self.write_interrupt(now, effects);
            }
        }
    }

    pub(super) fn reject_waiting(&mut self, error: &Error, effects: &mut Effects) {
        self.pending_version += 1;
        let sends: Vec<u64> = self.waiting.take().map(|waiting| waiting.message.send).collect();
        if !sends.is_empty() {
            let error = error.clone();
            let sent = false;
            effects.push(Effect::Emit(Event::Failed { sends, error, sent }));
        }
    }

    /// Rejects the message in flight, and reports whether the process has got it. The rest of the message is never written.
    pub(super) fn reject_in_flight(&mut self, error: &Error, effects: &mut Effects) {
        let Some(turn) = self.in_flight.take().filter(|turn| !turn.abandoned) else {
            return;
        };
        let sent = self.is_delivered();
        if let Some(delivery) = self.delivery.as_ref().filter(|_| !sent) {
            delivery.give_up();
        }
        effects.push(Effect::Emit(Event::Failed {
            sends: vec![turn.send],
            error: error.clone(),
            sent,
        }));
    }

    pub(super) fn reject_all(&mut self, error: &Error, effects: &mut Effects) {
        self.settle_held(effects);
        let cut = self.in_flight.take();
        self.record_cut(cut.as_ref(), effects);
        self.in_flight = cut;
        self.end_all_controls(error, effects);
        self.reject_in_flight(error, effects);
        self.reject_waiting(error, effects);
    }

    /// Whether the process has got the whole message that was written last.
    pub(super) fn is_delivered(&self) -> bool {
        self.delivery
            .as_ref()
            .is_some_and(|delivery| delivery.is_complete())
    }
}
