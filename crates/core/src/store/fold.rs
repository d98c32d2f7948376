//! Writes the contents as a new `sessions.json`.

use std::io;
use std::sync::Arc;

use super::contents::{Contents, Entry, INTERACTIONS_JSON, Stored};
use super::draft::Draft;
use super::file::Stamp;
use super::files::Files;
use super::source::{History, Source};

/// Where in the new file each record's interactions are.
pub(super) struct Ranges(Vec<(u64, usize)>);

/// Writes all entries, one record a line.
pub(super) fn write(contents: &Contents, draft: &mut Draft, files: &dyn Files) -> io::Result<Ranges> {
    let mut ranges = Vec::new();
    let mut text = String::from("{");
    for (index, (key, entry)) in contents.entries().enumerate() {
        text.push_str(if index > 0 { ",\n" } else { "\n" });
        key.write_json(&mut text);
        text.push(':');
        match entry {
            Entry::Other(json) => {
                text.push_str(json);
                ranges.push((0, 0));
            }
            Entry::Record(stored) => ranges.push(write_record(stored, &mut text, draft, files)?),
        }
        draft.write(text.as_bytes(), files)?;
        text.clear();
    }
    text.push_str("\n}\n");
    draft.write(text.as_bytes(), files)?;
    Ok(Ranges(ranges))
}

fn write_record(
    stored: &Stored,
    text: &mut String,
    draft: &mut Draft,
    files: &dyn Files,
) -> io::Result<(u64, usize)> {
    let mut range = (0, 0);
    let mut separator = '{';
    for (name, json) in stored.head.fields().members() {
        text.push(separator);
        separator = ',';
        text.push_str(name);
        text.push(':');
        if name != INTERACTIONS_JSON || stored.history.is_empty() {
            text.push_str(json);
            continue;
        }
        text.push('[');
        draft.write(text.as_bytes(), files)?;
        text.clear();
        let start = draft.size;
        stored.history.write(&mut |bytes| draft.write(bytes, files))?;
        let length = usize::try_from(draft.size - start).map_err(io::Error::other)?;
        range = (start, length);
        text.push(']');
    }
    text.push_str(if separator == '{' { "{}" } else { "}" });
    Ok(range)
}

/// Makes the contents refer to the new file that was written from them.
pub(super) fn refer(contents: &mut Contents, ranges: &Ranges, source: &Arc<Source>) {
    for (entry, (at, length)) in contents.entries_mut().zip(&ranges.0) {
        if let Entry::Record(stored) = entry {
            stored.history = History::of_range(source, *at, *length);
        }
    }
}

/// The new file as a source.
pub(super) fn source(file: std::fs::File, stamp: Stamp, text: Option<Vec<u8>>) -> Arc<Source> {
    Arc::new(match text {
        Some(text) => Source::Text(text.into()),
        None => Source::Base(file, stamp),
    })
}
