//! From what to run to a process of ours.

use super::child::Process;
use super::input::InputPipe;
use super::keeper::Guard;
use super::kill_tree;
use super::pipe::ReadPipe;
use crate::error::{Error, Result};
use clearctx_proctree::{InstanceId, spawning};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// `CREATE_NO_WINDOW`: a program without a console must not get one for each session. `CREATE_SUSPENDED`: it starts nothing
/// before its job contains it.
#[cfg(windows)]
const NO_WINDOW_SUSPENDED: u32 = 0x0800_0000 | 0x0000_0004;

/// What to run.
#[derive(Debug)]
pub struct Launch {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Its directory.
    pub work_dir: PathBuf,
    /// In its environment, which its descendants inherit.
    pub instance: InstanceId,
    /// Name of the session, for errors.
    pub name: String,
}

/// A started process and its pipes.
pub struct Started {
    /// The process.
    pub process: Arc<Process>,
    /// Its standard input.
    pub stdin: Arc<InputPipe>,
    /// Its standard output.
    pub stdout: ReadPipe,
    /// Its standard error.
    pub stderr: ReadPipe,
}

/// The system's number for a file that is neither a program of this system nor a script with a `#!` line.
const NO_PROGRAM: i32 = if cfg!(windows) { 193 } else { 8 };

/// How much of a file is looked at to tell a text from a program of another system; as much as `bash` looks at.
const TEXT_BYTES: u64 = 80;

impl Launch {
    /// Starts the process. Needs the runtime's context, for the pipes.
    ///
    /// # Errors
    /// `ERR_CLI_NOT_FOUND`, `ERR_START_FAILED`.
    pub fn start(&self) -> Result<Started> {
        // From here on the process is owned: an error below drops it, which ends it.
        let process = self.spawn()?;
        let (stdin, stdout, stderr) = process.pipes().map_err(|error| self.failed(error))?;
        Ok(Started {
            process,
            stdin: Arc::new(stdin),
            stdout,
            stderr,
        })
    }

    fn spawn(&self) -> Result<Arc<Process>> {
        // Before the process is there: this host may end right after it has started it.
        let guard = Guard::new(&self.instance);
        kill_tree::check_once();
        let child = self
            .run(self.command())
            .or_else(|error| match error.raw_os_error() {
                Some(NO_PROGRAM) if cfg!(unix) && is_text(&self.program) => {
                    let mut shell = Command::new("/bin/sh");
                    shell.arg(&self.program);
                    self.run(shell)
                }
                _ => Err(error),
            })
            .map_err(|error| self.describe(error))?;
        let process = Process::new(child, self.instance.clone(), guard);
        #[cfg(windows)]
        process.resume().map_err(|error| self.failed(error))?;
        Ok(Arc::new(process))
    }

    fn run(&self, mut command: Command) -> io::Result<Child> {
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.env)
            .current_dir(&self.work_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        #[cfg(windows)]
        std::os::windows::process::CommandExt::creation_flags(&mut command, NO_WINDOW_SUSPENDED);
        let _spawning = spawning();
        command.spawn()
    }

    #[cfg(unix)]
    fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// The program, or what runs it.
    #[cfg(windows)]
    fn command(&self) -> Command {
        let path = self.env.get("PATH").map(String::as_str);
        let direct = super::script::direct(&self.program, path, &self.work_dir);
        let mut command = Command::new(direct.program);
        command.args(direct.arguments);
        command
    }

    fn describe(&self, error: io::Error) -> Error {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => {
                "the file exists, but its interpreter or the C library it was built for does not"
            }
            io::ErrorKind::PermissionDenied => "permission denied",
            _ if error.raw_os_error() == Some(NO_PROGRAM) => "it is not a program of this system",
            _ => return self.failed(error),
        };
        Error::CliNotFound {
            program: self.program.display().to_string(),
            reason: reason.to_owned(),
            source: Some(error.into()),
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::start_failed(&self.name, "", error)
    }
}

/// Whether the file is a text, which a shell runs as a script of its own although it has no `#!` line, and so does Node's
/// `spawn`: npm's package without its install script has one in the CLI's place, which says what is missing.
fn is_text(program: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(program).and_then(|file| file.take(TEXT_BYTES).read_to_end(&mut head));
    read.is_ok() && !head.contains(&0)
}

#[cfg(all(test, windows))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_process_does_nothing_before_its_job_contains_it() {
        let dir = tempfile::tempdir().unwrap();
        let launch = Launch {
            program: which::which("cmd.exe").unwrap(),
            arguments: ["/d", "/c", "echo ran > ran"].map(str::to_owned).into(),
            env: std::env::vars().collect(),
            work_dir: dir.path().to_owned(),
            instance: "instance".into(),
            name: "test".to_owned(),
        };
        let mut child = launch.run(launch.command()).unwrap();
        // Nothing can be awaited that does not come: time enough for what needs some ms.
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(!dir.path().join("ran").exists() && child.try_wait().unwrap().is_none());
        let job = kill_tree::job_for(&child);
        assert!(job.is_some());
        crate::sys::resume(&child).unwrap();
        child.wait().unwrap();
        assert!(dir.path().join("ran").exists());
    }
}
