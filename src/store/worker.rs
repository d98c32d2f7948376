//! The one store thread of the process: commits what is queued, gives the answers, tries again what failed.
//!
//! It is started at first use and serves all data directories. It is not joined: the end of the process ends it,
//! and who wants everything written before flushes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::shared::Shared;
use crate::limits;

static THREAD: Mutex<Option<Sender<Arc<Shared>>>> = Mutex::new(None);

/// Has the store thread look at this store, if there is anything to do. Where no thread can be started, the
/// caller does its work.
pub(super) fn wake(store: &Arc<Shared>) {
    // Once is enough for everything that is queued: a second look would only repeat what has just failed.
    if !store.queue().schedule() {
        return;
    }
    let mut sender = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if sender.is_none() {
        *sender = start();
    }
    let sent = sender
        .as_ref()
        .is_some_and(|sender| sender.send(Arc::clone(store)).is_ok());
    drop(sender);
    if !sent {
        serve(store);
    }
}

fn start() -> Option<Sender<Arc<Shared>>> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().name("clearctx-store".to_owned());
    thread.spawn(move || run(&receiver)).ok().map(|_| sender)
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
}

fn retry(store: &Arc<Shared>) {
    store.commit_queued();
    answer(store);
}

fn answer(store: &Shared) {
    loop {
        // The queue must not be locked while an answer is given: it may queue the next change.
        let Some(answer) = store.queue().next_answer() else {
            return;
        };
        // The panic hook has reported it; the others still get their answers.
        drop(catch_unwind(AssertUnwindSafe(answer)));
    }
}
