//! Whose turn it is: one rule for the init that begins a turn and for the result that ends it.
//!
//! A CLI of 2.1.330 names the messages of a turn in both, one of 2.1.260 in the result. Where nothing is named, a turn is
//! the one of the message in flight, unless it began before that message was written or its result has an origin.

use crate::protocol::inbound::{Init, TurnResult};
use std::time::Instant;

/// Whose turn an init or a result belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// That of the message in flight.
    Ours,
    /// One that the CLI started by itself, or a second result of the turn before.
    Foreign,
}

/// Follows the turns of one process.
#[derive(Debug, Default)]
pub(super) struct TurnTracker {
    any_init: bool,
    /// An init has come that no result has followed.
    is_open: bool,
    /// A turn that nobody here asked for runs.
    runs_foreign: bool,
    /// When a session that is to end no longer waits for that one.
    foreign_deadline: Option<Instant>,
}

impl TurnTracker {
    /// Whether a turn that nobody here asked for runs. Nothing is written then.
    pub(super) fn runs_foreign(&self) -> bool {
        self.runs_foreign
    }

    /// Whether a turn of the process has begun before.
    pub(super) fn has_begun(&self) -> bool {
        self.any_init
    }

    /// A turn begins.
    pub(super) fn on_init(&mut self, init: &Init, in_flight: Option<&str>) {
        self.any_init = true;
        self.is_open = true;
        self.runs_foreign = whose(&init.message_uuids, in_flight) == Whose::Foreign;
    }

    /// A turn ends.
    pub(super) fn on_result(&mut self, result: &TurnResult, in_flight: Option<&str>) -> Whose {
        let named = in_flight.is_some_and(|uuid| result.message_uuids.iter().any(|named| named == uuid));
        // Every turn of the CLI begins with an init. A second result without one belongs to the turn before:
        // taking it for the answer would shift all later answers by one.
        let is_stray = !self.is_open && self.any_init;
        let whose = if !named && (result.foreign_origin || is_stray) {
            Whose::Foreign
        } else {
            whose(&result.message_uuids, in_flight)
        };
        self.close();
        whose
    }

    /// A turn has ended, and its result could not be read.
    pub(super) fn on_lost_result(&mut self) -> Whose {
        let whose = if self.runs_foreign {
            Whose::Foreign
        } else {
            Whose::Ours
        };
        self.close();
        whose
    }

    /// Whether a result says that the CLI does not start: an error before any turn began.
    pub(super) fn is_refusal(&self, result: &TurnResult) -> bool {
        !self.any_init && result.is_error
    }

    /// No line can come any more.
    pub(super) fn on_silence(&mut self) {
        self.runs_foreign = false;
    }

    /// The session is to end, and waits for a foreign turn until then.
    pub(super) fn wait_until(&mut self, at: Instant) {
        if self.runs_foreign {
            self.foreign_deadline.get_or_insert(at);
        }
    }

    /// Nothing is waited for.
    pub(super) fn wait_no_more(&mut self) {
        self.foreign_deadline = None;
    }

    /// When a foreign turn is no longer waited for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.foreign_deadline
    }

    /// Whether a foreign turn is no longer waited for from now on.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let has_expired = self.foreign_deadline.is_some_and(|at| at <= now);
        if has_expired {
            self.foreign_deadline = None;
            self.runs_foreign = false;
        }
        has_expired
    }

    fn close(&mut self) {
        self.is_open = false;
        self.runs_foreign = false;
        self.foreign_deadline = None;
    }
}

/// A line that names messages belongs to them alone; one that names none to the message in flight.
fn whose(named: &[String], in_flight: Option<&str>) -> Whose {
    match in_flight {
        Some(uuid) if named.is_empty() || named.iter().any(|named| named == uuid) => Whose::Ours,
        _ => Whose::Foreign,
    }
}
