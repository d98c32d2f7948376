//! Changes that are queued for the store thread.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use clearctx_core::error::Error;
use clearctx_core::store::{Durability, Files, Options, RealFiles, Store};
use serde_json::json;

use crate::fixture::{Fixture, PATIENCE, later, merge, put, put_if_free, turn};

#[test]
fn a_refused_change_takes_the_whole_call_with_it_but_not_what_was_queued() {
    let fixture = Fixture::new();
    fixture
        .store
        .apply([put("held", &json!({ "status": "ready" }))])
        .unwrap();
    let queued = later(&fixture.store, put("queued", &json!({})));
    let refused = fixture.store.apply([
        put("a", &json!({})),
        put_if_free("held", &json!({ "status": "starting" })),
    ]);
    assert_eq!(
        refused,
        Err(Error::SessionStored {
            name: "held".into(),
            status: "ready".into()
        })
    );
    queued.recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(!fixture.has("a"));
    assert!(fixture.has("queued"));
}

#[test]
fn queued_changes_are_applied_before_a_synchronous_one() {
    let fixture = Fixture::new();
    for round in 0..50 {
        let name = format!("s{round}");
        let first = later(&fixture.store, put(&name, &json!({})));
        let second = later(&fixture.store, turn(&name, None, 1));
        let applied = fixture.store.apply([turn(&name, None, 2)]).unwrap();
        assert!(applied[0].changed);
        assert!(first.recv_timeout(PATIENCE).unwrap().unwrap().changed);
        assert!(second.recv_timeout(PATIENCE).unwrap().unwrap().changed);
        assert_eq!(
            fixture.record(&name)["interactions"],
            json!([{ "n": 1 }, { "n": 2 }])
        );
    }
}

#[test]
fn answers_come_in_order_and_a_refusal_is_its_own() {
    let fixture = Fixture::new();
    let (sender, receiver) = mpsc::channel();
    for n in 0..200 {
        let sender = sender.clone();
        let change = put_if_free(
            if n % 2 == 0 { "same" } else { "other" },
            &json!({ "status": "busy" }),
        );
        fixture.store.apply_later(
            change,
            Box::new(move |outcome| sender.send((n, outcome.is_ok())).unwrap()),
        );
        if n % 20 == 0 {
            fixture.store.apply([merge("sync", &json!({}))]).unwrap();
        }
    }
    drop(sender);
    let outcomes: Vec<_> = receiver.iter().collect();
    assert_eq!(outcomes, (0..200).map(|n| (n, n < 2)).collect::<Vec<_>>());
}

#[test]
fn an_answer_that_panics_or_queues_more_does_no_harm() {
    let fixture = Fixture::new();
    fixture.store.apply_later(
        put("a", &json!({})),
        Box::new(|_| panic!("expected by this test")),
    );
    let store = fixture.store.clone();
    let (sender, receiver) = mpsc::channel();
    let queue_more = move |_| {
        store.apply([merge("b", &json!({}))]).unwrap();
        store.apply_later(
            merge("c", &json!({})),
            Box::new(move |outcome| sender.send(outcome).unwrap()),
        );
    };
    fixture
        .store
        .apply_later(merge("a", &json!({})), Box::new(queue_more));
    assert!(receiver.recv_timeout(PATIENCE).unwrap().unwrap().changed);
    assert!(fixture.has("a") && fixture.has("b") && fixture.has("c"));
}

#[test]
fn queued_changes_are_written_though_every_handle_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = later(&Store::open(dir.path()).unwrap(), put("a", &json!({})));
    assert!(outcome.recv_timeout(PATIENCE).unwrap().unwrap().changed);
    assert!(Store::open(dir.path()).unwrap().get("a").unwrap().is_some());
}

#[test]
fn what_was_queued_before_a_flush_is_in_the_file_whoever_commits_meanwhile() {
    let fixture = Fixture::new();
    fixture
        .store
        .apply([put("s", &json!({ "interactions": [] })), put("other", &json!({}))])
        .unwrap();
    std::thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel::<()>();
        let store = &fixture.store;
        scope.spawn(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                later(store, merge("other", &json!({ "n": 1 })))
                    .recv_timeout(PATIENCE)
                    .unwrap()
                    .unwrap();
            }
        });
        for n in 0..100 {
            let (sender, flushed) = mpsc::channel();
            let queued = later(store, turn("s", None, n));
            store.flush(Box::new(move |outcome| sender.send(outcome).unwrap()));
            flushed.recv_timeout(PATIENCE).unwrap().unwrap();
            queued.recv_timeout(PATIENCE).unwrap().unwrap();
            let stored = fixture.stored()["s"]["interactions"].as_array().unwrap().len();
            assert_eq!(stored, n + 1);
        }
        drop(stop);
    });
}

/// A disk that is slow as long as it is told to be.
#[derive(Debug, Default)]
struct Slow(AtomicBool);

impl Files for Slow {
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20));
        }
        RealFiles.write(file, bytes)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        RealFiles.truncate(file, len)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        RealFiles.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.rename(from, to)
    }

    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        RealFiles.try_lock(file)
    }
}

/// The thread that gives the answer to a change, and so the one that made it.
fn committer(store: &Store) -> ThreadId {
    let (sender, receiver) = mpsc::channel();
    let change = merge("s", &json!({ "n": 1 }));
    store.apply_later(
        change,
        Box::new(move |outcome| sender.send(outcome.map(|_| thread::current().id())).unwrap()),
    );
    receiver.recv_timeout(PATIENCE).unwrap().unwrap()
}

#[test]
fn an_append_is_made_where_it_is_asked_for_unless_the_last_one_was_slow() {
    let (fixture, disk) = (Fixture::new(), Arc::new(Slow::default()));
    let options = Options {
        files: Arc::clone(&disk) as Arc<dyn Files>,
        ..Options::default()
    };
    let dir = fixture.dir.path().join("slow");
    let store = Store::open_with(&dir, &options).unwrap();
    // Too big to be rewritten within a commit.
    let big = put("big", &json!({ "text": "x".repeat(300 * 1024) }));
    store.apply([put("s", &json!({})), big]).unwrap();
    let here = thread::current().id();
    // The machine may be at other work.
    let quick = |_: &i32| committer(&store) == here;
    assert!((0..5000).any(|n| quick(&n)), "no append was made here");
    disk.0.store(true, Ordering::Relaxed);
    committer(&store);
    assert!((0..5).all(|n| !quick(&n)), "a slow disk held the caller up again");
    disk.0.store(false, Ordering::Relaxed);
    assert!((0..5000).any(|n| quick(&n)), "it stayed with the store thread");
    let durable = Options {
        durability: Durability::Disk,
        ..options
    };
    let store = Store::open_with(&dir, &durable).unwrap();
    assert!(
        (0..5).all(|_| committer(&store) != here),
        "a sync held the caller up"
    );
}
