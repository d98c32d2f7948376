//! Ends sessions by their instance ids: what outlived its CLI, or its host.

use crate::InstanceId;
pub use platform::{carries, end_abandoned, kill, living};
use std::collections::BTreeSet;

#[cfg(unix)]
mod platform {
    use super::{BTreeSet, InstanceId};
    use crate::table::Table;
    use crate::{Descendants, limits};
    use std::time::Instant;

    /// Kills what carries `instance`: what outlived its CLI, whose end reparents its tools, so that the tree is gone; or
    /// all of a session that another host started. Returns the pids of those that are left.
    pub fn kill(instance: &InstanceId) -> Vec<u32> {
        Descendants::of(BTreeSet::from([instance.clone()])).kill()
    }

    /// Ends these sessions, whose host has ended, and waits for that: 1.3 s and the time of a kill at most. Returns the
    /// pids of those that are left.
    ///
    /// The end of the host has ended their input, on which an idle CLI leaves by itself. Then SIGINT, on which it saves
    /// the conversation and ends its tools (not to those in `interrupted`, which have had theirs), then SIGKILL to all.
    pub fn end_abandoned(instances: BTreeSet<InstanceId>, interrupted: &BTreeSet<InstanceId>) -> Vec<u32> {
        let begun = Instant::now();
        let mut processes = Descendants::of(instances);
        // At once: those that dropped their environment are known by their parents alone, while these live.
        processes.grow();
        let mut is_interrupted = false;
        while begun.elapsed() < limits::ABANDONED_KILL {
            if !processes.live() {
                processes.grow();
                if processes.is_empty() {
                    return Vec::new();
                }
            }
            if !is_interrupted && begun.elapsed() >= limits::ABANDONED_INTERRUPT {
                processes.grow();
                processes.interrupt(interrupted);
                is_interrupted = true;
            }
            std::thread::sleep(limits::ABANDONED_POLL);
        }
        processes.kill()
    }

    /// Those of the instances that a process carries.
    #[must_use]
    pub fn living(instances: BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
        let mut processes = Descendants::of(instances);
        processes.grow();
        processes.instances()
    }

    /// Whether the process of this pid carries the instance.
    #[must_use]
    pub fn carries(pid: u32, instance: &InstanceId) -> bool {
        let table = Table::of(std::iter::once(pid));
        let is_it = |other: &str| other == instance.as_str();
        table.seen().contains_key(&pid) && table.instance(pid, is_it).is_some()
    }
}

/// The system's jobs end what belongs to a session or a host that has ended. Those of another host cannot be reached.
#[cfg(not(unix))]
mod platform {
    use super::{BTreeSet, InstanceId};

    /// The job has ended them with the process.
    pub fn kill(_instance: &InstanceId) -> Vec<u32> {
        Vec::new()
    }

    /// The system closed the jobs of the host with its end, and so ended all that was in them.
    pub fn end_abandoned(_instances: BTreeSet<InstanceId>, _interrupted: &BTreeSet<InstanceId>) -> Vec<u32> {
        Vec::new()
    }

    /// None that can be seen from here.
    #[must_use]
    pub fn living(_instances: BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
        BTreeSet::new()
    }

    /// Not to be seen from here.
    #[must_use]
    pub fn carries(_pid: u32, _instance: &InstanceId) -> bool {
        false
    }
}
