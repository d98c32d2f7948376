//! Bytes that were emitted but not yet taken by the sink. Beyond the bound, the session's output is not read.

use crate::limits;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The backlog of one session.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    /// The program wants no more for now.
    held: AtomicBool,
    room: Notify,
}

impl Backlog {
    /// Notes that an event of this size was emitted.
    pub(super) fn emitted(&self, bytes: usize) {
        if bytes > 0 {
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
        }
    }

    /// Notes that the sink has taken an event of this size.
    pub(super) fn taken(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before > limits::BACKLOG_BYTES && before - bytes <= limits::BACKLOG_BYTES {
            self.room.notify_one();
        }
    }

    /// Whether more may be read.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Acquire) <= limits::BACKLOG_BYTES && !self.held.load(Ordering::Acquire)
    }

    /// Holds back all output, or lets it come again.
    pub(super) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Release);
        self.room.notify_one();
    }

    /// Whether there is room for what may be dropped.
    pub(super) fn has_much_room(&self) -> bool {
        self.bytes.load(Ordering::Acquire) <= limits::BACKLOG_BYTES / 2
    }

    /// Waits until more may be read. One waiter at a time: the run of its process.
    pub(super) async fn room(&self) {
        while !self.has_room() {
            self.room.notified().await;
        }
    }
}
