//! An ordered JSON object whose values stay text.
//!
//! Values are never decoded and come out byte for byte: numbers such as `1e400`, lone surrogate escapes and
//! whatever a later version adds survive every rewrite. Used for records and for the whole file.

use std::fmt;
use std::hash::{Hash, Hasher};

use indexmap::{Equivalent, IndexMap};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Name of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// The decoded name.
    Text(Box<str>),
    /// A name no Rust string can hold (it has a lone surrogate escape): its JSON text, with the quotes.
    Odd(Box<str>),
}

impl Key {
    fn from_literal(literal: &str) -> Self {
        let inner = literal.trim_matches('"');
        if inner.len() + 2 == literal.len() && !inner.contains('\\') {
            return Self::Text(inner.into());
        }
        match serde_json::from_str::<String>(literal) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Odd(literal.into()),
        }
    }

    /// Whether the name is this text.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self, Self::Text(name) if **name == *text)
    }

    /// Appends the name as a JSON string.
    pub(super) fn write_json(&self, out: &mut String) {
        match self {
            Self::Text(text) => write_string(text, out),
            Self::Odd(literal) => out.push_str(literal),
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

// Must hash like the `str` it is looked up by; `Equivalent` tells an odd name from a text that looks the same.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (Self::Text(text) | Self::Odd(text)) = self;
        text.hash(state);
    }
}

impl Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(key, Key::Text(text) if **text == *self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|literal| Self::from_literal(literal.get()))
    }
}

/// The members of a JSON object in their order, each value as its JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Object {
    members: IndexMap<Key, String>,
}

impl Object {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.members.get(name).map(String::as_str)
    }

    /// Sets a member to a text that the caller knows to be one JSON value without white space around it.
    pub(super) fn set(&mut self, name: &str, json: String) {
        match self.members.get_mut(name) {
            Some(value) => *value = json,
            None => {
                self.members.insert(name.into(), json);
            }
        }
    }

    /// The text of a member, which is created with `initial` if absent.
    pub(super) fn text_mut(&mut self, name: &str, initial: &str) -> &mut String {
        let index = match self.members.get_index_of(name) {
            Some(index) => index,
            None => self.members.insert_full(name.into(), initial.to_owned()).0,
        };
        &mut self.members[index]
    }

    /// Sets a member by its key.
    pub(super) fn insert(&mut self, key: Key, json: String) {
        self.members.insert(key, json);
    }

    /// The members in their order.
    pub(super) fn members(&self) -> impl Iterator<Item = (&Key, &str)> {
        self.members.iter().map(|(key, json)| (key, json.as_str()))
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.members.shift_remove(name).is_some()
    }

    /// Sets every member of `other`, new ones at the end.
    pub(super) fn merge(&mut self, other: &Self) {
        for (key, value) in &other.members {
            self.members.insert(key.clone(), value.clone());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// About the length of the JSON text.
    pub(super) fn weight(&self) -> usize {
        self.members
            .iter()
            .map(|(Key::Text(name) | Key::Odd(name), value)| name.len() + value.len() + 4)
            .sum()
    }

    /// Appends the object as JSON on one line, apart from line breaks that its values bring along.
    pub(super) fn write_json(&self, out: &mut String) {
        out.push('{');
        for (index, (key, value)) in self.members.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            key.write_json(out);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    // Of two members with one name the last wins and keeps the first one's place, as in JavaScript.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut members = IndexMap::new();
        while let Some((key, value)) = map.next_entry::<Key, Box<RawValue>>()? {
            members.insert(key, Box::<str>::from(value).into_string());
        }
        Ok(Object { members })
    }
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(text: &str, out: &mut String) {
    if text
        .bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn round_trip(json: &str) -> String {
        let mut out = String::new();
        serde_json::from_str::<Object>(json).unwrap().write_json(&mut out);
        out
    }

    #[test]
    fn values_and_names_survive_byte_for_byte() {
        let json = concat!(
            r#"{"__proto__":{},"n":1e400,"s":"\ud83d","\ud83d":1,"\ude00":2,"":null,"#,
            r#""e":-0.0,"u":"\u00e9é","a":[1, 2 ],"q\"\\\n":true}"#
        );
        assert_eq!(round_trip(json), json);
    }

    #[test]
    fn an_odd_name_is_not_the_text_that_looks_like_it() {
        let object: Object = serde_json::from_str(r#"{"\ud83d":1}"#).unwrap();
        assert_eq!(object.get(r#""\ud83d""#), None);
        assert_eq!(object.get(r"\ud83d"), None);
    }

    #[test]
    fn names_with_quotes_at_their_ends_are_decoded() {
        let object: Object = serde_json::from_str(r#"{"\"":1,"\"a\"":2,"\u0061b":3}"#).unwrap();
        assert_eq!(
            (object.get("\""), object.get("\"a\""), object.get("ab")),
            (Some("1"), Some("2"), Some("3"))
        );
    }

    #[test]
    fn the_last_of_two_members_with_one_name_wins() {
        assert_eq!(round_trip(r#"{"a":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn deep_nesting_is_no_problem() {
        let json = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(round_trip(&json), json);
    }
}
