//! The data for the session's record, and the messages that wait for the record.

use super::Session;
use crate::session::event::{Event, Turn};
use crate::session::guards::{PendingWrite, StoreAck};
use crate::session::outbox::Ticket;
use crate::session::record::{Fields, LastError, Stored, Totals, Writer};
use crate::session::state::State;
use crate::session::turn;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Session {
    /// Makes `writer` keep the session's record. Called once, before the process is started.
    pub fn keep_record(&self, writer: Arc<dyn Writer>) {
        // A second writer would be a defect of the binding; the first one stays.
        let _ = self.shared.writer.set(writer);
    }

    /// The fields of the record at this moment. Messages without an answer reach the record in another way, which keeps their
    /// order.
    #[must_use]
    pub fn record_fields(&self) -> Fields {
        self.fields(&self.lock())
    }

    /// JSON of the messages without an answer.
    #[must_use]
    pub fn pending(&self) -> Box<RawValue> {
        let state = self.lock();
        let (_, list) = state.pending();
        turn::raw(list())
    }

    /// Saves the record's fields, later.
    pub fn save(&self) {
        self.save_fields(&self.lock());
    }

    /// The messages without an answer, if the record's writer does not have this version.
    fn news_of_pending(&self, state: &State) -> Option<Box<RawValue>> {
        let (version, list) = state.pending();
        // In the order of the changes: the state is locked.
        let before = self.shared.noted.swap(version, Ordering::Relaxed);
        (before != version).then(|| turn::raw(list()))
    }

    fn fields(&self, state: &State) -> Fields {
        let (cost_usd, turns) = state.totals();
        let totals = Totals {
            cost_usd,
            turns,
            cli: state.ledger().totals(),
        };
        let (model, permission_mode) = state.changed_settings();
        Fields {
            model: model.map(str::to_owned),
            permission_mode: permission_mode.map(str::to_owned),
            status: state.status().0,
            session_id: state.session_id().cloned(),
            totals: Some(totals).filter(|_| state.knows_totals()),
            pid: self.pid().filter(|_| state.has_process()),
            last_error: state.ended_by().map(LastError::from),
            pending: None,
            revision: state.revision(),
        }
    }

    fn fields_with_pending(&self, state: &State) -> Fields {
        Fields {
            pending: self.news_of_pending(state),
            ..self.fields(state)
        }
    }

    /// Writes a message once the record has it, so that nothing is lost if the host ends in between.
    pub(super) fn write(&self, line: String, state: &State) {
        let Some(input) = self.input(self.incarnation()) else {
            return;
        };
        // It enters the pipe's queue at once; it can still be taken back.
        let ticket = input.push(line);
        let Some(writer) = self.shared.writer.get() else {
            input.release(ticket);
            return;
        };
        // However late the record gets it, it belongs to the process for which it was meant.
        let pending = PendingWrite::new(move || input.release(ticket));
        // If the store cannot be written, the message is sent anyway; its turn reports the error with the answer.
        writer.note(self.news_of_pending(state), Box::new(move |_| pending.write()));
    }

    /// Notes in the record messages that came or went without a written line.
    pub(super) fn note(&self, state: &State) {
        let Some(writer) = self.shared.writer.get() else {
            return;
        };
        if let Some(pending) = self.news_of_pending(state) {
            writer.note(Some(pending), Box::new(|_| {}));
        }
    }

    pub(super) fn save_fields(&self, state: &State) {
        let Some(writer) = self.shared.writer.get() else {
            return;
        };
        let ticket = self.shared.outbox.hold(None);
        writer.save(self.fields_with_pending(state), self.release_when_stored(ticket));
    }

    pub(super) fn record_turn(&self, mut turn: Box<Turn>, state: &State) {
        let Some(writer) = self.shared.writer.get() else {
            self.emit(Event::Turn(turn));
            return;
        };
        // Moved, not copied: an answer may have 100 MiB.
        let interaction = std::mem::replace(&mut turn.interaction, RawValue::NULL.to_owned());
        self.shared.backlog.emitted(turn.backlog_bytes());
        let ticket = self.shared.outbox.hold(Some(turn));
        let fields = self.fields_with_pending(state);
        writer.add_turn(interaction, fields, self.release_when_stored(ticket));
    }

    fn release_when_stored(&self, ticket: Ticket) -> Stored {
        let session = self.clone();
        let ack = StoreAck::new(move |stored| session.shared.outbox.release(ticket, stored));
        Box::new(move |stored| ack.give(stored))
    }
}
