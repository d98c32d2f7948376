//! What `sessions.json` holds: names and their records, in the file's order.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::object::Key;
use super::record::Record;

/// The contents of `sessions.json`.
///
/// A value that is not an object is no record: it is kept as it is and skipped by everything that looks for
/// records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    members: IndexMap<Key, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Record(Arc<Record>),
    Other(Box<str>),
}

impl Entry {
    fn from_raw(json: &RawValue) -> Self {
        // Only an object parses as a record.
        match Record::from_json(json.get()) {
            Ok(record) => Self::Record(Arc::new(record)),
            Err(_) => Self::Other(json.get().into()),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Record(record) => record.weight(),
            Self::Other(json) => json.len(),
        }
    }
}

impl Entries {
    /// Parses the JSON text of an object.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        // One pass for the usual file; a second one where a value is not an object.
        if let Ok(records) = serde_json::from_str::<IndexMap<Key, Record>>(json) {
            let wrap = |(key, record)| (key, Entry::Record(Arc::new(record)));
            return Ok(Self {
                members: records.into_iter().map(wrap).collect(),
            });
        }
        let values = serde_json::from_str::<IndexMap<Key, &RawValue>>(json)?;
        Ok(Self {
            members: values
                .into_iter()
                .map(|(key, json)| (key, Entry::from_raw(json)))
                .collect(),
        })
    }

    pub(super) fn record(&self, name: &str) -> Option<&Arc<Record>> {
        match self.members.get(name)? {
            Entry::Record(record) => Some(record),
            Entry::Other(_) => None,
        }
    }

    pub(super) fn record_mut(&mut self, name: &str) -> Option<&mut Record> {
        match self.members.get_mut(name)? {
            Entry::Record(record) => Some(Arc::make_mut(record)),
            Entry::Other(_) => None,
        }
    }

    /// Puts a record in its name's place, a new name at the end. Returns the record that was there.
    pub(super) fn insert(&mut self, name: &str, record: Record) -> Option<Arc<Record>> {
        match self
            .members
            .insert(name.into(), Entry::Record(Arc::new(record)))?
        {
            Entry::Record(record) => Some(record),
            Entry::Other(_) => None,
        }
    }

    /// Removes a name. `None` if there was none, `Some(None)` if its value was no record.
    #[expect(
        clippy::option_option,
        reason = "was it there, and was it a record, are two questions"
    )]
    pub(super) fn remove(&mut self, name: &str) -> Option<Option<Arc<Record>>> {
        match self.members.shift_remove(name)? {
            Entry::Record(record) => Some(Some(record)),
            Entry::Other(_) => Some(None),
        }
    }

    /// Removes the records for which `keep` is false (the name is `None` if no Rust string can hold it).
    /// Returns how many.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Option<&str>, &Arc<Record>) -> bool) -> usize {
        let before = self.members.len();
        self.members.retain(|key, entry| match (key, entry) {
            (Key::Text(name), Entry::Record(record)) => keep(Some(name), record),
            (Key::Odd(_), Entry::Record(record)) => keep(None, record),
            (_, Entry::Other(_)) => true,
        });
        before - self.members.len()
    }

    /// The JSON text of the file: one record a line.
    pub(super) fn to_file(&self) -> String {
        self.write_object("\n", |record, out| record.write_json(out))
    }

    /// The JSON text of all entries, each record written by `write`.
    pub(super) fn to_json(&self, write: impl FnMut(&Arc<Record>, &mut String)) -> String {
        self.write_object("", write)
    }

    /// The JSON text of an array of all records, each written by `write`, which also gets its name as JSON.
    pub(super) fn to_json_list(&self, mut write: impl FnMut(&str, &Arc<Record>, &mut String)) -> String {
        let mut out = String::with_capacity(self.weight());
        let mut name = String::new();
        let mut separator = "";
        out.push('[');
        for (key, entry) in &self.members {
            let Entry::Record(record) = entry else { continue };
            name.clear();
            key.write_json(&mut name);
            out.push_str(separator);
            write(&name, record, &mut out);
            separator = ",";
        }
        out.push(']');
        out
    }

    fn write_object(&self, line_break: &str, mut write: impl FnMut(&Arc<Record>, &mut String)) -> String {
        let mut out = String::with_capacity(self.weight());
        let mut separator = "";
        out.push('{');
        for (key, entry) in &self.members {
            out.push_str(separator);
            out.push_str(line_break);
            key.write_json(&mut out);
            out.push(':');
            match entry {
                Entry::Record(record) => write(record, &mut out),
                Entry::Other(json) => out.push_str(json),
            }
            separator = ",";
        }
        out.push_str(line_break);
        out.push('}');
        out.push_str(line_break);
        out
    }

    /// About the length of the JSON text.
    pub(super) fn weight(&self) -> usize {
        let member = |(key, entry): (&Key, &Entry)| {
            let (Key::Text(name) | Key::Odd(name)) = key;
            name.len() + entry.weight() + 5
        };
        self.members.iter().map(member).sum::<usize>() + 4
    }
}

impl FromIterator<(String, Box<RawValue>)> for Entries {
    fn from_iter<I: IntoIterator<Item = (String, Box<RawValue>)>>(entries: I) -> Self {
        let entry = |(name, json): (String, Box<RawValue>)| (Key::from(&*name), Entry::from_raw(&json));
        Self {
            members: entries.into_iter().map(entry).collect(),
        }
    }
}

/// `json` (an object) with a `name` member in front.
pub(super) fn write_named(name: &str, json: &Record, out: &mut String) {
    out.push_str("{\"name\":");
    out.push_str(name);
    if json.is_empty() {
        out.push('}');
        return;
    }
    let start = out.len();
    json.write_json(out);
    out.replace_range(start..=start, ",");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn entries_that_are_no_objects_survive_and_are_no_records() {
        let json = r#"{"__proto__":{"a":1},"v":2,"n":null,"l":[1e400],"\ud83d":{"b":"\ud83d"}}"#;
        let entries = Entries::from_json(json).unwrap();
        assert_eq!(entries.to_json(|record, out| record.write_json(out)), json);
        assert!(entries.record("__proto__").is_some());
        assert!(entries.record("v").is_none());
        let list = entries.to_json_list(|_, record, out| record.write_json(out));
        assert_eq!(list, r#"[{"a":1},{"b":"\ud83d"}]"#);
    }

    #[test]
    fn the_file_has_one_record_a_line() {
        let entries = Entries::from_json(r#"{"a":{"x":1},"b":{}}"#).unwrap();
        assert_eq!(entries.to_file(), "{\n\"a\":{\"x\":1},\n\"b\":{}\n}\n");
        assert_eq!(Entries::from_json(&entries.to_file()).unwrap(), entries);
    }

    #[test]
    fn only_an_object_is_a_store() {
        for json in ["", "[]", "null", "{", "{}x", r#"{"a":}"#, r#"{"a":1,}"#] {
            assert!(Entries::from_json(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_missing_name_is_put_in_front() {
        let mut out = String::new();
        write_named("\"n\"", &Record::from_json(r#"{"a":1}"#).unwrap(), &mut out);
        write_named("\"n\"", &Record::new(), &mut out);
        assert_eq!(out, r#"{"name":"n","a":1}{"name":"n"}"#);
    }
}
