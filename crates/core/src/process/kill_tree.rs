//! Kills processes and all their descendants, and warns of what cannot be killed.
//!
//! One thread does it for all sessions, round by round: each round looks at the processes of the system once, whoever is
//! to be killed. It comes with the first kill and goes with the last.

use super::child::Process;
use crate::warnings;
use clearctx_proctree::InstanceId;
#[cfg(windows)]
pub(super) use platform::job_for;
pub(crate) use platform::{end_leftovers, kill, kill_instance};
use std::sync::Once;

/// Code of the warning about processes that outlive a kill, or would.
const WARNING: &str = "CLEARCTX_TREE_KILL";

/// Kills the tree of `process` on this thread, for a process that nobody waits for.
pub(super) fn kill_now(process: &Process) {
    warn_of(&platform::kill_now(process));
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
    use super::{InstanceId, Process, warn_of};
    pub(super) use clearctx_proctree::check;
    use clearctx_proctree::{Descendants, Round, Struck, is_over};
    use parking_lot::Mutex;
    use rustix::process::Signal;
    use std::mem;
    use std::sync::Arc;
    use tokio::sync::oneshot;

    /// A session whose processes are to be killed.
    struct Target {
        instance: InstanceId,
        /// The CLI, unless it has been reaped: it is killed with the rest.
        cli: Option<Arc<Process>>,
        round: Round,
        /// Dropped when it is over.
        over: oneshot::Sender<()>,
    }

    /// What waits for the killer.
    #[derive(Default)]
    struct Waiting {
        targets: Vec<Target>,
        /// Whether there is a killer.
        is_served: bool,
    }

    static WAITING: Mutex<Waiting> = Mutex::new(Waiting {
        targets: Vec::new(),
        is_served: false,
    });

    /// Kills the tree of `process`, off this thread. Returns when nothing of it is left, or what is left cannot be killed.
    ///
    /// # Cancel safety
    /// It is killed even if the future is dropped.
    pub(crate) async fn kill(process: &Arc<Process>) {
        // It fails: nothing is sent.
        let _ = submit(process.instance(), Some(Arc::clone(process))).await;
    }

    /// Ends what a process that crashed or was killed has left behind, once it has ended: its end has reparented its tools,
    /// so that the tree is gone, and they are found by what they carry.
    pub(crate) async fn end_leftovers(process: &Process) {
        let _ = submit(process.instance(), None).await;
    }

    /// Kills the processes of a session that another program started. Does not wait.
    pub(crate) fn kill_instance(instance: &InstanceId) {
        drop(submit(instance, None));
    }

    /// Kills the tree; returns the pids that are left.
    pub(super) fn kill_now(process: &Process) -> Vec<u32> {
        let mut descendants = Descendants::default();
        begin(&mut descendants, process);
        descendants.grow();
        process.kill();
        descendants.kill()
    }

    fn begin(descendants: &mut Descendants, process: &Process) {
        // Stopped first, so that it does not start another process while the processes are listed.
        process.signal(Signal::STOP);
        let cli = Some(process.pid()).filter(|_| !process.is_reaped());
        descendants.add_session(cli, process.instance());
    }

    fn submit(instance: &InstanceId, cli: Option<Arc<Process>>) -> oneshot::Receiver<()> {
        let (over, waits) = oneshot::channel();
        let target = Target {
            instance: instance.clone(),
            cli,
            round: Round::default(),
            over,
        };
        let mut waiting = WAITING.lock();
        waiting.targets.push(target);
        let is_served = mem::replace(&mut waiting.is_served, true);
        drop(waiting);
        if !is_served {
            let thread = std::thread::Builder::new().name("clearctx-killer".to_owned());
            if thread.spawn(serve).is_err() {
                // The system has no thread left.
                serve();
            }
        }
        waits
    }

    /// Kills until nobody is to be killed.
    fn serve() {
        let mut killer = Killer::default();
        while killer.take_new() {
            killer.strike();
        }
    }

    #[derive(Default)]
    struct Killer {
        descendants: Descendants,
        targets: Vec<Target>,
    }

    impl Drop for Killer {
        fn drop(&mut self) {
            // After a panic the next kill begins anew.
            if std::thread::panicking() {
                WAITING.lock().is_served = false;
            }
        }
    }

    impl Killer {
        /// Takes what waits. False if there is nothing to do, and this killer must end.
        fn take_new(&mut self) -> bool {
            let mut waiting = WAITING.lock();
            let new = mem::take(&mut waiting.targets);
            if new.is_empty() && self.targets.is_empty() {
                waiting.is_served = false;
                return false;
            }
            drop(waiting);
            for target in &new {
                match &target.cli {
                    Some(process) => begin(&mut self.descendants, process),
                    None => self.descendants.add_session(None, &target.instance),
                }
            }
            self.targets.extend(new);
            true
        }

        /// One round.
        fn strike(&mut self) {
            self.descendants.grow();
            // Only now: its end reparents its tools, which are then found no more if they have dropped their environment.
            for process in self.targets.iter_mut().filter_map(|target| target.cli.take()) {
                process.kill();
            }
            let struck = self.descendants.strike();
            let of = |target: &Target| struck.get(&target.instance).map_or(&[][..], Vec::as_slice);
            let (mut done, mut left) = (Vec::new(), Vec::new());
            for mut target in mem::take(&mut self.targets) {
                let is_last = target.round.is_last();
                let list = if is_last || is_over(of(&target)) {
                    &mut done
                } else {
                    &mut left
                };
                list.push(target);
            }
            for target in done {
                let pids: Vec<u32> = of(&target).iter().filter_map(Struck::left).collect();
                warn_of(&pids);
                if left.iter().all(|other| other.instance != target.instance) {
                    self.descendants.remove_session(&target.instance);
                }
                drop(target.over);
            }
            // What they started meanwhile is found in the next round. The youngest has waited the least.
            if let Some(youngest) = left.last_mut() {
                youngest.round.pause();
            }
            self.targets = left;
        }
    }
}

#[cfg(windows)]
mod platform {
    use super::{InstanceId, Process};
    use std::os::windows::io::AsRawHandle;
    use std::process::Child;
    use std::sync::Arc;
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
    pub(crate) async fn kill(process: &Arc<Process>) {
        process.kill();
    }

    /// Closes the job of a process that has ended.
    pub(crate) async fn end_leftovers(process: &Process) {
        process.kill();
    }

    /// Does nothing: the jobs of another program cannot be reached.
    pub(crate) fn kill_instance(_instance: &InstanceId) {}

    /// Kills the process, which closes its job.
    pub(super) fn kill_now(process: &Process) -> Vec<u32> {
        process.kill();
        Vec::new()
    }

    /// Whether there are jobs.
    pub(super) fn check() -> Result<(), String> {
        job()
            .map(drop)
            .map_err(|error| format!("cannot make a job: {error}"))
    }
}
