//! Whether the I/O thread is awake, and what is left to it while it is. Waking it costs more than most of what others
//! want of it, so they do that themselves while it sleeps.

use parking_lot::Mutex;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something short that any thread may do and that never blocks.
pub trait Chore: Send + Sync {
    /// Does it.
    fn carry_out(self: Arc<Self>);
}

static AWAKE: AtomicBool = AtomicBool::new(false);
static LEFT: Mutex<Vec<Arc<dyn Chore>>> = Mutex::new(Vec::new());

/// Has the I/O thread do the chore if it is awake; else does it here.
pub fn leave(chore: &Arc<impl Chore + 'static>) {
    if !AWAKE.load(Ordering::Relaxed) {
        Arc::clone(chore).carry_out();
        return;
    }
    let shared = Arc::clone(chore);
    left().push(shared);
    // It may have fallen asleep meanwhile: then it looked before the chore was there. Both orders are total.
    if !AWAKE.load(Ordering::SeqCst) {
        carry_out();
    }
}

/// Does what was left to the I/O thread.
pub fn carry_out() {
    let chores = mem::take(&mut *left());
    for chore in chores {
        chore.carry_out();
    }
}

/// The I/O thread is about to sleep.
pub fn falls_asleep() {
    AWAKE.store(false, Ordering::SeqCst);
    carry_out();
}

/// The I/O thread is awake.
pub fn wakes_up() {
    AWAKE.store(true, Ordering::SeqCst);
}

fn left() -> parking_lot::MutexGuard<'static, Vec<Arc<dyn Chore>>> {
    LEFT.lock()
}
