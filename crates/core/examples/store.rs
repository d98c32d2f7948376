//! The figures of docs/store.md: `cargo run --release --no-default-features --example store`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that measures and prints"
)]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clearctx_core::store::{Change, Durability, Entries, Options, Record, Store};
use serde_json::value::RawValue;

const TEXT_BYTES: usize = 1900;
const TURNS: usize = 2000;

fn main() {
    let only = std::env::args().nth(1);
    if only.as_deref() == Some("open") {
        return open(Path::new(&std::env::args().nth(2).unwrap()));
    }
    println!("a turn, from the call to its answer (small rewrites left out):");
    for stored in [0, 5_000, 100_000] {
        let dir = filled(stored);
        turns(dir.path(), stored, Durability::Os);
    }
    println!("durability 'disk', 8 turns at a time:");
    let dir = filled(5_000);
    turns_at_once(dir.path());
    println!("the store of 200 MB, in a process of its own:");
    let dir = filled(100_000);
    let program = std::env::current_exe().unwrap();
    std::process::Command::new(program)
        .arg("open")
        .arg(dir.path())
        .status()
        .unwrap();
}

/// A directory with 1,000 records that share so many interactions.
fn filled(stored: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("{\n");
    for record in 0..1000 {
        let interactions: Vec<_> = (0..stored / 1000).map(interaction).collect();
        let interactions: Vec<_> = interactions.iter().map(|raw| raw.get()).collect();
        let end = if record < 999 { "," } else { "" };
        let _ = writeln!(
            text,
            "\"s{record}\":{{\"name\":\"s{record}\",\"status\":\"stopped\",\"model\":\"sonnet\",\"workDir\":\"/tmp\",\
             \"totalTurns\":1,\"interactions\":[{}]}}{end}",
            interactions.join(",")
        );
    }
    if stored > 0 {
        fs::write(dir.path().join("sessions.json"), text + "}\n").unwrap();
    }
    dir
}

fn interaction(n: usize) -> Box<RawValue> {
    let text = "x".repeat(TEXT_BYTES);
    let json = format!(
        "{{\"prompt\":\"p{n}\",\"response\":\"{text}\",\"cost\":0.1,\"turns\":1,\"duration\":812,\
         \"timestamp\":\"2026-11-22T06:10:28.562Z\"}}"
    );
    RawValue::from_string(json).unwrap()
}

fn turn(n: usize) -> Change {
    let mut fields = Record::new();
    fields.set("totalTurns", n);
    Change::Turn {
        name: "turns".into(),
        instance: None,
        interaction: interaction(n),
        fields,
    }
}

fn turns(dir: &Path, stored: usize, durability: Durability) {
    let options = Options {
        durability,
        ..Options::default()
    };
    let store = Store::open_with(dir, &options).unwrap();
    let record = Record::from_json("{\"name\":\"turns\",\"interactions\":[]}").unwrap();
    store.apply([put(record)]).unwrap();
    let mut whole = Vec::new();
    for n in 0..TURNS {
        // With an empty store the first turns rewrite the small file, and so would make the others look good.
        let change = turn(n);
        let (sender, receiver) = mpsc::channel();
        let start = Instant::now();
        store.apply_later(change, Box::new(move |outcome| sender.send(outcome).unwrap()));
        assert!(receiver.recv().unwrap().unwrap().changed);
        whole.push(start.elapsed());
    }
    let mut synchronous = Vec::new();
    for n in 0..TURNS {
        let mut fields = Record::new();
        fields.set("n", n);
        let change = Change::Merge {
            name: "turns".into(),
            fields,
            instance: None,
            create: false,
        };
        let start = Instant::now();
        store.apply([change]).unwrap();
        synchronous.push(start.elapsed());
    }
    let size = fs::metadata(dir.join("sessions.json")).unwrap().len() / 1024;
    println!(
        "  {stored:>7} interactions: {:>6.1} us; a synchronous change {:.1} us  ({size} KiB)",
        median(&mut whole[TURNS / 4..]),
        median(&mut synchronous[TURNS / 4..]),
    );
}

fn put(record: Record) -> Change {
    Change::Put {
        name: "turns".into(),
        record,
        only_if_free: false,
    }
}

fn turns_at_once(dir: &Path) {
    let options = Options {
        durability: Durability::Disk,
        ..Options::default()
    };
    let store = Store::open_with(dir, &options).unwrap();
    store.apply([put(Record::new())]).unwrap();
    for at_once in [1, 8] {
        let start = Instant::now();
        for n in 0..100 {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..at_once {
                let sender = sender.clone();
                store.apply_later(turn(n), Box::new(move |outcome| sender.send(outcome).unwrap()));
            }
            drop(sender);
            assert!(receiver.iter().all(|outcome| outcome.is_ok()));
        }
        let each = start.elapsed() / 100;
        println!(
            "  {at_once} at once: {:.2} ms until all have their answer",
            each.as_secs_f64() * 1000.0
        );
    }
}

fn open(dir: &Path) {
    let before = resident();
    let start = Instant::now();
    let store = Store::open(dir).unwrap();
    let heads = store.list_later().unwrap();
    let opened = start.elapsed();
    let after = resident();
    let start = Instant::now();
    let one = store.interactions_json("s500").unwrap().unwrap();
    let read = start.elapsed();
    let start = Instant::now();
    store.get("s1").unwrap().unwrap();
    let get = start.elapsed();
    println!(
        "  opened and listed in {:.0} ms; {} KiB held, {} KiB at the most; {} KiB of heads; one history of {} KiB in {:.0} us, get in {:.0} us",
        opened.as_secs_f64() * 1000.0,
        after.0.saturating_sub(before.0),
        after.1,
        heads.json.len() / 1024,
        one.len() / 1024,
        micros(read),
        micros(get),
    );
    let start = Instant::now();
    store.apply([turn_of("s1")]).unwrap();
    let first = start.elapsed();
    let start = Instant::now();
    store.apply([]).unwrap();
    println!(
        "  first turn {:.0} us; all written anew in {:.0} ms",
        micros(first),
        start.elapsed().as_secs_f64() * 1000.0
    );
    println!("  held after that: {} KiB", resident().0.saturating_sub(before.0));
    drop(heads);
    let _ = Entries::default();
}

fn turn_of(name: &str) -> Change {
    Change::Turn {
        name: name.into(),
        instance: None,
        interaction: interaction(1),
        fields: Record::new(),
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    micros(times[times.len() / 2])
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Resident memory of this process now and at the most, in KiB.
fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0)
    };
    (field("VmRSS:"), field("VmHWM:"))
}
