//! One process of the CLI with its pipes, in a process group of its own.
//!
//! It is reaped without SIGCHLD, whose handler belongs to Node: through a pidfd on Linux, else by a thread
//! that waits. A signal is sent only while the process has not been reaped, so never to a stranger.

use super::input::InputPipe;
use super::keeper::Guard;
use super::kill_tree;
use super::pipe::ReadPipe;
use clearctx_proctree::InstanceId;
use parking_lot::Mutex;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, if it exited.
    pub code: Option<i32>,
    /// Name of the signal, if one ended it.
    pub signal: Option<String>,
}

impl Exit {
    /// Whether the CLI ended by itself: code 1 says that its last turn failed, higher ones and signals that it
    /// was cut off.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self.code, Some(0 | 1))
    }
}

/// A process that may be waited for and signalled from any thread.
pub struct Process {
    pid: u32,
    instance: InstanceId,
    /// Makes the keeper end the process tree when this host has ended.
    guard: Guard,
    interrupted: AtomicBool,
    /// Gone once the process has been reaped.
    child: Mutex<Option<Child>>,
    /// The job that contains the process and its descendants; closing it ends them.
    #[cfg(windows)]
    job: Mutex<Option<win32job::Job>>,
}

pub(super) type Pipes = (InputPipe, ReadPipe, ReadPipe);

fn missing_pipe() -> io::Error {
    io::Error::other("a pipe of the process is missing")
}

impl Process {
    pub(super) fn new(child: Child, instance: InstanceId, guard: Guard) -> Self {
        Self {
            pid: child.id(),
            instance,
            guard,
            interrupted: AtomicBool::new(false),
            #[cfg(windows)]
            job: Mutex::new(kill_tree::job_for(&child)),
            child: Mutex::new(Some(child)),
        }
    }

    /// Lets the process run, which was started suspended.
    #[cfg(windows)]
    pub(super) fn resume(&self) -> io::Result<()> {
        self.lock().as_ref().map_or(Ok(()), crate::sys::resume)
    }

    pub(super) fn pipes(&self) -> io::Result<Pipes> {
        let mut child = self.lock();
        let child = child.as_mut().ok_or_else(missing_pipe)?;
        let stdin = child.stdin.take().ok_or_else(missing_pipe)?;
        let stdout = child.stdout.take().ok_or_else(missing_pipe)?;
        let stderr = child.stderr.take().ok_or_else(missing_pipe)?;
        #[cfg(unix)]
        let (stdout, stderr) = (ReadPipe::new(stdout)?, ReadPipe::new(stderr)?);
        #[cfg(not(unix))]
        let (stdout, stderr) = (ReadPipe::stdout(stdout)?, ReadPipe::stderr(stderr)?);
        Ok((InputPipe::new(stdin)?, stdout, stderr))
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The id in its environment.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Asks the process to end: SIGINT to its group, as a terminal does, so that it reaches the CLI behind a
    /// wrapper. The CLI then ends its tools. Called only once, since a second signal would cut that short. Does nothing
    /// on Windows, which has no such signal.
    pub fn interrupt(&self) {
        if self.interrupted.swap(true, Ordering::Relaxed) {
            return;
        }
        self.guard.interrupted();
        #[cfg(unix)]
        self.if_there(|pid| rustix::process::kill_process_group(pid, rustix::process::Signal::INT));
    }

    /// Ends the process itself, not its descendants, at once.
    pub fn kill(&self) {
        if let Some(child) = self.lock().as_mut() {
            // Fails only if the process has already ended.
            let _ = child.kill();
        }
        #[cfg(windows)]
        drop(self.job.lock().take());
    }

    /// Signals the process, unless it has been reaped.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        self.if_there(|pid| rustix::process::kill_process(pid, signal));
    }

    /// Signals while the lock keeps the process from being reaped, and so its pid from being reused.
    #[cfg(unix)]
    fn if_there(&self, signal: impl FnOnce(rustix::process::Pid) -> rustix::io::Result<()>) {
        let child = self.lock();
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let (Some(_), Some(pid)) = (child.as_ref(), pid) {
            // Fails only if the process has already ended.
            let _ = signal(pid);
        }
    }

    /// Whether the process has been reaped.
    #[must_use]
    pub fn is_reaped(&self) -> bool {
        self.lock().is_none()
    }

    /// Tells the keeper that the process and everything that it left behind unasked are gone.
    pub fn release(&self) {
        self.guard.release();
    }

    /// Reaps the process if it has ended.
    fn try_reap(&self) -> Option<Exit> {
        let mut child = self.lock();
        let exit = match child.as_mut()?.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => describe_exit(status),
            // Another part of the program reaped it, so its exit is unknown.
            Err(_) => Exit {
                code: None,
                signal: None,
            },
        };
        *child = None;
        Some(exit)
    }

    /// Waits for the end of the process and reaps it. Awaited once.
    ///
    /// # Cancel safety
    /// May be dropped and called again as long as it has not returned.
    pub async fn exited(self: &Arc<Self>) -> Exit {
        loop {
            if let Some(exit) = self.try_reap() {
                return exit;
            }
            if self.is_reaped() {
                return Exit {
                    code: None,
                    signal: None,
                };
            }
            wait_for_end(self).await;
        }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Option<Child>> {
        self.child.lock()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_reaped() {
            return;
        }
        // Reached only after an error between start and first wait, or a defect.
        kill_tree::kill_now(self);
        if let Some(child) = self.lock().as_mut() {
            let _ = child.wait();
        }
    }
}

/// Returns when the process has ended, or earlier: the caller checks.
#[cfg(target_os = "linux")]
async fn wait_for_end(process: &Arc<Process>) {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let fd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
    match fd.and_then(|fd| crate::sys::watch(fd).ok()) {
        Some(fd) => {
            // After an error the fd reports nothing: the caller checks and may call again.
            let _ = fd.readable().await;
        }
        None => wait_in_thread(process).await,
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
async fn wait_for_end(process: &Arc<Process>) {
    wait_in_thread(process).await;
}

/// A blocking wait that leaves the reaping to [`Process::try_reap`], under its lock.
#[cfg(unix)]
async fn wait_in_thread(process: &Arc<Process>) {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    let waited = tokio::task::spawn_blocking(move || {
        while let Err(rustix::io::Errno::INTR) =
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {}
    });
    // Fails only when the runtime ends.
    let _ = waited.await;
}

#[cfg(windows)]
async fn wait_for_end(_process: &Arc<Process>) {
    tokio::time::sleep(crate::limits::EXIT_POLL).await;
}

#[cfg(unix)]
fn describe_exit(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    Exit {
        code: status.code(),
        signal: status.signal().map(clearctx_proctree::signal_name),
    }
}

#[cfg(not(unix))]
fn describe_exit(status: ExitStatus) -> Exit {
    Exit {
        code: status.code(),
        signal: None,
    }
}
