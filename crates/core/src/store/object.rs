//! An ordered JSON object that stays text.
//!
//! Values are never decoded and come out byte for byte: numbers such as `1e400`, lone surrogate escapes and
//! whatever a later version adds survive every rewrite. An object is one text and the positions of its members. A record
//! has some 25 short members and is copied at each change; searching it from the beginning is faster than hashing.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::{Equivalent, IndexMap};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Spare bytes that an object may keep for later changes.
const SPARE_BYTES: usize = 128;

/// From this number of members on, duplicate names are found by hashing.
const MANY_MEMBERS: usize = 64;

/// Name of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// The decoded name.
    Text(Arc<str>),
    /// A name that no Rust string can hold (it has a lone surrogate escape): its JSON text, with the quotes.
    Odd(Arc<str>),
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

// Must hash like the `str` that looks it up; `Equivalent` distinguishes an odd name from a text that looks the same.
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

/// The members of a JSON object in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Object {
    /// The members as JSON, each name as [`Key::write_json`] writes it: `"a":1,"b":[2]`.
    text: String,
    members: Vec<Member>,
}

/// The position of a member in the text. It begins after the comma of the member before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    name_end: usize,
    end: usize,
}

impl Object {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.find(&literal(name)).map(|index| self.value(index))
    }

    /// Sets a member to a text that the caller knows to be one JSON value without white space around it.
    pub(super) fn set(&mut self, name: &str, json: &str) {
        self.put(&literal(name), json);
    }

    /// Sets a member by its name as JSON, in the form that [`Members`] has.
    pub(super) fn put(&mut self, name: &str, json: &str) {
        match self.find(name) {
            Some(index) => self.replace(index, json),
            None => self.push(name, json),
        }
    }

    fn push(&mut self, name: &str, json: &str) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push(':');
        self.text.push_str(json);
        let end = self.text.len();
        self.members.push(Member { name_end, end });
    }

    fn replace(&mut self, index: usize, json: &str) {
        let Member { name_end, end } = self.members[index];
        self.text.replace_range(name_end + 1..end, json);
        let new_end = name_end + 1 + json.len();
        if new_end != end {
            self.members[index].end = new_end;
            for member in &mut self.members[index + 1..] {
                member.name_end = member.name_end - end + new_end;
                member.end = member.end - end + new_end;
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(index) = self.find(&literal(name)) else {
            return false;
        };
        let (start, removed) = (self.start(index), self.members.remove(index));
        // Its comma goes too: the one after it or, for the last member, the one before it.
        let gap = if index == self.members.len() {
            start.saturating_sub(1)..removed.end
        } else {
            start..removed.end + 1
        };
        self.text.replace_range(gap.clone(), "");
        for member in &mut self.members[index..] {
            member.name_end -= gap.len();
            member.end -= gap.len();
        }
        true
    }

    /// The members in their order: their names as JSON, and their values.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.members.len()).map(|index| (self.name(index), self.value(index)))
    }

    /// Sets every member of `other`, new ones at the end.
    pub(super) fn merge(&mut self, other: &Self) {
        for (name, json) in other.members() {
            self.put(name, json);
        }
    }

    /// Releases spare memory that changes have left, if it is much.
    pub(super) fn compact(&mut self) {
        if self.text.capacity() - self.text.len() > SPARE_BYTES {
            self.text.shrink_to_fit();
        }
        self.members.shrink_to_fit();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The length of the JSON text.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + 2
    }

    /// Appends the object as JSON on one line, apart from line breaks that its values bring along.
    pub(super) fn write_json(&self, out: &mut String) {
        out.push('{');
        out.push_str(&self.text);
        out.push('}');
    }

    fn find(&self, name: &str) -> Option<usize> {
        let mut start = 0;
        self.members.iter().position(|member| {
            let found = self.text[start..member.name_end] == *name;
            start = member.end + 1;
            found
        })
    }

    fn start(&self, index: usize) -> usize {
        match index {
            0 => 0,
            _ => self.members[index - 1].end + 1,
        }
    }

    fn name(&self, index: usize) -> &str {
        &self.text[self.start(index)..self.members[index].name_end]
    }

    fn value(&self, index: usize) -> &str {
        &self.text[self.members[index].name_end + 1..self.members[index].end]
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{{{}}}", self.text)
    }
}

// If two members have one name, the last value wins and keeps the first one's position, as in JavaScript.
impl<'a> FromIterator<(Cow<'a, str>, &'a str)> for Object {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, &'a str)>>(members: I) -> Self {
        let members: Vec<_> = members.into_iter().collect();
        let mut object = Self {
            text: String::with_capacity(
                members
                    .iter()
                    .map(|(name, json)| name.len() + json.len() + 2)
                    .sum(),
            ),
            members: Vec::with_capacity(members.len()),
        };
        if members.len() < MANY_MEMBERS {
            for (name, json) in members {
                object.put(&name, json);
            }
        } else {
            let unique: IndexMap<_, _> = members.into_iter().collect();
            for (name, json) in unique {
                object.push(&name, json);
            }
        }
        object
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Members::deserialize(deserializer).map(|members| members.0.into_iter().collect())
    }
}

/// The members of an object in order: names as JSON, in the form in which an [`Object`] keeps them.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, json)) = map.next_entry::<&RawValue, &RawValue>()? {
            members.push((canonical(name.get()), json.get()));
        }
        Ok(Members(members))
    }
}

/// A name in JSON as an [`Object`] keeps it.
fn canonical(name: &str) -> Cow<'_, str> {
    // JSON has no control characters in a string, and no quotes without a backslash.
    if !name.contains('\\') {
        return Cow::Borrowed(name);
    }
    let mut out = String::new();
    Key::from_literal(name).write_json(&mut out);
    Cow::Owned(out)
}

/// A name as JSON.
pub(super) fn literal(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    write_string(name, &mut out);
    out
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
    fn the_last_of_two_among_many_wins_too() {
        let members = |last: usize| {
            let members = (0..MANY_MEMBERS).map(|n| format!("\"m{n}\":{}", if n == 5 { last } else { n }));
            members.collect::<Vec<_>>().join(",")
        };
        let json = format!("{{{},\"m5\":77}}", members(5));
        assert_eq!(round_trip(&json), format!("{{{}}}", members(77)));
    }

    #[test]
    fn members_are_set_and_removed_at_every_place() {
        let object = |json: &str| serde_json::from_str::<Object>(json).unwrap();
        for index in 0..3 {
            let name = ["a", "b", "c"][index];
            for value in ["2", "\"longer\"", ""] {
                let mut changed = object(r#"{"a":10,"b":10,"c":10}"#);
                changed.set(name, value);
                let values: Vec<_> = changed.members().map(|(_, value)| value.to_owned()).collect();
                let expected: Vec<_> = (0..3).map(|n| if n == index { value } else { "10" }).collect();
                assert_eq!(values, expected);
                assert!(changed.remove(name));
                assert!(!changed.remove(name));
                let others = r#"{"a":10,"b":10,"c":10}"#.replace(&format!("\"{name}\":10"), "");
                assert_eq!(
                    changed,
                    object(&others.replace(",,", ",").replace("{,", "{").replace(",}", "}"))
                );
            }
        }
        let mut alone = object(r#"{"a":1}"#);
        assert!(alone.remove("a") && alone.is_empty());
        alone.set("z", "1");
        assert_eq!(alone, object(r#"{"z":1}"#));
    }

    #[test]
    fn deep_nesting_is_no_problem() {
        let json = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(round_trip(&json), json);
    }
}
