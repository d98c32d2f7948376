//! What the whole process shares: one I/O thread for all pipes, timers and process ends of all sessions, and
//! the list of sessions whose process lives.
//!
//! Started at first use and kept: an idle thread costs nothing and holds nothing open. State that belongs to
//! one JavaScript environment is not here (worker threads load the same library).

use crate::batch;
use crate::error::{Error, Result};
use crate::limits;
use crate::session::handle::Session;
use crate::wakefulness;
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::{Builder, Handle};

static ENGINE: OnceCell<Engine> = OnceCell::new();

/// The shared parts.
pub struct Engine {
    runtime: Handle,
    sessions: Mutex<HashMap<u64, Session>>,
    numbers: AtomicU64,
}

impl Engine {
    /// The engine of this process.
    ///
    /// # Errors
    /// `ERR_INTERNAL` if the I/O thread cannot be created.
    pub fn get() -> Result<&'static Self> {
        ENGINE.get_or_try_init(Self::start)
    }

    fn start() -> Result<Self> {
        let failed = |error: std::io::Error| Error::Internal {
            reason: format!("cannot start the I/O thread: {error}"),
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(|| {
                batch::flush();
                wakefulness::falls_asleep();
                // What was left to this thread may have brought more.
                batch::flush();
            })
            .on_thread_unpark(wakefulness::wakes_up)
            .max_blocking_threads(limits::BLOCKING_THREADS)
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("clearctx-io".to_owned())
            .spawn(move || {
                batch::begin();
                runtime.block_on(std::future::pending::<()>());
            })
            .map_err(failed)?;
        Ok(Self {
            runtime: handle,
            sessions: Mutex::default(),
            numbers: AtomicU64::new(1),
        })
    }

    /// The runtime of the I/O thread.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// A number that no other session of this process has.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Lists a session until [`Engine::remove`].
    pub fn add(&self, session: &Session) {
        self.lock().insert(session.number(), session.clone());
    }

    /// The session has ended.
    pub fn remove(&self, number: u64) {
        self.lock().remove(&number);
    }

    /// Sessions of this conversation whose process is on its way out.
    pub fn ending(&self, conversation: &str) -> Vec<Session> {
        self.all()
            .into_iter()
            .filter(|session| session.is_ending(conversation))
            .collect()
    }

    /// Whether a session that lives has this conversation.
    pub fn has(&self, conversation: &str, home: u64) -> bool {
        self.all().iter().any(|session| session.is_in(conversation, home))
    }

    /// The session of this id, if it lives in this process.
    pub fn find(&self, instance: &str) -> Option<Session> {
        self.lock()
            .values()
            .find(|session| session.instance().as_str() == instance)
            .cloned()
    }

    /// The list is copied before a session is asked: a session's own lock comes before the list's.
    fn all(&self) -> Vec<Session> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<u64, Session>> {
        self.sessions.lock()
    }
}
