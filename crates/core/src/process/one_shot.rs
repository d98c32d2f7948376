//! A process that is run once, for its output: the CLI's own fork.

use super::child::{Exit, Launch, Process};
use super::diagnostics::Diagnostics;
use super::off_thread;
use super::pipe::ReadPipe;
use super::{keeper, kill_tree};
use crate::error::{Error, Result};
use crate::limits;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Arc;
use std::time::Duration;
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

/// A started process that is waited for.
struct OneShot {
    process: Arc<Process>,
    stderr: ReadPipe,
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

/// Runs a process: gives the input (or none), waits for the end, reads its output. Ends it with all its
/// descendants when its time is over or the call is cancelled.
///
/// Its standard output is a file: an older CLI loses at its exit what does not fit into a pipe at that moment
/// (2.1.197), while writes to a file are complete when they return.
///
/// # Errors
/// As [`Launch::start`], and `ERR_START_FAILED` if there is no room for the file.
pub async fn run(
    launch: &Launch,
    input: Option<String>,
    timeout: Duration,
    cancel: &Cancel,
) -> Result<Output> {
    let failed = |error| Error::start_failed(&launch.name, "cannot make a file for the output: ", error);
    let output = tempfile::tempfile().map_err(failed)?;
    // It has something to do from its first moment.
    keeper::ready().await;
    let (process, stdin, stderr) = launch.start_into(output.try_clone().map_err(failed)?)?;
    let stdin = Arc::new(stdin);
    if let Some(input) = input {
        stdin.write(input);
    }
    stdin.end();
    let writer = tokio::spawn(async move { stdin.run().await });
    let mut call = OneShot {
        process,
        stderr,
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
    call.process.release();
    let stdout = tokio::task::spawn_blocking(move || read_all(output))
        .await
        .unwrap_or_default();
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
        let mut diagnostics = true;
        loop {
            tokio::select! {
                more = read_diagnostics(&mut self.stderr, &mut self.diagnostics), if diagnostics => diagnostics = more,
                exit = &mut exited => return exit,
            }
        }
    }

    /// Reads what an ended process left in its pipe; silence is its end.
    async fn drain(&mut self) {
        let silence = limits::DRAIN_SILENCE;
        while let Ok(true) =
            tokio::time::timeout(silence, read_diagnostics(&mut self.stderr, &mut self.diagnostics)).await
        {
        }
    }

    async fn end(&self) {
        let process = Arc::clone(&self.process);
        off_thread::run(move || kill_tree::kill(&process)).await;
        self.process.exited().await;
    }
}

/// The text of a file from its beginning, as far as the bound goes. What cannot be read is missing: the caller
/// finds no answer in it.
fn read_all(mut file: File) -> String {
    let mut bytes = Vec::new();
    let bound = u64::try_from(limits::FORK_OUTPUT_BYTES).unwrap_or(u64::MAX);
    let _ = file
        .rewind()
        .and_then(|()| file.take(bound).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn read_diagnostics(stderr: &mut ReadPipe, diagnostics: &mut Diagnostics) -> bool {
    stderr.read(|bytes| drop(diagnostics.push(bytes))).await
}
