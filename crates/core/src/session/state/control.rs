//! Control requests beside the messages: ours, which the CLI answers, and the CLI's, which the program answers.
//!
//! Each has a deadline, and each is settled exactly once. A CLI that answers none of ours costs the call its time and
//! nothing else; a program that answers none of the CLI's leaves the answer to the engine, which refuses.

use super::{Deadline, Effect, Effects, Phase, State};
use crate::error::Error;
use crate::limits;
use crate::options::milliseconds;
use crate::protocol::control::{self, Answer, Ask, Control};
use crate::session::event::{AskEnd, Event};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The control requests of the present process.
#[derive(Debug, Default)]
pub(super) struct Controls {
    /// Counts requests of ours.
    count: u64,
    /// Requests of ours that have no answer, by their ids.
    asked: BTreeMap<u64, Asked>,
    /// Lines for a process that does not run yet, by the ids of their requests.
    unwritten: BTreeMap<u64, String>,
    /// Requests of the CLI that have no answer, in order.
    asks: Vec<OpenAsk>,
    /// Since when the turn waits for a person.
    waits_since: Option<Instant>,
}

#[derive(Debug)]
struct Asked {
    purpose: Purpose,
    subtype: String,
    deadline: Deadline,
}

/// What the answer to a request of ours is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A call of the program, and the setting that it changes.
    Call(u64, Option<Setting>),
    /// What each process is told first.
    Initialize,
    /// The interrupt of the present turn.
    Interrupt,
}

/// A setting that the next process of the session is started with, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setting {
    Model(String),
    PermissionMode(String),
}

impl Setting {
    /// The setting that a request changes.
    fn of(request: &Value) -> Option<Self> {
        let text = |field: &str| request[field].as_str().map(str::to_owned);
        match request["subtype"].as_str()? {
            // Without a name it is the CLI's own.
            "set_model" => Some(Self::Model(text("model").unwrap_or_else(|| "default".to_owned()))),
            "set_permission_mode" => text("mode").map(Self::PermissionMode),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct OpenAsk {
    id: String,
    /// Whether a person is to answer.
    is_permission: bool,
    deadline: Instant,
    /// JSON of the answer that is given when the time is over.
    fallback: String,
}

impl Controls {
    /// Whether an interrupt has no answer yet.
    pub(super) fn awaits_interrupt(&self) -> bool {
        self.awaits(&Purpose::Interrupt)
    }

    /// Whether the process has not confirmed yet what it was told first.
    pub(super) fn awaits_initialize(&self) -> bool {
        self.awaits(&Purpose::Initialize)
    }

    fn awaits(&self, purpose: &Purpose) -> bool {
        self.asked.values().any(|asked| asked.purpose == *purpose)
    }

    /// Whether requests of the CLI wait for the program.
    pub(super) fn has_asks(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Whether the turn waits for a person. Its own time stands still.
    pub(super) fn waits_for_person(&self) -> bool {
        self.waits_since.is_some()
    }

    /// Whatever comes for the interrupt that was written last, it counts no more.
    pub(super) fn forget_interrupt(&mut self) {
        self.asked.retain(|_, asked| asked.purpose != Purpose::Interrupt);
    }

    /// The next moment at which [`State::expire_controls`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let asked = self.asked.values().map(|asked| asked.deadline.at);
        asked.chain(self.asks.iter().map(|ask| ask.deadline)).min()
    }
}

impl State {
    /// Asks the CLI something for the program: JSON of the request, an object with a `subtype`. Call `call` gets the answer
    /// as an event.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn control(
        &mut self,
        call: u64,
        request: &str,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<Effects, Error> {
        self.require_alive()?;
        let read: Value = serde_json::from_str(request).unwrap_or_default();
        let subtype = read["subtype"].as_str().unwrap_or_default().to_owned();
        let purpose = Purpose::Call(call, Setting::of(&read));
        let timeout = timeout.unwrap_or_else(|| self.options.live.control_timeout());
        Ok(self.transition(|state, effects| {
            state.ask_cli(purpose, &subtype, request, timeout, now, effects);
            match state.phase {
                Phase::Suspended => state.start_next(effects),
                Phase::Suspending => state.wake_wanted = true,
                _ => {}
            }
        }))
    }

    /// Writes a request, or keeps it for the process to come.
    pub(super) fn ask_cli(
        &mut self,
        purpose: Purpose,
        subtype: &str,
        request: &str,
        timeout: Duration,
        now: Instant,
        effects: &mut Effects,
    ) {
        self.controls.count += 1;
        let id = self.controls.count;
        let asked = Asked {
            purpose,
            subtype: subtype.to_owned(),
            deadline: Deadline::new(now, timeout),
        };
        self.controls.asked.insert(id, asked);
        let line = control::request(id, request);
        if matches!(self.phase, Phase::Running | Phase::Ending(_)) {
            effects.push(Effect::WriteControl(line));
        } else {
            self.controls.unwritten.insert(id, line);
        }
    }

    /// The process runs: it is told first what the session needs.
    pub(super) fn begin_controls(&mut self, now: Instant, effects: &mut Effects) {
        let unwritten = std::mem::take(&mut self.controls.unwritten);
        if let Some(request) = self.options.live.initialize.clone() {
            // The process may have to start first.
            let timeout = limits::INITIALIZE_TIMEOUT;
            let purpose = Purpose::Initialize;
            self.ask_cli(purpose, "initialize", &request, timeout, now, effects);
        }
        effects.extend(unwritten.into_values().map(Effect::WriteControl));
    }

    /// A control line of the CLI.
    pub(super) fn on_control(&mut self, line: Control, now: Instant, effects: &mut Effects) {
        match line {
            Control::Answer(answer) => self.on_answer(answer, now, effects),
            Control::Ask(ask) => self.on_ask(ask, now, effects),
            Control::Cancel(id) => self.end_ask(&id, AskEnd::Cancelled, now, effects),
        }
    }

    /// An answer to a request of ours. One that is late, doubled or foreign changes nothing.
    fn on_answer(&mut self, answer: Answer, now: Instant, effects: &mut Effects) {
        let id = answer.id.parse().ok();
        let Some(Asked { purpose, subtype, .. }) = id.and_then(|id: u64| self.controls.asked.remove(&id))
        else {
            return;
        };
        let outcome = answer.outcome.map_err(|reason| Error::Control {
            name: self.options.name.clone(),
            request: subtype,
            reason,
        });
        match (purpose, outcome) {
            (Purpose::Call(call, setting), Ok(value)) => {
                self.keep_setting(setting, effects);
                effects.push(Effect::Emit(Event::Answered { call, value }));
            }
            (Purpose::Call(call, _), Err(error)) => {
                effects.push(Effect::Emit(Event::Refused { call, error }));
            }
            (Purpose::Interrupt, Ok(receipt)) => self.on_receipt(&receipt, now, effects),
            (Purpose::Interrupt, Err(error)) => self.fail_interrupts(&error, effects),
            (Purpose::Initialize, Ok(_)) => {}
            (Purpose::Initialize, Err(error)) => self.refuse_process(&error, now, effects),
        }
        self.go_on(now, effects);
    }

    /// The CLI has taken over a setting; the next process is to have it, too.
    fn keep_setting(&mut self, setting: Option<Setting>, effects: &mut Effects) {
        let Some(setting) = setting else { return };
        match setting {
            Setting::Model(model) => self.model = Some(model),
            Setting::PermissionMode(mode) => {
                self.mode_asked = Some(mode.clone());
                self.on_mode(mode, effects);
            }
        }
        self.revision += 1;
        effects.push(Effect::Save);
    }

    /// A process that has not taken what it was told first must not run a turn: it would have no hooks.
    fn refuse_process(&mut self, error: &Error, now: Instant, effects: &mut Effects) {
        if self.phase == Phase::Running {
            self.fail_process(error, now, effects);
        }
    }

    /// The CLI asks something. The program answers, if it has said that it does.
    fn on_ask(&mut self, ask: Ask, now: Instant, effects: &mut Effects) {
        if self.controls.asks.iter().any(|open| open.id == ask.id) {
            return;
        }
        let (time, fallback) = match self.who_answers(&ask) {
            Answerer::Program { time, fallback } => (time, fallback),
            Answerer::Engine(line) => return effects.push(Effect::WriteControl(line)),
        };
        let Ask {
            id, subtype, request, ..
        } = ask;
        if self.controls.asks.len() >= limits::OPEN_ASKS {
            return effects.push(Effect::WriteControl(control::success(&id, &fallback)));
        }
        let is_permission = subtype == "can_use_tool";
        if is_permission && self.controls.waits_since.is_none() {
            self.controls.waits_since = Some(now);
        }
        self.controls.asks.push(OpenAsk {
            id: id.clone(),
            is_permission,
            deadline: now + time,
            fallback,
        });
        effects.push(Effect::Emit(Event::Ask { id, subtype, request }));
    }

    /// Who answers a request of the CLI: what the program has not said it answers, the engine refuses.
    fn who_answers(&self, ask: &Ask) -> Answerer {
        let live = &self.options.live;
        let hook = ask
            .callback
            .as_ref()
            .and_then(|callback| live.hooks.get(callback));
        match (ask.subtype.as_str(), hook) {
            ("can_use_tool", _) if live.asks_permission => {
                let time = live.permission_timeout();
                let words = format!(
                    "Nobody answered this permission request within {} ms.",
                    time.as_millis()
                );
                let fallback = denial(&words);
                Answerer::Program { time, fallback }
            }
            ("can_use_tool", _) => {
                let answer = denial("Nobody answers permission requests in this session.");
                Answerer::Engine(control::success(&ask.id, &answer))
            }
            ("hook_callback", Some(hook)) => Answerer::Program {
                time: milliseconds(Some(hook.timeout)).unwrap_or(limits::HOOK_TIMEOUT),
                fallback: hook.fallback.clone(),
            },
            (subtype, _) => {
                let words = format!("\"{subtype}\" is not supported");
                Answerer::Engine(control::refusal(&ask.id, &words))
            }
        }
    }

    /// The program answers a request of the CLI: JSON of the payload, or why it does not. `None` if the request has been
    /// settled: then the answer changes nothing.
    pub fn answer(&mut self, id: &str, outcome: Result<&str, &str>, now: Instant) -> Option<Effects> {
        self.take_ask(id, now)?;
        let line = match outcome {
            Ok(payload) => control::success(id, payload),
            Err(words) => control::refusal(id, words),
        };
        Some(self.transition(|_, effects| effects.push(Effect::WriteControl(line))))
    }

    /// Number of permission requests that wait for the program.
    #[must_use]
    pub fn pending_permissions(&self) -> usize {
        self.controls.asks.iter().filter(|ask| ask.is_permission).count()
    }

    fn take_ask(&mut self, id: &str, now: Instant) -> Option<OpenAsk> {
        let at = self.controls.asks.iter().position(|ask| ask.id == id)?;
        let ask = self.controls.asks.remove(at);
        if !self.controls.asks.iter().any(|ask| ask.is_permission)
            && let Some(since) = self.controls.waits_since.take()
            && let Some(turn) = &mut self.in_flight
        {
            // The time of the person is not the turn's.
            turn.deadline.at += now.saturating_duration_since(since);
        }
        Some(ask)
    }

    fn end_ask(&mut self, id: &str, reason: AskEnd, now: Instant, effects: &mut Effects) {
        if let Some(OpenAsk { id, .. }) = self.take_ask(id, now) {
            effects.push(Effect::Emit(Event::AskOver { id, reason }));
        }
    }

    /// Settles what was not answered in time.
    pub(super) fn expire_controls(&mut self, now: Instant, effects: &mut Effects) {
        let late = |ask: &OpenAsk| ask.deadline <= now;
        while let Some(id) = self
            .controls
            .asks
            .iter()
            .find(|ask| late(ask))
            .map(|ask| ask.id.clone())
        {
            if let Some(ask) = self.take_ask(&id, now) {
                effects.push(Effect::WriteControl(control::success(&ask.id, &ask.fallback)));
                effects.push(Effect::Emit(Event::AskOver {
                    id,
                    reason: AskEnd::Timeout,
                }));
            }
        }
        let is_late = |asked: &Asked| asked.deadline.at <= now;
        while let Some(id) = self
            .controls
            .asked
            .iter()
            .find(|(_, asked)| is_late(asked))
            .map(|(id, _)| *id)
        {
            let Some(asked) = self.controls.asked.remove(&id) else {
                break;
            };
            self.controls.unwritten.remove(&id);
            let error = unanswered(&self.options.name, &asked.subtype, &asked.deadline);
            match asked.purpose {
                Purpose::Call(call, _) => effects.push(Effect::Emit(Event::Refused { call, error })),
                Purpose::Interrupt => self.fail_interrupts(&error, effects),
                Purpose::Initialize => self.refuse_process(&error, now, effects),
            }
            self.go_on(now, effects);
        }
    }

    /// The session is over.
    pub(super) fn end_all_controls(&mut self, error: &Error, effects: &mut Effects) {
        self.controls.unwritten.clear();
        self.end_controls(error, effects);
    }

    /// The process has ended: nobody answers any more, and nobody wants answers. Requests for the next one stay.
    pub(super) fn end_controls(&mut self, error: &Error, effects: &mut Effects) {
        self.controls.waits_since = None;
        for OpenAsk { id, .. } in std::mem::take(&mut self.controls.asks) {
            let reason = AskEnd::Ended;
            effects.push(Effect::Emit(Event::AskOver { id, reason }));
        }
        let unwritten = std::mem::take(&mut self.controls.unwritten);
        let (kept, over) = std::mem::take(&mut self.controls.asked)
            .into_iter()
            .partition(|(id, _)| unwritten.contains_key(id));
        (self.controls.asked, self.controls.unwritten) = (kept, unwritten);
        let over: BTreeMap<u64, Asked> = over;
        for asked in over.into_values() {
            if let Purpose::Call(call, _) = asked.purpose {
                let error = error.clone();
                effects.push(Effect::Emit(Event::Refused { call, error }));
            }
        }
        self.fail_interrupts(error, effects);
    }
}

/// The error of a request of ours that was not answered in time.
pub(super) fn unanswered(name: &str, request: &str, deadline: &Deadline) -> Error {
    Error::ControlTimeout {
        name: name.to_owned(),
        request: request.to_owned(),
        timeout_ms: deadline.given_ms(),
    }
}

/// Who answers a request of the CLI.
enum Answerer {
    /// The program, within a time; then the engine, with the fallback.
    Program { time: Duration, fallback: String },
    /// The engine, at once, with this line.
    Engine(String),
}

fn denial(words: &str) -> String {
    json!({ "behavior": "deny", "message": words }).to_string()
}
