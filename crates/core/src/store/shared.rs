//! The state that all handles on one data directory share, and the commit.
//!
//! Locks are taken in this order: gate, lock file, cache, queue. No lock is held while an answer is given.

use parking_lot::{Mutex, MutexGuard};
use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::apply::{Run, Written};
use super::cache::{Cache, Spoiled, journal_path};
use super::change::{Applied, Change};
use super::export::Plan;
use super::file::{self, SessionsFile};
use super::files::Files;
use super::journal::Journal;
use super::lock::{self, LockFile, StoreLock};
use super::options::{Durability, Options};
use super::owner::Liveness;
use super::pace::Pace;
use super::patience;
use super::queue::{Batch, Queue};
use super::warning::{Warning, Warnings};
use crate::error::{Error, Result};
use crate::fs::private::{create_dir, create_new};
use crate::limits;

/// The cache, locked.
pub(super) type CacheGuard<'a> = std::sync::MutexGuard<'a, Cache>;

/// The state of one data directory in this process.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) file: SessionsFile,
    pub(super) gate: Mutex<()>,
    pub(super) lock_file: LockFile,
    /// The standard library's mutex, because its poison shows when a panic left the cache half changed.
    cache: std::sync::Mutex<Cache>,
    queue: Mutex<Queue>,
    pub(super) warnings: Warnings,
    /// Whether leftovers of dead writers have been removed.
    tidied: Mutex<bool>,
    pub(super) files: Arc<dyn Files>,
    settings: Mutex<Settings>,
    pub(super) pace: Mutex<Pace>,
    pub(super) plan: Mutex<Plan>,
    /// Held by the thread that writes a whole file without the store's lock.
    pub(super) writing: Mutex<()>,
    /// Whether the last commit took less than [`limits::STORE_QUICK`]. So a slow disk or network delays only the store
    /// thread, except for the one commit that shows it.
    quick: AtomicBool,
}

/// Settings that a handle changes for all handles.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settings {
    pub(super) durability: Durability,
    pub(super) max_history: Option<usize>,
}

/// The outcomes of the changes of one commit.
#[derive(Default)]
struct Outcome {
    queued: Vec<Result<Applied>>,
    own: Vec<Applied>,
    refused: Option<Error>,
}

static OPEN: Mutex<BTreeMap<PathBuf, Weak<Shared>>> = Mutex::new(BTreeMap::new());

impl Shared {
    /// The one state of this directory. Creates the directory if it does not exist.
    pub(super) fn open(dir: &Path, options: &Options) -> Result<Arc<Self>> {
        let canonical = create_dir(dir).and_then(|()| fs::canonicalize(dir));
        let dir = canonical.map_err(|error| Error::store(dir, "cannot create", error))?;
        let mut open = OPEN.lock();
        if let Some(shared) = open.get(&dir).and_then(Weak::upgrade) {
            shared.set(options);
            return Ok(shared);
        }
        open.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Self::new(dir.clone(), options));
        open.insert(dir, Arc::downgrade(&shared));
        Ok(shared)
    }

    pub(super) fn new(dir: PathBuf, options: &Options) -> Self {
        let shared = Self {
            file: SessionsFile::new(&dir),
            gate: Mutex::default(),
            lock_file: LockFile::new(&dir),
            dir,
            cache: std::sync::Mutex::default(),
            queue: Mutex::default(),
            warnings: Warnings::default(),
            tidied: Mutex::default(),
            settings: Mutex::default(),
            pace: Mutex::default(),
            plan: Mutex::default(),
            writing: Mutex::default(),
            quick: AtomicBool::new(false),
            files: Arc::clone(&options.files),
        };
        shared.set(options);
        shared
    }

    fn set(&self, options: &Options) {
        let mut settings = self.settings.lock();
        settings.durability = settings.durability.max(options.durability);
        settings.max_history = options.max_history.or(settings.max_history);
    }

    pub(super) fn settings(&self) -> Settings {
        *self.settings.lock()
    }

    pub(super) fn is_durable(&self) -> bool {
        self.settings().durability == Durability::Disk
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
        self.queue.lock()
    }

    /// The contents, up to date. Takes the lock between processes only to move a broken `sessions.json` aside.
    pub(super) fn current(&self) -> Result<CacheGuard<'_>> {
        let mut cache = self.cache();
        self.refresh(&mut cache)?;
        if cache.spoiled() != Some(Spoiled::Broken) {
            return Ok(cache);
        }
        drop(cache);
        let deadline = patience::deadline();
        let locked = self
            .enter(deadline)
            .and_then(|passage| Ok((passage, self.lock(deadline)?)));
        if let Ok((_passage, lock)) = locked {
            return self.current_locked(&lock);
        }
        // What is broken decides nothing.
        Ok(self.cache())
    }

    fn refresh(&self, cache: &mut Cache) -> Result<()> {
        let refreshed = cache.refresh(&self.dir, &self.file);
        if refreshed.is_err() {
            cache.invalidate();
        }
        refreshed
    }

    /// Lets one thread of this process commit.
    pub(super) fn enter(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>> {
        let passage = self.gate.try_lock();
        passage
            .or_else(|| patience::spend(|| self.gate.try_lock_until(deadline)))
            .ok_or_else(|| self.lock_file.busy())
    }

    /// Lets one process commit.
    pub(super) fn lock(&self, deadline: Instant) -> Result<StoreLock<'_>> {
        self.lock_file.acquire(deadline, &*self.files)
    }

    /// Commits these changes, after everything that is queued. If one is refused, none of them is applied.
    pub(super) fn commit_now(&self, own: &[Change]) -> Result<Vec<Applied>> {
        let deadline = patience::deadline();
        let _passage = self.enter(deadline)?;
        if own.is_empty() && !self.queue().has_changes() {
            return Ok(Vec::new());
        }
        // If the lock is not available, the changes stay queued, and the store thread waits for the lock.
        let lock = self.lock(deadline)?;
        let batch = self.queue().take();
        self.commit_locked(&lock, batch, own)
    }

    /// Commits the queue. Errors go to the callers that queued the changes.
    pub(super) fn commit_queued(&self) {
        let _passage = self.gate.lock();
        // Checks and takes under one lock: a change queued in between would be answered unwritten.
        let mut queue = self.queue();
        if !queue.has_changes() {
            let batch = queue.take();
            queue.written(batch, Vec::new());
            return;
        }
        drop(queue);
        let lock = self.lock(patience::deadline());
        let batch = self.queue().take();
        match lock {
            // The queue's changes have their own answers.
            Ok(lock) => drop(self.commit_locked(&lock, batch, &[])),
            Err(error) => self.fail(batch, &error),
        }
    }

    /// Commits the queue on the calling thread if that takes one append: there is nothing to wait for, no file to rewrite,
    /// and the last commit was quick. False if the commit is left to the store thread.
    pub(super) fn commit_if_short(&self) -> bool {
        let Some(_passage) = self.gate.try_lock() else {
            return false;
        };
        if !self.is_short() {
            return false;
        }
        let Some(lock) = self.lock_file.try_acquire(&*self.files) else {
            return false;
        };
        // Checked again, under one lock with the take: a flush may have come that needs more than an append.
        let Some(batch) = self.queue().take_if_light() else {
            return false;
        };
        let outcome = self.write_all(&lock, &batch, &[]);
        let mut queue = self.queue();
        let dropped = match outcome {
            Ok(outcome) => {
                queue.written(batch, outcome.queued);
                0
            }
            Err(error) => queue.fail(batch, &error),
        };
        // There was nothing before it.
        queue.answer(1, &Ok(()), &Ok(()));
        drop(queue);
        self.warn_of_dropped(dropped);
        true
    }

    fn is_short(&self) -> bool {
        if !self.quick.load(Ordering::Relaxed) || self.is_durable() {
            return false;
        }
        let queue = self.queue();
        if !queue.is_light() {
            return false;
        }
        let news = queue.has_news_for_others();
        drop(queue);
        let Ok(cache) = self.cache.try_lock() else {
            return false;
        };
        let has_left = |pace: &Mutex<Pace>| pace.lock().has_left();
        cache.is_ready() && !(news && cache.size() < limits::STORE_SMALL_BYTES && has_left(&self.pace))
    }

    fn commit_locked(&self, lock: &StoreLock<'_>, batch: Batch, own: &[Change]) -> Result<Vec<Applied>> {
        match self.write_all(lock, &batch, own) {
            Ok(outcome) => {
                self.queue().written(batch, outcome.queued);
                outcome.refused.map_or(Ok(outcome.own), Err)
            }
            Err(error) => {
                self.fail(batch, &error);
                Err(error)
            }
        }
    }

    /// Measures the commit and survives a panic in it.
    fn write_all(&self, lock: &StoreLock<'_>, batch: &Batch, own: &[Change]) -> Result<Outcome> {
        let began = Instant::now();
        let written = catch_unwind(AssertUnwindSafe(|| self.write(lock, batch, own)));
        let changes = u32::try_from(batch.changes().count() + own.len()).unwrap_or(u32::MAX);
        let most = limits::STORE_QUICK + limits::STORE_QUICK_CHANGE.saturating_mul(changes);
        self.quick.store(began.elapsed() < most, Ordering::Relaxed);
        written.unwrap_or_else(|panic| Err(internal(&*panic)))
    }

    fn write(&self, lock: &StoreLock<'_>, batch: &Batch, own: &[Change]) -> Result<Outcome> {
        self.tidy(lock);
        let mut guard = self.current_locked(lock)?;
        let cache = &mut *guard;
        if !cache.is_ready() {
            // Changes that do nothing create no file.
            let (outcome, written) = self.run(cache, batch, own);
            cache.undo(written.undo);
            if written.lines.is_empty() {
                return Ok(outcome);
            }
            self.prepare(lock, cache)?;
        }
        let (outcome, written) = self.run(cache, batch, own);
        if written.lines.is_empty() {
            return Ok(outcome);
        }
        if let Err(error) = cache.append(&written.lines, written.seq, &*self.files) {
            cache.undo(written.undo);
            return Err(Error::store(&journal_path(&self.dir), "cannot write", error));
        }
        if self.is_durable() {
            self.queue().unsynced = true;
        }
        let all = batch.unsaved().chain(batch.changes()).chain(own);
        self.export_small(lock, cache, all.into_iter().any(Change::is_for_others));
        Ok(outcome)
    }

    /// Applies the changes in memory.
    fn run(&self, cache: &mut Cache, batch: &Batch, own: &[Change]) -> (Outcome, Written) {
        let place = cache.next_place();
        let keep = self.settings().max_history;
        let mut run = Run::new(&mut cache.contents, Liveness::new(&self.dir), keep, place);
        for change in batch.unsaved() {
            // The caller has had its answer; a refusal now means that the record has changed in another way.
            drop(run.one(change));
        }
        let mut outcome = Outcome {
            queued: batch.changes().map(|change| run.one(change)).collect(),
            ..Outcome::default()
        };
        match run.all_or_none(own) {
            Ok(applied) => outcome.own = applied,
            Err(error) => outcome.refused = Some(error),
        }
        (outcome, run.finish())
    }

    /// Prepares the journal for an append: brings what another program has written into it.
    pub(super) fn prepare(&self, lock: &StoreLock<'_>, cache: &mut Cache) -> Result<()> {
        let path = journal_path(&self.dir);
        let cannot_write = |error: io::Error| Error::store(&path, "cannot write", error);
        let is_damaged = !cache.bad.is_empty();
        if is_damaged {
            self.keep_bad_lines(cache).map_err(cannot_write)?;
        }
        if let Some(journal) = &mut cache.journal {
            journal.cut_torn_tail(&*self.files).map_err(cannot_write)?;
        }
        let prepared = if is_damaged || cache.journal.is_none() || cache.is_old() {
            self.compact_locked(lock, cache)
        } else {
            self.take_in(cache)
        };
        if prepared.is_err() {
            cache.invalidate();
        }
        prepared.map_err(cannot_write)
    }

    /// Copies unreadable lines to a file of their own.
    fn keep_bad_lines(&self, cache: &mut Cache) -> io::Result<()> {
        let path = journal_path(&self.dir);
        let aside = file::free_name(&path, "corrupt");
        self.files.write(&create_new(&aside)?, &cache.bad)?;
        self.warnings.push(Warning::bad_lines(&path, &aside));
        cache.bad.clear();
        Ok(())
    }

    /// The contents, up to date. A broken `sessions.json` is moved aside, which the lock allows.
    pub(super) fn current_locked(&self, _lock: &StoreLock<'_>) -> Result<CacheGuard<'_>> {
        let mut cache = self.cache();
        self.refresh(&mut cache)?;
        if cache.spoiled() == Some(Spoiled::Broken)
            && let Ok(aside) = self.file.move_aside()
        {
            self.warnings.push(Warning::corrupt(self.file.path(), &aside));
            self.refresh(&mut cache)?;
        }
        Ok(cache)
    }

    /// Closes all files until they are needed again, and forgets the contents.
    pub(super) fn close_files(&self) {
        // Where somebody is at work on them for so long, they stay open.
        if let Some(_passage) = self.gate.try_lock_for(limits::STORE_LOCK_WAIT) {
            self.plan().due = None;
            *self.cache() = Cache::default();
            self.lock_file.close();
        }
    }

    /// Whether files are open.
    pub(super) fn is_open(&self) -> bool {
        self.cache().loaded
    }

    fn tidy(&self, _lock: &StoreLock<'_>) {
        let mut tidied = self.tidied.lock();
        if !*tidied {
            // Another process may be writing a big file without the lock.
            if lock::nobody_writes_big(&self.dir) {
                self.file.remove_leftovers(&journal_path(&self.dir));
            }
            *tidied = true;
        }
    }

    fn fail(&self, batch: Batch, error: &Error) {
        let dropped = self.queue().fail(batch, error);
        self.warn_of_dropped(dropped);
    }

    fn warn_of_dropped(&self, changes: usize) {
        if changes > 0 {
            self.warnings.push(Warning::dropped(&self.dir, changes));
        }
    }

    /// Makes the appended lines durable, if the options ask for it.
    pub(super) fn sync(&self) -> Result<()> {
        if !std::mem::take(&mut self.queue().unsynced) {
            return Ok(());
        }
        // Other threads may append at the same time; their lines wait for the next sync.
        let handle = self.cache().journal.as_ref().map(Journal::handle);
        let synced = match handle {
            Some(handle) => handle.and_then(|file| self.files.sync(&file)),
            None => Ok(()),
        };
        synced.map_err(|error| {
            self.queue().unsynced = true;
            Error::store(&journal_path(&self.dir), "cannot sync", error)
        })
    }

    pub(super) fn cache(&self) -> CacheGuard<'_> {
        self.cache.lock().unwrap_or_else(|poisoned| {
            // A panic may have left changes in memory that are not in the file.
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
