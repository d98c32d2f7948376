//! Wakes that wait until the thread has done what it is at: many events, one wake.
//!
//! Waking a sleeping thread costs more than most of what it is woken for. The I/O thread batches: it handles all pipes
//! that are ready, and wakes whoever has something to take before it sleeps itself, or when the first of them has waited
//! for [`limits::WAKE_DELAY`]. Other threads wake at once, except within [`together`].

use crate::limits;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Somebody who may have to be woken.
pub trait Sleeper: Send + Sync {
    /// Wakes it.
    fn wake(self: Arc<Self>);
}

#[derive(Default)]
struct Batch {
    /// How many reasons there are to collect.
    depth: usize,
    sleepers: VecDeque<Arc<dyn Sleeper>>,
    since: Option<Instant>,
}

thread_local! {
    static BATCH: RefCell<Batch> = RefCell::default();
}

/// Collects the wakes of this thread from now on; its owner calls [`flush`].
pub fn begin() {
    BATCH.with_borrow_mut(|batch| batch.depth += 1);
}

/// Runs `work`, and wakes whom it had to wake once at its end.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            let is_last = BATCH.with_borrow_mut(|batch| {
                batch.depth -= 1;
                batch.depth == 0
            });
            if is_last {
                flush();
            }
        }
    }
    begin();
    let _end = End;
    work()
}

/// Wakes `sleeper`: now, or with the batch.
pub fn wake(sleeper: &Arc<impl Sleeper + 'static>) {
    let now = BATCH.with_borrow_mut(|batch| {
        if batch.depth == 0 {
            return true;
        }
        batch.since.get_or_insert_with(Instant::now);
        let address = Arc::as_ptr(sleeper).cast::<()>();
        let is_known = |known: &Arc<dyn Sleeper>| Arc::as_ptr(known).cast::<()>() == address;
        if !batch.sleepers.iter().any(is_known) {
            let shared = Arc::clone(sleeper);
            batch.sleepers.push_back(shared);
        }
        false
    });
    if now {
        Arc::clone(sleeper).wake();
    }
}

/// Wakes all that wait, and whom they wake in turn.
pub fn flush() {
    let next = || {
        BATCH.with_borrow_mut(|batch| {
            batch.since = None;
            batch.sleepers.pop_front()
        })
    };
    while let Some(sleeper) = next() {
        sleeper.wake();
    }
}

/// Wakes all that wait, if the first has waited long enough: a busy thread may not sleep for a while.
pub fn flush_if_late() {
    let is_late = BATCH.with_borrow(|batch| {
        batch
            .since
            .is_some_and(|since| since.elapsed() >= limits::WAKE_DELAY)
    });
    if is_late {
        flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Sleeper for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_of_one_batch_are_one() {
        let (one, two) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let counts = || [&one, &two].map(|count| count.0.load(Ordering::Relaxed));
        wake(&one);
        assert_eq!(counts(), [1, 0]);
        together(|| {
            wake(&one);
            together(|| wake(&two));
            wake(&one);
            assert_eq!(counts(), [1, 0]);
        });
        assert_eq!(counts(), [2, 1]);
        wake(&two);
        assert_eq!(counts(), [2, 2]);
    }

    #[test]
    fn a_thread_that_does_not_sleep_wakes_all_the_same() {
        let one = Arc::new(Count::default());
        together(|| {
            wake(&one);
            std::thread::sleep(limits::WAKE_DELAY);
            flush_if_late();
            assert_eq!(one.0.load(Ordering::Relaxed), 1);
        });
    }
}
