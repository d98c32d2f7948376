//! The processes that belong to one or more sessions: the CLI and all its descendants.

use crate::table::{Seen, Signalled, Table, signal_if_same};
use crate::{InstanceId, limits};
use rustix::process::Signal;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;
use std::time::{Duration, Instant};

/// A process and the session that it belongs to.
#[derive(Debug)]
struct Member {
    seen: Seen,
    instance: InstanceId,
    /// Whether it is a CLI that its host reaps: it is not signalled here.
    is_spared: bool,
}

/// Processes that belong to sessions.
#[derive(Debug, Default)]
pub struct Descendants {
    instances: BTreeSet<InstanceId>,
    /// CLIs that their host reaps, until the next listing. Later their pids may be others'.
    roots: Vec<(u32, InstanceId)>,
    members: HashMap<u32, Member>,
}

impl Descendants {
    /// The processes that carry one of these instance ids, once [`Descendants::grow`] has found them.
    pub fn of(instances: BTreeSet<InstanceId>) -> Self {
        Self {
            instances,
            ..Self::default()
        }
    }

    /// Adds those of another session. `cli` is its CLI if the caller reaps it, which then is not signalled; `None` once the
    /// CLI has been reaped, since its pid may have been reused.
    pub fn add_session(&mut self, cli: Option<u32>, instance: &InstanceId) {
        self.instances.insert(instance.clone());
        self.roots.extend(cli.map(|pid| (pid, instance.clone())));
    }

    /// Forgets a session.
    pub fn remove_session(&mut self, instance: &InstanceId) {
        self.instances.remove(instance);
        self.roots.retain(|(_, other)| other != instance);
        self.members.retain(|_, member| member.instance != *instance);
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
        for (pid, instance) in mem::take(&mut self.roots) {
            if let Some(seen) = all.get(&pid) {
                self.add(pid, *seen, instance, true);
            }
        }
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (pid, seen) in all {
            children.entry(seen.parent).or_default().push(*pid);
            if !self.members.contains_key(pid)
                && let Some(instance) = table.instance(*pid, |instance| self.instances.contains(instance))
            {
                self.add(*pid, *seen, instance, false);
            }
        }
        let mut parents: Vec<u32> = self.members.keys().copied().collect();
        while let Some(parent) = parents.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                if !self.members.contains_key(&child) {
                    let instance = self.members[&parent].instance.clone();
                    self.add(child, all[&child], instance, false);
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
        let mut round = Round::default();
        loop {
            self.grow();
            let left: Vec<Struck> = self.strike().into_values().flatten().collect();
            if is_over(&left) || round.is_last() {
                return left.iter().filter_map(Struck::left).collect();
            }
            // What they started meanwhile is found in the next round.
            round.pause();
        }
    }

    /// Sends SIGKILL to the members that were found by the last listing. What came of it, by session; a session of which
    /// nothing was found is missing.
    pub fn strike(&self) -> HashMap<InstanceId, Vec<Struck>> {
        let mut struck: HashMap<InstanceId, Vec<Struck>> = HashMap::new();
        for (pid, member) in self.members.iter().filter(|(_, member)| !member.is_spared) {
            let outcome = signal_if_same(*pid, member.seen.start, Signal::KILL);
            let of_session = struck.entry(member.instance.clone()).or_default();
            of_session.push(Struck { pid: *pid, outcome });
        }
        struck
    }

    fn add(&mut self, pid: u32, seen: Seen, instance: InstanceId, is_spared: bool) {
        let member = Member {
            seen,
            instance,
            is_spared,
        };
        self.members.insert(pid, member);
    }
}

/// A process that was to be killed.
pub struct Struck {
    pid: u32,
    outcome: Signalled,
}

impl Struck {
    /// Its pid, unless it has ended.
    #[must_use]
    pub fn left(&self) -> Option<u32> {
        (self.outcome != Signalled::Gone).then_some(self.pid)
    }
}

/// Whether another round would change nothing: nothing is left, or what is left cannot be signalled.
#[must_use]
pub fn is_over(struck: &[Struck]) -> bool {
    struck.iter().all(|one| one.outcome == Signalled::Refused)
}

/// The time of listing and killing, round by round.
#[derive(Debug)]
pub struct Round {
    /// Counted from the first round on: on a busy machine, listing takes its time.
    deadline: Option<Instant>,
    pause: Duration,
}

impl Default for Round {
    fn default() -> Self {
        Self {
            deadline: None,
            pause: limits::KILL_PAUSE,
        }
    }
}

impl Round {
    /// Ends a round. Whether there is no time for another one.
    pub fn is_last(&mut self) -> bool {
        let now = Instant::now();
        now >= *self.deadline.get_or_insert(now + limits::KILL_TIME)
    }

    /// Waits for the next round.
    pub fn pause(&mut self) {
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(limits::KILL_PAUSE_MOST);
    }
}
