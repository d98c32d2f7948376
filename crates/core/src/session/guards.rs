//! Guards for actions that must happen even after a panic. A guard knows what to call, but nothing of the session.

use crate::error::{Error, Result};

/// Held during work on a session: a panic then calls `fail`, which fails that session and no other.
pub(super) struct PanicGuard<F: Fn()>(pub(super) F);

impl<F: Fn()> Drop for PanicGuard<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

/// The store's answer to a change, on its way to the waiter. If a panic drops it unanswered, it answers with
/// `ERR_INTERNAL`: no event may be held forever.
pub(super) struct StoreAck<F: FnOnce(Result<()>)>(Option<F>);

impl<F: FnOnce(Result<()>)> StoreAck<F> {
    pub(super) fn new(answer: F) -> Self {
        Self(Some(answer))
    }

    /// Gives the answer.
    pub(super) fn give(mut self, stored: Result<()>) {
        self.answer(stored);
    }

    fn answer(&mut self, stored: Result<()>) {
        if let Some(answer) = self.0.take() {
            answer(stored);
        }
    }
}

impl<F: FnOnce(Result<()>)> Drop for StoreAck<F> {
    fn drop(&mut self) {
        let reason = "whether a record was stored got lost".to_owned();
        self.answer(Err(Error::Internal { reason }));
    }
}

/// A message that waits for its record before it is written. If a panic drops it unwritten, it is written anyway, since
/// its sender waits for the answer.
pub(super) struct PendingWrite<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> PendingWrite<F> {
    pub(super) fn new(write: F) -> Self {
        Self(Some(write))
    }

    /// Writes the message.
    pub(super) fn write(mut self) {
        self.write_once();
    }

    fn write_once(&mut self) {
        if let Some(write) = self.0.take() {
            write();
        }
    }
}

impl<F: FnOnce()> Drop for PendingWrite<F> {
    fn drop(&mut self) {
        self.write_once();
    }
}
