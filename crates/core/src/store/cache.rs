//! The contents in memory, and their source: which `sessions.json`, and which lines of the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::contents::{Contents, Undo};
use super::file::{SessionsFile, Stamp};
use super::files::Files;
use super::journal::Journal;
use super::line::{self, Line, Mark, Step};
use super::print::Print;
use super::source::{Place, Source};
use crate::error::{Error, Result};
use crate::limits;

/// How often reading starts again because files were replaced in between.
const TRIES: usize = 20;

/// The contents of a data directory.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each answers a question of its own, in any combination"
)]
pub(super) struct Cache {
    pub(super) contents: Contents,
    pub(super) journal: Option<Journal>,
    pub(super) loaded: bool,
    pub(super) stamp: Option<Stamp>,
    /// Whether the stamp alone shows a later change of the file. False while the file was so young when it was read that a
    /// later change could have the same time ("racy" in git).
    pub(super) settled: bool,
    /// The fold that wrote `sessions.json`, and the number of changed bytes at its line.
    pub(super) fold: Fold,
    /// Folds that were announced but not seen yet.
    pub(super) announced: Vec<Fold>,
    /// Journals read since the contents were last loaded. Older ones may still hold histories and stay open.
    pub(super) followed: usize,
    /// Bytes of changes read so far.
    pub(super) changed_bytes: u64,
    /// Whether another program wrote the file: no known fold matches it. The next writer notes this in the journal.
    pub(super) foreign: bool,
    /// Whether newer data, from the journal or from live sessions, was applied to the contents of a foreign file.
    pub(super) altered: bool,
    /// Unreadable lines, which the next writer keeps aside.
    pub(super) bad: Vec<u8>,
}

/// A fold, and how many bytes of changes had been read when it was announced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold {
    pub(super) mark: Mark,
    pub(super) at: u64,
}

impl Default for Fold {
    fn default() -> Self {
        let mark = Mark {
            upto: 0,
            left: 0,
            print: None,
            reload: false,
        };
        Self { mark, at: 0 }
    }
}

/// The result of [`Cache::refresh`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// The contents agree with the files.
    Current,
    /// `sessions.json` is not a JSON object. The contents are not valid.
    Corrupt,
}

/// The result of following the journal.
#[derive(PartialEq, Eq)]
enum Followed {
    /// It was read to its end; whether there was anything new.
    Yes(bool),
    /// It was replaced, or it says that the file holds more.
    Lost,
}

/// The journal's path in a data directory.
pub(super) fn journal_path(dir: &Path) -> PathBuf {
    dir.join("sessions.journal")
}

impl Cache {
    /// Brings the contents up to date.
    pub(super) fn refresh(&mut self, dir: &Path, file: &SessionsFile) -> Result<Freshness> {
        let refreshed = self.refresh_inner(dir, file);
        if !matches!(refreshed, Ok(Freshness::Current)) {
            self.loaded = false;
        }
        refreshed
    }

    fn refresh_inner(&mut self, dir: &Path, file: &SessionsFile) -> Result<Freshness> {
        if self.loaded {
            for _ in 0..TRIES {
                let Followed::Yes(news) = self.follow(dir)? else {
                    break;
                };
                let stamp = file.stamp()?;
                if self.is_current(stamp) {
                    return Ok(Freshness::Current);
                }
                if let Some(reload) = self.take_announced(stamp) {
                    if reload {
                        break;
                    }
                    return Ok(Freshness::Current);
                }
                // The fold may have been announced after the journal was read.
                if !news {
                    break;
                }
            }
        }
        self.reload(dir, file)
    }

    /// Whether a change needs only an append: no file has to be read again, made or taken over.
    pub(super) fn is_ready(&self) -> bool {
        self.loaded && self.journal.is_some() && !self.foreign && self.bad.is_empty()
    }

    /// Forgets the contents: the next refresh reads the files.
    pub(super) fn invalidate(&mut self) {
        self.loaded = false;
    }

    /// Bytes of changes that are not in `sessions.json`.
    pub(super) fn unfolded(&self) -> u64 {
        // A line may hold any number.
        self.fold
            .mark
            .left
            .saturating_add(self.changed_bytes.saturating_sub(self.fold.at))
    }

    /// The approximate size of `sessions.json` once everything is folded.
    pub(super) fn size(&self) -> u64 {
        let size = self.stamp.map_or(0, |stamp| stamp.size());
        size.saturating_add(self.unfolded())
    }

    /// Number of the last change.
    pub(super) fn seq(&self) -> u64 {
        self.journal.as_ref().map_or(0, |journal| journal.seq)
    }

    /// The fingerprint of the file that the contents come from.
    pub(super) fn print(&self) -> Option<Print> {
        self.fold.mark.print
    }

    /// Notes that the file of this fold has replaced the file.
    pub(super) fn installed(&mut self, mark: Mark, stamp: Stamp) {
        self.fold = Fold {
            mark,
            at: self.changed_bytes,
        };
        self.announced.clear();
        self.stamp = Some(stamp);
        self.settled = is_exact(mark.print);
        (self.foreign, self.altered) = (false, false);
    }

    /// Notes that the foreign file is announced as a fold.
    pub(super) fn adopted(&mut self, mark: Mark) {
        self.fold = Fold {
            mark,
            at: self.changed_bytes,
        };
        self.announced.clear();
        self.foreign = false;
    }

    fn is_current(&self, stamp: Option<Stamp>) -> bool {
        self.settled && self.stamp == stamp
    }

    /// Whether the file is now the one of an announced fold, and if so, whether it must be read.
    fn take_announced(&mut self, stamp: Option<Stamp>) -> Option<bool> {
        let stamp = stamp?;
        let is_from = |fold: &&Fold| is_from(fold.mark.print, &stamp) && is_exact(fold.mark.print);
        let fold = *self.announced.iter().rev().find(is_from)?;
        if self.foreign {
            return Some(true);
        }
        self.announced.retain(|later| later.mark.upto > fold.mark.upto);
        self.fold = fold;
        (self.stamp, self.settled) = (Some(stamp), true);
        Some(fold.mark.reload)
    }

    /// Reads what is new in the journal.
    fn follow(&mut self, dir: &Path) -> Result<Followed> {
        self.follow_io(&journal_path(dir))
            .map_err(|error| Error::store(&journal_path(dir), "cannot read", error))
    }

    fn follow_io(&mut self, path: &Path) -> std::io::Result<Followed> {
        let Some(mut journal) = self.journal.take() else {
            // A journal that was made since belongs to changes that are not known here.
            return Ok(if path.exists() {
                Followed::Lost
            } else {
                Followed::Yes(false)
            });
        };
        let before = journal.read;
        let mut lost = journal.len()? < journal.read;
        self.read_lines(&mut journal, &mut lost)?;
        match journal.is_replaced()? {
            Some(false) => {}
            None => lost = true,
            Some(true) => {
                let known = journal.seq;
                // It was complete before it was replaced: a writer reads everything before it writes.
                self.read_lines(&mut journal, &mut lost)?;
                let Some(mut next) = Journal::open(path)? else {
                    return Ok(Followed::Lost);
                };
                lost |= next.header.epoch != journal.header.epoch
                    || next.header.after > journal.seq.max(known)
                    || self.followed >= limits::STORE_KEPT_JOURNALS;
                self.followed += 1;
                next.seq = next.seq.max(journal.seq);
                self.read_lines(&mut next, &mut lost)?;
                self.journal = Some(next);
                return Ok(if lost { Followed::Lost } else { Followed::Yes(true) });
            }
        }
        let news = journal.read > before;
        self.journal = Some(journal);
        Ok(if lost { Followed::Lost } else { Followed::Yes(news) })
    }

    fn read_lines(&mut self, journal: &mut Journal, lost: &mut bool) -> std::io::Result<()> {
        let source = Arc::clone(journal.source());
        let mut seq = journal.seq;
        journal.read_new(&mut |text, at| {
            let Some((text, line)) = self.line_of(text) else {
                return;
            };
            if let Some(mark) = line.fold {
                *lost |= mark.reload;
                self.announced.push(Fold {
                    mark,
                    at: self.changed_bytes,
                });
            } else if line.seq > seq {
                let place = Place {
                    source: &source,
                    text,
                    at,
                };
                self.take_line(&line, &place, |_, _| true);
            }
            seq = seq.max(line.seq);
        })?;
        journal.seq = seq;
        Ok(())
    }

    pub(super) fn line_of<'a>(
        &mut self,
        text: std::result::Result<&'a str, &'a [u8]>,
    ) -> Option<(&'a str, Line<'a>)> {
        let read = text.ok().and_then(|text| Some((text, Line::parse(text)?)));
        if read.is_none() {
            let is_first = |text: &str| text.starts_with("{\"clearctx\":");
            if !text.is_ok_and(is_first) {
                self.bad
                    .extend_from_slice(text.map_or_else(|bytes| bytes, str::as_bytes));
                self.bad.push(b'\n');
            }
        }
        read
    }

    /// Applies the wanted steps of a line.
    pub(super) fn take_line(
        &mut self,
        line: &Line<'_>,
        place: &Place<'_>,
        wanted: impl Fn(&Step<'_>, Option<&str>) -> bool,
    ) -> bool {
        let mut undo = Vec::new();
        for json in line.changes.iter().flatten() {
            if let Some(step) = Step::parse(json.get())
                && wanted(&step, line.at)
            {
                step.apply(&mut self.contents, place, &mut undo);
            }
        }
        self.changed_bytes += place.text.len() as u64 + 1;
        !undo.is_empty()
    }

    /// The place of the next line: its source, its position, the number before its own.
    pub(super) fn next_place(&self) -> (Arc<Source>, u64, u64) {
        match &self.journal {
            Some(journal) => (Arc::clone(journal.source()), journal.read, journal.seq),
            None => (Arc::new(Source::Text(Box::default())), 0, 0),
        }
    }

    /// Appends lines whose changes are in the contents already; the last line has the number `seq`.
    pub(super) fn append(&mut self, lines: &str, seq: u64, files: &dyn Files) -> std::io::Result<()> {
        let Some(journal) = &mut self.journal else {
            return Err(std::io::ErrorKind::NotFound.into());
        };
        journal.append(lines, files)?;
        journal.seq = seq;
        self.changed_bytes += lines.len() as u64;
        Ok(())
    }

    /// Announces a fold. The caller holds the lock and has read everything.
    pub(super) fn announce(&mut self, mark: &Mark, files: &dyn Files) -> std::io::Result<()> {
        let Some(journal) = &mut self.journal else {
            return Err(std::io::ErrorKind::NotFound.into());
        };
        let mut text = String::new();
        line::write_fold(journal.seq, mark, &mut text);
        journal.append(&text, files)
    }

    /// Replays the journal between two positions, over contents that have everything before.
    pub(super) fn redo(&self, contents: Contents, from: u64, to: u64) -> std::io::Result<Contents> {
        let mut scratch = Self {
            contents,
            ..Self::default()
        };
        if let Some(journal) = &self.journal {
            let source = Arc::clone(journal.source());
            journal.lines_from(
                from,
                to,
                &mut |text, at| {
                    if let Some((text, line)) = scratch.line_of(text) {
                        let place = Place {
                            source: &source,
                            text,
                            at,
                        };
                        scratch.take_line(&line, &place, |_, _| true);
                    }
                },
                false,
            )?;
        }
        Ok(scratch.contents)
    }

    /// Undoes changes, the last one first.
    pub(super) fn undo(&mut self, undo: Vec<Undo>) {
        for step in undo.into_iter().rev() {
            self.contents.undo(step);
        }
    }
}

fn is_from(print: Option<Print>, stamp: &Stamp) -> bool {
    print.is_some_and(|print| (print.size, print.modified) == (stamp.size(), stamp.modified()))
}

/// Whether the file system keeps times so exactly that no later write can have the same one.
pub(super) fn is_exact(print: Option<Print>) -> bool {
    print.is_some_and(|print| print.modified % 1_000_000 != 0)
}
