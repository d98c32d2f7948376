//! Coalesces wakes: they wait until the thread has finished its present work, so that many events cost one wake.
//!
//! Waking a sleeping thread costs more than most of the work it is woken for. So the I/O thread handles all pipes that are
//! ready and collects the wakes. It performs them before it sleeps, or when the first one has waited for
//! [`limits::WAKE_DELAY`]. Other threads wake at once, except within [`together`].

use crate::limits;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Wakes a consumer: a JavaScript environment, the store.
pub trait Waker: Send + Sync {
    /// Wakes it.
    fn wake(self: Arc<Self>);
}

#[derive(Default)]
struct Pending {
    /// How many callers collect at present.
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

/// Runs `work`, and performs the wakes that it caused at its end, once each.
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

/// Performs all waiting wakes, and the wakes that these cause.
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

/// Performs all waiting wakes if the first has waited long enough, since a busy thread may not sleep for a while.
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
