//! Names and their records as a caller hands them over, to replace the whole contents.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::object::Key;
use super::record::Record;

/// The new contents of `sessions.json`. Values that are not objects are preserved but not treated as records.
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
        // One pass suffices for the usual file; a second one is needed if a value is not an object.
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

    /// Appends the JSON text.
    pub(super) fn write_json(&self, out: &mut String) {
        let mut separator = "";
        out.push('{');
        for (key, entry) in &self.members {
            out.push_str(separator);
            key.write_json(out);
            out.push(':');
            match entry {
                Entry::Record(record) => record.write_json(out),
                Entry::Other(json) => out.push_str(json),
            }
            separator = ",";
        }
        out.push('}');
    }

    /// The approximate length of the JSON text.
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
    fn entries_that_are_no_objects_survive() {
        let json = r#"{"__proto__":{"a":1},"v":2,"n":null,"l":[1e400],"\ud83d":{"b":"\ud83d"}}"#;
        let mut out = String::new();
        Entries::from_json(json).unwrap().write_json(&mut out);
        assert_eq!(out, json);
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
