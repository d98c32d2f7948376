//! One I/O thread for the whole process, with all pipes, timers and process ends. It knows no session.
//!
//! - [`wakes`]: combines the wakes of one round of that thread
//! - [`deferred`]: short work that the thread does while it is awake, and its caller does while it sleeps
//!
//! Started at first use and kept: an idle thread costs nothing and holds nothing open. State that belongs to
//! one JavaScript environment is not here (worker threads load the same library).

pub(crate) mod deferred;
pub mod wakes;

use crate::error::{Error, Result};
use crate::limits;
use once_cell::sync::OnceCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::{Builder, Handle};

/// The runtime of the I/O thread, which the first call starts.
///
/// # Errors
/// `ERR_INTERNAL` if the thread cannot be created.
pub fn handle() -> Result<&'static Handle> {
    static HANDLE: OnceCell<Handle> = OnceCell::new();
    HANDLE.get_or_try_init(start).map_err(|error| Error::Internal {
        reason: format!("cannot start the I/O thread: {error}"),
    })
}

fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_park(|| {
            wakes::flush();
            deferred::before_sleep();
            // The deferred work may have brought more.
            wakes::flush();
        })
        .on_thread_unpark(deferred::after_sleep)
        .max_blocking_threads(limits::BLOCKING_THREADS)
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("clearctx-io".to_owned())
        .spawn(move || {
            wakes::begin();
            runtime.block_on(std::future::pending::<()>());
        })?;
    Ok(handle)
}

/// A number that is unique in this process, for sessions and for calls whose outcome comes later. Begins at 1.
pub fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
