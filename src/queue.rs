//! The notices that wait for JavaScript. Those of one session are in order, and the sessions take turns, so that one that
//! floods does not hold up the events of another.

use clearctx_core::api::Notice;
use clearctx_core::limits;
use std::collections::{HashMap, VecDeque};

/// Waiting items.
pub(crate) struct Queue {
    lanes: HashMap<u64, VecDeque<Notice>>,
    /// Lanes with waiting items, the next one first.
    turns: VecDeque<u64>,
    /// Whether JavaScript has found nothing and sleeps until it is woken.
    rests: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            rests: true,
        }
    }
}

impl Queue {
    /// Queues an item; returns whether JavaScript must be woken.
    pub(crate) fn push(&mut self, item: Notice) -> bool {
        let number = item.number();
        let lane = self.lanes.entry(number).or_default();
        if lane.is_empty() {
            self.turns.push_back(number);
        }
        lane.push_back(item);
        std::mem::take(&mut self.rests)
    }

    /// Takes the next items, up to the bounds. If nothing waits, JavaScript sleeps until it is woken.
    pub(crate) fn take(&mut self) -> Vec<Notice> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < limits::TAKEN_ITEMS && bytes < limits::TAKEN_BYTES {
            let Some(item) = self.pop() else { break };
            bytes += item.backlog_bytes();
            items.push(item);
        }
        self.rests = items.is_empty();
        items
    }

    /// The next item of the lane whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Notice> {
        let number = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&number)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&number);
        } else {
            self.turns.push_back(number);
        }
        item
    }
}
