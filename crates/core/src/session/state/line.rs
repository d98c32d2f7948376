//! The waiting messages, in order and by their deadlines. The cost of each step hardly depends on their number.

use super::Waiting;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The line.
#[derive(Debug, Default)]
pub(super) struct WaitingLine {
    /// The messages by their numbers, in the order of arrival.
    messages: BTreeMap<u64, Waiting>,
    deadlines: BTreeSet<(Instant, u64)>,
    count: u64,
}

impl WaitingLine {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.count += 1;
        self.deadlines.insert((waiting.deadline.at, self.count));
        self.messages.insert(self.count, waiting);
    }

    /// Removes the next message.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let (number, waiting) = self.messages.pop_first()?;
        self.deadlines.remove(&(waiting.deadline.at, number));
        Some(waiting)
    }

    /// The next message.
    pub(super) fn first_mut(&mut self) -> Option<&mut Waiting> {
        self.messages
            .first_entry()
            .map(std::collections::btree_map::OccupiedEntry::into_mut)
    }

    /// Removes the next message, if that is one of those.
    pub(super) fn pop_if(&mut self, is_one: impl FnOnce(&Waiting) -> bool) -> Option<Waiting> {
        let (_, first) = self.messages.first_key_value()?;
        if is_one(first) { self.pop() } else { None }
    }

    /// Removes the message of a send.
    pub(super) fn remove(&mut self, send: u64) -> Option<Waiting> {
        let (number, _) = self
            .messages
            .iter()
            .find(|(_, waiting)| waiting.message.send == send)?;
        let number = *number;
        let waiting = self.messages.remove(&number)?;
        self.deadlines.remove(&(waiting.deadline.at, number));
        Some(waiting)
    }

    /// Removes a message whose deadline has passed.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Waiting> {
        let (_, number) = self.deadlines.first().filter(|(at, _)| *at <= now).copied()?;
        self.deadlines.pop_first();
        self.messages.remove(&number)
    }

    /// Removes all messages, in order.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waiting> + use<> {
        self.deadlines.clear();
        std::mem::take(&mut self.messages).into_values()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> + Clone {
        self.messages.values()
    }
}
