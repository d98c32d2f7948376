//! Names that are taken in one manager: by a session that lives, or by one that is about to start; and the sessions that
//! still have a process, also those that gave up their name.

use super::record_writer::RecordWriter;
use crate::error::{Error, Result};
use crate::ids::SessionName;
use crate::session::handle::Session;
use crate::session::state::State;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The taken names.
#[derive(Default)]
pub(super) struct Names {
    taken: Mutex<HashMap<SessionName, Holder>>,
    claims: AtomicU64,
    running: Mutex<Vec<Session>>,
}

struct Holder {
    claim: u64,
    /// `None` while the session is about to start.
    live: Option<Live>,
}

/// A session that lives under a name, and who writes its record.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) session: Session,
    pub(super) writer: Arc<RecordWriter>,
}

/// A name that is taken until this is dropped.
pub(super) struct Claim {
    names: Arc<Names>,
    name: SessionName,
    number: u64,
}

impl Names {
    /// Takes a name.
    ///
    /// # Errors
    /// `ERR_SESSION_EXISTS`.
    pub(super) fn claim(self: &Arc<Self>, name: &SessionName) -> Result<Claim> {
        let mut taken = self.taken.lock();
        if taken.contains_key(name) {
            return Err(Error::SessionAlive {
                name: name.to_string(),
            });
        }
        let number = self.claims.fetch_add(1, Ordering::Relaxed);
        let holder = Holder {
            claim: number,
            live: None,
        };
        taken.insert(name.clone(), holder);
        Ok(Claim {
            names: Arc::clone(self),
            name: name.clone(),
            number,
        })
    }

    /// The session that has the name.
    pub(super) fn get(&self, name: &str) -> Option<Live> {
        self.taken.lock().get(name)?.live.clone()
    }

    /// Takes the name from its session.
    pub(super) fn free(&self, name: &str) {
        self.taken.lock().remove(name);
    }

    /// Names of the sessions that live.
    pub(super) fn live(&self) -> Vec<SessionName> {
        let taken = self.taken.lock();
        let live = taken.iter().filter(|(_, holder)| holder.live.is_some());
        live.map(|(name, _)| name.clone()).collect()
    }

    /// Sessions whose process has not ended.
    pub(super) fn running(&self) -> Vec<Session> {
        let mut sessions = self.running.lock().clone();
        // A session's own lock comes before the list's.
        sessions.retain(|session| !session.read(State::has_ended));
        sessions
    }

    fn runs(&self, session: &Session) {
        let mut sessions = self.running();
        sessions.push(session.clone());
        *self.running.lock() = sessions;
    }
}

impl Claim {
    /// Notes that the session of the name has started.
    pub(super) fn fill(&self, live: Live) {
        self.names.runs(&live.session);
        if let Some(holder) = self.names.taken.lock().get_mut(&self.name) {
            holder.live = Some(live);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut taken = self.names.taken.lock();
        if taken
            .get(&self.name)
            .is_some_and(|holder| holder.claim == self.number)
        {
            taken.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_until_its_claim_is_dropped() {
        let names = Arc::new(Names::default());
        let [a, b] = ["a", "b"].map(|name| SessionName::new(name).expect("a name"));
        let claim = names.claim(&a).expect("it is free");
        assert!(matches!(names.claim(&a), Err(Error::SessionAlive { name }) if name == "a"));
        assert!(names.claim(&b).is_ok());
        assert!(names.get("a").is_none());
        drop(claim);
        assert!(names.claim(&a).is_ok());
    }
}
