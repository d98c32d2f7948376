//! One JavaScript environment (the main thread or a worker): its event queue, its sessions, its end.
//!
//! Events from any thread go into the queue; a call without payload wakes JavaScript, which takes them in slices.
//! After the environment has ended, events are dropped.

use crate::notices::{JsText, to_js};
use crate::queue::Queue;
use clearctx_core::api::{Notice, Warning};
use clearctx_core::process::{keeper, left_over};
use clearctx_core::runtime;
use clearctx_core::runtime::wakes::{self, Waker};
use clearctx_core::session::event::Event;
use clearctx_core::session::handle::Session;
use clearctx_core::session::outbox::EventSink;
use clearctx_core::session::state::State;
use clearctx_core::store::{Store, patience};
use clearctx_core::warnings::{self, Listener};
use napi::bindgen_prelude::{Env, Function, FunctionRef};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Result, Status};
use napi_derive::napi;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Wakes JavaScript. Weak: it does not keep the event loop alive.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// Keeps the event loop alive while it exists; never called.
type Hold = ThreadsafeFunction<(), (), (), Status, false, false>;

/// The environment's shared part, reachable from every thread.
pub(crate) struct EnvironmentQueue {
    /// `None` once the environment has ended.
    items: Mutex<Option<Queue>>,
    /// See [`EventSink::tick`].
    ticks: AtomicU64,
    wake: Wake,
    sessions: Mutex<HashMap<u64, Session>>,
    /// The stores to write when the environment ends.
    stores: Mutex<Vec<Store>>,
    hears_of_warnings: AtomicBool,
    is_worker: bool,
}

impl EnvironmentQueue {
    /// Queues an item and wakes JavaScript if it sleeps.
    pub(crate) fn push(self: &Arc<Self>, item: Notice) {
        let mut items = self.items.lock();
        let Some(queue) = items.as_mut() else {
            drop(items);
            self.leaves(&item);
            return;
        };
        if queue.push(item) {
            drop(items);
            wakes::wake(self);
        }
    }

    /// Takes waiting items, up to the bounds. If nothing waits, JavaScript sleeps until it is woken.
    fn take(&self) -> Vec<Notice> {
        self.items.lock().as_mut().map(Queue::take).unwrap_or_default()
    }

    pub(crate) fn add_session(self: &Arc<Self>, session: &Session) {
        self.hear_of_warnings();
        self.sessions.lock().insert(session.number(), session.clone());
    }

    pub(crate) fn add_store(&self, store: &Store) {
        let mut stores = self.stores.lock();
        if !stores.iter().any(|known| known.data_dir() == store.data_dir()) {
            stores.push(store.clone());
        }
    }

    /// Sends warnings to JavaScript, from the first process on.
    fn hear_of_warnings(self: &Arc<Self>) {
        if !self.hears_of_warnings.swap(true, Ordering::Relaxed) {
            warnings::listen(self);
        }
    }

    /// Stops all live sessions: marks their records and ends their processes.
    fn stop_all(&self) {
        let sessions = self.live();
        for session in &sessions {
            session.leave();
        }
        if self.is_worker
            && let Ok(runtime) = runtime::handle()
        {
            // Only if the process lives on; otherwise its keeper does the same.
            let instances = sessions.iter().map(|session| session.instance().clone());
            runtime.spawn(left_over::end(instances.collect()));
        }
    }

    fn taken(&self, number: u64, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if let Some(session) = self.sessions.lock().get(&number) {
            session.taken(bytes);
        }
    }

    /// Notes that the item waits no longer: JavaScript takes it, or it is dropped.
    fn leaves(&self, item: &Notice) {
        if let Notice::Event {
            session: number,
            event,
        } = item
        {
            self.taken(*number, event.backlog_bytes());
            if matches!(event, Event::Close { .. }) {
                self.sessions.lock().remove(number);
            }
        }
    }

    /// Ends the environment: stops its sessions; the process-wide I/O thread does the rest.
    fn end(&self) {
        let mut dropped = self.items.lock().take().unwrap_or_default();
        while let Some(item) = dropped.pop() {
            self.leaves(&item);
        }
        self.stop_all();
        self.write_stores();
    }

    /// Brings the stores up to date at once, since the process may end before the store thread does it.
    fn write_stores(&self) {
        for store in self.stores.lock().iter() {
            // An error can no longer be reported.
            let _ = store.export_now(u64::MAX);
        }
    }

    /// Sessions that have not ended. The list is copied first: a session's own lock comes before the list's.
    fn live(&self) -> Vec<Session> {
        let mut sessions: Vec<Session> = self.sessions.lock().values().cloned().collect();
        sessions.retain(|session| !session.read(State::has_ended));
        sessions
    }
}

/// Passes one session's events to its environment.
pub(crate) struct SessionSink {
    pub(crate) queue: Arc<EnvironmentQueue>,
    pub(crate) number: u64,
}

impl EventSink for SessionSink {
    fn emit(&self, event: Event) {
        self.queue.push(Notice::Event {
            session: self.number,
            event,
        });
    }

    fn tick(&self) -> u64 {
        self.queue.ticks.load(Ordering::Acquire)
    }
}

impl Listener for EnvironmentQueue {
    fn hear(self: Arc<Self>, warning: &Warning) -> bool {
        let lives = self.items.lock().is_some();
        if lives {
            let warning = warning.clone();
            self.push(Notice::Warning { warning });
        }
        lives
    }
}

impl Waker for EnvironmentQueue {
    fn wake(self: Arc<Self>) {
        // Fails only when the environment is ending.
        self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }
}

/// The environment, as `js/environment.js` holds it.
#[napi]
pub struct NativeEnvironment {
    queue: Arc<EnvironmentQueue>,
    callback: FunctionRef<(), ()>,
    hold: Option<Hold>,
}

#[napi]
impl NativeEnvironment {
    /// `wake` is called without arguments when there is something to take; `keeper` is the keeper's program; `is_worker`
    /// marks an environment whose end is not the end of the process.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: &Env, wake: Function<'_, (), ()>, keeper: String, is_worker: bool) -> Result<Self> {
        keeper::set_program(Path::new(&keeper));
        let callback = wake.create_ref()?;
        let wake: Wake = wake
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .build_callback(|_| Ok(()))?;
        let queue = Arc::new(EnvironmentQueue {
            items: Mutex::new(Some(Queue::default())),
            ticks: AtomicU64::new(0),
            wake,
            sessions: Mutex::default(),
            stores: Mutex::default(),
            hears_of_warnings: AtomicBool::new(false),
            is_worker,
        });
        env.add_env_cleanup_hook(Arc::clone(&queue), |queue| queue.end())?;
        Ok(Self {
            queue,
            callback,
            hold: None,
        })
    }

    /// URL of the addon's file.
    #[napi(catch_unwind)]
    pub fn addon_url(env: &Env) -> Result<String> {
        env.get_module_file_name()
    }

    /// Sets whether the event loop is kept alive.
    #[napi(catch_unwind)]
    pub fn hold(&mut self, env: &Env, on: bool) -> Result<()> {
        self.hold = match (on, self.hold.take()) {
            (false, _) => None,
            (true, Some(hold)) => Some(hold),
            (true, None) => {
                let callback = self.callback.borrow_back(env)?;
                Some(
                    callback
                        .build_threadsafe_function::<()>()
                        .build_callback(|_| Ok(()))?,
                )
            }
        };
        Ok(())
    }

    /// Takes waiting notices: one JSON array of notices, then their separate texts, in order. Empty if nothing waits: `wake`
    /// is then called when there is something.
    #[napi(catch_unwind, ts_return_type = "Array<string>")]
    pub fn take(&self) -> Vec<JsText> {
        let notices = self.queue.take();
        if notices.is_empty() {
            return Vec::new();
        }
        for notice in &notices {
            self.queue.leaves(notice);
        }
        to_js(notices)
    }

    /// Notes that the program has paused: see `EventSink::tick`.
    #[napi(catch_unwind)]
    pub fn end_tick(&self) {
        self.queue.ticks.fetch_add(1, Ordering::Release);
    }

    /// Begins a call of several steps, which wait for locks of the store no longer than one would.
    #[napi(catch_unwind)]
    pub fn begin_call() {
        patience::begin();
    }

    /// Ends it.
    #[napi(catch_unwind)]
    pub fn end_call() {
        patience::end();
    }

    /// Called before the environment ends: stops everything and brings the records up to date, in one write a store.
    #[napi(catch_unwind)]
    pub fn end(&self) {
        self.queue.stop_all();
        self.queue.write_stores();
    }

    pub(crate) fn queue(&self) -> Arc<EnvironmentQueue> {
        Arc::clone(&self.queue)
    }
}
