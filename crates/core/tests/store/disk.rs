//! A disk that is full, and has room again: a limit on the size of files in a helper process.

use std::env;
use std::fs;
use std::process::Command;

use clearctx_core::error::Error;
use clearctx_core::store::{Change, Store};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::fixture::{Fixture, PATIENCE, flush, later, put, turn};
use crate::helper::{Helper, answer};

#[test]
fn a_full_disk_fails_the_call_and_damages_nothing() {
    let fixture = Fixture::new();
    // Without the signal ignored, a write over the limit would end the process instead of failing.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap());
    let mut helper = Helper::run(shell, "full", fixture.dir.path());
    assert_eq!(helper.hear(), "ok");
    helper.join();
    assert_eq!(
        fixture.record("s")["interactions"],
        json!([{ "n": 1 }, { "n": 2 }])
    );
    assert_eq!(
        fixture.files(),
        ["sessions.journal", "sessions.json", "sessions.lock"]
    );
}

/// The helper's part.
pub(crate) fn fill_the_disk(store: &Store) {
    store
        .apply([put("s", &json!({ "text": "x".repeat(4000) }))])
        .unwrap();
    let before = fs::read(store.sessions_file()).unwrap();
    let room = getrlimit(Resource::Fsize);
    setrlimit(
        Resource::Fsize,
        Rlimit {
            current: Some(2000),
            maximum: room.maximum,
        },
    )
    .unwrap();

    let failed = store.apply([
        put("t", &json!({})),
        Change::Delete {
            name: "nobody".into(),
        },
    ]);
    assert!(
        matches!(failed, Err(Error::Store { holder_pid: None, .. })),
        "{failed:?}"
    );
    let kept = [later(store, turn("s", None, 1)), later(store, turn("s", None, 2))];
    let refused = later(store, put("u", &json!({})));
    for outcome in kept.into_iter().chain([refused]) {
        assert!(matches!(
            outcome.recv_timeout(PATIENCE).unwrap(),
            Err(Error::Store { .. })
        ));
    }
    assert!(flush(store).is_err());
    assert_eq!(fs::read(store.sessions_file()).unwrap(), before);
    assert!(store.get("t").unwrap().is_none());
    assert!(store.get("s").unwrap().unwrap().get_raw("interactions").is_none());

    setrlimit(Resource::Fsize, room).unwrap();
    store.apply([]).unwrap();
    assert!(store.get("u").unwrap().is_none());
    answer("ok");
}
