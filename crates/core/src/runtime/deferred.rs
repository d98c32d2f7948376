//! Deferred work: short tasks of other threads that the I/O thread runs while it is awake. Waking it costs more than most
//! of these tasks, so while it sleeps the caller runs them.

use parking_lot::Mutex;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Short work that any thread may do and that never blocks.
pub(crate) trait Task: Send + Sync {
    /// Does the work.
    fn run(self: Arc<Self>);
}

static AWAKE: AtomicBool = AtomicBool::new(false);
static DEFERRED: Mutex<Vec<Arc<dyn Task>>> = Mutex::new(Vec::new());

/// Makes the I/O thread run the task if it is awake; otherwise runs it here.
pub(crate) fn defer(task: &Arc<impl Task + 'static>) {
    if !AWAKE.load(Ordering::Relaxed) {
        Arc::clone(task).run();
        return;
    }
    let shared = Arc::clone(task);
    DEFERRED.lock().push(shared);
    // It may have fallen asleep in between, before it saw the task. Both orders are total.
    if !AWAKE.load(Ordering::SeqCst) {
        run_deferred();
    }
}

/// Runs the deferred tasks. The I/O thread also calls it after each read, since a busy thread may not sleep for a while.
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
