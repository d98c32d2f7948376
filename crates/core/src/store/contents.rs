//! The contents of the store in memory: the fields of each record, and of its interactions only the place in the files.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::object::{Key, Members, Object};
use super::record::Record;
use super::source::{History, Place};

/// The field that holds a record's history.
pub(super) const INTERACTIONS: &str = "interactions";

/// Its name as JSON.
pub(super) const INTERACTIONS_JSON: &str = "\"interactions\"";

/// Names and their values, in the file's order.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    members: IndexMap<Key, Entry>,
}

/// The value of a name.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Record(Stored),
    /// A value that is not an object. It is preserved but not treated as a record.
    Other(Arc<str>),
}

/// A record. Cheap to clone, unless many of its interactions are not folded yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    /// All fields. `interactions` is `[]` if `history` has them.
    pub(super) head: Arc<Record>,
    pub(super) history: History,
}

/// Undoes a change. Changes are undone in reverse order.
#[derive(Debug)]
pub(super) enum Undo {
    Entry(Key, Option<Entry>),
    Head(Key, Arc<Record>),
    Turn(Key, Arc<Record>, usize),
    Removed(usize, Key, Entry),
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
}

impl Stored {
    /// Reads an object, which must be a part of `place`.
    pub(super) fn parse(json: &str, place: &Place<'_>) -> Option<Self> {
        let Members(mut members) = serde_json::from_str(json).ok()?;
        let history = take_history(&mut members, place).unwrap_or_default();
        let head = Arc::new(members.into_iter().collect::<Object>().into());
        Some(Self { head, history })
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
    pub(super) fn insert(&mut self, key: Key, entry: Entry) -> Option<Entry> {
        self.members.insert(key, entry)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Stored> {
        match self.members.get(name)? {
            Entry::Record(stored) => Some(stored),
            Entry::Other(_) => None,
        }
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.members.contains_key(key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.members.iter()
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.members.values_mut()
    }

    /// All records, in the file's order.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.members.iter().filter_map(|(key, entry)| match entry {
            Entry::Record(stored) => Some((key, stored)),
            Entry::Other(_) => None,
        })
    }

    /// Puts a record under its name; a new name goes to the end.
    pub(super) fn put(&mut self, key: Key, record: &str, place: &Place<'_>) -> Option<Undo> {
        let stored = Stored::parse(record, place)?;
        let before = self.members.insert(key.clone(), Entry::Record(stored));
        Some(Undo::Entry(key, before))
    }

    /// Sets fields of a record, and creates the record if it does not exist.
    pub(super) fn merge(&mut self, key: Key, fields: &str, place: &Place<'_>) -> Option<Undo> {
        let Some(Entry::Record(stored)) = self.members.get_mut(&key) else {
            return self.put(key, fields, place);
        };
        let (before, head) = (stored.history.clone_if(fields), Arc::clone(&stored.head));
        if !stored.merge(fields, place) {
            return None;
        }
        Some(match before {
            None => Undo::Head(key, head),
            Some(history) => Undo::Entry(key, Some(Entry::Record(Stored { head, history }))),
        })
    }

    /// Adds an interaction to an existing record, and sets fields.
    pub(super) fn turn(
        &mut self,
        key: Key,
        interaction: &str,
        fields: &str,
        keep: Option<usize>,
        place: &Place<'_>,
    ) -> Option<Undo> {
        let Some(Entry::Record(stored)) = self.members.get_mut(&key) else {
            return None;
        };
        let bounded = keep.is_some() || !stored.history.keeps_all();
        let before = bounded.then(|| Entry::Record(stored.clone()));
        let (head, pieces) = (Arc::clone(&stored.head), stored.history.pieces());
        stored.add(interaction, place, keep);
        stored.merge(fields, place);
        Some(match before {
            Some(before) => Undo::Entry(key, Some(before)),
            None => Undo::Turn(key, head, pieces),
        })
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Undo> {
        let (index, key, entry) = self.members.shift_remove_full(key)?;
        Some(Undo::Removed(index, key, entry))
    }

    /// Replaces everything by the members of an object, which must be a part of `place`.
    pub(super) fn replace(&mut self, all: &str, place: &Place<'_>) -> Option<Undo> {
        let members = serde_json::from_str::<IndexMap<Key, &RawValue>>(all).ok()?;
        let entry = |(key, json): (Key, &RawValue)| (key, Entry::parse(json.get(), place));
        let new = Self {
            members: members.into_iter().map(entry).collect(),
        };
        Some(Undo::All(std::mem::replace(self, new)))
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Entry(key, Some(before)) => {
                self.members.insert(key, before);
            }
            Undo::Entry(key, None) => {
                self.members.shift_remove(&key);
            }
            Undo::Head(key, head) => {
                if let Some(Entry::Record(stored)) = self.members.get_mut(&key) {
                    stored.head = head;
                }
            }
            Undo::Turn(key, head, pieces) => {
                if let Some(Entry::Record(stored)) = self.members.get_mut(&key) {
                    stored.head = head;
                    stored.history.cut_back(pieces);
                }
            }
            Undo::Removed(index, key, entry) => {
                self.members.shift_insert(index, key, entry);
            }
            Undo::All(before) => *self = before,
        }
    }
}
