//! The habits of this CLI: which lines a turn has. They are learnt from its lines; its version gives the first assumption.

use crate::protocol::version::Version;

/// The first version whose habits are known (`docs/protocol.md`).
const FIRST_KNOWN: Version = Version([1, 0, 64]);

/// From this version on, `num_turns` is 1 + the number of tool results, and 0 for a command that asks no model. Up to 2.0.0
/// it grows over the conversation, and up to 2.1.112 it is 8 or 9 for commands; versions in between were not tried.
const FIRST_TO_COUNT: Version = Version([2, 1, 120]);

/// From this version on, the result of a turn that the CLI started by itself has an `origin`.
const FIRST_WITH_ORIGIN: Version = Version([2, 1, 150]);

/// Habits of one process.
#[derive(Debug, Default)]
pub(super) struct Habits {
    version: Option<Version>,
    /// Whether each turn begins with an init; `None` until it was seen.
    init_per_turn: Option<bool>,
    /// Whether a result has named its messages.
    names_messages: bool,
}

impl Habits {
    /// Learns the version that an init reports.
    pub(super) fn learn_version(&mut self, version: Option<&str>) {
        self.version = version.and_then(Version::parse).or(self.version);
    }

    /// The version, once an init has reported it.
    pub(super) fn version(&self) -> Option<Version> {
        self.version
    }

    /// Learns whether turns have inits: one came for a turn after the first, or a turn ended without one.
    pub(super) fn learn_init_per_turn(&mut self, is_so: bool) {
        self.init_per_turn = Some(is_so);
    }

    /// A result has named its messages.
    pub(super) fn learn_names(&mut self) {
        self.names_messages = true;
    }

    /// Whether each turn begins with an init; `None` if neither the version nor the lines so far show it.
    pub(super) fn init_per_turn(&self) -> Option<bool> {
        let known = self.version.is_some_and(|version| version >= FIRST_KNOWN);
        self.init_per_turn.or(known.then_some(true))
    }

    /// Whether the result of a turn that the CLI started by itself shows that.
    pub(super) fn marks_own_turns(&self) -> bool {
        self.names_messages || self.version.is_some_and(|version| version >= FIRST_WITH_ORIGIN)
    }

    /// Whether `num_turns` is known to count the turns of one message.
    pub(super) fn counts_turns(&self) -> bool {
        self.version.is_some_and(|version| version >= FIRST_TO_COUNT)
    }

    /// Whether it is known that such a result does not show it.
    pub(super) fn hides_own_turns(&self) -> bool {
        !self.names_messages && self.version.is_some_and(|version| version < FIRST_WITH_ORIGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_comes_before_what_is_known_of_the_version() {
        let mut habits = Habits::default();
        assert_eq!((habits.init_per_turn(), habits.hides_own_turns()), (None, false));
        habits.learn_version(Some("2.1.120"));
        assert_eq!(
            (habits.init_per_turn(), habits.hides_own_turns()),
            (Some(true), true)
        );
        habits.learn_init_per_turn(false);
        habits.learn_names();
        assert_eq!(
            (habits.init_per_turn(), habits.marks_own_turns()),
            (Some(false), true)
        );
    }
}
