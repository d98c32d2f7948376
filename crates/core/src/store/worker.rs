//! Which thread commits the queue. Usually the I/O thread commits before it sleeps; while it sleeps, the thread that
//! queues the change commits, since an append costs less than waking another thread. The store thread does commits that
//! may take longer, and retries those that failed. The export thread brings `sessions.json` up to date, so that a big
//! file delays no answer.
//!
//! The store thread and the export thread are started at first use and serve all data directories. They are not joined:
//! they end with the process. Call `flush` first if everything must be on disk.

use parking_lot::Mutex;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use super::shared::Shared;
use crate::limits;
use crate::runtime::deferred::{self, Task};
use crate::runtime::wakes::{self, Waker};

type Inbox = Mutex<Option<Sender<Arc<Shared>>>>;

static THREAD: Inbox = Mutex::new(None);
static EXPORTER: Inbox = Mutex::new(None);

/// Makes a thread process this store, if it has work that no thread knows of.
pub(super) fn wake(store: &Arc<Shared>) {
    if store.queue().schedule() {
        deferred::defer(store);
    }
}

impl Task for Shared {
    /// Runs on the I/O thread, with the other work before it sleeps, in the order of the wakes: JavaScript, which was woken
    /// for earlier events, is on its way while the commit runs.
    fn run(self: Arc<Self>) {
        wakes::wake(&self);
    }
}

impl Waker for Shared {
    fn wake(self: Arc<Self>) {
        while self.commit_if_short() {
            self.queue().unschedule();
            give_answers(&self);
            wake_exporter(&self);
            // More may have been queued by now; changes that could not be written are the store thread's to retry.
            if !self.queue().schedule() {
                return;
            }
        }
        hand_over(&self);
    }
}

/// Makes the store thread process this store. If no thread can be started, the caller does the work.
fn hand_over(store: &Arc<Shared>) {
    // One run suffices for the whole queue: a second one would only repeat what has just failed.
    if !send(&THREAD, "clearctx-store", run, store) {
        serve(store);
    }
}

/// Makes the export thread process this store, if an export is planned that it does not know of.
pub(super) fn wake_exporter(store: &Arc<Shared>) {
    {
        let mut plan = store.plan();
        if plan.due.is_none() || mem::replace(&mut plan.known, true) {
            return;
        }
    }
    // Without a thread the next commit plans again; only time is lost.
    if !send(&EXPORTER, "clearctx-export", export, store) {
        store.plan().known = false;
    }
}

/// Hands a store to a thread; starts the thread if it does not run.
fn send(inbox: &Inbox, name: &str, work: fn(&Receiver<Arc<Shared>>), store: &Arc<Shared>) -> bool {
    let mut sender = inbox.lock();
    if sender.is_none() {
        let (new, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned());
        *sender = thread.spawn(move || work(&receiver)).ok().map(|_| new);
    }
    sender
        .as_ref()
        .is_some_and(|sender| sender.send(Arc::clone(store)).is_ok())
}

/// Each store is known once, and kept alive until it has been exported.
fn export(inbox: &Receiver<Arc<Shared>>) {
    let mut planned: Vec<(Instant, Arc<Shared>)> = Vec::new();
    loop {
        let first = planned.iter().map(|(due, _)| *due).min();
        let received = match first {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(store) => planned.extend(next_export(store)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = planned.drain(..).partition(|(due, _)| *due <= now);
        planned = later;
        for (_, store) in due {
            // The panic hook has reported it; the other stores still get their turn.
            drop(catch_unwind(AssertUnwindSafe(|| store.export_due())));
            planned.extend(next_export(store));
        }
    }
}

fn next_export(store: Arc<Shared>) -> Option<(Instant, Arc<Shared>)> {
    let mut plan = store.plan();
    let due = plan.due;
    plan.known = due.is_some();
    drop(plan);
    due.map(|due| (due, store))
}

fn run(receiver: &Receiver<Arc<Shared>>) {
    // Kept alive here until their changes are saved, even if no handle is left.
    let mut unsaved: Vec<Arc<Shared>> = Vec::new();
    let mut retry_at = Instant::now();
    loop {
        let next = if unsaved.is_empty() {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            receiver.recv_timeout(retry_at.saturating_duration_since(Instant::now()))
        };
        match next {
            Ok(store) => {
                serve(&store);
                if store.queue().has_unsaved() && !unsaved.iter().any(|known| Arc::ptr_eq(known, &store)) {
                    if unsaved.is_empty() {
                        retry_at = Instant::now() + limits::STORE_RETRY;
                    }
                    unsaved.push(store);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                unsaved.iter().for_each(retry);
                retry_at = Instant::now() + limits::STORE_RETRY;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        unsaved.retain(|store| store.queue().has_unsaved());
    }
}

fn serve(store: &Arc<Shared>) {
    // Changes that could not be saved before go along with a commit that a caller waits for; else they have their own time.
    let waited_for = store.queue().unschedule();
    if waited_for {
        store.commit_queued();
    }
    answer(store);
    wake_exporter(store);
}

fn retry(store: &Arc<Shared>) {
    store.commit_queued();
    answer(store);
    wake_exporter(store);
}

fn answer(store: &Shared) {
    let (count, has_flush) = store.queue().over();
    // After the count was taken: changes written from here on are answered after the next sync.
    let synced = store.sync();
    let exported = if has_flush {
        store.export_all(u64::MAX, limits::STORE_EXPORT_WAIT)
    } else {
        Ok(())
    };
    store.queue().answer(count, &synced, &exported);
    wakes::together(|| give_answers(store));
}

fn give_answers(store: &Shared) {
    if !store.queue().begin_to_give() {
        return;
    }
    loop {
        // The queue must not be locked while an answer is given, since that may queue the next change.
        let Some(answer) = store.queue().next_answer() else {
            return;
        };
        // The panic hook has reported the panic; other callers still get their answers.
        drop(catch_unwind(AssertUnwindSafe(answer)));
    }
}
