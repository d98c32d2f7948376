//! What must happen also when a panic comes in between. Each guard knows what to call and nothing of the session.

use crate::error::{Error, Result};

/// Held while something works on a session: a panic meanwhile calls `fail`, which fails that session and no other.
pub(super) struct PanicGuard<F: Fn()>(pub(super) F);

impl<F: Fn()> Drop for PanicGuard<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

/// The store's answer to a change, on its way to whoever waits for it. One that is dropped unanswered, by a panic on
/// its way, answers with `ERR_INTERNAL`: no event may be held for ever.
pub(super) struct StoreAck<F: FnOnce(Result<()>)>(Option<F>);

impl<F: FnOnce(Result<()>)> StoreAck<F> {
    pub(super) fn new(answer: F) -> Self {
        Self(Some(answer))
    }

    /// Hands the answer on.
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

/// A message that waits for its record before it is written. One that is dropped unwritten, by a panic on its way, is
/// written all the same: its sender waits for the answer.
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
