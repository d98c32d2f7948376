//! Who commits what is queued. Usually the I/O thread, before it sleeps, or while that sleeps the thread that brings the
//! change: an append costs less than waking another thread. What may take longer is the store thread's, and what failed
//! it tries again. The folding thread brings `sessions.json` up to date, so that a big one holds no answer up.
//!
//! Each of the two is started at first use and serves all data directories. They are not joined: the end of the process ends them,
//! and who wants everything written before flushes.

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
static FOLDER: Inbox = Mutex::new(None);

/// Has somebody look at this store, if there is anything to do that nobody knows of.
pub(super) fn wake(store: &Arc<Shared>) {
    if store.queue().schedule() {
        deferred::defer(store);
    }
}

impl Task for Shared {
    /// On the I/O thread with all else that comes before it sleeps. In the order of the wakes: JavaScript, woken for what
    /// came before, is on its way while the commit is done.
    fn run(self: Arc<Self>) {
        wakes::wake(&self);
    }
}

impl Waker for Shared {
    fn wake(self: Arc<Self>) {
        while self.commit_if_short() {
            self.queue().unschedule();
            give_answers(&self);
            wake_folder(&self);
            // More may have been queued meanwhile; what could not be written is for the store thread to try again.
            if !self.queue().schedule() {
                return;
            }
        }
        hand_over(&self);
    }
}

/// Has the store thread look at this store. Where no thread can be started, the caller does its work.
fn hand_over(store: &Arc<Shared>) {
    // Once is enough for everything that is queued: a second look would only repeat what has just failed.
    if !send(&THREAD, "clearctx-store", run, store) {
        serve(store);
    }
}

/// Has the folding thread look at this store, if something is planned that it does not know of.
pub(super) fn wake_folder(store: &Arc<Shared>) {
    {
        let mut plan = store.plan();
        if plan.due.is_none() || mem::replace(&mut plan.known, true) {
            return;
        }
    }
    // Without a thread the next commit plans again; nothing is lost but time.
    if !send(&FOLDER, "clearctx-fold", fold, store) {
        store.plan().known = false;
    }
}

/// Hands a store to a thread, which is started if it does not run.
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

/// Each store is known once, and kept alive until it has been folded.
fn fold(inbox: &Receiver<Arc<Shared>>) {
    let mut planned: Vec<(Instant, Arc<Shared>)> = Vec::new();
    loop {
        let first = planned.iter().map(|(due, _)| *due).min();
        let received = match first {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(store) => planned.extend(next_fold(store)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = planned.drain(..).partition(|(due, _)| *due <= now);
        planned = later;
        for (_, store) in due {
            // The panic hook has reported it; the other stores still get their turn.
            drop(catch_unwind(AssertUnwindSafe(|| store.fold_due())));
            planned.extend(next_fold(store));
        }
    }
}

fn next_fold(store: Arc<Shared>) -> Option<(Instant, Arc<Shared>)> {
    let mut plan = store.plan();
    let due = plan.due;
    plan.known = due.is_some();
    drop(plan);
    due.map(|due| (due, store))
}

fn run(receiver: &Receiver<Arc<Shared>>) {
    // Kept alive here until they are saved, whether or not a handle is left.
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
    // What could not be saved before goes along with a commit somebody waits for; else it has its own time.
    let waited_for = store.queue().unschedule();
    if waited_for {
        store.commit_queued();
    }
    answer(store);
    wake_folder(store);
}

fn retry(store: &Arc<Shared>) {
    store.commit_queued();
    answer(store);
    wake_folder(store);
}

fn answer(store: &Shared) {
    let (count, has_flush) = store.queue().over();
    // After the count was taken: what is written from here on is answered after the next sync.
    let synced = store.sync();
    let folded = if has_flush {
        store.fold_all(u64::MAX)
    } else {
        Ok(())
    };
    store.queue().answer(count, &synced, &folded);
    wakes::together(|| give_answers(store));
}

fn give_answers(store: &Shared) {
    if !store.queue().begin_to_give() {
        return;
    }
    loop {
        // The queue must not be locked while an answer is given: it may queue the next change.
        let Some(answer) = store.queue().next_answer() else {
            return;
        };
        // The panic hook has reported it; the others still get their answers.
        drop(catch_unwind(AssertUnwindSafe(answer)));
    }
}
