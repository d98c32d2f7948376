//! The processes that belong to one or more sessions: the CLI and all its descendants.

use crate::table::{Seen, Signalled, Table, signal_if_same};
use crate::{InstanceId, limits};
use rustix::process::Signal;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

/// A process and the session that it belongs to.
struct Member {
    seen: Seen,
    instance: InstanceId,
}

/// Processes that belong to sessions.
pub struct Descendants {
    instances: BTreeSet<InstanceId>,
    /// The CLI, if its host reaps it: it is not signalled here.
    spared: Option<u32>,
    members: HashMap<u32, Member>,
}

impl Descendants {
    /// The processes that carry one of these instance ids, once [`Descendants::grow`] has found them.
    pub fn of(instances: BTreeSet<InstanceId>) -> Self {
        Self {
            instances,
            spared: None,
            members: HashMap::new(),
        }
    }

    /// The same for one session, without its CLI, which the caller reaps. `cli` is `None` once the CLI has been reaped, since
    /// its pid may have been reused.
    pub fn around(cli: Option<u32>, instance: &InstanceId) -> Self {
        let mut processes = Self::of(BTreeSet::from([instance.clone()]));
        processes.spared = cli;
        for (pid, seen) in Table::of(cli.into_iter()).seen() {
            processes.add(*pid, *seen, instance.clone());
        }
        processes
    }

    /// Lists again: drops members that have ended, and adds processes that carry an instance id and the descendants of all
    /// members.
    pub fn grow(&mut self) {
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
                && let Some(instance) = table.instance(*pid, |instance| self.instances.contains(instance))
            {
                self.add(*pid, *seen, instance);
            }
        }
        let mut parents: Vec<u32> = self.members.keys().copied().collect();
        while let Some(parent) = parents.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                if !self.members.contains_key(&child) {
                    let instance = self.members[&parent].instance.clone();
                    self.add(child, all[&child], instance);
                    parents.push(child);
                }
            }
        }
    }

    /// Whether the last listing found no process.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The sessions that the members belong to.
    pub fn instances(&self) -> BTreeSet<InstanceId> {
        let members = self.members.values();
        members.map(|member| member.instance.clone()).collect()
    }

    /// Whether one of the members still lives. Does not look for new ones.
    pub fn live(&self) -> bool {
        let table = Table::of(self.members.keys().copied());
        let same = |(pid, member): (&u32, &Member)| {
            table
                .seen()
                .get(pid)
                .is_some_and(|seen| seen.start == member.seen.start)
        };
        self.members.iter().any(same)
    }

    /// Sends SIGINT to each CLI and its process group, as a terminal does, so that it reaches the CLI behind a wrapper. The
    /// CLI then ends its tools. The sessions in `spared` get none.
    pub fn interrupt(&self, spared: &BTreeSet<InstanceId>) {
        let is_root = |member: &&Member| !self.members.contains_key(&member.seen.parent);
        let roots = self.members.values().filter(is_root);
        let groups: HashSet<u32> = roots
            .filter(|member| !spared.contains(&member.instance))
            .map(|member| member.seen.group)
            .collect();
        for (pid, member) in &self.members {
            if groups.contains(&member.seen.group) {
                signal_if_same(*pid, member.seen.start, Signal::INT);
            }
        }
    }

    /// Sends SIGKILL to all members and to processes that they started in between, again and again until none is found.
    /// Returns the pids that are left: the system forbids the signal, or the process does not end.
    pub fn kill(&mut self) -> Vec<u32> {
        let deadline = Instant::now() + limits::KILL_TIME;
        let mut pause = limits::KILL_PAUSE;
        loop {
            self.grow();
            let others = self.members.iter().filter(|(pid, _)| Some(**pid) != self.spared);
            let outcomes: Vec<(u32, Signalled)> = others
                .map(|(pid, member)| (*pid, signal_if_same(*pid, member.seen.start, Signal::KILL)))
                .collect();
            let are_all_refused = outcomes.iter().all(|(_, outcome)| *outcome == Signalled::Refused);
            if are_all_refused || Instant::now() >= deadline {
                let left = outcomes.iter().filter(|(_, outcome)| *outcome != Signalled::Gone);
                return left.map(|(pid, _)| *pid).collect();
            }
            // What they started meanwhile is found in the next round.
            std::thread::sleep(pause);
            pause = (pause * 2).min(limits::KILL_PAUSE_MOST);
        }
    }

    fn add(&mut self, pid: u32, seen: Seen, instance: InstanceId) {
        self.members.insert(pid, Member { seen, instance });
    }
}
