//! Deferred work: what other threads want done the I/O thread does, if it is awake. Waking it costs more than most of
//! that work, so while it sleeps the caller does it.

use parking_lot::Mutex;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something short that any thread may do and that never blocks.
pub(crate) trait Task: Send + Sync {
    /// Does it.
    fn run(self: Arc<Self>);
}

static AWAKE: AtomicBool = AtomicBool::new(false);
static DEFERRED: Mutex<Vec<Arc<dyn Task>>> = Mutex::new(Vec::new());

/// Has the I/O thread run the task if it is awake; else runs it here.
pub(crate) fn defer(task: &Arc<impl Task + 'static>) {
    if !AWAKE.load(Ordering::Relaxed) {
        Arc::clone(task).run();
        return;
    }
    let shared = Arc::clone(task);
    DEFERRED.lock().push(shared);
    // It may have fallen asleep meanwhile: then it looked before the task was there. Both orders are total.
    if !AWAKE.load(Ordering::SeqCst) {
        run_deferred();
    }
}

/// Runs what is deferred. On the I/O thread after each read, too: a busy thread may not sleep for a while.
pub(crate) fn run_deferred() {
    let tasks = mem::take(&mut *DEFERRED.lock());
    for task in tasks {
        task.run();
    }
}

/// The I/O thread is about to sleep.
pub(super) fn before_sleep() {
    AWAKE.store(false, Ordering::SeqCst);
    run_deferred();
}

/// The I/O thread is awake again.
pub(super) fn after_sleep() {
    AWAKE.store(true, Ordering::SeqCst);
}
