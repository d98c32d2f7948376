//! Many sessions by name, with their records: who may take a name, what a spawn, a resume, a recovery or a fork starts,
//! and when the name is free again.
//!
//! - `names`: names that are taken.
//! - [`starting`]: from a taken name to a running session.
//! - [`fork`]: a session that begins as a copy of another one.
//! - `control`: send, stop, kill, delete, close.
//! - [`recovery`]: what became of the sessions of a host that died.
//! - [`record_writer`]: keeps a session's record.

mod control;
pub mod fork;
mod names;
pub(crate) mod record_writer;
pub mod recovery;
pub mod starting;

use crate::clock;
use crate::error::{Error, Result};
use crate::ids::SessionName;
use crate::options::{self, LiveOptions, RunOptions, SavedTotals, SessionOptions};
use crate::process::{kill_tree, left_over};
use crate::runtime;
use crate::session::handle::Session;
use crate::session::registry;
use crate::store::patience::Call;
use crate::store::{Change, OwnerState, Ownership, Record, Store};
use clearctx_proctree::{InstanceId, terminate};
use names::{Claim, Names};
use parking_lot::Mutex;
use recovery::Lost;
use serde::Deserialize;
use starting::{Origin, Starting};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sessions by name. Cloning it gives another handle to the same names.
#[derive(Clone)]
pub struct Manager {
    store: Store,
    names: Arc<Names>,
    /// What the last look at lost sessions found, by name.
    lost: Arc<Mutex<HashMap<String, Lost>>>,
    /// Whether the files were closed; a sweep that ends later closes them again.
    is_closed: Arc<AtomicBool>,
}

/// What a caller chose for a session; absent means not given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Given {
    model: Option<String>,
    work_dir: Option<String>,
    permission_mode: Option<String>,
    allowed_tools: Option<Vec<String>>,
    system_prompt: Option<String>,
    max_budget: Option<f64>,
    agent: Option<String>,
    timeout: Option<f64>,
    tags: Option<Vec<String>>,
}

/// What a manager uses where nothing was given.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    #[serde(default = "options::default_model")]
    model: String,
    permission_mode: String,
    timeout: f64,
    /// `process.cwd()`.
    cwd: String,
    /// What the program answers and hears in this session: of the call, else of the manager.
    #[serde(default)]
    live: LiveOptions,
    #[serde(flatten)]
    run: RunOptions,
}

/// The session that had the record before the one that resumes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Predecessor {
    /// Its id: the record is taken over from this owner alone.
    instance: InstanceId,
    /// Whether its CLI outlived its host and must be ended first: two on one conversation would part it.
    left_over: bool,
}

impl Defaults {
    /// How the program is run.
    #[must_use]
    pub fn run(&self) -> &RunOptions {
        &self.run
    }
}

impl Manager {
    /// A manager on this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            names: Arc::default(),
            lost: Arc::default(),
            is_closed: Arc::default(),
        }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The live session of a name.
    #[must_use]
    pub fn session(&self, name: &str) -> Option<Session> {
        self.names.get(name).map(|live| live.session)
    }

    /// A new session.
    ///
    /// # Errors
    /// `ERR_SESSION_EXISTS`, `ERR_STORE`.
    pub fn spawn(&self, name: &SessionName, given: Given, defaults: Defaults) -> Result<Starting> {
        let _call = Call::begin();
        let claim = self.names.claim(name)?;
        self.check_record(name)?;
        let options = SessionOptions {
            name: name.to_string(),
            model: given.model.unwrap_or(defaults.model),
            work_dir: given.work_dir.unwrap_or(defaults.cwd),
            permission_mode: given.permission_mode.unwrap_or(defaults.permission_mode),
            allowed_tools: given.allowed_tools.unwrap_or_default(),
            system_prompt: given.system_prompt.unwrap_or_default(),
            max_budget: given.max_budget,
            agent: given.agent,
            timeout: Some(given.timeout.unwrap_or(defaults.timeout)),
            session_id: None,
            fork_of: None,
            new_session_id: None,
            tags: given.tags.unwrap_or_default(),
            parent: None,
            cli_totals: None,
            created: Some(clock::timestamp()),
            live: defaults.live,
            run: defaults.run,
        };
        Ok(self.starting(claim, options, Origin::New))
    }

    /// A session that goes on with the conversation of its record.
    ///
    /// # Errors
    /// `ERR_SESSION_EXISTS` if a session of this manager has the name, `ERR_SESSION_NOT_FOUND`, `ERR_NO_SESSION_ID`,
    /// `ERR_SESSION_HELD` if a live session elsewhere has the name, `ERR_OPTIONS_MISSING`, `ERR_STORE`.
    pub fn resume(&self, name: &SessionName, defaults: Defaults) -> Result<Starting> {
        self.go_on(name, None, defaults)
    }

    /// The same for a session that [`Manager::look_for_lost`] has found. Its recovered turns are added to the record,
    /// and [`Managed::resend`](starting::Managed::resend) sends its open messages.
    ///
    /// # Errors
    /// As [`Manager::resume`].
    pub fn resume_lost(&self, name: &SessionName, defaults: Defaults) -> Result<Starting> {
        let lost = self.lost.lock().remove(&**name);
        self.go_on(name, lost, defaults)
    }

    fn go_on(&self, name: &SessionName, lost: Option<Lost>, defaults: Defaults) -> Result<Starting> {
        let _call = Call::begin();
        let claim = self.names.claim(name)?;
        let owned = self.store.owner_of(name)?.ok_or_else(|| Error::SessionNotFound {
            name: name.to_string(),
        })?;
        let record = self.store.get(name)?.unwrap_or_else(|| Arc::clone(&owned.record));
        let known = conversation(&record);
        let begun = lost.as_ref().and_then(Lost::begun).filter(|_| known.is_none());
        let id = known.or_else(|| begun.map(|begun| begun.id.clone()));
        let id = id.ok_or_else(|| Error::NoSessionId {
            name: name.to_string(),
        })?;
        // Another host may have gone on with it since it was looked at.
        let is_taken = lost
            .as_ref()
            .is_some_and(|lost| !lost.is_of(owned.instance.as_ref()));
        if is_taken || lives_elsewhere(&owned) {
            return Err(Error::SessionHeld {
                name: name.to_string(),
                session_id: id,
                holder_pid: owned.host_pid,
            });
        }
        let predecessor = owned.instance.clone().map(|instance| Predecessor {
            left_over: outlived_by(&owned).is_some(),
            instance,
        });
        let mut options = from_record(name, &record, id, defaults);
        check_needs(name, &needs(&record), &options.live)?;
        if begun.is_some_and(|begun| !begun.exists) {
            options.new_session_id = options.session_id.take();
        }
        let (turns, lost) = lost.map(Lost::into_parts).unwrap_or_default();
        let origin = Origin::Record {
            predecessor,
            turns,
            lost,
        };
        Ok(self.starting(claim, options, origin))
    }

    fn starting(&self, claim: Claim, options: SessionOptions, origin: Origin) -> Starting {
        Starting {
            store: self.store.clone(),
            claim,
            options,
            origin,
        }
    }

    /// Checks that no record holds the name.
    fn check_record(&self, name: &str) -> Result<()> {
        match self.store.head(name)? {
            Some(record) if !record.is_over() => Err(Error::SessionStored {
                name: name.to_owned(),
                status: record.get_str("status").unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    /// Ends the session of a name that no live session of the calling manager has: marks its record, and
    /// ends the process where another manager of this process or another host owns it, be that host dead. In a copy of a data
    /// directory it ends nothing.
    ///
    /// # Errors
    /// `ERR_STORE`.
    pub fn kill_stored(&self, name: &str) -> Result<()> {
        let _call = Call::begin();
        let Some(owned) = self.store.owner_of(name)? else {
            return Ok(());
        };
        let mut fields = Record::new();
        fields.set("status", "killed");
        if owned.state != OwnerState::None {
            // Without its owner the record is no longer the owner's to change, so its last save will not come.
            fields.set("owner", ());
            fields.set("pid", ());
        }
        let change = Change::Merge {
            name: name.to_owned(),
            fields,
            instance: None,
            create: false,
        };
        self.store.apply([change])?;
        end_process_elsewhere(&owned);
        Ok(())
    }

    /// Ends what hosts left behind in this directory that have ended without a keeper, in the background. The CLI of
    /// such a host works on until its turn ends, and its tools as long as they like.
    pub fn sweep(&self) {
        let manager = self.clone();
        let look = move || {
            // What the store has to say of itself it says at the next call.
            let lost = manager.store.lost_instances().unwrap_or_default();
            if manager.is_closed.load(Ordering::Acquire) {
                manager.close_files();
            }
            if let (false, Ok(runtime)) = (lost.is_empty(), runtime::handle()) {
                runtime.spawn(left_over::end(lost));
            }
        };
        let thread = std::thread::Builder::new().name("clearctx-sweep".to_owned());
        // Fails where there is no room for a thread; the next manager looks again.
        let _ = thread.spawn(look);
    }

    /// Closes the files of the data directory, unless sessions of this process live in it. They are opened again at need.
    pub fn close_files(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.store
            .close_files(|| registry::any_in(&self.store.hosts_dir()));
    }

    /// Removes a record, and ends the process where another manager or another live host owns it.
    ///
    /// # Errors
    /// `ERR_STORE`.
    pub fn delete_stored(&self, name: &str) -> Result<bool> {
        let _call = Call::begin();
        let owned = self.store.owner_of(name)?;
        let applied = self.store.apply([Change::Delete {
            name: name.to_owned(),
        }])?;
        if let Some(owned) = owned {
            end_process_elsewhere(&owned);
        }
        Ok(applied.iter().any(|applied| applied.changed))
    }
}

/// The CLI's id of a record's conversation.
fn conversation(record: &Record) -> Option<String> {
    record.get_str("claudeSessionId").filter(|id| !id.is_empty())
}

fn from_record(name: &str, record: &Record, id: String, defaults: Defaults) -> SessionOptions {
    let text = |field: &str| record.get_str(field).filter(|text| !text.is_empty());
    SessionOptions {
        name: name.to_owned(),
        model: text("model").unwrap_or(defaults.model),
        work_dir: text("workDir").unwrap_or(defaults.cwd),
        permission_mode: text("permissionMode").unwrap_or(defaults.permission_mode),
        allowed_tools: record.get("allowedTools").unwrap_or_default(),
        system_prompt: text("systemPrompt").unwrap_or_default(),
        max_budget: record.get_f64("maxBudget").filter(|usd| *usd > 0.0),
        agent: text("agent"),
        timeout: Some(
            record
                .get_f64("timeout")
                .filter(|ms| *ms > 0.0)
                .unwrap_or(defaults.timeout),
        ),
        session_id: Some(id),
        fork_of: None,
        new_session_id: None,
        tags: record.get("tags").unwrap_or_default(),
        parent: text("parent"),
        cli_totals: record.get::<SavedTotals>("cliTotals"),
        created: text("created"),
        live: defaults.live,
        run: defaults.run,
    }
}

/// Names of the options that a session had and that its record does not keep.
fn needs(record: &Record) -> Vec<String> {
    record.get("needs").unwrap_or_default()
}

/// Refuses to start a session without the options that it had and that are never stored: it might do what they would have
/// refused.
fn check_needs(name: &str, needed: &[String], live: &LiveOptions) -> Result<()> {
    let is_missing = |need: &&String| !live.needs.contains(need);
    let missing: Vec<String> = needed.iter().filter(is_missing).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::OptionsMissing {
        name: name.to_owned(),
        missing,
    })
}

/// The instance of a CLI that outlived its host.
fn outlived_by(owned: &Ownership) -> Option<InstanceId> {
    let instance = owned.instance.clone()?;
    let lives = owned.state == OwnerState::Dead
        && owned
            .cli_pid
            .is_some_and(|pid| terminate::carries(pid, &instance));
    lives.then_some(instance)
}

/// Whether the record belongs to a live session that the calling manager does not have.
fn lives_elsewhere(owned: &Ownership) -> bool {
    let ended = owned.record.is_over();
    match owned.state {
        OwnerState::OtherAlive => !ended,
        OwnerState::Ours => !ended && own_session(owned).is_some(),
        _ => false,
    }
}

fn own_session(owned: &Ownership) -> Option<Session> {
    registry::find(owned.instance.as_ref()?)
}

fn end_process_elsewhere(owned: &Ownership) {
    match owned.state {
        OwnerState::Ours => {
            if let Some(session) = own_session(owned) {
                session.kill();
            }
        }
        OwnerState::OtherAlive | OwnerState::Dead | OwnerState::Unknown => {
            if let (Some(_), Some(instance)) = (owned.cli_pid, &owned.instance) {
                kill_tree::kill_instance(instance);
            }
        }
        // What carries the instance may be the original's, of which this directory is a copy.
        OwnerState::None | OwnerState::Elsewhere => {}
    }
}
