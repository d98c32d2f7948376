//! The session's lock on its conversation.

use super::{MutexGuard, Session};
use crate::fs::conversation_lock::{CliProcess, ConfigDirId, ConversationLock};
use crate::session::state::State;
use std::path::Path;

impl Session {
    /// Whether this session's process is on its way out of this conversation.
    #[must_use]
    pub fn is_ending(&self, conversation: &str) -> bool {
        let state = self.lock();
        state.conversation() == Some(conversation) && !state.is_alive() && !state.has_ended()
    }

    /// Whether this session lives in this conversation.
    #[must_use]
    pub fn is_in(&self, conversation: &str, config_dir: ConfigDirId) -> bool {
        let state = self.lock();
        let held = self.conversation_lock();
        let is_there = held.as_ref().is_some_and(|held| held.config_dir() == config_dir);
        is_there && state.conversation() == Some(conversation) && state.is_alive()
    }

    /// Keeps the lock on the session's conversation until the session has ended.
    pub(in crate::session) fn hold(&self, lock: ConversationLock, hosts: Option<&Path>) {
        // A session is started once.
        let _ = self.shared.hosts.set(hosts.map(Path::to_owned));
        *self.conversation_lock() = Some(lock);
    }

    /// Where the hosts of the session's data directory are, if it has one.
    pub(in crate::session) fn hosts(&self) -> Option<&Path> {
        self.shared.hosts.get().and_then(Option::as_deref)
    }

    /// Gives the conversation back.
    pub(in crate::session) fn give_back(&self) {
        *self.conversation_lock() = None;
    }

    /// After a `/clear` the process writes to another conversation, whose id nobody else can know yet.
    pub(super) fn follow(&self, state: &State) {
        let mut lock = self.conversation_lock();
        let (Some(held), Some(conversation)) = (lock.as_ref(), state.conversation()) else {
            return;
        };
        if held.conversation() == conversation {
            return;
        }
        let hosts = self.hosts();
        if let Ok(next) = ConversationLock::take(conversation, held.config_dir(), hosts) {
            next.note(self.cli_process());
            *lock = Some(next);
        }
    }

    /// Names the present process in the lock.
    pub(super) fn note_process(&self) {
        if let Some(lock) = &*self.conversation_lock() {
            lock.note(self.cli_process());
        }
    }

    fn cli_process(&self) -> CliProcess {
        CliProcess {
            pid: self.pid().unwrap_or_default(),
            instance: self.shared.instance.clone(),
        }
    }

    fn conversation_lock(&self) -> MutexGuard<'_, Option<ConversationLock>> {
        self.shared.conversation_lock.lock()
    }
}
