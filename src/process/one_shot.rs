//! A process that is run once, for its output: the CLI's own fork.

use super::child::{Exit, Launch, Process, Started};
use super::pipe::ReadPipe;
use super::tree;
use crate::engine::Engine;
use crate::error::Result;
use crate::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

/// What the process left.
#[derive(Debug)]
pub struct Output {
    /// How it ended; `None` if it was ended since its time was over.
    pub exit: Option<Exit>,
    /// Its standard output, as far as the bound goes.
    pub stdout: String,
    /// The end of its standard error.
    pub stderr: String,
}

/// A started process that is read to its end. Dropping it ends the process with all its descendants.
pub struct OneShot {
    process: Arc<Process>,
    stdin: Option<ChildStdin>,
    stdout: ReadPipe,
    stderr: ReadPipe,
}

impl OneShot {
    /// Starts the process on the calling thread.
    ///
    /// # Errors
    /// As [`Launch::start`].
    pub fn start(launch: &Launch) -> Result<Self> {
        let _context = Engine::get()?.runtime().enter();
        let Started {
            process,
            stdin,
            stdout,
            stderr,
        } = launch.start()?;
        Ok(Self {
            process,
            stdin: Some(stdin),
            stdout,
            stderr,
        })
    }

    /// The process, to end it from elsewhere.
    #[must_use]
    pub fn process(&self) -> Arc<Process> {
        Arc::clone(&self.process)
    }

    /// Gives the input (or none), reads everything, waits for the end.
    pub async fn run(mut self, input: Option<String>, timeout: Duration) -> Output {
        let stdin = self.stdin.take();
        let writer = tokio::spawn(write_all(stdin, input));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = {
            let read = async {
                let exit = self.process.exited();
                tokio::pin!(exit);
                let (mut reads_out, mut reads_err) = (true, true);
                loop {
                    tokio::select! {
                        more = read_into(&self.stdout, &mut out, limits::FORK_OUTPUT_BYTES), if reads_out => reads_out = more,
                        more = read_into(&self.stderr, &mut err, limits::STDERR_TAIL_BYTES), if reads_err => reads_err = more,
                        exit = &mut exit => return exit,
                    }
                }
            };
            tokio::time::timeout(timeout, read).await.ok()
        };
        writer.abort();
        if exit.is_some() {
            let silence = limits::DRAIN_SILENCE;
            while let Ok(true) = tokio::time::timeout(
                silence,
                read_into(&self.stdout, &mut out, limits::FORK_OUTPUT_BYTES),
            )
            .await
            {}
            while let Ok(true) = tokio::time::timeout(
                silence,
                read_into(&self.stderr, &mut err, limits::STDERR_TAIL_BYTES),
            )
            .await
            {}
        } else {
            self.end().await;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output {
            exit,
            stdout: text(&out),
            stderr: text(&err),
        }
    }

    async fn end(&self) {
        let process = Arc::clone(&self.process);
        // Fails only when the runtime ends.
        let _ = tokio::task::spawn_blocking(move || tree::kill_now(&process)).await;
        self.process.exited().await;
    }
}

async fn write_all(stdin: Option<ChildStdin>, input: Option<String>) {
    if let (Some(mut stdin), Some(input)) = (stdin, input) {
        // The reader is gone: its end tells the rest.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
}

async fn read_into(pipe: &ReadPipe, bytes: &mut Vec<u8>, limit: usize) -> bool {
    pipe.read(|read| {
        let room = limit.saturating_sub(bytes.len());
        bytes.extend_from_slice(&read[..read.len().min(room)]);
    })
    .await
}
