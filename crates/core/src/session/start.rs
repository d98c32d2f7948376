//! From options to a started session: what can be checked is checked before anything starts.

use super::handle::{Mailbox, Session};
use super::outbox::EventSink;
use super::registry;
use super::run;
use crate::error::{Error, Result};
use crate::fs::conversation_lock::{ConfigDirId, ConversationLock};
use crate::options::{CallerEnv, SessionOptions};
use crate::process::child::Launch;
use crate::process::{command, left_over, locate, transcript};
use crate::runtime;
use clearctx_proctree::{InstanceId, terminate};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// A session that has everything it needs to be started.
pub struct Prepared {
    session: Session,
    mailbox: Mailbox,
    launch: Launch,
    prompt_file: Option<NamedTempFile>,
    /// What another host left behind in the same conversation.
    left_over: Option<InstanceId>,
    /// Where the CLI keeps its conversations.
    config_dir: ConfigDirId,
}

/// What must be gone from a conversation before a process may go on with it.
pub(super) enum Before {
    /// A session of this host, which is on its way out.
    Session(Session),
    /// What a host that has ended left behind.
    LeftOver(InstanceId),
}

impl Before {
    pub(super) async fn ended(self) {
        match self {
            Self::Session(session) => session.ended().await,
            Self::LeftOver(instance) => left_over::end([instance].into()).await,
        }
    }
}

impl Prepared {
    /// Checks what can be checked without a process: the program, the directory. `number` comes from
    /// [`runtime::next_number`].
    ///
    /// # Errors
    /// `ERR_CLI_NOT_FOUND`, `ERR_WORKDIR`, `ERR_START_FAILED` (the system prompt's file).
    pub fn new(
        number: u64,
        mut options: SessionOptions,
        caller: &CallerEnv,
        sink: Box<dyn EventSink>,
    ) -> Result<Self> {
        let work_dir = locate::check_work_dir(&options.work_dir, caller)?;
        let program = locate::locate(&options.run, caller)?;
        let prompt_file = prompt_file(&options)?;
        if options.conversation().is_none() {
            options.new_session_id = Some(uuid::Uuid::new_v4().to_string());
        }
        let file_path = prompt_file
            .as_ref()
            .map(|file| file.path().to_string_lossy().into_owned());
        let config_dir = transcript::config_dir_id(&options.run, caller);
        let instance = InstanceId::from(uuid::Uuid::new_v4().to_string());
        let launch = Launch {
            program,
            arguments: command::session_arguments(&options, file_path.as_deref()),
            env: command::environment(&options.run, caller, &instance),
            work_dir,
            instance,
            name: options.name.clone(),
        };
        let (session, mailbox) = Session::new(number, launch.instance.clone(), options, sink);
        Ok(Self {
            session,
            mailbox,
            launch,
            prompt_file,
            left_over: None,
            config_dir,
        })
    }

    /// Ends what carries this id before the process is started: another host left it behind in the conversation.
    pub fn end_first(&mut self, instance: InstanceId) {
        self.left_over = Some(instance);
    }

    /// The session, not yet started.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Starts the process on the calling thread; if another process is just leaving the same conversation, as soon
    /// as that one has ended. `hosts` is where the hosts of the session's data directory are.
    ///
    /// # Errors
    /// `ERR_SESSION_HELD`, `ERR_CLI_NOT_FOUND`, `ERR_START_FAILED`.
    pub fn start(self, hosts: Option<&Path>) -> Result<Session> {
        let runtime = runtime::handle()?;
        let session = self.session.clone();
        let before = enter_conversation(&session, &self, hosts)?;
        let _context = runtime.enter();
        let started = if before.is_empty() {
            let started = self.launch.start();
            if started.is_err() {
                registry::remove(session.number());
                session.give_back();
            }
            Some(started?)
        } else {
            None
        };
        if let Some(started) = &started {
            // Nobody else knows the session yet, so it cannot have been ended.
            session.has_process(started);
        }
        run::start(runtime, self, started, before);
        Ok(session)
    }

    pub(super) fn into_parts(self) -> (Session, Mailbox, Launch, Option<NamedTempFile>) {
        (self.session, self.mailbox, self.launch, self.prompt_file)
    }
}

/// Lists the session and takes its conversation, which no other one may have. Returns what is about to leave it.
fn enter_conversation(session: &Session, prepared: &Prepared, hosts: Option<&Path>) -> Result<Vec<Before>> {
    static ENTERING: Mutex<()> = Mutex::new(());
    let options = session.options();
    let conversation = options.conversation().unwrap_or_default();
    let held = |holder_pid: Option<u32>| Error::SessionHeld {
        name: options.name.clone(),
        session_id: conversation.to_owned(),
        holder_pid,
    };
    // The sessions of this process share their lock.
    let entering = ENTERING.lock();
    if registry::has(conversation, prepared.config_dir) {
        return Err(held(Some(std::process::id())));
    }
    let ending = registry::ending(conversation);
    let lock =
        ConversationLock::take(conversation, prepared.config_dir, hosts).map_err(|other| held(other.pid))?;
    let mut instances: BTreeSet<InstanceId> = prepared.left_over.iter().cloned().collect();
    let left_over = lock.left_over.as_ref();
    instances.extend(
        left_over
            .filter(|cli| terminate::carries(cli.pid, &cli.instance))
            .map(|cli| cli.instance.clone()),
    );
    session.hold(lock, hosts);
    registry::add(session);
    drop(entering);
    let sessions = ending.into_iter().map(Before::Session);
    Ok(sessions
        .chain(instances.into_iter().map(Before::LeftOver))
        .collect())
}

/// A private file with the system prompt, where it is too long for an argument. The CLI reads it at its start.
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
