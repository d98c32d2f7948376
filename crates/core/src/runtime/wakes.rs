//! Coalesces wakes: they wait until the thread has done what it is at, so that many events cost one wake.
//!
//! Waking a sleeping thread costs more than most of what it is woken for. The I/O thread batches: it handles all pipes
//! that are ready, and wakes whoever has something to take before it sleeps itself, or when the first of them has waited
//! for [`limits::WAKE_DELAY`]. Other threads wake at once, except within [`together`].

use crate::limits;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Wakes somebody: a JavaScript environment, the store.
pub trait Waker: Send + Sync {
    /// Does it.
    fn wake(self: Arc<Self>);
}

#[derive(Default)]
struct Pending {
    /// How many reasons there are to collect.
    depth: usize,
    wakers: VecDeque<Arc<dyn Waker>>,
    since: Option<Instant>,
}

thread_local! {
    static PENDING: RefCell<Pending> = RefCell::default();
}

/// Collects the wakes of this thread from now on; its owner calls [`flush`].
pub fn begin() {
    PENDING.with_borrow_mut(|pending| pending.depth += 1);
}

/// Runs `work`, and wakes whom it had to wake once at its end.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            let is_last = PENDING.with_borrow_mut(|pending| {
                pending.depth -= 1;
                pending.depth == 0
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

/// Calls `waker`: now, or together with those that wait.
pub fn wake(waker: &Arc<impl Waker + 'static>) {
    let now = PENDING.with_borrow_mut(|pending| {
        if pending.depth == 0 {
            return true;
        }
        pending.since.get_or_insert_with(Instant::now);
        let address = Arc::as_ptr(waker).cast::<()>();
        let is_known = |known: &Arc<dyn Waker>| Arc::as_ptr(known).cast::<()>() == address;
        if !pending.wakers.iter().any(is_known) {
            let shared = Arc::clone(waker);
            pending.wakers.push_back(shared);
        }
        false
    });
    if now {
        Arc::clone(waker).wake();
    }
}

/// Wakes all that wait, and whom they wake in turn.
pub fn flush() {
    let next = || {
        PENDING.with_borrow_mut(|pending| {
            pending.since = None;
            pending.wakers.pop_front()
        })
    };
    while let Some(waker) = next() {
        waker.wake();
    }
}

/// Wakes all that wait, if the first has waited long enough: a busy thread may not sleep for a while.
pub fn flush_if_late() {
    let is_late = PENDING.with_borrow(|pending| {
        pending
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

    impl Waker for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_that_are_collected_come_once() {
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
