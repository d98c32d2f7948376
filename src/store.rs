//! The store: one record per session name in `sessions.json`, shared by any number of threads and processes.
//!
//! Callers hand over [`Change`]s, never whole states; a change is applied to what the file holds at that moment,
//! under a lock between processes. Reads take no lock and are always current. Every commit replaces the file
//! atomically: a killed process loses nothing that was answered (a power loss may).
//!
//! Handing over changes keeps the door open for a journal. Who may use a name, and what a session's fields
//! mean, is the manager's business.
//!
//! - `object`, `record`, `entries`: JSON in memory, values kept as text
//! - `change`, `apply`, `view`, `age`, `owner`: what changes do, how records read, who owns them
//! - `file`, `cache`, `lock`: the file, its copy in memory, the locks
//! - `shared`, `queue`, `worker`: the commit, group commit on the store thread

mod age;
mod apply;
mod cache;
mod change;
mod entries;
mod file;
mod lock;
mod object;
mod owner;
mod queue;
mod record;
mod shared;
mod view;
mod warning;
mod worker;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::process;
use std::sync::Arc;

pub use change::{Applied, Change};
pub use entries::Entries;
pub use owner::{Owner, OwnerState, Ownership};
pub use queue::{Done, Flushed};
pub use record::Record;
pub use warning::Warning;

use crate::error::Result;
use owner::{Liveness, StoredOwner};
use shared::Shared;

/// A handle on one data directory; cheap to clone. All handles of the process on one directory share a state.
///
/// Dropping handles loses nothing: queued changes are still written, as long as the process lives.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Store")
            .field("data_dir", &self.data_dir())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a data directory, which is created with mode 0700 if it does not exist. Reads no file yet.
    pub fn open(data_dir: &Path) -> Result<Self> {
        Ok(Self {
            shared: Shared::open(data_dir)?,
        })
    }

    /// The data directory, absolute and without symbolic links.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.shared.dir()
    }

    /// `sessions.json` in the data directory.
    #[must_use]
    pub fn sessions_file(&self) -> &Path {
        self.shared.file().path()
    }

    /// Applies changes in one commit, on the calling thread, after everything that is queued.
    ///
    /// If one of them is refused, none of them is applied. Waits at most [`crate::limits::STORE_LOCK_WAIT`] for
    /// others; `ERR_STORE` then names the process that holds the lock. Changes that do nothing write nothing.
    pub fn apply(&self, changes: impl AsRef<[Change]>) -> Result<Vec<Applied>> {
        let applied = self.shared.commit_now(changes.as_ref());
        // Answers to queued changes that were taken along are the store thread's to give, and so are retries.
        worker::wake(&self.shared);
        applied
    }

    /// Queues a change for the store thread, which writes everything pending in one commit.
    ///
    /// `done` is called on the store thread, in the order of queueing, with no lock of the store held. A change
    /// that its own condition refuses gets its own error, a failed write fails all of the commit. A `Turn` or
    /// `Merge` that could not be written is kept nevertheless and tried again with each later commit, and by
    /// itself after [`crate::limits::STORE_RETRY`].
    ///
    /// When [`crate::limits::STORE_QUEUE_CHANGES`] or [`crate::limits::STORE_QUEUE_BYTES`] are pending, the
    /// caller does a commit itself before it queues.
    pub fn apply_later(&self, change: Change, done: Done) {
        if self.shared.queue().is_full() {
            self.shared.commit_queued();
        }
        self.shared.queue().push(change, done);
        worker::wake(&self.shared);
    }

    /// Calls `done`, on the store thread, when everything queued before is written. Changes kept from failed
    /// commits count: `done` gets the error if they fail again.
    pub fn flush(&self, done: Flushed) {
        self.shared.queue().push_flush(done);
        worker::wake(&self.shared);
    }

    /// The record of a name, in read view. `None` if there is none.
    pub fn get(&self, name: &str) -> Result<Option<Arc<Record>>> {
        let cache = self.shared.current()?;
        let mut liveness = self.liveness();
        Ok(cache
            .entries
            .record(name)
            .map(|record| view::read_view(record, &mut liveness)))
    }

    /// The JSON text of [`Store::get`].
    pub fn get_json(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get(name)?.map(|record| record.to_json()))
    }

    /// A JSON array of all records, in read view and in the file's order.
    ///
    /// A record without a `name` field gets its name as first field here (and only here): nothing else would tell
    /// whose it is. A `name` that differs from the record's key is left alone.
    pub fn list_json(&self) -> Result<String> {
        let cache = self.shared.current()?;
        let mut liveness = self.liveness();
        Ok(cache.entries.to_json_list(|name, record, out| {
            let record = view::read_view(record, &mut liveness);
            match record.get_raw("name") {
                Some(_) => record.write_json(out),
                None => entries::write_named(name, &record, out),
            }
        }))
    }

    /// A JSON object of everything in the file: records in read view, other values as they are.
    pub fn load_all_json(&self) -> Result<String> {
        let cache = self.shared.current()?;
        let mut liveness = self.liveness();
        Ok(cache
            .entries
            .to_json(|record, out| view::read_view(record, &mut liveness).write_json(out)))
    }

    /// What this process writes into `owner` of a session's record.
    ///
    /// The first call in a data directory creates the file whose lock proves that this process lives.
    pub fn owner(&self, token: &str) -> Result<Owner> {
        let host = owner::this_host(self.shared.dir())?;
        Ok(Owner {
            host,
            pid: process::id(),
            token: token.to_owned(),
        })
    }

    /// Who owns the record of a name, and whether that host lives. `None` if there is no record.
    pub fn owner_of(&self, name: &str) -> Result<Option<Ownership>> {
        let cache = self.shared.current()?;
        let Some(record) = cache.entries.record(name) else {
            return Ok(None);
        };
        let mut liveness = self.liveness();
        let owner = StoredOwner::of(record);
        Ok(Some(Ownership {
            state: liveness.of(&owner),
            host_pid: owner.pid,
            cli_pid: record.get("pid"),
            token: owner.token,
            record: view::read_view(record, &mut liveness),
        }))
    }

    /// Removes records that were last saved (else created) more than `days` ago; returns how many.
    ///
    /// Never removes one of `keep`, one that a living host works with (its owner lives and its status is not
    /// `stopped`, `killed` or `failed`), or one whose age cannot be told.
    pub fn cleanup(&self, days: f64, keep: &HashSet<String>) -> Result<usize> {
        let before_ms = age::now_ms() - days * 86_400_000.0;
        let applied = self.apply(&[Change::Prune {
            before_ms,
            keep: keep.clone(),
        }])?;
        Ok(applied.iter().map(|applied| applied.removed).sum())
    }

    /// Warnings since the last call, for `process.emitWarning`.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<Warning> {
        self.shared.warnings().take()
    }

    fn liveness(&self) -> Liveness<'_> {
        Liveness::new(self.shared.dir())
    }
}
