//! A session, for JavaScript.

use crate::error::{read, throw};
use crate::host::{Host, SessionOwner, to_number};
use crate::store::NativeStore;
use clearctx_core::error::Error;
use clearctx_core::manager::Predecessor;
use clearctx_core::manager::record_writer::{Beginning, RecordWriter};
use clearctx_core::options::{Host as HostView, SessionOptions, milliseconds, variable_name};
use clearctx_core::runtime;
use clearctx_core::session::effect::{Message, Subscriptions};
use clearctx_core::session::handle::Session;
use clearctx_core::session::start::Prepared;
use clearctx_core::session::state::State;
use clearctx_core::session::status::Status;
use clearctx_core::session::turn;
use napi::Result;
use napi::bindgen_prelude::{Either, Undefined};
use napi_derive::napi;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A started session.
#[napi]
pub struct NativeSession {
    pub(crate) session: Session,
    writer: Option<Arc<RecordWriter>>,
}

/// A status and the count of changes that led to it.
#[napi(object)]
pub struct StatusChange {
    /// Status.
    pub status: String,
    /// Count of changes.
    pub change: f64,
}

#[napi]
impl NativeSession {
    /// Starts a session. `env` lists names and values of `process.env` in turn, `cwd` is `process.cwd()`.
    /// With a `store` its record is kept there; with `take_over` it goes on with the record that is there, whose
    /// owner is this one: JSON of `planResume`'s `predecessor`.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        host: &Host,
        options: String,
        env: Vec<String>,
        cwd: String,
        store: Either<&NativeStore, Undefined>,
        take_over: Option<String>,
    ) -> Result<Self> {
        let options: SessionOptions = read(&options, "options")?;
        let number = runtime::next_number();
        let owner = Box::new(SessionOwner {
            queue: host.queue(),
            number,
        });
        let mut prepared =
            Prepared::new(number, options, &host_view(env, cwd), owner).map_err(|error| throw(&error))?;
        let writer = match store {
            Either::A(store) => {
                let beginning = match take_over {
                    Some(predecessor) => {
                        let predecessor = read::<Option<Predecessor>>(&predecessor, "options")?;
                        if let Some(left) = predecessor.iter().find(|before| before.left_over) {
                            prepared.end_first(left.token.as_str().into());
                        }
                        Beginning::TakeOver {
                            token: predecessor.map(|before| before.token),
                        }
                    }
                    None => Beginning::New,
                };
                if matches!(beginning, Beginning::TakeOver { .. }) {
                    prepared.session().await_totals();
                }
                Some(RecordWriter::attach(
                    store.store.clone(),
                    prepared.session(),
                    beginning,
                ))
            }
            Either::B(()) => None,
        };
        let hosts = match store {
            Either::A(store) => Some(store.store.hosts_dir()),
            Either::B(()) => None,
        };
        let session = prepared.start(hosts.as_deref()).map_err(|error| throw(&error))?;
        host.queue().add_session(&session);
        Ok(Self { session, writer })
    }

    /// The number that its events carry.
    #[napi(getter, catch_unwind)]
    pub fn number(&self) -> f64 {
        to_number(self.session.number())
    }

    /// Process id, once there is a process.
    #[napi(getter, catch_unwind)]
    pub fn pid(&self) -> Option<u32> {
        self.session.pid()
    }

    /// Its status at this moment.
    #[napi(getter, catch_unwind)]
    pub fn status(&self) -> StatusChange {
        status_change(self.session.read(State::status))
    }

    /// Which events somebody listens to.
    #[napi(catch_unwind)]
    pub fn set_wants(&self, messages: bool, content: bool, stderr: bool) {
        self.session.subscribe(Subscriptions {
            messages,
            content,
            stderr,
        });
    }

    /// Sends a message: JSON of its content, JSON of its text for the history if that is not the content, time in ms,
    /// and the uuid of one that is sent again. Returns what [`status_code`] makes of the status.
    #[napi(catch_unwind)]
    pub fn send(
        &self,
        send: f64,
        content: String,
        prompt: Option<String>,
        timeout: f64,
        uuid: Option<String>,
    ) -> Result<f64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter of our own JavaScript"
        )]
        let send = send as u64;
        let timeout = milliseconds(Some(timeout)).unwrap_or_else(|| self.session.options().turn_timeout());
        let prompt = turn::raw(prompt.unwrap_or_else(|| content.clone()));
        let message = Message {
            send,
            content,
            prompt,
            uuid,
            timeout,
        };
        self.session
            .send(message)
            .map(status_code)
            .map_err(|error| throw(&error))
    }

    /// Marks the session.
    #[napi(catch_unwind)]
    pub fn pause(&self) -> Result<StatusChange> {
        changed(self.session.pause())
    }

    /// Takes the mark away.
    #[napi(catch_unwind)]
    pub fn resume(&self) -> Result<StatusChange> {
        changed(self.session.resume())
    }

    /// Ends the session in peace.
    #[napi(catch_unwind)]
    pub fn stop(&self) -> StatusChange {
        status_change(self.session.stop())
    }

    /// Ends the session at once.
    #[napi(catch_unwind)]
    pub fn kill(&self) -> StatusChange {
        status_change(self.session.kill())
    }

    /// Sets cost and turns of earlier processes.
    #[napi(catch_unwind)]
    pub fn set_totals(&self, cost_usd: f64, turns: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        self.session.set_totals(cost_usd.min(f64::MAX), turns as u64);
    }

    /// Goes on from a record that was taken over: cost, turns, JSON of its `cliTotals` or null.
    #[napi(catch_unwind)]
    pub fn restore(&self, cost_usd: f64, turns: f64, cli_totals: String) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        let turns = turns as u64;
        // A record of another program may hold anything there: then nothing is known.
        let cli_totals = serde_json::from_str(&cli_totals).ok();
        self.session.restore(cost_usd.min(f64::MAX), turns, cli_totals);
    }

    /// Adds turns to the record that has just been taken over: a JSON array.
    #[napi(catch_unwind)]
    pub fn adopt(&self, interactions: String) -> Result<()> {
        let interactions = read(&interactions, "interactions")?;
        let Some(writer) = &self.writer else { return Ok(()) };
        writer.adopt(interactions).map_err(|error| throw(&error))
    }

    /// Saves the session's present state, if it keeps a record. `interactions` is JSON that replaces the
    /// history, if given. Returns `false`, and saves nothing, if it is needed: the record was taken away.
    #[napi(catch_unwind)]
    pub fn persist(&self, interactions: Option<String>) -> Result<bool> {
        let Some(writer) = &self.writer else {
            return Ok(true);
        };
        if interactions.is_none() && writer.is_lost() {
            return Ok(false);
        }
        let interactions = interactions.map(turn::raw);
        writer
            .persist(&self.session, interactions.as_deref())
            .map(|()| true)
            .map_err(|error| throw(&error))
    }
}

/// Builds the host's view from what JavaScript read.
pub(crate) fn host_view(env: Vec<String>, cwd: String) -> HostView {
    let mut names_and_values = env.into_iter();
    let mut map = BTreeMap::new();
    while let (Some(name), Some(value)) = (names_and_values.next(), names_and_values.next()) {
        map.insert(variable_name(&name), value);
    }
    HostView { env: map, cwd }
}

fn changed(result: std::result::Result<(Status, u64), Error>) -> Result<StatusChange> {
    result.map(status_change).map_err(|error| throw(&error))
}

/// A status and the count of changes in one number, which is cheaper than an object: the count times the number of
/// statuses, plus the status's place in `js/statuses.js`.
fn status_code((status, change): (Status, u64)) -> f64 {
    to_number(change * Status::ALL.len() as u64 + status as u64)
}

fn status_change((status, change): (Status, u64)) -> StatusChange {
    StatusChange {
        status: status.as_str().to_owned(),
        change: to_number(change),
    }
}
