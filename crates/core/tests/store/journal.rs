//! The journal itself: torn, damaged, folded twice, left behind; what only it knows, and what it forgets.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use clearctx_core::store::{Change, Options, Store};
use serde_json::json;

use crate::fixture::{Fixture, later, merge, put, turn};

fn journal(fixture: &Fixture) -> std::path::PathBuf {
    fixture.dir.path().join("sessions.journal")
}

/// A file too big to be rewritten at each change.
fn big() -> Fixture {
    let fixture = Fixture::new();
    let text = "x".repeat(400 * 1024);
    fixture
        .store
        .apply([put(
            "big",
            &json!({ "name": "big", "text": text, "interactions": [] }),
        )])
        .unwrap();
    fixture.store.apply([]).unwrap();
    fixture
}

#[test]
fn a_change_is_in_the_journal_before_the_call_returns_and_in_a_big_file_soon_after() {
    let fixture = big();
    let before = fixture.text();
    fixture.store.apply([turn("big", None, 1)]).unwrap();
    assert_eq!(fixture.text(), before);
    assert_eq!(
        Fixture::at(fixture.dir.path()).record("big")["interactions"],
        json!([{ "n": 1 }])
    );
    let start = Instant::now();
    while fixture.stored()["big"]["totalTurns"] != 1 {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn more_than_fifty_changes_at_once_are_in_a_small_file_soon_after() {
    let fixture = Fixture::new();
    for n in 0..200 {
        fixture.store.apply([merge("a", &json!({ "n": n }))]).unwrap();
    }
    let start = Instant::now();
    while fixture.stored()["a"]["n"] != 199 {
        assert!(start.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_torn_last_line_is_dropped_and_overwritten() {
    let fixture = big();
    fixture.store.apply([turn("big", None, 1)]).unwrap();
    for torn in [&b"{\"seq\":99,\"at\":\"2026"[..], b"\0\0\0\0", b"{"] {
        let mut file = fs::File::options().append(true).open(journal(&fixture)).unwrap();
        file.write_all(torn).unwrap();
        let fresh = Fixture::at(fixture.dir.path());
        assert_eq!(fresh.record("big")["totalTurns"], 1);
        fresh.store.apply([merge("big", &json!({ "torn": 1 }))]).unwrap();
        assert!(fresh.store.take_warnings().is_empty());
        fixture
            .store
            .apply([merge("big", &json!({ "torn": 1 }))])
            .unwrap();
        assert_eq!(fresh.record("big")["interactions"], json!([{ "n": 1 }]));
    }
    assert_eq!(fixture.record("big")["interactions"], json!([{ "n": 1 }]));
}

#[test]
fn damaged_lines_are_left_out_kept_aside_and_reported_once() {
    let fixture = big();
    for n in 1..4 {
        fixture.store.apply([turn("big", None, n)]).unwrap();
    }
    let damaged = Fixture::at(fixture.dir.path());
    let text = fs::read_to_string(journal(&damaged)).unwrap();
    fs::write(journal(&damaged), text.replace("{\"n\":2}", "{\"n\":\u{1}2")).unwrap();
    let store = Fixture::at(damaged.dir.path());
    assert_eq!(
        store.record("big")["interactions"],
        json!([{ "n": 1 }, { "n": 3 }])
    );
    store.store.apply([turn("big", None, 4)]).unwrap();
    store.store.apply([]).unwrap();
    let warnings = store.store.take_warnings();
    assert_eq!(
        warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(),
        ["CLEARCTX_STORE_CORRUPT"]
    );
    let aside = store
        .files()
        .into_iter()
        .find(|name| name.starts_with("sessions.journal.corrupt-"))
        .unwrap();
    assert!(
        fs::read_to_string(store.dir.path().join(aside))
            .unwrap()
            .contains("\u{1}2")
    );
    let again = Fixture::at(store.dir.path());
    again.store.apply([turn("big", None, 5)]).unwrap();
    assert!(again.store.take_warnings().is_empty());
    assert_eq!(
        again.record("big")["interactions"],
        json!([{ "n": 1 }, { "n": 3 }, { "n": 4 }, { "n": 5 }])
    );
}

#[test]
fn a_crash_between_any_two_steps_of_an_export_does_nothing_twice() {
    let fixture = big();
    let keep = |name: &str| fs::read(fixture.dir.path().join(name)).unwrap();
    fixture.store.apply([turn("big", None, 1)]).unwrap();
    let (old, before) = (keep("sessions.json"), keep("sessions.journal"));
    fixture.store.apply([]).unwrap();
    let (new, after) = (keep("sessions.json"), keep("sessions.journal"));
    // What was appended: the announcement, and the confirmation.
    let announced = before.len()
        + after[before.len()..]
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap()
        + 1;
    for (file, lines) in [
        (&old, &after[..announced]),
        (&new, &after[..announced]),
        (&old, &before[..]),
        (&new, &after[..]),
    ] {
        let crashed = Fixture::new();
        fs::write(crashed.file(), file).unwrap();
        fs::write(journal(&crashed), lines).unwrap();
        for _ in 0..2 {
            assert_eq!(crashed.record("big")["interactions"], json!([{ "n": 1 }]));
            crashed.store.apply([]).unwrap();
        }
        crashed.store.apply([turn("big", None, 2)]).unwrap();
        crashed.store.apply([]).unwrap();
        assert_eq!(
            crashed.stored()["big"]["interactions"],
            json!([{ "n": 1 }, { "n": 2 }])
        );
    }
}

#[test]
fn the_journal_does_not_grow_without_bound() {
    let fixture = Fixture::new();
    fixture
        .store
        .apply([put("a", &json!({ "interactions": [] }))])
        .unwrap();
    let text = "x".repeat(20_000);
    for n in 0..400 {
        fixture
            .store
            .apply([merge("a", &json!({ "text": text, "n": n }))])
            .unwrap();
    }
    fixture.store.apply([]).unwrap();
    // Another process that has slept through several journals.
    assert!(fs::metadata(journal(&fixture)).unwrap().len() < 3 * 1024 * 1024);
    assert_eq!(fixture.record("a")["n"], 399);
}

#[test]
fn max_history_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        max_history: Some(3),
        ..Options::default()
    };
    let store = Store::open_with(dir.path(), &options).unwrap();
    store
        .apply([put("a", &json!({ "interactions": [{ "n": -1 }, { "n": 0 }] }))])
        .unwrap();
    for n in 1..20 {
        if n % 3 == 0 {
            later(&store, turn("a", None, n)).recv().unwrap().unwrap();
        } else {
            store.apply([turn("a", None, n)]).unwrap();
        }
        let expected: Vec<_> = [-1, 0]
            .into_iter()
            .chain(1..=i64::try_from(n).unwrap())
            .map(|n| json!({ "n": n }))
            .collect();
        let stored: serde_json::Value =
            serde_json::from_str(&store.interactions_json("a").unwrap().unwrap()).unwrap();
        assert_eq!(stored.as_array().unwrap(), &expected[expected.len() - 3..]);
    }
}

#[test]
fn what_is_listed_stays_as_it_was_when_it_was_listed() {
    let fixture = big();
    fixture.store.apply([turn("big", None, 1)]).unwrap();
    let heads = fixture.store.list_later().unwrap();
    assert!(heads.json.contains("\"interactions\":[]") && heads.histories.has(0));
    fixture.store.apply([turn("big", None, 2)]).unwrap();
    fixture.store.apply([]).unwrap();
    fixture
        .store
        .apply([Change::Delete { name: "big".into() }])
        .unwrap();
    fixture.store.apply([]).unwrap();
    assert_eq!(heads.histories.json(0).unwrap(), "[{\"n\":1}]");
    assert_eq!(fixture.store.interactions_json("big").unwrap(), None);
}

#[test]
fn another_program_s_changes_are_taken_but_for_what_has_changed_here() {
    let fixture = big();
    fixture
        .store
        .apply([put("theirs", &json!({ "v": 1 })), put("gone", &json!({}))])
        .unwrap();
    fixture.store.apply([]).unwrap();
    // What is in the file only since then shows that its writer has read that version.
    fixture.store.apply([put("last", &json!({}))]).unwrap();
    fixture.store.apply([]).unwrap();
    fixture.store.apply([turn("big", None, 1)]).unwrap();
    let mut all = fixture.stored();
    all["theirs"]["v"] = json!(2);
    all.as_object_mut().unwrap().remove("gone");
    let other = fixture.dir.path().join("other");
    fs::write(&other, all.to_string()).unwrap();
    fs::rename(&other, fixture.file()).unwrap();
    let fresh = Fixture::at(fixture.dir.path());
    for store in [&fixture, &fresh] {
        assert_eq!(
            (store.record("theirs")["v"].clone(), store.has("gone")),
            (json!(2), false)
        );
        assert_eq!(store.record("big")["interactions"], json!([{ "n": 1 }]));
    }
    fixture.store.apply([turn("big", None, 2)]).unwrap();
    fixture.store.apply([]).unwrap();
    let stored = fixture.stored();
    assert_eq!(
        (stored["theirs"]["v"].clone(), stored.get("gone")),
        (json!(2), None)
    );
    assert_eq!(stored["big"]["interactions"], json!([{ "n": 1 }, { "n": 2 }]));
}
