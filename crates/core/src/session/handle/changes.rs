//! Every change goes through [`Session::apply`] or its siblings: the state changes under its mutex and the effects are
//! carried out before the mutex is released, so their order is the order of the changes. No effect blocks.

use super::{Order, Session};
use crate::error::Result;
use crate::session::effect::Effect;
use crate::session::event::Event;
use crate::session::guards::PanicGuard;
use crate::session::state::State;
use crate::session::status::Status;

impl Session {
    pub(super) fn emit(&self, event: Event) {
        self.shared.backlog.emitted(event.backlog_bytes());
        self.shared.outbox.emit(event);
    }

    /// Changes the state and carries out the effects.
    pub(in crate::session) fn apply(&self, change: impl FnOnce(&mut State) -> Vec<Effect>) -> (Status, u64) {
        let _guard = PanicGuard(|| self.fail());
        let mut state = self.lock();
        let effects = change(&mut state);
        self.perform(effects, &state);
        state.status()
    }

    /// A change from outside the run.
    pub(super) fn call(
        &self,
        change: impl FnOnce(&mut State) -> Result<Vec<Effect>>,
    ) -> Result<(Status, u64)> {
        let _guard = PanicGuard(|| self.fail());
        let mut state = self.lock();
        let effects = change(&mut state)?;
        self.perform(effects, &state);
        self.wake_for_deadline(&state);
        Ok(state.status())
    }

    pub(super) fn perform(&self, effects: Vec<Effect>, state: &State) {
        if state.is_suspended() {
            // Before any event that reports it.
            self.forget_incarnation();
        }
        for effect in effects {
            match effect {
                Effect::Write(line) => self.write(line, state),
                Effect::WriteControl(line) => {
                    if let Some(input) = self.input(self.incarnation()) {
                        input.push_control(line);
                    }
                }
                Effect::EndInput => {
                    if let Some(input) = self.input(self.incarnation()) {
                        input.end();
                    }
                }
                Effect::Interrupt => self.order(Order::Interrupt),
                Effect::KillTree => self.order(Order::KillTree),
                Effect::StartNext => {
                    let mailbox = self.begin_incarnation();
                    self.shared.supervisor.start_next(self, mailbox);
                }
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
            self.shared.supervisor.ended(self);
        }
    }
}
