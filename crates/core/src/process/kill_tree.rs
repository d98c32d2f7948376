//! Kills processes and all their descendants, and warns of what cannot be killed.

use super::child::Process;
use crate::warnings;
use clearctx_proctree::{InstanceId, terminate};
#[cfg(windows)]
pub(super) use platform::job_for;
use std::sync::Once;

/// Code of the warning about processes that outlive a kill, or would.
const WARNING: &str = "CLEARCTX_TREE_KILL";

/// Kills the tree of `process`, from any thread. Takes a few ms: not for the JavaScript thread.
pub(crate) fn kill(process: &Process) {
    warn_of(&platform::kill(process));
}

/// Ends what a process that crashed or was killed has left behind, once it has ended.
pub(crate) fn end_leftovers(process: &Process) {
    warn_of(&platform::end_leftovers(process));
}

/// Kills the processes that carry `instance`: see [`terminate::kill`].
pub(crate) fn kill_instance(instance: &InstanceId) {
    warn_of(&terminate::kill(instance));
}

/// Warns of the processes with these pids, which outlived a kill.
pub(super) fn warn_of(left: &[u32]) {
    if left.is_empty() {
        return;
    }
    let pids: Vec<String> = left.iter().map(u32::to_string).collect();
    let reason = "they belong to another user, or do not end";
    let message = format!(
        "Processes of a session live on after it was ended ({reason}): {}",
        pids.join(", ")
    );
    warnings::warn(WARNING, message);
}

/// Checks, once and off this thread, whether processes can be found and ended here. Needs the runtime's context.
pub(super) fn check_once() {
    static CHECK: Once = Once::new();
    CHECK.call_once(|| {
        // Nothing waits for the result.
        drop(tokio::task::spawn_blocking(|| {
            if let Err(reason) = platform::check() {
                let consequence = "When a session ends, processes that its tools have started may live on";
                warnings::warn(
                    WARNING,
                    format!("Process trees cannot be ended here ({reason}). {consequence}"),
                );
            }
        }));
    });
}

#[cfg(unix)]
mod platform {
    use super::Process;
    pub(super) use clearctx_proctree::check;
    use clearctx_proctree::{Descendants, terminate};
    use rustix::process::Signal;

    /// Kills the tree; returns the pids that are left.
    pub(super) fn kill(process: &Process) -> Vec<u32> {
        // Stopped first, so that a process does not start another one while it is listed.
        process.signal(Signal::STOP);
        let cli = Some(process.pid()).filter(|_| !process.is_reaped());
        let mut descendants = Descendants::around(cli, process.instance());
        descendants.grow();
        process.kill();
        descendants.kill()
    }

    /// The pids that are left.
    pub(super) fn end_leftovers(process: &Process) -> Vec<u32> {
        terminate::kill(process.instance())
    }
}

#[cfg(windows)]
mod platform {
    use super::Process;
    use std::os::windows::io::AsRawHandle;
    use std::process::Child;
    use win32job::{ExtendedLimitInfo, Job, JobError};

    fn job() -> Result<Job, JobError> {
        let mut limits = ExtendedLimitInfo::new();
        limits.limit_kill_on_job_close();
        Job::create_with_limit_info(&limits)
    }

    /// A job that contains the process and everything it starts. Closing the job ends them, and so does any end of this
    /// host. `None` if the system refuses; then only the process itself can be ended.
    pub(in crate::process) fn job_for(child: &Child) -> Option<Job> {
        let job = job().ok()?;
        job.assign_process(child.as_raw_handle() as isize).ok()?;
        Some(job)
    }

    /// Kills the process, which closes its job.
    pub(super) fn kill(process: &Process) -> Vec<u32> {
        process.kill();
        Vec::new()
    }

    /// Closes the job of a process that has ended.
    pub(super) fn end_leftovers(process: &Process) -> Vec<u32> {
        kill(process)
    }

    /// Whether there are jobs.
    pub(super) fn check() -> Result<(), String> {
        job()
            .map(drop)
            .map_err(|error| format!("cannot make a job: {error}"))
    }
}
