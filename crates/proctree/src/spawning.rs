//! One start of a process at a time, where starts disturb each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held while descriptors for a child are made and the child is started.
#[must_use]
pub struct Spawning(#[expect(dead_code, reason = "it is held, not read")] Option<MutexGuard<'static, ()>>);

static STARTS: Mutex<()> = Mutex::new(());

/// Waits until no other thread starts a process in this way.
///
/// macOS makes a pipe and marks it as not to be inherited in two steps. A process that another thread starts in between
/// inherits it, and the pipe then ends only with that process. Elsewhere nothing is waited for.
pub fn spawning() -> Spawning {
    Spawning(cfg!(target_vendor = "apple").then(hold))
}

fn hold() -> MutexGuard<'static, ()> {
    STARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_start_waits_for_the_one_before() {
        let first = hold();
        let (started, news) = mpsc::channel();
        let second = std::thread::spawn(move || {
            let _held = hold();
            started.send(()).expect("somebody waits");
        });
        assert!(STARTS.try_lock().is_err());
        assert!(news.try_recv().is_err());
        drop(first);
        news.recv().expect("the second start");
        second.join().expect("no panic");
    }
}
