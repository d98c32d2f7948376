//! A program that rewrites `sessions.json` in place, as `writeFileSync` does, beside a host that works.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{Fixture, flush, merge, put, turn};
use crate::helper::{Helper, answer, wait_for_line};

/// `CLEARCTX_STORE_ROUNDS=500` is the nightly form.
fn rounds() -> usize {
    let rounds = std::env::var("CLEARCTX_STORE_ROUNDS").ok();
    rounds
        .and_then(|rounds| rounds.parse().ok())
        .map_or(20, |rounds: usize| rounds / 5)
}

#[test]
fn a_program_that_rewrites_the_file_in_place_beside_a_busy_host_loses_nothing() {
    for text in [10, 20_000] {
        let fixture = Fixture::new();
        for n in 0..30 {
            let record = json!({ "n": n, "text": "x".repeat(text), "interactions": [] });
            fixture.store.apply([put(&format!("s{n}"), &record)]).unwrap();
        }
        flush(&fixture.store).unwrap();
        let mut helper = Helper::start("rewrite", fixture.dir.path());
        assert_eq!(helper.hear(), "ready");
        let mut turns = 0;
        for round in 0..rounds() {
            helper.say(&round.to_string());
            thread::scope(|scope| {
                let done = scope.spawn(|| helper.hear());
                while !done.is_finished() {
                    let name = format!("s{}", turns % 20);
                    let applied = fixture.store.apply([turn(&name, None, turns)]).unwrap();
                    assert!(applied[0].changed, "{name} is gone in round {round}");
                    turns += 1;
                    fixture
                        .store
                        .apply([merge("new", &json!({ "round": round }))])
                        .unwrap();
                    thread::sleep(Duration::from_micros(500));
                }
            });
            assert_eq!(fixture.record("new")["round"], round);
        }
        helper.say("");
        helper.join();
        fixture.store.apply([merge("last", &json!({}))]).unwrap();
        flush(&fixture.store).unwrap();
        let found: BTreeMap<String, Value> = serde_json::from_str(&fixture.text()).unwrap();
        let mut all: Vec<u64> = Vec::new();
        for n in 0..30 {
            let record = &found[&format!("s{n}")];
            let list = record["interactions"].as_array().unwrap();
            all.extend(list.iter().map(|turn| turn["n"].as_u64().unwrap()));
        }
        // A write that begins while an export takes its name goes into the file that was replaced (docs/store.md).
        let theirs = (20..30)
            .filter(|n| found[&format!("s{n}")]["theirs"].is_u64())
            .count();
        assert!(theirs >= 5, "its work counts: {theirs} of 10 records");
        all.sort_unstable();
        assert_eq!(all, (0..turns as u64).collect::<Vec<_>>(), "each turn once");
        assert!(found.contains_key("new") && found.contains_key("last"));
        let aside = fixture
            .files()
            .into_iter()
            .find(|name| name.contains(".corrupt-"));
        assert_eq!(aside, None, "a file that is being written is not broken");
    }
}

/// The helper's part: a read, a change of a record that the host leaves alone, a truncation, a stall, a write.
pub(crate) fn rewrite(store: &clearctx_core::store::Store) {
    let path = store.sessions_file();
    answer("ready");
    loop {
        let line = wait_for_line();
        let Ok(round) = line.parse::<u64>() else { return };
        let text = fs::read_to_string(path).unwrap();
        let mut all: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        let name = format!("s{}", 20 + round % 10);
        all[&name]["theirs"] = json!(round);
        let text = serde_json::to_string_pretty(&all).unwrap();
        let mut file = File::create(path).unwrap();
        let stall = Duration::from_millis(if round % 10 == 9 { 500 } else { 5 });
        thread::sleep(stall);
        let (first, second) = text.as_bytes().split_at(text.len() / 2);
        file.write_all(first).unwrap();
        thread::sleep(stall);
        file.write_all(second).unwrap();
        drop(file);
        answer("done");
    }
}
