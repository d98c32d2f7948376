//! One session's saved form: its fields in their order, each as JSON text.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::object::Object;

/// A record of `sessions.json`.
///
/// Only fields that are asked for are decoded, and a field of the wrong type reads as absent. All others,
/// unknown ones too, come out as they came in.
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

    /// Sets a field, a new one at the end. What JSON cannot express becomes `null`, as with `JSON.stringify`.
    pub fn set(&mut self, field: &str, value: impl Serialize) {
        let json = serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned());
        self.fields.set(field, json);
    }

    /// Sets a field to a JSON text.
    pub fn set_raw(&mut self, field: &str, value: &RawValue) {
        self.fields.set(field, value.get().to_owned());
    }

    /// Copies the text of one field into another. Does nothing if `from` is absent.
    pub(super) fn copy_field(&mut self, from: &str, to: &str) {
        if let Some(json) = self.fields.get(from).map(str::to_owned) {
            self.fields.set(to, json);
        }
    }

    /// Sets a field to a text that is known to be one JSON value.
    pub(super) fn set_text(&mut self, field: &str, json: String) {
        self.fields.set(field, json);
    }

    /// The fields in their order.
    pub(super) fn fields(&self) -> &Object {
        &self.fields
    }

    /// Removes a field; false if there was none.
    pub fn remove(&mut self, field: &str) -> bool {
        self.fields.remove(field)
    }

    /// Sets every field of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.fields.merge(&other.fields);
    }

    /// Appends to `interactions`, which is created if it is absent or not an array.
    ///
    /// The text is spliced before the closing bracket: the cost does not depend on the array's length.
    pub fn append_interaction(&mut self, interaction: &RawValue) {
        let list = self.fields.text_mut("interactions", "[]");
        if !list.starts_with('[') {
            "[]".clone_into(list);
        }
        list.pop();
        list.truncate(list.trim_end().len());
        // No JSON value ends with an opening bracket, so this one is the array's own.
        if !list.ends_with('[') {
            list.push(',');
        }
        list.push_str(interaction.get());
        list.push(']');
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

    /// About the length of the JSON text.
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

    fn appended(json: &str) -> String {
        let mut record = Record::from_json(json).unwrap();
        record.append_interaction(&RawValue::from_string(r#"{"n":9}"#.to_owned()).unwrap());
        record.get_raw("interactions").unwrap().to_owned()
    }

    #[test]
    fn an_interaction_goes_before_the_closing_bracket() {
        assert_eq!(appended(r#"{"interactions":[]}"#), r#"[{"n":9}]"#);
        assert_eq!(appended(r#"{"interactions":[ ]}"#), r#"[{"n":9}]"#);
        assert_eq!(appended(r#"{"interactions": [1,"]"] }"#), r#"[1,"]",{"n":9}]"#);
        assert_eq!(
            appended("{\"interactions\":[\n  [\n  ]\n]}"),
            "[\n  [\n  ],{\"n\":9}]"
        );
    }

    #[test]
    fn interactions_that_are_no_array_are_replaced() {
        assert_eq!(appended("{}"), r#"[{"n":9}]"#);
        assert_eq!(appended(r#"{"interactions":"[1]"}"#), r#"[{"n":9}]"#);
        assert_eq!(appended(r#"{"interactions":null}"#), r#"[{"n":9}]"#);
    }

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
