//! The calls of a session.

use super::{Deadline, Effect, Effects, Message, Phase, State, Waiting};
use crate::clock;
use crate::error::Error;
use crate::faults;
use crate::session::delivery::Delivery;
use crate::session::escalation::Escalation;
use crate::session::event::Event;
use crate::session::pending;
use crate::session::status::Status;
use std::sync::Arc;
use std::time::Instant;

impl State {
    /// The process runs. `None` if the session has been ended: the caller then ends the process.
    pub fn started(&mut self, delivery: Arc<dyn Delivery>, now: Instant) -> Option<Effects> {
        if self.phase != Phase::Starting {
            return None;
        }
        self.revision += 1;
        self.delivery = Some(delivery);
        Some(self.transition(|state, effects| {
            state.phase = Phase::Running;
            state.was_started = true;
            state.begin_controls(now, effects);
            state.pump(now, effects);
        }))
    }

    /// The process could not be created after all.
    pub fn failed_to_start(&mut self, error: &Error) -> Effects {
        if self.phase != Phase::Starting {
            return Effects::new();
        }
        self.transition(|state, effects| {
            state.phase = Phase::Ended(Status::Failed);
            state.ended_by = Some(Box::new(error.clone()));
            effects.push(Effect::Save);
            effects.push(Effect::Emit(Event::Error { error: error.clone() }));
            state.reject_all(error, effects);
            effects.push(Effect::Emit(Event::Close {
                code: None,
                signal: None,
            }));
        })
    }

    /// Takes a message: it is sent at once or waits in line. Resumes a paused session.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE` if the session no longer takes messages.
    pub fn send(&mut self, message: Message, now: Instant) -> Result<Effects, Error> {
        self.require_alive()?;
        Ok(self.transition(|state, effects| {
            state.paused = false;
            let deadline = Deadline::new(now, message.timeout);
            let uuid = message.uuid.clone();
            let uuid = uuid.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
            let entry = pending::entry(&uuid, &clock::timestamp(), &message.content, &message.prompt);
            state.waiting.push(Waiting {
                message,
                uuid,
                entry,
                deadline,
                interrupted: false,
            });
            state.pending_version += u64::from(pending::keeps_last(state.entries()));
            faults::place("send", &state.options);
            state.pump(now, effects);
        }))
    }

    /// Pauses the session: nothing is sent until `resume` or the next `send`. A turn in flight finishes.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn pause(&mut self) -> Result<Effects, Error> {
        self.require_alive()?;
        Ok(self.transition(|state, _| state.paused = true))
    }

    /// Ends a `pause`.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn resume(&mut self, now: Instant) -> Result<Effects, Error> {
        self.require_alive()?;
        Ok(self.transition(|state, effects| {
            state.paused = false;
            state.pump(now, effects);
        }))
    }

    /// Ends the session gracefully: waiting messages are rejected, a running turn may finish, then the escalation begins.
    pub fn stop(&mut self, now: Instant) -> Effects {
        let error = Error::SessionStopped {
            name: self.options.name.clone(),
        };
        match self.phase {
            Phase::Starting | Phase::Suspended => self.transition(|state, effects| {
                state.phase = Phase::Ended(Status::Stopped);
                effects.push(Effect::Save);
                state.reject_all(&error, effects);
                effects.push(Effect::Emit(Event::Close {
                    code: None,
                    signal: None,
                }));
            }),
            Phase::Running | Phase::Suspending => self.transition(|state, effects| {
                faults::place("stop", &state.options);
                state.phase = Phase::Ending(Status::Stopped);
                state.reject_waiting(&error, effects);
                state.turns.end_by(now + state.options.turn_timeout());
                state.end_input_if_idle(now, effects);
            }),
            Phase::Ending(_) | Phase::Ended(_) => Effects::new(),
        }
    }

    /// Ends the session at once, with all its descendants.
    pub fn kill(&mut self, now: Instant) -> Effects {
        let error = Error::SessionKilled {
            name: self.options.name.clone(),
        };
        self.transition(|state, effects| match state.phase {
            Phase::Starting | Phase::Suspended => {
                state.phase = Phase::Ended(Status::Killed);
                effects.push(Effect::Save);
                state.reject_all(&error, effects);
                effects.push(Effect::Emit(Event::Close {
                    code: None,
                    signal: None,
                }));
            }
            Phase::Running | Phase::Suspending | Phase::Ending(_) => {
                state.end_at_once(Status::Killed, now, effects);
                state.reject_all(&error, effects);
            }
            Phase::Ended(_) => {}
        })
    }

    /// The process must not go on: it is killed, and the session fails.
    pub(super) fn fail_process(&mut self, error: &Error, now: Instant, effects: &mut Effects) {
        self.ended_by = Some(Box::new(error.clone()));
        self.end_at_once(Status::Failed, now, effects);
        effects.push(Effect::Save);
        effects.push(Effect::Emit(Event::Error { error: error.clone() }));
        self.reject_all(error, effects);
    }

    /// Kills the process with all its descendants; the session ends with `status`.
    pub(super) fn end_at_once(&mut self, status: Status, now: Instant, effects: &mut Effects) {
        self.phase = Phase::Ending(status);
        self.turns.wait_no_more();
        // Repeated until the process is gone, since a process in an uninterruptible wait dies late.
        let patience = self.options.run.kill_timeout();
        self.escalation = Some(Escalation::start(now, patience, patience));
        effects.push(Effect::KillTree);
    }

    pub(super) fn require_alive(&self) -> Result<(), Error> {
        if self.is_alive() {
            Ok(())
        } else {
            Err(Error::SessionNotAlive {
                name: self.options.name.clone(),
                reason: self.ended_by.clone(),
            })
        }
    }
}
