//! Ends sessions by their instance ids: processes that outlived their CLI or their host.

use crate::InstanceId;
pub use platform::{carries, end_abandoned, living};
use std::collections::BTreeSet;

#[cfg(unix)]
mod platform {
    use super::{BTreeSet, InstanceId};
    use crate::table::Table;
    use crate::{Descendants, limits};
    use std::time::Instant;

    /// Ends these sessions, whose host has ended, and waits until they are gone: 1.3 s and the time of a kill at most. Returns
    /// the pids that are left.
    ///
    /// The end of the host has ended the input of the CLIs, so an idle CLI exits by itself. Then the CLIs get SIGINT, except
    /// those in `interrupted`, which have had it: they save the conversation and end their tools. Then everything gets
    /// SIGKILL.
    pub fn end_abandoned(instances: BTreeSet<InstanceId>, interrupted: &BTreeSet<InstanceId>) -> Vec<u32> {
        let begun = Instant::now();
        let mut processes = Descendants::of(instances);
        // Listed at once: processes that dropped their environment can be found only while their parents live.
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

    /// The instances that some process carries.
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

/// The system's jobs end the processes of a session or a host that has ended. Those of another host cannot be reached.
#[cfg(not(unix))]
mod platform {
    use super::{BTreeSet, InstanceId};

    /// Does nothing: the system closed the jobs of the host when it ended, and so ended the processes in them.
    pub fn end_abandoned(_instances: BTreeSet<InstanceId>, _interrupted: &BTreeSet<InstanceId>) -> Vec<u32> {
        Vec::new()
    }

    /// None: they cannot be seen on this system.
    #[must_use]
    pub fn living(_instances: BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
        BTreeSet::new()
    }

    /// False: this cannot be seen on this system.
    #[must_use]
    pub fn carries(_pid: u32, _instance: &InstanceId) -> bool {
        false
    }
}
