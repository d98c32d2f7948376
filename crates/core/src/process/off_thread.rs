//! Work of a few ms that must not hold up the I/O thread, and must be done even if the system has no threads left.

use std::sync::Arc;
use tokio::sync::oneshot;

/// Runs `work` on a thread of its own, or here if the system has no thread left.
pub(crate) async fn run(work: impl Fn() + Send + Sync + 'static) {
    let (done, over) = oneshot::channel();
    let work = Arc::new(work);
    let theirs = Arc::clone(&work);
    let thread = std::thread::Builder::new().name("clearctx-work".to_owned());
    let started = thread.spawn(move || {
        theirs();
        // The waiter may be gone.
        let _ = done.send(());
    });
    match started {
        // An error is a panic, which the hook has reported.
        Ok(_) => drop(over.await),
        Err(_) => work(),
    }
}
