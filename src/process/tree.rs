//! Ends a process and all its descendants: at once, or in peace where its host has ended.

use super::child::Process;
#[cfg(windows)]
pub use platform::job_for;
use std::collections::BTreeSet;

/// Kills the tree of `process`, from any thread. Takes a few ms: not for the JavaScript thread.
pub fn kill_now(process: &Process) {
    platform::kill_tree(process);
}

/// Kills what carries `mark`: what outlived its CLI, whose end reparents its tools, so that the tree is gone; or
/// all of a session that another host started.
pub fn kill_leftovers(mark: &str) {
    platform::kill_leftovers(mark);
}

/// Ends the sessions of these marks, whose host has ended, and waits for that: up to
/// [`limits::ABANDONED_KILL`](crate::limits::ABANDONED_KILL).
///
/// The end of the host has ended their input, on which an idle CLI leaves by itself. Then SIGINT, on which it saves
/// the conversation and ends its tools (not to those in `interrupted`, which have had theirs), then SIGKILL to all.
pub fn end_abandoned(marks: BTreeSet<String>, interrupted: &BTreeSet<String>) {
    platform::end_abandoned(marks, interrupted);
}

/// Those of the marks that a process carries.
#[must_use]
pub fn living(marks: BTreeSet<String>) -> BTreeSet<String> {
    platform::living(marks)
}

/// Whether the process of this pid carries the mark.
#[must_use]
pub fn carries(pid: u32, mark: &str) -> bool {
    platform::carries(pid, mark)
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

#[cfg(unix)]
mod platform {
    use super::super::family::Family;
    use super::super::table::Table;
    use super::{BTreeSet, Process};
    use crate::limits;
    use rustix::process::Signal;
    use std::time::Instant;

    pub(super) fn kill_tree(process: &Process) {
        // Stopped first: a process that is being listed must not start another one.
        process.signal(Signal::STOP);
        let cli = Some(process.pid()).filter(|_| !process.is_reaped());
        let mut family = Family::around(cli, process.mark());
        family.grow();
        process.kill();
        family.kill();
    }

    pub(super) fn kill_leftovers(mark: &str) {
        Family::of(BTreeSet::from([mark.to_owned()])).kill();
    }

    pub(super) fn end_abandoned(marks: BTreeSet<String>, interrupted: &BTreeSet<String>) {
        let begun = Instant::now();
        let mut family = Family::of(marks);
        // At once: those that dropped their environment are known by their parents alone, while these live.
        family.grow();
        let mut is_interrupted = false;
        while begun.elapsed() < limits::ABANDONED_KILL {
            if !family.lives() {
                family.grow();
                if family.is_empty() {
                    return;
                }
            }
            if !is_interrupted && begun.elapsed() >= limits::ABANDONED_INTERRUPT {
                family.grow();
                family.interrupt(interrupted);
                is_interrupted = true;
            }
            std::thread::sleep(limits::ABANDONED_POLL);
        }
        family.kill();
    }

    pub(super) fn living(marks: BTreeSet<String>) -> BTreeSet<String> {
        let mut family = Family::of(marks);
        family.grow();
        family.living()
    }

    pub(super) fn carries(pid: u32, mark: &str) -> bool {
        let table = Table::of(std::iter::once(pid));
        table.seen().contains_key(&pid) && table.mark(pid, |other| other == mark).is_some()
    }
}

#[cfg(windows)]
mod platform {
    use super::{BTreeSet, Process};
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

    /// The job has ended them with the process; that of another host cannot be reached from here.
    pub(super) fn kill_leftovers(_mark: &str) {}

    /// The system closed the jobs of the host with its end, and so ended all that was in them.
    pub(super) fn end_abandoned(_marks: BTreeSet<String>, _interrupted: &BTreeSet<String>) {}

    pub(super) fn living(_marks: BTreeSet<String>) -> BTreeSet<String> {
        BTreeSet::new()
    }

    pub(super) fn carries(_pid: u32, _mark: &str) -> bool {
        false
    }
}
