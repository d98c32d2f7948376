//! Whose turn it is: one rule for the init that begins a turn and for the result that ends it.
//!
//! - A line that names messages belongs only to them; a line with a foreign `origin` belongs to none of ours.
//! - Otherwise the init binds a turn: to the message in flight, or to the CLI itself if none was in flight.
//! - A result without an init belongs to the message in flight if the CLI does not write an init for each turn: if that is
//!   known, or if nothing is known and content came before the result. Otherwise it may be a second result of the turn
//!   before. It is held until the next init shows that, or until none has come for a while.
//!
//! Nothing here waits forever: a turn that the CLI started by itself holds back our messages only for a limited time. They
//! are then written although it may still run; `priority: "later"` makes that safe.

use super::habits::Habits;
use crate::limits;
use crate::protocol::inbound::{Content, Init, TurnResult};
use crate::protocol::version::Version;
use std::time::{Duration, Instant};

/// Whose turn a result ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// That of the message in flight.
    Ours,
    /// One that the CLI started by itself, or a second result of the turn before.
    Foreign,
    /// Not known yet: the result must be held, see [`TurnTracker::hold`].
    Unknown,
}

/// An init that no result has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Ours,
    Foreign,
    /// It came before any message was written, so it may not begin a turn at all.
    AtStart,
}

/// Follows the turns of one process.
#[derive(Debug)]
pub(super) struct TurnTracker {
    habits: Habits,
    any_init: bool,
    any_write: bool,
    open: Option<Open>,
    /// Whether content came since the last write or result.
    any_content: bool,
    /// What counts as turns in the present turn, as far as its lines show.
    count: Count,
    /// Until when a foreign turn holds back waiting messages.
    foreign_until: Option<Instant>,
    /// When a session that is to end stops waiting, whatever comes.
    end_by: Option<Instant>,
    /// Longest silence within a turn that the CLI started by itself.
    longest_turn: Duration,
    held: Option<Held>,
}

/// The content of a turn, counted.
#[derive(Debug, Default)]
struct Count {
    model_was_heard: bool,
    tool_results: u64,
    any: bool,
}

impl Count {
    fn take(&mut self, content: &Content) {
        self.any = true;
        match content {
            Content::Model | Content::Error(_) => self.model_was_heard = true,
            Content::ToolResult => self.tool_results += 1,
            Content::Other => {}
        }
    }

    fn turns(&self) -> u64 {
        u64::from(self.model_was_heard) + self.tool_results
    }
}

/// A result whose turn is not known yet.
#[derive(Debug)]
struct Held {
    result: Box<TurnResult>,
    until: Instant,
}

impl TurnTracker {
    pub(super) fn new(longest_turn: Duration) -> Self {
        Self {
            habits: Habits::default(),
            any_init: false,
            any_write: false,
            open: None,
            any_content: false,
            count: Count::default(),
            foreign_until: None,
            end_by: None,
            longest_turn,
            held: None,
        }
    }

    /// Whether a foreign turn holds back waiting messages.
    pub(super) fn runs_foreign(&self) -> bool {
        self.foreign_until.is_some()
    }

    /// The version of the CLI, once an init has reported it.
    pub(super) fn version(&self) -> Option<Version> {
        self.habits.version()
    }

    /// Whether the turn of the message in flight has begun.
    pub(super) fn runs_ours(&self) -> bool {
        self.open == Some(Open::Ours)
    }

    /// Whether an init of the process has come before.
    pub(super) fn has_begun(&self) -> bool {
        self.any_init
    }

    /// A message is written.
    pub(super) fn on_write(&mut self) {
        self.any_write = true;
        self.any_content = false;
    }

    /// A turn begins. So a held result was not the answer: the turn of the message in flight begins only now.
    pub(super) fn on_init(
        &mut self,
        init: &Init,
        in_flight: Option<&str>,
        now: Instant,
    ) -> Option<Box<TurnResult>> {
        self.habits.learn_version(init.version.as_deref());
        if self.any_init && self.any_write && in_flight.is_some() {
            self.habits.learn_init_per_turn(true);
        }
        self.any_init = true;
        self.foreign_until = None;
        let open = match in_flight {
            None if !self.any_write => Open::AtStart,
            Some(_) if whose(&init.message_uuids, in_flight) == Whose::Ours => Open::Ours,
            _ => Open::Foreign,
        };
        self.open = Some(open);
        if open == Open::Foreign {
            let patience = if self.habits.hides_own_turns() {
                limits::HIDDEN_TURN_START
            } else {
                limits::OWN_TURN_START
            };
            self.hold_back_until(now + patience);
        }
        self.held.take().map(|held| held.result)
    }

    /// Content of a turn has come.
    pub(super) fn on_content(&mut self, content: &Content, in_flight: Option<&str>, now: Instant) {
        self.count.take(content);
        self.any_content = true;
        if self.open == Some(Open::AtStart) && in_flight.is_none() {
            self.open = Some(Open::Foreign);
            self.hold_back_until(now + self.longest_turn);
        }
        if let Some(until) = self.foreign_until {
            self.hold_back_until(until.max(now + self.longest_turn));
        }
    }

    /// The turns of the model in the turn that ends: what the result says, unless this version is not known to say it
    /// right, and content was seen.
    pub(super) fn count(&mut self, reported: u64) -> u64 {
        let count = std::mem::take(&mut self.count);
        if self.habits.counts_turns() || !count.any {
            reported
        } else {
            count.turns()
        }
    }

    /// The turns of the model in the turn that is cut.
    pub(super) fn count_cut(&mut self) -> u64 {
        std::mem::take(&mut self.count).turns()
    }

    /// A turn ends.
    pub(super) fn on_result(&mut self, result: &TurnResult, in_flight: Option<&str>) -> Whose {
        let whose = self.whose_result(result, in_flight);
        if !result.message_uuids.is_empty() {
            self.habits.learn_names();
        }
        if whose != Whose::Unknown {
            if whose == Whose::Ours && result.message_uuids.is_empty() {
                self.end_ours();
            } else {
                self.close();
            }
        }
        whose
    }

    /// Holds a result whose turn is unknown. Returns the one held before, which was not the answer.
    pub(super) fn hold(&mut self, result: Box<TurnResult>, now: Instant) -> Option<Box<TurnResult>> {
        let patience = match self.habits.init_per_turn() {
            Some(true) => limits::KNOWN_INIT_WAIT,
            _ => limits::UNKNOWN_INIT_WAIT,
        };
        let until = now + patience;
        self.held.replace(Held { result, until }).map(|held| held.result)
    }

    /// The held result, if no init has come in time: it was the answer.
    pub(super) fn release_held(&mut self, now: Instant) -> Option<Box<TurnResult>> {
        let held = self.held.take_if(|held| held.until <= now)?;
        self.end_ours();
        Some(held.result)
    }

    /// The held result and whose turn it is assumed to end, when no more can be learnt: the time of the message is over, or
    /// the process has ended.
    pub(super) fn take_held(&mut self) -> Option<(Box<TurnResult>, Whose)> {
        let Held { result, .. } = self.held.take()?;
        if !result.is_error && self.habits.init_per_turn() == Some(true) {
            return Some((result, Whose::Foreign));
        }
        self.end_ours();
        Some((result, Whose::Ours))
    }

    /// The held result, when another one has come: of two results without an init the last one is the answer.
    pub(super) fn take_held_as_foreign(&mut self) -> Option<Box<TurnResult>> {
        self.held.take().map(|held| held.result)
    }

    /// A turn has ended, and its result could not be read.
    pub(super) fn on_lost_result(&mut self) -> Whose {
        let whose = if self.runs_foreign() {
            Whose::Foreign
        } else {
            Whose::Ours
        };
        self.close();
        whose
    }

    /// Whether a result means that the CLI does not start: an error before any turn began.
    pub(super) fn is_refusal(&self, result: &TurnResult) -> bool {
        !self.any_init && result.is_error
    }

    /// Notes that the session is to end, and waits for a foreign turn no longer than until `at`.
    pub(super) fn end_by(&mut self, at: Instant) {
        let end_by = *self.end_by.get_or_insert(at);
        self.foreign_until = self.foreign_until.map(|until| until.min(end_by));
    }

    /// Stops waiting for a foreign turn.
    pub(super) fn wait_no_more(&mut self) {
        self.foreign_until = None;
    }

    /// The next moment at which [`TurnTracker::expire`] or [`TurnTracker::release_held`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let held = self.held.as_ref().map(|held| held.until);
        self.foreign_until.into_iter().chain(held).min()
    }

    /// Ends the time of a foreign turn; returns whether it no longer holds back messages.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        self.foreign_until.take_if(|until| *until <= now).is_some()
    }

    fn hold_back_until(&mut self, at: Instant) {
        self.foreign_until = Some(self.end_by.map_or(at, |end_by| at.min(end_by)));
    }

    fn whose_result(&self, result: &TurnResult, in_flight: Option<&str>) -> Whose {
        let by_name = whose(&result.message_uuids, in_flight);
        if by_name == Whose::Foreign || !result.message_uuids.is_empty() {
            return by_name;
        }
        if result.foreign_origin {
            return Whose::Foreign;
        }
        match self.open {
            Some(Open::Ours | Open::AtStart) => Whose::Ours,
            Some(Open::Foreign) if self.runs_foreign() => Whose::Foreign,
            // The apparent turn was not one.
            Some(Open::Foreign) if self.habits.marks_own_turns() => Whose::Ours,
            None if self.needs_no_init() => Whose::Ours,
            Some(Open::Foreign) | None => Whose::Unknown,
        }
    }

    /// Whether a turn may have no init.
    fn needs_no_init(&self) -> bool {
        match self.habits.init_per_turn() {
            Some(is_so) => !is_so || !self.any_init,
            None => !self.any_init || self.any_content,
        }
    }

    /// Ends a turn of ours; if it had no init, that shows a habit.
    fn end_ours(&mut self) {
        if self.open.is_none() && self.any_init {
            self.habits.learn_init_per_turn(false);
        }
        self.close();
    }

    fn close(&mut self) {
        self.open = None;
        self.any_content = false;
        self.foreign_until = None;
    }
}

/// Whose a line is: one that names messages belongs only to them; one that names none belongs to the message in flight.
fn whose(named: &[String], in_flight: Option<&str>) -> Whose {
    match in_flight {
        Some(uuid) if named.is_empty() || named.iter().any(|named| named == uuid) => Whose::Ours,
        _ => Whose::Foreign,
    }
}
