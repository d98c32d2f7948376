//! The contents of the store in memory: the fields of each record, and of its interactions only the place in the files.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::digest::Digest;
use super::object::{Key, Members, Object};
use super::record::Record;
use super::source::{History, Out, Place, Source};

/// The field that holds a record's history.
pub(super) const INTERACTIONS: &str = "interactions";

/// Its name as JSON.
const INTERACTIONS_JSON: &str = "\"interactions\"";

/// Names and their values, in the order in which they came. Each change costs the same, however many there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    places: IndexMap<Key, u64>,
    members: BTreeMap<u64, (Key, Entry)>,
    next: u64,
    /// Sessions whose records were deleted here while they lived: they do not write their records anew.
    pub(super) ended: BTreeSet<Box<str>>,
}

/// The value of a name. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Record(Stored),
    /// A value that is not an object. It is preserved but not treated as a record.
    Other(Arc<str>),
}

/// A record.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    /// All fields. `interactions` is `[]` if `history` has them.
    pub(super) head: Arc<Record>,
    pub(super) history: History,
    /// The digest of the whole, once it was computed.
    digest: Arc<OnceLock<u64>>,
}

/// Undoes a change. Changes are undone in reverse order.
#[derive(Debug)]
pub(super) enum Undo {
    Entry(Key, u64, Option<Entry>),
    All(Contents),
}

impl Entry {
    /// Reads a value of the file or of a journal line.
    pub(super) fn parse(json: &str, place: &Place<'_>) -> Self {
        match Stored::parse(json, place) {
            Some(stored) => Self::Record(stored),
            None => Self::Other(json.into()),
        }
    }

    /// Writes the JSON; returns where in it the elements of the history are.
    pub(super) fn write(&self, out: &mut Out<'_>) -> io::Result<Range<u64>> {
        match self {
            Self::Other(json) => out(json.as_bytes()).map(|()| 0..0),
            Self::Record(stored) => stored.write(out),
        }
    }

    /// What the value means.
    pub(super) fn digest(&self) -> io::Result<u64> {
        let stored = match self {
            Self::Other(json) => return Ok(Digest::of(json)),
            Self::Record(stored) => stored,
        };
        if let Some(known) = stored.digest.get() {
            return Ok(*known);
        }
        let digest = stored.compute_digest()?;
        Ok(*stored.digest.get_or_init(|| digest))
    }

    /// Notes the digest, which the reader of a whole text has computed.
    pub(super) fn know(&self, digest: u64) {
        if let Self::Record(stored) = self {
            // It is the first to know.
            let _ = stored.digest.set(digest);
        }
    }

    /// Notes that the history is now at a range of another source, too.
    pub(super) fn refer(&mut self, source: &Arc<Source>, range: &Range<u64>) {
        if let Self::Record(stored) = self {
            stored.history = stored.history.moved(source, range);
        }
    }
}

impl Stored {
    /// Reads an object, which must be a part of `place`.
    fn parse(json: &str, place: &Place<'_>) -> Option<Self> {
        let Members(mut members) = serde_json::from_str(json).ok()?;
        let history = take_history(&mut members, place).unwrap_or_default();
        let head = Arc::new(members.into_iter().collect::<Object>().into());
        Some(Self {
            head,
            history,
            ..Self::default()
        })
    }

    /// The record with its interactions. `head` may be another view of it.
    pub(super) fn whole(&self, head: &Arc<Record>) -> io::Result<Arc<Record>> {
        if self.history.is_empty() {
            return Ok(Arc::clone(head));
        }
        let mut record = Record::clone(head);
        record.set_text(INTERACTIONS, &self.history.text()?);
        Ok(Arc::new(record))
    }

    fn write(&self, out: &mut Out<'_>) -> io::Result<Range<u64>> {
        let (mut text, mut written, mut range) = (String::new(), 0, 0..0);
        let mut separator = '{';
        for (name, json) in self.head.fields().members() {
            text.push(separator);
            separator = ',';
            text.push_str(name);
            text.push(':');
            if name != INTERACTIONS_JSON || self.history.is_empty() {
                text.push_str(json);
                continue;
            }
            text.push('[');
            out(text.as_bytes())?;
            written += text.len() as u64;
            text.clear();
            let start = written;
            self.history.write(&mut |bytes| {
                written += bytes.len() as u64;
                out(bytes)
            })?;
            range = start..written;
            text.push(']');
        }
        text.push_str(if separator == '{' { "{}" } else { "}" });
        out(text.as_bytes())?;
        Ok(range)
    }

    fn compute_digest(&self) -> io::Result<u64> {
        let mut digest = Digest::default();
        digest.feed(b"{");
        for (name, json) in self.head.fields().members() {
            digest.feed(name.as_bytes());
            digest.feed(b":");
            if name == INTERACTIONS_JSON && !self.history.is_empty() {
                digest.put_list(self.history.sum()?);
            } else {
                digest.feed(json.as_bytes());
            }
            digest.feed(b",");
        }
        digest.feed(b"}");
        Ok(digest.finish())
    }

    /// Sets the fields of an object, which must be a part of `place`. False if it is not an object.
    fn merge(&mut self, json: &str, place: &Place<'_>) -> bool {
        let Ok(Members(mut members)) = serde_json::from_str(json) else {
            return false;
        };
        if let Some(history) = take_history(&mut members, place) {
            self.history = history;
        }
        let head = Arc::make_mut(&mut self.head).fields_mut();
        for (name, value) in members {
            head.put(&name, value);
        }
        head.compact();
        self.digest = Arc::default();
        true
    }

    fn add(&mut self, interaction: &str, place: &Place<'_>, keep: Option<usize>) {
        let is_list = |json: &str| json.starts_with('[');
        if !self.head.get_raw(INTERACTIONS).is_some_and(is_list) {
            Arc::make_mut(&mut self.head).set_text(INTERACTIONS, "[]");
        }
        self.history.push(interaction, place, keep);
    }
}

/// Takes the interactions out of members and leaves an empty list. `None` if there is no such field.
fn take_history(members: &mut [(Cow<'_, str>, &str)], place: &Place<'_>) -> Option<History> {
    let mut history = None;
    for (_, value) in members.iter_mut().filter(|(name, _)| name == INTERACTIONS_JSON) {
        // If there are several, the last one counts.
        if value.starts_with('[') {
            history = Some(History::of_array(value, place));
            *value = "[]";
        } else {
            history = Some(History::default());
        }
    }
    history
}

impl Contents {
    pub(super) fn entry(&self, key: &Key) -> Option<&Entry> {
        Some(&self.members.get(self.places.get(key)?)?.1)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Stored> {
        match &self.members.get(self.places.get(name)?)?.1 {
            Entry::Record(stored) => Some(stored),
            Entry::Other(_) => None,
        }
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.members.values().map(|(key, entry)| (key, entry))
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.members.values_mut().map(|(_, entry)| entry)
    }

    /// All records, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.entries().filter_map(|(key, entry)| match entry {
            Entry::Record(stored) => Some((key, stored)),
            Entry::Other(_) => None,
        })
    }

    /// Sets or removes a name; a new one goes to the end.
    pub(super) fn set(&mut self, key: &Key, entry: Option<Entry>) -> Undo {
        let Some(entry) = entry else {
            let place = self.places.swap_remove(key).unwrap_or_default();
            let before = self.members.remove(&place).map(|(_, entry)| entry);
            return Undo::Entry(key.clone(), place, before);
        };
        let place = self.places.get(key).copied().unwrap_or_else(|| {
            self.next += 1;
            self.places.insert(key.clone(), self.next);
            self.next
        });
        let before = self.members.insert(place, (key.clone(), entry));
        Undo::Entry(key.clone(), place, before.map(|(_, entry)| entry))
    }

    /// Sets fields of a record, and creates the record if it does not exist.
    pub(super) fn merge(&mut self, key: &Key, fields: &str, place: &Place<'_>) -> Option<Undo> {
        let Some((at, stored)) = self.record_mut(key) else {
            let stored = Stored::parse(fields, place)?;
            return Some(self.set(key, Some(Entry::Record(stored))));
        };
        let before = stored.clone();
        let merged = stored.merge(fields, place);
        merged.then(|| Undo::Entry(key.clone(), at, Some(Entry::Record(before))))
    }

    /// Adds an interaction to an existing record, and sets fields.
    pub(super) fn turn(
        &mut self,
        key: &Key,
        interaction: &str,
        fields: &str,
        keep: Option<usize>,
        place: &Place<'_>,
    ) -> Option<Undo> {
        let (at, stored) = self.record_mut(key)?;
        let before = stored.clone();
        stored.add(interaction, place, keep);
        stored.merge(fields, place);
        Some(Undo::Entry(key.clone(), at, Some(Entry::Record(before))))
    }

    fn record_mut(&mut self, key: &Key) -> Option<(u64, &mut Stored)> {
        let place = *self.places.get(key)?;
        match self.members.get_mut(&place) {
            Some((_, Entry::Record(stored))) => Some((place, stored)),
            _ => None,
        }
    }

    /// Replaces everything by the members of an object, which must be a part of `place`.
    pub(super) fn replace(&mut self, all: &str, place: &Place<'_>) -> Option<Undo> {
        let members = serde_json::from_str::<IndexMap<Key, &RawValue>>(all).ok()?;
        let ended = self.ended.clone();
        let before = std::mem::replace(
            self,
            Self {
                ended,
                ..Self::default()
            },
        );
        for (key, json) in members {
            self.set(&key, Some(Entry::parse(json.get(), place)));
        }
        Some(Undo::All(before))
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Entry(key, place, Some(before)) => {
                self.places.insert(key.clone(), place);
                self.members.insert(place, (key, before));
            }
            Undo::Entry(key, place, None) => {
                self.places.swap_remove(&key);
                self.members.remove(&place);
            }
            Undo::All(before) => *self = before,
        }
    }
}
