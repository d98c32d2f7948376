//! Names that are taken in one manager: by a session that lives, or by one that is about to start.

use crate::error::{Error, Result};
use crate::session::handle::Session;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The taken names.
#[derive(Default)]
pub(super) struct Names {
    taken: Mutex<HashMap<String, Holder>>,
    claims: AtomicU64,
}

struct Holder {
    claim: u64,
    /// Not yet there while the session is about to start.
    session: Option<Session>,
}

/// A name that is taken until this is dropped.
pub(super) struct Claim {
    names: Arc<Names>,
    name: String,
    number: u64,
}

impl Names {
    /// Takes a name.
    ///
    /// # Errors
    /// `ERR_SESSION_EXISTS`.
    pub(super) fn claim(self: &Arc<Self>, name: &str) -> Result<Claim> {
        let mut taken = self.taken.lock();
        if taken.contains_key(name) {
            return Err(Error::SessionAlive {
                name: name.to_owned(),
            });
        }
        let number = self.claims.fetch_add(1, Ordering::Relaxed);
        let holder = Holder {
            claim: number,
            session: None,
        };
        taken.insert(name.to_owned(), holder);
        Ok(Claim {
            names: Arc::clone(self),
            name: name.to_owned(),
            number,
        })
    }

    /// The session that has the name.
    pub(super) fn session(&self, name: &str) -> Option<Session> {
        self.taken.lock().get(name)?.session.clone()
    }
}

impl Claim {
    /// The session of the name has started.
    pub(super) fn fill(&self, session: &Session) {
        if let Some(holder) = self.names.taken.lock().get_mut(&self.name) {
            holder.session = Some(session.clone());
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
        let claim = names.claim("a").expect("it is free");
        assert!(matches!(names.claim("a"), Err(Error::SessionAlive { name }) if name == "a"));
        assert!(names.claim("b").is_ok());
        assert!(names.session("a").is_none());
        drop(claim);
        assert!(names.claim("a").is_ok());
    }
}
