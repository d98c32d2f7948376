//! The processes of this system, as far as telling sessions apart needs them: parents, groups, start times, instance ids.
//!
//! A pid alone names nobody: it may be given to a stranger. A process here is a pid and a start time.

use crate::{INSTANCE_VARIABLE, InstanceId};
use rustix::process::Signal;
use std::collections::HashMap;

pub(crate) use platform::{Table, signal_if_same};

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// Tells the process from an earlier or later one of the same pid; the unit is the system's.
    pub(crate) start: u64,
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
    use super::{HashMap, InstanceId, Seen, Signal, instance_in};
    use rustix::fd::OwnedFd;
    use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};

    /// Processes that are there and no zombies.
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

        /// The instance id in the environment that the process was started with, if it is a wanted one.
        #[expect(clippy::unused_self, reason = "elsewhere the table holds the instance ids")]
        pub(crate) fn instance(&self, pid: u32, wanted: impl Fn(&str) -> bool) -> Option<InstanceId> {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let mut instances = environment.split(|byte| *byte == 0).filter_map(instance_in);
            instances.find(|instance| wanted(instance)).map(InstanceId::from)
        }
    }

    /// Sends a signal if the pid still belongs to the process that started at `start`. Whether it was sent.
    pub(crate) fn signal_if_same(pid: u32, start: u64, signal: Signal) -> bool {
        // The handle is opened first: whatever has the pid then keeps it while its start time is compared.
        let target = Target::find(pid).filter(|_| look_at(pid).is_some_and(|seen| seen.start == start));
        target.is_some_and(|target| target.signal(signal))
    }

    /// A process that keeps its identity: the pid of a handle is not given to another one.
    enum Target {
        Handle(OwnedFd),
        /// Kernels before 5.3.
        Number(Pid),
    }

    impl Target {
        fn find(pid: u32) -> Option<Self> {
            let number = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
            match pidfd_open(number, PidfdFlags::empty()) {
                Ok(handle) => Some(Self::Handle(handle)),
                Err(rustix::io::Errno::NOSYS) => Some(Self::Number(number)),
                Err(_) => None,
            }
        }

        fn signal(&self, signal: Signal) -> bool {
            match self {
                Self::Handle(handle) => pidfd_send_signal(handle, signal).is_ok(),
                Self::Number(number) => kill_process(*number, signal).is_ok(),
            }
        }
    }

    /// The process, unless it is gone or a zombie.
    fn look_at(pid: u32) -> Option<Seen> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // pid (name) state ppid pgrp ... starttime (the 22nd field); the name may hold anything, also `)`.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        Some(Seen {
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod platform {
    use super::{HashMap, InstanceId, Seen, Signal, instance_in};
    use rustix::process::{Pid, kill_process};
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::process::Command;

    /// Processes that are there and no zombies. `ps` is the one stable way to them, and to their environments.
    pub(crate) struct Table {
        seen: HashMap<u32, Seen>,
        instances: HashMap<u32, Vec<InstanceId>>,
    }

    impl Table {
        /// All of them.
        pub(crate) fn read() -> Self {
            let listed = Command::new("/bin/ps")
                .args(["-axEww", "-o", "pid=,ppid=,pgid=,stat=,lstart=,command="])
                .env("LC_ALL", "C")
                .output();
            let text = listed
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default();
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

        /// The instance id in the environment of the process, if it is a wanted one.
        pub(crate) fn instance(&self, pid: u32, wanted: impl Fn(&str) -> bool) -> Option<InstanceId> {
            let mut instances = self.instances.get(&pid)?.iter();
            instances.find(|instance| wanted(instance.as_str())).cloned()
        }
    }

    /// Sends a signal. There are no handles here: the table that named this process was read a moment ago, and
    /// pids are given out in turn.
    pub(crate) fn signal_if_same(pid: u32, _start: u64, signal: Signal) -> bool {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        number.is_some_and(|number| kill_process(number, signal).is_ok())
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
