//! What waits for JavaScript, in the order of each session, the sessions in turn: one that floods does not hold up
//! the events of another.

use super::host::Item;
use std::collections::{HashMap, VecDeque};

/// Waiting items.
#[derive(Default)]
pub(super) struct Queue {
    lanes: HashMap<u64, VecDeque<Item>>,
    /// Lanes that have something, the next one first.
    turns: VecDeque<u64>,
    count: usize,
}

impl Queue {
    pub(super) fn push(&mut self, item: Item) {
        let number = item.number();
        let lane = self.lanes.entry(number).or_default();
        if lane.is_empty() {
            self.turns.push_back(number);
        }
        lane.push_back(item);
        self.count += 1;
    }

    /// The next item of the lane whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let number = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&number)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&number);
        } else {
            self.turns.push_back(number);
        }
        self.count -= 1;
        item
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }
}
