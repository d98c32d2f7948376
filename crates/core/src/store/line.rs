//! The lines of the journal, each one JSON object.
//!
//! ```json
//! {"clearctx":1,"epoch":"<uuid>","after":0,"base":null}
//! {"seq":1,"at":"2026-11-22T06:10:28.562Z","changes":[{"put":"a","record":{"name":"a"}}]}
//! {"seq":2,"at":"2026-11-22T06:10:29.001Z","changes":[{"turn":"a","interaction":{},"fields":{"totalTurns":1}}]}
//! {"seq":3,"fold":{"upto":2,"left":0,"print":{"size":321,"modified":1763791829001000000,"hash":77},"reload":false}}
//! ```
//!
//! The first line names the version of `sessions.json` with which the journal begins. A line of its own announces a fold
//! before the new file is renamed into place. After a crash between the two, the file's fingerprint decides: the file
//! with the announced print contains the changes up to `upto`, any other file does not.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::contents::{Contents, Undo};
use super::object::Key;
use super::print::Print;
use super::source::Place;

/// The version of the format. A journal of a later version is left alone.
pub(super) const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) clearctx: u32,
    /// A new one is drawn when a journal is created from nothing.
    pub(super) epoch: String,
    /// All changes after this one are in this journal.
    pub(super) after: u64,
    /// The file that contains the changes up to there; `None` if there was no file.
    pub(super) base: Option<Print>,
}

impl Header {
    /// Whether a writer could have produced this.
    pub(super) fn is_sound(&self) -> bool {
        self.after < END_OF_SEQ
    }
}

/// Says that a version of `sessions.json` contains the changes up to `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) upto: u64,
    /// Bytes of the lines before this one that are not in that file.
    pub(super) left: u64,
    pub(super) print: Option<Print>,
    /// Whether the file contains more than the changes: another program's version was taken over.
    pub(super) reload: bool,
}

/// A line after the first.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    pub(super) seq: u64,
    pub(super) at: Option<&'a str>,
    #[serde(borrow)]
    pub(super) changes: Option<Vec<&'a RawValue>>,
    pub(super) fold: Option<Mark>,
}

/// A number that no journal reaches: a number beyond it was not counted by a writer.
const END_OF_SEQ: u64 = 1 << 53;

impl<'a> Line<'a> {
    /// Reads a line. `None` if it is malformed or no writer could have produced it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let line = serde_json::from_str::<Self>(text).ok()?;
        let sound = line.seq < END_OF_SEQ && line.fold.is_none_or(|mark| mark.upto <= line.seq);
        sound.then_some(line)
    }
}

/// The number of a line, without reading all of it.
pub(super) fn seq_of(line: &str) -> Option<u64> {
    let digits = line.strip_prefix("{\"seq\":")?;
    let end = digits.find(|letter: char| !letter.is_ascii_digit())?;
    digits[..end].parse().ok()
}

/// Whether a line announces a fold, without reading all of it.
pub(super) fn is_fold(line: &str) -> bool {
    let end = line.find(',').unwrap_or(line.len());
    line[end..].starts_with(",\"fold\":")
}

/// Appends the line of a fold.
pub(super) fn write_fold(seq: u64, mark: &Mark, out: &mut String) {
    let mark = serde_json::to_string(mark).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{{\"seq\":{seq},\"fold\":{mark}}}");
}

/// One change within a line, as it was decided: replaying it gives the same result at any time and place.
#[derive(Debug, Deserialize)]
pub(super) struct Step<'a> {
    put: Option<Key>,
    merge: Option<Key>,
    turn: Option<Key>,
    delete: Option<Vec<Key>>,
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

    /// The one name that the step is about; `None` for several.
    pub(super) fn name(&self) -> Option<&Key> {
        self.put.as_ref().or(self.merge.as_ref()).or(self.turn.as_ref())
    }

    pub(super) fn deleted(&self) -> &[Key] {
        self.delete.as_deref().unwrap_or_default()
    }

    /// Applies the step, whose text is a part of `place`. Steps that this version does not know are skipped.
    pub(super) fn apply(self, contents: &mut Contents, place: &Place<'_>, undo: &mut Vec<Undo>) {
        let fields = self.fields.map(RawValue::get);
        let done = match self {
            Self {
                put: Some(key),
                record: Some(record),
                ..
            } => contents.put(key, record.get(), place),
            Self { merge: Some(key), .. } => fields.and_then(|fields| contents.merge(key, fields, place)),
            Self {
                turn: Some(key),
                interaction: Some(interaction),
                keep,
                ..
            } => contents.turn(key, interaction.get(), fields.unwrap_or("{}"), keep, place),
            Self {
                delete: Some(keys), ..
            } => {
                undo.extend(keys.iter().filter_map(|key| contents.remove(key)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_number_and_kind_without_being_read() {
        let mut line = String::new();
        let mark = Mark {
            upto: 6,
            left: 0,
            print: None,
            reload: true,
        };
        write_fold(7, &mark, &mut line);
        assert_eq!((seq_of(&line), is_fold(&line)), (Some(7), true));
        let other = r#"{"seq":8,"at":"x","changes":[{"put":",\"fold\":"}]}"#;
        assert_eq!((seq_of(other), is_fold(other)), (Some(8), false));
        assert_eq!(seq_of("{\"seq\":"), None);
        let read = serde_json::from_str::<Line<'_>>(&line)
            .ok()
            .and_then(|line| line.fold);
        assert_eq!(read, Some(mark));
    }
}
