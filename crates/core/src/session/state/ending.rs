//! How a session ends: refused by the CLI, by the end of its process, by a defect of the engine.

use super::{Effect, Effects, Phase, Signs, State};
use crate::error::{Error, LastWords};
use crate::faults;
use crate::protocol::inbound::TurnResult;
use crate::session::escalation::Escalation;
use crate::session::event::Event;
use crate::session::status::Status;
use std::time::Instant;

impl State {
    /// The process has ended and all its output was seen.
    pub fn on_exit(&mut self, code: Option<i32>, signal: Option<String>, stderr: &str) -> Effects {
        faults::place("exit", &self.options);
        if self.has_ended() {
            return Effects::new();
        }
        // On SIGINT and SIGTERM the CLI ends in order too.
        if code.is_some() || matches!(signal.as_deref(), Some("SIGINT" | "SIGTERM")) {
            self.ledger.process_ended();
            self.revision += 1;
        }
        if self.phase == Phase::Suspending {
            let error = self.exit_error(code, signal, stderr);
            return self.suspended(&error);
        }
        let mut effects = self.transition(|state, effects| {
            state.settle_held(effects);
        });
        let error = self.exit_error(code, signal.clone(), stderr);
        effects.extend(self.end(&error, Event::Close { code, signal }));
        effects
    }

    /// The error for messages that wait when the process has ended.
    fn exit_error(&mut self, exit_code: Option<i32>, signal: Option<String>, stderr: &str) -> Error {
        let told = self.last_words.take().unwrap_or_else(|| LastWords {
            words: None,
            failure: Signs::of_words(stderr),
        });
        if let Some(reason) = self.unknown_conversation(stderr) {
            return Error::StartFailed {
                name: self.options.name.clone(),
                reason,
                source: None,
                failure: Some(Box::new(told.failure)),
            };
        }
        Error::ProcessExited {
            name: self.options.name.clone(),
            exit_code,
            signal,
            stderr: stderr.to_owned(),
            told: Box::new(told),
        }
    }

    /// The words of a CLI that does not know the conversation it was to go on with. Up to 2.0.76 they are on standard
    /// error alone; newer versions report it by an error result before any init (see [`State::fail_start`]).
    fn unknown_conversation(&self, stderr: &str) -> Option<String> {
        let is_start = self.options.session_id.is_some() && !self.turns.has_begun();
        let words = stderr
            .lines()
            .find(|line| line.contains("No conversation found"))?;
        is_start.then(|| words.trim().to_owned())
    }

    /// The process has closed its output and does not end: no answer can come any more, while it may go on
    /// working and spending. A stop that is under way stays as it is.
    pub fn on_silence(&mut self, now: Instant) -> Effects {
        self.transition(|state, effects| {
            state.turns.wait_no_more();
            if state.escalation.is_some() {
                return;
            }
            let run = &state.options.run;
            let is_asked = state.phase == Phase::Ending(Status::Stopped);
            let patience = if is_asked {
                run.stop_timeout()
            } else {
                run.kill_timeout()
            };
            state.escalation = Some(Escalation::start(now, patience, run.kill_timeout()));
            if state.phase == Phase::Running {
                state.phase = Phase::Ending(Status::Failed);
                effects.push(Effect::Save);
            }
            effects.push(Effect::EndInput);
            if !is_asked {
                effects.push(Effect::Interrupt);
            }
        })
    }

    /// The process does not read its input any more, and does not end: nothing that is sent can reach it. A message that
    /// it got whole may still be answered.
    pub fn on_input_closed(&mut self, now: Instant) -> Effects {
        let error = Error::InputClosed {
            name: self.options.name.clone(),
        };
        self.transition(|state, effects| {
            if state.phase == Phase::Running {
                state.phase = Phase::Ending(Status::Failed);
                effects.push(Effect::Save);
                effects.push(Effect::Emit(Event::Error { error: error.clone() }));
            }
            if !state.is_delivered() {
                state.reject_in_flight(&error, effects);
            }
            state.reject_waiting(&error, effects);
            state.end_input_if_idle(now, effects);
        })
    }

    /// The engine itself failed on this session.
    pub fn on_internal_error(&mut self, reason: String) -> Effects {
        if self.has_ended() {
            return Effects::new();
        }
        self.end(
            &Error::Internal { reason },
            Event::Close {
                code: None,
                signal: None,
            },
        )
    }

    fn end(&mut self, error: &Error, close: Event) -> Effects {
        let peaceful = match error {
            // Exit code 1 after an error result is the CLI's way to say that the last turn failed.
            Error::ProcessExited { exit_code, .. } => {
                let unanswered =
                    self.in_flight.as_ref().is_some_and(|turn| !turn.abandoned) || !self.waiting.is_empty();
                !unanswered
                    && (*exit_code == Some(0) || (*exit_code == Some(1) && self.last_result_was_error))
            }
            _ => false,
        };
        self.transition(|state, effects| {
            let status = match state.phase {
                Phase::Ending(status) | Phase::Ended(status) => status,
                _ if peaceful => Status::Stopped,
                _ => Status::Failed,
            };
            let unasked = !matches!(state.phase, Phase::Ending(_));
            if unasked || state.phase == Phase::Ending(Status::Failed) {
                state.ended_by.get_or_insert_with(|| Box::new(error.clone()));
            }
            state.phase = Phase::Ended(status);
            // The record has no pid from here on.
            state.revision += 1;
            state.escalation = None;
            state.turns.wait_no_more();
            effects.push(Effect::Save);
            // Listeners first, promises last.
            if unasked && status == Status::Failed {
                effects.push(Effect::Emit(Event::Error { error: error.clone() }));
            }
            state.reject_all(error, effects);
            effects.push(Effect::Emit(close));
        })
    }

    /// Starts the escalation of a session that is to end, once no turn is worth waiting for.
    pub(super) fn end_input_if_idle(&mut self, now: Instant, effects: &mut Effects) {
        let waits = self.turns.runs_foreign() || self.in_flight.as_ref().is_some_and(|turn| !turn.abandoned);
        if matches!(self.phase, Phase::Ending(_)) && self.escalation.is_none() && !waits {
            let run = &self.options.run;
            self.escalation = Some(Escalation::start(now, run.stop_timeout(), run.kill_timeout()));
            effects.push(Effect::EndInput);
        }
    }

    /// An error result before any init: the CLI refuses to start, for instance an unknown conversation.
    pub(super) fn fail_start(&mut self, result: &TurnResult, now: Instant, effects: &mut Effects) {
        let error = if self.is_forking() {
            self.fork_error(result)
        } else {
            Error::StartFailed {
                name: self.options.name.clone(),
                reason: result.error_words(),
                source: None,
                failure: result.failure.map(Box::new),
            }
        };
        let asked =
            self.phase == Phase::Ending(Status::Stopped) || self.phase == Phase::Ending(Status::Killed);
        self.last_result_was_error = true;
        if !asked {
            self.phase = Phase::Ending(Status::Failed);
            self.ended_by = Some(Box::new(error.clone()));
            effects.push(Effect::Save);
            effects.push(Effect::Emit(Event::Error { error: error.clone() }));
        }
        self.reject_all(&error, effects);
        self.end_input_if_idle(now, effects);
    }
}
