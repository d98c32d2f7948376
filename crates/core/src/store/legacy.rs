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
    let text = fs::read(file.path()).unwrap_or_default();
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
    let upto = upto.unwrap_or(last);
    let (mut contents, exports) = match file.look(STARTING_TRIES) {
        Ok(Look::Records(contents, stamp)) => {
            let exports = Exports::of(&contents, stamp)?;
            (contents, exports)
        }
        Ok(Look::Busy) => return Err(io::Error::other("sessions.json is being written")),
        _ => (Contents::default(), Exports::default()),
    };
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
