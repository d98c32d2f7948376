//! From options to a started session. Everything that can be checked is checked before anything starts.

use super::handle::Session;
use super::launch::{self, Before, Launcher};
use super::outbox::EventSink;
use super::registry;
use crate::error::{Error, Result};
use crate::fs::conversation_lock::{ConfigDirId, ConversationLock, Refusal};
use crate::ids::ConversationId;
use crate::options::{CallerEnv, SessionOptions};
use crate::process::{locate, transcript};
use crate::runtime;
use clearctx_proctree::InstanceId;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A session that has everything it needs to be started.
pub struct Prepared {
    session: Session,
    process: launch::Prepared,
    /// The CLI that another host left behind in the same conversation.
    left_over: Option<InstanceId>,
    /// The CLI's configuration directory, which has conversations of its own.
    config_dir: ConfigDirId,
    not_before: Option<Instant>,
}

impl Prepared {
    /// Checks the program and the directory, which need no process. `number` comes from [`runtime::next_number`].
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
        if options.conversation().is_none() {
            options.new_session_id = Some(ConversationId::random().into());
        }
        let config_dir = transcript::config_dir_id(&options.run, caller);
        let instance = InstanceId::from(uuid::Uuid::new_v4().to_string());
        let launcher = Launcher {
            program,
            work_dir,
            caller: launch::shared(caller),
        };
        let process = launcher.prepare(&options, &instance)?;
        let session = Session::new(number, instance, Arc::new(options), sink, Arc::new(launcher));
        Ok(Self {
            session,
            process,
            left_over: None,
            config_dir,
            not_before: None,
        })
    }

    /// Makes the start end the processes with this id first: another host left them behind in the conversation.
    pub fn end_first(&mut self, instance: InstanceId) {
        self.left_over = Some(instance);
    }

    /// Starts the process no earlier than at this moment.
    pub fn start_after(&mut self, at: Instant) {
        self.not_before = Some(at).filter(|at| *at > Instant::now());
    }

    /// The session, not yet started.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Starts the process on the calling thread. If another process is leaving the same conversation, the start waits until
    /// that one has ended. `hosts` is the directory of the instance locks of the session's data directory.
    ///
    /// # Errors
    /// `ERR_SESSION_HELD`, `ERR_CLI_NOT_FOUND`, `ERR_START_FAILED`.
    pub fn start(self, hosts: Option<&Path>) -> Result<Session> {
        let runtime = runtime::handle()?;
        let before = enter_conversation(&self, hosts)?;
        let Self { session, process, .. } = self;
        let mailbox = session.begin_incarnation();
        if !before.is_empty() {
            launch::run_later(runtime, session.clone(), mailbox, before, |_| Ok(process));
            return Ok(session);
        }
        let _context = runtime.enter();
        match launch::run_now(runtime, session.clone(), mailbox, process) {
            Ok(()) => Ok(session),
            Err(error) => {
                registry::remove(session.number());
                session.give_back();
                Err(error)
            }
        }
    }
}

/// Lists the session and locks its conversation. Returns what the start must wait for.
fn enter_conversation(prepared: &Prepared, hosts: Option<&Path>) -> Result<Vec<Before>> {
    static ENTERING: Mutex<()> = Mutex::new(());
    let session = &prepared.session;
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
        ConversationLock::take(conversation, prepared.config_dir, hosts).map_err(
            |refusal| match refusal {
                Refusal::Held(other) => held(other.pid),
                Refusal::System(error) => {
                    Error::start_failed(&options.name, "cannot lock the conversation: ", error)
                }
            },
        )?;
    let mut instances: BTreeSet<InstanceId> = prepared.left_over.iter().cloned().collect();
    instances.extend(lock.left_over.as_ref().map(|cli| cli.instance.clone()));
    session.hold(lock, hosts);
    registry::add(session);
    drop(entering);
    let sessions = ending.into_iter().map(Before::Session);
    Ok(sessions
        .chain(prepared.not_before.map(Before::Moment))
        .chain(instances.into_iter().map(Before::LeftOver))
        .collect())
}
