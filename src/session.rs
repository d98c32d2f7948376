//! A session, for JavaScript.

use crate::convert::{caller_env, from_number, to_number};
use crate::environment::{EnvironmentQueue, NativeEnvironment, SessionSink};
use crate::error::{envelope, read, throw};
use clearctx_core::error::Error;
use clearctx_core::manager::starting::{Managed, Resent};
use clearctx_core::options::{SessionOptions, milliseconds};
use clearctx_core::runtime;
use clearctx_core::session::effect::{Message, Subscriptions};
use clearctx_core::session::handle::Session;
use clearctx_core::session::start::Prepared;
use clearctx_core::session::state::State;
use clearctx_core::session::status::Status;
use clearctx_core::session::turn;
use napi::Result;
use napi_derive::napi;
use std::sync::Arc;

/// A started session.
#[napi]
pub struct NativeSession {
    session: Session,
    managed: Option<Managed>,
}

impl NativeSession {
    pub(crate) fn managed(managed: Managed, queue: &Arc<EnvironmentQueue>) -> Self {
        queue.add_session(managed.session());
        Self {
            session: managed.session().clone(),
            managed: Some(managed),
        }
    }
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
    /// Starts a session without a manager, and so without a record. `env` lists names and values of `process.env` in turn;
    /// `cwd` is `process.cwd()`.
    #[napi(factory, catch_unwind)]
    pub fn start(
        environment: &NativeEnvironment,
        options: String,
        env: Vec<String>,
        cwd: String,
    ) -> Result<Self> {
        let options: SessionOptions = read(&options, "options")?;
        let queue = environment.queue();
        let number = runtime::next_number();
        let owner = Box::new(SessionSink {
            queue: Arc::clone(&queue),
            number,
        });
        let session = Prepared::new(number, options, &caller_env(env, cwd), owner)
            .and_then(|prepared| prepared.start(None))
            .map_err(|error| throw(&error))?;
        queue.add_session(&session);
        Ok(Self {
            session,
            managed: None,
        })
    }

    /// All statuses, in the order of their numbers: see [`status_code`].
    #[napi(catch_unwind)]
    pub fn statuses() -> Vec<&'static str> {
        Status::ALL.map(Status::as_str).to_vec()
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

    /// Sets which events have listeners.
    #[napi(catch_unwind)]
    pub fn subscribe(&self, messages: bool, content: bool, stderr: bool, deltas: bool) {
        self.session.subscribe(Subscriptions {
            messages,
            content,
            stderr,
            deltas,
        });
    }

    /// Sends a message: JSON of its content, JSON of its text for the history if that is not the content, and time
    /// in ms. Returns the [`status_code`].
    #[napi(catch_unwind)]
    pub fn send(&self, send: f64, content: String, prompt: Option<String>, timeout: f64) -> Result<f64> {
        let send = from_number(send);
        let timeout = milliseconds(Some(timeout)).unwrap_or_else(|| self.session.options().turn_timeout());
        let prompt = turn::raw(prompt.unwrap_or_else(|| content.clone()));
        let message = Message {
            send,
            content,
            prompt,
            uuid: None,
            timeout,
        };
        self.session
            .send(message)
            .map(status_code)
            .map_err(|error| throw(&error))
    }

    /// Gives up a message: it is withdrawn, or its turn is interrupted.
    #[napi(catch_unwind)]
    pub fn abort(&self, send: f64) -> StatusChange {
        status_change(self.session.abort(from_number(send)))
    }

    /// Interrupts the turn that runs. Call `call` gets the outcome; time in ms, 0 for the session's own.
    #[napi(catch_unwind)]
    pub fn interrupt(&self, call: f64, drop_queue: bool, timeout: f64) -> Result<StatusChange> {
        let timeout = milliseconds(Some(timeout));
        changed(self.session.interrupt(from_number(call), drop_queue, timeout))
    }

    /// Asks the CLI something: JSON of the request. Call `call` gets the answer; time in ms, 0 for the session's own.
    #[napi(catch_unwind)]
    pub fn control(&self, call: f64, request: String, timeout: f64) -> Result<StatusChange> {
        let timeout = milliseconds(Some(timeout));
        changed(self.session.control(from_number(call), &request, timeout))
    }

    /// Answers a request of the CLI: JSON of the payload, or why there is none. Whether it still wanted an answer.
    #[napi(catch_unwind)]
    pub fn answer(&self, id: String, payload: Option<String>, words: Option<String>) -> bool {
        let words = words.unwrap_or_default();
        self.session.answer(&id, payload.as_deref().ok_or(&words))
    }

    /// Stops reading the output, or goes on.
    #[napi(catch_unwind)]
    pub fn hold_output(&self, held: bool) {
        self.session.hold_output(held);
    }

    /// Pauses the session.
    #[napi(catch_unwind)]
    pub fn pause(&self) -> Result<StatusChange> {
        changed(self.session.pause())
    }

    /// Ends a pause.
    #[napi(catch_unwind)]
    pub fn resume(&self) -> Result<StatusChange> {
        changed(self.session.resume())
    }

    /// Ends the session gracefully.
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

    /// Takes over the data of its record, once that is its own: see `persist`.
    #[napi(catch_unwind)]
    pub fn take_over(&self) -> Result<()> {
        let Some(managed) = &self.managed else {
            return Ok(());
        };
        managed.take_over().map_err(|error| throw(&error))
    }

    /// Sends again the messages that were lost with the host of its record, numbered from `first` on. Returns JSON of
    /// `[{index, send} | {index, error}]`; `index` is the place of the message in the report of `recover`.
    #[napi(catch_unwind)]
    pub fn resend(&self, first: f64) -> String {
        let Some(managed) = &self.managed else {
            return "[]".to_owned();
        };
        let told = |Resent { index, send }: Resent| match send {
            Ok(send) => format!("{{\"index\":{index},\"send\":{send}}}"),
            Err(error) => format!("{{\"index\":{index},\"error\":{}}}", envelope(&error)),
        };
        let all: Vec<String> = managed.resend(from_number(first)).into_iter().map(told).collect();
        format!("[{}]", all.join(","))
    }

    /// Releases its name.
    #[napi(catch_unwind)]
    pub fn release(&self) {
        if let Some(managed) = &self.managed {
            managed.release();
        }
    }

    /// Saves the session's present state, if it keeps a record. `interactions` is JSON that replaces the history, if
    /// given. If the record was taken away, the history is needed: without it, nothing is saved and the result is `false`.
    #[napi(catch_unwind)]
    pub fn persist(&self, interactions: Option<String>) -> Result<bool> {
        let Some(managed) = &self.managed else {
            return Ok(true);
        };
        let interactions = interactions.map(turn::raw);
        managed
            .persist(interactions.as_deref())
            .map_err(|error| throw(&error))
    }
}

fn changed(result: std::result::Result<(Status, u64), Error>) -> Result<StatusChange> {
    result.map(status_change).map_err(|error| throw(&error))
}

/// A status and the count of changes in one number, which is cheaper than an object: the count times the number of
/// statuses, plus the number of the status.
fn status_code((status, change): (Status, u64)) -> f64 {
    to_number(change * Status::ALL.len() as u64 + status as u64)
}

fn status_change((status, change): (Status, u64)) -> StatusChange {
    StatusChange {
        status: status.as_str().to_owned(),
        change: to_number(change),
    }
}
