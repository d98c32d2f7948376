//! The lines of the journal, each one JSON object.
//!
//! ```json
//! {"clearctx":2,"id":"<uuid>","upto":7,"start":4711}
//! {"put":"a","record":{"name":"a"}}
//! {"exports":{"number":3,"upto":7,"stamp":null,"records":{"a":77}},"ended":[]}
//! {"seq":8,"changes":[{"turn":"a","interaction":{},"fields":{"totalTurns":1}}]}
//! {"seq":8,"export":{"number":4,"upto":8,"records":{"a":78}}}
//! {"seq":8,"exported":{"number":4,"stamp":{"identity":[1,2],"size":3,"modified":4,"changed":5}}}
//! ```
//!
//! The journal begins with a snapshot: the records after the change `upto`, and what `sessions.json` held then. The changes
//! after it are from `start` on. Each export is announced before the file gets its name and confirmed afterwards.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::contents::{Contents, Entry, Undo};
use super::exports::{Export, Exported, Exports};
use super::object::Key;
use super::source::Place;

/// The version of the format. A journal of a later version is left alone.
pub(super) const VERSION: u32 = 2;

/// The first line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    pub(super) clearctx: u32,
    /// Of this file.
    pub(super) id: String,
    /// The last change in the snapshot.
    pub(super) upto: u64,
    /// Where the lines after the snapshot begin.
    pub(super) start: u64,
}

/// Length of the first line, which is written last and padded with spaces.
pub(super) const HEADER_BYTES: usize = 128;

/// A line after the first.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    /// Number of the last change at the end of this line; none in the snapshot.
    pub(super) seq: Option<u64>,
    #[serde(borrow)]
    changes: Option<Vec<&'a RawValue>>,
    pub(super) export: Option<Export>,
    pub(super) exported: Option<Exported>,
    put: Option<Key>,
    record: Option<&'a RawValue>,
    pub(super) exports: Option<Exports>,
    ended: Option<Vec<Box<str>>>,
}

/// A number that no journal reaches: a number beyond it was not counted by a writer.
const END_OF_SEQ: u64 = 1 << 53;

impl<'a> Line<'a> {
    /// Reads a line. `None` if it is malformed or no writer could have produced it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let line = serde_json::from_str::<Self>(text).ok()?;
        let is_sound = line.seq.is_none_or(|seq| seq < END_OF_SEQ);
        let says_something = line.changes.is_some()
            || line.export.is_some()
            || line.exported.is_some()
            || line.put.is_some()
            || line.exports.is_some();
        (is_sound && says_something).then_some(line)
    }

    pub(super) fn has_changes(&self) -> bool {
        self.changes.is_some()
    }

    /// Applies the record or the changes of the line, whose text is that of `place`.
    pub(super) fn apply(&self, contents: &mut Contents, place: &Place<'_>, undo: &mut Vec<Undo>) {
        if let (Some(key), Some(record)) = (&self.put, self.record) {
            undo.push(contents.set(key, Some(Entry::parse(record.get(), place))));
        }
        contents.ended.extend(self.ended.iter().flatten().cloned());
        for json in self.changes.iter().flatten() {
            if let Some(step) = Step::parse(json.get()) {
                step.apply(contents, place, undo);
            }
        }
    }
}

/// One change within a line, as it was decided: replaying it gives the same result at any time and place.
#[derive(Debug, Deserialize)]
pub(super) struct Step<'a> {
    put: Option<Key>,
    merge: Option<Key>,
    turn: Option<Key>,
    delete: Option<Vec<Key>>,
    ended: Option<Vec<Box<str>>>,
    #[serde(borrow)]
    replace: Option<&'a RawValue>,
    record: Option<&'a RawValue>,
    fields: Option<&'a RawValue>,
    interaction: Option<&'a RawValue>,
    keep: Option<usize>,
}

impl<'a> Step<'a> {
    pub(super) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Applies the step, whose text is a part of `place`. Steps that this version does not know are skipped.
    pub(super) fn apply(self, contents: &mut Contents, place: &Place<'_>, undo: &mut Vec<Undo>) {
        let fields = self.fields.map(RawValue::get);
        let done = match self {
            Self {
                put: Some(key),
                record: Some(record),
                ..
            } => Some(contents.set(&key, Some(Entry::parse(record.get(), place)))),
            Self { merge: Some(key), .. } => fields.and_then(|fields| contents.merge(&key, fields, place)),
            Self {
                turn: Some(key),
                interaction: Some(interaction),
                keep,
                ..
            } => contents.turn(&key, interaction.get(), fields.unwrap_or("{}"), keep, place),
            Self {
                delete: Some(keys),
                ended,
                ..
            } => {
                undo.extend(keys.iter().map(|key| contents.set(key, None)));
                contents.ended.extend(ended.into_iter().flatten());
                None
            }
            Self {
                replace: Some(all), ..
            } => contents.replace(all.get(), place),
            _ => None,
        };
        undo.extend(done);
    }
}

/// Appends a line that says what happened with `sessions.json`.
pub(super) fn write(seq: u64, what: &str, json: &impl Serialize, out: &mut String) {
    let json = serde_json::to_string(json).unwrap_or_default();
    out.push_str("{\"seq\":");
    out.push_str(&seq.to_string());
    out.push_str(",\"");
    out.push_str(what);
    out.push_str("\":");
    out.push_str(&json);
    out.push_str("}\n");
}
