//! What a line of the CLI does to the state.

use super::{Effect, Effects, InFlight, Phase, State};
use crate::clock;
use crate::error::Error;
use crate::faults;
use crate::protocol::inbound::{Frame, Init, TurnResult};
use crate::session::event::{Event, Turn};
use crate::session::turn::{self, TurnKind};
use std::time::Instant;

impl State {
    /// One line of standard output, already parsed: parsing a big line takes time, and this runs under a lock.
    /// `message` is a copy for listeners, where there are any.
    pub fn on_frame(&mut self, frame: Frame, line: &str, message: Option<String>, now: Instant) -> Effects {
        self.transition(|state, effects| {
            if let Some(line) = message {
                effects.push(Effect::Emit(Event::Message { line }));
            }
            match frame {
                Frame::Init(init) => state.on_init(init, line, now, effects),
                Frame::Result(result) => state.on_result(&result, now, effects),
                Frame::PermissionMode(mode) => state.on_mode(mode, effects),
                Frame::Content | Frame::Other | Frame::NotAnObject => {}
            }
        })
    }

    fn on_init(&mut self, init: Init, line: &str, now: Instant, effects: &mut Effects) {
        let first = !std::mem::replace(&mut self.any_init, true);
        self.init_since_result = true;
        self.rename(init.session_id);
        self.foreign_turn = match &self.in_flight {
            // 2.1.330 names the messages of a turn; an older CLI leaves it to the result.
            Some(turn) => !init.message_uuids.is_empty() && !init.message_uuids.contains(&turn.uuid),
            None => true,
        };
        if self.foreign_turn && matches!(self.phase, Phase::Ending(_)) {
            self.foreign_deadline
                .get_or_insert(now + self.options.turn_timeout());
        }
        effects.push(Effect::Emit(Event::Init {
            session_id: self.session_id.clone(),
            permission_mode: init.permission_mode.clone(),
            line: line.to_owned(),
        }));
        self.judge_mode(init.permission_mode, first, now, effects);
    }

    fn on_result(&mut self, result: &TurnResult, now: Instant, effects: &mut Effects) {
        if !self.any_init && result.is_error && matches!(self.phase, Phase::Running | Phase::Ending(_)) {
            self.fail_start(result, now, effects);
            return;
        }
        let answered = if self.is_ours(result) {
            self.in_flight.take()
        } else {
            None
        };
        if let Some(turn) = &answered {
            self.answered = Some(turn.uuid.clone());
            self.pending_version += 1;
        }
        self.foreign_turn = false;
        self.foreign_deadline = None;
        self.init_since_result = false;
        self.last_result_was_error = result.is_error;
        self.last_result_at = Some(now);
        self.rename(result.session_id.clone());
        faults::place("result", &self.options);
        self.record(result, answered, effects);
        self.pump(effects);
        self.end_input_if_idle(now, effects);
    }

    /// A turn has ended, and its result could not be read.
    pub fn on_lost_result(&mut self, error: &Error, now: Instant) -> Effects {
        self.transition(|state, effects| {
            let lost = state.in_flight.take_if(|_| !state.foreign_turn);
            if let Some(turn) = lost.filter(|turn| !turn.abandoned) {
                let send = turn.send;
                let error = error.clone();
                effects.push(Effect::Emit(Event::Failed { send, error }));
            }
            state.foreign_turn = false;
            state.foreign_deadline = None;
            state.init_since_result = false;
            state.pump(effects);
            state.end_input_if_idle(now, effects);
        })
    }

    fn rename(&mut self, id: Option<String>) {
        if id.is_some() && id != self.session_id {
            self.session_id = id;
            self.revision += 1;
        }
    }

    /// Whether a result belongs to the message in flight.
    fn is_ours(&self, result: &TurnResult) -> bool {
        let Some(turn) = &self.in_flight else { return false };
        if result.message_uuids.contains(&turn.uuid) {
            return true;
        }
        // Every turn of the CLI begins with an init. A second result without one belongs to the turn before:
        // taking it for the answer would shift all later answers by one.
        let stray = !self.init_since_result && self.any_init;
        let repeated = self
            .answered
            .as_ref()
            .is_some_and(|uuid| result.message_uuids.contains(uuid));
        !result.foreign_origin && !repeated && !stray
    }

    fn record(&mut self, result: &TurnResult, answered: Option<InFlight>, effects: &mut Effects) {
        let cost = self.ledger.charge(result);
        self.total_cost_usd = (self.total_cost_usd + cost).min(f64::MAX);
        self.total_turns = self.total_turns.saturating_add(result.turns);
        self.revision += 1;
        let kind = match &answered {
            Some(turn) if turn.abandoned => TurnKind::Late,
            Some(_) => TurnKind::Answer,
            None => TurnKind::Background,
        };
        let (send, prompt) = match answered {
            Some(turn) => (Some(turn.send).filter(|_| !turn.abandoned), turn.prompt),
            None => (None, turn::raw("\"\"")),
        };
        let timestamp = clock::timestamp();
        let texts = turn::describe(result, kind, &prompt, cost, &timestamp);
        let turn = Turn {
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
        };
        effects.push(Effect::Record(Box::new(turn)));
    }
}
