//! A panic fails the session it happened in, wherever it happened, and no other.

use super::handle::Session;
use super::outbox::Ticket;
use crate::error::{Error, Result};

/// Held while something works on a session: a panic meanwhile fails the session.
pub(super) struct PanicGuard(pub(super) Session);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

/// An answer that somebody owes the outbox. One that is dropped without it, by a panic on its way, is an error: no
/// event may be held for ever.
pub(super) struct StoreAck(Option<(Session, Ticket)>);

impl StoreAck {
    pub(super) fn new(session: Session, ticket: Ticket) -> Self {
        Self(Some((session, ticket)))
    }

    /// Gives the answer.
    pub(super) fn give(mut self, stored: Result<()>) {
        self.release(stored);
    }

    fn release(&mut self, stored: Result<()>) {
        if let Some((session, ticket)) = self.0.take() {
            session.release(ticket, stored);
        }
    }
}

impl Drop for StoreAck {
    fn drop(&mut self) {
        let reason = "whether a record was stored got lost".to_owned();
        self.release(Err(Error::Internal { reason }));
    }
}

/// A line that is written when this is dropped: whatever became of what it waited for, by a panic too.
pub(super) struct PendingWrite {
    session: Session,
    line: String,
}

impl PendingWrite {
    pub(super) fn new(session: Session, line: String) -> Self {
        Self { session, line }
    }
}

impl Drop for PendingWrite {
    fn drop(&mut self) {
        self.session.write_now(std::mem::take(&mut self.line));
    }
}
