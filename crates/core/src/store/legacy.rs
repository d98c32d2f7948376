//! A data directory of the alpha: `sessions.json` was the base, and a journal of version 1 had the changes after it.
//!
//! Lines with `fold` announced a new `sessions.json` by its size and hash, and the last change in it. The one that matches
//! the file counts. If none does, another program wrote the file: it is taken as it is, and all changes that were never
//! folded are applied to it.

use std::fs;
use std::io;
use std::sync::Arc;

use serde::Deserialize;

use super::contents::{Contents, Undo};
use super::exports::Exports;
use super::file::{Look, STARTING_TRIES, SessionsFile};
use super::journal::Journal;
use super::line::Line;
use super::source::Place;

/// The parts of version 1 that version 2 does not have.
#[derive(Debug, Deserialize)]
struct Old {
    seq: Option<u64>,
    fold: Option<Mark>,
    #[serde(default)]
    after: u64,
    base: Option<Print>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Mark {
    upto: u64,
    print: Option<Print>,
}

/// Size and hash of a version of `sessions.json`.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Print {
    size: u64,
    hash: u64,
}

/// The contents of the directory, and the file as an export. The journal is read to its end.
pub(super) fn load(file: &SessionsFile, journal: &mut Journal) -> io::Result<(Contents, Exports)> {
    let upto = folded_in(file, journal)?;
    let (mut contents, exports) = base(file)?;
    let source = Arc::clone(journal.source());
    let mut undo: Vec<Undo> = Vec::new();
    let mut seq = journal.seq;
    journal.read_new(&mut |text, at| {
        let Some((text, line)) = text.ok().and_then(|text| Some((text, Line::parse(text)?))) else {
            return;
        };
        let number = line.seq.unwrap_or(0);
        if number > upto {
            let place = Place {
                source: &source,
                text,
                at,
            };
            line.apply(&mut contents, &place, &mut undo);
            undo.clear();
        }
        seq = seq.max(number);
    })?;
    journal.seq = seq;
    Ok((contents, exports))
}

/// The last change that the file has.
fn folded_in(file: &SessionsFile, journal: &Journal) -> io::Result<u64> {
    // What cannot be read is not empty: its records would be lost.
    let text = match fs::read(file.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let print = (text.len() as u64, hash(&text));
    let mut upto = None;
    let mut last = 0;
    let mut note = |mark: Mark| {
        last = mark.upto;
        let same = mark
            .print
            .map_or(text.is_empty(), |known| (known.size, known.hash) == print);
        if same {
            upto = Some(mark.upto);
        }
    };
    journal.lines(0, journal.len()?, &mut |line, _| {
        if let Some(old) = line.ok().and_then(|line| serde_json::from_str::<Old>(line).ok()) {
            match (old.seq, old.fold) {
                (None, _) => note(Mark {
                    upto: old.after,
                    print: old.base,
                }),
                (_, Some(mark)) => note(mark),
                _ => {}
            }
        }
    })?;
    Ok(upto.unwrap_or(last))
}

/// What the file holds.
fn base(file: &SessionsFile) -> io::Result<(Contents, Exports)> {
    let look = file
        .look(STARTING_TRIES)
        .map_err(|error| io::Error::other(error.to_string()))?;
    match look {
        Look::Records(contents, stamp) => {
            let exports = Exports::of(&contents, stamp)?;
            Ok((contents, exports))
        }
        Look::Busy => Err(io::Error::other("sessions.json is being written")),
        Look::Missing | Look::Blank(_) | Look::Broken(_) => Ok((Contents::default(), Exports::default())),
    }
}

/// The hash of version 1.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = 0_u64;
    let mut add = |word: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        state = (state.rotate_left(23) ^ u64::from_le_bytes(bytes)).wrapping_mul(FACTOR);
    };
    let mut words = bytes.chunks_exact(8);
    words.by_ref().for_each(&mut add);
    add(words.remainder());
    let mixed = (state ^ bytes.len() as u64).wrapping_mul(FACTOR);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::store::cache::journal_path;

    const BASE: &str = "{\n\"a\":{\"name\":\"a\",\"n\":1},\n\"b\":{\"name\":\"b\",\"n\":1}\n}\n";
    const FOLDED: &str = "{\n\"a\":{\"name\":\"a\",\"n\":2},\n\"b\":{\"name\":\"b\",\"n\":1}\n}\n";

    fn print(text: &str) -> String {
        format!(
            r#"{{"size":{},"modified":7,"hash":{}}}"#,
            text.len(),
            hash(text.as_bytes())
        )
    }

    /// A journal of the alpha: change 1 sets `n` of `a` to 2, which a new file then had; change 2 sets it to 3.
    fn journal() -> String {
        let merge = |seq: u32, n: u32| {
            format!(r#"{{"seq":{seq},"at":"x","changes":[{{"merge":"a","fields":{{"n":{n}}}}}]}}"#)
        };
        let (base, folded) = (print(BASE), print(FOLDED));
        [
            format!(r#"{{"clearctx":1,"epoch":"e","after":0,"base":{base}}}"#),
            merge(1, 2),
            format!(r#"{{"seq":1,"fold":{{"upto":1,"left":0,"print":{folded},"reload":false}}}}"#),
            merge(2, 3),
            String::new(),
        ]
        .join("\n")
    }

    fn loaded(prepare: impl FnOnce(&std::path::Path)) -> io::Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(journal_path(dir.path()), journal()).unwrap();
        prepare(&dir.path().join("sessions.json"));
        let mut journal = Journal::open(&journal_path(dir.path())).unwrap().unwrap();
        assert!(journal.is_old());
        let (contents, _) = load(&SessionsFile::new(dir.path()), &mut journal)?;
        let whole = contents
            .records()
            .map(|(_, stored)| stored.whole(&stored.head).unwrap().to_json());
        Ok(whole.collect())
    }

    #[test]
    fn changes_count_from_the_file_on_that_is_there() {
        let expected = [r#"{"name":"a","n":3}"#, r#"{"name":"b","n":1}"#];
        for text in [BASE, FOLDED] {
            assert_eq!(loaded(|path| fs::write(path, text).unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_of_another_program_counts_with_what_it_cannot_have_seen() {
        let theirs = r#"{"a":{"name":"a","n":9,"x":1}}"#;
        let read = loaded(|path| fs::write(path, theirs).unwrap()).unwrap();
        assert_eq!(read, [r#"{"name":"a","n":3,"x":1}"#]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_not_empty() {
        assert!(loaded(|path| fs::create_dir(path).unwrap()).is_err());
    }
}
