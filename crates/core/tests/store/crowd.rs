//! Eight processes that do everything at once.

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use clearctx_core::error::{Error, Result};
use clearctx_core::store::Store;
#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::fixture::{Fixture, put, put_if_free, turn};
use crate::helper::{Helper, answer, wait_for_line};
use crate::model::{Deed, Model};

const PROCESSES: u64 = 8;
const LENGTH: usize = 500;

/// `CLEARCTX_STORE_SECONDS=60` is the nightly form.
fn seconds() -> u64 {
    let seconds = env::var("CLEARCTX_STORE_SECONDS").ok();
    seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(10)
}

#[test]
fn eight_processes_lose_nothing_and_agree_with_the_model() {
    let fixture = Fixture::new();
    fixture
        .store
        .apply([put("shared", &json!({ "interactions": [] }))])
        .unwrap();
    let mut helpers: Vec<_> = (0..PROCESSES)
        .map(|_| Helper::start("crowd", fixture.dir.path()))
        .collect();
    for (id, helper) in helpers.iter_mut().enumerate() {
        assert_eq!(helper.hear(), "ready");
        helper.say(&format!("{id} {}", seconds()));
    }
    let deeds: Vec<u64> = helpers
        .iter_mut()
        .map(|helper| helper.hear().parse().unwrap())
        .collect();
    helpers.into_iter().for_each(Helper::join);
    fixture.store.apply([]).unwrap();
    let stored = Model::of(&fixture.store.load_all_json().unwrap());
    assert_eq!(Model::of(&fixture.text()), stored);
    assert_eq!(
        Model::of(&Fixture::at(fixture.dir.path()).store.load_all_json().unwrap()),
        stored
    );
    let (mut shared, mut names) = (stored.turns("shared"), 0);
    for (id, count) in deeds.iter().enumerate() {
        let mut model = Model::default();
        let owner = format!("p{id}-");
        (0..*count).for_each(|number| model.act(&Deed::nth(id as u64, number, LENGTH, &owner)));
        for (name, record) in &model.0 {
            assert!(stored.0.get(name) == Some(record), "{name}");
        }
        names += model.0.len();
    }
    assert_eq!(stored.0.len(), names + 1, "nothing but what the model has");
    let all: u64 = deeds.iter().map(|count| count / 10).sum();
    shared.sort_unstable();
    shared.dedup();
    assert_eq!(
        (stored.turns("shared").len() as u64, shared.len() as u64),
        (all, all)
    );
    let size = |name: &str| fs::metadata(fixture.dir.path().join(name)).unwrap().len();
    assert!(size("sessions.journal") < size("sessions.json") + 4 * 1024 * 1024);
    assert!(
        deeds.iter().all(|count| *count > 10),
        "{deeds:?}: somebody starved"
    );
}

/// The helper's part.
pub(crate) fn join_the_crowd(store: &Store) {
    answer("ready");
    let line = wait_for_line();
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    let (id, start) = (numbers[0], Instant::now());
    let owner = format!("p{id}-");
    let mut model = Model::default();
    let mut done = 0;
    while start.elapsed() < Duration::from_secs(numbers[1]) {
        let deed = Deed::nth(id, done, LENGTH, &owner);
        until_not_busy(|| deed.act(store, false));
        model.act(&deed);
        done += 1;
        if done % 10 == 0 {
            let n = usize::try_from(id * 1_000_000 + done).unwrap();
            assert!(until_not_busy(|| store.apply([turn("shared", None, n)]))[0].changed);
        }
        if done % 50 == 0 {
            check(store, &model, &owner);
        }
    }
    answer(&done.to_string());
}

/// Whoever waits a second for the lock is told so, and nothing was changed. With the processor to themselves the eight
/// never do; beside much other work one of them may not get to run often enough.
fn until_not_busy<T>(mut call: impl FnMut() -> Result<T>) -> T {
    for _ in 0..9 {
        match call() {
            Err(Error::Store { reason, .. }) if reason.starts_with("locked by") => {}
            done => return done.unwrap(),
        }
    }
    call().unwrap()
}

/// A process reads what it has written, whatever the others do.
fn check(store: &Store, model: &Model, owner: &str) {
    let stored = Model::of(&store.load_all_json().unwrap());
    let own = stored.0.into_iter().filter(|(name, _)| name.starts_with(owner));
    assert!(Model(own.collect()) == *model);
}

#[cfg(unix)]
#[test]
fn a_process_that_is_stopped_anywhere_freezes_nobody_for_more_than_a_second() {
    let fixture = Fixture::new();
    let mut helper = Helper::start("deeds", fixture.dir.path());
    helper.hear();
    helper.say("1 0 2000");
    let pid = Pid::from_child(&helper.child);
    let mut refused = 0;
    for round in 0..40 {
        std::thread::sleep(Duration::from_micros(round * 700));
        kill_process(pid, Signal::STOP).unwrap();
        let start = Instant::now();
        fixture.store.load_all_json().unwrap();
        assert!(
            start.elapsed() < Duration::from_millis(500),
            "a read waits for nobody"
        );
        let outcome = fixture
            .store
            .apply([put_if_free("mine", &json!({ "status": "stopped" }))]);
        assert!(
            start.elapsed() < Duration::from_millis(1500),
            "{:?}",
            start.elapsed()
        );
        refused += usize::from(outcome.is_err());
        kill_process(pid, Signal::CONT).unwrap();
        if refused >= 2 {
            break;
        }
    }
    fixture.store.apply([put("mine", &json!({ "n": 1 }))]).unwrap();
    assert_eq!(fixture.record("mine")["n"], 1);
}
