//! The interrupt of a turn, and a caller who gives up a message.
//!
//! A CLI that gets a message and an interrupt at once may answer the interrupt and run the turn all the same (2.1.330). So an
//! interrupt is written again when the turn begins after it. In return no message is written while an interrupt is
//! unanswered: it would hit the wrong turn.

use super::control::{Purpose, unanswered};
use super::turns::Whose;
use super::{Deadline, Effect, Effects, Phase, State};
use crate::error::Error;
use crate::protocol::inbound::TurnResult;
use crate::session::event::Event;
use crate::session::turn;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::{Duration, Instant};

/// The turn to be cut, and who wants that.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    /// Calls that wait for the end of the turn, with their deadlines.
    calls: Vec<(u64, Deadline)>,
    /// Whether a turn that the CLI started by itself is to be cut.
    foreign: bool,
}

impl Interrupts {
    /// The next moment at which [`State::expire_interrupts`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.calls.iter().map(|(_, deadline)| deadline.at).min()
    }
}

/// What 2.1.330 says in its answer to an interrupt.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Receipt {
    still_queued: Vec<String>,
}

impl State {
    /// Interrupts the turn that runs, or the message that is about to become one; the caller learns as call `call` whether a
    /// turn was cut. `drop_queue` rejects the messages behind it.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn interrupt(
        &mut self,
        call: u64,
        drop_queue: bool,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<Effects, Error> {
        self.require_alive()?;
        let given = timeout.unwrap_or_else(|| self.options.live.control_timeout());
        Ok(self.transition(|state, effects| {
            let hits = state.mark_interrupted();
            if drop_queue {
                state.drop_waiting(effects);
            }
            if !hits {
                effects.push(told(call, false));
                return;
            }
            state.interrupts.calls.push((call, Deadline::new(now, given)));
            if state.phase == Phase::Running && state.has_turn() {
                state.write_interrupt(now, effects);
            }
        }))
    }

    /// Marks the turn that an interrupt hits; `false` if there is none.
    fn mark_interrupted(&mut self) -> bool {
        if let Some(turn) = &mut self.in_flight {
            turn.interrupted = true;
        } else if self.turns.runs_foreign() {
            self.interrupts.foreign = true;
        } else if let Some(next) = self.waiting.first_mut().filter(|_| !self.paused) {
            next.interrupted = true;
        } else {
            return false;
        }
        true
    }

    /// Rejects the waiting messages, but for one that is to be interrupted.
    fn drop_waiting(&mut self, effects: &mut Effects) {
        let error = Error::Interrupted {
            name: self.options.name.clone(),
        };
        let kept = self.waiting.pop_if(|first| first.interrupted);
        self.reject_waiting(&error, effects);
        if let Some(first) = kept {
            self.waiting.push(first);
        }
    }

    /// Writes an interrupt, unless one has no answer yet.
    pub(super) fn write_interrupt(&mut self, now: Instant, effects: &mut Effects) {
        if self.controls.awaits_interrupt() {
            return;
        }
        let timeout = self.options.live.control_timeout();
        let request = r#"{"subtype":"interrupt"}"#;
        self.ask_cli(Purpose::Interrupt, "interrupt", request, timeout, now, effects);
    }

    /// The CLI has answered an interrupt: a message that it names as waiting will run in full.
    pub(super) fn on_receipt(&mut self, receipt: &RawValue, now: Instant, effects: &mut Effects) {
        let receipt: Receipt = serde_json::from_str(receipt.get()).unwrap_or_default();
        let missed = self
            .in_flight
            .as_ref()
            .is_some_and(|turn| turn.interrupted && receipt.still_queued.contains(&turn.uuid));
        // If its turn begins only now, its init brings the next interrupt.
        if missed && self.turns.runs_ours() {
            self.write_interrupt(now, effects);
        }
    }

    /// A turn begins. An interrupt that was written before it may have missed it.
    pub(super) fn interrupt_again(&mut self, now: Instant, effects: &mut Effects) {
        let ours = self.turns.runs_ours() && self.in_flight.as_ref().is_some_and(|turn| turn.interrupted);
        if ours {
            // The one before was read before the turn began: its answer no longer counts.
            self.controls.forget_interrupt();
            self.write_interrupt(now, effects);
        }
    }

    /// A turn has ended: tells those who wanted it cut.
    pub(super) fn settle_interrupts(&mut self, cut: bool, whose: Whose, effects: &mut Effects) {
        let is_target = match whose {
            Whose::Foreign => std::mem::take(&mut self.interrupts.foreign),
            _ => true,
        };
        if is_target {
            let calls = self.interrupts.calls.drain(..);
            effects.extend(calls.map(|(call, _)| told(call, cut)));
        }
    }

    /// The CLI does not interrupt.
    pub(super) fn fail_interrupts(&mut self, error: &Error, effects: &mut Effects) {
        for (call, _) in self.interrupts.calls.drain(..) {
            let error = error.clone();
            effects.push(Effect::Emit(Event::Refused { call, error }));
        }
    }

    /// A turn that should have been cut runs on.
    pub(super) fn expire_interrupts(&mut self, now: Instant, effects: &mut Effects) {
        let name = &self.options.name;
        let late = self
            .interrupts
            .calls
            .extract_if(.., |(_, deadline)| deadline.at <= now);
        effects.extend(late.map(|(call, deadline)| {
            let error = unanswered(name, "interrupt", &deadline);
            Effect::Emit(Event::Refused { call, error })
        }));
    }

    /// The caller gives up a message: one that the process has not got is withdrawn, and of one that it has got the turn is
    /// interrupted. Nothing for a message that is settled.
    pub fn abort(&mut self, send: u64, now: Instant) -> Effects {
        self.transition(|state, effects| {
            if state.waiting.remove(send).is_some() {
                state.pending_version += 1;
                effects.push(state.give_up(send, false));
                return;
            }
            let is_it = |turn: &super::InFlight| turn.send == send && !turn.abandoned;
            if !state.in_flight.as_ref().is_some_and(is_it) {
                return;
            }
            let withdrawn = state
                .delivery
                .as_ref()
                .is_some_and(|delivery| delivery.withdraw());
            effects.push(state.give_up(send, !withdrawn));
            if withdrawn {
                state.in_flight = None;
                state.pending_version += 1;
                state.go_on(now, effects);
            } else if let Some(turn) = &mut state.in_flight {
                (turn.abandoned, turn.interrupted) = (true, true);
                state.write_interrupt(now, effects);
            }
        })
    }

    fn give_up(&self, number: u64, sent: bool) -> Effect {
        let error = Error::Aborted {
            name: self.options.name.clone(),
            sent,
        };
        Effect::Emit(Event::Failed {
            sends: vec![number],
            error,
            sent,
        })
    }
}

/// The outcome of an interrupt.
fn told(call: u64, interrupted: bool) -> Effect {
    let value = turn::raw(format!("{{\"interrupted\":{interrupted}}}"));
    Effect::Emit(Event::Answered { call, value })
}

impl TurnResult {
    /// Whether the turn was cut, and not ended by itself. Older versions tell it by the subtype alone.
    pub(super) fn is_cut(&self) -> bool {
        let reason = self.terminal_reason.as_deref();
        reason.is_some_and(|reason| reason.starts_with("aborted"))
            || self.subtype.as_deref() == Some("error_during_execution")
    }
}

/// The text of an `assistant` line, as a JSON string.
pub(super) fn text_of(line: &str) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Line {
        message: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        content: Vec<Block>,
    }
    #[derive(Deserialize)]
    struct Block {
        #[serde(default)]
        text: Option<Box<RawValue>>,
    }
    let line: Line = serde_json::from_str(line).ok()?;
    let mut texts = line.message.content.into_iter().filter_map(|block| block.text);
    let first = texts.next().filter(|text| text.get().starts_with('"'))?;
    // The content between the quotes of further texts is the rest of it.
    let inner = |text: &RawValue| {
        let text = text.get();
        text.get(1..text.len().saturating_sub(1))
            .unwrap_or_default()
            .to_owned()
    };
    let whole = texts.fold(inner(&first), |whole, next| whole + &inner(&next));
    Some(turn::raw(format!("\"{whole}\"")))
}
