//! How long a thread waits for locks of the store: [`limits::STORE_LOCK_WAIT`] in all the steps of one call together.
//!
//! A call may make several commits: a delete that ends a session, the stop of many sessions. While another program holds
//! the lock, each of them would wait anew, and the JavaScript thread with them. What has waited in vain tries once from
//! then on.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use crate::limits;

thread_local! {
    static CALL: Cell<Under> = const {
        Cell::new(Under {
            calls: 0,
            left: Duration::ZERO,
        })
    };
}

/// The call that the thread is in.
#[derive(Clone, Copy)]
struct Under {
    /// How many calls have begun within each other.
    calls: u32,
    /// How long the outermost one may still wait.
    left: Duration,
}

/// A call of the present thread, until dropped. One that begins within another belongs to it.
#[must_use]
pub struct Call(PhantomData<*const ()>);

impl Call {
    /// Begins a call.
    pub fn begin() -> Self {
        begin();
        Self(PhantomData)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        end();
    }
}

/// Begins a call that ends with [`end`]: for callers that cannot keep a [`Call`].
pub fn begin() {
    let mut call = CALL.get();
    if call.calls == 0 {
        call.left = limits::STORE_LOCK_WAIT;
    }
    call.calls += 1;
    CALL.set(call);
}

/// Ends what [`begin`] began.
pub fn end() {
    let mut call = CALL.get();
    call.calls = call.calls.saturating_sub(1);
    CALL.set(call);
}

/// How long the thread may still wait.
pub(super) fn left() -> Duration {
    let call = CALL.get();
    if call.calls == 0 {
        limits::STORE_LOCK_WAIT
    } else {
        call.left
    }
}

/// Until when the thread waits that begins to wait now.
pub(super) fn deadline() -> Instant {
    Instant::now() + left()
}

/// Waits, and counts the time.
pub(super) fn spend<T>(wait: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let waited_for = wait();
    let mut call = CALL.get();
    call.left = call.left.saturating_sub(begun.elapsed());
    CALL.set(call);
    waited_for
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    #[test]
    fn the_steps_of_a_call_wait_no_longer_than_one() {
        let most = limits::STORE_LOCK_WAIT;
        let pause = Duration::from_millis(20);
        let waited = || most.saturating_sub(left());
        let call = Call::begin();
        spend(|| sleep(pause));
        let inner = Call::begin();
        spend(|| sleep(pause));
        drop(inner);
        assert!(waited() >= 2 * pause);
        drop(call);
        assert!(waited() < pause);
        spend(|| sleep(pause));
        assert!(waited() < pause);
    }
}
