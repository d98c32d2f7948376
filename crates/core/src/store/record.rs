//! One session's saved form: its fields in their order, as JSON text.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::object::Object;

/// A record of `sessions.json`.
///
/// Only requested fields are decoded, and a field of the wrong type reads as absent. All other fields, including unknown
/// ones, come out as they came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    fields: Object,
}

impl Record {
    /// A record without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the JSON text of an object.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The JSON text of a field.
    #[must_use]
    pub fn get_raw(&self, field: &str) -> Option<&str> {
        self.fields.get(field)
    }

    /// The decoded value of a field, unless it is absent or of another type.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        serde_json::from_str(self.fields.get(field)?).ok()
    }

    /// A field that is a string without lone surrogates.
    #[must_use]
    pub fn get_str(&self, field: &str) -> Option<String> {
        self.get(field)
    }

    /// A field that is a number within the range of `f64`.
    #[must_use]
    pub fn get_f64(&self, field: &str) -> Option<f64> {
        self.get(field)
    }

    /// A field that is a non-negative integer.
    #[must_use]
    pub fn get_u64(&self, field: &str) -> Option<u64> {
        self.get(field)
    }

    /// Whether the status says that the session is over. If so, its name is free.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let status = self.get_str("status");
        matches!(status.as_deref(), Some("stopped" | "killed" | "failed"))
    }

    /// Sets a field; a new one goes to the end. A value that JSON cannot express becomes `null`, as with `JSON.stringify`.
    pub fn set(&mut self, field: &str, value: impl Serialize) {
        let json = serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned());
        self.fields.set(field, &json);
    }

    /// Sets a field to a JSON text.
    pub fn set_raw(&mut self, field: &str, value: &RawValue) {
        self.fields.set(field, value.get());
    }

    /// Copies the text of one field into another. Does nothing if `from` is absent.
    pub(super) fn copy_field(&mut self, from: &str, to: &str) {
        if let Some(json) = self.fields.get(from).map(str::to_owned) {
            self.fields.set(to, &json);
        }
    }

    /// Sets a field to a text that is known to be one JSON value.
    pub(super) fn set_text(&mut self, field: &str, json: &str) {
        self.fields.set(field, json);
    }

    /// The fields in their order.
    pub(super) fn fields(&self) -> &Object {
        &self.fields
    }

    pub(super) fn fields_mut(&mut self) -> &mut Object {
        &mut self.fields
    }

    /// Removes a field; false if there was none.
    pub fn remove(&mut self, field: &str) -> bool {
        self.fields.remove(field)
    }

    /// Sets every field of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.fields.merge(&other.fields);
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(self.weight());
        self.write_json(&mut out);
        out
    }

    /// Appends the JSON text.
    pub(super) fn write_json(&self, out: &mut String) {
        self.fields.write_json(out);
    }

    /// The length of the JSON text.
    pub(super) fn weight(&self) -> usize {
        self.fields.weight() + 2
    }
}

impl From<Object> for Record {
    fn from(fields: Object) -> Self {
        Self { fields }
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(|fields| Self { fields })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_field_of_the_wrong_type_reads_as_absent() {
        let record = Record::from_json(r#"{"a":5,"b":"x","c":"\ud83d","d":1e400,"e":-1}"#).unwrap();
        assert_eq!(record.get_str("a"), None);
        assert_eq!(record.get_f64("b"), None);
        assert_eq!(record.get_str("c"), None);
        assert_eq!(record.get_f64("d"), None);
        assert_eq!(record.get_u64("e"), None);
        assert_eq!(record.get_f64("a"), Some(5.0));
        assert_eq!(record.get_raw("d"), Some("1e400"));
    }

    #[test]
    fn set_keeps_the_place_of_a_field() {
        let mut record = Record::from_json(r#"{"a":1,"b":2}"#).unwrap();
        record.set("a", "x");
        record.set("c", f64::NAN);
        assert!(record.remove("b"));
        assert_eq!(record.to_json(), r#"{"a":"x","c":null}"#);
    }
}
