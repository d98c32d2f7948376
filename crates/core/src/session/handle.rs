//! A session for its callers: cloneable, usable from any thread, never blocking.
//!
//! - `changes`: the way of every change of its state
//! - `incarnation`: the processes that carry the session, one after the other
//! - `recording`: the data for its record, and messages that wait for the record
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
use std::time::{Duration, Instant};
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
    /// The version of the messages without an answer that the record's writer got last.
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

    /// The id that no other session has, in any process. It is in the environment of the session's processes and in the
    /// owner of its record.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.shared.instance
    }

    /// The options with which the session was started.
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
            deltas,
        } = subscriptions;
        let bits =
            u8::from(messages) | u8::from(content) << 1 | u8::from(stderr) << 2 | u8::from(deltas) << 3;
        self.shared.subscriptions.store(bits, Ordering::Relaxed);
    }

    pub(super) fn subscriptions(&self) -> Subscriptions {
        let bits = self.shared.subscriptions.load(Ordering::Relaxed);
        // A program may add its listeners right after it has sent, and still hears the whole turn.
        let may_listen = self.shared.sent_at.load(Ordering::Acquire) == self.shared.outbox.tick();
        Subscriptions {
            messages: bits & 1 != 0 || may_listen,
            content: bits & 2 != 0,
            stderr: bits & 4 != 0,
            deltas: bits & 8 != 0 || may_listen,
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

    /// See [`State::control`].
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn control(&self, call: u64, request: &str, timeout: Option<Duration>) -> Result<(Status, u64)> {
        self.call(|state| state.control(call, request, timeout, Instant::now()))
    }

    /// See [`State::interrupt`].
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn interrupt(&self, call: u64, drop_queue: bool, timeout: Option<Duration>) -> Result<(Status, u64)> {
        self.call(|state| state.interrupt(call, drop_queue, timeout, Instant::now()))
    }

    /// See [`State::abort`].
    pub fn abort(&self, send: u64) -> (Status, u64) {
        let status = self.apply(|state| state.abort(send, Instant::now()));
        self.order(Order::Look);
        status
    }

    /// See [`State::answer`]. Returns whether the request still wanted an answer.
    pub fn answer(&self, id: &str, outcome: std::result::Result<&str, &str>) -> bool {
        let mut wanted = false;
        self.apply(|state| {
            let effects = state.answer(id, outcome, Instant::now());
            wanted = effects.is_some();
            effects.unwrap_or_default()
        });
        // The turn's own time goes on.
        self.order(Order::Look);
        wanted
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
        self.call(|state| state.resume(Instant::now()))
    }

    /// Ends the process of an idle session, in order, and keeps the session: see [`State::suspend`]. Returns whether the
    /// session is suspended or being suspended; `false` if it has work.
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

    /// Starts the next process of a suspended session, which continues the conversation. Does nothing for other sessions.
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

    /// Stops the session because the program, or the part of it that owns the session, ends, and marks the record. The keeper
    /// ends the process, or the caller does if the program lives on. Without a keeper a running turn is interrupted here; an
    /// idle CLI ends with its input, and so with the program.
    pub fn leave(&self) {
        let busy = self.read(State::has_turn);
        self.stop();
        self.save();
        if let Some(process) = self.process().filter(|_| busy && !keeper::watches()) {
            process.interrupt();
        }
    }

    /// Called after a panic: the supervisor of the session ends it.
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

    /// Sets the totals of earlier processes, or those of the caller.
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

    /// Waits until the session has ended and all its events were emitted.
    pub async fn ended(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// The sink has taken this many bytes of messages.
    pub fn taken(&self, bytes: usize) {
        self.shared.backlog.taken(bytes);
    }

    /// Stops reading the output, or goes on: for a program that does not keep up and wants to lose nothing.
    pub fn hold_output(&self, held: bool) {
        self.shared.backlog.hold(held);
        self.order(Order::Look);
    }

    pub(super) fn backlog(&self) -> &Backlog {
        &self.shared.backlog
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }
}
