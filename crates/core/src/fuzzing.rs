//! The readers of foreign bytes, each as a function that takes any bytes and must not panic. The fuzzer (`fuzz/`) calls
//! them, and a test that mutates its corpus.

use crate::protocol::framer::{Framed, Framer};
use crate::protocol::inbound::{self, Frame};
use crate::session::ledger::Ledger;
use crate::session::turn::{self, TurnKind};
use serde_json::Value;
use serde_json::value::RawValue;

/// A function of any bytes.
pub type Target = fn(&[u8]);

/// All of them by name; `fuzz/corpus/NAME` has their seeds.
pub const TARGETS: [(&str, Target); 4] = [
    ("framer", framer),
    ("inbound", inbound),
    ("sessions", crate::store::fuzzing::sessions),
    ("journal", crate::store::fuzzing::journal),
];

/// Feeds bytes to one target.
///
/// # Panics
/// If the bytes uncover a defect, or if there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS
        .iter()
        .find(|(target, _)| *target == name)
        .expect("is one of the targets");
    target(data);
}

/// Checks that any chunks of a stream give the same lines, and that no line is longer than the bound.
///
/// # Panics
/// If not.
pub fn framer(data: &[u8]) {
    let [limit, chunk, stream @ ..] = data else {
        return;
    };
    let limit = usize::from(*limit);
    let lines = |chunk: usize| {
        let mut framer = Framer::new(limit, b"ab");
        let mut lines = Vec::new();
        let mut take = |framed: Framed<'_>| {
            lines.push(match framed {
                Framed::Line(line) => {
                    assert!(line.len() <= limit && !line.contains(&b'\n'));
                    Ok(line.to_vec())
                }
                Framed::LeftOut { bytes, found } => {
                    assert!(bytes > limit);
                    Err((bytes, found))
                }
            });
        };
        for chunk in stream.chunks(chunk) {
            framer.push(chunk, &mut take);
        }
        framer.finish(take);
        lines
    };
    let whole = lines(stream.len().max(1));
    assert_eq!(whole, lines(usize::from(*chunk) + 1));
    let told = whole
        .iter()
        .map(|line| line.as_ref().map_or_else(|(length, _)| *length, Vec::len));
    let ends = memchr::memchr_iter(b'\n', stream).count();
    assert_eq!(told.sum::<usize>() + ends, stream.len(), "bytes were lost");
}

/// Checks that a line is read without a panic, that it is read as a result exactly if it is one in JSON, and that
/// everything reported about it is JSON.
///
/// # Panics
/// If not.
pub fn inbound(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    let frame = inbound::parse(&line);
    let kind = serde_json::from_str::<Value>(&line)
        .ok()
        .and_then(|value| Some(value.as_object()?.get("type").cloned().unwrap_or_default()));
    if let Some(kind) = kind {
        assert!(!matches!(frame, Frame::NotAnObject));
        assert_eq!(matches!(frame, Frame::Result(_)), kind == "result");
    }
    if let Frame::Result(result) = &frame {
        let cost = Ledger::new(None).charge(result, None);
        assert!(cost.usd.is_finite() && cost.usd >= 0.0, "cost {cost:?}");
        let texts = turn::describe(result, TurnKind::Answer, None, &turn::raw("\"\""), cost, "");
        for json in [texts.response.get(), texts.interaction.get()] {
            assert!(serde_json::from_str::<&RawValue>(json).is_ok() && json.starts_with('{'));
        }
        let _ = result.error_words();
    }
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use crate::session::simulation::number;
    use fastrand::Rng;
    use std::fs;
    use std::panic::catch_unwind;
    use std::path::{Path, PathBuf};

    /// Default number of mutations of a target: fewer for targets that write files.
    const MUTATIONS: u64 = 3_000;
    const MUTATIONS_OF_FILES: u64 = 1_000;

    /// Bytes that mean something to one of the readers.
    const TOKENS: [&[u8]; 16] = [
        b"\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b",",
        b":",
        b"\\ud83d",
        b"\0",
        b"\xff",
        b"1e999",
        b"18446744073709551615",
        b"null",
        b"\xef\xbb\xbf",
    ];

    fn files(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).expect("the folder is there");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("can be read").path()).collect();
        paths.sort();
        paths
    }

    /// The seeds of a target. Targets that read lines also get those of recorded conversations.
    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let corpus = files(&root.join("fuzz/corpus").join(name));
        let mut seeds: Vec<Vec<u8>> = corpus
            .iter()
            .map(|path| fs::read(path).expect("is a file"))
            .collect();
        if matches!(name, "framer" | "inbound") {
            let recorded = files(&root.join("__test__/fixtures/transcripts"));
            for path in recorded
                .iter()
                .filter(|path| path.extension().is_some_and(|end| end == "ndjson"))
            {
                let text = fs::read(path).expect("is a file");
                seeds.extend(text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            }
        }
        assert!(!seeds.is_empty(), "no seeds for {name}");
        seeds
    }

    fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
        let mut bytes = seeds[rng.usize(..seeds.len())].clone();
        for _ in 0..=rng.usize(..4) {
            let at = rng.usize(..=bytes.len());
            match rng.usize(..6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << rng.usize(..8),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..(at + rng.usize(..8)).min(bytes.len()))),
                3 => drop(bytes.splice(at..at, TOKENS[rng.usize(..16)].iter().copied())),
                4 => {
                    let other = &seeds[rng.usize(..seeds.len())];
                    let from = rng.usize(..=other.len());
                    drop(bytes.splice(at.., other[from..].iter().copied()));
                }
                _ => {
                    let end = (at + rng.usize(..64)).min(bytes.len());
                    bytes.extend_from_within(at..end);
                }
            }
        }
        bytes
    }

    #[test]
    fn no_bytes_make_a_reader_panic() {
        let asked = number("CLEARCTX_MUTATIONS");
        let first = number("CLEARCTX_SEED").unwrap_or(1);
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            let in_files = matches!(name, "sessions" | "journal");
            let mutations = asked.unwrap_or(if in_files { MUTATIONS_OF_FILES } else { MUTATIONS });
            for seed in &seeds {
                target(seed);
            }
            for seed in first..first + mutations {
                let bytes = mutate(&seeds, &mut Rng::with_seed(seed));
                let done = catch_unwind(|| target(&bytes));
                assert!(
                    done.is_ok(),
                    "{name} failed on {:?}; to repeat it: CLEARCTX_SEED={seed} CLEARCTX_MUTATIONS=1",
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
    }
}
