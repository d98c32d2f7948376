//! Random schedules: calls, lines, ends, passing time and the store's answers in any order, on a session whose
//! process, clock and store are in memory, held against a model that knows what the CLI really does.
//!
//! `CLEARCTX_SCHEDULES` sets how many run, `CLEARCTX_SEED` the first seed: a failure names its own.

mod cli;
mod harness;
mod model;

use cli::Habit;
use fastrand::Rng;
use harness::Harness;
use std::panic::catch_unwind;

/// Schedules of a run that does not ask for a number.
const SCHEDULES: u64 = 10_000;

/// Longest schedule, in steps.
const STEPS: u64 = 60;

/// Whether the one in so many times has come.
fn once_in(rng: &mut Rng, times: u64) -> bool {
    rng.u64(..times) == 0
}

fn run(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let habit = [Habit::Newer, Habit::Older, Habit::OneInit][rng.usize(..3)];
    let mut harness = Harness::new(habit);
    for _ in 0..rng.u64(..STEPS) {
        harness.step(&mut rng);
        harness.check();
    }
    harness.end(&mut rng);
}

/// The number that a variable of the environment holds.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable holds a number"))
}

#[test]
fn every_send_settles_once_whatever_happens_when() {
    let first = number("CLEARCTX_SEED").unwrap_or(1);
    for seed in first..first + number("CLEARCTX_SCHEDULES").unwrap_or(SCHEDULES) {
        assert!(
            catch_unwind(|| run(seed)).is_ok(),
            "the schedule failed; to repeat it: CLEARCTX_SEED={seed} CLEARCTX_SCHEDULES=1"
        );
    }
}
