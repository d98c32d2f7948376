//! From a taken name to a session that runs under it.
//!
//! A start has two steps, since a program may add its listeners, or change an option, in between. A [`Starting`] holds the
//! name and the options of the session; a [`Managed`] is the started session.

use super::names::{Claim, Live};
use super::record_writer::{Beginning, RecordWriter};
use super::recovery::{AdoptedTurn, LostMessage};
use super::{Given, Predecessor};
use crate::error::Result;
use crate::options::{CallerEnv, SavedTotals, SessionOptions};
use crate::runtime;
use crate::session::effect::Message;
use crate::session::handle::Session;
use crate::session::outbox::EventSink;
use crate::session::start::Prepared;
use crate::store::Store;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A session that can be started: its name is taken, its options are complete. Dropping it releases the name.
pub struct Starting {
    pub(super) store: Store,
    pub(super) claim: Claim,
    pub(super) options: SessionOptions,
    pub(super) origin: Origin,
}

/// The origin of a session.
pub(super) enum Origin {
    /// Its name was free.
    New,
    /// It is a fork, which begins with this turn.
    Fork(FirstTurn),
    /// It continues a record.
    Record {
        /// The record's owner, if it has one.
        predecessor: Option<Predecessor>,
        /// Turns that the record does not have yet.
        turns: Vec<AdoptedTurn>,
        /// Messages that were lost with the record's host.
        lost: Vec<LostMessage>,
    },
}

/// The first turn of a fork.
#[derive(Debug, Clone)]
pub struct FirstTurn {
    /// Text of its message.
    pub message: String,
    /// Time given to it.
    pub timeout: Duration,
    /// When the source's transcript is complete: its process is started no earlier.
    pub(super) not_before: Option<Instant>,
}

/// A session under its name.
pub struct Managed {
    store: Store,
    session: Session,
    writer: Arc<RecordWriter>,
    claim: Mutex<Option<Claim>>,
    goes_on: bool,
    turns: Mutex<Vec<AdoptedTurn>>,
    lost: Mutex<Vec<LostMessage>>,
}

/// The outcome of sending a message again.
#[derive(Debug)]
pub struct Resent {
    /// Its place among the messages of the lost session.
    pub index: usize,
    /// The number of its send, or why it was not sent.
    pub send: Result<u64>,
}

impl Starting {
    /// The options of the session.
    #[must_use]
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The first turn of a fork.
    #[must_use]
    pub fn first_turn(&self) -> Option<&FirstTurn> {
        match &self.origin {
            Origin::Fork(first) => Some(first),
            Origin::New | Origin::Record { .. } => None,
        }
    }

    /// Changes the options of the session: every option that a caller may choose is as given here, or not given.
    pub fn change(&mut self, given: Given) {
        let options = &mut self.options;
        options.model = given.model.unwrap_or_else(|| std::mem::take(&mut options.model));
        options.work_dir = given
            .work_dir
            .unwrap_or_else(|| std::mem::take(&mut options.work_dir));
        options.permission_mode = given.permission_mode.unwrap_or_default();
        options.allowed_tools = given.allowed_tools.unwrap_or_default();
        options.system_prompt = given.system_prompt.unwrap_or_default();
        options.max_budget = given.max_budget;
        options.agent = given.agent;
        options.timeout = given.timeout.or(options.timeout);
        options.tags = given.tags.unwrap_or_default();
    }

    /// Starts the process. `sink` gets the session's number and makes the sink for its events. The record is not written yet:
    /// see [`Managed::persist`].
    ///
    /// # Errors
    /// `ERR_CLI_NOT_FOUND`, `ERR_WORKDIR`, `ERR_START_FAILED`, `ERR_SESSION_HELD`. The name is free again.
    pub fn start(self, caller: &CallerEnv, sink: impl FnOnce(u64) -> Box<dyn EventSink>) -> Result<Managed> {
        let Self {
            store,
            claim,
            options,
            origin,
        } = self;
        let number = runtime::next_number();
        let mut prepared = Prepared::new(number, options, caller, sink(number))?;
        let (beginning, turns, lost) = match origin {
            Origin::New => (Beginning::New, Vec::new(), Vec::new()),
            Origin::Fork(first) => {
                if let Some(at) = first.not_before {
                    prepared.start_after(at);
                }
                (Beginning::FirstTurn, Vec::new(), Vec::new())
            }
            Origin::Record {
                predecessor,
                turns,
                lost,
            } => {
                if let Some(left) = predecessor.iter().find(|before| before.left_over) {
                    prepared.end_first(left.instance.clone());
                }
                prepared.session().await_totals();
                let instance = predecessor.map(|before| before.instance);
                (Beginning::TakeOver { instance }, turns, lost)
            }
        };
        let goes_on = matches!(beginning, Beginning::TakeOver { .. });
        let writer = RecordWriter::attach(store.clone(), prepared.session(), beginning);
        let session = prepared.start(Some(&store.hosts_dir()))?;
        claim.fill(Live {
            session: session.clone(),
            writer: Arc::clone(&writer),
        });
        Ok(Managed {
            store,
            session,
            writer,
            claim: Mutex::new(Some(claim)),
            goes_on,
            turns: Mutex::new(turns),
            lost: Mutex::new(lost),
        })
    }

    /// Starts the process and writes the record. A session whose record cannot be written is killed.
    ///
    /// # Errors
    /// As [`Starting::start`] and [`Managed::persist`].
    pub fn run(self, caller: &CallerEnv, sink: impl FnOnce(u64) -> Box<dyn EventSink>) -> Result<Managed> {
        let managed = self.start(caller, sink)?;
        let recorded = managed.persist(None).and_then(|_| managed.take_over());
        if let Err(error) = recorded {
            managed.session.kill();
            return Err(error);
        }
        Ok(managed)
    }
}

impl Managed {
    /// The session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Saves the session's present state on the calling thread. The first call creates the record, or takes it over.
    /// `interactions` is JSON that replaces the history, if given. If the record was taken away, the history is needed:
    /// without it, nothing is saved and the result is `false`.
    ///
    /// # Errors
    /// `ERR_SESSION_EXISTS` if the record was given to another session in between, `ERR_STORE`.
    pub fn persist(&self, interactions: Option<&RawValue>) -> Result<bool> {
        if interactions.is_none() && self.writer.is_lost() {
            return Ok(false);
        }
        self.writer.persist(&self.session, interactions).map(|()| true)
    }

    /// Takes over the data of the record, once the record is this session's: the totals, which the process before may have
    /// changed until then, and turns that were found elsewhere.
    ///
    /// # Errors
    /// `ERR_STORE`.
    pub fn take_over(&self) -> Result<()> {
        if !self.goes_on {
            return Ok(());
        }
        let record = self.store.head(&self.session.options().name)?;
        let (mut cost_usd, mut turns, mut cli_totals) = (0.0, 0, None);
        if let Some(record) = record {
            cost_usd = record.get_f64("totalCostUsd").unwrap_or_default();
            turns = record.get_u64("totalTurns").unwrap_or_default();
            cli_totals = record.get::<SavedTotals>("cliTotals");
        }
        let adopted = std::mem::take(&mut *self.turns.lock());
        cost_usd += adopted.iter().map(|turn| turn.cost_usd).sum::<f64>();
        self.writer.adopt(adopted, cost_usd)?;
        self.session.restore(cost_usd, turns, cli_totals);
        Ok(())
    }

    /// Sends again the messages that were lost with the record's host and may be sent again. The sends are numbered from
    /// `first` on.
    pub fn resend(&self, first: u64) -> Vec<Resent> {
        let lost = std::mem::take(&mut *self.lost.lock());
        let open = lost
            .into_iter()
            .enumerate()
            .filter(|(_, message)| !message.is_answered());
        open.zip(first..)
            .map(|((index, message), number)| Resent {
                index,
                send: self.resend_one(message, number),
            })
            .collect()
    }

    fn resend_one(&self, lost: LostMessage, send: u64) -> Result<u64> {
        if let Some(refusal) = lost.refusal {
            return Err(refusal);
        }
        let content = lost.content.as_deref().unwrap_or(&lost.prompt).get().to_owned();
        self.session.send(Message {
            send,
            content,
            prompt: lost.prompt,
            uuid: Some(lost.uuid),
            timeout: self.session.options().turn_timeout(),
        })?;
        Ok(send)
    }

    /// Releases the name. The program calls this when it has learned that the session takes no more messages.
    pub fn release(&self) {
        self.claim.lock().take();
    }
}
