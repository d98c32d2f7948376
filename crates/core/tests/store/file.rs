//! The file itself: broken, foreign, linked, missing, private.

use std::fs;
use std::io::Write;
#[cfg(unix)]
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;
use std::time::{Duration, SystemTime};

use clearctx_core::error::Error;
use clearctx_core::store::Store;
use serde_json::json;

use crate::fixture::{Fixture, merge, put, set_old};
use crate::helper::Helper;

#[test]
fn a_missing_file_is_an_empty_store_and_reading_creates_none() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.list_later().unwrap().json, "[]");
    assert_eq!(fixture.store.load_all_json().unwrap(), "{}");
    assert!(!fixture.has("a"));
    assert!(fixture.files().is_empty());
}

#[test]
fn a_blank_file_is_an_empty_store_without_a_warning() {
    for text in ["", " \n"] {
        let fixture = Fixture::with_file(text);
        assert_eq!(fixture.store.list_later().unwrap().json, "[]");
        fixture.store.apply([put("a", &json!({}))]).unwrap();
        assert!(fixture.has("a"));
        assert!(fixture.store.take_warnings().is_empty());
    }
}

#[test]
fn a_broken_file_is_moved_aside_and_reported_once() {
    let broken = "{\"a\": {\"status\": \"ready\"";
    let fixture = Fixture::with_file(broken);
    assert_eq!(fixture.store.list_later().unwrap().json, "[]");
    fixture.store.apply([put("b", &json!({}))]).unwrap();
    let warnings = fixture.store.take_warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].code, "CLEARCTX_STORE_CORRUPT");
    assert!(fixture.store.take_warnings().is_empty());
    let aside = fixture
        .files()
        .into_iter()
        .find(|name| name.starts_with("sessions.json.corrupt-"))
        .unwrap();
    assert_eq!(
        fs::read_to_string(fixture.dir.path().join(&aside)).unwrap(),
        broken
    );
    assert!(warnings[0].message.contains(&aside), "{}", warnings[0].message);
    assert!(fixture.has("b"));
}

#[test]
fn broken_files_never_overwrite_each_other() {
    let fixture = Fixture::new();
    for n in 0..5 {
        fixture.write(&format!("[{n}]"));
        set_old(&fixture.file());
        fixture.store.apply([put("a", &json!({}))]).unwrap();
    }
    let aside = fixture
        .files()
        .into_iter()
        .filter(|name| name.starts_with("sessions.json.corrupt-"));
    assert_eq!(aside.count(), 5);
}

#[test]
fn a_file_that_is_being_written_in_place_is_not_taken_for_broken() {
    let fixture = Fixture::with_file("{}");
    let mut file = fs::File::create(fixture.file()).unwrap();
    file.write_all(b"{\"a\":").unwrap();
    let writer = thread::spawn(move || {
        // The pause is what is tested: a writer that is caught in the middle.
        thread::sleep(Duration::from_millis(20));
        file.write_all(b"{\"v\":1}}").unwrap();
    });
    fixture.store.apply([merge("b", &json!({}))]).unwrap();
    writer.join().unwrap();
    assert_eq!(fixture.record("a")["v"], 1);
    assert!(fixture.store.take_warnings().is_empty());
}

#[test]
fn text_that_is_not_utf8_does_not_cost_the_store() {
    let fixture = Fixture::new();
    fs::write(fixture.file(), b"\xef\xbb\xbf{\"a\":{\"v\":\"x\xffy\"}}").unwrap();
    assert_eq!(fixture.record("a")["v"], "x\u{fffd}y");
}

#[test]
fn a_replaced_file_is_seen_even_with_equal_size_and_time() {
    let fixture = Fixture::new();
    let file = fixture.file();
    let time = SystemTime::now() - Duration::from_secs(60);
    for round in 0..50 {
        let text = format!("{{\"a\":{{\"v\":{}}}}}", round % 10);
        if round % 2 == 0 {
            fixture.write(&text);
        } else {
            let other = fixture.dir.path().join("other");
            fs::write(&other, &text).unwrap();
            fs::rename(&other, &file).unwrap();
        }
        fs::File::options()
            .append(true)
            .open(&file)
            .unwrap()
            .set_modified(time)
            .unwrap();
        assert_eq!(fixture.record("a")["v"], round % 10, "round {round}");
    }
}

#[test]
fn a_foreign_write_right_after_our_own_is_seen() {
    let fixture = Fixture::new();
    for round in 0..20 {
        fixture.store.apply([put("a", &json!({ "v": 1 }))]).unwrap();
        let text = fixture.text().replace("\"v\":1", "\"v\":2");
        fixture.write(&text);
        assert_eq!(fixture.record("a")["v"], 2, "round {round}");
    }
}

#[test]
fn a_deleted_data_directory_is_made_again() {
    let fixture = Fixture::new();
    fixture.store.apply([put("a", &json!({}))]).unwrap();
    fs::remove_dir_all(fixture.dir.path()).unwrap();
    assert!(!fixture.has("a"));
    fixture.store.apply([put("b", &json!({}))]).unwrap();
    assert!(fixture.has("b"));
}

#[test]
fn leftovers_of_dead_writers_are_removed_at_the_first_write() {
    let fixture = Fixture::new();
    fixture.store.apply([put("a", &json!({}))]).unwrap();
    let dir = fixture.dir.path().to_owned();
    fs::write(dir.join("sessions.json.tmp-1-abc"), "x").unwrap();
    fs::write(dir.join("sessions.json.bak"), "x").unwrap();
    let mut helper = Helper::start("turns", &dir);
    helper.hear();
    helper.say("h");
    helper.join();
    assert_eq!(
        fixture.files(),
        [
            "sessions.journal",
            "sessions.json",
            "sessions.json.bak",
            "sessions.lock"
        ]
    );
}

#[test]
fn a_directory_in_place_of_the_file_is_an_error_that_passes() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.file()).unwrap();
    assert!(matches!(fixture.store.get("a"), Err(Error::Store { .. })));
    assert!(matches!(
        fixture.store.apply([put("a", &json!({}))]),
        Err(Error::Store { .. })
    ));
    fs::remove_dir(fixture.file()).unwrap();
    fixture.store.apply([put("a", &json!({}))]).unwrap();
    assert!(fixture.has("a"));
}

#[cfg(unix)]
#[test]
fn files_and_directories_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let store = Store::open(&data_dir).unwrap();
    store
        .apply([put("a", &json!({ "owner": store.owner(&"t".into()).unwrap() }))])
        .unwrap();
    let mode = |path: &str| fs::metadata(data_dir.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("hosts")), (0o700, 0o700));
    assert_eq!((mode("sessions.json"), mode("sessions.lock")), (0o600, 0o600));
    let host = format!("hosts/{}.lock", store.owner(&"t".into()).unwrap().host);
    assert_eq!(mode(&host), 0o600);
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_survives_and_its_target_is_written() {
    let fixture = Fixture::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("real.json");
    symlink(&target, fixture.file()).unwrap();
    // A link that leads nowhere is an empty store; the first write creates the target.
    assert!(!fixture.has("a"));
    fixture.store.apply([put("a", &json!({}))]).unwrap();
    assert!(fs::symlink_metadata(fixture.file()).unwrap().is_symlink());
    assert!(fs::read_to_string(&target).unwrap().contains("\"a\""));
    fs::write(&target, "broken").unwrap();
    assert!(fixture.has("a"));
    fixture.store.apply([put("b", &json!({}))]).unwrap();
    assert!(fs::symlink_metadata(fixture.file()).unwrap().is_symlink());
    let text = fs::read_to_string(&target).unwrap();
    assert!(text.contains("\"a\"") && text.contains("\"b\""), "{text}");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_data_directory_is_the_same_store() {
    let fixture = Fixture::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    symlink(fixture.dir.path(), &link).unwrap();
    assert_eq!(Store::open(&link).unwrap().data_dir(), fixture.store.data_dir());
}

#[test]
fn a_file_in_place_of_the_data_directory_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [file.path().to_owned(), file.path().join("data")] {
        assert!(matches!(
            Store::open(&path),
            Err(Error::Store { holder_pid: None, .. })
        ));
    }
}
