//! The state that all handles on one data directory share, and the commit.
//!
//! Locks are taken in this order: gate, lock file, cache, queue. None is held while an answer is given.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::apply::Run;
use super::cache::{Cache, Freshness};
use super::change::{Applied, Change};
use super::file::{SessionsFile, create_dir, store_error};
use super::lock::{self, Gate, StoreLock};
use super::owner::Liveness;
use super::queue::{Batch, Queue};
use super::warning::{Warning, Warnings};
use crate::error::{Error, Result};
use crate::limits;

/// The state of one data directory in this process.
pub(super) struct Shared {
    dir: PathBuf,
    file: SessionsFile,
    gate: Gate,
    cache: Mutex<Cache>,
    queue: Mutex<Queue>,
    warnings: Warnings,
    /// Whether leftovers of dead writers have been removed.
    tidied: Mutex<bool>,
}

/// What became of the changes of one commit.
struct Outcome {
    queued: Vec<Result<Applied>>,
    own: Result<Vec<Applied>>,
}

static OPEN: Mutex<BTreeMap<PathBuf, Weak<Shared>>> = Mutex::new(BTreeMap::new());

impl Shared {
    /// The one state of this directory, which is created if it does not exist.
    pub(super) fn open(dir: &Path) -> Result<Arc<Self>> {
        let canonical = create_dir(dir).and_then(|()| fs::canonicalize(dir));
        let dir = canonical.map_err(|error| store_error(dir, "cannot create", &error))?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = open.get(&dir).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        open.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Self {
            file: SessionsFile::new(&dir),
            dir: dir.clone(),
            gate: Gate::default(),
            cache: Mutex::default(),
            queue: Mutex::default(),
            warnings: Warnings::default(),
            tidied: Mutex::default(),
        });
        open.insert(dir, Arc::downgrade(&shared));
        Ok(shared)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn file(&self) -> &SessionsFile {
        &self.file
    }

    pub(super) fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The contents, up to date. Takes the lock between processes only if the file is broken.
    pub(super) fn current(&self) -> Result<MutexGuard<'_, Cache>> {
        let mut cache = self.cache();
        if cache.refresh(&self.file)? == Freshness::Current {
            return Ok(cache);
        }
        drop(cache);
        let deadline = Instant::now() + limits::STORE_LOCK_WAIT;
        let _passage = self
            .gate
            .enter_until(deadline)
            .ok_or_else(|| lock::busy(&self.dir))?;
        let lock = StoreLock::acquire(&self.dir, deadline)?;
        self.current_locked(&lock)
    }

    /// Commits these changes, after everything that is queued. If one is refused, none of them is applied.
    pub(super) fn commit_now(&self, own: &[Change]) -> Result<Vec<Applied>> {
        let deadline = Instant::now() + limits::STORE_LOCK_WAIT;
        let _passage = self
            .gate
            .enter_until(deadline)
            .ok_or_else(|| lock::busy(&self.dir))?;
        if own.is_empty() && !self.queue().has_changes() {
            return Ok(Vec::new());
        }
        // What is queued stays so if the lock is not to be had: the store thread waits on for it.
        let lock = StoreLock::acquire(&self.dir, deadline)?;
        self.commit_locked(&lock, own)
    }

    /// Commits what is queued. Errors go to those who queued it.
    pub(super) fn commit_queued(&self) {
        let _passage = self.gate.enter();
        // One look and one take under one lock: a change queued in between would be answered unwritten.
        let mut queue = self.queue();
        if !queue.has_changes() {
            let batch = queue.take();
            queue.succeed(batch, Vec::new());
            return;
        }
        drop(queue);
        match StoreLock::acquire(&self.dir, Instant::now() + limits::STORE_LOCK_WAIT) {
            // The queue's changes have their own answers.
            Ok(lock) => drop(self.commit_locked(&lock, &[])),
            Err(error) => {
                let batch = self.queue().take();
                self.fail(batch, &error);
            }
        }
    }

    fn commit_locked(&self, lock: &StoreLock, own: &[Change]) -> Result<Vec<Applied>> {
        let batch = self.queue().take();
        let written = catch_unwind(AssertUnwindSafe(|| self.rewrite(lock, &batch, own)));
        match written.unwrap_or_else(|panic| Err(internal(&*panic))) {
            Ok(outcome) => {
                self.queue().succeed(batch, outcome.queued);
                outcome.own
            }
            Err(error) => {
                self.fail(batch, &error);
                Err(error)
            }
        }
    }

    fn rewrite(&self, lock: &StoreLock, batch: &Batch, own: &[Change]) -> Result<Outcome> {
        self.tidy(lock);
        let mut cache = self.current_locked(lock)?;
        let mut run = Run::new(&mut cache.entries, Liveness::new(&self.dir));
        for change in batch.unsaved() {
            // Its caller has had an answer; a refusal now means that the record has gone another way.
            drop(run.one(change));
        }
        let queued = batch.changes().map(|change| run.one(change)).collect();
        let own = run.all_or_none(own);
        if run.changed() {
            cache.save(&self.file)?;
        }
        Ok(Outcome { queued, own })
    }

    /// The contents, up to date. A broken file is moved aside, which the lock allows.
    fn current_locked(&self, _lock: &StoreLock) -> Result<MutexGuard<'_, Cache>> {
        let mut cache = self.cache();
        if cache.refresh(&self.file)? == Freshness::Corrupt {
            let aside = self.file.move_aside()?;
            self.warnings.push(Warning::corrupt(self.file.path(), &aside));
            // A second broken file within a moment: it must not be overwritten by what was read of it, nothing.
            if cache.refresh(&self.file)? == Freshness::Corrupt {
                return Err(self.file.broken());
            }
        }
        Ok(cache)
    }

    fn tidy(&self, _lock: &StoreLock) {
        let mut tidied = self.tidied.lock().unwrap_or_else(PoisonError::into_inner);
        if !*tidied {
            self.file.remove_leftovers();
            *tidied = true;
        }
    }

    fn fail(&self, batch: Batch, error: &Error) {
        let dropped = self.queue().fail(batch, error);
        if dropped > 0 {
            self.warnings.push(Warning::dropped(&self.dir, dropped));
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(|poisoned| {
            // A panic may have left changes behind that are not in the file.
            self.cache.clear_poison();
            let mut cache = poisoned.into_inner();
            cache.invalidate();
            cache
        })
    }
}

/// The error for a caught panic.
pub(super) fn internal(panic: &(dyn Any + Send)) -> Error {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    Error::Internal {
        reason: format!("store: {words}"),
    }
}
