//! One JavaScript environment (the main thread or a worker): its event queue, its sessions, its end.
//!
//! Events of any thread go into the queue; a call without payload wakes JavaScript, which takes them in slices.
//! After the environment has ended, events are dropped.

use crate::queue::Queue;
use crate::rows::{JsText, Rows};
use clearctx_core::error::Error;
use clearctx_core::process::one_shot::Cancel;
use clearctx_core::process::{keeper, left_over};
use clearctx_core::runtime;
use clearctx_core::runtime::wakes::{self, Waker};
use clearctx_core::session::event::Event;
use clearctx_core::session::handle::Session;
use clearctx_core::session::outbox::EventSink;
use clearctx_core::session::state::State;
use clearctx_core::store::Store;
use napi::bindgen_prelude::{Env, Function, FunctionRef};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Result, Status};
use napi_derive::napi;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Wakes JavaScript. Weak: it does not keep the event loop alive.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// Keeps the event loop alive while it is there; never called.
type Hold = ThreadsafeFunction<(), (), (), Status, false, false>;

/// What waits for JavaScript. The kinds are numbered in `js/host.js`.
pub(crate) enum Item {
    Session(u64, Event),
    /// A fork or a flush has ended: number, JSON of the outcome, or its error.
    Done(u64, std::result::Result<String, Error>),
    /// Why there is no keeper.
    Warning(String),
}

impl Item {
    /// What it belongs to, among everything the process has numbered.
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Session(number, _) | Self::Done(number, _) => *number,
            // Numbers begin at 1.
            Self::Warning(_) => 0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Session(_, event) => event.backlog_bytes(),
            Self::Done(..) | Self::Warning(_) => 0,
        }
    }
}

/// The environment's shared part, reachable from every thread.
pub(crate) struct HostQueue {
    /// `None` once the environment has ended.
    items: Mutex<Option<Queue>>,
    /// See [`EventSink::tick`].
    ticks: AtomicU64,
    wake: Wake,
    sessions: Mutex<HashMap<u64, Session>>,
    forks: Mutex<HashMap<u64, Cancel>>,
    /// For the last write when the environment ends.
    stores: Mutex<Vec<Store>>,
    hears_of_keeper: AtomicBool,
    is_worker: bool,
}

impl HostQueue {
    /// Queues an item and wakes JavaScript if it rests.
    pub(crate) fn push(self: &Arc<Self>, item: Item) {
        let mut items = lock(&self.items);
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

    /// Takes what waits, up to the bounds. If nothing waits, JavaScript rests until it is woken.
    fn take(&self) -> Vec<Item> {
        lock(&self.items).as_mut().map(Queue::take).unwrap_or_default()
    }

    pub(crate) fn add_session(self: &Arc<Self>, session: &Session) {
        self.hear_of_keeper();
        lock(&self.sessions).insert(session.number(), session.clone());
    }

    pub(crate) fn add_store(&self, store: &Store) {
        let mut stores = lock(&self.stores);
        if !stores.iter().any(|known| known.data_dir() == store.data_dir()) {
            stores.push(store.clone());
        }
    }

    pub(crate) fn add_fork(self: &Arc<Self>, number: u64) -> Cancel {
        self.hear_of_keeper();
        lock(&self.forks).entry(number).or_default().clone()
    }

    /// Lets JavaScript know if there is no keeper, once in the process.
    fn hear_of_keeper(self: &Arc<Self>) {
        static WARNED: AtomicBool = AtomicBool::new(false);
        let Ok(runtime) = runtime::handle() else { return };
        if self.hears_of_keeper.swap(true, Ordering::Relaxed) {
            return;
        }
        let queue = Arc::downgrade(self);
        runtime.spawn(async move {
            let reason = keeper::failure().await;
            if let Some(queue) = queue.upgrade().filter(|queue| lock(&queue.items).is_some())
                && !WARNED.swap(true, Ordering::Relaxed)
            {
                queue.push(Item::Warning(reason));
            }
        });
    }

    pub(crate) fn remove_fork(&self, number: u64) {
        lock(&self.forks).remove(&number);
    }

    pub(crate) fn cancel_fork(&self, number: u64) {
        if let Some(fork) = lock(&self.forks).get(&number) {
            fork.cancel();
        }
    }

    /// Stops everything that lives: records say so, processes end.
    fn stop_all(&self) {
        let sessions = self.live();
        for session in &sessions {
            session.leave();
        }
        if self.is_worker
            && let Ok(runtime) = runtime::handle()
        {
            // The process lives on; else its keeper does the same.
            let instances = sessions.iter().map(|session| session.instance().clone());
            runtime.spawn(left_over::end(instances.collect()));
        }
        for fork in lock(&self.forks).values() {
            fork.cancel();
        }
    }

    fn taken(&self, number: u64, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if let Some(session) = lock(&self.sessions).get(&number) {
            session.taken(bytes);
        }
    }

    /// The item waits no more: JavaScript takes it, or nobody does.
    fn leaves(&self, item: &Item) {
        if let Item::Session(number, event) = item {
            self.taken(*number, event.backlog_bytes());
            if matches!(event, Event::Close { .. }) {
                lock(&self.sessions).remove(number);
            }
        }
    }

    /// The environment ends: its sessions are stopped; the process-wide thread sees to the rest.
    fn end(&self) {
        let mut dropped = lock(&self.items).take().unwrap_or_default();
        while let Some(item) = dropped.pop() {
            self.leaves(&item);
        }
        self.stop_all();
        self.write_stores();
    }

    /// Brings the stores up to date, now: the process may end before the store thread gets to it.
    fn write_stores(&self) {
        for store in lock(&self.stores).iter() {
            // There is nobody left to tell of an error.
            let _ = store.settle(u64::MAX);
        }
    }

    /// Sessions that have not ended. The list is copied first: a session's own lock comes before the list's.
    fn live(&self) -> Vec<Session> {
        let mut sessions: Vec<Session> = lock(&self.sessions).values().cloned().collect();
        sessions.retain(|session| !session.read(State::has_ended));
        sessions
    }
}

/// Tells one session's events to its environment.
pub(crate) struct SessionOwner {
    pub(crate) queue: Arc<HostQueue>,
    pub(crate) number: u64,
}

impl EventSink for SessionOwner {
    fn emit(&self, event: Event) {
        self.queue.push(Item::Session(self.number, event));
    }

    fn tick(&self) -> u64 {
        self.queue.ticks.load(Ordering::Acquire)
    }
}

impl Waker for HostQueue {
    fn wake(self: Arc<Self>) {
        // Fails only when the environment is ending.
        self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }
}

/// The environment, as `js/host.js` holds it.
#[napi]
pub struct Host {
    queue: Arc<HostQueue>,
    callback: FunctionRef<(), ()>,
    hold: Option<Hold>,
}

#[napi]
impl Host {
    /// `wake` is called without arguments when there is something to take; `keeper` is the program of that name;
    /// `is_worker` tells an environment whose end is not that of the process.
    #[napi(constructor, catch_unwind)]
    pub fn new(env: &Env, wake: Function<'_, (), ()>, keeper: String, is_worker: bool) -> Result<Self> {
        keeper::set_program(Path::new(&keeper));
        let callback = wake.create_ref()?;
        let wake: Wake = wake
            .build_threadsafe_function::<()>()
            .weak::<true>()
            .build_callback(|_| Ok(()))?;
        let queue = Arc::new(HostQueue {
            items: Mutex::new(Some(Queue::default())),
            ticks: AtomicU64::new(0),
            wake,
            sessions: Mutex::default(),
            forks: Mutex::default(),
            stores: Mutex::default(),
            hears_of_keeper: AtomicBool::new(false),
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

    /// Keeps the event loop alive, or no longer.
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

    /// Takes what waits: one JSON array of rows, then the big texts that belong to them, in order. Empty if nothing
    /// waits: then `wake` is called when there is something.
    #[napi(catch_unwind, ts_return_type = "Array<string>")]
    pub fn take(&self) -> Vec<JsText> {
        let items = self.queue.take();
        if items.is_empty() {
            return Vec::new();
        }
        let mut rows = Rows::default();
        for item in items {
            self.queue.leaves(&item);
            rows.push(item);
        }
        rows.finish()
    }

    /// What the program did without a pause is over: see `EventSink::tick`.
    #[napi(catch_unwind)]
    pub fn end_tick(&self) {
        self.queue.ticks.fetch_add(1, Ordering::Release);
    }

    /// The environment is about to end: stops everything and brings the records up to date, in one write a store.
    #[napi(catch_unwind)]
    pub fn end(&self) {
        self.queue.stop_all();
        self.queue.write_stores();
    }

    pub(crate) fn queue(&self) -> Arc<HostQueue> {
        Arc::clone(&self.queue)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counters of one process stay far below 2^53"
)]
pub(crate) fn to_number(number: u64) -> f64 {
    number as f64
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
