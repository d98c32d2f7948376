//! The first turn of a fork: what it begins, or that it failed.

use super::{Effect, Effects, InFlight, Phase, State};
use crate::error::Error;
use crate::protocol::inbound::TurnResult;
use crate::session::event::Event;
use crate::session::status::Status;

impl State {
    /// Whether the session is a fork whose first turn has not been answered. Its record begins with that answer.
    pub(super) fn is_forking(&self) -> bool {
        self.options.fork_of.is_some() && !self.has_forked
    }

    /// The first turn of a fork ended with an error: there is no fork, and the session is to end.
    pub(super) fn fail_fork(&mut self, result: &TurnResult, first: &InFlight, effects: &mut Effects) {
        let error = self.fork_error(result);
        if self.phase == Phase::Running {
            self.phase = Phase::Ending(Status::Failed);
            self.ended_by = Some(Box::new(error.clone()));
        }
        if !first.abandoned {
            effects.push(Effect::Emit(Event::Failed {
                sends: vec![first.send],
                error,
                sent: true,
            }));
        }
    }

    /// The error for a first turn that ended with this result: the CLI's words, and what was paid.
    pub(super) fn fork_error(&mut self, result: &TurnResult) -> Error {
        Error::ForkFailed {
            reason: result.error_words(),
            cost: Some(self.ledger.charge(result, self.turns.version()).usd),
            session_id: result.session_id.clone(),
            failure: result.failure,
        }
    }
}
