//! What a program does with the sessions of a manager, by their names.
//!
//! JavaScript has a session object for each of these calls, since its callers see the state change in between; a program
//! without Node uses them as they are.

use super::Manager;
use super::names::Live;
use crate::error::{Error, Result};
use crate::session::effect::Message;
use crate::session::handle::Session;
use std::time::Duration;
use tokio::sync::oneshot;

impl Manager {
    /// Sends a message to a live session. Its outcome is an event of the session.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`.
    pub fn send(&self, name: &str, message: Message) -> Result<()> {
        self.live(name)?.session.send(message).map(|_| ())
    }

    /// Stops a live session gracefully: its name is free at once, and a turn that runs may finish.
    ///
    /// # Errors
    /// `ERR_SESSION_NOT_ALIVE`, `ERR_STORE`. The session is stopped even if that could not be stored.
    pub fn stop(&self, name: &str) -> Result<()> {
        let live = self.live(name)?;
        live.session.stop();
        self.release(name, &live)
    }

    /// Ends a session at once, with all that it has started; of a stored one, what another manager or host runs.
    ///
    /// # Errors
    /// `ERR_STORE`, `ERR_INTERNAL`.
    pub fn kill(&self, name: &str) -> Result<()> {
        let Some(live) = self.names.get(name) else {
            return self.kill_stored(name);
        };
        live.session.kill();
        self.release(name, &live)
    }

    /// Ends a session at once and removes its record. Whether there was one.
    ///
    /// # Errors
    /// `ERR_STORE`, `ERR_INTERNAL`.
    pub fn delete(&self, name: &str) -> Result<bool> {
        if let Some(live) = self.names.get(name) {
            live.session.kill();
            self.names.free(name);
        }
        self.delete_stored(name)
    }

    /// Stops all live sessions, waits until their processes have ended, and brings the store up to date. What still runs
    /// after `timeout`, if one is given, is killed.
    ///
    /// # Errors
    /// `ERR_STORE`, once everything has ended.
    pub async fn close(&self, timeout: Option<Duration>) -> Result<()> {
        let stopped: Result<()> = self.names.live().iter().try_for_each(|name| self.stop(name));
        // Those that a failed store left alone.
        let running = self.names.running();
        for session in &running {
            session.stop();
        }
        let in_time = match timeout {
            Some(timeout) => tokio::time::timeout(timeout, all_ended(&running)).await.is_ok(),
            None => false,
        };
        if !in_time {
            if timeout.is_some() {
                for session in &running {
                    session.kill();
                }
            }
            all_ended(&running).await;
        }
        let (done, flushed) = oneshot::channel();
        self.store().flush(Box::new(move |outcome| {
            // The caller may wait no more.
            let _ = done.send(outcome);
        }));
        let flushed = flushed.await.unwrap_or_else(|_| {
            Err(Error::Internal {
                reason: "whether the store was flushed got lost".to_owned(),
            })
        });
        stopped.and(flushed)
    }

    fn live(&self, name: &str) -> Result<Live> {
        self.names.get(name).ok_or_else(|| Error::SessionNotAlive {
            name: name.to_owned(),
            reason: None,
        })
    }

    /// The name is free whatever becomes of the record.
    fn release(&self, name: &str, live: &Live) -> Result<()> {
        self.names.free(name);
        live.writer.persist(&live.session, None)
    }
}

async fn all_ended(sessions: &[Session]) {
    for session in sessions {
        session.ended().await;
    }
}
