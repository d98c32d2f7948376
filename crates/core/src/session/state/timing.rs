//! The effect of time on the state.

use super::turns::Whose;
use super::{Deadline, Effect, Effects, InFlight, State};
use crate::error::Error;
use crate::faults;
use crate::session::escalation::{Escalation, Step};
use crate::session::event::Event;
use std::time::Instant;

impl State {
    /// The next moment at which [`State::on_time`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let in_flight = self
            .in_flight
            .as_ref()
            .filter(|turn| !turn.abandoned && !self.controls.waits_for_person())
            .map(|turn| turn.deadline.at);
        let escalation = self.escalation.as_ref().map(Escalation::deadline);
        self.waiting
            .next_deadline()
            .into_iter()
            .chain(in_flight)
            .chain(escalation)
            .chain(self.turns.deadline())
            .chain(self.controls.deadline())
            .chain(self.interrupts.deadline())
            .min()
    }

    /// A deadline may have passed.
    pub fn on_time(&mut self, now: Instant) -> Effects {
        self.transition(|state, effects| {
            faults::place("time", &state.options);
            if let Some(result) = state.turns.release_held(now) {
                state.finish_turn(&result, Whose::Ours, effects);
                state.go_on(now, effects);
            }
            // What is late is not written any more when something stops holding it back.
            state.expire_waiting(now, effects);
            state.expire_controls(now, effects);
            state.expire_interrupts(now, effects);
            state.expire_in_flight(now, effects);
            if state.turns.expire(now) {
                state.go_on(now, effects);
            }
            match state
                .escalation
                .as_mut()
                .and_then(|escalation| escalation.advance(now))
            {
                Some(Step::Interrupt) => effects.push(Effect::Interrupt),
                Some(Step::Kill) => effects.push(Effect::KillTree),
                None => {}
            }
        })
    }

    fn expire_waiting(&mut self, now: Instant, effects: &mut Effects) {
        while let Some(waiting) = self.waiting.pop_expired(now) {
            self.pending_version += 1;
            effects.push(timed_out(
                &self.options.name,
                waiting.message.send,
                &waiting.deadline,
                false,
            ));
        }
    }

    fn expire_in_flight(&mut self, now: Instant, effects: &mut Effects) {
        let waits = self.controls.waits_for_person();
        let is_late = |turn: &InFlight| !turn.abandoned && !waits && turn.deadline.at <= now;
        if self.in_flight.as_ref().is_some_and(is_late) && self.settle_held(effects) {
            self.go_on(now, effects);
        }
        let Some(turn) = self.in_flight.as_mut().filter(|turn| is_late(turn)) else {
            return;
        };
        // If the process has not got a byte of the message, the next message takes its place.
        let withdrawn = self.delivery.as_ref().is_some_and(|delivery| delivery.withdraw());
        effects.push(timed_out(
            &self.options.name,
            turn.send,
            &turn.deadline,
            !withdrawn,
        ));
        turn.abandoned = true;
        if withdrawn {
            self.in_flight = None;
            self.pending_version += 1;
        }
        self.go_on(now, effects);
    }
}

fn timed_out(name: &str, number: u64, deadline: &Deadline, sent: bool) -> Effect {
    let error = Error::TurnTimeout {
        name: name.to_owned(),
        timeout_ms: deadline.given_ms(),
        sent,
    };
    Effect::Emit(Event::Failed {
        sends: vec![number],
        error,
        sent,
    })
}
