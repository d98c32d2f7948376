//! Files of clearctx 3.0.0, whole, bare, and with values nobody expects; and back again.

use serde_json::{Value, json};

use crate::fixture::{Fixture, turn};

fn original() -> Value {
    let whole = json!({
        "name": "whole", "claudeSessionId": "3f1c0a52-0b7e-4a54-9a52-2c8c6f3f2c11", "status": "stopped", "model": "sonnet",
        "workDir": "/work", "permissionMode": "default", "allowedTools": ["Read"], "systemPrompt": "", "maxBudget": null,
        "agent": null, "totalCostUsd": 0.0123, "totalTurns": 2, "created": "2026-01-01T00:00:00.000Z",
        "interactions": [
            { "prompt": "a", "response": "b", "cost": 0.01, "turns": 1, "duration": 812, "timestamp": "2026-01-01T00:00:01.000Z" },
            { "prompt": "c", "response": "\u{1f600}\n", "cost": 0.0023, "turns": 1, "duration": 9, "timestamp": "2026-01-01T00:00:02.000Z" },
        ],
    });
    json!({
        "whole": whole,
        "bare": {},
        "extra": { "name": "extra", "status": "ready", "nested": { "interactions": [1] }, "note": ["mine"] },
        "wrong": { "name": 7, "status": false, "interactions": { "0": "x" }, "totalTurns": "2", "created": [], "owner": "me" },
        "odd": { "interactions": [null, 3, "text", []] },
        "broken": "no record at all",
        "null": null,
    })
}

#[test]
fn a_file_of_the_original_is_taken_over_and_given_back_whole() {
    for text in [
        original().to_string(),
        serde_json::to_string_pretty(&original()).unwrap(),
    ] {
        let fixture = Fixture::with_file(&text);
        assert_eq!(
            serde_json::from_str::<Value>(&fixture.store.load_all_json().unwrap()).unwrap(),
            original()
        );
        for name in ["whole", "bare", "extra", "wrong", "odd"] {
            assert_eq!(fixture.record(name), original()[name]);
        }
        assert!(!fixture.has("broken") && !fixture.has("null"));
        assert_eq!(fixture.text(), text, "reading changes nothing");
        for name in ["whole", "bare", "wrong", "odd", "broken"] {
            let applied = fixture.store.apply([turn(name, None, 9)]).unwrap();
            assert_eq!(applied[0].changed, name != "broken");
        }
        fixture.store.apply([]).unwrap();
        assert!(fixture.store.take_warnings().is_empty());
        let mut expected = original();
        for name in ["whole", "bare", "wrong", "odd"] {
            let stored = fixture.stored();
            expected[name]["lastSaved"] = stored[name]["lastSaved"].clone();
            expected[name]["totalTurns"] = json!(9);
            if !expected[name]["interactions"].is_array() {
                expected[name]["interactions"] = json!([]);
            }
            expected[name]["interactions"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "n": 9 }));
        }
        assert_eq!(fixture.stored(), expected);
    }
}

#[test]
fn a_big_file_is_read_as_a_small_one_is() {
    let mut all = original();
    for n in 0..300 {
        let text = format!("{{\"}}]\\ \u{20ac} {}", "y".repeat(n * 10));
        all[format!("r{n}")] =
            json!({ "n": n, "interactions": [{ "text": text }, { "text": [text] }], "after": n });
    }
    for text in [all.to_string(), serde_json::to_string_pretty(&all).unwrap()] {
        assert!(text.len() > 600_000);
        let fixture = Fixture::with_file(&text);
        assert_eq!(
            serde_json::from_str::<Value>(&fixture.store.load_all_json().unwrap()).unwrap(),
            all
        );
        fixture.store.apply([turn("r299", None, 1)]).unwrap();
        fixture.store.apply([]).unwrap();
        let mut stored = fixture.stored();
        let list = stored["r299"]["interactions"].as_array_mut().unwrap();
        assert_eq!((list.len(), list.pop()), (3, Some(json!({ "n": 1 }))));
        assert_eq!(stored["r298"], all["r298"]);
        let broken = Fixture::with_file(&text[..text.len() - 30]);
        assert_eq!(broken.store.list_later().unwrap().json, "[]");
        assert_eq!(broken.store.take_warnings().len(), 1);
    }
}
