//! The processes of this system: their parents, groups, start times and instance ids.
//!
//! A pid alone does not identify a process, since pids are reused. Here a process is a pid and a start time.

use crate::{INSTANCE_VARIABLE, InstanceId};
use rustix::process::Signal;
use std::collections::HashMap;

#[cfg(target_os = "linux")]
pub(crate) use platform::seen_in;
pub(crate) use platform::{SOURCE, Table, signal_if_same};

/// The known facts about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// Distinguishes the process from an earlier or later one of the same pid; the unit is the system's.
    pub(crate) start: u64,
}

/// The result of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signalled {
    /// It was sent.
    Sent,
    /// The process has ended.
    Gone,
    /// The system does not allow it: the process belongs to another user, or a sandbox forbids the call.
    Refused,
}

impl From<rustix::io::Result<()>> for Signalled {
    fn from(sent: rustix::io::Result<()>) -> Self {
        match sent {
            Ok(()) => Self::Sent,
            Err(rustix::io::Errno::SRCH) => Self::Gone,
            Err(_) => Self::Refused,
        }
    }
}

/// The value of an entry of an environment, if it is an instance id.
fn instance_in(entry: &[u8]) -> Option<&str> {
    let value = entry
        .strip_prefix(INSTANCE_VARIABLE.as_bytes())?
        .strip_prefix(b"=")?;
    std::str::from_utf8(value).ok()
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{HashMap, InstanceId, Seen, Signal, Signalled, instance_in};
    use rustix::fd::OwnedFd;
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};

    /// The reason if processes cannot be listed.
    pub(crate) const SOURCE: &str = "/proc cannot be read";

    /// The processes that exist and are not zombies.
    pub(crate) struct Table(HashMap<u32, Seen>);

    impl Table {
        /// All of them.
        pub(crate) fn read() -> Self {
            let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            Self::of(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
        }

        /// Those of these pids.
        pub(crate) fn of(pids: impl Iterator<Item = u32>) -> Self {
            Self(pids.filter_map(|pid| Some((pid, look_at(pid)?))).collect())
        }

        pub(crate) fn seen(&self) -> &HashMap<u32, Seen> {
            &self.0
        }

        /// The instance id in the environment with which the process was started, if `wanted` accepts it.
        #[expect(clippy::unused_self, reason = "elsewhere the table holds the instance ids")]
        pub(crate) fn instance(&self, pid: u32, wanted: impl Fn(&str) -> bool) -> Option<InstanceId> {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let mut instances = environment.split(|byte| *byte == 0).filter_map(instance_in);
            instances.find(|instance| wanted(instance)).map(InstanceId::from)
        }
    }

    /// Sends a signal if the pid still belongs to the process that started at `start`.
    ///
    /// Uses a process handle if possible. The handle is opened before the start time is compared, and never leads to another
    /// process. Kernels before 5.3 have no handles, and sandboxes may forbid the two calls with any error; then the pid is
    /// signalled right after the comparison.
    pub(crate) fn signal_if_same(pid: u32, start: u64, signal: Signal) -> Signalled {
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Signalled::Gone;
        };
        let handle = pidfd_open(number, PidfdFlags::empty());
        let is_same = || look_at(pid).is_some_and(|seen| seen.start == start);
        if matches!(handle, Err(Errno::SRCH)) || !is_same() {
            return Signalled::Gone;
        }
        match handle.and_then(|handle: OwnedFd| pidfd_send_signal(handle, signal)) {
            Ok(()) => Signalled::Sent,
            Err(Errno::SRCH) => Signalled::Gone,
            Err(_) if is_same() => kill_process(number, signal).into(),
            Err(_) => Signalled::Gone,
        }
    }

    /// The process, unless it is gone or a zombie.
    fn look_at(pid: u32) -> Option<Seen> {
        seen_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The process that this `stat` describes, unless it is a zombie.
    pub(crate) fn seen_in(stat: &str) -> Option<Seen> {
        // pid (name) state ppid pgrp ... starttime (the 22nd field); the name may hold anything, also `)`.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        Some(Seen {
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            start: fields.nth(16)?.parse().ok()?,
        })
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod platform {
    use super::{HashMap, InstanceId, Seen, Signal, Signalled, instance_in};
    use crate::tools::output;
    use rustix::process::{Pid, kill_process};
    use std::hash::{DefaultHasher, Hash, Hasher};

    /// The reason if processes cannot be listed.
    pub(crate) const SOURCE: &str = "/bin/ps cannot be run";

    /// The processes that exist and are not zombies. `ps` is the one stable way to list them with their environments.
    pub(crate) struct Table {
        seen: HashMap<u32, Seen>,
        instances: HashMap<u32, Vec<InstanceId>>,
    }

    impl Table {
        /// All of them.
        pub(crate) fn read() -> Self {
            let columns = "pid=,ppid=,pgid=,stat=,lstart=,command=";
            let text = output("/bin/ps", &["-axEww", "-o", columns]).unwrap_or_default();
            let mut table = Self {
                seen: HashMap::new(),
                instances: HashMap::new(),
            };
            for line in text.lines() {
                if let Some((pid, seen, instances)) = row(line) {
                    table.seen.insert(pid, seen);
                    table.instances.insert(pid, instances);
                }
            }
            table
        }

        /// Those of these pids. Asking for one costs as much as asking for all.
        pub(crate) fn of(_pids: impl Iterator<Item = u32>) -> Self {
            Self::read()
        }

        pub(crate) fn seen(&self) -> &HashMap<u32, Seen> {
            &self.seen
        }

        /// The instance id in the environment of the process, if `wanted` accepts it.
        pub(crate) fn instance(&self, pid: u32, wanted: impl Fn(&str) -> bool) -> Option<InstanceId> {
            let mut instances = self.instances.get(&pid)?.iter();
            instances.find(|instance| wanted(instance.as_str())).cloned()
        }
    }

    /// Sends a signal. There are no process handles here, but the table that named this process was read a moment ago, and
    /// pids are assigned in order.
    pub(crate) fn signal_if_same(pid: u32, _start: u64, signal: Signal) -> Signalled {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        number.map_or(Signalled::Gone, |number| kill_process(number, signal).into())
    }

    /// `pid ppid pgid stat WEEKDAY MONTH DAY TIME YEAR command and environment`
    fn row(line: &str) -> Option<(u32, Seen, Vec<InstanceId>)> {
        let mut words = line.split_whitespace();
        let mut number = || words.next()?.parse().ok();
        let (pid, parent, group) = (number()?, number()?, number()?);
        if words.next()?.starts_with('Z') {
            return None;
        }
        let mut start = DefaultHasher::new();
        for _ in 0..5 {
            words.next()?.hash(&mut start);
        }
        let start = start.finish();
        let instances = words.filter_map(|word| instance_in(word.as_bytes()).map(InstanceId::from));
        Some((pid, Seen { parent, group, start }, instances.collect()))
    }
}
