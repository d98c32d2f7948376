//! When and how a fold brings `sessions.json` up to date with the journal.
//!
//! A small file is written within the commit, and a medium one soon after it, both under the lock. A big file is written
//! without the lock: only its announcement and the rename need that.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::cache::{Cache, journal_path};
use super::contents::Contents;
use super::draft::Finished;
use super::fold::{self, Ranges};
use super::line::Mark;
use super::lock::{self, StoreLock};
use super::patience;
use super::print::Print;
use super::shared::Shared;
use super::warning::Warning;
use crate::error::{Error, Result};
use crate::limits;

/// Pause between two checks whether another process has folded.
const FOLD_POLL: Duration = Duration::from_millis(10);

/// The schedule of the folding thread.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) due: Option<Instant>,
    /// Whether the folding thread knows of this store.
    pub(super) known: bool,
    failed: bool,
    big: bool,
}

/// The contents at one moment.
struct Snapshot {
    contents: Contents,
    epoch: String,
    print: Option<Print>,
    seq: u64,
    read: u64,
    changed_bytes: u64,
}

/// The result of a try to fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Folded {
    Done,
    /// Another process has done it or is doing it.
    Elsewhere,
}

impl Shared {
    /// Rewrites a small file at once, if it is urgent, or plans it.
    pub(super) fn fold_small(&self, lock: &StoreLock<'_>, cache: &mut Cache, urgent: bool) {
        let rewrite = urgent && cache.size() < limits::STORE_SMALL_BYTES && self.pace.lock().take();
        if rewrite {
            // The changes are in the journal, so the call has succeeded even if this fails.
            let folded = self.fold_locked(lock, cache, false);
            self.note(&folded);
        }
        self.plan_fold(cache);
    }

    /// Plans the next fold, if one is needed.
    fn plan_fold(&self, cache: &Cache) {
        let (size, unfolded) = (cache.size(), cache.unfolded());
        let delay = if unfolded == 0 {
            return;
        } else if size < limits::STORE_SMALL_BYTES {
            limits::STORE_SMALL_DELAY
        } else if size <= limits::STORE_MEDIUM_BYTES {
            limits::STORE_MEDIUM_DELAY
        } else if unfolded >= (size - unfolded) / limits::STORE_FOLD_PART {
            Duration::ZERO
        } else {
            return;
        };
        let mut plan = self.plan();
        if plan.due.is_none() {
            let delay = if plan.failed { limits::STORE_RETRY } else { delay };
            plan.due = Some(Instant::now() + delay);
        }
    }

    pub(super) fn plan(&self) -> parking_lot::MutexGuard<'_, Plan> {
        self.plan.lock()
    }

    /// Folds on the folding thread, if it is time.
    pub(super) fn fold_due(&self) {
        self.plan().due = None;
        let folded = self.fold_once();
        let Ok(cache) = self.current() else { return };
        if folded.is_err() || cache.unfolded() > 0 {
            self.note(&folded.map(|_| ()));
            self.plan_fold(&cache);
        }
    }

    /// Brings `sessions.json` up to date with the present journal, unless the file is bigger than `most`. Waits no longer than
    /// `wait` for another process that writes it.
    pub(super) fn fold_all(&self, most: u64, wait: Duration) -> Result<()> {
        let deadline = Instant::now() + wait;
        let goal = self.current()?.seq();
        loop {
            {
                let cache = self.current()?;
                let done = cache.unfolded() == 0 || cache.fold.mark.upto >= goal;
                if cache.size() > most || done && !cache.foreign {
                    return Ok(());
                }
            }
            if self.fold_once()? == Folded::Elsewhere {
                if Instant::now() > deadline {
                    return Err(self.lock_file.busy());
                }
                patience::spend(|| thread::sleep(FOLD_POLL));
            }
        }
    }

    fn fold_once(&self) -> Result<Folded> {
        let cache = self.current()?;
        if cache.unfolded() == 0 && !cache.foreign {
            return Ok(Folded::Done);
        }
        let locked = cache.foreign || cache.size() <= limits::STORE_FOLD_LOCKED_BYTES;
        drop(cache);
        if !locked {
            return self.fold_beside();
        }
        let deadline = patience::deadline();
        let _passage = self.enter(deadline)?;
        let lock = self.lock(deadline)?;
        let mut cache = self.current_locked(&lock)?;
        if cache.foreign {
            self.adopt(&lock, &mut cache)?;
        } else {
            self.fold_locked(&lock, &mut cache, false)?;
        }
        Ok(Folded::Done)
    }

    /// Takes over the file of another program.
    pub(super) fn adopt(&self, lock: &StoreLock<'_>, cache: &mut Cache) -> Result<()> {
        if cache.altered || cache.print().is_none() {
            return self.fold_locked(lock, cache, true);
        }
        let mark = Mark {
            upto: cache.seq(),
            left: 0,
            print: cache.print(),
            reload: true,
        };
        cache
            .announce(&mark, &*self.files)
            .map_err(|error| Error::store(&journal_path(&self.dir), "cannot write", error))?;
        cache.adopted(mark);
        Ok(())
    }

    /// Writes the file under the lock.
    fn fold_locked(&self, _lock: &StoreLock<'_>, cache: &mut Cache, reload: bool) -> Result<()> {
        let files = &*self.files;
        self.install(cache, |(cache, mark)| cache.announce(mark, files), reload)?;
        self.rotate(cache, None);
        Ok(())
    }

    /// Announces the contents as the new file, then replaces the file.
    pub(super) fn install(
        &self,
        cache: &mut Cache,
        announce: impl FnOnce((&mut Cache, &Mark)) -> io::Result<()>,
        reload: bool,
    ) -> Result<()> {
        let cannot_write = |error: io::Error| Error::store(self.file.path(), "cannot write", error);
        let (ranges, mut finished) = self.draft(&cache.contents).map_err(cannot_write)?;
        let mark = Mark {
            upto: cache.seq(),
            left: 0,
            print: Some(finished.print),
            reload,
        };
        announce((cache, &mark)).map_err(cannot_write)?;
        let text = finished.text.take();
        let installed = finished.install(&*self.files, self.is_durable());
        let (file, stamp) = installed.map_err(cannot_write)?;
        fold::refer(&mut cache.contents, &ranges, &fold::source(file, stamp, text));
        cache.installed(mark, stamp);
        Ok(())
    }

    fn draft(&self, contents: &Contents) -> io::Result<(Ranges, Finished)> {
        let files = &*self.files;
        let mut draft = self.file.draft()?;
        let ranges = fold::write(contents, &mut draft, files)?;
        Ok((ranges, draft.finish(files, self.is_durable())?))
    }

    /// Writes the file without the lock, which only the rename needs.
    fn fold_beside(&self) -> Result<Folded> {
        let _folding = self.folding.lock();
        let cannot_lock = |error: io::Error| Error::store(&self.dir.join("hosts"), "cannot lock", error);
        let Some(_only) = lock::try_folding(&self.dir).map_err(cannot_lock)? else {
            return Ok(Folded::Elsewhere);
        };
        let Some(mut snapshot) = Snapshot::of(&*self.current()?) else {
            return Ok(Folded::Done);
        };
        let cannot_write = |error: io::Error| Error::store(self.file.path(), "cannot write", error);
        let (ranges, mut finished) = self.draft(&snapshot.contents).map_err(cannot_write)?;
        let deadline = patience::deadline();
        let _passage = self.enter(deadline)?;
        let lock = self.lock(deadline)?;
        let mut cache = self.current_locked(&lock)?;
        if !snapshot.is_base_of(&cache) {
            return Ok(Folded::Elsewhere);
        }
        let to = cache.journal.as_ref().map_or(0, |journal| journal.read);
        let mark = Mark {
            upto: snapshot.seq,
            left: cache.changed_bytes - snapshot.changed_bytes,
            print: Some(finished.print),
            reload: false,
        };
        cache.announce(&mark, &*self.files).map_err(cannot_write)?;
        let text = finished.text.take();
        let installed = finished.install(&*self.files, self.is_durable());
        let (file, stamp) = installed.map_err(cannot_write)?;
        cache.installed(mark, stamp);
        fold::refer(&mut snapshot.contents, &ranges, &fold::source(file, stamp, text));
        match cache.redo(snapshot.contents, snapshot.read, to) {
            Ok(contents) => cache.contents = contents,
            // The contents in memory are still valid; the next call reads the files.
            Err(_) => cache.invalidate(),
        }
        self.rotate(&mut cache, Some(snapshot.read));
        self.warn_if_big(mark.print);
        Ok(Folded::Done)
    }

    /// Replaces a journal that is mostly folded. The lines that are not folded begin at `from`.
    fn rotate(&self, cache: &mut Cache, from: Option<u64>) {
        let mark = cache.fold.mark;
        let Some(journal) = &cache.journal else { return };
        let folded = journal.read.saturating_sub(mark.left);
        if !journal.damaged && (folded < limits::STORE_JOURNAL_BYTES || folded < mark.left) {
            return;
        }
        let from = from.unwrap_or(journal.read);
        // A journal that cannot be replaced is only longer than necessary.
        if let Ok(next) = journal.rotate(mark.upto, mark.print, from, &*self.files, self.is_durable()) {
            cache.journal = Some(next);
        }
    }

    /// Warns when folding begins to fail, but not each time.
    fn note(&self, folded: &Result<()>) {
        let mut plan = self.plan();
        match folded {
            Ok(()) => plan.failed = false,
            Err(error) => {
                if !std::mem::replace(&mut plan.failed, true) {
                    self.warnings.push(Warning::behind(self.file.path(), error));
                }
            }
        }
    }

    fn warn_if_big(&self, print: Option<Print>) {
        let size = print.map_or(0, |print| print.size);
        let is_big = size >= limits::STORE_BIG_BYTES;
        let was_big = std::mem::replace(&mut self.plan().big, is_big);
        if is_big && !was_big {
            self.warnings.push(Warning::big(self.file.path(), size));
        }
    }
}

impl Snapshot {
    /// `None` if there is no journal.
    fn of(cache: &Cache) -> Option<Self> {
        let journal = cache.journal.as_ref()?;
        Some(Self {
            contents: cache.contents.clone(),
            epoch: journal.header.epoch.clone(),
            print: cache.print(),
            seq: journal.seq,
            read: journal.read,
            changed_bytes: cache.changed_bytes,
        })
    }

    /// Whether the present contents are those of the snapshot plus later changes.
    fn is_base_of(&self, cache: &Cache) -> bool {
        let same_journal = |epoch: &str| epoch == self.epoch;
        !cache.foreign
            && cache.print() == self.print
            && cache.changed_bytes >= self.changed_bytes
            && cache
                .journal
                .as_ref()
                .is_some_and(|journal| same_journal(&journal.header.epoch))
    }
}
