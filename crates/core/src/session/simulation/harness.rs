//! The session under test between its model, its CLI, its store and its sink, all in memory.

use super::cli::{Cli, Habit, Turn};
use super::model::{ANSWERED, Model, Phase};
use super::once_in;
use crate::error::{Error, Result};
use crate::limits;
use crate::protocol::inbound;
use crate::session::delivery::Delivery;
use crate::session::effect::{Effect, Message, Subscriptions};
use crate::session::event::{AskEnd, Event};
use crate::session::handle::{Link, Mailbox, Order, Session, Supervisor};
use crate::session::outbox::EventSink;
use crate::session::record::{Fields, Stored, Writer};
use crate::session::state::State;
use crate::session::status::Status;
use crate::session::turn;
use fastrand::Rng;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest way of a session that is to end: the turn's own time, the steps of the escalation.
const STEPS_TO_A_KILL: usize = 10;

/// What was emitted.
#[derive(Default)]
struct Recorded {
    outcomes: Vec<(u64, &'static str)>,
    /// Sends that failed, and whether the process was said to have got them.
    sent: Vec<(u64, bool)>,
    /// The status that a program shows, and the count of changes up to it.
    status: Option<(Status, u64)>,
    /// Outcomes of calls.
    calls: Vec<u64>,
    /// Requests of the CLI that the program has heard of.
    asks: Vec<String>,
    /// Those that need no answer any more.
    over: Vec<(String, AskEnd)>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    recorded: Mutex<Recorded>,
    /// What waits for the store: the send whose answer it is, if it is one.
    unstored: Mutex<Vec<(Option<u64>, Stored)>>,
    /// The process that was asked for last.
    next: Mutex<Option<Mailbox>>,
}

/// The pipe to the process, which may be full.
#[derive(Debug, Default)]
struct Pipe(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    /// The last message, until the process has got all of it.
    line: Option<String>,
    /// Something of it is on its way.
    begun: bool,
    closed: bool,
}

impl Delivery for Pipe {
    fn withdraw(&self) -> bool {
        let mut content = self.0.lock();
        let is_untouched = !content.begun;
        is_untouched && content.line.take().is_some()
    }

    fn is_complete(&self) -> bool {
        self.0.lock().line.is_none()
    }

    fn give_up(&self) {
        self.0.lock().closed = true;
    }
}

impl Supervisor for Shared {
    fn start_next(&self, _: &Session, mailbox: Mailbox) {
        let before = self.next.lock().replace(mailbox);
        assert!(before.is_none(), "two processes at once");
    }

    fn ended(&self, _: &Session) {}

    fn failed(&self, _: &Session) {
        panic!("nothing is to panic here");
    }
}

struct RecordingSink(Arc<Shared>);

impl EventSink for RecordingSink {
    fn emit(&self, event: Event) {
        let mut recorded = self.0.recorded.lock();
        assert!(!recorded.closed, "emitted after the close: {event:?}");
        let news = match event {
            Event::Turn(turn) => {
                let outcome = if turn.unsaved.is_none() {
                    ANSWERED
                } else {
                    "ERR_STORE"
                };
                recorded.outcomes.extend(turn.send.map(|send| (send, outcome)));
                Some((turn.status, turn.change))
            }
            Event::Failed { sends, error, sent } => {
                let outcomes = sends.iter().map(|send| (*send, error.code()));
                recorded.outcomes.extend(outcomes);
                recorded.sent.extend(sends.into_iter().map(|send| (send, sent)));
                None
            }
            Event::Status { status, change } => Some((status, change)),
            Event::Answered { call, .. } | Event::Refused { call, .. } => {
                recorded.calls.push(call);
                None
            }
            Event::Ask { id, .. } => {
                recorded.asks.push(id);
                None
            }
            Event::AskOver { id, reason } => {
                recorded.over.push((id, reason));
                None
            }
            Event::Close { .. } => {
                recorded.closed = true;
                None
            }
            Event::Init { .. }
            | Event::Message { .. }
            | Event::Delta { .. }
            | Event::Gap { .. }
            | Event::PermissionMode { .. }
            | Event::Retry { .. }
            | Event::Stderr { .. }
            | Event::Error { .. }
            | Event::Warning { .. } => None,
        };
        if let Some((status, change)) = news
            && recorded.status.is_none_or(|(_, known)| known <= change)
        {
            recorded.status = Some((status, change));
        }
    }
}

struct SlowStore(Arc<Shared>);

impl SlowStore {
    fn keep(&self, send: Option<u64>, stored: Stored) {
        let mut unstored = self.0.unstored.lock();
        unstored.push((send, stored));
    }
}

impl Writer for SlowStore {
    fn note(&self, _: Option<Box<RawValue>>, stored: Stored) {
        self.keep(None, stored);
    }

    fn save(&self, _: Fields, stored: Stored) {
        self.keep(None, stored);
    }

    fn add_turn(&self, interaction: Box<RawValue>, _: Fields, stored: Stored) {
        let value: serde_json::Value = serde_json::from_str(interaction.get()).expect("is JSON");
        let prompt = value["prompt"].as_str().expect("has a prompt");
        self.keep(prompt.parse().ok(), stored);
    }
}

/// What was seen of the present process.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
struct Process {
    /// A message was written to it.
    any_write: bool,
    /// Content came since.
    any_content: bool,
    /// An init came before the first message, and no result since.
    open_at_start: bool,
    results: u64,
    /// It was seen to answer without an init.
    learnt: bool,
}

pub(super) struct Harness {
    session: Session,
    mailbox: Mailbox,
    /// What processes that are gone would report through.
    old_links: Vec<Link>,
    habit: Habit,
    process: Process,
    /// Lines that were written since the last check.
    written: RefCell<Vec<String>>,
    /// Control lines that were written since the last check.
    written_controls: RefCell<Vec<String>>,
    /// Calls so far, and requests of the CLI so far.
    calls: u64,
    asks: u64,
    /// Requests of the CLI that wait for the program, with their deadlines.
    open_asks: BTreeMap<String, Instant>,
    /// Those that need no answer any more, since the last check.
    over_asks: RefCell<Vec<String>>,
    /// Requests of the CLI that were answered.
    answered_asks: BTreeSet<String>,
    /// Until when an interrupt may hold back what waits.
    held_until: Instant,
    pipe: Arc<Pipe>,
    /// The process reads nothing for a while.
    deaf: bool,
    /// Sends that a process has got.
    got: BTreeSet<u64>,
    model: Model,
    cli: Cli,
    shared: Arc<Shared>,
    now: Instant,
    sends: u64,
    /// The process has closed its output.
    silent: bool,
    kills: usize,
}

impl Harness {
    pub(super) fn new(habit: Habit) -> Self {
        let json = r#"{"name":"a","model":"m","workDir":"/","timeout":400,"stopTimeout":50,"killTimeout":20,
                "live":{"asksPermission":true,"permissionTimeout":70,"controlTimeout":60}}"#;
        let options = serde_json::from_str(json).expect("test options are complete");
        let shared = Arc::new(Shared::default());
        let sink = Box::new(RecordingSink(Arc::clone(&shared)));
        let supervisor: Arc<Shared> = Arc::clone(&shared);
        let session = Session::new(1, "id".into(), Arc::new(options), sink, supervisor);
        let mailbox = session.begin_incarnation();
        session.keep_record(Arc::new(SlowStore(Arc::clone(&shared))));
        session.subscribe(Subscriptions {
            messages: true,
            ..Subscriptions::default()
        });
        Self {
            session,
            mailbox,
            old_links: Vec::new(),
            habit,
            process: Process::default(),
            written: RefCell::default(),
            written_controls: RefCell::default(),
            calls: 0,
            asks: 0,
            open_asks: BTreeMap::new(),
            over_asks: RefCell::default(),
            answered_asks: BTreeSet::new(),
            held_until: Instant::now(),
            pipe: Arc::default(),
            deaf: false,
            got: BTreeSet::new(),
            model: Model::new(),
            cli: Cli::new(habit),
            shared,
            now: Instant::now(),
            sends: 0,
            silent: false,
            kills: 0,
        }
    }

    pub(super) fn step(&mut self, rng: &mut Rng) {
        match rng.u64(..36) {
            30 => self.interrupt(once_in(rng, 2)),
            31 => self.control(),
            32 if once_in(rng, 2) => self.abort(rng),
            33 => self.answer_ask(),
            0..6 => self.send(Duration::from_millis(20 + rng.u64(..400))),
            6 => self.pause(),
            7 => self.resume(),
            8 if once_in(rng, 2) => self.stop(),
            9 if once_in(rng, 3) => self.kill(),
            10..14 => self.pass(Duration::from_millis(rng.u64(..60))),
            14 if once_in(rng, 6) => self.fail_inside(),
            15..18 => self.answer_of_the_store(rng),
            18 => self.suspend(),
            19 if once_in(rng, 2) => self.wake(),
            20 => self.late_news(),
            _ if self.model.phase == Phase::Starting => self.begin(rng),
            _ if self.model.has_process() => self.process(rng),
            _ => {}
        }
    }

    /// What must hold after each step.
    pub(super) fn check(&mut self) {
        for line in self.written.take() {
            (self.process.any_write, self.process.any_content) = (true, false);
            self.model.written(Cli::send_of(&line));
            *self.pipe.0.lock() = Content {
                line: Some(line),
                ..Content::default()
            };
        }
        if !self.deaf {
            self.read();
        }
        self.check_controls();
        let next = self.shared.next.lock().take();
        if let Some(mailbox) = next {
            self.next_process(mailbox);
        }
        while let Ok(order) = self.mailbox.orders.try_recv() {
            self.kills += usize::from(matches!(order, Order::KillTree));
        }
        let holds = self.session.read(State::holds_messages_back);
        assert!(
            !holds || self.now < self.held_until,
            "an interrupt holds back for ever"
        );
        self.model.check(holds);
        assert_eq!(self.session.read(State::is_alive), self.model.is_alive());
        assert_eq!(
            self.session.read(State::is_suspended),
            self.model.phase == Phase::Suspended
        );
        assert_eq!(
            self.session.read(State::has_ended),
            self.model.phase == Phase::Over
        );
        self.check_outcomes();
    }

    /// Ends what still lives, lets the store answer, and looks at everything that was emitted.
    pub(super) fn end(mut self, rng: &mut Rng) {
        if self.model.phase == Phase::Running && once_in(rng, 2) {
            self.stop();
        } else if self.model.is_alive() {
            self.kill();
        }
        self.check();
        if self.model.phase == Phase::Leaving {
            self.wait_for_the_kill();
            self.exit(None, Some("SIGKILL"));
            self.check();
        }
        while !self.unstored_is_empty() {
            self.answer_of_the_store(rng);
        }
        self.send(Duration::from_secs(1));
        self.stop();
        self.kill();
        self.pass(Duration::from_secs(1));
        self.check();
        let recorded = self.shared.recorded.lock();
        assert!(recorded.closed, "no close was emitted");
        assert_eq!(
            recorded.outcomes.len(),
            self.model.outcomes.len(),
            "not all settled"
        );
        for (send, sent) in &recorded.sent {
            assert!(*sent || !self.got.contains(send), "send {send} was not unsent");
        }
        assert_eq!(recorded.status, Some(self.session.read(State::status)));
        let calls: BTreeSet<u64> = recorded.calls.iter().copied().collect();
        assert_eq!(calls.len(), recorded.calls.len(), "a call was settled twice");
        assert_eq!(
            recorded.calls.len() as u64,
            self.calls,
            "a call was never settled"
        );
        for id in &recorded.asks {
            let ends = recorded
                .over
                .iter()
                .filter(|(over, _)| over == id)
                .map(|(_, reason)| *reason);
            let is_answered = self.answered_asks.contains(id);
            match ends.collect::<Vec<_>>()[..] {
                [] | [AskEnd::Timeout] => assert!(is_answered, "{id} was never answered"),
                [_] => assert!(!is_answered, "{id} was answered, and over"),
                _ => panic!("{id} was over twice"),
            }
        }
    }

    /// Looks at the control lines that were written, and at what became of the CLI's requests.
    fn check_controls(&mut self) {
        for line in self.written_controls.take() {
            if line.contains("\"control_request\"") {
                if line.contains("\"interrupt\"") {
                    self.held_until = self.now + Duration::from_millis(60);
                }
                self.cli.read_request(&line);
            } else {
                let id = line
                    .split("\"request_id\":\"")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next());
                let id = id.expect("an answer names its request").to_owned();
                assert!(self.answered_asks.insert(id.clone()), "{id} was answered twice");
                self.open_asks.remove(&id);
            }
        }
        // Not as they were emitted: that may wait for the store.
        for id in self.over_asks.take() {
            self.open_asks.remove(&id);
        }
        self.model.ask_person(!self.open_asks.is_empty(), self.now);
        let pending = self.session.read(State::pending_permissions);
        assert_eq!(pending, self.open_asks.len());
    }

    /// The process gets what is in its pipe.
    fn read(&mut self) {
        let mut content = self.pipe.0.lock();
        if content.closed {
            return;
        }
        if let Some(line) = content.line.take() {
            self.got.insert(self.cli.read(&line));
        }
    }

    /// The process reads no more for a while, and perhaps after the beginning of a message only.
    fn change_hearing(&mut self, rng: &mut Rng) {
        self.deaf = !self.deaf;
        if self.deaf && once_in(rng, 2) {
            self.pipe.0.lock().begun = true;
        }
    }

    /// The process closes its input.
    fn close_input(&mut self) {
        let has_got_all = {
            let mut content = self.pipe.0.lock();
            content.closed = true;
            // What it has not got it never gets.
            content.begun = true;
            content.line.is_none()
        };
        self.model.input_closed(has_got_all);
        self.apply(|state| state.on_input_closed(self.now));
    }

    /// Each send is settled once, as the model says; answers in the order of the sends.
    fn check_outcomes(&self) {
        let recorded = self.shared.recorded.lock();
        let mut seen = BTreeSet::new();
        let mut last_answer = 0;
        for (send, outcome) in &recorded.outcomes {
            assert!(seen.insert(send), "send {send} was settled twice");
            let expected = self.model.outcomes.get(send).copied().flatten();
            assert_eq!(Some(*outcome), expected, "outcome of send {send}");
            if *outcome == ANSWERED {
                assert!(*send > last_answer, "answers out of order");
                last_answer = *send;
            }
        }
    }

    /// However deaf the process is, its session gets to the kill within the times given.
    fn wait_for_the_kill(&mut self) {
        let before = self.kills;
        for _ in 0..STEPS_TO_A_KILL {
            let at = self
                .session
                .read(State::next_deadline)
                .expect("a session that is to end has a deadline");
            self.pass(at.saturating_duration_since(self.now));
            self.check();
            if self.kills > before {
                return;
            }
        }
        panic!("no kill within {STEPS_TO_A_KILL} deadlines");
    }

    fn unstored_is_empty(&self) -> bool {
        self.shared.unstored.lock().is_empty()
    }

    fn apply(&self, change: impl FnOnce(&mut State) -> Vec<Effect>) {
        self.session.apply(|state| {
            let effects = change(state);
            let lines = effects.iter().filter_map(|effect| match effect {
                Effect::Write(line) => Some(line.clone()),
                _ => None,
            });
            self.written.borrow_mut().extend(lines);
            let controls = effects.iter().filter_map(|effect| match effect {
                Effect::WriteControl(line) => Some(line.clone()),
                _ => None,
            });
            self.written_controls.borrow_mut().extend(controls);
            let over = effects.iter().filter_map(|effect| match effect {
                Effect::Emit(Event::AskOver { id, .. }) => Some(id.clone()),
                _ => None,
            });
            self.over_asks.borrow_mut().extend(over);
            effects
        });
    }

    fn send(&mut self, timeout: Duration) {
        self.sends += 1;
        let send = self.sends;
        let message = Message {
            send,
            content: format!("\"m{send}\""),
            prompt: turn::raw(format!("\"{send}\"")),
            uuid: None,
            timeout,
        };
        let mut refusal = None;
        self.apply(|state| {
            state.send(message, self.now).unwrap_or_else(|error| {
                refusal = Some(error.code());
                Vec::new()
            })
        });
        if self.model.is_alive() {
            assert_eq!(refusal, None);
            self.model.send(send, self.now + timeout);
        } else {
            assert_eq!(refusal, Some("ERR_SESSION_NOT_ALIVE"));
        }
    }

    fn interrupt(&mut self, drop_queue: bool) {
        if self.model.is_alive() {
            self.model.interrupt(drop_queue);
        }
        let call = self.calls + 1;
        self.apply(|state| {
            state
                .interrupt(call, drop_queue, None, self.now)
                .unwrap_or_default()
        });
        self.calls += u64::from(self.model.is_alive());
    }

    fn control(&mut self) {
        let call = self.calls + 1;
        let request = r#"{"subtype":"mcp_status"}"#;
        self.apply(|state| state.control(call, request, None, self.now).unwrap_or_default());
        if self.model.is_alive() {
            self.calls += 1;
            self.model.wake_for_control();
        }
    }

    fn abort(&mut self, rng: &mut Rng) {
        let send = 1 + rng.u64(..=self.sends);
        let is_untouched = self.is_untouched();
        if self.model.phase != Phase::Over {
            self.model.abort(send, is_untouched);
        }
        self.apply(|state| state.abort(send, self.now));
    }

    fn answer_ask(&mut self) {
        let Some(id) = self.open_asks.keys().next().cloned() else {
            return;
        };
        for expected in [true, false] {
            let mut wanted = false;
            self.apply(|state| {
                let effects = state.answer(&id, Ok("{}"), self.now);
                wanted = effects.is_some();
                effects.unwrap_or_default()
            });
            assert_eq!(wanted, expected);
        }
    }

    /// Whether the process has not got a byte of the message in flight.
    fn is_untouched(&self) -> bool {
        let content = self.pipe.0.lock();
        content.line.is_some() && !content.begun
    }

    fn pause(&mut self) {
        self.mark(true, State::pause);
    }

    fn resume(&mut self) {
        let now = self.now;
        self.mark(false, |state| state.resume(now));
    }

    fn mark(&mut self, paused: bool, call: impl FnOnce(&mut State) -> Result<Vec<Effect>>) {
        let mut taken = true;
        self.apply(|state| {
            call(state).unwrap_or_else(|_| {
                taken = false;
                Vec::new()
            })
        });
        assert_eq!(taken, self.model.is_alive());
        if taken {
            self.model.paused = paused;
            self.model.go_on();
        }
    }

    fn suspend(&mut self) {
        let mut suspends = None;
        self.apply(|state| {
            let effects = state.suspend(self.now);
            suspends = effects.as_ref().ok().map(Option::is_some);
            effects.ok().flatten().unwrap_or_default()
        });
        let expected = self.model.is_alive().then(|| self.model.suspend());
        assert_eq!(suspends, expected);
    }

    fn wake(&mut self) {
        self.apply(|state| state.wake().unwrap_or_default());
        if self.model.is_alive() {
            self.model.wake();
        }
    }

    /// The session has another process from here on.
    fn next_process(&mut self, mailbox: Mailbox) {
        let before = std::mem::replace(&mut self.mailbox, mailbox).incarnation;
        self.old_links.push(Link::new(self.session.clone(), before));
        self.cli = Cli::new(self.habit);
        self.process = Process::default();
        self.pipe = Arc::default();
        self.deaf = false;
        self.silent = false;
    }

    /// What a process says that is gone changes nothing, whatever it is.
    fn late_news(&self) {
        for link in &self.old_links {
            link.apply(|_| panic!("news of an old process"));
        }
    }

    fn stop(&mut self) {
        self.model.stop();
        self.apply(|state| state.stop(self.now));
    }

    fn kill(&mut self) {
        let before = self.model.phase;
        self.model.kill();
        self.apply(|state| state.kill(self.now));
        let kills = self.kills;
        self.check();
        let process = matches!(before, Phase::Running | Phase::Suspending | Phase::Leaving);
        assert_eq!(self.kills > kills, process, "a kill reaches the process at once");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let is_untouched = self.is_untouched();
        let now = self.now;
        self.open_asks.retain(|_, deadline| *deadline > now);
        self.model.ask_person(!self.open_asks.is_empty(), now);
        self.model.time(self.now, is_untouched);
        self.apply(|state| state.on_time(self.now));
    }

    fn fail_inside(&mut self) {
        if self.model.phase != Phase::Over {
            self.model.end("ERR_INTERNAL");
            self.apply(|state| state.on_internal_error("a test".into()));
        }
    }

    fn answer_of_the_store(&mut self, rng: &mut Rng) {
        let mut unstored = self.shared.unstored.lock();
        if unstored.is_empty() {
            return;
        }
        let at = rng.usize(..unstored.len());
        let (send, stored) = unstored.remove(at);
        drop(unstored);
        if once_in(rng, 8) {
            if let Some(send) = send {
                self.model.unsaved(send);
            }
            stored(Err(Error::Store {
                path: String::new(),
                reason: "full".into(),
                holder_pid: None,
                source: None,
            }));
        } else {
            stored(Ok(()));
        }
    }

    fn begin(&mut self, rng: &mut Rng) {
        if once_in(rng, 12) {
            self.model.end("ERR_START_FAILED");
            let name = String::from("a");
            let reason = String::from("a test");
            let source = None;
            self.apply(|state| {
                state.failed_to_start(&Error::StartFailed {
                    name,
                    reason,
                    source,
                    failure: None,
                })
            });
        } else {
            self.model.phase = Phase::Running;
            let pipe: Arc<Pipe> = Arc::clone(&self.pipe);
            let now = self.now;
            self.apply(|state| state.started(pipe, now).expect("nothing has ended it"));
        }
    }

    fn process(&mut self, rng: &mut Rng) {
        if once_in(rng, 25) {
            let (code, signal) = [
                (Some(0), None),
                (Some(1), None),
                (Some(3), None),
                (None, Some("SIGSEGV")),
            ][rng.usize(..4)];
            return self.exit(code, signal);
        }
        if self.silent {
            return;
        }
        match rng.u64(..16) {
            at @ 12.. => self.talk(at, rng),
            0..4 => self.cli.begin().into_iter().for_each(|line| self.line(&line)),
            4..8 => {
                if let Some((line, turn)) = self.cli.finish(rng) {
                    self.finished(&line, &turn);
                }
            }
            8 => {
                if let Some(line) = self.cli.begin_own() {
                    let holds_back = !self.model.has_flight() && self.process.any_write;
                    self.model.own_turn = holds_back.then(|| self.now + limits::OWN_TURN_START);
                    self.process.open_at_start = !self.process.any_write;
                    self.line(&line);
                }
            }
            9 => {
                if let Some((line, turn)) = self.cli.answer_without_init() {
                    self.finished(&line, &turn);
                }
            }
            10 if once_in(rng, 4) => self.close_output(),
            11 if once_in(rng, 4) => self.change_hearing(rng),
            11 if once_in(rng, 12) && self.deaf => self.close_input(),
            10 if once_in(rng, 4) => {
                if let Some(line) = self
                    .cli
                    .refuse()
                    .filter(|_| self.model.phase != Phase::Suspending)
                {
                    self.model.refused("ERR_START_FAILED");
                    self.line(&line);
                    // It leaves then, and says no more.
                    self.silent = true;
                }
            }
            10 => self.cli.repeat().into_iter().for_each(|line| self.line(&line)),
            11 if once_in(rng, 3) => {
                if let Some(line) = self.cli.start() {
                    self.process.open_at_start = !self.process.any_write;
                    self.line(&line);
                }
            }
            _ => self.noise(&Cli::noise(rng)),
        }
    }

    /// The process answers control requests, and asks some.
    fn talk(&mut self, at: u64, rng: &mut Rng) {
        match at {
            12 | 13 => {
                if let Some((_, line)) = self.cli.answer_request(rng) {
                    self.line(&line);
                }
            }
            14 => {
                self.asks += 1;
                let id = format!("p{}", self.asks);
                self.open_asks.insert(id, self.now + Duration::from_millis(70));
                self.line(&Cli::ask(self.asks));
            }
            _ => {
                if let Some(id) = self.open_asks.keys().next().cloned().filter(|_| once_in(rng, 2)) {
                    self.line(&Cli::cancel(&id));
                }
            }
        }
    }

    fn finished(&mut self, line: &str, turn: &Turn) {
        match turn {
            Turn::Answer(_) if self.is_ambiguous() => {
                self.model.perhaps_answered(self.now + limits::UNKNOWN_INIT_WAIT);
            }
            Turn::Answer(message) => self.model.answered(message.send),
            Turn::Own => self.model.own_turn = None,
        }
        self.process.results += 1;
        self.process.any_content = false;
        self.process.open_at_start = false;
        self.line(line);
    }

    /// Whether a result may be a repetition for all that is known. After this one the habit is known.
    fn is_ambiguous(&mut self) -> bool {
        let is_without_init =
            self.habit == Habit::OneInit && self.process.results > 0 && !self.process.learnt;
        self.process.learnt |= is_without_init;
        is_without_init && !self.process.any_content
    }

    fn noise(&mut self, line: &str) {
        if line.contains("\"assistant\"") {
            self.process.any_content = true;
            let longest = self.session.options().turn_timeout();
            if std::mem::take(&mut self.process.open_at_start) && !self.model.has_flight() {
                self.model.own_turn = Some(self.now + longest);
            }
            let until = self.model.own_turn.map(|until| until.max(self.now + longest));
            self.model.own_turn = until;
        }
        self.line(line);
    }

    fn line(&self, line: &str) {
        let frame = inbound::parse(line);
        let message = self
            .session
            .subscriptions()
            .includes(&frame)
            .then(|| line.to_owned());
        self.apply(|state| state.on_frame(frame, line, message, self.now));
    }

    fn close_output(&mut self) {
        self.silent = true;
        if self.model.phase != Phase::Suspending {
            self.model.phase = Phase::Leaving;
        }
        self.model.own_turn = None;
        self.apply(|state| state.on_silence(self.now));
    }

    fn exit(&mut self, code: Option<i32>, signal: Option<&str>) {
        if self.model.phase == Phase::Suspending {
            self.model.suspended();
        } else {
            self.model.end("ERR_PROCESS_EXITED");
        }
        self.apply(|state| state.on_exit(code, signal.map(str::to_owned), "words"));
    }
}
