//! What changes do to the contents, and how they read.

use std::collections::HashSet;

use clearctx_core::error::Error;
use clearctx_core::store::{Change, Entries, Record};
use serde_json::{Value, json};

use crate::fixture::{Fixture, put, put_if_free, record, turn};

#[test]
fn changes_that_do_nothing_write_nothing() {
    let fixture = Fixture::new();
    let applied = fixture.store.apply([
        Change::Delete { name: "a".into() },
        turn("a", None, 1),
        Change::DeleteMany(vec!["b".into()]),
        Change::Merge {
            name: "a".into(),
            fields: Record::new(),
            instance: None,
            create: false,
        },
    ]);
    assert!(applied.unwrap().iter().all(|applied| !applied.changed));
    assert!(!fixture.file().exists());
}

#[test]
fn unknown_fields_and_odd_values_survive_byte_for_byte() {
    let odd = concat!(
        r#"{"__proto__":{"status":"ready","x":1e400,"t":"\ud83d","\ud83d":[1,  2],"pid":"no"},"#,
        r#""\udc00":{"n":0.10000000000000000000001},"list":[-0],"null":null,"constructor":{"e":"\u00e9"},"#,
        r#""wrong":{"interactions":7,"status":5,"owner":"me","lastSaved":{}}}"#
    );
    let fixture = Fixture::with_file(odd);
    fixture.store.apply([put("new", &json!({}))]).unwrap();
    fixture
        .store
        .apply([Change::Delete { name: "new".into() }])
        .unwrap();
    assert_eq!(fixture.store.load_all_json().unwrap(), odd);
    fixture.store.apply([turn("__proto__", None, 1)]).unwrap();
    let text = fixture.text();
    for part in [
        r#""x":1e400,"t":"\ud83d","\ud83d":[1,  2],"pid":"no","interactions":[{"n":1}]"#,
        r#""list":[-0]"#,
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        fixture
            .store
            .list_later()
            .unwrap()
            .json
            .starts_with(r#"[{"name":"__proto__","status""#)
    );
}

#[test]
fn a_pretty_printed_file_of_the_original_is_taken_over() {
    let original = json!({ "a": { "name": "a", "status": "stopped", "interactions": [{ "n": 1 }] } });
    let fixture = Fixture::with_file(&serde_json::to_string_pretty(&original).unwrap());
    fixture.store.apply([turn("a", None, 2)]).unwrap();
    assert_eq!(
        fixture.stored()["a"]["interactions"],
        json!([{ "n": 1 }, { "n": 2 }])
    );
}

#[test]
fn a_merge_or_turn_with_another_token_does_nothing() {
    let fixture = Fixture::new();
    let owner = fixture.store.owner(&"new".into()).unwrap();
    fixture
        .store
        .apply([put("s", &json!({ "status": "ready", "owner": owner }))])
        .unwrap();
    let before = fixture.text();
    let merge = |instance: &str| Change::Merge {
        name: "s".into(),
        fields: record(&json!({ "status": "stopped" })),
        instance: Some(instance.into()),
        create: true,
    };
    let applied = fixture
        .store
        .apply([merge("old"), turn("s", Some("old"), 1)])
        .unwrap();
    assert!(applied.iter().all(|applied| !applied.changed));
    assert_eq!(fixture.text(), before);
    assert!(fixture.store.apply([merge("new")]).unwrap()[0].changed);
    assert_eq!(fixture.record("s")["status"], "stopped");
}

#[test]
fn put_and_delete_give_the_previous_record() {
    let fixture = Fixture::new();
    fixture.store.apply([put("a", &json!({ "v": 1 }))]).unwrap();
    let applied = fixture
        .store
        .apply([put("a", &json!({ "v": 2 })), Change::Delete { name: "a".into() }])
        .unwrap();
    let previous: Vec<_> = applied
        .iter()
        .map(|applied| applied.previous.as_ref().unwrap().get_u64("v").unwrap())
        .collect();
    assert_eq!(previous, [1, 2]);
}

#[test]
fn a_name_is_free_by_status_alone_if_nobody_owns_it() {
    let fixture = Fixture::new();
    for status in ["stopped", "killed", "failed"] {
        fixture
            .store
            .apply([put("a", &json!({ "status": status }))])
            .unwrap();
        fixture
            .store
            .apply([put_if_free("a", &json!({ "status": "busy" }))])
            .unwrap();
    }
    for (value, words) in [(json!({ "status": 5 }), "5"), (json!({}), "undefined")] {
        fixture.store.apply([put("a", &value)]).unwrap();
        let refused = fixture.store.apply([put_if_free("a", &json!({}))]);
        assert_eq!(
            refused,
            Err(Error::SessionStored {
                name: "a".into(),
                status: words.into()
            })
        );
    }
}

#[test]
fn replace_all_replaces_all() {
    let fixture = Fixture::new();
    fixture.store.apply([put("a", &json!({}))]).unwrap();
    let text = r#"{"b":{"x":1e400},"c":3}"#;
    fixture
        .store
        .apply([Change::ReplaceAll(Entries::from_json(text).unwrap())])
        .unwrap();
    assert_eq!(fixture.store.load_all_json().unwrap(), text);
}

#[test]
fn cleanup_removes_what_is_old_and_nothing_else() {
    let fixture = Fixture::new();
    let alive = fixture.store.owner(&"t".into()).unwrap();
    let dead = json!({ "host": "00000000-0000-4000-8000-000000000000", "pid": 1, "token": "x" });
    let old = "2020-01-01T00:00:00.000Z";
    let all = json!({
        "saved": { "lastSaved": old, "created": "2999-01-01T00:00:00Z", "status": "ready" },
        "created": { "created": old },
        "number": { "lastSaved": 1_577_836_800_000_u64 },
        "lost": { "lastSaved": old, "status": "busy", "owner": dead },
        "over": { "lastSaved": old, "status": "stopped", "owner": alive },
        "kept": { "lastSaved": old },
        "alive": { "lastSaved": old, "status": "busy", "owner": alive },
        "young": { "lastSaved": "2999-01-01T00:00:00Z", "created": old },
        "ageless": { "lastSaved": "soon" },
        "foreign": 5,
    });
    fixture
        .store
        .apply([Change::ReplaceAll(Entries::from_json(&all.to_string()).unwrap())])
        .unwrap();
    let keep = HashSet::from(["kept".to_owned()]);
    assert_eq!(fixture.store.cleanup(7.0, &keep).unwrap(), 5);
    let left: serde_json::Map<String, Value> = serde_json::from_str(&fixture.text()).unwrap();
    assert_eq!(
        left.keys().collect::<Vec<_>>(),
        ["kept", "alive", "young", "ageless", "foreign"]
    );
    assert_eq!(fixture.store.cleanup(f64::NAN, &keep).unwrap(), 0);
}

#[test]
fn a_list_names_every_record_that_does_not_name_itself() {
    let fixture = Fixture::with_file(r#"{"a":{"x":1},"b":{"name":"other"},"c":"no record"}"#);
    assert_eq!(
        fixture.store.list_later().unwrap().json,
        r#"[{"name":"a","x":1},{"name":"other"}]"#
    );
    assert_eq!(fixture.store.get("a").unwrap().unwrap().to_json(), r#"{"x":1}"#);
}
