//! A host that is killed at any moment loses nothing that was acknowledged.

use std::env;
use std::fs;
use std::thread;
use std::time::Duration;

use clearctx_core::store::Store;

use crate::fixture::Fixture;
use crate::helper::{Helper, answer, wait_for_line};
use crate::model::{Deed, Model};

/// Lengths of texts: a small file, one that becomes big, ones with journals that are replaced.
const LENGTHS: [usize; 4] = [20, 8000, 40_000, 200_000];

/// `CLEARCTX_STORE_ROUNDS=500` is the nightly form.
fn rounds() -> usize {
    let rounds = env::var("CLEARCTX_STORE_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(50)
}

#[test]
fn a_host_that_is_killed_loses_nothing_that_was_acknowledged() {
    let threads = LENGTHS
        .map(|length| thread::spawn(move || kill_again_and_again(length, rounds() / LENGTHS.len() + 1)));
    for thread in threads {
        thread.join().unwrap();
    }
}

fn kill_again_and_again(length: usize, rounds: usize) {
    let dir = Fixture::new();
    let mut model = Model::default();
    let mut rng = fastrand::Rng::with_seed(length as u64);
    let mut next = 0;
    for round in 0..rounds {
        let mut helper = Helper::start("deeds", dir.dir.path());
        helper.hear();
        helper.say(&format!("{length} {next} {length}"));
        // Some rounds end before the first deed, most in the middle of one.
        let mut heard: Vec<_> = (0..rng.u64(..30)).map(|_| helper.hear()).collect();
        thread::sleep(Duration::from_micros(rng.u64(..3000)));
        helper.child.kill().unwrap();
        heard.extend(helper.hear_all());
        helper.child.wait().unwrap();
        for number in heard {
            assert_eq!(number, next.to_string());
            model.act(&Deed::nth(length as u64, next, length, "s"));
            next += 1;
        }
        // A handle that has seen all before, then one that has seen nothing.
        check(&dir, &mut model, &mut next, length);
        let fresh = Fixture::at(dir.dir.path());
        check(&fresh, &mut model, &mut next, length);
        let fixture = if round % 2 == 0 { &fresh } else { &dir };
        fixture.store.apply([]).unwrap();
        let text = fs::read_to_string(fixture.file()).unwrap_or_else(|_| "{}".to_owned());
        assert!(Model::of(&text) == model, "round {round}");
    }
    assert!(next > 5 * rounds as u64, "{next} deeds only");
}

/// The last deed may be done though nobody heard of it.
fn check(fixture: &Fixture, model: &mut Model, next: &mut u64, length: usize) {
    let file = fixture.file();
    if let Ok(text) = fs::read_to_string(file) {
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).unwrap();
    }
    let stored = Model::of(&fixture.store.load_all_json().unwrap());
    if stored != *model {
        model.act(&Deed::nth(length as u64, *next, length, "s"));
        *next += 1;
        let brief = |model: &Model| {
            format!(
                "{:?}",
                model
                    .0
                    .keys()
                    .map(|name| (name, model.turns(name)))
                    .collect::<Vec<_>>()
            )
        };
        assert!(
            stored == *model,
            "deed {next}: {} is not {}",
            brief(&stored),
            brief(model)
        );
    }
    for name in model.0.keys() {
        let one = fixture.store.get(name).unwrap().unwrap().to_json();
        assert_eq!(Model::of(&format!("{{\"s\":{one}}}")).0["s"], model.0[name]);
    }
    assert!(fixture.store.take_warnings().is_empty());
}

/// The helper's part.
pub(crate) fn do_deeds(store: &Store) {
    answer("ready");
    let line = wait_for_line();
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    for number in numbers[1].. {
        let deed = Deed::nth(numbers[0], number, usize::try_from(numbers[2]).unwrap(), "s");
        deed.act(store, true).unwrap();
        answer(&number.to_string());
    }
}
