//! Ends a process and all its descendants.
//!
//! The CLI starts each shell tool in a session of its own, so neither a process group nor the tree alone
//! reaches all of them once a parent is dead. Descendants are therefore found by the tree *and* by our mark
//! in their environment; stopped, listed, killed, and listed again until none is left.

use super::child::Process;

/// Kills the tree of `process`, from any thread. Takes a few ms: not for the JavaScript thread.
pub fn kill_now(process: &Process) {
    platform::kill_tree(process);
}

/// Kills what carries `mark` and outlived its CLI: the CLI's end reparents its tools, so the tree is gone.
pub fn kill_leftovers(mark: &str) {
    platform::kill_leftovers(mark);
}

/// Kills the tree of a process that another host started: `pid` and its descendants, if its environment
/// carries `mark`. Returns whether there was one.
#[must_use]
pub fn kill_stranger(pid: u32, mark: &str) -> bool {
    platform::kill_stranger(pid, mark)
}

/// The name of a signal, as Node gives it.
#[cfg(unix)]
#[must_use]
pub fn signal_name(number: i32) -> String {
    use rustix::process::Signal;
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ];
    let name = names.iter().find(|(signal, _)| signal.as_raw() == number);
    name.map_or_else(|| format!("signal {number}"), |(_, name)| (*name).to_owned())
}

#[cfg(windows)]
pub use platform::job_for;

#[cfg(target_os = "linux")]
mod platform {
    use super::super::command::MARK_VARIABLE;
    use super::Process;
    use crate::limits;
    use rustix::fd::OwnedFd;
    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
    use std::collections::HashMap;
    use std::time::Duration;

    pub(super) fn kill_tree(process: &Process) {
        // Stopped first: a process that is being listed must not start another one.
        process.signal(Signal::STOP);
        let mut family = Family::new(process.pid(), process.mark());
        if process.is_reaped() {
            // Its pid may be another's by now; what it left carries the mark.
            family.known.clear();
        } else {
            family.grow();
            process.kill();
        }
        family.kill_until_none_is_left();
    }

    pub(super) fn kill_leftovers(mark: &str) {
        Family {
            own: 0,
            mark,
            known: HashMap::new(),
        }
        .kill_until_none_is_left();
    }

    pub(super) fn kill_stranger(pid: u32, mark: &str) -> bool {
        let Some(target) = Target::find(pid).filter(|_| carries(pid, mark)) else {
            return false;
        };
        target.signal(Signal::STOP);
        let mut family = Family::new(pid, mark);
        family.grow();
        target.signal(Signal::KILL);
        family.kill_until_none_is_left();
        true
    }

    /// Processes that belong to one CLI, by pid and start time: a pid alone may be given to another process.
    struct Family<'a> {
        /// The CLI itself, which its host reaps and nobody else signals here.
        own: u32,
        mark: &'a str,
        known: HashMap<u32, u64>,
    }

    impl<'a> Family<'a> {
        fn new(own: u32, mark: &'a str) -> Self {
            let known = look_at(own).map(|seen| (own, seen.start)).into_iter().collect();
            Self { own, mark, known }
        }

        /// Adds what carries the mark, and the descendants of all that is known.
        fn grow(&mut self) {
            let all = all_processes();
            let same = |pid: &u32, start: &u64| all.get(pid).is_some_and(|seen| seen.start == *start);
            self.known
                .retain(|pid, start| *pid == self.own || same(pid, start));
            let marked = all.iter().filter(|(pid, _)| carries(**pid, self.mark));
            self.known.extend(marked.map(|(pid, seen)| (*pid, seen.start)));
            let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
            for (pid, seen) in &all {
                children.entry(seen.parent).or_default().push(*pid);
            }
            let mut next: Vec<u32> = self
                .known
                .iter()
                .filter(|(pid, start)| same(pid, start))
                .map(|(pid, _)| *pid)
                .collect();
            while let Some(pid) = next.pop() {
                for child in children.remove(&pid).unwrap_or_default() {
                    self.known.insert(child, all[&child].start);
                    next.push(child);
                }
            }
        }

        fn kill_until_none_is_left(&mut self) {
            for _ in 0..limits::TREE_KILL_ROUNDS {
                self.grow();
                let others = self.known.iter().filter(|(pid, _)| **pid != self.own);
                let killed = others.filter(|(pid, start)| kill_if_same(**pid, **start)).count();
                if killed == 0 {
                    return;
                }
                // A killed process needs a moment to go; what it started meanwhile is found in the next round.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn kill_if_same(pid: u32, start: u64) -> bool {
        // The handle is opened first: whatever has the pid then keeps it while its start time is compared.
        let target = Target::find(pid).filter(|_| look_at(pid).is_some_and(|seen| seen.start == start));
        target.is_some_and(|target| target.signal(Signal::KILL))
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
                Ok(handle) => look_at(pid).is_some().then_some(Self::Handle(handle)),
                Err(rustix::io::Errno::NOSYS) => look_at(pid).is_some().then_some(Self::Number(number)),
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

    /// A process as `/proc` shows it.
    struct Seen {
        parent: u32,
        /// Start time, in clock ticks since the system started.
        start: u64,
    }

    /// Each process that is there and no zombie.
    fn all_processes() -> HashMap<u32, Seen> {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return HashMap::new();
        };
        let pids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| Some((pid, look_at(pid)?))).collect()
    }

    /// The process, unless it is gone or a zombie.
    fn look_at(pid: u32) -> Option<Seen> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // pid (name) state ppid ... starttime (the 22nd field); the name may hold anything, also `)`.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        Some(Seen {
            parent: fields.get(1)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether the environment that the process was started with carries our mark.
    fn carries(pid: u32, mark: &str) -> bool {
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else {
            return false;
        };
        let wanted = format!("{MARK_VARIABLE}={mark}");
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == wanted.as_bytes())
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod platform {
    use super::super::command::MARK_VARIABLE;
    use super::Process;
    use crate::limits;
    use rustix::process::{Pid, Signal, kill_process};
    use std::process::Command;

    pub(super) fn kill_tree(process: &Process) {
        process.signal(Signal::STOP);
        let own = process.pid();
        let found = family(own, process.mark());
        process.kill();
        kill_all(&found, own);
        for _ in 0..limits::TREE_KILL_ROUNDS {
            let left = family(own, process.mark());
            if kill_all(&left, own) == 0 {
                return;
            }
        }
    }

    pub(super) fn kill_leftovers(mark: &str) {
        kill_all(&family(0, mark), 0);
    }

    pub(super) fn kill_stranger(pid: u32, mark: &str) -> bool {
        let found = family(pid, mark);
        found.contains(&pid) && kill_all(&found, 0) > 0
    }

    fn kill_all(pids: &[u32], own: u32) -> usize {
        let others = pids.iter().filter(|pid| **pid != own);
        let numbers = others.filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
        numbers
            .filter(|number| kill_process(*number, Signal::KILL).is_ok())
            .count()
    }

    /// Pids that descend from `root` or carry the mark. `ps` is the one stable way to both on these systems.
    fn family(root: u32, mark: &str) -> Vec<u32> {
        let listed = Command::new("/bin/ps")
            .args(["-axEww", "-o", "pid=,ppid=,command="])
            .output();
        let text = listed
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        let wanted = format!("{MARK_VARIABLE}={mark}");
        let rows: Vec<(u32, u32, bool)> = text.lines().filter_map(|line| row(line, &wanted)).collect();
        let mut found: Vec<u32> = rows
            .iter()
            .filter(|(_, _, marked)| *marked)
            .map(|(pid, ..)| *pid)
            .collect();
        let mut next = found.clone();
        next.push(root);
        while let Some(parent) = next.pop().filter(|parent| *parent != 0) {
            for (pid, ..) in rows.iter().filter(|(_, ppid, _)| *ppid == parent) {
                if !next.contains(pid) && !found.contains(pid) {
                    found.push(*pid);
                    next.push(*pid);
                }
            }
        }
        found
    }

    fn row(line: &str, wanted: &str) -> Option<(u32, u32, bool)> {
        let mut words = line.split_whitespace();
        let (pid, ppid) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some((pid, ppid, words.any(|word| word == wanted)))
    }
}

#[cfg(windows)]
mod platform {
    use super::Process;
    use std::os::windows::io::AsRawHandle;
    use std::process::Child;
    use win32job::{ExtendedLimitInfo, Job};

    /// A job that holds the process and all it starts, and ends them when it is closed: also when this host
    /// ends in any way. `None` where the system refuses; then only the process itself can be ended.
    pub fn job_for(child: &Child) -> Option<Job> {
        let mut limits = ExtendedLimitInfo::new();
        limits.limit_kill_on_job_close();
        let job = Job::create_with_limit_info(&limits).ok()?;
        job.assign_process(child.as_raw_handle() as isize).ok()?;
        Some(job)
    }

    pub(super) fn kill_tree(process: &Process) {
        process.kill();
    }

    /// The job has ended them with the process.
    pub(super) fn kill_leftovers(_mark: &str) {}

    /// The job of another host cannot be reached from here.
    pub(super) fn kill_stranger(_pid: u32, _mark: &str) -> bool {
        false
    }
}
