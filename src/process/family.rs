//! The processes that belong to one or more sessions: the CLI and all its descendants.
//!
//! The CLI starts each shell tool in a session of its own, so neither a process group nor the tree alone
//! reaches all of them once a parent is dead. They are found by the tree *and* by the session's mark in their
//! environment, and known from then on by pid and start time.

use super::table::{Seen, Table, signal_if_same};
use crate::limits;
use rustix::process::Signal;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// A process of the family, and the session that it belongs to.
struct Member {
    seen: Seen,
    mark: String,
}

/// Processes that belong to sessions.
pub(super) struct Family {
    marks: BTreeSet<String>,
    /// The CLI, where its host reaps it: nobody else signals it here.
    spared: Option<u32>,
    members: HashMap<u32, Member>,
}

impl Family {
    /// What carries one of these marks, once [`Family::grow`] has looked.
    pub(super) fn of(marks: BTreeSet<String>) -> Self {
        Self {
            marks,
            spared: None,
            members: HashMap::new(),
        }
    }

    /// The same for one session, less its CLI, which the caller reaps. `cli` is none once it has been reaped: its
    /// pid may be another's by then.
    pub(super) fn around(cli: Option<u32>, mark: &str) -> Self {
        let mut family = Self::of(BTreeSet::from([mark.to_owned()]));
        family.spared = cli;
        for (pid, seen) in Table::of(cli.into_iter()).seen() {
            family.add(*pid, *seen, mark.to_owned());
        }
        family
    }

    /// Looks again: those that have ended are forgotten, what carries a mark and the descendants of all members
    /// are added.
    pub(super) fn grow(&mut self) {
        let table = Table::read();
        let all = table.seen();
        self.members.retain(|pid, member| match all.get(pid) {
            Some(seen) if seen.start == member.seen.start => {
                member.seen = *seen;
                true
            }
            _ => false,
        });
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (pid, seen) in all {
            children.entry(seen.parent).or_default().push(*pid);
            if !self.members.contains_key(pid)
                && let Some(mark) = table.mark(*pid, |mark| self.marks.contains(mark))
            {
                self.add(*pid, *seen, mark);
            }
        }
        let mut parents: Vec<u32> = self.members.keys().copied().collect();
        while let Some(parent) = parents.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                if !self.members.contains_key(&child) {
                    let mark = self.members[&parent].mark.clone();
                    self.add(child, all[&child], mark);
                    parents.push(child);
                }
            }
        }
    }

    /// Whether the last look found nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Marks of the members.
    pub(super) fn living(&self) -> BTreeSet<String> {
        self.members.values().map(|member| member.mark.clone()).collect()
    }

    /// Whether one of the members still lives. New ones are not looked for.
    pub(super) fn lives(&self) -> bool {
        let table = Table::of(self.members.keys().copied());
        let same = |(pid, member): (&u32, &Member)| {
            table
                .seen()
                .get(pid)
                .is_some_and(|seen| seen.start == member.seen.start)
        };
        self.members.iter().any(same)
    }

    /// SIGINT to each CLI and its process group, as a terminal does, so that it reaches the CLI behind a wrapper;
    /// not to those of the sessions in `spared`. The CLI then ends its tools.
    pub(super) fn interrupt(&self, spared: &BTreeSet<String>) {
        let is_root = |member: &&Member| !self.members.contains_key(&member.seen.parent);
        let roots = self.members.values().filter(is_root);
        let groups: HashSet<u32> = roots
            .filter(|member| !spared.contains(&member.mark))
            .map(|member| member.seen.group)
            .collect();
        for (pid, member) in &self.members {
            if groups.contains(&member.seen.group) {
                signal_if_same(*pid, member.seen.start, Signal::INT);
            }
        }
    }

    /// SIGKILL to all members and to what they started meanwhile, again and again until none is found.
    pub(super) fn kill(&mut self) {
        for _ in 0..limits::TREE_KILL_ROUNDS {
            self.grow();
            let others = self.members.iter().filter(|(pid, _)| Some(**pid) != self.spared);
            let killed = others
                .filter(|(pid, member)| signal_if_same(**pid, member.seen.start, Signal::KILL))
                .count();
            if killed == 0 {
                return;
            }
            // A killed process needs a moment to go; what it started meanwhile is found in the next round.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn add(&mut self, pid: u32, seen: Seen, mark: String) {
        self.members.insert(pid, Member { seen, mark });
    }
}
