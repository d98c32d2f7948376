//! Starts the processes of a session, and supervises them.

use super::handle::{Link, Mailbox, Session, Supervisor};
use super::registry;
use super::run;
use super::state::State;
use crate::error::{Error, Result};
use crate::faults;
use crate::limits;
use crate::options::{CallerEnv, SessionOptions};
use crate::process::launch::{Launch, Started};
use crate::process::{command, kill_tree, left_over};
use crate::runtime;
use clearctx_proctree::InstanceId;
use parking_lot::Mutex;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Instant;
use tempfile::NamedTempFile;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The data for starting all processes of a session, besides its options.
pub(super) struct Launcher {
    pub(super) program: PathBuf,
    pub(super) work_dir: PathBuf,
    pub(super) caller: Arc<CallerEnv>,
}

/// A process that has everything it needs to be started.
pub(super) struct Prepared {
    launch: Launch,
    /// The file of a long system prompt, which the CLI reads at its start.
    prompt_file: Option<NamedTempFile>,
}

/// What a process must wait for before it may continue a conversation.
pub(super) enum Before {
    /// The end of a session of this host.
    Session(Session),
    /// The end of the processes that a dead host left behind.
    LeftOver(InstanceId),
    /// The moment at which the transcript is complete.
    Moment(Instant),
}

impl Before {
    async fn ended(self) {
        match self {
            Self::Session(session) => session.ended().await,
            Self::LeftOver(instance) => left_over::end([instance].into()).await,
            Self::Moment(at) => tokio::time::sleep_until(at.into()).await,
        }
    }
}

impl Launcher {
    /// Prepares a process with these options.
    pub(super) fn prepare(&self, options: &SessionOptions, instance: &InstanceId) -> Result<Prepared> {
        let prompt_file = prompt_file(options)?;
        let file_path = prompt_file
            .as_ref()
            .map(|file| file.path().to_string_lossy().into_owned());
        let launch = Launch {
            program: self.program.clone(),
            arguments: command::session_arguments(options, file_path.as_deref()),
            env: command::environment(&options.run, &self.caller, instance),
            work_dir: self.work_dir.clone(),
            instance: instance.clone(),
            name: options.name.clone(),
        };
        Ok(Prepared { launch, prompt_file })
    }

    /// Prepares the next process, which continues the present conversation.
    fn prepare_next(&self, session: &Session) -> Result<Prepared> {
        let mut options = SessionOptions::clone(session.options());
        if let Some(conversation) = session.read(|state| state.conversation_to_resume().cloned()) {
            options.session_id = Some(conversation.into());
        }
        session.read(|state| {
            let (model, mode) = state.changed_settings();
            options.model = model.map_or_else(|| std::mem::take(&mut options.model), str::to_owned);
            options.permission_mode =
                mode.map_or_else(|| std::mem::take(&mut options.permission_mode), str::to_owned);
        });
        self.prepare(&options, session.instance())
    }
}

impl Supervisor for Launcher {
    fn start_next(&self, session: &Session, mailbox: Mailbox) {
        // The runtime exists: the first process ran on it.
        let Ok(runtime) = runtime::handle() else { return };
        let launcher = Self {
            program: self.program.clone(),
            work_dir: self.work_dir.clone(),
            caller: Arc::clone(&self.caller),
        };
        let prepare = move |session: &Session| launcher.prepare_next(session);
        run_later(runtime, session.clone(), mailbox, Vec::new(), prepare);
    }

    fn ended(&self, session: &Session) {
        registry::remove(session.number());
    }

    fn failed(&self, session: &Session) {
        let session = session.clone();
        if let Ok(runtime) = runtime::handle() {
            runtime.spawn(async move { fail(&session, "a panic").await });
        }
    }
}

/// The caller's environment, shared while it stays the same: it is as big as the rest of a session.
pub(super) fn shared(caller: &CallerEnv) -> Arc<CallerEnv> {
    static LAST: Mutex<Weak<CallerEnv>> = Mutex::new(Weak::new());
    let mut last = LAST.lock();
    if let Some(same) = last.upgrade().filter(|last| **last == *caller) {
        return same;
    }
    let caller = Arc::new(caller.clone());
    *last = Arc::downgrade(&caller);
    caller
}

/// Starts the process now and runs it.
pub(super) fn run_now(
    runtime: &Handle,
    session: Session,
    mailbox: Mailbox,
    prepared: Prepared,
) -> Result<()> {
    let started = prepared.launch.start()?;
    // The session is not yet known elsewhere, so it cannot have been ended.
    Link::new(session.clone(), mailbox.incarnation).attach(&started);
    let run = runtime.spawn(run::run(session.clone(), mailbox, started, prepared.prompt_file));
    runtime.spawn(supervise(session, run));
    Ok(())
}

/// Waits until other processes have left the conversation, then starts the process and runs it.
pub(super) fn run_later(
    runtime: &'static Handle,
    session: Session,
    mailbox: Mailbox,
    before: Vec<Before>,
    prepare: impl FnOnce(&Session) -> Result<Prepared> + Send + 'static,
) {
    let starting = session.clone();
    // A task of its own, so that data that few processes need before the run takes no memory during the run.
    let start = runtime.spawn(async move {
        let mut mailbox = mailbox;
        if let Some((started, prompt_file)) = start_after(before, prepare, &starting, &mut mailbox).await {
            let run = runtime.spawn(run::run(starting.clone(), mailbox, started, prompt_file));
            runtime.spawn(supervise(starting, run));
        }
    });
    runtime.spawn(supervise(session, start));
}

/// Supervises the task of the session: a panic fails this session with `ERR_INTERNAL` and ends its process.
async fn supervise(session: Session, mut task: JoinHandle<()>) {
    let failure = tokio::select! {
        task = &mut task => task.err().map(|error| error.to_string()),
        () = session.failed() => Some("a panic".to_owned()),
    };
    if let Some(failure) = failure {
        task.abort();
        fail(&session, &failure).await;
    }
}

/// Ends a session whose task has failed. Its end is emitted once its process is gone.
async fn fail(session: &Session, failure: &str) {
    if let Some(process) = session.process() {
        let end = async {
            kill_tree::kill(&process).await;
            process.exited().await;
        };
        // This times out only if the kernel does not let the process end.
        let _ = tokio::time::timeout(limits::DRAIN_WAIT, end).await;
    }
    session.apply(|state| state.on_internal_error(format!("the session failed: {failure}")));
}

/// Waits until the processes that are leaving the conversation have ended, then starts ours. `None` if the session was
/// ended in between, or could not be started.
async fn start_after(
    before: Vec<Before>,
    prepare: impl FnOnce(&Session) -> Result<Prepared>,
    session: &Session,
    mailbox: &mut Mailbox,
) -> Option<(Started, Option<NamedTempFile>)> {
    for other in before {
        wait_for_end_of(other, session, mailbox).await;
    }
    if session.read(State::has_ended) {
        return None;
    }
    faults::place("start", session.options());
    let link = Link::new(session.clone(), mailbox.incarnation);
    let started = prepare(session).and_then(|prepared| Ok((prepared.launch.start()?, prepared.prompt_file)));
    match started {
        Ok((started, prompt_file)) if link.attach(&started) => {
            session.save();
            Some((started, prompt_file))
        }
        Ok((started, _)) => {
            kill_tree::kill(&started.process).await;
            started.process.exited().await;
            None
        }
        Err(error) => {
            link.apply(|state| state.failed_to_start(&error));
            None
        }
    }
}

/// Waits for `other`, or for the end of the session. Deadlines of the waiting session still count.
async fn wait_for_end_of(other: Before, session: &Session, mailbox: &mut Mailbox) {
    let ended = other.ended();
    tokio::pin!(ended);
    while !session.read(State::has_ended) {
        let deadline = session.read(State::next_deadline);
        tokio::select! {
            () = &mut ended => return,
            Some(_) = mailbox.orders.recv() => {}
            () = run::sleep_until(deadline), if deadline.is_some() => {
                session.apply(|state| state.on_time(Instant::now()));
            }
        }
    }
}

/// A private file with the system prompt, if that is too long for an argument. The CLI reads it at its start.
pub(crate) fn prompt_file(options: &SessionOptions) -> Result<Option<NamedTempFile>> {
    if !command::needs_file(&options.system_prompt) {
        return Ok(None);
    }
    let write = || {
        let mut file = tempfile::Builder::new().prefix("clearctx-prompt-").tempfile()?;
        file.write_all(options.system_prompt.as_bytes())?;
        Ok(file)
    };
    let what = "cannot write the system prompt to a file: ";
    write()
        .map(Some)
        .map_err(|error| Error::start_failed(&options.name, what, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a future that a function makes.
    fn size<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_process_is_small() {
        // Each live session has one.
        assert!(size(run::run) <= 2048, "{}", size(run::run));
    }
}
