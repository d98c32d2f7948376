//! The contents in memory, and where they come from: the journal, and a `sessions.json` that another program wrote.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::contents::{Contents, Undo};
use super::exports::{Exported, Exports, Verdict};
use super::file::{Look, STARTING_TRIES, SessionsFile};
use super::files::Files;
use super::journal::Journal;
use super::legacy;
use super::line::{self, Line};
use super::owner::Liveness;
use super::source::{History, Place, Source};
use super::stamp::Stamp;
use super::view;
use crate::error::{Error, Result};
use crate::limits;

/// The contents of a data directory.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) contents: Contents,
    pub(super) journal: Option<Journal>,
    pub(super) loaded: bool,
    pub(super) exports: Exports,
    /// What was last seen at the path of `sessions.json`.
    seen: Seen,
    /// What another program has written, as long as it is in the contents but not in the journal.
    merge: Option<Merge>,
    /// Journals read since the contents were last loaded. Older ones may still hold histories and stay open.
    followed: usize,
    /// Bytes of changes since the last export.
    pub(super) unexported: u64,
    /// Unreadable lines, which the next writer keeps aside.
    pub(super) bad: Vec<u8>,
}

/// What was seen of `sessions.json`.
#[derive(Debug, Default)]
struct Seen {
    /// Whether the version with this stamp, or that there is none, was looked at; if not, the next call looks.
    is_known: bool,
    stamp: Option<Stamp>,
    /// Whether the file has content that cannot be read.
    spoiled: Option<Spoiled>,
    /// When a version was first looked at that may be written once more within the same time stamp.
    unsettled: Option<Instant>,
    /// A version that cannot be read, where the system cannot tell whether it is still being written, and since when.
    doubt: Option<(Stamp, Instant)>,
    /// Since when another program has the file open.
    busy: Option<Instant>,
}

impl Seen {
    fn is(&self, stamp: Option<Stamp>) -> bool {
        self.is_known && self.stamp == stamp
    }
}

/// Content of `sessions.json` that says nothing of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoiled {
    Blank,
    Broken,
}

/// The work of another program in memory.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) verdict: Verdict,
    pub(super) stamp: Stamp,
    undo: Vec<Undo>,
}

/// The result of following the journal.
#[derive(PartialEq, Eq)]
enum Followed {
    /// It was read to its end; whether there was anything new.
    Yes(bool),
    /// It was replaced by one that does not go on from it.
    Lost,
}

/// The journal's path in a data directory.
pub(super) fn journal_path(dir: &Path) -> PathBuf {
    dir.join("sessions.journal")
}

impl Cache {
    /// Brings the contents up to date.
    pub(super) fn refresh(&mut self, dir: &Path, file: &SessionsFile) -> Result<()> {
        let cannot_read = |error| Error::store(&journal_path(dir), "cannot read", error);
        if self.merge.is_some() && self.has_news(dir).map_err(cannot_read)? {
            // It is to be merged with what is new.
            self.undo_merge();
            self.seen.is_known = false;
        }
        let is_current = self.loaded
            && match self.follow(dir).map_err(cannot_read)? {
                Followed::Lost => false,
                // Somebody was quicker still.
                Followed::Yes(news) => !(news && self.merge.is_some()),
            }
            && (!self.is_old() || self.seen.is(file.stamp()?));
        if !is_current {
            self.load(dir, file).map_err(cannot_read)?;
        }
        self.look(dir, file)
    }

    fn has_news(&self, dir: &Path) -> io::Result<bool> {
        let Some(journal) = &self.journal else {
            return Ok(journal_path(dir).exists());
        };
        Ok(journal.len()? != journal.read || journal.is_replaced()? != Some(false))
    }

    fn load(&mut self, dir: &Path, file: &SessionsFile) -> io::Result<()> {
        let path = journal_path(dir);
        loop {
            let mut next = Self {
                loaded: true,
                journal: Journal::open(&path)?,
                ..Self::default()
            };
            match next.journal.take() {
                Some(mut journal) if journal.is_old() => {
                    (next.contents, next.exports) = legacy::load(file, &mut journal)?;
                    next.journal = Some(journal);
                }
                Some(mut journal) => {
                    next.read_lines(&mut journal)?;
                    next.journal = Some(journal);
                }
                None => {}
            }
            let replaced = match &next.journal {
                Some(journal) => journal.is_replaced()? != Some(false),
                None => fs::exists(&path).unwrap_or(false),
            };
            if !replaced {
                next.exports.remember(&mut self.exports);
                next.seen.busy = self.seen.busy;
                next.seen.doubt = self.seen.doubt;
                *self = next;
                return Ok(());
            }
        }
    }

    /// Reads what is new in the journal.
    fn follow(&mut self, dir: &Path) -> io::Result<Followed> {
        let path = journal_path(dir);
        let Some(mut journal) = self.journal.take() else {
            // A journal that was made since belongs to changes that are not known here.
            return Ok(if path.exists() {
                Followed::Lost
            } else {
                Followed::Yes(false)
            });
        };
        if journal.is_old() {
            // Which of its changes count is known only from all of it. The first write here replaces it.
            let has_news = journal.len()? != journal.read || journal.is_replaced()? != Some(false);
            self.journal = Some(journal);
            return Ok(if has_news {
                Followed::Lost
            } else {
                Followed::Yes(false)
            });
        }
        let before = journal.read;
        let mut known = self.read_lines(&mut journal)?;
        match journal.is_replaced()? {
            Some(false) => {}
            None => known = false,
            Some(true) => {
                // It was complete before it was replaced: a writer reads everything before it writes.
                known &= self.read_lines(&mut journal)?;
                let Some(mut next) = Journal::open(&path)? else {
                    return Ok(Followed::Lost);
                };
                self.followed += 1;
                let goes_on = next.header.start > 0 && next.header.upto <= journal.seq;
                if !known || !goes_on || self.followed > limits::STORE_KEPT_JOURNALS {
                    return Ok(Followed::Lost);
                }
                next.skip_snapshot();
                next.seq = journal.seq;
                self.read_lines(&mut next)?;
                self.journal = Some(next);
                return Ok(Followed::Yes(true));
            }
        }
        let news = journal.read > before;
        self.journal = Some(journal);
        Ok(if known {
            Followed::Yes(news)
        } else {
            Followed::Lost
        })
    }

    /// Applies the new lines of a journal. False if it is not the journal that was read before.
    fn read_lines(&mut self, journal: &mut Journal) -> io::Result<bool> {
        let source = Arc::clone(journal.source());
        let mut seq = journal.seq;
        let known = journal.read_new(&mut |text, at| {
            let Some((text, line)) = self.line_of(text) else {
                return;
            };
            let place = Place {
                source: &source,
                text,
                at,
            };
            self.take_line(line, &place, &mut seq);
        })?;
        journal.seq = seq;
        Ok(known)
    }

    fn line_of<'a>(&mut self, text: std::result::Result<&'a str, &'a [u8]>) -> Option<(&'a str, Line<'a>)> {
        let read = text.ok().and_then(|text| Some((text, Line::parse(text)?)));
        let is_first = |text: &str| text.starts_with("{\"clearctx\":");
        if read.is_none() && !text.is_ok_and(is_first) {
            let bytes = text.map_or_else(|bytes| bytes, str::as_bytes);
            self.bad.extend_from_slice(bytes);
            self.bad.push(b'\n');
        }
        read
    }

    fn take_line(&mut self, line: Line<'_>, place: &Place<'_>, seq: &mut u64) {
        // A line of the snapshot has no number; a change that is known comes again after the journal was replaced.
        if line.seq.is_none_or(|number| number > *seq) {
            line.apply(&mut self.contents, place, &mut Vec::new());
        }
        if line.has_changes() {
            self.unexported += place.text.len() as u64;
        }
        *seq = (*seq).max(line.seq.unwrap_or(0));
        if let Some(exports) = line.exports {
            self.exports = exports;
        }
        if let Some(export) = line.export {
            self.exports.begin(export);
        }
        if let Some(exported) = line.exported {
            self.done(exported);
        }
    }

    fn done(&mut self, exported: Exported) {
        self.exports.done(exported);
        self.unexported = 0;
    }

    /// Looks at `sessions.json`, if it is not the version that is known.
    fn look(&mut self, dir: &Path, file: &SessionsFile) -> Result<()> {
        let stamp = file.stamp()?;
        if self.is_known(stamp) {
            return Ok(());
        }
        let first = !self.seen.is(stamp);
        if first {
            self.seen.unsettled = None;
        }
        self.undo_merge();
        if stamp.is_some() && stamp == self.exports.stamp && first {
            self.see(stamp, None);
            return Ok(());
        }
        let since = self.seen.unsettled.unwrap_or_else(Instant::now);
        let tries = if self.seen.busy.is_none() {
            STARTING_TRIES
        } else {
            1
        };
        let look = file.look(tries);
        // Whatever cannot be read decides nothing: the truth is in the journal.
        let look = match look {
            Err(error) if self.journal.is_none() => return Err(error),
            Err(_) => return Ok(()),
            Ok(look) => look,
        };
        match look {
            Look::Missing => self.see(None, None),
            Look::Busy => self.be_patient(),
            Look::Blank(stamp) => self.spoil(stamp, Spoiled::Blank, file),
            Look::Broken(stamp) => self.spoil(stamp, Spoiled::Broken, file),
            Look::Records(contents, stamp) => {
                self.see(Some(stamp), None);
                self.seen.unsettled = (since.elapsed() < limits::STORE_RACY_AGE).then_some(since);
                let merged = self.merge(dir, &contents, stamp);
                merged.map_err(|error| Error::store(file.path(), "cannot read", error))?;
            }
        }
        Ok(())
    }

    fn is_known(&self, stamp: Option<Stamp>) -> bool {
        let settles = |since: Instant| {
            let is_small = stamp.is_none_or(|stamp| stamp.size() < limits::STORE_SMALL_BYTES);
            is_small || since.elapsed() >= limits::STORE_RACY_AGE
        };
        self.seen.is(stamp) && !self.seen.unsettled.is_some_and(settles)
    }

    fn see(&mut self, stamp: Option<Stamp>, spoiled: Option<Spoiled>) {
        self.seen = Seen {
            is_known: true,
            stamp,
            spoiled,
            ..Seen::default()
        };
    }

    fn spoil(&mut self, stamp: Stamp, spoiled: Spoiled, file: &SessionsFile) {
        if !file.shows_writers() {
            let (known, since) = self.seen.doubt.unwrap_or_else(|| (stamp, Instant::now()));
            if known != stamp || since.elapsed() < limits::STORE_DOUBT {
                self.seen.doubt = Some((stamp, if known == stamp { since } else { Instant::now() }));
                self.be_patient();
                return;
            }
        }
        self.see(Some(stamp), Some(spoiled));
    }

    fn be_patient(&mut self) {
        self.seen.is_known = false;
        self.seen.busy.get_or_insert_with(Instant::now);
    }

    /// Content that the next writer must keep aside.
    pub(super) fn spoiled(&self) -> Option<Spoiled> {
        self.seen.spoiled
    }

    fn merge(&mut self, dir: &Path, file: &Contents, stamp: Stamp) -> io::Result<()> {
        let mut liveness = Liveness::new(dir);
        let verdict = self.exports.judge(file, &self.contents, |record| {
            view::is_in_use(record, &mut liveness)
        })?;
        let mut undo = Vec::new();
        for (key, entry) in &verdict.taken {
            undo.push(self.contents.set(key, entry.clone()));
        }
        self.merge = Some(Merge { verdict, stamp, undo });
        Ok(())
    }

    fn undo_merge(&mut self) {
        if let Some(merge) = self.merge.take() {
            self.undo(merge.undo);
        }
    }

    /// Whether another program's work is not in the journal yet.
    pub(super) fn has_merge(&self) -> bool {
        self.merge.is_some()
    }

    /// Takes the other program's work out of the contents, for a line that brings it back.
    pub(super) fn take_merge(&mut self) -> Option<Merge> {
        let mut merge = self.merge.take()?;
        self.undo(std::mem::take(&mut merge.undo));
        Some(merge)
    }

    /// Leaves the other program's work in the contents, as if it had been exported.
    pub(super) fn accept_merge(&mut self) -> Option<Verdict> {
        let Merge {
            mut verdict, stamp, ..
        } = self.merge.take()?;
        if verdict.is_complete {
            verdict.export.upto = self.seq();
        }
        let number = verdict.export.number;
        self.exports.begin(verdict.export.clone());
        self.done(Exported {
            number,
            stamp: Some(stamp),
        });
        Some(verdict)
    }

    /// A history for somebody who may keep it for long.
    pub(super) fn lend(&mut self, history: &History) -> History {
        let journal = self.journal.as_mut().filter(|_| !history.is_empty());
        let Some(journal) = journal else {
            return history.clone();
        };
        let source = Arc::clone(journal.source());
        match journal.small_copy() {
            Some(copy) => history.copied(&source, copy),
            None => history.clone(),
        }
    }

    /// Whether the alpha has written the journal.
    pub(super) fn is_old(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_old)
    }

    /// Whether a change needs only an append.
    pub(super) fn is_ready(&self) -> bool {
        let has_journal = self.journal.as_ref().is_some_and(|journal| !journal.is_torn);
        self.loaded && has_journal && !self.is_old() && self.merge.is_none() && self.bad.is_empty()
    }

    /// Forgets the contents: the next refresh reads the files.
    pub(super) fn invalidate(&mut self) {
        self.loaded = false;
    }

    /// Whether `sessions.json` does not say what is known here.
    pub(super) fn is_behind(&self) -> bool {
        let is_new = self.exports.is_empty() && self.journal.is_some();
        is_new || !self.has_exported(self.seq())
    }

    /// Whether `sessions.json` contains all changes up to this one.
    pub(super) fn has_exported(&self, seq: u64) -> bool {
        let has_records = self.journal.is_some() || !self.contents.is_empty();
        let is_missing = self.seen.is_known && self.seen.stamp.is_none();
        let is_gone = has_records && (self.seen.spoiled.is_some() || is_missing);
        self.merge.is_none() && !is_gone && self.exports.upto >= seq
    }

    /// The approximate size of `sessions.json` once everything is exported.
    pub(super) fn size(&self) -> u64 {
        let read = self.journal.as_ref().map_or(0, |journal| journal.read);
        let exported = self.exports.stamp.map(|stamp| stamp.size() + self.unexported);
        exported.unwrap_or(read)
    }

    /// Number of the last change.
    pub(super) fn seq(&self) -> u64 {
        self.journal.as_ref().map_or(0, |journal| journal.seq)
    }

    /// Whether the journal has become so much longer than its snapshot that it is time for another one.
    pub(super) fn is_long(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| {
            let start = journal.header.start;
            journal.read.saturating_sub(start) >= start.max(limits::STORE_JOURNAL_BYTES)
        })
    }

    /// The place of the next line: its source, its position, the number before its own.
    pub(super) fn next_place(&self) -> (Arc<Source>, u64, u64) {
        match &self.journal {
            Some(journal) => (Arc::clone(journal.source()), journal.read, journal.seq),
            None => (Arc::new(Source::Text(Box::default())), 0, 0),
        }
    }

    /// Appends lines whose changes are in the contents already; the last line has the number `seq`.
    pub(super) fn append(&mut self, lines: &str, seq: u64, files: &dyn Files) -> io::Result<()> {
        let journal = self.journal.as_mut().ok_or(io::ErrorKind::NotFound)?;
        journal.append(lines, files)?;
        journal.seq = seq;
        self.unexported += lines.len() as u64;
        Ok(())
    }

    /// Appends lines, and then takes them as if another process had written them.
    pub(super) fn append_and_take(&mut self, lines: &str, files: &dyn Files) -> io::Result<()> {
        let mut journal = self.journal.take().ok_or(io::ErrorKind::NotFound)?;
        let mut at = journal.read;
        let appended = journal.append(lines, files);
        if appended.is_ok() {
            let source = Arc::clone(journal.source());
            for text in lines.lines() {
                if let Some(line) = Line::parse(text) {
                    let place = Place {
                        source: &source,
                        text,
                        at,
                    };
                    self.take_line(line, &place, &mut journal.seq);
                }
                at += text.len() as u64 + 1;
            }
        }
        self.journal = Some(journal);
        appended
    }

    /// Takes over the contents of a snapshot, whose journal goes on with what was appended since.
    pub(super) fn renew(&mut self, contents: Contents, mut journal: Journal) -> io::Result<()> {
        if self.merge.take().is_some() {
            self.seen.is_known = false;
        }
        self.contents = contents;
        self.read_lines(&mut journal)?;
        self.journal = Some(journal);
        self.followed = 0;
        Ok(())
    }

    /// Whether the file may be replaced: it is the version that was looked at, and nobody has it open, or for too long.
    pub(super) fn may_replace(&self, file: &SessionsFile) -> bool {
        if self.seen.is_known {
            return file.stamp().is_ok_and(|now| self.seen.is(now));
        }
        let busy = self.seen.busy;
        busy.is_some_and(|since| since.elapsed() >= limits::STORE_FOREIGN_WINDOW)
    }

    /// Confirms that an export has its name.
    pub(super) fn confirm(&mut self, exported: Exported, files: &dyn Files) -> io::Result<()> {
        let mut text = String::new();
        line::write(self.seq(), "exported", &exported, &mut text);
        self.append_and_take(&text, files)?;
        self.see(exported.stamp, None);
        Ok(())
    }

    /// Undoes changes, the last one first.
    pub(super) fn undo(&mut self, undo: Vec<Undo>) {
        for step in undo.into_iter().rev() {
            self.contents.undo(step);
        }
    }
}
