//! A session outlives its process: an idle one may give its process up, and gets another for the next message.

use super::{Effect, Effects, Phase, Seen, Signs, State, TurnTracker};
use crate::error::Error;
use crate::ids::ConversationId;
use crate::session::escalation::Escalation;
use crate::session::ledger::Ledger;
use std::time::Instant;

impl State {
    /// Ends the process of an idle session, in order; messages sent meanwhile go to the next process. `None` if the
    /// session has something to do: a process that starts, a turn, a message that may be written.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn suspend(&mut self, now: Instant) -> Result<Option<Effects>, Error> {
        self.require_alive()?;
        Ok(match self.phase {
            Phase::Suspending | Phase::Suspended => Some(Effects::new()),
            Phase::Running
                if !self.has_turn()
                    && !self.controls.has_asks()
                    && (self.paused || self.waiting.is_empty()) =>
            {
                Some(self.transition(|state, effects| {
                    state.phase = Phase::Suspending;
                    let run = &state.options.run;
                    state.escalation = Some(Escalation::start(now, run.stop_timeout(), run.kill_timeout()));
                    effects.push(Effect::EndInput);
                }))
            }
            _ => None,
        })
    }

    /// Starts the next process of a suspended session. Nothing for any other.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn wake(&mut self) -> Result<Effects, Error> {
        self.require_alive()?;
        Ok(self.transition(|state, effects| match state.phase {
            Phase::Suspending => state.wake_wanted = true,
            Phase::Suspended => state.start_next(effects),
            _ => {}
        }))
    }

    /// Whether the session has no process and waits for the next message.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.phase == Phase::Suspended
    }

    /// The conversation that the next process goes on with; `None` if there is none to go on with yet.
    #[must_use]
    pub fn conversation_to_resume(&self) -> Option<&ConversationId> {
        self.session_id().filter(|_| self.has_history)
    }

    pub(super) fn start_next(&mut self, effects: &mut Effects) {
        self.phase = Phase::Starting;
        self.wake_wanted = false;
        effects.push(Effect::StartNext);
    }

    /// The process that was given up has ended. What it told belongs to it alone.
    pub(super) fn suspended(&mut self, error: &Error) -> Effects {
        self.transition(|state, effects| {
            state.phase = Phase::Suspended;
            state.escalation = None;
            state.delivery = None;
            state.settle_held(effects);
            state.end_controls(error, effects);
            state.turns = TurnTracker::new(state.options.turn_timeout());
            state.signs = Signs::default();
            state.seen = Seen::default();
            state.last_result_was_error = false;
            state.ledger = Ledger::new(Some(state.ledger.totals()));
            // The record has no pid from here on.
            state.revision += 1;
            if state.wake_wanted || !(state.paused || state.waiting.is_empty()) {
                state.start_next(effects);
            }
            effects.push(Effect::Save);
        })
    }
}
