//! A process that is run once, for its output: the CLI's own fork.

use super::child::{Exit, Launch, Process, Started};
use super::diagnostics::Diagnostics;
use super::pipe::ReadPipe;
use super::tree;
use crate::error::Result;
use crate::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::watch;

/// What the process left.
#[derive(Debug)]
pub struct Output {
    /// How it ended; `None` if it was ended here: its time was over, or the call was cancelled.
    pub exit: Option<Exit>,
    /// Its standard output, as far as the bound goes.
    pub stdout: String,
    /// The end of its standard error.
    pub stderr: String,
}

/// A started process that is read to its end.
pub struct OneShot {
    process: Arc<Process>,
    stdout: ReadPipe,
    stderr: ReadPipe,
    out: Vec<u8>,
    diagnostics: Diagnostics,
}

/// Ends a one-shot call from elsewhere.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Sender<bool>);

impl Default for Cancel {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Cancel {
    /// Ends the call, also one that has not been started yet.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Waits for [`Cancel::cancel`].
    pub async fn cancelled(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}

/// Runs a process: gives the input (or none), reads everything, waits for the end. Ends it with all its
/// descendants when its time is over or the call is cancelled.
///
/// # Errors
/// As [`Launch::start`].
pub async fn run(
    launch: &Launch,
    input: Option<String>,
    timeout: Duration,
    cancel: &Cancel,
) -> Result<Output> {
    let Started {
        process,
        stdin,
        stdout,
        stderr,
    } = launch.start()?;
    let writer = tokio::spawn(write_all(stdin, input));
    let mut call = OneShot {
        process,
        stdout,
        stderr,
        out: Vec::new(),
        diagnostics: Diagnostics::default(),
    };
    let exit = tokio::select! {
        exit = call.until_exit() => Some(exit),
        () = tokio::time::sleep(timeout) => None,
        () = cancel.cancelled() => None,
    };
    writer.abort();
    if exit.is_some() {
        // Out of time only if a descendant goes on writing.
        let _ = tokio::time::timeout(limits::DRAIN_WAIT, call.drain()).await;
    } else {
        call.end().await;
    }
    let stdout = String::from_utf8_lossy(&call.out).into_owned();
    Ok(Output {
        exit,
        stdout,
        stderr: call.diagnostics.tail(),
    })
}

impl OneShot {
    async fn until_exit(&mut self) -> Exit {
        let process = Arc::clone(&self.process);
        let exited = process.exited();
        tokio::pin!(exited);
        let (mut output, mut diagnostics) = (true, true);
        loop {
            tokio::select! {
                more = read_output(&self.stdout, &mut self.out), if output => output = more,
                more = read_diagnostics(&self.stderr, &mut self.diagnostics), if diagnostics => diagnostics = more,
                exit = &mut exited => return exit,
            }
        }
    }

    /// Reads what an ended process left in its pipes; silence is their end.
    async fn drain(&mut self) {
        let silence = limits::DRAIN_SILENCE;
        while let Ok(true) = tokio::time::timeout(silence, read_output(&self.stdout, &mut self.out)).await {}
        while let Ok(true) =
            tokio::time::timeout(silence, read_diagnostics(&self.stderr, &mut self.diagnostics)).await
        {
        }
    }

    async fn end(&self) {
        let process = Arc::clone(&self.process);
        // Fails only when the runtime ends.
        let _ = tokio::task::spawn_blocking(move || tree::kill_now(&process)).await;
        self.process.exited().await;
    }
}

async fn write_all(mut stdin: ChildStdin, input: Option<String>) {
    if let Some(input) = input {
        // The reader is gone: its end tells the rest.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
}

async fn read_output(stdout: &ReadPipe, out: &mut Vec<u8>) -> bool {
    let take = |bytes: &[u8]| {
        let room = limits::FORK_OUTPUT_BYTES.saturating_sub(out.len());
        out.extend_from_slice(&bytes[..bytes.len().min(room)]);
    };
    stdout.read(take).await
}

async fn read_diagnostics(stderr: &ReadPipe, diagnostics: &mut Diagnostics) -> bool {
    stderr.read(|bytes| drop(diagnostics.push(bytes))).await
}
