//! The rules of a session, without I/O: calls, lines, ends and deadlines go in, [`Effect`]s come out.
//!
//! One message is in flight at a time; the others wait here, in order. Nothing is written while a turn of
//! the CLI's own runs: it would be merged or steered and might never get a result.

mod calls;
mod control;
mod ending;
mod forking;
mod habits;
mod incoming;
mod interrupt;
mod line;
mod permission;
mod queue;
mod suspending;
#[cfg(test)]
mod tests;
mod timing;
mod turns;

use super::delivery::Delivery;
use super::effect::{Effect, Message};
use super::escalation::Escalation;
use super::estimate::Seen;
use super::event::Event;
use super::ledger::Ledger;
use super::status::Status;
use crate::error::{Error, LastWords};
use crate::ids::ConversationId;
use crate::options::{SavedTotals, SessionOptions};
use crate::protocol::failure::Failure;
use crate::protocol::signs::Signs;
use control::Controls;
use interrupt::Interrupts;
use line::WaitingLine;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::{Duration, Instant};
use turns::TurnTracker;

#[derive(Debug)]
struct Deadline {
    at: Instant,
    given: Duration,
}

impl Deadline {
    fn new(now: Instant, given: Duration) -> Self {
        Self {
            at: now + given,
            given,
        }
    }

    /// The time given, in ms.
    fn given_ms(&self) -> u64 {
        u64::try_from(self.given.as_millis()).unwrap_or(u64::MAX)
    }
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    uuid: String,
    /// As the record keeps it.
    entry: String,
    deadline: Deadline,
    /// It is to be interrupted as soon as it is written.
    interrupted: bool,
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
    /// Somebody wants its turn cut.
    interrupted: bool,
    /// The failure for which its turn is cut: the CLI was about to try again.
    failed_fast: Option<Failure>,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The process is not there yet; it may wait for the end of another one of the same conversation.
    Starting,
    Running,
    /// The process of an idle session is on its way out, and the session goes on.
    Suspending,
    /// No process, until the next message.
    Suspended,
    /// On its way out; the status it ends with.
    Ending(Status),
    Ended(Status),
}

/// The state of one session.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one session, not a state machine"
)]
pub struct State {
    options: Arc<SessionOptions>,
    phase: Phase,
    paused: bool,
    /// It had a process before.
    was_started: bool,
    /// The next process is wanted as soon as the present one has ended.
    wake_wanted: bool,
    waiting: WaitingLine,
    in_flight: Option<InFlight>,
    /// The last line of the answer to it.
    answer_line: String,
    controls: Controls,
    interrupts: Interrupts,
    /// Of the present process.
    delivery: Option<Arc<dyn Delivery>>,
    /// Counts changes of the messages without an answer.
    pending_version: u64,
    turns: TurnTracker,
    /// What the lines of the present turn tell of its failure.
    signs: Signs,
    /// Of an error result that answered no message: the process may end with it.
    last_words: Option<LastWords>,
    /// The CLI has begun to keep the conversation.
    has_history: bool,
    /// The first turn of a fork was answered.
    has_forked: bool,
    /// Why it ended, or is about to, if nobody has asked for that.
    ended_by: Option<Box<Error>>,
    last_result_was_error: bool,
    last_result_at: Option<Instant>,
    escalation: Option<Escalation>,
    ledger: Ledger,
    /// What the lines of the present turn tell of its cost.
    seen: Seen,
    session_id: Option<ConversationId>,
    /// The permission mode that the process reported last.
    mode_in_force: Option<String>,
    /// The permission mode and the model that the caller has set since the start.
    mode_asked: Option<String>,
    model: Option<String>,
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
            phase: Phase::Starting,
            paused: false,
            was_started: false,
            wake_wanted: false,
            waiting: WaitingLine::default(),
            delivery: None,
            in_flight: None,
            answer_line: String::new(),
            controls: Controls::default(),
            interrupts: Interrupts::default(),
            pending_version: 0,
            turns: TurnTracker::new(options.turn_timeout()),
            signs: Signs::default(),
            last_words: None,
            ended_by: None,
            has_forked: false,
            has_history: options.session_id.is_some(),
            last_result_was_error: false,
            last_result_at: None,
            escalation: None,
            ledger: Ledger::new(options.cli_totals.clone()),
            seen: Seen::default(),
            session_id: options.session_id.clone().and_then(ConversationId::new),
            mode_in_force: None,
            mode_asked: None,
            model: None,
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
        !matches!(self.phase, Phase::Ending(_) | Phase::Ended(_))
    }

    /// Whether the present process has written an init.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.turns.has_begun()
    }

    /// Whether its process has ended and everything was emitted.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether there is a process.
    #[must_use]
    pub fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Suspending | Phase::Ending(_))
    }

    /// Whether something other than a turn holds back the messages that wait.
    #[cfg(test)]
    pub(crate) fn holds_messages_back(&self) -> bool {
        self.controls.awaits_interrupt() || self.controls.awaits_initialize()
    }

    /// Whether a turn runs.
    #[must_use]
    pub fn has_turn(&self) -> bool {
        self.in_flight.is_some() || self.turns.runs_foreign()
    }

    /// The conversation's id, once known.
    #[must_use]
    pub fn session_id(&self) -> Option<&ConversationId> {
        self.session_id.as_ref()
    }

    /// The id of the conversation, also before the CLI has reported it.
    #[must_use]
    pub fn conversation(&self) -> Option<&str> {
        self.session_id.as_deref().or_else(|| self.options.conversation())
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

    /// The permission mode that processes are given: what the caller has chosen last.
    #[must_use]
    pub fn asked_mode(&self) -> Option<&str> {
        self.mode_asked.as_deref().or_else(|| self.options.asked_mode())
    }

    /// The model and the permission mode that the caller has set since the start.
    #[must_use]
    pub fn changed_settings(&self) -> (Option<&str>, Option<&str>) {
        (self.model.as_deref(), self.mode_asked.as_deref())
    }

    /// What turns cost.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Why the session ended, or is about to, if nobody has asked for that.
    #[must_use]
    pub fn ended_by(&self) -> Option<&Error> {
        self.ended_by.as_deref()
    }

    /// When the last result came.
    #[must_use]
    pub fn last_result_at(&self) -> Option<Instant> {
        self.last_result_at
    }

    fn present_status(&self) -> Status {
        match self.phase {
            Phase::Ending(status) | Phase::Ended(status) => status,
            _ if self.paused => Status::Paused,
            Phase::Starting if !self.was_started => Status::Starting,
            Phase::Running if self.has_turn() => Status::Busy,
            // A message that waits for the next process is on its way.
            Phase::Running | Phase::Starting | Phase::Suspending | Phase::Suspended => {
                if self.waiting.is_empty() || self.phase == Phase::Running {
                    Status::Ready
                } else {
                    Status::Busy
                }
            }
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
