//! Keeps the record of one session in the store.

use super::recovery::AdoptedTurn;
use crate::clock;
use crate::error::{Error, Result};
use crate::faults;
use crate::limits;
use crate::options::SessionOptions;
use crate::session::handle::Session;
use crate::session::record::{Fields, Stored, Writer};
use crate::session::state::State;
use crate::session::turn;
use crate::store::patience::Call;
use crate::store::{Change, Done, Record, Store};
use clearctx_proctree::InstanceId;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The origin of a session's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// The name was free: a new record.
    New,
    /// A fork: a new record with the first turn. Nothing is written before that.
    FirstTurn,
    /// A resume: the record continues, with its history and everything else in it, provided that its owner is still the one
    /// it had when the resume was planned.
    TakeOver {
        /// That owner, if there was one.
        instance: Option<InstanceId>,
    },
}

/// Keeps one session's record. After the name was given to another session, the record has another owner and is left
/// alone.
pub(crate) struct RecordWriter {
    store: Store,
    options: Arc<SessionOptions>,
    instance: InstanceId,
    beginning: Beginning,
    saved: Saved,
    /// Whether a turn found no record of this session: another program took it away.
    lost: Arc<AtomicBool>,
    /// Whether there is a record to write to. Changed only under the session's lock.
    begun: AtomicBool,
}

/// Revision of the state that was last saved; `None` before the first save.
type Saved = Arc<Mutex<Option<u64>>>;

impl RecordWriter {
    /// Makes a writer and hands it to the session.
    pub(crate) fn attach(store: Store, session: &Session, beginning: Beginning) -> Arc<Self> {
        let writer = Arc::new(Self {
            store,
            options: Arc::clone(session.options()),
            instance: session.instance().clone(),
            begun: AtomicBool::new(beginning != Beginning::FirstTurn),
            beginning,
            saved: Saved::default(),
            lost: Arc::default(),
        });
        let attached: Arc<Self> = Arc::clone(&writer);
        session.keep_record(attached);
        writer
    }

    /// Whether the record is gone, so that the next [`RecordWriter::persist`] should bring the whole history.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Saves the session's present state on the calling thread, unless the record is up to date. The first call creates the
    /// record. `interactions` replaces the history, if given.
    ///
    /// # Errors
    /// `ERR_SESSION_EXISTS` if the name was taken in between, `ERR_STORE`.
    pub(crate) fn persist(&self, session: &Session, interactions: Option<&RawValue>) -> Result<()> {
        if !self.has_begun() {
            return Ok(());
        }
        let _call = Call::begin();
        let mut interactions = interactions;
        let mut overwritten = false;
        // A turn may be stored while a write waits for the lock; its fields must not be left overwritten by older ones.
        for _ in 0..limits::STORE_CATCH_UPS {
            let saved = *lock(&self.saved);
            if interactions.is_none() && !overwritten && saved >= Some(session.read(State::revision)) {
                break;
            }
            let mut fields = session.record_fields();
            let revision = Some(fields.revision);
            let first = saved.is_none() || (self.is_lost() && interactions.is_some());
            if first && self.store.was_deleted(&self.instance) {
                return Ok(());
            }
            if first {
                // Messages that were sent before there was a record. They replace what another session left in it.
                let pending = session.pending();
                let news = pending.get() != "[]" || self.has_pending()?;
                fields.pending = news.then_some(pending);
            }
            self.write(first, &fields, interactions.take())?;
            overwritten = *lock(&self.saved) > revision;
            move_forward(&self.saved, fields.revision);
        }
        Ok(())
    }

    /// Adds turns that the record did not have when it was taken over; with them the session has cost `total_usd`.
    ///
    /// # Errors
    /// `ERR_STORE`.
    pub(crate) fn adopt(&self, turns: Vec<AdoptedTurn>, total_usd: f64) -> Result<()> {
        let mut fields = Record::new();
        fields.set("totalCostUsd", total_usd);
        let turn = |turn: AdoptedTurn| Change::Turn {
            name: self.options.name.clone(),
            instance: Some(self.instance.clone()),
            interaction: turn.interaction,
            fields: fields.clone(),
        };
        let turns: Vec<_> = turns.into_iter().map(turn).collect();
        self.store.apply(turns).map(|_| ())
    }

    fn has_pending(&self) -> Result<bool> {
        let before = self.store.head(&self.options.name)?;
        Ok(before.is_some_and(|record| record.get_raw("pending").is_some()))
    }

    fn has_last_error(&self) -> Result<bool> {
        let before = self.store.head(&self.options.name)?;
        Ok(before.is_some_and(|record| record.get_raw("lastError").is_some()))
    }

    fn write(&self, first: bool, fields: &Fields, interactions: Option<&RawValue>) -> Result<()> {
        let change = if first {
            self.first_change(fields, interactions)?
        } else {
            self.merge(fields, interactions)
        };
        let applied = self.store.apply([change])?;
        if first && !applied.iter().all(|applied| applied.changed) {
            return Err(taken(&self.store, &self.options.name));
        }
        self.lost.store(false, Ordering::Release);
        Ok(())
    }

    fn first_change(&self, fields: &Fields, interactions: Option<&RawValue>) -> Result<Change> {
        let name = self.options.name.clone();
        let mut record = self.whole_record(fields)?;
        if let Some(interactions) = interactions {
            record.set_raw("interactions", interactions);
        }
        Ok(match &self.beginning {
            Beginning::New | Beginning::FirstTurn => Change::Put {
                name,
                record,
                only_if_free: true,
            },
            Beginning::TakeOver { instance } => {
                record.remove("created");
                if fields.last_error.is_none() && self.has_last_error()? {
                    record.set("lastError", ());
                }
                if interactions.is_none() {
                    record.remove("interactions");
                }
                Change::Merge {
                    name,
                    fields: record,
                    instance: instance.clone(),
                    create: instance.is_none(),
                }
            }
        })
    }

    /// All fields: those of clearctx 3 in their order, then the new ones.
    fn whole_record(&self, fields: &Fields) -> Result<Record> {
        let options = &self.options;
        let mut record = Record::new();
        record.set("name", &options.name);
        record.set("claudeSessionId", &fields.session_id);
        record.set("status", fields.status.as_str());
        record.set("model", &options.model);
        record.set("workDir", &options.work_dir);
        record.set("permissionMode", &options.permission_mode);
        record.set("allowedTools", &options.allowed_tools);
        record.set("systemPrompt", &options.system_prompt);
        record.set("maxBudget", options.max_budget);
        record.set("agent", &options.agent);
        if let Some(totals) = &fields.totals {
            record.set("totalCostUsd", totals.cost_usd);
            record.set("totalTurns", totals.turns);
        }
        record.set("interactions", Vec::<()>::new());
        record.set(
            "created",
            options.created.clone().unwrap_or_else(clock::timestamp),
        );
        record.set("timeout", options.timeout);
        record.set("tags", &options.tags);
        if !options.live.needs.is_empty() {
            record.set("needs", &options.live.needs);
        }
        if options.session_id.is_none() {
            record.set("newSessionId", &options.new_session_id);
        }
        record.set("owner", self.store.owner(&self.instance)?);
        if let Some(parent) = &options.parent {
            record.set("parent", parent);
        }
        record.merge(&record_of(fields));
        Ok(record)
    }

    fn merge(&self, fields: &Fields, interactions: Option<&RawValue>) -> Change {
        let mut record = record_of(fields);
        if let Some(interactions) = interactions {
            record.set_raw("interactions", interactions);
        }
        Change::Merge {
            name: self.options.name.clone(),
            fields: record,
            instance: Some(self.instance.clone()),
            create: false,
        }
    }

    /// Creates the record of a fork, with its first turn.
    fn begin(&self, interaction: &RawValue, fields: &Fields, stored: Stored) {
        self.begun.store(true, Ordering::Release);
        let history = turn::raw(format!("[{interaction}]"));
        let change = match self.first_change(fields, Some(&history)) {
            Ok(change) => change,
            Err(error) => return stored(Err(error)),
        };
        let (store, name) = (self.store.clone(), self.options.name.clone());
        let when_stored = self.when_stored(fields, stored);
        let done: Done = Box::new(move |applied| {
            when_stored(applied.and_then(|applied| {
                if applied.changed {
                    Ok(applied)
                } else {
                    Err(taken(&store, &name))
                }
            }));
        });
        self.store.apply_later(change, done);
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Called once `fields` are stored.
    fn when_stored(&self, fields: &Fields, stored: Stored) -> Done {
        let (saved, revision) = (Arc::clone(&self.saved), fields.revision);
        Box::new(move |applied| {
            // A process may end before there is a record: then nothing was saved, and the first write is still to come.
            if applied.as_ref().is_ok_and(|applied| applied.changed) {
                move_forward(&saved, revision);
            }
            stored(applied.map(|_| ()));
        })
    }
}

impl Writer for RecordWriter {
    fn note(&self, pending: Option<Box<RawValue>>, stored: Stored) {
        let change = match pending.filter(|_| self.has_begun()) {
            Some(pending) => {
                let mut fields = Record::new();
                fields.set_raw("pending", &pending);
                Change::Note {
                    name: self.options.name.clone(),
                    fields,
                    instance: self.instance.clone(),
                }
            }
            None => nothing(),
        };
        self.store
            .apply_later(change, Box::new(move |applied| stored(applied.map(|_| ()))));
    }

    fn save(&self, fields: Fields, stored: Stored) {
        if !self.has_begun() {
            self.store
                .apply_later(nothing(), Box::new(move |applied| stored(applied.map(|_| ()))));
            return;
        }
        self.store
            .apply_later(self.merge(&fields, None), self.when_stored(&fields, stored));
    }

    fn add_turn(&self, interaction: Box<RawValue>, fields: Fields, stored: Stored) {
        if !self.has_begun() {
            self.begin(&interaction, &fields, stored);
            return;
        }
        let change = Change::Turn {
            name: self.options.name.clone(),
            instance: Some(self.instance.clone()),
            interaction,
            fields: record_of(&fields),
        };
        let lost = Arc::clone(&self.lost);
        let when_stored = self.when_stored(&fields, stored);
        let options = Arc::clone(&self.options);
        let (store, instance) = (self.store.clone(), self.instance.clone());
        let done: Done = Box::new(move |applied| {
            faults::place("stored", &options);
            // A record that was deleted stays deleted; one that another program has lost is written anew.
            if applied.as_ref().is_ok_and(|applied| !applied.changed) && !store.was_deleted(&instance) {
                lost.store(true, Ordering::Release);
            }
            when_stored(applied);
        });
        self.store.apply_later(change, done);
    }
}

/// A change that does nothing but keeps its place in the queue.
fn nothing() -> Change {
    Change::DeleteMany(Vec::new())
}

/// The error if another session has taken the record of this name.
fn taken(store: &Store, name: &str) -> Error {
    let name = name.to_owned();
    match store.get(&name) {
        Ok(Some(record)) => Error::SessionStored {
            name,
            status: record.get_str("status").unwrap_or_default(),
        },
        Ok(None) => Error::SessionNotFound { name },
        Err(error) => error,
    }
}

fn lock(saved: &Saved) -> parking_lot::MutexGuard<'_, Option<u64>> {
    saved.lock()
}

/// Moves forward only: an answer of the store may come after the answer to a younger change.
fn move_forward(saved: &Saved, revision: u64) {
    let mut saved = lock(saved);
    *saved = (*saved).max(Some(revision));
}

fn record_of(fields: &Fields) -> Record {
    let mut record = Record::new();
    record.set("claudeSessionId", &fields.session_id);
    record.set("status", fields.status.as_str());
    record.set("pid", fields.pid);
    if let Some(model) = &fields.model {
        record.set("model", model);
    }
    if let Some(mode) = &fields.permission_mode {
        record.set("permissionMode", mode);
    }
    if let Some(error) = &fields.last_error {
        record.set("lastError", error);
    }
    if let Some(pending) = &fields.pending {
        record.set_raw("pending", pending);
    }
    if let Some(totals) = &fields.totals {
        record.set("totalCostUsd", totals.cost_usd);
        record.set("totalTurns", totals.turns);
        record.set("cliTotals", &totals.cli);
    }
    record
}
