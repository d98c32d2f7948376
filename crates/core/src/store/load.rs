//! Loads both files: finds the fold that wrote `sessions.json`, and replays the journal after it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use super::age;
use super::cache::{Cache, Freshness, is_exact, journal_path};
use super::contents::{Contents, Entry, Stored};
use super::file::{SessionsFile, Version};
use super::journal::Journal;
use super::line::{self, Line, Mark, Step};
use super::object::Key;
use super::owner::Liveness;
use super::print::Print;
use super::scan::Text;
use super::source::Place;
use super::view;
use crate::error::{Error, Result};
use crate::limits;

/// Pause before a file that may be half written is read again.
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

impl Cache {
    /// Loads both files.
    pub(super) fn reload(&mut self, dir: &Path, file: &SessionsFile) -> Result<Freshness> {
        let path = journal_path(dir);
        let cannot_read = |error: io::Error| Error::store(&path, "cannot read", error);
        loop {
            let now = SystemTime::now();
            let journal = Journal::open(&path).map_err(cannot_read)?;
            let version = file.read()?;
            let unreadable = version
                .as_ref()
                .is_some_and(|version| !matches!(version.text, Text::Object(_)));
            if let Some(version) = &version
                && unreadable
                && version.stamp.age(now) < limits::STORE_SETTLE_AGE
            {
                thread::sleep(SETTLE_PAUSE);
                continue;
            }
            if matches!(
                &version,
                Some(Version {
                    text: Text::Broken,
                    ..
                })
            ) {
                return Ok(Freshness::Corrupt);
            }
            let stamp = version.as_ref().map(|version| version.stamp);
            let next = self.load(dir, journal, version, now).map_err(cannot_read)?;
            let replaced = match &next.journal {
                Some(journal) => journal.is_replaced().map_err(cannot_read)? != Some(false),
                None => fs::exists(&path).unwrap_or(false),
            };
            if !replaced && file.stamp()? == stamp {
                *self = next;
                return Ok(Freshness::Current);
            }
        }
    }

    /// The contents of these files. Live sessions of `self`, which was loaded before, are kept.
    fn load(
        &self,
        dir: &Path,
        journal: Option<Journal>,
        version: Option<Version>,
        now: SystemTime,
    ) -> io::Result<Self> {
        let stamp = version.as_ref().map(|version| version.stamp);
        let print = version.as_ref().map(|version| version.print);
        let contents = match version.map(|version| version.text) {
            Some(Text::Object(contents)) => contents,
            _ => Contents::default(),
        };
        let mut next = Self {
            contents,
            loaded: true,
            stamp,
            settled: stamp.is_none_or(|stamp| stamp.age(now) >= limits::STORE_RACY_AGE),
            ..Self::default()
        };
        next.fold.mark.print = print;
        let Some(mut journal) = journal else {
            return Ok(next);
        };
        next.find_fold(&journal, print)?;
        next.replay(&mut journal)?;
        next.journal = Some(journal);
        if next.foreign {
            next.keep_what_lives(dir, &self.contents);
        } else {
            next.settled |= is_exact(print);
        }
        Ok(next)
    }

    /// Finds the fold that wrote the file.
    fn find_fold(&mut self, journal: &Journal, print: Option<Print>) -> io::Result<()> {
        let first = Mark {
            upto: journal.header.after,
            left: 0,
            print: journal.header.base,
            reload: false,
        };
        let (mut last, mut found) = (first, is_same(first.print, print).then_some(first));
        journal.lines_from(
            journal.read,
            u64::MAX,
            &mut |text, _| {
                let Ok(text) = text else { return };
                if !line::is_fold(text) {
                    return;
                }
                if let Some(mark) = Line::parse(text).and_then(|line| line.fold) {
                    last = mark;
                    if is_same(mark.print, print) {
                        found = Some(mark);
                    }
                }
            },
            false,
        )?;
        self.foreign = found.is_none();
        // The changes after the fold are counted as they are read.
        self.fold.mark = Mark {
            left: 0,
            ..found.unwrap_or(last)
        };
        if self.foreign {
            self.fold.mark.print = print;
        }
        Ok(())
    }

    /// Replays the journal after the fold. Over a foreign file it applies only changes that are newer than the record in the
    /// file, and none to names that the file lacks, since that program has deleted them. If the file is gone or was moved
    /// aside, it applies everything, since only the journal is left.
    fn replay(&mut self, journal: &mut Journal) -> io::Result<()> {
        let upto = self.fold.mark.upto;
        let foreign = self.foreign;
        let filtered = foreign && self.stamp.is_some();
        let saved: HashMap<_, _> = if filtered {
            let time = |(key, stored): (&_, &Stored)| (Key::clone(key), view::saved_ms(&stored.head));
            self.contents.records().map(time).collect()
        } else {
            HashMap::new()
        };
        let is_newer = |key: &Key, at: Option<f64>| {
            saved
                .get(key)
                .is_some_and(|saved| saved.zip(at).is_some_and(|(saved, at)| at > saved))
        };
        let wanted = |step: &Step<'_>, at: Option<&str>| {
            let at = at.and_then(age::parse_time);
            !filtered
                || step.name().is_some_and(|key| is_newer(key, at))
                || !step.deleted().is_empty() && step.deleted().iter().all(|key| is_newer(key, at))
        };
        let source = Arc::clone(journal.source());
        let mut seq = journal.seq;
        journal.read_new(&mut |text, at| {
            let known = text.ok().and_then(line::seq_of).filter(|seq| *seq <= upto);
            if let Some(known) = known {
                seq = seq.max(known);
                return;
            }
            let Some((text, line)) = self.line_of(text) else {
                return;
            };
            if line.changes.is_some() {
                let place = Place {
                    source: &source,
                    text,
                    at,
                };
                let did = self.take_line(&line, &place, wanted);
                self.altered |= foreign && did;
            }
            seq = seq.max(line.seq);
        })?;
        journal.seq = seq;
        Ok(())
    }

    /// Keeps names that another program's file lacks but whose sessions live.
    fn keep_what_lives(&mut self, dir: &Path, before: &Contents) {
        let mut liveness = Liveness::new(dir);
        for (key, stored) in before.records() {
            if !self.contents.contains(key) && view::is_in_use(&stored.head, &mut liveness) {
                self.contents.insert(key.clone(), Entry::Record(stored.clone()));
                self.altered = true;
            }
        }
    }
}

/// Whether a file with the second print is the one with the first. A copy has another time.
fn is_same(known: Option<Print>, print: Option<Print>) -> bool {
    match (known, print) {
        (None, None) => true,
        (Some(known), Some(print)) => (known.size, known.hash) == (print.size, print.hash),
        _ => false,
    }
}
