//! When and how `sessions.json` is written after the journal, what another program wrote is taken in, and the journal gets
//! a new snapshot.
//!
//! A small file is written within the commit, under the lock. A bigger one is written without the lock, as is a snapshot:
//! only the rename and what goes with it need that.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::cache::{Cache, Spoiled, journal_path};
use super::contents::{Contents, Entry};
use super::draft::Draft;
use super::exports::{Digests, Exported, Exports, Verdict, digests_of};
use super::file;
use super::journal::Journal;
use super::line::{self, HEADER_BYTES, Header, Line};
use super::lock::{self, StoreLock};
use super::patience;
use super::shared::Shared;
use super::warning::Warning;
use crate::error::{Error, Result};
use crate::fs::private::create_new;
use crate::limits;

/// Pause between two checks whether another process has written the file.
const EXPORT_POLL: Duration = Duration::from_millis(10);

/// The schedule of the export thread.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) due: Option<Instant>,
    /// Whether the export thread knows of this store.
    pub(super) known: bool,
    failed: bool,
    big: bool,
}

/// The contents at one moment.
struct Snapshot {
    contents: Contents,
    exports: Exports,
    /// The journal, and how far it was read.
    id: Option<String>,
    read: u64,
    seq: u64,
}

/// The result of a try to write a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Done,
    /// Another process has done it or is doing it.
    Elsewhere,
    /// Another program has the file open to write.
    Busy,
}

impl Shared {
    /// Rewrites a small file at once, if it is urgent, or plans it. The changes are in the journal, so the call has succeeded
    /// even if this fails.
    pub(super) fn export_small(&self, lock: &StoreLock<'_>, cache: &mut Cache, urgent: bool) {
        if urgent && cache.size() < limits::STORE_SMALL_BYTES && self.pace.lock().take() {
            let exported = self.export_locked(lock, cache);
            self.note(&exported.map(|_| ()));
        }
        self.plan_export(cache);
    }

    /// Plans the next export or snapshot, if one is needed.
    fn plan_export(&self, cache: &Cache) {
        let size = cache.size();
        let delay = if cache.is_long() {
            Duration::ZERO
        } else if !cache.is_behind() {
            return;
        } else if size < limits::STORE_SMALL_BYTES {
            limits::STORE_SMALL_DELAY
        } else {
            let steady = Duration::from_micros(size * 1_000_000 / limits::STORE_EXPORT_PACE);
            steady.clamp(limits::STORE_EXPORT_DELAY, limits::STORE_EXPORT_LONGEST_DELAY)
        };
        let mut plan = self.plan();
        let delay = if plan.failed { limits::STORE_RETRY } else { delay };
        let due = Instant::now() + delay;
        // A snapshot, or a file that has become small, does not wait for a later export.
        if plan.due.is_none_or(|planned| planned > due) {
            plan.due = Some(due);
            plan.known = false;
        }
    }

    pub(super) fn plan(&self) -> parking_lot::MutexGuard<'_, Plan> {
        self.plan.lock()
    }

    /// Does on the export thread what is due. Nothing if the files were closed meanwhile: a flush has exported all, and the
    /// directory may be on its way out.
    pub(super) fn export_due(&self) {
        if self.plan().due.take().is_none() {
            return;
        }
        let long = self.current().is_ok_and(|cache| cache.is_long());
        let done = if long { self.compact() } else { self.export_once() };
        self.note(&done.map(|_| ()));
        if let Ok(cache) = self.current() {
            self.plan_export(&cache);
        }
    }

    /// Brings `sessions.json` up to date with the present journal, unless the file is bigger than `most`. Waits no longer than
    /// `wait` for another process that writes it.
    pub(super) fn export_all(&self, most: u64, wait: Duration) -> Result<()> {
        let deadline = Instant::now() + wait;
        let goal = self.current()?.seq();
        loop {
            {
                let cache = self.current()?;
                let is_done = !cache.is_behind() || goal > 0 && cache.has_exported(goal);
                if cache.size() > most || is_done {
                    break;
                }
            }
            match self.export_once()? {
                Written::Done => {}
                // Nobody waits for another program but who asked for the file itself.
                Written::Busy if most < u64::MAX => return Ok(()),
                Written::Busy if Instant::now() >= deadline => {
                    let error = io::Error::other("another program has it open");
                    return Err(Error::store(self.file.path(), "cannot write", error));
                }
                Written::Elsewhere if Instant::now() >= deadline => return Err(self.lock_file.busy()),
                Written::Busy | Written::Elsewhere => patience::spend(|| thread::sleep(EXPORT_POLL)),
            }
        }
        let is_long = { self.current()?.is_long() };
        if is_long && most == u64::MAX {
            self.compact()?;
        }
        Ok(())
    }

    fn export_once(&self) -> Result<Written> {
        let cache = self.current()?;
        if !cache.is_behind() {
            return Ok(Written::Done);
        }
        let locked = cache.journal.is_none() || cache.has_merge() || cache.size() < limits::STORE_SMALL_BYTES;
        drop(cache);
        if !locked {
            return self.export_beside();
        }
        self.prepared(|lock, cache| {
            if cache.size() >= limits::STORE_SMALL_BYTES {
                return Ok(Written::Done);
            }
            self.export_locked(lock, cache)
        })
    }

    /// Works under the lock between processes, on contents that are up to date.
    fn locked<T>(&self, work: impl FnOnce(&StoreLock<'_>, &mut Cache) -> Result<T>) -> Result<T> {
        let deadline = patience::deadline();
        let _passage = self.enter(deadline)?;
        let lock = self.lock(deadline)?;
        let mut cache = self.current_locked(&lock)?;
        work(&lock, &mut cache)
    }

    /// The same, on contents that are all in the journal.
    fn prepared<T>(&self, work: impl FnOnce(&StoreLock<'_>, &mut Cache) -> Result<T>) -> Result<T> {
        self.locked(|lock, cache| {
            if !cache.is_ready() {
                self.prepare(lock, cache)?;
            }
            work(lock, cache)
        })
    }

    /// Writes the file under the lock.
    fn export_locked(&self, lock: &StoreLock<'_>, cache: &mut Cache) -> Result<Written> {
        if !cache.is_behind() {
            return Ok(Written::Done);
        }
        let cannot_write = |error: io::Error| Error::store(self.file.path(), "cannot write", error);
        let (draft, digests) = self.draft(&cache.contents).map_err(cannot_write)?;
        let upto = cache.seq();
        self.install(lock, cache, draft, &digests, upto)
            .map_err(cannot_write)
    }

    /// Writes the file without the lock, which only the rename needs.
    fn export_beside(&self) -> Result<Written> {
        let _writing = self.writing.lock();
        let Some(_only) = self.only_writer()? else {
            return Ok(Written::Elsewhere);
        };
        let snapshot = Snapshot::of(&*self.current()?);
        let cannot_write = |error: io::Error| Error::store(self.file.path(), "cannot write", error);
        let (draft, digests) = self.draft(&snapshot.contents).map_err(cannot_write)?;
        let size = draft.size;
        self.locked(|lock, cache| {
            // Somebody has exported in between, or another program has written: then this file is old already.
            if cache.has_merge() || !cache.exports.is_same(&snapshot.exports) || cache.seq() < snapshot.seq {
                return Ok(Written::Elsewhere);
            }
            let written = self.install(lock, cache, draft, &digests, snapshot.seq);
            if written.is_ok() {
                self.warn_if_big(size);
            }
            written.map_err(cannot_write)
        })
    }

    fn only_writer(&self) -> Result<Option<impl Drop + use<>>> {
        let cannot_lock = |error: io::Error| Error::store(&self.dir.join("hosts"), "cannot lock", error);
        lock::try_writing_big(&self.dir).map_err(cannot_lock)
    }

    /// All records, one a line, and what they mean.
    fn draft(&self, contents: &Contents) -> io::Result<(Draft, Digests<u64>)> {
        let files = &*self.files;
        let mut draft = self.file.draft()?;
        let mut separator = "{\n";
        for (key, entry) in contents.entries() {
            let mut name = String::from(separator);
            separator = ",\n";
            key.write_json(&mut name);
            name.push(':');
            draft.write(name.as_bytes(), files)?;
            entry.write(&mut |bytes| draft.write(bytes, files))?;
        }
        let end = if contents.is_empty() { "{\n}\n" } else { "\n}\n" };
        draft.write(end.as_bytes(), files)?;
        Ok((draft, digests_of(contents)?))
    }

    /// Announces an export, gives it its name, and confirms it. A file that another program has open stays as it is.
    fn install(
        &self,
        _lock: &StoreLock<'_>,
        cache: &mut Cache,
        draft: Draft,
        digests: &Digests<u64>,
        upto: u64,
    ) -> io::Result<Written> {
        if !cache.may_replace(&self.file) {
            return Ok(Written::Busy);
        }
        if cache.spoiled() == Some(Spoiled::Blank) && !cache.exports.is_empty() {
            self.warnings.push(Warning::blank(self.file.path()));
        }
        let files = &*self.files;
        let export = cache.exports.next(upto, digests);
        let number = export.number;
        let mut text = String::new();
        line::write(cache.seq(), "export", &export, &mut text);
        cache.append_and_take(&text, files)?;
        let stamp = Some(draft.install(files, self.is_durable())?);
        cache.confirm(Exported { number, stamp }, files)?;
        Ok(Written::Done)
    }

    /// Brings what another program has written into the journal.
    pub(super) fn take_in(&self, cache: &mut Cache) -> io::Result<()> {
        let Some(merge) = cache.take_merge() else {
            return Ok(());
        };
        let (mut verdict, stamp) = (merge.verdict, merge.stamp);
        // Writing to a string cannot fail.
        let mut lines = String::new();
        let mut seq = cache.seq();
        if !verdict.taken.is_empty() {
            seq += 1;
            let _ = write!(lines, "{{\"seq\":{seq},\"changes\":[");
            for (index, (key, entry)) in verdict.taken.iter().enumerate() {
                lines.push_str(if index > 0 { "," } else { "" });
                let mut name = String::new();
                key.write_json(&mut name);
                let Some(entry) = entry else {
                    let _ = write!(lines, "{{\"delete\":[{name}]}}");
                    continue;
                };
                let _ = write!(lines, "{{\"put\":{name},\"record\":");
                lines.push_str(&one_line(entry)?);
                lines.push('}');
            }
            lines.push_str("]}\n");
        }
        if verdict.is_complete {
            verdict.export.upto = seq;
        }
        line::write(seq, "export", &verdict.export, &mut lines);
        let number = verdict.export.number;
        let stamp = Some(stamp);
        line::write(seq, "exported", &Exported { number, stamp }, &mut lines);
        cache.append_and_take(&lines, &*self.files)?;
        self.keep_refused(&verdict)
    }

    /// Keeps the other program's version of records that have changed here, too.
    fn keep_refused(&self, verdict: &Verdict) -> io::Result<()> {
        if verdict.refused.is_empty() {
            return Ok(());
        }
        let mut text = String::from("{");
        for (index, (key, entry)) in verdict.refused.iter().enumerate() {
            text.push_str(if index > 0 { ",\n" } else { "\n" });
            key.write_json(&mut text);
            text.push(':');
            text.push_str(&one_line(entry)?);
        }
        text.push_str("\n}\n");
        let aside = file::free_name(self.file.path(), "conflict");
        self.files.write(&create_new(&aside)?, text.as_bytes())?;
        let count = verdict.refused.len();
        self.warnings
            .push(Warning::conflict(self.file.path(), count, &aside));
        Ok(())
    }

    /// Gives the journal a new snapshot, under the lock.
    pub(super) fn compact_locked(&self, lock: &StoreLock<'_>, cache: &mut Cache) -> io::Result<()> {
        let verdict = cache.accept_merge();
        cache.exports.forget_old();
        let mut snapshot = Snapshot::of(cache);
        let (draft, ranges) = self.draft_journal(&mut snapshot)?;
        self.install_journal(lock, cache, snapshot, draft, &ranges)?;
        verdict.map_or(Ok(()), |verdict| self.keep_refused(&verdict))
    }

    /// The same, without the lock, which only the rename needs.
    fn compact(&self) -> Result<Written> {
        let _writing = self.writing.lock();
        let Some(_only) = self.only_writer()? else {
            return Ok(Written::Elsewhere);
        };
        let snapshot = self.prepared(|_, cache| {
            if !cache.is_long() {
                return Ok(None);
            }
            cache.exports.forget_old();
            Ok(Some(Snapshot::of(cache)))
        })?;
        let Some(mut snapshot) = snapshot else {
            return Ok(Written::Done);
        };
        let cannot_write = |error: io::Error| Error::store(&journal_path(&self.dir), "cannot write", error);
        let (draft, ranges) = self.draft_journal(&mut snapshot).map_err(cannot_write)?;
        self.locked(|lock, cache| {
            let is_same = |journal: &Journal| Some(&journal.header.id) == snapshot.id.as_ref();
            if !cache.journal.as_ref().is_some_and(is_same) {
                return Ok(Written::Elsewhere);
            }
            let installed = self.install_journal(lock, cache, snapshot, draft, &ranges);
            installed.map_err(cannot_write).map(|()| Written::Done)
        })
    }

    /// Writes the snapshot, and where in it the histories are.
    fn draft_journal(&self, snapshot: &mut Snapshot) -> io::Result<(Draft, Vec<Range<u64>>)> {
        let files = &*self.files;
        let mut draft = Draft::new(journal_path(&self.dir))?;
        draft.write(&[b' '; HEADER_BYTES], files)?;
        let mut ranges = Vec::new();
        for (key, entry) in snapshot.contents.entries() {
            let mut text = String::from("{\"put\":");
            key.write_json(&mut text);
            text.push_str(",\"record\":");
            draft.write(text.as_bytes(), files)?;
            let start = draft.size;
            let range = entry.write(&mut |bytes| draft.write(&without_line_breaks(bytes), files))?;
            ranges.push(start + range.start..start + range.end);
            draft.write(b"}\n", files)?;
        }
        let exports = serde_json::to_string(&snapshot.exports)?;
        let ended = serde_json::to_string(&snapshot.contents.ended)?;
        draft.write(
            format!("{{\"exports\":{exports},\"ended\":{ended}}}\n").as_bytes(),
            files,
        )?;
        // What takes long is done without the lock.
        draft.sync(files)?;
        Ok((draft, ranges))
    }

    /// Adds what was appended meanwhile, and gives the journal its name.
    fn install_journal(
        &self,
        _lock: &StoreLock<'_>,
        cache: &mut Cache,
        mut snapshot: Snapshot,
        mut draft: Draft,
        ranges: &[Range<u64>],
    ) -> io::Result<()> {
        let files = &*self.files;
        let header = Header {
            clearctx: line::VERSION,
            id: Uuid::new_v4().hyphenated().to_string(),
            upto: snapshot.seq,
            start: draft.size,
        };
        if let Some(journal) = cache.journal.as_ref().filter(|journal| !journal.is_old()) {
            let mut copied = Ok(());
            journal.lines(snapshot.read, journal.read, &mut |text, _| {
                let text = text.ok().filter(|text| Line::parse(text).is_some());
                if let (Some(text), Ok(())) = (text, &copied) {
                    copied = draft
                        .write(text.as_bytes(), files)
                        .and_then(|()| draft.write(b"\n", files));
                }
            })?;
            copied?;
        }
        let mut first = serde_json::to_string(&header)?;
        first.push_str(&" ".repeat((HEADER_BYTES - 1).saturating_sub(first.len())));
        first.push('\n');
        draft.begin_with(first.as_bytes(), files)?;
        draft.sync(files)?;
        draft.install(files, self.is_durable())?;
        // From here on the contents refer to the new file.
        let path = journal_path(&self.dir);
        let mut journal = Journal::open(&path)?.ok_or(io::ErrorKind::NotFound)?;
        journal.skip_snapshot();
        let source = Arc::clone(journal.source());
        for (entry, range) in snapshot.contents.entries_mut().zip(ranges) {
            entry.refer(&source, range);
        }
        cache.renew(snapshot.contents, journal)
    }

    /// Warns when writing begins to fail, but not each time.
    fn note(&self, written: &Result<()>) {
        let mut plan = self.plan();
        match written {
            Ok(()) => plan.failed = false,
            Err(error) => {
                if !std::mem::replace(&mut plan.failed, true) {
                    self.warnings.push(Warning::behind(self.file.path(), error));
                }
            }
        }
    }

    fn warn_if_big(&self, size: u64) {
        let is_big = size >= limits::STORE_BIG_BYTES;
        let was_big = std::mem::replace(&mut self.plan().big, is_big);
        if is_big && !was_big {
            self.warnings.push(Warning::big(self.file.path(), size));
        }
    }
}

impl Snapshot {
    fn of(cache: &Cache) -> Self {
        Self {
            contents: cache.contents.clone(),
            exports: cache.exports.clone(),
            id: cache.journal.as_ref().map(|journal| journal.header.id.clone()),
            read: cache.journal.as_ref().map_or(0, |journal| journal.read),
            seq: cache.seq(),
        }
    }
}

/// The JSON of a value as a part of a journal line.
fn one_line(entry: &Entry) -> io::Result<String> {
    let mut text = Vec::new();
    entry.write(&mut |bytes| {
        text.extend_from_slice(&without_line_breaks(bytes));
        Ok(())
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// In a JSON value line breaks are only white space.
fn without_line_breaks(bytes: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if memchr::memchr2(b'\n', b'\r', bytes).is_none() {
        return bytes.into();
    }
    let spaced = bytes.iter().map(|byte| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            *byte
        }
    });
    spaced.collect::<Vec<_>>().into()
}
