//! What `sessions.json` was written with, and what a file that another program wrote means: a merge of three.
//!
//! Of each export the digests of the records are known. A record of the file that has the digest of our last export was not
//! changed by the other program. One that has the digest of an export that was replaced a moment ago was not changed either:
//! the program had read the file before. Everything else in the file is the other program's work.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::time::Instant;

use indexmap::IndexMap;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::contents::{Contents, Entry};
use super::object::Key;
use super::record::Record;
use super::stamp::Stamp;
use crate::limits;

/// Digests of records by name; `None` where a record is gone.
pub(super) type Digests<T> = IndexMap<Key, T>;

/// An export, by what is different from the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Export {
    pub(super) number: u64,
    /// The last change that it contains.
    pub(super) upto: u64,
    #[serde(serialize_with = "digests")]
    records: Digests<Option<u64>>,
}

/// Says that the file has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exported {
    pub(super) number: u64,
    pub(super) stamp: Option<Stamp>,
}

/// What is known of the exports.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Exports {
    number: u64,
    /// The last change that `sessions.json` contains.
    pub(super) upto: u64,
    /// The file of the last export as it was right after.
    pub(super) stamp: Option<Stamp>,
    #[serde(serialize_with = "digests")]
    records: Digests<u64>,
    /// Announced, and perhaps never made: the writer may have died.
    #[serde(default)]
    begun: Vec<Export>,
    /// What the last exports have replaced.
    #[serde(default)]
    replaced: VecDeque<Replaced>,
}

/// What an export has replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Replaced {
    number: u64,
    /// When this process saw that.
    #[serde(skip, default = "Instant::now")]
    at: Instant,
    /// Whether the export was found in the journal when it was opened, so that it may be of any age.
    #[serde(skip)]
    was_found: bool,
    #[serde(serialize_with = "digests")]
    records: Digests<Option<u64>>,
}

/// Names may hold what no Rust string can.
fn digests<S: Serializer, T: Serialize>(records: &Digests<T>, to: S) -> Result<S::Ok, S::Error> {
    let mut json = String::from("{");
    for (key, digest) in records {
        json.push_str(if json.len() > 1 { "," } else { "" });
        key.write_json(&mut json);
        json.push(':');
        json.push_str(&serde_json::to_string(digest).map_err(S::Error::custom)?);
    }
    json.push('}');
    let raw = RawValue::from_string(json).map_err(S::Error::custom)?;
    raw.serialize(to)
}

/// What a file of another program means.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Records that the other program has changed, made or (`None`) deleted.
    pub(super) taken: Vec<(Key, Option<Entry>)>,
    /// Its version of records that have changed here, too: ours stay.
    pub(super) refused: Vec<(Key, Entry)>,
    /// The file as if it were an export.
    pub(super) export: Export,
    /// Whether the file says all that is known here.
    pub(super) is_complete: bool,
}

impl Exports {
    /// A file that was never announced, as an export without changes.
    pub(super) fn of(file: &Contents, stamp: Stamp) -> io::Result<Self> {
        let mut exports = Self::default();
        let export = exports.next(0, &digests_of(file)?);
        let number = export.number;
        exports.begin(export);
        exports.done(Exported {
            number,
            stamp: Some(stamp),
        });
        exports.replaced.clear();
        Ok(exports)
    }

    /// The export that would make the file hold these digests.
    pub(super) fn next(&self, upto: u64, digests: &Digests<u64>) -> Export {
        let changed = digests
            .iter()
            .filter(|(key, digest)| self.records.get(*key) != Some(*digest))
            .map(|(key, digest)| (key.clone(), Some(*digest)));
        let gone = self.records.keys().filter(|key| !digests.contains_key(*key));
        let records = changed.chain(gone.map(|key| (key.clone(), None))).collect();
        let begun = self.begun.iter().map(|export| export.number).max();
        Export {
            number: begun.unwrap_or(0).max(self.number) + 1,
            upto,
            records,
        }
    }

    /// Notes that an export is about to be made.
    pub(super) fn begin(&mut self, export: Export) {
        if export.number > self.number {
            self.begun.push(export);
        }
    }

    /// Notes that an export has its name.
    pub(super) fn done(&mut self, exported: Exported) {
        let Some(at) = self
            .begun
            .iter()
            .position(|export| export.number == exported.number)
        else {
            return;
        };
        let export = self.begun.swap_remove(at);
        self.begun.clear();
        (self.number, self.upto, self.stamp) = (export.number, export.upto, exported.stamp);
        let mut replaced = Digests::default();
        for (key, digest) in export.records {
            let before = match digest {
                Some(digest) => self.records.insert(key.clone(), digest),
                None => self.records.swap_remove(&key),
            };
            replaced.insert(key, before);
        }
        self.forget_old();
        self.replaced.push_back(Replaced {
            number: export.number,
            at: Instant::now(),
            was_found: false,
            records: replaced,
        });
    }

    /// Forgets what no foreign program can have read any more.
    pub(super) fn forget_old(&mut self) {
        let is_over = |replaced: &Replaced| replaced.at.elapsed() > limits::STORE_FOREIGN_WINDOW;
        while self.replaced.len() >= limits::STORE_FOREIGN_EXPORTS
            || self.replaced.front().is_some_and(is_over)
        {
            self.replaced.pop_front();
        }
    }

    /// Keeps what was known of the exports before the journal was read from its beginning.
    pub(super) fn remember(&mut self, before: &mut Self) {
        let known = before.number;
        self.replaced.retain(|replaced| replaced.number > known);
        for replaced in &mut self.replaced {
            replaced.was_found = before.is_empty();
        }
        let mut all = std::mem::take(&mut before.replaced);
        all.append(&mut self.replaced);
        self.replaced = all;
    }

    /// Whether nothing was exported since.
    pub(super) fn is_same(&self, before: &Self) -> bool {
        self.number == before.number
    }

    /// Whether anything was ever exported.
    pub(super) fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// What the records of the file mean, given the records as they are here.
    pub(super) fn judge(
        &self,
        file: &Contents,
        here: &Contents,
        mut is_live: impl FnMut(&Record) -> bool,
    ) -> io::Result<Verdict> {
        let digests = digests_of(file)?;
        let earlier = self.earlier(&digests);
        let (mut taken, mut refused, mut differs) = (Vec::new(), Vec::new(), false);
        for (key, entry) in file.entries() {
            let theirs = digests[key];
            let ours = here.entry(key).map(Entry::digest).transpose()?;
            let exported = earlier.read(key, self);
            if ours == Some(theirs) {
                continue;
            }
            if exported == Some(theirs) || earlier.has(key, theirs) {
                differs = true;
            } else if exported == ours {
                taken.push((key.clone(), Some(entry.clone())));
            } else {
                refused.push((key.clone(), entry.clone()));
            }
        }
        for (key, entry) in here.entries() {
            if digests.contains_key(key) {
                continue;
            }
            let exported = earlier.read(key, self).filter(|_| !earlier.unsure.contains(key));
            let is_unchanged = exported == Some(entry.digest()?);
            if is_unchanged && !matches!(entry, Entry::Record(stored) if is_live(&stored.head)) {
                taken.push((key.clone(), None));
            } else {
                differs = true;
            }
        }
        Ok(Verdict {
            is_complete: !differs && refused.is_empty(),
            taken,
            refused,
            export: self.next(0, &digests),
        })
    }

    /// Whether the file is just an earlier export, of the time before this process started: somebody has put a backup back.
    fn is_put_back(&self, file: &Digests<u64>) -> bool {
        let changed = self
            .records
            .iter()
            .filter(|(key, digest)| file.get(*key) != Some(*digest));
        let news = file.keys().filter(|key| !self.records.contains_key(*key));
        let mut differs: HashSet<&Key> = changed.map(|(key, _)| key).chain(news).collect();
        self.replaced.iter().rev().any(|replaced| {
            for (key, before) in &replaced.records {
                if *before == file.get(key).copied() {
                    differs.remove(key);
                } else {
                    differs.insert(key);
                }
            }
            replaced.was_found && differs.is_empty() && !file.is_empty()
        })
    }

    /// The exports that the writer of the file may have read in place of the last one.
    fn earlier(&self, file: &Digests<u64>) -> Earlier {
        let mut earlier = Earlier::default();
        if self.is_put_back(file) {
            return earlier;
        }
        for export in &self.begun {
            for (key, digest) in &export.records {
                earlier.add(key, *digest);
                if !self.records.contains_key(key) {
                    earlier.unsure.insert(key.clone());
                }
            }
        }
        let mut then: HashMap<&Key, Option<u64>> = HashMap::new();
        for replaced in self.replaced.iter().rev() {
            let held = |key| {
                then.get(key)
                    .copied()
                    .unwrap_or_else(|| self.records.get(key).copied())
            };
            // What was new in an export shows that the writer has read that one or a later one.
            let is_from = |key| held(key).is_some() && held(key) == file.get(key).copied();
            let was_read = replaced.records.keys().any(is_from);
            if was_read || replaced.at.elapsed() > limits::STORE_FOREIGN_WINDOW {
                break;
            }
            // What it has of an earlier one shows that the writer has not read this one.
            let is_older =
                |(key, before): (&Key, &Option<u64>)| before.is_some() && *before == file.get(key).copied();
            if replaced.records.iter().any(is_older) {
                earlier.unsure.clear();
                earlier.base = then
                    .iter()
                    .map(|(key, digest)| (Key::clone(key), *digest))
                    .collect();
                let records = replaced.records.iter();
                earlier
                    .base
                    .extend(records.map(|(key, digest)| (key.clone(), *digest)));
            }
            for (key, before) in &replaced.records {
                earlier.add(key, *before);
                // Who has read an older version, or none, did not mean this one.
                earlier.unsure.insert(key.clone());
                then.insert(key, *before);
            }
        }
        earlier
    }
}

pub(super) fn digests_of(contents: &Contents) -> io::Result<Digests<u64>> {
    let digest = |(key, entry): (&Key, &Entry)| Ok((key.clone(), entry.digest()?));
    contents.entries().map(digest).collect()
}

/// What earlier exports held and lacked.
#[derive(Default)]
struct Earlier {
    /// All digests that records had in them.
    known: HashSet<(Key, u64)>,
    /// Records that were different, or not there, in one of those that the writer of the file may have read.
    unsure: HashSet<Key>,
    /// What is different in the newest of those.
    base: HashMap<Key, Option<u64>>,
}

impl Earlier {
    fn add(&mut self, key: &Key, digest: Option<u64>) {
        match digest {
            Some(digest) => self.known.insert((key.clone(), digest)),
            None => self.unsure.insert(key.clone()),
        };
    }

    /// What the writer of the file has read at the best.
    fn read(&self, key: &Key, last: &Exports) -> Option<u64> {
        let base = self.base.get(key).copied();
        base.unwrap_or_else(|| last.records.get(key).copied())
    }

    fn has(&self, key: &Key, digest: u64) -> bool {
        self.known.contains(&(key.clone(), digest))
    }
}
