//! The store: one record per session name, shared by any number of threads and processes.
//!
//! Callers hand over [`Change`]s, never whole states; a change is applied to what the files hold at that moment,
//! under a lock between processes, and costs one line in `sessions.journal`, which nobody else writes. `sessions.json` is
//! an export, written after the journal, and an input when another program has changed it. Reads take no lock and are
//! always current. A killed process loses nothing that was answered.
//!
//! The fields of a record are in memory, except its interactions: of these, memory has only the place in the files. The
//! manager decides who may use a name and what the fields of a session mean.
//!
//! - `object`, `record`, `entries`: JSON in memory, values kept as text
//! - `contents`, `source`: the records, and where their interactions are
//! - `change`, `apply`, `view`, `age`, `owner`: the effect of changes, the read view of records, their owners
//! - `patience`: how long a call waits for locks
//! - `journal`, `line`, `legacy`, `lock`, `files`: the truth on disk
//! - `file`, `scan`, `draft`, `digest`, `exports`: `sessions.json`, what it means, and what another program has changed
//! - `cache`: the contents in memory, and the files they come from
//! - `shared`, `queue`, `worker`, `export`, `pace`: the commit, the group commit, `sessions.json` and snapshots

mod age;
mod apply;
mod cache;
mod change;
mod contents;
mod digest;
mod draft;
mod entries;
mod export;
mod exports;
mod file;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod journal;
mod legacy;
mod line;
mod lock;
mod object;
mod options;
mod owner;
mod pace;
pub mod patience;
mod queue;
mod read;
mod record;
mod scan;
mod shared;
#[cfg(all(test, target_os = "linux"))]
mod simulation;
mod source;
mod stamp;
mod view;
mod warning;
mod worker;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

pub use change::{Applied, Change};
pub use entries::Entries;
pub use files::{Files, RealFiles};
pub use options::{Durability, Options};
pub use owner::{Owner, OwnerState, Ownership};
pub use queue::{Done, Flushed};
pub use read::{Heads, Histories, Listing};
pub use record::Record;
pub use warning::Warning;

use clearctx_proctree::{Birth, InstanceId};

use crate::error::Result;
use crate::fs::private::identity_of;
use crate::limits;
use owner::Liveness;
use patience::Call;
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
    /// Opens a data directory; creates it with mode 0700 if it does not exist. Reads no file yet.
    pub fn open(data_dir: &Path) -> Result<Self> {
        Self::open_with(data_dir, &Options::default())
    }

    /// The same, with options. They apply to all handles of the process on that directory.
    pub fn open_with(data_dir: &Path, options: &Options) -> Result<Self> {
        Ok(Self {
            shared: Shared::open(data_dir, options)?,
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

    /// The directory of the instance locks: `hosts` in the data directory.
    #[must_use]
    pub fn hosts_dir(&self) -> PathBuf {
        self.shared.dir().join("hosts")
    }

    /// Applies changes in one commit, on the calling thread, after everything that is queued.
    ///
    /// If one change is refused, none is applied. Waits at most [`crate::limits::STORE_LOCK_WAIT`] for other processes, in a
    /// [`patience::Call`] together with its other steps;
    /// `ERR_STORE` then names the process that holds the lock. Changes that do nothing write nothing. Without changes it
    /// writes the queue and brings `sessions.json` up to date: a clean exit.
    pub fn apply(&self, changes: impl AsRef<[Change]>) -> Result<Vec<Applied>> {
        let _call = Call::begin();
        let changes = changes.as_ref();
        let mut applied = self.shared.commit_now(changes);
        if changes.is_empty() && applied.is_ok() {
            applied = self
                .shared
                .export_all(u64::MAX, limits::STORE_EXPORT_WAIT)
                .map(|()| Vec::new());
        }
        // This commit also wrote queued changes. Their answers, and retries, are not this thread's to give.
        worker::wake(&self.shared);
        worker::wake_exporter(&self.shared);
        applied
    }

    /// Brings `sessions.json` up to date on the calling thread, unless it is bigger than `most` bytes. The queue is
    /// written first.
    pub fn export_now(&self, most: u64) -> Result<()> {
        let _call = Call::begin();
        let written = self.shared.commit_now(&[]).and_then(|_| {
            // Without open files nothing was changed from here since `sessions.json` was brought up to date.
            if self.shared.is_open() {
                self.shared.export_all(most, patience::left())
            } else {
                Ok(())
            }
        });
        worker::wake(&self.shared);
        written
    }

    /// Closes the files of the directory, unless `is_used` says that a session of this process has a record there. They are
    /// opened again at need. Nothing is lost: changes that could not be written yet are kept.
    pub fn close_files(&self, is_used: impl FnOnce() -> bool) {
        if owner::leave(self.data_dir(), is_used) {
            self.shared.close_files();
        }
    }

    /// Queues a change. One commit writes it together with everything pending: by the I/O thread before it sleeps; on this
    /// thread if the I/O thread is asleep; by the store thread if the commit may take time.
    ///
    /// `done` is called on any thread, perhaps before this returns, in the order of queueing, with no lock of the store
    /// held. A change that its own condition refuses gets its own error; a failed write fails the whole commit. A `Turn` or
    /// `Merge` that could not be written is kept, and tried again with each later commit and after
    /// [`crate::limits::STORE_RETRY`].
    ///
    /// If [`crate::limits::STORE_QUEUE_CHANGES`] or [`crate::limits::STORE_QUEUE_BYTES`] are pending, the caller commits
    /// before it queues.
    pub fn apply_later(&self, change: Change, done: Done) {
        if self.shared.queue().is_full() {
            // The queued changes have their own answers. Without the lock they wait on, and this caller has waited.
            drop(self.shared.commit_now(&[]));
        }
        self.shared.queue().push(change, done);
        worker::wake(&self.shared);
    }

    /// Calls `done`, on the store thread or here, when everything queued before is written and in `sessions.json`, and, with
    /// [`Durability::Disk`], on the disk. This includes changes kept from failed commits: if they fail again, `done` gets
    /// the error.
    pub fn flush(&self, done: Flushed) {
        self.shared.queue().push_flush(done);
        worker::wake(&self.shared);
    }

    /// The value that this process writes into `owner` of a session's record.
    ///
    /// The first call in a data directory creates the instance lock, which proves that this process lives.
    pub fn owner(&self, instance: &InstanceId) -> Result<Owner> {
        let host = owner::this_host(self.shared.dir())?;
        Ok(Owner {
            host,
            pid: process::id(),
            instance: instance.clone(),
            birth: Birth::of_self().cloned(),
            directory: identity_of(self.shared.dir()),
        })
    }

    /// Removes records that were last saved (or created, if never saved) more than `days` days ago; returns how many.
    ///
    /// Never removes a record of `keep`, a record that a living host works with (its owner lives and its status is not
    /// `stopped`, `killed` or `failed`), or a record of unknown age.
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
