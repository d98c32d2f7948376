//! Threads and processes that write at once, locks that are held, disks that are full.

use std::thread;
use std::time::{Duration, Instant};

use clearctx_core::store::Store;
#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::fixture::{Fixture, PATIENCE, flush, holder_pid, later, put, turn};
use crate::helper::Helper;

#[test]
fn threads_lose_nothing_whichever_way_they_write() {
    let fixture = Fixture::new();
    fixture.store.apply([put("shared", &json!({}))]).unwrap();
    thread::scope(|scope| {
        for id in 0..8 {
            let store = Store::open(fixture.dir.path()).unwrap();
            scope.spawn(move || {
                let mut outcomes = Vec::new();
                for n in 0..50 {
                    if id % 2 == 0 {
                        store.apply([turn("shared", None, n)]).unwrap();
                    } else {
                        outcomes.push(later(&store, turn("shared", None, n)));
                    }
                }
                for outcome in outcomes {
                    assert!(outcome.recv_timeout(PATIENCE).unwrap().unwrap().changed);
                }
            });
        }
    });
    assert_eq!(
        fixture.record("shared")["interactions"].as_array().unwrap().len(),
        400
    );
    assert_eq!(
        fixture.files(),
        ["sessions.journal", "sessions.json", "sessions.lock"]
    );
}

#[test]
fn processes_lose_nothing() {
    let fixture = Fixture::new();
    fixture.store.apply([put("shared", &json!({}))]).unwrap();
    let mut helpers: Vec<_> = (0..4)
        .map(|_| Helper::start("turns", fixture.dir.path()))
        .collect();
    for (id, helper) in helpers.iter_mut().enumerate() {
        assert_eq!(helper.hear(), "ready");
        helper.say(&id.to_string());
    }
    for n in 0..50 {
        fixture.store.apply([turn("shared", None, n)]).unwrap();
    }
    helpers.into_iter().for_each(Helper::join);
    assert_eq!(
        fixture.record("shared")["interactions"].as_array().unwrap().len(),
        250
    );
    for id in 0..4 {
        assert!((0..50).all(|n| fixture.has(&format!("{id}-{n}"))));
    }
    assert_eq!(
        fixture.files(),
        ["sessions.journal", "sessions.json", "sessions.lock"]
    );
}

#[test]
fn of_processes_that_take_one_name_exactly_one_wins() {
    let fixture = Fixture::new();
    let mut helpers: Vec<_> = (0..4)
        .map(|_| Helper::start("race", fixture.dir.path()))
        .collect();
    assert!(helpers.iter_mut().all(|helper| helper.hear() == "ready"));
    for round in 0..20 {
        let name = format!("name-{round}");
        for helper in &mut helpers {
            helper.say(&name);
        }
        let mut answers: Vec<_> = helpers.iter_mut().map(Helper::hear).collect();
        answers.sort();
        assert_eq!(answers, ["busy", "busy", "busy", "won"]);
    }
    helpers.into_iter().for_each(Helper::join);
}

#[test]
fn a_lock_that_is_not_given_back_fails_the_call_in_time_and_names_the_holder() {
    let fixture = Fixture::new();
    fixture.store.apply([put("s", &json!({ "v": 1 }))]).unwrap();
    let mut helper = Helper::start("lock", fixture.dir.path());
    helper.hear();
    let start = Instant::now();
    let refused = fixture.store.apply([put("s", &json!({ "v": 2 }))]);
    let waited = start.elapsed();
    let holder = if cfg!(windows) { None } else { Some(helper.pid()) };
    assert_eq!(holder_pid(refused), holder);
    assert!(
        (Duration::from_millis(950)..Duration::from_secs(5)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(fixture.record("s")["v"], 1);
    let kept = later(&fixture.store, turn("s", None, 1));
    let lost = later(&fixture.store, put("t", &json!({})));
    assert!(kept.recv_timeout(PATIENCE).unwrap().is_err());
    assert!(lost.recv_timeout(PATIENCE).unwrap().is_err());
    helper.join();
    flush(&fixture.store).unwrap();
    assert_eq!(fixture.record("s")["interactions"], json!([{ "n": 1 }]));
    assert!(!fixture.has("t"));
}

#[test]
fn reads_do_not_wait_for_the_lock() {
    let fixture = Fixture::new();
    fixture.store.apply([put("s", &json!({ "v": 1 }))]).unwrap();
    let mut helper = Helper::start("lock", fixture.dir.path());
    helper.hear();
    let queued = later(&fixture.store, turn("s", None, 1));
    let start = Instant::now();
    while queued.try_recv().is_err() && start.elapsed() < Duration::from_millis(300) {
        let read = Instant::now();
        assert_eq!(fixture.record("s")["v"], 1);
        assert!(read.elapsed() < Duration::from_millis(700));
    }
    helper.join();
    assert!(queued.recv_timeout(PATIENCE).unwrap().unwrap().changed);
}

#[cfg(unix)]
#[test]
fn a_stopped_holder_of_the_lock_is_named() {
    let fixture = Fixture::new();
    let mut helper = Helper::start("lock", fixture.dir.path());
    helper.hear();
    kill_process(Pid::from_child(&helper.child), Signal::STOP).unwrap();
    assert_eq!(
        holder_pid(fixture.store.apply([put("a", &json!({}))])),
        Some(helper.pid())
    );
    helper.child.kill().unwrap();
    helper.child.wait().unwrap();
    fixture.store.apply([put("a", &json!({}))]).unwrap();
}
