//! From options to a started session: what can be checked is checked before anything starts.

use super::driver;
use super::handle::{Mailbox, Session};
use super::outbox::Owner;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::options::{Host, SessionOptions};
use crate::process::child::Launch;
use crate::process::{command, left_over, locate};
use std::io::Write;
use tempfile::NamedTempFile;

/// A session that has everything it needs to be started.
pub struct Prepared {
    session: Session,
    mailbox: Mailbox,
    launch: Launch,
    prompt_file: Option<NamedTempFile>,
    /// Mark of what another host left behind in the same conversation.
    left_over: Option<String>,
}

/// What must be gone from a conversation before a process may go on with it.
pub(super) enum Before {
    /// A session of this host, which is on its way out.
    Session(Session),
    /// What a host that has ended left behind, by its mark.
    LeftOver(String),
}

impl Before {
    pub(super) async fn ended(self) {
        match self {
            Self::Session(session) => session.ended().await,
            Self::LeftOver(mark) => left_over::end([mark].into()).await,
        }
    }
}

impl Prepared {
    /// Checks what can be checked without a process: the program, the directory. `number` comes from
    /// [`Engine::next_number`].
    ///
    /// # Errors
    /// `ERR_CLI_NOT_FOUND`, `ERR_WORKDIR`, `ERR_START_FAILED` (the system prompt's file).
    pub fn new(number: u64, options: SessionOptions, host: &Host, owner: Box<dyn Owner>) -> Result<Self> {
        let work_dir = locate::check_work_dir(&options.work_dir, host)?;
        let program = locate::locate(&options.run, host)?;
        let prompt_file = prompt_file(&options)?;
        let file_path = prompt_file
            .as_ref()
            .map(|file| file.path().to_string_lossy().into_owned());
        let mark = uuid::Uuid::new_v4().to_string();
        let launch = Launch {
            program,
            arguments: command::session_arguments(&options, file_path.as_deref()),
            env: command::environment(&options.run, host, &mark),
            work_dir,
            mark,
            name: options.name.clone(),
        };
        let (session, mailbox) = Session::new(number, launch.mark.clone(), options, owner);
        Ok(Self {
            session,
            mailbox,
            launch,
            prompt_file,
            left_over: None,
        })
    }

    /// Ends what carries this mark before the process is started: another host left it behind in the conversation.
    pub fn end_first(&mut self, mark: &str) {
        self.left_over = Some(mark.to_owned());
    }

    /// The session, not yet started.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Starts the process on the calling thread; if another process is just leaving the same conversation, as soon
    /// as that one has ended.
    ///
    /// # Errors
    /// `ERR_CLI_NOT_FOUND`, `ERR_START_FAILED`.
    pub fn start(self) -> Result<Session> {
        let engine = Engine::get()?;
        let session = self.session.clone();
        let conversation = session.options().session_id.clone();
        let ending = conversation.map(|id| engine.ending(&id)).unwrap_or_default();
        let before: Vec<Before> = ending
            .into_iter()
            .map(Before::Session)
            .chain(self.left_over.clone().map(Before::LeftOver))
            .collect();
        let _context = engine.runtime().enter();
        let started = if before.is_empty() {
            Some(self.launch.start()?)
        } else {
            None
        };
        engine.add(&session);
        if let Some(started) = &started {
            // Nobody else knows the session yet, so it cannot have been ended.
            session.has_process(&started.process);
        }
        engine.runtime().spawn(driver::supervise(self, started, before));
        Ok(session)
    }

    pub(super) fn into_parts(self) -> (Session, Mailbox, Launch, Option<NamedTempFile>) {
        (self.session, self.mailbox, self.launch, self.prompt_file)
    }
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
    write()
        .map(Some)
        .map_err(|error: std::io::Error| Error::StartFailed {
            name: options.name.clone(),
            reason: format!("cannot write the system prompt to a file: {error}"),
        })
}
