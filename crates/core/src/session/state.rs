//! The rules of a session, without I/O: calls, lines, ends and deadlines go in, [`Effect`]s come out.
//!
//! One message is in flight at a time; the others wait here, in order. Nothing is written while a turn of
//! the CLI's own runs: it would be merged or steered and might never get a result.

mod ending;
mod incoming;
mod permission;
#[cfg(test)]
mod tests;
mod timing;

use super::effect::{Effect, Message};
use super::escalation::Escalation;
use super::event::Event;
use super::ledger::Ledger;
use super::pending;
use super::status::Status;
use crate::clock;
use crate::error::Error;
use crate::faults;
use crate::options::{SavedTotals, SessionOptions};
use crate::protocol::outbound;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Deadline {
    at: Instant,
    given: Duration,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    uuid: String,
    /// As the record keeps it.
    entry: String,
    deadline: Deadline,
}

#[derive(Debug)]
struct InFlight {
    send: u64,
    uuid: String,
    prompt: Box<RawValue>,
    /// As the record keeps it.
    entry: String,
    deadline: Deadline,
    /// Its promise was rejected by the timeout; the answer goes into the history alone.
    abandoned: bool,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not started, or waiting for the end of another process of the same conversation.
    Waiting,
    Running,
    /// On its way out; the status it ends with.
    Ending(Status),
    Ended(Status),
}

/// The state of one session.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one process, not a state machine"
)]
pub struct State {
    options: Arc<SessionOptions>,
    phase: Phase,
    paused: bool,
    waiting: VecDeque<Waiting>,
    in_flight: Option<InFlight>,
    /// Counts changes of the messages without an answer.
    pending_version: u64,
    /// Uuid of the message answered last: a second result for it answers nobody.
    answered: Option<String>,
    /// A turn that nobody here asked for runs.
    foreign_turn: bool,
    /// When a stop no longer waits for a foreign turn.
    foreign_deadline: Option<Instant>,
    init_since_result: bool,
    any_init: bool,
    last_result_was_error: bool,
    last_result_at: Option<Instant>,
    escalation: Option<Escalation>,
    ledger: Ledger,
    session_id: Option<String>,
    /// The permission mode that the process reported last.
    mode_in_force: Option<String>,
    total_cost_usd: f64,
    total_turns: u64,
    /// Whether the totals are still to be taken from a record: until then they are not saved.
    totals_pending: bool,
    emitted: Status,
    changes: u64,
    /// Counts changes of what the record says.
    revision: u64,
}

type Effects = Vec<Effect>;

impl State {
    /// A session that has not been started.
    #[must_use]
    pub fn new(options: Arc<SessionOptions>) -> Self {
        Self {
            phase: Phase::Waiting,
            paused: false,
            waiting: VecDeque::new(),
            in_flight: None,
            pending_version: 0,
            answered: None,
            foreign_turn: false,
            foreign_deadline: None,
            init_since_result: false,
            any_init: false,
            last_result_was_error: false,
            last_result_at: None,
            escalation: None,
            ledger: Ledger::new(options.cli_totals),
            session_id: options.session_id.clone(),
            mode_in_force: None,
            total_cost_usd: 0.0,
            total_turns: 0,
            totals_pending: false,
            emitted: Status::Starting,
            changes: 0,
            revision: 0,
            options,
        }
    }

    /// The status at this moment and the count of changes that led to it.
    #[must_use]
    pub fn status(&self) -> (Status, u64) {
        (self.emitted, self.changes)
    }

    /// Whether the session takes messages.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Running)
    }

    /// Whether its process has ended and everything was emitted.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether a turn runs.
    #[must_use]
    pub fn has_turn(&self) -> bool {
        self.in_flight.is_some() || self.foreign_turn
    }

    /// The conversation's id, once known.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// The id of the conversation, also before the CLI has reported it.
    #[must_use]
    pub fn conversation(&self) -> Option<&str> {
        self.session_id().or_else(|| self.options.conversation())
    }

    /// Cost and turns over all processes of the session.
    #[must_use]
    pub fn totals(&self) -> (f64, u64) {
        (self.total_cost_usd, self.total_turns)
    }

    /// Sets what earlier processes cost, or what the caller says.
    pub fn set_totals(&mut self, cost_usd: f64, turns: u64) {
        (self.total_cost_usd, self.total_turns) = (cost_usd, turns);
        self.revision += 1;
    }

    /// The totals come with [`State::restore`].
    pub fn await_totals(&mut self) {
        self.totals_pending = true;
    }

    /// Whether the totals are those of the whole session.
    #[must_use]
    pub fn knows_totals(&self) -> bool {
        !self.totals_pending
    }

    /// Goes on from the totals of a record. Before the first result of this process.
    pub fn restore(&mut self, cost_usd: f64, turns: u64, cli_totals: Option<SavedTotals>) {
        self.totals_pending = false;
        (self.total_cost_usd, self.total_turns) = (cost_usd, turns);
        self.ledger = Ledger::new(cli_totals);
    }

    /// Count of changes of what the record says.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// JSON of the messages that have no answer, and the count of changes up to it.
    pub fn pending(&self) -> (u64, impl FnOnce() -> String) {
        (self.pending_version, || pending::list(self.entries()))
    }

    fn entries(&self) -> impl Iterator<Item = &str> + Clone {
        let in_flight = self.in_flight.iter().map(|turn| turn.entry.as_str());
        in_flight.chain(self.waiting.iter().map(|waiting| waiting.entry.as_str()))
    }

    /// What turns cost.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// When the last result came.
    #[must_use]
    pub fn last_result_at(&self) -> Option<Instant> {
        self.last_result_at
    }

    /// The process runs. Nothing if the session was ended meanwhile: the caller then ends the process.
    pub fn started(&mut self) -> Option<Effects> {
        if self.phase != Phase::Waiting {
            return None;
        }
        self.revision += 1;
        Some(self.transition(|state, effects| {
            state.phase = Phase::Running;
            state.pump(effects);
        }))
    }

    /// The process could not be created after all.
    pub fn failed_to_start(&mut self, error: &Error) -> Effects {
        if self.phase != Phase::Waiting {
            return Effects::new();
        }
        self.transition(|state, effects| {
            state.phase = Phase::Ended(Status::Failed);
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
    /// `ERR_SESSION_NOT_ALIVE` if the session does not take messages any more.
    pub fn send(&mut self, message: Message, now: Instant) -> Result<Effects, Error> {
        self.require_alive()?;
        Ok(self.transition(|state, effects| {
            state.paused = false;
            let deadline = Deadline {
                at: now + message.timeout,
                given: message.timeout,
            };
            let uuid = message.uuid.clone();
            let uuid = uuid.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
            let entry = pending::entry(&uuid, &clock::timestamp(), &message.content, &message.prompt);
            state.waiting.push_back(Waiting {
                message,
                uuid,
                entry,
                deadline,
            });
            state.pending_version += u64::from(pending::keeps_last(state.entries()));
            faults::place("send", &state.options);
            state.pump(effects);
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

    /// Takes the mark of `pause` away.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn resume(&mut self) -> Result<Effects, Error> {
        self.require_alive()?;
        Ok(self.transition(|state, effects| {
            state.paused = false;
            state.pump(effects);
        }))
    }

    /// Ends the session in peace: what waits is rejected, a turn that runs may finish, then the escalation.
    pub fn stop(&mut self, now: Instant) -> Effects {
        let error = Error::SessionStopped {
            name: self.options.name.clone(),
        };
        match self.phase {
            Phase::Waiting => self.transition(|state, effects| {
                state.phase = Phase::Ended(Status::Stopped);
                effects.push(Effect::Save);
                state.reject_all(&error, effects);
                effects.push(Effect::Emit(Event::Close {
                    code: None,
                    signal: None,
                }));
            }),
            Phase::Running => self.transition(|state, effects| {
                faults::place("stop", &state.options);
                state.phase = Phase::Ending(Status::Stopped);
                state.reject_waiting(&error, effects);
                if state.foreign_turn {
                    state.foreign_deadline = Some(now + state.options.turn_timeout());
                }
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
            Phase::Waiting => {
                state.phase = Phase::Ended(Status::Killed);
                effects.push(Effect::Save);
                state.reject_all(&error, effects);
                effects.push(Effect::Emit(Event::Close {
                    code: None,
                    signal: None,
                }));
            }
            Phase::Running | Phase::Ending(_) => {
                state.end_at_once(Status::Killed, now, effects);
                state.reject_all(&error, effects);
            }
            Phase::Ended(_) => {}
        })
    }

    /// Kills the process with all its descendants; the session ends with `status`.
    fn end_at_once(&mut self, status: Status, now: Instant, effects: &mut Effects) {
        self.phase = Phase::Ending(status);
        self.foreign_deadline = None;
        // Repeated until the process is gone: a process in an uninterruptible wait dies late.
        let patience = self.options.run.kill_timeout();
        self.escalation = Some(Escalation::start(now, patience, patience));
        effects.push(Effect::KillTree);
    }

    /// Sends the next message if nothing is in the way.
    fn pump(&mut self, effects: &mut Effects) {
        if self.phase != Phase::Running || self.paused || self.foreign_turn || self.in_flight.is_some() {
            return;
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

    /// Starts the escalation of a session that is to end, once no turn is worth waiting for.
    fn end_input_if_idle(&mut self, now: Instant, effects: &mut Effects) {
        let waits = self.foreign_turn || self.in_flight.as_ref().is_some_and(|turn| !turn.abandoned);
        if matches!(self.phase, Phase::Ending(_)) && self.escalation.is_none() && !waits {
            let run = &self.options.run;
            self.escalation = Some(Escalation::start(now, run.stop_timeout(), run.kill_timeout()));
            effects.push(Effect::EndInput);
        }
    }

    fn reject_waiting(&mut self, error: &Error, effects: &mut Effects) {
        self.pending_version += 1;
        for waiting in self.waiting.drain(..) {
            effects.push(Effect::Emit(Event::Failed {
                send: waiting.message.send,
                error: error.clone(),
            }));
        }
    }

    fn reject_all(&mut self, error: &Error, effects: &mut Effects) {
        if let Some(turn) = self.in_flight.take().filter(|turn| !turn.abandoned) {
            effects.push(Effect::Emit(Event::Failed {
                send: turn.send,
                error: error.clone(),
            }));
        }
        self.reject_waiting(error, effects);
    }

    fn require_alive(&self) -> Result<(), Error> {
        if self.is_alive() {
            Ok(())
        } else {
            Err(Error::SessionNotAlive {
                name: self.options.name.clone(),
            })
        }
    }

    fn present_status(&self) -> Status {
        match self.phase {
            Phase::Ending(status) | Phase::Ended(status) => status,
            Phase::Waiting | Phase::Running if self.paused => Status::Paused,
            Phase::Waiting => Status::Starting,
            Phase::Running if self.has_turn() => Status::Busy,
            Phase::Running => Status::Ready,
        }
    }

    /// Runs one change and adds the news of a changed status, before what the change tells: a caller who
    /// learns the outcome sees the status that goes with it.
    fn transition(&mut self, change: impl FnOnce(&mut Self, &mut Effects)) -> Effects {
        let mut effects = Effects::new();
        change(self, &mut effects);
        let status = self.present_status();
        if status != self.emitted {
            self.emitted = status;
            self.changes += 1;
            self.revision += 1;
            let news = (status, self.changes);
            let at = effects
                .iter()
                .position(Effect::emits_outcome)
                .unwrap_or(effects.len());
            match effects.get_mut(at) {
                // A turn carries the status along, so that both become visible at once.
                Some(Effect::Record(turn)) => (turn.status, turn.change) = news,
                _ => effects.insert(
                    at,
                    Effect::Emit(Event::Status {
                        status,
                        change: self.changes,
                    }),
                ),
            }
        }
        effects
    }
}
