//! The permission mode in force, and whether it is allowed.
//!
//! Every process is given the mode that was asked for, so no settings and no version's default should decide. Each
//! `init` shows whether that worked:
//!
//! - The first `init` of a process is judged in any case. One that allows more than was asked for ends the session with
//!   `ERR_PERMISSION_MODE`: its process is killed before the model's first answer can call a tool. One that allows less
//!   is a warning.
//! - A later `init` may have the mode that a `status` line announced: that is how the CLI tells of each change by the
//!   model (which enters plan mode, or leaves it) and by a control request. With any other mode it is judged like the
//!   first one, except that a mode that allows less gives no second warning.
//! - `status` lines are followed, not judged.
//! - An `init` without a mode, as from an old CLI, is not judged, and none is if the mode is inherited.

use super::{Effect, Effects, Phase, State};
use crate::error::Error;
use crate::session::event::Event;
use crate::session::status::Status;
use std::cmp::Ordering;
use std::time::Instant;

/// Code of the warning that a mode allows less than was asked for.
const WARNING: &str = "CLEARCTX_PERMISSION_MODE";

/// How much a mode allows without asking; `None` for an unknown mode.
///
/// `dontAsk` refuses what `default` asks for. `manual` is another name of `default`. `auto` lets a model decide, and
/// allows the edits that `acceptEdits` does.
fn rank(mode: &str) -> Option<u8> {
    match mode {
        "plan" => Some(0),
        "dontAsk" => Some(1),
        "default" | "manual" => Some(2),
        "acceptEdits" => Some(3),
        "auto" => Some(4),
        "bypassPermissions" => Some(5),
        _ => None,
    }
}

/// Compares what `actual` allows with `asked`. If one of the two is unknown, the actual mode may allow more.
fn compare(actual: &str, asked: &str) -> Ordering {
    if actual == asked {
        return Ordering::Equal;
    }
    match (rank(actual), rank(asked)) {
        (Some(actual), Some(asked)) => actual.cmp(&asked),
        _ => Ordering::Greater,
    }
}

impl State {
    /// The CLI reports a change of the mode.
    pub(super) fn on_mode(&mut self, mode: String, effects: &mut Effects) {
        effects.push(Effect::Emit(Event::PermissionMode { mode: mode.clone() }));
        self.mode_in_force = Some(mode);
    }

    /// Judges the mode of an `init`; `first`: it is the first one of the process.
    pub(super) fn judge_mode(
        &mut self,
        mode: Option<String>,
        first: bool,
        now: Instant,
        effects: &mut Effects,
    ) {
        let Some(mode) = mode else { return };
        let announced = !first && self.mode_in_force.as_ref() == Some(&mode);
        let verdict = self.asked_mode().map(|asked| compare(&mode, asked));
        match verdict {
            Some(Ordering::Greater) if !announced => self.refuse_mode(&mode, now, effects),
            Some(Ordering::Less) if first => effects.push(self.warn_of_mode(&mode)),
            _ => {}
        }
        self.mode_in_force = Some(mode);
    }

    fn refuse_mode(&mut self, actual: &str, now: Instant, effects: &mut Effects) {
        // The session is already being killed, and its callers have the error.
        if self.phase == Phase::Ending(Status::Killed) {
            return;
        }
        let error = Error::PermissionMode {
            name: self.options.name.clone(),
            asked: self.asked_mode().unwrap_or_default().to_owned(),
            actual: actual.to_owned(),
        };
        self.fail_process(&error, now, effects);
    }

    fn warn_of_mode(&self, actual: &str) -> Effect {
        let (name, asked) = (&self.options.name, self.asked_mode().unwrap_or_default());
        Effect::Emit(Event::Warning {
            code: WARNING,
            message: format!(
                "Session \"{name}\" runs in permission mode \"{actual}\", which allows less than \"{asked}\", the one \
                 that was asked for."
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_ordered_by_what_they_allow() {
        let order = [
            "plan",
            "dontAsk",
            "default",
            "acceptEdits",
            "auto",
            "bypassPermissions",
        ];
        for (at, asked) in order.iter().enumerate() {
            for (other, actual) in order.iter().enumerate() {
                assert_eq!(compare(actual, asked), other.cmp(&at), "{actual} for {asked}");
            }
        }
        assert_eq!(compare("default", "manual"), Ordering::Equal);
    }

    #[test]
    fn a_mode_that_is_not_known_may_allow_more_unless_it_was_asked_for() {
        assert_eq!(compare("of tomorrow", "bypassPermissions"), Ordering::Greater);
        assert_eq!(compare("plan", "of tomorrow"), Ordering::Greater);
        assert_eq!(compare("of tomorrow", "of tomorrow"), Ordering::Equal);
    }
}
