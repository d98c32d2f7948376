//! What a line of the CLI does to the state.

use super::interrupt::text_of;
use super::turns::Whose;
use super::{Effect, Effects, InFlight, Phase, State};
use crate::clock;
use crate::error::{Error, LastWords};
use crate::faults;
use crate::ids::ConversationId;
use crate::limits;
use crate::protocol::failure::Retry;
use crate::protocol::inbound::{Content, Frame, Init, TurnResult};
use crate::session::estimate::Seen;
use crate::session::event::{Event, Turn};
use crate::session::ledger::Cost;
use crate::session::turn::{self, Cut, TurnKind};
use serde_json::value::RawValue;
use std::time::Instant;

impl State {
    /// One line of standard output, already parsed: parsing a big line takes time, and this runs under a lock.
    /// `message` is a copy for listeners, where there are any.
    pub fn on_frame(&mut self, frame: Frame, line: &str, message: Option<String>, now: Instant) -> Effects {
        self.transition(|state, effects| {
            if let Some(line) = message {
                let send = state.present_send();
                effects.push(Effect::Emit(Event::Message { send, line }));
            }
            match frame {
                Frame::Init(init) => state.on_init(init, line, now, effects),
                Frame::Result(result) => state.on_result(result, now, effects),
                Frame::PermissionMode(mode) => state.on_mode(mode, effects),
                Frame::Content(content, call) => {
                    state.seen.extend(call.map(|call| *call));
                    state.on_content(content, line, now);
                }
                Frame::Control(control) => state.on_control(control, now, effects),
                Frame::Retry(retry) => state.on_retry(retry, now, effects),
                Frame::UsageLimit(limit) => state.signs.on_limit(limit),
                Frame::Refusal => state.signs.on_refusal(),
                Frame::Piece(_) | Frame::Other | Frame::NotAnObject => {}
            }
        })
    }

    /// The send whose turn runs; `None` in a turn that the CLI started by itself.
    #[must_use]
    pub fn present_send(&self) -> Option<u64> {
        let turn = self.in_flight.as_ref().filter(|_| !self.turns.runs_foreign())?;
        Some(turn.send).filter(|_| !turn.abandoned)
    }

    fn on_init(&mut self, init: Init, line: &str, now: Instant, effects: &mut Effects) {
        let first = !self.turns.has_begun();
        let in_flight = self.in_flight.as_ref().map(|turn| turn.uuid.as_str());
        if let Some(result) = self.turns.on_init(&init, in_flight, now) {
            self.finish_turn(&result, Whose::Foreign, effects);
        }
        if let Some(version) = self.turns.version().filter(|_| first) {
            version.warn_if_unsupported();
        }
        self.last_words = None;
        self.rename(init.session_id);
        if matches!(self.phase, Phase::Ending(_)) {
            self.turns.end_by(now + self.options.turn_timeout());
        }
        effects.push(Effect::Emit(Event::Init {
            session_id: self.session_id.clone(),
            permission_mode: init.permission_mode.clone(),
            line: line.to_owned(),
        }));
        self.judge_mode(init.permission_mode, first, now, effects);
        self.interrupt_again(now, effects);
    }

    /// The CLI waits, then asks the API again, unless the caller has said that this is no use.
    fn on_retry(&mut self, retry: Retry, now: Instant, effects: &mut Effects) {
        let (attempt, delay) = (retry.attempt, retry.delay_ms);
        let failure = self.signs.on_retry(retry);
        effects.push(Effect::Emit(Event::Retry {
            attempt,
            delay,
            failure,
        }));
        let is_hopeless = self.options.live.fail_fast.contains(&failure.kind);
        if let Some(turn) = self.in_flight.as_mut().filter(|_| is_hopeless)
            && turn.failed_fast.replace(failure).is_none()
        {
            self.write_interrupt(now, effects);
        }
    }

    fn on_content(&mut self, content: Content, line: &str, now: Instant) {
        let in_flight = self.in_flight.as_ref().map(|turn| turn.uuid.as_str());
        self.turns.on_content(&content, in_flight, now);
        match content {
            Content::Model => {
                self.signs.on_answer();
                if self.in_flight.is_some() && line.len() <= limits::PARTIAL_ANSWER_BYTES {
                    self.answer_line.clear();
                    self.answer_line.push_str(line);
                }
            }
            Content::Error(error) => self.signs.on_error(*error),
            Content::ToolResult | Content::Other => {}
        }
    }

    fn on_result(&mut self, mut result: Box<TurnResult>, now: Instant, effects: &mut Effects) {
        let fast = self.in_flight.as_ref().and_then(|turn| turn.failed_fast);
        let concluded = self.signs.conclude(&result);
        result.failure = fast.filter(|_| result.is_cut()).or(concluded);
        result.turns = self.turns.count(result.turns);
        if self.turns.is_refusal(&result) && matches!(self.phase, Phase::Running | Phase::Ending(_)) {
            self.fail_start(&result, now, effects);
            return;
        }
        self.last_result_was_error = result.is_error;
        self.last_result_at = Some(now);
        faults::place("result", &self.options);
        let in_flight = self.in_flight.as_ref().map(|turn| turn.uuid.as_str());
        let whose = self.turns.on_result(&result, in_flight);
        if whose == Whose::Unknown {
            if let Some(before) = self.turns.hold(result, now) {
                self.finish_turn(&before, Whose::Foreign, effects);
            }
            return;
        }
        if let Some(before) = self.turns.take_held_as_foreign() {
            self.finish_turn(&before, Whose::Foreign, effects);
        }
        self.finish_turn(&result, whose, effects);
        self.go_on(now, effects);
    }

    /// A turn is over, and whose it was is known.
    pub(super) fn finish_turn(&mut self, result: &TurnResult, whose: Whose, effects: &mut Effects) {
        let answered = self.in_flight.take_if(|_| whose == Whose::Ours);
        self.pending_version += u64::from(answered.is_some());
        self.last_words = result
            .failure
            .filter(|_| answered.is_none() && result.is_error)
            .map(|failure| LastWords {
                words: Some(result.error_words()),
                failure,
            });
        self.has_history = true;
        self.rename(result.session_id.clone());
        self.settle_interrupts(result.is_cut(), whose, effects);
        if let Some(first) = answered.as_ref().filter(|_| result.is_error && self.is_forking()) {
            self.fail_fork(result, first, effects);
            return;
        }
        self.record(result, answered, effects);
    }

    /// Decides on a result that is held, since no more can be learnt of it. Whether there was one.
    pub(super) fn settle_held(&mut self, effects: &mut Effects) -> bool {
        let held = self.turns.take_held();
        if let Some((result, whose)) = &held {
            self.finish_turn(result, *whose, effects);
        }
        held.is_some()
    }

    /// Nothing may be in the way any more.
    pub(super) fn go_on(&mut self, now: Instant, effects: &mut Effects) {
        self.pump(now, effects);
        self.end_input_if_idle(now, effects);
    }

    /// A turn has ended, and its result could not be read.
    pub fn on_lost_result(&mut self, error: &Error, now: Instant) -> Effects {
        self.transition(|state, effects| {
            if let Some(before) = state.turns.take_held_as_foreign() {
                state.finish_turn(&before, Whose::Foreign, effects);
            }
            let whose = state.turns.on_lost_result();
            let lost = state.in_flight.take_if(|_| whose == Whose::Ours);
            if let Some(turn) = lost.filter(|turn| !turn.abandoned) {
                effects.push(Effect::Emit(Event::Failed {
                    sends: vec![turn.send],
                    error: error.clone(),
                    sent: true,
                }));
            }
            state.go_on(now, effects);
        })
    }

    fn rename(&mut self, id: Option<String>) {
        let id = id.and_then(ConversationId::new);
        if id.is_some() && id != self.session_id {
            self.session_id = id;
            self.revision += 1;
        }
    }

    fn record(&mut self, result: &TurnResult, answered: Option<InFlight>, effects: &mut Effects) {
        let cost = self.ledger.charge(result, self.turns.version());
        self.seen = Seen::default();
        self.add_to_totals(cost, result.turns);
        let cut = answered
            .as_ref()
            .filter(|turn| turn.interrupted && result.is_cut())
            .map(|_| Cut {
                text: text_of(&self.answer_line),
            });
        // It may be long, and the next turn may be far away.
        self.answer_line = String::new();
        let kind = match &answered {
            Some(turn) if turn.abandoned => TurnKind::Late,
            Some(_) if self.is_forking() => TurnKind::Fork,
            Some(_) => TurnKind::Answer,
            None => TurnKind::Background,
        };
        self.has_forked |= answered.is_some();
        let (send, prompt) = match answered {
            Some(turn) => (Some(turn.send).filter(|_| !turn.abandoned), turn.prompt),
            None => (None, turn::raw("\"\"")),
        };
        let turn = self.turn(result, kind, cut, send, prompt, cost);
        effects.push(Effect::Record(Box::new(turn)));
    }

    /// The turn that runs is cut: no result will tell what it cost. What was seen of it is booked, as an estimate.
    pub(super) fn record_cut(&mut self, cut: Option<&InFlight>, effects: &mut Effects) {
        let seen = self.seen.close();
        // A fork has no record before its first answer.
        if seen.is_empty() || self.is_forking() {
            return;
        }
        let result = TurnResult {
            is_error: true,
            turns: self.turns.count_cut(),
            session_id: self.session_id().map(ToString::to_string),
            ..TurnResult::default()
        };
        let cost = self.ledger.estimate(&seen);
        self.add_to_totals(cost, result.turns);
        let (kind, prompt) = match cut {
            Some(turn) => (TurnKind::Answer, turn.prompt.clone()),
            None => (TurnKind::Background, turn::raw("\"\"")),
        };
        let turn = Turn {
            is_cut: true,
            ..self.turn(&result, kind, None, None, prompt, cost)
        };
        effects.push(Effect::Record(Box::new(turn)));
    }

    fn add_to_totals(&mut self, cost: Cost, turns: u64) {
        self.total_cost_usd = (self.total_cost_usd + cost.usd).min(f64::MAX);
        self.total_turns = self.total_turns.saturating_add(turns);
        self.revision += 1;
    }

    fn turn(
        &self,
        result: &TurnResult,
        kind: TurnKind,
        cut: Option<Cut>,
        send: Option<u64>,
        prompt: Box<RawValue>,
        cost: Cost,
    ) -> Turn {
        let timestamp = clock::timestamp();
        let texts = turn::describe(result, kind, cut, &prompt, cost, &timestamp);
        Turn {
            send,
            interaction: texts.interaction,
            prompt,
            timestamp,
            flags: texts.flags,
            response: texts.response,
            total_cost_usd: self.total_cost_usd,
            total_turns: self.total_turns,
            status: self.emitted,
            change: self.changes,
            unsaved: None,
            is_cut: false,
        }
    }
}
