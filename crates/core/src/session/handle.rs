//! A session as the outside holds it: cloneable, usable from any thread, never blocking.
//!
//! Every change goes through [`Session::apply`]: the state changes under its mutex and the effects are carried
//! out before the mutex is released, so their order is the order of the changes. No effect blocks.

use super::backlog::Backlog;
use super::effect::{Effect, Message, Subscriptions};
use super::event::{Event, Turn};
use super::guards::{PanicGuard, PendingWrite, StoreAck};
use super::outbox::{EventSink, Outbox, Ticket};
use super::record::{Fields, Stored, Totals, Writer};
use super::state::State;
use super::status::Status;
use crate::error::Result;
use crate::fs::conversation_lock::{CliProcess, ConfigDirId, ConversationLock};
use crate::options::{SavedTotals, SessionOptions};
use crate::process::child::{Process, Started};
use crate::process::input::InputPipe;
use crate::process::keeper;
use clearctx_proctree::InstanceId;
use parking_lot::{Mutex, MutexGuard};
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::{Notify, mpsc, watch};

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
    input: OnceLock<Arc<InputPipe>>,
    orders: mpsc::UnboundedSender<Order>,
    subscriptions: AtomicU8,
    /// The sink's tick at the last send.
    sent_at: AtomicU64,
    backlog: Backlog,
    pid: AtomicU32,
    writer: OnceLock<Arc<dyn Writer>>,
    process: OnceLock<Arc<Process>>,
    ended: watch::Sender<bool>,
    /// When the run looks at the deadlines by itself; locked after the state.
    timer: Mutex<Option<Instant>>,
    failed: Notify,
    /// Which version of the messages without an answer was given to the record's writer last.
    noted: AtomicU64,
    /// Lock on the conversation, and the directory in which to take the next one.
    conversation_lock: Mutex<Option<ConversationLock>>,
    hosts: OnceLock<Option<PathBuf>>,
}

/// For the task that drives the process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Interrupt,
    KillTree,
    /// A deadline may have changed.
    Look,
}

/// The receiving ends, for the run.
pub(super) struct Mailbox {
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
}

impl Session {
    /// A session that has not been started.
    pub(super) fn new(
        number: u64,
        instance: InstanceId,
        options: SessionOptions,
        sink: Box<dyn EventSink>,
    ) -> (Self, Mailbox) {
        let (orders, orders_end) = mpsc::unbounded_channel();
        let options = Arc::new(options);
        let shared = Shared {
            number,
            instance,
            state: Mutex::new(State::new(Arc::clone(&options))),
            options,
            outbox: Outbox::new(sink),
            input: OnceLock::new(),
            orders,
            subscriptions: AtomicU8::new(0),
            sent_at: AtomicU64::new(u64::MAX),
            backlog: Backlog::default(),
            pid: AtomicU32::new(0),
            writer: OnceLock::new(),
            process: OnceLock::new(),
            ended: watch::Sender::new(false),
            timer: Mutex::new(None),
            failed: Notify::new(),
            noted: AtomicU64::new(0),
            conversation_lock: Mutex::default(),
            hosts: OnceLock::new(),
        };
        let session = Self {
            shared: Arc::new(shared),
        };
        (session, Mailbox { orders: orders_end })
    }

    /// The number that no other session of this process has.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.shared.number
    }

    /// What no other session has, in any process: the id in the environment of its process, and the token
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

    /// Makes `writer` keep the session's record. To be called once, before the process is started.
    pub fn keep_record(&self, writer: Arc<dyn Writer>) {
        // A second writer would be a defect of the binding; the first one stays.
        let _ = self.shared.writer.set(writer);
    }

    /// What the record says of the session at this moment. Messages without an answer have their own way into it, which
    /// keeps their order.
    #[must_use]
    pub fn record_fields(&self) -> Fields {
        self.fields(&self.lock())
    }

    /// JSON of the messages without an answer.
    #[must_use]
    pub fn pending(&self) -> Box<RawValue> {
        let state = self.lock();
        let (_, list) = state.pending();
        super::turn::raw(list())
    }

    /// The messages without an answer, if the record's writer was not given them as they are.
    fn news_of_pending(&self, state: &State) -> Option<Box<RawValue>> {
        let (version, list) = state.pending();
        // In the order of the changes: the state is locked.
        let before = self.shared.noted.swap(version, Ordering::Relaxed);
        (before != version).then(|| super::turn::raw(list()))
    }

    fn fields(&self, state: &State) -> Fields {
        let (cost_usd, turns) = state.totals();
        let totals = Totals {
            cost_usd,
            turns,
            cli: state.ledger().totals(),
        };
        Fields {
            status: state.status().0,
            session_id: state.session_id().map(ToOwned::to_owned),
            totals: Some(totals).filter(|_| state.knows_totals()),
            pid: self.pid().filter(|_| !state.has_ended()),
            pending: None,
            revision: state.revision(),
        }
    }

    fn fields_with_pending(&self, state: &State) -> Fields {
        Fields {
            pending: self.news_of_pending(state),
            ..self.fields(state)
        }
    }

    /// Sets which lines are emitted.
    pub fn subscribe(&self, subscriptions: Subscriptions) {
        let bits = u8::from(subscriptions.messages)
            | u8::from(subscriptions.content) << 1
            | u8::from(subscriptions.stderr) << 2;
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

    /// The process id, once there is a process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Some(self.shared.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    /// Reads the state.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Takes a message.
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

    /// Saves the record's fields, later.
    pub fn save(&self) {
        self.save_fields(&self.lock());
    }

    /// Stops the session because the program, or the part of it that owns the session, ends: its record says so. The
    /// process is the keeper's to end, or the caller's where the program lives on. Without a keeper a turn that runs is
    /// interrupted here; an idle CLI ends by the end of its input, which comes with the end of the program.
    pub fn leave(&self) {
        let busy = self.read(State::has_turn);
        self.stop();
        self.save();
        if let Some(process) = self.shared.process.get().filter(|_| busy && !keeper::watches()) {
            process.interrupt();
        }
    }

    /// The process, once there is one.
    pub(super) fn process(&self) -> Option<&Arc<Process>> {
        self.shared.process.get()
    }

    /// Something panicked: whoever supervises the session ends it.
    pub(super) fn fail(&self) {
        self.shared.failed.notify_one();
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

    /// Whether this session's process is on its way out of this conversation.
    #[must_use]
    pub fn is_ending(&self, conversation: &str) -> bool {
        let state = self.lock();
        state.conversation() == Some(conversation) && !state.is_alive() && !state.has_ended()
    }

    /// Whether this session lives in this conversation.
    #[must_use]
    pub fn is_in(&self, conversation: &str, config_dir: ConfigDirId) -> bool {
        let state = self.lock();
        let held = self.conversation_lock();
        let is_there = held.as_ref().is_some_and(|held| held.config_dir() == config_dir);
        is_there && state.conversation() == Some(conversation) && state.is_alive()
    }

    /// Keeps the lock on the session's conversation until its process has ended.
    pub(super) fn hold(&self, lock: ConversationLock, hosts: Option<&Path>) {
        // A session is started once.
        let _ = self.shared.hosts.set(hosts.map(Path::to_owned));
        *self.conversation_lock() = Some(lock);
    }

    /// Gives the conversation back.
    pub(super) fn give_back(&self) {
        *self.conversation_lock() = None;
    }

    /// After a `/clear` the process writes to another conversation, whose id nobody else can know yet.
    fn follow(&self, state: &State) {
        let mut lock = self.conversation_lock();
        let (Some(held), Some(conversation)) = (lock.as_ref(), state.conversation()) else {
            return;
        };
        if held.conversation() == conversation {
            return;
        }
        let hosts = self.shared.hosts.get().and_then(Option::as_deref);
        if let Ok(next) = ConversationLock::take(conversation, held.config_dir(), hosts) {
            next.note(self.cli_process());
            *lock = Some(next);
        }
    }

    fn cli_process(&self) -> CliProcess {
        CliProcess {
            pid: self.pid().unwrap_or_default(),
            instance: self.shared.instance.clone(),
        }
    }

    fn conversation_lock(&self) -> MutexGuard<'_, Option<ConversationLock>> {
        self.shared.conversation_lock.lock()
    }

    /// Waits until the process has ended and everything was emitted.
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

    /// Emits something that is no change of the state.
    pub(super) fn emit(&self, event: Event) {
        self.shared.backlog.emitted(event.backlog_bytes());
        self.shared.outbox.emit(event);
    }

    /// Changes the state and carries out what follows from it.
    pub(super) fn apply(&self, change: impl FnOnce(&mut State) -> Vec<Effect>) -> (Status, u64) {
        let _guard = PanicGuard(|| self.fail());
        let mut state = self.lock();
        let effects = change(&mut state);
        self.perform(effects, &state);
        state.status()
    }

    /// A change from outside the run.
    fn call(&self, change: impl FnOnce(&mut State) -> Result<Vec<Effect>>) -> Result<(Status, u64)> {
        let _guard = PanicGuard(|| self.fail());
        let mut state = self.lock();
        let effects = change(&mut state)?;
        self.perform(effects, &state);
        self.wake_for_deadline(&state);
        Ok(state.status())
    }

    fn perform(&self, effects: Vec<Effect>, state: &State) {
        for effect in effects {
            match effect {
                Effect::Write(line) => self.write(line, state),
                Effect::EndInput => self.input(|input| input.end()),
                Effect::Interrupt => self.order(Order::Interrupt),
                Effect::KillTree => self.order(Order::KillTree),
                Effect::Emit(event) => {
                    if matches!(event, Event::Init { .. }) {
                        self.follow(state);
                    }
                    self.emit(event);
                }
                Effect::Save => self.save_fields(state),
                Effect::Record(turn) => self.record_turn(turn, state),
            }
        }
        self.note(state);
        if state.has_ended() {
            self.give_back();
            self.shared.ended.send_replace(true);
        }
    }

    /// Writes a message once the record has it: a host that ends in between has lost nothing.
    fn write(&self, line: String, state: &State) {
        match self.shared.writer.get() {
            Some(writer) => {
                // A store that cannot be written stops no message: its turn will say so, with the answer.
                let session = self.clone();
                let pending = PendingWrite::new(move || session.write_now(line));
                writer.note(self.news_of_pending(state), Box::new(move |_| pending.write()));
            }
            None => self.write_now(line),
        }
    }

    fn write_now(&self, line: String) {
        self.input(|input| input.write(line));
    }

    /// Tells the record of messages that came or went without a line being written.
    fn note(&self, state: &State) {
        let Some(writer) = self.shared.writer.get() else {
            return;
        };
        if let Some(pending) = self.news_of_pending(state) {
            writer.note(Some(pending), Box::new(|_| {}));
        }
    }

    fn save_fields(&self, state: &State) {
        let Some(writer) = self.shared.writer.get() else {
            return;
        };
        let ticket = self.shared.outbox.hold(None);
        writer.save(self.fields_with_pending(state), self.release_when_stored(ticket));
    }

    fn record_turn(&self, mut turn: Box<Turn>, state: &State) {
        let Some(writer) = self.shared.writer.get() else {
            self.emit(Event::Turn(turn));
            return;
        };
        // Moved, not copied: an answer may have 100 MiB.
        let interaction = std::mem::replace(&mut turn.interaction, RawValue::NULL.to_owned());
        self.shared.backlog.emitted(turn.backlog_bytes());
        let ticket = self.shared.outbox.hold(Some(turn));
        let fields = self.fields_with_pending(state);
        writer.add_turn(interaction, fields, self.release_when_stored(ticket));
    }

    fn release_when_stored(&self, ticket: Ticket) -> Stored {
        let session = self.clone();
        let ack = StoreAck::new(move |stored| session.shared.outbox.release(ticket, stored));
        Box::new(move |stored| ack.give(stored))
    }

    fn input(&self, work: impl FnOnce(&Arc<InputPipe>)) {
        // Nothing is written before there is a process.
        if let Some(input) = self.shared.input.get() {
            work(input);
        }
    }

    /// Has the run look at the deadlines if one comes before its timer. A turn's deadline comes after that of the
    /// turn before, so turns do not wake it.
    fn wake_for_deadline(&self, state: &State) {
        let timer = *self.timer();
        if let Some(deadline) = state.next_deadline()
            && timer.is_none_or(|at| deadline < at)
        {
            self.order(Order::Look);
        }
    }

    /// When the run must look at the deadlines: never later than the next one. The timer of a deadline that is no
    /// more stays.
    pub(super) fn set_timer(&self) -> Option<Instant> {
        let deadline = self.lock().next_deadline();
        let mut timer = self.timer();
        *timer = match (*timer, deadline) {
            (Some(timer), Some(deadline)) => Some(timer.min(deadline)),
            (timer, deadline) => timer.or(deadline),
        };
        *timer
    }

    /// The timer is over.
    pub(super) fn timer_is_over(&self) {
        *self.timer() = None;
    }

    fn timer(&self) -> MutexGuard<'_, Option<Instant>> {
        self.shared.timer.lock()
    }

    fn order(&self, order: Order) {
        // Fails only when the process has ended: then there is nothing to see to.
        let _ = self.shared.orders.send(order);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }

    /// Takes the process, unless the session was ended meanwhile: then the caller ends the process.
    pub(super) fn has_process(&self, started: &Started) -> bool {
        let process = &started.process;
        let mut state = self.lock();
        // The pid is part of what is saved and emitted from here on.
        self.shared.pid.store(process.pid(), Ordering::Relaxed);
        let Some(effects) = state.started() else {
            return false;
        };
        if let Some(lock) = &*self.conversation_lock() {
            lock.note(self.cli_process());
        }
        // A session has one process in its life.
        let _ = self.shared.process.set(Arc::clone(process));
        let _ = self.shared.input.set(Arc::clone(&started.stdin));
        self.perform(effects, &state);
        true
    }
}
