//! The live sessions of this process, whatever manager they belong to.

use super::handle::Session;
use crate::fs::conversation_lock::ConfigDirId;
use clearctx_proctree::InstanceId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;

static LIVE: Mutex<BTreeMap<u64, Session>> = Mutex::new(BTreeMap::new());

/// Lists a session until [`remove`].
pub(super) fn add(session: &Session) {
    LIVE.lock().insert(session.number(), session.clone());
}

/// The session has ended.
pub(super) fn remove(number: u64) {
    LIVE.lock().remove(&number);
}

/// Sessions of this conversation whose process is on its way out.
pub(super) fn ending(conversation: &str) -> Vec<Session> {
    let mut sessions = all();
    sessions.retain(|session| session.is_ending(conversation));
    sessions
}

/// Whether a live session has this conversation.
pub(super) fn has(conversation: &str, config_dir: ConfigDirId) -> bool {
    all()
        .iter()
        .any(|session| session.is_in(conversation, config_dir))
}

/// Whether a live session has its record in the data directory of these hosts.
pub(crate) fn any_in(hosts: &Path) -> bool {
    all().iter().any(|session| session.hosts() == Some(hosts))
}

/// The session of this id, if it lives in this process.
pub(crate) fn find(instance: &InstanceId) -> Option<Session> {
    let live = LIVE.lock();
    live.values()
        .find(|session| session.instance() == instance)
        .cloned()
}

/// The list is copied before a session is asked: a session's own lock comes before the list's.
fn all() -> Vec<Session> {
    LIVE.lock().values().cloned().collect()
}
