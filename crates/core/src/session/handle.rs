//! A session as the outside holds it: cloneable, usable from any thread, never blocking.
//!
//! - `changes`: what every change of its state goes through
//! - `incarnation`: the processes that carry the session, one after the other
//! - `recording`: what its record is given, and what waits for it
//! - `conversation`: its lock on the conversation

mod changes;
mod conversation;
mod incarnation;
mod recording;

pub(super) use incarnation::{Link, Mailbox, Order, Supervisor};

use super::backlog::Backlog;
use super::effect::{Message, Subscriptions};
use super::outbox::{EventSink, Outbox};
use super::record::Writer;
use super::state::State;
use super::status::Status;
use crate::error::Result;
use crate::fs::conversation_lock::ConversationLock;
use crate::options::{SavedTotals, SessionOptions};
use crate::process::keeper;
use clearctx_proctree::InstanceId;
use incarnation::Incarnations;
use parking_lot::{Mutex, MutexGuard};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// A session. Dropping all handles does not end it; `stop` and `kill` do.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    number: u64,
    instance: InstanceId,
    options: Arc<SessionOptions>,
    state: Mutex<State>,
    outbox: Outbox,
    incarnations: Mutex<Incarnations>,
    supervisor: Arc<dyn Supervisor>,
    subscriptions: AtomicU8,
    /// The sink's tick at the last send.
    sent_at: AtomicU64,
    backlog: Backlog,
    writer: OnceLock<Arc<dyn Writer>>,
    ended: watch::Sender<bool>,
    failed: Notify,
    /// Which version of the messages without an answer was given to the record's writer last.
    noted: AtomicU64,
    /// Lock on the conversation, and the directory in which to take the next one.
    conversation_lock: Mutex<Option<ConversationLock>>,
    hosts: OnceLock<Option<PathBuf>>,
}

impl Session {
    /// A session that has not been started.
    pub(super) fn new(
        number: u64,
        instance: InstanceId,
        options: Arc<SessionOptions>,
        sink: Box<dyn EventSink>,
        supervisor: Arc<dyn Supervisor>,
    ) -> Self {
        let shared = Shared {
            number,
            instance,
            state: Mutex::new(State::new(Arc::clone(&options))),
            options,
            outbox: Outbox::new(sink),
            incarnations: Mutex::default(),
            supervisor,
            subscriptions: AtomicU8::new(0),
            sent_at: AtomicU64::new(u64::MAX),
            backlog: Backlog::default(),
            writer: OnceLock::new(),
            ended: watch::Sender::new(false),
            failed: Notify::new(),
            noted: AtomicU64::new(0),
            conversation_lock: Mutex::default(),
            hosts: OnceLock::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The number that no other session of this process has.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.shared.number
    }

    /// What no other session has, in any process: the id in the environment of its processes, and the token
    /// by which its record is known as its own.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.shared.instance
    }

    /// What the session was started with.
    #[must_use]
    pub fn options(&self) -> &Arc<SessionOptions> {
        &self.shared.options
    }

    /// Sets which lines are emitted.
    pub fn subscribe(&self, subscriptions: Subscriptions) {
        let Subscriptions {
            messages,
            content,
            stderr,
        } = subscriptions;
        let bits = u8::from(messages) | u8::from(content) << 1 | u8::from(stderr) << 2;
        self.shared.subscriptions.store(bits, Ordering::Relaxed);
    }

    pub(super) fn subscriptions(&self) -> Subscriptions {
        let bits = self.shared.subscriptions.load(Ordering::Relaxed);
        // The program that sends may add its listeners in the same breath, and hears the whole turn.
        let may_listen = self.shared.sent_at.load(Ordering::Acquire) == self.shared.outbox.tick();
        Subscriptions {
            messages: bits & 1 != 0 || may_listen,
            content: bits & 2 != 0,
            stderr: bits & 4 != 0,
        }
    }

    /// Reads the state.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Takes a message. A suspended session gets its next process for it.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn send(&self, message: Message) -> Result<(Status, u64)> {
        let tick = self.shared.outbox.tick();
        self.shared.sent_at.store(tick, Ordering::Release);
        self.call(|state| state.send(message, Instant::now()))
    }

    /// See [`State::pause`].
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn pause(&self) -> Result<(Status, u64)> {
        self.call(State::pause)
    }

    /// See [`State::resume`].
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn resume(&self) -> Result<(Status, u64)> {
        self.call(State::resume)
    }

    /// Ends the process of an idle session, in order, and keeps the session: see [`State::suspend`]. Returns whether
    /// the session is suspended or on its way there; `false` if it has something to do.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn suspend(&self) -> Result<bool> {
        let mut suspends = true;
        self.call(|state| {
            let effects = state.suspend(Instant::now())?;
            suspends = effects.is_some();
            Ok(effects.unwrap_or_default())
        })?;
        Ok(suspends)
    }

    /// Starts the next process of a suspended session, which goes on with the conversation. Nothing for any other.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn wake(&self) -> Result<(Status, u64)> {
        self.call(State::wake)
    }

    /// See [`State::stop`].
    pub fn stop(&self) -> (Status, u64) {
        let status = self.apply(|state| state.stop(Instant::now()));
        self.order(Order::Look);
        status
    }

    /// See [`State::kill`].
    pub fn kill(&self) -> (Status, u64) {
        let status = self.apply(|state| state.kill(Instant::now()));
        self.order(Order::Look);
        status
    }

    /// Stops the session because the program, or the part of it that owns the session, ends: its record says so. The
    /// process is the keeper's to end, or the caller's where the program lives on. Without a keeper a turn that runs is
    /// interrupted here; an idle CLI ends by the end of its input, which comes with the end of the program.
    pub fn leave(&self) {
        let busy = self.read(State::has_turn);
        self.stop();
        self.save();
        if let Some(process) = self.process().filter(|_| busy && !keeper::watches()) {
            process.interrupt();
        }
    }

    /// Something panicked: whoever supervises the session ends it.
    pub(super) fn fail(&self) {
        self.shared.failed.notify_one();
        if !self.has_incarnation() {
            self.shared.supervisor.failed(self);
        }
    }

    /// Waits for [`Session::fail`].
    pub(super) async fn failed(&self) {
        self.shared.failed.notified().await;
    }

    /// Sets what earlier processes cost, or what the caller says.
    pub fn set_totals(&self, cost_usd: f64, turns: u64) {
        self.lock().set_totals(cost_usd, turns);
    }

    /// See [`State::await_totals`].
    pub fn await_totals(&self) {
        self.lock().await_totals();
    }

    /// See [`State::restore`].
    pub fn restore(&self, cost_usd: f64, turns: u64, cli_totals: Option<SavedTotals>) {
        self.lock().restore(cost_usd, turns, cli_totals);
    }

    /// Waits until the session has ended and everything was emitted.
    pub async fn ended(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// The sink has taken this many bytes of messages.
    pub fn taken(&self, bytes: usize) {
        self.shared.backlog.taken(bytes);
    }

    pub(super) fn backlog(&self) -> &Backlog {
        &self.shared.backlog
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }
}
