//! Kills a process of ours and all its descendants.

use super::child::Process;
#[cfg(windows)]
pub use platform::job_for;
pub use platform::kill;

#[cfg(unix)]
mod platform {
    use super::Process;
    use clearctx_proctree::Descendants;
    use rustix::process::Signal;

    /// Kills the tree of `process`, from any thread. Takes a few ms: not for the JavaScript thread.
    pub fn kill(process: &Process) {
        // Stopped first: a process that is being listed must not start another one.
        process.signal(Signal::STOP);
        let cli = Some(process.pid()).filter(|_| !process.is_reaped());
        let mut descendants = Descendants::around(cli, process.instance());
        descendants.grow();
        process.kill();
        descendants.kill();
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

    /// Kills the process, which closes its job.
    pub fn kill(process: &Process) {
        process.kill();
    }
}
